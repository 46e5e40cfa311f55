#include "server/engine/timing.h"

void timing_init(struct timing *timing, uint64_t boot_ms, uint64_t wall_ms)
{
    *timing = (struct timing){.boot_ms = boot_ms, .offset_ms = wall_ms - boot_ms};
}

uint64_t timing_elapsed_ms(const struct timing *timing, uint64_t boot_ms)
{
    return boot_ms > timing->boot_ms ? boot_ms - timing->boot_ms : 0;
}

static void stamp_elapsed(struct timing *timing, uint64_t boot_ms, struct entry_head *head)
{
    uint64_t elapsed = timing_elapsed_ms(timing, boot_ms);
    if (!timing->stamped) {
        /* Nobody knows how long the service was down: nothing of it counts. */
        head->flags = ENTRY_RESUME | ENTRY_JUMP;
        head->elapsed_ms = 0;
    } else if (elapsed > ENTRY_ELAPSED_MAX_MS) {
        head->flags = ENTRY_RESUME;
        head->elapsed_ms = ENTRY_ELAPSED_MAX_MS;
    } else {
        head->flags = timing->resume ? ENTRY_RESUME : 0;
        head->elapsed_ms = (uint16_t)elapsed;
    }
    timing->stamped = true;
    timing->resume = false;
    timing->boot_ms += elapsed;
}

static enum timing_news stamp_clock(struct timing *timing, uint64_t boot_ms, uint64_t wall_ms,
                                    struct entry_head *head)
{
    uint64_t offset = wall_ms - boot_ms;
    bool jumped = (int64_t)(offset - timing->offset_ms) > TIMING_JUMP_MS;
    enum timing_news news = TIMING_NOTHING;
    if (jumped && !timing->doubting) {
        timing->doubting = true;
        timing->doubt_ms = boot_ms;
        news = TIMING_JUMPED;
    } else if (jumped && boot_ms - timing->doubt_ms >= TIMING_DOUBT_MS) {
        timing->doubting = false;
        timing->offset_ms = offset;
        news = TIMING_FOLLOWED;
    } else if (!jumped) {
        timing->doubting = false;
        timing->offset_ms = offset; /* backwards too: the core never shows that */
    }
    head->clock_ms = boot_ms + timing->offset_ms;
    return news;
}

enum timing_news timing_stamp(struct timing *timing, uint64_t boot_ms, uint64_t wall_ms,
                              struct entry_head *head)
{
    stamp_elapsed(timing, boot_ms, head);
    return stamp_clock(timing, boot_ms, wall_ms, head);
}
