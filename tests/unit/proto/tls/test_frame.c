/* Where messages end in an SP stream, however it is cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/tls/frame.h"
#include "tests/unit/proto/chance.h"

static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

/* Takes and compares. */
static void take(struct tls_frame *frame, const uint8_t *bytes, size_t length, size_t taken,
                 bool ends, uint64_t left)
{
    struct view copy = copy_of(bytes, length);
    bool ended = !ends;
    assert_int_equal(tls_frame_take(frame, copy.bytes, length, &ended), taken);
    assert_int_equal(ended, ends);
    assert_true(tls_frame_left(frame) == left);
    free((void *)(uintptr_t)copy.bytes);
}

static void greeted(struct tls_frame *frame)
{
    memset(frame, 0, sizeof *frame);
    assert_true(tls_frame_left(frame) == 0);
    take(frame, greeting, 8, 8, true, 0);
}

static void the_greeting(void **state)
{
    (void)state;
    struct tls_frame frame;
    greeted(&frame);
    for (size_t cut = 1; cut < 8; cut++) {
        frame = (struct tls_frame){0};
        take(&frame, greeting, cut, cut, false, 8 - cut);
        take(&frame, greeting + cut, 8 - cut, 8 - cut, true, 0);
    }
    /* What comes behind it is another part. */
    const uint8_t more[10] = {0};
    frame = (struct tls_frame){0};
    take(&frame, more, 10, 8, true, 0);
    take(&frame, more + 8, 2, 2, false, 6);
}

static void messages(void **state)
{
    (void)state;
    static const uint8_t three[] = {0, 0, 0, 0, 0, 0, 0, 3, 'a', 'b', 'c'};
    static const uint8_t none[16] = {0};
    struct tls_frame frame;
    /* As NNG hands them over: length, header, body. */
    greeted(&frame);
    take(&frame, three, 8, 8, false, 3);
    take(&frame, three + 8, 2, 2, false, 1);
    take(&frame, three + 10, 1, 1, true, 0);
    /* In one piece, which ends where the message does. */
    uint8_t joined[20];
    memcpy(joined, three, 11);
    memset(joined + 11, 0, 9);
    take(&frame, joined, 20, 11, true, 0);
    take(&frame, joined + 11, 9, 8, true, 0); /* and an empty one */
    take(&frame, joined + 19, 1, 1, false, 7);
    /* The length in two pieces. */
    take(&frame, three + 1, 5, 5, false, 2);
    take(&frame, three + 6, 5, 5, true, 0);
    /* Empty ones. */
    take(&frame, none, 16, 8, true, 0);
    take(&frame, none, 7, 7, false, 1);
    take(&frame, none, 1, 1, true, 0);
}

static void large_messages(void **state)
{
    (void)state;
    static const uint8_t most[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t mixed[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t bytes[100] = {0};
    struct tls_frame frame;
    greeted(&frame);
    take(&frame, most, 8, 8, false, UINT64_MAX);
    take(&frame, bytes, 100, 100, false, UINT64_MAX - 100);
    greeted(&frame);
    take(&frame, mixed, 8, 8, false, UINT64_C(0x0102030405060708));
    /* The sizes at which records are cut, a byte before, on and behind. */
    static const size_t sizes[] = {511, 512, 16311, 16312, 16320, 16384, 1 << 20};
    uint8_t *body = calloc(1, (1 << 20) + 1);
    assert_non_null(body);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t size = sizes[i];
        const uint8_t length[8] = {
            0, 0, 0, 0, 0, (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};
        greeted(&frame);
        take(&frame, length, 8, 8, false, size);
        take(&frame, body, size - 1, size - 1, false, 1);
        take(&frame, body, 2, 1, true, 0);
        take(&frame, length, 8, 8, false, size);
        take(&frame, body, size + 1, size, true, 0);
    }
    free(body);
}

/* HTTP, and whatever does not begin with a 0: each piece is on its own. */
static void foreign_streams(void **state)
{
    (void)state;
    struct tls_frame frame;
    for (unsigned first = 1; first < 256; first++) {
        const uint8_t piece[20] = {(uint8_t)first};
        frame = (struct tls_frame){0};
        take(&frame, piece, 1, 1, true, 0);
        take(&frame, piece, 20, 20, true, 0);
        take(&frame, greeting, 8, 8, true, 0);
        take(&frame, greeting, 3, 3, true, 0);
    }
}

/* --- Cut at random --- */

enum { STREAM_MAX = 4096 };

struct stream {
    uint8_t bytes[STREAM_MAX];
    bool ends[STREAM_MAX + 1]; /* after so many bytes */
    size_t length;
};

static void add_message(struct stream *stream, size_t size)
{
    memset(stream->bytes + stream->length, 0, 6);
    stream->bytes[stream->length + 6] = (uint8_t)(size >> 8);
    stream->bytes[stream->length + 7] = (uint8_t)size;
    for (size_t i = 0; i < size; i++) {
        stream->bytes[stream->length + 8 + i] = (uint8_t)next_random();
    }
    stream->length += 8 + size;
    stream->ends[stream->length] = true;
}

static void make_stream(struct stream *stream)
{
    memset(stream, 0, sizeof *stream);
    memcpy(stream->bytes, greeting, 8);
    stream->length = 8;
    stream->ends[8] = true;
    while (stream->length < STREAM_MAX - 8 - 300) {
        size_t size = below(4) == 0 ? below(300) : below(9);
        add_message(stream, size);
    }
}

static void random_cuts(void **state)
{
    (void)state;
    static struct stream stream;
    for (size_t round = rounds(300); round > 0; round--) {
        struct tls_frame frame = {0};
        size_t at = 0;
        size_t most = 1 + below(40);
        make_stream(&stream);
        while (at < stream.length) {
            size_t left = stream.length - at;
            size_t piece = 1 + below(left < most ? left : most);
            bool ends = false;
            size_t taken = tls_frame_take(&frame, stream.bytes + at, piece, &ends);
            assert_in_range(taken, 1, piece);
            for (size_t i = 1; i < taken; i++) {
                assert_false(stream.ends[at + i]);
            }
            at += taken;
            assert_int_equal(ends, stream.ends[at]);
            /* Less than asked for only at an end. */
            assert_true(taken == piece || ends);
            assert_int_equal(tls_frame_left(&frame) == 0, ends);
        }
        assert_int_equal(at, stream.length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_greeting),   cmocka_unit_test(messages),
        cmocka_unit_test(large_messages), cmocka_unit_test(foreign_streams),
        cmocka_unit_test(random_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
