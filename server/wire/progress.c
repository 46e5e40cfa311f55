#include "server/wire/progress.h"

#include <stdlib.h>

#include "proto/limits.h"
#include "server/wire/encode.h"

/* Field numbers of ProgressFrame and ProgressText (activity/v1/feed.proto). */
enum {
    PROGRESS_TIME_MS = 3,
    PROGRESS_JOB_ID_DELTAS = 4,
    PROGRESS_PERCENTS = 5,
    PROGRESS_TENANTS = 6,
    PROGRESS_TENANT_INDEXES = 7,
    PROGRESS_TEXTS = 8,
};
enum { TEXT_INDEX = 1, TEXT_STATUS_TEXT = 2 };

/* A job adds at least a delta, a percent and a tenant's index. */
#define JOBS_MAX (LIMIT_FEED_FRAME_BYTES / 3 + 1)
/* What one job adds at most: its numbers, a new tenant, a text. */
#define JOB_BYTES_MAX                                                                              \
    (VARINT_BYTES_MAX + 2 + ENCODE_HEAD_MAX + LIMIT_TENANT_LENGTH + ENCODE_HEAD_MAX + 16 +         \
     LIMIT_STATUS_TEXT_LENGTH)
#define PLACES 1024u /* of the table of tenants */

_Static_assert(LIMIT_FEED_FRAME_BYTES + JOB_BYTES_MAX + 4 * ENCODE_HEAD_MAX + 16 <=
                   PROGRESS_FIELDS_MAX,
               "the last job, the time and the columns' heads fit");
_Static_assert(PLACES >= 2 * LIMIT_PROGRESS_TENANTS, "the table of tenants never fills up");

/* Each column where it grows; they are joined at the end. */
struct progress_columns {
    size_t job_count;
    uint64_t last_job_id;
    uint8_t *deltas_end;
    uint8_t *texts_end;
    uint8_t *tenants_end;
    uint32_t tenant_count;
    struct bytes tenants[LIMIT_PROGRESS_TENANTS];
    uint8_t places[PLACES]; /* a tenant's number + 1, 0 = free */
    struct core_progress job;
    uint8_t percents[JOBS_MAX];
    uint8_t tenant_indexes[JOBS_MAX];
    uint8_t deltas[LIMIT_FEED_FRAME_BYTES + VARINT_BYTES_MAX];
    uint8_t tenant_fields[LIMIT_PROGRESS_TENANTS * (LIMIT_TENANT_LENGTH + ENCODE_HEAD_MAX)];
    uint8_t text_fields[LIMIT_FEED_FRAME_BYTES + JOB_BYTES_MAX];
};

struct progress_columns *progress_columns_new(void)
{
    return malloc(sizeof(struct progress_columns));
}

void progress_columns_free(struct progress_columns *columns)
{
    free(columns);
}

static void start(struct progress_columns *columns)
{
    columns->job_count = 0;
    columns->last_job_id = 0;
    columns->tenant_count = 0;
    columns->deltas_end = columns->deltas;
    columns->texts_end = columns->text_fields;
    columns->tenants_end = columns->tenant_fields;
    memset(columns->places, 0, sizeof columns->places);
}

/* What the columns take now. */
static size_t taken(const struct progress_columns *columns)
{
    return (size_t)(columns->deltas_end - columns->deltas) + 2 * columns->job_count +
           (size_t)(columns->texts_end - columns->text_fields) +
           (size_t)(columns->tenants_end - columns->tenant_fields);
}

/* Tenants' names are the administrator's, so a plain hash does. */
static uint32_t place_of(struct bytes tenant)
{
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < tenant.length; i++) {
        hash = (hash ^ tenant.at[i]) * 16777619u;
    }
    return hash % PLACES;
}

static uint8_t add_tenant(struct progress_columns *columns, struct bytes tenant)
{
    uint32_t place = place_of(tenant);
    while (columns->places[place] != 0) {
        uint8_t number = (uint8_t)(columns->places[place] - 1);
        if (bytes_equal(columns->tenants[number], tenant)) {
            return number;
        }
        place = (place + 1) % PLACES;
    }
    uint8_t number = (uint8_t)columns->tenant_count++;
    columns->places[place] = (uint8_t)(number + 1);
    columns->tenants_end = encode_member(columns->tenants_end, PROGRESS_TENANTS, tenant);
    columns->tenants[number] = bytes_of(columns->tenants_end - tenant.length, tenant.length);
    return number;
}

static void add_text(struct progress_columns *columns, struct bytes text)
{
    uint8_t fields[LIMIT_STATUS_TEXT_LENGTH + 2 * ENCODE_HEAD_MAX + VARINT_BYTES_MAX];
    uint8_t *end = encode_number(fields, TEXT_INDEX, columns->job_count);
    end = encode_bytes(end, TEXT_STATUS_TEXT, text);
    columns->texts_end =
        encode_member(columns->texts_end, PROGRESS_TEXTS, encoded_since(fields, end));
}

static void add_job(struct progress_columns *columns)
{
    const struct core_progress *job = &columns->job;
    if (job->has_text) {
        add_text(columns, job->status_text);
    }
    columns->tenant_indexes[columns->job_count] = add_tenant(columns, job->tenant);
    columns->percents[columns->job_count] = job->percent;
    columns->deltas_end =
        varint_write(columns->deltas_end, varint_zigzag(job->job_id - columns->last_job_id));
    columns->last_job_id = job->job_id;
    columns->job_count++;
}

static uint8_t *put_columns(const struct progress_columns *columns, uint8_t *to)
{
    to = encode_bytes(to, PROGRESS_JOB_ID_DELTAS,
                      encoded_since(columns->deltas, columns->deltas_end));
    to = encode_bytes(to, PROGRESS_PERCENTS, bytes_of(columns->percents, columns->job_count));
    to = encode_raw(to, encoded_since(columns->tenant_fields, columns->tenants_end));
    if (columns->tenant_count > 1) {
        to = encode_bytes(to, PROGRESS_TENANT_INDEXES,
                          bytes_of(columns->tenant_indexes, columns->job_count));
    }
    return encode_raw(to, encoded_since(columns->text_fields, columns->texts_end));
}

/* What was taken from the core cannot be given back: there is always room for one job more. With
 * its last tenant a frame ends, since the next job could bring another. */
size_t progress_collect(struct core *core, struct progress_columns *columns, uint8_t *to)
{
    uint32_t slots = PROGRESS_SLOTS_MAX;
    start(columns);
    while (taken(columns) < LIMIT_FEED_FRAME_BYTES && columns->job_count < JOBS_MAX &&
           columns->tenant_count < LIMIT_PROGRESS_TENANTS &&
           core_progress_next(core, &slots, &columns->job)) {
        add_job(columns);
    }
    if (columns->job_count == 0) {
        return 0;
    }
    struct core_info info;
    core_info(core, &info);
    uint8_t *end = encode_number(to, PROGRESS_TIME_MS, info.wall_ms);
    return (size_t)(put_columns(columns, end) - to);
}
