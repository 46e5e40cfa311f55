#include "server/engine/wake.h"

#include <errno.h>
#include <time.h>

#include "server/check.h"

void wake_init(struct wake *wake)
{
    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&wake->rung_changed, &attributes) == 0);
    CHECK(pthread_mutex_init(&wake->lock, NULL) == 0);
    (void)pthread_condattr_destroy(&attributes);
    wake->rung = false;
    wake->sleeping = false;
}

void wake_deinit(struct wake *wake)
{
    (void)pthread_cond_destroy(&wake->rung_changed);
    (void)pthread_mutex_destroy(&wake->lock);
}

void wake_ring(struct wake *wake)
{
    (void)pthread_mutex_lock(&wake->lock);
    wake->rung = true;
    if (wake->sleeping) {
        (void)pthread_cond_signal(&wake->rung_changed);
    }
    (void)pthread_mutex_unlock(&wake->lock);
}

static struct timespec time_in(uint64_t ms)
{
    struct timespec until;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    uint64_t ns = (uint64_t)until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    return until;
}

void wake_wait(struct wake *wake, uint64_t most_ms)
{
    const uint64_t day = 24 * 3600 * 1000;
    struct timespec until = time_in(most_ms < day ? most_ms : day);
    int outcome = 0;
    (void)pthread_mutex_lock(&wake->lock);
    wake->sleeping = true;
    while (!wake->rung && outcome != ETIMEDOUT) {
        outcome = pthread_cond_timedwait(&wake->rung_changed, &wake->lock, &until);
    }
    wake->sleeping = false;
    wake->rung = false;
    (void)pthread_mutex_unlock(&wake->lock);
}
