#include "server/core/tombstones.h"

#include "server/core/effect.h"
#include "server/core/shares.h"
#include "server/core/stream.h"

#define ALL       offsetof(struct tombstone, all)
#define OF_TENANT offsetof(struct tombstone, of_tenant)

void tombstones_layout(struct tombstones *tombstones, struct region *region,
                       const struct core_limits *capacity)
{
    *tombstones = (struct tombstones){.all = {0}};
    table_layout(&tombstones->table, region, capacity->tombstones_max, sizeof(struct tombstone));
    hash_layout(&tombstones->index, region, capacity->tombstones_max);
}

uint32_t tombstones_find(const struct tombstones *tombstones, uint64_t job_id)
{
    uint32_t id = hash_first(&tombstones->index, hash_mix(job_id));
    while (id != 0 && tombstones_at(tombstones, id)->job_id != job_id) {
        id = hash_next(&tombstones->index, id);
    }
    return id;
}

bool tombstones_drop_oldest(struct tombstones *tombstones, struct names *names,
                            const struct core_limits *limits)
{
    uint32_t id = shares_oldest(names, SHARE_TOMBSTONES, limits->tombstones_max, &tombstones->all);
    if (id == 0) {
        return false;
    }
    struct tombstone *tombstone = tombstones_at(tombstones, id);
    struct job_rights rights = tombstone->rights;
    hash_remove(&tombstones->index, hash_mix(tombstone->job_id), id);
    list_remove(&tombstones->all, &tombstones->table, ALL, id);
    list_remove(&shares_of(names, rights.tenant)->lists[SHARE_TOMBSTONES], &tombstones->table,
                OF_TENANT, id);
    shares_sub(names, rights.tenant, SHARE_TOMBSTONES, 1);
    table_give(&tombstones->table, id);
    job_rights_release(names, &rights);
    return true;
}

void tombstones_add(struct tombstones *tombstones, struct names *names,
                    const struct core_limits *limits, const struct tombstone *tombstone)
{
    /* Twice at most, so that a lowered limit is reached without doing it all in one entry; the
     * table itself is never full. */
    for (int i = 0; i < 2 && tombstones->table.used >= limits->tombstones_max; i++) {
        (void)tombstones_drop_oldest(tombstones, names, limits);
    }
    uint32_t id = table_take(&tombstones->table);
    *tombstones_at(tombstones, id) = *tombstone;
    hash_insert(&tombstones->index, hash_mix(tombstone->job_id), id);
    list_append(&tombstones->all, &tombstones->table, ALL, id);
    list_append(&shares_of(names, tombstone->rights.tenant)->lists[SHARE_TOMBSTONES],
                &tombstones->table, OF_TENANT, id);
    shares_add(names, tombstone->rights.tenant, SHARE_TOMBSTONES, 1);
}

void tombstones_save(const struct tombstones *tombstones, struct stream_out *out)
{
    stream_put(out, &tombstones->all, sizeof tombstones->all);
    table_save(&tombstones->table, out);
}

void tombstones_load(struct tombstones *tombstones, struct stream_in *in)
{
    (void)stream_get(in, &tombstones->all, sizeof tombstones->all);
    table_load(&tombstones->table, in);
    if (in->error != 0) {
        return;
    }
    for (uint32_t id = table_next(&tombstones->table, 0); id != 0;
         id = table_next(&tombstones->table, id)) {
        if (tombstones_find(tombstones, tombstones_at(tombstones, id)->job_id) != 0) {
            stream_refuse(in, CORE_MALFORMED);
            return;
        }
        hash_insert(&tombstones->index, hash_mix(tombstones_at(tombstones, id)->job_id), id);
    }
}

const char *tombstones_verify(const struct tombstones *tombstones, const struct names *names)
{
    if (!list_sound(&tombstones->all, &tombstones->table, ALL) ||
        tombstones->all.count != tombstones->table.used) {
        return "the tombstones' list is not sound";
    }
    for (uint32_t id = tombstones->all.first; id != 0;
         id = list_next(&tombstones->table, ALL, id)) {
        const struct tombstone *tombstone = tombstones_at(tombstones, id);
        if (!job_rights_sound(names, &tombstone->rights) || tombstone->state <= ACTIVITY_RUNNING ||
            tombstone->state > ACTIVITY_KILLED || tombstone->percent > LIMIT_PERCENT_MAX) {
            return "a tombstone is not sound";
        }
    }
    uint64_t of_tenants = 0;
    for (uint32_t t = table_next(&names->tenants, 0); t != 0; t = table_next(&names->tenants, t)) {
        const struct tenant *tenant = table_at(&names->tenants, t);
        const struct list *list = &tenant->lists[SHARE_TOMBSTONES];
        if (!list_sound(list, &tombstones->table, OF_TENANT)) {
            return "a tenant's tombstones are not sound";
        }
        for (uint32_t id = list->first; id != 0;
             id = list_next(&tombstones->table, OF_TENANT, id)) {
            if (tombstones_at(tombstones, id)->rights.tenant != tenant->name) {
                return "a tombstone is in another tenant's list";
            }
        }
        of_tenants += list->count;
    }
    return of_tenants == tombstones->table.used ? NULL : "a tombstone is in no tenant's list";
}
