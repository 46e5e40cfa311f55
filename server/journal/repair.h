/* `activityd journal repair`: makes a directory servable again, keeping every entry that the state
 * can still reach.
 *
 * The state begins at a sound snapshot, or at entry 1: where it reaches furthest. From there
 * entries are followed by index and checksum as far as they go, also through segments whose own
 * header or size is damaged, and past damage that the snapshot covers. What cannot be reached is
 * lost and, being lost, ends the history: the epoch changes. Damaged files are not deleted but kept
 * aside as lost-<n>-<name>. A crash at any point leaves a directory that is not served until repair
 * has run again. */
#ifndef ACTIVITYD_SERVER_JOURNAL_REPAIR_H
#define ACTIVITYD_SERVER_JOURNAL_REPAIR_H

#include "server/journal/salvage.h"
#include "server/journal/survey.h"

/* A run of entries within one segment that is kept. */
struct repair_piece {
    uint64_t file;     /* first index in the name of the segment it is in; 0 = in none, there are no
                          entries */
    uint64_t first;    /* its own first entry */
    uint32_t previous; /* checksum before that */
    uint64_t begin;    /* bytes in that segment */
    uint64_t end;
    uint64_t last;       /* first - 1 = no entry */
    uint64_t last_begin; /* where entry `last` begins */
    uint64_t size;       /* of the segment */
    bool rewrite;        /* it becomes segment-<first> anew */
};

struct repair_plan {
    struct repair_piece *pieces; /* ascending, contiguous; at least one */
    size_t count;
    uint64_t base; /* index of the snapshot that the state begins with; 0 = none */
    uint64_t end;  /* the last entry kept */
    uint64_t epoch;
    bool needed;
    bool damaged;                /* something is rewritten; else only a repair was interrupted */
    bool loses;                  /* something behind `end` is given up: the epoch changes */
    struct salvage_rest lost;    /* how much, as far as can be told */
    struct journal_error reason; /* the first damage met; code JOURNAL_OK = none */
};

/* Finds out what can be kept. JOURNAL_DATA_LOSS: there is nothing to begin with. Free the plan in
 * any case. */
__attribute__((warn_unused_result)) int repair_make_plan(struct storage_directory *directory,
                                                         const struct survey *survey,
                                                         struct repair_plan *plan,
                                                         struct journal_error *error);
void repair_plan_free(struct repair_plan *plan);

/* Gives up the last entry too, if nothing else is wrong and it is the one that was marked as being
 * applied for the first time when the process died: then no reply has spoken of it. */
__attribute__((warn_unused_result)) int repair_drop_last(struct repair_plan *plan,
                                                         const struct survey *survey,
                                                         struct journal_error *error);

/* Carries the plan out. *aside is the n of lost-<n>-<name>. */
__attribute__((warn_unused_result)) int repair_run(struct storage_directory *directory,
                                                   const struct survey *survey,
                                                   const struct repair_plan *plan, unsigned *aside,
                                                   struct journal_error *error);

#endif
