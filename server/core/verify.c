/* Every invariant of the state: each module's own, and what spans modules: that every reference to
 * a name is counted, and every tenant's share. Total on any bytes that were loaded. */
#include "server/core/life.h"

/* ---- Recounting, into scratch beside the names ---- */

static void refer(const struct names *names, uint32_t name)
{
    if (name != 0) {
        names->counted[name]++;
    }
}

static void refer_rights(const struct names *names, const struct job_rights *rights)
{
    refer(names, rights->tenant);
    refer(names, rights->owner);
    refer(names, rights->creator);
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        refer(names, rights->groups[i]);
    }
}

static void share(const struct names *names, uint32_t tenant, enum share share, uint64_t count)
{
    names->shares_counted[(size_t)names_at(names, tenant)->beside * NAME_SHARES + share] += count;
}

static void count_names(const struct names *names)
{
    memset(names->counted, 0, ((size_t)names->records.high + 1) * sizeof *names->counted);
    memset(names->shares_counted, 0,
           ((size_t)names->tenants.high + 1) * NAME_SHARES * sizeof *names->shares_counted);
    for (uint32_t id = table_next(&names->records, 0); id != 0;
         id = table_next(&names->records, id)) {
        uint32_t tenant = names_at(names, id)->tenant;
        if (tenant != 0) {
            refer(names, tenant);
            share(names, tenant, SHARE_NAMES, 1);
        }
    }
}

static void count_activities(const struct activities *activities, const struct names *names)
{
    for (uint32_t slot = table_next(&activities->hot, 0); slot != 0;
         slot = table_next(&activities->hot, slot)) {
        const struct activity_cold *cold = activities_cold(activities, slot);
        struct job_rights rights;
        if (activities_hot(activities, slot)->state == ACTIVITY_RETIRED) {
            continue;
        }
        activities_rights(activities, slot, &rights);
        refer_rights(names, &rights);
        refer(names, cold->type);
        share(names, rights.tenant, SHARE_ACTIVITIES, 1);
        share(names, rights.tenant, SHARE_TEXT,
              activities_text_blocks(activities,
                                     (uint32_t)cold->title_length + cold->attributes_length) +
                  activities_text_blocks(activities, cold->status_length) +
                  activities_text_blocks(activities, (uint32_t)cold->failure_code_length +
                                                         cold->failure_message_length));
    }
}

static void count_jobs(const struct core *core)
{
    const struct names *names = &core->names;
    const struct table *table = &core->results.table;
    for (uint32_t id = table_next(table, 0); id != 0; id = table_next(table, id)) {
        const struct result *result = results_at(&core->results, id);
        refer_rights(names, &result->rights);
        share(names, result->rights.tenant, SHARE_RESULTS, 1);
        share(names, result->rights.tenant, SHARE_RESULT_BLOCKS,
              pool_blocks(&core->results.bytes, result->length));
    }
    table = &core->tombstones.table;
    for (uint32_t id = table_next(table, 0); id != 0; id = table_next(table, id)) {
        refer_rights(names, &tombstones_at(&core->tombstones, id)->rights);
        share(names, tombstones_at(&core->tombstones, id)->rights.tenant, SHARE_TOMBSTONES, 1);
    }
    table = &core->presence.table;
    for (uint32_t id = table_next(table, 0); id != 0; id = table_next(table, id)) {
        refer(names, presence_at(&core->presence, id)->user);
        share(names, presence_at(&core->presence, id)->tenant, SHARE_PRESENT, 1);
    }
}

static void count_requests(const struct core *core)
{
    const struct requests *requests = &core->requests;
    for (uint32_t nth = 0; nth < requests->count; nth++) {
        uint64_t place = ((uint64_t)requests->first + nth) % requests->capacity;
        const struct request_record *record = &requests->ring[place];
        refer(&core->names, (uint32_t)(record->principal_low | record->principal_high << 16));
    }
}

static void count_changes(const struct core *core)
{
    const struct names *names = &core->names;
    const struct changes *changes = &core->changes;
    for (uint32_t id = table_next(&changes->documents, 0); id != 0;
         id = table_next(&changes->documents, id)) {
        const struct change_document *document = changes_document(changes, id);
        refer(names, document->tenant);
        refer(names, document->model);
        share(names, document->tenant, SHARE_DOCUMENTS, 1);
        share(names, document->tenant, SHARE_CHANGE_TEXT,
              pool_blocks(&changes->ids, document->id_length));
    }
    for (uint32_t id = table_next(&changes->models, 0); id != 0;
         id = table_next(&changes->models, id)) {
        const struct change_model *model = changes_model(changes, id);
        refer_rights(names, &model->rights);
        refer(names, model->name);
        share(names, changes_document(changes, model->document)->tenant, SHARE_MODELS, 1);
    }
    const struct table *table = &core->pending.changes;
    for (uint32_t id = table_next(table, 0); id != 0; id = table_next(table, id)) {
        const struct pending_change *change = pending_at(&core->pending, id);
        uint32_t tenant = changes_document(changes, change->document)->tenant;
        refer_rights(names, &change->rights);
        refer(names, change->affected_model);
        share(names, tenant, SHARE_PENDING, 1);
        share(names, tenant, SHARE_PENDING_BLOCKS,
              pending_blocks(&core->pending, change->json_length));
    }
    table = &core->tickets.table;
    for (uint32_t id = table_next(table, 0); id != 0; id = table_next(table, id)) {
        const struct ticket *ticket = tickets_at(&core->tickets, id);
        refer(names, ticket->tenant);
        refer(names, ticket->principal);
        refer(names, ticket->user);
        share(names, ticket->tenant, SHARE_TICKETS, 1);
    }
}

static const char *verify_counts(const struct names *names)
{
    for (uint32_t id = table_next(&names->records, 0); id != 0;
         id = table_next(&names->records, id)) {
        if (names->counted[id] != names_at(names, id)->references) {
            return "a name's references are miscounted";
        }
    }
    for (uint32_t id = table_next(&names->tenants, 0); id != 0;
         id = table_next(&names->tenants, id)) {
        const struct tenant *tenant = table_at(&names->tenants, id);
        if (memcmp(tenant->held, &names->shares_counted[(size_t)id * NAME_SHARES],
                   sizeof tenant->held) != 0) {
            return "a tenant's shares are miscounted";
        }
    }
    return NULL;
}

/* Tables do not hold more than was ever allowed: what is taken next is compared with the limits
 * only. */
static bool within_peak(const struct core *core)
{
    return activities_count(&core->activities) <= core->peak.activities_max &&
           core->results.table.used <= core->peak.results_max &&
           core->tombstones.table.used <= core->peak.tombstones_max &&
           core->presence.table.used <= core->peak.present_users_max &&
           core->names.records.used <= core->peak.names_max &&
           core->names.tenants.used <= core->peak.tenants_max;
}

/* Service times and changes lie in the past, timers at the present turn of the wheel. */
static bool times_sound(const struct core *core)
{
    uint64_t now = core->time.service_ms;
    if (core->activities.wheel.turn > now / WHEEL_BUCKET_MS) {
        return false;
    }
    const struct table *table = &core->activities.hot;
    for (uint32_t slot = table_next(table, 0); slot != 0; slot = table_next(table, slot)) {
        if (activities_hot(&core->activities, slot)->heard_ms > now ||
            activities_cold(&core->activities, slot)->end_service_ms > now) {
            return false;
        }
    }
    table = &core->pending.changes;
    for (uint32_t id = table_next(table, 0); id != 0; id = table_next(table, id)) {
        const struct pending_change *change = pending_at(&core->pending, id);
        if (change->accept_ms > core->time.wall_ms || change->service_ms > now) {
            return false;
        }
    }
    uint32_t result = core->results.all.last;
    uint32_t user = core->presence.all.last;
    return (result == 0 || results_at(&core->results, result)->service_ms <= now) &&
           (user == 0 || presence_at(&core->presence, user)->service_ms <= now);
}

const char *state_verify(struct core *core)
{
    uint64_t now = core->time.service_ms;
    const char *wrong = within_peak(core) ? NULL : "a table holds more than was ever allowed";
    wrong = wrong != NULL ? wrong : names_verify(&core->names);
    wrong = wrong != NULL ? wrong : activities_verify(&core->activities, &core->names);
    wrong = wrong != NULL ? wrong : results_verify(&core->results, &core->names);
    wrong = wrong != NULL ? wrong : tombstones_verify(&core->tombstones, &core->names);
    wrong = wrong != NULL ? wrong : presence_verify(&core->presence, &core->names);
    wrong = wrong != NULL ? wrong : requests_verify(&core->requests, &core->names, now);
    wrong = wrong != NULL ? wrong : changes_verify(&core->changes, &core->names, now);
    wrong = wrong != NULL ? wrong : tickets_verify(&core->tickets, &core->names, now);
    wrong = wrong != NULL
                ? wrong
                : pending_verify(&core->pending, &core->changes, &core->names, &core->tickets, now);
    wrong = wrong != NULL ? wrong
                          : batches_verify(&core->batches, &core->pending, &core->changes,
                                           core->time.wall_ms);
    wrong = wrong != NULL
                ? wrong
                : parked_verify(&core->parked, &core->pending, &core->changes, core->time.wall_ms);
    wrong = wrong != NULL ? wrong : feed_window_verify(&core->feed, now);
    if (wrong == NULL && !times_sound(core)) {
        wrong = "something happened in the future";
    }
    if (wrong != NULL) {
        return wrong;
    }
    count_names(&core->names);
    count_activities(&core->activities, &core->names);
    count_jobs(core);
    count_requests(core);
    count_changes(core);
    return verify_counts(&core->names);
}

const char *core_verify(const struct core *constant)
{
    /* Verification writes only into scratch that is no state. */
    struct core *core = (struct core *)(uintptr_t)constant;
    const char *wrong = state_verify(core);
    wrong = wrong != NULL ? wrong : children_verify(&core->children, &core->activities);
    return wrong != NULL ? wrong : progress_verify(&core->progress, &core->activities);
}
