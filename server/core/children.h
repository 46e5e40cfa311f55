/* The running activities of each parent, in creation order: what WaitActivity waits for with
 * `children`. Whatever has ended has come as far as it will, and is not looked at again, so it is
 * not here; the parent itself may have ended, left and been forgotten.
 *
 * An index, no state: it is in no snapshot and is built anew when one is loaded. */
#ifndef ACTIVITYD_SERVER_CORE_CHILDREN_H
#define ACTIVITYD_SERVER_CORE_CHILDREN_H

#include "server/core/activities.h"
#include "server/core/hash.h"
#include "server/core/order.h"

/* One parent with running children. */
struct family {
    uint64_t parent_job_id;
    struct order_tree tree; /* the children's slots by creation order */
    uint32_t zero;
};
_Static_assert(sizeof(struct family) == 24, "no padding");

struct children {
    struct table families;
    struct hash by_parent; /* of families */
    struct order order;
    uint32_t *nodes; /* by slot: its place in its family, 0 = in none */
};

/* Behind activities_layout of the same capacity. */
void children_layout(struct children *children, struct region *region,
                     const struct core_limits *capacity, const struct activities *activities);

/* An activity begins, or ends: nothing happens when it has no parent. */
void children_add(struct children *children, const struct activities *activities, uint32_t slot);
void children_remove(struct children *children, const struct activities *activities, uint32_t slot);

/* The first running child of a job that was created behind `after` (creation order), as a node of
 * children->order whose item is the slot; 0 when there is none. */
uint32_t children_after(const struct children *children, uint64_t parent_job_id, uint64_t after);

/* Builds the index of what was loaded and verified. False: a parent has children in two tenants,
 * which no history leads to. */
bool children_load(struct children *children, const struct activities *activities,
                   const struct names *names);

/* NULL, or what is wrong. */
const char *children_verify(struct children *children, const struct activities *activities);

#endif
