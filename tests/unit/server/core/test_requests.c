/* Request ids: one effect per id, whose id it is, how long it is kept, and who is refused when
 * there is no room. */
#include "tests/unit/server/core/parts.h"

#include "server/core/requests.h"

struct world {
    struct core_limits limits;
    struct names names;
    struct requests requests;
    uint64_t now_ms;
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    struct world *world = at;
    world->limits = *capacity;
    names_layout(&world->names, region, capacity);
    requests_layout(&world->requests, region, capacity);
}

static void save(const void *at, struct stream_out *out)
{
    const struct world *world = at;
    names_save(&world->names, out);
    requests_save(&world->requests, out);
}

static void load(void *at, struct stream_in *in)
{
    struct world *world = at;
    names_load(&world->names, in);
    if (in->error == 0) {
        requests_load(&world->requests, &world->names, in);
    }
}

static struct world *world_new(void)
{
    struct core_limits limits = parts_limits();
    struct world *world = parts_new(sizeof *world, layout, &limits);
    names_set_key(&world->names, (const uint8_t *)"0123456789abcdef");
    return world;
}

struct call {
    struct command_caller caller;
    enum command_kind method;
    uint64_t number; /* of the request id */
    struct bytes payload;
};

static struct call call_of(const char *principal, uint64_t number)
{
    return (struct call){.caller = {.tenant = TEXT("t"),
                                    .principal = bytes_of(principal, strlen(principal)),
                                    .user = TEXT("u")},
                         .method = COMMAND_CREATE,
                         .number = number,
                         .payload = TEXT("payload")};
}

/* As the core does: looks, executes (answer = number + 1,000), remembers. */
static enum request_outcome execute(struct world *world, const struct call *call,
                                    struct request_answer *answer)
{
    uint8_t id[LIMIT_REQUEST_ID_LENGTH] = {0};
    struct request_identity identity;
    memcpy(id, &call->number, sizeof call->number);
    id[15] = 1;
    requests_identify(&world->names, &call->caller, call->method, id, call->payload, &identity);
    enum request_outcome outcome =
        requests_check(&world->requests, &world->limits, world->now_ms, &identity, answer);
    if (outcome == REQUEST_NEW) {
        uint32_t tenant =
            names_intern(&world->names, &world->limits, NAME_TENANT, 0, call->caller.tenant);
        identity.principal = names_intern(&world->names, &world->limits, NAME_PRINCIPAL, tenant,
                                          call->caller.principal);
        assert_int_not_equal(identity.principal, 0);
        *answer =
            (struct request_answer){.answer = call->number + 1000, .accept_ms = world->now_ms + 7};
        requests_remember(&world->requests, &world->names, &world->limits, world->now_ms, &identity,
                          answer);
        names_release(&world->names, identity.principal);
        names_release(&world->names, tenant);
    }
    assert_null(requests_verify(&world->requests, &world->names, world->now_ms));
    return outcome;
}

static void expire(struct world *world)
{
    uint32_t budget = UINT32_MAX;
    requests_expire(&world->requests, &world->names, &world->limits, world->now_ms, &budget);
}

static void repetitions_get_the_first_answer(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    struct call call = call_of("p", 1);
    assert_int_equal(execute(world, &call, &answer), REQUEST_NEW);
    for (uint32_t i = 1; i <= 5; i++) {
        world->now_ms += 100;
        assert_int_equal(execute(world, &call, &answer), REQUEST_REPEATED);
        assert_int_equal(answer.answer, 1001);
        assert_int_equal(answer.accept_ms, 7);
    }
    assert_int_equal(world->requests.count, 1);
    call.payload = TEXT("payloae");
    assert_int_equal(execute(world, &call, &answer), REQUEST_REUSED);
    assert_int_equal(world->requests.count, 1);
    free(world);
}

/* Each part of the scope makes another request of the same 16 bytes. */
static void another_scope_is_another_request(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    struct call first = call_of("p", 1);
    assert_int_equal(execute(world, &first, &answer), REQUEST_NEW);
    struct call other = first;
    other.caller.principal = TEXT("q");
    assert_int_equal(execute(world, &other, &answer), REQUEST_NEW);
    other = first;
    other.caller.user = TEXT("v");
    assert_int_equal(execute(world, &other, &answer), REQUEST_NEW);
    other = first;
    other.caller.user = TEXT("");
    assert_int_equal(execute(world, &other, &answer), REQUEST_NEW);
    other = first;
    other.caller.tenant = TEXT("s");
    assert_int_equal(execute(world, &other, &answer), REQUEST_NEW);
    other = first;
    other.method = COMMAND_RECORD;
    assert_int_equal(execute(world, &other, &answer), REQUEST_NEW);
    other = first;
    other.caller.tenant = TEXT("tp"); /* the same bytes, divided elsewhere */
    other.caller.principal = TEXT("");
    uint8_t id[LIMIT_REQUEST_ID_LENGTH] = {1, [15] = 1};
    struct request_identity a;
    struct request_identity b;
    requests_identify(&world->names, &first.caller, first.method, id, first.payload, &a);
    requests_identify(&world->names, &other.caller, other.method, id, first.payload, &b);
    assert_memory_not_equal(a.identity, b.identity, sizeof a.identity);
    assert_int_equal(world->requests.count, 6);
    free(world);
}

static void kept_up_to_the_most_and_names_go_with_them(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    struct call call = call_of("p", 1);
    assert_int_equal(requests_deadline(&world->requests, &world->limits), UINT64_MAX);
    (void)execute(world, &call, &answer);
    assert_int_equal(requests_deadline(&world->requests, &world->limits), 600000);
    world->now_ms = 599999;
    expire(world);
    assert_int_equal(execute(world, &call, &answer), REQUEST_REPEATED);
    assert_int_equal(requests_kept_ms(&world->requests, &world->limits, world->now_ms), 600000);
    world->now_ms = 600000;
    expire(world);
    assert_int_equal(world->requests.count, 0);
    assert_int_equal(world->names.records.used, 0);
    assert_int_equal(execute(world, &call, &answer), REQUEST_NEW);
    free(world);
}

/* What left under a shorter time does not come back when the time becomes longer. */
static void a_raised_time_is_told_when_it_is_true(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    struct call call = call_of("p", 1);
    world->limits.request_id_most_ms = 120000;
    (void)execute(world, &call, &answer);
    world->now_ms = 120000;
    expire(world);
    assert_int_equal(world->requests.count, 0);
    assert_int_equal(requests_kept_ms(&world->requests, &world->limits, world->now_ms), 120000);
    world->limits.request_id_most_ms = 600000;
    assert_int_equal(requests_kept_ms(&world->requests, &world->limits, world->now_ms), 120000);
    world->now_ms = 500000;
    assert_int_equal(requests_kept_ms(&world->requests, &world->limits, world->now_ms), 500000);
    world->now_ms = 700000;
    assert_int_equal(requests_kept_ms(&world->requests, &world->limits, world->now_ms), 600000);
    free(world);
}

/* At the cap the oldest leaves once it is old enough, and what is kept is told. */
static void at_the_cap_the_oldest_leaves_or_the_newest_is_refused(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    for (uint64_t i = 0; i < 1024; i++) {
        struct call call = call_of(i % 3 == 0 ? "p" : i % 3 == 1 ? "q" : "r", i);
        world->now_ms = i * 10;
        assert_int_equal(execute(world, &call, &answer), REQUEST_NEW);
    }
    struct call late = call_of("p", 5000);
    world->now_ms = 119999;
    assert_int_equal(execute(world, &late, &answer), REQUEST_NO_ROOM);
    assert_int_equal(answer.retry_after_ms, 1);
    struct call first = call_of("p", 0);
    assert_int_equal(execute(world, &first, &answer), REQUEST_REPEATED);
    world->now_ms = 120000;
    assert_int_equal(execute(world, &late, &answer), REQUEST_NEW);
    assert_int_equal(requests_kept_ms(&world->requests, &world->limits, world->now_ms), 120000);
    assert_int_equal(execute(world, &first, &answer),
                     REQUEST_NO_ROOM); /* it has left; the next oldest is from 10 */
    assert_int_equal(answer.retry_after_ms, 10);
    assert_int_equal(world->requests.count, 1024);
    world->now_ms = 800000;
    expire(world);
    assert_int_equal(world->requests.count, 0);
    assert_int_equal(requests_kept_ms(&world->requests, &world->limits, world->now_ms), 600000);
    free(world);
}

static void who_holds_more_than_half_is_refused_first(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    for (uint64_t i = 0; i < 896; i++) { /* an eighth is left for the others */
        struct call call = call_of("greedy", i);
        assert_int_equal(execute(world, &call, &answer), REQUEST_NEW);
    }
    struct call more = call_of("greedy", 2000);
    struct call other = call_of("modest", 2000);
    assert_int_equal(execute(world, &more, &answer), REQUEST_NO_ROOM);
    assert_int_equal(answer.retry_after_ms, 120000);
    assert_int_equal(execute(world, &other, &answer), REQUEST_NEW);
    for (uint64_t i = 0; i < 127; i++) {
        struct call call = call_of("modest", 3000 + i);
        assert_int_equal(execute(world, &call, &answer), REQUEST_NEW);
    }
    other.number = 4000;
    assert_int_equal(execute(world, &other, &answer), REQUEST_NO_ROOM);
    free(world);
}

static void a_lowered_cap_lets_the_oldest_leave_in_their_time(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    world->limits.request_ids_max = 1024;
    for (uint64_t i = 0; i < 100; i++) {
        struct call call = call_of("p", i);
        world->now_ms = i * 1000;
        (void)execute(world, &call, &answer);
    }
    world->limits.request_ids_max = 40;
    world->now_ms = 130000;
    struct call late = call_of("p", 500);
    assert_int_equal(execute(world, &late, &answer), REQUEST_NEW); /* for the oldest */
    expire(world);
    assert_int_equal(world->requests.count, 90); /* those of 11,000 ms on are not old enough */
    assert_int_equal(requests_kept_ms(&world->requests, &world->limits, world->now_ms),
                     130000 - 10000);
    world->now_ms = 200000;
    expire(world);
    assert_int_equal(world->requests.count, 40);
    free(world);
}

static void survives_a_snapshot_wherever_the_ring_stands(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    struct parts_memory memory = {0};
    uint64_t number = 0;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 700; i++, number++) {
            struct call call = call_of(number % 2 == 0 ? "p" : "q", number);
            world->now_ms += 500;
            (void)execute(world, &call, &answer);
            expire(world);
        }
        parts_save(&memory, save, world);
        struct world *other = parts_new(sizeof *other, layout, &world->limits);
        assert_int_equal(parts_load(&memory, load, other), 0);
        assert_null(requests_verify(&other->requests, &other->names, world->now_ms));
        other->now_ms = world->now_ms;
        for (uint64_t back = 1; back <= 200; back++) {
            struct call call = call_of((number - back) % 2 == 0 ? "p" : "q", number - back);
            assert_int_equal(execute(other, &call, &answer), REQUEST_REPEATED);
            assert_int_equal(answer.answer, number - back + 1000);
        }
        struct parts_memory again = {0};
        parts_save(&again, save, other);
        assert_int_equal(again.length, memory.length);
        assert_memory_equal(again.at, memory.at, memory.length);
        free(again.at);
        free(world);
        world = other;
    }
    free(memory.at);
    free(world);
}

/* Any single flipped bit gives an error or a table that obeys its rules. */
static void damaged_snapshots_are_refused_or_harmless(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct request_answer answer;
    struct parts_memory memory = {0};
    for (uint64_t i = 0; i < 20; i++) {
        struct call call = call_of(i % 2 == 0 ? "p" : "q", i);
        (void)execute(world, &call, &answer);
    }
    parts_save(&memory, save, world);
    for (size_t bit = 0; bit < memory.length * 8; bit += 3) {
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct world *other = parts_new(sizeof *other, layout, &world->limits);
        if (parts_load(&memory, load, other) == 0) {
            (void)requests_verify(&other->requests, &other->names, world->now_ms);
        }
        free(other);
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    size_t whole = memory.length;
    for (memory.length = 0; memory.length < whole; memory.length += 7) {
        struct world *other = parts_new(sizeof *other, layout, &world->limits);
        assert_int_not_equal(parts_load(&memory, load, other), 0);
        free(other);
    }
    free(memory.at);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repetitions_get_the_first_answer),
        cmocka_unit_test(another_scope_is_another_request),
        cmocka_unit_test(kept_up_to_the_most_and_names_go_with_them),
        cmocka_unit_test(a_raised_time_is_told_when_it_is_true),
        cmocka_unit_test(at_the_cap_the_oldest_leaves_or_the_newest_is_refused),
        cmocka_unit_test(who_holds_more_than_half_is_refused_first),
        cmocka_unit_test(a_lowered_cap_lets_the_oldest_leave_in_their_time),
        cmocka_unit_test(survives_a_snapshot_wherever_the_ring_stands),
        cmocka_unit_test(damaged_snapshots_are_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
