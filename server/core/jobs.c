#include "server/core/jobs.h"

#include "server/core/state.h"

void viewer_of(const struct names *names, const struct command_caller *caller, bool with_groups,
               struct core_viewer *viewer)
{
    *viewer = (struct core_viewer){
        .has_user = caller->user.length != 0,
        .admin = (caller->rights & RIGHT_ADMIN) != 0,
        .update_any = (caller->rights & RIGHT_UPDATE_ANY) != 0,
        .tenant = names_lookup(names, NAME_TENANT, 0, caller->tenant),
    };
    if (viewer->tenant == 0) {
        return;
    }
    viewer->principal = names_lookup(names, NAME_PRINCIPAL, viewer->tenant, caller->principal);
    if (!viewer->has_user) {
        return;
    }
    viewer->user = names_lookup(names, NAME_USER, viewer->tenant, caller->user);
    for (uint32_t i = 0; with_groups && i < caller->group_count; i++) {
        uint32_t group = names_lookup(names, NAME_GROUP, viewer->tenant, caller->groups[i]);
        if (group != 0) {
            viewer->groups[viewer->group_count++] = group;
        }
    }
    viewer->named_group_count = viewer->group_count;
}

void core_viewer_init(const struct core *core, const struct command_caller *caller,
                      struct core_viewer *viewer)
{
    viewer_of(&core->names, caller, true, viewer);
    uint32_t everybody = viewer->tenant == 0 ? 0
                                             : names_lookup(&core->names, NAME_GROUP,
                                                            viewer->tenant, bytes_of("*", 1));
    if (everybody != 0) {
        viewer->groups[viewer->group_count++] = everybody;
    }
}

bool job_changeable(const struct core_viewer *viewer, const struct job_rights *rights)
{
    if (viewer->tenant == 0 || rights->tenant != viewer->tenant) {
        return false;
    }
    if (viewer->admin || viewer->update_any) {
        return true;
    }
    return viewer->has_user ? viewer->user != 0 && rights->owner == viewer->user
                            : viewer->principal != 0 && rights->creator == viewer->principal;
}

bool job_visible(const struct core_viewer *viewer, const struct job_rights *rights)
{
    if (viewer->tenant == 0 || rights->tenant != viewer->tenant) {
        return false;
    }
    if (viewer->admin) {
        return true;
    }
    if (!viewer->has_user) {
        return viewer->principal != 0 && rights->creator == viewer->principal;
    }
    if (viewer->user != 0 && rights->owner == viewer->user) {
        return true;
    }
    for (uint32_t i = 0; i < viewer->named_group_count; i++) {
        for (uint32_t k = 0; k < LIMIT_OBJECT_GROUPS && rights->groups[k] != 0; k++) {
            if (viewer->groups[i] == rights->groups[k]) {
                return true;
            }
        }
    }
    return false;
}

bool job_find(const struct core *core, uint64_t job_id, struct job_rights *rights)
{
    uint32_t slot = activities_find(&core->activities, job_id);
    if (slot != 0) {
        activities_rights(&core->activities, slot, rights);
        return true;
    }
    uint32_t result = results_find(&core->results, job_id);
    if (result != 0) {
        *rights = results_at(&core->results, result)->rights;
        return true;
    }
    uint32_t tombstone = tombstones_find(&core->tombstones, job_id);
    if (tombstone != 0) {
        *rights = tombstones_at(&core->tombstones, tombstone)->rights;
        return true;
    }
    return false;
}

bool job_may_be_named(const struct core *core, const struct core_viewer *viewer, uint64_t job_id)
{
    struct job_rights rights;
    return job_id == 0 || (job_find(core, job_id, &rights) && job_changeable(viewer, &rights));
}

void job_rights_hold(struct names *names, const struct job_rights *rights)
{
    names_hold(names, rights->tenant);
    names_hold(names, rights->owner);
    names_hold(names, rights->creator);
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        names_hold(names, rights->groups[i]);
    }
}

void job_rights_release(struct names *names, const struct job_rights *rights)
{
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        names_release(names, rights->groups[i]);
    }
    names_release(names, rights->creator);
    names_release(names, rights->owner);
    names_release(names, rights->tenant);
}

bool job_rights_sound(const struct names *names, const struct job_rights *rights)
{
    uint32_t count = job_group_count(rights);
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        if (i < count ? !names_is(names, rights->groups[i], NAME_GROUP, rights->tenant)
                      : rights->groups[i] != 0) {
            return false;
        }
    }
    return names_is(names, rights->tenant, NAME_TENANT, 0) &&
           names_is(names, rights->creator, NAME_PRINCIPAL, rights->tenant) &&
           (rights->owner == 0 || names_is(names, rights->owner, NAME_USER, rights->tenant));
}
