/* Changes that wait for the index, per document and in order: the queue between what was recorded
 * and what is written.
 *
 * A document waits since its oldest change that is not on its way; documents stand in a queue by
 * that time. A batch begins when the first of them has waited flush_delay_ms, or when
 * flush_documents or flush_bytes wait, and takes the oldest. Documents with an urgent change stand
 * in a queue of their own, are due at once and go first. Of a document a batch takes the changes
 * waiting then, oldest first, up to LIMIT_AFFECTED_MODELS different models and the batch's room,
 * for an index also of one kind (whole documents or fragments) only; they are in flight until they
 * are accepted, put back or parked, and until then the document takes no part in another batch.
 * While they are parked it takes part in none: what comes later waits behind them.
 *
 * What was put back may have to rest before: until then the document takes part in no batch, and
 * then it is due at once, whatever the flush policy says, and before all that waits but urgent
 * ones. When there are many of them they take turns with what waits, so that an index that refuses
 * many documents holds up no others.
 *
 * Each change holds a pin of its document, a count of its ticket, its names, and its JSON. */
#ifndef ACTIVITYD_SERVER_CORE_PENDING_H
#define ACTIVITYD_SERVER_CORE_PENDING_H

#include "server/core/changes.h"
#include "server/core/effect.h"
#include "server/core/rests.h"
#include "server/core/tickets.h"

struct pending_change {
    uint64_t accept_ms; /* by the wall clock */
    uint64_t service_ms;
    struct job_rights rights;
    uint32_t document;
    uint32_t affected_model;
    uint32_t ticket; /* place */
    uint32_t json_first;
    uint32_t json_length;
    uint32_t deleted;
    uint32_t flags;          /* enum pending_flags */
    struct list_links links; /* of the document's changes */
};
enum pending_flags { PENDING_FRAGMENT = 1, PENDING_URGENT = 2 };
_Static_assert(sizeof(struct pending_change) == 96, "written as they lie in memory");

/* One change of the command at hand, found in the state and not yet applied. */
struct pending_plan {
    struct job_rights rights;
    uint32_t document;
    uint32_t affected_model;
};

struct pending {
    struct table changes;
    struct pool json;
    struct list waiting;     /* documents, longest wait first */
    struct list urgent;      /* documents with an urgent change, in the order of becoming so */
    struct list in_flight;   /* documents, in the order taken */
    struct list parked;      /* documents, longest parked first */
    struct rests resting;    /* documents that are in none of the lists */
    uint64_t parked_changes; /* without what waits behind them */
    uint64_t
        waiting_bytes; /* JSON of all documents that are not aside, without what is in flight */
    struct pending_plan *plan; /* LIMIT_CHANGES; no state */
};

void pending_layout(struct pending *pending, struct region *region,
                    const struct core_limits *capacity);

static inline struct pending_change *pending_at(const struct pending *pending, uint32_t change)
{
    return table_at(&pending->changes, change);
}

/* What one command brings. */
struct pending_load {
    uint32_t tenant; /* name, 0 when the core has not met it */
    uint64_t changes;
    uint64_t json_blocks;
};
/* Whether there is room, also for the tenant's share. */
bool pending_fits(const struct pending *pending, const struct names *names,
                  const struct core_limits *limits, const struct pending_load *load);
uint32_t pending_blocks(const struct pending *pending, uint64_t json_length);

/* Puts one change behind the others of its document. `change` comes without JSON and links; its
 * pin, its ticket's count and the references to its names become the queue's. */
void pending_add(struct pending *pending, struct changes *changes, struct names *names,
                 const struct pending_change *change, struct bytes json);

/* When the next batch begins, in service time; 0: at once; UINT64_MAX: nothing waits or rests. */
uint64_t pending_deadline(const struct pending *pending, const struct changes *changes,
                          const struct core_limits *limits);

/* What may still go into the batch at hand. */
struct pending_room {
    uint64_t service_ms;
    uint64_t documents;
    uint64_t bytes; /* of JSON; the first document of a batch may exceed it */
    uint64_t changes;
    bool for_index; /* only the last of whole documents counts, and kinds are not mixed */
    bool all;       /* the batch began because much waits: it need not have waited long */
    bool first;
    bool rested; /* the document taken last had rested */
};
/* Begins a batch: how much may go in at the most, `all` and `first` set. Not TAKE_NONE: one is
 * due. */
enum take_cause pending_begin(const struct pending *pending, const struct changes *changes,
                              const struct core_limits *limits, uint64_t service_ms,
                              struct pending_room *room);

/* Moves the document whose turn it is into the batch, and takes from `room`. 0: none is due, or
 * there is no room for it. */
uint32_t pending_take(struct pending *pending, struct changes *changes, struct tickets *tickets,
                      const struct core_limits *limits, struct pending_room *room);

/* A document comes back from its batch, and what was taken of it is set aside under this number. */
void pending_park(struct pending *pending, struct changes *changes, struct tickets *tickets,
                  uint32_t document, uint64_t park_id);

/* A document comes back from its batch, and all its changes wait, but not before this time. */
void pending_rest(struct pending *pending, struct changes *changes, struct tickets *tickets,
                  uint32_t document, uint64_t due_ms);
/* All that rest come to the front of their queues, those due first before the others. Returns how
 * many. */
uint32_t pending_wake(struct pending *pending, struct changes *changes);

/* A document comes back from its batch, or from being parked. Its oldest `accepted` changes are
 * done with: they leave, with their pins, and their tickets are told. What is left goes to the
 * front of the queue, or `behind` the others. */
struct pending_settlement {
    uint32_t document;
    uint32_t accepted; /* at most as many as are in flight or parked */
    bool discarded;    /* they were not written */
    bool behind;
    uint64_t service_ms;
};
void pending_settle(struct pending *pending, struct changes *changes, struct names *names,
                    struct tickets *tickets, const struct pending_settlement *settlement);

/* Loading needs changes, tickets and names, and verifies; verification gives NULL, or what is
 * wrong. */
void pending_save(const struct pending *pending, struct stream_out *out);
void pending_load(struct pending *pending, struct stream_in *in);
/* The part that is empty while there was never an index. */
void pending_save_more(const struct pending *pending, struct stream_out *out);
void pending_load_more(struct pending *pending, struct stream_in *in);
const char *pending_verify(struct pending *pending, struct changes *changes,
                           const struct names *names, const struct tickets *tickets,
                           uint64_t service_ms);

#endif
