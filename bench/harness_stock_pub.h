/* What NNG's PUB does by itself: one message per event, over the same TLS, to the same number of
 * subscribers; nothing is kept, nothing durable. The publisher is a process of its own. */
#ifndef ACTIVITYD_BENCH_HARNESS_STOCK_PUB_H
#define ACTIVITYD_BENCH_HARNESS_STOCK_PUB_H

#include "bench/harness_measure.h"
#include "tests/e2e/harness.h"

struct stock_pub_figures {
    double per_second; /* messages delivered to each subscriber */
    double p50_us;     /* sent to delivered, at the pace given */
    double p99_us;
};

/* Publishes as fast as the slowest subscriber takes for some time, then at the pace given for as
 * long. */
void stock_pub_measure(const struct scene *scene, size_t subscribers, uint32_t milliseconds,
                       uint32_t per_second, struct stock_pub_figures *figures);

/* main() of a program that measures calls this when it has arguments: the publisher. */
int stock_pub_child(int count, char **arguments);

#endif
