/* Those who wait, and progress: what the model says to each look. */
#include "tests/sim/model_state.h"

#include "tests/sim/script.h"

#include <inttypes.h>

static const char *outcome_name(enum core_wait_outcome outcome)
{
    static const char *const names[] = {"UNKNOWN", "PENDING", "REACHED", "PARKED"};
    return names[outcome];
}

static bool outcome_is(struct model *model, const char *what, uint64_t id,
                       const enum core_wait_outcome outcome[2])
{
    return outcome[0] == outcome[1] ||
           model_complain(model, "waiting for %s %" PRIu64 ": %s, expected %s", what, id,
                          outcome_name(outcome[0]), outcome_name(outcome[1]));
}

/* ---- A job and its children ---- */

static bool has_come(const struct model_job *job, uint8_t percent)
{
    return job->state != ACTIVITY_RUNNING || job->percent >= percent;
}

static bool is_awaited(const struct model_job *job, const struct model_caller *caller,
                       const struct core_wait_activity *wait)
{
    return job->id == wait->job_id || (wait->children && job->parent == wait->job_id &&
                                       job->stage == JOB_HELD && model_sees(job, caller));
}

static enum core_wait_outcome expected_of_job(const struct model *model,
                                              const struct model_caller *caller,
                                              struct model_wait *wait)
{
    const struct model_job *job = model_find(model, wait->activity.job_id);
    if (!wait->seen && (job == NULL || !model_sees(job, caller))) {
        return CORE_WAIT_UNKNOWN;
    }
    wait->seen = true;
    if (job != NULL) {
        wait->own_state = job->state;
        wait->own_percent = job->percent;
    } else if (wait->own_state == ACTIVITY_RUNNING &&
               wait->own_percent < wait->activity.percent) { /* ended, and left no trace */
        return CORE_WAIT_UNKNOWN;
    }
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        if (is_awaited(model->jobs.at[i], caller, &wait->activity) &&
            !has_come(model->jobs.at[i], wait->activity.percent)) {
            return CORE_WAIT_PENDING;
        }
    }
    return CORE_WAIT_REACHED;
}

static bool check_job(struct model *model, const struct core *core, struct model_wait *wait)
{
    struct model_caller us;
    model_caller_set(model, &us, &wait->caller);
    struct core_wait_activity *look = &wait->activity;
    bool seen = wait->seen;
    enum core_wait_outcome outcomes[2] = {core_wait_activity(core, &wait->caller, look),
                                          expected_of_job(model, &us, wait)};
    if (!outcome_is(model, look->children ? "the family of job" : "job", look->job_id, outcomes)) {
        return false;
    }
    wait->over = outcomes[0] != CORE_WAIT_PENDING;
    if (outcomes[0] == CORE_WAIT_UNKNOWN) {
        model->met[MET_LOST] += seen;
        return true;
    }
    if (look->own_state != wait->own_state || look->own_percent != wait->own_percent) {
        return model_complain(model, "job %" PRIu64 " is said to be %s at %u %%, not %s at %u %%",
                              look->job_id, script_state(look->own_state), look->own_percent,
                              script_state(wait->own_state), wait->own_percent);
    }
    if (outcomes[0] == CORE_WAIT_REACHED) {
        model->met[look->children ? MET_AWAITED_CHILDREN : MET_AWAITED] += wait->waited;
        return look->pending == 0 ||
               model_complain(model, "job %" PRIu64 " is waited for after all", look->pending);
    }
    wait->waited = !look->children || look->pending != look->job_id;
    const struct model_job *pending = model_find(model, look->pending);
    return (pending != NULL && is_awaited(pending, &us, look) &&
            !has_come(pending, look->percent)) ||
           model_complain(model, "job %" PRIu64 " is waited for, but need not be", look->pending);
}

/* ---- Tickets ---- */

static bool counts(const struct model_ticket *ticket, const struct model_caller *caller,
                   const struct model_wait *wait)
{
    bool own = ticket->principal == caller->principal && ticket->user == caller->user;
    return ticket->tenant == caller->tenant && (own || wait->all) &&
           (wait->visible.ticket != 0 ? ticket->id == wait->visible.ticket
                                      : ticket->job_id != 0 &&
                                            ticket->job_id == wait->visible.job_id);
}

static bool check_tickets(struct model *model, const struct core *core, struct model_wait *wait)
{
    struct model_caller us;
    model_caller_set(model, &us, &wait->caller);
    struct core_wait_visible *look = &wait->visible;
    const struct model_job *job = look->ticket != 0 ? NULL : model_find(model, look->job_id);
    if (!wait->seen) {
        wait->serial = model->issued_tickets.count;
        wait->all = look->ticket == 0 && (us.admin || (job != NULL && model_sees(job, &us)));
    }
    enum core_wait_outcome outcome = core_wait_visible(core, &wait->caller, look);
    bool some = false, must_wait = false, is_open = false;
    for (uint32_t i = 0; i < model->tickets.count; i++) {
        const struct model_ticket *ticket = &model->tickets.at[i];
        if (counts(ticket, &us, wait)) {
            some = true;
            must_wait = must_wait || (ticket->open > 0 && ticket->serial <= wait->serial);
            is_open = is_open || (ticket->id == look->pending && ticket->open > 0 &&
                                  ticket->open == look->open);
        }
    }
    enum core_wait_outcome expected = !some && !wait->seen ? CORE_WAIT_UNKNOWN
                                      : must_wait          ? CORE_WAIT_PENDING
                                                           : CORE_WAIT_REACHED;
    bool later = outcome == CORE_WAIT_PENDING && wait->seen && is_open; /* for a later one */
    if (!outcome_is(model, look->ticket != 0 ? "ticket" : "the tickets of job",
                    look->ticket != 0 ? look->ticket : look->job_id,
                    (enum core_wait_outcome[]){outcome, later ? outcome : expected})) {
        return false;
    }
    wait->seen = outcome != CORE_WAIT_UNKNOWN;
    wait->over = outcome != CORE_WAIT_PENDING;
    if (outcome == CORE_WAIT_PENDING) {
        wait->waited = true;
        return is_open || model_complain(model,
                                         "ticket %" PRIu64 " with %" PRIu64
                                         " open changes is waited for, but need not be",
                                         look->pending, look->open);
    }
    model->met[look->ticket != 0 ? MET_AWAITED_TICKET : MET_AWAITED_TICKETS] += wait->waited;
    return (look->pending == 0 && look->open == 0) ||
           model_complain(model, "ticket %" PRIu64 " is waited for after all", look->pending);
}

bool model_check_wait(struct model *model, const struct core *core, struct model_wait *wait)
{
    return wait->for_tickets ? check_tickets(model, core, wait) : check_job(model, core, wait);
}

/* ---- Progress ---- */

static bool progress_is(struct model *model, const struct core_progress *progress)
{
    struct model_job *job = model_find(model, progress->job_id);
    if (job == NULL || job->stage != JOB_HELD || job->state != ACTIVITY_RUNNING ||
        (!job->new_percent && !job->new_text)) {
        return model_complain(model,
                              "progress of job %" PRIu64 " is told: it does not run, or there is "
                              "none",
                              progress->job_id);
    }
    struct bytes text = job->new_text ? model_text_view(&job->status) : bytes_of(NULL, 0);
    if (progress->percent != job->percent || progress->has_text != job->new_text ||
        !bytes_equal(progress->status_text, text) ||
        !bytes_equal(progress->tenant, model_name_text(model, job->tenant))) {
        return model_complain(model,
                              "job %" PRIu64 " is told to be at %u %%%s, or to be another "
                              "tenant's: expected %u %%%s",
                              job->id, progress->percent, progress->has_text ? " with a text" : "",
                              job->percent, job->new_text ? " with a text" : "");
    }
    model->met[MET_PROGRESS]++;
    model->met[MET_PROGRESS_TEXT] += progress->has_text;
    job->new_percent = job->new_text = false;
    return true;
}

bool model_check_progress(struct model *model, struct core *core, uint32_t slots)
{
    struct core_progress progress;
    for (uint32_t left = slots; left != 0 && core_progress_next(core, &left, &progress);) {
        if (left >= slots || !progress_is(model, &progress)) {
            return left < slots || model_complain(model, "progress is found without a look");
        }
    }
    uint32_t all = UINT32_MAX;
    while (core_progress_next(core, &all, &progress)) {
        if (!progress_is(model, &progress)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[i];
        if (job->stage == JOB_HELD && job->state == ACTIVITY_RUNNING &&
            (job->new_percent || job->new_text)) {
            return model_complain(model, "the progress of job %" PRIu64 " is not told", job->id);
        }
    }
    return true;
}

void model_remind(struct model *model, struct core *core)
{
    core_progress_remind(core, UINT32_MAX);
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        model->jobs.at[i]->new_percent = model->jobs.at[i]->new_text = true;
    }
}

void model_progress_lost(struct model *model)
{
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        model->jobs.at[i]->new_percent = model->jobs.at[i]->new_text = false;
    }
}

/* ---- For a generator ---- */

uint64_t model_parent(const struct model *model, uint64_t pick)
{
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[(i + pick) % model->jobs.count];
        if (job->stage == JOB_HELD && job->state == ACTIVITY_RUNNING && job->parent != 0) {
            return job->parent;
        }
    }
    return 0;
}

uint64_t model_ticket(const struct model *model, uint64_t pick, uint64_t *job_id,
                      struct command_caller *recorder)
{
    if (model->tickets.count == 0) {
        return 0;
    }
    const struct model_ticket *ticket = &model->tickets.at[pick % model->tickets.count];
    *job_id = ticket->job_id;
    *recorder = (struct command_caller){.tenant = model_name_text(model, ticket->tenant),
                                        .principal = model_name_text(model, ticket->principal),
                                        .user = model_name_text(model, ticket->user)};
    return ticket->id;
}
