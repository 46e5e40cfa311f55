/* What subscribers get, recorded message by message and read with protobuf-c: contiguous history,
 * latest progress, heartbeats, a goodbye. */
#include <pthread.h>

#include "activity/v1/feed.pb-c.h"
#include "server/feed/publish.h"
#include "server/wire/progress.h"
#include "tests/unit/server/feed/history.h"

#define MESSAGES_MAX 16384u

struct message {
    uint8_t *bytes;
    size_t length;
    uint64_t at_ms; /* real */
};

/* Who listens. */
static struct {
    struct history history;
    struct feed_publisher *publisher;
    atomic_uint subscribers;
    atomic_uint slow_ms; /* how long each message takes */
    atomic_bool held;    /* a message that is on its way does not come through */
    pthread_mutex_t lock;
    size_t count;
    struct message messages[MESSAGES_MAX];
} world;

static void record(void *context, const uint8_t *message, size_t length)
{
    (void)context;
    assert_in_range(length, 2, LIMIT_FEED_MESSAGE_BYTES);
    uint8_t *bytes = malloc(length);
    memcpy(bytes, message, length);
    (void)pthread_mutex_lock(&world.lock);
    assert_true(world.count < MESSAGES_MAX);
    world.messages[world.count++] = (struct message){bytes, length, real_ms()};
    (void)pthread_mutex_unlock(&world.lock);
    if (atomic_load(&world.slow_ms) != 0) {
        sleep_ms(atomic_load(&world.slow_ms));
    }
    while (atomic_load(&world.held)) {
        sleep_ms(1);
    }
}

static uint32_t subscribers(void *context)
{
    (void)context;
    return atomic_load(&world.subscribers);
}

static uint64_t now_ms(void *context)
{
    (void)context;
    return history_now(&world.history);
}

static void open_world(size_t ring_bytes, uint64_t head, uint32_t listeners)
{
    memset(&world, 0, sizeof world);
    (void)pthread_mutex_init(&world.lock, NULL);
    atomic_init(&world.subscribers, listeners);
    history_open(&world.history, ring_bytes, head);
    const struct feed_publisher_options options = {
        .ring = world.history.ring, .now_ms = now_ms, .send = record, .subscribers = subscribers};
    world.publisher = feed_publisher_start(&options);
    assert_non_null(world.publisher);
}

static int open_listened(void **state)
{
    (void)state;
    open_world(32u * 1024u * 1024u, 100, 1);
    return 0;
}

static int open_alone(void **state)
{
    (void)state;
    open_world(FEED_RING_BYTES_MIN, 0, 0);
    return 0;
}

static void stop(void)
{
    feed_publisher_stop(world.publisher);
    world.publisher = NULL;
}

static int close_world(void **state)
{
    (void)state;
    atomic_store(&world.held, false);
    stop();
    for (size_t i = 0; i < world.count; i++) {
        free(world.messages[i].bytes);
    }
    history_close(&world.history);
    return 0;
}

/* ---- What was recorded ---- */

static size_t message_count(void)
{
    (void)pthread_mutex_lock(&world.lock);
    size_t count = world.count;
    (void)pthread_mutex_unlock(&world.lock);
    return count;
}

typedef Activity__V1__HistoryFrame History;
typedef Activity__V1__ProgressFrame Progress;

/* NULL: it is of the other topic. */
static History *history_in(size_t nth)
{
    const struct message *message = &world.messages[nth];
    if (memcmp(message->bytes, "c|", 2) != 0) {
        return NULL;
    }
    History *frame =
        activity__v1__history_frame__unpack(NULL, message->length - 2, message->bytes + 2);
    assert_non_null(frame);
    assert_int_equal(frame->epoch, HISTORY_EPOCH);
    assert_int_equal(frame->n_events, frame->last_sequence + 1 - frame->first_sequence);
    for (size_t i = 0; i < frame->n_events; i++) {
        assert_int_equal(frame->events[i]->sequence, frame->first_sequence + i);
    }
    return frame;
}

static void free_history(History *frame)
{
    activity__v1__history_frame__free_unpacked(frame, NULL);
}

static Progress *progress_in(size_t nth)
{
    const struct message *message = &world.messages[nth];
    if (memcmp(message->bytes, "p|", 2) != 0) {
        return NULL;
    }
    Progress *frame =
        activity__v1__progress_frame__unpack(NULL, message->length - 2, message->bytes + 2);
    assert_non_null(frame);
    assert_int_equal(frame->epoch, HISTORY_EPOCH);
    return frame;
}

static void free_progress(Progress *frame)
{
    activity__v1__progress_frame__free_unpacked(frame, NULL);
}

/* What was published of the history until now; fails at a gap, unless there may be some. */
struct seen {
    uint64_t first; /* first_sequence of the first frame, 0: none */
    uint64_t last;
    uint64_t events;
    uint64_t gaps;
    uint64_t empty; /* frames */
    uint64_t frames;
    uint64_t goodbyes;
};
static struct seen see_history(void)
{
    struct seen seen = {0};
    size_t count = message_count();
    for (size_t i = 0; i < count; i++) {
        History *frame = history_in(i);
        if (frame == NULL) {
            continue;
        }
        if (seen.first == 0) {
            seen.first = frame->first_sequence;
        } else {
            assert_true(frame->first_sequence > seen.last); /* never back */
            seen.gaps += frame->first_sequence != seen.last + 1;
        }
        assert_int_equal(seen.goodbyes, 0); /* is the last one */
        seen.last = frame->last_sequence;
        seen.events += frame->n_events;
        seen.empty += frame->n_events == 0;
        seen.frames++;
        seen.goodbyes += frame->goodbye != 0;
        free_history(frame);
    }
    return seen;
}

static void await_sequence(uint64_t wanted)
{
    uint64_t began = real_ms();
    while (see_history().last < wanted) {
        assert_in_range(real_ms() - began, 0, 60000);
        sleep_ms(2);
    }
}

static size_t await_messages(size_t wanted)
{
    uint64_t began = real_ms();
    while (message_count() < wanted) {
        assert_in_range(real_ms() - began, 0, 60000);
        sleep_ms(1);
    }
    return message_count();
}

static void tell(struct told told)
{
    history_told(&world.history, told);
}

/* ---- History ---- */

static void every_event_once_and_in_order(void **state)
{
    (void)state;
    enum { EVENTS = 100000 };
    uint64_t told = 0;
    for (uint64_t entry = 0; told < EVENTS; entry++) {
        uint64_t size = 1 + entry * 7919 % 100;
        for (uint64_t i = 0; i < size && told < EVENTS; i++, told++) {
            history_add_told(&world.history, (struct told){.job_id = told + 1});
        }
        history_tell(&world.history);
        if (entry % 50 == 0) {
            sleep_ms(1);
        }
    }
    await_sequence(100 + EVENTS);
    stop();
    struct seen seen = see_history();
    assert_int_equal(seen.first, 101);
    assert_int_equal(seen.last, 100 + EVENTS);
    assert_int_equal(seen.events, EVENTS);
    assert_int_equal(seen.gaps, 0);
    assert_int_equal(seen.goodbyes, 1);
    for (size_t i = 0; i < world.count; i++) {
        assert_in_range(world.messages[i].length, 2, LIMIT_FEED_FRAME_BYTES + 64);
    }
}

static void a_frame_ends_at_its_bytes(void **state)
{
    (void)state;
    (void)await_messages(2); /* heartbeats */
    for (uint64_t i = 0; i < 100; i++) {
        history_add_told(&world.history, (struct told){.job_id = i + 1, .extra = 4000});
    }
    history_tell(&world.history);
    await_sequence(200);
    stop();
    uint64_t full = 0;
    for (size_t i = 0; i < world.count; i++) {
        assert_in_range(world.messages[i].length, 2, LIMIT_FEED_FRAME_BYTES + 64);
        full += world.messages[i].length > LIMIT_FEED_FRAME_BYTES - 4300;
    }
    assert_int_equal(full, 6); /* 15 of 4.2 KB each in six of them, and ten more */
    assert_int_equal(see_history().gaps, 0);
}

/* An event that is alone does not wait for others; events that come together leave together. */
static void what_comes_together_leaves_together(void **state)
{
    (void)state;
    size_t before = await_messages(2);
    uint64_t told_ms = real_ms();
    tell((struct told){.document = "1"});
    await_sequence(101);
    history_add_told(&world.history, (struct told){.document = "2"});
    history_add_told(&world.history, (struct told){.document = "3"});
    history_tell(&world.history);
    await_sequence(103);
    assert_int_equal(message_count(), before + 2);
    assert_in_range(world.messages[before].at_ms - told_ms, 0, 1000);
    History *frame = history_in(before);
    assert_int_equal(frame->first_sequence, 101);
    assert_int_equal(frame->last_sequence, 101);
    assert_string_equal(frame->events[0]->model_changed->document_id, "1");
    assert_string_equal(frame->events[0]->principal, "spiffe://test/gateway");
    assert_int_equal(frame->events[0]->time_ms, UINT64_C(1700000000101));
    free_history(frame);
    frame = history_in(before + 1);
    assert_int_equal(frame->first_sequence, 102);
    assert_int_equal(frame->last_sequence, 103);
    free_history(frame);
}

/* A stream of single events leaves in few messages. */
static void events_gather(void **state)
{
    (void)state;
    (void)await_messages(2);
    struct timespec pause = {.tv_nsec = 100000};
    for (int i = 0; i < 1000; i++) {
        tell((struct told){.document = "1"});
        (void)nanosleep(&pause, NULL);
    }
    await_sequence(1100);
    struct seen seen = see_history();
    print_message("1000 events, one by one, in %llu messages\n",
                  (unsigned long long)(seen.frames - seen.empty));
    assert_in_range(seen.frames - seen.empty, 1, 500);
}

/* ---- Who listens ---- */

static void nothing_is_made_for_nobody(void **state)
{
    (void)state;
    struct feed_publisher_status status;
    for (int i = 0; i < 20; i++) {
        tell((struct told){.document = "1"});
        history_pass(&world.history, 500);
        sleep_ms(10);
    }
    uint8_t fields[] = {0x18, 1};
    feed_publisher_progress(world.publisher, bytes_of(fields, sizeof fields));
    sleep_ms(60);
    feed_publisher_status(world.publisher, &status);
    assert_int_equal(status.frames, 0);
    assert_int_equal(message_count(), 0);
    stop(); /* nor a goodbye */
    assert_int_equal(message_count(), 0);
}

static void who_comes_learns_where_the_history_stands(void **state)
{
    (void)state;
    atomic_store(&world.history.frozen, true); /* no heartbeat is due */
    history_fill(&world.history, 500);
    sleep_ms(150); /* it has looked at the head since */
    atomic_store(&world.subscribers, 1);
    (void)await_messages(2);
    History *frame = history_in(0);
    assert_non_null(frame);
    assert_int_equal(frame->first_sequence, 501);
    assert_int_equal(frame->last_sequence, 500);
    assert_false(frame->goodbye);
    free_history(frame);
    Progress *progress = progress_in(1);
    assert_non_null(progress);
    assert_int_equal(progress->number, 0); /* there was none yet */
    assert_int_equal(progress->n_job_id_deltas, 0);
    free_progress(progress);
    tell((struct told){.document = "1"});
    await_sequence(501);
    assert_int_equal(message_count(), 3);
    atomic_store(&world.subscribers, 2); /* another one */
    (void)await_messages(5);
    struct seen seen = see_history();
    assert_int_equal(seen.gaps, 0);
    assert_int_equal(seen.events, 1);
    assert_int_equal(seen.empty, 2);
    atomic_store(&world.subscribers, 1); /* nobody cares */
    sleep_ms(120);
    assert_int_equal(message_count(), 5);
}

static void who_comes_while_events_come(void **state)
{
    (void)state;
    for (int i = 0; i < 400; i++) {
        if (i == 200) {
            atomic_store(&world.subscribers, 1);
        }
        tell((struct told){.document = "1"});
        sleep_ms(1);
    }
    await_sequence(400);
    struct seen seen = see_history();
    assert_int_equal(seen.gaps, 0);
    assert_in_range(seen.first, 2, 201 + 200);
    assert_int_equal(seen.events, 401 - seen.first);
}

/* ---- Heartbeats ---- */

static void once_a_second_on_both_topics(void **state)
{
    (void)state;
    tell((struct told){.document = "1"});
    await_sequence(101);
    sleep_ms(80); /* the other topic's first */
    size_t before = message_count();
    uint64_t began = real_ms();
    (void)await_messages(before + 4);
    assert_in_range(real_ms() - began, 1500, 30000);
    size_t history_beats = 0;
    size_t progress_beats = 0;
    for (size_t i = before; i < before + 4; i++) {
        History *history = history_in(i);
        Progress *progress = progress_in(i);
        if (history != NULL) {
            assert_int_equal(history->first_sequence, 102);
            assert_int_equal(history->last_sequence, 101);
            history_beats++;
        } else {
            assert_int_equal(progress->number, 0);
            progress_beats++;
        }
        free_history(history);
        free_progress(progress);
    }
    assert_int_equal(history_beats, 2);
    assert_int_equal(progress_beats, 2);
}

/* An event tells as much as a heartbeat. */
static void no_heartbeat_beside_events(void **state)
{
    (void)state;
    (void)await_messages(2);
    for (int i = 0; i < 60; i++) {
        tell((struct told){.document = "1"});
        await_sequence(101 + (uint64_t)i);
        history_pass(&world.history, 500);
    }
    struct seen seen = see_history();
    assert_int_equal(seen.events, 60);
    assert_in_range(seen.empty, 1, 20); /* one at the beginning, and when the machine was busy */
}

/* ---- Progress ---- */

static size_t progress_fields(uint8_t *to, uint64_t time_ms, uint8_t percent)
{
    uint8_t *end = encode_number(to, 3, time_ms);
    const uint8_t delta = 84; /* job 42 */
    end = encode_bytes(end, 4, bytes_of(&delta, 1));
    end = encode_bytes(end, 5, bytes_of(&percent, 1));
    end = encode_member(end, 6, history_text("acme"));
    return (size_t)(end - to);
}

static void put_progress(uint64_t time_ms)
{
    uint8_t fields[64];
    size_t length = progress_fields(fields, time_ms, (uint8_t)(time_ms % 100));
    feed_publisher_progress(world.publisher, bytes_of(fields, length));
}

/* Numbers are in order; what is left out was replaced by something newer, and the newest of all
 * arrives. */
static void the_latest_progress_arrives(void **state)
{
    (void)state;
    enum { PUT = 300 };
    for (uint64_t i = 1; i <= PUT; i++) {
        put_progress(i);
        if (i == 100) {
            atomic_store(&world.slow_ms, 20);
        }
        sleep_ms(i % 3);
    }
    atomic_store(&world.slow_ms, 0);
    uint64_t last = 0;
    uint64_t frames = 0;
    uint64_t began = real_ms();
    size_t at = 0;
    while (last < PUT) {
        assert_in_range(real_ms() - began, 0, 60000);
        for (; at < message_count(); at++) {
            Progress *frame = progress_in(at);
            if (frame != NULL && frame->n_job_id_deltas > 0) {
                assert_true(frame->number > last);
                last = frame->number;
                frames++;
                assert_int_equal(frame->time_ms, frame->number);
                assert_int_equal(frame->job_id_deltas[0], 42);
                assert_int_equal(frame->percents.data[0], frame->number % 100);
                assert_string_equal(frame->tenants[0], "acme");
            } else if (frame != NULL) {
                assert_int_equal(frame->number, last); /* a heartbeat */
            }
            free_progress(frame);
        }
        sleep_ms(1);
    }
    print_message("%llu of %d were published\n", (unsigned long long)frames, PUT);
    assert_in_range(frames, 20, PUT - 1);
    struct feed_publisher_status status;
    feed_publisher_status(world.publisher, &status);
    assert_in_range(status.progress_frames, frames, frames + 20);
}

/* What was collected while nobody listened is missing for those who come back, and they see it. */
static void numbers_go_on_while_nobody_listens(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        put_progress(i);
    }
    sleep_ms(120);
    atomic_store(&world.subscribers, 1);
    (void)await_messages(2);
    Progress *frame = progress_in(1);
    assert_non_null(frame);
    assert_int_equal(frame->number, 5);
    assert_int_equal(frame->n_job_id_deltas, 0);
    free_progress(frame);
    put_progress(6);
    (void)await_messages(3);
    frame = progress_in(2);
    assert_non_null(frame);
    assert_int_equal(frame->number, 6);
    free_progress(frame);
}

static void the_longest_progress_fits(void **state)
{
    (void)state;
    (void)await_messages(2);
    uint8_t *fields = malloc(PROGRESS_FIELDS_MAX);
    uint8_t *end = encode_head(fields, 5, PROGRESS_FIELDS_MAX - 4);
    memset(end, 7, PROGRESS_FIELDS_MAX - 4);
    size_t length = (size_t)(end - fields) + PROGRESS_FIELDS_MAX - 4;
    assert_int_equal(length, PROGRESS_FIELDS_MAX);
    feed_publisher_progress(world.publisher, bytes_of(fields, length));
    free(fields);
    (void)await_messages(3);
    Progress *frame = progress_in(2);
    assert_non_null(frame);
    assert_int_equal(frame->percents.len, PROGRESS_FIELDS_MAX - 4);
    assert_int_equal(frame->number, 1);
    free_progress(frame);
}

/* ---- Slowness and the end ---- */

/* The ring is faster than the endpoint: the hole is seen in the numbers, and it is no larger than
 * it must be. */
static void overtaken_by_the_ring(void **state)
{
    (void)state;
    atomic_store(&world.history.frozen, true);
    sleep_ms(150);
    atomic_store(&world.subscribers, 1);
    (void)await_messages(2);
    atomic_store(&world.held, true);
    tell((struct told){.document = "1"});
    size_t before = await_messages(3);
    for (int i = 0; i < 2000; i++) {
        tell((struct told){.job_id = 1, .extra = 4000});
    }
    struct feed_ring_state now = history_state(&world.history);
    assert_in_range(now.oldest_sequence, 1500, 1999);
    assert_int_equal(now.head_sequence, 2001);
    atomic_store(&world.held, false);
    await_sequence(2001);
    struct seen seen = see_history();
    assert_int_equal(seen.gaps, 1);
    assert_int_equal(seen.events, 1 + 2002 - now.oldest_sequence);
    History *frame = history_in(before);
    assert_non_null(frame);
    assert_int_equal(frame->first_sequence, now.oldest_sequence);
    free_history(frame);
}

static void the_rest_and_a_goodbye(void **state)
{
    (void)state;
    (void)await_messages(2);
    for (int i = 0; i < 10; i++) {
        tell((struct told){.document = "1"});
    }
    stop(); /* at once */
    struct seen seen = see_history();
    assert_int_equal(seen.last, 110);
    assert_int_equal(seen.events, 10);
    assert_int_equal(seen.gaps, 0);
    assert_int_equal(seen.goodbyes, 1);
    History *last = history_in(world.count - 1);
    assert_non_null(last); /* nothing after it on any topic */
    assert_true(last->goodbye);
    assert_int_equal(last->last_sequence, 110);
    free_history(last);
}

static void what_is_published_is_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        tell((struct told){.document = "1"});
    }
    await_sequence(1100);
    struct feed_publisher_status status;
    feed_publisher_status(world.publisher, &status);
    assert_int_equal(status.events, 1000);
    (void)pthread_mutex_lock(&world.lock);
    size_t bytes = 0;
    for (size_t i = 0; i < world.count; i++) {
        bytes += world.messages[i].length;
    }
    assert_in_range(status.frames, world.count - 2, world.count + 2);
    assert_in_range(status.bytes, bytes - 200, bytes + 200); /* a heartbeat may be on its way */
    (void)pthread_mutex_unlock(&world.lock);
    assert_in_range(feed_publisher_memory_bytes(), 400000, 1000000);
}

#define LISTENED(name) cmocka_unit_test_setup_teardown(name, open_listened, close_world)
#define ALONE(name)    cmocka_unit_test_setup_teardown(name, open_alone, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LISTENED(every_event_once_and_in_order),
        LISTENED(a_frame_ends_at_its_bytes),
        LISTENED(what_comes_together_leaves_together),
        LISTENED(events_gather),
        ALONE(nothing_is_made_for_nobody),
        ALONE(who_comes_learns_where_the_history_stands),
        ALONE(who_comes_while_events_come),
        LISTENED(once_a_second_on_both_topics),
        LISTENED(no_heartbeat_beside_events),
        LISTENED(the_latest_progress_arrives),
        ALONE(numbers_go_on_while_nobody_listens),
        LISTENED(the_longest_progress_fits),
        ALONE(overtaken_by_the_ring),
        LISTENED(the_rest_and_a_goodbye),
        LISTENED(what_is_published_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
