/* Tickets: what is open, when they leave, found by number and by job. */
#include "tests/unit/server/core/parts.h"

#include "server/core/tickets.h"

struct world {
    struct core_limits limits;
    struct names names;
    struct tickets tickets;
    uint64_t now_ms;
    uint32_t tenant, principal, user;
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    struct world *world = at;
    world->limits = *capacity;
    names_layout(&world->names, region, capacity);
    tickets_layout(&world->tickets, region, capacity);
}

static void save(const void *at, struct stream_out *out)
{
    const struct world *world = at;
    names_save(&world->names, out);
    tickets_save(&world->tickets, out);
}

static void load(void *at, struct stream_in *in)
{
    struct world *world = at;
    names_load(&world->names, in);
    if (in->error == 0) {
        tickets_load(&world->tickets, &world->names, in);
    }
}

static struct world *world_new(uint64_t first_ticket)
{
    struct core_limits limits = parts_limits();
    struct world *world = parts_new(sizeof *world, layout, &limits);
    tickets_set_next(&world->tickets, first_ticket);
    world->tenant = names_intern(&world->names, &world->limits, NAME_TENANT, 0, TEXT("t"));
    world->principal =
        names_intern(&world->names, &world->limits, NAME_PRINCIPAL, world->tenant, TEXT("p"));
    world->user = names_intern(&world->names, &world->limits, NAME_USER, world->tenant, TEXT("u"));
    return world;
}

static uint32_t add(struct world *world, uint64_t job_id, uint32_t open)
{
    struct ticket_source source = {.job_id = job_id,
                                   .tenant = world->tenant,
                                   .principal = world->principal,
                                   .user = world->user,
                                   .open = open};
    return tickets_add(&world->tickets, &world->names, &source);
}

static void expire(struct world *world, uint32_t budget)
{
    tickets_expire(&world->tickets, &world->names, &world->limits, world->now_ms, &budget);
    assert_null(tickets_verify(&world->tickets, &world->names, world->now_ms));
}

static void kept_until_ten_minutes_after_the_last_change(void **state)
{
    (void)state;
    struct world *world = world_new(UINT64_MAX);
    uint32_t first = add(world, 0, 2);
    uint32_t second = add(world, 0, 1);
    assert_int_equal(tickets_at(&world->tickets, first)->id, UINT64_MAX);
    assert_int_equal(tickets_at(&world->tickets, second)->id, 1); /* 0 is the number of none */
    assert_int_equal(tickets_deadline(&world->tickets, &world->limits), UINT64_MAX);
    world->now_ms = 100;
    tickets_item_done(&world->tickets, first, world->now_ms);
    assert_int_equal(tickets_deadline(&world->tickets, &world->limits), UINT64_MAX);
    tickets_item_done(&world->tickets, second, world->now_ms);
    world->now_ms = 5000;
    tickets_item_done(&world->tickets, first, world->now_ms);
    assert_int_equal(tickets_deadline(&world->tickets, &world->limits), 600100);
    world->now_ms = 600099;
    expire(world, 10);
    assert_int_equal(tickets_find(&world->tickets, 1), second);
    world->now_ms = 600100;
    expire(world, 10);
    assert_int_equal(tickets_find(&world->tickets, 1), 0);
    assert_int_equal(tickets_find(&world->tickets, UINT64_MAX), first);
    assert_int_equal(shares_held(&world->names, world->tenant, SHARE_TICKETS), 1);
    world->now_ms = 605000;
    expire(world, 10);
    assert_int_equal(world->tickets.table.used, 0);
    assert_int_equal(names_at(&world->names, world->user)->references, 1);
    free(world);
}

static void expiry_keeps_to_its_budget(void **state)
{
    (void)state;
    struct world *world = world_new(7);
    for (uint32_t i = 0; i < 100; i++) {
        tickets_item_done(&world->tickets, add(world, i % 4, 1), 0);
    }
    world->now_ms = 600000;
    expire(world, 30);
    assert_int_equal(world->tickets.table.used, 70);
    assert_int_equal(tickets_deadline(&world->tickets, &world->limits), 600000);
    expire(world, 1000);
    assert_int_equal(world->tickets.table.used, 0);
    free(world);
}

/* The tickets of a job as a set, whatever has come and gone. */
static void jobs_find_their_tickets(void **state)
{
    (void)state;
    struct world *world = world_new(1000);
    uint64_t seed = 42;
    uint32_t open[64];
    uint32_t open_count = 0;
    for (uint32_t step = 0; step < 4000; step++) {
        world->now_ms += parts_random(&seed) % 40000;
        expire(world, 8);
        if (open_count < 64 && world->tickets.table.used < world->limits.tickets_max &&
            parts_random(&seed) % 2 == 0) {
            open[open_count++] = add(world, parts_random(&seed) % 5, 1);
        } else if (open_count != 0) {
            uint32_t pick = (uint32_t)(parts_random(&seed) % open_count);
            tickets_item_done(&world->tickets, open[pick], world->now_ms);
            open[pick] = open[--open_count];
        }
        uint32_t found = 0;
        for (uint64_t job = 1; job < 5; job++) {
            for (uint32_t at = 0; (at = tickets_of_job(&world->tickets, job, at)) != 0; found++) {
                assert_int_equal(tickets_at(&world->tickets, at)->job_id, job);
            }
        }
        uint32_t expected = 0;
        for (uint32_t at = 0; (at = table_next(&world->tickets.table, at)) != 0;) {
            const struct ticket *ticket = tickets_at(&world->tickets, at);
            assert_int_equal(tickets_find(&world->tickets, ticket->id), at);
            expected += ticket->job_id != 0;
        }
        assert_int_equal(found, expected);
    }
    free(world);
}

static void snapshots(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    struct parts_memory memory = {0};
    struct parts_memory again = {0};
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t place = add(world, i % 3, 1 + i % 2);
        tickets_item_done(&world->tickets, place, i);
    }
    world->now_ms = 600010;
    expire(world, 1000);
    parts_save(&memory, save, world);
    struct world *other = parts_new(sizeof *other, layout, &world->limits);
    assert_int_equal(parts_load(&memory, load, other), 0);
    parts_save(&again, save, other);
    assert_int_equal(again.length, memory.length);
    assert_memory_equal(again.at, memory.at, memory.length);
    other->tenant = world->tenant;
    other->principal = world->principal;
    other->now_ms = world->now_ms;
    assert_int_equal(add(other, 9, 1), add(world, 9, 1)); /* both go on alike */
    uint32_t of_job = 0;
    for (uint32_t at = 0; (at = tickets_of_job(&other->tickets, 1, at)) != 0;) {
        of_job++;
    }
    assert_int_not_equal(of_job, 0);
    free(other);
    for (size_t bit = 0; bit < memory.length * 8; bit += 5) {
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        other = parts_new(sizeof *other, layout, &world->limits);
        (void)parts_load(&memory, load, other);
        free(other);
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(memory.at);
    free(again.at);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_until_ten_minutes_after_the_last_change),
        cmocka_unit_test(expiry_keeps_to_its_budget),
        cmocka_unit_test(jobs_find_their_tickets),
        cmocka_unit_test(snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
