/* Service time, on which everything expires, and the wall clock, which is only shown. */
#ifndef ACTIVITYD_SERVER_CORE_TIME_H
#define ACTIVITYD_SERVER_CORE_TIME_H

#include "server/core/command.h"

struct core_time {
    uint64_t service_ms; /* sum of what entries say has passed */
    uint64_t wall_ms;    /* never goes back, and moves on at half speed at least */
    uint64_t resume_ms;  /* service time of the last start or stall */
    uint64_t clock_ms;   /* the last entry's */
    uint64_t lead_ms;    /* how far a clock that jumped forward is not believed yet */
    uint64_t lead_since_ms;
    uint64_t half; /* 0 or 1: the half millisecond carried */
};

/* A forward jump of the clock above the first is believed only after the second, so that a clock
 * that is put right again within a minute leaves no trace. */
#define TIME_JUMP_MS       3600000u
#define TIME_JUMP_DOUBT_MS 60000u
/* Later clocks are cut: times stay small enough to be packed. */
#define TIME_CLOCK_MAX_MS ((uint64_t)1 << 47)

/* Whether a snapshot's times can be: far from any overflow. */
static inline bool time_sound(const struct core_time *time)
{
    return time->service_ms < TIME_CLOCK_MAX_MS && time->wall_ms <= 2 * TIME_CLOCK_MAX_MS &&
           time->resume_ms <= time->service_ms && time->clock_ms <= TIME_CLOCK_MAX_MS &&
           time->lead_ms <= TIME_CLOCK_MAX_MS && time->lead_since_ms <= time->service_ms &&
           time->half <= 1;
}

void time_advance(struct core_time *time, const struct entry_head *head);

#endif
