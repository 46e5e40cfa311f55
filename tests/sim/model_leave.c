/* What leaves, by time or early at a cap: the model asks the core what is gone, and judges whether
 * it was its turn. */
#include "tests/sim/model_state.h"

#include "server/check.h"

#include <inttypes.h>

void model_probe(const struct core *core, struct bytes tenant, struct core_viewer *viewer)
{
    static const char name[] = "probe";
    struct command_caller caller = {
        .tenant = tenant, .principal = bytes_of(name, sizeof name - 1), .rights = RIGHT_ADMIN};
    core_viewer_init(core, &caller, viewer);
}

/* ---- Whose turn it is ---- */

/* One thing that could have to leave: those that leave early must be the oldest of their tenant;
 * where a tenant holds more than half it loses first, else the oldest of all leaves. */
struct candidate {
    uint32_t tenant;
    uint64_t rank; /* UINT64_MAX: none of these things after all */
    bool leaves, early;
    bool fresh; /* became one in this entry */
};

/* Who holds more than half of what is counted: whether anybody could be said to, and the tenant
 * that did all through the entry (0: none). */
struct shares {
    bool anybody;
    uint32_t surely;
};

static bool judge_turns(struct model *model, const struct candidate *all, uint32_t count,
                        const struct shares *shares, const char *what)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; all[i].leaves && all[i].early && j < count; j++) {
            bool stays = !all[j].leaves && all[j].rank != UINT64_MAX;
            bool older_stays = stays && all[j].rank < all[i].rank;
            if (older_stays && all[j].tenant == all[i].tenant) {
                return model_complain(model,
                                      "%s leaves early (%" PRIu64 " of %" PRIu32
                                      "), but an older one (%" PRIu64 ") of its tenant stays",
                                      what, all[i].rank, count, all[j].rank);
            }
            if (older_stays && !shares->anybody) {
                return model_complain(
                    model, "%s leaves early, but an older one of another tenant stays", what);
            }
            if (stays && !all[j].fresh && all[j].tenant == shares->surely &&
                all[i].tenant != shares->surely) {
                return model_complain(
                    model, "%s leaves early, but one of a tenant with more than half stays", what);
            }
        }
    }
    return true;
}

/* `moves`: how much may have come and gone in this entry. While more is there than a lowered limit
 * admits, and until nobody is heavy any more, nobody is so for sure: several may be, and the order
 * among them is not said. */
static void weigh(struct model *model, enum model_table table, uint64_t moves,
                  bool (*counts)(const struct model_job *job), struct shares *shares)
{
    uint64_t limit = model_table_limit(model, table);
    struct {
        uint32_t tenant;
        uint64_t held;
    } tenants[64] = {{0}};
    *shares = (struct shares){0};
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[i];
        uint32_t t = 0;
        while (t < 63 && tenants[t].tenant != 0 && tenants[t].tenant != job->tenant) {
            t++;
        }
        tenants[t].tenant = job->tenant;
        tenants[t].held += counts(job);
    }
    for (uint32_t t = 0; t < 63; t++) {
        shares->anybody = shares->anybody || tenants[t].held + 2 > limit / 2;
        shares->surely = tenants[t].held > limit / 2 + moves ? tenants[t].tenant : shares->surely;
    }
    model->overfull[table] = model->overfull[table] && shares->anybody;
    shares->surely = model->overfull[table] ? 0 : shares->surely;
}

void model_limits_changed(struct model *model)
{
    uint64_t counts[TABLE_COUNT] = {0};
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[i];
        counts[TABLE_ACTIVITIES] += job->stage == JOB_HELD;
        counts[TABLE_TOMBSTONES] += job->stage == JOB_LEFT;
        counts[TABLE_RESULTS] += job->has_result;
    }
    for (int table = 0; table < TABLE_COUNT; table++) {
        uint64_t limit = model_table_limit(model, (enum model_table)table);
        model->overfull[table] = model->overfull[table] || counts[table] > limit;
    }
}

/* ---- Activities ---- */

static bool is_held(const struct model_job *job)
{
    return job->stage == JOB_HELD;
}
static bool is_left(const struct model_job *job)
{
    return job->stage == JOB_LEFT;
}
static bool is_result(const struct model_job *job)
{
    return job->has_result;
}

static bool leave_activities(struct model *model, const struct core *core)
{
    static struct core_activity activity; /* large */
    uint64_t held = 0, keep = model->limits.ended_keep_ms;
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        held += model->jobs.at[i]->stage == JOB_HELD;
    }
    uint64_t limit = model->limits.activities_max; /* the last of the room may be kept from a tenant
                                                      with more than half */
    bool crowded = !model_settled(model) || model->text_pressure || held > limit ||
                   model->list_pressure || (model->attempts > 0 && held >= limit - limit / 8);
    struct candidate *all = calloc(model->jobs.count + 1, sizeof *all);
    CHECK(all != NULL);
    uint32_t count = 0;
    uint64_t gone = 0;
    bool right = true, any_early = false;
    for (uint32_t i = 0; right && i < model->jobs.count; i++) {
        struct model_job *job = model->jobs.at[i];
        if (job->stage != JOB_HELD || job->state == ACTIVITY_RUNNING) {
            continue;
        }
        bool in_time = model_may_be_over(model, job->end_service, keep), leaves = false;
        if (in_time || crowded) {
            struct core_viewer viewer;
            model_probe(core, model_name_text(model, job->tenant), &viewer);
            leaves = !core_get_activity(core, &viewer, job->id, &activity);
        }
        if (!leaves && model_over(model, job->end_service, keep) && model_settled(model)) {
            right = model_complain(
                model, "job %" PRIu64 " has ended %" PRIu64 " ms ago and is still there", job->id,
                model->service - job->end_service);
        }
        all[count++] = (struct candidate){job->tenant, job->end_rank, leaves, !in_time,
                                          job->end_rank > model->rank_before};
        any_early = any_early || (leaves && !in_time);
        gone += leaves;
        model->met[MET_LEFT_EARLY] += leaves && !in_time;
        job->early = leaves; /* becomes a tombstone below */
    }
    if (right && any_early) {
        struct shares shares;
        weigh(model, TABLE_ACTIVITIES, gone + model->attempts, is_held, &shares);
        if (model->text_pressure || !model_settled(model)) { /* then text is what is weighed */
            shares = (struct shares){.anybody = true};
        }
        right = judge_turns(model, all, count, &shares, "an ended activity");
    }
    free(all);
    for (uint32_t i = 0; right && i < model->jobs.count; i++) {
        struct model_job *job = model->jobs.at[i];
        if (job->early) {
            job->early = false;
            job->stage = JOB_LEFT;
            job->left_rank = model->index;
        }
    }
    return right;
}

/* ---- Tombstones and results ---- */

static void drop_job(struct model *model, uint32_t i)
{
    model_job_free(model->jobs.at[i]);
    LIST_REMOVE(&model->jobs, i);
}

/* A tombstone may leave before the job's result does: then the result is still readable, and
 * nothing else known. That cannot be seen by a question, so such a job is taken to be in either
 * state until its result has left too. */
static bool leave_tombstones(struct model *model, const struct core *core)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        count += model->jobs.at[i]->stage == JOB_LEFT;
    }
    if (count <= model->limits.tombstones_max && model_settled(model) && !model->name_pressure) {
        return true;
    }
    struct candidate *all = calloc(model->jobs.count + 1, sizeof *all);
    CHECK(all != NULL);
    uint64_t surely = 0, moves = 0;
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        struct model_job *job = model->jobs.at[i];
        struct core_viewer viewer;
        struct core_result result = {.state = RESULT_EMPTY};
        if (job->stage == JOB_LEFT) {
            model_probe(core, model_name_text(model, job->tenant), &viewer);
            core_get_result(core, &viewer, job->id, &result, NULL);
            job->perhaps_forgotten = job->has_result && result.state == RESULT_READY;
            surely += !job->perhaps_forgotten && result.state != RESULT_UNKNOWN;
        }
        bool stays = job->stage != JOB_LEFT || result.state != RESULT_UNKNOWN;
        bool counts = job->stage == JOB_LEFT && !job->perhaps_forgotten;
        bool fresh = counts && job->left_rank == model->index;
        all[i] = (struct candidate){job->tenant, counts ? job->left_rank : UINT64_MAX, !stays, true,
                                    fresh};
        moves += (uint64_t)fresh + !stays + job->perhaps_forgotten;
        model->met[MET_TOMBSTONE_LEFT] += !stays;
    }
    struct shares shares;
    weigh(model, TABLE_TOMBSTONES, moves, is_left, &shares);
    if (!model_settled(model) || model->name_pressure) {
        shares = (struct shares){.anybody = true};
    }
    bool right = judge_turns(model, all, model->jobs.count, &shares, "a tombstone");
    for (uint32_t i = model->jobs.count; right && i-- > 0;) {
        if (all[i].leaves) {
            drop_job(model, i);
        }
    }
    free(all);
    if (right && surely > model->limits.tombstones_max && model_settled(model)) {
        return model_complain(model, "%" PRIu64 " tombstones are kept", surely);
    }
    return right;
}

static bool leave_results(struct model *model, const struct core *core)
{
    struct candidate *all = calloc(model->jobs.count + 1, sizeof *all);
    CHECK(all != NULL);
    bool right = true, any_early = false, crowded = model->result_pressure || !model_settled(model);
    uint64_t moves = 0;
    for (uint32_t i = 0; right && i < model->jobs.count; i++) {
        struct model_job *job = model->jobs.at[i];
        bool in_time = job->has_result &&
                       model_may_be_over(model, job->result_service, model->limits.result_keep_ms);
        bool leaves = false;
        if (job->has_result && (in_time || crowded)) {
            struct core_viewer viewer;
            struct core_result result;
            model_probe(core, model_name_text(model, job->tenant), &viewer);
            core_get_result(core, &viewer, job->id, &result, NULL);
            leaves = result.state == RESULT_EXPIRED ||
                     (result.state == RESULT_UNKNOWN && job->perhaps_forgotten);
            job->forgotten = result.state == RESULT_UNKNOWN && job->perhaps_forgotten;
            if (result.state == RESULT_READY && model_settled(model) &&
                model_over(model, job->result_service, model->limits.result_keep_ms)) {
                right = model_complain(model, "the result of job %" PRIu64 " is kept too long",
                                       job->id);
            }
        }
        all[i] = (struct candidate){job->tenant, job->has_result ? job->result_rank : UINT64_MAX,
                                    leaves, !in_time, job->result_rank > model->rank_before};
        moves += (uint64_t)leaves + (job->has_result && all[i].fresh);
        any_early = any_early || (leaves && !in_time);
        model->met[MET_RESULT_LEFT_EARLY] += leaves && !in_time;
    }
    if (right && any_early) {
        /* By bytes a tenant may be heavy too, which is not counted here: then only the order within
         * tenants is judged. */
        uint64_t count = 0;
        for (uint32_t i = 0; i < model->jobs.count; i++) {
            count += model->jobs.at[i]->has_result;
        }
        struct shares shares;
        weigh(model, TABLE_RESULTS, moves, is_result, &shares);
        if (count <= model->limits.results_max || model->result_bytes_pressure) {
            shares = (struct shares){.anybody = true};
        }
        right = judge_turns(model, all, model->jobs.count, &shares, "a result");
    }
    for (uint32_t i = model->jobs.count; right && i-- > 0;) {
        struct model_job *job = model->jobs.at[i];
        if (all[i].leaves) {
            job->has_result = job->perhaps_forgotten = false;
        }
        if (job->forgotten) {
            drop_job(model, i);
        }
    }
    free(all);
    return right;
}

/* ---- Tickets, events, counts ---- */

static bool leave_tickets(struct model *model)
{
    const struct core_limits *limits = &model->limits;
    uint64_t surely = 0;
    for (uint32_t i = 0; i < model->tickets.count; i++) {
        const struct model_ticket *ticket = &model->tickets.at[i];
        surely += ticket->open > 0 ||
                  !model_may_be_over(model, ticket->done_service, limits->ticket_keep_ms);
    }
    uint64_t kept = model->after.tickets;
    if (kept < surely || kept > model->tickets.count) {
        return model_complain(model,
                              "%" PRIu64 " tickets are kept, expected %" PRIu64 " to %" PRIu32,
                              kept, surely, model->tickets.count);
    }
    for (uint32_t i = 0;
         i < model->tickets.count && model->tickets.count > kept;) { /* by age of their end */
        uint32_t oldest = UINT32_MAX;
        for (uint32_t j = 0; j < model->tickets.count; j++) {
            const struct model_ticket *ticket = &model->tickets.at[j];
            if (ticket->open == 0 &&
                (oldest == UINT32_MAX ||
                 ticket->done_service < model->tickets.at[oldest].done_service)) {
                oldest = j;
            }
        }
        LIST_REMOVE(&model->tickets, oldest);
    }
    for (uint32_t i = 0; i < model->tickets.count; i++) {
        const struct model_ticket *ticket = &model->tickets.at[i];
        if (ticket->open == 0 && model_over(model, ticket->done_service, limits->ticket_keep_ms) &&
            model_settled(model)) {
            return model_complain(model, "ticket %" PRIu64 " is kept too long", ticket->id);
        }
    }
    return true;
}

static bool leave_events(struct model *model)
{
    uint64_t oldest = model->after.oldest_sequence, keep = model->limits.feed_keep_ms, bytes = 0;
    if (model->after.head_sequence != model->head_sequence || oldest > model->head_sequence + 1 ||
        oldest < model->before.oldest_sequence) {
        return model_complain(
            model, "events %" PRIu64 " to %" PRIu64 " are kept, the last one was %" PRIu64, oldest,
            model->after.head_sequence, model->head_sequence);
    }
    for (uint32_t i = model->events.count; i-- > 0 && model->events.at[i].sequence + 1 >= oldest;) {
        bytes += model->events.at[i].body.length + UINT64_C(64);
    }
    uint32_t gone = 0;
    while (gone < model->events.count && model->events.at[gone].sequence < oldest) {
        gone++;
    }
    if (gone > 0 && !model_may_be_over(model, model->events.at[gone - 1].service, keep) &&
        model_settled(model)) {
        model->met[MET_EVENT_LEFT_EARLY]++;
        if (bytes <= model->limits.feed_window_bytes) {
            return model_complain(model, "event %" PRIu64 " left early, of %" PRIu64 " bytes",
                                  oldest - 1, bytes);
        }
    }
    if (gone < model->events.count && model_over(model, model->events.at[gone].service, keep) &&
        model_settled(model)) {
        return model_complain(model, "event %" PRIu64 " is kept too long", oldest);
    }
    for (uint32_t i = 0; i < gone; i++) {
        free(model->events.at[i].body.at);
    }
    if (gone > 0) {
        model->events.count -= gone;
        memmove(model->events.at, model->events.at + gone,
                model->events.count * sizeof *model->events.at);
    }
    return true;
}

static bool same_count(struct model *model, const char *what, uint64_t core, uint64_t ours)
{
    return core == ours ||
           model_complain(model, "the core counts %" PRIu64 " %s, the model %" PRIu64, core, what,
                          ours);
}

static bool counts(struct model *model)
{
    uint64_t running = 0, held = 0, left = 0, perhaps_left = 0, results = 0, beats = 0;
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[i];
        held += job->stage == JOB_HELD;
        left += job->stage == JOB_LEFT && !job->perhaps_forgotten;
        perhaps_left += job->stage == JOB_LEFT;
        running += job->stage == JOB_HELD && job->state == ACTIVITY_RUNNING;
        results += job->has_result;
    }
    for (uint32_t i = model->beats.count; i-- > 0;) {
        if (model_over(model, model->beats.at[i].service, model->limits.presence_keep_ms)) {
            LIST_REMOVE(&model->beats, i);
        } else {
            beats += !model_may_be_over(model, model->beats.at[i].service,
                                        model->limits.presence_keep_ms);
        }
    }
    const struct core_info *info = &model->after;
    /* Presence is soft: where a tenant, a name or a place cannot be had, the user is not shown. */
    if (model->beats.count > model->limits.present_users_max / 2 || !model_settled(model) ||
        model_tenants_seen(model, 0) > model->limits.tenants_max) {
        model->presence_doubt_service = model->service;
    }
    model->presence_pressure = model->service - model->presence_doubt_service <=
                               model->limits.presence_keep_ms + MODEL_SLACK_MS;
    if (info->present_users > model->beats.count ||
        (info->present_users < beats && !model->presence_pressure)) {
        return model_complain(model,
                              "%" PRIu64 " users are present, expected %" PRIu64 " to %" PRIu32,
                              info->present_users, beats, model->beats.count);
    }
    /* Right after a raise less may be kept than is promised from then on. */
    bool long_in_force =
        model->service - model->limits_service >= model->limits.request_id_least_ms;
    if ((info->request_id_kept_ms < model->limits.request_id_least_ms && long_in_force) ||
        info->request_id_kept_ms > model->limits.request_id_most_ms) {
        return model_complain(model, "request ids are kept for %" PRIu64 " ms",
                              info->request_id_kept_ms);
    }
    return same_count(model, "running activities", info->running, running) &&
           same_count(model, "activities", info->activities, held) &&
           same_count(model, "tombstones", info->tombstones,
                      info->tombstones > left && info->tombstones <= perhaps_left ? info->tombstones
                                                                                  : left) &&
           same_count(model, "results", info->results, results) &&
           same_count(model, "waiting changes", info->pending_changes, model->pending.count);
}

/* The next moment at which something must happen may not be after the deadline that the engine is
 * told. */
static bool deadline(struct model *model, const struct core *core)
{
    uint64_t told = core_next_deadline(core), due = UINT64_MAX;
    const struct core_limits *limits = &model->limits;
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[i];
        uint64_t at = UINT64_MAX;
        if (job->stage == JOB_HELD && job->state == ACTIVITY_RUNNING) {
            uint64_t silent = job->beat_service + limits->kill_after_ms + 1,
                     up = model->resumed + limits->resume_grace_ms;
            at = (silent > up ? silent : up) + MODEL_SLACK_MS;
        } else if (job->stage == JOB_HELD) {
            at = job->end_service + limits->ended_keep_ms + MODEL_SLACK_MS;
        }
        if (job->has_result && at > job->result_service + limits->result_keep_ms + MODEL_SLACK_MS) {
            at = job->result_service + limits->result_keep_ms + MODEL_SLACK_MS;
        }
        due = at < due ? at : due;
    }
    if (model->pending.count > 0 && model->pending.at[0].service + limits->flush_delay_ms < due) {
        due = model->pending.at[0].service + limits->flush_delay_ms;
    }
    if (model->events.count > 0 &&
        model->events.at[0].service + limits->feed_keep_ms + MODEL_SLACK_MS < due) {
        due = model->events.at[0].service + limits->feed_keep_ms + MODEL_SLACK_MS;
    }
    if (!model_settled(model)) { /* what is due at once by new limits may take a moment */
        due = model->limits_service + MODEL_SLACK_MS > due ? model->limits_service + MODEL_SLACK_MS
                                                           : due;
    }
    if (told > due && told > model->service) {
        return model_complain(model,
                              "the next deadline is %" PRIu64 ", but something is due at %" PRIu64
                              " (now %" PRIu64 ")",
                              told, due, model->service);
    }
    return true;
}

bool model_leave(struct model *model, const struct core *core)
{
    return leave_results(model, core) && leave_activities(model, core) &&
           leave_tombstones(model, core) &&
           ((!model->change_pressure && model_settled(model)) ||
            model_leave_changes(model, core)) &&
           leave_tickets(model) && leave_events(model) && counts(model) && deadline(model, core);
}
