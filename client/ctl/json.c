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

void json_activity(const struct activity_info *info)
{
    json_t *object = must(json_object());
    put(object, "jobId", number(info->job_id));
    put(object, "type", text(info->type));
    put(object, "title", text(info->title));
    put(object, "state", text(activity_state_name((int)info->state)));
    put(object, "percent", number(info->percent));
    put(object, "statusText", text(info->status_text));
    put(object, "owner", text(info->owner));
    put(object, "creator", text(info->creator));
    json_t *groups = must(json_array());
    for (size_t i = 0; i < info->group_count; i++) {
        (void)json_array_append_new(groups, text(info->groups[i]));
    }
    put(object, "groups", groups);
    json_t *attributes = must(json_object());
    for (size_t i = 0; i < info->attribute_count; i++) {
        put(attributes, info->attributes[i].name, text(info->attributes[i].value));
    }
    put(object, "attributes", attributes);
    if (info->parent_job_id != 0) {
        put(object, "parentJobId", number(info->parent_job_id));
    }
    if (info->retry_of_job_id != 0) {
        put(object, "retryOfJobId", number(info->retry_of_job_id));
    }
    put(object, "created", number(info->create_time_ms));
    put(object, "updated", number(info->update_time_ms));
    if (info->end_time_ms != 0) {
        put(object, "ended", number(info->end_time_ms));
    }
    if (info->failure != NULL) {
        json_t *failure = must(json_object());
        put(failure, "code", text(info->failure->code));
        put(failure, "message", text(info->failure->message));
        put(object, "failure", failure);
    }
    line(object);
}

void json_change(const struct activity_model_change *change)
{
    json_t *object = must(json_object());
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
    json_t *limits = must(json_object());
    for (size_t i = 0; i < info->limit_count; i++) {
        put(limits, info->limits[i].name, number(info->limits[i].value));
    }
    put(object, "limits", limits);
    json_t *certificates = must(json_array());
    for (size_t i = 0; i < info->certificate_count; i++) {
        json_t *certificate = must(json_object());
        put(certificate, "name", text(info->certificates[i].name));
        put(certificate, "subject", text(info->certificates[i].subject));
        put(certificate, "notAfter", number(info->certificates[i].not_after_ms));
        (void)json_array_append_new(certificates, certificate);
    }
    put(object, "certificates", certificates);
    line(object);
}
