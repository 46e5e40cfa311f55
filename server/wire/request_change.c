/* RecordModelChanges. */
#include <stdio.h>
#include <sys/mman.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/wire/decoding.h"
#include "server/wire/json.h"

/* Field numbers of activity/v1/change_service.proto. */
enum { RECORD_REQUEST_ID = 1, RECORD_CHANGES = 2, RECORD_JOB_ID = 3, RECORD_URGENT = 4 };
enum {
    CHANGE_MODEL = 1,
    CHANGE_DOCUMENT_ID = 2,
    CHANGE_AFFECTED_MODEL = 3,
    CHANGE_JSON = 4,
    CHANGE_GROUPS = 5,
    CHANGE_DELETED = 6,
    CHANGE_MERGE_PATCH = 7,
};

struct change_fields {
    struct view model;
    struct view document_id;
    struct view affected_model;
    struct view json;
    struct view merge_patch;
    struct group_list groups;
    bool deleted;
};

static bool read_change(struct view bytes, struct change_fields *fields)
{
    struct message message = message_of(bytes);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case CHANGE_MODEL:
            fields->model = message_bytes(&message, &field);
            break;
        case CHANGE_DOCUMENT_ID:
            fields->document_id = message_bytes(&message, &field);
            break;
        case CHANGE_AFFECTED_MODEL:
            fields->affected_model = message_bytes(&message, &field);
            break;
        case CHANGE_JSON:
            fields->json = message_bytes(&message, &field);
            break;
        case CHANGE_GROUPS:
            group_list_add(&fields->groups, message_bytes(&message, &field));
            break;
        case CHANGE_DELETED:
            fields->deleted = message_bool(&message, &field);
            break;
        case CHANGE_MERGE_PATCH:
            fields->merge_patch = message_bytes(&message, &field);
            break;
        default:
            break;
        }
    }
    return !message.malformed;
}

/* Resets the arena; what only an unusual document has touched goes back to the system. */
static void forget_json(struct arena *arena)
{
    const size_t kept = 1024 * 1024;
    const uintptr_t page = 4096;
    if (arena->used > kept) {
        uintptr_t from = ((uintptr_t)arena->base + kept + page - 1) / page * page;
        uintptr_t to = ((uintptr_t)arena->base + arena->used) / page * page;
        if (from < to) {
            (void)madvise((void *)from, to - from, MADV_DONTNEED); /* advice: may fail */
        }
    }
    arena_reset(arena);
}

/* What an error says of a document, the beginning of its id at least. */
#define NAMED_BYTES 64
struct document_name {
    char text[NAMED_BYTES + LIMIT_MODEL_LENGTH + 32];
};

static const char *name_document(const struct change_fields *fields, struct document_name *name)
{
    size_t length = fields->document_id.length;
    if (length > NAMED_BYTES) {
        length = NAMED_BYTES;
        while ((fields->document_id.bytes[length] & 0xc0) == 0x80) { /* in the middle of one */
            length--;
        }
    }
    (void)snprintf(name->text, sizeof name->text, "document \"%.*s%s\" of %.*s", (int)length,
                   (const char *)fields->document_id.bytes,
                   length < fields->document_id.length ? "..." : "", (int)fields->model.length,
                   (const char *)fields->model.bytes);
    return name->text;
}

/* One of the two kinds of JSON, if it is there. */
static int check_json(const struct decoding *decoding, struct place place,
                      const struct change_fields *fields, struct view json)
{
    struct request_error *error = decoding->error;
    struct document_name name;
    if (json.length == 0) {
        return 0;
    }
    if (fields->deleted) {
        return rule_refuse(error, place,
                           "may not stand beside deleted, found %zu bytes for %s; leave one of "
                           "them out",
                           json.length, name_document(fields, &name));
    }
    if (json.length > LIMIT_JSON_BYTES) {
        return rule_refuse(error, place, "must be at most %d bytes, found %zu for %s; shorten it",
                           LIMIT_JSON_BYTES, json.length, name_document(fields, &name));
    }
    char why[128];
    int outcome = json_check(json, &decoding->scratch->json, why, sizeof why);
    forget_json(&decoding->scratch->json);
    if (outcome != 0) {
        return rule_refuse(error, place,
                           "must be one JSON object of at most %d levels without duplicate keys, "
                           "found %s in %s; send a whole object",
                           LIMIT_JSON_DEPTH, why, name_document(fields, &name));
    }
    return 0;
}

/* Whether the change is of its model's kind, and says what is to be written. */
static int check_kind(const struct decoding *decoding, size_t index,
                      const struct change_fields *fields, bool fragments)
{
    const struct model_kinds *kinds = decoding->scratch->kinds;
    struct request_error *error = decoding->error;
    struct place at_json = {"changes", index, "json", NOT_REPEATED};
    struct place at_patch = {"changes", index, "merge_patch", NOT_REPEATED};
    struct document_name name;
    if (fragments && fields->json.length != 0) {
        return rule_refuse(error, at_json,
                           "must be absent, since this model is written as fragments, found %zu "
                           "bytes for %s; send merge_patch, or configure the model as whole",
                           fields->json.length, name_document(fields, &name));
    }
    if (!fragments && fields->merge_patch.length != 0) {
        return rule_refuse(error, at_patch,
                           "must be absent, since this model is written as whole documents, found "
                           "%zu bytes for %s; send json, or configure the model as fragments",
                           fields->merge_patch.length, name_document(fields, &name));
    }
    if (kinds != NULL && kinds->written && !fields->deleted && fields->json.length == 0 &&
        fields->merge_patch.length == 0) {
        return rule_refuse(error, fragments ? at_patch : at_json,
                           "is required, since this server writes to an index, found none for %s; "
                           "send it, or deleted",
                           name_document(fields, &name));
    }
    return 0;
}

/* One change as it stands in the request, which is urgent or not. */
struct change_bytes {
    size_t index;
    struct view bytes;
    bool urgent;
};

/* Checks one change and appends it to the list of the command. */
static int take_change(const struct decoding *decoding, const struct change_bytes *from,
                       struct writer *list)
{
    struct request_error *error = decoding->error;
    struct change_fields fields = {.deleted = false};
    size_t index = from->index;
    if (!read_change(from->bytes, &fields)) {
        return decoding_malformed(decoding);
    }
    struct place place = {"changes", index, "model", NOT_REPEATED};
    struct place at_id = {"changes", index, "document_id", NOT_REPEATED};
    struct place at_affected = {"changes", index, "affected_model", NOT_REPEATED};
    struct place at_json = {"changes", index, "json", NOT_REPEATED};
    struct place at_groups = {"changes", index, "groups", NOT_REPEATED};
    struct place at_patch = {"changes", index, "merge_patch", NOT_REPEATED};
    struct command_change change = {.deleted = fields.deleted, .urgent = from->urgent};
    if (rule_name(error, place, fields.model, LIMIT_MODEL_LENGTH) != 0 ||
        rule_text(error, at_id, fields.document_id, 1, LIMIT_DOCUMENT_ID_LENGTH) != 0 ||
        rule_name(error, at_affected, fields.affected_model, LIMIT_MODEL_LENGTH) != 0 ||
        check_json(decoding, at_json, &fields, fields.json) != 0 ||
        check_json(decoding, at_patch, &fields, fields.merge_patch) != 0 ||
        group_list_check(error, at_groups, &fields.groups, true, &change.groups) != 0) {
        return 1;
    }
    change.model = bytes_of_view(fields.model);
    change.fragment = kinds_is_fragments(decoding->scratch->kinds, change.model);
    if (check_kind(decoding, index, &fields, change.fragment) != 0) {
        return 1;
    }
    change.document_id = bytes_of_view(fields.document_id);
    change.affected_model = bytes_of_view(fields.affected_model);
    change.json = bytes_of_view(change.fragment ? fields.merge_patch : fields.json);
    command_change_put(list, &change);
    return 0;
}

static int take_changes(const struct decoding *decoding, struct command_record *record, bool urgent)
{
    struct writer list = writer_of(decoding->scratch->list, sizeof decoding->scratch->list);
    struct message message = message_of(decoding->payload);
    struct field field;
    record->change_count = 0;
    while (message_next(&message, &field)) {
        if (field.number != RECORD_CHANGES) {
            continue;
        }
        const struct change_bytes change = {record->change_count, field.bytes, urgent};
        if (take_change(decoding, &change, &list) != 0) {
            return 1;
        }
        record->change_count++;
    }
    CHECK(!list.failed); /* see the assertion in request.c */
    record->changes =
        bytes_of(decoding->scratch->list, (size_t)(list.at - decoding->scratch->list));
    return 0;
}

struct record_fields {
    struct view request_id;
    size_t change_count;
    uint64_t job_id;
    bool urgent;
};

static bool read_record(struct view payload, struct record_fields *fields)
{
    struct message message = message_of(payload);
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case RECORD_REQUEST_ID:
            fields->request_id = message_bytes(&message, &field);
            break;
        case RECORD_CHANGES:
            fields->change_count++;
            (void)message_bytes(&message, &field);
            break;
        case RECORD_JOB_ID:
            fields->job_id = message_number(&message, &field);
            break;
        case RECORD_URGENT:
            fields->urgent = message_bool(&message, &field);
            break;
        default:
            break;
        }
    }
    return !message.malformed;
}

static int check_record(const struct decoding *decoding, const struct record_fields *fields)
{
    struct request_error *error = decoding->error;
    if (rule_request_id(error, fields->request_id) != 0) {
        return 1;
    }
    if (fields->change_count == 0 || fields->change_count > LIMIT_CHANGES) {
        return rule_refuse(error, place_of("changes"),
                           "must be 1 to %d, found %zu; send several requests", LIMIT_CHANGES,
                           fields->change_count);
    }
    if (decoding->payload.length > LIMIT_CHANGES_BYTES) {
        return rule_refuse(error, place_of("changes"),
                           "must be at most %d bytes in all, found %zu; send several requests",
                           LIMIT_CHANGES_BYTES, decoding->payload.length);
    }
    return 0;
}

int decode_record_changes(struct decoding *decoding)
{
    struct record_fields fields = {.job_id = 0};
    if (!read_record(decoding->payload, &fields)) {
        return decoding_malformed(decoding);
    }
    decoding->scratch->command.kind = COMMAND_RECORD;
    struct command_record *record = &decoding->scratch->command.record;
    if (check_record(decoding, &fields) != 0 ||
        take_changes(decoding, record, fields.urgent) != 0) {
        return 1;
    }
    record->caller = *decoding->caller;
    memcpy(record->request_id, fields.request_id.bytes, sizeof record->request_id);
    record->payload = (struct bytes){NULL, 0};
    record->job_id = fields.job_id;
    return 0;
}
