#include "client/ctl/cursor.h"
#include "client/ctl/output.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jansson builds and escapes; a NULL from it is lack of memory, which ends the program. */
static json_t *must(json_t *value)
{
    if (value == NULL) {
        (void)fprintf(stderr, "activityctl: out of memory\n");
        exit(1);
    }
    return value;
}

static json_t *text(const char *value)
{
    return must(json_string(value == NULL ? "" : value));
}

static json_t *number(uint64_t value)
{
    return must(json_integer((json_int_t)value));
}

static void put(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0) {
        (void)must(NULL);
    }
}

static void line(json_t *object)
{
    char *dump = json_dumps(object, JSON_COMPACT);
    if (dump == NULL) {
        (void)must(NULL);
    }
    (void)puts(dump);
    free(dump);
    json_decref(object);
}

/* An id prints as a number only if it is one exactly: canonical decimal, at most 2^53 - 1. */
static json_t *document_id(const char *id)
{
    size_t length = strlen(id);
    if (length == 0 || length > 16 || strspn(id, "0123456789") != length ||
        (id[0] == '0' && length > 1)) {
        return text(id);
    }
    unsigned long long value = strtoull(id, NULL, 10);
    return value <= (UINT64_C(1) << 53) - 1 ? number(value) : text(id);
}

static json_t *texts(const char *const *values, size_t count)
{
    json_t *array = must(json_array());
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(array, text(values[i]));
    }
    return array;
}

static json_t *attributes_of(const struct activity_info *info)
{
    json_t *attributes = must(json_object());
    for (size_t i = 0; i < info->attribute_count; i++) {
        put(attributes, info->attributes[i].name, text(info->attributes[i].value));
    }
    return attributes;
}

static void put_relatives(json_t *object, const struct activity_info *info)
{
    if (info->parent_job_id != 0) {
        put(object, "parentJobId", number(info->parent_job_id));
    }
    if (info->retry_of_job_id != 0) {
        put(object, "retryOfJobId", number(info->retry_of_job_id));
    }
}

static void put_failure(json_t *object, const struct activity_failure *from)
{
    if (from != NULL) {
        json_t *failure = must(json_object());
        put(failure, "code", text(from->code));
        put(failure, "message", text(from->message));
        put(object, "failure", failure);
    }
}

static void put_activity(json_t *object, const struct activity_info *info)
{
    put(object, "jobId", number(info->job_id));
    put(object, "type", text(info->type));
    put(object, "title", text(info->title));
    put(object, "state", text(activity_state_name((int)info->state)));
    put(object, "percent", number(info->percent));
    put(object, "statusText", text(info->status_text));
    put(object, "owner", text(info->owner));
    put(object, "creator", text(info->creator));
    put(object, "groups", texts(info->groups, info->group_count));
    put(object, "attributes", attributes_of(info));
    put_relatives(object, info);
    put(object, "created", number(info->create_time_ms));
    put(object, "updated", number(info->update_time_ms));
    if (info->end_time_ms != 0) {
        put(object, "ended", number(info->end_time_ms));
    }
    put_failure(object, info->failure);
}

void json_activity(const struct activity_info *info)
{
    json_t *object = must(json_object());
    put_activity(object, info);
    line(object);
}

static void put_change(json_t *object, const struct activity_model_change *change)
{
    put(object, "model", text(change->model));
    put(object, "id", document_id(change->document_id));
    json_t *models = must(json_object());
    for (size_t i = 0; i < change->affected_model_count; i++) {
        const struct activity_affected_model *affected = &change->affected_models[i];
        json_t *model = must(json_object());
        json_t *range = must(json_array());
        (void)json_array_append_new(range, number(affected->first_ms));
        (void)json_array_append_new(range, number(affected->last_ms));
        put(model, "timeRange", range);
        put(model, "updated", number(affected->updated_ms));
        put(models, affected->affected_model, model);
    }
    put(object, "affectedModels", models);
    put(object, "updated", number(change->updated_ms));
}

void json_change(const struct activity_model_change *change)
{
    json_t *object = must(json_object());
    put_change(object, change);
    line(object);
}

/* What the kind of event tells of an activity. */
static void put_told(json_t *object, const struct activity_event *event)
{
    const struct activity_info *info = event->activity;
    put(object, "jobId", number(info->job_id));
    if (event->kind == ACTIVITY_EVENT_CREATED || event->kind == ACTIVITY_EVENT_ENDED) {
        put(object, "type", text(info->type));
    }
    if (event->kind == ACTIVITY_EVENT_CREATED) {
        put(object, "title", text(info->title));
        put(object, "attributes", attributes_of(info));
        put_relatives(object, info);
    } else {
        put(object, "percent", number(info->percent));
        if (info->status_text != NULL) {
            put(object, "statusText", text(info->status_text));
        }
    }
    if (event->kind == ACTIVITY_EVENT_ENDED) {
        put(object, "state", text(activity_state_name((int)info->state)));
        if (info->end_time_ms != 0) {
            put(object, "ended", number(info->end_time_ms));
        }
        put_failure(object, info->failure);
    }
}

void json_event(const struct activity_event *event)
{
    json_t *object = must(json_object());
    put(object, "event", text(activity_event_kind_name((int)event->kind)));
    if (event->cursor.epoch != 0) {
        char cursor[CURSOR_TEXT];
        cursor_text(&event->cursor, cursor);
        put(object, "cursor", text(cursor));
    }
    if (event->kind == ACTIVITY_EVENT_RESET) {
        put(object, "reason", text(activity_reset_name((int)event->reset)));
    }
    if (event->time_ms != 0) {
        put(object, "time", number(event->time_ms));
    }
    if (event->tenant != NULL && event->tenant[0] != '\0') {
        put(object, "tenant", text(event->tenant));
    }
    bool history =
        event->kind >= ACTIVITY_EVENT_CREATED && event->kind <= ACTIVITY_EVENT_INDEX_CHANGED;
    if (history) {
        put(object, "principal", text(event->principal));
        put(object, "user", text(event->user));
        put(object, "groups", texts(event->groups, event->group_count));
    }
    if (event->kind == ACTIVITY_EVENT_FOUND_ACTIVITY) {
        put_activity(object, event->activity);
    } else if (event->activity != NULL) {
        put_told(object, event);
    } else if (event->change != NULL) {
        put_change(object, event->change);
        if (history) {
            put(object, "deleted", json_boolean(event->deleted));
        }
    }
    line(object);
}

void json_waited(uint64_t job_id, const struct activity_waited *waited)
{
    json_t *object = must(json_object());
    put(object, "jobId", number(job_id));
    put(object, "reached", json_boolean(waited->reached));
    put(object, "state", text(activity_state_name((int)waited->state)));
    put(object, "percent", number(waited->percent));
    if (waited->waiting_for_job_id != 0) {
        put(object, "waitingForJobId", number(waited->waiting_for_job_id));
    }
    line(object);
}

void json_visible(const struct activity_visible_request *request,
                  const struct activity_visible *visible)
{
    json_t *object = must(json_object());
    if (request->ticket != 0) {
        char ticket[20];
        (void)snprintf(ticket, sizeof ticket, "%016llx", (unsigned long long)request->ticket);
        put(object, "ticket", text(ticket));
    } else {
        put(object, "jobId", number(request->job_id));
    }
    put(object, "reached", json_boolean(visible->reached));
    put(object, "openChanges", number(visible->open_changes));
    line(object);
}

void json_result(uint64_t job_id, const struct activity_returned *returned)
{
    json_t *object = must(json_object());
    put(object, "jobId", number(job_id));
    put(object, "state", text(activity_result_state_name((int)returned->state)));
    put(object, "outcome",
        text(returned->outcome == ACTIVITY_STATE_ANY
                 ? ""
                 : activity_state_name((int)returned->outcome)));
    json_t *items = must(json_array());
    for (size_t i = 0; i < returned->result.item_count; i++) {
        const struct activity_result_item *from = &returned->result.items[i];
        json_t *item = must(json_object());
        put(item, "id", text(from->id));
        if (from->error_code != NULL && from->error_code[0] != '\0') {
            put(item, "errorCode", text(from->error_code));
            put(item, "errorMessage", text(from->error_message));
        }
        (void)json_array_append_new(items, item);
    }
    put(object, "items", items);
    put(object, "contentType", text(returned->result.content_type));
    put(object, "contentSize", number(returned->result.content.size));
    /* Content that is text travels along; anything else is fetched with --output. */
    json_t *content =
        json_stringn(returned->result.content.data == NULL ? "" : returned->result.content.data,
                     returned->result.content.size);
    if (content != NULL) {
        put(object, "content", content);
    }
    line(object);
}

void json_updated(const struct activity_updated *updated)
{
    json_line((const struct json_pair[]){
        {"jobId", NULL, updated->job_id},
        {"percent", NULL, updated->percent},
        {"disposition", activity_disposition_name((int)updated->disposition), 0},
        {NULL, NULL, 0},
    });
}

void json_line(const struct json_pair *pairs)
{
    json_t *object = must(json_object());
    for (; pairs->name != NULL; pairs++) {
        put(object, pairs->name, pairs->text == NULL ? number(pairs->number) : text(pairs->text));
    }
    line(object);
}

static json_t *certificate_list(const struct activity_certificate *from, size_t count)
{
    json_t *certificates = must(json_array());
    for (size_t i = 0; i < count; i++) {
        json_t *certificate = must(json_object());
        put(certificate, "name", text(from[i].name));
        put(certificate, "subject", text(from[i].subject));
        put(certificate, "notAfter", number(from[i].not_after_ms));
        (void)json_array_append_new(certificates, certificate);
    }
    return certificates;
}

static json_t *revocations(const struct activity_revocations *from)
{
    json_t *object = must(json_object());
    put(object, "lists", number(from->lists));
    put(object, "entries", number(from->entries));
    put(object, "issuer", text(from->issuer));
    put(object, "nextUpdate", number(from->next_update_ms));
    put(object, "expired", json_boolean(from->expired));
    return object;
}

static json_t *tls(const struct activity_tls_info *from)
{
    json_t *object = must(json_object());
    put(object, "engine", text(from->engine));
    put(object, "version", text(from->version));
    put(object, "cipherSuite", text(from->cipher_suite));
    put(object, "connections", number(from->connections));
    put(object, "unfinished", number(from->unfinished));
    json_t *suites = must(json_array());
    for (size_t i = 0; i < from->suite_count; i++) {
        json_t *suite = must(json_object());
        put(suite, "version", text(from->suites[i].version));
        put(suite, "cipherSuite", text(from->suites[i].cipher_suite));
        put(suite, "handshakes", number(from->suites[i].handshakes));
        (void)json_array_append_new(suites, suite);
    }
    put(object, "suites", suites);
    json_t *refusals = must(json_array());
    for (size_t i = 0; i < from->refusal_count; i++) {
        json_t *refusal = must(json_object());
        put(refusal, "reason", text(from->refusals[i].reason));
        put(refusal, "count", number(from->refusals[i].count));
        (void)json_array_append_new(refusals, refusal);
    }
    put(object, "refusals", refusals);
    return object;
}

void json_reloaded(const struct activity_reloaded *reloaded)
{
    json_t *object = must(json_object());
    put(object, "certificates",
        certificate_list(reloaded->certificates, reloaded->certificate_count));
    if (reloaded->revocations != NULL) {
        put(object, "revocations", revocations(reloaded->revocations));
    }
    put(object, "rules", number(reloaded->rules));
    put(object, "closedRevoked", number(reloaded->closed_revoked));
    put(object, "closedByPolicy", number(reloaded->closed_by_policy));
    line(object);
}

void json_server_info(const struct activity_server_info *info)
{
    char epoch[20];
    json_t *object = must(json_object());
    (void)snprintf(epoch, sizeof epoch, "%016llx", (unsigned long long)info->epoch);
    put(object, "version", text(info->version));
    put(object, "epoch", text(epoch));
    put(object, "time", number(info->time_ms));
    put(object, "started", number(info->start_time_ms));
    put(object, "principal", text(info->principal));
    put(object, "durability", text(info->durability));
    put(object, "index", text(info->index));
    put(object, "feedUrl", text(info->feed_url));
    put(object, "feedAllowed", json_boolean(info->feed_allowed));
    put(object, "journalIndex", number(info->journal_index));
    put(object, "headSequence", number(info->head_sequence));
    put(object, "oldestSequence", number(info->oldest_sequence));
    put(object, "requestIdKeptMs", number(info->request_id_kept_ms));
    put(object, "runningActivities", number(info->running_activities));
    json_t *feed = must(json_object());
    put(feed, "subscribers", number(info->feed.subscribers));
    put(feed, "parked", number(info->feed.parked));
    put(feed, "frames", number(info->feed.frames));
    put(feed, "bytes", number(info->feed.bytes));
    put(feed, "events", number(info->feed.events));
    put(feed, "progressFrames", number(info->feed.progress_frames));
    put(feed, "reads", number(info->feed.reads));
    put(feed, "fills", number(info->feed.fills));
    put(feed, "resets", number(info->feed.resets));
    put(object, "feed", feed);
    json_t *limits = must(json_object());
    for (size_t i = 0; i < info->limit_count; i++) {
        put(limits, info->limits[i].name, number(info->limits[i].value));
    }
    put(object, "limits", limits);
    put(object, "certificates", certificate_list(info->certificates, info->certificate_count));
    if (info->revocations != NULL) {
        put(object, "revocations", revocations(info->revocations));
    }
    put(object, "rules", number(info->rules));
    put(object, "loaded", number(info->loaded_time_ms));
    if (info->tls != NULL) {
        put(object, "tls", tls(info->tls));
    }
    line(object);
}

/* --- The way into the index --- */

static void put_reason(json_t *object, const char *name, const struct activity_index_reason *from)
{
    if (from != NULL) {
        json_t *reason = must(json_object());
        put(reason, "code", text(from->code));
        put(reason, "message", text(from->message));
        put(object, name, reason);
    }
}

/* As `record` shows them: they are larger than a number of JSON can be. */
static void put_tickets(json_t *object, const uint64_t *tickets, size_t count)
{
    json_t *array = must(json_array());
    for (size_t i = 0; i < count; i++) {
        char ticket[20];
        (void)snprintf(ticket, sizeof ticket, "%016llx", (unsigned long long)tickets[i]);
        (void)json_array_append_new(array, text(ticket));
    }
    put(object, "tickets", array);
}

void json_index_status(const struct activity_index_status *status)
{
    json_t *object = must(json_object());
    put(object, "state", text(activity_index_state_name((int)status->state)));
    put(object, "version", text(status->version));
    put_reason(object, "why", status->why);
    put_reason(object, "advice", status->advice);
    put(object, "awaySinceMs", number(status->away_since_ms));
    put(object, "failures", number(status->failures));
    put(object, "waitingDocuments", number(status->waiting_documents));
    put(object, "waitingChanges", number(status->waiting_changes));
    put(object, "restingDocuments", number(status->resting_documents));
    put(object, "inFlightDocuments", number(status->in_flight_documents));
    put(object, "inFlightChanges", number(status->in_flight_changes));
    put(object, "parkedDocuments", number(status->parked_documents));
    put(object, "parkedChanges", number(status->parked_changes));
    put(object, "pendingBytes", number(status->pending_bytes));
    put(object, "lagMs", number(status->lag_ms));
    put(object, "batches", number(status->batches));
    put(object, "requests", number(status->requests));
    put(object, "requestBytes", number(status->request_bytes));
    put(object, "changes", number(status->changes));
    put(object, "ackedDocuments", number(status->acked_documents));
    put(object, "retriedDocuments", number(status->retried_documents));
    put(object, "refreshes", number(status->refreshes));
    put(object, "parkedSinceStart", number(status->parked_since_start));
    put(object, "timeMs", number(status->time_ms));
    line(object);
}

void json_index_batch(const struct activity_index_batch *batch)
{
    json_t *object = must(json_object());
    put(object, "number", number(batch->number));
    put(object, "sentTimeMs", number(batch->sent_time_ms));
    put(object, "done", json_boolean(batch->done));
    put(object, "cause", text(activity_flush_cause_name((int)batch->cause)));
    put(object, "lagMs", number(batch->lag_ms));
    put(object, "tookMs", number(batch->took_ms));
    put(object, "changes", number(batch->changes));
    put(object, "fragments", number(batch->fragments));
    put(object, "documents", number(batch->documents));
    put(object, "bytes", number(batch->bytes));
    put(object, "acked", number(batch->acked));
    put(object, "retried", number(batch->retried));
    put(object, "parked", number(batch->parked));
    put_reason(object, "error", batch->error);
    put_tickets(object, batch->tickets, batch->ticket_count);
    line(object);
}

void json_parked_document(const struct activity_parked_document *document)
{
    json_t *object = must(json_object());
    put(object, "parkId", number(document->park_id));
    put(object, "parkedTimeMs", number(document->parked_time_ms));
    put(object, "model", text(document->model));
    put(object, "documentId", document_id(document->document_id));
    put_reason(object, "reason", document->reason);
    put(object, "changes", number(document->changes));
    put(object, "behind", number(document->behind));
    put(object, "fragments", json_boolean(document->fragments));
    put(object, "oldestTimeMs", number(document->oldest_time_ms));
    put_tickets(object, document->tickets, document->ticket_count);
    line(object);
}
