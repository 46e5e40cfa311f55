/* What a directory holds, and where its journal ends. Reads only. */
#ifndef ACTIVITYD_SERVER_JOURNAL_RECOVERY_H
#define ACTIVITYD_SERVER_JOURNAL_RECOVERY_H

#include "server/journal/journal.h"
#include "server/journal/segment.h"
#include "server/journal/storage.h"

#define RECOVERY_SNAPSHOT_PREFIX "snapshot-"
/* Files that are of no use to the next process: half made, or space held ready. */
#define RECOVERY_TEMPORARY          "segment.tmp"
#define RECOVERY_SNAPSHOT_TEMPORARY "snapshot.tmp"
#define RECOVERY_SPARE_0            "segment.spare-0"
#define RECOVERY_SPARE_1            "segment.spare-1"
#define RECOVERY_RESERVE            "reserve"
/* Stands while a repair is under way: what it interrupts is not served. */
#define RECOVERY_REPAIRING "repairing"

/* Numbers in ascending order. */
struct recovery_numbers {
    uint64_t *items;
    size_t count;
    size_t capacity;
};

struct recovery_listing {
    struct recovery_numbers segments;  /* by first index */
    struct recovery_numbers snapshots; /* by index */
    bool repairing;
    bool out_of_memory;
};

/* Lists segments and snapshots by name; free it in any case. */
__attribute__((warn_unused_result)) int recovery_list(struct storage_directory *directory,
                                                      struct recovery_listing *listing,
                                                      struct journal_error *error);
void recovery_listing_free(struct recovery_listing *listing);

/* Where the journal ends in its last segment, after the tail rule. */
struct recovery_end {
    struct segment_header header;
    uint64_t index;    /* of the last entry; header.first - 1 when there is none */
    uint32_t checksum; /* of that entry */
    uint64_t offset;   /* where the next one goes */
    bool torn;         /* something behind it is cut */
};

/* Reads the segment from its beginning. Exactly two things end it early: an entry with lost
 * sectors, and a lost first sector with something written behind; both only when all that stands
 * behind could be of the same group, so that nothing that is cut was ever acknowledged. All else is
 * JOURNAL_DATA_LOSS. */
__attribute__((warn_unused_result)) int recovery_find_end(struct storage_directory *directory,
                                                          uint64_t first, struct recovery_end *end,
                                                          struct journal_error *error);

#endif
