/* Changes into a real OpenSearch, in turn and in the same run:
 *
 *   ours        a client of libactivity records them over mutual TLS with an activityd that writes
 *               to the index, durable before it answers; they count when WaitVisible has said of
 *               all of them that the index has accepted them
 *   _bulk       a loader that writes each change with `_bulk`, 1,000 in a request, over as many
 *               connections as ours has batches under way: without versions, and with
 *               version_type=external as ours
 *   one by one  PUT _doc/ID for each change, over 16 connections
 *
 * Documents of about 500 bytes, all of which exist before. They change 40 at a time, each of them
 * 1, 5 or 50 times in a row before the next 40 do, 200 changes in a request. So the changes of one
 * document come within flush_delay_ms of each other: also 40 times 50 do at 10,000 changes/s. How
 * many were really combined is changes/s divided by documents/s, since a batch that is taken amid
 * them writes the document twice. The loaders write the same documents in the same order, each
 * connection its share.
 *
 * The second part changes three fields of each document: patches of about 65 bytes with ours, and
 * partial documents (`update` with `doc`) with `_bulk`. The third is how long it takes at a pace
 * that everybody can keep.
 *
 * One node, one shard, no replicas, refresh_interval 1s, translog as by default: OpenSearch is
 * durable before it answers, whoever writes. It, activityd and the client share this machine's
 * processors: what ours does beside the index is time that the index does not get.
 *
 * Beside the speed stands what a change costs of processor time, merges included: that depends less
 * on what else the machine has to do.
 *
 * SECONDS_PER_WINDOW and WINDOWS come from the environment, TIMES (1, 5 or 50) for one of them. */
#include "bench/harness_acked.h"
#include "bench/harness_bulk.h"
#include "bench/harness_measure.h"
#include "tests/e2e/harness_opensearch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCHES = 4, /* index_batches_max, and connections of the loaders */
    SINGLE_CONNECTIONS = 16,
    ITEMS = 1000,
    FLUSH_DELAY_MS = 200,
    PER_REQUEST = 200,
    IN_FLIGHT = 16,
    PACE = 2000,
    PACE_PER_REQUEST = 20,
};

enum way { OURS, BULK, EXTERNAL, SINGLE, PATCHES, UPDATES, WAYS };

static struct scene scene;
static struct opensearch node;
static struct server server;
static activity_client *worker;
static activity_client *root;
static uint32_t milliseconds;
static uint32_t windows;
static struct acked_options recorded[WAYS];
static struct documents_walk walks[WAYS];
static struct bulk_loader *loaders[WAYS];

/* ---- The index ---- */

static void make_index(const char *name)
{
    char path[64];
    int status = 0;
    (void)snprintf(path, sizeof path, "/%s", name);
    json_decref(opensearch_ask(&node, "PUT", path, documents_index, &status));
    assert_int_equal(status, 200);
}

/* What one has left to be done is not to be paid by the next. */
static void settle(void)
{
    json_decref(opensearch_ask(&node, "POST", "/_refresh", NULL, NULL));
    for (int i = 0; i < 200; i++) {
        json_t *stats = opensearch_ask(
            &node, "GET", "/_stats/merge?filter_path=_all.total.merges.current", NULL, NULL);
        json_int_t merges = 1;
        (void)json_unpack(stats, "{s:{s:{s:{s:I}}}}", "_all", "total", "merges", "current",
                          &merges);
        json_decref(stats);
        if (merges == 0) {
            return;
        }
        sleep_ms(50);
    }
}

/* ---- A window ---- */

struct cost {
    double changes;   /* per second */
    double documents; /* the same, of ours */
    double index_us;  /* processor time of a change: OpenSearch's */
    double ours_us;   /* and activityd's */
};

static struct cost run(enum way way, uint32_t for_ms, uint64_t most, uint32_t times)
{
    struct cost cost = {.changes = 0};
    uint64_t index_us = measure_cpu_us(node.pid);
    uint64_t ours_us = measure_cpu_us(server.pid);
    uint64_t began = measure_ns();
    if (loaders[way] != NULL) {
        cost.changes = bulk_run(loaders[way], for_ms, most, times);
    } else {
        documents_walk_set(&walks[way], times);
        struct acked_result result = acked_run(&recorded[way], &walks[way], for_ms, most);
        cost.changes = result.changes;
        cost.documents = result.documents;
    }
    double changes = cost.changes * (double)(measure_ns() - began) / 1e9;
    settle();
    cost.index_us = (double)(measure_cpu_us(node.pid) - index_us) / changes;
    cost.ours_us = (double)(measure_cpu_us(server.pid) - ours_us) / changes;
    return cost;
}

struct costs {
    struct series changes;
    struct series ratio; /* the first way's to this one's */
    struct series documents;
    struct series index_us;
    struct series ours_us;
};

/* Each window of one is followed by one of each other, and another begins each time. */
static void measure(const enum way *ways, size_t count, uint32_t times, struct costs *costs)
{
    memset(costs, 0, WAYS * sizeof costs[0]);
    for (uint32_t w = 0; w < windows; w++) {
        double rate[WAYS] = {0};
        for (size_t i = 0; i < count; i++) {
            enum way way = ways[(i + w) % count];
            struct cost cost = run(way, milliseconds, UINT64_MAX, times);
            rate[way] = cost.changes;
            series_add(&costs[way].changes, cost.changes);
            series_add(&costs[way].documents, cost.documents);
            series_add(&costs[way].index_us, cost.index_us);
            series_add(&costs[way].ours_us, cost.ours_us);
        }
        for (size_t i = 0; i < count; i++) {
            series_add(&costs[ways[i]].ratio, rate[ways[0]] / rate[ways[i]]);
        }
    }
}

static void print_ours(const struct costs *costs)
{
    series_print(&costs->changes, "  ours", "changes/s");
    series_print(&costs->documents, "    written by it", "documents/s");
    series_print(&costs->index_us, "    OpenSearch's processor time", "us/change");
    series_print(&costs->ours_us, "    activityd's", "us/change");
}

static void print_other(const struct costs *costs, const char *name)
{
    series_print(&costs->changes, name, "changes/s");
    series_print(&costs->index_us, "    OpenSearch's processor time", "us/change");
    series_print(&costs->ratio, "    ours to this", "x");
}

static void measure_whole(uint32_t times)
{
    static const enum way ways[] = {OURS, BULK, EXTERNAL, SINGLE};
    static struct costs costs[WAYS];
    measure(ways, sizeof ways / sizeof ways[0], times, costs);
    (void)printf("whole documents, %u change%s of each\n", times, times == 1 ? "" : "s");
    print_ours(&costs[OURS]);
    print_other(&costs[BULK], "  _bulk, no versions");
    print_other(&costs[EXTERNAL], "  _bulk, external versions");
    print_other(&costs[SINGLE], "  one by one");
}

static void measure_fragments(uint32_t times)
{
    static const enum way ways[] = {PATCHES, UPDATES};
    static struct costs costs[WAYS];
    measure(ways, sizeof ways / sizeof ways[0], times, costs);
    (void)printf("fragments, %u change%s of each document\n", times, times == 1 ? "" : "s");
    print_ours(&costs[PATCHES]);
    print_other(&costs[UPDATES], "  _bulk updates");
}

static void measure_lag(void)
{
    static struct series middle, late, batches, index_us;
    struct acked_options paced = recorded[OURS];
    paced.per_request = PACE_PER_REQUEST;
    paced.per_second = PACE;
    documents_walk_set(&walks[OURS], 5);
    for (uint32_t w = 0; w < windows; w++) {
        uint64_t before_us = measure_cpu_us(node.pid);
        uint64_t began = measure_ns();
        struct acked_result result = acked_run(&paced, &walks[OURS], milliseconds, UINT64_MAX);
        double changes = result.changes * (double)(measure_ns() - began) / 1e9;
        settle();
        series_add(&index_us, (double)(measure_cpu_us(node.pid) - before_us) / changes);
        series_add(&batches, result.batches);
        series_add(&middle, result.p50_ms);
        series_add(&late, result.p99_ms);
    }
    (void)printf("%u changes/s, %u in a request, flush_delay_ms = %u\n", PACE, PACE_PER_REQUEST,
                 FLUSH_DELAY_MS);
    series_print(&middle, "  record sent to acked, p50", "ms");
    series_print(&late, "  record sent to acked, p99", "ms");
    series_print(&batches, "  batches", "batches/s");
    series_print(&index_us, "  OpenSearch's processor time", "us/change");
}

/* ---- The scene ---- */

static void start_server(void)
{
    static const char *flags[] = {"--config", NULL, NULL};
    char text[512];
    (void)snprintf(text, sizeof text,
                   "index = elasticsearch\n"
                   "index_nodes = \"%s\"\n"
                   "index_batches_max = %d\n"
                   "flush_delay_ms = %d\n"
                   "waits_per_principal = 512\n"
                   "log_level = warning\n"
                   "model \"patched\" {\n    kind = fragments\n}\n",
                   node.url, BATCHES, FLUSH_DELAY_MS);
    scene_write(&scene, "index.conf", text);
    flags[1] = strdup(scene_path(&scene, "index.conf"));
    server_start(&server, &scene, flags);
    worker = client_of(&server, "worker", NULL, NULL, NULL);
    root = client_of(&server, "root", NULL, NULL, NULL);
}

static void make_ways(void)
{
    static const char *const indices[] = {"acme-whole", "acme-patched", "plain", "external",
                                          "updated"};
    for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
        make_index(indices[i]);
    }
    recorded[OURS] = (struct acked_options){.client = worker,
                                            .root = root,
                                            .model = "whole",
                                            .per_request = PER_REQUEST,
                                            .in_flight = IN_FLIGHT};
    recorded[PATCHES] = recorded[OURS];
    recorded[PATCHES].model = "patched";
    recorded[PATCHES].fragments = true;
    walks[OURS] = walks[PATCHES] = documents_walk_of(0, 1);
    const struct {
        enum way way;
        struct bulk_options options;
    } loads[] = {{BULK, {node.url, "plain", BULK_INDEX, BATCHES, ITEMS}},
                 {EXTERNAL, {node.url, "external", BULK_EXTERNAL, BATCHES, ITEMS}},
                 {SINGLE, {node.url, "plain", BULK_SINGLE, SINGLE_CONNECTIONS, 1}},
                 {UPDATES, {node.url, "updated", BULK_UPDATE, BATCHES, ITEMS}}};
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        loaders[loads[i].way] = bulk_new(&loads[i].options);
    }
}

/* All documents, in each index; it warms up all that take part. */
static void fill(void)
{
    struct bulk_loader *filler =
        bulk_new(&(struct bulk_options){node.url, "updated", BULK_INDEX, 1, ITEMS});
    (void)bulk_run(filler, UINT32_MAX, DOCUMENTS, 1);
    bulk_free(filler);
    recorded[PATCHES].whole = true;
    static const enum way ways[] = {OURS, PATCHES, BULK, EXTERNAL};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        (void)run(ways[i], UINT32_MAX, DOCUMENTS, 1);
    }
    recorded[PATCHES].whole = false;
    for (unsigned way = 0; way < WAYS; way++) {
        (void)run((enum way)way, milliseconds / 2, UINT64_MAX, 5);
    }
}

static void measure_all(void)
{
    static const uint32_t all[] = {1, 5, 50};
    uint32_t only = bench_setting("TIMES", 0);
    (void)printf("documents of %u bytes; median [least..most] of %u windows of %u s\n",
                 documents_mean_bytes(), windows, milliseconds / 1000);
    (void)fflush(stdout);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (only == 0 || only == all[i]) {
            measure_whole(all[i]);
        }
    }
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (only == 0 || only == all[i]) {
            measure_fragments(all[i]);
        }
    }
    measure_lag();
}

/* Also when a call has failed, and what noticed it ends the process. */
static void leave(void)
{
    server_kill(&server);
    opensearch_end(&node);
    scene_end(&scene);
}

int main(void)
{
    static const char *const settings[] = {"action.auto_create_index=false", NULL};
    static const struct opensearch_options options = {.fast = true, .settings = settings};
    milliseconds = bench_setting("SECONDS_PER_WINDOW", 2) * 1000;
    windows = bench_setting("WINDOWS", 5);
    (void)atexit(leave);
    scene_make(&scene);
    if (!opensearch_start(&node, &scene, &options)) {
        (void)printf("skipped: OpenSearch cannot be had here\n");
        return 0;
    }
    start_server();
    documents_make();
    make_ways();
    fill();
    measure_all();
    for (unsigned way = 0; way < WAYS; way++) {
        bulk_free(loaders[way]);
    }
    documents_free();
    activity_client_free(worker);
    activity_client_free(root);
    return server_stop(&server);
}
