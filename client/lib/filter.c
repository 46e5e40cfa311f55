#include "client/lib/filter.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/error.h"
#include "client/lib/payload.h"
#include "proto/limits.h"

/* --- Copies --- */

static int check_texts(const char *const *texts, size_t count, const char *field,
                       struct activity_error *error)
{
    if (!payload_is_list(texts, count)) {
        return error_bad_field(error, field, "is NULL");
    }
    for (size_t i = 0; i < count; i++) {
        if (texts[i] == NULL || *texts[i] == '\0') {
            return error_bad_field(error, field, "has a NULL or an empty one");
        }
    }
    return ACTIVITY_OK;
}

static size_t texts_size(const char *const *texts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += strlen(texts[i]) + 1;
    }
    return size;
}

static int check_kinds(const struct activity_event_filter *wanted, struct activity_error *error)
{
    if (!payload_is_list(wanted->kinds, wanted->kind_count) ||
        wanted->kind_count > LIMIT_READ_KINDS) {
        return error_bad_field(error, "kinds", "are not at most 8");
    }
    for (size_t i = 0; i < wanted->kind_count; i++) {
        if (wanted->kinds[i] < ACTIVITY_EVENT_CREATED ||
            wanted->kinds[i] > ACTIVITY_EVENT_INDEX_CHANGED) {
            return error_bad_field(error, "kinds", "has one that is no kind of history");
        }
    }
    return ACTIVITY_OK;
}

static int check(const struct activity_subscription_options *options, struct activity_error *error)
{
    const struct activity_event_filter *wanted = &options->filter;
    if (check_kinds(wanted, error) != ACTIVITY_OK ||
        check_texts(wanted->models, wanted->model_count, "models", error) != ACTIVITY_OK ||
        check_texts(wanted->document_ids, wanted->document_id_count, "document_ids", error) !=
            ACTIVITY_OK ||
        check_texts(options->tenants, options->tenant_count, "tenants", error) != ACTIVITY_OK) {
        return ACTIVITY_INVALID_ARGUMENT;
    }
    if (wanted->model_count > LIMIT_READ_MODELS) {
        return error_bad_field(error, "models", "are more than 16");
    }
    if (wanted->document_id_count > LIMIT_READ_DOCUMENT_IDS ||
        texts_size(wanted->document_ids, wanted->document_id_count) >
            LIMIT_READ_DOCUMENTS_BYTES + wanted->document_id_count) {
        return error_bad_field(error, "document_ids", "are more than 256 or than 16 KiB");
    }
    if (!payload_is_list(wanted->job_ids, wanted->job_id_count) ||
        wanted->job_id_count > LIMIT_READ_JOB_IDS) {
        return error_bad_field(error, "job_ids", "are not at most 256");
    }
    return ACTIVITY_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Copies the texts to *text, which is moved on, and pointers to them, sorted, to `to`. */
static void copy_texts(const char *const *from, size_t count, char **to, char **text)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(from[i]) + 1;
        to[i] = memcpy(*text, from[i], size);
        *text += size;
    }
    if (count > 1) {
        qsort(to, count, sizeof *to, compare_texts);
    }
}

int filter_init(struct filter *filter, const struct activity_subscription_options *options,
                struct activity_error *error)
{
    *filter = (struct filter){0};
    if (check(options, error) != ACTIVITY_OK) {
        return ACTIVITY_INVALID_ARGUMENT;
    }
    const struct activity_event_filter *from = &options->filter;
    size_t texts = from->model_count + from->document_id_count + options->tenant_count;
    size_t size = from->job_id_count * sizeof(uint64_t) + texts * sizeof(char *) +
                  from->kind_count * sizeof(enum activity_event_kind) +
                  texts_size(from->models, from->model_count) +
                  texts_size(from->document_ids, from->document_id_count) +
                  texts_size(options->tenants, options->tenant_count);
    filter->memory = malloc(size + 1);
    if (filter->memory == NULL) {
        return error_no_memory(error);
    }
    uint64_t *ids = filter->memory;
    char **models = (char **)(ids + from->job_id_count);
    char **documents = models + from->model_count;
    char **tenants = documents + from->document_id_count;
    enum activity_event_kind *kinds = (enum activity_event_kind *)(tenants + options->tenant_count);
    char *text = (char *)(kinds + from->kind_count);
    if (from->job_id_count > 0) {
        memcpy(ids, from->job_ids, from->job_id_count * sizeof *ids);
        qsort(ids, from->job_id_count, sizeof *ids, compare_ids);
    }
    if (from->kind_count > 0) {
        memcpy(kinds, from->kinds, from->kind_count * sizeof *kinds);
    }
    copy_texts(from->models, from->model_count, models, &text);
    copy_texts(from->document_ids, from->document_id_count, documents, &text);
    copy_texts(options->tenants, options->tenant_count, tenants, &text);
    filter->wanted = *from;
    filter->wanted.kinds = kinds;
    filter->wanted.models = (const char *const *)models;
    filter->wanted.document_ids = (const char *const *)documents;
    filter->wanted.job_ids = ids;
    filter->tenants = tenants;
    filter->tenant_count = options->tenant_count;
    return error_clear(error);
}

void filter_deinit(struct filter *filter)
{
    free(filter->memory);
    *filter = (struct filter){0};
}

/* --- Judgement --- */

static bool has_text(char *const *texts, size_t count, const char *text)
{
    return bsearch(&text, texts, count, sizeof *texts, compare_texts) != NULL;
}

static bool has_kind(const struct activity_event_filter *wanted, enum activity_event_kind kind)
{
    for (size_t i = 0; i < wanted->kind_count; i++) {
        if (wanted->kinds[i] == kind) {
            return true;
        }
    }
    return wanted->kind_count == 0;
}

static bool asks_for_documents(const struct activity_event_filter *wanted)
{
    return wanted->model_count > 0 || wanted->document_id_count > 0;
}

bool filter_wants(const struct filter *filter, enum activity_event_kind kind)
{
    const struct activity_event_filter *wanted = &filter->wanted;
    bool activities = wanted->job_id_count > 0 || !asks_for_documents(wanted);
    bool documents = wanted->job_id_count == 0 || asks_for_documents(wanted);
    switch (kind) {
    case ACTIVITY_EVENT_CREATED:
    case ACTIVITY_EVENT_ENDED:
        return activities && has_kind(wanted, kind);
    case ACTIVITY_EVENT_MODEL_CHANGED:
    case ACTIVITY_EVENT_INDEX_CHANGED:
        return documents && has_kind(wanted, kind);
    case ACTIVITY_EVENT_PROGRESS:
        return activities;
    case ACTIVITY_EVENT_FOUND_ACTIVITY:
        return filter_wants(filter, ACTIVITY_EVENT_CREATED) ||
               filter_wants(filter, ACTIVITY_EVENT_ENDED);
    case ACTIVITY_EVENT_FOUND_CHANGE:
        return filter_wants(filter, ACTIVITY_EVENT_MODEL_CHANGED);
    case ACTIVITY_EVENT_FOUND_INDEX_CHANGE:
        return filter_wants(filter, ACTIVITY_EVENT_INDEX_CHANGED);
    default:
        return true; /* what the subscription itself says */
    }
}

static bool is_wanted_job(const struct activity_event_filter *wanted, uint64_t job_id)
{
    return wanted->job_id_count == 0 || bsearch(&job_id, wanted->job_ids, wanted->job_id_count,
                                                sizeof job_id, compare_ids) != NULL;
}

static bool is_wanted_document(const struct activity_event_filter *wanted,
                               const struct activity_model_change *change)
{
    const char *model = change->model;
    if (strncmp(model, "es:", 3) == 0) {
        model += 3; /* no model can have a colon */
    }
    return (wanted->model_count == 0 ||
            has_text((char *const *)wanted->models, wanted->model_count, model)) &&
           (wanted->document_id_count == 0 ||
            has_text((char *const *)wanted->document_ids, wanted->document_id_count,
                     change->document_id));
}

bool filter_passes(const struct filter *filter, const struct activity_event *event)
{
    if (!filter_wants(filter, event->kind)) {
        return false;
    }
    if (filter->tenant_count > 0 && *event->tenant != '\0' &&
        !has_text(filter->tenants, filter->tenant_count, event->tenant)) {
        return false;
    }
    return event->activity != NULL ? is_wanted_job(&filter->wanted, event->activity->job_id)
           : event->change != NULL ? is_wanted_document(&filter->wanted, event->change)
                                   : true;
}
