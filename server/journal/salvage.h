/* Reading a damaged segment: what recovery refuses and `journal repair` still finds use in. */
#ifndef ACTIVITYD_SERVER_JOURNAL_SALVAGE_H
#define ACTIVITYD_SERVER_JOURNAL_SALVAGE_H

#include "server/journal/segment.h"

struct salvage {
    struct segment_cursor cursor;
    bool intact;                  /* header and size are as they should be */
    struct journal_error problem; /* if not */
};

/* Opens segment-<first> even when its header or size is wrong: then the name and the real size
 * count, and nothing is known of the checksum before its first entry. Fails only when it cannot be
 * read, or was written by a newer activityd. */
__attribute__((warn_unused_result)) int salvage_open(struct salvage *salvage,
                                                     struct storage_directory *directory,
                                                     uint64_t first, struct journal_error *error);
void salvage_close(struct salvage *salvage); /* accepts a zeroed one */

/* Looks for an entry by its index and the checksum before it, anywhere in the segment, and places
 * the cursor there. Returns 1, 0 when it is not there (the cursor has not moved), negative when
 * reading fails. */
__attribute__((warn_unused_result)) int salvage_find(struct salvage *salvage, uint64_t index,
                                                     uint32_t previous,
                                                     struct journal_error *error);

/* What stands from the cursor's place to the end of the file. */
struct salvage_rest {
    uint64_t bytes;   /* in sectors that are not zeros */
    uint64_t highest; /* index in the sound headers; 0 = there is none */
};
/* Adds to *rest. */
__attribute__((warn_unused_result)) int
salvage_rest(struct salvage *salvage, struct salvage_rest *rest, struct journal_error *error);

#endif
