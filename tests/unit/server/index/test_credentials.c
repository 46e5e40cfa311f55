/* Credentials from files, and never their content in what is said. */
#include "tests/unit/server/index/batches.h"

#include <stdio.h>
#include <unistd.h>

#include "server/index/credentials.h"

static char file[64];

static int make_file(void **state)
{
    (void)state;
    (void)snprintf(file, sizeof file, "/tmp/activityd-credentials-XXXXXX");
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    (void)close(fd);
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file);
}

static int read_as(bool basic, const char *content, char header[CREDENTIALS_HEADER_MAX])
{
    char error[256] = "";
    FILE *to = fopen(file, "w");
    assert_non_null(to);
    assert_true(fputs(content, to) >= 0);
    (void)fclose(to);
    int outcome =
        credentials_read(basic ? file : NULL, basic ? NULL : file, header, error, sizeof error);
    assert_int_equal(outcome != 0, error[0] != '\0');
    if (outcome != 0) {
        assert_non_null(strstr(error, file));
        assert_null(strstr(error, "secret"));
    }
    return outcome;
}

static void headers(void **state)
{
    (void)state;
    char header[CREDENTIALS_HEADER_MAX];
    static const struct {
        bool basic;
        const char *content;
        const char *header;
    } rows[] = {{true, "user:pass\n", "Authorization: Basic dXNlcjpwYXNz"},
                {true, "user:pass1\r\nmore", "Authorization: Basic dXNlcjpwYXNzMQ=="},
                {true, "user:pa:ss", "Authorization: Basic dXNlcjpwYTpzcw=="},
                {true, "u:", "Authorization: Basic dTo="},
                {true, "u:\xc3\xa9~", "Authorization: Basic dTrDqX4="},
                {false, "VGhlS2V5\n", "Authorization: ApiKey VGhlS2V5"},
                {false, "id:key\n", "Authorization: ApiKey aWQ6a2V5"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(read_as(rows[i].basic, rows[i].content, header), 0);
        assert_string_equal(header, rows[i].header);
    }
}

static void what_is_none(void **state)
{
    (void)state;
    char header[CREDENTIALS_HEADER_MAX];
    assert_int_equal(read_as(true, "secret\n", header), -1);
    assert_int_equal(read_as(true, ":secret\n", header), -1);
    assert_int_equal(read_as(true, "\nuser:secret\n", header), -1);
    assert_int_equal(read_as(true, "", header), -1);
    assert_int_equal(read_as(false, "secret\x01", header), -1);
    assert_int_equal(read_as(false, "secret\tx", header), -1);
    char line[CREDENTIALS_LINE_MAX + 2];
    memset(line, 'a', sizeof line - 1);
    line[1] = ':';
    line[sizeof line - 1] = '\0';
    assert_int_equal(read_as(true, line, header), -1);
    line[sizeof line - 2] = '\0';
    assert_int_equal(read_as(true, line, header), 0); /* the longest one */
    char error[256] = "";
    assert_int_equal(credentials_read("/nowhere/at/all", NULL, header, error, sizeof error), -1);
    assert_non_null(strstr(error, "cannot read /nowhere/at/all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(headers, make_file, remove_file),
        cmocka_unit_test_setup_teardown(what_is_none, make_file, remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
