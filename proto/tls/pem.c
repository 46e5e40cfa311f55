#include "proto/tls/pem.h"

#include <mbedtls/pem.h>
#include <string.h>

/* *used: how far the block goes. */
static int read_block(const char *text, const struct tls_pem_kind *kind, void *context,
                      size_t *used)
{
    mbedtls_pem_context pem;
    size_t length = 0;
    mbedtls_pem_init(&pem);
    int code = mbedtls_pem_read_buffer(&pem, kind->begin, kind->end, (const unsigned char *)text,
                                       NULL, 0, used);
    if (code == 0) {
        const unsigned char *der = mbedtls_pem_get_buffer(&pem, &length);
        code = kind->take(context, der, length);
    }
    mbedtls_pem_free(&pem);
    return code;
}

int tls_pem_read(const char *text, const struct tls_pem_kind *kind, void *context, unsigned *count)
{
    *count = 0;
    while ((text = strstr(text, kind->begin)) != NULL) {
        size_t used = 0;
        ++*count;
        int code = read_block(text, kind, context, &used);
        if (code != 0) {
            return code;
        }
        text += used;
    }
    return 0;
}
