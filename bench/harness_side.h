/* One side of a benchmark, a client or a server, as a process of its own: so the processor time of
 * each side can be told, and each decides for itself which TLS engine NNG has. The measuring
 * process tells it what to do, one order at a time, and must not have used NNG before it starts
 * one. */
#ifndef ACTIVITYD_BENCH_HARNESS_SIDE_H
#define ACTIVITYD_BENCH_HARNESS_SIDE_H

#include <stdint.h>
#include <sys/types.h>

struct side_order {
    uint32_t work; /* what the numbers mean is up to the role */
    uint32_t bytes;
    uint32_t in_flight;
    uint32_t milliseconds;
};

struct side_outcome {
    uint64_t count;
    double seconds; /* until the last of them was done */
    double cpu_us;  /* of this side, all threads */
};

struct side_role {
    /* Both run in the process of the side, and end it with side_insist when something fails. */
    void (*prepare)(void *context);
    /* Returns how many were done; NULL for a side that only serves. */
    uint64_t (*carry_out)(void *context, const struct side_order *order);
};

struct side {
    pid_t process;
    int line;
};

/* Returns when it is prepared. It works on a copy of the context. Ends this process if it fails. */
void side_start(struct side *side, const struct side_role *role, void *context);
void side_run(const struct side *side, const struct side_order *order,
              struct side_outcome *outcome);
void side_end(struct side *side); /* accepts one that does not run */

/* Ends the process with a line that says what failed, unless `good`. */
void side_insist(int good, const char *what, const char *why);

#endif
