/* activityd: reads the configuration, wires the modules, runs, and takes down in reverse. The only
 * file that knows every module; what they need of each other they get here as functions. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/tls/engine.h"
#include "server/bound.h"
#include "server/change_feed.h"
#include "server/config.h"
#include "server/ending.h"
#include "server/engine/engine.h"
#include "server/index_config.h"
#include "server/journal/journal.h"
#include "server/journal/tool.h"
#include "server/log.h"
#include "server/net/border.h"
#include "server/net/endpoint.h"
#include "server/net/gate.h"
#include "server/net/library.h"
#include "server/notify.h"
#include "server/reload.h"
#include "server/rpc/admit.h"
#include "server/rpc/policy.h"
#include "server/search_index.h"
#include "server/tls_facts.h"

#define ACTIVITYD_VERSION "0.1.0"

/* sysexits.h's numbers: what a supervisor may want to tell apart. */
enum exit_status {
    STATUS_STOPPED = 0,
    STATUS_DAMAGED = 70, /* the state is damaged or diverged: starting again will not help */
    STATUS_IO = 74,      /* disk or network failed */
    STATUS_CONFIG = 78
};

/* Kept free on the disk beside a segment and the newest snapshot: the first snapshot of a small
 * state. */
#define SNAPSHOT_RESERVE (4u * 1024 * 1024)

/* Everything that lives as long as the process, in the order in which it is made. */
struct service {
    struct config config;
    struct reload_files files; /* as read at the start, until everybody has them */
    struct reload *reload;
    struct border border;
    struct engine_facts facts;
    struct journal *journal;
    struct change_feed *feed;
    struct index_config *index_config;
    struct search_index *index; /* NULL: nothing is written to an index */
    struct engine *engine;
    struct admit *admit;
    struct endpoint *endpoint;
    struct ending ending;
};

/* ---- What the modules need of each other ---- */

static void on_reply(void *context, uint64_t token, struct bytes frame)
{
    const struct service *service = context;
    endpoint_reply(service->endpoint, token, (struct view){frame.at, frame.length});
}

static void on_history(void *context, uint64_t sequence)
{
    const struct service *service = context;
    change_feed_history(service->feed, sequence);
}

static void on_events(void *context, struct bytes effects)
{
    const struct service *service = context;
    change_feed_events(service->feed, effects);
}

static void on_progress(void *context, struct bytes fields)
{
    const struct service *service = context;
    change_feed_progress(service->feed, fields);
}

/* Who waits at the engine waits for what the feed tells, too. */
static void feed_status(void *context, struct answer_feed *feed)
{
    const struct service *service = context;
    struct engine_status status;
    change_feed_status(service->feed, feed);
    engine_status(service->engine, &status);
    feed->parked += status.waits;
}

static void want_progress(void *context, bool wanted)
{
    const struct service *service = context;
    engine_want_progress(service->engine, wanted);
}

static void tls_status(void *context, struct answer_tls *tls, struct answer_files *files)
{
    const struct service *service = context;
    tls_facts_fill(service->border.domain, service->border.gate, tls);
    reload_describe(service->reload, files);
}

/* Nothing may be acknowledged any more: no orderly end, the journal is what counts. */
static void on_fatal(void *context, int exit_status, const char *text)
{
    (void)context;
    log_fatal("the process must end", LOG_TEXT("why", text),
              LOG_NUMBER("exit_status", exit_status));
    _exit(exit_status);
}

static uint64_t boot_ms(void *context)
{
    (void)context;
    return engine_clock_system.boot_ms(engine_clock_system.context);
}

static uint64_t wall_ms(void *context)
{
    (void)context;
    return engine_clock_system.wall_ms(engine_clock_system.context);
}

static enum admit_health health(void *context)
{
    const struct service *service = context;
    switch (engine_health(service->engine)) {
    case ENGINE_SERVING:
        return ADMIT_SERVING;
    case ENGINE_DISK_FULL:
        return ADMIT_DISK_FULL;
    case ENGINE_DRAINING:
        break;
    }
    return ADMIT_DRAINING;
}

/* Drain ends the process as SIGTERM does. */
static void drain(void *context)
{
    struct service *service = context;
    (void)ending_begin(&service->ending, 0);
}

static int submit_reload(void *context, uint64_t token, uint64_t deadline_ms)
{
    const struct service *service = context;
    return reload_submit(service->reload, token, deadline_ms);
}

static void want_reload(void *context)
{
    const struct service *service = context;
    reload_want(service->reload);
}

static uint32_t put_credentials(void *context, struct tls_credentials *credentials)
{
    const struct service *service = context;
    struct tls_domain *domain = service->border.domain;
    struct tls_domain_status before;
    struct tls_domain_status after;
    tls_domain_status(domain, &before);
    tls_domain_put(domain, credentials);
    tls_domain_sweep(domain);
    tls_domain_status(domain, &after);
    return (uint32_t)(after.revoked - before.revoked);
}

static uint32_t put_policy(void *context, struct policy *policy)
{
    const struct service *service = context;
    return endpoint_set_policy(service->endpoint, policy) +
           change_feed_set_policy(service->feed, policy);
}

/* What waits holds a slot: the other half is for those who do not. */
static uint32_t waits_max(const struct config *config)
{
    return (uint32_t)config->slots / 2;
}

static struct engine_options engine_options_of(struct service *service)
{
    const struct config *config = &service->config;
    return (struct engine_options){
        .limits = config->limits,
        .inbox_places = (uint32_t)config->inbox_places,
        .inbox_bytes = config->inbox_bytes,
        .outbox_bytes = config->outbox_bytes,
        .snapshot_bytes = config->snapshot_bytes,
        .waits_max = waits_max(config),
        .clock = engine_clock_system,
        .outlets = {.context = service,
                    .reply = on_reply,
                    .history = on_history,
                    .events = on_events,
                    .progress = on_progress,
                    .fatal = on_fatal},
        .index = service->index != NULL ? search_index_outlets(service->index) : NULL,
        .facts = &service->facts,
    };
}

static struct gate_options gate_options_of(const struct config *config)
{
    return (struct gate_options){
        .connections_max = (uint32_t)(config->connections_max + config->feed_connections_max +
                                      config->handshakes_max),
        .connections_per_address = (uint32_t)config->connections_per_address,
        .connects_per_minute_per_address = (uint32_t)config->connects_per_minute_per_address,
        .handshakes_max = (uint32_t)config->handshakes_max,
    };
}

static struct endpoint_options endpoint_options_of(const struct service *service)
{
    const struct config *config = &service->config;
    return (struct endpoint_options){
        .url = config->listen,
        .border = &service->border,
        .policy = service->files.policy,
        .admit = service->admit,
        .slots = (uint32_t)config->slots,
        .connections_max = (uint32_t)config->connections_max,
        .connections_per_principal = (uint32_t)config->connections_per_principal,
        .connects_per_minute = (uint32_t)config->connects_per_minute,
        .waiting_bytes = config->outbox_bytes,
    };
}

static struct change_feed_options feed_options_of(struct service *service)
{
    const struct config *config = &service->config;
    return (struct change_feed_options){
        .epoch = service->journal != NULL ? journal_epoch(service->journal) : 0,
        .window_bytes = config->limits.feed_window_bytes,
        .keep_ms = config->limits.feed_keep_ms,
        .slots = (uint32_t)config->slots,
        .pushes = config_has_feed(config),
        .endpoint = {.url = config->feed_listen,
                     .border = &service->border,
                     .policy = service->files.policy,
                     .connections_max = (uint32_t)config->feed_connections_max,
                     .connections_per_principal = (uint32_t)config->connections_per_principal,
                     .connects_per_minute = (uint32_t)config->connects_per_minute,
                     .queue_frames = (uint32_t)config->feed_queue_frames},
        .context = service,
        .now_ms = boot_ms,
        .reply = on_reply,
        .want_progress = want_progress,
    };
}

/* ---- Before anything runs: what the configuration names ---- */

static int fail(enum exit_status status, const char *message, const char *why)
{
    log_fatal(message, LOG_TEXT("why", why), LOG_NUMBER("exit_status", status));
    return (int)status;
}

static int load_files(struct service *service)
{
    char error[CONFIG_TEXT_MAX + 768];
    struct engine_facts *facts = &service->facts;
    if (reload_read(&service->config, &service->files, error, sizeof error) != 0) {
        return fail(STATUS_CONFIG, "files", error);
    }
    facts->version = ACTIVITYD_VERSION;
    facts->start_ms = wall_ms(NULL);
    facts->feed_url = service->config.feed_url;
    facts->feed = feed_status;
    facts->feed_context = service;
    facts->tls = tls_status;
    facts->tls_context = service;
    facts->durability = "an acknowledged change was synced to this machine's disk before the reply "
                        "left: it survives a crash and a power cut";
    return 0;
}

/* What is the matter with the files, beyond what makes them unusable, is said here. */
static int make_reload(struct service *service)
{
    const struct reload_options options = {
        .config = &service->config,
        .index_config = service->index_config,
        .context = service,
        .wall_ms = wall_ms,
        .boot_ms = boot_ms,
        .put_credentials = put_credentials,
        .put_policy = put_policy,
        .reply = on_reply,
    };
    service->reload = reload_new(&options, &service->files);
    return service->reload != NULL ? 0 : fail(STATUS_IO, "files", "out of memory");
}

/* Nothing is connected to yet. */
static int make_index(struct service *service)
{
    char error[640];
    service->facts.index = "none";
    service->index_config =
        index_config_new(&service->config, service->files.policy, error, sizeof error);
    if (service->index_config == NULL) {
        return fail(STATUS_CONFIG, "index", error);
    }
    const struct index_options *options = index_config_options(service->index_config);
    if (options == NULL) {
        return 0;
    }
    service->index = search_index_new(options);
    if (service->index == NULL) {
        return fail(STATUS_IO, "index", "out of memory");
    }
    service->facts.index = "elasticsearch";
    service->facts.index_source = search_index_source(service->index);
    return 0;
}

static void collect_bound(struct service *service, struct bound *bound)
{
    const struct engine_options engine = engine_options_of(service);
    const struct endpoint_options endpoint = endpoint_options_of(service);
    const struct change_feed_options feed = feed_options_of(service);
    const struct gate_options gate = gate_options_of(&service->config);
    memset(bound, 0, sizeof *bound);
    (void)engine_memory_bytes(&engine, bound_add, bound);
    gate_memory_parts(&gate, bound_add, bound);
    endpoint_memory_parts(&endpoint, bound_add, bound);
    change_feed_memory_parts(&feed, bound_add, bound);
    if (service->index != NULL) {
        search_index_memory_parts(index_config_options(service->index_config),
                                  &service->config.limits, bound_add, bound);
    }
}

static int check_memory(struct service *service)
{
    struct bound bound;
    char total[32];
    char most[32];
    char largest[256];
    collect_bound(service, &bound);
    bound_largest(&bound, largest, sizeof largest);
    (void)bound_write(bound.total, total, sizeof total);
    if (bound.total > service->config.memory_max) {
        char error[512];
        (void)snprintf(
            error, sizeof error,
            "memory_max: %s are allowed, and this configuration may need %s; the largest "
            "parts are %s",
            bound_write(service->config.memory_max, most, sizeof most), total, largest);
        return fail(STATUS_CONFIG, "configuration", error);
    }
    uint64_t machine = bound_of_machine();
    if (bound.total > machine) {
        log_warning("the configuration may need more memory than there is",
                    LOG_TEXT("may_need", total),
                    LOG_TEXT("there_is", bound_write(machine, most, sizeof most)),
                    LOG_TEXT("largest", largest));
    }
    return 0;
}

static int print_limits(struct service *service)
{
    struct bound bound;
    char text[32];
    const struct endpoint_options endpoint = endpoint_options_of(service);
    const struct change_feed_options feed = feed_options_of(service);
    collect_bound(service, &bound);
    bound_print(&bound, stdout);
    (void)printf("%-46s %12s\n", "memory_max",
                 bound_write(service->config.memory_max, text, sizeof text));
    (void)printf("%-46s %12s\n", "this machine or its cgroup",
                 bound_write(bound_of_machine(), text, sizeof text));
    uint64_t leak = endpoint_leak_bytes_per_day(&endpoint);
    if (feed.pushes) {
        leak += feed_endpoint_leak_bytes_per_day(&feed.endpoint);
    }
    (void)printf("\nBeside the total, NNG 1.10.1 may lose %s a day while one principal resets its "
                 "connections\nas often as it may connect (connects_per_minute).\n",
                 bound_write(leak, text, sizeof text));
    return bound.total > service->config.memory_max ? check_memory(service) : 0;
}

/* ---- Start, run, stop ---- */

static int make_folder(const char *path)
{
    char error[1200];
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        return 0;
    }
    (void)snprintf(error, sizeof error, "data_dir: %s: %s", path, strerror(errno));
    return fail(STATUS_IO, "configuration", error);
}

static int open_journal(struct service *service)
{
    char folder[CONFIG_TEXT_MAX + 16];
    struct journal_error error;
    (void)snprintf(folder, sizeof folder, "%s/journal", service->config.data_dir);
    const struct journal_options options = {.directory = folder,
                                            .segment_bytes = service->config.segment_bytes,
                                            .snapshot_reserve = SNAPSHOT_RESERVE};
    if (make_folder(service->config.data_dir) != 0) {
        return STATUS_IO;
    }
    int code = journal_open(&options, &service->journal, &error);
    if (code == 0) {
        return 0;
    }
    bool damaged = code == JOURNAL_DATA_LOSS || code == JOURNAL_VERSION;
    return fail(damaged ? STATUS_DAMAGED : STATUS_IO, "journal", error.text);
}

/* Once NNG knows its TLS engine. */
static int make_border(struct service *service)
{
    const struct gate_options options = gate_options_of(&service->config);
    struct border *border = &service->border;
    *border = (struct border){.gate = gate_new(&options),
                              .ca_pem = service->files.tls.ca_pem,
                              .crl_pem = service->files.tls.crl_pem,
                              .cert_pem = service->files.tls.cert_pem,
                              .key_pem = service->files.tls.key_pem};
    if (border->gate != NULL && tls_engine_is_ours()) {
        const struct tls_domain_options domain = {
            .hooks = gate_hooks(border->gate),
            .trust_domain = service->config.trust_domain,
            .handshake_ms = (uint32_t)service->config.handshake_ms,
        };
        border->domain = tls_domain_new(&domain);
        if (border->domain != NULL) {
            tls_domain_put(border->domain, service->files.tls.credentials);
        }
    }
    return border->gate != NULL && (border->domain != NULL || !tls_engine_is_ours())
               ? 0
               : fail(STATUS_IO, "TLS", "out of memory");
}

static void free_border(struct border *border)
{
    tls_domain_free(border->domain);
    gate_free(border->gate);
}

/* Ends NNG, and then what its connections used. NNG 1.10.1 aborts when it ends while a connection
 * that is being closed calls back; and one that it has lost never ends. So both wait for the last
 * connection for a second, and are left to the end of the process if there is one still. */
static void end_transport(struct border *border)
{
    struct tls_domain_status status = {.connections = 0};
    for (int round = 0; border->domain != NULL && round < 100; round++) {
        tls_domain_status(border->domain, &status);
        if (status.connections == 0) {
            break;
        }
        tls_domain_sweep(border->domain);
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (status.connections == 0) {
        library_fini();
        free_border(border);
    }
}

/* The ring is there before the engine, which tells the events that can still be fetched. */
static int make_feed(struct service *service)
{
    const struct change_feed_options options = feed_options_of(service);
    service->feed = change_feed_new(&options);
    return service->feed != NULL ? 0 : fail(STATUS_IO, "change feed", "out of memory");
}

static int start_engine(struct service *service)
{
    char text[640] = "";
    const struct engine_options options = engine_options_of(service);
    int status = engine_start(&options, service->journal, &service->engine, text, sizeof text);
    return status == 0 ? 0 : fail((enum exit_status)status, "engine", text);
}

static int start_index(struct service *service)
{
    char error[640];
    return service->index == NULL ||
                   search_index_start(service->index, service->engine, error, sizeof error) == 0
               ? 0
               : fail(STATUS_CONFIG, "index", error);
}

static int start_feed(struct service *service)
{
    char error[512];
    const struct config *config = &service->config;
    if (change_feed_start(service->feed, error, sizeof error) != 0) {
        return fail(STATUS_IO, "change feed", error);
    }
    if (config_is_loopback(config->feed_url) && !config_is_loopback(config->listen)) {
        log_warning("subscribers on other machines cannot reach the change feed",
                    LOG_TEXT("feed_url", config->feed_url));
    }
    return 0;
}

static int start_endpoint(struct service *service)
{
    char error[512];
    const struct config *config = &service->config;
    const struct admit_options admit = {.inbox = engine_inbox(service->engine),
                                        .reader = change_feed_reader(service->feed),
                                        .waits_max = waits_max(config),
                                        .waits_per_principal =
                                            (uint32_t)config->waits_per_principal,
                                        .kinds = index_config_kinds(service->index_config),
                                        .epoch = engine_epoch(service->engine),
                                        .slow_call_ms = config->slow_call_ms,
                                        .context = service,
                                        .boot_ms = boot_ms,
                                        .health = health,
                                        .drain = drain,
                                        .reload = submit_reload};
    service->admit = admit_new(&admit);
    if (service->admit == NULL) {
        return fail(STATUS_IO, "admission", "out of memory");
    }
    const struct endpoint_options options = endpoint_options_of(service);
    if (endpoint_start(&options, &service->endpoint, error, sizeof error) != 0) {
        return fail(STATUS_IO, "endpoint", error);
    }
    return 0;
}

static int start_reload(struct service *service)
{
    int code = reload_start(service->reload, engine_epoch(service->engine), tls_engine_is_ours());
    return code == 0 ? 0 : fail(STATUS_IO, "no thread for reloads", strerror(code));
}

/* Who uses the files holds what he needs of them: the texts, a private key among them, go, and what
 * a reload replaces will not stay because of us. */
static void forget_files(struct service *service)
{
    struct border *border = &service->border;
    border->ca_pem = border->crl_pem = border->cert_pem = border->key_pem = NULL;
    reload_files_deinit(&service->files);
}

static void tell_of_start(const struct service *service)
{
    const struct config *config = &service->config;
    struct engine_status status;
    struct answer_files files;
    engine_status(service->engine, &status);
    reload_describe(service->reload, &files);
    log_info("started", LOG_TEXT("version", ACTIVITYD_VERSION), LOG_TEXT("listen", config->listen),
             LOG_TEXT("feed", config->feed_listen), LOG_TEXT("index", service->facts.index),
             LOG_TEXT("data_dir", config->data_dir),
             LOG_NUMBER("journal_index", status.applied_index), LOG_NUMBER("rules", files.rules));
    if (config->open_policy) {
        log_warning("no policy: everybody with a certificate may do everything",
                    LOG_TEXT("expected", config->policy));
    }
    notify("READY=1");
    if (!config->dev && !isatty(STDOUT_FILENO)) {
        return;
    }
    (void)printf("activityd " ACTIVITYD_VERSION " serves %s, the change feed %s, data in %s\n\n"
                 "Try in another terminal:\n"
                 "  build/activityctl create upload \"My first upload\"\n"
                 "  build/activityctl find\n"
                 "  build/activityctl update JOB 50\n"
                 "and in a third one, what happens meanwhile:\n"
                 "  build/activityctl watch\n\n"
                 "Ctrl-C stops it.\n",
                 config->listen, config_has_feed(config) ? config->feed_url : "only by calls",
                 config->data_dir);
    (void)fflush(stdout);
}

static void wait_for_end(struct service *service)
{
    int number = ending_wait(&service->ending);
    log_info("stopping", LOG_TEXT("why", number != 0 ? strsignal(number) : "Drain"));
    notify("STOPPING=1");
}

static void stop(struct service *service)
{
    struct engine_status status;
    reload_stop(service->reload);
    change_feed_drain(service->feed);
    engine_drain(service->engine);
    search_index_drain(service->index);
    engine_stop(service->engine, true); /* the last events and replies are out */
    engine_status(service->engine, &status);
    change_feed_stop(service->feed);
    endpoint_stop(service->endpoint);
    service->endpoint = NULL;
    log_info("stopped", LOG_NUMBER("journal_index", status.applied_index),
             LOG_NUMBER("commands", status.commands), LOG_NUMBER("entries", status.entries),
             LOG_NUMBER("queries", status.queries), LOG_NUMBER("snapshots", status.snapshots));
}

static void free_service(struct service *service)
{
    endpoint_stop(service->endpoint);
    admit_free(service->admit);
    journal_close(service->journal);   /* its threads may call the engine until then */
    search_index_free(service->index); /* the same */
    engine_free(service->engine);
    change_feed_free(service->feed);
    index_config_free(service->index_config);
    reload_free(service->reload);
    reload_files_deinit(&service->files);
}

/* A connection is a descriptor. The soft limit is often 1,024, the hard one far above. */
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    rlim_t wanted = gate_options_of(config).connections_max + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
        log_warning("the limit of open files is low for connections_max",
                    LOG_NUMBER("limit", limit.rlim_cur), LOG_NUMBER("wanted", wanted));
    }
}

/* Subscribers first: nothing is served when they cannot be. */
static int serve(struct service *service)
{
    int status = start_index(service);
    if (status == 0) {
        status = start_feed(service);
    }
    if (status == 0) {
        ending_arm(&service->ending); /* the first request may be a Drain */
        status = start_endpoint(service);
    }
    if (status == 0) {
        status = start_reload(service);
    }
    if (status != 0) {
        reload_stop(service->reload);
        engine_stop(service->engine, false);
        change_feed_stop(service->feed);
    }
    return status;
}

static int run(struct service *service)
{
    service->ending.hang_up = want_reload;
    service->ending.context = service;
    int code = ending_start(&service->ending);
    int status = code == 0 ? 0 : fail(STATUS_IO, "no thread for signals", strerror(code));
    raise_descriptor_limit(&service->config);
    library_init();
    if (status == 0) {
        status = make_border(service);
    }
    if (status == 0) {
        status = open_journal(service);
    }
    if (status == 0) {
        status = make_feed(service);
    }
    if (status == 0) {
        status = start_engine(service);
    }
    if (status == 0) {
        status = serve(service);
    }
    if (status == 0) {
        forget_files(service);
        tell_of_start(service);
        wait_for_end(service);
        stop(service);
    }
    free_service(service);
    end_transport(&service->border);
    return status;
}

/* `activityd journal verify DIR`: DIR is the data directory or the journal's own in it, and need
 * not be the last word. */
static int run_journal_tool(int count, char **arguments)
{
    static char folder[CONFIG_TEXT_MAX + 16];
    struct stat status;
    int at = 2;
    while (at < count && arguments[at][0] == '-') {
        at++;
    }
    if (at < count && strlen(arguments[at]) < CONFIG_TEXT_MAX) {
        (void)snprintf(folder, sizeof folder, "%s/journal", arguments[at]);
        if (stat(folder, &status) == 0 && S_ISDIR(status.st_mode)) {
            arguments[at] = folder;
        }
    }
    return journal_tool_main(count, arguments);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "journal") == 0) {
        return run_journal_tool(argc - 1, argv + 1);
    }
    static struct service service;
    enum config_action action = CONFIG_RUN;
    char error[1024];
    if (config_from_arguments(argc - 1, argv + 1, &service.config, &action, error, sizeof error) !=
        0) {
        return fail(STATUS_CONFIG, "configuration", error);
    }
    log_set_level(service.config.log_level);
    switch (action) {
    case CONFIG_HELP:
        config_print_help(stdout);
        return 0;
    case CONFIG_VERSION:
        (void)puts("activityd " ACTIVITYD_VERSION);
        return 0;
    case CONFIG_PRINT_LIMITS:
        return make_index(&service) != 0 ? STATUS_CONFIG : print_limits(&service);
    case CONFIG_CHECK:
    case CONFIG_RUN:
        break;
    }
    const char *bad = core_limits_check(&service.config.limits);
    int status = bad != NULL ? fail(STATUS_CONFIG, "limits do not fit together", bad) : 0;
    if (status == 0) {
        status = load_files(&service);
    }
    if (status == 0) {
        status = make_index(&service);
    }
    if (status == 0) {
        status = make_reload(&service);
    }
    if (status == 0) {
        status = check_memory(&service);
    }
    if (status == 0 && action == CONFIG_RUN) {
        return run(&service);
    }
    free_service(&service);
    if (status == 0) {
        (void)puts("the configuration is good");
    }
    return status;
}
