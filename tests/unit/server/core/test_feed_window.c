/* The feed window: every kept event is found by its sequence, and the window tells from where it is
 * complete. */
#include "tests/unit/server/core/parts.h"

#include "server/core/effect.h"
#include "server/core/feed_window.h"

struct world {
    struct core_limits limits;
    struct feed_window feed;
    uint64_t now_ms;
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    struct world *world = at;
    world->limits = *capacity;
    feed_window_layout(&world->feed, region, capacity);
}

static void save(const void *at, struct stream_out *out)
{
    feed_window_save(&((const struct world *)at)->feed, out);
}
static void load(void *at, struct stream_in *in)
{
    feed_window_load(&((struct world *)at)->feed, in);
}

static struct world *world_new(void)
{
    struct core_limits limits = parts_limits();
    return parts_new(sizeof(struct world), layout, &limits);
}

/* An event whose title has a length and content that follow from its sequence. */
static uint32_t event_bytes(uint64_t sequence, uint8_t *to)
{
    static uint8_t title[LIMIT_TITLE_LENGTH + LIMIT_ATTRIBUTES_BYTES];
    uint64_t seed = sequence + 1;
    uint32_t length = (uint32_t)(parts_random(&seed) % 3 == 0 ? parts_random(&seed) % sizeof title
                                                              : parts_random(&seed) % 40);
    memset(title, (int)('a' + sequence % 26), length);
    struct event event = {.kind = EVENT_ACTIVITY_CREATED,
                          .sequence = sequence,
                          .tenant = TEXT("t"),
                          .created = {.title = bytes_of(title, length)}};
    struct writer out = writer_of(to, EVENT_BYTES_MAX);
    event_encode(&event, &out);
    assert_false(out.failed);
    return (uint32_t)out.wanted;
}

static void append(struct world *world)
{
    uint8_t body[EVENT_BYTES_MAX];
    uint32_t length = event_bytes(world->feed.head_sequence + 1, body);
    feed_window_append(&world->feed, &world->limits, world->now_ms, EVENT_ACTIVITY_CREATED,
                       bytes_of(body, length));
}

static void check_read(const struct world *world, uint64_t sequence)
{
    uint8_t expected[EVENT_BYTES_MAX];
    uint8_t found[EVENT_BYTES_MAX];
    uint8_t kind = 0;
    uint32_t length = 0;
    assert_true(feed_window_read(&world->feed, sequence, &kind, found, &length));
    assert_int_equal(kind, EVENT_ACTIVITY_CREATED);
    assert_int_equal(length, event_bytes(sequence, expected));
    assert_memory_equal(found, expected, length);
}

static void check_all(const struct world *world)
{
    uint8_t to[EVENT_BYTES_MAX];
    uint8_t kind;
    uint32_t length;
    assert_null(feed_window_verify(&world->feed, world->now_ms));
    assert_false(
        feed_window_read(&world->feed, world->feed.oldest_sequence - 1, &kind, to, &length));
    assert_false(feed_window_read(&world->feed, world->feed.head_sequence + 1, &kind, to, &length));
    for (uint64_t sequence = world->feed.oldest_sequence; sequence <= world->feed.head_sequence;
         sequence++) {
        check_read(world, sequence);
    }
}

static void an_empty_window_begins_behind_its_head(void **state)
{
    (void)state;
    struct world *world = world_new();
    assert_int_equal(world->feed.oldest_sequence, 1);
    assert_int_equal(world->feed.head_sequence, 0);
    assert_int_equal(feed_window_deadline(&world->feed, &world->limits), UINT64_MAX);
    check_all(world);
    append(world);
    check_all(world);
    free(world);
}

static void old_events_leave_and_the_rest_is_found(void **state)
{
    (void)state;
    struct world *world = world_new();
    for (uint32_t i = 0; i < 300; i++) {
        world->now_ms = i * 100;
        append(world);
    }
    assert_int_equal(feed_window_deadline(&world->feed, &world->limits), 60000);
    world->now_ms = 60000 + 100 * 99;
    uint32_t budget = 40;
    feed_window_expire(&world->feed, &world->limits, world->now_ms, &budget);
    assert_int_equal(budget, 0);
    assert_int_equal(world->feed.oldest_sequence, 41);
    budget = 1000;
    feed_window_expire(&world->feed, &world->limits, world->now_ms, &budget);
    assert_int_equal(budget, 940);
    assert_int_equal(world->feed.oldest_sequence, 101);
    check_all(world);
    world->now_ms = 1000000;
    feed_window_expire(&world->feed, &world->limits, world->now_ms, &budget);
    assert_int_equal(world->feed.oldest_sequence, 301);
    assert_int_equal(world->feed.head_sequence, 300);
    append(world);
    check_all(world);
    free(world);
}

/* Many times around the ring; a full window gives up its oldest. */
static void the_ring_wraps_at_any_place(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint64_t most = 0;
    for (uint32_t i = 0; i < 30000; i++) {
        append(world);
        assert_true(world->feed.head_at - world->feed.oldest_at <= world->limits.feed_window_bytes);
        uint64_t kept = world->feed.head_sequence - world->feed.oldest_sequence + 1;
        most = kept > most ? kept : most;
        check_read(world, world->feed.oldest_sequence);
        check_read(world, world->feed.oldest_sequence + kept / 2);
        check_read(world, world->feed.head_sequence);
    }
    assert_true(most > 500);
    assert_true(world->feed.head_at / world->feed.ring_bytes > 10);
    check_all(world);
    free(world);
}

static void a_lowered_cap_empties_in_steps(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    limits.feed_window_bytes = MIB(4);
    struct world *world = parts_new(sizeof(struct world), layout, &limits);
    for (uint32_t i = 0; i < 5000; i++) {
        append(world);
    }
    world->limits.feed_window_bytes = MIB(1);
    assert_int_equal(feed_window_deadline(&world->feed, &world->limits), 0);
    uint32_t budget = 10;
    feed_window_expire(&world->feed, &world->limits, world->now_ms, &budget);
    assert_int_equal(budget, 0);
    budget = 100000;
    feed_window_expire(&world->feed, &world->limits, world->now_ms, &budget);
    assert_true(world->feed.head_at - world->feed.oldest_at <= MIB(1));
    check_all(world);
    free(world);
}

/* The window is state; where it lies in the ring, and the ring's size, are not. */
static void snapshots(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct parts_memory memory = {0};
    struct parts_memory again = {0};
    for (uint32_t i = 0; i < 3000; i++) {
        append(world);
    }
    parts_save(&memory, save, world);
    struct core_limits larger = world->limits;
    larger.feed_window_bytes = MIB(3);
    struct world *other = parts_new(sizeof *other, layout, &larger);
    other->limits = world->limits;
    assert_int_equal(parts_load(&memory, load, other), 0);
    assert_int_equal(other->feed.oldest_sequence, world->feed.oldest_sequence);
    check_all(other);
    for (uint32_t i = 0; i < 3000; i++) {
        append(world);
        append(other);
    }
    parts_save(&memory, save, world);
    parts_save(&again, save, other);
    assert_int_equal(again.length, memory.length);
    assert_memory_equal(again.at, memory.at, memory.length);
    free(other);

    uint64_t seed = 5;
    for (uint32_t i = 0; i < 300; i++) {
        size_t bit = (size_t)(parts_random(&seed) % (i % 2 == 0 ? 4096 : memory.length * 8));
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        other = parts_new(sizeof *other, layout, &larger);
        if (parts_load(&memory, load, other) == 0) {
            (void)feed_window_verify(&other->feed, world->now_ms);
        }
        free(other);
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    memory.length -= 1;
    other = parts_new(sizeof *other, layout, &larger);
    assert_int_not_equal(parts_load(&memory, load, other), 0);
    free(other);
    free(memory.at);
    free(again.at);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_window_begins_behind_its_head),
        cmocka_unit_test(old_events_leave_and_the_rest_is_found),
        cmocka_unit_test(the_ring_wraps_at_any_place),
        cmocka_unit_test(a_lowered_cap_empties_in_steps),
        cmocka_unit_test(snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
