/* A change-feed endpoint that lies: mutated messages, messages that are none, absurd lengths.
 * Errors are counted, and what is true still arrives. */
#include "tests/unit/client/lib/fake_feed.h"

static uint32_t seed = 11;

static uint32_t below(uint32_t bound)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % bound;
}

/* Changes a few bytes, cuts or lengthens; mostly behind the topic, or nothing would arrive. */
static size_t mutate(uint8_t *bytes, size_t size)
{
    for (uint32_t changes = 1 + below(4); changes > 0; changes--) {
        size_t at = 2 + below((uint32_t)size - 2);
        switch (below(4)) {
        case 0:
            bytes[at] = (uint8_t)below(256);
            break;
        case 1:
            memmove(bytes + at, bytes + at + 1, size - at - 1);
            size = size > 3 ? size - 1 : size;
            break;
        default:
            bytes[at] ^= (uint8_t)(1U << below(8));
        }
    }
    return below(8) == 0 ? 2 + below((uint32_t)size - 1) : size;
}

/* What comes of the lies: any event, or a reset; never an error. */
static void drain(activity_subscription *subscription, uint64_t frames)
{
    struct activity_event event;
    for (int i = 0; i < 500; i++) {
        assert_int_equal(activity_subscription_next(subscription, 10, &event, NULL), ACTIVITY_OK);
        if (event.kind == ACTIVITY_EVENT_NONE && fake_status(subscription).frames >= frames) {
            return;
        }
        if (event.activity != NULL) {
            assert_true(strlen(event.tenant) <= LIMIT_FEED_MESSAGE_BYTES);
        }
    }
}

static void mutated_messages(void **state)
{
    (void)state;
    enum { MESSAGES = 10000, AT_ONCE = 50 };
    struct fake_feed *feed = fake_feed_new();
    fake_grow(feed, 100);
    activity_client *client = fake_client(&feed->server);
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.progress = true;
    activity_subscription *subscription = fake_subscribe(client, &options);
    fake_settle(feed, subscription);
    static const uint8_t progress[] = {'p',  '|',  0x09, 77,  0,    0,    0, 0,    0,    0,    0,
                                       0x10, 1,    0x18, 100, 0x22, 3,    2, 0x80, 1,    0x2A, 2,
                                       10,   100,  0x32, 1,   't',  0x32, 1, 'u',  0x3A, 2,    1,
                                       0,    0x42, 6,    8,   1,    0x12, 2, 'o',  'k'};
    uint64_t frames = fake_status(subscription).frames;
    for (int sent = 0; sent < MESSAGES; sent += AT_ONCE) {
        for (int i = 0; i < AT_ONCE; i++) {
            uint8_t bytes[4096];
            size_t size = sizeof progress;
            if (i % 4 == 0) {
                memcpy(bytes, progress, size);
            } else {
                size = fake_history(FAKE_EPOCH, 101, 100 + below(4), false, bytes);
            }
            fake_publish_bytes(feed, bytes, mutate(bytes, size));
        }
        drain(subscription, frames + (uint64_t)sent + AT_ONCE);
    }
    struct activity_subscription_status status = fake_status(subscription);
    assert_true(status.frames >= frames + MESSAGES * 9 / 10);
    assert_true(status.bad > MESSAGES / 2);
    /* The truth gets through, as soon as the history has come past what was claimed. */
    fake_grow(feed, 200);
    struct activity_event event = {0};
    for (int i = 0; i < 2000 && event.cursor.sequence < 200; i++) {
        fake_heartbeat(feed);
        assert_int_equal(activity_subscription_next(subscription, 10, &event, NULL), ACTIVITY_OK);
    }
    assert_int_equal(event.cursor.sequence, 200);
    assert_int_equal(event.cursor.epoch, FAKE_EPOCH);
    fake_settle(feed, subscription);
    fake_grow(feed, 210);
    fake_publish(feed, 201, 210);
    fake_expect(subscription, 201, 210);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* Larger than any message may be: the connection is cut, and made again. */
static void too_large(void **state)
{
    (void)state;
    struct fake_feed *feed = fake_feed_new();
    activity_client *client = fake_client(&feed->server);
    const struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    activity_subscription *subscription = fake_subscribe(client, &options);
    fake_settle(feed, subscription);
    static uint8_t bytes[200000] = "c|";
    fake_publish_bytes(feed, bytes, sizeof bytes);
    for (int i = 0; fake_status(subscription).connects < 2; i++) {
        assert_in_range(i, 0, 500);
        fake_expect_nothing(subscription, 10);
    }
    fake_settle(feed, subscription);
    fake_grow(feed, 5);
    fake_publish(feed, 1, 5);
    fake_expect(subscription, 1, 5);
    assert_int_equal(fake_status(subscription).bad, 0);
    fake_unsubscribe(subscription);
    activity_client_free(client);
    fake_feed_free(feed);
}

/* What speaks TLS and then something else, in place of the endpoint. */
static void no_endpoint_at_all(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } attacks[] = {
        {"", 0},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
        {"\0SP\0\0\x31\0\0", 8}, /* a REP socket */
        {"\0SP\0\0\x20\0\0", 8},
        {"\0SP\0\0\x20\0\0\0\0\0\0\0\0\0\0", 16},
        {"\0SP\0\0\x20\0\0\0\0\0\0\0\0\0\1c", 17},
        {"\0SP\0\0\x20\0\0\0\0\0\0\0\0\0\2c|", 18},
        {"\0SP\0\0\x20\0\0\0\0\0\0\0\2\0\0c|", 18},
        {"\0SP\0\0\x20\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16},
        {"\0SP\0\0\x20\0\0\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xF0"
         "data",
         20},
    };
    struct fake_feed *feed = fake_feed_new();
    nng_stream_listener *listener;
    nng_tls_config *tls = fake_tls();
    int port;
    char url[64];
    assert_int_equal(nng_stream_listener_alloc(&listener, "tls+tcp://127.0.0.1:0"), 0);
    assert_int_equal(nng_stream_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls), 0);
    assert_int_equal(nng_stream_listener_listen(listener), 0);
    assert_int_equal(nng_stream_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port), 0);
    snprintf(url, sizeof url, "tls+tcp://0.0.0.0:%d", port);
    fake_tell_url(feed, url);
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        activity_client *client = fake_client(&feed->server);
        const struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
        activity_subscription *subscription = fake_subscribe(client, &options);
        nng_aio *aio;
        assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), 0);
        nng_aio_set_timeout(aio, 5000);
        nng_stream_listener_accept(listener, aio);
        nng_aio_wait(aio);
        assert_int_equal(nng_aio_result(aio), 0);
        nng_stream *stream = nng_aio_get_output(aio, 0);
        if (attacks[i].size > 0) {
            nng_iov part = {.iov_buf = (void *)attacks[i].bytes, .iov_len = attacks[i].size};
            nng_aio_set_iov(aio, 1, &part);
            nng_stream_send(stream, aio);
            nng_aio_wait(aio);
        }
        fake_expect_nothing(subscription, 50);
        /* Reads go on meanwhile. */
        fake_grow(feed, feed->head + 3);
        fake_expect(subscription, feed->head - 2, feed->head);
        assert_false(fake_status(subscription).pushed);
        fake_unsubscribe(subscription);
        activity_client_free(client);
        nng_stream_close(stream);
        nng_stream_free(stream);
        nng_aio_free(aio);
    }
    nng_stream_listener_close(listener);
    nng_stream_listener_free(listener);
    nng_tls_config_free(tls);
    fake_feed_free(feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_messages),
        cmocka_unit_test(too_large),
        cmocka_unit_test(no_endpoint_at_all),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
