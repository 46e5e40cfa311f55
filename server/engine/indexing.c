#include "server/engine/indexing.h"

#include <string.h>

#include "server/check.h"

/* What nobody had the memory or the place to take over comes back after so long. */
#define HOMELESS_REST_MS 1000

int indexing_init(struct indexing *indexing, const struct engine_index *outlets, struct wake *wake)
{
    indexing->outlets = outlets;
    return outlets == NULL ? 0
                           : queue_init(&indexing->results, INDEXING_QUEUE_BYTES, UINT32_MAX, wake);
}

void indexing_deinit(struct indexing *indexing)
{
    queue_deinit(&indexing->results);
}

/* ---- Commands ---- */

static bool has_hands_free(const struct indexing *indexing)
{
    return indexing->outlets != NULL && !indexing->taking && indexing->homeless == 0;
}

uint64_t indexing_due(const struct indexing *indexing, const struct core *core)
{
    if (!has_hands_free(indexing)) {
        return UINT64_MAX;
    }
    uint64_t due = core_batch_due(core);
    /* Asked last, since it may cost a lock. */
    return due == UINT64_MAX || indexing->outlets->room(indexing->outlets->context) == 0
               ? UINT64_MAX
               : due;
}

static struct bytes encode(const struct command *command, uint8_t *room, size_t size)
{
    struct writer to = writer_of(room, size);
    command_encode(command, &to);
    CHECK(!to.failed);
    return bytes_of(room, (size_t)(to.at - room));
}

static void make_take(const struct core_info *info, struct indexing_command *made)
{
    static _Thread_local struct command command; /* large */
    command.kind = COMMAND_TAKE;
    command.take = (struct command_take){.documents_max = (uint32_t)info->limits.flush_documents,
                                         .bytes_max = info->limits.flush_bytes};
    made->kind = COMMAND_TAKE;
    made->encoded = encode(&command, made->room, sizeof made->room);
    made->token = 0;
}

/* Nobody has sent it, so it comes back as a whole. */
static void make_homeless(const struct indexing *indexing, struct indexing_command *made)
{
    static _Thread_local struct command command; /* large */
    uint8_t outcomes[COMMAND_TAKE_DOCUMENTS_MAX];
    memset(outcomes, INDEX_RETRY, indexing->homeless_documents);
    command.kind = COMMAND_RESULT;
    command.result = (struct command_result){
        .batch = indexing->homeless,
        .retry_after_ms = HOMELESS_REST_MS,
        .count = indexing->homeless_documents,
        .outcomes = bytes_of(outcomes, indexing->homeless_documents),
    };
    made->kind = COMMAND_RESULT;
    made->encoded = encode(&command, made->room, sizeof made->room);
    made->token = 0;
}

bool indexing_next(struct indexing *indexing, const struct indexing_view *view, uint64_t service_ms,
                   bool closing, struct indexing_command *command)
{
    uint8_t *record;
    size_t size;
    if (indexing->outlets == NULL) {
        return false;
    }
    if (queue_peek(&indexing->results, &record, &size)) {
        command->kind = COMMAND_RESULT;
        command->encoded = bytes_of(record, size);
        command->token = indexing->appended + 1;
        return true;
    }
    if (indexing->homeless != 0) {
        make_homeless(indexing, command);
        return true;
    }
    if (!closing && indexing_due(indexing, view->core) <= service_ms) {
        make_take(view->info, command);
        return true;
    }
    return false;
}

void indexing_took(struct indexing *indexing, const struct indexing_command *command)
{
    if (command->kind == COMMAND_TAKE) {
        indexing->taking = true;
    } else if (command->token != 0) {
        indexing->appended = command->token;
        queue_pop(&indexing->results);
    } else {
        indexing->homeless = 0;
    }
}

/* ---- What became of them ---- */

static void hand_over(struct indexing *indexing, const struct core *core, struct bytes body)
{
    struct engine_batch batch;
    reply_take_read(body, &batch.take);
    indexing->taking = false;
    if (batch.take.batch == 0) {
        return;
    }
    CHECK(core_batch_origin(core, batch.take.batch, &batch.origin));
    if (!indexing->outlets->send(indexing->outlets->context, &batch)) {
        indexing->homeless = batch.take.batch;
        indexing->homeless_documents = batch.take.document_count;
    }
}

/* What was done with in the millisecond of a result that no refresh covers yet cannot be told from
 * it. */
static void note_result(struct indexing *indexing, uint64_t service_ms, uint64_t number)
{
    CHECK(number == indexing->applied + 1);
    indexing->applied = number;
    indexing->applied_ms[number % INDEXING_TIMES] = service_ms;
    if (number > atomic_load(&indexing->refreshed) && service_ms < indexing->searchable_before_ms) {
        indexing->searchable_before_ms = service_ms;
    }
}

void indexing_applied(struct indexing *indexing, const struct indexing_view *view,
                      const struct effect *effect, uint64_t token)
{
    CHECK(effect->code == STATUS_OK);
    if (effect->kind == COMMAND_TAKE && indexing->outlets != NULL) {
        hand_over(indexing, view->core, effect->body);
    } else if (effect->kind == COMMAND_RESULT && token != 0) {
        note_result(indexing, view->info->service_ms, token);
    }
}

/* ---- What is searchable ---- */

bool indexing_look(struct indexing *indexing, const struct core_info *info)
{
    uint64_t refreshes = atomic_load(&indexing->refreshes);
    if (refreshes == indexing->seen) {
        return false;
    }
    uint64_t covered = atomic_load(&indexing->refreshed);
    indexing->seen = refreshes;
    indexing->asked = false;
    if (indexing->applied > covered && indexing->applied - covered > INDEXING_TIMES) {
        return true; /* who still waits asks for the next one */
    }
    indexing->searchable_before_ms = indexing->applied > covered
                                         ? indexing->applied_ms[(covered + 1) % INDEXING_TIMES]
                                         : info->service_ms + 1;
    return true;
}

void indexing_want_refresh(struct indexing *indexing)
{
    if (indexing->outlets != NULL && !indexing->asked) {
        indexing->asked = true;
        indexing->outlets->refresh(indexing->outlets->context);
    }
}

/* ---- Other threads ---- */

void indexing_put(struct indexing *indexing, const struct command_result *result)
{
    static _Thread_local struct command command; /* large */
    command.kind = COMMAND_RESULT;
    command.result = *result;
    uint8_t *record;
    enum queue_outcome outcome = queue_reserve(&indexing->results, REQUEST_BODY_MAX, &record);
    if (outcome == QUEUE_CLOSED) {
        return; /* the next start sends it again */
    }
    CHECK(outcome == QUEUE_OK);
    queue_publish(&indexing->results, record, encode(&command, record, REQUEST_BODY_MAX).length);
}

void indexing_refreshed(struct indexing *indexing, uint64_t results)
{
    atomic_store(&indexing->refreshed, results);
    atomic_fetch_add(&indexing->refreshes, 1);
    wake_ring(indexing->results.wake);
}
