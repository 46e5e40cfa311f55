/* What the way into the index tells of itself, beside the core's own state, and the answers that
 * are made of both: GetIndexStatus, ListIndexBatches, ListParkedDocuments. */
#ifndef ACTIVITYD_SERVER_WIRE_ANSWER_INDEX_H
#define ACTIVITYD_SERVER_WIRE_ANSWER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "server/core/core.h"
#include "server/wire/query.h"

/* The values of activity.v1.IndexState. */
enum answer_index_state {
    ANSWER_INDEX_NONE = 1,
    ANSWER_INDEX_READY = 2,
    ANSWER_INDEX_AWAY = 3,
    ANSWER_INDEX_REFUSED = 4
};

struct answer_reason {
    char code[COMMAND_REASON_CODE_LENGTH + 1]; /* "": there is none */
    char message[COMMAND_REASON_MESSAGE_LENGTH + 1];
};

#define ANSWER_INDEX_VERSION_MAX 48
struct answer_index {
    enum answer_index_state state;
    char version[ANSWER_INDEX_VERSION_MAX];
    struct answer_reason why;
    struct answer_reason advice;
    uint64_t away_since_ms; /* by the wall clock; 0: it is ready */
    uint32_t failures;
    uint64_t batches;
    uint64_t requests;
    uint64_t request_bytes;
    uint64_t changes;
    uint64_t acked;
    uint64_t retried;
    uint64_t parked;
    uint64_t refreshes;
};

struct answer_index_batch {
    uint64_t number;
    uint64_t sent_ms;
    bool done;
    uint8_t cause; /* enum take_cause: the values of activity.v1.FlushCause */
    uint64_t lag_ms;
    uint64_t took_ms;
    uint32_t changes;
    uint32_t fragments;
    uint32_t documents;
    uint64_t bytes;
    uint32_t acked;
    uint32_t retried;
    uint32_t parked;
    struct answer_reason error;
    uint32_t ticket_count;
    uint64_t tickets[CORE_TICKETS_SHOWN];
};

#define ANSWER_INDEX_BATCHES_MAX ((uint32_t)LIMIT_INDEX_BATCHES) /* that are remembered */

/* Where it is asked. Both are called on the engine's thread and do not wait. */
struct answer_index_source {
    void *context;
    void (*status)(void *context, struct answer_index *index);
    /* Fills at most `most` batches with numbers below `before` (0: the newest), newest first;
     * returns how many. */
    size_t (*batches)(void *context, uint64_t before, struct answer_index_batch *to, size_t most);
};

/* For answer.c: the response's fields are written to `to`, which has room for a reply; each returns
 * the byte after the last. A NULL source: the server writes to no index. */
uint8_t *answer_index_status(const struct core *core, const struct answer_index_source *source,
                             uint8_t *to);
uint8_t *answer_index_batches(const struct answer_index_source *source,
                              const struct query_page *page, uint8_t *to);
/* Of this tenant alone, which is not empty. */
uint8_t *answer_parked(const struct core *core, struct bytes tenant, const struct query_page *page,
                       uint8_t *to);

#endif
