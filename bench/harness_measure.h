/* How the benchmarks measure: windows of fixed length, the median and the spread of several of
 * them. Machines are noisy: single figures are not worth much. */
#ifndef ACTIVITYD_BENCH_HARNESS_MEASURE_H
#define ACTIVITYD_BENCH_HARNESS_MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A number from the environment (SECONDS_PER_WINDOW, WINDOWS). */
uint32_t bench_setting(const char *name, uint32_t standard);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t measure_ns(void);
/* Processor time of all threads of another process so far, in us. Unlike its speed it depends
 * little on what else the machine does. */
uint64_t measure_cpu_us(pid_t process);

struct series {
    double values[64];
    size_t count;
};
void series_add(struct series *series, double value);
double series_median(const struct series *series);
/* One row: name, median, [least..most], unit. */
void series_print(const struct series *series, const char *name, const char *unit);

/* Latencies in a window: the value at `part` (0.5, 0.99) in nanoseconds. Sorts in place. */
uint64_t latency_at(uint64_t *nanoseconds, size_t count, double part);

#endif
