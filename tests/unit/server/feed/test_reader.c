/* ReadChanges from the ring: cursors, resets, rights, pages; those who wait, however many. */
#include "tests/unit/server/feed/readers.h"

static struct readers readers;

static int open_readers(void **state)
{
    (void)state;
    readers_open(&readers, FEED_RING_BYTES_MIN, 0, 4096);
    return 0;
}

static int open_large(void **state)
{
    (void)state;
    readers_open(&readers, 64u * 1024u * 1024u, 0, 4096);
    return 0;
}

static int close_readers(void **state)
{
    (void)state;
    readers_close(&readers);
    return 0;
}

static void tell(struct told told)
{
    history_told(&readers.history, told);
}

/* ---- Reading ---- */

static void from_now_is_the_head(void **state)
{
    (void)state;
    assert_empty(&readers, ask(&readers, asked_from_now(0)), 0);
    tell((struct told){.group = "*", .document = "1"});
    tell((struct told){.group = "*", .document = "2"});
    assert_empty(&readers, ask(&readers, asked_from_now(0)), 2);
}

static void after_a_cursor_everything_follows(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        tell((struct told){.group = "*", .document = "1"});
    }
    assert_events(&readers, ask(&readers, asked_after(0)), (const uint64_t[]){1, 2, 3, 4, 5}, 5);
    assert_events(&readers, ask(&readers, asked_after(3)), (const uint64_t[]){4, 5}, 2);
    assert_empty(&readers, ask(&readers, asked_after(5)), 5);
    Response *read = read_once(&readers, asked_after(4));
    assert_int_equal(read->oldest_sequence, 1);
    assert_int_equal(read->head_sequence, 5);
    assert_int_equal(read->cursor->sequence, 5);
    assert_string_equal(read->events[0]->model_changed->document_id, "1");
    assert_string_equal(read->events[0]->tenant, "acme");
    free_response(read);
}

/* The cursor passes over what is not the caller's. */
static void only_what_the_caller_may_see(void **state)
{
    (void)state;
    tell((struct told){.user = "anna", .document = "1"});
    tell((struct told){.user = "bert", .document = "2"});
    tell((struct told){.tenant = "other", .user = "anna", .document = "3"});
    tell((struct told){.user = "bert", .group = "editors", .job_id = 7});
    struct asked anna = asked_after(0);
    anna.user = "anna";
    assert_one(&readers, ask(&readers, anna), 1);
    anna.group = "editors";
    assert_events(&readers, ask(&readers, anna), (const uint64_t[]){1, 4}, 2);
    struct asked stranger = asked_after(0);
    stranger.user = "carl";
    assert_empty(&readers, ask(&readers, stranger), 4);
    struct asked gateway = asked_after(0); /* recorded and created all of them */
    assert_events(&readers, ask(&readers, gateway), (const uint64_t[]){1, 2, 4}, 3);
    struct asked everybody = asked_after(0);
    everybody.principal = "spiffe://test/feeder";
    everybody.read.all_tenants = true;
    assert_events(&readers, ask(&readers, everybody), (const uint64_t[]){1, 2, 3, 4}, 4);
}

static void filters_choose(void **state)
{
    (void)state;
    tell((struct told){.group = "*", .document = "1"});
    tell((struct told){.job_id = 7});
    tell((struct told){.group = "*", .document = "2"});
    tell((struct told){.job_id = 8});
    struct asked asked = asked_after(0);
    asked.read.kinds = 1u << EVENT_ACTIVITY_CREATED;
    assert_events(&readers, ask(&readers, asked), (const uint64_t[]){2, 4}, 2);
    asked = asked_after(0);
    asked.read.job_ids[asked.read.job_id_count++] = 8;
    asked.read.document_ids[asked.read.document_id_count++] = history_text("1");
    assert_events(&readers, ask(&readers, asked), (const uint64_t[]){1, 4}, 2);
}

static void pages_end_at_their_size(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 10; i++) {
        tell((struct told){.group = "*", .document = "1"});
        tell((struct told){.tenant = "other", .document = "1"});
    }
    uint64_t after = 0;
    uint64_t wanted = 1;
    for (int page = 0; page < 4; page++) {
        struct asked asked = asked_after(after);
        asked.read.page_size = 3;
        Response *read = read_once(&readers, asked);
        assert_int_equal(read->n_events, page < 3 ? 3 : 1);
        for (size_t i = 0; i < read->n_events; i++, wanted += 2) {
            assert_int_equal(read->events[i]->sequence, wanted);
        }
        after = read->cursor->sequence;
        assert_int_equal(after, page < 3 ? wanted - 2 : 20);
        free_response(read);
    }
}

static void pages_end_at_their_bytes(void **state)
{
    (void)state;
    enum { COUNT = 180 };
    for (uint64_t i = 0; i < COUNT; i++) {
        tell((struct told){.job_id = i + 1, .extra = HISTORY_EXTRA_MAX});
    }
    uint64_t after = 0;
    uint64_t pages = 0;
    for (; after < COUNT; pages++) {
        uint64_t token = ask(&readers, asked_after(after));
        struct frame_reply frame = envelope(&readers, token);
        assert_in_range(frame.payload.length, 1, LIMIT_PAGE_BYTES + EVENT_PAGE_TAIL_MAX);
        Response *read = response(&readers, token);
        for (size_t i = 0; i < read->n_events; i++) {
            assert_int_equal(read->events[i]->sequence, after + 1 + i);
            assert_int_equal(read->events[i]->activity_created->n_attributes, 1);
        }
        after += read->n_events;
        assert_int_equal(read->cursor->sequence, after);
        assert_true(after == COUNT || frame.payload.length > LIMIT_PAGE_BYTES - 2 * EVENT_WIRE_MAX);
        free_response(read);
    }
    assert_int_equal(pages, 3); /* 180 * 4.2 KB in 256 KiB each */
}

/* ---- Resets ---- */

static void another_history(void **state)
{
    (void)state;
    tell((struct told){.group = "*", .document = "1"});
    struct asked asked = asked_after(0);
    asked.read.epoch = HISTORY_EPOCH + 1;
    asked.wait_ms = 5000; /* makes no difference */
    assert_reset(&readers, ask(&readers, asked), ACTIVITY__V1__RESET_REASON__RESET_REASON_EPOCH);
}

static void beyond_the_head(void **state)
{
    (void)state;
    tell((struct told){.group = "*", .document = "1"});
    assert_reset(&readers, ask(&readers, asked_after(2)),
                 ACTIVITY__V1__RESET_REASON__RESET_REASON_AHEAD);
    assert_reset(&readers, ask(&readers, asked_after(UINT64_MAX)),
                 ACTIVITY__V1__RESET_REASON__RESET_REASON_AHEAD);
    assert_empty(&readers, ask(&readers, asked_after(1)), 1);
}

static void too_old(void **state)
{
    (void)state;
    tell((struct told){.group = "*", .document = "1"});
    tell((struct told){.group = "*", .document = "2"});
    history_pass(&readers.history, HISTORY_KEEP_MS);
    tell((struct told){.group = "*", .document = "3"});
    assert_reset(&readers, ask(&readers, asked_after(0)),
                 ACTIVITY__V1__RESET_REASON__RESET_REASON_EXPIRED);
    assert_reset(&readers, ask(&readers, asked_after(1)),
                 ACTIVITY__V1__RESET_REASON__RESET_REASON_EXPIRED);
    assert_one(&readers, ask(&readers, asked_after(2)), 3);
    history_pass(&readers.history, HISTORY_KEEP_MS);
    assert_empty(&readers, ask(&readers, asked_after(3)), 3); /* level, though all have left */
    assert_reset(&readers, ask(&readers, asked_after(2)),
                 ACTIVITY__V1__RESET_REASON__RESET_REASON_EXPIRED);
    struct feed_reader_status status;
    feed_reader_status(readers.reader, &status);
    assert_int_equal(status.resets, 3);
    assert_int_equal(status.reads, 5);
    assert_int_equal(status.fills, 1);
}

/* ---- Waiting ---- */

static void who_waits_gets_the_next_event(void **state)
{
    (void)state;
    tell((struct told){.group = "*", .document = "1"});
    uint64_t now = ask(&readers, asked_from_now(20000));
    struct asked level = asked_after(1);
    level.wait_ms = 20000;
    uint64_t cursor = ask(&readers, level);
    await_parked(&readers, 2);
    tell((struct told){.tenant = "other", .document = "1"}); /* not for them */
    sleep_ms(20);
    assert_false(is_answered(&readers, now));
    tell((struct told){.group = "*", .document = "2"});
    uint64_t told_ms = real_ms();
    assert_one(&readers, now, 3);
    assert_one(&readers, cursor, 3);
    assert_in_range(readers.answers[now].at_ms, 0, told_ms + 2000); /* on a busy machine, too */
    await_parked(&readers, 0);
    struct feed_reader_status status;
    feed_reader_status(readers.reader, &status);
    assert_int_equal(status.fills, 0);
}

/* An answer is in time: half of them within 10 ms of the event, on a machine that does other
 * things. */
static void answers_follow_soon(void **state)
{
    (void)state;
    size_t late = 0;
    for (int i = 0; i < 100; i++) {
        await_parked(&readers, 0);
        uint64_t token = ask(&readers, asked_from_now(20000));
        await_parked(&readers, 1);
        uint64_t told_ms = real_ms();
        tell((struct told){.group = "*", .document = "2"});
        assert_one(&readers, token, (uint64_t)i + 1);
        late += readers.answers[token].at_ms > told_ms + 10;
    }
    assert_in_range(late, 0, 50);
}

static void waiting_is_over_in_time(void **state)
{
    (void)state;
    tell((struct told){.group = "*", .document = "1"});
    uint64_t began = real_ms();
    uint64_t token = ask(&readers, asked_from_now(60));
    uint64_t longer = ask(&readers, asked_from_now(120));
    await_parked(&readers, 2); /* before the event, which is passed over while they wait */
    tell((struct told){.tenant = "other", .document = "1"});
    assert_empty(&readers, token, 2);
    assert_in_range(readers.answers[token].at_ms - began, 59, 3000);
    assert_empty(&readers, longer, 2);
    assert_in_range(readers.answers[longer].at_ms - began, 119, 3000);
    assert_int_equal(envelope(&readers, token).retry_after_ms, 0);
}

/* The clock is the ring's: it may jump. */
static void waiting_is_over_by_the_clock(void **state)
{
    (void)state;
    uint64_t token = ask(&readers, asked_from_now(25000));
    await_parked(&readers, 1);
    history_pass(&readers.history, 25000);
    assert_empty(&readers, token, 0);
}

static void no_place_to_wait(void **state)
{
    (void)state;
    struct asked asked = asked_from_now(0);
    asked.crowded = true;
    uint64_t token = ask(&readers, asked);
    assert_empty(&readers, token, 0);
    assert_int_equal(envelope(&readers, token).retry_after_ms, 1000);
    tell((struct told){.group = "*", .document = "1"});
    asked = asked_after(0);
    asked.crowded = true;
    token = ask(&readers, asked);
    assert_one(&readers, token, 1);
    assert_int_equal(envelope(&readers, token).retry_after_ms, 0);
}

static void expired_before_its_turn(void **state)
{
    (void)state;
    struct asked asked = asked_after(0);
    tell((struct told){.group = "*", .document = "1"});
    asked.expired = true;
    struct frame_reply frame = envelope(&readers, ask(&readers, asked));
    assert_int_equal(frame.code, STATUS_DEADLINE_EXCEEDED);
    assert_true(view_equal(frame.reason, view_of("EXPIRED_IN_QUEUE")));
    assert_int_equal(frame.payload.length, 0);
}

static void who_is_gone_is_let_go(void **state)
{
    (void)state;
    static atomic_bool gone;
    atomic_store(&gone, false);
    struct asked asked = asked_from_now(30000);
    asked.gone = &gone;
    uint64_t began = real_ms();
    uint64_t token = ask(&readers, asked);
    await_parked(&readers, 1);
    atomic_store(&gone, true);
    assert_empty(&readers, token, 0);
    assert_in_range(real_ms() - began, 0, 5000);
    token = ask(&readers, asked); /* gone before it came */
    assert_empty(&readers, token, 0);
}

static void a_newer_poll_replaces_the_older(void **state)
{
    (void)state;
    struct asked asked = asked_from_now(30000);
    asked.user = "anna";
    asked.read.subscription = 77;
    uint64_t first = ask(&readers, asked);
    await_parked(&readers, 1);
    uint64_t second = ask(&readers, asked);
    assert_empty(&readers, first, 0);
    await_parked(&readers, 1);
    /* Others that differ in one thing only. */
    struct asked other = asked;
    other.read.subscription = 78;
    (void)ask(&readers, other);
    other = asked;
    other.user = "bert";
    (void)ask(&readers, other);
    other = asked;
    other.tenant = "other";
    (void)ask(&readers, other);
    other = asked;
    other.principal = "spiffe://test/other";
    (void)ask(&readers, other);
    other = asked;
    other.read.subscription = 0;
    (void)ask(&readers, other);
    (void)ask(&readers, other); /* none is not the same as none */
    await_parked(&readers, 7);
    assert_false(is_answered(&readers, second));
    /* The older one is not found any more: only the last of three waits. */
    uint64_t third = ask(&readers, asked);
    uint64_t fourth = ask(&readers, asked);
    assert_empty(&readers, second, 0);
    assert_empty(&readers, third, 0);
    await_parked(&readers, 7);
    assert_false(is_answered(&readers, fourth));
}

/* The older one is not parked yet, but still on its way through the history. */
static void a_newer_poll_replaces_one_on_its_way(void **state)
{
    (void)state;
    history_fill(&readers.history, 60000);
    struct asked asked = asked_after(0);
    asked.user = "anna";
    asked.wait_ms = 50000;
    asked.read.subscription = 77;
    uint64_t tokens[20];
    for (size_t i = 0; i < 20; i++) {
        tokens[i] = ask(&readers, asked);
    }
    for (size_t i = 0; i < 19; i++) {
        assert_empty(&readers, tokens[i], 60000); /* none of them waits */
    }
    await_parked(&readers, 1);
    assert_false(is_answered(&readers, tokens[19]));
}

static void drain_lets_all_go(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)ask(&readers, asked_from_now(30000));
    }
    await_parked(&readers, 100);
    feed_reader_drain(readers.reader);
    await_count(&readers, 100);
    assert_empty(&readers, 1, 0);
    assert_int_equal(envelope(&readers, 1).retry_after_ms, 1000);
    tell((struct told){.group = "*", .document = "1"});
    assert_empty(&readers, ask(&readers, asked_from_now(30000)), 1); /* nobody waits any more */
    assert_one(&readers, ask(&readers, asked_after(0)), 1);
}

static void nobody_comes_after_the_end(void **state)
{
    (void)state;
    struct asked asked = asked_from_now(30000);
    uint64_t token = ask(&readers, asked);
    feed_reader_stop(readers.reader);
    assert_empty(&readers, token, 0);
    assert_int_equal(try_ask(&readers, &asked, TOKENS - 1), 2);
    feed_reader_drain(readers.reader); /* does no harm */
    feed_reader_free(readers.reader);
    free(readers.answers[token].bytes);
    history_close(&readers.history);
    readers_open(&readers, FEED_RING_BYTES_MIN, 0, 4); /* for close_readers */
}

static void the_end_leaves_nobody_behind(void **state)
{
    (void)state;
    history_fill(&readers.history, 60000);
    struct asked asked = asked_after(0);
    asked.user = "anna";
    asked.wait_ms = 50000;
    for (size_t i = 0; i < 100; i++) {
        (void)ask(&readers, asked);
    }
    feed_reader_stop(readers.reader); /* they need several turns each */
    for (uint64_t token = 1; token <= readers.next_token; token++) {
        assert_true(is_answered(&readers, token));
        assert_empty(&readers, token, 60000);
        free(readers.answers[token].bytes);
    }
    feed_reader_free(readers.reader);
    history_close(&readers.history);
    readers_open(&readers, FEED_RING_BYTES_MIN, 0, 4); /* for close_readers */
}

/* ---- Bounds ---- */

static void places_are_bounded(void **state)
{
    (void)state;
    struct asked asked = asked_from_now(30000);
    for (int i = 0; i < 4096; i++) {
        (void)ask(&readers, asked);
    }
    assert_int_equal(try_ask(&readers, &asked, TOKENS - 1), 1);
    await_parked(&readers, 4096);
    assert_int_equal(try_ask(&readers, &asked, TOKENS - 1), 1);
    tell((struct told){.group = "*", .document = "1"});
    await_count(&readers, 4096);
    assert_one(&readers, 4096, 1);
    assert_empty(&readers, ask(&readers, asked_from_now(0)), 1);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    static char long_id[LIMIT_DOCUMENT_ID_LENGTH];
    memset(long_id, 'x', sizeof long_id);
    struct asked asked = asked_from_now(30000);
    for (int i = 0; i < 30; i++) {
        asked.read.document_ids[asked.read.document_id_count++] = bytes_of(long_id, sizeof long_id);
    }
    uint64_t taken = 0;
    while (try_ask(&readers, &asked, readers.next_token + 1) == 0) {
        readers.next_token++;
        taken++;
        assert_true(taken < 100);
    }
    assert_in_range(taken, 60, 68); /* of 15.5 KiB each in 1 MiB */
    feed_reader_drain(readers.reader);
    await_count(&readers, taken);
    assert_empty(&readers, ask(&readers, asked), 0); /* there is room again */
}

/* ---- Many ---- */

/* Each user gets exactly what is theirs, by polls that follow one another, under a steady stream of
 * events; nothing twice, nothing left out. */
enum { USERS = 200, EVENTS = 6000 };

static void everybody_gets_theirs(void **state)
{
    (void)state;
    static char names[USERS][16];
    static uint64_t tokens[USERS];
    static uint64_t cursors[USERS];
    static uint64_t next[USERS]; /* the user's next event: user u has u+1, u+1+USERS, ... */
    size_t missing = EVENTS;
    for (size_t u = 0; u < USERS; u++) {
        (void)snprintf(names[u], sizeof names[u], "user-%zu", u);
        cursors[u] = 0;
        next[u] = u + 1;
        struct asked asked = asked_after(0);
        asked.user = names[u];
        asked.wait_ms = 50000;
        tokens[u] = ask(&readers, asked);
    }
    size_t told = 0;
    while (missing > 0) {
        for (size_t burst = 0; told < EVENTS && burst < 7; burst++, told++) {
            history_add_told(&readers.history,
                             (struct told){.user = names[told % USERS], .document = "1"});
        }
        history_tell(&readers.history);
        for (size_t u = 0; u < USERS; u++) {
            if (next[u] > EVENTS || !is_answered(&readers, tokens[u])) {
                continue;
            }
            Response *read = response(&readers, tokens[u]);
            assert_null(read->reset);
            assert_true(read->n_events > 0);
            for (size_t i = 0; i < read->n_events; i++) {
                assert_int_equal(read->events[i]->sequence, next[u]);
                next[u] += USERS;
                missing--;
            }
            assert_true(read->cursor->sequence >= cursors[u]);
            cursors[u] = read->cursor->sequence;
            free_response(read);
            struct asked asked = asked_after(cursors[u]);
            asked.user = names[u];
            asked.wait_ms = next[u] > EVENTS ? 0 : 50000;
            tokens[u] = ask(&readers, asked);
            if (next[u] > EVENTS) {
                assert_empty(&readers, tokens[u], history_state(&readers.history).head_sequence);
            }
        }
    }
}

/* A reader with all of a large window before it does not hold up those who wait at the head. */
static void late_readers_take_turns(void **state)
{
    (void)state;
    history_fill(&readers.history, 150000);
    uint64_t head = readers.history.sequence;
    struct asked late = asked_after(0);
    late.user = "anna";
    uint64_t tokens[8];
    for (size_t i = 0; i < 8; i++) {
        tokens[i] = ask(&readers, late);
    }
    uint64_t waits = ask(&readers, asked_from_now(30000));
    await_parked(&readers, 1);
    tell((struct told){.group = "*", .document = "1"});
    assert_one(&readers, waits, head + 1);
    /* 65,536 events looked at per answer, none of them for anna. */
    for (size_t i = 0; i < 8; i++) {
        assert_empty(&readers, tokens[i], 65536);
    }
    late.read.after = 65536;
    assert_empty(&readers, ask(&readers, late), 131072);
    late.read.after = 131072; /* and there is anna's */
    assert_one(&readers, ask(&readers, late), head + 1);
}

/* A turn that has found something ends with it; the cursor tells how far it looked. */
static void what_was_found_is_not_held_back(void **state)
{
    (void)state;
    tell((struct told){.user = "anna", .document = "1"});
    history_fill(&readers.history, 100000);
    tell((struct told){.user = "anna", .document = "2"});
    struct asked asked = asked_after(0);
    asked.user = "anna";
    uint64_t found = 0;
    uint64_t polls = 0;
    while (found < 2) {
        Response *read = read_once(&readers, asked);
        assert_null(read->reset);
        assert_true(read->cursor->sequence > asked.read.after);
        found += read->n_events;
        polls++;
        asked.read.after = read->cursor->sequence;
        free_response(read);
    }
    assert_int_equal(asked.read.after, 100002);
    assert_in_range(polls, 2, 20);
}

/* The window moves away under those who read in it: they are told. */
static void overtaken_on_the_way(void **state)
{
    (void)state;
    uint64_t after = 0;
    history_fill(&readers.history, 3000);
    struct asked asked = asked_after(0);
    asked.read.all_tenants = true;
    asked.read.page_size = 100;
    bool reset = false;
    for (int i = 0; i < 1000 && !reset; i++) {
        asked.read.after = after;
        Response *read = read_once(&readers, asked);
        reset = read->reset != NULL;
        if (reset) {
            assert_int_equal(read->reset->reason, ACTIVITY__V1__RESET_REASON__RESET_REASON_EXPIRED);
            assert_true(read->oldest_sequence > after + 1);
        } else {
            assert_int_equal(read->n_events, 100);
            assert_int_equal(read->events[0]->sequence, after + 1);
            after = read->cursor->sequence;
            assert_int_equal(after, read->events[99]->sequence);
        }
        free_response(read);
        history_fill(&readers.history, 500);
    }
    assert_true(reset);
}

/* Asks and leaves from several threads while events come. */
static atomic_uint_fast64_t next_token;

static void *ask_often(void *context)
{
    uint64_t chance = (uint64_t)(uintptr_t)context * 977 + 1;
    for (int i = 0; i < 1500; i++) {
        chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407u;
        struct feed_reader_poll poll = {.token = atomic_fetch_add(&next_token, 1) + 1};
        uint8_t bytes[512];
        struct writer to = writer_of(bytes, sizeof bytes);
        struct query *query = calloc(1, sizeof *query);
        query->method = METHOD_READ_CHANGES;
        query->caller.tenant = history_text("acme");
        query->caller.principal = history_text("spiffe://test/gateway");
        query->read.from_now = chance >> 40 & 1;
        query->read.epoch = HISTORY_EPOCH;
        query->read.after = history_state(&readers.history).oldest_sequence - 1;
        query->read.page_size = (uint32_t)(1 + (chance >> 41) % 1000);
        query->read.subscription = (chance >> 50) % 40;
        query_encode(query, &to);
        free(query);
        poll.query = bytes_of(bytes, to.wanted);
        poll.deadline_ms = UINT64_MAX;
        poll.wait_until_ms = chance >> 42 & 1 ? readers_now(&readers) + (chance >> 52) % 50 : 0;
        while (feed_reader_submit(readers.reader, &poll) == 1) {
            sleep_ms(1);
        }
    }
    return NULL;
}

static void asked_from_many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    atomic_store(&next_token, 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, (void *)(uintptr_t)i), 0);
    }
    for (int i = 0; i < 300; i++) {
        tell((struct told){.group = "*", .document = "1"});
        tell((struct told){.tenant = "other", .document = "1"});
        sleep_ms(1);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    readers.next_token = atomic_load(&next_token);
    assert_int_equal(readers.next_token, 6000);
    await_count(&readers, 6000);
}

#define READER_TEST(name) cmocka_unit_test_setup_teardown(name, open_readers, close_readers)
#define LARGE_TEST(name)  cmocka_unit_test_setup_teardown(name, open_large, close_readers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        READER_TEST(from_now_is_the_head),
        READER_TEST(after_a_cursor_everything_follows),
        READER_TEST(only_what_the_caller_may_see),
        READER_TEST(filters_choose),
        READER_TEST(pages_end_at_their_size),
        READER_TEST(pages_end_at_their_bytes),
        READER_TEST(another_history),
        READER_TEST(beyond_the_head),
        READER_TEST(too_old),
        READER_TEST(who_waits_gets_the_next_event),
        READER_TEST(answers_follow_soon),
        READER_TEST(waiting_is_over_in_time),
        READER_TEST(waiting_is_over_by_the_clock),
        READER_TEST(no_place_to_wait),
        READER_TEST(expired_before_its_turn),
        READER_TEST(who_is_gone_is_let_go),
        READER_TEST(a_newer_poll_replaces_the_older),
        LARGE_TEST(a_newer_poll_replaces_one_on_its_way),
        READER_TEST(drain_lets_all_go),
        READER_TEST(nobody_comes_after_the_end),
        LARGE_TEST(the_end_leaves_nobody_behind),
        READER_TEST(places_are_bounded),
        READER_TEST(bytes_are_bounded),
        READER_TEST(everybody_gets_theirs),
        LARGE_TEST(late_readers_take_turns),
        LARGE_TEST(what_was_found_is_not_held_back),
        READER_TEST(overtaken_on_the_way),
        READER_TEST(asked_from_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
