/* From the newest snapshot and what follows in the journal to a core: at start, and beside the
 * running engine for the next snapshot. The same validating decoder reads live entries. */
#ifndef ACTIVITYD_SERVER_ENGINE_RESTORE_H
#define ACTIVITYD_SERVER_ENGINE_RESTORE_H

#include <stdatomic.h>

#include "server/core/core.h"
#include "server/journal/journal.h"

/* A core in memory of its own. */
struct restored {
    struct core *core; /* NULL: none */
    void *memory;
    size_t memory_bytes;
    struct core_limits capacity;
    uint64_t index;    /* the last entry in it, 0 = none */
    uint32_t checksum; /* of that entry */
    uint64_t entries;  /* replayed on top of the snapshot */
    bool diverged;     /* why a restore failed: a digest in the journal is not that of the state */
};

struct restore_options {
    struct journal *journal;
    struct core_limits capacity; /* at least; raised by what snapshot and journal need */
    uint64_t last;               /* the entry to stop after, durable */
    bool mark;                   /* whether entries are marked while they are applied: at start */
    const _Atomic bool *cancel;  /* NULL, or becomes true when nobody wants it any more */
};

/* Exit statuses of the process (sysexits.h), when a start ends in them. */
#define RESTORE_DAMAGE    70
#define RESTORE_IO        74
#define RESTORE_LIMITS    78
#define RESTORE_CANCELLED (-1)

/* Returns 0; or an exit status with a sentence in `text`; or RESTORE_CANCELLED. Restored memory is
 * the caller's to give back; after a failure there is none. */
__attribute__((warn_unused_result)) int restore(const struct restore_options *options,
                                                struct restored *restored, char *text,
                                                size_t text_size);
/* The status for a journal's error. */
int restore_status(const struct journal_error *error);

/* Accepts a zeroed one. */
void restored_deinit(struct restored *restored);

/* Writes the state as the journal's next snapshot. Returns 0, a negative enum journal_error_code,
 * or RESTORE_CANCELLED with error->text empty. Any thread that owns the core. */
__attribute__((warn_unused_result)) int
restored_snapshot(const struct core *core, struct journal *journal, uint32_t checksum,
                  const _Atomic bool *cancel, struct journal_error *error);

#endif
