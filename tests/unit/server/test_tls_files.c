#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/tls_files.h"
#include "tests/unit/server/shell.h"

#define DAY_MS (24ull * 3600 * 1000)

static char folder[] = "/tmp/activityd-files-XXXXXX";
static char error[1024];

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static int next;
    next = (next + 1) % 4;
    (void)snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

/* Names of files in the folder; crl may be "". */
struct names {
    const char *ca, *crl, *cert, *key;
};
static const struct names good = {"ca.crt", "", "server.crt", "server.key"};

static int load(const struct names *names, struct tls_files *files)
{
    const struct tls_files_paths paths = {
        .ca = path_of(names->ca),
        .crl = names->crl[0] != '\0' ? path_of(names->crl) : "",
        .cert = path_of(names->cert),
        .key = path_of(names->key),
    };
    return tls_files_load(&paths, files, error, sizeof error);
}

static void assert_loads(const struct names *names, struct tls_files *files)
{
    if (load(names, files) != 0) {
        fail_msg("%s", error);
    }
    assert_non_null(files->credentials);
}

static void test_good_ones_are_described(void **state)
{
    (void)state;
    struct tls_files files;
    assert_loads(&good, &files);
    uint64_t now_ms = (uint64_t)time(NULL) * 1000;
    const struct tls_description *description = &files.description;
    assert_string_equal(description->own.subject, "CN=server");
    assert_string_equal(description->ca.subject, "CN=ca");
    assert_in_range(description->own.not_after_ms, now_ms + 19 * DAY_MS, now_ms + 21 * DAY_MS);
    assert_in_range(description->ca.not_after_ms, now_ms + 3649 * DAY_MS, now_ms + 3651 * DAY_MS);
    assert_int_equal(description->crl_count, 0);
    assert_null(files.crl_pem);
    assert_false(files.key_is_exposed);
    assert_non_null(strstr(files.key_pem, "PRIVATE KEY"));
    tls_files_deinit(&files);
    assert_null(files.key_pem);
    assert_null(files.credentials);
    tls_files_deinit(&files);
}

static void test_lists_are_described(void **state)
{
    (void)state;
    static const struct {
        const char *crl;
        uint32_t lists;
        uint32_t entries;
        int days; /* until it is out of date */
    } rows[] = {{"none.crl", 1, 0, 30}, {"two.crl", 1, 2, 10}, {"stale.crl", 1, 1, -4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct names names = good;
        struct tls_files files;
        names.crl = rows[i].crl;
        assert_loads(&names, &files);
        int64_t now_ms = (int64_t)time(NULL) * 1000;
        int64_t end_ms = (int64_t)files.description.crl_next_update_ms;
        assert_int_equal(files.description.crl_count, rows[i].lists);
        assert_int_equal(files.description.crl_entries, rows[i].entries);
        assert_string_equal(files.description.crl_issuer, "CN=ca");
        assert_true(llabs(end_ms - now_ms - rows[i].days * (int64_t)DAY_MS) < (int64_t)DAY_MS / 24);
        assert_non_null(strstr(files.crl_pem, "X509 CRL"));
        tls_files_deinit(&files);
    }
}

static void test_several_authorities(void **state)
{
    (void)state;
    const struct names names = {"two.crt", "both.crl", "server.crt", "server.key"};
    struct tls_files files;
    assert_loads(&names, &files);
    assert_int_equal(files.description.crl_count, 2);
    assert_int_equal(files.description.crl_entries, 2);
    assert_string_equal(files.description.crl_issuer, "CN=second"); /* its list ends first */
    assert_string_equal(files.description.ca.subject, "CN=second"); /* and so does it */
    assert_true(files.description.ca.not_after_ms < (uint64_t)time(NULL) * 1000 + 10 * DAY_MS);
    tls_files_deinit(&files);
}

static void test_exposed_key(void **state)
{
    (void)state;
    struct tls_files files;
    assert_int_equal(chmod(path_of("server.key"), 0640), 0);
    assert_loads(&good, &files);
    assert_true(files.key_is_exposed);
    tls_files_deinit(&files);
    assert_int_equal(chmod(path_of("server.key"), 0600), 0);
}

static void test_bad_ones_are_named(void **state)
{
    (void)state;
    static const struct {
        struct names names;
        const char *named;
    } rows[] = {
        {{"no.crt", "", "server.crt", "server.key"}, "/no.crt: No such file"},
        {{"ca.crt", "no.crl", "server.crt", "server.key"}, "/no.crl: No such file"},
        {{"ca.crt", "", "no.crt", "server.key"}, "/no.crt: No such file"},
        {{"ca.crt", "", "server.crt", "no.key"}, "/no.key: No such file"},
        {{"garbage", "", "server.crt", "server.key"}, "/garbage: "},
        {{"server.crt", "", "server.crt", "server.key"}, "/server.crt: "}, /* no authority */
        {{"half.crt", "", "server.crt", "server.key"}, "/half.crt: "},
        {{"ca.crt", "garbage", "server.crt", "server.key"}, "/garbage: "},
        {{"ca.crt", "second.crl", "server.crt", "server.key"}, "/second.crl: "}, /* foreign */
        {{"ca.crt", "", "empty", "server.key"}, "/empty: "},
        {{"ca.crt", "", "server.key", "server.key"}, "/server.key: "},
        {{"ca.crt", "", "server.crt", "garbage"}, "/garbage: "},
        {{"ca.crt", "", "server.crt", "server.crt"}, "/server.crt: "},
        {{"ca.crt", "", "server.crt", "other.key"}, "/other.key: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_files files;
        if (load(&rows[i].names, &files) == 0) {
            fail_msg("row %zu loaded", i);
        }
        const char *at = strstr(error, rows[i].named);
        if (at == NULL || strlen(at) < sizeof "/x: a few words" || strchr(error, '\n') != NULL) {
            fail_msg("row %zu says: %s", i, error);
        }
        assert_null(files.key_pem);
        assert_null(files.credentials);
    }
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    shell_in(folder, "c=.make/devcerts.sh; $c ca $1 ca && $c ca $1 second 9 && "
                     "$c issue $1 server ca serverAuth DNS:localhost 20 && "
                     "$c issue $1 other ca serverAuth DNS:localhost && "
                     "$c issue $1 client second clientAuth URI:spiffe://t/c && "
                     "$c crl $1 ca 30 && mv $1/ca.crl $1/none.crl && "
                     "$c crl $1 ca -3 other && mv $1/ca.crl $1/stale.crl && "
                     "$c crl $1 ca 20 other && mv $1/ca.crl $1/one.crl && "
                     "$c crl $1 ca 10 other server && mv $1/ca.crl $1/two.crl && "
                     "$c crl $1 second 10 client && cat $1/one.crl $1/second.crl >$1/both.crl && "
                     "cat $1/ca.crt $1/second.crt >$1/two.crt && "
                     "printf garbage >$1/garbage; : >$1/empty; "
                     "{ cat $1/ca.crt; sed 's/^MII/AAA/' $1/second.crt; } >$1/half.crt");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    shell_in(folder, "rm -rf $1");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones_are_described), cmocka_unit_test(test_lists_are_described),
        cmocka_unit_test(test_several_authorities),     cmocka_unit_test(test_exposed_key),
        cmocka_unit_test(test_bad_ones_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
