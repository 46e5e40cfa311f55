/* Latest progress on its way out: collected at a steady pace while somebody wants it and something
 * runs; at other times an idle engine is not woken for it. The engine's thread, but latest_want. */
#ifndef ACTIVITYD_SERVER_ENGINE_LATEST_H
#define ACTIVITYD_SERVER_ENGINE_LATEST_H

#include "server/engine/outbox.h"
#include "server/wire/progress.h"

/* What the columns take: job ids, percents, tenants and texts, none longer than a message. */
#define LATEST_COLUMNS_BYTES (4u * PROGRESS_FIELDS_MAX)

struct latest {
    struct outbox *outbox;
    struct progress_columns *columns; /* NULL: nobody can want it */
    _Atomic bool wanted;
    uint64_t owed;         /* of a round: slots times periods that have not been reminded of */
    uint64_t collected_ms; /* when it was last collected, CLOCK_BOOTTIME */
};

/* Returns 0, or 1: no memory. The outbox is borrowed. */
__attribute__((warn_unused_result)) int latest_init(struct latest *latest, struct outbox *outbox);
void latest_deinit(struct latest *latest); /* accepts a zeroed one */

/* Any thread. Returns whether that is news. */
bool latest_want(struct latest *latest, bool wanted);

/* When there is something to collect, WAKE_NEVER if never. */
uint64_t latest_wake_at(const struct latest *latest, const struct core_info *info);

/* Collects what has changed, when it is time to. Returns whether it was. */
bool latest_step(struct latest *latest, struct core *core, const struct core_info *info,
                 uint64_t now_ms);

#endif
