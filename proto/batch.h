/* BatchUpdateActivitiesRequest and -Response, read and written in place: the hot path.
 *
 * The canonical form of a request is field 1 once, packed, minimal varints, then field 2 once; that
 * is what this module writes and what it reads without a copy. Any other valid encoding (unpacked
 * or split columns, fields in another order or repeated, padded varints, unknown fields) is
 * accepted through a slow path into the caller's buffers. Equal to protobuf-c in both directions; a
 * property test says so. Job ids are computed modulo 2^64; an id of 2^53 or more is legal here and
 * unknown later. Nothing allocates, blocks or keeps state; any thread. */
#ifndef ACTIVITYD_PROTO_BATCH_H
#define ACTIVITYD_PROTO_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/frame.h"

/* The two columns. `deltas` are zigzag varints: the first job id, then differences. */
struct batch_columns {
    struct view deltas;   /* packed and minimal, `count` of them */
    struct view percents; /* `count` bytes, each 0..LIMIT_PERCENT_MAX */
    uint32_t count;
};

/* Room for the slow path: the longest column of deltas. (Percents stay where they are: the last
 * occurrence wins.) */
struct batch_scratch {
    uint8_t deltas[LIMIT_BATCH_UPDATES * 10];
};

enum batch_outcome {
    BATCH_OK = 0,
    BATCH_MALFORMED = 1,     /* no protobuf message of this type */
    BATCH_EMPTY = 2,         /* no update at all */
    BATCH_TOO_MANY = 3,      /* above LIMIT_BATCH_UPDATES */
    BATCH_COUNTS_DIFFER = 4, /* the columns have different lengths */
    BATCH_BAD_PERCENT = 5,   /* above 100; *bad_index says which */
};

/* Reads a request; the outcomes are looked for in the order in which they stand above. On BATCH_OK
 * the columns point into `bytes` (canonical input) or into `scratch`
 * (rewritten with minimal varints), which may be NULL only if the caller accepts BATCH_MALFORMED
 * for non-canonical input. The columns of a non-minimal but otherwise canonical request are
 * rewritten too, so equal requests have equal columns. */
__attribute__((warn_unused_result)) enum batch_outcome
batch_request_decode(struct view bytes, struct batch_scratch *scratch,
                     struct batch_columns *columns, uint32_t *bad_index);

/* Walks a column of deltas that came from batch_request_decode or was checked by
 * batch_deltas_valid. */
struct batch_cursor {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t job_id; /* of the last one read */
};
void batch_cursor_init(struct batch_cursor *cursor, struct view deltas);

/* Decodes up to `max` ids into job_ids; returns how many, 0 at the end. Bounded by `end` whatever
 * the bytes are. Fast from some dozens a call on. */
size_t batch_cursor_next(struct batch_cursor *cursor, uint64_t *job_ids, size_t max);

/* True when the column holds exactly `count` complete minimal varints. For bytes that come from a
 * disk. */
bool batch_deltas_valid(struct view deltas, uint32_t count);

/* Size and encoding of a canonical request: `job_ids` and `percents` have `count`
 * members, 1..LIMIT_BATCH_UPDATES. `to` has room for the size; returns the byte after the last one
 * written. */
size_t batch_request_size(const uint64_t *job_ids, uint32_t count);
uint8_t *batch_request_encode(const uint64_t *job_ids, const uint8_t *percents, uint32_t count,
                              uint8_t *to);

/* Response: percents, ignored_count and dispositions (empty view: all applied). Decoding accepts
 * any valid encoding in which each bytes field stands once or more (the last one wins). Returns 0
 * or 1 (malformed). */
struct batch_response {
    struct view percents;
    uint32_t ignored_count;
    struct view dispositions;
};
size_t batch_response_size(const struct batch_response *response);
uint8_t *batch_response_encode(const struct batch_response *response, uint8_t *to);
__attribute__((warn_unused_result)) int batch_response_decode(struct view bytes,
                                                              struct batch_response *response);

#endif
