/* The batches in flight and the two counters. */
#include "tests/unit/server/core/parts.h"

#include "server/core/batches.h"

static void batches_keep_their_order(void **state)
{
    (void)state;
    struct batches batches = {0};
    struct batch batch = {.sent_ms = 5, .documents = 1};
    for (uint32_t i = 1; i <= BATCHES_MAX; i++) {
        batch.first = i;
        assert_int_equal(batches_add(&batches, &batch), i);
    }
    struct batch out;
    assert_true(batches_remove(&batches, 3, &out));
    assert_true(out.number == 3 && out.first == 3 && out.sent_ms == 5);
    assert_false(batches_remove(&batches, 3, &out));
    assert_false(batches_remove(&batches, 99, &out));
    assert_null(batches_find(&batches, 3));
    assert_int_equal(batches_find(&batches, 4)->first, 4);
    batch.first = 77;
    assert_int_equal(batches_add(&batches, &batch), 17);
    uint64_t before = 0;
    for (uint32_t i = 0; i < BATCHES_MAX; i++) {
        assert_true(batches.at[i].number > before);
        before = batches.at[i].number;
    }
    batches_clear(&batches);
    assert_int_equal(batches.count, 0);
    assert_int_equal(batches.at[0].number, 0);
    assert_int_equal(batches_add(&batches, &batch), 18); /* also not after that */
}

static void versions_follow_the_clock_and_never_go_back(void **state)
{
    (void)state;
    struct batches batches = {0};
    assert_true(batches_version(&batches, 1000) == 1000 << 20);
    assert_true(batches_version(&batches, 1000) == (1000 << 20) + 1);
    assert_true(batches_version(&batches, 1001) == 1001 << 20);
    assert_true(batches_version(&batches, 999) == (1001 << 20) + 1);
    batches.last_version = UINT64_C(5000) << 20;
    assert_true(batches_version(&batches, 1002) == (UINT64_C(5000) << 20) + 1);
    assert_true(batches_version(&batches, UINT64_MAX) == COMMAND_VERSION_SEEN_MAX);
    assert_true(batches_version(&batches, UINT64_MAX) == COMMAND_VERSION_SEEN_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_keep_their_order),
        cmocka_unit_test(versions_follow_the_clock_and_never_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
