#include "server/index/gzip.h"

#include <stdlib.h>
#include <zlib.h>

/* The fastest level: JSON shrinks to a tenth anyway, and the levels above cost three times the time
 * for a few percent. */
#define LEVEL       1
#define WINDOW_GZIP (15 + 16)

uint8_t *gzip_body(struct bytes body, uint32_t *length)
{
    z_stream stream = {.next_in = (uint8_t *)(uintptr_t)body.at, .avail_in = body.length};
    if (body.length == 0 ||
        deflateInit2(&stream, LEVEL, Z_DEFLATED, WINDOW_GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return NULL;
    }
    uint8_t *to = malloc(body.length);
    stream.next_out = to;
    stream.avail_out = body.length;
    int outcome = to == NULL ? Z_MEM_ERROR : deflate(&stream, Z_FINISH);
    *length = (uint32_t)stream.total_out;
    (void)deflateEnd(&stream);
    if (outcome != Z_STREAM_END) { /* no room: larger than before */
        free(to);
        return NULL;
    }
    return to;
}
