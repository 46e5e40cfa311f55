#include "server/wire/request.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/varint.h"
#include "server/check.h"
#include "server/wire/decoding.h"

_Static_assert(LIMIT_RESULT_BYTES + LIMIT_STATUS_TEXT_LENGTH + LIMIT_CALLER_GROUPS * 66 + 1024 <=
                   REQUEST_BODY_MAX,
               "an update with the largest result is one body");
_Static_assert(LIMIT_BATCH_UPDATES * 11 + LIMIT_CALLER_GROUPS * 66 + 1024 <= REQUEST_BODY_MAX,
               "the largest batch is one body");
/* A change is at most so much longer in the command than in its request: see command_change_put. */
_Static_assert(LIMIT_CHANGES_BYTES + LIMIT_CHANGES * 6 + LIMIT_CALLER_GROUPS * 66 + 1024 <=
                   REQUEST_BODY_MAX,
               "the largest request of changes is one body");

/* What a row of method.c needs to become a body. */
static int (*const decoders[METHOD_COUNT])(struct decoding *) = {
    [METHOD_FIND_ACTIVITIES] = decode_find_activities,
    [METHOD_GET_ACTIVITY] = decode_job_id,
    [METHOD_CREATE_ACTIVITY] = decode_create_activity,
    [METHOD_UPDATE_ACTIVITY] = decode_update_activity,
    [METHOD_BATCH_UPDATE_ACTIVITIES] = decode_batch_update,
    [METHOD_DESTROY_ACTIVITY] = decode_destroy_activity,
    [METHOD_GET_JOB_RESULT] = decode_job_id,
    [METHOD_RECORD_MODEL_CHANGES] = decode_record_changes,
    [METHOD_CHECK] = decode_check,
    [METHOD_GET_SERVER_INFO] = decode_get_server_info,
    [METHOD_LIST_PRESENT_USERS] = decode_list_present_users,
    [METHOD_DRAIN] = decode_empty,
    [METHOD_GET_STATE_HASH] = decode_empty,
    [METHOD_WAIT_ACTIVITY] = decode_wait_activity,
    [METHOD_READ_CHANGES] = decode_read_changes,
    [METHOD_WAIT_VISIBLE] = decode_wait_visible,
    [METHOD_GET_INDEX_STATUS] = decode_empty,
    [METHOD_LIST_INDEX_BATCHES] = decode_list_index_batches,
    [METHOD_LIST_PARKED_DOCUMENTS] = decode_list_parked_documents,
    [METHOD_RETRY_PARKED] = decode_retry_parked,
    [METHOD_DISCARD_PARKED] = decode_discard_parked,
    [METHOD_RELOAD] = decode_empty,
};

struct request_scratch *request_scratch_new(void)
{
    struct request_scratch *scratch = mmap(NULL, sizeof *scratch, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (scratch == MAP_FAILED) {
        return NULL;
    }
    arena_init(&scratch->json, scratch->json_memory, sizeof scratch->json_memory);
    return scratch;
}

void request_scratch_free(struct request_scratch *scratch)
{
    if (scratch != NULL) {
        (void)munmap(scratch, sizeof *scratch);
    }
}

void request_scratch_set_kinds(struct request_scratch *scratch, const struct model_kinds *kinds)
{
    scratch->kinds = kinds;
}

void request_scratch_set_suite(struct request_scratch *scratch, unsigned suite)
{
    scratch->suite = suite < REQUEST_SUITE_UNKNOWN ? (uint8_t)suite : REQUEST_SUITE_UNKNOWN;
}

int decoding_malformed(const struct decoding *decoding)
{
    struct request_error *error = decoding->error;
    error->reason = REASON_MALFORMED_PAYLOAD;
    error->field[0] = '\0';
    (void)snprintf(error->rule, sizeof error->rule,
                   "the payload of %zu bytes is no message of the method's request type; encode it "
                   "by the .proto file of the service",
                   decoding->payload.length);
    return 1;
}

void message_numbers(struct message *message, const struct field *field, uint64_t *to, size_t most,
                     size_t *count)
{
    if (field->type == FIELD_VARINT) {
        if (*count < most) {
            to[*count] = field->value;
        }
        (*count)++;
        return;
    }
    struct view packed = message_bytes(message, field);
    const uint8_t *at = packed.bytes;
    const uint8_t *end = packed.length == 0 ? at : at + packed.length;
    while (!message->malformed && at < end) {
        uint64_t value;
        size_t used = varint_read(at, end, &value);
        message->malformed = used == 0;
        if (used != 0 && *count < most) {
            to[*count] = value;
        }
        *count += used != 0;
        at += used;
    }
}

void group_list_add(struct group_list *list, struct view name)
{
    if (list->count < LIMIT_OBJECT_GROUPS) {
        list->names[list->count] = name;
    }
    list->count++;
}

int group_list_check(struct request_error *error, struct place place, const struct group_list *list,
                     bool everybody, struct command_groups *groups)
{
    if (list->count > LIMIT_OBJECT_GROUPS) {
        return rule_refuse(error, place,
                           "must be at most %d groups, found %zu; name a larger group",
                           LIMIT_OBJECT_GROUPS, list->count);
    }
    for (size_t i = 0; i < list->count; i++) {
        place.member = i;
        if (rule_text(error, place, list->names[i], 1, LIMIT_GROUP_LENGTH) != 0) {
            return 1;
        }
        if (!everybody && view_equal(list->names[i], view_of("*"))) {
            return rule_refuse(error, place,
                               "must name a group, found \"*\", which only model changes may have; "
                               "name the groups that see it");
        }
        for (size_t j = 0; j < i; j++) {
            if (view_equal(list->names[i], list->names[j])) {
                return rule_refuse(error, place,
                                   "must be unique, found the same as in groups[%zu]; leave it out",
                                   j);
            }
        }
        groups->names[i] = bytes_of_view(list->names[i]);
    }
    groups->count = (uint8_t)list->count;
    return 0;
}

int decode_empty(struct decoding *decoding)
{
    struct message message = message_of(decoding->payload);
    struct field field;
    while (message_next(&message, &field)) {
    }
    return message.malformed ? decoding_malformed(decoding) : 0;
}

int decode_check(struct decoding *decoding)
{
    struct message message = message_of(decoding->payload);
    struct field field;
    while (message_next(&message, &field)) {
        if (field.number == 1) {
            (void)message_bytes(&message, &field);
        }
    }
    return message.malformed ? decoding_malformed(decoding) : 0;
}

/* The service that a checked CheckRequest names. */
static struct bytes checked_service(struct view payload)
{
    struct message message = message_of(payload);
    struct field field;
    struct bytes service = {NULL, 0};
    while (message_next(&message, &field)) {
        service = field.number == 1 ? bytes_of_view(field.bytes) : service;
    }
    return service;
}

int request_decode(struct request_scratch *scratch, const struct method *method,
                   const struct command_caller *caller, struct view payload,
                   struct request_body *body, struct request_error *error)
{
    struct decoding decoding = {scratch, caller, payload, error};
    scratch->wait_ms = 0;
    if (decoders[method->id](&decoding) != 0) {
        return 1;
    }
    *body = (struct request_body){.wait_ms = scratch->wait_ms};
    body->all_tenants = method->id == METHOD_READ_CHANGES && scratch->query.read.all_tenants;
    struct writer writer = writer_of(scratch->body, sizeof scratch->body);
    if (method->route == ROUTE_COMMAND) {
        command_encode(&scratch->command, &writer);
    } else if (method->route != ROUTE_LOCAL) {
        scratch->query.method = method->id;
        scratch->query.caller = *caller;
        query_encode(&scratch->query, &writer);
    } else {
        body->bytes =
            method->id == METHOD_CHECK ? checked_service(payload) : (struct bytes){NULL, 0};
        return 0;
    }
    CHECK(!writer.failed); /* the assertions above */
    body->bytes = bytes_of(scratch->body, (size_t)(writer.at - scratch->body));
    return 0;
}
