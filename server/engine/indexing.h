/* The way of changes to an index and back, as the engine sees it: forms a TAKE when a batch is due
 * and somebody would send it, takes in what became of batches, and knows what is searchable by now.
 *
 * Searchable is only what there is evidence for: a refresh that the index made after it had
 * accepted a change. The evidence is no state; after a start it is found anew.
 *
 * The engine's thread, but for indexing_put and indexing_refreshed. */
#ifndef ACTIVITYD_SERVER_ENGINE_INDEXING_H
#define ACTIVITYD_SERVER_ENGINE_INDEXING_H

#include "server/engine/engine.h"
#include "server/engine/queue.h"
#include "server/wire/request.h"

/* So many results may be applied while a refresh is under way; with more it counts for nothing and
 * the next one is waited for. */
#define INDEXING_TIMES 4096u

/* Each batch in flight has one result: there is always room for it. */
#define INDEXING_QUEUE_BYTES ((BATCHES_MAX + 1u) * ((size_t)REQUEST_BODY_MAX + 64u))

struct indexing {
    const struct engine_index *outlets;  /* NULL: there is no index */
    struct queue results;                /* encoded RESULTs, in the order told */
    uint64_t appended;                   /* of them, the last one's number; they count from 1 */
    uint64_t applied;                    /* the same */
    uint64_t applied_ms[INDEXING_TIMES]; /* service time at which result n was, at n % size */
    bool taking;                         /* a TAKE is under way */
    uint64_t homeless; /* a batch that could not be handed over: is to be retried; 0: none */
    uint32_t homeless_documents;
    bool asked; /* a refresh, which has not been told of yet */
    uint64_t searchable_before_ms;
    _Atomic uint64_t refreshed; /* the results that the last refresh covers */
    _Atomic uint64_t refreshes;
    uint64_t seen; /* of refreshes */
};

/* The core after its last entry, and where that left it. */
struct indexing_view {
    const struct core *core;
    const struct core_info *info;
};

/* Returns 0, or 1: no memory. `wake` is the engine's. */
__attribute__((warn_unused_result)) int
indexing_init(struct indexing *indexing, const struct engine_index *outlets, struct wake *wake);
void indexing_deinit(struct indexing *indexing); /* accepts a zeroed one */

/* When a TAKE is due, in service time; UINT64_MAX: not until something happens. */
uint64_t indexing_due(const struct indexing *indexing, const struct core *core);

/* The next command for the journal, if there is one at this service time; none is begun that
 * brings more when `closing`. indexing_took once it is in an entry, with its token beside it. */
struct indexing_command {
    enum command_kind kind;
    struct bytes encoded; /* in `room`, or in the queue */
    uint64_t token;
    uint8_t room[COMMAND_TAKE_DOCUMENTS_MAX + 64];
};
bool indexing_next(struct indexing *indexing, const struct indexing_view *view, uint64_t service_ms,
                   bool closing, struct indexing_command *command);
void indexing_took(struct indexing *indexing, const struct indexing_command *command);

/* The reply to one of those commands, applied. May lower searchable_before_ms. */
void indexing_applied(struct indexing *indexing, const struct indexing_view *view,
                      const struct effect *effect, uint64_t token);

/* What a finished refresh means. Returns whether more is searchable. */
bool indexing_look(struct indexing *indexing, const struct core_info *info);
/* Somebody waits for one. */
void indexing_want_refresh(struct indexing *indexing);

/* For other threads. */
void indexing_put(struct indexing *indexing, const struct command_result *result);
void indexing_refreshed(struct indexing *indexing, uint64_t results);

#endif
