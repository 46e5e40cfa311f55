/* Any bytes as a server's reply to any call: a result or an error, and a result's strings can all
 * be read. The first byte chooses the method. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <activity_admin.h>
#include <activity_feed.h>
#include <activity_index.h>

#include "client/lib/error.h"
#include "client/lib/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t total;

static void read_text(const char *text)
{
    total += strlen(text);
}

static void read_bytes(struct activity_bytes bytes)
{
    const uint8_t *at = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        total += at[i];
    }
}

static void read_activity(const struct activity_info *activity)
{
    read_text(activity->type);
    read_text(activity->title);
    read_text(activity->status_text);
    read_text(activity->owner);
    read_text(activity->creator);
    for (size_t i = 0; i < activity->group_count; i++) {
        read_text(activity->groups[i]);
    }
    for (size_t i = 0; i < activity->attribute_count; i++) {
        read_text(activity->attributes[i].name);
        read_text(activity->attributes[i].value);
    }
    if (activity->failure != NULL) {
        read_text(activity->failure->code);
        read_text(activity->failure->message);
    }
}

static void read_changes(const struct activity_model_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        read_text(changes[i].model);
        read_text(changes[i].document_id);
        for (size_t j = 0; j < changes[i].affected_model_count; j++) {
            read_text(changes[i].affected_models[j].affected_model);
        }
    }
}

static void read_page(const struct activity_page *page)
{
    for (size_t i = 0; i < page->activity_count; i++) {
        read_activity(&page->activities[i]);
    }
    read_changes(page->model_changes, page->model_change_count);
    read_changes(page->model_changes_es, page->model_change_es_count);
    read_bytes(page->next_page_token);
}

static void read_returned(const struct activity_returned *returned)
{
    for (size_t i = 0; i < returned->result.item_count; i++) {
        read_text(returned->result.items[i].id);
        read_text(returned->result.items[i].error_code);
        read_text(returned->result.items[i].error_message);
    }
    read_bytes(returned->result.content);
    read_text(returned->result.content_type);
}

static void read_tls(const struct activity_tls_info *tls)
{
    read_text(tls->engine);
    read_text(tls->version);
    read_text(tls->cipher_suite);
    for (size_t i = 0; i < tls->suite_count; i++) {
        read_text(tls->suites[i].version);
        read_text(tls->suites[i].cipher_suite);
    }
    for (size_t i = 0; i < tls->refusal_count; i++) {
        read_text(tls->refusals[i].reason);
    }
}

static void read_reloaded(const struct activity_reloaded *reloaded)
{
    for (size_t i = 0; i < reloaded->certificate_count; i++) {
        read_text(reloaded->certificates[i].name);
        read_text(reloaded->certificates[i].subject);
    }
    if (reloaded->revocations != NULL) {
        read_text(reloaded->revocations->issuer);
    }
}

static void read_server(const activity_result *result)
{
    const struct activity_server_info *info = activity_result_server_info(result);
    for (size_t i = 0; info != NULL && i < info->limit_count; i++) {
        read_text(info->limits[i].name);
    }
    for (size_t i = 0; info != NULL && i < info->certificate_count; i++) {
        read_text(info->certificates[i].name);
        read_text(info->certificates[i].subject);
    }
    if (info != NULL && info->tls != NULL) {
        read_tls(info->tls);
    }
    if (info != NULL && info->revocations != NULL) {
        read_text(info->revocations->issuer);
    }
    if (activity_result_reloaded(result) != NULL) {
        read_reloaded(activity_result_reloaded(result));
    }
    const struct activity_users *users = activity_result_users(result);
    for (size_t i = 0; users != NULL && i < users->user_count; i++) {
        read_text(users->users[i].user);
    }
    const struct activity_health *health = activity_result_health(result);
    if (health != NULL) {
        read_text(health->explanation);
    }
}

static void read_events(const activity_result *result)
{
    const struct activity_changes *changes = activity_result_changes(result);
    for (size_t i = 0; changes != NULL && i < changes->event_count; i++) {
        const struct activity_event *event = &changes->events[i];
        read_text(event->tenant);
        if (event->activity != NULL) {
            read_activity(event->activity);
        }
        if (event->change != NULL) {
            read_changes(event->change, 1);
        }
    }
}

static void read_reason(const struct activity_index_reason *reason)
{
    if (reason != NULL) {
        read_text(reason->code);
        read_text(reason->message);
    }
}

static void read_tickets(const uint64_t *tickets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        total += tickets[i];
    }
}

static void read_index(const activity_result *result)
{
    const struct activity_index_status *status = activity_result_index_status(result);
    if (status != NULL) {
        read_text(status->version);
        read_reason(status->why);
        read_reason(status->advice);
    }
    const struct activity_index_batches *batches = activity_result_index_batches(result);
    for (size_t i = 0; batches != NULL && i < batches->batch_count; i++) {
        read_reason(batches->batches[i].error);
        read_tickets(batches->batches[i].tickets, batches->batches[i].ticket_count);
    }
    const struct activity_parked_documents *parked = activity_result_parked_documents(result);
    for (size_t i = 0; parked != NULL && i < parked->document_count; i++) {
        read_text(parked->documents[i].model);
        read_text(parked->documents[i].document_id);
        read_reason(parked->documents[i].reason);
        read_tickets(parked->documents[i].tickets, parked->documents[i].ticket_count);
    }
}

static void read_result(const activity_result *result)
{
    const struct activity_batch *batch = activity_result_batch(result);
    if (batch != NULL) {
        read_bytes((struct activity_bytes){batch->percents, batch->count});
        read_bytes((struct activity_bytes){batch->dispositions, batch->count});
    }
    if (activity_result_activity(result) != NULL) {
        read_activity(activity_result_activity(result));
    }
    if (activity_result_page(result) != NULL) {
        read_page(activity_result_page(result));
    }
    if (activity_result_returned(result) != NULL) {
        read_returned(activity_result_returned(result));
    }
    read_server(result);
    read_events(result);
    read_index(result);
    read_bytes(activity_result_payload(result));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE] = {1};
    if (size == 0) {
        return 0;
    }
    const struct result_question question = {
        .method = (enum activity_method)(1 + data[0] % ACTIVITY_METHOD_RELOAD),
        .batch_count = 4,
        .request_id = request_id,
    };
    uint8_t *bytes = malloc(size);
    if (bytes == NULL) {
        return 0;
    }
    memcpy(bytes, data + 1, size - 1);
    struct frame_reply reply;
    struct frame_error fault;
    struct activity_error error;
    activity_result *result = NULL;
    if (frame_reply_decode((struct view){bytes, size - 1}, &reply, &fault) != 0 ||
        error_from_reply(&error, &reply) != ACTIVITY_OK) {
        free(bytes);
        return 0;
    }
    int code = result_decode_take(&question, &reply, bytes, &result, &error);
    if ((code == ACTIVITY_OK) != (result != NULL)) {
        abort();
    }
    if (result != NULL) {
        read_result(result);
    }
    activity_result_free(result);
    return 0;
}
