/* The model's activities: advancing, ending, killing. */
#include "tests/sim/model_state.h"

#include "proto/status.h"
#include "tests/sim/script.h"

#include <inttypes.h>

/* ---- Ends ---- */

static bool ended_event(struct model *model, const struct event *event, const struct model_job *job)
{
    struct model_source source = {job->creator, job->owner, job->groups};
    if (!model_event_is(model, event, EVENT_ACTIVITY_ENDED, job->tenant, &source)) {
        return false;
    }
    if (event->ended.job_id != job->id || event->ended.state != job->state ||
        event->ended.percent != job->percent || !model_text_is(&job->type, event->ended.type) ||
        !model_text_is(&job->status, event->ended.status_text) ||
        !model_text_is(&job->failure_code, event->ended.failure_code) ||
        !model_text_is(&job->failure_message, event->ended.failure_message)) {
        return model_complain(
            model, "the event about the end of job %" PRIu64 " (%s at %u %%) says something else",
            job->id, script_state(job->state), job->percent);
    }
    return true;
}

static void end(struct model *model, struct model_job *job, enum activity_state state)
{
    static const enum model_meeting meetings[] = {[ACTIVITY_COMPLETED] = MET_COMPLETED,
                                                  [ACTIVITY_FAILED] = MET_FAILED,
                                                  [ACTIVITY_CANCELLED] = MET_CANCELLED,
                                                  [ACTIVITY_KILLED] = MET_KILLED};
    model->met[meetings[state]]++;
    job->state = (uint8_t)state;
    job->update_ms = job->end_ms = model->wall;
    job->update_or_ms = 0;
    job->end_service = model->service;
    job->end_rank = ++model->rank;
}

bool model_kill(struct model *model, const struct event *event)
{
    struct model_job *job =
        event->kind == EVENT_ACTIVITY_ENDED ? model_find(model, event->ended.job_id) : NULL;
    if (job == NULL || job->stage != JOB_HELD || job->state != ACTIVITY_RUNNING) {
        return model_complain(model, "event %" PRIu64 " ends a job that is not running",
                              event->sequence);
    }
    uint64_t silent = model->service - job->beat_service, up = model->service - model->resumed;
    if (silent <= model->limits.kill_after_ms || up < model->limits.resume_grace_ms) {
        return model_complain(model,
                              "job %" PRIu64 " is killed after a silence of %" PRIu64
                              " ms, %" PRIu64 " ms after a start",
                              job->id, silent, up);
    }
    end(model, job, ACTIVITY_KILLED);
    return ended_event(model, event, job);
}

bool model_kills_done(struct model *model)
{
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[i];
        if (job->stage == JOB_HELD && job->state == ACTIVITY_RUNNING && model_settled(model) &&
            model_over(model, job->beat_service, model->limits.kill_after_ms) &&
            model_over(model, model->resumed, model->limits.resume_grace_ms)) {
            return model_complain(model,
                                  "job %" PRIu64 " has been silent for %" PRIu64 " ms and lives",
                                  job->id, model->service - job->beat_service);
        }
    }
    return true;
}

/* ---- Update ---- */

#define BIT(disposition) (1u << (disposition))

/* What an update of an ended activity may be answered. */
static unsigned ended_dispositions(const struct model *model, const struct model_job *job,
                                   const struct command_update *update, bool by_batch)
{
    unsigned ignored = BIT(job->state + 2);
    bool could_be = false, same = !job->end_by_batch == !by_batch &&
                                  job->end_has_percent == update->has_percent &&
                                  job->end_percent == update->percent &&
                                  job->end_has_status == update->has_status_text &&
                                  model_text_is(&job->end_status, update->status_text);
    if (job->state == ACTIVITY_COMPLETED) {
        could_be = update->has_percent && update->percent == 100 &&
                   model_text_is(&job->result, update->result);
    } else if (job->state == ACTIVITY_FAILED) {
        could_be = update->has_failure && model_text_is(&job->failure_code, update->failure_code) &&
                   model_text_is(&job->failure_message, update->failure_message);
    }
    if (!could_be) {
        return ignored;
    }
    bool may_have_left = model->attempts > 0 || model->text_pressure || !model_settled(model) ||
                         model_may_be_over(model, job->end_service, model->limits.ended_keep_ms);
    return BIT(DISPOSITION_APPLIED) | (same && !may_have_left ? 0 : ignored);
}

/* Applies what an update says to a running job; `event` is where its end is told, NULL when there
 * is none. */
static bool advance_job(struct model *model, struct model_job *job,
                        const struct command_update *update, const struct event *event,
                        bool by_batch)
{
    job->beat_service = model->service;
    bool lower = update->has_percent && update->percent < job->percent;
    bool raised = update->has_percent && update->percent > job->percent;
    bool completes = update->has_percent && update->percent == 100;
    if (raised) {
        job->percent = update->percent;
        job->new_percent = true;
    }
    /* The text of a failure with a late percent: the contract does not say whether it counts. */
    bool replaced = update->has_status_text && !lower;
    if (lower && update->has_failure && update->has_status_text && event != NULL) {
        replaced = bytes_equal(event->ended.status_text, update->status_text);
    }
    bool other = replaced && !model_text_is(&job->status, update->status_text);
    job->new_text = job->new_text || other;
    if (replaced) {
        model_text_set(&job->status, update->status_text);
    }
    if (raised || other) {
        job->update_ms = model->wall;
        job->update_or_ms = 0;
    } else if (!lower) {
        job->update_or_ms = model->wall; /* the same again: whether that is a change is not said */
    }
    if (!completes && !update->has_failure) {
        return event == NULL ||
               model_complain(model, "job %" PRIu64 " ends by an update that does not end it",
                              job->id);
    }
    if (event == NULL) {
        return model_complain(model, "no event tells the end of job %" PRIu64, job->id);
    }
    job->end_by_batch = by_batch;
    job->end_has_percent = update->has_percent;
    job->end_percent = update->percent;
    job->end_has_status = update->has_status_text;
    model_text_set(&job->end_status, update->status_text);
    model_text_set(&job->failure_code, update->failure_code);
    model_text_set(&job->failure_message, update->failure_message);
    model_text_set(&job->result, update->result);
    job->had_result = job->has_result = update->result.length > 0;
    job->result_service = model->service;
    job->result_rank = ++model->rank;
    end(model, job, completes ? ACTIVITY_COMPLETED : ACTIVITY_FAILED);
    return ended_event(model, event, job);
}

/* One step of one job: judges percent and disposition, and applies it. `event` as above. */
static bool step(struct model *model, const struct model_caller *caller,
                 const struct command_update *update, const struct reply_update *answer,
                 const struct event **event, bool by_batch)
{
    struct model_job *job = model_find(model, update->job_id);
    unsigned allowed = BIT(DISPOSITION_UNKNOWN);
    uint8_t percent = 0;
    bool running = false;
    if (job != NULL && model_changes(job, caller)) {
        percent = job->percent;
        running = job->stage == JOB_HELD && job->state == ACTIVITY_RUNNING;
        if (running) {
            bool lower = update->has_percent && update->percent < job->percent;
            bool says_nothing = !update->has_percent && !update->has_status_text;
            bool heartbeat = (lower || says_nothing) && !update->has_failure;
            allowed = BIT(heartbeat ? DISPOSITION_HEARTBEAT : DISPOSITION_APPLIED);
            percent = update->has_percent && update->percent > percent ? update->percent : percent;
        } else if (job->stage == JOB_HELD) {
            allowed = ended_dispositions(model, job, update, by_batch);
        } else { /* a tombstone knows how it ended, but not at how many percent */
            allowed = BIT(job->state + 2);
            percent = job->state == ACTIVITY_COMPLETED || answer->percent != 0 ? percent : 0;
        }
        if (!running && answer->disposition == DISPOSITION_UNKNOWN &&
            model_perhaps_gone(model, job)) {
            allowed = BIT(DISPOSITION_UNKNOWN);
            percent = 0;
        }
    }
    if (answer->job_id != update->job_id || answer->percent != percent ||
        (allowed >> answer->disposition & 1) == 0) {
        return model_complain(model,
                              "job %" PRIu64 " is answered %" PRIu64
                              " %u %% %s, expected %u %% and dispositions 0x%x",
                              update->job_id, answer->job_id, answer->percent,
                              script_disposition(answer->disposition), percent, allowed);
    }
    static const enum model_meeting meetings[] = {
        [DISPOSITION_HEARTBEAT] = MET_HEARTBEAT, [DISPOSITION_UNKNOWN] = MET_UNKNOWN,
        [DISPOSITION_COMPLETED] = MET_IGNORED,   [DISPOSITION_FAILED] = MET_IGNORED,
        [DISPOSITION_CANCELLED] = MET_IGNORED,   [DISPOSITION_KILLED] = MET_IGNORED};
    if (answer->disposition != DISPOSITION_APPLIED) {
        model->met[meetings[answer->disposition]]++;
    }
    if (!running) {
        model->met[MET_REPEATED_END] += answer->disposition == DISPOSITION_APPLIED;
        return true;
    }
    bool ends = (update->has_percent && update->percent == 100) || update->has_failure;
    const struct event *told = NULL;
    if (ends && *event < model->seen.at + model->seen.count) {
        told = (*event)++;
    }
    return advance_job(model, job, update, told, by_batch);
}

static bool no_more_events(struct model *model, const struct event *next)
{
    return next == model->seen.at + model->seen.count ||
           model_complain(model, "there are more events than ends");
}

bool model_update(struct model *model, const struct command_update *update,
                  const struct effect *reply)
{
    struct model_caller caller;
    model_caller_set(model, &caller, &update->caller);
    struct model_refusals refusals = {0};
    const struct model_job *job = model_find(model, update->job_id);
    bool runs = job != NULL && job->stage == JOB_HELD && job->state == ACTIVITY_RUNNING &&
                model_changes(job, &caller);
    if (runs) {
        if (update->has_status_text || update->has_failure) {
            uint64_t more = (uint64_t)update->status_text.length + update->failure_code.length +
                            update->failure_message.length;
            model_room_text(model, caller.tenant, more, &refusals);
            refusals.must = 0; /* the old text makes room for the new one */
        }
        if (update->result.length > 0) {
            model_room_result(model, update->result.length, &refusals);
        }
    }
    enum model_verdict verdict = model_refusal(model, reply, &refusals);
    if (verdict != VERDICT_DONE) {
        if (runs) { /* nobody is killed because the tables are full */
            model_find(model, update->job_id)->beat_service = model->service;
        }
        return verdict == VERDICT_REFUSED;
    }
    struct reply_update answer;
    reply_update_read(reply->body, &answer);
    const struct event *next = model->seen.at;
    return step(model, &caller, update, &answer, &next, false) && no_more_events(model, next);
}

bool model_batch(struct model *model, const struct command_batch *batch, const struct effect *reply)
{
    struct model_caller caller;
    model_caller_set(model, &caller, &batch->caller);
    struct reply_batch answer = {0};
    if (reply->code == STATUS_OK) {
        reply_batch_read(reply->body, &answer);
    }
    if (reply->code != STATUS_OK || answer.count != batch->count ||
        answer.percents.length != batch->count ||
        (answer.dispositions.length != 0 && answer.dispositions.length != batch->count)) {
        return model_complain(model, "the reply to a batch of %" PRIu32 " has another form",
                              batch->count);
    }
    struct reader deltas = reader_of(batch->deltas);
    const struct event *next = model->seen.at;
    uint64_t job_id = 0;
    uint32_t ignored = 0, applied = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t zigzag = 0;
        uint8_t byte = 0x80;
        for (unsigned shift = 0; (byte & 0x80) != 0; shift += 7) {
            byte = reader_u8(&deltas);
            zigzag |= (uint64_t)(byte & 0x7f) << shift;
        }
        job_id += (zigzag >> 1) ^ (0 - (zigzag & 1));
        struct command_update update = {
            .job_id = job_id, .has_percent = true, .percent = batch->percents.at[i]};
        struct reply_update one = {job_id, answer.percents.at[i],
                                   answer.dispositions.length == 0 ? DISPOSITION_APPLIED
                                                                   : answer.dispositions.at[i]};
        if (!step(model, &caller, &update, &one, &next, true)) {
            return false;
        }
        ignored += one.disposition >= DISPOSITION_UNKNOWN;
        applied += one.disposition == DISPOSITION_APPLIED;
    }
    if (answer.ignored != ignored ||
        (answer.dispositions.length == 0) != (applied == batch->count)) {
        return model_complain(model,
                              "a batch counts %" PRIu32 " ignored instead of %" PRIu32
                              ", or sends needless dispositions",
                              answer.ignored, ignored);
    }
    return no_more_events(model, next);
}

bool model_destroy(struct model *model, const struct command_destroy *destroy,
                   const struct effect *reply)
{
    struct model_caller caller;
    model_caller_set(model, &caller, &destroy->caller);
    struct model_job *job = model_find(model, destroy->job_id);
    struct model_refusals refusals = {0};
    bool left = job != NULL && job->stage == JOB_LEFT;
    bool may_be_gone = model_perhaps_gone(model, job);
    if (job != NULL && model_sees(job, &caller) && !model_changes(job, &caller)) {
        *(may_be_gone ? &refusals.may : &refusals.must) |= UINT64_C(1) << REASON_NOT_YOURS;
    }
    enum model_verdict verdict = model_refusal(model, reply, &refusals);
    if (verdict != VERDICT_DONE) {
        return verdict == VERDICT_REFUSED;
    }
    struct reply_destroy answer;
    reply_destroy_read(reply->body, &answer);
    bool mine = job != NULL && model_changes(job, &caller);
    bool cancels = mine && !left && job->state == ACTIVITY_RUNNING;
    unsigned allowed = BIT(!mine     ? DISPOSITION_UNKNOWN
                           : cancels ? DISPOSITION_APPLIED
                                     : job->state + 2);
    allowed |= may_be_gone ? BIT(DISPOSITION_UNKNOWN) : 0;
    if ((allowed >> answer.disposition & 1) == 0 || model->seen.count != (cancels ? 1 : 0)) {
        return model_complain(
            model,
            "destroying job %" PRIu64 " is answered %s with %" PRIu32 " events, expected 0x%x",
            destroy->job_id, script_disposition(answer.disposition), model->seen.count, allowed);
    }
    if (!cancels) {
        return true;
    }
    end(model, job, ACTIVITY_CANCELLED);
    return ended_event(model, &model->seen.at[0], job);
}
