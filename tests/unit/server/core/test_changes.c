/* The windows of changed documents: times, expiry, order, caps and fairness, snapshots. */
#include "tests/unit/server/core/parts.h"

#include <stdio.h>

#include "server/core/changes.h"

struct world {
    struct core_limits limits;
    struct names names;
    struct changes changes;
    uint64_t now_ms; /* both times */
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    struct world *world = at;
    world->limits = *capacity;
    names_layout(&world->names, region, capacity);
    changes_layout(&world->changes, region, capacity);
}

static void save(const void *at, struct stream_out *out)
{
    const struct world *world = at;
    names_save(&world->names, out);
    changes_save(&world->changes, out);
}

static void load(void *at, struct stream_in *in)
{
    struct world *world = at;
    names_load(&world->names, in);
    if (in->error == 0) {
        changes_load(&world->changes, &world->names, in);
    }
}

static struct world *world_new(void)
{
    struct core_limits limits = parts_limits();
    return parts_new(sizeof(struct world), layout, &limits);
}

static uint32_t intern(struct world *world, enum name_kind kind, uint32_t tenant, const char *text)
{
    uint32_t name =
        names_intern(&world->names, &world->limits, kind, tenant, bytes_of(text, strlen(text)));
    assert_int_not_equal(name, 0);
    return name;
}

/* Pins a document as planning does. */
static uint32_t use(struct world *world, const char *tenant, const char *id)
{
    struct change_identity identity = {.tenant = intern(world, NAME_TENANT, 0, tenant),
                                       .model = intern(world, NAME_MODEL, 0, "mediacontainer"),
                                       .id = bytes_of(id, strlen(id))};
    uint32_t document = changes_use(&world->changes, &world->names, &identity);
    names_release(&world->names, identity.model);
    names_release(&world->names, identity.tenant);
    return document;
}

static const struct change_model *put(struct world *world, uint32_t document, uint32_t view,
                                      const char *affected, uint64_t first_ms)
{
    uint32_t tenant = changes_document(&world->changes, document)->tenant;
    struct change_update update = {
        .document = document,
        .view = view,
        .affected_model = intern(world, NAME_MODEL, 0, affected),
        .rights = {.tenant = tenant, .creator = intern(world, NAME_PRINCIPAL, tenant, "p")},
        .first_ms = first_ms,
        .last_ms = world->now_ms,
        .updated_ms = world->now_ms,
        .service_ms = world->now_ms};
    const struct change_model *model = changes_model(
        &world->changes, changes_put(&world->changes, &world->names, &world->limits, &update));
    names_release(&world->names, update.affected_model);
    names_release(&world->names, update.rights.creator);
    return model;
}

static void unpin(struct world *world, uint32_t document)
{
    changes_unpin(&world->changes, &world->names, document);
    assert_null(changes_verify(&world->changes, &world->names, world->now_ms));
}

/* One change of one document in one window, as a whole command. */
static void change(struct world *world, const char *tenant, const char *id, uint32_t view,
                   const char *affected)
{
    uint32_t document = use(world, tenant, id);
    assert_true(changes_fits(&world->changes, &world->limits));
    changes_make_room(&world->changes, &world->names, &world->limits);
    (void)put(world, document, view, affected, world->now_ms);
    unpin(world, document);
}

static void expire(struct world *world)
{
    uint32_t budget = UINT32_MAX;
    changes_expire(&world->changes, &world->names, &world->limits, world->now_ms, &budget);
    assert_null(changes_verify(&world->changes, &world->names, world->now_ms));
}

/* Whether a document is there, and in which windows: bit 0 database, bit 1 index; 4: neither; 0:
 * unknown. */
static uint32_t where(struct world *world, const char *tenant, const char *id)
{
    struct change_identity identity = {
        .tenant = names_lookup(&world->names, NAME_TENANT, 0, bytes_of(tenant, strlen(tenant))),
        .model = names_lookup(&world->names, NAME_MODEL, 0, TEXT("mediacontainer")),
        .id = bytes_of(id, strlen(id))};
    if (identity.tenant == 0 || identity.model == 0) {
        return 0;
    }
    uint32_t at = changes_find(&world->changes, changes_hash(&world->names, &identity), &identity);
    if (at == 0) {
        return 0;
    }
    const struct change_document *document = changes_document(&world->changes, at);
    uint32_t windows =
        (document->places[0].order != 0 ? 1u : 0) | (document->places[1].order != 0 ? 2u : 0);
    return windows == 0 ? 4 : windows;
}

static void times_of_both_windows(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint32_t document = use(world, "t", "123");
    world->now_ms = 100;
    (void)put(world, document, 0, "m", 100);
    (void)put(world, document, 1, "m", 50);
    world->now_ms = 300;
    const struct change_model *database = put(world, document, 0, "m", 300);
    assert_int_equal(database->first_ms, 100); /* since it entered the window */
    assert_int_equal(database->last_ms, 300);
    assert_int_equal(database->updated_ms, 300);
    const struct change_model *index = put(world, document, 1, "m", 250);
    assert_int_equal(index->first_ms, 250); /* of the latest batch */
    assert_int_equal(index->last_ms, 300);
    index = put(world, document, 1, "m", 10);
    assert_int_equal(index->first_ms, 250); /* never goes back */
    unpin(world, document);
    free(world);
}

static void models_leave_one_by_one_and_everything_with_the_last(void **state)
{
    (void)state;
    struct world *world = world_new();
    change(world, "t", "1", 0, "a");
    world->now_ms = 1000;
    change(world, "t", "1", 0, "b");
    world->now_ms = 2000;
    change(world, "t", "1", 0, "a");
    change(world, "t", "1", 1, "a");
    assert_int_equal(changes_deadline(&world->changes, &world->limits), 61000);
    world->now_ms = 60999;
    expire(world);
    assert_int_equal(world->changes.models.used, 3);
    world->now_ms = 61000;
    expire(world);
    assert_int_equal(world->changes.models.used, 2);
    assert_int_equal(world->changes.complete_since_ms[0], 1001);
    assert_int_equal(world->changes.complete_since_ms[1], 0);
    assert_int_equal(where(world, "t", "1"), 3);
    world->now_ms = 62000;
    expire(world);
    assert_int_equal(where(world, "t", "1"), 0);
    assert_int_equal(world->changes.documents.used, 0);
    assert_int_equal(world->changes.order.nodes.used, 0);
    assert_int_equal(world->changes.ids.blocks.used, 0);
    assert_int_equal(world->names.records.used, 0);
    assert_int_equal(changes_deadline(&world->changes, &world->limits), UINT64_MAX);
    free(world);
}

static void a_pinned_document_outlives_its_windows(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint32_t document = use(world, "t", "1");
    assert_int_equal(where(world, "t", "1"), 4);
    (void)put(world, document, 0, "a", 0);
    world->now_ms = 60000;
    expire(world);
    assert_int_equal(where(world, "t", "1"), 4);
    unpin(world, document);
    assert_int_equal(where(world, "t", "1"), 0);
    assert_int_equal(world->names.records.used, 0);
    free(world);
}

static void a_document_has_at_most_64_models_in_a_window(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint32_t document = use(world, "t", "1");
    for (uint32_t i = 0; i < LIMIT_AFFECTED_MODELS + 3; i++) {
        char name[16];
        world->now_ms = i;
        (void)snprintf(name, sizeof name, "m%u", i);
        (void)put(world, document, 0, name, i);
    }
    assert_int_equal(changes_document(&world->changes, document)->places[0].models.count,
                     LIMIT_AFFECTED_MODELS);
    assert_int_equal(world->changes.complete_since_ms[0], 3); /* those of 0, 1 and 2 have left */
    unpin(world, document);
    free(world);
}

static void fill(struct world *world, const char *tenant, uint32_t from, uint32_t count,
                 uint32_t view)
{
    for (uint32_t i = from; i < from + count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%u", i);
        world->now_ms++;
        change(world, tenant, id, view, "a");
    }
}

static void at_the_cap_of_documents_the_longest_idle_leaves(void **state)
{
    (void)state;
    struct world *world = world_new();
    fill(world, "t", 0, 30, 0);
    fill(world, "s", 100, 30, 0);
    fill(world, "t", 0, 1, 1); /* in both windows, and idle last */
    uint32_t pinned = use(world, "t", "1");
    fill(world, "r", 200, 10, 0);
    assert_int_equal(world->changes.documents.used, 64);
    assert_int_equal(where(world, "t", "0"), 3);
    assert_int_equal(where(world, "t", "1"), 1);
    assert_int_equal(where(world, "t", "2"), 0);
    assert_int_equal(where(world, "t", "7"), 0);
    assert_int_equal(where(world, "t", "8"), 1);
    assert_int_equal(world->changes.complete_since_ms[0],
                     9); /* the document of 8 was the last to leave */
    unpin(world, pinned);
    free(world);
}

static void documents_in_use_are_refused_above_the_cap(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint32_t documents[65];
    fill(world, "t", 1000, 64, 0);
    for (uint32_t i = 0; i < 65; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%u", i);
        documents[i] = use(world, "t", id);
        assert_int_equal(changes_fits(&world->changes, &world->limits), i < 64);
    }
    assert_int_equal(where(world, "t", "1000"), 1); /* nothing left for a command that is refused */
    for (uint32_t i = 0; i < 65; i++) {
        unpin(world, documents[i]);
    }
    assert_int_equal(world->changes.documents.used, 64);
    assert_int_equal(where(world, "t", "1000"), 1);
    free(world);
}

static void ids_have_a_cap_too(void **state)
{
    (void)state;
    struct world *world = world_new();
    char id[LIMIT_DOCUMENT_ID_LENGTH + 1];
    world->limits.change_text_bytes = 4 * 512;
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = 0;
    for (char c = 'a'; c <= 'f'; c++) {
        id[0] = c;
        world->now_ms++;
        change(world, "t", id, 0, "a");
        assert_true(pool_used_bytes(&world->changes.ids) <= 4 * 512);
    }
    assert_int_equal(where(world, "t", id), 1);
    assert_int_equal(world->changes.documents.used, 4);
    free(world);
}

/* Of one tenant with more than half the own oldest leave, however old the others' are. */
static void the_heavy_tenant_loses_first(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->limits.change_models_max = 40;
    fill(world, "modest", 0, 10, 0);
    fill(world, "greedy", 100, 30, 0);
    fill(world, "greedy", 200, 5, 0);
    fill(world, "other", 300, 3, 1);
    assert_int_equal(where(world, "modest", "0"), 1);
    assert_int_equal(where(world, "greedy", "107"), 0);
    assert_int_equal(where(world, "greedy", "108"), 1);
    assert_int_equal(world->changes.models.used, 40);
    fill(world, "other", 400, 2, 1); /* greedy has 20 now: no more than half */
    fill(world, "other", 500, 6, 1);
    assert_int_equal(shares_held(&world->names,
                                 names_lookup(&world->names, NAME_TENANT, 0, TEXT("greedy")),
                                 SHARE_MODELS),
                     20);
    assert_int_equal(where(world, "modest", "0"), 0);
    free(world);

    world = world_new(); /* the same for documents */
    fill(world, "modest", 0, 10, 0);
    fill(world, "greedy", 100, 54, 0);
    fill(world, "other", 300, 3, 1);
    assert_int_equal(where(world, "modest", "0"), 1);
    assert_int_equal(where(world, "greedy", "102"), 0);
    assert_int_equal(where(world, "greedy", "103"), 1);
    free(world);
}

static void lowered_caps_empty_the_windows_in_steps(void **state)
{
    (void)state;
    struct world *world = world_new();
    fill(world, "t", 0, 60, 0);
    fill(world, "t", 0, 60, 1);
    world->limits.change_models_max = 50;
    world->limits.change_documents_max = 20;
    assert_int_equal(changes_deadline(&world->changes, &world->limits), 0);
    uint32_t budget = 10;
    changes_expire(&world->changes, &world->names, &world->limits, world->now_ms, &budget);
    assert_int_equal(world->changes.models.used, 110);
    assert_int_equal(budget, 0);
    expire(world);
    assert_int_equal(world->changes.documents.used, 20);
    assert_true(world->changes.models.used <= 50);
    assert_int_not_equal(changes_deadline(&world->changes, &world->limits), 0);
    free(world);
}

/* Documents of a tenant by last update, behind any number. */
static void order_is_that_of_the_last_update(void **state)
{
    (void)state;
    struct world *world = world_new();
    fill(world, "t", 0, 5, 0);
    fill(world, "s", 0, 5, 0);
    fill(world, "t", 1, 1, 0);
    const struct tenant *tenant =
        shares_of(&world->names, names_lookup(&world->names, NAME_TENANT, 0, TEXT("t")));
    const char expected[] = "02341";
    uint64_t position = 0;
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t node = order_after(&world->changes.order, &tenant->changes[0], position);
        assert_int_not_equal(node, 0);
        const struct order_node *found = order_node(&world->changes.order, node);
        const struct change_document *document = changes_document(&world->changes, found->item);
        assert_true(pool_equal(&world->changes.ids, document->id_first, bytes_of(expected + i, 1)));
        position = found->key;
    }
    assert_int_equal(order_after(&world->changes.order, &tenant->changes[0], position), 0);
    free(world);
}

/* Random traffic of three tenants at small caps; every rule holds after every step, and snapshots
 * go on as the original. */
static void random_traffic(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct world *twin = NULL;
    struct parts_memory memory = {0};
    struct parts_memory again = {0};
    uint64_t seed = 20;
    for (uint32_t step = 0; step < 6000; step++) {
        static const char *tenants[] = {"t", "s", "r"};
        static const char *affected[] = {"a", "b", "c", "d", "e"};
        uint64_t pick = parts_random(&seed);
        char id[16];
        (void)snprintf(id, sizeof id, "%u", (unsigned)(pick % 90));
        uint64_t passed = pick >> 32 & 0x7ff;
        const char *tenant = tenants[(pick >> 16 & 7) == 0 ? 1 : (pick >> 16 & 7) == 1 ? 2 : 0];
        for (struct world *each = world; each != NULL; each = each == twin ? NULL : twin) {
            each->now_ms += passed;
            expire(each);
            change(each, tenant, id, pick >> 24 & 1, affected[(pick >> 25) % 5]);
        }
        assert_true(world->changes.models.used <= world->limits.change_models_max);
        assert_true(world->changes.documents.used <= world->limits.change_documents_max);
        if (step % 1000 == 999) {
            parts_save(&memory, save, world);
            if (twin != NULL) {
                parts_save(&again, save, twin);
                assert_int_equal(again.length, memory.length);
                assert_memory_equal(again.at, memory.at, memory.length);
                free(twin);
            }
            twin = parts_new(sizeof *twin, layout, &world->limits);
            assert_int_equal(parts_load(&memory, load, twin), 0);
            twin->now_ms = world->now_ms;
        }
    }
    free(memory.at);
    free(again.at);
    free(twin);
    free(world);
}

static void damaged_snapshots_are_refused_or_sound(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct parts_memory memory = {0};
    fill(world, "t", 0, 6, 0);
    fill(world, "s", 2, 6, 0);
    fill(world, "t", 3, 4, 1);
    parts_save(&memory, save, world);
    uint32_t refused = 0;
    uint32_t tried = 0;
    for (size_t bit = 0; bit < memory.length * 8; bit += 37) {
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct world *other = parts_new(sizeof *other, layout, &world->limits);
        if (parts_load(&memory, load, other) == 0) {
            assert_null(changes_verify(&other->changes, &other->names, UINT64_MAX));
        } else {
            refused++;
        }
        tried++;
        free(other);
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(refused > tried / 4);
    free(memory.at);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_both_windows),
        cmocka_unit_test(models_leave_one_by_one_and_everything_with_the_last),
        cmocka_unit_test(a_pinned_document_outlives_its_windows),
        cmocka_unit_test(a_document_has_at_most_64_models_in_a_window),
        cmocka_unit_test(at_the_cap_of_documents_the_longest_idle_leaves),
        cmocka_unit_test(documents_in_use_are_refused_above_the_cap),
        cmocka_unit_test(ids_have_a_cap_too),
        cmocka_unit_test(the_heavy_tenant_loses_first),
        cmocka_unit_test(lowered_caps_empty_the_windows_in_steps),
        cmocka_unit_test(order_is_that_of_the_last_update),
        cmocka_unit_test(random_traffic),
        cmocka_unit_test(damaged_snapshots_are_refused_or_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
