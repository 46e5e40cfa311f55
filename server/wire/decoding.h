/* What the files of request_*.c share: one request on its way from its payload to its body.
 *
 * Payloads are read in place with proto/field.h and not by protobuf-c: that would copy every
 * string, take memory by the number of fields and not by their bytes (900 KB became 45 MB), and
 * hand out strings without their length, so that a NUL inside one would cut it unnoticed. As in
 * protobuf, the last occurrence of a scalar counts, messages that occur twice are merged, and
 * unknown fields are skipped; a known field of another wire type is refused, as protobuf-c does. */
#ifndef ACTIVITYD_SERVER_WIRE_DECODING_H
#define ACTIVITYD_SERVER_WIRE_DECODING_H

#include "proto/arena.h"
#include "proto/batch.h"
#include "proto/field.h"
#include "server/core/command.h"
#include "server/wire/query.h"
#include "server/wire/request.h"
#include "server/wire/rule.h"

/* The keys of one document: 512 KiB hold fewer than 131,072, so that a table of 262,144 places and
 * those that it has grown out of are the most. */
#define DECODING_JSON_BYTES (16u * 1024u * 1024u)
/* Lists inside a command (changes, a result, attributes) are built here first. */
#define DECODING_LIST_BYTES (1024u * 1024u)

struct request_scratch {
    const struct model_kinds *kinds;
    struct command command;
    struct query query;
    uint32_t wait_ms; /* of a long poll */
    uint8_t suite;    /* of the caller's connection */
    struct arena json;
    struct batch_scratch batch;
    uint8_t list[DECODING_LIST_BYTES];
    uint8_t body[REQUEST_BODY_MAX];
    uint8_t json_memory[DECODING_JSON_BYTES]; /* last: given back to the system after use */
};

struct decoding {
    struct request_scratch *scratch;
    const struct command_caller *caller;
    struct view payload;
    struct request_error *error;
};

/* A message being walked. */
struct message {
    struct view rest;
    bool malformed;
};

static inline struct message message_of(struct view bytes)
{
    return (struct message){bytes, false};
}

/* The next field; false at the end, or when what follows is none (malformed is set). */
static inline bool message_next(struct message *message, struct field *field)
{
    enum field_outcome outcome = field_next(&message->rest, field);
    message->malformed = message->malformed || outcome == FIELD_MALFORMED;
    return outcome == FIELD_READ && !message->malformed;
}

static inline struct view message_bytes(struct message *message, const struct field *field)
{
    message->malformed = message->malformed || field->type != FIELD_BYTES;
    return field->bytes;
}

static inline uint64_t message_number(struct message *message, const struct field *field)
{
    message->malformed = message->malformed || field->type != FIELD_VARINT;
    return field->value;
}

static inline uint64_t message_fixed64(struct message *message, const struct field *field)
{
    message->malformed = message->malformed || field->type != FIELD_FIXED64;
    return field->value;
}

static inline bool message_bool(struct message *message, const struct field *field)
{
    return message_number(message, field) != 0;
}

/* A uint32 field: bits above are dropped, as protobuf's readers do. */
static inline uint32_t message_uint32(struct message *message, const struct field *field)
{
    return (uint32_t)message_number(message, field);
}

static inline struct bytes bytes_of_view(struct view view)
{
    return bytes_of(view.bytes, view.length);
}

/* Appends one occurrence of a repeated number, packed or not, counting beyond `most` without
 * storing.
 */
void message_numbers(struct message *message, const struct field *field, uint64_t *to, size_t most,
                     size_t *count);

/* MALFORMED_PAYLOAD. Returns 1. */
int decoding_malformed(const struct decoding *decoding);

/* Groups as they are read: beyond the limit they are counted only. */
struct group_list {
    size_t count;
    struct view names[LIMIT_OBJECT_GROUPS];
};
void group_list_add(struct group_list *list, struct view name);
/* Checks number, form and uniqueness, and fills `groups`. `place` is that of the field; `everybody`
 * says whether "*" is a group here. */
__attribute__((warn_unused_result)) int
group_list_check(struct request_error *error, struct place place, const struct group_list *list,
                 bool everybody, struct command_groups *groups);

/* One per method: fill scratch->command (its kind too) or scratch->query (but method and caller);
 * return 0 or 1. */
int decode_find_activities(struct decoding *decoding);
int decode_job_id(struct decoding *decoding); /* GetActivity, GetJobResult */
int decode_create_activity(struct decoding *decoding);
int decode_update_activity(struct decoding *decoding);
int decode_batch_update(struct decoding *decoding);
int decode_destroy_activity(struct decoding *decoding);
int decode_record_changes(struct decoding *decoding);
int decode_list_present_users(struct decoding *decoding);
int decode_list_index_batches(struct decoding *decoding);
int decode_list_parked_documents(struct decoding *decoding);
int decode_retry_parked(struct decoding *decoding);
int decode_discard_parked(struct decoding *decoding);
int decode_wait_activity(struct decoding *decoding);
int decode_wait_visible(struct decoding *decoding);
int decode_read_changes(struct decoding *decoding);
int decode_get_server_info(struct decoding *decoding);
int decode_empty(struct decoding *decoding); /* Get..., Drain, Reload */
int decode_check(struct decoding *decoding);

#endif
