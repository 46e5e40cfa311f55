/* The step: an entry's time, its commands, what expires, the digest. */
#include "server/core/core.h"

#include "server/check.h"
#include "server/core/digest.h"
#include "server/core/life.h"

typedef void apply_function(struct core *core, const struct command *command);

static apply_function *const apply[COMMAND_KIND_END] = {
    [COMMAND_EPOCH] = apply_epoch,     [COMMAND_LIMITS] = apply_limits,
    [COMMAND_UPGRADE] = apply_upgrade, [COMMAND_TICK] = apply_tick,
    [COMMAND_CREATE] = apply_create,   [COMMAND_UPDATE] = apply_update,
    [COMMAND_BATCH] = apply_batch,     [COMMAND_DESTROY] = apply_destroy,
    [COMMAND_RECORD] = apply_record,   [COMMAND_TAKE] = apply_take,
    [COMMAND_RESULT] = apply_result,   [COMMAND_INDEX_START] = apply_index_start,
    [COMMAND_PARKED] = apply_parked,
};

/* The hash key and the first numbers come with the first epoch: before it there is nothing to do.
 */
static enum core_outcome apply_next(struct core *core, struct reader *from, size_t *effects_max)
{
    const uint8_t *begin = from->at;
    if (!command_decode(from, &core->command)) {
        return CORE_MALFORMED;
    }
    *effects_max += command_effects_max(bytes_of(begin, (size_t)(from->at - begin)));
    if ((core->epoch == 0 && core->command.kind != COMMAND_EPOCH) ||
        *effects_max > CORE_EFFECTS_COMMANDS_MAX) {
        return CORE_MALFORMED;
    }
    core->error = CORE_OK;
    apply[core->command.kind](core, &core->command);
    return core->error;
}

enum core_outcome core_apply(struct core *core, uint64_t index, struct bytes entry,
                             struct bytes *effects)
{
    CHECK(index == core->index + 1);
    struct reader from = reader_of(entry);
    struct entry_head head;
    if (!entry_head_decode(&from, &head)) {
        return CORE_MALFORMED;
    }
    core->effects = writer_of(core->effects_buffer, CORE_EFFECTS_MAX);
    time_advance(&core->time, &head);
    core->index = index;
    size_t effects_max = 0;
    for (uint32_t i = 0; i < head.count; i++) {
        enum core_outcome outcome = apply_next(core, &from, &effects_max);
        if (outcome != CORE_OK) {
            return outcome;
        }
    }
    if (from.at != from.end) {
        return CORE_MALFORMED;
    }
    life_expire(core);
    *effects = bytes_of(core->effects_buffer, core->effects.wanted);
    core->digests[index % CORE_DIGESTS] =
        digest_next(core->digests[(index - 1) % CORE_DIGESTS], effects->at, effects->length);
    return CORE_OK;
}

void core_info(const struct core *core, struct core_info *info)
{
    *info = (struct core_info){
        .version = (uint32_t)core->version,
        .epoch = core->epoch,
        .index = core->index,
        .digest = core->digests[core->index % CORE_DIGESTS],
        .service_ms = core->time.service_ms,
        .wall_ms = core->time.wall_ms,
        .head_sequence = core->feed.head_sequence,
        .oldest_sequence = core->feed.oldest_sequence,
        .request_id_kept_ms =
            requests_kept_ms(&core->requests, &core->limits, core->time.service_ms),
        .running = core->activities.running,
        .activities = activities_count(&core->activities),
        .slots = core->activities.hot.high,
        .results = core->results.table.used,
        .tombstones = core->tombstones.table.used,
        .pending_changes = core->pending.changes.used,
        .tickets = core->tickets.table.used,
        .present_users = core->presence.table.used,
        .limits = core->limits,
    };
}
