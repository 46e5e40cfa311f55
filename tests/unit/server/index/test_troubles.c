/* Documents that were not taken lately. */
#include "tests/unit/server/index/batches.h"

#include <stdio.h>

#include "server/index/troubles.h"

static struct troubles troubles;

static struct index_document named(const char *tenant, const char *model, const char *id)
{
    return (struct index_document){.tenant = text(tenant), .model = text(model), .id = text(id)};
}

static void counted_until_it_is_over(void **state)
{
    (void)state;
    troubles = (struct troubles){.places = {{0}}};
    struct index_document a = named("t", "m", "a");
    struct index_document b = named("t", "m", "b");
    assert_int_equal(troubles_retry(&troubles, &a), 1);
    assert_int_equal(troubles_retry(&troubles, &a), 2);
    assert_int_equal(troubles_retry(&troubles, &b), 1);
    troubles_end(&troubles, &a);
    troubles_end(&troubles, &a);
    assert_int_equal(troubles_retry(&troubles, &a), 1);
    assert_int_equal(troubles_retry(&troubles, &b), 2);
}

static void conflicts_in_a_row(void **state)
{
    (void)state;
    troubles = (struct troubles){.places = {{0}}};
    struct index_document a = named("t", "m", "a");
    assert_false(troubles_conflict(&troubles, &a));
    assert_true(troubles_conflict(&troubles, &a));
    assert_int_equal(troubles_retry(&troubles, &a), 1); /* something else came between */
    assert_false(troubles_conflict(&troubles, &a));
    troubles_end(&troubles, &a);
    assert_false(troubles_conflict(&troubles, &a));
}

/* Names that run into each other are not the same document. */
static void names_end_where_they_end(void **state)
{
    (void)state;
    troubles = (struct troubles){.places = {{0}}};
    struct index_document documents[] = {named("ab", "c", "d"), named("a", "bc", "d"),
                                         named("a", "b", "cd"), named("abcd", "", "")};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(troubles_retry(&troubles, &documents[i]), 1);
    }
}

static void more_than_there_are_places(void **state)
{
    (void)state;
    troubles = (struct troubles){.places = {{0}}};
    uint32_t remembered = 0;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 2 * TROUBLES_MAX; i++) {
            char id[16];
            (void)snprintf(id, sizeof id, "%u", i);
            struct index_document document = named("t", "m", id);
            uint32_t count = troubles_retry(&troubles, &document);
            assert_in_range(count, 1, 2);
            remembered += count == 2;
        }
    }
    assert_in_range(remembered, 0, TROUBLES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counted_until_it_is_over),
        cmocka_unit_test(conflicts_in_a_row),
        cmocka_unit_test(names_end_where_they_end),
        cmocka_unit_test(more_than_there_are_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
