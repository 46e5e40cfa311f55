/* The ring against a plain list of what was told: every event, whole and in order, from wherever
 * one reads, until its bytes are needed or its time is over. */
#include "tests/unit/proto/chance.h"

#include <pthread.h>
#include <sched.h>

#include "proto/field.h"
#include "proto/varint.h"
#include "tests/unit/server/feed/history.h"

static struct history history;
static _Alignas(8) uint8_t copy[FEED_RING_COPY_MAX];

static int open_small(void **state)
{
    (void)state;
    history_open(&history, FEED_RING_BYTES_MIN, 0);
    history.frozen = true;
    return 0;
}

static int close_ring(void **state)
{
    (void)state;
    history_close(&history);
    return 0;
}

static void assert_state(uint64_t oldest, uint64_t head)
{
    struct feed_ring_state state = history_state(&history);
    assert_int_equal(state.epoch, HISTORY_EPOCH);
    assert_int_equal(state.oldest_sequence, oldest);
    assert_int_equal(state.head_sequence, head);
}

/* The extra bytes of an event tell its sequence apart from others' at the same place. */
static uint32_t extra_of(uint64_t sequence)
{
    return (uint32_t)(sequence * UINT64_C(2654435761) % 1000);
}

static void tell_numbered(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t sequence = history.sequence + 1;
        history_add_told(&history, (struct told){.job_id = sequence, .extra = extra_of(sequence)});
    }
    history_tell(&history);
}

static void assert_numbered(const struct feed_ring_event *event, uint64_t sequence)
{
    assert_int_equal(event->sequence, sequence);
    assert_int_equal(event->key.kind, EVENT_ACTIVITY_CREATED);
    struct bytes encoded = feed_ring_encoded(event);
    struct view rest = {encoded.at, encoded.length};
    struct field field;
    uint64_t found = 0;
    struct view own = {NULL, 0};
    while (field_next(&rest, &field) == FIELD_READ) {
        found = field.number == 1 ? field.value : found;
        own = field.number == 7 ? field.bytes : own;
    }
    assert_int_equal(rest.length, 0);
    assert_int_equal(found, sequence);
    assert_true(own.length > extra_of(sequence));
    assert_int_equal(own.bytes[0], 8); /* job_id */
    uint64_t job_id;
    assert_true(varint_read(own.bytes + 1, own.bytes + own.length, &job_id) != 0);
    assert_int_equal(job_id, sequence);
}

/* Reads everything after `after` in copies of `size`; returns how many events there were. */
static uint64_t read_all(uint64_t after, size_t size)
{
    uint64_t begin = after;
    size_t copied;
    while ((copied = feed_ring_copy(history.ring, after, copy, size)) > 0) {
        assert_true(copied <= size);
        const struct feed_ring_event *event;
        size_t at = 0;
        while ((event = feed_ring_next(copy, copied, &at)) != NULL) {
            assert_numbered(event, ++after);
        }
        assert_int_equal(at, copied);
    }
    return after - begin;
}

static void a_new_ring_is_empty(void **state)
{
    (void)state;
    assert_state(1, 0);
    assert_int_equal(feed_ring_copy(history.ring, 0, copy, sizeof copy), 0);
    assert_int_equal(feed_ring_copy(history.ring, 77, copy, sizeof copy), 0);
    assert_int_equal(feed_ring_copy(history.ring, UINT64_MAX, copy, sizeof copy), 0);
}

static void history_goes_on_where_it_stood(void **state)
{
    (void)state;
    struct history other;
    history_open(&other, FEED_RING_BYTES_MIN, 4711);
    assert_int_equal(history_state(&other).head_sequence, 4711);
    assert_int_equal(history_state(&other).oldest_sequence, 4712);
    assert_int_equal(feed_ring_copy(other.ring, 4711, copy, sizeof copy), 0);
    history_told(&other, (struct told){.document = "1"});
    size_t at = 0;
    size_t copied = feed_ring_copy(other.ring, 4711, copy, sizeof copy);
    assert_int_equal(feed_ring_next(copy, copied, &at)->sequence, 4712);
    assert_null(feed_ring_next(copy, copied, &at));
    history_close(&other);
}

static void only_events_come_in(void **state)
{
    (void)state;
    uint8_t refusal[5] = {0};
    history_effect(&history, EFFECT_REPLY, COMMAND_CREATE, bytes_of(refusal, sizeof refusal));
    tell_numbered(1);
    history_effect(&history, EFFECT_REPLY, COMMAND_CREATE, bytes_of(refusal, sizeof refusal));
    history_tell(&history);
    assert_state(1, 1);
    assert_int_equal(read_all(0, sizeof copy), 1);
}

/* Every position, every size of copies, across the end of the ring many times. */
static void events_are_whole_from_everywhere(void **state)
{
    (void)state;
    for (size_t round = 0; round < rounds(60); round++) {
        tell_numbered(1 + below(round % 7 == 0 ? 700 : 90));
        struct feed_ring_state now = history_state(&history);
        assert_int_equal(now.head_sequence, history.sequence);
        uint64_t kept = now.head_sequence + 1 - now.oldest_sequence;
        assert_int_equal(read_all(now.oldest_sequence - 1, sizeof copy), kept);
        for (size_t i = 0; i < 20; i++) {
            uint64_t after = now.oldest_sequence - 1 + below((size_t)kept + 1);
            size_t size = FEED_RING_COPY_MIN + below(40000);
            assert_int_equal(read_all(after, size), now.head_sequence - after);
        }
        if (now.oldest_sequence > 1) {
            assert_int_equal(
                feed_ring_copy(history.ring, now.oldest_sequence - 2, copy, sizeof copy), 0);
        }
    }
    assert_true(history_state(&history).oldest_sequence > 1000); /* it was round often */
}

static void bytes_are_used_up_before_anything_leaves(void **state)
{
    (void)state;
    while (history_state(&history).oldest_sequence == 1) {
        tell_numbered(1);
    }
    struct feed_ring_state now = history_state(&history);
    size_t bytes = 0;
    uint64_t after = now.oldest_sequence - 1;
    size_t copied;
    while ((copied = feed_ring_copy(history.ring, after, copy, sizeof copy)) > 0) {
        size_t at = 0;
        while (feed_ring_next(copy, copied, &at) != NULL) {
            after++;
        }
        bytes += copied;
    }
    assert_int_equal(after, now.head_sequence);
    assert_in_range(bytes, FEED_RING_BYTES_MIN - 2 * FEED_RING_COPY_MIN, FEED_RING_BYTES_MIN);
}

/* One entry with more than the ring holds. */
static void an_entry_may_exceed_the_ring(void **state)
{
    (void)state;
    tell_numbered(3500);
    struct feed_ring_state now = history_state(&history);
    assert_int_equal(now.head_sequence, 3500);
    assert_in_range(now.oldest_sequence, 2, 3400);
    assert_int_equal(read_all(now.oldest_sequence - 1, sizeof copy), 3501 - now.oldest_sequence);
}

static void events_leave_when_their_time_is_over(void **state)
{
    (void)state;
    tell_numbered(100);
    history_pass(&history, 1000);
    tell_numbered(37);
    history_pass(&history, HISTORY_KEEP_MS - 1001);
    assert_state(1, 137);
    history_pass(&history, 1);
    assert_state(101, 137);
    assert_int_equal(feed_ring_copy(history.ring, 99, copy, sizeof copy), 0);
    assert_int_equal(read_all(100, sizeof copy), 37);
    history_pass(&history, 999);
    assert_state(101, 137);
    history_pass(&history, 1);
    assert_state(138, 137);
    assert_int_equal(feed_ring_copy(history.ring, 136, copy, sizeof copy), 0);
    tell_numbered(1);
    assert_state(138, 138);
    assert_int_equal(read_all(137, sizeof copy), 1);
}

/* Copying looks at the time by itself. */
static void what_is_over_is_not_copied(void **state)
{
    (void)state;
    tell_numbered(20);
    history_pass(&history, HISTORY_KEEP_MS);
    assert_int_equal(feed_ring_copy(history.ring, 5, copy, sizeof copy), 0);
}

/* Each event at its own time, over many strides: against a list of times. */
static void times_are_exact_for_every_event(void **state)
{
    (void)state;
    static uint64_t told_ms[6000];
    for (size_t round = 0; round < 2000; round++) {
        tell_numbered(1 + below(3));
        for (uint64_t s = history_state(&history).head_sequence; s > 0 && told_ms[s] == 0; s--) {
            told_ms[s] = history_now(&history);
        }
        history_pass(&history, below(100) == 0 ? below(40000) : below(900));
        uint64_t now_ms = history_now(&history);
        uint64_t oldest = history.sequence + 1;
        while (oldest > 1 && now_ms - told_ms[oldest - 1] < HISTORY_KEEP_MS) {
            oldest--;
        }
        assert_state(oldest, history.sequence);
    }
}

/* Times are kept in 32 bits: a ring that nobody looked at for weeks. */
static void a_long_silence(void **state)
{
    (void)state;
    tell_numbered(10);
    history_pass(&history, ((uint64_t)1 << 32) + 5);
    assert_state(11, 10);
    tell_numbered(3);
    history_pass(&history, ((uint64_t)1 << 32) - HISTORY_KEEP_MS / 2);
    tell_numbered(2);
    assert_state(14, 15);
    assert_int_equal(read_all(13, sizeof copy), 2);
}

/* Those who follow the head get what happens even if nothing is to be kept. */
static void nothing_to_keep_is_kept_for_a_moment(void **state)
{
    (void)state;
    const struct feed_ring_options options = {
        .bytes = 0, .keep_ms = 0, .epoch = 1, .now_ms = history_now, .context = &history};
    struct feed_ring *own = history.ring;
    history.ring = feed_ring_new(&options);
    assert_non_null(history.ring);
    tell_numbered(3);
    assert_int_equal(read_all(0, sizeof copy), 3);
    history_pass(&history, FEED_RING_KEEP_MIN_MS);
    assert_int_equal(feed_ring_copy(history.ring, 0, copy, sizeof copy), 0);
    feed_ring_free(history.ring);
    history.ring = own;
    assert_in_range(feed_ring_memory_bytes(&options), FEED_RING_BYTES_MIN, 2 * FEED_RING_BYTES_MIN);
}

/* ---- Waiting ---- */

static void waiting_ends_by_time(void **state)
{
    (void)state;
    struct feed_waiter waiter;
    history.frozen = false;
    feed_waiter_init(&waiter, history.ring);
    uint64_t began = real_ms();
    feed_waiter_wait(&waiter, 0, history_now(&history) + 60);
    assert_in_range(real_ms() - began, 59, 5000);
    began = real_ms();
    feed_waiter_wait(&waiter, 0, history_now(&history));
    feed_waiter_wait(&waiter, 0, 0);
    assert_in_range(real_ms() - began, 0, 400);
    /* However long it may be: the caller gets to look at the clock. */
    began = real_ms();
    feed_waiter_wait(&waiter, UINT64_MAX, UINT64_MAX);
    assert_in_range(real_ms() - began, 499, 10000);
    feed_waiter_deinit(&waiter);
}

static void waiting_ends_when_there_is_an_event(void **state)
{
    (void)state;
    struct feed_waiter waiter;
    feed_waiter_init(&waiter, history.ring);
    tell_numbered(2);
    uint64_t began = real_ms();
    feed_waiter_wait(&waiter, 1, UINT64_MAX); /* there already */
    assert_in_range(real_ms() - began, 0, 400);
    feed_waiter_wait(&waiter, 2, history_now(&history) + 20); /* not yet */
    assert_in_range(real_ms() - began, 20, 10000);
    feed_waiter_deinit(&waiter);
}

static void ringing_is_remembered_once(void **state)
{
    (void)state;
    struct feed_waiter waiter;
    feed_waiter_init(&waiter, history.ring);
    feed_waiter_ring(&waiter);
    feed_waiter_ring(&waiter);
    uint64_t began = real_ms();
    feed_waiter_wait(&waiter, 0, UINT64_MAX);
    assert_in_range(real_ms() - began, 0, 400);
    feed_waiter_wait(&waiter, 0, history_now(&history) + 30);
    assert_in_range(real_ms() - began, 30, 10000);
    feed_waiter_deinit(&waiter);
    feed_waiter_deinit(&waiter); /* twice is fine */
}

/* ---- Together ---- */

#define THREADED_EVENTS 60000u
static atomic_bool done;

static void *follow(void *context)
{
    uint64_t *seen = context;
    uint8_t *mine = malloc(FEED_RING_COPY_MAX);
    struct feed_waiter waiter;
    uint64_t after = 0;
    feed_waiter_init(&waiter, history.ring);
    while (after < THREADED_EVENTS) {
        size_t copied = feed_ring_copy(history.ring, after, mine, FEED_RING_COPY_MAX);
        if (copied == 0) {
            struct feed_ring_state now = history_state(&history);
            if (now.oldest_sequence > after + 1) {
                after = now.oldest_sequence - 1; /* overtaken */
                continue;
            }
            feed_waiter_wait(&waiter, after, UINT64_MAX);
            continue;
        }
        const struct feed_ring_event *event;
        for (size_t at = 0; (event = feed_ring_next(mine, copied, &at)) != NULL;) {
            assert_numbered(event, ++after);
            (*seen)++;
        }
    }
    feed_waiter_deinit(&waiter);
    free(mine);
    return NULL;
}

/* Reads here and there, and expects nothing but whole events. */
static void *wander(void *context)
{
    uint64_t *seen = context;
    uint8_t *mine = malloc(FEED_RING_COPY_MAX);
    uint64_t chance = 88172645463325252u;
    while (!atomic_load(&done)) {
        struct feed_ring_state now = history_state(&history);
        chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t kept = now.head_sequence + 1 - now.oldest_sequence;
        uint64_t after = now.oldest_sequence - 1 + (chance >> 33) % (kept + 1);
        size_t copied = feed_ring_copy(history.ring, after, mine, FEED_RING_COPY_MIN + 20000);
        const struct feed_ring_event *event;
        for (size_t at = 0; (event = feed_ring_next(mine, copied, &at)) != NULL;) {
            assert_numbered(event, ++after);
            (*seen)++;
        }
    }
    free(mine);
    return NULL;
}

static void one_writes_and_many_read(void **state)
{
    (void)state;
    history.frozen = false;
    atomic_store(&done, false);
    pthread_t threads[4];
    uint64_t seen[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? follow : wander, &seen[i]), 0);
    }
    while (history.sequence < THREADED_EVENTS) {
        size_t left = THREADED_EVENTS - history.sequence;
        size_t count = 1 + below(50);
        tell_numbered(count < left ? count : left);
    }
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    atomic_store(&done, true);
    assert_int_equal(pthread_join(threads[2], NULL), 0);
    assert_int_equal(pthread_join(threads[3], NULL), 0);
    print_message("events seen: %llu and %llu of %u by followers, %llu and %llu by wanderers\n",
                  (unsigned long long)seen[0], (unsigned long long)seen[1], THREADED_EVENTS,
                  (unsigned long long)seen[2], (unsigned long long)seen[3]);
    assert_in_range(seen[0], 1000, THREADED_EVENTS);
    assert_in_range(seen[1], 1000, THREADED_EVENTS);
}

/* One event at a time, and the next one when it was seen: a lost wake-up would take 500 ms. */
static atomic_uint_fast64_t arrived;

static void *echo(void *context)
{
    struct feed_waiter *waiter = context;
    uint64_t after = 0;
    while (after < 3000) {
        feed_waiter_wait(waiter, after, UINT64_MAX);
        after = history_state(&history).head_sequence;
        atomic_store(&arrived, after);
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    struct feed_waiter waiter;
    pthread_t thread;
    atomic_store(&arrived, 0);
    feed_waiter_init(&waiter, history.ring);
    uint64_t began = real_ms();
    assert_int_equal(pthread_create(&thread, NULL, echo, &waiter), 0);
    for (uint64_t i = 1; i <= 3000; i++) {
        tell_numbered(1);
        while (atomic_load(&arrived) < i) {
            (void)sched_yield();
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    feed_waiter_deinit(&waiter);
    assert_in_range(real_ms() - began, 0, 60000); /* with one in ten lost it would be 150 s */
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, open_small, close_ring)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(a_new_ring_is_empty),
        RING_TEST(history_goes_on_where_it_stood),
        RING_TEST(only_events_come_in),
        RING_TEST(events_are_whole_from_everywhere),
        RING_TEST(bytes_are_used_up_before_anything_leaves),
        RING_TEST(an_entry_may_exceed_the_ring),
        RING_TEST(events_leave_when_their_time_is_over),
        RING_TEST(what_is_over_is_not_copied),
        RING_TEST(times_are_exact_for_every_event),
        RING_TEST(a_long_silence),
        RING_TEST(nothing_to_keep_is_kept_for_a_moment),
        RING_TEST(waiting_ends_by_time),
        RING_TEST(waiting_ends_when_there_is_an_event),
        RING_TEST(ringing_is_remembered_once),
        RING_TEST(one_writes_and_many_read),
        RING_TEST(no_wake_up_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
