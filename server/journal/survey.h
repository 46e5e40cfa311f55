/* A look at everything in a journal's directory, for `activityd journal verify` and `repair`. Reads
 * only. */
#ifndef ACTIVITYD_SERVER_JOURNAL_SURVEY_H
#define ACTIVITYD_SERVER_JOURNAL_SURVEY_H

#include "server/journal/mark.h"
#include "server/journal/recovery.h"
#include "server/journal/snapshot_file.h"

enum survey_state { SURVEY_SOUND, SURVEY_TORN, SURVEY_DAMAGED };

struct survey_segment {
    uint64_t first;
    uint64_t last;     /* the last entry that can be read from the beginning; first - 1 = none */
    uint32_t previous; /* checksum before the first entry, as the header says */
    uint32_t checksum; /* of the last entry, or `previous` */
    uint64_t used;     /* bytes of these entries */
    uint64_t epoch;
    enum survey_state state; /* torn: only the last one can be, and it is no problem */
    struct journal_error
        problem; /* when damaged, or when it does not continue the segment before it */
};

struct survey_snapshot {
    uint64_t index;
    enum survey_state state;
    struct journal_snapshot_head head;
    uint64_t size;
    struct journal_error problem;
};

struct survey {
    struct survey_segment *segments; /* ascending */
    size_t segment_count;
    struct survey_snapshot *snapshots; /* ascending */
    size_t snapshot_count;
    struct mark_found found;
    bool repairing; /* a repair was interrupted */
};

/* Free it in any case. */
__attribute__((warn_unused_result)) int survey_read(struct storage_directory *directory,
                                                    struct survey *survey,
                                                    struct journal_error *error);
void survey_free(struct survey *survey);

#endif
