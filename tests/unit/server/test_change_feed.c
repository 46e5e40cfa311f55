/* The change feed as a whole, with the engine's part played by the test and subscribers over real
 * TLS: the order of beginning and end, and who asks for progress when. */
#include "tests/unit/server/feed/history.h"
#include "tests/unit/server/net/scene.h"

#include <nng/protocol/pubsub0/sub.h>

#include "activity/v1/feed.pb-c.h"
#include "server/change_feed.h"

static atomic_int wanted = -1; /* progress: -1 never said */

static uint64_t read_clock(void *context)
{
    (void)context;
    return nng_clock();
}

static void take_reply(void *context, uint64_t token, struct bytes frame)
{
    (void)context;
    (void)token;
    (void)frame;
}

static void note_wanted(void *context, bool now)
{
    (void)context;
    atomic_store(&wanted, now);
}

static struct change_feed_options standard(bool pushes)
{
    choose_url();
    return (struct change_feed_options){
        .epoch = HISTORY_EPOCH,
        .window_bytes = 4 << 20,
        .keep_ms = 60000,
        .slots = 64,
        .pushes = pushes,
        .endpoint = {.url = scene.url,
                     .border = &scene.border,
                     .policy = scene.policy,
                     .connections_max = 16,
                     .connections_per_principal = 8,
                     .connects_per_minute = 1000,
                     .queue_frames = 128},
        .now_ms = read_clock,
        .reply = take_reply,
        .want_progress = note_wanted,
    };
}

/* The events that the engine tells; the ring of its own is not looked at. */
static struct history history;

static void tell(struct change_feed *feed, int count)
{
    for (int i = 0; i < count; i++) {
        history_add_told(&history, (struct told){.job_id = history.sequence + 1});
    }
    change_feed_events(feed, bytes_of(history.effects, history.length));
    history.length = 0;
}

/* A life: `window` events are told again before it serves. */
static struct change_feed *begin(const struct change_feed_options *options, uint64_t sequence,
                                 int window)
{
    char error[512];
    struct change_feed *feed = change_feed_new(options);
    assert_non_null(feed);
    atomic_store(&wanted, -1);
    history_open(&history, 1 << 20, sequence);
    change_feed_history(feed, sequence);
    tell(feed, window);
    if (change_feed_start(feed, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
    return feed;
}

static void end(struct change_feed *feed)
{
    change_feed_drain(feed);
    change_feed_stop(feed);
    change_feed_free(feed);
    history_close(&history);
}

static nng_socket subscribe(const char *topic)
{
    nng_socket socket;
    assert_int_equal(nng_sub0_open(&socket), 0);
    assert_int_equal(nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, topic, strlen(topic)), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, 10000), 0);
    assert_int_equal(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, LIMIT_FEED_MESSAGE_BYTES), 0);
    scene_dial(socket, "worker");
    return socket;
}

static void await_wanted(int expected)
{
    for (int i = 0; i < 200 && atomic_load(&wanted) != expected; i++) {
        nng_msleep(25);
    }
    assert_int_equal(atomic_load(&wanted), expected);
}

/* The next frame of the history; freed by the caller. */
static Activity__V1__HistoryFrame *receive(nng_socket socket)
{
    nng_msg *message = NULL;
    assert_int_equal(nng_recvmsg(socket, &message, 0), 0);
    Activity__V1__HistoryFrame *frame = activity__v1__history_frame__unpack(
        NULL, nng_msg_len(message) - 2, (const uint8_t *)nng_msg_body(message) + 2);
    assert_non_null(frame);
    assert_int_equal(frame->epoch, HISTORY_EPOCH);
    assert_int_equal(frame->last_sequence, frame->first_sequence - 1 + frame->n_events);
    nng_msg_free(message);
    return frame;
}

static void test_a_life(void **state)
{
    (void)state;
    const struct change_feed_options options = standard(true);
    struct change_feed *feed = begin(&options, 100, 20);
    struct answer_feed status;
    change_feed_status(feed, &status);
    assert_int_equal(status.oldest_sequence, 101);
    assert_int_equal(status.head_sequence, 120);
    assert_int_equal(status.subscribers, 0);
    assert_int_equal(status.frames, 0);
    assert_int_equal(atomic_load(&wanted), -1);

    /* Who comes is told at once where the history stands, and progress is wanted from now on. */
    nng_socket socket = subscribe("c|");
    await_wanted(1);
    Activity__V1__HistoryFrame *frame = receive(socket);
    assert_int_equal(frame->first_sequence, 121);
    assert_int_equal(frame->n_events, 0);
    activity__v1__history_frame__free_unpacked(frame, NULL);
    change_feed_progress(feed, bytes_of("\x18\x01", 2));
    tell(feed, 5000);
    /* The last events, then the goodbye. */
    change_feed_drain(feed);
    change_feed_stop(feed);
    bool goodbye = false;
    for (uint64_t next = 121; !goodbye;) {
        frame = receive(socket);
        assert_int_equal(frame->first_sequence, next);
        next = frame->last_sequence + 1;
        goodbye = frame->goodbye;
        assert_true(!goodbye || next == 5121);
        activity__v1__history_frame__free_unpacked(frame, NULL);
    }
    change_feed_free(feed);
    history_close(&history);
    assert_int_equal(nng_close(socket), 0);
}

static void test_progress_is_wanted_while_somebody_listens(void **state)
{
    (void)state;
    const struct change_feed_options options = standard(true);
    struct change_feed *feed = begin(&options, 0, 0);
    for (int round = 0; round < 3; round++) {
        nng_socket socket = subscribe("p|");
        await_wanted(1);
        nng_msg *message = NULL;
        do {
            change_feed_progress(feed, bytes_of("\x18\x01", 2));
            assert_int_equal(nng_recvmsg(socket, &message, 0), 0);
            Activity__V1__ProgressFrame *frame = activity__v1__progress_frame__unpack(
                NULL, nng_msg_len(message) - 2, (const uint8_t *)nng_msg_body(message) + 2);
            assert_non_null(frame);
            bool told = frame->time_ms == 1;
            activity__v1__progress_frame__free_unpacked(frame, NULL);
            nng_msg_free(message);
            message = told ? message : NULL;
        } while (message == NULL);
        assert_int_equal(nng_close(socket), 0);
        await_wanted(0);
    }
    struct answer_feed status;
    change_feed_status(feed, &status);
    assert_int_equal(status.subscribers, 0);
    assert_true(status.progress_frames >= 3);
    end(feed);
}

/* feed_listen = none: everything but the endpoint. */
static void test_without_an_endpoint(void **state)
{
    (void)state;
    const struct change_feed_options options = standard(false);
    struct change_feed *feed = begin(&options, 7, 0);
    struct answer_feed status;
    tell(feed, 3);
    change_feed_progress(feed, bytes_of("\x18\x01", 2));
    change_feed_status(feed, &status);
    assert_int_equal(status.oldest_sequence, 8);
    assert_int_equal(status.head_sequence, 10);
    assert_non_null(change_feed_reader(feed));
    assert_int_equal(atomic_load(&wanted), -1);
    end(feed);
}

static void test_a_start_that_fails(void **state)
{
    (void)state;
    char error[512];
    const struct change_feed_options options = standard(true);
    struct change_feed *feed = begin(&options, 0, 0);
    struct change_feed *second = change_feed_new(&options);
    assert_non_null(second);
    change_feed_history(second, 0);
    assert_int_equal(change_feed_start(second, error, sizeof error), -1);
    assert_non_null(strstr(error, "Address in use"));
    change_feed_stop(second);
    change_feed_free(second);
    change_feed_stop(NULL);
    change_feed_free(NULL);
    end(feed);
}

static int setup(void **state)
{
    (void)state;
    return scene_make(
        "rule \"spiffe://t/worker\" { methods = {read} tenant = acme feed = true }\n");
}

static int teardown(void **state)
{
    (void)state;
    scene_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_life, fresh_log),
        cmocka_unit_test_setup(test_progress_is_wanted_while_somebody_listens, fresh_log),
        cmocka_unit_test_setup(test_without_an_endpoint, fresh_log),
        cmocka_unit_test_setup(test_a_start_that_fails, fresh_log),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
