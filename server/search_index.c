#include "server/search_index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/check.h"
#include "server/log.h"

/* How long an end waits for the batches under way, and how often it looks. */
#define DRAIN_MS 2000
#define LOOK_MS  10

/* A batch as it is told of, and since when it is under way by the clock that does not jump. */
struct told_batch {
    struct answer_index_batch batch;
    uint64_t begun_ms;
};

struct search_index {
    struct index_options options;
    struct engine_index outlets;
    struct answer_index_source source;
    struct engine *engine;
    struct index_writer *_Atomic writer; /* NULL until it is started */

    pthread_mutex_t lock; /* of what follows */
    struct told_batch told[ANSWER_INDEX_BATCHES_MAX];
    uint64_t told_count; /* in all; the last ones are kept, at n % size */
    uint64_t batches;
    uint64_t changes;
};

static uint64_t boot_ms(void *context)
{
    (void)context;
    return engine_clock_system.boot_ms(engine_clock_system.context);
}

static void lock(struct search_index *index)
{
    CHECK(pthread_mutex_lock(&index->lock) == 0);
}

static void unlock(struct search_index *index)
{
    CHECK(pthread_mutex_unlock(&index->lock) == 0);
}

static void copy_reason(const struct reason *from, struct answer_reason *to)
{
    memcpy(to->code, from->code, sizeof to->code);
    memcpy(to->message, from->message, sizeof to->message);
}

/* ---- From the engine ---- */

static uint32_t room(void *context)
{
    struct search_index *index = context;
    struct index_writer *writer = atomic_load(&index->writer);
    return writer == NULL ? 0 : index_writer_room(writer);
}

static uint64_t json_bytes(const struct index_batch *batch)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < batch->change_count; i++) {
        bytes += batch->changes[i].json.length;
    }
    return bytes;
}

/* Before it is sent: the answer may be there at once. */
static void remember(struct search_index *index, const struct engine_batch *from, uint64_t bytes)
{
    const struct reply_take *take = &from->take;
    const struct core_batch_origin *origin = &from->origin;
    lock(index);
    struct told_batch *told = &index->told[index->told_count++ % ANSWER_INDEX_BATCHES_MAX];
    *told = (struct told_batch){.batch = {.number = take->batch,
                                          .sent_ms = take->sent_ms,
                                          .cause = (uint8_t)take->cause,
                                          .lag_ms = take->sent_ms > origin->oldest_ms
                                                        ? take->sent_ms - origin->oldest_ms
                                                        : 0,
                                          .changes = take->changes,
                                          .fragments = origin->fragments,
                                          .documents = take->document_count,
                                          .bytes = bytes,
                                          .ticket_count = origin->ticket_count},
                                .begun_ms = boot_ms(NULL)};
    memcpy(told->batch.tickets, origin->tickets, sizeof told->batch.tickets);
    index->batches++;
    index->changes += take->changes;
    unlock(index);
}

/* NULL: too many others came since. */
static struct told_batch *find_told(struct search_index *index, uint64_t number)
{
    for (uint32_t i = 0; i < ANSWER_INDEX_BATCHES_MAX; i++) {
        if (index->told[i].batch.number == number) {
            return &index->told[i];
        }
    }
    return NULL;
}

static void finish(struct search_index *index, const struct job_result *result)
{
    lock(index);
    struct told_batch *told = find_told(index, result->batch);
    if (told != NULL) {
        struct answer_index_batch *batch = &told->batch;
        batch->done = true;
        batch->took_ms = boot_ms(NULL) - told->begun_ms;
        batch->acked = result->acked;
        batch->retried = result->retried;
        batch->parked = result->parked;
        copy_reason(&result->why, &batch->error);
    }
    unlock(index);
}

static bool send_batch(void *context, const struct engine_batch *from)
{
    struct search_index *index = context;
    struct index_writer *writer = atomic_load(&index->writer);
    struct index_batch *batch = writer == NULL ? NULL : index_batch_from_take(&from->take);
    if (batch == NULL) {
        return false;
    }
    remember(index, from, json_bytes(batch));
    if (index_writer_submit_take(writer, batch) == 0) {
        return true;
    }
    const struct job_result result = {.batch = from->take.batch,
                                      .retried = from->take.document_count};
    finish(index, &result);
    return false;
}

static void refresh(void *context)
{
    struct search_index *index = context;
    struct index_writer *writer = atomic_load(&index->writer);
    if (writer != NULL) {
        index_writer_refresh(writer);
    }
}

/* ---- From the writer ---- */

static void on_result(void *context, const struct job_result *result)
{
    struct search_index *index = context;
    static struct log_rate rate = {.most = 10, .period_ms = 10000};
    if (result->parked != 0) {
        log_write_rated(&rate, LOG_LEVEL_WARNING,
                        "the index refused documents; they are parked until somebody decides",
                        LOG_FIELDS(LOG_NUMBER("documents", result->parked),
                                   LOG_NUMBER("batch", result->batch)));
    }
    finish(index, result);
    const struct command_result told = {.batch = result->batch,
                                        .version_seen = result->version_seen,
                                        .retry_after_ms = result->retry_ms,
                                        .count = result->count,
                                        .outcomes = result->outcomes,
                                        .reasons = result->reasons};
    engine_index_result(index->engine, &told);
}

static void on_refreshed(void *context, const struct index_refreshed *refreshed)
{
    struct search_index *index = context;
    engine_index_searchable(index->engine, refreshed->results);
}

static void on_room(void *context)
{
    struct search_index *index = context;
    engine_index_room(index->engine);
}

/* ---- For those who ask ---- */

static enum answer_index_state state_of(const struct index_status *status)
{
    /* Also when it is one index of several, and the others are written. */
    return status->refused ? ANSWER_INDEX_REFUSED
           : status->ready ? ANSWER_INDEX_READY
                           : ANSWER_INDEX_AWAY;
}

/* By the wall clock, as people read it. */
static uint64_t wall_of(uint64_t at_boot_ms)
{
    uint64_t ago = boot_ms(NULL) - at_boot_ms;
    return engine_clock_system.wall_ms(engine_clock_system.context) - ago;
}

static void tell_status(void *context, struct answer_index *to)
{
    struct search_index *index = context;
    struct index_writer *writer = atomic_load(&index->writer);
    struct index_status from = {.ready = false};
    if (writer != NULL) {
        index_writer_status(writer, &from);
    }
    *to = (struct answer_index){
        .state = state_of(&from),
        .away_since_ms = from.ready || from.away_since_ms == 0 ? 0 : wall_of(from.away_since_ms),
        .failures = from.failures,
        .requests = from.requests,
        .request_bytes = from.request_bytes,
        .acked = from.acked,
        .retried = from.retried,
        .parked = from.parked,
        .refreshes = from.refreshes,
    };
    _Static_assert(sizeof to->version >= SURVEY_VERSION_MAX, "any version fits");
    memcpy(to->version, from.version, sizeof from.version);
    copy_reason(&from.why, &to->why);
    copy_reason(&from.advice, &to->advice);
    lock(index);
    to->batches = index->batches;
    to->changes = index->changes;
    unlock(index);
}

static size_t tell_batches(void *context, uint64_t before, struct answer_index_batch *to,
                           size_t most)
{
    struct search_index *index = context;
    size_t count = 0;
    lock(index);
    uint64_t now_ms = boot_ms(NULL); /* never before a batch has begun */
    uint64_t kept =
        index->told_count < ANSWER_INDEX_BATCHES_MAX ? index->told_count : ANSWER_INDEX_BATCHES_MAX;
    for (uint64_t i = 1; i <= kept && count < most; i++) {
        const struct told_batch *told =
            &index->told[(index->told_count - i) % ANSWER_INDEX_BATCHES_MAX];
        if (before != 0 && told->batch.number >= before) {
            continue;
        }
        to[count] = told->batch;
        to[count].took_ms = told->batch.done ? told->batch.took_ms : now_ms - told->begun_ms;
        count++;
    }
    unlock(index);
    return count;
}

/* ---- Beginning and end ---- */

struct search_index *search_index_new(const struct index_options *options)
{
    struct search_index *index = calloc(1, sizeof *index);
    if (index == NULL) {
        return NULL;
    }
    CHECK(pthread_mutex_init(&index->lock, NULL) == 0);
    index->options = *options;
    index->outlets = (struct engine_index){index, room, send_batch, refresh};
    index->source = (struct answer_index_source){index, tell_status, tell_batches};
    return index;
}

const struct engine_index *search_index_outlets(struct search_index *index)
{
    return &index->outlets;
}

const struct answer_index_source *search_index_source(struct search_index *index)
{
    return &index->source;
}

int search_index_start(struct search_index *index, struct engine *engine, char *error,
                       size_t error_size)
{
    const struct index_calls calls = {.context = index,
                                      .now_ms = boot_ms,
                                      .result = on_result,
                                      .refreshed = on_refreshed,
                                      .room = on_room};
    index->engine = engine;
    struct index_writer *writer = index_writer_start(&index->options, &calls, error, error_size);
    if (writer == NULL) {
        return -1;
    }
    atomic_store(&index->writer, writer);
    engine_index_room(engine);
    return 0;
}

void search_index_drain(struct search_index *index)
{
    struct index_writer *writer = index == NULL ? NULL : atomic_load(&index->writer);
    if (writer == NULL) {
        return;
    }
    struct index_status status;
    uint64_t until_ms = boot_ms(NULL) + DRAIN_MS;
    index_writer_status(writer, &status);
    while (status.ready && status.batches != 0 && boot_ms(NULL) < until_ms) {
        const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        index_writer_status(writer, &status);
    }
}

void search_index_free(struct search_index *index)
{
    if (index == NULL) {
        return;
    }
    index_writer_stop(atomic_load(&index->writer));
    (void)pthread_mutex_destroy(&index->lock);
    free(index);
}

void search_index_memory_parts(const struct index_options *options,
                               const struct core_limits *limits,
                               void (*part)(void *context, const char *name, size_t bytes),
                               void *context)
{
    part(context, "index: batches and requests under way",
         sizeof(struct search_index) + index_writer_memory_bytes(options,
                                                                 (uint32_t)limits->flush_documents,
                                                                 limits->flush_bytes));
}
