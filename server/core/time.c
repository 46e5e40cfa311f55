#include "server/core/time.h"

/* What of a clock is believed. */
static uint64_t believed(struct core_time *time, const struct entry_head *head, uint64_t clock)
{
    uint64_t expected = time->clock_ms + head->elapsed_ms;
    if ((head->flags & (ENTRY_JUMP | ENTRY_RESUME)) != 0 || time->clock_ms == 0) {
        time->lead_ms = 0; /* after a stall the clock has every reason to be elsewhere */
    } else if (clock > expected && clock - expected > TIME_JUMP_MS) {
        time->lead_ms += clock - expected;
        time->lead_since_ms = time->service_ms;
    } else if (clock < expected) { /* put right, wholly or in part */
        uint64_t back = expected - clock;
        time->lead_ms = time->lead_ms > back ? time->lead_ms - back : 0;
    }
    if (time->service_ms - time->lead_since_ms >= TIME_JUMP_DOUBT_MS) {
        time->lead_ms = 0;
    }
    time->clock_ms = clock;
    return clock > time->lead_ms ? clock - time->lead_ms : 0;
}

void time_advance(struct core_time *time, const struct entry_head *head)
{
    uint64_t clock = head->clock_ms < TIME_CLOCK_MAX_MS ? head->clock_ms : TIME_CLOCK_MAX_MS;
    time->service_ms += head->elapsed_ms;
    if ((head->flags & ENTRY_RESUME) != 0) {
        time->resume_ms = time->service_ms;
    }
    uint64_t halves = head->elapsed_ms + time->half;
    uint64_t least = time->wall_ms + halves / 2;
    time->half = halves % 2;
    clock = believed(time, head, clock);
    time->wall_ms = clock > least ? clock : least;
}
