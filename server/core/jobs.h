/* Who may see and change a job, whatever is left of it: the activity, its result or its tombstone.
 */
#ifndef ACTIVITYD_SERVER_CORE_JOBS_H
#define ACTIVITYD_SERVER_CORE_JOBS_H

#include "server/core/core.h"
#include "server/core/names.h"

/* Names; groups are at the front, the rest is 0. */
struct job_rights {
    uint32_t tenant;
    uint32_t owner;   /* 0: created without a user */
    uint32_t creator; /* principal */
    uint32_t groups[LIMIT_OBJECT_GROUPS];
};
_Static_assert(sizeof(struct job_rights) == 44, "written as it lies in memory");

/* A caller as viewer; without groups for calls that only change. */
void viewer_of(const struct names *names, const struct command_caller *caller, bool with_groups,
               struct core_viewer *viewer);

bool job_visible(const struct core_viewer *viewer, const struct job_rights *rights);
bool job_changeable(const struct core_viewer *viewer, const struct job_rights *rights);

/* The rights of a job that is remembered in any way. False: it is not. */
bool job_find(const struct core *core, uint64_t job_id, struct job_rights *rights);

/* Whether a command may name this job as its parent, its model or the origin of a change: 0 is
 * none, and fine. */
bool job_may_be_named(const struct core *core, const struct core_viewer *viewer, uint64_t job_id);

void job_rights_hold(struct names *names, const struct job_rights *rights);
void job_rights_release(struct names *names, const struct job_rights *rights);
/* Total: for verification. */
bool job_rights_sound(const struct names *names, const struct job_rights *rights);
static inline uint32_t job_group_count(const struct job_rights *rights)
{
    uint32_t count = 0;
    while (count < LIMIT_OBJECT_GROUPS && rights->groups[count] != 0) {
        count++;
    }
    return count;
}

#endif
