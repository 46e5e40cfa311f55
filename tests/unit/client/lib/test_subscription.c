/* A subscription to the change-feed endpoint: what is pushed, what is missing in it, and what the
 * subscription does about that. Every event comes once and in order, or a RESET. */
#include "tests/unit/client/lib/fake_feed.h"

static const struct activity_subscription_options from_now = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;

static struct activity_subscription_options from_cursor(uint64_t sequence)
{
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.start = ACTIVITY_START_CURSOR;
    options.cursor = (struct activity_cursor){FAKE_EPOCH, sequence};
    return options;
}

/* Grows and publishes. */
static void tell(struct fake_feed *feed, uint64_t first, uint64_t last)
{
    fake_grow(feed, last);
    fake_publish(feed, first, last);
}

static void pushed_in_order(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    for (uint64_t first = 1; first < 1000; first += 10) {
        tell(feed, first, first + 9);
    }
    fake_expect(subscription, 1, 1000);
    struct activity_subscription_status status = fake_status(subscription);
    assert_true(status.all && status.pushed && !status.refused);
    assert_int_equal(status.events, 1000);
    assert_in_range(status.frames, 101, 200);
    assert_int_equal(status.gaps + status.bad + status.fills + status.resets, 0);
    assert_int_equal(status.connects, 1);
    struct activity_cursor cursor;
    activity_subscription_cursor(subscription, &cursor);
    assert_int_equal(cursor.epoch, FAKE_EPOCH);
    assert_int_equal(cursor.sequence, 1000);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void gap_is_filled(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    tell(feed, 1, 10);
    tell(feed, 21, 30);
    fake_expect(subscription, 1, 30);
    struct activity_subscription_status status = fake_status(subscription);
    assert_true(status.pushed);
    assert_int_equal(status.gaps, 1);
    assert_int_equal(status.fills, 1);
    /* A heartbeat tells of events that were lost with nothing behind them. */
    fake_grow(feed, 40);
    fake_heartbeat(feed);
    fake_expect(subscription, 31, 40);
    assert_int_equal(fake_status(subscription).gaps, 2);
    tell(feed, 41, 50);
    fake_expect(subscription, 41, 50);
    assert_int_equal(fake_status(subscription).fills, 2);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* A gap of more than one page. */
static void large_gap_is_filled(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    tell(feed, 3501, 3510);
    fake_expect(subscription, 1, 3510);
    assert_int_equal(fake_status(subscription).gaps, 1);
    assert_int_equal(fake_status(subscription).fills, 4);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void twice_and_out_of_order(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    tell(feed, 1, 10);
    tell(feed, 5, 15);
    fake_publish(feed, 1, 10);
    tell(feed, 16, 20);
    fake_expect(subscription, 1, 20);
    fake_grow(feed, 40);
    fake_publish(feed, 31, 40);
    fake_publish(feed, 21, 30);
    tell(feed, 41, 42);
    fake_expect(subscription, 21, 42);
    fake_expect_nothing(subscription, 50);
    assert_int_equal(fake_status(subscription).events, 42);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void three_gaps_in_a_row(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    for (uint64_t last = 10; last <= 30; last += 10) {
        tell(feed, last - 4, last);
        if (last < 30) {
            fake_expect(subscription, last - 9, last);
            assert_true(fake_status(subscription).pushed);
        }
    }
    struct activity_event event;
    fake_next(subscription, &event);
    assert_is_event(&event, 21);
    assert_false(fake_status(subscription).pushed);
    fake_publish(feed, 26, 30); /* not even looked at */
    fake_expect(subscription, 22, 30);
    assert_int_equal(fake_status(subscription).gaps, 3);
    /* Level: messages are taken again. */
    fake_settle(feed, subscription);
    tell(feed, 31, 40);
    fake_expect(subscription, 31, 40);
    assert_true(fake_status(subscription).pushed);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* --- Beginnings --- */

static void from_a_cursor(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    fake_grow(feed, 50);
    const struct activity_subscription_options options = from_cursor(20);
    activity_subscription *subscription = fake_subscribe(client, &options);
    fake_expect(subscription, 21, 50);
    fake_settle(feed, subscription);
    tell(feed, 51, 60);
    fake_expect(subscription, 51, 60);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void from_now_on(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    fake_grow(feed, 50);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    /* From the moment of opening, whenever it is asked for the first time. */
    fake_grow(feed, 60);
    fake_expect(subscription, 51, 60);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* --- Holes in the history --- */

static void expect_reset(activity_subscription *subscription, enum activity_reset reset,
                         uint64_t epoch, uint64_t sequence)
{
    struct activity_event event;
    fake_next(subscription, &event);
    assert_int_equal(event.kind, ACTIVITY_EVENT_RESET);
    assert_int_equal(event.reset, reset);
    assert_int_equal(event.cursor.epoch, epoch);
    assert_int_equal(event.cursor.sequence, sequence);
}

static void expired(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    tell(feed, 1, 10);
    fake_expect(subscription, 1, 10);
    fake_become(feed, FAKE_EPOCH, 40, 44);
    tell(feed, 45, 50);
    expect_reset(subscription, ACTIVITY_RESET_EXPIRED, FAKE_EPOCH, 50);
    fake_settle(feed, subscription);
    tell(feed, 51, 60);
    fake_expect(subscription, 51, 60);
    assert_int_equal(fake_status(subscription).resets, 1);
    fake_unsubscribe(subscription);
    /* The same from a cursor that is too old. */
    const struct activity_subscription_options options = from_cursor(20);
    subscription = fake_subscribe(client, &options);
    expect_reset(subscription, ACTIVITY_RESET_EXPIRED, FAKE_EPOCH, 60);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void another_epoch(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    tell(feed, 1, 10);
    fake_expect(subscription, 1, 10);
    uint8_t old[8192];
    size_t old_size = fake_history(FAKE_EPOCH, 11, 12, false, old);
    fake_become(feed, 78, 1, 3);
    fake_heartbeat(feed);
    expect_reset(subscription, ACTIVITY_RESET_EPOCH, 78, 3);
    /* What is left of the old one is dropped. */
    fake_publish_bytes(feed, old, old_size);
    fake_settle(feed, subscription);
    tell(feed, 4, 9);
    fake_expect(subscription, 4, 9);
    assert_int_equal(fake_status(subscription).resets, 1);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void ahead_of_the_head(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    fake_grow(feed, 10);
    const struct activity_subscription_options options = from_cursor(20);
    activity_subscription *subscription = fake_subscribe(client, &options);
    expect_reset(subscription, ACTIVITY_RESET_AHEAD, FAKE_EPOCH, 10);
    fake_settle(feed, subscription);
    /* The history becomes shorter behind a subscriber's back: heartbeats tell. */
    fake_grow(feed, 5);
    struct activity_event event = {0};
    for (int i = 0; i < 100 && event.kind == ACTIVITY_EVENT_NONE; i++) {
        fake_heartbeat(feed);
        assert_int_equal(activity_subscription_next(subscription, 100, &event, NULL), ACTIVITY_OK);
    }
    assert_int_equal(event.kind, ACTIVITY_EVENT_RESET);
    assert_int_equal(event.reset, ACTIVITY_RESET_AHEAD);
    assert_int_equal(event.cursor.sequence, 5);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* A message that announces what does not exist is dropped, and the subscription goes on. */
static void announced_and_not_there(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    tell(feed, 1, 5);
    fake_publish(feed, 1000, 1005);
    fake_expect(subscription, 1, 5);
    fake_expect_nothing(subscription, 100);
    assert_int_equal(fake_status(subscription).bad, 1);
    tell(feed, 6, 9);
    fake_expect(subscription, 6, 9);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* --- Connections --- */

static void silence_is_noticed(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    uint64_t begun = fake_now_ms();
    fake_grow(feed, 5); /* and no message tells */
    fake_expect(subscription, 1, 5);
    assert_in_range(fake_now_ms() - begun, 2500, 4500);
    assert_false(fake_status(subscription).pushed);
    /* Without delay from then on. */
    begun = fake_now_ms();
    fake_grow(feed, 6);
    fake_expect(subscription, 6, 6);
    assert_in_range(fake_now_ms() - begun, 0, 1500);
    /* A connection that stays silent is made anew. */
    for (int i = 0; i < 100 && fake_status(subscription).connects < 2; i++) {
        fake_expect_nothing(subscription, 100);
    }
    assert_int_equal(fake_status(subscription).connects, 2);
    fake_settle(feed, subscription);
    tell(feed, 7, 9);
    fake_expect(subscription, 7, 9);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void lost_connection(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    for (uint64_t turn = 0; turn < 5; turn++) {
        fake_settle(feed, subscription);
        tell(feed, turn * 30 + 1, turn * 30 + 10);
        fake_expect(subscription, turn * 30 + 1, turn * 30 + 10);
        nng_close(feed->pub);
        /* By reads, at once. */
        uint64_t begun = fake_now_ms();
        fake_grow(feed, turn * 30 + 20);
        fake_expect(subscription, turn * 30 + 11, turn * 30 + 20);
        assert_in_range(fake_now_ms() - begun, 0, 1500);
        assert_false(fake_status(subscription).pushed);
        fake_pub_start(feed);
        fake_grow(feed, turn * 30 + 30);
        fake_expect(subscription, turn * 30 + 21, turn * 30 + 30);
    }
    fake_settle(feed, subscription);
    assert_in_range(fake_status(subscription).connects, 6, 12);
    assert_int_equal(fake_status(subscription).events, 150);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* The server says goodbye, stops, and comes back with the same history. */
static void restart_of_the_server(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    tell(feed, 1, 10);
    fake_expect(subscription, 1, 10);
    fake_goodbye(feed);
    fake_expect_nothing(subscription, 100);
    assert_false(fake_status(subscription).pushed);
    fake_stop(&feed->server);
    nng_close(feed->pub);
    fake_expect_nothing(subscription, 1000); /* no error */
    fake_pub_start(feed);
    fake_start(&feed->server);
    fake_grow(feed, 20);
    fake_expect(subscription, 11, 20);
    fake_settle(feed, subscription);
    tell(feed, 21, 30);
    fake_expect(subscription, 21, 30);
    assert_int_equal(fake_status(subscription).resets, 0);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void refused_at_the_endpoint(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    atomic_store(&feed->refuses, true);
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    for (uint64_t i = 1; !fake_status(subscription).refused; i++) {
        assert_in_range(i, 1, 500);
        fake_grow(feed, i);
        fake_expect(subscription, i, i);
        fake_sleep_ms(20);
    }
    struct activity_subscription_status status = fake_status(subscription);
    assert_true(status.all && !status.pushed && status.refused);
    assert_int_equal(status.frames, 0);
    assert_in_range(atomic_load(&feed->subscribers), 2, 5);
    /* It is let in after all. */
    atomic_store(&feed->refuses, false);
    fake_settle(feed, subscription);
    assert_false(fake_status(subscription).refused);
    tell(feed, feed->head + 1, feed->head + 1);
    fake_expect(subscription, feed->head, feed->head);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* The endpoint moves: a server of another address takes over. */
static void endpoint_moves(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    fake_tell_url(feed, "tls+tcp://127.0.0.1:1");
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_expect_nothing(subscription, 200);
    fake_tell_url(feed, NULL);
    fake_settle(feed, subscription);
    assert_in_range(fake_count(feed, &feed->infos), 2, 3);
    assert_int_equal(fake_status(subscription).connects, 1);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* --- Slow applications --- */

/* What the library and NNG hold is bounded; the rest is read when there is time for it. */
static void slow_application(void **state)
{
    (void)state;
    enum { EVENTS = 30000, FRAME = 10 };
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    fake_settle(feed, subscription);
    fake_grow(feed, EVENTS);
    for (uint64_t first = 1; first < EVENTS; first += FRAME) {
        fake_publish(feed, first, first + FRAME - 1);
        if (first % 1000 == 1) {
            fake_sleep_ms(5);
        }
    }
    fake_sleep_ms(300);
    fake_expect(subscription, 1, EVENTS);
    fake_expect_nothing(subscription, 0);
    struct activity_subscription_status status = fake_status(subscription);
    assert_int_equal(status.events, EVENTS);
    assert_in_range(status.gaps, 1, 3);
    assert_int_equal(status.bad, 0);
    fake_settle(feed, subscription);
    tell(feed, EVENTS + 1, EVENTS + 5);
    fake_expect(subscription, EVENTS + 1, EVENTS + 5);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

static void looking_never_blocks(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    activity_subscription *subscription = fake_subscribe(client, &from_now);
    uint64_t next = 1;
    uint64_t slowest = 0;
    for (int turn = 0; turn < 400; turn++) {
        if (turn % 10 == 0) {
            fake_grow(feed, feed->head + 3);
            if (turn % 40 != 0) {
                fake_publish(feed, feed->head - 2, feed->head);
            }
        }
        struct activity_event event;
        uint64_t begun = fake_now_ms();
        assert_int_equal(activity_subscription_next(subscription, 0, &event, NULL), ACTIVITY_OK);
        uint64_t took = fake_now_ms() - begun;
        slowest = took > slowest ? took : slowest;
        if (event.kind != ACTIVITY_EVENT_NONE) {
            assert_is_event(&event, next++);
        } else {
            fake_sleep_ms(2);
        }
    }
    assert_in_range(slowest, 0, 200);
    fake_expect(subscription, next, feed->head);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* --- Threads --- */

struct follower {
    activity_client *client;
    activity_subscription *subscription;
    uint64_t last;
    pthread_t thread;
};

static void *follow(void *arg)
{
    struct follower *follower = arg;
    fake_expect(follower->subscription, 1, follower->last);
    return NULL;
}

/* Several subscriptions of one client, each with its thread, beside calls. */
static void many_subscriptions(void **state)
{
    (void)state;
    enum { FOLLOWERS = 6, EVENTS = 2000 };
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    struct follower followers[FOLLOWERS];
    for (int i = 0; i < FOLLOWERS; i++) {
        struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
        options.scope = i % 2 == 0 ? ACTIVITY_SCOPE_ALL : ACTIVITY_SCOPE_CALLER;
        followers[i] = (struct follower){client, fake_subscribe(client, &options), EVENTS, 0};
        assert_int_equal(pthread_create(&followers[i].thread, NULL, follow, &followers[i]), 0);
    }
    for (uint64_t last = 10; last <= EVENTS; last += 10) {
        fake_grow(feed, last);
        if (last % 100 != 0) {
            fake_publish(feed, last - 9, last);
        }
        activity_result *result;
        assert_int_equal(activity_get_server_info(client, NULL, &result, NULL), ACTIVITY_OK);
        activity_result_free(result);
    }
    for (int i = 0; i < FOLLOWERS; i++) {
        pthread_join(followers[i].thread, NULL);
        assert_int_equal(fake_status(followers[i].subscription).events, EVENTS);
        fake_unsubscribe(followers[i].subscription);
    }
    activity_client_free(client);
    fake_feed_free(feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushed_in_order),
        cmocka_unit_test(gap_is_filled),
        cmocka_unit_test(large_gap_is_filled),
        cmocka_unit_test(twice_and_out_of_order),
        cmocka_unit_test(three_gaps_in_a_row),
        cmocka_unit_test(from_a_cursor),
        cmocka_unit_test(from_now_on),
        cmocka_unit_test(expired),
        cmocka_unit_test(another_epoch),
        cmocka_unit_test(ahead_of_the_head),
        cmocka_unit_test(announced_and_not_there),
        cmocka_unit_test(silence_is_noticed),
        cmocka_unit_test(lost_connection),
        cmocka_unit_test(restart_of_the_server),
        cmocka_unit_test(refused_at_the_endpoint),
        cmocka_unit_test(endpoint_moves),
        cmocka_unit_test(slow_application),
        cmocka_unit_test(looking_never_blocks),
        cmocka_unit_test(many_subscriptions),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
