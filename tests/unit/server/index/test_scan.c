/* JSON read from the front: what is JSON is read, what is not has failed, wherever it is cut. */
#include "tests/unit/server/index/batches.h"

#include "server/index/scan.h"

/* In a block of its own size, so that a sanitizer sees reads behind it. */
static bool is_json(const char *json, size_t length)
{
    uint8_t *exact = malloc(length == 0 ? 1 : length);
    assert_non_null(exact);
    memcpy(exact, json, length);
    struct scan scan = scan_of(exact, length);
    scan_skip(&scan);
    bool is = scan_is_over(&scan);
    free(exact);
    return is;
}

static void what_is_json(void **state)
{
    (void)state;
    static const char *const good[] = {"{}",
                                       "[]",
                                       " [ ] ",
                                       "0",
                                       "-1",
                                       "1.5e+10",
                                       "\"\"",
                                       "true",
                                       "false",
                                       "null",
                                       "[1,2,[3]]",
                                       "{\"a\":{\"b\":[null,true]}}",
                                       "\"\\u00e9\\n\\\"\"",
                                       "[[],{},\"x\",-0.0]",
                                       "{\"a\":1,\"a\":2}",
                                       "\t{\"a\" : 1 }\r\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(is_json(good[i], strlen(good[i])));
    }
    static const char *const bad[] = {
        "",   "{",    "[1,]",      "{,}",   "{\"a\"}", "[1 2]",   "01",          "1.",
        "1e", "-",    "tru",       "nul",   "\"a",     "\"\\x\"", "\"\\u12g4\"", "{} {}",
        "]",  "[}",   "{\"a\":1]", "{1:2}", "[1]]",    "+1",      "\"\n\"",      "{\"a\":,}",
        ",",  "[,1]", "'a'",       "NaN",   "[1],"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (is_json(bad[i], strlen(bad[i]))) {
            fail_msg("taken for JSON: %s", bad[i]);
        }
    }
    assert_false(is_json("[\0]", 3));
    assert_false(is_json("1\0", 2));
}

static void every_cut_is_seen(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"took\":3,\"items\":[{\"index\":{\"status\":201,\"x\":[1,-2.5e3,true,null,\"\\ud83d"
        "\\ude00\"]}}]}";
    for (size_t length = 0; length + 1 < sizeof whole; length++) {
        assert_false(is_json(whole, length));
    }
    assert_true(is_json(whole, sizeof whole - 1));
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char json[2 * SCAN_DEPTH_MAX + 8];
    for (size_t depth = SCAN_DEPTH_MAX; depth <= SCAN_DEPTH_MAX + 1; depth++) {
        memset(json, '[', depth);
        memset(json + depth, ']', depth);
        assert_int_equal(is_json(json, 2 * depth), depth <= SCAN_DEPTH_MAX);
    }
}

static void objects_and_arrays_are_told_apart_at_every_level(void **state)
{
    (void)state;
    char json[512] = "";
    for (int i = 0; i < 30; i++) {
        strcat(json, i % 2 ? "[" : "{\"a\":");
    }
    strcat(json, "1");
    for (int i = 29; i >= 0; i--) {
        strcat(json, i % 2 ? "]" : "}");
    }
    assert_true(is_json(json, strlen(json)));
    json[strlen(json) - 1] = ']';
    assert_false(is_json(json, strlen(json)));
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool natural;
        uint64_t value;
    } rows[] = {{"0", true, 0},
                {"18446744073709551615", true, UINT64_MAX},
                {"18446744073709551616", false, 0},
                {"99999999999999999999999", false, 0},
                {"-1", false, 0},
                {"1.0", false, 0},
                {"1e3", false, 0},
                {"\"7\"", false, 0},
                {"null", false, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct scan scan = scan_of(rows[i].json, strlen(rows[i].json));
        uint64_t value = 1;
        assert_int_equal(scan_u64(&scan, &value), rows[i].natural);
        assert_int_equal(value, rows[i].value);
        assert_true(scan_is_over(&scan));
    }
}

static void names_and_values_come_in_order(void **state)
{
    (void)state;
    static const char json[] = "{\"a\":[10,20],\"b\":true}";
    struct scan scan = scan_of(json, sizeof json - 1);
    uint32_t count = 0;
    uint32_t values = 0;
    struct bytes name = {NULL, 0};
    uint64_t value = 0;
    assert_true(scan_enter_object(&scan) && scan_name(&scan, &count, &name));
    assert_true(scan_is(name, "a"));
    assert_true(scan_enter_array(&scan) && scan_value(&scan, &values) && scan_u64(&scan, &value));
    assert_int_equal(value, 10);
    assert_true(scan_value(&scan, &values) && scan_u64(&scan, &value));
    assert_false(scan_value(&scan, &values));
    assert_int_equal(values, 2);
    assert_true(scan_name(&scan, &count, &name) && scan_is(name, "b") && scan_true(&scan));
    assert_false(scan_name(&scan, &count, &name));
    assert_true(scan_is_over(&scan));
    /* Another value than asked for. */
    scan = scan_of("[]", 2);
    assert_false(scan_enter_object(&scan));
    assert_true(scan.failed);
    assert_false(scan_enter_array(&scan)); /* it stays */
}

static void assert_text(const char *raw, size_t size, const char *wanted)
{
    char to[64];
    assert_int_equal(scan_text(text(raw), to, size), strlen(wanted));
    assert_string_equal(to, wanted);
}

static void text_for_people(void **state)
{
    (void)state;
    assert_text("plain \\\"quoted\\\" \\/ \\\\", 64, "plain \"quoted\" / \\");
    assert_text("a\\nb\\u0007c\\u0000\x7f\x01", 64, "a b c   ");
    assert_text("\\u00e9\\u20ac\\ud83d\\ude00", 64, "é€😀");
    assert_text("é€😀", 64, "é€😀");
    assert_text("\\ud83d \\ude00 \\ud83d\\u0041", 64, "? ? ?A");
    assert_text("\xc3 \xff \xe2\x82 \xed\xa0\x80 \xc0\xaf", 64, "? ? ?? ??? ??");
    assert_text("\\x \\u12 \\", 64, "?x ?u12 ?");
    assert_text("\xc2\x85", 64, " "); /* a control character above the ASCII ones */
    /* Cut between characters. */
    assert_text("aé", 3, "a");
    assert_text("aé", 4, "aé");
    assert_text("\\ud83d\\ude00", 4, "");
    assert_text("abc", 1, "");
    assert_text("", 64, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json),
        cmocka_unit_test(every_cut_is_seen),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(objects_and_arrays_are_told_apart_at_every_level),
        cmocka_unit_test(numbers),
        cmocka_unit_test(names_and_values_come_in_order),
        cmocka_unit_test(text_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
