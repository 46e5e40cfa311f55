/* Answers about the way into the index: how it stands, the latest batches, what is parked. */
#include "server/wire/answer_index.h"

#include <string.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/wire/encode.h"
#include "server/wire/reply.h"
#include "server/wire/token.h"

/* Field numbers of GetIndexStatusResponse. */
enum {
    STATUS_STATE = 1,
    STATUS_VERSION = 2,
    STATUS_WHY = 3,
    STATUS_ADVICE = 4,
    STATUS_AWAY_SINCE_MS = 5,
    STATUS_FAILURES = 6,
    STATUS_WAITING_DOCUMENTS = 7,
    STATUS_WAITING_CHANGES = 8,
    STATUS_IN_FLIGHT_DOCUMENTS = 9,
    STATUS_IN_FLIGHT_CHANGES = 10,
    STATUS_PARKED_DOCUMENTS = 11,
    STATUS_PARKED_CHANGES = 12,
    STATUS_PENDING_BYTES = 13,
    STATUS_LAG_MS = 14,
    STATUS_BATCHES = 15,
    STATUS_REQUESTS = 16,
    STATUS_REQUEST_BYTES = 17,
    STATUS_CHANGES = 18,
    STATUS_ACKED_DOCUMENTS = 19,
    STATUS_RETRIED_DOCUMENTS = 20,
    STATUS_REFRESHES = 21,
    STATUS_PARKED_SINCE_START = 22,
    STATUS_RESTING_DOCUMENTS = 23,
    STATUS_TIME_MS = 24,
};
enum { REASON_CODE = 1, REASON_MESSAGE = 2 };
enum {
    BATCH_NUMBER = 1,
    BATCH_SENT_TIME_MS = 2,
    BATCH_DONE = 3,
    BATCH_CAUSE = 4,
    BATCH_LAG_MS = 5,
    BATCH_TOOK_MS = 6,
    BATCH_CHANGES = 7,
    BATCH_FRAGMENTS = 8,
    BATCH_DOCUMENTS = 9,
    BATCH_BYTES = 10,
    BATCH_ACKED = 11,
    BATCH_RETRIED = 12,
    BATCH_PARKED = 13,
    BATCH_ERROR = 14,
    BATCH_TICKETS = 15,
};
enum {
    PARKED_PARK_ID = 1,
    PARKED_TIME_MS = 2,
    PARKED_MODEL = 3,
    PARKED_DOCUMENT_ID = 4,
    PARKED_REASON = 5,
    PARKED_CHANGES = 6,
    PARKED_BEHIND = 7,
    PARKED_FRAGMENTS = 8,
    PARKED_OLDEST_TIME_MS = 9,
    PARKED_TICKETS = 10,
};
/* Of both lists. */
enum { LIST_ITEMS = 1, LIST_NEXT_PAGE_TOKEN = 2 };

#define NUMBER_MAX 12 /* a tag below 2^11 and a varint */
#define REASON_MAX                                                                                 \
    (COMMAND_REASON_CODE_LENGTH + COMMAND_REASON_MESSAGE_LENGTH + 2 * ENCODE_HEAD_MAX)
#define TICKETS_MAX (ENCODE_HEAD_MAX + CORE_TICKETS_SHOWN * sizeof(uint64_t))
#define BATCH_MAX   (13 * NUMBER_MAX + ENCODE_HEAD_MAX + REASON_MAX + TICKETS_MAX)
#define PARKED_MAX                                                                                 \
    (6 * NUMBER_MAX + 3 * ENCODE_HEAD_MAX + LIMIT_MODEL_LENGTH + LIMIT_DOCUMENT_ID_LENGTH +        \
     REASON_MAX + TICKETS_MAX)
#define TOKEN_MAX (ENCODE_HEAD_MAX + TOKEN_BYTES)

_Static_assert(REPLY_HEAD_MAX + 24 * NUMBER_MAX + ANSWER_INDEX_VERSION_MAX +
                       2 * (ENCODE_HEAD_MAX + REASON_MAX) <=
                   LIMIT_PAGE_BYTES,
               "the longest status is far from filling a reply");
_Static_assert(ANSWER_INDEX_BATCHES_MAX *(ENCODE_HEAD_MAX + BATCH_MAX) <= LIMIT_PAGE_BYTES,
               "a page of the longest batches needs no other end than its size");
_Static_assert(REPLY_HEAD_MAX + LIMIT_PAGE_BYTES + ENCODE_HEAD_MAX + PARKED_MAX + TOKEN_MAX <=
                   LIMIT_REPLY_BYTES,
               "a page that was nearly full before its last document fits a reply");

static uint8_t *put_reason(uint8_t *to, uint32_t number, struct bytes code, struct bytes message)
{
    if (code.length == 0 && message.length == 0) {
        return to;
    }
    uint8_t reason[REASON_MAX];
    uint8_t *end = encode_bytes(reason, REASON_CODE, code);
    end = encode_bytes(end, REASON_MESSAGE, message);
    return encode_member(to, number, encoded_since(reason, end));
}

/* What came from outside is text already; but one byte that is none would make the whole answer
 * unreadable, just when it is needed. */
static struct bytes said(const char *text, size_t most)
{
    struct view view = reply_sayable(text, most);
    return bytes_of(view.bytes, view.length);
}

static uint8_t *put_answer_reason(uint8_t *to, uint32_t number, const struct answer_reason *reason)
{
    return put_reason(to, number, said(reason->code, COMMAND_REASON_CODE_LENGTH),
                      said(reason->message, COMMAND_REASON_MESSAGE_LENGTH));
}

/* Packed, as proto3 has repeated numbers. */
static uint8_t *put_tickets(uint8_t *to, uint32_t number, const uint64_t *tickets, uint32_t count)
{
    CHECK(count <= CORE_TICKETS_SHOWN);
    return encode_bytes(to, number, bytes_of(tickets, count * sizeof tickets[0]));
}

static uint8_t *put_token(uint8_t *to, uint64_t hash, uint64_t position)
{
    uint8_t token[TOKEN_BYTES];
    token_encode(token, hash, (struct query_place){0, position});
    return encode_member(to, LIST_NEXT_PAGE_TOKEN, bytes_of(token, sizeof token));
}

/* ---- GetIndexStatus ---- */

/* What the writer knows; field numbers need not ascend. */
static uint8_t *put_index(const struct answer_index *index, uint8_t *to)
{
    to = encode_number(to, STATUS_STATE, index->state);
    to = encode_bytes(to, STATUS_VERSION, said(index->version, ANSWER_INDEX_VERSION_MAX - 1));
    to = put_answer_reason(to, STATUS_WHY, &index->why);
    to = put_answer_reason(to, STATUS_ADVICE, &index->advice);
    to = encode_number(to, STATUS_AWAY_SINCE_MS, index->away_since_ms);
    to = encode_number(to, STATUS_FAILURES, index->failures);
    to = encode_number(to, STATUS_BATCHES, index->batches);
    to = encode_number(to, STATUS_REQUESTS, index->requests);
    to = encode_number(to, STATUS_REQUEST_BYTES, index->request_bytes);
    to = encode_number(to, STATUS_CHANGES, index->changes);
    to = encode_number(to, STATUS_ACKED_DOCUMENTS, index->acked);
    to = encode_number(to, STATUS_RETRIED_DOCUMENTS, index->retried);
    to = encode_number(to, STATUS_REFRESHES, index->refreshes);
    return encode_number(to, STATUS_PARKED_SINCE_START, index->parked);
}

/* What the core knows. */
static uint8_t *put_queue(const struct core *core, uint8_t *to)
{
    struct core_index_status status;
    struct core_info info;
    core_index_status(core, &status);
    core_info(core, &info);
    bool waits = status.oldest_ms != 0 && status.oldest_ms < info.wall_ms;
    to = encode_number(to, STATUS_WAITING_DOCUMENTS, status.waiting_documents);
    to = encode_number(to, STATUS_WAITING_CHANGES, status.waiting_changes);
    to = encode_number(to, STATUS_RESTING_DOCUMENTS, status.resting_documents);
    to = encode_number(to, STATUS_IN_FLIGHT_DOCUMENTS, status.flying_documents);
    to = encode_number(to, STATUS_IN_FLIGHT_CHANGES, status.flying_changes);
    to = encode_number(to, STATUS_PARKED_DOCUMENTS, status.parked_documents);
    to = encode_number(to, STATUS_PARKED_CHANGES, status.parked_changes);
    to = encode_number(to, STATUS_PENDING_BYTES, status.pending_bytes);
    to = encode_number(to, STATUS_LAG_MS, waits ? info.wall_ms - status.oldest_ms : 0);
    return encode_number(to, STATUS_TIME_MS, info.wall_ms);
}

uint8_t *answer_index_status(const struct core *core, const struct answer_index_source *source,
                             uint8_t *to)
{
    struct answer_index index = {.state = ANSWER_INDEX_NONE};
    if (source != NULL) {
        source->status(source->context, &index);
    }
    return put_queue(core, put_index(&index, to));
}

/* ---- ListIndexBatches ---- */

static uint8_t *put_batch(const struct answer_index_batch *batch, uint8_t *to)
{
    uint8_t one[BATCH_MAX];
    uint8_t *end = encode_number(one, BATCH_NUMBER, batch->number);
    end = encode_number(end, BATCH_SENT_TIME_MS, batch->sent_ms);
    end = encode_number(end, BATCH_DONE, batch->done);
    end = encode_number(end, BATCH_CAUSE, batch->cause);
    end = encode_number(end, BATCH_LAG_MS, batch->lag_ms);
    end = encode_number(end, BATCH_TOOK_MS, batch->took_ms);
    end = encode_number(end, BATCH_CHANGES, batch->changes);
    end = encode_number(end, BATCH_FRAGMENTS, batch->fragments);
    end = encode_number(end, BATCH_DOCUMENTS, batch->documents);
    end = encode_number(end, BATCH_BYTES, batch->bytes);
    end = encode_number(end, BATCH_ACKED, batch->acked);
    end = encode_number(end, BATCH_RETRIED, batch->retried);
    end = encode_number(end, BATCH_PARKED, batch->parked);
    end = put_answer_reason(end, BATCH_ERROR, &batch->error);
    end = put_tickets(end, BATCH_TICKETS, batch->tickets, batch->ticket_count);
    return encode_member(to, LIST_ITEMS, encoded_since(one, end));
}

/* A few at a time: a page of them is much for a stack. */
#define BATCHES_AT_ONCE 16u

uint8_t *answer_index_batches(const struct answer_index_source *source,
                              const struct query_page *page, uint8_t *to)
{
    struct answer_index_batch found[BATCHES_AT_ONCE];
    uint64_t before = page->position;
    size_t left = page->page_size;
    CHECK(left <= ANSWER_INDEX_BATCHES_MAX);
    while (source != NULL && left > 0) {
        size_t most = left < BATCHES_AT_ONCE ? left : BATCHES_AT_ONCE;
        size_t count = source->batches(source->context, before, found, most);
        CHECK(count <= most);
        for (size_t i = 0; i < count; i++) {
            to = put_batch(&found[i], to);
            before = found[i].number;
        }
        if (count < most) {
            return to;
        }
        left -= count;
    }
    if (source != NULL && source->batches(source->context, before, found, 1) != 0) {
        to = put_token(to, TOKEN_BATCHES_HASH, before);
    }
    return to;
}

/* ---- ListParkedDocuments ---- */

static uint8_t *put_parked(const struct core_parked *parked, uint8_t *to)
{
    uint8_t one[PARKED_MAX];
    uint8_t *end = encode_number(one, PARKED_PARK_ID, parked->park_id);
    end = encode_number(end, PARKED_TIME_MS, parked->since_ms);
    end = encode_bytes(end, PARKED_MODEL, parked->model);
    end = encode_bytes(end, PARKED_DOCUMENT_ID, parked->document_id);
    end = put_reason(end, PARKED_REASON, parked->code, parked->message);
    end = encode_number(end, PARKED_CHANGES, parked->changes);
    end = encode_number(end, PARKED_BEHIND, parked->behind);
    end = encode_number(end, PARKED_FRAGMENTS, parked->fragments);
    end = encode_number(end, PARKED_OLDEST_TIME_MS, parked->oldest_ms);
    end = put_tickets(end, PARKED_TICKETS, parked->tickets, parked->ticket_count);
    return encode_member(to, LIST_ITEMS, encoded_since(one, end));
}

uint8_t *answer_parked(const struct core *core, struct bytes tenant, const struct query_page *page,
                       uint8_t *to)
{
    const uint8_t *begin = to;
    struct core_parked_walk walk;
    struct core_parked parked;
    CHECK(tenant.length != 0); /* that would be all of them */
    core_parked_walk_init(&walk, core, tenant, page->position);
    uint64_t position = walk.position;
    for (uint32_t count = 0;; count++) {
        enum core_found found = core_parked_next(&walk, &parked);
        if (found == CORE_END) {
            return to;
        }
        if (found == CORE_EXHAUSTED) {
            return put_token(to, TOKEN_PARKED_HASH, walk.position);
        }
        if (count == page->page_size || to - begin >= LIMIT_PAGE_BYTES) {
            return put_token(to, TOKEN_PARKED_HASH, position);
        }
        to = put_parked(&parked, to);
        position = walk.position;
    }
}
