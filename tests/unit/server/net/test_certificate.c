#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/net/certificate.h"

static char folder[] = "/tmp/activityd-cert-XXXXXX";
static char error[512];

/* Runs a shell command line with the folder as $1. */
static void shell(const char *line)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", line, "sh", folder, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static int next;
    next = (next + 1) % 4;
    (void)snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

static int load(const char *ca, const char *cert, const char *key, struct certificates *to)
{
    return certificates_load(path_of(ca), path_of(cert), path_of(key), to, error, sizeof error);
}

static void test_good_ones_are_described(void **state)
{
    (void)state;
    struct certificates certificates;
    if (load("ca.crt", "server.crt", "server.key", &certificates) != 0) {
        fail_msg("%s", error);
    }
    uint64_t now_ms = (uint64_t)time(NULL) * 1000;
    uint64_t day_ms = 24ull * 3600 * 1000;
    assert_string_equal(certificates.server.subject, "CN=server");
    assert_string_equal(certificates.ca.subject, "CN=ca");
    assert_in_range(certificates.server.not_after_ms, now_ms + 19 * day_ms, now_ms + 21 * day_ms);
    assert_in_range(certificates.ca.not_after_ms, now_ms + 3649 * day_ms, now_ms + 3651 * day_ms);
    assert_false(certificates.key_is_exposed);
    assert_non_null(strstr(certificates.key_pem, "PRIVATE KEY"));
    certificates_deinit(&certificates);
    assert_null(certificates.key_pem);
    certificates_deinit(&certificates);
}

static void test_a_chain_expires_with_its_first(void **state)
{
    (void)state;
    struct certificates certificates;
    shell("cat $1/ca.crt $1/old.crt >$1/two.crt");
    assert_int_equal(load("two.crt", "server.crt", "server.key", &certificates), 0);
    assert_true(certificates.ca.not_after_ms < (uint64_t)time(NULL) * 1000);
    certificates_deinit(&certificates);
}

static void test_exposed_key(void **state)
{
    (void)state;
    struct certificates certificates;
    assert_int_equal(chmod(path_of("server.key"), 0640), 0);
    assert_int_equal(load("ca.crt", "server.crt", "server.key", &certificates), 0);
    assert_true(certificates.key_is_exposed);
    certificates_deinit(&certificates);
    assert_int_equal(chmod(path_of("server.key"), 0600), 0);
}

static void test_bad_ones_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *ca, *cert, *key;
        const char *named;
        const char *says;
    } rows[] = {
        {"none.crt", "server.crt", "server.key", "/none.crt: ", "No such file"},
        {"ca.crt", "none.crt", "server.key", "/none.crt: ", "No such file"},
        {"ca.crt", "server.crt", "none.key", "/none.key: ", "No such file"},
        {"garbage", "server.crt", "server.key", "/garbage: ", "no good certificate"},
        {"ca.crt", "empty", "server.key", "/empty: ", "no good certificate"},
        {"ca.crt", "server.key", "server.key", "/server.key: ", "no good certificate"},
        {"ca.crt", "server.crt", "garbage", "/garbage: ", "no private key"},
        {"ca.crt", "server.crt", "server.crt", "/server.crt: ", "no private key"},
        {"ca.crt", "server.crt", "other.key", "/other.key: ", "is not the key of the certificate"},
        {"half.crt", "server.crt", "server.key", "/half.crt: ", "no good certificate"},
    };
    shell("printf garbage >$1/garbage; : >$1/empty; "
          "{ cat $1/ca.crt; sed 's/^MII/AAA/' $1/old.crt; } >$1/half.crt");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct certificates certificates;
        if (load(rows[i].ca, rows[i].cert, rows[i].key, &certificates) == 0) {
            fail_msg("row %zu loaded", i);
        }
        assert_null(certificates.key_pem);
        if (strstr(error, rows[i].named) == NULL || strstr(error, rows[i].says) == NULL) {
            fail_msg("row %zu says: %s", i, error);
        }
    }
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    shell("c=.make/devcerts.sh; $c ca $1 ca && "
          "$c issue $1 server ca serverAuth DNS:localhost 20 && "
          "$c issue $1 other ca serverAuth DNS:localhost && "
          "$c issue $1 old ca serverAuth DNS:localhost 0");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    shell("rm -rf $1");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones_are_described),
        cmocka_unit_test(test_a_chain_expires_with_its_first),
        cmocka_unit_test(test_exposed_key),
        cmocka_unit_test(test_bad_ones_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
