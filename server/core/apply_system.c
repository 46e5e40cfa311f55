/* EPOCH, LIMITS, UPGRADE and TICK: what the engine says, not a caller. */
#include "server/check.h"
#include "server/core/life.h"

static void done(struct core *core)
{
    emit_reply(core, (struct bytes){NULL, 0});
}

/* The first epoch gives the keys and the first numbers; a later one (restore, repair) makes sure
 * that no id of the history that is lost is issued again. */
void apply_epoch(struct core *core, const struct command *command)
{
    const struct command_epoch *epoch = &command->epoch;
    if (core->epoch == 0) {
        names_set_key(&core->names, epoch->hash_key);
        memcpy(&core->activities.order.salt, epoch->hash_key, sizeof core->activities.order.salt);
        core->activities.first_generation = epoch->first_generation;
    }
    /* At the most all generations are used up: they must not begin anew. */
    uint32_t *raised = &core->activities.raised;
    *raised = *raised > UINT32_MAX - epoch->raise_generations ? UINT32_MAX
                                                              : *raised + epoch->raise_generations;
    tickets_set_next(&core->tickets, epoch->first_ticket);
    core->epoch = epoch->epoch;
    done(core);
}

static bool within(const struct core_limits *limits, const struct core_limits *capacity)
{
    struct core_limits most = *capacity;
    core_limits_raise(&most, limits);
    for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        if (most.values[i] != capacity->values[i]) {
            return false;
        }
    }
    return true;
}

void apply_limits(struct core *core, const struct command *command)
{
    struct core_limits limits;
    memcpy(limits.values, command->limits.values, sizeof limits.values);
    if (core_limits_check(&limits) != NULL) {
        core->error = CORE_MALFORMED;
        return;
    }
    if (!within(&limits, &core->capacity)) {
        core->error = CORE_TOO_LARGE;
        return;
    }
    bool sooner = limits.kill_after_ms < core->limits.kill_after_ms ||
                  limits.resume_grace_ms < core->limits.resume_grace_ms;
    if (core->limits.index_mode != 0 && limits.index_mode == 0) {
        index_leave(core);
    }
    core->limits = limits;
    if (core->limits_given == 0) {
        core->peak = limits;
    }
    core->limits_given = 1;
    core_limits_raise(&core->peak, &limits);
    shares_recount(&core->names);
    if (sooner) {
        activities_set_timers(&core->activities, &core->limits, &core->time);
    }
    done(core);
}

void apply_upgrade(struct core *core, const struct command *command)
{
    if (command->upgrade.core_version < core->version ||
        command->upgrade.core_version > CORE_VERSION) {
        core->error = CORE_MALFORMED;
        return;
    }
    core->version = command->upgrade.core_version;
    done(core);
}

void apply_tick(struct core *core, const struct command *command)
{
    const struct command_tick *tick = &command->tick;
    if (tick->index >= core->index) { /* of an entry that did not exist when the tick was formed */
        core->error = CORE_MALFORMED;
        return;
    }
    if (tick->index != 0 && core->index - tick->index <= CORE_DIGESTS &&
        core->digests[tick->index % CORE_DIGESTS] != tick->digest) {
        core->error = CORE_DIVERGED;
        return;
    }
    struct reader from = reader_of(tick->beats);
    struct bytes tenant;
    struct bytes user;
    while (command_beat_next(&from, &tenant, &user)) {
        presence_beat(&core->presence, &core->names, &core->limits, &core->time, tenant, user);
    }
    done(core);
}
