/* The table of codes and reasons: complete, unique, and total for values that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "proto/status.h"

static void codes_have_grpc_names(void **state)
{
    (void)state;
    assert_string_equal(status_code_name(STATUS_OK), "OK");
    assert_string_equal(status_code_name(5), "NOT_FOUND");
    assert_string_equal(status_code_name(8), "RESOURCE_EXHAUSTED");
    assert_string_equal(status_code_name(16), "UNAUTHENTICATED");
    for (uint32_t a = 0; a < STATUS_CODE_COUNT; a++) {
        for (uint32_t b = 0; b < a; b++) {
            assert_string_not_equal(status_code_name(a), status_code_name(b));
        }
    }
}

static void a_code_that_is_none_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(status_code_name(STATUS_CODE_COUNT), "UNKNOWN");
    assert_string_equal(status_code_name(UINT32_MAX), "UNKNOWN");
}

static void reasons_are_upper_snake_and_unique(void **state)
{
    (void)state;
    for (uint32_t a = 1; a < REASON_COUNT; a++) {
        const char *name = status_reason_name(a);
        assert_in_range(strlen(name), 1, LIMIT_REASON_LENGTH);
        assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), strlen(name));
        for (uint32_t b = 1; b < a; b++) {
            assert_string_not_equal(name, status_reason_name(b));
        }
    }
}

static void reasons_carry_code_and_text(void **state)
{
    (void)state;
    assert_int_equal(status_reason_code(REASON_UNKNOWN_JOB), STATUS_NOT_FOUND);
    assert_int_equal(status_reason_code(REASON_DRAINING), STATUS_UNAVAILABLE);
    assert_int_equal(status_reason_code(REASON_NONE), STATUS_OK);
    for (uint32_t reason = 1; reason < REASON_COUNT; reason++) {
        assert_int_not_equal(status_reason_code(reason), STATUS_OK);
        const char *text = status_reason_text(reason);
        assert_in_range(strlen(text), 10, LIMIT_STATUS_MESSAGE_LENGTH);
        assert_int_not_equal(text[strlen(text) - 1], '.');
    }
}

static void a_reason_that_is_none_has_no_name(void **state)
{
    (void)state;
    assert_string_equal(status_reason_name(REASON_NONE), "");
    assert_string_equal(status_reason_name(REASON_COUNT), "");
    assert_string_equal(status_reason_name(UINT32_MAX), "");
    assert_int_equal(status_reason_code(REASON_COUNT), STATUS_INTERNAL);
    assert_int_equal(status_reason_code(UINT32_MAX), STATUS_INTERNAL);
    assert_string_equal(status_reason_text(UINT32_MAX), "an unknown reason");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_grpc_names),
        cmocka_unit_test(a_code_that_is_none_is_unknown),
        cmocka_unit_test(reasons_are_upper_snake_and_unique),
        cmocka_unit_test(reasons_carry_code_and_text),
        cmocka_unit_test(a_reason_that_is_none_has_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
