/* FindActivities and GetActivity: the visible activities in creation order, out of the ordered sets
 * of those names by which the viewer sees, merged, each once. */
#include "server/core/state.h"

/* ---- One activity, copied out ---- */

static struct bytes put_text(struct writer *to, struct bytes text)
{
    const uint8_t *at = to->at;
    writer_bytes(to, text);
    return (struct bytes){at, text.length};
}

static struct bytes put_name(const struct names *names, uint32_t id, struct writer *to)
{
    uint8_t text[NAME_LENGTH_MAX];
    return put_text(to, names_text(names, id, text));
}

static struct bytes put_pool(const struct pool *pool, uint32_t first, uint32_t length,
                             struct writer *to)
{
    const uint8_t *at = to->at;
    pool_get(pool, first, length, to->at);
    to->at += length;
    return bytes_of(at, length);
}

_Static_assert(LIMIT_TITLE_LENGTH + LIMIT_ATTRIBUTES_BYTES + LIMIT_STATUS_TEXT_LENGTH +
                       LIMIT_FAILURE_CODE_LENGTH + LIMIT_FAILURE_MESSAGE_LENGTH +
                       LIMIT_TYPE_LENGTH + LIMIT_USER_LENGTH + LIMIT_PRINCIPAL_LENGTH +
                       LIMIT_OBJECT_GROUPS * LIMIT_GROUP_LENGTH <=
                   sizeof(((struct core_activity *)NULL)->text),
               "the texts of an activity fit");

static struct bytes part(struct bytes whole, uint32_t from, uint32_t length)
{
    return bytes_of(whole.at + from, length);
}

static void fill_texts(const struct core *core, uint32_t slot, struct core_activity *activity)
{
    const struct pool *pool = &core->activities.texts;
    const struct activity_cold *cold = activities_cold(&core->activities, slot);
    const struct activity_hot *hot = activities_hot(&core->activities, slot);
    struct writer to = writer_of(activity->text, sizeof activity->text);
    struct bytes fixed = put_pool(pool, cold->fixed_text,
                                  (uint32_t)cold->title_length + cold->attributes_length, &to);
    activity->title = part(fixed, 0, cold->title_length);
    activity->attributes = part(fixed, cold->title_length, cold->attributes_length);
    activity->status_text = put_pool(pool, cold->status_text, cold->status_length, &to);
    struct bytes failure =
        put_pool(pool, cold->failure_text,
                 (uint32_t)cold->failure_code_length + cold->failure_message_length, &to);
    activity->failure_code = part(failure, 0, cold->failure_code_length);
    activity->failure_message =
        part(failure, cold->failure_code_length, cold->failure_message_length);
    activity->type = put_name(&core->names, cold->type, &to);
    activity->owner = put_name(&core->names, hot->owner, &to);
    activity->creator = put_name(&core->names, hot->creator, &to);
    activity->groups.count = 0;
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS && cold->groups[i] != 0; i++) {
        activity->groups.names[activity->groups.count++] =
            put_name(&core->names, cold->groups[i], &to);
    }
}

static void fill(const struct core *core, uint32_t slot, struct core_activity *activity)
{
    const struct activity_cold *cold = activities_cold(&core->activities, slot);
    const struct activity_hot *hot = activities_hot(&core->activities, slot);
    activity->job_id = activities_job_id(&core->activities, slot);
    activity->order = cold->order;
    activity->state = hot->state;
    activity->percent = hot->percent;
    activity->create_ms = cold->create_ms;
    activity->update_ms = hot->update_ms;
    activity->end_ms = cold->end_ms;
    activity->parent_job_id = cold->parent_job_id;
    activity->retry_of_job_id = cold->retry_of_job_id;
    fill_texts(core, slot, activity);
}

static uint32_t visible_slot(const struct core *core, const struct core_viewer *viewer,
                             uint64_t job_id)
{
    uint32_t slot = activities_find(&core->activities, job_id);
    if (slot == 0) {
        return 0;
    }
    struct job_rights rights;
    activities_rights(&core->activities, slot, &rights);
    return job_visible(viewer, &rights) ? slot : 0;
}

bool core_get_activity(const struct core *core, const struct core_viewer *viewer, uint64_t job_id,
                       struct core_activity *activity)
{
    uint32_t slot = visible_slot(core, viewer, job_id);
    if (slot == 0) {
        return false;
    }
    fill(core, slot, activity);
    return true;
}

/* ---- The walk ---- */

static void add_set(struct core_activity_walk *walk, uint32_t name)
{
    if (name == 0) {
        return;
    }
    uint32_t node = order_after(&walk->core->activities.order,
                                &names_at(&walk->core->names, name)->activities, walk->position);
    for (uint32_t i = 0; i < walk->list_count; i++) { /* a caller may name a group twice */
        if (walk->roots[i] == name) {
            return;
        }
    }
    walk->roots[walk->list_count] = name;
    walk->next[walk->list_count++] = node;
}

/* By name: the jobs asked for that are visible, sorted by creation. */
static void sort_ids(struct core_activity_walk *walk)
{
    const struct activities *activities = &walk->core->activities;
    for (uint32_t i = 0; i < walk->filter->job_id_count; i++) {
        uint32_t slot = visible_slot(walk->core, walk->viewer, walk->filter->job_ids[i]);
        uint64_t order = slot == 0 ? 0 : activities_cold(activities, slot)->order;
        if (order <= walk->position) {
            continue;
        }
        uint32_t at = walk->sorted_count;
        while (at != 0 && walk->sorted[at - 1].order > order) {
            at--;
        }
        if (at != 0 && walk->sorted[at - 1].order == order) {
            continue;
        }
        memmove(&walk->sorted[at + 1], &walk->sorted[at],
                (walk->sorted_count - at) * sizeof walk->sorted[0]);
        walk->sorted[at].order = order;
        walk->sorted[at].slot = slot;
        walk->sorted_count++;
    }
}

void core_activity_walk_init(struct core_activity_walk *walk, const struct core *core,
                             const struct core_viewer *viewer,
                             const struct core_find_activities *filter)
{
    walk->core = core;
    walk->viewer = viewer;
    walk->filter = filter;
    walk->touched = 0;
    walk->position = filter->after_order;
    walk->list_count = 0;
    walk->sorted_count = 0;
    walk->sorted_at = 0;
    walk->type_count = 0;
    for (uint32_t i = 0; i < filter->type_count; i++) {
        walk->types[i] = names_lookup(&core->names, NAME_TYPE, 0, filter->types[i]);
    }
    walk->type_count = filter->type_count;
    if (viewer->tenant == 0) {
        return;
    }
    if (filter->job_id_count != 0) {
        sort_ids(walk);
    } else if (viewer->admin) {
        add_set(walk, viewer->tenant);
    } else if (!viewer->has_user) {
        add_set(walk, viewer->principal);
    } else {
        add_set(walk, viewer->user);
        for (uint32_t i = 0; i < viewer->named_group_count; i++) {
            add_set(walk, viewer->groups[i]);
        }
    }
}

/* The next slot in creation order, 0 at the end. Sets that have the same activity next move on
 * together. */
static uint32_t next_of_sets(struct core_activity_walk *walk, uint64_t *key)
{
    const struct order *order = &walk->core->activities.order;
    uint32_t slot = 0;
    *key = UINT64_MAX;
    for (uint32_t i = 0; i < walk->list_count; i++) {
        if (walk->next[i] != 0 && order_node(order, walk->next[i])->key < *key) {
            *key = order_node(order, walk->next[i])->key;
            slot = order_node(order, walk->next[i])->item;
        }
    }
    for (uint32_t i = 0; slot != 0 && i < walk->list_count; i++) {
        if (walk->next[i] != 0 && order_node(order, walk->next[i])->key == *key) {
            walk->next[i] = order_next(order, walk->next[i]);
        }
    }
    return slot;
}

static uint32_t next_slot(struct core_activity_walk *walk, uint64_t *key)
{
    if (walk->filter->job_id_count == 0) {
        return next_of_sets(walk, key);
    }
    if (walk->sorted_at == walk->sorted_count) {
        return 0;
    }
    *key = walk->sorted[walk->sorted_at].order;
    return walk->sorted[walk->sorted_at++].slot;
}

static bool passes(const struct core_activity_walk *walk, uint32_t slot)
{
    const struct core_find_activities *filter = walk->filter;
    const struct activity_hot *hot = activities_hot(&walk->core->activities, slot);
    if ((filter->states != 0 && (filter->states >> hot->state & 1) == 0) ||
        hot->update_ms < filter->updated_since_ms) {
        return false;
    }
    uint32_t type = activities_cold(&walk->core->activities, slot)->type;
    for (uint32_t i = 0; i < walk->type_count; i++) {
        if (walk->types[i] == type) {
            return true;
        }
    }
    return walk->type_count == 0;
}

enum core_found core_activity_next(struct core_activity_walk *walk, struct core_activity *activity)
{
    for (;;) {
        if (walk->touched >= LIMIT_FIND_TOUCHED) {
            return CORE_EXHAUSTED;
        }
        uint64_t key;
        uint32_t slot = next_slot(walk, &key);
        if (slot == 0) {
            return CORE_END;
        }
        walk->touched++;
        walk->position = key;
        if (passes(walk, slot)) {
            fill(walk->core, slot, activity);
            return CORE_FOUND;
        }
    }
}
