#include "server/core/results.h"

#include "server/core/shares.h"
#include "server/core/stream.h"

#define ALL       offsetof(struct result, all)
#define OF_TENANT offsetof(struct result, of_tenant)

void results_layout(struct results *results, struct region *region,
                    const struct core_limits *capacity)
{
    *results = (struct results){.all = {0}};
    table_layout(&results->table, region, capacity->results_max, sizeof(struct result));
    pool_layout(&results->bytes, region, capacity->result_bytes, RESULT_BLOCK);
    hash_layout(&results->index, region, capacity->results_max);
}

uint32_t results_find(const struct results *results, uint64_t job_id)
{
    uint32_t id = hash_first(&results->index, hash_mix(job_id));
    while (id != 0 && results_at(results, id)->job_id != job_id) {
        id = hash_next(&results->index, id);
    }
    return id;
}

bool results_fits(const struct results *results, const struct core_limits *limits, uint32_t length)
{
    return (uint64_t)pool_blocks(&results->bytes, length) * RESULT_BLOCK <= limits->result_bytes;
}

static void drop(struct results *results, struct names *names, uint32_t id)
{
    struct result *result = results_at(results, id);
    struct job_rights rights = result->rights;
    struct tenant *tenant = shares_of(names, rights.tenant);
    hash_remove(&results->index, hash_mix(result->job_id), id);
    list_remove(&results->all, &results->table, ALL, id);
    list_remove(&tenant->lists[SHARE_RESULTS], &results->table, OF_TENANT, id);
    shares_sub(names, rights.tenant, SHARE_RESULTS, 1);
    shares_sub(names, rights.tenant, SHARE_RESULT_BLOCKS,
               pool_blocks(&results->bytes, result->length));
    pool_free(&results->bytes, result->first);
    table_give(&results->table, id);
    job_rights_release(names, &rights);
}

/* Which of two tables is short decides whose share counts. */
static uint32_t oldest_for_bytes(const struct results *results, const struct names *names,
                                 const struct core_limits *limits)
{
    uint32_t heavy =
        shares_heaviest(names, SHARE_RESULT_BLOCKS, limits->result_bytes / RESULT_BLOCK);
    uint32_t own = heavy == 0 ? 0 : shares_of(names, heavy)->lists[SHARE_RESULTS].first;
    return own != 0 ? own : results->all.first;
}

static bool bytes_short(const struct results *results, const struct core_limits *limits,
                        uint32_t blocks)
{
    return !pool_room(&results->bytes, limits->result_bytes, blocks);
}

static void make_room(struct results *results, struct names *names,
                      const struct core_limits *limits, uint32_t blocks)
{
    while (bytes_short(results, limits, blocks)) {
        drop(results, names, oldest_for_bytes(results, names, limits));
    }
    while (results->table.used >= limits->results_max) {
        drop(results, names,
             shares_oldest(names, SHARE_RESULTS, limits->results_max, &results->all));
    }
}

void results_add(struct results *results, struct names *names, const struct core_limits *limits,
                 const struct result *result, struct bytes bytes)
{
    uint32_t blocks = pool_blocks(&results->bytes, bytes.length);
    job_rights_hold(names,
                    &result->rights); /* first: making room may release the last other reference */
    make_room(results, names, limits, blocks);
    uint32_t id = table_take(&results->table);
    struct result *at = results_at(results, id);
    *at = *result;
    at->first = pool_put(&results->bytes, bytes);
    at->length = bytes.length;
    hash_insert(&results->index, hash_mix(result->job_id), id);
    list_append(&results->all, &results->table, ALL, id);
    list_append(&shares_of(names, result->rights.tenant)->lists[SHARE_RESULTS], &results->table,
                OF_TENANT, id);
    shares_add(names, result->rights.tenant, SHARE_RESULTS, 1);
    shares_add(names, result->rights.tenant, SHARE_RESULT_BLOCKS, blocks);
}

uint64_t results_deadline(const struct results *results, const struct core_limits *limits)
{
    if (results->all.first == 0) {
        return UINT64_MAX;
    }
    if (bytes_short(results, limits, 0) || results->table.used > limits->results_max) {
        return 0;
    }
    return results_at(results, results->all.first)->service_ms + limits->result_keep_ms;
}

void results_expire(struct results *results, struct names *names, const struct core_limits *limits,
                    uint64_t service_ms, uint32_t *budget)
{
    for (; *budget > 0 && results_deadline(results, limits) <= service_ms; --*budget) {
        uint32_t id = results->all.first;
        if (bytes_short(results, limits, 0)) {
            id = oldest_for_bytes(results, names, limits);
        } else if (results->table.used > limits->results_max) {
            id = shares_oldest(names, SHARE_RESULTS, limits->results_max, &results->all);
        }
        drop(results, names, id);
    }
}

void results_save(const struct results *results, struct stream_out *out)
{
    stream_put(out, &results->all, sizeof results->all);
    table_save(&results->table, out);
    pool_save(&results->bytes, out);
}

void results_load(struct results *results, struct stream_in *in)
{
    (void)stream_get(in, &results->all, sizeof results->all);
    table_load(&results->table, in);
    pool_load(&results->bytes, in);
    if (in->error != 0) {
        return;
    }
    for (uint32_t id = table_next(&results->table, 0); id != 0;
         id = table_next(&results->table, id)) {
        if (results_find(results, results_at(results, id)->job_id) != 0) {
            stream_refuse(in, CORE_MALFORMED);
            return;
        }
        hash_insert(&results->index, hash_mix(results_at(results, id)->job_id), id);
    }
}

const char *results_verify(struct results *results, const struct names *names)
{
    if (!list_sound(&results->all, &results->table, ALL) ||
        results->all.count != results->table.used) {
        return "the results' list is not sound";
    }
    table_claim_begin(&results->bytes.blocks);
    uint64_t before = 0;
    for (uint32_t id = results->all.first; id != 0; id = list_next(&results->table, ALL, id)) {
        const struct result *result = results_at(results, id);
        if (result->length == 0 || result->length > LIMIT_RESULT_BYTES ||
            !job_rights_sound(names, &result->rights) ||
            !pool_claim(&results->bytes, result->first, result->length)) {
            return "a result is not sound";
        }
        if (result->service_ms < before) {
            return "results are not in order";
        }
        before = result->service_ms;
    }
    uint64_t of_tenants = 0;
    for (uint32_t t = table_next(&names->tenants, 0); t != 0; t = table_next(&names->tenants, t)) {
        const struct tenant *tenant = table_at(&names->tenants, t);
        const struct list *list = &tenant->lists[SHARE_RESULTS];
        if (!list_sound(list, &results->table, OF_TENANT)) {
            return "a tenant's results are not sound";
        }
        for (uint32_t id = list->first; id != 0; id = list_next(&results->table, OF_TENANT, id)) {
            if (results_at(results, id)->rights.tenant != tenant->name) {
                return "a result is in another tenant's list";
            }
        }
        of_tenants += list->count;
    }
    return of_tenants == results->table.used && table_claimed_all(&results->bytes.blocks)
               ? NULL
               : "a result's memory is lost";
}
