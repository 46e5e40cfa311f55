/* Random commands from a seed: a small world of tenants, users, groups and services, in which
 * things go wrong on purpose. */
#ifndef ACTIVITYD_TESTS_SIM_RANDOM_H
#define ACTIVITYD_TESTS_SIM_RANDOM_H

#include "tests/sim/model.h"

uint64_t random_next(uint64_t *state);                  /* xorshift64*; the state may not be 0 */
uint64_t random_below(uint64_t *state, uint64_t bound); /* 0..bound-1 */
bool random_chance(uint64_t *state, unsigned of_thousand);

#define WORLD_COMMANDS 16
#define WORLD_REQUESTS 64
#define WORLD_DIGESTS  48

struct world {
    uint64_t state;
    struct core_limits limits;   /* in force */
    struct core_limits capacity; /* of the core: what LIMITS may go up to */
    bool tight;                  /* small limits, so that caps are met */
    bool wordy;                  /* long attributes, results and JSON */
    bool stormy;                 /* more requests than ids can be remembered */
    unsigned pace;               /* percent of the usual time between entries */
    uint64_t clock_ms;           /* the real clock, which somebody sets now and then */
    uint32_t serial;             /* makes request ids and words */
    bool restarted;              /* the next entry is the first one after a start */
    /* Creates and records that were sent, encoded, to be repeated. */
    struct buffer sent[WORLD_REQUESTS];
    uint32_t sent_count;
    /* Digests of the last entries, for ticks. */
    struct {
        uint64_t index, digest;
    } digests[WORLD_DIGESTS];
    /* The entry made last, valid until the next one. */
    struct entry entry;
    struct command commands[WORLD_COMMANDS];
    struct buffer bytes[4 * WORLD_COMMANDS];
    uint32_t bytes_used;
};

static inline uint64_t world_between(struct world *world, uint64_t least, uint64_t most)
{
    return least + random_below(&world->state, most - least + 1);
}
static inline bool world_chance(struct world *world, unsigned of_thousand)
{
    return random_chance(&world->state, of_thousand);
}

/* Small limits at random, within the capacity of world_init. */
void world_tight_limits(struct world *world, struct core_limits *limits);

/* Chooses limits and habits by the seed. */
void world_init(struct world *world, uint64_t seed);
void world_deinit(struct world *world);

/* The first entry of a journal: an epoch and limits. */
void world_first(struct world *world);

/* The next entry; jobs and repetitions are picked from what the model knows. */
void world_next(struct world *world, const struct model *model);

/* To be called with every applied entry. */
void world_applied(struct world *world, uint64_t index, uint64_t digest);

/* Anybody, for a question; the views are static. */
void world_caller(struct world *world, struct command_caller *caller);
/* A filter for FindActivities, mostly a wide one. */
void world_filter(struct world *world, const struct model *model,
                  struct core_find_activities *filter);
/* Any job: running, ended, left, made up. */
uint64_t world_job(struct world *world, const struct model *model);

#endif
