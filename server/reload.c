#include "server/reload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/check.h"
#include "server/expiry.h"
#include "server/log.h"
#include "server/notify.h"

/* How often it is looked whether something has expired. */
#define LOOK_SECONDS 600

struct request {
    uint64_t token;
    uint64_t deadline_ms;
};

/* Those who wait: never more than there are slots, which hold the requests. */
struct requests {
    struct request *items;
    size_t count;
};

struct reload {
    struct reload_options options;
    struct tls_files_paths paths;
    uint64_t epoch;
    bool possible;
    pthread_t thread;
    struct expiry expiry;  /* the thread's, once it runs */
    struct requests taken; /* the same: those that it answers */

    pthread_mutex_t lock; /* guards what follows; nothing is waited for under it */
    pthread_cond_t changed;
    bool runs;
    bool stopping;
    bool wanted;
    struct requests waiting;
    struct answer_files files;
};

/* ---- Reading ---- */

static struct tls_files_paths paths_of(const struct config *config)
{
    return (struct tls_files_paths){
        .ca = config->ca, .crl = config->crl, .cert = config->cert, .key = config->key};
}

static int read_policy(const struct config *config, struct policy **policy, char *error,
                       size_t size)
{
    if (config->open_policy) {
        *policy = policy_new_open();
        if (*policy == NULL) {
            (void)snprintf(error, size, "%s: out of memory", config->policy);
        }
        return *policy != NULL ? 0 : -1;
    }
    if (policy_load(config->policy, policy, error, size) != 0) {
        return -1;
    }
    if (policy_count(*policy) == 0 && !config->dev) {
        (void)snprintf(error, size, "%s: has no rule, so nobody could call", config->policy);
        return -1;
    }
    const char *trust_domain = config->trust_domain;
    const char *foreign = policy_foreign_rule(*policy, view_of(trust_domain));
    if (trust_domain[0] != '\0' && foreign != NULL) {
        (void)snprintf(error, size, "%s: rule \"%s\": is outside of trust_domain \"%s\"",
                       config->policy, foreign, trust_domain);
        return -1;
    }
    return 0;
}

int reload_read(const struct config *config, struct reload_files *files, char *error,
                size_t error_size)
{
    const struct tls_files_paths paths = paths_of(config);
    memset(files, 0, sizeof *files);
    if (read_policy(config, &files->policy, error, error_size) != 0 ||
        tls_files_load(&paths, &files->tls, error, error_size) != 0) {
        reload_files_deinit(files);
        return -1;
    }
    return 0;
}

void reload_files_deinit(struct reload_files *files)
{
    tls_files_deinit(&files->tls);
    policy_release(files->policy);
    files->policy = NULL;
}

/* ---- What is in force ---- */

static struct answer_certificate certificate_of(const struct tls_certificate *from)
{
    struct answer_certificate to = {.not_after_ms = from->not_after_ms};
    (void)snprintf(to.subject, sizeof to.subject, "%s", from->subject);
    return to;
}

static void describe(const struct reload *reload, const struct reload_files *from,
                     struct answer_files *to)
{
    const struct tls_description *tls = &from->tls.description;
    *to = (struct answer_files){
        .server = certificate_of(&tls->own),
        .ca = certificate_of(&tls->ca),
        .revocations = {.lists = tls->crl_count,
                        .entries = tls->crl_entries,
                        .next_update_ms = tls->crl_next_update_ms},
        .rules = (uint32_t)policy_count(from->policy),
        .loaded_ms = reload->options.wall_ms(reload->options.context),
    };
    (void)snprintf(to->revocations.issuer, sizeof to->revocations.issuer, "%s", tls->crl_issuer);
}

static void judge_age(const struct reload *reload, struct answer_files *files)
{
    struct answer_revocations *revocations = &files->revocations;
    uint64_t now_ms = reload->options.wall_ms(reload->options.context);
    revocations->expired =
        revocations->next_update_ms != 0 && now_ms >= revocations->next_update_ms;
}

/* Once they are in force: says what should be otherwise. */
static void warn(struct reload *reload, const struct reload_files *files)
{
    if (files->tls.key_is_exposed) {
        log_warning("others may read the private key", LOG_TEXT("file", reload->paths.key));
    }
    expiry_init(&reload->expiry, &reload->paths, &files->tls.description);
    expiry_look(&reload->expiry, reload->options.wall_ms(reload->options.context));
}

void reload_describe(struct reload *reload, struct answer_files *files)
{
    (void)pthread_mutex_lock(&reload->lock);
    *files = reload->files;
    (void)pthread_mutex_unlock(&reload->lock);
    judge_age(reload, files);
}

/* ---- The work ---- */

static int check(const struct reload *reload, const struct reload_files *files, char *error,
                 size_t size)
{
    char why[640];
    if (index_config_check_policy(reload->options.index_config, files->policy, why, sizeof why) ==
        0) {
        return 0;
    }
    (void)snprintf(error, size, "%s: %s", reload->options.config->policy, why);
    return -1;
}

static void put(struct reload *reload, const struct reload_files *files,
                struct answer_reload *result)
{
    const struct reload_options *options = &reload->options;
    result->closed_revoked = options->put_credentials(options->context, files->tls.credentials);
    result->closed_by_policy = options->put_policy(options->context, files->policy);
    describe(reload, files, &result->files);
    (void)pthread_mutex_lock(&reload->lock);
    reload->files = result->files;
    (void)pthread_mutex_unlock(&reload->lock);
    judge_age(reload, &result->files);
    log_info("reloaded", LOG_TEXT("certificate", result->files.server.subject),
             LOG_TEXT("ca", result->files.ca.subject),
             LOG_NUMBER("revocation_lists", result->files.revocations.lists),
             LOG_NUMBER("revoked", result->files.revocations.entries),
             LOG_NUMBER("rules", result->files.rules),
             LOG_NUMBER("closed_revoked", result->closed_revoked),
             LOG_NUMBER("closed_by_policy", result->closed_by_policy));
    warn(reload, files);
}

/* Returns 0, or -1 with one sentence; then nothing has changed. */
static int replace(struct reload *reload, struct answer_reload *result, char *error, size_t size)
{
    struct reload_files files;
    if (!reload->possible) {
        (void)snprintf(error, size,
                       "NNG's own TLS engine takes certificates at the start only: restart the "
                       "server to have the files read anew");
        return -1;
    }
    if (reload_read(reload->options.config, &files, error, size) != 0) {
        return -1;
    }
    int outcome = check(reload, &files, error, size);
    if (outcome == 0) {
        put(reload, &files, result);
    }
    reload_files_deinit(&files);
    return outcome;
}

static void notify_begin(void)
{
    char text[64];
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify(text);
}

/* ---- Those who wait ---- */

static void refuse(const struct reload *reload, const struct request *request,
                   enum status_reason reason, const char *message)
{
    uint8_t frame[REPLY_REFUSAL_MAX];
    const struct refusal refusal = {.reason = reason, .message = message};
    size_t length = reply_refuse(reload->epoch, &refusal, frame);
    reload->options.reply(reload->options.context, request->token, bytes_of(frame, length));
}

/* Those whose time is over get nothing done for them. */
static void refuse_late(struct reload *reload)
{
    struct requests *taken = &reload->taken;
    uint64_t now_ms = reload->options.boot_ms(reload->options.context);
    size_t kept = 0;
    for (size_t i = 0; i < taken->count; i++) {
        if (now_ms >= taken->items[i].deadline_ms) {
            refuse(reload, &taken->items[i], REASON_EXPIRED_IN_QUEUE, NULL);
        } else {
            taken->items[kept++] = taken->items[i];
        }
    }
    taken->count = kept;
}

/* Fulfils the wishes that have been taken. */
static void fulfil(struct reload *reload, bool signalled)
{
    char error[CONFIG_TEXT_MAX + 768];
    struct answer_reload result;
    uint8_t frame[ANSWER_RELOAD_MAX];
    refuse_late(reload);
    if (!signalled && reload->taken.count == 0) {
        return;
    }
    notify_begin();
    int outcome = replace(reload, &result, error, sizeof error);
    notify("READY=1");
    if (outcome != 0) {
        log_error("nothing was reloaded, what was in force stays", LOG_TEXT("why", error));
    }
    for (size_t i = 0; i < reload->taken.count; i++) {
        const struct request *request = &reload->taken.items[i];
        if (outcome == 0) {
            size_t length = answer_reload(reload->epoch, &result, frame);
            reload->options.reply(reload->options.context, request->token, bytes_of(frame, length));
        } else {
            refuse(reload, request, REASON_RELOAD_REFUSED, error);
        }
    }
    reload->taken.count = 0;
}

/* ---- The thread ---- */

static void sleep_until_wanted(struct reload *reload)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_SECONDS;
    int code = 0;
    while (!reload->stopping && !reload->wanted && reload->waiting.count == 0 && code == 0) {
        code = pthread_cond_timedwait(&reload->changed, &reload->lock, &until);
    }
}

static void *run(void *context)
{
    struct reload *reload = context;
    (void)pthread_mutex_lock(&reload->lock);
    while (!reload->stopping) {
        sleep_until_wanted(reload);
        bool signalled = reload->wanted;
        bool stopping = reload->stopping;
        struct requests empty = reload->taken;
        reload->taken = reload->waiting;
        reload->waiting = empty;
        reload->wanted = false;
        (void)pthread_mutex_unlock(&reload->lock);
        if (!stopping) {
            expiry_look(&reload->expiry, reload->options.wall_ms(reload->options.context));
            fulfil(reload, signalled);
        }
        (void)pthread_mutex_lock(&reload->lock);
    }
    (void)pthread_mutex_unlock(&reload->lock);
    return NULL;
}

int reload_start(struct reload *reload, uint64_t epoch, bool possible)
{
    reload->possible = possible;
    reload->epoch = epoch;
    int code = pthread_create(&reload->thread, NULL, run, reload);
    (void)pthread_mutex_lock(&reload->lock);
    reload->runs = code == 0;
    (void)pthread_mutex_unlock(&reload->lock);
    return code;
}

void reload_stop(struct reload *reload)
{
    if (reload == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&reload->lock);
    bool runs = reload->runs;
    reload->runs = false;
    reload->stopping = true;
    (void)pthread_cond_broadcast(&reload->changed);
    (void)pthread_mutex_unlock(&reload->lock);
    if (runs) {
        (void)pthread_join(reload->thread, NULL);
    }
    struct requests *const both[] = {&reload->taken, &reload->waiting};
    for (size_t i = 0; i < 2; i++) { /* nobody adds any more */
        for (size_t j = 0; j < both[i]->count; j++) {
            refuse(reload, &both[i]->items[j], REASON_DRAINING, NULL);
        }
        both[i]->count = 0;
    }
}

/* ---- Wishes ---- */

void reload_want(struct reload *reload)
{
    (void)pthread_mutex_lock(&reload->lock);
    reload->wanted = true;
    (void)pthread_cond_broadcast(&reload->changed);
    (void)pthread_mutex_unlock(&reload->lock);
}

int reload_submit(struct reload *reload, uint64_t token, uint64_t deadline_ms)
{
    (void)pthread_mutex_lock(&reload->lock);
    int outcome = reload->stopping ? 1 : 0;
    if (outcome == 0) {
        CHECK(reload->waiting.count < reload->options.config->slots);
        reload->waiting.items[reload->waiting.count++] = (struct request){token, deadline_ms};
        (void)pthread_cond_broadcast(&reload->changed);
    }
    (void)pthread_mutex_unlock(&reload->lock);
    return outcome;
}

/* ---- Beginning and end ---- */

struct reload *reload_new(const struct reload_options *options, const struct reload_files *files)
{
    pthread_condattr_t attributes;
    struct reload *reload = calloc(1, sizeof *reload);
    if (reload == NULL) {
        return NULL;
    }
    reload->options = *options;
    reload->paths = paths_of(options->config);
    (void)pthread_mutex_init(&reload->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&reload->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    reload->taken.items = calloc(options->config->slots, sizeof(struct request));
    reload->waiting.items = calloc(options->config->slots, sizeof(struct request));
    if (reload->taken.items == NULL || reload->waiting.items == NULL) {
        reload_free(reload);
        return NULL;
    }
    describe(reload, files, &reload->files);
    warn(reload, files);
    return reload;
}

void reload_free(struct reload *reload)
{
    if (reload == NULL) {
        return;
    }
    free(reload->taken.items);
    free(reload->waiting.items);
    (void)pthread_cond_destroy(&reload->changed);
    (void)pthread_mutex_destroy(&reload->lock);
    free(reload);
}
