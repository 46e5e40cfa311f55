/* Model changes as a load, and how late they come to subscribers: documents are named by the number
 * of their request, whose time of sending is remembered. */
#ifndef ACTIVITYD_BENCH_HARNESS_CHANGES_H
#define ACTIVITYD_BENCH_HARNESS_CHANGES_H

#include "bench/harness_measure.h"
#include "tests/e2e/harness_feed.h"

/* What a subscriber gets; the context of changes_taken. */
struct changes_sink {
    _Atomic uint64_t changes;
    atomic_bool keep; /* latencies, from now on */
    uint64_t *latencies;
    size_t count;
};
void changes_sink_init(struct changes_sink *sink);
void changes_sink_deinit(struct changes_sink *sink);

/* For struct follower: counts MODEL_CHANGED, and how late it was. */
void changes_taken(void *context, const struct activity_event *event);

/* The value at `part` (0.5, 0.99) of all latencies of some sinks together, in us. */
double changes_late_us(struct changes_sink *sinks, size_t count, double part);
/* The least of what each has got. */
uint64_t changes_slowest(struct changes_sink *sinks, size_t count);

/* Records changes for some time, so many in a request; per_second 0: as fast as it goes. Returns
 * how many were accepted. One at a time in a process. */
struct changes_pace {
    size_t per_request; /* at most 100 */
    size_t in_flight;
    uint32_t per_second;
};
uint64_t changes_record(activity_client *client, uint32_t milliseconds,
                        const struct changes_pace *pace);

#endif
