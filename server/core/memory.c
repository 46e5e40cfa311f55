/* The core's memory: one layout, that measures and carves with the same code. */
#include "server/core/state.h"

struct part {
    const char *name;
    size_t bytes;
};
#define PARTS 15u

/* Lays everything out behind the core itself. With a region that only measures, `core` may be any
 * room for it. */
static void layout(struct core *core, struct region *region, const struct core_limits *capacity,
                   struct part parts[PARTS])
{
    uint32_t count = 0;
    size_t before = 0;
#define PART(text, statement)                                                                      \
    statement;                                                                                     \
    parts[count++] = (struct part){text, region->used - before};                                   \
    before = region->used
    PART("core", (void)region_take(region, 1, sizeof *core));
    PART("names", names_layout(&core->names, region, capacity));
    PART("activities", activities_layout(&core->activities, region, capacity));
    PART("results", results_layout(&core->results, region, capacity));
    PART("tombstones", tombstones_layout(&core->tombstones, region, capacity));
    PART("present users", presence_layout(&core->presence, region, capacity));
    PART("request ids", requests_layout(&core->requests, region, capacity));
    PART("change windows", changes_layout(&core->changes, region, capacity));
    PART("tickets", tickets_layout(&core->tickets, region, capacity));
    PART("pending changes", pending_layout(&core->pending, region, capacity));
    PART("parked documents", parked_layout(&core->parked, region, capacity));
    PART("feed window", feed_window_layout(&core->feed, region, capacity));
    PART("running children", children_layout(&core->children, region, capacity, &core->activities));
    PART("changed progress", progress_layout(&core->progress, region, &core->activities));
    PART("effects", core->effects_buffer = region_take(region, CORE_EFFECTS_MAX, 1);
         core->columns =
             region_take(region, 2 * (size_t)LIMIT_BATCH_UPDATES + BATCH_REPLY_BYTES, 1));
#undef PART
}

size_t core_memory_bytes(const struct core_limits *capacity)
{
    struct core any;
    struct region region = {.base = NULL};
    struct part parts[PARTS];
    layout(&any, &region, capacity, parts);
    return region.used;
}

void core_memory_parts(const struct core_limits *capacity,
                       void (*part)(void *context, const char *name, size_t bytes), void *context)
{
    struct core any;
    struct region region = {.base = NULL};
    struct part parts[PARTS];
    layout(&any, &region, capacity, parts);
    for (uint32_t i = 0; i < PARTS; i++) {
        part(context, parts[i].name, parts[i].bytes);
    }
}

struct core *core_init(void *memory, const struct core_limits *capacity)
{
    struct core *core = memory;
    struct region region = {.base = memory};
    struct part parts[PARTS];
    layout(core, &region, capacity, parts);
    core->capacity = *capacity;
    core->version = CORE_VERSION;
    core_limits_standard(&core->limits);
    for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        if (core->limits.values[i] > capacity->values[i]) {
            core->limits.values[i] = capacity->values[i];
        }
    }
    core->peak = core->limits;
    return core;
}
