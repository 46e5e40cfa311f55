#include "client/lib/feed_frame.h"

#include <string.h>

#include "client/lib/event.h"
#include "proto/field.h"
#include "proto/limits.h"
#include "proto/varint.h"

/* Field numbers of feed.proto. */
enum {
    HISTORY_EPOCH = 1,
    HISTORY_FIRST_SEQUENCE = 2,
    HISTORY_LAST_SEQUENCE = 3,
    HISTORY_EVENTS = 4,
    HISTORY_GOODBYE = 5,
};
enum {
    PROGRESS_EPOCH = 1,
    PROGRESS_NUMBER = 2,
    PROGRESS_TIME_MS = 3,
    PROGRESS_JOB_ID_DELTAS = 4,
    PROGRESS_PERCENTS = 5,
    PROGRESS_TENANTS = 6,
    PROGRESS_TENANT_INDEXES = 7,
    PROGRESS_TEXTS = 8,
};

static void *allocate(struct arena *arena, size_t count, size_t size)
{
    void *items = count > SIZE_MAX / size ? NULL : arena_allocate(arena, count * size);
    return items == NULL ? NULL : memset(items, 0, count * size);
}

static bool is_number(const struct field *field, uint64_t *to)
{
    *to = field->value;
    return field->type == FIELD_VARINT;
}

/* --- History --- */

/* What stands around the events, and how many there are. */
static bool read_history_head(struct view body, struct feed_frame *frame)
{
    struct field field;
    enum field_outcome outcome;
    uint64_t goodbye = 0;
    bool good = true;
    while (good && (outcome = field_next(&body, &field)) != FIELD_END) {
        good = outcome == FIELD_READ;
        if (!good) {
            break;
        }
        switch (field.number) {
        case HISTORY_EPOCH:
            frame->epoch = field.value;
            good = field.type == FIELD_FIXED64;
            break;
        case HISTORY_FIRST_SEQUENCE:
            good = is_number(&field, &frame->first);
            break;
        case HISTORY_LAST_SEQUENCE:
            good = is_number(&field, &frame->last);
            break;
        case HISTORY_EVENTS:
            frame->event_count++;
            good = field.type == FIELD_BYTES;
            break;
        case HISTORY_GOODBYE:
            good = is_number(&field, &goodbye);
            break;
        default:
            break;
        }
    }
    frame->goodbye = goodbye != 0;
    return good;
}

static bool decode_history(struct view body, struct arena *arena, struct feed_frame *frame)
{
    if (!read_history_head(body, frame) || frame->first == 0 || frame->last == UINT64_MAX ||
        frame->last + 1 < frame->first || frame->last + 1 - frame->first != frame->event_count) {
        return false;
    }
    struct activity_event *events = NULL;
    if (frame->event_count > 0) {
        events = allocate(arena, frame->event_count, sizeof *events);
        if (events == NULL) {
            return false;
        }
    }
    struct field field;
    size_t count = 0;
    while (field_next(&body, &field) == FIELD_READ) {
        if (field.number != HISTORY_EVENTS) {
            continue;
        }
        if (!event_read(field.bytes, frame->epoch, arena, &events[count]) ||
            events[count].cursor.sequence != frame->first + count) {
            return false;
        }
        count++;
    }
    frame->events = events;
    return true;
}

/* --- Progress --- */

/* The columns of a ProgressFrame; job ids may come packed or not, in one piece or several. */
struct columns {
    size_t job_ids;
    size_t tenants;
    struct view percents;
    struct view tenant_indexes;
};

/* How many varints stand in a packed column; false if its end is cut. */
static bool count_varints(struct view column, size_t *count)
{
    bool whole = true;
    for (size_t i = 0; i < column.length; i++) {
        whole = column.bytes[i] < 0x80;
        *count += whole;
    }
    return whole;
}

static bool count_job_ids(const struct field *field, size_t *count)
{
    if (field->type == FIELD_BYTES) {
        return count_varints(field->bytes, count);
    }
    (*count)++;
    return field->type == FIELD_VARINT;
}

static bool is_bytes(const struct field *field, struct view *to)
{
    *to = field->bytes;
    return field->type == FIELD_BYTES;
}

static bool measure_field(const struct field *field, struct feed_frame *frame,
                          struct columns *columns)
{
    switch (field->number) {
    case PROGRESS_EPOCH:
        frame->epoch = field->value;
        return field->type == FIELD_FIXED64;
    case PROGRESS_NUMBER:
        return is_number(field, &frame->number);
    case PROGRESS_TIME_MS:
        return is_number(field, &frame->time_ms);
    case PROGRESS_JOB_ID_DELTAS:
        return count_job_ids(field, &columns->job_ids);
    case PROGRESS_PERCENTS:
        return is_bytes(field, &columns->percents);
    case PROGRESS_TENANTS:
        columns->tenants++;
        return field->type == FIELD_BYTES;
    case PROGRESS_TENANT_INDEXES:
        return is_bytes(field, &columns->tenant_indexes);
    case PROGRESS_TEXTS:
        return field->type == FIELD_BYTES;
    default:
        return true;
    }
}

/* Reads single values and measures the columns, which must fit each other. */
static bool measure(struct view body, struct feed_frame *frame, struct columns *columns)
{
    struct field field;
    enum field_outcome outcome;
    while ((outcome = field_next(&body, &field)) == FIELD_READ) {
        if (!measure_field(&field, frame, columns)) {
            return false;
        }
    }
    size_t jobs = columns->job_ids;
    size_t indexes = columns->tenant_indexes.length;
    return outcome == FIELD_END && columns->percents.length == jobs &&
           columns->tenants <= LIMIT_PROGRESS_TENANTS && (jobs == 0 || columns->tenants > 0) &&
           (indexes == jobs || (indexes == 0 && columns->tenants <= 1));
}

static bool read_job_ids(const struct field *field, struct feed_job *jobs, size_t *count,
                         uint64_t *job_id)
{
    if (field->type == FIELD_VARINT) {
        *job_id += varint_unzigzag(field->value);
        jobs[(*count)++].job_id = *job_id;
        return true;
    }
    const uint8_t *at = field->bytes.bytes;
    const uint8_t *end = at + field->bytes.length;
    while (at < end) {
        uint64_t delta;
        size_t used = varint_read(at, end, &delta);
        if (used == 0) {
            return false; /* longer than a varint can be */
        }
        at += used;
        *job_id += varint_unzigzag(delta);
        jobs[(*count)++].job_id = *job_id;
    }
    return true;
}

static bool read_text(struct view message, struct arena *arena, struct feed_job *jobs, size_t count)
{
    struct field field;
    enum field_outcome outcome;
    uint64_t index = 0;
    const char *text = "";
    while ((outcome = field_next(&message, &field)) == FIELD_READ) {
        if ((field.number == 1 && !is_number(&field, &index)) ||
            (field.number == 2 && !event_text(&field, arena, &text))) {
            return false;
        }
    }
    if (outcome != FIELD_END || index >= count) {
        return false;
    }
    jobs[index].status_text = text;
    return true;
}

static bool read_columns(struct view body, struct arena *arena, struct feed_job *jobs,
                         size_t job_count, const char **tenants)
{
    struct field field;
    size_t ids = 0;
    size_t names = 0;
    uint64_t job_id = 0;
    while (field_next(&body, &field) == FIELD_READ) {
        bool good = true;
        if (field.number == PROGRESS_JOB_ID_DELTAS) {
            good = read_job_ids(&field, jobs, &ids, &job_id);
        } else if (field.number == PROGRESS_TENANTS) {
            good = event_text(&field, arena, &tenants[names++]);
        } else if (field.number == PROGRESS_TEXTS) {
            good = read_text(field.bytes, arena, jobs, job_count);
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool decode_progress(struct view body, struct arena *arena, struct feed_frame *frame)
{
    struct columns columns = {0};
    if (!measure(body, frame, &columns)) {
        return false;
    }
    /* Not of length 0, so that neither is NULL. */
    struct feed_job *jobs = allocate(arena, columns.job_ids + 1, sizeof *jobs);
    const char **tenants = allocate(arena, columns.tenants + 1, sizeof *tenants);
    if (jobs == NULL || tenants == NULL ||
        !read_columns(body, arena, jobs, columns.job_ids, tenants)) {
        return false;
    }
    for (size_t i = 0; i < columns.job_ids; i++) {
        jobs[i].percent = columns.percents.bytes[i];
        jobs[i].tenant = columns.tenant_indexes.length > 0 ? columns.tenant_indexes.bytes[i] : 0;
        if (jobs[i].percent > LIMIT_PERCENT_MAX || jobs[i].tenant >= columns.tenants ||
            jobs[i].job_id >> LIMIT_JOB_ID_BITS != 0) {
            return false;
        }
    }
    frame->jobs = jobs;
    frame->job_count = columns.job_ids;
    frame->tenants = tenants;
    frame->tenant_count = columns.tenants;
    return true;
}

bool feed_frame_decode(struct view message, struct arena *arena, struct feed_frame *frame)
{
    *frame = (struct feed_frame){0};
    if (message.length < FEED_TOPIC_LENGTH) {
        return false;
    }
    struct view topic = {message.bytes, FEED_TOPIC_LENGTH};
    struct view body = {message.bytes + FEED_TOPIC_LENGTH, message.length - FEED_TOPIC_LENGTH};
    if (view_equal(topic, view_of(FEED_TOPIC_HISTORY))) {
        frame->kind = FEED_HISTORY;
        return decode_history(body, arena, frame);
    }
    frame->kind = FEED_PROGRESS;
    return view_equal(topic, view_of(FEED_TOPIC_PROGRESS)) && decode_progress(body, arena, frame);
}
