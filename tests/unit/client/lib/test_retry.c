/* Pauses grow, obey the server, and spread; the budget bounds repetitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/lib/retry.h"

static void pauses_grow_to_a_limit(void **state)
{
    (void)state;
    uint32_t longest = 0;
    for (unsigned attempts = 1; attempts <= 40; attempts++) {
        uint32_t pause = retry_pause_ms(attempts, 0, 0);
        assert_true(pause >= longest);
        longest = pause;
        assert_true(retry_pause_ms(attempts, 0, UINT32_MAX) >= pause / 2 - 1);
    }
    assert_int_equal(retry_pause_ms(1, 0, 0), 50);
    assert_int_equal(retry_pause_ms(2, 0, 0), 100);
    assert_int_equal(longest, 2000);
}

static void servers_advice_is_the_least(void **state)
{
    (void)state;
    for (uint32_t chance = 0; chance < 100000; chance += 7) {
        uint32_t pause = retry_pause_ms(1, 1000, chance);
        assert_in_range(pause, 1000, 1500);
    }
    /* Absurd advice does not overflow. */
    assert_in_range(retry_pause_ms(1, UINT32_MAX, UINT32_MAX), 3600 * 1000, 5400 * 1000);
}

static void pauses_spread(void **state)
{
    (void)state;
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;
    for (uint32_t chance = 0; chance < 5000; chance++) {
        uint32_t pause = retry_pause_ms(5, 0, chance);
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
    }
    assert_int_equal(most, 800);
    assert_int_equal(least, 400);
}

static void budget_is_spent_and_earned(void **state)
{
    (void)state;
    struct retry_budget budget;
    retry_budget_init(&budget, 2);
    assert_true(retry_budget_take(&budget));
    assert_true(retry_budget_take(&budget));
    assert_false(retry_budget_take(&budget));
    for (int i = 0; i < 9; i++) {
        retry_budget_succeed(&budget);
    }
    assert_false(retry_budget_take(&budget));
    retry_budget_succeed(&budget);
    assert_true(retry_budget_take(&budget));
    for (int i = 0; i < 1000; i++) {
        retry_budget_succeed(&budget);
    }
    assert_int_equal(budget.tenths, 20);
    retry_budget_init(&budget, UINT32_MAX);
    assert_true(retry_budget_take(&budget));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_to_a_limit),
        cmocka_unit_test(servers_advice_is_the_least),
        cmocka_unit_test(pauses_spread),
        cmocka_unit_test(budget_is_spent_and_earned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
