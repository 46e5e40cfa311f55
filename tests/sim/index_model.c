#include "tests/sim/index_model.h"

#include "proto/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

const char *const index_meetings[INDEX_MET_COUNT] = {"changes recorded",
                                                     "refused for room",
                                                     "batches",
                                                     "nothing due",
                                                     "too many batches",
                                                     "urgent batches",
                                                     "whole documents",
                                                     "whole changes combined",
                                                     "fragments",
                                                     "other kind left",
                                                     "documents acknowledged",
                                                     "documents retried",
                                                     "documents put to rest",
                                                     "urgent ones put to rest",
                                                     "recorded behind resting",
                                                     "taken after a rest",
                                                     "turns of those that wait",
                                                     "woken",
                                                     "documents parked",
                                                     "recorded behind parked",
                                                     "stale results",
                                                     "versions raised",
                                                     "starts",
                                                     "parked ones retried",
                                                     "parked ones discarded",
                                                     "not parked or not yours",
                                                     "tickets sent",
                                                     "tickets parked",
                                                     "index given up"};

__attribute__((format(printf, 2, 3))) static bool wrong(struct index_model *model,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(model->complaint, sizeof model->complaint, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- Names ---- */

static struct bytes word(const char *text)
{
    return bytes_of(text, strlen(text));
}

struct bytes index_tenant(uint32_t document)
{
    static const char *const tenants[INDEX_TENANTS] = {"acme", "beta"};
    return word(tenants[document % INDEX_TENANTS]);
}

struct bytes index_model_name(uint32_t document)
{
    static const char *const models[INDEX_MODELS] = {"container", "person"};
    return word(models[document / INDEX_TENANTS % INDEX_MODELS]);
}

struct bytes index_id(uint32_t document)
{
    static const char *const ids[INDEX_IDS] = {"1", "22", "a longer id", "4", "5"};
    return word(ids[document / INDEX_TENANTS / INDEX_MODELS]);
}

struct bytes index_affected(uint32_t affected)
{
    static const char *const names[INDEX_AFFECTED] = {"mediaContainer", "person", "keyword"};
    return word(names[affected]);
}

static uint32_t document_of(struct bytes tenant, struct bytes model, struct bytes id)
{
    uint32_t at = 0;
    while (at < INDEX_DOCUMENTS &&
           !(bytes_equal(index_tenant(at), tenant) && bytes_equal(index_model_name(at), model) &&
             bytes_equal(index_id(at), id))) {
        at++;
    }
    return at;
}

/* ---- Queues ---- */

static void queue_remove(struct index_queue *queue, uint32_t document)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < queue->count; i++) {
        if (queue->at[i] != document) {
            queue->at[kept++] = queue->at[i];
        }
    }
    queue->count = kept;
}

static bool any_urgent(const struct index_document *document)
{
    for (uint32_t i = 0; i < document->count; i++) {
        if (document->changes[i].urgent) {
            return true;
        }
    }
    return false;
}

static void enter(struct index_model *model, uint32_t at, bool front)
{
    struct index_document *document = &model->documents[at];
    bool urgent = any_urgent(document);
    struct index_queue *queue = urgent ? &model->urgent : &model->waiting;
    document->state = INDEX_WAITS;
    document->taken = 0;
    document->since = document->changes[0].service_ms;
    if (!urgent && queue->count != 0) {
        uint64_t next = model->documents[queue->at[0]].since,
                 last = model->documents[queue->at[queue->count - 1]].since;
        if (front && document->since > next) {
            document->since = next;
        } else if (!front && document->since < last) {
            document->since = last;
        }
    }
    if (front) {
        memmove(&queue->at[1], &queue->at[0], queue->count * sizeof queue->at[0]);
        queue->at[0] = at;
    } else {
        queue->at[queue->count] = at;
    }
    queue->count++;
}

uint32_t index_pending(const struct index_model *model)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < INDEX_DOCUMENTS; i++) {
        count += model->documents[i].count;
    }
    return count;
}

static uint64_t waiting_bytes(const struct index_model *model)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < INDEX_DOCUMENTS; i++) {
        const struct index_document *document = &model->documents[i];
        bool aside = document->state == INDEX_SIDED || document->state == INDEX_RESTS;
        for (uint32_t k = document->taken; !aside && k < document->count; k++) {
            bytes += document->changes[k].length;
        }
    }
    return bytes;
}

static bool much_waits(const struct index_model *model)
{
    return model->waiting.count + model->urgent.count >= model->limits.flush_documents ||
           waiting_bytes(model) >= model->limits.flush_bytes;
}

/* The document that rests and is due first; INDEX_DOCUMENTS: none rests. */
static uint32_t first_resting(const struct index_model *model)
{
    uint32_t first = INDEX_DOCUMENTS;
    for (uint32_t i = 0; i < INDEX_DOCUMENTS; i++) {
        const struct index_document *document = &model->documents[i], *best = NULL;
        if (document->state != INDEX_RESTS) {
            continue;
        }
        best = first == INDEX_DOCUMENTS ? NULL : &model->documents[first];
        if (best == NULL || document->rest_until < best->rest_until ||
            (document->rest_until == best->rest_until &&
             document->rest_number < best->rest_number)) {
            first = i;
        }
    }
    return first;
}

static uint64_t rested_at(const struct index_model *model)
{
    uint32_t first = first_resting(model);
    return first == INDEX_DOCUMENTS ? UINT64_MAX : model->documents[first].rest_until;
}

static bool waits_long(const struct index_model *model)
{
    return model->waiting.count != 0 &&
           model->documents[model->waiting.at[0]].since + model->limits.flush_delay_ms <=
               model->service;
}

static uint64_t due_at(const struct index_model *model)
{
    uint64_t rested = rested_at(model), waiting = UINT64_MAX;
    if (model->urgent.count != 0) {
        return 0;
    }
    if (model->waiting.count != 0) {
        waiting = much_waits(model)
                      ? 0
                      : model->documents[model->waiting.at[0]].since + model->limits.flush_delay_ms;
    }
    return rested < waiting ? rested : waiting;
}

static enum take_cause cause_of(const struct index_model *model)
{
    if (model->urgent.count != 0) {
        return TAKE_URGENT;
    }
    if (model->waiting.count != 0 && much_waits(model)) {
        return model->waiting.count >= model->limits.flush_documents ? TAKE_DOCUMENTS : TAKE_BYTES;
    }
    return rested_at(model) <= model->service ? TAKE_RESTED : TAKE_DELAY;
}

/* ---- Record ---- */

static void add(struct index_model *model, uint32_t at, const struct index_change *change)
{
    struct index_document *document = &model->documents[at];
    bool was_urgent = any_urgent(document);
    document->changes[document->count++] = *change;
    if (document->state == INDEX_IDLE) {
        enter(model, at, false);
    } else if (document->state == INDEX_WAITS && change->urgent && !was_urgent) {
        uint64_t since = document->since;
        queue_remove(&model->waiting, at);
        enter(model, at, false);
        document->since = since;
    }
    model->met[INDEX_MET_RECORDED]++;
    model->met[INDEX_MET_BEHIND_PARKED] += document->state == INDEX_SIDED;
    model->met[INDEX_MET_BEHIND_RESTING] += document->state == INDEX_RESTS;
}

bool index_record(struct index_model *model, const struct index_recorded *changes, uint32_t count,
                  const struct effect *reply)
{
    uint32_t pending = index_pending(model);
    uint64_t most = model->limits.pending_changes_max;
    if (reply->code != STATUS_OK) {
        model->met[INDEX_MET_REFUSED]++;
        return (reply->reason == REASON_TOO_MANY_PENDING_CHANGES &&
                pending + count > most - most / 16) ||
               wrong(model, "refused (reason %u) with %u changes pending", reply->reason, pending);
    }
    struct reply_record answer;
    reply_record_read(reply->body, &answer);
    if (pending + count > most || answer.accept_ms != model->wall) {
        return wrong(model, "%u changes more are recorded at %" PRIu64 " although %u wait", count,
                     answer.accept_ms, pending);
    }
    struct index_ticket *ticket = &model->tickets[model->ticket_count];
    *ticket = (struct index_ticket){
        .id = answer.ticket, .tenant = changes[0].document % INDEX_TENANTS, .open = count};
    for (uint32_t i = 0; i < count; i++) {
        struct index_change change = changes[i].change;
        change.accept_ms = model->wall;
        change.service_ms = model->service;
        change.ticket = model->ticket_count;
        add(model, changes[i].document, &change);
    }
    model->ticket_count++;
    return true;
}

/* ---- Take ---- */

/* How many of the document's changes the room has place for; *all: it left none out. */
static uint32_t prefix(const struct index_model *model, uint32_t at, uint64_t room, bool first,
                       uint64_t *carried, bool *all)
{
    const struct index_document *document = &model->documents[at];
    uint32_t count = 0;
    *carried = 0;
    *all = true;
    while (count < document->count &&
           document->changes[count].fragment == document->changes[0].fragment) {
        uint64_t length = document->changes[count].length,
                 sum = document->changes[0].fragment ? *carried + length : length;
        if (sum > room && !(first && count == 0)) {
            *all = false;
            break;
        }
        *carried = sum;
        count++;
    }
    return count;
}

static bool change_is(struct index_model *model, const struct take_change *carried,
                      const struct index_change *change)
{
    uint64_t version = carried->version;
    bool same = carried->deleted == change->deleted && carried->accept_ms == change->accept_ms &&
                carried->json.length == change->length;
    for (uint32_t i = 0; same && i < change->length; i++) {
        same = carried->json.at[i] == change->fill;
    }
    if (!same) {
        return wrong(model, "a change of %" PRIu64 " is carried as another one of %" PRIu64,
                     change->accept_ms, carried->accept_ms);
    }
    if (version <= model->last_version || version < model->wall << 20 || version >> 63 != 0) {
        return wrong(model, "version %" PRIu64 " follows %" PRIu64, version, model->last_version);
    }
    model->last_version = version;
    return true;
}

static bool document_is(struct index_model *model, struct reader *from, uint32_t at)
{
    struct index_document *document = &model->documents[at];
    struct take_document carried;
    if (!take_document_next(from, &carried)) {
        return wrong(model, "document %u is not carried", at);
    }
    uint32_t is = document_of(carried.tenant, carried.model, carried.document_id);
    bool fragments = document->changes[0].fragment;
    if (is != at || carried.kind != (fragments ? TAKE_FRAGMENTS : TAKE_WHOLE) ||
        carried.change_count != (fragments ? document->taken : 1) ||
        carried.rests != document->rests) {
        return wrong(model, "document %u with %u changes is carried instead of %u with %u of %u",
                     is, carried.change_count, at, document->taken, document->count);
    }
    struct take_change change;
    uint32_t nth = fragments ? 0 : document->taken - 1;
    while (take_change_next(from, &carried, &change)) {
        if (!change_is(model, &change, &document->changes[nth++])) {
            return false;
        }
    }
    model->met[fragments ? INDEX_MET_FRAGMENTS : INDEX_MET_WHOLE]++;
    model->met[INDEX_MET_COMBINED] += !fragments && document->taken > 1;
    model->met[INDEX_MET_OTHER_KIND] += document->taken < document->count &&
                                        document->changes[document->taken].fragment != fragments;
    return true;
}

/* Moves what is due into a batch. */
static void fill(struct index_model *model, const struct command_take *take,
                 struct index_batch *batch)
{
    uint64_t documents = model->limits.flush_documents, bytes = model->limits.flush_bytes;
    documents = documents < take->documents_max ? documents : take->documents_max;
    bytes = bytes < take->bytes_max ? bytes : take->bytes_max;
    bool much = much_waits(model), after_rested = false;
    while (batch->count < documents) {
        struct index_queue *queue = model->urgent.count != 0 ? &model->urgent : &model->waiting;
        bool waits =
            model->urgent.count != 0 || waits_long(model) || (much && model->waiting.count != 0);
        bool rested = model->urgent.count == 0 && rested_at(model) <= model->service &&
                      !(after_rested && waits);
        if (!rested && !waits) {
            return;
        }
        uint32_t at = rested ? first_resting(model) : queue->at[0];
        struct index_document *document = &model->documents[at];
        uint64_t carried;
        bool all;
        uint32_t count = prefix(model, at, bytes, batch->count == 0, &carried, &all);
        if (count == 0 || (!all && batch->count != 0)) {
            return;
        }
        bytes -= carried < bytes ? carried : bytes;
        model->met[INDEX_MET_RESTED] += rested;
        model->met[INDEX_MET_TURNS] +=
            after_rested && !rested && rested_at(model) <= model->service;
        after_rested = rested;
        queue_remove(queue, at);
        document->state = INDEX_FLIES;
        document->taken = count;
        batch->documents[batch->count++] = at;
    }
}

bool index_take(struct index_model *model, const struct command_take *take,
                const struct effect *reply)
{
    struct reply_take answer;
    reply_take_read(reply->body, &answer);
    bool full = model->batch_count == BATCHES_MAX;
    enum take_cause cause = cause_of(model);
    if (full || model->limits.index_mode == 0 || due_at(model) > model->service) {
        model->met[full ? INDEX_MET_TOO_MANY_BATCHES : INDEX_MET_NOTHING_DUE]++;
        return (answer.batch == 0 && answer.document_count == 0 && answer.sent_ms == 0 &&
                answer.changes == 0 && answer.cause == TAKE_NONE && answer.documents.length == 0) ||
               wrong(model, "%u documents are taken, but none is due", answer.document_count);
    }
    struct index_batch *batch = &model->batches[model->batch_count++];
    *batch = (struct index_batch){.number = answer.batch, .sent_ms = model->wall};
    fill(model, take, batch);
    if (answer.batch != model->last_batch + 1 || answer.sent_ms != model->wall ||
        answer.document_count != batch->count || answer.cause != cause) {
        return wrong(model, "batch %" PRIu64 " with %u documents (%d), expected one with %u (%d)",
                     answer.batch, answer.document_count, (int)answer.cause, batch->count,
                     (int)cause);
    }
    model->last_batch = answer.batch;
    struct reader from = reader_of(answer.documents);
    uint32_t changes = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        changes += model->documents[batch->documents[i]].taken;
        if (!document_is(model, &from, batch->documents[i])) {
            return false;
        }
    }
    model->met[INDEX_MET_BATCH]++;
    model->met[INDEX_MET_URGENT] += cause == TAKE_URGENT;
    return (from.at == from.end && changes == answer.changes) ||
           wrong(model, "%u changes are said to be taken, not %u", answer.changes, changes);
}

/* ---- What becomes of it ---- */

static void close_item(struct index_model *model, uint32_t ticket, bool discarded)
{
    struct index_ticket *own = &model->tickets[ticket];
    own->discarded = own->discarded || discarded;
    if (--own->open == 0) {
        own->done_service = model->service;
    }
}

/* The oldest changes leave; what is left waits. */
static void finish(struct index_model *model, uint32_t at, bool discarded, bool front)
{
    struct index_document *document = &model->documents[at];
    for (uint32_t i = 0; i < document->taken; i++) {
        close_item(model, document->changes[i].ticket, discarded);
    }
    document->count -= document->taken;
    memmove(document->changes, document->changes + document->taken,
            document->count * sizeof document->changes[0]);
    document->taken = document->rests = 0;
    document->state = INDEX_IDLE;
    if (document->count != 0) {
        enter(model, at, front);
    }
}

/* P7: one announcement, and it never goes back. */
static bool announced(struct index_model *model, const struct event *event, uint32_t at,
                      uint32_t affected, uint64_t sent_ms)
{
    struct index_document *document = &model->documents[at];
    uint64_t first = 0, last = 0;
    bool deleted = false;
    for (uint32_t i = 0; i < document->taken; i++) {
        const struct index_change *change = &document->changes[i];
        if (change->affected == affected) {
            first = first == 0 ? change->accept_ms : first;
            last = change->accept_ms;
            deleted = change->deleted;
        }
    }
    if (event->kind != EVENT_INDEX_CHANGED || event->changed.first_ms != first ||
        event->changed.last_ms != last || event->changed.updated_ms != sent_ms ||
        event->changed.deleted != deleted || event->time_ms != model->wall) {
        return wrong(model,
                     "document %u is announced with %" PRIu64 "..%" PRIu64 " sent %" PRIu64
                     ", expected %" PRIu64 "..%" PRIu64 " sent %" PRIu64,
                     at, event->changed.first_ms, event->changed.last_ms, event->changed.updated_ms,
                     first, last, sent_ms);
    }
    if (first < document->shown[affected].first || last < document->shown[affected].last ||
        sent_ms < document->shown[affected].updated || last > sent_ms) {
        return wrong(model, "an announcement of document %u goes back", at);
    }
    document->shown[affected].first = first;
    document->shown[affected].last = last;
    document->shown[affected].updated = sent_ms;
    return true;
}

/* The events of one document, in the order in which its models were affected. */
static bool acknowledged(struct index_model *model, uint32_t at, uint64_t sent_ms,
                         const struct event **event, const struct event *end)
{
    const struct index_document *document = &model->documents[at];
    bool told[INDEX_AFFECTED] = {false};
    for (uint32_t i = 0; i < document->taken; i++) {
        uint32_t affected = document->changes[i].affected;
        if (told[affected]) {
            continue;
        }
        told[affected] = true;
        if (*event == end ||
            document_of((*event)->tenant, (*event)->changed.model, (*event)->changed.document_id) !=
                at ||
            !bytes_equal((*event)->changed.affected_model, index_affected(affected))) {
            return wrong(model, "the acknowledgement of document %u is not announced", at);
        }
        if (!announced(model, *event, at, affected, sent_ms)) {
            return false;
        }
        ++*event;
    }
    return true;
}

static void side(struct index_model *model, uint32_t at, struct reader *reasons)
{
    struct index_document *document = &model->documents[at];
    struct bytes code, message;
    if (command_reason_next(reasons, &code, &message)) {
        memcpy(document->code, code.at, code.length);
        memcpy(document->message, message.at, message.length);
        document->code[code.length] = document->message[message.length] = 0;
    }
    document->state = INDEX_SIDED;
    document->rests = 0;
    document->park_id = ++model->last_park;
    document->parked_ms = model->wall;
    model->met[INDEX_MET_PARKED]++;
}

static uint32_t rest_of(const struct command_result *result, uint32_t nth)
{
    uint32_t rest_ms = result->retry_after_ms;
    for (uint32_t i = result->outcomes.at[nth] / 4; i > 0; i--) {
        rest_ms /= 2;
    }
    return rest_ms;
}

static void put_to_rest(struct index_model *model, uint32_t at, uint32_t rest_ms)
{
    struct index_document *document = &model->documents[at];
    document->state = INDEX_RESTS;
    document->taken = 0;
    document->rests += document->rests < UINT8_MAX;
    document->rest_until = model->service + rest_ms;
    document->rest_number = ++model->last_rest;
    model->met[INDEX_MET_RESTS]++;
    model->met[INDEX_MET_URGENT_RESTS] += any_urgent(document);
}

static bool settle(struct index_model *model, const struct index_batch *batch,
                   const struct command_result *result, const struct event *events,
                   uint32_t event_count)
{
    const struct event *event = events, *end = events + event_count;
    struct reader reasons = reader_of(result->reasons);
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t at = batch->documents[i];
        if (result->outcomes.at[i] == INDEX_ACKED) {
            if (!acknowledged(model, at, batch->sent_ms, &event, end)) {
                return false;
            }
            finish(model, at, false, false);
            model->met[INDEX_MET_ACKED]++;
        } else if (result->outcomes.at[i] == INDEX_PARKED) {
            side(model, at, &reasons);
        } else if (rest_of(result, i) != 0) {
            put_to_rest(model, at, rest_of(result, i));
        }
    }
    for (uint32_t i = batch->count; i-- > 0;) {
        if (result->outcomes.at[i] % 4 == INDEX_RETRY && rest_of(result, i) == 0) {
            enter(model, batch->documents[i], true);
            model->met[INDEX_MET_RETRIED]++;
        }
    }
    return event == end || wrong(model, "more is announced than was acknowledged");
}

bool index_result(struct index_model *model, const struct command_result *result,
                  const struct event *events, uint32_t event_count, const struct effect *reply)
{
    struct reply_result answer;
    reply_result_read(reply->body, &answer);
    uint32_t nth = 0;
    while (nth < model->batch_count && model->batches[nth].number != result->batch) {
        nth++;
    }
    if (nth == model->batch_count) {
        model->met[INDEX_MET_STALE]++;
        return (answer.stale && event_count == 0 && answer.acked + answer.parked == 0) ||
               wrong(model, "a stale result had an effect");
    }
    struct index_batch batch = model->batches[nth];
    memmove(&model->batches[nth], &model->batches[nth + 1],
            (--model->batch_count - nth) * sizeof batch);
    if (result->version_seen > model->last_version &&
        result->version_seen <= COMMAND_VERSION_SEEN_MAX) {
        model->last_version = result->version_seen;
        model->met[INDEX_MET_SEEN]++;
    }
    if (answer.stale || answer.acked + answer.retried + answer.parked != batch.count) {
        return wrong(model, "batch %" PRIu64 " had no effect", batch.number);
    }
    return settle(model, &batch, result, events, event_count);
}

bool index_start(struct index_model *model, const struct effect *reply)
{
    struct reply_index_start answer;
    reply_index_start_read(reply->body, &answer);
    uint32_t documents = 0;
    while (model->batch_count != 0) {
        const struct index_batch *batch = &model->batches[--model->batch_count];
        for (uint32_t i = batch->count; i-- > 0; documents++) {
            enter(model, batch->documents[i], true);
        }
    }
    uint32_t woken[INDEX_DOCUMENTS], woken_count = 0;
    for (uint32_t at; (at = first_resting(model)) != INDEX_DOCUMENTS; documents++) {
        woken[woken_count++] = at;
        model->documents[at].state = INDEX_IDLE;
    }
    while (woken_count != 0) {
        enter(model, woken[--woken_count], true);
        model->met[INDEX_MET_WOKEN]++;
    }
    model->met[INDEX_MET_START] += documents != 0;
    return answer.documents == documents ||
           wrong(model, "%u documents came back, not %u", answer.documents, documents);
}

bool index_parked(struct index_model *model, const struct command_parked *parked,
                  const struct effect *reply)
{
    struct reply_parked answer;
    reply_parked_read(reply->body, &answer);
    uint32_t at = 0;
    while (at < INDEX_DOCUMENTS && (model->documents[at].state != INDEX_SIDED ||
                                    model->documents[at].park_id != parked->park_id)) {
        at++;
    }
    if (at == INDEX_DOCUMENTS || (parked->caller.rights & RIGHT_ADMIN) == 0 ||
        !bytes_equal(parked->caller.tenant, index_tenant(at))) {
        model->met[INDEX_MET_NOT_PARKED]++;
        return (!answer.found && answer.changes == 0) ||
               wrong(model, "%" PRIu64 " is not the caller's to decide about", parked->park_id);
    }
    if (!answer.found || answer.changes != model->documents[at].taken) {
        return wrong(model, "%u changes of parked document %" PRIu64 ", expected %u",
                     answer.changes, parked->park_id, model->documents[at].taken);
    }
    if (parked->action == PARKED_DISCARD) {
        finish(model, at, true, true);
        model->met[INDEX_MET_DISCARDED]++;
    } else {
        enter(model, at, true);
        model->met[INDEX_MET_PARK_RETRIED]++;
    }
    return true;
}

bool index_left(struct index_model *model, const struct event *events, uint32_t event_count)
{
    for (uint32_t i = 0; i < event_count; i++) {
        const struct event *event = &events[i];
        uint32_t at = document_of(event->tenant, event->changed.model, event->changed.document_id);
        uint32_t affected = 0;
        while (affected < INDEX_AFFECTED &&
               !bytes_equal(event->changed.affected_model, index_affected(affected))) {
            affected++;
        }
        if (at == INDEX_DOCUMENTS || affected == INDEX_AFFECTED) {
            return wrong(model, "something unknown is announced");
        }
        struct index_document *document = &model->documents[at];
        if (event->changed.last_ms < document->shown[affected].last ||
            event->changed.first_ms < document->shown[affected].first ||
            event->changed.updated_ms != model->wall) {
            return wrong(model, "an announcement of document %u goes back", at);
        }
        document->shown[affected].last = event->changed.last_ms;
        document->shown[affected].first = event->changed.first_ms;
        document->shown[affected].updated = model->wall;
    }
    for (uint32_t at = 0; at < INDEX_DOCUMENTS; at++) {
        struct index_document *document = &model->documents[at];
        for (uint32_t i = 0; i < document->count; i++) {
            const struct index_change *change = &document->changes[i];
            if (document->shown[change->affected].last < change->accept_ms) {
                return wrong(model, "a change of document %u is not announced", at);
            }
        }
        document->taken = document->count;
        finish(model, at, false, true);
    }
    model->urgent.count = model->waiting.count = model->batch_count = 0;
    model->met[INDEX_MET_LEFT]++;
    return true;
}

/* ---- Questions ---- */

static bool ask_status(struct index_model *model, const struct core *core)
{
    struct core_index_status status;
    core_index_status(core, &status);
    uint64_t flying = 0, sided = 0, sided_documents = 0, flying_documents = 0, resting = 0;
    for (uint32_t i = 0; i < INDEX_DOCUMENTS; i++) {
        const struct index_document *document = &model->documents[i];
        flying += document->state == INDEX_FLIES ? document->taken : 0;
        flying_documents += document->state == INDEX_FLIES;
        sided += document->state == INDEX_SIDED ? document->taken : 0;
        sided_documents += document->state == INDEX_SIDED;
        resting += document->state == INDEX_RESTS;
    }
    uint64_t oldest = 0;
    const struct index_queue *queues[] = {&model->urgent, &model->waiting};
    for (int i = 0; i < 2; i++) {
        uint64_t ms =
            queues[i]->count == 0 ? 0 : model->documents[queues[i]->at[0]].changes[0].accept_ms;
        oldest = ms != 0 && (oldest == 0 || ms < oldest) ? ms : oldest;
    }
    for (uint32_t i = 0; i < INDEX_DOCUMENTS; i++) {
        const struct index_document *document = &model->documents[i];
        uint64_t ms = document->changes[0].accept_ms;
        oldest = document->state == INDEX_RESTS && (oldest == 0 || ms < oldest) ? ms : oldest;
    }
    bool same = status.waiting_documents == model->waiting.count + model->urgent.count &&
                status.resting_documents == resting &&
                status.waiting_changes == index_pending(model) - flying - sided &&
                status.flying_documents == flying_documents && status.flying_changes == flying &&
                status.parked_documents == sided_documents && status.parked_changes == sided &&
                status.waiting_bytes == waiting_bytes(model) && status.oldest_ms == oldest &&
                status.last_batch == model->last_batch &&
                status.last_version == model->last_version &&
                status.batch_count == model->batch_count;
    for (uint32_t i = 0; same && i < model->batch_count; i++) {
        same = status.batches[i].number == model->batches[i].number &&
               status.batches[i].sent_ms == model->batches[i].sent_ms &&
               status.batches[i].documents == model->batches[i].count;
    }
    uint64_t due = model->batch_count == BATCHES_MAX || model->limits.index_mode == 0
                       ? UINT64_MAX
                       : due_at(model);
    if (core_batch_due(core) != due) {
        return wrong(model, "the next batch is due at %" PRIu64 ", expected %" PRIu64,
                     core_batch_due(core), due);
    }
    return same || wrong(model, "the status of the index is another one");
}

static bool ask_parked(struct index_model *model, const struct core *core, uint64_t pick)
{
    uint64_t after = pick % (model->last_park + 2);
    uint32_t tenant = (uint32_t)(pick >> 8) % (INDEX_TENANTS + 1);
    struct core_parked_walk walk;
    struct core_parked parked;
    core_parked_walk_init(
        &walk, core, tenant == INDEX_TENANTS ? bytes_of(NULL, 0) : index_tenant(tenant), after);
    for (;;) {
        uint32_t next = INDEX_DOCUMENTS;
        for (uint32_t i = 0; i < INDEX_DOCUMENTS; i++) {
            const struct index_document *document = &model->documents[i];
            if (document->state == INDEX_SIDED && document->park_id > after &&
                (tenant == INDEX_TENANTS || tenant == i % INDEX_TENANTS) &&
                (next == INDEX_DOCUMENTS || document->park_id < model->documents[next].park_id)) {
                next = i;
            }
        }
        if (core_parked_next(&walk, &parked) != CORE_FOUND) {
            return next == INDEX_DOCUMENTS || wrong(model, "parked document %u is not shown", next);
        }
        const struct index_document *document = &model->documents[next % INDEX_DOCUMENTS];
        if (next == INDEX_DOCUMENTS || parked.park_id != document->park_id ||
            parked.since_ms != document->parked_ms || parked.changes != document->taken ||
            parked.behind != document->count - document->taken ||
            parked.fragments != document->changes[0].fragment ||
            document_of(parked.tenant, parked.model, parked.document_id) != next ||
            !bytes_equal(parked.code, word(document->code)) ||
            !bytes_equal(parked.message, word(document->message)) ||
            parked.oldest_ms != document->changes[0].accept_ms ||
            parked.tickets[0] != model->tickets[document->changes[0].ticket].id) {
            return wrong(model, "parked document %" PRIu64 " is shown wrongly", parked.park_id);
        }
        after = parked.park_id;
    }
}

static bool ask_ticket(struct index_model *model, const struct core *core, uint64_t pick)
{
    uint32_t recent = model->ticket_count < 40 ? model->ticket_count : 40;
    if (recent == 0) {
        return true;
    }
    uint32_t nth = model->ticket_count - 1 - (uint32_t)(pick % recent);
    const struct index_ticket *ticket = &model->tickets[nth];
    bool sent = (pick >> 16 & 1) != 0, stopped = ticket->discarded, waits = false;
    for (uint32_t i = 0; i < INDEX_DOCUMENTS; i++) {
        const struct index_document *document = &model->documents[i];
        for (uint32_t k = 0; k < document->count; k++) {
            bool taken = k < document->taken;
            if (document->changes[k].ticket == nth) {
                stopped = stopped || (taken && document->state == INDEX_SIDED);
                waits = waits || !(sent && taken && document->state == INDEX_FLIES);
            }
        }
    }
    struct command_caller caller = {.tenant = index_tenant(ticket->tenant),
                                    .principal = word("spiffe://test/recorder")};
    struct core_wait_visible look = {.ticket = ticket->id,
                                     .stage = sent ? VISIBLE_SENT : VISIBLE_SEARCHABLE};
    enum core_wait_outcome outcome = core_wait_visible(core, &caller, &look),
                           expected = stopped ? CORE_WAIT_PARKED
                                      : waits ? CORE_WAIT_PENDING
                                              : CORE_WAIT_REACHED;
    bool gone = ticket->open == 0 && model->service >= ticket->done_service + INDEX_KEEP_LEAST_MS;
    if (outcome != expected && !(gone && outcome == CORE_WAIT_UNKNOWN)) {
        return wrong(model, "a look at ticket %u (%u open): %d, expected %d", nth, ticket->open,
                     (int)outcome, (int)expected);
    }
    model->met[INDEX_MET_SENT] += sent && expected == CORE_WAIT_REACHED && ticket->open != 0;
    model->met[INDEX_MET_WAIT_PARKED] += outcome == CORE_WAIT_PARKED;
    return true;
}

bool index_ask(struct index_model *model, const struct core *core, uint64_t pick)
{
    return ask_status(model, core) && ask_parked(model, core, pick) &&
           ask_ticket(model, core, pick >> 4) && ask_ticket(model, core, pick >> 9);
}
