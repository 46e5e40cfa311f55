/* Documents that the index did not take, until they may be sent once more: which is due first. Of
 * those due at the same time it is the one that came first. A heap, since rests of all lengths come
 * together: an index that is refused for long must not make short rests of others dear. */
#ifndef ACTIVITYD_SERVER_CORE_RESTS_H
#define ACTIVITYD_SERVER_CORE_RESTS_H

#include <stdbool.h>

#include "server/core/limits.h"
#include "server/core/region.h"

struct stream_out;
struct stream_in;

struct rest {
    uint64_t due_ms;    /* by service time */
    uint64_t number;    /* counts up */
    uint64_t oldest_ms; /* accept time of the document's oldest change */
    uint32_t document;
    uint32_t zero;
};
_Static_assert(sizeof(struct rest) == 32, "written as they lie in memory");

struct rests {
    struct rest *at; /* no one is due before the one at (place - 1) / 2 */
    uint32_t count;
    uint32_t capacity;
    uint64_t last_number;
};

void rests_layout(struct rests *rests, struct region *region, const struct core_limits *capacity);

/* UINT64_MAX: none rests. */
static inline uint64_t rests_due_ms(const struct rests *rests)
{
    return rests->count == 0 ? UINT64_MAX : rests->at[0].due_ms;
}

/* There is room for as many as changes may be pending. The number is given here. */
void rests_put(struct rests *rests, const struct rest *rest);
/* The document that is due first; there is one. */
static inline uint32_t rests_first(const struct rests *rests)
{
    return rests->at[0].document;
}
void rests_remove_first(struct rests *rests);
/* The least oldest_ms, UINT64_MAX when none rests. Looks at all of them. */
uint64_t rests_oldest_ms(const struct rests *rests);

void rests_save(const struct rests *rests, struct stream_out *out);
void rests_load(struct rests *rests, struct stream_in *in);
/* Whether they are in order, and none is due later than one could be at this time. Which documents
 * they are is the owner's to check. */
bool rests_sound(const struct rests *rests, uint64_t service_ms);

#endif
