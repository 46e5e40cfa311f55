#include "server/index/writer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/index/places.h"
#include "server/index/scan.h"
#include "server/log.h"

#define WAIT_MAX_MS 500u /* the clock may be another than that of the waiting */

enum errand_kind { ERRAND_NONE = 0, ERRAND_BULK, ERRAND_SURVEY, ERRAND_REFRESH };

/* A request under way. */
struct errand {
    enum errand_kind kind;
    uint32_t job; /* of a bulk */
    struct job_piece piece;
};

struct index_writer {
    struct index_options options;
    struct index_calls calls;
    struct transport *transport;
    char bulk_path[sizeof REPLY_FILTER + 64];
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows */
    struct index_batch *incoming[INDEX_BATCHES_MAX];
    uint32_t incoming_count;
    uint32_t held; /* batches of which no result was told yet */
    bool refresh_wanted;
    bool stopping;
    bool ready;
    uint64_t refused_until_ms; /* a refusal is believed so long unless it is repeated */
    struct index_status status;

    /* The thread's own. */
    struct job *jobs[INDEX_BATCHES_MAX];
    struct errand *errands; /* one more than bulks: the place of the survey and of refreshes */
    struct troubles troubles;
    struct backoff backoff;
    struct backoff item_backoff;
    struct survey survey;
    struct survey_request asked;
    bool control_under_way;
    uint64_t survey_at_ms;
    uint32_t failures;
    bool had_room;
    uint64_t results;
    struct places dirty;      /* of what was told since the last refresh */
    struct places refreshing; /* of the one under way */
    struct index_refreshed asked_refresh;
    struct index_refreshed last_refresh;
    bool has_refreshed;
    uint8_t all_retry[COMMAND_TAKE_DOCUMENTS_MAX];
};

static uint64_t now(const struct index_writer *writer)
{
    return writer->calls.now_ms(writer->calls.context);
}

static void lock(struct index_writer *writer)
{
    CHECK(pthread_mutex_lock(&writer->lock) == 0);
}

static void unlock(struct index_writer *writer)
{
    CHECK(pthread_mutex_unlock(&writer->lock) == 0);
}

/* ---- Away and back ---- */

static void set_ready(struct index_writer *writer, bool ready)
{
    lock(writer);
    writer->ready = ready;
    writer->status.ready = ready;
    unlock(writer);
}

/* The index is left alone for a while; then it is surveyed anew. Several requests that fail
 * together are one failure. */
static void fail(struct index_writer *writer, bool refused, const struct reason *why)
{
    static struct log_rate rate = {.most = 1, .period_ms = 10000};
    if (writer->survey.step != SURVEY_DONE && writer->survey_at_ms > now(writer)) {
        return;
    }
    writer->failures += writer->failures < UINT32_MAX ? 1 : 0;
    uint64_t at = now(writer);
    writer->survey_at_ms = at + backoff_ms(&writer->backoff, writer->failures);
    survey_begin(&writer->survey, &writer->options.targets, writer->options.late_ms);
    set_ready(writer, false);
    lock(writer);
    struct index_status *status = &writer->status;
    status->away_since_ms = status->away_since_ms == 0 ? at : status->away_since_ms;
    status->refused = refused;
    status->why = *why;
    status->failures = writer->failures;
    unlock(writer);
    log_write_rated(&rate, LOG_LEVEL_WARNING,
                    refused ? "the index refuses us, changes wait"
                            : "the index is away, changes wait",
                    LOG_FIELDS(LOG_TEXT("code", why->code), LOG_TEXT("reason", why->message),
                               LOG_NUMBER("failures", writer->failures)));
    for (uint32_t i = 0; i < INDEX_BATCHES_MAX; i++) {
        if (writer->jobs[i] != NULL) {
            job_give_up(writer->jobs[i]);
        }
    }
}

/* The reason why nothing is known yet. */
static const char not_asked[] = "not_asked";

static void survey_is_done(struct index_writer *writer)
{
    static struct log_rate rate = {.most = 1, .period_ms = 10000};
    set_ready(writer, true);
    lock(writer);
    struct index_status *status = &writer->status;
    status->refused = false;
    status->away_since_ms = 0;
    if (strcmp(status->why.code, not_asked) == 0) {
        status->why = (struct reason){.code = ""};
    }
    (void)snprintf(status->version, sizeof status->version, "%s", writer->survey.version);
    bool is_new = writer->survey.has_warning &&
                  strcmp(status->advice.message, writer->survey.warning.message) != 0;
    status->advice =
        writer->survey.has_warning ? writer->survey.warning : (struct reason){.code = ""};
    unlock(writer);
    log_write_rated(&rate, LOG_LEVEL_INFO, "the index is there",
                    LOG_FIELDS(LOG_TEXT("version", writer->survey.version)));
    if (is_new) {
        log_warning("advice about the index", LOG_TEXT("code", writer->survey.warning.code),
                    LOG_TEXT("text", writer->survey.warning.message));
    }
}

/* ---- Requests ---- */

static struct errand *free_errand(struct index_writer *writer)
{
    for (uint32_t i = 0; i <= writer->options.transport.requests_max; i++) {
        if (writer->errands[i].kind == ERRAND_NONE) {
            return &writer->errands[i];
        }
    }
    CHECK(false);
    return NULL;
}

static bool send_control(struct index_writer *writer, enum errand_kind kind)
{
    struct errand *errand = free_errand(writer);
    bool has_body = writer->asked.body_length > 0;
    struct transport_request request = {.method = writer->asked.method,
                                        .path = writer->asked.path,
                                        .content_type = has_body ? "application/json" : NULL,
                                        .owner = errand};
    if (has_body) {
        request.body = bytes_of(writer->asked.body, writer->asked.body_length);
    }
    if (transport_send(writer->transport, &request) != 0) {
        return false;
    }
    *errand = (struct errand){.kind = kind};
    writer->control_under_way = true;
    return true;
}

static void out_of_memory(struct index_writer *writer)
{
    struct reason why;
    reason_set(&why, "out_of_memory", "a request to the index could not be made");
    fail(writer, false, &why);
}

static void survey_next(struct index_writer *writer)
{
    if (writer->control_under_way || now(writer) < writer->survey_at_ms) {
        return;
    }
    survey_ask(&writer->survey, &writer->asked);
    if (!send_control(writer, ERRAND_SURVEY)) {
        out_of_memory(writer);
    }
}

static bool send_bulk(struct index_writer *writer, uint32_t job)
{
    struct errand *errand = free_errand(writer);
    struct job_piece piece;
    int outcome = job_next(writer->jobs[job], &piece);
    if (outcome != 0) {
        if (outcome < 0) {
            out_of_memory(writer);
        }
        return false;
    }
    struct transport_request request = {.method = "POST",
                                        .path = writer->bulk_path,
                                        .content_type = "application/x-ndjson",
                                        .body = piece.body,
                                        .owner = errand};
    if (transport_send(writer->transport, &request) != 0) {
        job_piece_unsent(writer->jobs[job], &piece);
        out_of_memory(writer);
        return false;
    }
    *errand = (struct errand){.kind = ERRAND_BULK, .job = job, .piece = piece};
    lock(writer);
    writer->status.requests++;
    writer->status.request_bytes += piece.body.length;
    unlock(writer);
    return true;
}

/* One place is kept for a refresh. */
static void send_bulks(struct index_writer *writer)
{
    uint32_t kept = writer->control_under_way ? 0 : 1;
    for (uint32_t i = 0; i < INDEX_BATCHES_MAX; i++) {
        while (writer->ready && writer->jobs[i] != NULL &&
               transport_places(writer->transport) > kept) {
            if (!send_bulk(writer, i)) {
                break;
            }
        }
    }
}

/* ---- Batches ---- */

/* As long as a refused document may take to come back, and to be refused again, twice. */
static uint64_t refused_ms(const struct index_writer *writer)
{
    return 2 * ((uint64_t)writer->options.item_retry_most_ms + writer->options.transport.answer_ms);
}

static void tell(struct index_writer *writer, const struct job_result *result)
{
    static struct log_rate rate = {.most = 1, .period_ms = 10000};
    lock(writer);
    struct index_status *status = &writer->status;
    status->acked += result->acked;
    status->retried += result->retried;
    status->parked += result->parked;
    status->results = ++writer->results;
    writer->held--;
    uint64_t at = now(writer);
    bool refused = result->trouble == JOB_FINE && result->refused > 0; /* else `why` is another */
    if (refused) {
        writer->refused_until_ms = at + refused_ms(writer);
    }
    if (result->trouble == JOB_FINE && result->retried > 0 &&
        (refused || writer->refused_until_ms <= at)) {
        status->why = result->why;
    }
    unlock(writer);
    if (refused) {
        log_write_rated(&rate, LOG_LEVEL_WARNING, "an index refuses documents, which wait",
                        LOG_FIELDS(LOG_TEXT("code", result->why.code),
                                   LOG_TEXT("reason", result->why.message),
                                   LOG_NUMBER("documents", result->refused)));
    }
    writer->calls.result(writer->calls.context, result);
}

/* Without memory for anything better: sent once more, which is harmless. */
static void tell_retry(struct index_writer *writer, uint64_t number, uint32_t count)
{
    CHECK(count <= COMMAND_TAKE_DOCUMENTS_MAX);
    struct job_result result = {.batch = number,
                                .count = count,
                                .outcomes = bytes_of(writer->all_retry, count),
                                .retried = count,
                                .retry_ms = writer->options.retry_first_ms};
    reason_set(&result.why, "out_of_memory", "a batch could not be worked on");
    tell(writer, &result);
}

static void begin_job(struct index_writer *writer, struct index_batch *batch)
{
    const struct job_options options = {.targets = &writer->options.targets,
                                        .troubles = &writer->troubles,
                                        .item_backoff = &writer->item_backoff,
                                        .request_bytes_max = writer->options.request_bytes_max};
    uint64_t number = batch->number;
    uint32_t count = batch->document_count;
    struct job *job = job_new_take(batch, &options);
    if (job == NULL) {
        tell_retry(writer, number, count);
        return;
    }
    if (!writer->ready) {
        job_give_up(job);
    }
    uint32_t place = 0;
    while (writer->jobs[place] != NULL) {
        place++;
    }
    writer->jobs[place] = job;
}

static bool take_incoming(struct index_writer *writer)
{
    struct index_batch *batches[INDEX_BATCHES_MAX];
    lock(writer);
    uint32_t count = writer->incoming_count;
    memcpy(batches, writer->incoming, count * sizeof(struct index_batch *));
    writer->incoming_count = 0;
    bool stopping = writer->stopping;
    unlock(writer);
    for (uint32_t i = 0; i < count; i++) {
        begin_job(writer, batches[i]);
    }
    return !stopping;
}

static void end_job(struct index_writer *writer, struct job *job)
{
    struct job_result result;
    const struct index_batch *batch = job_batch(job);
    if (job_result(job, &result) != 0) {
        tell_retry(writer, batch->number, batch->document_count);
    } else {
        if (result.acked > 0) {
            places_add(&writer->dirty, &writer->options.targets, batch);
        }
        if (result.trouble == JOB_REFUSED && writer->ready) { /* seen at its end alone */
            fail(writer, true, &result.why);
        }
        tell(writer, &result);
    }
    job_free(job);
}

static void end_jobs(struct index_writer *writer)
{
    for (uint32_t i = 0; i < INDEX_BATCHES_MAX; i++) {
        struct job *job = writer->jobs[i];
        if (job != NULL && job_is_over(job)) {
            writer->jobs[i] = NULL;
            end_job(writer, job);
        }
    }
}

static void bulk_is_done(struct index_writer *writer, struct errand *errand,
                         const struct transport_answer *answer)
{
    struct job *job = writer->jobs[errand->job];
    const struct reason *why;
    enum job_trouble before = job_trouble(job, &why);
    uint32_t status = answer->too_long ? JOB_STATUS_TOO_LONG : answer->status;
    job_answer(job, &errand->piece, status, answer->body, answer->why);
    enum job_trouble trouble = job_trouble(job, &why);
    if (trouble != JOB_FINE && before == JOB_FINE && writer->ready) {
        struct reason copy = *why;
        fail(writer, trouble == JOB_REFUSED, &copy);
    } else if (answer->status == 200 && trouble == JOB_FINE && writer->ready) {
        writer->failures = 0;
    }
}

/* ---- Refreshes ---- */

static void tell_refreshed(struct index_writer *writer)
{
    lock(writer);
    writer->refresh_wanted = false;
    unlock(writer);
    writer->calls.refreshed(writer->calls.context, &writer->last_refresh);
}

static void begin_refresh(struct index_writer *writer)
{
    char patterns[PLACES_LIST_MAX];
    const char *list = writer->dirty.list;
    if (writer->dirty.all) {
        places_patterns(&writer->options.targets, patterns);
        list = patterns;
    }
    writer->asked.method = "POST";
    writer->asked.body_length = 0;
    (void)snprintf(writer->asked.path, sizeof writer->asked.path,
                   "%s/_refresh?ignore_unavailable=true&allow_no_indices=true&filter_path=_shards,"
                   "error,status",
                   list);
    if (!send_control(writer, ERRAND_REFRESH)) {
        out_of_memory(writer);
        return;
    }
    lock(writer);
    writer->refresh_wanted = false; /* who asks from now on needs another one */
    unlock(writer);
    writer->asked_refresh = (struct index_refreshed){writer->results, now(writer)};
    writer->refreshing = writer->dirty;
    places_clear(&writer->dirty);
}

static void refresh_next(struct index_writer *writer)
{
    bool is_dirty = writer->dirty.all || writer->dirty.length > 0;
    uint64_t due_ms = writer->last_refresh.sent_ms + writer->options.refresh_ms;
    lock(writer);
    bool wanted = writer->refresh_wanted;
    unlock(writer);
    if (writer->control_under_way || !writer->ready) {
        return;
    }
    if (wanted && !is_dirty && writer->has_refreshed) {
        writer->last_refresh.results = writer->results; /* nothing in them that was not there */
        tell_refreshed(writer);
    } else if (wanted || (is_dirty && writer->options.refresh_ms > 0 && now(writer) >= due_ms)) {
        begin_refresh(writer);
    }
}

/* Whether all shards have done it: {"_shards":{"total":2,"successful":1,"failed":0}}. */
static bool all_shards(struct bytes body)
{
    struct scan scan = scan_of(body.at, body.length);
    uint32_t names = 0;
    struct bytes name;
    uint64_t failed = UINT64_MAX;
    if (scan_peek(&scan) != SCAN_OBJECT || !scan_enter_object(&scan)) {
        return false;
    }
    while (scan_name(&scan, &names, &name)) {
        uint32_t inner = 0;
        if (!scan_is(name, "_shards") || scan_peek(&scan) != SCAN_OBJECT) {
            scan_skip(&scan);
            continue;
        }
        (void)scan_enter_object(&scan);
        while (scan_name(&scan, &inner, &name)) {
            if (!scan_is(name, "failed")) {
                scan_skip(&scan);
            } else if (!scan_u64(&scan, &failed)) {
                failed = UINT64_MAX;
            }
        }
    }
    return scan_is_over(&scan) && failed == 0;
}

static void refresh_is_done(struct index_writer *writer, const struct transport_answer *answer)
{
    if (answer->status == 200 && all_shards(answer->body)) {
        writer->last_refresh = writer->asked_refresh;
        writer->has_refreshed = true;
        places_clear(&writer->refreshing);
        lock(writer);
        writer->status.refreshes++;
        unlock(writer);
        writer->calls.refreshed(writer->calls.context, &writer->last_refresh);
        return;
    }
    places_join(&writer->dirty, &writer->refreshing);
    lock(writer);
    writer->refresh_wanted = true; /* those who waited still do */
    unlock(writer);
    struct reason said;
    struct reason why;
    if (answer->status == 0) {
        reason_set(&said, "unreachable", "%s", answer->why);
    } else {
        reply_read_error(answer->status, answer->body, &said);
    }
    reason_set(&why, answer->status == 200 ? "refresh_failed" : said.code,
               "what was written cannot be made searchable: %s", said.message);
    fail(writer, answer->status >= 400 && answer->status < 500 && answer->status != 429, &why);
}

/* ---- The thread ---- */

static void survey_answered(struct index_writer *writer, const struct transport_answer *answer)
{
    struct reason why;
    int outcome = 1;
    if (answer->status == 0) {
        reason_set(&why, "unreachable", "%s", answer->why);
    } else {
        outcome = survey_answer(&writer->survey, answer->status, answer->body, &why);
    }
    if (outcome != 0) {
        fail(writer, outcome == 2, &why);
    } else if (writer->survey.step == SURVEY_DONE) {
        survey_is_done(writer);
    }
}

static void is_done(void *context, void *owner, const struct transport_answer *answer)
{
    struct index_writer *writer = context;
    struct errand errand = *(struct errand *)owner;
    *(struct errand *)owner = (struct errand){.kind = ERRAND_NONE};
    if (errand.kind == ERRAND_BULK) {
        bulk_is_done(writer, &errand, answer);
        return;
    }
    writer->control_under_way = false;
    if (errand.kind == ERRAND_REFRESH) {
        refresh_is_done(writer, answer);
    } else {
        survey_answered(writer, answer);
    }
}

static uint32_t room_of(struct index_writer *writer)
{
    lock(writer);
    uint32_t room = writer->ready ? writer->options.batches_max - writer->held : 0;
    writer->status.batches = writer->held;
    unlock(writer);
    return room;
}

static uint32_t earlier(uint32_t wait_ms, uint64_t at, uint64_t until_ms)
{
    uint64_t left = until_ms > at ? until_ms - at : 0;
    return left < wait_ms ? (uint32_t)left : wait_ms;
}

static uint32_t wait_of(struct index_writer *writer)
{
    uint64_t at = now(writer);
    uint32_t wait_ms = WAIT_MAX_MS;
    if (!writer->ready) {
        return writer->control_under_way ? wait_ms : earlier(wait_ms, at, writer->survey_at_ms);
    }
    if (writer->options.refresh_ms > 0 && !writer->control_under_way) {
        bool is_dirty = writer->dirty.all || writer->dirty.length > 0;
        uint64_t due = writer->last_refresh.sent_ms + writer->options.refresh_ms;
        wait_ms = is_dirty ? earlier(wait_ms, at, due) : wait_ms;
    }
    return wait_ms;
}

static void *run(void *context)
{
    struct index_writer *writer = context;
    while (take_incoming(writer)) {
        if (!writer->ready) {
            survey_next(writer);
        } else {
            refresh_next(writer);
            send_bulks(writer);
        }
        end_jobs(writer);
        bool has_room = room_of(writer) > 0;
        if (has_room && !writer->had_room) {
            writer->calls.room(writer->calls.context);
        }
        writer->had_room = has_room;
        transport_run(writer->transport, wait_of(writer), is_done, writer);
        end_jobs(writer);
    }
    return NULL;
}

/* ---- From outside ---- */

static int wrong(const char *what, char *error, size_t error_size)
{
    (void)snprintf(error, error_size, "%s", what);
    return -1;
}

int index_options_check(const struct index_options *options, char *error, size_t error_size)
{
    const struct transport_options *transport = &options->transport;
    if (targets_check(&options->targets, error, error_size) != 0) {
        return -1;
    }
    if (options->batches_max == 0 || options->batches_max > INDEX_BATCHES_MAX) {
        return wrong("there can be 1 to 16 batches at a time", error, error_size);
    }
    if (transport->requests_max == 0 || transport->connect_ms == 0 || transport->answer_ms == 0 ||
        transport->reply_bytes_max == 0 || options->request_bytes_max == 0) {
        return wrong("requests, their bytes and times must be above 0", error, error_size);
    }
    if (options->retry_first_ms == 0 || options->retry_most_ms < options->retry_first_ms ||
        options->item_retry_most_ms < options->retry_first_ms) {
        return wrong("the first pause must be above 0 and not above the longest", error,
                     error_size);
    }
    if (options->item_retry_most_ms > COMMAND_RETRY_AFTER_MAX_MS) {
        return wrong("documents can rest an hour at the longest", error, error_size);
    }
    if (options->late_ms < transport->answer_ms) {
        return wrong("a request may be late by the time in which it is answered at least", error,
                     error_size);
    }
    return 0;
}

size_t index_writer_memory_bytes(const struct index_options *options, uint32_t documents_max,
                                 uint64_t bytes_max)
{
    size_t batch = documents_max * (sizeof(struct index_document) + TAKE_DOCUMENT_BYTES_MAX) +
                   BATCH_CHANGES_MAX * sizeof(struct index_change) + bytes_max;
    size_t item = bytes_max > options->request_bytes_max ? bytes_max : options->request_bytes_max;
    /* A body, the same compressed, and an answer that grows by halves. */
    size_t request = 2 * item + options->transport.reply_bytes_max * (size_t)3 / 2;
    return sizeof(struct index_writer) +
           options->batches_max * (batch + job_memory_bytes(documents_max)) +
           (options->transport.requests_max + (size_t)1) * request;
}

static struct index_writer *make(const struct index_options *options,
                                 const struct index_calls *calls, char *error, size_t error_size)
{
    struct index_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        (void)wrong("out of memory", error, error_size);
        return NULL;
    }
    writer->options = *options;
    writer->calls = *calls;
    struct transport_options transport = options->transport;
    transport.requests_max++;
    transport.now_ms = calls->now_ms;
    transport.context = calls->context;
    CHECK(pthread_mutex_init(&writer->lock, NULL) == 0);
    writer->errands = calloc(transport.requests_max, sizeof *writer->errands);
    writer->transport =
        writer->errands == NULL ? NULL : transport_new(&transport, error, error_size);
    /* A shard that cannot be written now fails its documents before we take the whole index for
     * hanging. */
    (void)snprintf(writer->bulk_path, sizeof writer->bulk_path, "/_bulk?timeout=%ums&" REPLY_FILTER,
                   options->transport.answer_ms / 3 + 1);
    uint64_t seed = (uint64_t)(uintptr_t)writer ^ now(writer);
    writer->backoff = (struct backoff){options->retry_first_ms, options->retry_most_ms, seed};
    writer->item_backoff =
        (struct backoff){options->retry_first_ms, options->item_retry_most_ms, ~seed};
    memset(writer->all_retry, INDEX_RETRY, sizeof writer->all_retry);
    places_all(&writer->dirty); /* a life before this one may have written */
    survey_begin(&writer->survey, &writer->options.targets, options->late_ms);
    reason_set(&writer->status.why, not_asked, "the index has not been asked yet");
    writer->status.away_since_ms = now(writer);
    if (writer->errands == NULL) {
        (void)wrong("out of memory", error, error_size);
    }
    return writer;
}

static void unmake(struct index_writer *writer)
{
    /* The bodies of requests are the jobs' pieces. */
    transport_free(writer->transport);
    for (uint32_t i = 0; writer->errands != NULL && i <= writer->options.transport.requests_max;
         i++) {
        free((void *)(uintptr_t)writer->errands[i].piece.body.at);
    }
    for (uint32_t i = 0; i < INDEX_BATCHES_MAX; i++) {
        job_free(writer->jobs[i]);
    }
    for (uint32_t i = 0; i < writer->incoming_count; i++) {
        index_batch_free(writer->incoming[i]);
    }
    free(writer->errands);
    (void)pthread_mutex_destroy(&writer->lock);
    free(writer);
}

struct index_writer *index_writer_start(const struct index_options *options,
                                        const struct index_calls *calls, char *error,
                                        size_t error_size)
{
    if (index_options_check(options, error, error_size) != 0) {
        return NULL;
    }
    struct index_writer *writer = make(options, calls, error, error_size);
    if (writer == NULL) {
        return NULL;
    }
    if (writer->transport == NULL) {
        unmake(writer);
        return NULL;
    }
    if (pthread_create(&writer->thread, NULL, run, writer) != 0) {
        (void)wrong("cannot start a thread", error, error_size);
        unmake(writer);
        return NULL;
    }
    return writer;
}

void index_writer_stop(struct index_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    lock(writer);
    writer->stopping = true;
    unlock(writer);
    transport_wake(writer->transport);
    CHECK(pthread_join(writer->thread, NULL) == 0);
    unmake(writer);
}

uint32_t index_writer_room(struct index_writer *writer)
{
    return room_of(writer);
}

int index_writer_submit_take(struct index_writer *writer, struct index_batch *batch)
{
    CHECK(batch->document_count > 0 && batch->document_count <= COMMAND_TAKE_DOCUMENTS_MAX);
    lock(writer);
    bool fits = writer->held < writer->options.batches_max;
    if (fits) {
        writer->incoming[writer->incoming_count++] = batch;
        writer->held++;
    }
    unlock(writer);
    if (!fits) {
        index_batch_free(batch);
        return 1;
    }
    transport_wake(writer->transport);
    return 0;
}

void index_writer_refresh(struct index_writer *writer)
{
    lock(writer);
    writer->refresh_wanted = true;
    unlock(writer);
    transport_wake(writer->transport);
}

void index_writer_status(struct index_writer *writer, struct index_status *status)
{
    lock(writer);
    *status = writer->status;
    status->refused = status->refused || (writer->ready && writer->refused_until_ms > now(writer));
    status->batches = writer->held;
    unlock(writer);
}
