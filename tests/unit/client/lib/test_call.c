/* The table of calls: ids, generations, late replies, growth and its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/lib/call.h"

static void ids_name_their_calls(void **state)
{
    (void)state;
    struct call_table table = {0};
    static struct call calls[5000];
    memset(calls, 0, sizeof calls);
    for (size_t i = 0; i < 5000; i++) {
        assert_true(call_table_add(&table, &calls[i]));
        assert_true(calls[i].id & 0x80000000U);
        assert_true((calls[i].id & ((1U << LINK_ID_SLOT_BITS) - 1)) != 0);
    }
    bool known;
    for (size_t i = 0; i < 5000; i++) {
        assert_ptr_equal(call_table_find(&table, calls[i].id, &known), &calls[i]);
        assert_true(known);
    }
    assert_int_equal(table.used, 5000);
    uint32_t at = 1;
    size_t walked = 0;
    while (call_table_next(&table, &at) != NULL) {
        walked++;
    }
    assert_int_equal(walked, 5000);
    call_table_deinit(&table);
}

static void late_ids_find_nothing(void **state)
{
    (void)state;
    struct call_table table = {0};
    struct call call = {0};
    assert_true(call_table_add(&table, &call));
    uint32_t first = call.id;
    call_table_remove(&table, &call);
    bool known;
    assert_null(call_table_find(&table, first, &known));
    assert_true(known);
    /* A slot comes back only after all others, and then with another generation. */
    for (int i = 0; i < 3000; i++) {
        assert_true(call_table_add(&table, &call));
        assert_int_not_equal(call.id, first);
        call_table_remove(&table, &call);
    }
    assert_null(call_table_find(&table, first, &known));
    assert_true(known);
    assert_null(call_table_find(&table, 0x80000000U, &known));
    assert_false(known);
    assert_null(call_table_find(&table, 0xFFFFFFFFU, &known));
    assert_false(known);
    call_table_deinit(&table);
}

static void full_table_refuses(void **state)
{
    (void)state;
    struct call_table table = {0};
    struct call *calls = calloc(CALL_TABLE_MAX, sizeof *calls);
    assert_non_null(calls);
    uint32_t added = 0;
    while (added < CALL_TABLE_MAX && call_table_add(&table, &calls[added])) {
        added++;
    }
    assert_int_equal(added, CALL_TABLE_MAX - 1);
    call_table_remove(&table, &calls[77]);
    assert_true(call_table_add(&table, &calls[77]));
    free(calls);
    call_table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_name_their_calls),
        cmocka_unit_test(late_ids_find_nothing),
        cmocka_unit_test(full_table_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
