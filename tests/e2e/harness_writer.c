#include "tests/e2e/harness_writer.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/index/writer.h"

#define PATIENCE_MS 20000u
#define TOLD_MAX    1024u

_Static_assert((int)TOLD_ACKED == (int)INDEX_ACKED && (int)TOLD_RETRY == (int)INDEX_RETRY &&
                   (int)TOLD_PARKED == (int)INDEX_PARKED,
               "the outcomes are those of the core");

struct writing {
    struct index_options options;
    char url[2][64];
    const char *nodes[2];
    struct target_model models[2];
    struct index_writer *writer;
    pthread_mutex_t lock;
    struct told_result told[TOLD_MAX];
    uint32_t told_count;
    struct told_refresh refreshed;
    uint32_t refreshed_count;
    uint64_t next_batch;
    uint64_t next_version;
    uint8_t rests;
};

uint64_t writing_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_a_little(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    (void)nanosleep(&pause, NULL);
}

static void lock(struct writing *writing)
{
    (void)pthread_mutex_lock(&writing->lock);
}

static void unlock(struct writing *writing)
{
    (void)pthread_mutex_unlock(&writing->lock);
}

static uint64_t clock_ms(void *context)
{
    (void)context;
    return writing_now_ms();
}

static void take_result(void *context, const struct job_result *result)
{
    struct writing *writing = context;
    struct told_result told = {.batch = result->batch,
                               .version_seen = result->version_seen,
                               .count = result->count,
                               .acked = result->acked,
                               .retried = result->retried,
                               .refused = result->refused,
                               .parked = result->parked};
    for (uint32_t i = 0; i < result->count && i < TOLD_DOCUMENTS; i++) {
        uint8_t byte = result->outcomes.at[i];
        told.outcomes[i] = (uint8_t)index_outcome_of(byte);
        told.rest_ms[i] =
            told.outcomes[i] == TOLD_RETRY ? index_rest_ms(result->retry_ms, byte) : 0;
    }
    struct reader reasons = reader_of(result->reasons);
    struct bytes code;
    struct bytes message;
    for (uint32_t i = 0; i < result->parked; i++) {
        if (!command_reason_next(&reasons, &code, &message)) {
            told.parked = UINT32_MAX; /* no test expects it */
        } else if (i == 0) {
            memcpy(told.code, code.at, code.length);
            memcpy(told.message, message.at, message.length);
        }
    }
    lock(writing);
    if (writing->told_count < TOLD_MAX) {
        writing->told[writing->told_count] = told;
    }
    writing->told_count++;
    unlock(writing);
}

static void take_refreshed(void *context, const struct index_refreshed *refreshed)
{
    struct writing *writing = context;
    lock(writing);
    writing->refreshed = (struct told_refresh){refreshed->results, refreshed->sent_ms};
    writing->refreshed_count++;
    unlock(writing);
}

static void take_room(void *context)
{
    (void)context; /* tests ask */
}

static uint32_t or_else(uint32_t value, uint32_t standard)
{
    return value != 0 ? value : standard;
}

static void prepare(struct writing *writing, const struct writing_options *from)
{
    writing->next_batch = 1;
    writing->next_version = 1000;
    (void)pthread_mutex_init(&writing->lock, NULL);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(writing->url[i], sizeof writing->url[i], "%s:%u",
                       from->secure ? "https://localhost" : "http://127.0.0.1", from->ports[i]);
        writing->nodes[i] = writing->url[i];
    }
    writing->models[0] = (struct target_model){.model = "products", .kind = TAKE_WHOLE};
    writing->models[1] = (struct target_model){.model = "orders", .kind = TAKE_FRAGMENTS};
    writing->options = (struct index_options){
        .transport = {.nodes = writing->nodes,
                      .node_count = from->ports[1] != 0 ? 2 : 1,
                      .ca = from->ca,
                      .cert = from->cert,
                      .key = from->key,
                      .basic_file = from->basic_file,
                      .gzip = from->gzip,
                      .connect_ms = 2000,
                      .answer_ms = or_else(from->answer_ms, 5000),
                      .reply_bytes_max = 8u * 1024 * 1024,
                      .requests_max = or_else(from->requests_max, 4),
                      .node_away_ms = 500},
        .targets = {.index = from->index != NULL ? from->index : "{tenant}-{model}",
                    .models = writing->models,
                    .model_count = from->fragments ? 2 : 1},
        .request_bytes_max = or_else(from->request_bytes_max, 1024u * 1024),
        .batches_max = 4,
        .retry_first_ms = 20,
        .retry_most_ms = 200,
        .item_retry_most_ms = 100,
        .late_ms = 30000,
        .refresh_ms = from->refresh_ms};
}

struct writing *writing_open(const struct writing_options *options)
{
    struct writing *writing = calloc(1, sizeof *writing);
    assert_non_null(writing);
    prepare(writing, options);
    const struct index_calls calls = {.context = writing,
                                      .now_ms = clock_ms,
                                      .result = take_result,
                                      .refreshed = take_refreshed,
                                      .room = take_room};
    char error[512] = "";
    writing->writer = index_writer_start(&writing->options, &calls, error, sizeof error);
    if (writing->writer == NULL) {
        fail_msg("%s", error);
    }
    return writing;
}

void writing_stop(struct writing *writing)
{
    index_writer_stop(writing->writer);
    writing->writer = NULL;
}

void writing_close(struct writing *writing)
{
    if (writing == NULL) {
        return;
    }
    writing_stop(writing);
    (void)pthread_mutex_destroy(&writing->lock);
    free(writing);
}

struct index_batch *writing_batch(struct writing *writing, uint32_t documents)
{
    struct index_room room = {documents, documents * 16, documents * (size_t)4096};
    struct index_batch *batch = index_batch_new(writing->next_batch++, 1, room);
    assert_non_null(batch);
    return batch;
}

static struct bytes text(const char *from)
{
    return bytes_of(from, from == NULL ? 0 : strlen(from));
}

static void put_document(struct writing *writing, struct index_batch *batch, const char *id,
                         enum take_kind kind)
{
    struct index_document document = {.tenant = text("acme"),
                                      .model = text(kind == TAKE_WHOLE ? "products" : "orders"),
                                      .id = text(id),
                                      .kind = kind,
                                      .rests = writing->rests};
    index_batch_put_document(batch, &document);
}

static void put_change(struct writing *writing, struct index_batch *batch, const char *json)
{
    struct index_change change = {writing->next_version++, json == NULL, text(json)};
    index_batch_put_change(batch, &change);
}

void writing_put(struct writing *writing, struct index_batch *batch, const char *id,
                 const char *json)
{
    put_document(writing, batch, id, TAKE_WHOLE);
    put_change(writing, batch, json);
}

void writing_put_fragment(struct writing *writing, struct index_batch *batch, const char *id,
                          const char *json)
{
    uint32_t count = batch->document_count;
    if (count == 0 || !bytes_equal(batch->documents[count - 1].id, text(id))) {
        put_document(writing, batch, id, TAKE_FRAGMENTS);
    }
    put_change(writing, batch, json);
}

void writing_set_rests(struct writing *writing, uint8_t rests)
{
    writing->rests = rests;
}

void writing_set_version(struct writing *writing, uint64_t version)
{
    writing->next_version = version;
}

uint32_t writing_room(struct writing *writing)
{
    return index_writer_room(writing->writer);
}

int writing_submit_anyway(struct writing *writing, struct index_batch *batch)
{
    return index_writer_submit_take(writing->writer, batch);
}

uint32_t writing_told(struct writing *writing)
{
    lock(writing);
    uint32_t count = writing->told_count;
    unlock(writing);
    return count;
}

uint32_t writing_refreshes(struct writing *writing)
{
    lock(writing);
    uint32_t count = writing->refreshed_count;
    unlock(writing);
    return count;
}

void writing_ask_refresh(struct writing *writing)
{
    index_writer_refresh(writing->writer);
}

static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
}

struct told_status writing_status(struct writing *writing)
{
    struct index_status from;
    index_writer_status(writing->writer, &from);
    struct told_status status = {.ready = from.ready,
                                 .refused = from.refused,
                                 .away_since_ms = from.away_since_ms,
                                 .batches = from.batches,
                                 .acked = from.acked};
    copy_text(status.code, sizeof status.code, from.why.code);
    copy_text(status.message, sizeof status.message, from.why.message);
    copy_text(status.advice_code, sizeof status.advice_code, from.advice.code);
    copy_text(status.advice, sizeof status.advice, from.advice.message);
    copy_text(status.version, sizeof status.version, from.version);
    return status;
}

void writing_await_room(struct writing *writing)
{
    uint64_t until = writing_now_ms() + PATIENCE_MS;
    while (index_writer_room(writing->writer) == 0) {
        if (writing_now_ms() > until) {
            struct told_status status = writing_status(writing);
            fail_msg("no room: %s %s", status.code, status.message);
        }
        sleep_a_little();
    }
}

void writing_submit(struct writing *writing, struct index_batch *batch)
{
    writing_await_room(writing);
    assert_int_equal(index_writer_submit_take(writing->writer, batch), 0);
}

struct told_result writing_await(struct writing *writing, uint32_t results)
{
    uint64_t until = writing_now_ms() + PATIENCE_MS;
    for (;;) {
        lock(writing);
        uint32_t count = writing->told_count;
        struct told_result told = writing->told[results - 1];
        unlock(writing);
        if (count >= results) {
            return told;
        }
        if (writing_now_ms() > until) {
            fail_msg("%u results, not %u", count, results);
        }
        sleep_a_little();
    }
}

struct told_result writing_write(struct writing *writing, struct index_batch *batch)
{
    uint64_t number = batch->number;
    lock(writing);
    uint32_t before = writing->told_count;
    unlock(writing);
    writing_submit(writing, batch);
    struct told_result told = writing_await(writing, before + 1);
    assert_int_equal(told.batch, number);
    return told;
}

struct told_refresh writing_refresh(struct writing *writing)
{
    uint64_t until = writing_now_ms() + PATIENCE_MS;
    lock(writing);
    uint32_t before = writing->refreshed_count;
    unlock(writing);
    index_writer_refresh(writing->writer);
    for (;;) {
        lock(writing);
        uint32_t count = writing->refreshed_count;
        struct told_refresh refreshed = writing->refreshed;
        unlock(writing);
        if (count > before) {
            return refreshed;
        }
        if (writing_now_ms() > until) {
            fail_msg("not refreshed");
        }
        sleep_a_little();
    }
}

struct told_status writing_await_trouble(struct writing *writing, const char *code)
{
    uint64_t until = writing_now_ms() + PATIENCE_MS;
    for (;;) {
        struct told_status status = writing_status(writing);
        if (strcmp(status.code, code) == 0) {
            return status;
        }
        if (writing_now_ms() > until) {
            fail_msg("%s %s, not %s", status.code, status.message, code);
        }
        sleep_a_little();
    }
}
