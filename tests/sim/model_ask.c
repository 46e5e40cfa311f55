/* Questions put to the core, and what the model says about the answers. */
#include "tests/sim/model_state.h"

#include "server/check.h"
#include "tests/sim/script.h"

#include <inttypes.h>

static bool text_is(struct model *model, uint64_t job_id, const char *field, struct bytes got,
                    struct bytes expected)
{
    return bytes_equal(got, expected) ||
           model_complain(model, "job %" PRIu64 ": %s is \"%.*s\", expected \"%.*s\"", job_id,
                          field, (int)got.length, (const char *)got.at, (int)expected.length,
                          (const char *)expected.at);
}

static bool number_is(struct model *model, uint64_t job_id, const char *field, uint64_t got,
                      uint64_t expected)
{
    return got == expected ||
           model_complain(model, "job %" PRIu64 ": %s is %" PRIu64 ", expected %" PRIu64, job_id,
                          field, got, expected);
}

/* An activity as the core tells it against ours. The one thing that is adopted is whether an update
 * with nothing new in it counts as a change. */
static bool activity_is(struct model *model, const struct core_activity *got, struct model_job *job)
{
    if (got->update_ms == job->update_or_ms && job->update_or_ms != 0) {
        job->update_ms = job->update_or_ms;
    }
    bool failed = job->state == ACTIVITY_FAILED;
    struct bytes none = bytes_of(NULL, 0);
    return number_is(model, job->id, "id", got->job_id, job->id) &&
           number_is(model, job->id, "order", got->order, job->order) &&
           number_is(model, job->id, "state", got->state, job->state) &&
           number_is(model, job->id, "percent", got->percent, job->percent) &&
           number_is(model, job->id, "create_ms", got->create_ms, job->create_ms) &&
           number_is(model, job->id, "update_ms", got->update_ms, job->update_ms) &&
           number_is(model, job->id, "end_ms", got->end_ms, job->end_ms) &&
           number_is(model, job->id, "parent", got->parent_job_id, job->parent) &&
           number_is(model, job->id, "retry_of", got->retry_of_job_id, job->retry_of) &&
           text_is(model, job->id, "type", got->type, model_text_view(&job->type)) &&
           text_is(model, job->id, "title", got->title, model_text_view(&job->title)) &&
           text_is(model, job->id, "status_text", got->status_text,
                   model_text_view(&job->status)) &&
           text_is(model, job->id, "owner", got->owner, model_name_text(model, job->owner)) &&
           text_is(model, job->id, "creator", got->creator, model_name_text(model, job->creator)) &&
           text_is(model, job->id, "attributes", got->attributes,
                   model_text_view(&job->attributes)) &&
           text_is(model, job->id, "failure_code", got->failure_code,
                   failed ? model_text_view(&job->failure_code) : none) &&
           text_is(model, job->id, "failure_message", got->failure_message,
                   failed ? model_text_view(&job->failure_message) : none) &&
           (model_groups_are(model, &job->groups, &got->groups) ||
            model_complain(model, "job %" PRIu64 ": other groups", job->id));
}

/* ---- FindActivities ---- */

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_EITHER };

static enum answer is_asked_for(const struct model_job *job, const struct model_caller *caller,
                                const struct core_find_activities *filter)
{
    if (job->stage != JOB_HELD || !model_sees(job, caller) ||
        (filter->states != 0 && (filter->states >> job->state & 1) == 0)) {
        return ANSWER_NO;
    }
    bool of_type = filter->type_count == 0, named = filter->job_id_count == 0;
    for (uint32_t i = 0; i < filter->type_count; i++) {
        of_type = of_type || model_text_is(&job->type, filter->types[i]);
    }
    for (uint32_t i = 0; i < filter->job_id_count; i++) {
        named = named || filter->job_ids[i] == job->id;
    }
    if (!of_type || !named) {
        return ANSWER_NO;
    }
    if (job->update_ms >= filter->updated_since_ms) {
        return ANSWER_YES;
    }
    return job->update_or_ms != 0 && job->update_or_ms >= filter->updated_since_ms ? ANSWER_EITHER
                                                                                   : ANSWER_NO;
}

/* Reads page after page; the model's jobs stand in creation order. */
struct find {
    struct model *model;
    const struct model_caller *caller;
    const struct core_find_activities *filter;
    uint32_t next; /* of the model's jobs */
};

static bool found_one(struct find *find, const struct core_activity *activity)
{
    struct model *model = find->model;
    for (; find->next < model->jobs.count; find->next++) {
        struct model_job *job = model->jobs.at[find->next];
        enum answer answer = is_asked_for(job, find->caller, find->filter);
        if (job->id == activity->job_id) {
            find->next++;
            return answer == ANSWER_NO
                       ? model_complain(model, "job %" PRIu64 " is found, but may not be", job->id)
                       : activity_is(model, activity, job);
        }
        if (answer == ANSWER_YES) {
            return model_complain(
                model, "job %" PRIu64 " is not found where it should be (job %" PRIu64 " is)",
                job->id, activity->job_id);
        }
    }
    return model_complain(model, "job %" PRIu64 " is found, unknown here or out of order",
                          activity->job_id);
}

static bool found_all(struct find *find)
{
    for (; find->next < find->model->jobs.count; find->next++) {
        struct model_job *job = find->model->jobs.at[find->next];
        if (is_asked_for(job, find->caller, find->filter) == ANSWER_YES) {
            return model_complain(find->model, "job %" PRIu64 " is not found", job->id);
        }
    }
    return true;
}

bool model_check_find(struct model *model, const struct core *core,
                      const struct command_caller *caller,
                      const struct core_find_activities *filter, uint32_t page)
{
    static struct core_activity activity; /* large */
    static struct core_activity_walk walk;
    struct model_caller us;
    model_caller_set(model, &us, caller);
    struct core_viewer viewer;
    core_viewer_init(core, caller, &viewer);
    struct core_find_activities asked = *filter;
    struct find find = {model, &us, filter, 0};
    enum core_found found = CORE_EXHAUSTED;
    while (found != CORE_END) {
        core_activity_walk_init(&walk, core, &viewer, &asked);
        uint32_t count = 0;
        while (count < page && (found = core_activity_next(&walk, &activity)) == CORE_FOUND) {
            count++;
            if (!found_one(&find, &activity)) {
                return false;
            }
        }
        if (found != CORE_END && count == 0 && walk.position <= asked.after_order) {
            return model_complain(model, "a page begins where it ends, at %" PRIu64, walk.position);
        }
        asked.after_order = walk.position;
    }
    return found_all(&find);
}

bool model_check_get(struct model *model, const struct core *core,
                     const struct command_caller *caller, uint64_t job_id)
{
    static struct core_activity activity;
    struct model_caller us;
    model_caller_set(model, &us, caller);
    struct core_viewer viewer;
    core_viewer_init(core, caller, &viewer);
    struct model_job *job = model_find(model, job_id);
    bool visible = job != NULL && job->stage == JOB_HELD && model_sees(job, &us);
    if (core_get_activity(core, &viewer, job_id, &activity) != visible) {
        return model_complain(model, "job %" PRIu64 " is %s", job_id,
                              visible ? "not got" : "got, but is not there or not visible");
    }
    return !visible || activity_is(model, &activity, job);
}

/* ---- GetJobResult ---- */

bool model_check_result(struct model *model, const struct core *core,
                        const struct command_caller *caller, uint64_t job_id)
{
    static uint8_t bytes[LIMIT_RESULT_BYTES];
    struct model_caller us;
    model_caller_set(model, &us, caller);
    struct core_viewer viewer;
    core_viewer_init(core, caller, &viewer);
    const struct model_job *job = model_find(model, job_id);
    enum core_result_state state = RESULT_UNKNOWN;
    uint8_t outcome = ACTIVITY_NONE;
    if (job != NULL && model_sees(job, &us)) {
        outcome = job->state;
        state = job->state == ACTIVITY_RUNNING ? RESULT_PENDING
                : job->has_result              ? RESULT_READY
                : job->had_result              ? RESULT_EXPIRED
                                               : RESULT_EMPTY;
    }
    struct core_result result = {0};
    core_get_result(core, &viewer, job_id, &result, bytes);
    if (result.state != state || result.outcome != outcome) {
        return model_complain(model,
                              "the result of job %" PRIu64
                              " is in state %d with outcome %s, expected %d with %s",
                              job_id, (int)result.state, script_state(result.outcome), (int)state,
                              script_state(outcome));
    }
    if (state == RESULT_READY && !model_text_is(&job->result, bytes_of(bytes, result.length))) {
        return model_complain(model, "the result of job %" PRIu64 " has other bytes", job_id);
    }
    return true;
}

/* ---- Model changes ---- */

static bool sees_change(const struct model *model, const struct model_source *source,
                        const struct model_caller *caller)
{
    bool sees = caller->admin || (caller->user != 0 ? source->user == caller->user
                                                    : source->principal == caller->principal);
    for (uint32_t i = 0; i < source->groups.count; i++) {
        struct bytes group = model_name_text(model, source->groups.names[i]);
        sees = sees || (group.length == 1 && group.at[0] == '*');
        for (uint32_t j = 0; j < caller->group_count; j++) {
            sees = sees || source->groups.names[i] == caller->groups[j];
        }
    }
    return sees;
}

/* The document's models that the caller sees: how many, and the newest. */
static uint32_t visible_models(const struct model *model, const struct model_document *document,
                               enum core_change_view view, const struct model_caller *caller,
                               uint64_t *updated_ms)
{
    const struct model_place *place = &document->places[view];
    uint32_t count = 0;
    *updated_ms = 0;
    for (uint32_t i = 0; document->tenant == caller->tenant && i < place->count; i++) {
        if (sees_change(model, &place->models[i].source, caller)) {
            count++;
            *updated_ms = place->models[i].updated_ms > *updated_ms ? place->models[i].updated_ms
                                                                    : *updated_ms;
        }
    }
    return count;
}

static bool change_is(struct model *model, const struct core_change *change,
                      const struct model_document *document, enum core_change_view view,
                      const struct model_caller *caller)
{
    uint64_t updated_ms;
    uint32_t count = visible_models(model, document, view, caller, &updated_ms);
    if (!model_text_is(&document->model, change->model) ||
        !model_text_is(&document->id, change->document_id) || change->affected_count != count ||
        change->updated_ms != updated_ms) {
        return model_complain(model,
                              "view %d: document %.*s with %" PRIu32 " models updated %" PRIu64
                              ", expected document %.*s with %" PRIu32 " updated %" PRIu64,
                              (int)view, (int)change->document_id.length,
                              (const char *)change->document_id.at, change->affected_count,
                              change->updated_ms, (int)document->id.length,
                              (const char *)document->id.at, count, updated_ms);
    }
    const struct model_place *place = &document->places[view];
    for (uint32_t k = 0; k < change->affected_count; k++) {
        const struct model_affected *affected = NULL;
        for (uint32_t i = 0; i < place->count; i++) {
            affected = model_text_is(&place->models[i].name, change->affected[k].affected_model)
                           ? &place->models[i]
                           : affected;
        }
        for (uint32_t i = 0; i < k; i++) {
            if (bytes_equal(change->affected[i].affected_model,
                            change->affected[k].affected_model)) {
                return model_complain(model, "view %d: an affected model stands twice", (int)view);
            }
        }
        if (affected == NULL || !sees_change(model, &affected->source, caller) ||
            change->affected[k].first_ms != affected->first_ms ||
            change->affected[k].last_ms != affected->last_ms ||
            change->affected[k].updated_ms != affected->updated_ms) {
            return model_complain(
                model,
                "view %d: affected model %.*s of document %.*s is not visible or has other times",
                (int)view, (int)change->affected[k].affected_model.length,
                (const char *)change->affected[k].affected_model.at, (int)document->id.length,
                (const char *)document->id.at);
        }
    }
    return true;
}

/* The visible document with the least rank above `after`, since which it was updated; NULL at the
 * end. */
static const struct model_document *next_document(const struct model *model,
                                                  enum core_change_view view,
                                                  const struct model_caller *caller,
                                                  uint64_t since_ms, uint64_t after)
{
    const struct model_document *next = NULL;
    for (uint32_t i = 0; i < model->documents.count; i++) {
        const struct model_document *document = model->documents.at[i];
        uint64_t updated_ms, rank = document->places[view].rank;
        if (rank > after && (next == NULL || rank < next->places[view].rank) &&
            visible_models(model, document, view, caller, &updated_ms) > 0 &&
            updated_ms >= since_ms) {
            next = document;
        }
    }
    return next;
}

bool model_check_changes(struct model *model, const struct core *core,
                         const struct command_caller *caller, enum core_change_view view,
                         uint64_t since_ms, uint32_t page)
{
    static struct core_change change;
    if (!model_leave_changes(model, core)) { /* what may be over by now */
        return false;
    }
    struct model_caller us;
    model_caller_set(model, &us, caller);
    struct core_viewer viewer;
    core_viewer_init(core, caller, &viewer);
    struct core_change_walk walk;
    uint64_t position = 0, rank = 0;
    enum core_found found = CORE_EXHAUSTED;
    while (found != CORE_END) {
        core_change_walk_init(&walk, core, &viewer, view, position);
        walk.updated_since_ms = since_ms;
        uint32_t count = 0;
        while (count < page && (found = core_change_next(&walk, &change)) == CORE_FOUND) {
            const struct model_document *document = next_document(model, view, &us, since_ms, rank);
            if (document == NULL) {
                return model_complain(
                    model, "view %d: document %.*s is shown, but nothing more should be", (int)view,
                    (int)change.document_id.length, (const char *)change.document_id.at);
            }
            if (!change_is(model, &change, document, view, &us)) {
                return false;
            }
            rank = document->places[view].rank;
            count++;
        }
        if (found != CORE_END && count == 0 && walk.position <= position) {
            return model_complain(model, "view %d: a page begins where it ends", (int)view);
        }
        position = walk.position;
    }
    const struct model_document *missing = next_document(model, view, &us, since_ms, rank);
    return missing == NULL ||
           model_complain(model, "view %d: document %.*s is not shown", (int)view,
                          (int)missing->id.length, (const char *)missing->id.at);
}

/* ---- Presence and feed ---- */

bool model_check_users(struct model *model, const struct core *core,
                       const struct command_caller *caller)
{
    struct model_caller us;
    model_caller_set(model, &us, caller);
    struct core_viewer viewer;
    core_viewer_init(core, caller, &viewer);
    struct core_user user;
    uint64_t position = 0, before = 0, keep = model->limits.presence_keep_ms;
    uint32_t shown = 0, surely = 0;
    while (core_present_user_next(core, &viewer, &position, &user)) {
        uint32_t name = model_name(model, user.user), i = 0;
        while (i < model->beats.count &&
               (model->beats.at[i].tenant != us.tenant || model->beats.at[i].user != name)) {
            i++;
        }
        if (i == model->beats.count || model->beats.at[i].wall_ms != user.last_seen_ms ||
            position <= before) {
            return model_complain(
                model,
                "user %.*s is shown present since %" PRIu64 ": another time, twice, or not at all",
                (int)user.user.length, (const char *)user.user.at, user.last_seen_ms);
        }
        before = position;
        shown++;
    }
    const struct model_beat *own = NULL;
    for (uint32_t i = 0; i < model->beats.count; i++) {
        const struct model_beat *beat = &model->beats.at[i];
        surely += beat->tenant == us.tenant && !model_may_be_over(model, beat->service, keep);
        own = beat->tenant == us.tenant && beat->user == us.user ? beat : own;
    }
    if (shown < surely && !model->presence_pressure) {
        return model_complain(model, "%" PRIu32 " users are shown present, expected %" PRIu32,
                              shown, surely);
    }
    uint64_t age = own == NULL ? UINT64_MAX : model->service - own->service;
    bool due = core_beat_due(core, &viewer),
         may_differ = us.user == 0 || age == 30000 || model->presence_pressure;
    bool over = own != NULL && model_may_be_over(model, own->service, keep);
    if (!may_differ && !over && due != (age > 30000)) {
        return model_complain(model, "a beat of %" PRIu64 " ms ago is %s", age,
                              due ? "due again" : "not due again");
    }
    return true;
}

bool model_check_feed(struct model *model, const struct core *core, uint32_t samples)
{
    static uint8_t body[EVENT_BYTES_MAX];
    uint8_t kind;
    uint32_t length;
    uint64_t oldest = model->after.oldest_sequence, head = model->head_sequence;
    if (core_event_read(core, oldest - 1, &kind, body, &length) ||
        core_event_read(core, head + 1, &kind, body, &length)) {
        return model_complain(model, "an event outside the window is read");
    }
    for (uint32_t i = 0; i < samples && model->events.count > 0; i++) {
        const struct model_event *event =
            &model->events
                 .at[samples == 1 ? 0 : (uint64_t)i * (model->events.count - 1) / (samples - 1)];
        if (!core_event_read(core, event->sequence, &kind, body, &length) || kind != event->kind ||
            !model_text_is(&event->body, bytes_of(body, length))) {
            return model_complain(model, "event %" PRIu64 " is not read as it was told",
                                  event->sequence);
        }
    }
    return true;
}
