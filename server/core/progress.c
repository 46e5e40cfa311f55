#include "server/core/progress.h"

#include "server/core/state.h"

static size_t words(const struct activities *activities)
{
    return (size_t)activities->hot.capacity / 64 + 1;
}

void progress_layout(struct progress *progress, struct region *region,
                     const struct activities *activities)
{
    *progress = (struct progress){.taken = 0};
    progress->percents = region_take(region, words(activities), sizeof *progress->percents);
    progress->texts = region_take(region, words(activities), sizeof *progress->texts);
}

static bool is_running(const struct activities *activities, uint32_t slot)
{
    return activities_hot(activities, slot)->state == ACTIVITY_RUNNING;
}

static void take(struct core *core, uint32_t slot, struct core_progress *taken)
{
    const struct activities *activities = &core->activities;
    const struct activity_hot *hot = activities_hot(activities, slot);
    const struct activity_cold *cold = activities_cold(activities, slot);
    taken->job_id = activities_job_id(activities, slot);
    taken->percent = hot->percent;
    taken->tenant = names_text(&core->names, hot->tenant, taken->text);
    taken->has_text = (core->progress.texts[slot / 64] >> (slot % 64) & 1) != 0;
    taken->status_text = bytes_of(NULL, 0);
    if (taken->has_text) {
        uint8_t *at = taken->text + taken->tenant.length;
        pool_get(&activities->texts, cold->status_text, cold->status_length, at);
        taken->status_text = bytes_of(at, cold->status_length);
    }
    progress_forget(&core->progress, slot);
}

/* A word of marks at a time: most are empty. */
bool core_progress_next(struct core *core, uint32_t *slots, struct core_progress *progress)
{
    struct progress *marks = &core->progress;
    uint32_t high = core->activities.hot.high;
    uint32_t left = *slots < high ? *slots : high; /* once round: then there is none */
    while (left != 0) {
        uint32_t at = marks->taken < high ? marks->taken + 1 : 1;
        uint32_t run = 64 - at % 64;
        run = run < left ? run : left;
        run = run <= high - at ? run : high - at + 1;
        uint64_t marked = (marks->percents[at / 64] | marks->texts[at / 64]) >> (at % 64);
        marked &= ~(uint64_t)0 >> (64 - run);
        uint32_t looked = marked == 0 ? run : (uint32_t)__builtin_ctzll(marked) + 1;
        marks->taken = at + looked - 1;
        left -= looked;
        *slots -= looked;
        if (marked != 0) {
            take(core, marks->taken, progress);
            return true;
        }
    }
    return false;
}

void core_progress_remind(struct core *core, uint32_t slots)
{
    struct progress *marks = &core->progress;
    uint32_t high = core->activities.hot.high;
    for (uint32_t left = slots < high ? slots : high; left != 0; left--) {
        marks->reminded = marks->reminded < high ? marks->reminded + 1 : 1;
        if (is_running(&core->activities, marks->reminded)) {
            progress_mark(marks->percents, marks->reminded);
            progress_mark(marks->texts, marks->reminded);
        }
    }
}

const char *progress_verify(const struct progress *progress, const struct activities *activities)
{
    for (size_t word = 0; word < words(activities); word++) {
        uint64_t marked = progress->percents[word] | progress->texts[word];
        for (; marked != 0; marked &= marked - 1) {
            uint32_t slot = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(marked);
            if (!table_live(&activities->hot, slot) || !is_running(activities, slot)) {
                return "progress is marked of an activity that is not running";
            }
        }
    }
    return NULL;
}
