/* The running children of each parent: in creation order, found behind any, the same when they are
 * built anew. */
#include "tests/unit/server/core/parts.h"

#include "server/core/activities.h"
#include "server/core/children.h"
#include "server/core/effect.h"

#define TENANTS 3u
#define PARENTS 7u
#define MOST    300u

struct world {
    struct core_limits limits;
    struct core_time time;
    struct names names;
    struct activities activities;
    struct children children;
    struct children again; /* built of what is there */
    struct job_rights rights[TENANTS];
    uint64_t random;
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    struct world *world = at;
    world->limits = *capacity;
    names_layout(&world->names, region, capacity);
    activities_layout(&world->activities, region, capacity);
    children_layout(&world->children, region, capacity, &world->activities);
    children_layout(&world->again, region, capacity, &world->activities);
}

static struct world *world_new(void)
{
    struct core_limits limits = parts_limits();
    limits.activities_max = MOST;
    limits.activity_text_bytes = MIB(1);
    struct world *world = parts_new(sizeof *world, layout, &limits);
    world->random = 12345;
    world->activities.order.salt = 77;
    world->activities.first_generation = 1;
    for (uint32_t i = 0; i < TENANTS; i++) {
        struct job_rights *rights = &world->rights[i];
        uint8_t text = (uint8_t)('a' + i);
        rights->tenant =
            names_intern(&world->names, &limits, NAME_TENANT, 0, bytes_of(&text, sizeof text));
        rights->creator =
            names_intern(&world->names, &limits, NAME_PRINCIPAL, rights->tenant, TEXT("p"));
        assert_true(rights->tenant != 0 && rights->creator != 0);
    }
    return world;
}

/* Parents need not be there; each belongs to one tenant. 0: none. */
static uint64_t parent_id(uint32_t parent)
{
    return parent == 0 ? 0 : (uint64_t)parent << LIMIT_JOB_SLOT_BITS | parent * 1000;
}

static uint32_t add(struct world *world, uint32_t tenant, uint32_t parent)
{
    uint32_t slot =
        activities_add(&world->activities, &world->names, &world->limits, &world->rights[tenant]);
    assert_int_not_equal(slot, 0);
    activities_cold(&world->activities, slot)->parent_job_id = parent_id(parent);
    activities_start_timer(&world->activities, slot, &world->limits, &world->time);
    children_add(&world->children, &world->activities, slot);
    return slot;
}

static void end(struct world *world, uint32_t slot)
{
    struct activities *activities = &world->activities;
    activities_stop_timer(activities, slot);
    activities_hot(activities, slot)->state = ACTIVITY_CANCELLED;
    list_append(&activities->ended, &activities->cold, ACTIVITY_ENDED, slot);
    list_append(&shares_of(&world->names, activities_hot(activities, slot)->tenant)
                     ->lists[SHARE_ACTIVITIES],
                &activities->cold, ACTIVITY_ENDED_OF_TENANT, slot);
    activities->running--;
    children_remove(&world->children, activities, slot);
}

/* Against a look at every slot: the next child behind `after` is the one of least order above. */
static uint32_t naive_after(const struct world *world, uint64_t parent, uint64_t after)
{
    const struct activities *activities = &world->activities;
    uint32_t found = 0;
    for (uint32_t slot = 1; slot <= activities->hot.high; slot++) {
        const struct activity_cold *cold = activities_cold(activities, slot);
        if (table_live(&activities->hot, slot) &&
            activities_hot(activities, slot)->state == ACTIVITY_RUNNING &&
            cold->parent_job_id == parent && cold->order > after &&
            (found == 0 || cold->order < activities_cold(activities, found)->order)) {
            found = slot;
        }
    }
    return found;
}

static void compare(const struct world *world, const struct children *children)
{
    for (uint32_t parent = 1; parent <= PARENTS + 1; parent++) { /* the last one has none */
        for (uint64_t after = 0; after <= world->activities.last_order;
             after += 1 + world->activities.last_order / 50) {
            uint32_t node = children_after(children, parent_id(parent), after);
            uint32_t slot = node == 0 ? 0 : order_node(&children->order, node)->item;
            assert_int_equal(slot, naive_after(world, parent_id(parent), after));
        }
    }
}

static void in_creation_order_whatever_comes_and_goes(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint32_t slots[MOST];
    uint32_t count = 0;
    for (uint32_t step = 0; step < 3000; step++) {
        bool full = count == MOST;
        if (!full && parts_random(&world->random) % 100 < (step / 500 % 2 == 0 ? 60 : 40)) {
            uint32_t parent = (uint32_t)(parts_random(&world->random) % (PARENTS + 1));
            slots[count++] = add(world, parent % TENANTS, parent);
        } else if (count != 0) {
            uint32_t i = (uint32_t)(parts_random(&world->random) % count);
            end(world, slots[i]);
            activities_remove(&world->activities, &world->names, slots[i]);
            slots[i] = slots[--count];
        }
        if (step % 100 == 99) {
            assert_null(children_verify(&world->children, &world->activities));
            compare(world, &world->children);
        }
    }
    assert_true(children_load(&world->again, &world->activities, &world->names));
    assert_null(children_verify(&world->again, &world->activities));
    compare(world, &world->again);
    while (count != 0) {
        end(world, slots[--count]);
    }
    assert_null(children_verify(&world->children, &world->activities));
    assert_int_equal(world->children.families.used, 0);
    assert_int_equal(world->children.order.nodes.used, 0);
    free(world);
}

/* A damaged snapshot may say so; then it is refused, before an order is broken. */
static void children_of_several_tenants_are_not_loaded(void **state)
{
    (void)state;
    struct world *world = world_new();
    (void)add(world, 1, 1); /* the younger tenant's is the older one */
    (void)add(world, 0, 2);
    uint32_t slot = add(world, 0, 0);
    activities_cold(&world->activities, slot)->parent_job_id = parent_id(1);
    assert_false(children_load(&world->again, &world->activities, &world->names));
    free(world);
}

static void verification_sees_damage(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint32_t slots[4];
    for (uint32_t i = 0; i < 4; i++) {
        slots[i] = add(world, 0, i == 3 ? 0 : 1);
    }
    struct children *children = &world->children;
    const struct activities *activities = &world->activities;
    assert_null(children_verify(children, activities));
    uint32_t node = children->nodes[slots[1]];
    children->nodes[slots[1]] = 0;
    assert_non_null(children_verify(children, activities));
    children->nodes[slots[1]] = children->nodes[slots[0]];
    assert_non_null(children_verify(children, activities));
    children->nodes[slots[1]] = node;
    children->nodes[slots[3]] = node;
    assert_non_null(children_verify(children, activities));
    children->nodes[slots[3]] = 0;
    activities_cold(activities, slots[1])->parent_job_id = parent_id(2);
    assert_non_null(children_verify(children, activities));
    activities_cold(activities, slots[1])->parent_job_id = parent_id(1);
    activities_hot(activities, slots[1])->state = ACTIVITY_CANCELLED;
    assert_non_null(children_verify(children, activities));
    activities_hot(activities, slots[1])->state = ACTIVITY_RUNNING;
    activities_cold(activities, slots[1])->order += 7;
    assert_non_null(children_verify(children, activities));
    activities_cold(activities, slots[1])->order -= 7;
    ((struct family *)table_at(&children->families, 1))->parent_job_id = parent_id(2);
    assert_non_null(children_verify(children, activities));
    ((struct family *)table_at(&children->families, 1))->parent_job_id = parent_id(1);
    assert_null(children_verify(children, activities));
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_creation_order_whatever_comes_and_goes),
        cmocka_unit_test(children_of_several_tenants_are_not_loaded),
        cmocka_unit_test(verification_sees_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
