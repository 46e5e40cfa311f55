/* What an entry says of time. Service time is the sum of elapsed_ms, differences of truncated
 * readings of one clock, so nothing is lost between entries. One thread. */
#ifndef ACTIVITYD_SERVER_ENGINE_TIMING_H
#define ACTIVITYD_SERVER_ENGINE_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/command.h"

/* A clock that is set forward further than this is not believed at once. */
#define TIMING_JUMP_MS  3600000
#define TIMING_DOUBT_MS 60000

struct timing {
    bool stamped;       /* there was an entry of this process */
    bool resume;        /* the next entry says RESUME, whatever its elapsed time */
    uint64_t boot_ms;   /* reading of the last entry, before it: of the start */
    uint64_t offset_ms; /* CLOCK_REALTIME minus CLOCK_BOOTTIME, modulo 2^64, as believed */
    bool doubting;      /* the clocks say another offset, since: */
    uint64_t doubt_ms;
};

enum timing_news {
    TIMING_NOTHING = 0,
    TIMING_JUMPED = 1,  /* the real clock went more than an hour forward: not followed yet */
    TIMING_FOLLOWED = 2 /* it stayed there for a minute and is followed */
};

void timing_init(struct timing *timing, uint64_t boot_ms, uint64_t wall_ms);

/* Since the last entry, by a reading that may be older than it: then 0. */
uint64_t timing_elapsed_ms(const struct timing *timing, uint64_t boot_ms);

/* Fills flags, elapsed_ms and clock_ms of the entry that is formed now. */
enum timing_news timing_stamp(struct timing *timing, uint64_t boot_ms, uint64_t wall_ms,
                              struct entry_head *head);

#endif
