/* NNG's TLS engine against ours, window by window in turns, on loopback: calls of several sizes,
 * connections per second, memory per idle connection, with nothing but NNG's REQ and REP around
 * them, and calls of activityd as it is built with each. Client and server are processes of their
 * own, and both have the same engine.
 *
 * SECONDS_PER_WINDOW, WINDOWS, CONNECTIONS and TASK_THREADS (of NNG, outside of activityd) come
 * from the environment. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/harness_calls.h"
#include "bench/harness_echo.h"
#include "bench/harness_measure.h"
#include "bench/harness_side.h"

static const char *const engine_names[] = {"NNG's engine", "ours", "without TLS"};

static struct scene scene;

/* A client and a server, and what was measured of them in one row of the table. */
struct pair {
    struct side client;
    pid_t server;
    struct series rates;
    struct series client_us; /* for each thing done */
    struct series server_us;
    struct series against; /* the rate, divided by that of NNG's engine in the same round */
};

static double run_window(struct pair *pair, const struct side_order *order)
{
    struct side_outcome outcome;
    uint64_t server = measure_cpu_us(pair->server);
    side_run(&pair->client, order, &outcome);
    double count = (double)outcome.count;
    series_add(&pair->client_us, outcome.cpu_us / count);
    series_add(&pair->server_us, (double)(measure_cpu_us(pair->server) - server) / count);
    series_add(&pair->rates, count / outcome.seconds);
    return count / outcome.seconds;
}

static void print_pair(const struct pair *pair, const char *name, const char *what, bool first)
{
    char unit[64];
    (void)snprintf(unit, sizeof unit, "%s/s", what);
    series_print(&pair->rates, name, unit);
    series_print(&pair->client_us, "", "us of the client's processors for each");
    series_print(&pair->server_us, "", "us of the server's processors for each");
    if (!first) {
        series_print(&pair->against, "", "times NNG's engine");
    }
}

/* One row: as many rounds as windows are wanted, in each of them a window of every pair, beginning
 * with another one each time. */
static void compare(struct pair *pairs, size_t count, const struct side_order *order,
                    const char *what)
{
    struct side_outcome outcome;
    struct side_order warm_up = *order;
    warm_up.milliseconds /= 4;
    for (size_t i = 0; i < count; i++) {
        pairs[i].rates.count = pairs[i].client_us.count = 0;
        pairs[i].server_us.count = pairs[i].against.count = 0;
        side_run(&pairs[i].client, &warm_up, &outcome);
    }
    for (uint32_t round = 0; round < bench_setting("WINDOWS", 7); round++) {
        double rates[ECHO_ENGINES] = {0};
        for (size_t i = 0; i < count; i++) {
            size_t at = (i + round) % count;
            rates[at] = run_window(&pairs[at], order);
        }
        for (size_t i = 1; i < count; i++) {
            series_add(&pairs[i].against, rates[i] / rates[ECHO_STOCK]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        print_pair(&pairs[i], engine_names[i], what, i == ECHO_STOCK);
    }
}

static uint32_t window_ms(void)
{
    return bench_setting("SECONDS_PER_WINDOW", 2) * 1000;
}

/* ---- NNG alone ---- */

static struct side echo_servers[ECHO_ENGINES];

static void start_echo(struct pair *pair, enum echo_engine engine)
{
    struct echo_place place = {.scene = &scene, .engine = engine, .port = free_port()};
    side_start(&echo_servers[engine], &echo_server, &place);
    side_start(&pair->client, &echo_client, &place);
    pair->server = echo_servers[engine].process;
}

static void end_echo(struct pair *pair, enum echo_engine engine)
{
    side_end(&pair->client);
    side_end(&echo_servers[engine]);
}

static void compare_echo(void)
{
    static const struct {
        const char *name;
        uint32_t bytes;
        uint32_t in_flight;
    } rows[] = {{"64 B each way, 1 in flight", 64, 1},
                {"64 B each way, 64 in flight", 64, 64},
                {"9,000 B each way, 16 in flight", 9000, 16},
                {"900,000 B each way, 4 in flight", 900000, 4}};
    static struct pair pairs[ECHO_ENGINES];
    struct side_outcome outcome;
    for (size_t i = 0; i < ECHO_ENGINES; i++) {
        start_echo(&pairs[i], (enum echo_engine)i);
    }
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct side_order order = {ECHO_PROVE, rows[row].bytes, rows[row].in_flight, 200};
        for (size_t i = 0; i < ECHO_ENGINES; i++) {
            side_run(&pairs[i].client, &order, &outcome);
        }
        order.work = ECHO_CALLS;
        order.milliseconds = window_ms();
        (void)printf("\n%s\n", rows[row].name);
        compare(pairs, ECHO_ENGINES, &order, "calls");
    }
    (void)printf("\nconnect, greet, one call of 64 B, close; 4 at a time\n");
    compare(pairs, ECHO_PLAIN, &(struct side_order){ECHO_HANDSHAKES, 64, 4, window_ms()},
            "connections");
    for (size_t i = 0; i < ECHO_ENGINES; i++) {
        end_echo(&pairs[i], (enum echo_engine)i);
    }
}

/* ---- Memory ---- */

static double memory_of(const struct pair *pair)
{
    return (double)server_memory(&(struct server){.pid = pair->server});
}

/* Resident memory of the server for each of many connections: when they have been greeted, and when
 * each has carried calls that filled every buffer once. */
static void compare_memory(void)
{
    uint32_t connections = bench_setting("CONNECTIONS", 1000);
    (void)printf("\nmemory of the server for each of %u idle connections\n", connections);
    for (size_t i = 0; i < ECHO_ENGINES; i++) {
        struct pair pair = {.server = 0};
        struct side_outcome made;
        struct side_outcome used;
        start_echo(&pair, (enum echo_engine)i);
        side_run(&pair.client, &(struct side_order){ECHO_USE, 64, 0, 0}, &used);
        double before = memory_of(&pair);
        side_run(&pair.client, &(struct side_order){ECHO_HOLD, 0, connections, 0}, &made);
        double greeted = memory_of(&pair);
        for (uint32_t round = 0; round < 4; round++) {
            side_run(&pair.client, &(struct side_order){ECHO_USE, 9000, 0, 0}, &used);
        }
        side_insist(made.count == connections && used.count == connections + 1, "connections",
                    "not all could be made");
        (void)printf("%-44s %14.1f KiB greeted %14.1f KiB after calls of 9,000 B\n",
                     engine_names[i], (greeted - before) / connections / 1024,
                     (memory_of(&pair) - before) / connections / 1024);
        end_echo(&pair, (enum echo_engine)i);
    }
}

/* ---- activityd ---- */

enum { JOBS = 20000 };

static struct server services[ECHO_PLAIN] = {{.data = "stock"}, {.data = "ours"}};

struct service_context {
    const struct server *server;
    bool stock;
};

static uint64_t jobs[JOBS];
static struct calls calls = {.jobs = jobs, .jobs_max = JOBS};

static uint64_t run_service(enum calls_work work, size_t in_flight, uint32_t milliseconds,
                            uint64_t most)
{
    struct activity_error error = {0};
    uint64_t answered = 0;
    int code = calls_run(&calls, work, in_flight, milliseconds, most, &answered, &error);
    side_insist(code == 0, "call", error.message);
    return answered;
}

static void service_prepare(void *context)
{
    const struct service_context *service = context;
    struct activity_options options;
    struct activity_error error = {0};
    client_options(&options, service->server, "worker");
    options.flags = service->stock ? ACTIVITY_TLS_STOCK : 0;
    calls.client = activity_client_new(&options, &error);
    side_insist(calls.client != NULL, "client", error.message);
    (void)run_service(CALLS_CREATE, 256, 60000, JOBS); /* waits for the server */
}

static uint64_t service_carry_out(void *context, const struct side_order *order)
{
    (void)context;
    return run_service((enum calls_work)order->work, order->in_flight, order->milliseconds,
                       UINT64_MAX);
}

static const struct side_role service_client = {.prepare = service_prepare,
                                                .carry_out = service_carry_out};

static void compare_service(void)
{
    static struct pair pairs[ECHO_PLAIN];
    char binaries[SCENE_PATH_MAX];
    const char *own = getenv("ACTIVITY_BIN");
    (void)snprintf(binaries, sizeof binaries, "%s", own != NULL ? own : "build");
    char stock[SCENE_PATH_MAX + 8];
    (void)snprintf(stock, sizeof stock, "%s/stock", binaries);
    for (size_t i = 0; i < ECHO_PLAIN; i++) {
        (void)setenv("ACTIVITY_BIN", i == ECHO_STOCK ? stock : binaries, 1);
        server_spawn(&services[i], &scene, NULL);
        struct service_context context = {&services[i], i == ECHO_STOCK};
        side_start(&pairs[i].client, &service_client, &context);
        pairs[i].server = services[i].pid;
    }
    (void)printf("\nactivityd: reads, 1 in flight\n");
    compare(pairs, ECHO_PLAIN, &(struct side_order){CALLS_GET, 0, 1, window_ms()}, "calls");
    (void)printf("\nactivityd: reads, 64 in flight\n");
    compare(pairs, ECHO_PLAIN, &(struct side_order){CALLS_GET, 0, 64, window_ms()}, "calls");
    (void)printf("\nactivityd: durable batches of 1,000 updates, 16 in flight\n");
    compare(pairs, ECHO_PLAIN, &(struct side_order){CALLS_BATCH_UPDATE, 0, 16, window_ms()},
            "batches");
    for (size_t i = 0; i < ECHO_PLAIN; i++) {
        side_end(&pairs[i].client);
        side_insist(server_stop(&services[i]) == 0, "activityd", "did not end well");
    }
}

static void clean(void)
{
    for (size_t i = 0; i < ECHO_PLAIN; i++) {
        server_kill(&services[i]);
    }
    scene_end(&scene);
}

int main(void)
{
    (void)atexit(clean);
    scene_make(&scene);
    (void)printf("median [least..most] of %u windows of %u s each\n", bench_setting("WINDOWS", 7),
                 bench_setting("SECONDS_PER_WINDOW", 2));
    (void)fflush(stdout); /* nothing that a side could print once more */
    compare_echo();
    compare_memory();
    compare_service();
    return 0;
}
