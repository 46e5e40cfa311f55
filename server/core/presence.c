#include "server/core/presence.h"

#include "server/core/shares.h"
#include "server/core/stream.h"
#include "server/core/time.h"

#define ALL       offsetof(struct present, all)
#define OF_TENANT offsetof(struct present, of_tenant)

void presence_layout(struct presence *presence, struct region *region,
                     const struct core_limits *capacity)
{
    *presence = (struct presence){.all = {0}};
    table_layout(&presence->table, region, capacity->present_users_max, sizeof(struct present));
}

static void unlink_from(struct presence *presence, struct names *names, uint32_t id)
{
    list_remove(&presence->all, &presence->table, ALL, id);
    list_remove(&shares_of(names, presence_at(presence, id)->tenant)->lists[SHARE_PRESENT],
                &presence->table, OF_TENANT, id);
}

static void link_to(struct presence *presence, struct names *names, uint32_t id)
{
    list_append(&presence->all, &presence->table, ALL, id);
    list_append(&shares_of(names, presence_at(presence, id)->tenant)->lists[SHARE_PRESENT],
                &presence->table, OF_TENANT, id);
}

static void drop(struct presence *presence, struct names *names, uint32_t id)
{
    struct present present = *presence_at(presence, id);
    unlink_from(presence, names, id);
    shares_sub(names, present.tenant, SHARE_PRESENT, 1);
    table_give(&presence->table, id);
    names_at(names, present.user)->beside = 0;
    names_release(names, present.user);
}

/* The user's record, made when missing; 0 when there is no room for the name. */
static uint32_t record_of(struct presence *presence, struct names *names,
                          const struct core_limits *limits, struct bytes tenant, struct bytes user)
{
    uint32_t tenant_name = names_intern(names, limits, NAME_TENANT, 0, tenant);
    if (tenant_name == 0) {
        return 0;
    }
    uint32_t user_name = names_intern(names, limits, NAME_USER, tenant_name, user);
    names_release(names, tenant_name); /* a user's name holds its tenant */
    if (user_name == 0) {
        return 0;
    }
    uint32_t id = names_at(names, user_name)->beside;
    if (id != 0) {
        names_release(names, user_name);
        unlink_from(presence, names, id);
        return id;
    }
    if (presence->table.used >= limits->present_users_max) {
        drop(presence, names,
             shares_oldest(names, SHARE_PRESENT, limits->present_users_max, &presence->all));
    }
    id = table_take(&presence->table);
    names_at(names, user_name)->beside = id;
    presence_at(presence, id)->user = user_name;
    presence_at(presence, id)->tenant = names_at(names, user_name)->tenant;
    shares_add(names, presence_at(presence, id)->tenant, SHARE_PRESENT, 1);
    return id;
}

void presence_beat(struct presence *presence, struct names *names, const struct core_limits *limits,
                   const struct core_time *time, struct bytes tenant, struct bytes user)
{
    uint32_t id = record_of(presence, names, limits, tenant, user);
    if (id == 0) {
        return;
    }
    presence_at(presence, id)->service_ms = time->service_ms;
    presence_at(presence, id)->wall_ms = time->wall_ms;
    link_to(presence, names, id);
}

uint64_t presence_deadline(const struct presence *presence, const struct core_limits *limits)
{
    if (presence->all.first == 0) {
        return UINT64_MAX;
    }
    return presence->table.used > limits->present_users_max
               ? 0
               : presence_at(presence, presence->all.first)->service_ms + limits->presence_keep_ms;
}

void presence_expire(struct presence *presence, struct names *names,
                     const struct core_limits *limits, uint64_t service_ms, uint32_t *budget)
{
    for (; *budget > 0 && presence_deadline(presence, limits) <= service_ms; --*budget) {
        drop(presence, names,
             presence->table.used > limits->present_users_max
                 ? shares_oldest(names, SHARE_PRESENT, limits->present_users_max, &presence->all)
                 : presence->all.first);
    }
}

void presence_save(const struct presence *presence, struct stream_out *out)
{
    stream_put(out, &presence->all, sizeof presence->all);
    table_save(&presence->table, out);
}

void presence_load(struct presence *presence, struct stream_in *in)
{
    (void)stream_get(in, &presence->all, sizeof presence->all);
    table_load(&presence->table, in);
}

const char *presence_verify(const struct presence *presence, const struct names *names)
{
    if (!list_sound(&presence->all, &presence->table, ALL) ||
        presence->all.count != presence->table.used) {
        return "the present users' list is not sound";
    }
    uint64_t before = 0;
    for (uint32_t id = presence->all.first; id != 0; id = list_next(&presence->table, ALL, id)) {
        const struct present *present = presence_at(presence, id);
        if (!names_is(names, present->tenant, NAME_TENANT, 0) ||
            !names_is(names, present->user, NAME_USER, present->tenant) ||
            names_at(names, present->user)->beside != id || present->service_ms < before) {
            return "a present user is not sound";
        }
        before = present->service_ms;
    }
    uint64_t users = 0;
    for (uint32_t id = table_next(&names->records, 0); id != 0;
         id = table_next(&names->records, id)) {
        users += names_at(names, id)->kind == NAME_USER && names_at(names, id)->beside != 0;
    }
    uint64_t of_tenants = 0;
    for (uint32_t t = table_next(&names->tenants, 0); t != 0; t = table_next(&names->tenants, t)) {
        const struct tenant *tenant = table_at(&names->tenants, t);
        const struct list *list = &tenant->lists[SHARE_PRESENT];
        if (!list_sound(list, &presence->table, OF_TENANT)) {
            return "a tenant's present users are not sound";
        }
        for (uint32_t id = list->first; id != 0; id = list_next(&presence->table, OF_TENANT, id)) {
            if (presence_at(presence, id)->tenant != tenant->name) {
                return "a present user is in another tenant's list";
            }
        }
        of_tenants += list->count;
    }
    return users == presence->table.used && of_tenants == presence->table.used
               ? NULL
               : "a present user is lost";
}
