#include "client/lib/event.h"

#include <string.h>

#include "proto/field.h"
#include "proto/limits.h"

/* Field numbers of feed.proto, types.proto and change_service.proto. */
enum {
    EVENT_SEQUENCE = 1,
    EVENT_TIME_MS = 2,
    EVENT_TENANT = 3,
    EVENT_PRINCIPAL = 4,
    EVENT_USER = 5,
    EVENT_GROUPS = 6,
    EVENT_ACTIVITY_CREATED = 7,
    EVENT_ACTIVITY_ENDED = 8,
    EVENT_MODEL_CHANGED = 9,
    EVENT_INDEX_CHANGED = 10,
};
enum {
    ACTIVITY_JOB_ID = 1,
    ACTIVITY_TYPE = 2,
    ACTIVITY_TITLE = 3,
    ACTIVITY_STATE = 4,
    ACTIVITY_PERCENT = 5,
    ACTIVITY_STATUS_TEXT = 6,
    ACTIVITY_ATTRIBUTES = 10,
    ACTIVITY_PARENT_JOB_ID = 11,
    ACTIVITY_RETRY_OF_JOB_ID = 12,
    ACTIVITY_FAILURE = 16,
};
enum {
    DOCUMENT_MODEL = 1,
    DOCUMENT_ID = 2,
    DOCUMENT_AFFECTED_MODEL = 3,
    DOCUMENT_TIME_RANGE = 4,
    DOCUMENT_UPDATED_MS = 5,
    DOCUMENT_DELETED = 6,
};
enum {
    PAGE_EVENTS = 1,
    PAGE_CURSOR = 2,
    PAGE_OLDEST_SEQUENCE = 3,
    PAGE_HEAD_SEQUENCE = 4,
    PAGE_RESET = 5,
};

/* --- Fields --- */

static bool number(const struct field *field, uint64_t *to)
{
    *to = field->value;
    return field->type == FIELD_VARINT;
}

static bool number32(const struct field *field, uint32_t *to)
{
    *to = (uint32_t)field->value; /* protobuf: a longer varint is truncated */
    return field->type == FIELD_VARINT;
}

bool event_text(const struct field *field, struct arena *arena, const char **text)
{
    size_t length = field->bytes.length;
    if (field->type != FIELD_BYTES || !view_is_text(field->bytes)) {
        return false;
    }
    char *copy = arena_allocate(arena, length + 1);
    if (copy == NULL) {
        return false;
    }
    if (length > 0) {
        memcpy(copy, field->bytes.bytes, length);
    }
    copy[length] = '\0';
    *text = copy;
    return true;
}

/* Zeroed; NULL when the arena is full. */
static void *allocate(struct arena *arena, size_t count, size_t size)
{
    void *items = count > SIZE_MAX / size ? NULL : arena_allocate(arena, count * size);
    return items == NULL ? NULL : memset(items, 0, count * size);
}

/* How often a field stands in a message; false if the message is malformed. */
static bool count_fields(struct view message, uint32_t wanted, size_t *count)
{
    struct field field;
    enum field_outcome outcome;
    *count = 0;
    while ((outcome = field_next(&message, &field)) == FIELD_READ) {
        *count += field.number == wanted;
    }
    return outcome == FIELD_END;
}

/* Messages are read by one function per field, which is false for what breaks its rule. */
typedef bool (*field_reader)(const struct field *field, struct arena *arena, void *to);

static bool read_message(struct view message, field_reader read, struct arena *arena, void *to)
{
    struct field field;
    enum field_outcome outcome;
    while ((outcome = field_next(&message, &field)) == FIELD_READ) {
        if (!read(&field, arena, to)) {
            return false;
        }
    }
    return outcome == FIELD_END;
}

static bool read_member(const struct field *field, field_reader read, struct arena *arena, void *to)
{
    return field->type == FIELD_BYTES && read_message(field->bytes, read, arena, to);
}

/* --- Activities --- */

static bool read_attribute(const struct field *field, struct arena *arena, void *to)
{
    struct activity_attribute *attribute = to;
    switch (field->number) {
    case 1:
        return event_text(field, arena, &attribute->name);
    case 2:
        return event_text(field, arena, &attribute->value);
    default:
        return true;
    }
}

static bool read_failure(const struct field *field, struct arena *arena, void *to)
{
    struct activity_failure *failure = to;
    switch (field->number) {
    case 1:
        return event_text(field, arena, &failure->code);
    case 2:
        return event_text(field, arena, &failure->message);
    default:
        return true;
    }
}

static bool add_attribute(const struct field *field, struct arena *arena,
                          struct activity_info *activity)
{
    struct activity_attribute *attribute =
        (struct activity_attribute *)&activity->attributes[activity->attribute_count++];
    *attribute = (struct activity_attribute){"", ""};
    return read_member(field, read_attribute, arena, attribute);
}

static bool add_failure(const struct field *field, struct arena *arena,
                        struct activity_info *activity)
{
    struct activity_failure *failure = allocate(arena, 1, sizeof *failure);
    if (failure == NULL) {
        return false;
    }
    *failure = (struct activity_failure){"", ""};
    activity->failure = failure;
    return read_member(field, read_failure, arena, failure);
}

/* ActivityCreated and ActivityEnded have the numbers of Activity. */
static bool read_activity(const struct field *field, struct arena *arena, void *to)
{
    struct activity_info *activity = to;
    uint32_t state;
    switch (field->number) {
    case ACTIVITY_JOB_ID:
        return number(field, &activity->job_id);
    case ACTIVITY_TYPE:
        return event_text(field, arena, &activity->type);
    case ACTIVITY_TITLE:
        return event_text(field, arena, &activity->title);
    case ACTIVITY_STATE:
        if (!number32(field, &state)) {
            return false;
        }
        activity->state = (enum activity_state)state;
        return true;
    case ACTIVITY_PERCENT:
        return number32(field, &activity->percent);
    case ACTIVITY_STATUS_TEXT:
        return event_text(field, arena, &activity->status_text);
    case ACTIVITY_ATTRIBUTES:
        return add_attribute(field, arena, activity);
    case ACTIVITY_PARENT_JOB_ID:
        return number(field, &activity->parent_job_id);
    case ACTIVITY_RETRY_OF_JOB_ID:
        return number(field, &activity->retry_of_job_id);
    case ACTIVITY_FAILURE:
        return add_failure(field, arena, activity);
    default:
        return true;
    }
}

static bool decode_activity(struct view message, struct arena *arena, struct activity_event *event)
{
    size_t attributes;
    if (!count_fields(message, ACTIVITY_ATTRIBUTES, &attributes)) {
        return false;
    }
    struct activity_info *activity = allocate(arena, 1, sizeof *activity);
    if (activity == NULL) {
        return false;
    }
    bool created = event->kind == ACTIVITY_EVENT_CREATED;
    *activity = (struct activity_info){
        .type = "",
        .title = "",
        .status_text = "",
        .state = created ? ACTIVITY_STATE_RUNNING : ACTIVITY_STATE_ANY,
        .owner = event->user,
        .creator = event->principal,
        .groups = event->groups,
        .group_count = event->group_count,
        .create_time_ms = created ? event->time_ms : 0,
        .update_time_ms = event->time_ms,
        .end_time_ms = created ? 0 : event->time_ms,
    };
    if (attributes > 0) {
        activity->attributes = allocate(arena, attributes, sizeof *activity->attributes);
        if (activity->attributes == NULL) {
            return false;
        }
    }
    event->activity = activity;
    return read_message(message, read_activity, arena, activity);
}

/* --- Documents --- */

struct document {
    struct activity_model_change change;
    struct activity_affected_model affected;
    uint32_t deleted;
};

static bool read_range(const struct field *field, struct arena *arena, void *to)
{
    (void)arena;
    struct activity_affected_model *affected = to;
    switch (field->number) {
    case 1:
        return number(field, &affected->first_ms);
    case 2:
        return number(field, &affected->last_ms);
    default:
        return true;
    }
}

static bool read_document(const struct field *field, struct arena *arena, void *to)
{
    struct document *document = to;
    switch (field->number) {
    case DOCUMENT_MODEL:
        return event_text(field, arena, &document->change.model);
    case DOCUMENT_ID:
        return event_text(field, arena, &document->change.document_id);
    case DOCUMENT_AFFECTED_MODEL:
        return event_text(field, arena, &document->affected.affected_model);
    case DOCUMENT_TIME_RANGE:
        return read_member(field, read_range, arena, &document->affected);
    case DOCUMENT_UPDATED_MS:
        return number(field, &document->affected.updated_ms);
    case DOCUMENT_DELETED:
        return number32(field, &document->deleted);
    default:
        return true;
    }
}

static bool decode_document(struct view message, struct arena *arena, struct activity_event *event)
{
    struct document *document = allocate(arena, 1, sizeof *document);
    if (document == NULL) {
        return false;
    }
    document->change = (struct activity_model_change){
        .model = "",
        .document_id = "",
        .affected_models = &document->affected,
        .affected_model_count = 1,
    };
    document->affected.affected_model = "";
    if (!read_message(message, read_document, arena, document)) {
        return false;
    }
    document->change.updated_ms = document->affected.updated_ms;
    event->change = &document->change;
    event->deleted = document->deleted != 0;
    return true;
}

/* --- Events --- */

/* What an event says of itself; what has happened is left for when all that is known. */
struct event_parts {
    struct activity_event *event;
    const char **groups;
    struct view happened;
};

static bool read_event(const struct field *field, struct arena *arena, void *to)
{
    struct event_parts *parts = to;
    struct activity_event *event = parts->event;
    switch (field->number) {
    case EVENT_SEQUENCE:
        return number(field, &event->cursor.sequence);
    case EVENT_TIME_MS:
        return number(field, &event->time_ms);
    case EVENT_TENANT:
        return event_text(field, arena, &event->tenant);
    case EVENT_PRINCIPAL:
        return event_text(field, arena, &event->principal);
    case EVENT_USER:
        return event_text(field, arena, &event->user);
    case EVENT_GROUPS:
        return event_text(field, arena, &parts->groups[event->group_count++]);
    case EVENT_ACTIVITY_CREATED:
    case EVENT_ACTIVITY_ENDED:
    case EVENT_MODEL_CHANGED:
    case EVENT_INDEX_CHANGED:
        if (event->kind != ACTIVITY_EVENT_NONE || field->type != FIELD_BYTES) {
            return false; /* two of them would have to be merged, and nobody sends that */
        }
        event->kind = (enum activity_event_kind)(ACTIVITY_EVENT_CREATED +
                                                 (field->number - EVENT_ACTIVITY_CREATED));
        parts->happened = field->bytes;
        return true;
    default:
        return true;
    }
}

bool event_read(struct view encoded, uint64_t epoch, struct arena *arena,
                struct activity_event *event)
{
    *event =
        (struct activity_event){.cursor.epoch = epoch, .tenant = "", .principal = "", .user = ""};
    struct event_parts parts = {.event = event};
    size_t groups;
    if (!count_fields(encoded, EVENT_GROUPS, &groups)) {
        return false;
    }
    if (groups > 0) {
        parts.groups = allocate(arena, groups, sizeof *parts.groups);
        if (parts.groups == NULL) {
            return false;
        }
    }
    if (!read_message(encoded, read_event, arena, &parts) || event->cursor.sequence == 0) {
        return false;
    }
    event->groups = parts.groups;
    switch (event->kind) {
    case ACTIVITY_EVENT_CREATED:
    case ACTIVITY_EVENT_ENDED:
        return decode_activity(parts.happened, arena, event);
    case ACTIVITY_EVENT_MODEL_CHANGED:
    case ACTIVITY_EVENT_INDEX_CHANGED:
        return decode_document(parts.happened, arena, event);
    default:
        return true;
    }
}

/* --- Pages --- */

struct page_parts {
    struct activity_changes *page;
    struct activity_event *events;
};

static bool read_cursor(const struct field *field, struct arena *arena, void *to)
{
    (void)arena;
    struct activity_cursor *cursor = to;
    switch (field->number) {
    case 1:
        cursor->epoch = field->value;
        return field->type == FIELD_FIXED64;
    case 2:
        return number(field, &cursor->sequence);
    default:
        return true;
    }
}

static bool read_reset(const struct field *field, struct arena *arena, void *to)
{
    (void)arena;
    struct activity_changes *page = to;
    uint32_t reason;
    if (field->number != 1) {
        return true;
    }
    if (!number32(field, &reason)) {
        return false;
    }
    page->reset = (enum activity_reset)reason;
    return true;
}

static bool read_page(const struct field *field, struct arena *arena, void *to)
{
    struct page_parts *parts = to;
    struct activity_changes *page = parts->page;
    switch (field->number) {
    case PAGE_EVENTS:
        return field->type == FIELD_BYTES &&
               event_read(field->bytes, 0, arena, &parts->events[page->event_count++]);
    case PAGE_CURSOR:
        return read_member(field, read_cursor, arena, &page->cursor);
    case PAGE_OLDEST_SEQUENCE:
        return number(field, &page->oldest_sequence);
    case PAGE_HEAD_SEQUENCE:
        return number(field, &page->head_sequence);
    case PAGE_RESET:
        return read_member(field, read_reset, arena, page) && page->reset != ACTIVITY_RESET_NONE;
    default:
        return true;
    }
}

/* Looks whether the events are in order, gives them the page's epoch, which may have come after
 * them, and leaves out those of kinds that are not known here. */
static bool settle_events(struct activity_changes *page, struct activity_event *events)
{
    uint64_t before = 0;
    size_t kept = 0;
    for (size_t i = 0; i < page->event_count; i++) {
        uint64_t sequence = events[i].cursor.sequence;
        if (sequence <= before || sequence > page->cursor.sequence) {
            return false;
        }
        before = sequence;
        if (events[i].kind != ACTIVITY_EVENT_NONE) {
            events[kept] = events[i];
            events[kept++].cursor.epoch = page->cursor.epoch;
        }
    }
    page->event_count = kept;
    return true;
}

bool event_page_decode(struct view encoded, struct arena *arena, struct activity_changes *page)
{
    *page = (struct activity_changes){0};
    struct page_parts parts = {.page = page};
    size_t count;
    if (!count_fields(encoded, PAGE_EVENTS, &count)) {
        return false;
    }
    if (count > 0) {
        parts.events = allocate(arena, count, sizeof *parts.events);
        if (parts.events == NULL) {
            return false;
        }
    }
    if (!read_message(encoded, read_page, arena, &parts)) {
        return false;
    }
    page->events = parts.events;
    return settle_events(page, parts.events);
}
