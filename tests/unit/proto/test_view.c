/* What counts as text at the border: RFC 3629 byte by byte, compared with a plain decoder written
 * from its table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/view.h"

static void equality(void **state)
{
    (void)state;
    assert_true(view_equal((struct view){0}, view_of("")));
    assert_true(view_equal(view_of("abc"), (struct view){(const uint8_t *)"abcd", 3}));
    assert_false(view_equal(view_of("abc"), view_of("abd")));
    assert_false(view_equal(view_of("abc"), view_of("ab")));
    assert_false(view_equal((struct view){0}, view_of("a")));
    assert_true(view_equal_any_case((struct view){0}, view_of("")));
    assert_true(view_equal_any_case(view_of("aZ-09@[`{"), view_of("Az-09@[`{")));
    assert_false(view_equal_any_case(view_of("@["), view_of("`{")));
    assert_false(view_equal_any_case(view_of("abc"), view_of("AB")));
    assert_false(view_equal_any_case(view_of("\xc3\x84"), view_of("\xc3\xa4")));
}

static void good_text(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        " ",
        "plain",
        "longer than eight bytes",
        "~",
        "\x7f",
        "Gr\xc3\xbc\xc3\x9f aus K\xc3\xb6ln",
        "\xc2\xa0",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "12345678\xe2\x82\xacz12345678",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(view_is_text(view_of(good[i])));
    }
    assert_true(view_is_text((struct view){0}));
}

static void bad_text(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x01",
        "\x1f",
        "tab\there",
        "12345678\n",
        "1234567\x1b[31m",
        "\xc2\x80",
        "\xc2\x9f",
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xc3",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xe2\x28\xa1",
        "12345678\xe2\x82z",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(view_is_text(view_of(bad[i])));
    }
    assert_false(view_is_text((struct view){(const uint8_t *)"a\0b", 3}));
}

/* The code point of one character of exactly `length` bytes, or -1: decoded by arithmetic, not by
 * ranges. */
static int32_t code_point(const uint8_t *bytes, size_t length)
{
    static const uint8_t lead_marks[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    static const uint8_t lead_masks[] = {0, 0x80, 0xe0, 0xf0, 0xf8};
    static const int32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if ((bytes[0] & lead_masks[length]) != lead_marks[length]) {
        return -1;
    }
    int32_t point = bytes[0] & (uint8_t)~lead_masks[length];
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return -1;
        }
        point = point << 6 | (bytes[i] & 0x3f);
    }
    return point < smallest[length] ? -1 : point;
}

static bool is_text_plainly(const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        int32_t point = -1;
        size_t used = 0;
        while (point < 0 && used < 4 && used < length) {
            point = code_point(bytes, ++used);
        }
        if (point < 0x20 || (point >= 0x80 && point < 0xa0) ||
            (point >= 0xd800 && point < 0xe000) || point > 0x10ffff) {
            return false;
        }
        bytes += used;
        length -= used;
    }
    return true;
}

static void all_three_bytes_agree_with_a_plain_decoder(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 1 << 24; n++) {
        uint8_t bytes[3] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        if (bytes[0] >= 0x20 && bytes[0] < 0x7f && bytes[0] != 'a') {
            n |= 0xffff; /* one printable first byte stands for all */
            continue;
        }
        if (view_is_text((struct view){bytes, 3}) != is_text_plainly(bytes, 3)) {
            fail_msg("bytes %06x", n);
        }
    }
}

static void random_text_agrees_with_a_plain_decoder(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "a",
        "printable",
        "\xc3\xbc",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "\xf4\x8f\xbf\xbf",
        "\xf0\x90\x80\x80",
    };
    unsigned seed = 1;
    size_t good = 0;
    for (int round = 0; round < 200000; round++) {
        uint8_t *bytes =
            malloc(64); /* from the heap, so that a sanitizer sees a read behind the end */
        assert_non_null(bytes);
        size_t length = 0;
        for (int i = rand_r(&seed) % 6; i > 0; i--) {
            const char *part = parts[(size_t)rand_r(&seed) % (sizeof(parts) / sizeof(parts[0]))];
            memcpy(bytes + length, part, strlen(part));
            length += strlen(part);
        }
        if (length > 0 && rand_r(&seed) % 2 == 0) {
            bytes[(size_t)rand_r(&seed) % length] = (uint8_t)rand_r(&seed);
        }
        bytes = realloc(bytes, length + (length == 0));
        assert_non_null(bytes);
        bool is_text = view_is_text((struct view){bytes, length});
        assert_int_equal(is_text, is_text_plainly(bytes, length));
        good += is_text;
        free(bytes);
    }
    assert_in_range(good, 50000, 199999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),
        cmocka_unit_test(good_text),
        cmocka_unit_test(bad_text),
        cmocka_unit_test(all_three_bytes_agree_with_a_plain_decoder),
        cmocka_unit_test(random_text_agrees_with_a_plain_decoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
