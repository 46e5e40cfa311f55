/* CREATE. Checked in this order: the request id, the jobs it names, places, names, text. A refusal
 * changes nothing but what had to leave for the attempt. */
#include "server/check.h"
#include "server/core/life.h"

static void emit_created(struct core *core, const struct request_answer *answer)
{
    uint8_t body[sizeof answer->answer];
    struct writer to = writer_of(body, sizeof body);
    writer_u64(&to, answer->answer);
    emit_reply(core, bytes_of(body, sizeof body));
}

static bool names_jobs_of_others(struct core *core, const struct command_create *create)
{
    struct core_viewer viewer;
    viewer_of(&core->names, &create->caller, false, &viewer);
    enum effect_field field = FIELD_NONE;
    if (!job_may_be_named(core, &viewer, create->parent_job_id)) {
        field = FIELD_PARENT_JOB_ID;
    } else if (!job_may_be_named(core, &viewer, create->retry_of_job_id)) {
        field = FIELD_RETRY_OF_JOB_ID;
    } else {
        return false;
    }
    emit_refusal(core, &(struct refusal_of){STATUS_INVALID_ARGUMENT, REASON_UNKNOWN_JOB, field, 0});
    return true;
}

/* Names that an activity refers to, each with a reference. */
struct references {
    struct job_rights rights;
    uint32_t type;
};

static void give_back(struct core *core, const struct references *references)
{
    names_release(&core->names, references->type);
    job_rights_release(&core->names, &references->rights);
}

static bool intern_all(struct core *core, const struct command_create *create,
                       struct references *to)
{
    *to = (struct references){.type = 0};
    struct job_rights *rights = &to->rights;
    bool all = (rights->tenant = life_intern(core, NAME_TENANT, 0, create->caller.tenant)) != 0 &&
               (rights->creator = life_intern(core, NAME_PRINCIPAL, rights->tenant,
                                              create->caller.principal)) != 0 &&
               (create->caller.user.length == 0 ||
                (rights->owner =
                     life_intern(core, NAME_USER, rights->tenant, create->caller.user)) != 0) &&
               (to->type = life_intern(core, NAME_TYPE, 0, create->type)) != 0;
    for (uint32_t i = 0; all && i < create->groups.count; i++) {
        rights->groups[i] = life_intern(core, NAME_GROUP, rights->tenant, create->groups.names[i]);
        all = rights->groups[i] != 0;
    }
    if (!all) {
        give_back(core, to);
    }
    return all;
}

static bool no_place(const struct core *core, const struct references *references)
{
    return shares_refuse(&core->names, references->rights.tenant, SHARE_ACTIVITIES,
                         activities_count(&core->activities), 1, core->limits.activities_max);
}

/* A tenant with more than half makes room among its own ended ones only. */
static bool drop_one_for(struct core *core, uint32_t tenant)
{
    uint32_t heavy = shares_heaviest(&core->names, SHARE_ACTIVITIES, core->limits.activities_max);
    bool own_only =
        heavy == tenant && shares_of(&core->names, tenant)->lists[SHARE_ACTIVITIES].count == 0;
    return !own_only && life_drop_oldest_ended(core);
}

/* How many ended ones leave for one new one at most, while a lowered limit is far off. */
#define DROPS_MOST 11u

static bool make_place(struct core *core, const struct references *references)
{
    /* One activity less is not always enough: a limit may have been lowered. */
    for (uint32_t i = 0; no_place(core, references); i++) {
        if (i == DROPS_MOST || !drop_one_for(core, references->rights.tenant)) {
            return false;
        }
    }
    return true;
}

static uint32_t put_in(struct core *core, const struct command_create *create,
                       const struct references *references)
{
    struct activities *activities = &core->activities;
    uint32_t slot = activities_add(activities, &core->names, &core->limits, &references->rights);
    if (slot == 0) {
        return 0;
    }
    struct activity_hot *hot = activities_hot(activities, slot);
    struct activity_cold *cold = activities_cold(activities, slot);
    uint8_t fixed[LIMIT_TITLE_LENGTH + LIMIT_ATTRIBUTES_BYTES];
    struct writer to = writer_of(fixed, sizeof fixed);
    writer_bytes(&to, create->title);
    writer_bytes(&to, create->attributes);
    activities_set_text(activities, &core->names, slot, &cold->fixed_text, 0,
                        bytes_of(fixed, to.wanted));
    cold->title_length = (uint16_t)create->title.length;
    cold->attributes_length = (uint16_t)create->attributes.length;
    cold->type = references->type;
    cold->create_ms = core->time.wall_ms;
    cold->parent_job_id = create->parent_job_id;
    cold->retry_of_job_id = create->retry_of_job_id;
    hot->update_ms = core->time.wall_ms;
    hot->heard_ms = core->time.service_ms;
    activities_start_timer(activities, slot, &core->limits, &core->time);
    children_add(&core->children, activities, slot);
    return slot;
}

static void announce(struct core *core, const struct command_create *create, uint64_t job_id)
{
    struct event event = {.kind = EVENT_ACTIVITY_CREATED,
                          .tenant = create->caller.tenant,
                          .principal = create->caller.principal,
                          .user = create->caller.user,
                          .groups = create->groups,
                          .created = {.job_id = job_id,
                                      .type = create->type,
                                      .title = create->title,
                                      .attributes = create->attributes,
                                      .parent_job_id = create->parent_job_id,
                                      .retry_of_job_id = create->retry_of_job_id}};
    emit_event(core, &event);
}

void apply_create(struct core *core, const struct command *command)
{
    const struct command_create *create = &command->create;
    struct request_identity identity;
    requests_identify(&core->names, &create->caller, COMMAND_CREATE, create->request_id,
                      create->payload, &identity);
    if (emit_known_request(core, &identity, emit_created) || names_jobs_of_others(core, create)) {
        return;
    }
    struct references references;
    if (!intern_all(core, create, &references)) {
        emit_exhausted(core, REASON_TOO_MANY_NAMES);
        return;
    }
    uint32_t blocks =
        activities_text_blocks(&core->activities, create->title.length + create->attributes.length);
    enum status_reason reason = REASON_NONE;
    uint32_t slot = 0;
    if (!make_place(core, &references)) {
        reason = REASON_TOO_MANY_ACTIVITIES;
    } else if (!life_text_room(core, references.rights.tenant, blocks, 0)) {
        reason = REASON_TOO_MUCH_TEXT;
    } else if ((slot = put_in(core, create, &references)) == 0) {
        reason = REASON_TOO_MANY_ACTIVITIES;
    }
    if (reason != REASON_NONE) {
        give_back(core, &references);
        emit_exhausted(core, reason);
        return;
    }
    uint64_t job_id = activities_job_id(&core->activities, slot);
    identity.principal = references.rights.creator;
    struct request_answer answer = {.answer = job_id, .accept_ms = core->time.wall_ms};
    requests_remember(&core->requests, &core->names, &core->limits, core->time.service_ms,
                      &identity, &answer);
    announce(core, create, job_id);
    emit_created(core, &answer);
}
