#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/text_file.h"

static char path[] = "/tmp/activityd-text-XXXXXX";

static void write_file(const void *bytes, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void test_read(void **state)
{
    (void)state;
    char error[256] = "";
    write_file("two\nlines", 9);
    char *text = text_file_read(path, 4, error, sizeof error);
    assert_non_null(text);
    assert_string_equal(text, "two\nlines");
    memcpy(text + 9, "more", 5); /* the room that was asked for */
    assert_string_equal(text, "two\nlinesmore");
    free(text);

    write_file("", 0);
    text = text_file_read(path, 0, error, sizeof error);
    assert_string_equal(text, "");
    free(text);

    assert_null(text_file_read("/nonexistent", 0, error, sizeof error));
    assert_string_equal(error, "/nonexistent: No such file or directory");
    assert_null(text_file_read("/tmp", 0, error, sizeof error));
    assert_non_null(strstr(error, "/tmp: cannot be read"));
    write_file("a\0b", 3);
    assert_null(text_file_read(path, 0, error, sizeof error));
    assert_non_null(strstr(error, "is no text"));
    static char large[TEXT_FILE_MAX];
    memset(large, ' ', sizeof large);
    write_file(large, sizeof large - 1);
    text = text_file_read(path, 0, error, sizeof error);
    assert_non_null(text);
    free(text);
    write_file(large, sizeof large);
    assert_null(text_file_read(path, 0, error, sizeof error));
    assert_non_null(strstr(error, "is above 1 MiB"));
}

static void test_remarks(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *blanked; /* NULL: refused */
    } rows[] = {
        {"a = 1 # b\nc", "a = 1    \nc"},
        {"# a", "   "},
        {"a = \"x # y\" # z", "a = \"x # y\"    "},
        {"a = 'x // y' // z", "a = 'x // y'     "},
        {"a = \"\\\"# x\" # z", "a = \"\\\"# x\"    "},
        {"a = x//y", "a = x//y"},
        {"a =//y\nb", "a =   \nb"},
        {"/* a\nb */ c", "    \n     c"},
        {"a = \"/*\" /**/ b", "a = \"/*\"      b"},
        {"x/* y", "x/* y"},
        {"{/*y*/}", "{     }"},
        {"a#b", "a  "},
        {"# \"\nb # c", "   \nb    "},
        {"a = \"never # closed", "a = \"never # closed"},
        {"a = \"x\\", "a = \"x\\"},
        {"/* never", NULL},
        {"/*/", NULL},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s", rows[i].text);
        int outcome = text_file_blank_remarks(text);
        assert_int_equal(outcome, rows[i].blanked != NULL ? 0 : -1);
        if (rows[i].blanked != NULL) {
            assert_string_equal(text, rows[i].blanked);
        }
    }
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_remarks),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
