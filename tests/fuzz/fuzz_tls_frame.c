/* Any stream in any pieces: messages are found to end where a reading of the whole stream has them.
 * The first byte says how many of the following ones (0 to 15) are the lengths of the pieces, taken
 * in turns. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/tls/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

/* The model: where the part that begins at `from` ends, and how much of it is known to be to come
 * when only `to` bytes have been seen. SIZE_MAX: not within reach. */
static size_t end_of_part(const uint8_t *stream, size_t size, size_t from)
{
    if (from == 0) {
        return 8;
    }
    if (size - from < 8) {
        return SIZE_MAX;
    }
    size_t length = 0;
    for (size_t i = 0; i < 8; i++) {
        length = length * 256 + stream[from + i];
    }
    return length > SIZE_MAX - from - 8 ? SIZE_MAX : from + 8 + length;
}

static uint64_t left_of_part(const uint8_t *stream, size_t size, size_t from, size_t to)
{
    if (to == from) {
        return 0;
    }
    if (to - from < 8) {
        return 8 - (to - from);
    }
    uint64_t length = 0;
    for (size_t i = 0; i < 8 && from > 0 && size - from >= 8; i++) {
        length = length * 256 + stream[from + i];
    }
    return length - (to - from - 8);
}

static void run_foreign(const uint8_t *stream, size_t size, size_t piece)
{
    struct tls_frame frame = {0};
    for (size_t at = 0; at < size; at += piece) {
        bool ends = false;
        size_t length = size - at < piece ? size - at : piece;
        check(tls_frame_take(&frame, stream + at, length, &ends) == length);
        check(ends && tls_frame_left(&frame) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size < 2U + data[0] % 16) {
        return 0;
    }
    size_t cuts = data[0] % 16;
    const uint8_t *pieces = data + 1;
    const uint8_t *stream = pieces + cuts;
    size -= 1 + cuts;
    if (stream[0] != 0) {
        run_foreign(stream, size, cuts == 0 ? size : 1U + pieces[0]);
        return 0;
    }
    struct tls_frame frame = {0};
    size_t from = 0; /* of the part under way */
    size_t at = 0;
    for (size_t turn = 0; at < size; turn++) {
        size_t piece = cuts == 0 ? size : 1U + pieces[turn % cuts];
        piece = piece < size - at ? piece : size - at;
        size_t end = end_of_part(stream, size, from);
        bool ends = false;
        size_t taken = tls_frame_take(&frame, stream + at, piece, &ends);
        check(taken == (end - at < piece ? end - at : piece));
        at += taken;
        check(ends == (at == end));
        from = ends ? at : from;
        check(tls_frame_left(&frame) == left_of_part(stream, size, from, at));
    }
    return 0;
}
