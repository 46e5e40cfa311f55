/* GetJobResult and ListPresentUsers. */
#include "server/core/state.h"

/* What the job's activity or tombstone says, when it is the viewer's to see. */
static bool outcome_of(const struct core *core, const struct core_viewer *viewer, uint64_t job_id,
                       struct core_result *result, bool *had_result)
{
    struct job_rights rights;
    uint32_t slot = activities_find(&core->activities, job_id);
    if (slot != 0) {
        const struct activity_hot *hot = activities_hot(&core->activities, slot);
        activities_rights(&core->activities, slot, &rights);
        result->outcome = hot->state;
        *had_result = (hot->flags & ACTIVITY_HAD_RESULT) != 0;
        return job_visible(viewer, &rights);
    }
    uint32_t id = tombstones_find(&core->tombstones, job_id);
    if (id != 0) {
        result->outcome = tombstones_at(&core->tombstones, id)->state;
        *had_result = tombstones_at(&core->tombstones, id)->had_result != 0;
        return job_visible(viewer, &tombstones_at(&core->tombstones, id)->rights);
    }
    return false;
}

void core_get_result(const struct core *core, const struct core_viewer *viewer, uint64_t job_id,
                     struct core_result *result, uint8_t *to)
{
    *result = (struct core_result){.state = RESULT_UNKNOWN};
    uint32_t id = results_find(&core->results, job_id);
    if (id != 0 && job_visible(viewer, &results_at(&core->results, id)->rights)) {
        const struct result *kept = results_at(&core->results, id);
        *result = (struct core_result){
            .state = RESULT_READY, .outcome = ACTIVITY_COMPLETED, .length = kept->length};
        if (to != NULL) {
            pool_get(&core->results.bytes, kept->first, kept->length, to);
        }
        return;
    }
    struct core_result found = {.state = RESULT_EMPTY};
    bool had_result = false;
    if (!outcome_of(core, viewer, job_id, &found, &had_result)) {
        return;
    }
    if (found.outcome == ACTIVITY_RUNNING) {
        found = (struct core_result){.state = RESULT_PENDING, .outcome = ACTIVITY_RUNNING};
    } else if (had_result) {
        found.state = RESULT_EXPIRED;
    }
    *result = found;
}

bool core_present_user_next(const struct core *core, const struct core_viewer *viewer,
                            uint64_t *position, struct core_user *user)
{
    const struct presence *presence = &core->presence;
    if (*position > presence->table.high || viewer->tenant == 0) {
        return false;
    }
    for (uint32_t id = table_next(&presence->table, (uint32_t)*position); id != 0;
         id = table_next(&presence->table, id)) {
        const struct present *present = presence_at(presence, id);
        if (present->tenant == viewer->tenant) {
            *position = id;
            user->user = names_text(&core->names, present->user, user->text);
            user->last_seen_ms = present->wall_ms;
            return true;
        }
    }
    return false;
}

bool core_beat_due(const struct core *core, const struct core_viewer *viewer)
{
    if (!viewer->has_user) {
        return false;
    }
    uint32_t id = viewer->user == 0 ? 0 : names_at(&core->names, viewer->user)->beside;
    return id == 0 ||
           core->time.service_ms - presence_at(&core->presence, id)->service_ms >= PRESENCE_BEAT_MS;
}
