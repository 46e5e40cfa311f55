/* The limits and habits of a random world. */
#include "tests/sim/random.h"

#include "server/check.h"
#include "tests/sim/script.h"

void world_tight_limits(struct world *world, struct core_limits *limits)
{
    limits->activities_max = world_between(world, 6, 40);
    limits->results_max = world_between(world, 2, 12);
    limits->tombstones_max = world_between(world, 4, 60);
    limits->change_documents_max = world_between(world, 4, 14);
    limits->change_models_max = world_between(world, 12, 50);
    limits->pending_changes_max = world_between(world, 8, 40);
    limits->tickets_max = world_between(world, 8, 120);
    limits->present_users_max = world_between(world, 2, 8);
    limits->tenants_max = world_between(world, 2, 4);
    limits->activity_text_bytes = MIB(1);
    limits->result_bytes = MIB(2);
    limits->feed_window_bytes = MIB(1);
    limits->pending_bytes = MIB(2);
    limits->change_text_bytes = MIB(1);
    limits->request_ids_max = 1024;
    limits->kill_after_ms = world_between(world, 1000, 100000);
    limits->resume_grace_ms = world_between(world, 0, 60000);
    limits->ended_keep_ms = world_chance(world, 200) ? 0 : world_between(world, 1000, 60000);
    limits->result_keep_ms = world_chance(world, 100) ? 0 : world_between(world, 1000, 120000);
    limits->change_keep_ms = world_chance(world, 100) ? 0 : world_between(world, 500, 60000);
    limits->feed_keep_ms = world_chance(world, 100) ? 0 : world_between(world, 500, 60000);
    limits->presence_keep_ms = world_between(world, 1000, 90000);
    limits->ticket_keep_ms = world_chance(world, 100) ? 0 : world_between(world, 500, 60000);
    limits->request_id_least_ms = world_between(world, 1000, 60000);
    limits->request_id_most_ms = limits->request_id_least_ms + world_between(world, 0, 120000);
    limits->flush_delay_ms = world_chance(world, 200) ? 0 : world_between(world, 10, 2000);
    limits->flush_documents = world_between(world, 1, 6);
    limits->flush_bytes = world_chance(world, 500) ? world_between(world, 1024, 2000) : MIB(1);
}

/* Room enough that nothing has to leave or be refused, without touching much memory. */
static void wide_limits(struct world *world, struct core_limits *limits)
{
    limits->activities_max = world->wordy ? 260 : 3000;
    limits->tombstones_max = 400;
    limits->results_max = 3000;
    limits->change_documents_max = 200;
    limits->change_models_max = 3000;
    limits->pending_changes_max = 3000;
    limits->request_ids_max = 8192;
    limits->tickets_max = 9000;
    limits->present_users_max = 100;
    limits->tenants_max = 16;
    limits->activity_text_bytes = world->wordy ? MIB(1) : MIB(16);
    limits->result_bytes = world->wordy ? MIB(2) : MIB(16);
    limits->pending_bytes = world->wordy ? MIB(2) : MIB(16);
    limits->feed_window_bytes = world->wordy ? MIB(1) : MIB(16);
    limits->ticket_keep_ms = 60000; /* the model's linear lists are to stay short */
    limits->request_id_most_ms = 180000;
    limits->result_keep_ms = 120000;
    if (world->stormy) {
        limits->request_ids_max = 1024;
        limits->request_id_least_ms = 60000;
        limits->resume_grace_ms = limits->kill_after_ms = 10000;
        limits->ended_keep_ms = limits->ticket_keep_ms = 5000;
    }
    if (world->wordy) {
        limits->feed_keep_ms = 3600000; /* the bytes bound it */
        limits->resume_grace_ms = 10000;
        limits->kill_after_ms = 30000;
    }
}

static const uint64_t most_limits[] = {
#define MOST(name, standard, least, most, unit, text) most,
    CORE_LIMITS(MOST)
#undef MOST
};

void world_init(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    world->state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < 4; i++) {
        (void)random_next(&world->state);
    }
    world->tight = seed % 2 == 1;
    world->wordy = seed % 8 == 2;
    world->stormy = seed % 8 == 4;
    world->pace = world->wordy ? 25 : world->stormy ? 10 : (unsigned)world_between(world, 40, 160);
    world->clock_ms = SCRIPT_CLOCK_MS;
    world->restarted = true;
    core_limits_standard(&world->limits);
    wide_limits(world, &world->limits);
    world->capacity = world->limits;
    for (unsigned i = CORE_LIMIT_kill_after_ms; i <= CORE_LIMIT_flush_bytes;
         i++) { /* these take no memory */
        world->capacity.values[i] = most_limits[i];
    }
    if (world->tight) {
        world_tight_limits(world, &world->limits);
    }
    CHECK(core_limits_check(&world->limits) == NULL && core_limits_check(&world->capacity) == NULL);
    world->entry.commands = world->commands;
}

void world_deinit(struct world *world)
{
    for (size_t i = 0; i < sizeof world->bytes / sizeof *world->bytes; i++) {
        buffer_free(&world->bytes[i]);
    }
    for (size_t i = 0; i < WORLD_REQUESTS; i++) {
        buffer_free(&world->sent[i]);
    }
}
