#define _GNU_SOURCE /* pipe2 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/expiry.h"
#include "server/log.h"

#define HOUR_MS (3600ull * 1000)
#define DAY_MS  (24 * HOUR_MS)
#define END_MS  (1000 * DAY_MS)
#define NEVER   (100000 * DAY_MS)

static int seen[2]; /* a pipe that stands in for standard error */
static struct expiry expiry;
static const struct tls_files_paths paths = {
    .ca = "ca.crt", .crl = "ca.crl", .cert = "server.crt", .key = "server.key"};

static int watch_log(void **state)
{
    (void)state;
    if (pipe2(seen, O_NONBLOCK | O_CLOEXEC) != 0) {
        return -1;
    }
    log_init(seen[1], LOG_LEVEL_INFO, true);
    return 0;
}

static int leave_log(void **state)
{
    (void)state;
    log_init(2, LOG_LEVEL_INFO, false);
    return close(seen[0]) | close(seen[1]);
}

/* What a look at this time says. */
static const char *look(uint64_t now_ms)
{
    static char text[4096];
    expiry_look(&expiry, now_ms);
    ssize_t n = read(seen[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void assert_says(uint64_t now_ms, const char *said)
{
    const char *text = look(now_ms);
    if (said[0] == '\0' ? text[0] != '\0' : strstr(text, said) == NULL) {
        fail_msg("%llu hours before the end it says: %s",
                 (unsigned long long)((END_MS - now_ms) / HOUR_MS), text);
    }
}

static void begin(uint64_t own_ms, uint64_t ca_ms, uint64_t list_ms)
{
    struct tls_description description = {
        .own = {"CN=server", own_ms},
        .ca = {"CN=authority", ca_ms},
        .crl_count = list_ms != 0,
        .crl_next_update_ms = list_ms,
        .crl_issuer = "CN=authority",
    };
    expiry_init(&expiry, &paths, &description);
}

/* A server that runs for months: each threshold once, when it passes. */
static void test_each_threshold_once(void **state)
{
    (void)state;
    static const struct {
        uint64_t before_ms;
        const char *said;
    } rows[] = {
        {31 * DAY_MS, ""},
        {30 * DAY_MS + 1, ""},
        {30 * DAY_MS, "certificate expires soon\" file=server.crt subject=\"CN=server\" days=30"},
        {30 * DAY_MS - HOUR_MS, ""},
        {8 * DAY_MS, ""},
        {7 * DAY_MS - HOUR_MS, "days=6"},
        {7 * DAY_MS - 2 * HOUR_MS, ""},
        {DAY_MS + 1, ""},
        {DAY_MS, "days=1"},
        {1, ""},
        {0, "certificate has expired"},
    };
    begin(END_MS, NEVER, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_says(END_MS - rows[i].before_ms, rows[i].said);
    }
    assert_says(END_MS + 365 * DAY_MS, "");
}

/* A clock that is put back tells nothing twice, one that jumps tells the nearest threshold. */
static void test_clocks_that_jump(void **state)
{
    (void)state;
    begin(END_MS, NEVER, 0);
    assert_says(END_MS - 2 * DAY_MS, "days=2");
    assert_says(END_MS - 60 * DAY_MS, "");
    assert_says(END_MS - 3 * DAY_MS, "");
    assert_says(END_MS - HOUR_MS, "days=0");
    assert_says(END_MS + 1, "certificate has expired");
    assert_says(END_MS - HOUR_MS, "");
}

static void test_beginning_says_what_is_true(void **state)
{
    (void)state;
    static const struct {
        uint64_t before_ms;
        const char *said;
    } rows[] = {{29 * DAY_MS, "days=29"}, {6 * DAY_MS, "days=6"}, {HOUR_MS, "days=0"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int again = 0; again < 2; again++) { /* a reload is a beginning, too */
            begin(END_MS, NEVER, 0);
            assert_says(END_MS - rows[i].before_ms, rows[i].said);
            assert_says(END_MS - rows[i].before_ms, "");
        }
    }
    begin(END_MS, NEVER, 0);
    assert_says(END_MS + DAY_MS, "certificate has expired");
}

static void test_authority(void **state)
{
    (void)state;
    begin(NEVER, END_MS, 0);
    assert_says(END_MS - 7 * DAY_MS, "file=ca.crt subject=\"CN=authority\" days=7");
    assert_says(END_MS, "certificate has expired\" file=ca.crt");
}

/* Lists are replaced every few days: only the end of one says something. */
static void test_list_of_revocations(void **state)
{
    (void)state;
    begin(NEVER, NEVER, END_MS);
    assert_says(END_MS - DAY_MS, "");
    assert_says(END_MS - 1, "");
    assert_says(END_MS, "a list of revocations is out of date");
    assert_says(END_MS + DAY_MS, "");
    begin(NEVER, NEVER, END_MS);
    assert_says(END_MS + 3 * DAY_MS, "file=ca.crl issuer=\"CN=authority\" days=3");
    begin(NEVER, NEVER, 0); /* none, or one that names no end */
    assert_says(END_MS, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_threshold_once),         cmocka_unit_test(test_clocks_that_jump),
        cmocka_unit_test(test_beginning_says_what_is_true), cmocka_unit_test(test_authority),
        cmocka_unit_test(test_list_of_revocations),
    };
    return cmocka_run_group_tests(tests, watch_log, leave_log);
}
