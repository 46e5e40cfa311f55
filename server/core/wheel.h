/* Timers that are set all the time and nearly never fire: activities by the moment they would have
 * to be killed.
 *
 * A ring of buckets, each a list through the activities' hot records. A sign of life only writes
 * the time into the record; the wheel learns of it when the bucket's time has come, and moves the
 * record to where it belongs by then. */
#ifndef ACTIVITYD_SERVER_CORE_WHEEL_H
#define ACTIVITYD_SERVER_CORE_WHEEL_H

#include "server/core/list.h"

#define WHEEL_BUCKET_MS 256u
/* Covers the longest silence and the longest grace together, 2 hours, so that a bucket holds one
 * round only. */
#define WHEEL_BUCKETS 32768u

struct wheel {
    struct list *buckets;
    uint64_t *filled; /* a bit for each bucket with something in it; no state */
    uint64_t turn;    /* buckets before this one, counted from service time 0, are done */
};

void wheel_layout(struct wheel *wheel, struct region *region);

/* The links lie at the beginning of a record of `table`. `due_ms` not before the present turn.
 * Returns the bucket. */
uint32_t wheel_put(struct wheel *wheel, struct table *table, uint32_t id, uint64_t due_ms);
void wheel_remove(struct wheel *wheel, struct table *table, uint32_t id, uint32_t bucket);

/* The record at the front of the first bucket that is over at `service_ms`, 0 when there is none:
 * then the wheel has turned. */
uint32_t wheel_first(struct wheel *wheel, uint64_t service_ms);

/* When the first filled bucket is over, UINT64_MAX when there is nothing. */
uint64_t wheel_deadline(const struct wheel *wheel);

void wheel_save(const struct wheel *wheel, struct stream_out *out);
void wheel_load(struct wheel *wheel, struct stream_in *in);

#endif
