/* Pauses grow, stay within their bounds, and differ. */
#include "tests/unit/server/index/batches.h"

#include "server/index/backoff.h"

static void pauses_grow_to_a_bound(void **state)
{
    (void)state;
    struct backoff backoff = {.first_ms = 100, .most_ms = 30000, .random = 7};
    static const struct {
        uint32_t failures;
        uint32_t full;
    } rows[] = {{1, 100},    {2, 200},     {5, 1600},          {9, 25600},
                {10, 30000}, {100, 30000}, {UINT32_MAX, 30000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t least = UINT32_MAX;
        uint32_t most = 0;
        for (int n = 0; n < 2000; n++) {
            uint32_t ms = backoff_ms(&backoff, rows[i].failures);
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
        }
        /* All of the upper half is used. */
        assert_in_range(least, rows[i].full / 2, rows[i].full / 2 + rows[i].full / 40);
        assert_in_range(most, rows[i].full - rows[i].full / 40, rows[i].full);
    }
}

static void the_smallest_and_the_largest(void **state)
{
    (void)state;
    struct backoff backoff = {.first_ms = 1, .most_ms = 1};
    assert_in_range(backoff_ms(&backoff, 50), 1, 1);
    backoff = (struct backoff){.first_ms = UINT32_MAX, .most_ms = UINT32_MAX};
    assert_in_range(backoff_ms(&backoff, 40), UINT32_MAX / 2, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_to_a_bound),
        cmocka_unit_test(the_smallest_and_the_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
