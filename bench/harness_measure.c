#include "bench/harness_measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint32_t bench_setting(const char *name, uint32_t standard)
{
    const char *text = getenv(name);
    return text == NULL || atol(text) <= 0 ? standard : (uint32_t)atol(text);
}

uint64_t measure_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t measure_cpu_us(pid_t process)
{
    clockid_t clock;
    struct timespec time = {0};
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) != 0) {
        return 0;
    }
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000;
}

void series_add(struct series *series, double value)
{
    if (series->count < sizeof series->values / sizeof series->values[0]) {
        series->values[series->count++] = value;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static struct series sorted(const struct series *series)
{
    struct series copy = *series;
    qsort(copy.values, copy.count, sizeof copy.values[0], by_value);
    return copy;
}

double series_median(const struct series *series)
{
    struct series copy = sorted(series);
    return copy.count == 0 ? 0 : copy.values[copy.count / 2];
}

void series_print(const struct series *series, const char *name, const char *unit)
{
    struct series copy = sorted(series);
    if (copy.count > 0) {
        int digits = copy.values[copy.count - 1] < 100 ? 2 : 0; /* ratios */
        (void)printf("%-44s %14.*f [%.*f..%.*f] %s\n", name, digits, copy.values[copy.count / 2],
                     digits, copy.values[0], digits, copy.values[copy.count - 1], unit);
        (void)fflush(stdout);
    }
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

uint64_t latency_at(uint64_t *nanoseconds, size_t count, double part)
{
    if (count == 0) {
        return 0;
    }
    qsort(nanoseconds, count, sizeof nanoseconds[0], by_time);
    size_t at = (size_t)((double)count * part);
    return nanoseconds[at < count ? at : count - 1];
}
