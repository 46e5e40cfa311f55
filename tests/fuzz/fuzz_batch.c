/* Any bytes as a batch request, as its response and as a column from a disk. What is accepted is
 * what protobuf-c reads, and what is canonical is written back byte by byte. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "activity/v1/activity_service.pb-c.h"
#include "proto/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Takes the whole column in pieces of an odd size, compares it with protobuf-c's deltas, and
 * returns the ids. The caller frees them. */
static uint64_t *take_ids(const struct batch_columns *columns,
                          const Activity__V1__BatchUpdateActivitiesRequest *message)
{
    enum { PIECE = 37 };
    uint64_t *job_ids = malloc((columns->count + PIECE) * sizeof(*job_ids));
    expect(job_ids != NULL);
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, columns->deltas);
    size_t count = 0;
    size_t taken;
    while ((taken = batch_cursor_next(&cursor, job_ids + count, PIECE)) > 0) {
        count += taken;
        expect(taken <= PIECE && count <= columns->count);
    }
    expect(count == columns->count && count == message->n_job_id_deltas);
    uint64_t job_id = 0;
    for (size_t i = 0; i < count; i++) {
        job_id += (uint64_t)message->job_id_deltas[i];
        expect(job_ids[i] == job_id);
    }
    return job_ids;
}

static void read_as_request(struct view input)
{
    static struct batch_scratch scratch;
    struct batch_columns columns;
    struct batch_columns in_place;
    uint32_t bad_index = UINT32_MAX;
    enum batch_outcome outcome = batch_request_decode(input, &scratch, &columns, &bad_index);
    Activity__V1__BatchUpdateActivitiesRequest *message =
        activity__v1__batch_update_activities_request__unpack(NULL, input.length, input.bytes);
    expect(message != NULL || outcome == BATCH_MALFORMED);
    if (outcome == BATCH_BAD_PERCENT) {
        expect(bad_index < message->percents.len);
        expect(message->percents.data[bad_index] > LIMIT_PERCENT_MAX);
    }
    if (outcome == BATCH_OK) {
        expect(columns.count == message->percents.len);
        expect(memcmp(columns.percents.bytes, message->percents.data, columns.count) == 0);
        expect(batch_deltas_valid(columns.deltas, columns.count));
        uint64_t *job_ids = take_ids(&columns, message);
        size_t size = batch_request_size(job_ids, columns.count);
        uint8_t *bytes = malloc(size);
        expect(bytes != NULL);
        const uint8_t *end =
            batch_request_encode(job_ids, columns.percents.bytes, columns.count, bytes);
        expect(end == bytes + size);
        expect(batch_request_decode((struct view){bytes, size}, NULL, &in_place, &bad_index) ==
               BATCH_OK);
        expect(view_equal(in_place.deltas, columns.deltas));
        expect(view_equal(in_place.percents, columns.percents));
        free(bytes);
        free(job_ids);
    }
    activity__v1__batch_update_activities_request__free_unpacked(message, NULL);
}

static void read_as_response(struct view input)
{
    struct batch_response first;
    struct batch_response second;
    if (batch_response_decode(input, &first) != 0) {
        return;
    }
    size_t size = batch_response_size(&first);
    uint8_t *bytes = malloc(size + 1);
    expect(bytes != NULL && batch_response_encode(&first, bytes) == bytes + size);
    expect(batch_response_decode((struct view){bytes, size}, &second) == 0);
    expect(view_equal(first.percents, second.percents));
    expect(view_equal(first.dispositions, second.dispositions));
    expect(first.ignored_count == second.ignored_count);
    free(bytes);
}

static void read_as_column(struct view input)
{
    uint64_t job_ids[8];
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, input);
    size_t count = 0;
    size_t taken;
    while ((taken = batch_cursor_next(&cursor, job_ids, 8)) > 0) {
        count += taken;
    }
    expect(count <= input.length);
    for (uint32_t off = 1; off < 3; off++) {
        expect(!batch_deltas_valid(input, (uint32_t)count + off));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view input = {data, size};
    read_as_request(input);
    read_as_response(input);
    read_as_column(input);
    return 0;
}
