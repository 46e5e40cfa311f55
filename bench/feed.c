/* The change feed: model changes accepted and delivered to 1, 8 and 32 subscribers over mutual TLS,
 * how fast and how late; and beside it, in the same run and in turn, the same deliveries by stock
 * NNG PUB with one message per event, which keeps nothing and promises nothing. Everything runs on
 * one machine. SECONDS_PER_WINDOW and WINDOWS come from the environment. */
#include "bench/harness_stock_pub.h"
#include "tests/e2e/harness_feed.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PER_REQUEST = 100,
    REQUESTS_KEPT = 1024, /* whose time of sending is remembered */
    SUBSCRIBERS_MAX = 32,
    LATENCIES = 1 << 20,
    PACED_PER_SECOND = 2000, /* changes, where latency is measured */
    PACED_PER_REQUEST = 10,
};

static struct scene scene;
static struct server server;

/* When the request with this number was sent; documents are named by number and place. */
static _Atomic uint64_t sent_ns[REQUESTS_KEPT];

struct sink {
    _Atomic uint64_t changes; /* delivered */
    uint64_t *latencies;      /* NULL: not wanted */
    size_t count;
};
static struct sink sinks[SUBSCRIBERS_MAX];

static uint32_t setting(const char *name, uint32_t standard)
{
    const char *text = getenv(name);
    return text == NULL || atol(text) <= 0 ? standard : (uint32_t)atol(text);
}

static void on_event(void *context, const struct activity_event *event)
{
    struct sink *sink = context;
    if (event->kind != ACTIVITY_EVENT_MODEL_CHANGED) {
        return;
    }
    if (sink->latencies != NULL && sink->count < LATENCIES) {
        unsigned long number = strtoul(event->change->document_id, NULL, 10);
        sink->latencies[sink->count++] =
            measure_ns() - atomic_load(&sent_ns[number / PER_REQUEST % REQUESTS_KEPT]);
    }
    atomic_fetch_add(&sink->changes, 1);
}

static void submit(activity_window *window, uint64_t number, size_t changes)
{
    static const char *const all = "*";
    static struct activity_document_change list[PER_REQUEST];
    static char ids[PER_REQUEST][24];
    struct activity_error error;
    for (size_t i = 0; i < changes; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "%llu",
                       (unsigned long long)(number % REQUESTS_KEPT * PER_REQUEST + i));
        list[i] = (struct activity_document_change){.model = "mediacontainer",
                                                    .document_id = ids[i],
                                                    .affected_model = "mediaContainer",
                                                    .groups = &all,
                                                    .group_count = 1};
    }
    const struct activity_record_request request = {.changes = list, .change_count = changes};
    atomic_store(&sent_ns[number % REQUESTS_KEPT], measure_ns());
    assert_ok(activity_submit_record_changes(window, &request, NULL, 0, &error), error);
}

/* Records changes for some time. Returns how many were accepted. */
static uint64_t record(activity_client *client, uint32_t milliseconds, bool paced)
{
    struct activity_error error;
    size_t in_flight = paced ? 4 : 8;
    size_t changes = paced ? PACED_PER_REQUEST : PER_REQUEST;
    activity_window *window = activity_window_new(client, in_flight, &error);
    static uint64_t number;
    uint64_t began = measure_ns();
    uint64_t end = began + (uint64_t)milliseconds * 1000000u;
    uint64_t sent = 0;
    uint64_t accepted = 0;
    while (measure_ns() < end || activity_window_used(window) > 0) {
        uint64_t now = measure_ns();
        uint64_t due = paced ? (now - began) * PACED_PER_SECOND / 1000000000u : UINT64_MAX;
        while (now < end && activity_window_used(window) < in_flight && sent * changes < due) {
            submit(window, number++, changes);
            sent++;
        }
        struct activity_completion done;
        if (activity_next(window, 1, &done) == ACTIVITY_NEXT_DONE) {
            if (done.error.code != ACTIVITY_OK) {
                (void)fprintf(stderr, "%s %s\n", done.error.reason, done.error.message);
                exit(1);
            }
            accepted += changes;
            activity_result_free(done.result);
        } else if (activity_window_used(window) == 0) {
            sleep_ms(1);
        }
    }
    activity_window_free(window);
    return accepted;
}

struct figures {
    struct series accepted;  /* changes per second */
    struct series delivered; /* to all: changes per second and subscriber */
    struct series p50_us, p99_us;
    uint64_t gaps;
    uint64_t resets;
};

static uint64_t slowest(size_t subscribers)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < subscribers; i++) {
        uint64_t changes = atomic_load(&sinks[i].changes);
        least = changes < least ? changes : least;
    }
    return least;
}

static void merge_latencies(size_t subscribers, struct series *p50, struct series *p99)
{
    size_t count = 0;
    for (size_t i = 0; i < subscribers; i++) {
        count += sinks[i].count;
    }
    uint64_t *all = malloc((count + 1) * sizeof all[0]);
    count = 0;
    for (size_t i = 0; i < subscribers; i++) {
        memcpy(all + count, sinks[i].latencies, sinks[i].count * sizeof all[0]);
        count += sinks[i].count;
    }
    series_add(p50, (double)latency_at(all, count, 0.5) / 1000);
    series_add(p99, (double)latency_at(all, count, 0.99) / 1000);
    free(all);
}

/* One window of ours: as fast as it goes, then paced for the latencies. */
static void measure_ours(size_t subscribers, uint32_t milliseconds, struct figures *figures)
{
    static struct follower followers[SUBSCRIBERS_MAX];
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    memset(followers, 0, sizeof followers);
    for (size_t i = 0; i < subscribers; i++) {
        atomic_store(&sinks[i].changes, 0);
        sinks[i].count = 0;
        followers[i].server = &server;
        followers[i].who = "watcher";
        followers[i].on_event = on_event;
        followers[i].context = &sinks[i];
        follower_start(&followers[i]);
    }
    sleep_ms(1200); /* a heartbeat each: all are connected */
    for (unsigned paced = 0; paced < 2; paced++) {
        for (size_t i = 0; i < subscribers; i++) {
            sinks[i].latencies = paced ? malloc(LATENCIES * sizeof(uint64_t)) : NULL;
        }
        uint64_t before = slowest(subscribers);
        uint64_t began = measure_ns();
        uint64_t accepted = record(client, milliseconds, paced != 0);
        double until_accepted = (double)(measure_ns() - began) / 1e9;
        uint64_t patience = now_ms() + 60000;
        while (slowest(subscribers) - before < accepted && now_ms() < patience) {
            sleep_ms(1);
        }
        double until_delivered = (double)(measure_ns() - began) / 1e9;
        if (!paced) {
            series_add(&figures->accepted, (double)accepted / until_accepted);
            series_add(&figures->delivered, (double)accepted / until_delivered);
        }
        sleep_ms(500); /* what was combined for the index follows after 200 ms */
    }
    merge_latencies(subscribers, &figures->p50_us, &figures->p99_us);
    for (size_t i = 0; i < subscribers; i++) {
        follower_stop(&followers[i]);
        free(sinks[i].latencies);
        sinks[i].latencies = NULL;
        figures->gaps += followers[i].status.gaps;
        figures->resets += followers[i].status.resets;
    }
    activity_client_free(client);
}

static void print(const char *name, struct figures *figures, bool ours)
{
    (void)printf("  %s\n", name);
    if (ours) {
        series_print(&figures->accepted, "    accepted, durable", "changes/s");
    }
    series_print(&figures->delivered, "    delivered to each", "changes/s");
    series_print(&figures->p50_us, "    sent to delivered, p50, 2,000/s", "us");
    series_print(&figures->p99_us, "    sent to delivered, p99, 2,000/s", "us");
    if (ours) {
        (void)printf("    gaps filled %llu, resets %llu\n", (unsigned long long)figures->gaps,
                     (unsigned long long)figures->resets);
    }
}

int main(int count, char **arguments)
{
    if (count > 1) {
        return stock_pub_child(count, arguments);
    }
    static const char *const flags[] = {"--set", "feed_keep_ms=600s", "--set", "change_keep_ms=2s",
                                        NULL};
    static const size_t numbers[] = {1, 8, 32};
    uint32_t milliseconds = setting("SECONDS_PER_WINDOW", 2) * 1000;
    uint32_t windows = setting("WINDOWS", 3);
    scene_make(&scene);
    server_start(&server, &scene, flags);
    (void)printf("change feed over mutual TLS; median [least..most] of %u windows of %u s\n",
                 windows, milliseconds / 1000);
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        static struct figures ours, stock;
        memset(&ours, 0, sizeof ours);
        memset(&stock, 0, sizeof stock);
        struct series ratio = {.count = 0};
        for (uint32_t i = 0; i < windows; i++) {
            measure_ours(numbers[n], milliseconds, &ours);
            struct stock_pub_figures one;
            stock_pub_measure(&scene, numbers[n], milliseconds, PACED_PER_SECOND, &one);
            series_add(&stock.delivered, one.per_second);
            series_add(&stock.p50_us, one.p50_us);
            series_add(&stock.p99_us, one.p99_us);
            series_add(&ratio, ours.delivered.values[i] / one.per_second);
        }
        (void)printf("%zu subscriber%s\n", numbers[n], numbers[n] == 1 ? "" : "s");
        print("activityd", &ours, true);
        print("stock NNG PUB, one message per event", &stock, false);
        series_print(&ratio, "  delivered, ours to stock", "x");
    }
    server_signal(&server, SIGTERM);
    int status = server_wait(&server);
    scene_end(&scene);
    return status;
}
