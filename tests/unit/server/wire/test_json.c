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
}

static void what_is_no_json_is_explained(void **state)
{
    (void)state;
    assert_bad("{\"a\":1,}", "parse error: invalid object key (must be a string) at position 8");
    assert_bad("{\"a\":1", "parse error: premature EOF at position 7");
    assert_bad("{\"a\":\"xyz", "parse error: premature EOF at position 10");
    assert_bad("{\"a\":nul", "lexical error: invalid string in json text at position 9");
    assert_bad("{\"a\" 1}", "parse error: object key and value must be separated by a colon (':') "
                            "at position 6");
    static const char *const others[] = {
        "{\"a\":01}",   "{a:1}",      "{/**/}",     "{\"a\":\"\\x\"}", "{\"a\":1.}",  "{\"a\":-}",
        "{\"a\":+1}",   "{\"a\":.5}", "{\"a\":1e}", "{\"a\":NaN}",     "{\"a\":tru}", "{'a':1}",
        "{\"a\":[1,]}", "{\"a\":1]",  "{]",         "{\"a\"}"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (check(others[i], strlen(others[i])) != 1 || strstr(why, "error: ") == NULL) {
            fail_msg("%s: %s", others[i], why);
        }
    }
    assert_int_equal(check("{\"a\":1}\0", 8), 1); /* a NUL is no blank */
    assert_int_equal(check("{\"a\":\"\0\"}", 9), 1);
}

static size_t put_keys(char *text, const char *before, unsigned count)
{
    size_t length = 0;
    for (unsigned i = 0; i < count; i++) {
        length += (size_t)sprintf(text + length, "%s\"%s%u\":0", i == 0 ? "" : ",", before, i);
    }
    return length;
}

/* The keys of an object are known until it ends, however many there were in those inside of it, and
 * those are forgotten. */
static void keys_belong_to_their_object(void **state)
{
    (void)state;
    enum { OUTER = 29, INNER = 3000 }; /* the table grows inside */
    static char text[128 * 1024];
    for (unsigned again = 0; again <= OUTER; again++) {
        size_t length = (size_t)sprintf(text, "{");
        length += put_keys(text + length, "o", OUTER);
        for (unsigned round = 0; round < 2; round++) {
            length += (size_t)sprintf(text + length, ",\"in%u\":[{", round);
            length += put_keys(text + length, "o", round == 0 ? INNER : 7);
            length += (size_t)sprintf(text + length, ",\"deeper\":{");
            length += put_keys(text + length, "o", 40);
            length += (size_t)sprintf(text + length, "}}]");
        }
        length += (size_t)sprintf(text + length, ",\"o%u\":0}", again);
        if (check(text, length) != (again < OUTER)) { /* the last one is new out here */
            fail_msg("o%u: %s", again, why);
        }
        assert_true(again == OUTER || strstr(why, "duplicate object key") != NULL);
    }
}

/* Objects that have ended cost no memory. */
static void small_objects_need_little(void **state)
{
    (void)state;
    static char text[64 * 1024];
    size_t length = (size_t)sprintf(text, "{\"a\":[");
    while (length < sizeof text - 64) {
        length += (size_t)sprintf(text + length, "{\"a\":{\"b\":{\"c\":0,\"d\":0}}},");
    }
    length += (size_t)sprintf(text + length, "0]}");
    struct arena arena;
    arena_init(&arena, memory, 4u * LIMIT_JSON_BYTES + 16384);
    assert_int_equal(
        json_check((struct view){(const uint8_t *)text, length}, &arena, why, sizeof why), 0);
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
        cmocka_unit_test(what_is_no_json_is_explained),
        cmocka_unit_test(keys_belong_to_their_object),
        cmocka_unit_test(small_objects_need_little),
        cmocka_unit_test(levels_are_counted),
        cmocka_unit_test(the_largest_documents_fit),
        cmocka_unit_test(memory_that_is_too_small_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
