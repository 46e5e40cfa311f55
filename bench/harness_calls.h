/* The calls of one client of activityd, a number of them in flight. */
#ifndef ACTIVITYD_BENCH_HARNESS_CALLS_H
#define ACTIVITYD_BENCH_HARNESS_CALLS_H

#include <activity.h>

#include <stddef.h>
#include <stdint.h>

enum { CALLS_BATCH = 1000 }; /* updates in a batch */

enum calls_work { CALLS_CREATE, CALLS_BATCH_UPDATE, CALLS_UPDATE, CALLS_GET };

struct calls {
    activity_client *client;
    uint64_t *jobs; /* filled by CALLS_CREATE, used by the others */
    size_t job_count;
    size_t jobs_max;
    uint64_t *latencies; /* of the last run, in ns; may be NULL */
    size_t latencies_max;
    size_t latency_count;
};

/* Keeps `in_flight` requests under way for some time, or until `most` were answered. Sets how many
 * were answered. Returns 0, or -1 with the error. */
__attribute__((warn_unused_result)) int calls_run(struct calls *calls, enum calls_work work,
                                                  size_t in_flight, uint32_t milliseconds,
                                                  uint64_t most, uint64_t *answered,
                                                  struct activity_error *error);

#endif
