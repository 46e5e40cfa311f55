/* ReadChanges: a place in the history and filters. */
#include "proto/limits.h"
#include "server/core/effect.h"
#include "server/wire/decoding.h"

/* Field numbers of activity/v1/change_service.proto and types.proto. */
enum {
    READ_AFTER = 1,
    READ_KINDS = 2,
    READ_MODELS = 3,
    READ_DOCUMENT_IDS = 4,
    READ_JOB_IDS = 5,
    READ_WAIT_MS = 6,
    READ_PAGE_SIZE = 7,
    READ_ALL_TENANTS = 8,
    READ_SUBSCRIPTION = 9,
};
enum { CURSOR_EPOCH = 1, CURSOR_SEQUENCE = 2 };

/* A list of texts as it is read: beyond the limit they are counted only. */
struct text_list {
    struct view *members;
    size_t most;
    size_t count;
};

struct read_fields {
    uint64_t kinds[LIMIT_READ_KINDS];
    size_t kind_count; /* goes on beyond its limit, as job_id_count does */
    struct view model_members[LIMIT_READ_MODELS];
    struct text_list models;
    struct view document_members[LIMIT_READ_DOCUMENT_IDS];
    struct text_list document_ids;
    size_t job_id_count;
    uint32_t page_size;
    uint32_t wait_ms;
};

static void read_text(struct message *message, const struct field *field, struct text_list *list)
{
    struct view text = message_bytes(message, field);
    if (list->count < list->most) {
        list->members[list->count] = text;
    }
    list->count++;
}

static void read_cursor(struct message *outer, const struct field *member, struct query_read *read)
{
    struct message message = message_of(message_bytes(outer, member));
    struct field field;
    read->from_now = false;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case CURSOR_EPOCH:
            read->epoch = message_fixed64(&message, &field);
            break;
        case CURSOR_SEQUENCE:
            read->after = message_number(&message, &field);
            break;
        default:
            break;
        }
    }
    outer->malformed = outer->malformed || message.malformed;
}

static bool read_changes(struct view payload, struct read_fields *fields, struct query_read *read)
{
    struct message message = message_of(payload);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case READ_AFTER:
            read_cursor(&message, &field, read);
            break;
        case READ_KINDS:
            message_numbers(&message, &field, fields->kinds, LIMIT_READ_KINDS, &fields->kind_count);
            break;
        case READ_MODELS:
            read_text(&message, &field, &fields->models);
            break;
        case READ_DOCUMENT_IDS:
            read_text(&message, &field, &fields->document_ids);
            break;
        case READ_JOB_IDS:
            message_numbers(&message, &field, read->job_ids, LIMIT_READ_JOB_IDS,
                            &fields->job_id_count);
            break;
        case READ_WAIT_MS:
            fields->wait_ms = message_uint32(&message, &field);
            break;
        case READ_PAGE_SIZE:
            fields->page_size = message_uint32(&message, &field);
            break;
        case READ_ALL_TENANTS:
            read->all_tenants = message_bool(&message, &field);
            break;
        case READ_SUBSCRIPTION:
            read->subscription = message_fixed64(&message, &field);
            break;
        default:
            break;
        }
    }
    return !message.malformed;
}

static int check_kinds(struct request_error *error, const struct read_fields *fields,
                       struct query_read *read)
{
    if (rule_count(error, "kinds", fields->kind_count, LIMIT_READ_KINDS) != 0) {
        return 1;
    }
    for (size_t i = 0; i < fields->kind_count; i++) {
        uint64_t kind = fields->kinds[i];
        if (kind < EVENT_ACTIVITY_CREATED || kind > EVENT_INDEX_CHANGED) {
            struct place place = {NULL, 0, "kinds", i};
            return rule_refuse(
                error, place, "must be a value of EventKind, %d to %d, found %llu; leave it out",
                EVENT_ACTIVITY_CREATED, EVENT_INDEX_CHANGED, (unsigned long long)kind);
        }
        read->kinds |= 1u << kind;
    }
    return 0;
}

/* In the answers the models of the index have a prefix: an easy thing to copy from there. */
static bool has_index_prefix(struct view model)
{
    static const char prefix[] = "es:";
    size_t length = sizeof prefix - 1;
    return model.length >= length &&
           view_equal((struct view){model.bytes, length}, view_of(prefix));
}

static int check_models(struct request_error *error, const struct text_list *models,
                        struct query_read *read)
{
    if (rule_count(error, "models", models->count, LIMIT_READ_MODELS) != 0) {
        return 1;
    }
    for (size_t i = 0; i < models->count; i++) {
        struct place place = {NULL, 0, "models", i};
        if (has_index_prefix(models->members[i])) {
            return rule_refuse(error, place,
                               "must be a model as it was recorded, found one that begins with "
                               "es:; leave that out and choose kinds = INDEX_CHANGED");
        }
        if (rule_name(error, place, models->members[i], LIMIT_MODEL_LENGTH) != 0) {
            return 1;
        }
        read->models[i] = bytes_of_view(models->members[i]);
    }
    read->model_count = (uint32_t)models->count;
    return 0;
}

static int check_document_ids(struct request_error *error, const struct text_list *ids,
                              struct query_read *read)
{
    if (rule_count(error, "document_ids", ids->count, LIMIT_READ_DOCUMENT_IDS) != 0) {
        return 1;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < ids->count; i++) {
        struct place place = {NULL, 0, "document_ids", i};
        if (rule_text(error, place, ids->members[i], 1, LIMIT_DOCUMENT_ID_LENGTH) != 0) {
            return 1;
        }
        bytes += ids->members[i].length;
        read->document_ids[i] = bytes_of_view(ids->members[i]);
    }
    if (bytes > LIMIT_READ_DOCUMENTS_BYTES) {
        return rule_refuse(error, place_of("document_ids"),
                           "must be at most %d bytes in all, found %zu; ask several times, or for "
                           "all and choose yourself",
                           LIMIT_READ_DOCUMENTS_BYTES, bytes);
    }
    read->document_id_count = (uint32_t)ids->count;
    return 0;
}

static int check_job_ids(struct request_error *error, size_t count, struct query_read *read)
{
    if (rule_count(error, "job_ids", count, LIMIT_READ_JOB_IDS) != 0) {
        return 1;
    }
    read->job_id_count = (uint32_t)count;
    return 0;
}

/* Whether the principal may ask for all tenants is decided at admission; a user never may. */
static int check_all_tenants(const struct decoding *decoding, const struct query_read *read)
{
    if (read->all_tenants && decoding->caller->user.length != 0) {
        return rule_refuse(decoding->error, place_of("all_tenants"),
                           "may not be asked on behalf of a user, found one; call without "
                           "on_behalf_of.user, or leave it out");
    }
    return 0;
}

int decode_read_changes(struct decoding *decoding)
{
    struct request_error *error = decoding->error;
    struct query_read *read = &decoding->scratch->query.read;
    *read = (struct query_read){.from_now = true};
    struct read_fields fields = {.kind_count = 0};
    fields.models = (struct text_list){fields.model_members, LIMIT_READ_MODELS, 0};
    fields.document_ids = (struct text_list){fields.document_members, LIMIT_READ_DOCUMENT_IDS, 0};
    if (!read_changes(decoding->payload, &fields, read)) {
        return decoding_malformed(decoding);
    }
    if (check_kinds(error, &fields, read) != 0 || check_models(error, &fields.models, read) != 0 ||
        check_document_ids(error, &fields.document_ids, read) != 0 ||
        check_job_ids(error, fields.job_id_count, read) != 0 ||
        rule_wait_ms(error, fields.wait_ms) != 0 ||
        rule_page_size(error, fields.page_size, LIMIT_PAGE_SIZE, &read->page_size) != 0 ||
        check_all_tenants(decoding, read) != 0) {
        return 1;
    }
    decoding->scratch->wait_ms = fields.wait_ms;
    return 0;
}
