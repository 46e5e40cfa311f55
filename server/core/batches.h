/* Batches in flight to the index, and the numbers that nothing ever gets twice: of batches and of
 * versions. What a batch holds stands in pending.in_flight: its documents, one behind the other. */
#ifndef ACTIVITYD_SERVER_CORE_BATCHES_H
#define ACTIVITYD_SERVER_CORE_BATCHES_H

#include "server/core/pending.h"

struct batch {
    uint64_t number;
    uint64_t sent_ms; /* by the wall clock */
    uint32_t first;   /* document */
    uint32_t documents;
    uint32_t changes;
    uint32_t zero;
};
_Static_assert(sizeof(struct batch) == 32, "written as it lies in memory");

struct batches {
    uint64_t count;
    struct batch at[BATCHES_MAX]; /* in the order taken; the others are zero */
    uint64_t last_number;
    uint64_t last_version;
};

/* The next version: above all before, and above those that an earlier life of this state may have
 * given out, since it grows with the wall clock. */
uint64_t batches_version(struct batches *batches, uint64_t wall_ms);

/* Keeps a new batch under the next number, which is returned. There is room. */
uint64_t batches_add(struct batches *batches, const struct batch *batch);
/* Takes a batch out. False: there is none of this number. */
bool batches_remove(struct batches *batches, uint64_t number, struct batch *batch);
const struct batch *batches_find(const struct batches *batches, uint64_t number);
/* All are gone. */
void batches_clear(struct batches *batches);

void batches_save(const struct batches *batches, struct stream_out *out);
void batches_load(struct batches *batches, struct stream_in *in);
/* After pending_verify: NULL, or what is wrong. */
const char *batches_verify(const struct batches *batches, const struct pending *pending,
                           const struct changes *changes, uint64_t wall_ms);

#endif
