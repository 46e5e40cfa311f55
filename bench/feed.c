/* The change feed: model changes accepted and delivered to 1, 8 and 32 subscribers over mutual TLS,
 * how fast and how late; and beside it, in the same run and in turn, the same deliveries by stock
 * NNG PUB with one message per event, which keeps nothing and promises nothing. Everything runs on
 * one machine. SECONDS_PER_WINDOW and WINDOWS come from the environment. */
#include "bench/harness_changes.h"
#include "bench/harness_stock_pub.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { SUBSCRIBERS_MAX = 32, PACED_PER_SECOND = 2000 };

static struct scene scene;
static struct server server;
static struct changes_sink sinks[SUBSCRIBERS_MAX];

struct figures {
    struct series accepted;  /* changes per second */
    struct series delivered; /* to all: changes per second and subscriber */
    struct series p50_us, p99_us;
    uint64_t gaps;
    uint64_t resets;
};

/* Records and waits until all have all of it. */
static void run(activity_client *client, size_t subscribers, uint32_t milliseconds,
                const struct changes_pace *pace, struct figures *figures)
{
    uint64_t before = changes_slowest(sinks, subscribers);
    uint64_t began = measure_ns();
    uint64_t accepted = changes_record(client, milliseconds, pace);
    double until_accepted = (double)(measure_ns() - began) / 1e9;
    uint64_t patience = now_ms() + 60000;
    while (changes_slowest(sinks, subscribers) - before < accepted && now_ms() < patience) {
        sleep_ms(1);
    }
    double until_delivered = (double)(measure_ns() - began) / 1e9;
    if (pace->per_second == 0) {
        series_add(&figures->accepted, (double)accepted / until_accepted);
        series_add(&figures->delivered, (double)accepted / until_delivered);
    }
    sleep_ms(500); /* what was combined for the index follows after 200 ms */
}

/* One window of ours: as fast as it goes, then paced for the latencies. */
static void measure_ours(size_t subscribers, uint32_t milliseconds, struct figures *figures)
{
    static const struct changes_pace fast = {.per_request = 100, .in_flight = 8};
    static const struct changes_pace paced = {
        .per_request = 10, .in_flight = 4, .per_second = PACED_PER_SECOND};
    static struct follower followers[SUBSCRIBERS_MAX];
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    memset(followers, 0, sizeof followers);
    for (size_t i = 0; i < subscribers; i++) {
        changes_sink_init(&sinks[i]);
        followers[i].server = &server;
        followers[i].who = "watcher";
        followers[i].on_event = changes_taken;
        followers[i].context = &sinks[i];
        follower_start(&followers[i]);
    }
    sleep_ms(1200); /* a heartbeat each: all are connected */
    run(client, subscribers, milliseconds, &fast, figures);
    for (size_t i = 0; i < subscribers; i++) {
        atomic_store(&sinks[i].keep, true);
    }
    run(client, subscribers, milliseconds, &paced, figures);
    for (size_t i = 0; i < subscribers; i++) {
        follower_stop(&followers[i]);
        figures->gaps += followers[i].status.gaps;
        figures->resets += followers[i].status.resets;
    }
    series_add(&figures->p50_us, changes_late_us(sinks, subscribers, 0.5));
    series_add(&figures->p99_us, changes_late_us(sinks, subscribers, 0.99));
    for (size_t i = 0; i < subscribers; i++) {
        changes_sink_deinit(&sinks[i]);
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
        (void)printf("    gaps %llu, resets %llu\n", (unsigned long long)figures->gaps,
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
    uint32_t milliseconds = bench_setting("SECONDS_PER_WINDOW", 2) * 1000;
    uint32_t windows = bench_setting("WINDOWS", 5);
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
