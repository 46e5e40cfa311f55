/* Which running activities have changed since their progress was taken: bits by slot, set on the
 * way of an update and cleared when they are taken or the activity ends. No state: in no snapshot
 * and no digest, nothing that is decided depends on them; after a start nothing is marked. */
#ifndef ACTIVITYD_SERVER_CORE_PROGRESS_H
#define ACTIVITYD_SERVER_CORE_PROGRESS_H

#include "server/core/activities.h"

struct progress {
    uint64_t *percents;
    uint64_t *texts;
    uint32_t taken;    /* the slot at which the last call ended; 0 at first */
    uint32_t reminded; /* the same of reminding */
};

/* Behind activities_layout of the same capacity. */
void progress_layout(struct progress *progress, struct region *region,
                     const struct activities *activities);

static inline void progress_mark(uint64_t *marks, uint32_t slot)
{
    marks[slot / 64] |= (uint64_t)1 << (slot % 64);
}

/* An activity has ended: its event tells the rest. */
static inline void progress_forget(struct progress *progress, uint32_t slot)
{
    uint64_t others = ~((uint64_t)1 << (slot % 64));
    progress->percents[slot / 64] &= others;
    progress->texts[slot / 64] &= others;
}

/* NULL, or what is wrong: nothing but running activities is marked. */
const char *progress_verify(const struct progress *progress, const struct activities *activities);

#endif
