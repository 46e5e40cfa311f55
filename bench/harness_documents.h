/* The documents of the benchmark of the index, the changes of them, and the order in which they
 * change: the same for each way into the index. */
#ifndef ACTIVITYD_BENCH_HARNESS_DOCUMENTS_H
#define ACTIVITYD_BENCH_HARNESS_DOCUMENTS_H

#include <stddef.h>
#include <stdint.h>

/* Documents change in groups: all of a group once, then all of it once more, so many times, then
 * the next group. Lanes of a power of two share the groups evenly. */
enum {
    DOCUMENTS_GROUP = 40,
    DOCUMENTS_GROUPS = 1280,
    DOCUMENTS = DOCUMENTS_GROUP * DOCUMENTS_GROUPS,
    DOCUMENT_BYTES_MAX = 640,
    DOCUMENT_ID_BYTES = 16
};

/* Settings and mapping of every index that is measured, as the body of its making. */
extern const char documents_index[];

/* Makes all of them; deterministic. Before anything else here. */
void documents_make(void);
void documents_free(void);

/* The id, terminated; its length. */
size_t documents_id(uint32_t document, char id[DOCUMENT_ID_BYTES]);
/* The whole document after its n-th change; not terminated, the length. */
size_t documents_whole(uint32_t document, uint64_t n, char to[DOCUMENT_BYTES_MAX]);
/* The n-th change alone, as a merge patch; also a partial document of _bulk's update. */
size_t documents_patch(uint32_t document, uint64_t n, char to[DOCUMENT_BYTES_MAX]);
/* Bytes of a whole document, on average. */
uint32_t documents_mean_bytes(void);

struct documents_walk {
    uint32_t times; /* changes of a document before the next group */
    uint32_t stride;
    uint32_t group;
    uint32_t done; /* changes in this group */
};
/* The groups of one lane of so many. */
struct documents_walk documents_walk_of(uint32_t lane, uint32_t lanes);
/* From now on each document changes so often; begins with the next group. */
void documents_walk_set(struct documents_walk *walk, uint32_t times);
/* Whose turn it is. */
uint32_t documents_walk_next(struct documents_walk *walk);

#endif
