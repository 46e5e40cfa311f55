/* Lists of indices, as the beginning of a path: which ones a refresh is for. */
#ifndef ACTIVITYD_SERVER_INDEX_PLACES_H
#define ACTIVITYD_SERVER_INDEX_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "server/index/batch.h"
#include "server/index/target.h"

/* Nodes take 4,096 bytes of a first line. */
#define PLACES_LIST_MAX 3000u

/* "/a,b": names, their bytes escaped where a path needs it. "" is all indices, when there are more
 * than fit. */
struct places {
    bool all; /* every index of the targets, not these alone */
    uint32_t length;
    char list[PLACES_LIST_MAX];
};

/* All indices that may be reached: what was written before we began is not known. */
void places_all(struct places *places);
/* Adds the indices of a batch. */
void places_add(struct places *places, const struct targets *targets,
                const struct index_batch *batch);
/* Adds those of others. */
void places_join(struct places *places, const struct places *others);
void places_clear(struct places *places);

/* The path of all indices that may be reached, as patterns. */
void places_patterns(const struct targets *targets, char list[PLACES_LIST_MAX]);

#endif
