#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/log.h"

static int ends[2];
static char seen[4 * LOG_LINE_MAX];

static int open_pipe(void **state)
{
    (void)state;
    return pipe(ends);
}

static int close_pipe(void **state)
{
    (void)state;
    log_init(2, LOG_LEVEL_INFO, false);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

/* What has been written since the last call. */
static const char *read_lines(void)
{
    assert_int_equal(write(ends[1], "", 1), 1);
    size_t used = 0;
    while (used == 0 || seen[used - 1] != '\0') {
        ssize_t n = read(ends[0], seen + used, sizeof seen - used);
        assert_true(n > 0);
        used += (size_t)n;
    }
    return seen;
}

static void test_fields_and_priority(void **state)
{
    (void)state;
    log_init(ends[1], LOG_LEVEL_INFO, true);
    log_warning("peer refused", LOG_TEXT("peer", "127.0.0.1:4711"), LOG_NUMBER("count", -12),
                LOG_BYTES("part", "abcdef", 3));
    assert_string_equal(read_lines(), "<4>level=warning msg=\"peer refused\" peer=127.0.0.1:4711 "
                                      "count=-12 part=abc\n");
    log_error("plain");
    assert_string_equal(read_lines(), "<3>level=error msg=plain\n");
    log_info("least", LOG_NUMBER("n", INT64_MIN));
    assert_string_equal(read_lines(), "<6>level=info msg=least n=-9223372036854775808\n");
}

static void test_untrusted_text_is_escaped(void **state)
{
    (void)state;
    log_init(ends[1], LOG_LEVEL_INFO, true);
    log_info("x", LOG_TEXT("v", "a\nlevel=fatal msg=\"forged\" \x1b[2J\\ \xe2\x80\xae"));
    assert_string_equal(read_lines(),
                        "<6>level=info msg=x v=\"a\\x0alevel=fatal msg=\\\"forged\\\" "
                        "\\x1b[2J\\\\ \\xe2\\x80\\xae\"\n");
    log_info("x", LOG_TEXT("v", ""), LOG_BYTES("n", NULL, 0), LOG_TEXT("w", "a=b"),
             LOG_BYTES("z", "\0\x7f", 2));
    assert_string_equal(read_lines(), "<6>level=info msg=x w=\"a=b\" z=\"\\x00\\x7f\"\n");
}

static void test_long_values_and_lines_are_cut(void **state)
{
    (void)state;
    log_init(ends[1], LOG_LEVEL_INFO, true);
    char big[5000];
    memset(big, 'q', sizeof big);
    log_info("x", LOG_BYTES("v", big, sizeof big), LOG_NUMBER("after", 1));
    const char *line = read_lines();
    assert_non_null(strstr(line, "qqq...\" after=1\n"));
    assert_true(strlen(line) < 700);

    memset(big, '\n', sizeof big);
    log_info("x", LOG_BYTES("a", big, sizeof big), LOG_BYTES("b", big, sizeof big));
    line = read_lines();
    assert_true(strlen(line) <= LOG_LINE_MAX);
    assert_string_equal(line + strlen(line) - strlen(" cut=true\n"), " cut=true\n");
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void test_levels(void **state)
{
    (void)state;
    log_init(ends[1], LOG_LEVEL_WARNING, true);
    log_debug("no");
    log_info("no");
    log_warning("yes");
    assert_string_equal(read_lines(), "<4>level=warning msg=yes\n");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("yes");
    assert_string_equal(read_lines(), "<7>level=debug msg=yes\n");
    assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
    assert_int_equal(log_level_parse("fatal"), -1);
    assert_int_equal(log_level_parse("INFO"), -1);
    assert_string_equal(log_level_name(LOG_LEVEL_FATAL), "fatal");
}

static void test_time_without_journald(void **state)
{
    (void)state;
    log_init(ends[1], LOG_LEVEL_INFO, false);
    log_info("hello");
    const char *line = read_lines();
    /* time=2026-11-24T21:53:43.123Z level=... */
    assert_memory_equal(line, "time=2", 6);
    assert_int_equal(line[5 + 10], 'T');
    assert_string_equal(line + 5 + 24, " level=info msg=hello\n");
}

static void test_rate(void **state)
{
    (void)state;
    log_init(ends[1], LOG_LEVEL_INFO, true);
    struct log_rate rate = {.most = 2, .period_ms = 80};
    for (int i = 0; i < 5; i++) {
        log_write_rated(&rate, LOG_LEVEL_INFO, "again", LOG_FIELDS(LOG_NUMBER("i", i)));
    }
    assert_string_equal(read_lines(), "<6>level=info msg=again i=0\n<6>level=info msg=again i=1\n");
    assert_int_equal(usleep(100 * 1000), 0);
    log_write_rated(&rate, LOG_LEVEL_INFO, "again", LOG_FIELDS(LOG_NUMBER("i", 5)));
    assert_string_equal(read_lines(), "<6>level=info msg=again i=5 suppressed=3\n");
}

static void test_journald_is_recognised_by_the_stream(void **state)
{
    (void)state;
    assert_int_equal(setenv("JOURNAL_STREAM", "0:0", 1), 0);
    assert_false(log_under_journald());
    assert_int_equal(setenv("JOURNAL_STREAM", "garbage", 1), 0);
    assert_false(log_under_journald());
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    assert_false(log_under_journald());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields_and_priority, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_untrusted_text_is_escaped, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_long_values_and_lines_are_cut, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_levels, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_time_without_journald, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(test_rate, open_pipe, close_pipe),
        cmocka_unit_test(test_journald_is_recognised_by_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
