/* RECORD: changes are planned as a whole (names and documents found or made, every cap looked at),
 * and only then applied: a refused request leaves nothing half done. */
#include "server/check.h"
#include "server/core/life.h"

static void emit_record(struct core *core, const struct request_answer *answer)
{
    uint8_t body[16];
    struct writer to = writer_of(body, sizeof body);
    writer_u64(&to, answer->answer);
    writer_u64(&to, answer->accept_ms);
    emit_reply(core, bytes_of(body, sizeof body));
}

/* ---- Planning ---- */

/* A request on its way. */
struct work {
    const struct command_record *record;
    struct job_rights rights; /* the caller's names, held during the work; no groups */
    uint32_t planned;
};

static void unplan(struct core *core, struct work *work)
{
    while (work->planned != 0) {
        struct pending_plan *plan = &core->pending.plan[--work->planned];
        changes_unpin(&core->changes, &core->names, plan->document);
        names_release(&core->names, plan->affected_model);
        job_rights_release(&core->names, &plan->rights);
    }
}

static bool intern(struct core *core, enum name_kind kind, uint32_t tenant, struct bytes text,
                   uint32_t *name)
{
    *name = life_intern(core, kind, tenant, text);
    return *name != 0;
}

/* The caller's names. What was made before a failure hangs in work->rights. */
static bool plan_caller(struct core *core, struct work *work)
{
    const struct command_caller *caller = &work->record->caller;
    struct job_rights *rights = &work->rights;
    return intern(core, NAME_TENANT, 0, caller->tenant, &rights->tenant) &&
           intern(core, NAME_PRINCIPAL, rights->tenant, caller->principal, &rights->creator) &&
           (caller->user.length == 0 ||
            intern(core, NAME_USER, rights->tenant, caller->user, &rights->owner));
}

/* One change: on failure it has taken nothing. */
static bool plan_change(struct core *core, struct work *work, const struct command_change *change)
{
    struct pending_plan *plan = &core->pending.plan[work->planned];
    struct change_identity identity = {.tenant = work->rights.tenant, .id = change->document_id};
    *plan = (struct pending_plan){.rights = work->rights};
    job_rights_hold(&core->names, &plan->rights);
    bool named = true;
    for (uint32_t i = 0; i < change->groups.count && named; i++) {
        named = intern(core, NAME_GROUP, work->rights.tenant, change->groups.names[i],
                       &plan->rights.groups[i]);
    }
    named = named && intern(core, NAME_MODEL, 0, change->affected_model, &plan->affected_model) &&
            intern(core, NAME_MODEL, 0, change->model, &identity.model);
    if (!named) {
        names_release(&core->names, plan->affected_model);
        job_rights_release(&core->names, &plan->rights);
        return false;
    }
    plan->document = changes_use(&core->changes, &core->names, &identity);
    names_release(&core->names, identity.model); /* the document holds it */
    work->planned++;
    return true;
}

static enum status_reason plan_all(struct core *core, struct work *work)
{
    if (!plan_caller(core, work)) {
        return REASON_TOO_MANY_NAMES;
    }
    struct reader from = reader_of(work->record->changes);
    struct command_change change;
    while (command_change_next(&from, &change)) {
        if (!plan_change(core, work, &change)) {
            return REASON_TOO_MANY_NAMES;
        }
    }
    CHECK(work->planned == work->record->change_count);
    return changes_fits(&core->changes, &core->limits) ? REASON_NONE : REASON_TOO_MANY_DOCUMENTS;
}

/* Whether tickets and the queue have room: looked at before anything is made. */
static enum status_reason has_room(const struct core *core, const struct command_record *record)
{
    struct pending_load load = {
        .tenant = names_lookup(&core->names, NAME_TENANT, 0, record->caller.tenant),
        .changes = record->change_count};
    struct reader from = reader_of(record->changes);
    struct command_change change;
    while (command_change_next(&from, &change)) {
        load.json_blocks += pending_blocks(&core->pending, change.json.length);
    }
    if (shares_refuse(&core->names, load.tenant, SHARE_TICKETS, core->tickets.table.used, 1,
                      core->limits.tickets_max)) {
        return REASON_TOO_MANY_TICKETS;
    }
    return pending_fits(&core->pending, &core->names, &core->limits, &load)
               ? REASON_NONE
               : REASON_TOO_MANY_PENDING_CHANGES;
}

/* ---- Applying ---- */

static void emit_changed(struct core *core, const struct work *work,
                         const struct command_change *change, uint32_t model_id)
{
    const struct change_model *model = changes_model(&core->changes, model_id);
    struct event event = {.kind = EVENT_MODEL_CHANGED,
                          .tenant = work->record->caller.tenant,
                          .principal = work->record->caller.principal,
                          .user = work->record->caller.user,
                          .groups = change->groups,
                          .changed = {.model = change->model,
                                      .document_id = change->document_id,
                                      .affected_model = change->affected_model,
                                      .deleted = change->deleted,
                                      .first_ms = model->first_ms,
                                      .last_ms = model->last_ms,
                                      .updated_ms = model->updated_ms}};
    emit_event(core, &event);
}

/* The plan's pin and references become those of the change that waits. */
static void apply_change(struct core *core, const struct work *work,
                         const struct command_change *change, uint32_t nth, uint32_t ticket)
{
    const struct pending_plan *plan = &core->pending.plan[nth];
    uint64_t now_ms = core->time.wall_ms;
    struct change_update update = {.document = plan->document,
                                   .view = CHANGES_DATABASE,
                                   .affected_model = plan->affected_model,
                                   .rights = plan->rights,
                                   .first_ms = now_ms,
                                   .last_ms = now_ms,
                                   .updated_ms = now_ms,
                                   .service_ms = core->time.service_ms};
    emit_changed(core, work, change,
                 changes_put(&core->changes, &core->names, &core->limits, &update));
    struct pending_change waiting = {.accept_ms = now_ms,
                                     .service_ms = core->time.service_ms,
                                     .rights = plan->rights,
                                     .document = plan->document,
                                     .affected_model = plan->affected_model,
                                     .ticket = ticket,
                                     .deleted = change->deleted,
                                     .flags = (change->fragment ? PENDING_FRAGMENT : 0u) |
                                              (change->urgent ? PENDING_URGENT : 0u)};
    pending_add(&core->pending, &core->changes, &core->names, &waiting, change->json);
}

static uint64_t apply_all(struct core *core, struct work *work)
{
    const struct command_record *record = work->record;
    struct ticket_source source = {.job_id = record->job_id,
                                   .tenant = work->rights.tenant,
                                   .principal = work->rights.creator,
                                   .user = work->rights.owner,
                                   .open = record->change_count};
    changes_make_room(&core->changes, &core->names, &core->limits);
    uint32_t ticket = tickets_add(&core->tickets, &core->names, &source);
    struct reader from = reader_of(record->changes);
    struct command_change change;
    for (uint32_t nth = 0; command_change_next(&from, &change); nth++) {
        apply_change(core, work, &change, nth, ticket);
    }
    return tickets_at(&core->tickets, ticket)->id;
}

void apply_record(struct core *core, const struct command *command)
{
    const struct command_record *record = &command->record;
    struct request_identity identity;
    requests_identify(&core->names, &record->caller, COMMAND_RECORD, record->request_id,
                      record->payload, &identity);
    if (emit_known_request(core, &identity, emit_record)) {
        return;
    }
    struct core_viewer viewer;
    viewer_of(&core->names, &record->caller, false, &viewer);
    if (!job_may_be_named(core, &viewer, record->job_id)) {
        emit_refusal(core, &(struct refusal_of){STATUS_INVALID_ARGUMENT, REASON_UNKNOWN_JOB,
                                                FIELD_JOB_ID, 0});
        return;
    }
    enum status_reason reason = has_room(core, record);
    if (reason != REASON_NONE) {
        emit_exhausted(core, reason);
        return;
    }
    struct work work = {.record = record};
    reason = plan_all(core, &work);
    if (reason == REASON_NONE) {
        struct request_answer answer = {.answer = apply_all(core, &work),
                                        .accept_ms = core->time.wall_ms};
        identity.principal = work.rights.creator;
        requests_remember(&core->requests, &core->names, &core->limits, core->time.service_ms,
                          &identity, &answer);
        emit_record(core, &answer);
    } else {
        unplan(core, &work);
        emit_exhausted(core, reason);
    }
    job_rights_release(&core->names, &work.rights);
}
