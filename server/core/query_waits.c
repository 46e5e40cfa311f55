/* WaitActivity and WaitVisible: one look each. A look that is repeated begins where the one before
 * ended: while what it waits for still waits that is one record, without a question about rights.
 */
#include "server/core/state.h"

/* ---- A job and its children ---- */

static bool has_come(uint8_t state, uint8_t percent, const struct core_wait_activity *wait)
{
    return state > ACTIVITY_RUNNING || percent >= wait->percent;
}

/* How the job stands, whatever is left of it: a result is kept of a completed one only. False:
 * nothing is. */
static bool look_at_job(const struct core *core, struct core_wait_activity *wait)
{
    uint32_t slot = activities_find(&core->activities, wait->job_id);
    if (slot != 0) {
        wait->own_state = activities_hot(&core->activities, slot)->state;
        wait->own_percent = activities_hot(&core->activities, slot)->percent;
        return true;
    }
    uint32_t tombstone = tombstones_find(&core->tombstones, wait->job_id);
    if (tombstone != 0) {
        wait->own_state = tombstones_at(&core->tombstones, tombstone)->state;
        wait->own_percent = tombstones_at(&core->tombstones, tombstone)->percent;
        return true;
    }
    if (results_find(&core->results, wait->job_id) != 0) {
        wait->own_state = ACTIVITY_COMPLETED;
        wait->own_percent = LIMIT_PERCENT_MAX;
        return true;
    }
    return false;
}

static bool job_is_visible(const struct core *core, const struct core_viewer *viewer,
                           uint64_t job_id)
{
    struct job_rights rights;
    return job_find(core, job_id, &rights) && job_visible(viewer, &rights);
}

/* The next child that is waited for, or none: REACHED. */
static enum core_wait_outcome look_for_child(const struct core *core,
                                             const struct command_caller *caller,
                                             struct core_wait_activity *wait)
{
    const struct activities *activities = &core->activities;
    const struct order *order = &core->children.order;
    struct core_viewer viewer;
    bool viewer_made = false;
    uint32_t touched = 0;
    wait->pending = 0;
    for (uint32_t node = children_after(&core->children, wait->job_id, wait->after); node != 0;
         node = order_next(order, node)) {
        if (touched++ == LIMIT_FIND_TOUCHED) {
            return CORE_WAIT_PENDING;
        }
        uint32_t slot = order_node(order, node)->item;
        const struct activity_hot *hot = activities_hot(activities, slot);
        if (!has_come(hot->state, hot->percent, wait)) {
            if (!viewer_made) {
                core_viewer_init(core, caller, &viewer);
                viewer_made = true;
            }
            struct job_rights rights;
            activities_rights(activities, slot, &rights);
            if (job_visible(&viewer, &rights)) {
                wait->pending = activities_job_id(activities, slot);
                return CORE_WAIT_PENDING;
            }
        }
        wait->after = order_node(order, node)->key;
    }
    return CORE_WAIT_REACHED;
}

enum core_wait_outcome core_wait_activity(const struct core *core,
                                          const struct command_caller *caller,
                                          struct core_wait_activity *wait)
{
    if (!wait->seen) {
        struct core_viewer viewer;
        core_viewer_init(core, caller, &viewer);
        if (!job_is_visible(core, &viewer, wait->job_id)) {
            return CORE_WAIT_UNKNOWN;
        }
        wait->seen = true;
    }
    /* Nothing may be left of it by now. Then how it stood is known, or lost with it. */
    if (!look_at_job(core, wait) && !has_come(wait->own_state, wait->own_percent, wait)) {
        wait->pending = 0;
        return CORE_WAIT_UNKNOWN;
    }
    if (!has_come(wait->own_state, wait->own_percent, wait)) {
        wait->pending = wait->job_id;
        return CORE_WAIT_PENDING;
    }
    if (!wait->children) {
        wait->pending = 0;
        return CORE_WAIT_REACHED;
    }
    uint32_t slot =
        wait->pending == wait->job_id ? 0 : activities_find(&core->activities, wait->pending);
    if (slot != 0) {
        const struct activity_hot *hot = activities_hot(&core->activities, slot);
        if (!has_come(hot->state, hot->percent, wait)) {
            return CORE_WAIT_PENDING;
        }
    }
    return look_for_child(core, caller, wait);
}

/* ---- Tickets ---- */

/* The caller's own ones, or all of the caller's tenant. */
static bool ticket_counts(const struct core_viewer *viewer, const struct ticket *ticket, bool all)
{
    return ticket->tenant == viewer->tenant &&
           (all || (ticket->principal == viewer->principal && ticket->user == viewer->user &&
                    viewer->has_user == (ticket->user != 0)));
}

static enum core_wait_outcome look_at_ticket(const struct ticket *ticket,
                                             struct core_wait_visible *wait)
{
    bool parked = ticket->parked != 0 || ticket->discarded != 0;
    uint32_t waits = ticket->open - (wait->stage == VISIBLE_SENT ? ticket->flying : 0u);
    if (!parked && waits == 0) {
        wait->done_ms = ticket->done_ms > wait->done_ms ? ticket->done_ms : wait->done_ms;
        return CORE_WAIT_REACHED;
    }
    wait->pending = ticket->id;
    wait->open = ticket->open;
    return parked ? CORE_WAIT_PARKED : CORE_WAIT_PENDING;
}

static enum core_wait_outcome wait_ticket(const struct core *core,
                                          const struct command_caller *caller,
                                          struct core_wait_visible *wait)
{
    uint32_t place = tickets_find(&core->tickets, wait->ticket);
    if (!wait->seen) {
        struct core_viewer viewer;
        core_viewer_init(core, caller, &viewer);
        if (place == 0 || !ticket_counts(&viewer, tickets_at(&core->tickets, place), false)) {
            return CORE_WAIT_UNKNOWN;
        }
        wait->seen = true;
    }
    wait->pending = 0;
    wait->open = 0;
    if (place == 0) { /* it was there and is not any more: only done ones leave */
        wait->done_ms = wait->done_ms == 0 ? core->time.service_ms : wait->done_ms;
        return CORE_WAIT_REACHED;
    }
    return look_at_ticket(tickets_at(&core->tickets, place), wait);
}

/* The next ticket of the job behind the last one that was looked at. When that one has left, the
 * walk begins anew: it was done, as are the others of its age. */
static uint32_t next_ticket(const struct core *core, const struct core_wait_visible *wait)
{
    uint32_t place = wait->after == 0 ? 0 : tickets_find(&core->tickets, wait->after);
    return tickets_of_job(&core->tickets, wait->job_id, place);
}

static enum core_wait_outcome look_for_ticket(const struct core *core,
                                              const struct core_viewer *viewer,
                                              struct core_wait_visible *wait)
{
    uint32_t touched = 0;
    for (uint32_t place = next_ticket(core, wait); place != 0;
         place = tickets_of_job(&core->tickets, wait->job_id, place)) {
        const struct ticket *ticket = tickets_at(&core->tickets, place);
        if (touched++ == LIMIT_FIND_TOUCHED) {
            return wait->seen ? CORE_WAIT_PENDING : CORE_WAIT_UNKNOWN;
        }
        if (ticket_counts(viewer, ticket, wait->all)) {
            wait->seen = true;
            enum core_wait_outcome outcome = look_at_ticket(ticket, wait);
            if (outcome != CORE_WAIT_REACHED) {
                return outcome;
            }
        }
        wait->after = ticket->id;
    }
    return wait->seen ? CORE_WAIT_REACHED : CORE_WAIT_UNKNOWN;
}

static enum core_wait_outcome wait_tickets(const struct core *core,
                                           const struct command_caller *caller,
                                           struct core_wait_visible *wait)
{
    uint32_t place = wait->pending == 0 ? 0 : tickets_find(&core->tickets, wait->pending);
    if (wait->pending != 0 && place == 0) {
        wait->done_ms = core->time.service_ms;
    }
    if (place != 0) {
        enum core_wait_outcome outcome = look_at_ticket(tickets_at(&core->tickets, place), wait);
        if (outcome != CORE_WAIT_REACHED) {
            return outcome;
        }
    }
    wait->pending = 0;
    wait->open = 0;
    struct core_viewer viewer;
    core_viewer_init(core, caller, &viewer);
    if (!wait->seen) {
        wait->all = viewer.admin || job_is_visible(core, &viewer, wait->job_id);
    }
    if (wait->after != 0 && !wait->lost && tickets_find(&core->tickets, wait->after) == 0) {
        wait->lost = true; /* others may have left with it */
        wait->done_ms = core->time.service_ms;
    }
    return look_for_ticket(core, &viewer, wait);
}

enum core_wait_outcome core_wait_visible(const struct core *core,
                                         const struct command_caller *caller,
                                         struct core_wait_visible *wait)
{
    return wait->ticket != 0 ? wait_ticket(core, caller, wait) : wait_tickets(core, caller, wait);
}
