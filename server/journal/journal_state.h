/* What journal_file.c, keeper.c, reader.c and snapshot.c share: the insides of struct journal. For
 * them alone. */
#ifndef ACTIVITYD_SERVER_JOURNAL_JOURNAL_STATE_H
#define ACTIVITYD_SERVER_JOURNAL_JOURNAL_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/journal/journal.h"
#include "server/journal/mark.h"
#include "server/journal/recovery.h"
#include "server/journal/segment.h"
#include "server/journal/storage.h"

/* Segments held ready. One is the next; the other is the reserve's segment: with one left, users
 * are refused. */
#define JOURNAL_SPARES 2

struct journal_segment {
    uint64_t first;
    uint64_t bytes; /* of its entries; for one that was not written by this process, all that it has
                       room for */
};

struct journal_proposal {
    uint64_t token;
    const uint8_t *body;
    uint32_t length;
};

/* What several threads use. The lock guards all of it and is never held over I/O or a callback. */
struct journal_shared {
    pthread_mutex_t lock;
    pthread_cond_t
        work; /* for the committer: a proposal, a spare, a change of `writable`, an end */
    pthread_cond_t keep; /* for the keeper: something to be made, an end */
    struct journal_proposal queue[JOURNAL_PROPOSALS_MAX]; /* a ring */
    size_t head;
    size_t count;
    struct journal_segment *segments; /* ascending; the last one is written */
    size_t segment_count;
    size_t segment_capacity;
    struct storage_file *spares[JOURNAL_SPARES]; /* NULL: to be made */
    uint64_t reserve_bytes;                      /* of the reserve file; 0 = there is none */
    uint64_t snapshot_index;                     /* of the newest good snapshot; 0 = none known */
    uint64_t snapshot_bytes;
    bool snapshot_chosen; /* the snapshots were looked at: snapshot_index can be trusted */
    bool snapshot_writing;
    bool reserve_spent; /* by the snapshot under way: nobody else may take the room */
    bool hurry;         /* space was freed: the keeper need not wait to try again */
    bool writable;
    bool stopping;
    bool keeper_stopping;
    bool failed; /* nothing is written any more; `failure` says why */
    struct journal_error failure;
    uint64_t syncs;
};

struct journal {
    struct journal_options options;
    struct storage_directory *directory;
    struct mark mark;
    struct mark_found found;
    uint64_t epoch;
    _Atomic uint64_t durable;
    bool fresh; /* the only segment was made by this process: nobody wrote to it before */
    bool started;
    struct journal_events events;
    pthread_t committer;
    pthread_t keeper;

    /* The segment that is written: the committer's alone once it runs. */
    struct storage_file *active;
    struct segment_header header;
    uint64_t offset;   /* where the next entry goes */
    uint32_t previous; /* checksum of the last entry */
    uint8_t *group;    /* SEGMENT_GROUP_BYTES */

    /* Behind a pointer, so that functions which only look, under the lock, can take a const
     * journal. */
    struct journal_shared *shared;
};

/* Adds a segment to the list. Under the lock. */
__attribute__((warn_unused_result)) int journal_segment_add(struct journal_shared *shared,
                                                            uint64_t first, uint64_t bytes,
                                                            struct journal_error *error);

/* Stops all writing; the committer tells the user. Any thread, without the lock. */
void journal_set_failed(struct journal *journal, const struct journal_error *error);

/* The body of the keeper's thread: makes spares and the reserve, and says whether the journal is
 * writable. */
void *journal_keeper_main(void *journal);
const char *journal_spare_name(size_t spare);

/* Gives the reserve's room to the snapshot under way. False when there is none left. Without the
 * lock. */
__attribute__((warn_unused_result)) bool journal_spend_reserve(struct journal *journal);

#endif
