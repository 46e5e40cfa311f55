#include "server/core/children.h"

#include "server/check.h"
#include "server/core/effect.h"
#include "server/core/shares.h"

void children_layout(struct children *children, struct region *region,
                     const struct core_limits *capacity, const struct activities *activities)
{
    *children = (struct children){.nodes = NULL};
    table_layout(&children->families, region, capacity->activities_max, sizeof(struct family));
    hash_layout(&children->by_parent, region, capacity->activities_max);
    order_layout(&children->order, region, capacity->activities_max);
    children->nodes =
        region_take(region, (size_t)activities->hot.capacity + 1, sizeof *children->nodes);
}

static struct family *family_at(const struct children *children, uint32_t id)
{
    return table_at(&children->families, id);
}

static uint32_t family_of(const struct children *children, uint64_t parent_job_id)
{
    uint32_t id = hash_first(&children->by_parent, hash_mix(parent_job_id));
    while (id != 0 && family_at(children, id)->parent_job_id != parent_job_id) {
        id = hash_next(&children->by_parent, id);
    }
    return id;
}

void children_add(struct children *children, const struct activities *activities, uint32_t slot)
{
    const struct activity_cold *cold = activities_cold(activities, slot);
    if (cold->parent_job_id == 0) {
        return;
    }
    uint32_t id = family_of(children, cold->parent_job_id);
    if (id == 0) {
        id = table_take(&children->families);
        family_at(children, id)->parent_job_id = cold->parent_job_id;
        hash_insert(&children->by_parent, hash_mix(cold->parent_job_id), id);
        children->order.salt = activities->order.salt; /* the same since the first epoch */
    }
    children->nodes[slot] =
        order_append(&children->order, &family_at(children, id)->tree, cold->order, slot);
}

void children_remove(struct children *children, const struct activities *activities, uint32_t slot)
{
    uint64_t parent_job_id = activities_cold(activities, slot)->parent_job_id;
    if (parent_job_id == 0) {
        return;
    }
    uint32_t id = family_of(children, parent_job_id);
    CHECK(id != 0 && children->nodes[slot] != 0);
    struct family *family = family_at(children, id);
    order_remove(&children->order, &family->tree, children->nodes[slot]);
    children->nodes[slot] = 0;
    if (family->tree.count == 0) {
        hash_remove(&children->by_parent, hash_mix(parent_job_id), id);
        table_give(&children->families, id);
    }
}

uint32_t children_after(const struct children *children, uint64_t parent_job_id, uint64_t after)
{
    uint32_t id = family_of(children, parent_job_id);
    return id == 0 ? 0 : order_after(&children->order, &family_at(children, id)->tree, after);
}

/* ---- Loading and verification ---- */

static bool is_running_child(const struct activities *activities, uint32_t slot)
{
    return activities_hot(activities, slot)->state == ACTIVITY_RUNNING &&
           activities_cold(activities, slot)->parent_job_id != 0;
}

/* Whether the activity is younger than all that its parent has: a parent's children are of its
 * tenant, whose set gives them in creation order. */
static bool is_youngest(const struct children *children, const struct activities *activities,
                        uint32_t slot)
{
    const struct activity_cold *cold = activities_cold(activities, slot);
    uint32_t id = family_of(children, cold->parent_job_id);
    return id == 0 ||
           order_node(&children->order, family_at(children, id)->tree.last)->key < cold->order;
}

bool children_load(struct children *children, const struct activities *activities,
                   const struct names *names)
{
    const struct order *order = &activities->order;
    for (uint32_t t = table_next(&names->tenants, 0); t != 0; t = table_next(&names->tenants, t)) {
        const struct tenant *tenant = table_at(&names->tenants, t);
        const struct order_tree *all = &names_at(names, tenant->name)->activities;
        for (uint32_t node = order_after(order, all, 0); node != 0;
             node = order_next(order, node)) {
            uint32_t slot = order_node(order, node)->item;
            if (!is_running_child(activities, slot)) {
                continue;
            }
            if (!is_youngest(children, activities, slot)) {
                return false;
            }
            children_add(children, activities, slot);
        }
    }
    return true;
}

struct family_context {
    const struct children *children;
    const struct activities *activities;
};

static bool node_sound(const struct order_check *check, uint32_t node)
{
    const struct family_context *context = check->context;
    const struct children *children = context->children;
    const struct activities *activities = context->activities;
    uint32_t slot = order_node(&children->order, node)->item;
    return table_live(&activities->hot, slot) && is_running_child(activities, slot) &&
           children->nodes[slot] == node &&
           activities_cold(activities, slot)->order == order_node(&children->order, node)->key &&
           activities_cold(activities, slot)->parent_job_id ==
               family_at(children, check->name)->parent_job_id;
}

const char *children_verify(struct children *children, const struct activities *activities)
{
    const struct family_context context = {children, activities};
    table_claim_begin(&children->order.nodes);
    for (uint32_t id = table_next(&children->families, 0); id != 0;
         id = table_next(&children->families, id)) {
        const struct family *family = family_at(children, id);
        const struct order_check check = {.sound = node_sound, .context = &context, .name = id};
        if (family->tree.count == 0 || family_of(children, family->parent_job_id) != id ||
            !order_claim_each(&children->order, &family->tree, &check)) {
            return "the running children of a job are not sound";
        }
    }
    uint32_t count = 0;
    for (uint32_t slot = 1; slot <= activities->hot.high; slot++) {
        bool is_one = table_live(&activities->hot, slot) && is_running_child(activities, slot);
        if (is_one != (children->nodes[slot] != 0)) {
            return "a running child is not with its parent";
        }
        count += is_one;
    }
    return count == children->order.nodes.used && table_claimed_all(&children->order.nodes)
               ? NULL
               : "a running child stands twice";
}
