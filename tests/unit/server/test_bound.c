#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/bound.h"

static void test_sum_and_largest(void **state)
{
    (void)state;
    struct bound bound = {0};
    char text[256];
    bound_largest(&bound, text, sizeof text);
    assert_string_equal(text, "");
    bound_add(&bound, "small", 1024);
    bound_add(&bound, "large", 3u << 30);
    bound_largest(&bound, text, sizeof text);
    assert_string_equal(text, "large 3.0 GiB, small 1.0 KiB");
    bound_add(&bound, "middle", 5u << 20);
    bound_add(&bound, "tiny", 1);
    bound_largest(&bound, text, sizeof text);
    assert_string_equal(text, "large 3.0 GiB, middle 5.0 MiB, small 1.0 KiB");
    assert_true(bound.total == 1024 + (3ull << 30) + (5 << 20) + 1);
    bound_largest(&bound, text, 10);
    assert_string_equal(text, "large 3.0");
}

static void test_table(void **state)
{
    (void)state;
    struct bound bound = {0};
    char text[1024] = "";
    FILE *to = fmemopen(text, sizeof text, "w");
    bound_add(&bound, "a name that is far too long for the column that it should stand in", 2048);
    bound_add(&bound, "short", 1 << 20);
    bound_print(&bound, to);
    assert_int_equal(fclose(to), 0);
    assert_non_null(
        strstr(text, "\nshort                                               1.0 MiB\n"));
    assert_non_null(
        strstr(text, "\ntotal                                               1.0 MiB\n"));
}

static void test_machine(void **state)
{
    (void)state;
    uint64_t bytes = bound_of_machine();
    assert_true(bytes > 16u << 20);
    assert_true(bytes < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_and_largest),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
