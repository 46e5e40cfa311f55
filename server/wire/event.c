#include "server/wire/event.h"

#include "proto/frame.h"
#include "proto/limits.h"
#include "server/check.h"
#include "server/wire/encode.h"

/* Field numbers of activity/v1/feed.proto. */
enum {
    CHANGE_SEQUENCE = 1,
    CHANGE_TIME_MS = 2,
    CHANGE_TENANT = 3,
    CHANGE_PRINCIPAL = 4,
    CHANGE_USER = 5,
    CHANGE_GROUPS = 6,
    CHANGE_OWN = 6, /* of the kind's own part: its kind more */
};
/* Of ActivityCreated and ActivityEnded: the numbers of Activity. */
enum {
    OWN_JOB_ID = 1,
    OWN_TYPE = 2,
    OWN_TITLE = 3,
    OWN_STATE = 4,
    OWN_PERCENT = 5,
    OWN_STATUS_TEXT = 6,
    OWN_PARENT_JOB_ID = 11,
    OWN_RETRY_OF_JOB_ID = 12,
    OWN_FAILURE = 16,
};
enum { FAILURE_CODE = 1, FAILURE_MESSAGE = 2 };
enum {
    DOCUMENT_MODEL = 1,
    DOCUMENT_ID = 2,
    DOCUMENT_AFFECTED_MODEL = 3,
    DOCUMENT_TIME_RANGE = 4,
    DOCUMENT_UPDATED_MS = 5,
    DOCUMENT_DELETED = 6,
};
enum { RANGE_FIRST_MS = 1, RANGE_LAST_MS = 2 };
/* Of ReadChangesResponse (change_service.proto) and what is in it. */
enum {
    PAGE_EVENTS = 1,
    PAGE_CURSOR = 2,
    PAGE_OLDEST_SEQUENCE = 3,
    PAGE_HEAD_SEQUENCE = 4,
    PAGE_RESET = 5,
};
enum { CURSOR_EPOCH = 1, CURSOR_SEQUENCE = 2 };
enum { RESET_REASON = 1, RESET_CALL = 2 };

_Static_assert(CHANGE_OWN + EVENT_ACTIVITY_CREATED == 7 && CHANGE_OWN + EVENT_ACTIVITY_ENDED == 8 &&
                   CHANGE_OWN + EVENT_MODEL_CHANGED == 9 && CHANGE_OWN + EVENT_INDEX_CHANGED == 10,
               "the members of the oneof stand in the order of the kinds");

#define INDEX_PREFIX        "es:"
#define INDEX_PREFIX_LENGTH ((uint32_t)sizeof INDEX_PREFIX - 1)

/* ---- Encoding ---- */

/* The longest own part: a new activity's. */
#define OWN_BYTES_MAX (LIMIT_TYPE_LENGTH + LIMIT_TITLE_LENGTH + LIMIT_ATTRIBUTES_BYTES + 128)

_Static_assert(LIMIT_TYPE_LENGTH + LIMIT_STATUS_TEXT_LENGTH + LIMIT_FAILURE_CODE_LENGTH +
                       LIMIT_FAILURE_MESSAGE_LENGTH + 128 <=
                   OWN_BYTES_MAX,
               "an end fits the room for a new activity");
_Static_assert(INDEX_PREFIX_LENGTH + 2 * LIMIT_MODEL_LENGTH + LIMIT_DOCUMENT_ID_LENGTH + 128 <=
                   OWN_BYTES_MAX,
               "a change fits the room for a new activity");
_Static_assert(LIMIT_TENANT_LENGTH + LIMIT_PRINCIPAL_LENGTH + LIMIT_USER_LENGTH +
                       LIMIT_OBJECT_GROUPS * (LIMIT_GROUP_LENGTH + ENCODE_HEAD_MAX) +
                       4 * ENCODE_HEAD_MAX + 2 * (1 + VARINT_BYTES_MAX) + OWN_BYTES_MAX <=
                   EVENT_WIRE_MAX,
               "an event fits its room");

static uint8_t *put_created(const struct event *event, uint8_t *to)
{
    to = encode_number(to, OWN_JOB_ID, event->created.job_id);
    to = encode_bytes(to, OWN_TYPE, event->created.type);
    to = encode_bytes(to, OWN_TITLE, event->created.title);
    to = encode_raw(to, event->created.attributes); /* encoded at the border, as in Activity */
    to = encode_number(to, OWN_PARENT_JOB_ID, event->created.parent_job_id);
    return encode_number(to, OWN_RETRY_OF_JOB_ID, event->created.retry_of_job_id);
}

static uint8_t *put_ended(const struct event *event, uint8_t *to)
{
    to = encode_number(to, OWN_JOB_ID, event->ended.job_id);
    to = encode_bytes(to, OWN_TYPE, event->ended.type);
    to = encode_number(to, OWN_STATE, event->ended.state);
    to = encode_number(to, OWN_PERCENT, event->ended.percent);
    to = encode_bytes(to, OWN_STATUS_TEXT, event->ended.status_text);
    if (event->ended.state == ACTIVITY_FAILED) {
        uint8_t
            failure[LIMIT_FAILURE_CODE_LENGTH + LIMIT_FAILURE_MESSAGE_LENGTH + 2 * ENCODE_HEAD_MAX];
        uint8_t *end = encode_bytes(failure, FAILURE_CODE, event->ended.failure_code);
        end = encode_bytes(end, FAILURE_MESSAGE, event->ended.failure_message);
        to = encode_member(to, OWN_FAILURE, encoded_since(failure, end));
    }
    return to;
}

static uint8_t *put_changed(const struct event *event, uint8_t *to)
{
    uint32_t prefix_length = event->kind == EVENT_INDEX_CHANGED ? INDEX_PREFIX_LENGTH : 0;
    to = encode_head(to, DOCUMENT_MODEL, prefix_length + event->changed.model.length);
    to = encode_raw(to, bytes_of(INDEX_PREFIX, prefix_length));
    to = encode_raw(to, event->changed.model);
    to = encode_bytes(to, DOCUMENT_ID, event->changed.document_id);
    to = encode_bytes(to, DOCUMENT_AFFECTED_MODEL, event->changed.affected_model);
    uint8_t range[2 * (1 + VARINT_BYTES_MAX)];
    uint8_t *range_end = encode_number(range, RANGE_FIRST_MS, event->changed.first_ms);
    range_end = encode_number(range_end, RANGE_LAST_MS, event->changed.last_ms);
    to = encode_member(to, DOCUMENT_TIME_RANGE, encoded_since(range, range_end));
    to = encode_number(to, DOCUMENT_UPDATED_MS, event->changed.updated_ms);
    return encode_number(to, DOCUMENT_DELETED, event->changed.deleted ? 1 : 0);
}

size_t event_put(const struct event *event, uint8_t *to, struct event_key *key)
{
    uint8_t own[OWN_BYTES_MAX];
    uint8_t *own_end = own;
    switch (event->kind) {
    case EVENT_ACTIVITY_CREATED:
        own_end = put_created(event, own);
        break;
    case EVENT_ACTIVITY_ENDED:
        own_end = put_ended(event, own);
        break;
    case EVENT_MODEL_CHANGED:
    case EVENT_INDEX_CHANGED:
        own_end = put_changed(event, own);
        break;
    }
    uint8_t *end = encode_number(to, CHANGE_SEQUENCE, event->sequence);
    end = encode_number(end, CHANGE_TIME_MS, event->time_ms);
    end = encode_bytes(end, CHANGE_TENANT, event->tenant);
    end = encode_bytes(end, CHANGE_PRINCIPAL, event->principal);
    end = encode_bytes(end, CHANGE_USER, event->user);
    for (size_t i = 0; i < event->groups.count; i++) {
        end = encode_member(end, CHANGE_GROUPS, event->groups.names[i]);
    }
    end = encode_member(end, CHANGE_OWN + (uint32_t)event->kind, encoded_since(own, own_end));
    event_key_make(event, key);
    return (size_t)(end - to);
}

/* ---- Looking into an event ---- */

struct looked {
    enum event_kind kind;
    struct bytes tenant;
    struct bytes principal;
    struct bytes user;
    struct command_groups groups;
    struct view own;
};

static struct bytes bytes_in(const struct field *field)
{
    return bytes_of(field->bytes.bytes, field->bytes.length);
}

/* The bytes are our own: anything unexpected is a bug. */
static bool own_field(struct view *rest, struct field *field)
{
    enum field_outcome outcome = field_next(rest, field);
    CHECK(outcome != FIELD_MALFORMED);
    return outcome == FIELD_READ;
}

static void look_into(struct bytes encoded, struct looked *event)
{
    struct view rest = {encoded.at, encoded.length};
    struct field field;
    event->kind = 0;
    event->tenant = event->principal = event->user = bytes_of(NULL, 0);
    event->groups.count = 0;
    while (own_field(&rest, &field)) {
        switch (field.number) {
        case CHANGE_SEQUENCE:
        case CHANGE_TIME_MS:
            break;
        case CHANGE_TENANT:
            event->tenant = bytes_in(&field);
            break;
        case CHANGE_PRINCIPAL:
            event->principal = bytes_in(&field);
            break;
        case CHANGE_USER:
            event->user = bytes_in(&field);
            break;
        case CHANGE_GROUPS:
            CHECK(event->groups.count < LIMIT_OBJECT_GROUPS);
            event->groups.names[event->groups.count++] = bytes_in(&field);
            break;
        default:
            event->kind = (enum event_kind)(field.number - CHANGE_OWN);
            event->own = field.bytes;
            break;
        }
    }
    CHECK(event->kind >= EVENT_ACTIVITY_CREATED && event->kind <= EVENT_INDEX_CHANGED);
}

static bool is_change(enum event_kind kind)
{
    return kind == EVENT_MODEL_CHANGED || kind == EVENT_INDEX_CHANGED;
}

static bool in_group(const struct looked *event, struct bytes group)
{
    for (size_t i = 0; i < event->groups.count; i++) {
        if (bytes_equal(event->groups.names[i], group)) {
            return true;
        }
    }
    return false;
}

/* The rules of the core: job_visible for activities, and for changes the group "*" beside it. */
static bool may_see(const struct command_caller *caller, const struct looked *event)
{
    if (!bytes_equal(caller->tenant, event->tenant)) {
        return false;
    }
    if ((caller->rights & RIGHT_ADMIN) != 0 ||
        (is_change(event->kind) && in_group(event, bytes_of("*", 1)))) {
        return true;
    }
    if (caller->user.length == 0) {
        return bytes_equal(caller->principal, event->principal);
    }
    if (bytes_equal(caller->user, event->user)) {
        return true;
    }
    for (size_t i = 0; i < caller->group_count; i++) {
        if (in_group(event, caller->groups[i])) {
            return true;
        }
    }
    return false;
}

static bool is_among(const struct bytes *names, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(names[i], name)) {
            return true;
        }
    }
    return false;
}

static bool document_asked_for(const struct query_read *read, const struct looked *event)
{
    struct view rest = event->own;
    struct field field;
    struct bytes model = {NULL, 0};
    struct bytes id = {NULL, 0};
    while (own_field(&rest, &field)) {
        if (field.number == DOCUMENT_MODEL) {
            model = bytes_in(&field);
        } else if (field.number == DOCUMENT_ID) {
            id = bytes_in(&field);
        }
    }
    if (event->kind == EVENT_INDEX_CHANGED) {
        CHECK(model.length >= INDEX_PREFIX_LENGTH);
        model = bytes_of(model.at + INDEX_PREFIX_LENGTH, model.length - INDEX_PREFIX_LENGTH);
    }
    return (read->model_count == 0 || is_among(read->models, read->model_count, model)) &&
           (read->document_id_count == 0 ||
            is_among(read->document_ids, read->document_id_count, id));
}

static bool job_asked_for(const struct query_read *read, const struct looked *event)
{
    struct view rest = event->own;
    struct field field;
    uint64_t job_id = 0;
    while (own_field(&rest, &field)) {
        job_id = field.number == OWN_JOB_ID ? field.value : job_id;
    }
    for (size_t i = 0; i < read->job_id_count; i++) {
        if (read->job_ids[i] == job_id) {
            return true;
        }
    }
    return false;
}

static bool asked_for(const struct event_filter *filter, const struct looked *event)
{
    const struct query_read *read = filter->read;
    if ((filter->kinds >> event->kind & 1) == 0) {
        return false;
    }
    if (is_change(event->kind)) {
        return read->model_count + read->document_id_count == 0 || document_asked_for(read, event);
    }
    return read->job_id_count == 0 || job_asked_for(read, event);
}

bool event_passes(const struct event_filter *filter, struct bytes encoded)
{
    struct looked event;
    look_into(encoded, &event);
    return (filter->read->all_tenants || may_see(filter->caller, &event)) &&
           asked_for(filter, &event);
}

/* ---- Pages ---- */

uint8_t *event_page_put(struct bytes encoded, uint8_t *to)
{
    return encode_member(to, PAGE_EVENTS, encoded);
}

static uint8_t *put_reset(uint8_t reason, uint8_t *to)
{
    uint8_t reset[LIMIT_METHOD_LENGTH + 2 * ENCODE_HEAD_MAX];
    const char *call = method_row(METHOD_FIND_ACTIVITIES)->name;
    uint8_t *end = encode_number(reset, RESET_REASON, reason);
    end = encode_bytes(end, RESET_CALL, bytes_of(call, strlen(call)));
    return encode_member(to, PAGE_RESET, encoded_since(reset, end));
}

_Static_assert(32 + 2 * (1 + VARINT_BYTES_MAX) + LIMIT_METHOD_LENGTH + 3 * ENCODE_HEAD_MAX <=
                   EVENT_PAGE_TAIL_MAX,
               "what is said beside the events fits behind them");

struct bytes event_page_end(const struct event_page *page, uint8_t *events, uint8_t *end)
{
    uint8_t cursor[32];
    uint8_t *cursor_end = encode_fixed64(cursor, CURSOR_EPOCH, page->epoch);
    cursor_end = encode_number(cursor_end, CURSOR_SEQUENCE, page->cursor);
    end = encode_member(end, PAGE_CURSOR, encoded_since(cursor, cursor_end));
    end = encode_number(end, PAGE_OLDEST_SEQUENCE, page->oldest_sequence);
    end = encode_number(end, PAGE_HEAD_SEQUENCE, page->head_sequence);
    if (page->reset != 0) {
        end = put_reset(page->reset, end);
    }
    struct frame_reply frame = {.retry_after_ms = page->retry_after_ms,
                                .epoch = page->epoch,
                                .payload = {events, (size_t)(end - events)}};
    size_t head = frame_reply_head_size(&frame);
    CHECK(head <= EVENT_PAGE_HEAD_MAX);
    (void)frame_reply_encode_head(&frame, events - head);
    return encoded_since(events - head, end);
}
