/* Latest progress as it is sent (ProgressFrame in activity/v1/feed.proto). */
#ifndef ACTIVITYD_SERVER_WIRE_PROGRESS_H
#define ACTIVITYD_SERVER_WIRE_PROGRESS_H

#include "server/core/core.h"

/* Collects what has changed, until there is no more, LIMIT_FEED_FRAME_BYTES are reached or
 * PROGRESS_SLOTS_MAX slots were looked at. Writes the fields of a ProgressFrame from time_ms on to
 * `to`, which has room for PROGRESS_FIELDS_MAX. Returns their length, 0 when nothing was found. The
 * engine's thread. */
#define PROGRESS_FIELDS_MAX (LIMIT_FEED_FRAME_BYTES + 2048u)
#define PROGRESS_SLOTS_MAX  (1u << 20)
struct progress_columns;                             /* scratch; heap object, large */
struct progress_columns *progress_columns_new(void); /* NULL: out of memory */
void progress_columns_free(struct progress_columns *columns);
size_t progress_collect(struct core *core, struct progress_columns *columns, uint8_t *to);

#endif
