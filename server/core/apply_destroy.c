/* DESTROY: a running job becomes CANCELLED. */
#include "server/core/life.h"

static void emit_destroyed(struct core *core, uint8_t disposition)
{
    emit_reply(core, bytes_of(&disposition, sizeof disposition));
}

/* How a job stands that is remembered: activity or tombstone. */
static enum activity_state state_of(const struct core *core, uint64_t job_id, uint32_t slot)
{
    if (slot != 0) {
        return (enum activity_state)activities_hot(&core->activities, slot)->state;
    }
    uint32_t tombstone = tombstones_find(&core->tombstones, job_id);
    /* Of a job whose tombstone has left only its result may be there, and that it completed. */
    return tombstone != 0 ? (enum activity_state)tombstones_at(&core->tombstones, tombstone)->state
                          : ACTIVITY_COMPLETED;
}

void apply_destroy(struct core *core, const struct command *command)
{
    const struct command_destroy *destroy = &command->destroy;
    struct core_viewer viewer;
    struct job_rights rights;
    viewer_of(&core->names, &destroy->caller, true, &viewer);
    bool known = job_find(core, destroy->job_id, &rights);
    if (!known || (!job_changeable(&viewer, &rights) && !job_visible(&viewer, &rights))) {
        emit_destroyed(core, DISPOSITION_UNKNOWN);
        return;
    }
    if (!job_changeable(&viewer, &rights)) {
        emit_refusal(
            core, &(struct refusal_of){STATUS_PERMISSION_DENIED, REASON_NOT_YOURS, FIELD_NONE, 0});
        return;
    }
    uint32_t slot = activities_find(&core->activities, destroy->job_id);
    enum activity_state state = state_of(core, destroy->job_id, slot);
    if (state != ACTIVITY_RUNNING) {
        emit_destroyed(core, (uint8_t)(state + 2));
        return;
    }
    life_end(core, slot, ACTIVITY_CANCELLED, 0);
    emit_destroyed(core, DISPOSITION_APPLIED);
}
