/* The model's activities: who sees and changes them, what room they need, creating. */
#include "tests/sim/model_state.h"

#include "proto/status.h"
#include "server/check.h"
#include "tests/sim/script.h"

#include <inttypes.h>

struct model_job *model_find(const struct model *model, uint64_t job_id)
{
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        if (model->jobs.at[i]->id == job_id) {
            return model->jobs.at[i];
        }
    }
    return NULL;
}

bool model_sees(const struct model_job *job, const struct model_caller *caller)
{
    if (job->tenant != caller->tenant) {
        return false;
    }
    if (caller->admin) {
        return true;
    }
    if (caller->user == 0) {
        return job->creator == caller->principal;
    }
    bool shares = false;
    for (uint32_t i = 0; i < job->groups.count; i++) {
        for (uint32_t j = 0; j < caller->group_count; j++) {
            shares = shares || job->groups.names[i] == caller->groups[j];
        }
    }
    return shares || job->owner == caller->user;
}

bool model_changes(const struct model_job *job, const struct model_caller *caller)
{
    if (job->tenant != caller->tenant) {
        return false;
    }
    bool own = caller->user != 0 ? job->owner == caller->user : job->creator == caller->principal;
    return own || caller->admin || caller->update_any;
}

bool model_perhaps_gone(const struct model *model, const struct model_job *job)
{
    return job != NULL && (job->stage == JOB_LEFT || job->state != ACTIVITY_RUNNING) &&
           (job->perhaps_forgotten || model->attempts > 0 || model->name_pressure ||
            !model_settled(model));
}

void model_job_free(struct model_job *job)
{
    struct model_text *const texts[] = {&job->type,   &job->title,        &job->attributes,
                                        &job->status, &job->failure_code, &job->failure_message,
                                        &job->result, &job->end_status};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(texts[i]->at);
    }
    free(job);
}

void model_reference(struct model *model, const struct model_caller *caller, uint64_t job_id,
                     uint8_t field, struct model_refusals *refusals)
{
    if (job_id == 0) {
        return;
    }
    const struct model_job *job = model_find(model, job_id);
    uint64_t bit = UINT64_C(1) << REASON_UNKNOWN_JOB;
    if (job == NULL || !model_changes(job, caller)) {
        refusals->must |= bit;
        refusals->job_fields |= (uint8_t)(1u << field);
    } else if (model_perhaps_gone(model, job)) {
        refusals->may |= bit;
        refusals->job_fields |= (uint8_t)(1u << field);
    }
}

/* ---- Room ---- */

/* The bytes that a text takes at most: a core may keep them in blocks. */
static uint64_t text_most(uint64_t length)
{
    return length == 0 ? 0 : length + length / 4 + 160;
}

struct text_sum {
    uint64_t least, most;
};

static struct text_sum job_text(const struct model_job *job)
{
    uint64_t lengths[] = {job->title.length, job->attributes.length, job->status.length,
                          job->failure_code.length, job->failure_message.length};
    struct text_sum sum = {0, 0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        sum.least += lengths[i];
        sum.most += text_most(lengths[i]);
    }
    return sum;
}

/* Whether `more` bytes of text find room: running activities' texts stay, those of ended ones leave
 * before a refusal. */
void model_room_text(struct model *model, uint32_t tenant, uint64_t more,
                     struct model_refusals *refusals)
{
    uint64_t limit = model->limits.activity_text_bytes, all_most = 0;
    struct model_room room = {
        .more_least = more, .more_most = text_most(more) + 640, .limit = limit};
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[i];
        if (job->stage == JOB_LEFT) {
            continue;
        }
        struct text_sum sum = job_text(job);
        all_most += sum.most;
        room.held += job->tenant == tenant ? sum.most : 0;
        room.least += job->state == ACTIVITY_RUNNING ? sum.least : 0;
        room.most += job->state == ACTIVITY_RUNNING ? sum.most : 0;
    }
    if (room.held > limit / 2) { /* it can lose only what is its own */
        room.most = all_most;
    }
    model_room(refusals, REASON_TOO_MUCH_TEXT, &room);
    model->text_pressure = model->text_pressure || all_most + room.more_most > limit - limit / 8;
}

/* In how many lists a caller's own an activity stands: its tenant's, owner's, creator's and
 * groups'. */
static uint64_t job_lists(uint32_t owner, uint32_t group_count)
{
    return 2 + (uint64_t)(owner != 0) + group_count;
}

/* The lists in which activities stand are room enough for eight groups each. */
static void room_for_activity(struct model *model, const struct model_caller *caller,
                              uint32_t group_count, struct model_refusals *refusals)
{
    uint32_t tenant = caller->tenant;
    struct model_room room = {
        .more_least = 1, .more_most = 1, .limit = model->limits.activities_max};
    struct model_room lists = {.more_most = job_lists(caller->user, group_count),
                               .limit = 11 * room.limit};
    uint64_t all = 0, all_lists = 0, own_ended = 0;
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[i];
        if (job->stage == JOB_HELD) {
            all++;
            room.held += job->tenant == tenant;
            room.least += job->state == ACTIVITY_RUNNING;
            all_lists += job_lists(job->owner, job->groups.count);
            lists.most +=
                job->state == ACTIVITY_RUNNING ? job_lists(job->owner, job->groups.count) : 0;
            own_ended += job->tenant == tenant && job->state != ACTIVITY_RUNNING;
        }
    }
    /* A tenant with more than half loses its own, and may be kept out of the last eighth. What an
     * earlier attempt in this entry has cost its place is still counted here. */
    uint64_t open_to_it = room.limit - room.limit / 8, wanted = all + model->attempts;
    bool loses_its_own =
        room.held > room.limit / 2 && (own_ended == 0 || own_ended + open_to_it < wanted);
    room.most = loses_its_own ? all : room.least + model->attempts > all ? all : room.least;
    /* At most eleven leave for one new one: a limit that was lowered far is reached in several. */
    if (all > room.limit + 10) {
        room.most = all;
    }
    lists.most = room.held > room.limit / 2 ? all_lists : lists.most;
    model_room(refusals, REASON_TOO_MANY_ACTIVITIES, &room);
    model_room(refusals, REASON_TOO_MANY_ACTIVITIES, &lists);
    model->list_pressure = model->list_pressure || all_lists + lists.more_most > lists.limit;
}

void model_room_result(struct model *model, uint64_t length, struct model_refusals *refusals)
{
    struct model_room room = {
        .more_least = length, .more_most = text_most(length), .limit = model->limits.result_bytes};
    model_room(refusals, REASON_RESULT_TOO_LARGE, &room);
    uint64_t bytes = text_most(length), count = 1;
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        if (model->jobs.at[i]->has_result) {
            bytes += text_most(model->jobs.at[i]->result.length);
            count++;
        }
    }
    model->result_bytes_pressure = model->result_bytes_pressure || bytes > room.limit;
    model->result_pressure =
        model->result_pressure || model->result_bytes_pressure || count > model->limits.results_max;
}

/* ---- Create ---- */

static void put(struct buffer *to, struct bytes bytes)
{
    buffer_put(to, &bytes.length, sizeof bytes.length);
    buffer_put(to, bytes.at, bytes.length);
}

static void create_payload(const struct command_create *create, struct buffer *to)
{
    put(to, create->type);
    put(to, create->title);
    put(to, create->attributes);
    for (uint32_t i = 0; i < create->groups.count; i++) {
        put(to, create->groups.names[i]);
    }
    buffer_put(to, &create->parent_job_id, sizeof create->parent_job_id);
    buffer_put(to, &create->retry_of_job_id, sizeof create->retry_of_job_id);
}

static bool created_event(struct model *model, const struct command_create *create,
                          const struct model_job *job)
{
    if (model->seen.count != 1) {
        return model_complain(model, "a create makes one event, here %" PRIu32, model->seen.count);
    }
    const struct event *event = &model->seen.at[0];
    struct model_source source = {job->creator, job->owner, job->groups};
    if (!model_event_is(model, event, EVENT_ACTIVITY_CREATED, job->tenant, &source)) {
        return false;
    }
    if (event->created.job_id != job->id || !bytes_equal(event->created.type, create->type) ||
        !bytes_equal(event->created.title, create->title) ||
        !bytes_equal(event->created.attributes, create->attributes) ||
        event->created.parent_job_id != create->parent_job_id ||
        event->created.retry_of_job_id != create->retry_of_job_id) {
        return model_complain(model, "the event of a create says something else than the command");
    }
    return true;
}

static bool issue(struct model *model, uint64_t job_id)
{
    if (job_id == 0 || job_id >> LIMIT_JOB_ID_BITS != 0) {
        return model_complain(model, "%" PRIu64 " is no job id", job_id);
    }
    for (uint32_t i = 0; i < model->issued.count; i++) {
        if (model->issued.at[i] == job_id) {
            return model_complain(model, "job id %" PRIu64 " is issued again", job_id);
        }
    }
    *LIST_ADD(&model->issued) = job_id;
    return true;
}

static bool create_new(struct model *model, const struct model_caller *caller,
                       const struct command_create *create, const struct effect *reply)
{
    struct reply_create answer;
    reply_create_read(reply->body, &answer);
    if (!issue(model, answer.job_id)) {
        return false;
    }
    struct model_job *job = calloc(1, sizeof *job);
    CHECK(job != NULL);
    *LIST_ADD(&model->jobs) = job;
    job->id = answer.job_id;
    job->order = ++model->creations;
    job->parent = create->parent_job_id;
    job->retry_of = create->retry_of_job_id;
    job->stage = JOB_HELD;
    job->state = ACTIVITY_RUNNING;
    job->tenant = caller->tenant;
    job->owner = caller->user;
    job->creator = caller->principal;
    model_groups_set(model, &job->groups, &create->groups);
    model_text_set(&job->type, create->type);
    model_text_set(&job->title, create->title);
    model_text_set(&job->attributes, create->attributes);
    job->create_ms = job->update_ms = model->wall;
    job->beat_service = model->service;
    model->met[MET_CREATED]++;
    return created_event(model, create, job);
}

/* The job that a reply names, if it is one to a create. */
static bool create_answers(const struct effect *reply, const struct model_request *first)
{
    struct reply_create answer = {0};
    reply_create_read(reply->body, &answer);
    return answer.job_id == first->answer;
}

bool model_create(struct model *model, const struct command_create *create,
                  const struct effect *reply)
{
    struct model_caller caller;
    model_caller_set(model, &caller, &create->caller);
    struct buffer payload = {0};
    create_payload(create, &payload);
    struct model_request *first = NULL;
    enum model_seen seen =
        model_request_find(model, &caller, COMMAND_CREATE, create->request_id, &first);
    enum model_verdict verdict = VERDICT_DONE;
    if (seen != SEEN_NO) {
        const struct model_again again = {seen, first, buffer_bytes(&payload), create_answers};
        verdict = model_request_again(model, reply, &again);
    }
    if (verdict == VERDICT_DONE) {
        struct model_refusals refusals = {0};
        model->attempts++;
        model_reference(model, &caller, create->parent_job_id, FIELD_PARENT_JOB_ID, &refusals);
        model_reference(model, &caller, create->retry_of_job_id, FIELD_RETRY_OF_JOB_ID, &refusals);
        model_request_room(model, &caller, &refusals);
        room_for_activity(model, &caller, create->groups.count, &refusals);
        model_room_text(model, caller.tenant, create->title.length + create->attributes.length,
                        &refusals);
        model_room_names(model, &refusals, &create->caller);
        verdict = model_refusal(model, reply, &refusals);
        if (verdict == VERDICT_DONE && create_new(model, &caller, create, reply)) {
            model_request_add(model, &caller, COMMAND_CREATE, create->request_id, &payload,
                              model->jobs.at[model->jobs.count - 1]->id);
        } else if (verdict == VERDICT_DONE) {
            verdict = VERDICT_WRONG;
        }
    }
    buffer_free(&payload);
    return verdict != VERDICT_WRONG;
}

/* ---- For a generator ---- */

static bool is_one(const struct model_job *job, enum model_jobs which)
{
    return which == MODEL_LEFT ? job->stage == JOB_LEFT
                               : job->stage == JOB_HELD &&
                                     (job->state == ACTIVITY_RUNNING) == (which == MODEL_RUNNING);
}

uint64_t model_job(const struct model *model, enum model_jobs which, uint64_t pick)
{
    for (uint32_t i = 0; i < model->jobs.count; i++) {
        const struct model_job *job = model->jobs.at[(i + pick) % model->jobs.count];
        if (is_one(job, which)) {
            return job->id;
        }
    }
    return 0;
}

bool model_last_update(const struct model *model, uint64_t pick, struct command_update *update)
{
    const struct model_job *job = model_find(model, model_job(model, MODEL_ENDED, pick));
    if (job == NULL || (job->state != ACTIVITY_COMPLETED && job->state != ACTIVITY_FAILED)) {
        return false;
    }
    update->job_id = job->id;
    update->has_percent = job->end_has_percent;
    update->percent = job->end_percent;
    update->has_status_text = job->end_has_status;
    update->status_text = model_text_view(&job->end_status);
    update->has_failure = job->state == ACTIVITY_FAILED;
    update->failure_code = model_text_view(&job->failure_code);
    update->failure_message = model_text_view(&job->failure_message);
    update->result = model_text_view(&job->result);
    return true;
}

void model_rightful(const struct model *model, uint64_t job_id, bool as_owner,
                    struct command_caller *caller)
{
    const struct model_job *job = model_find(model, job_id);
    if (job == NULL) {
        return;
    }
    caller->tenant = model_name_text(model, job->tenant);
    caller->user = bytes_of(NULL, 0);
    caller->group_count = 0;
    if (as_owner && job->owner != 0) {
        caller->user = model_name_text(model, job->owner);
    } else {
        caller->principal = model_name_text(model, job->creator);
    }
}
