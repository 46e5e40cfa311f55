/* Documents of which the index had a version of its own. */
#include "tests/unit/server/index/batches.h"

#include <stdio.h>

#include "server/index/troubles.h"

static struct troubles troubles;

static struct index_document named(const char *tenant, const char *model, const char *id)
{
    return (struct index_document){.tenant = text(tenant), .model = text(model), .id = text(id)};
}

static void conflicts_in_a_row(void **state)
{
    (void)state;
    troubles = (struct troubles){.places = {0}};
    struct index_document a = named("t", "m", "a");
    struct index_document b = named("t", "m", "b");
    assert_false(troubles_conflict(&troubles, &a));
    assert_true(troubles_conflict(&troubles, &a));
    assert_false(troubles_conflict(&troubles, &b));
    troubles_end(&troubles, &a);
    troubles_end(&troubles, &a);
    assert_false(troubles_conflict(&troubles, &a));
    assert_true(troubles_conflict(&troubles, &b));
}

/* Names that run into each other are not the same document. */
static void names_end_where_they_end(void **state)
{
    (void)state;
    troubles = (struct troubles){.places = {0}};
    struct index_document documents[] = {named("ab", "c", "d"), named("a", "bc", "d"),
                                         named("a", "b", "cd"), named("abcd", "", "")};
    for (size_t i = 0; i < 4; i++) {
        assert_false(troubles_conflict(&troubles, &documents[i]));
    }
}

static void more_than_there_are_places(void **state)
{
    (void)state;
    troubles = (struct troubles){.places = {0}};
    uint32_t remembered = 0;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 2 * TROUBLES_MAX; i++) {
            char id[16];
            (void)snprintf(id, sizeof id, "%u", i);
            struct index_document document = named("t", "m", id);
            remembered += troubles_conflict(&troubles, &document);
        }
    }
    assert_in_range(remembered, 0, TROUBLES_MAX);
    for (uint32_t i = 0; i < 100; i++) { /* the last one is there in any case */
        char id[16];
        (void)snprintf(id, sizeof id, "%u", i);
        struct index_document document = named("t", "m", id);
        (void)troubles_conflict(&troubles, &document);
        assert_true(troubles_conflict(&troubles, &document));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conflicts_in_a_row),
        cmocka_unit_test(names_end_where_they_end),
        cmocka_unit_test(more_than_there_are_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
