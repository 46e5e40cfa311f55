/* Documents for the index: what is one JSON object, and where it is none. tests/fuzz/fuzz_json.c
 * compares with another parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "server/wire/decoding.h"
#include "server/wire/json.h"

static uint8_t memory[DECODING_JSON_BYTES];
static char why[128];

static int check(const char *text, size_t length)
{
    struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    why[0] = '\0';
    return json_check((struct view){(const uint8_t *)text, length}, &arena, why, sizeof why);
}

static void assert_good(const char *text)
{
    if (check(text, strlen(text)) != 0) {
        fail_msg("%s: %s", text, why);
    }
}

static void assert_bad(const char *text, const char *found)
{
    assert_int_equal(check(text, strlen(text)), 1);
    assert_string_equal(why, found);
}

static void objects_are_taken(void **state)
{
    (void)state;
    assert_good("{}");
    assert_good(" \t\r\n{ \"a\" : [ 1 , -2.5e+300 , true , null , \"\" ] }\n");
    assert_good("{\"\":{\"\":{\"\":[]}},\"b\":{\"\":0}}"); /* the same key in other objects */
    assert_good("{\"\\u00e4\\ud83d\\ude00\\u0000\":\"\\\"\\\\\\/\\b\"}");
    assert_good("{\"n\":123456789012345678901234567890,\"m\":1e400}");
    assert_good("{\"a\":\"\xc3\xa4\xc2\x80\xf0\x9f\x98\x80\"}");
}

static void everything_else_is_told_with_its_position(void **state)
{
    (void)state;
    assert_bad("", "another value at position 1");
    assert_bad("  [1]", "another value at position 3");
    assert_bad("\xef\xbb\xbf{}", "another value at position 1");
    assert_bad("{\"a\":1} x", "something behind it at position 9");
    assert_bad("{}{}", "something behind it at position 3");
    assert_bad("{\"a\":1,\"b\":2,\"a\":3}", "duplicate object key at position 16");
    assert_bad("{\"a\":1,\"\\u0061\":3}", "duplicate object key at position 15");
    assert_bad("{\"\\u0061\":1,\"\\u0061\":3}", "duplicate object key at position 20");
    assert_bad("{\"a\":\"\xc0\x80\"}", "no UTF-8 at position 7");
    assert_bad("{\"a\":\"\xed\xa0\x80\"}", "no UTF-8 at position 7");
    assert_bad("{\"a\":\"\\ud800\"}", "an invalid escape at position 7");
    assert_bad("{\"a\":\"\\ude00\"}", "an invalid escape at position 7");
    assert_bad("{\"a\":\"\\ud800\\u0041\"}", "an invalid escape at position 7");
    assert_bad("{\"a\":\"\\u12", "an invalid escape at position 7");
    assert_bad("{\"a\":\"\n\"}", "a control character at position 7");
    assert_bad("{\"a\"\v:1}", "a control character at position 5");
    assert_int_equal(check("{\"a\":1,}", 8), 1);
    assert_int_equal(check("{\"a\":01}", 8), 1);
    assert_int_equal(check("{\"a\":1", 6), 1);
    assert_int_equal(check("{a:1}", 5), 1);
    assert_int_equal(check("{/**/}", 6), 1);
    assert_int_equal(check("{\"a\":\"\\x\"}", 10), 1);
}

static void levels_are_counted(void **state)
{
    (void)state;
    char text[512];
    for (size_t levels = LIMIT_JSON_DEPTH - 1; levels <= LIMIT_JSON_DEPTH; levels++) {
        size_t length = 5;
        memcpy(text, "{\"a\":", 5);
        memset(text + length, '[', levels);
        length += levels;
        memset(text + length, ']', levels);
        length += levels;
        text[length++] = '}';
        assert_int_equal(check(text, length), levels < LIMIT_JSON_DEPTH ? 0 : 1);
    }
    assert_string_equal(why, "more than 64 levels at position 69");
}

/* As many keys as fit, one of them with the longest text: the memory is enough for both. */
static void the_largest_documents_fit(void **state)
{
    (void)state;
    char *text = malloc(LIMIT_JSON_BYTES + 64);
    assert_non_null(text);
    size_t length = 1;
    text[0] = '{';
    for (unsigned i = 0; length < LIMIT_JSON_BYTES - 16; i++) {
        length += (size_t)sprintf(text + length, "%s\"%x\":1", i == 0 ? "" : ",", i);
    }
    text[length++] = '}';
    assert_int_equal(check(text, length), 0);
    length = (size_t)sprintf(text, "{\"a\":[");
    while (length < LIMIT_JSON_BYTES - 16) {
        length += (size_t)sprintf(text + length, "{\"\":0},");
    }
    length += (size_t)sprintf(text + length, "0]}");
    assert_int_equal(check(text, length), 0);
    memset(text, 'x', LIMIT_JSON_BYTES);
    memcpy(text, "{\"\\n", 4);
    memcpy(text + LIMIT_JSON_BYTES - 4, "\":0}", 4);
    assert_int_equal(check(text, LIMIT_JSON_BYTES), 0);
    free(text);
}

static void memory_that_is_too_small_refuses(void **state)
{
    (void)state;
    struct arena arena;
    static char text[64 * 1024];
    size_t length = 1;
    text[0] = '{';
    for (unsigned i = 0; length < sizeof text - 16; i++) {
        length += (size_t)sprintf(text + length, "%s\"%x\":1", i == 0 ? "" : ",", i);
    }
    text[length++] = '}';
    arena_init(&arena, memory, 4u * LIMIT_JSON_BYTES + 16384);
    assert_int_equal(
        json_check((struct view){(const uint8_t *)text, length}, &arena, why, sizeof why), 1);
    assert_non_null(strstr(why, "more keys than can be checked"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_taken),
        cmocka_unit_test(everything_else_is_told_with_its_position),
        cmocka_unit_test(levels_are_counted),
        cmocka_unit_test(the_largest_documents_fit),
        cmocka_unit_test(memory_that_is_too_small_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
