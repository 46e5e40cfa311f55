/* The model's changes: windows, what waits for the index, tickets. */
#include "tests/sim/model_state.h"

#include "proto/status.h"
#include "server/check.h"

#include <inttypes.h>

static struct model_document *find_document(const struct model *model, uint32_t tenant,
                                            struct bytes name, struct bytes id)
{
    for (uint32_t i = 0; i < model->documents.count; i++) {
        struct model_document *document = model->documents.at[i];
        if (document->tenant == tenant && model_text_is(&document->model, name) &&
            model_text_is(&document->id, id)) {
            return document;
        }
    }
    return NULL;
}

static struct model_affected *find_affected(struct model_place *place, struct bytes name)
{
    for (uint32_t i = 0; i < place->count; i++) {
        if (model_text_is(&place->models[i].name, name)) {
            return &place->models[i];
        }
    }
    return NULL;
}

void model_affected_remove(struct model_place *place, uint32_t i)
{
    free(place->models[i].name.at);
    memmove(&place->models[i], &place->models[i + 1],
            (place->count - i - 1) * sizeof *place->models);
    if (--place->count == 0) {
        place->rank = 0;
    }
}

void model_document_free(struct model_document *document)
{
    for (int view = 0; view < MODEL_VIEWS; view++) {
        while (document->places[view].count > 0) {
            model_affected_remove(&document->places[view], document->places[view].count - 1);
        }
        free(document->places[view].models);
    }
    free(document->model.at);
    free(document->id.at);
    free(document);
}

static const struct model_pending *first_pending(const struct model *model,
                                                 const struct model_document *document)
{
    for (uint32_t i = 0; i < model->pending.count; i++) {
        if (model->pending.at[i].document == document) {
            return &model->pending.at[i];
        }
    }
    return NULL;
}

/* ---- Room ---- */

/* What a record needs beside what is there. */
struct record_need {
    uint64_t documents, models;         /* new ones */
    uint64_t own_documents, own_models; /* of this command, known ones included */
    uint64_t json;
};

static void count_need(struct model *model, uint32_t tenant, const struct command_record *record,
                       struct record_need *need)
{
    struct reader reader = reader_of(record->changes);
    struct command_change change;
    for (uint32_t i = 0; command_change_next(&reader, &change); i++) {
        need->json += change.json.length;
        struct reader again = reader_of(record->changes);
        struct command_change earlier;
        bool same_document = false, same_model = false;
        for (uint32_t j = 0; j < i && command_change_next(&again, &earlier); j++) {
            bool document = bytes_equal(earlier.model, change.model) &&
                            bytes_equal(earlier.document_id, change.document_id);
            same_document = same_document || document;
            same_model = same_model ||
                         (document && bytes_equal(earlier.affected_model, change.affected_model));
        }
        struct model_document *document =
            find_document(model, tenant, change.model, change.document_id);
        if (document != NULL) {
            document->named_rank = ++model->rank;
        }
        need->own_documents += !same_document;
        need->own_models += !same_model;
        need->documents += !same_document && document == NULL;
        need->models += !same_model && (document == NULL || !find_affected(&document->places[0],
                                                                           change.affected_model));
    }
}

static void room_for_changes(struct model *model, uint32_t tenant,
                             const struct command_record *record, struct model_refusals *refusals)
{
    const struct core_limits *limits = &model->limits;
    struct record_need need = {0};
    count_need(model, tenant, record, &need);

    struct model_room count = {.least = model->pending.count,
                               .most = model->pending.count,
                               .more_least = record->change_count,
                               .more_most = record->change_count,
                               .limit = limits->pending_changes_max};
    struct model_room bytes = {.more_least = need.json,
                               .more_most =
                                   need.json * 5 / 4 + record->change_count * UINT64_C(320),
                               .limit = limits->pending_bytes};
    for (uint32_t i = 0; i < model->pending.count; i++) {
        const struct model_pending *pending = &model->pending.at[i];
        bool own = pending->document->tenant == tenant;
        uint64_t most = pending->bytes * UINT64_C(5) / 4 + 320;
        count.held += own;
        bytes.held += own ? most : 0;
        bytes.least += pending->bytes;
        bytes.most += most;
    }
    model_room(refusals, REASON_TOO_MANY_PENDING_CHANGES, &count);
    model_room(refusals, REASON_TOO_MANY_PENDING_CHANGES, &bytes);

    /* Documents that wait for the index stay; the others leave before a refusal, but a heavy tenant
     * loses its own only. */
    struct model_room documents = {.more_least = need.documents,
                                   .more_most = need.own_documents,
                                   .limit = limits->change_documents_max};
    struct model_room models = {.more_most = need.own_models * MODEL_VIEWS,
                                .limit = limits->change_models_max};
    uint64_t all_models = 0;
    for (uint32_t i = 0; i < model->documents.count; i++) {
        const struct model_document *document = model->documents.at[i];
        bool pinned = first_pending(model, document) != NULL;
        uint64_t held = (uint64_t)document->places[0].count + document->places[1].count;
        documents.held += document->tenant == tenant;
        documents.least += pinned;
        models.held += document->tenant == tenant ? held : 0;
        models.most += pinned ? held + document->places[0].count : 0;
        all_models += held;
    }
    documents.most =
        documents.held > documents.limit / 2 ? model->documents.count : documents.least;
    models.most = models.held > models.limit / 2 ? all_models * MODEL_VIEWS : models.most;
    model_room(refusals, REASON_TOO_MANY_DOCUMENTS, &documents);
    model_room(refusals, REASON_TOO_MANY_DOCUMENTS, &models);
    model->change_pressure = model->change_pressure ||
                             model->documents.count + need.documents > documents.limit ||
                             all_models + need.models > models.limit;

    struct model_room tickets = {.more_least = 1, .more_most = 1, .limit = limits->tickets_max};
    for (uint32_t i = 0; i < model->tickets.count; i++) {
        const struct model_ticket *ticket = &model->tickets.at[i];
        tickets.most++;
        tickets.least += ticket->open > 0 ||
                         !model_may_be_over(model, ticket->done_service, limits->ticket_keep_ms);
        tickets.held += ticket->tenant == tenant;
    }
    model_room(refusals, REASON_TOO_MANY_TICKETS, &tickets);
}

/* ---- Record ---- */

static struct model_affected *touch(struct model_document *document, enum core_change_view view,
                                    struct bytes name)
{
    struct model_place *place = &document->places[view];
    struct model_affected *affected = find_affected(place, name);
    if (affected == NULL) {
        place->models =
            model_grow(place->models, place->count, &place->room, sizeof *place->models);
        affected = &place->models[place->count++];
        *affected = (struct model_affected){0};
        model_text_set(&affected->name, name);
    }
    return affected;
}

static struct model_document *document_of(struct model *model, uint32_t tenant,
                                          const struct command_change *change)
{
    struct model_document *document =
        find_document(model, tenant, change->model, change->document_id);
    if (document == NULL) {
        document = calloc(1, sizeof *document);
        CHECK(document != NULL);
        *LIST_ADD(&model->documents) = document;
        document->tenant = tenant;
        model_text_set(&document->model, change->model);
        model_text_set(&document->id, change->document_id);
    }
    return document;
}

/* Whether the event says what the change says, with times from `first` on. */
static bool changed_event(struct model *model, const struct event *event,
                          struct bytes document_model, struct bytes document_id,
                          struct bytes affected, bool deleted)
{
    if (!bytes_equal(event->changed.model, document_model) ||
        !bytes_equal(event->changed.document_id, document_id) ||
        !bytes_equal(event->changed.affected_model, affected) ||
        event->changed.deleted != deleted) {
        return model_complain(
            model, "event %" PRIu64 " is about another document, model or kind of change",
            event->sequence);
    }
    return true;
}

static bool record_change(struct model *model, const struct model_caller *caller,
                          const struct command_change *change, uint64_t ticket,
                          const struct event *event)
{
    struct model_document *document = document_of(model, caller->tenant, change);
    document->used_index = model->index;
    struct model_place *place = &document->places[CHANGES_DATABASE];
    struct model_affected *affected = find_affected(place, change->affected_model);
    uint64_t keep = model->limits.change_keep_ms;
    bool known =
        affected != NULL && (!model_settled(model) ||
                             model->service_before <= affected->service + keep + MODEL_SLACK_MS);
    bool may_be_new = affected == NULL || model->change_pressure || !model_settled(model) ||
                      model_may_be_over(model, affected->service, keep);
    affected = touch(document, CHANGES_DATABASE, change->affected_model);
    struct model_source source = {.principal = caller->principal, .user = caller->user};
    model_groups_set(model, &source.groups, &change->groups);
    if (!model_event_is(model, event, EVENT_MODEL_CHANGED, caller->tenant, &source) ||
        !changed_event(model, event, change->model, change->document_id, change->affected_model,
                       change->deleted)) {
        return false;
    }
    bool continues = known && event->changed.first_ms == affected->first_ms;
    bool begins = may_be_new && event->changed.first_ms == model->wall;
    if ((!continues && !begins) || event->changed.last_ms != model->wall ||
        event->changed.updated_ms != model->wall) {
        return model_complain(model,
                              "event %" PRIu64 " spans %" PRIu64 "..%" PRIu64 " updated %" PRIu64
                              " at %" PRIu64 ", in the window since %" PRIu64,
                              event->sequence, event->changed.first_ms, event->changed.last_ms,
                              event->changed.updated_ms, model->wall,
                              known ? affected->first_ms : 0);
    }
    affected->first_ms = event->changed.first_ms;
    affected->last_ms = affected->updated_ms = model->wall;
    affected->service = model->service;
    affected->source = source;
    place->rank = ++model->rank;

    struct model_pending *pending = LIST_ADD(&model->pending);
    pending->document = document;
    model_text_set(&pending->affected, change->affected_model);
    pending->accept_ms = model->wall;
    pending->service = model->service;
    pending->rank = model->rank;
    pending->ticket = ticket;
    pending->source = source;
    pending->deleted = change->deleted;
    pending->bytes = change->json.length;
    model->met[MET_RECORDED]++;
    return true;
}

static bool record_new(struct model *model, const struct model_caller *caller,
                       const struct command_record *record, const struct reply_record *answer)
{
    if (answer->accept_ms != model->wall || model->seen.count != record->change_count) {
        return model_complain(model,
                              "%" PRIu32 " changes are accepted at %" PRIu64 " instead of %" PRIu64
                              " with %" PRIu32 " events",
                              record->change_count, answer->accept_ms, model->wall,
                              model->seen.count);
    }
    for (uint32_t i = 0; i < model->issued_tickets.count; i++) {
        if (model->issued_tickets.at[i] == answer->ticket) {
            return model_complain(model, "ticket %" PRIu64 " is issued again", answer->ticket);
        }
    }
    *LIST_ADD(&model->issued_tickets) = answer->ticket;
    struct model_ticket *ticket = LIST_ADD(&model->tickets);
    *ticket = (struct model_ticket){.id = answer->ticket,
                                    .job_id = record->job_id,
                                    .open = record->change_count,
                                    .tenant = caller->tenant,
                                    .principal = caller->principal,
                                    .user = caller->user,
                                    .serial = model->issued_tickets.count};
    struct reader reader = reader_of(record->changes);
    struct command_change change;
    for (uint32_t i = 0; command_change_next(&reader, &change); i++) {
        if (!record_change(model, caller, &change, answer->ticket, &model->seen.at[i])) {
            return false;
        }
    }
    return true;
}

/* Whether a reply is the receipt that the first one got. */
static bool record_answers(const struct effect *reply, const struct model_request *first)
{
    struct reply_record answer = {0};
    reply_record_read(reply->body, &answer);
    return answer.ticket == first->answer && answer.accept_ms == first->accept_ms;
}

bool model_record(struct model *model, const struct command_record *record,
                  const struct effect *reply)
{
    struct model_caller caller;
    model_caller_set(model, &caller, &record->caller);
    struct buffer payload = {0};
    buffer_put(&payload, &record->job_id, sizeof record->job_id);
    buffer_put(&payload, record->changes.at, record->changes.length);
    struct model_request *first = NULL;
    enum model_seen seen =
        model_request_find(model, &caller, COMMAND_RECORD, record->request_id, &first);
    enum model_verdict verdict = VERDICT_DONE;
    if (seen != SEEN_NO) {
        const struct model_again again = {seen, first, buffer_bytes(&payload), record_answers};
        verdict = model_request_again(model, reply, &again);
    }
    if (verdict == VERDICT_DONE) {
        struct model_refusals refusals = {0};
        model_reference(model, &caller, record->job_id, FIELD_JOB_ID, &refusals);
        model_request_room(model, &caller, &refusals);
        room_for_changes(model, caller.tenant, record, &refusals);
        model_room_names(model, &refusals, &record->caller);
        verdict = model_refusal(model, reply, &refusals);
        if (verdict == VERDICT_DONE) {
            struct reply_record answer;
            reply_record_read(reply->body, &answer);
            if (record_new(model, &caller, record, &answer)) {
                model_request_add(model, &caller, COMMAND_RECORD, record->request_id, &payload,
                                  answer.ticket);
            } else {
                verdict = VERDICT_WRONG;
            }
        }
    }
    buffer_free(&payload);
    return verdict != VERDICT_WRONG;
}

/* ---- Sending to the index ---- */

/* The JSON of all changes of a document that wait. */
static uint64_t waiting_bytes(const struct model *model, const struct model_document *document)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < model->pending.count; i++) {
        bytes += model->pending.at[i].document == document ? model->pending.at[i].bytes : 0;
    }
    return bytes;
}

/* Whether so much waits, with what the present batch has taken, that nothing need be due by its
 * age. */
static bool much_waits(const struct model *model)
{
    uint64_t documents = model->batch_documents, bytes = model->batch_bytes;
    for (uint32_t i = 0; i < model->pending.count; i++) {
        const struct model_pending *pending = &model->pending.at[i];
        documents += first_pending(model, pending->document) == pending;
        bytes += pending->bytes;
    }
    return documents >= model->limits.flush_documents || bytes >= model->limits.flush_bytes;
}

/* Moves the oldest changes of a document into flight: as many as the batch has room for, but one at
 * least. */
static void move(struct model *model, struct model_document *document, uint64_t room)
{
    uint64_t bytes = 0;
    bool any = false;
    for (uint32_t i = 0; i < model->pending.count;) {
        struct model_pending *pending = &model->pending.at[i];
        if (pending->document != document) {
            i++;
            continue;
        }
        document->was_split = any && bytes + pending->bytes > room;
        if (document->was_split) {
            break;
        }
        any = true;
        bytes += pending->bytes;
        *LIST_ADD(&model->flight) = *pending;
        LIST_REMOVE(&model->pending, i);
    }
    model->batch_documents++;
    model->batch_bytes += bytes;
}

/* A document is sent: whether it was due, and the oldest of those that are. A batch takes documents
 * whole, only the first may be too large for it: its rest goes before all others. There may be
 * several batches in an entry. */
static bool take(struct model *model, struct model_document *document)
{
    const struct core_limits *limits = &model->limits;
    if (model->pending.at[0].document != document && !document->was_split) {
        return model_complain(model, "a document is sent before an older one");
    }
    if (model->batch_documents == limits->flush_documents ||
        model->batch_bytes + waiting_bytes(model, document) > limits->flush_bytes) {
        model->batch_documents = 0;
        model->batch_bytes = 0;
    }
    uint64_t age = model->service - model->pending.at[0].service;
    if (age < limits->flush_delay_ms && !much_waits(model)) {
        return model_complain(model, "a document is sent %" PRIu64 " ms after its first change",
                              age);
    }
    document->used_index = model->index;
    move(model, document, limits->flush_bytes - model->batch_bytes);
    return true;
}

static void close_ticket(struct model *model, uint64_t id)
{
    for (uint32_t i = 0; i < model->tickets.count; i++) {
        if (model->tickets.at[i].id == id && --model->tickets.at[i].open == 0) {
            model->tickets.at[i].done_service = model->service;
        }
    }
}

/* Takes the changes of one affected model out of flight: how their batch looks in the index. */
static bool land(struct model *model, const struct model_document *document, struct bytes affected,
                 struct model_affected *batch, bool *deleted)
{
    bool any = false;
    for (uint32_t i = 0; i < model->flight.count;) {
        struct model_pending *flying = &model->flight.at[i];
        if (flying->document != document || !model_text_is(&flying->affected, affected)) {
            i++;
            continue;
        }
        batch->first_ms = any ? batch->first_ms : flying->accept_ms;
        batch->last_ms = flying->accept_ms;
        batch->source = flying->source;
        *deleted = flying->deleted;
        any = true;
        close_ticket(model, flying->ticket);
        free(flying->affected.at);
        LIST_REMOVE(&model->flight, i);
    }
    return any;
}

bool model_indexed(struct model *model, const struct event *event)
{
    uint32_t tenant = model_name(model, event->tenant);
    struct model_document *document =
        find_document(model, tenant, event->changed.model, event->changed.document_id);
    if (event->kind != EVENT_INDEX_CHANGED || document == NULL) {
        return model_complain(model, "event %" PRIu64 " of kind %d is not about a waiting document",
                              event->sequence, (int)event->kind);
    }
    struct model_affected batch = {0};
    bool deleted = false;
    if (!land(model, document, event->changed.affected_model, &batch, &deleted)) {
        if (first_pending(model, document) == NULL || !take(model, document) ||
            !land(model, document, event->changed.affected_model, &batch, &deleted)) {
            return model->complaint[0] == 0
                       ? model_complain(model,
                                        "event %" PRIu64 " is about changes that do not wait",
                                        event->sequence)
                       : false;
        }
    }
    if (!model_event_is(model, event, EVENT_INDEX_CHANGED, tenant, &batch.source) ||
        !changed_event(model, event, model_text_view(&document->model),
                       model_text_view(&document->id), event->changed.affected_model, deleted)) {
        return false;
    }
    if (event->changed.first_ms != batch.first_ms || event->changed.last_ms != batch.last_ms ||
        event->changed.updated_ms != model->wall) {
        return model_complain(model,
                              "event %" PRIu64 " spans %" PRIu64 "..%" PRIu64 " sent %" PRIu64
                              ", expected %" PRIu64 "..%" PRIu64 " sent %" PRIu64,
                              event->sequence, event->changed.first_ms, event->changed.last_ms,
                              event->changed.updated_ms, batch.first_ms, batch.last_ms,
                              model->wall);
    }
    struct model_affected *affected = touch(document, CHANGES_INDEX, event->changed.affected_model);
    struct model_text name = affected->name;
    *affected = batch;
    affected->name = name;
    affected->updated_ms = model->wall;
    affected->service = model->service;
    document->places[CHANGES_INDEX].rank = ++model->rank;
    uint64_t models = 0;
    for (uint32_t i = 0; i < model->documents.count; i++) {
        models += (uint64_t)model->documents.at[i]->places[0].count +
                  model->documents.at[i]->places[1].count;
    }
    model->change_pressure = model->change_pressure || models > model->limits.change_models_max;
    model->met[MET_INDEXED]++;
    return true;
}

bool model_take_done(struct model *model, bool ticked)
{
    if (model->flight.count != 0) {
        return model_complain(model,
                              "%" PRIu32 " changes of documents that were sent have no event",
                              model->flight.count);
    }
    if (!ticked || model->pending.count == 0) {
        return true;
    }
    model->batch_documents = model->batch_bytes = 0;
    uint64_t age = model->service - model->pending.at[0].service;
    if (age >= model->limits.flush_delay_ms || much_waits(model)) {
        return model_complain(
            model, "a tick leaves %" PRIu32 " changes waiting, the oldest is %" PRIu64 " ms old",
            model->pending.count, age);
    }
    return true;
}
