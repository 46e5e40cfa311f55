#include "server/core/activities.h"

#include "server/check.h"
#include "server/core/effect.h"
#include "server/core/shares.h"
#include "server/core/stream.h"

_Static_assert(offsetof(struct activity_hot, timer) == 0, "the wheel's links come first");

static uint64_t slots_for(const struct core_limits *limits)
{
    uint64_t slots = limits->activities_max + ACTIVITY_REST_SLOTS;
    return slots < ACTIVITY_SLOTS_MAX ? slots : ACTIVITY_SLOTS_MAX;
}

void activities_layout(struct activities *activities, struct region *region,
                       const struct core_limits *capacity)
{
    *activities = (struct activities){.retired = 0};
    table_layout(&activities->hot, region, slots_for(capacity), sizeof(struct activity_hot));
    table_layout(&activities->cold, region, slots_for(capacity), sizeof(struct activity_cold));
    activities->issued =
        region_take(region, (size_t)slots_for(capacity) + 1, sizeof *activities->issued);
    order_layout(&activities->order, region, capacity->activities_max * ACTIVITY_LINKS_MOST);
    pool_layout(&activities->texts, region, capacity->activity_text_bytes, ACTIVITY_TEXT_BLOCK);
    wheel_layout(&activities->wheel, region);
}

void activities_rights(const struct activities *activities, uint32_t slot,
                       struct job_rights *rights)
{
    const struct activity_hot *hot = activities_hot(activities, slot);
    rights->tenant = hot->tenant;
    rights->owner = hot->owner;
    rights->creator = hot->creator;
    memcpy(rights->groups, activities_cold(activities, slot)->groups, sizeof rights->groups);
}

/* Fails only when all generations of a slot are used up. */
static bool issue(struct activities *activities, uint32_t slot)
{
    struct activity_issue *issue = &activities->issued[slot];
    uint64_t next = issue->generation == 0 && issue->raised == 0
                        ? (uint64_t)activities->first_generation + activities->raised
                        : (uint64_t)issue->generation + 1 + (activities->raised - issue->raised);
    if (next >= ACTIVITY_GENERATIONS) {
        return false;
    }
    next = next == 0 ? 1 : next;
    *issue = (struct activity_issue){.generation = (uint32_t)next, .raised = activities->raised};
    activities_hot(activities, slot)->generation = (uint32_t)next;
    return true;
}

static uint32_t take_slot(struct activities *activities, const struct core_limits *limits)
{
    for (;;) {
        uint64_t room = slots_for(limits) + activities->retired;
        uint32_t most =
            (uint32_t)(room < activities->hot.capacity ? room : activities->hot.capacity);
        uint32_t slot = table_take_rested(&activities->hot, ACTIVITY_REST_SLOTS - 1, most);
        CHECK(table_take_rested(&activities->cold, ACTIVITY_REST_SLOTS - 1, most) == slot);
        if (slot == 0 || issue(activities, slot)) {
            return slot;
        }
        activities_hot(activities, slot)->state = ACTIVITY_RETIRED;
        activities->retired++;
    }
}

static void link_to(struct activities *activities, struct names *names, uint32_t slot,
                    uint32_t name, uint32_t *link)
{
    if (name != 0) {
        *link = order_append(&activities->order, &names_at(names, name)->activities,
                             activities_cold(activities, slot)->order, slot);
    }
}

uint32_t activities_add(struct activities *activities, struct names *names,
                        const struct core_limits *limits, const struct job_rights *rights)
{
    uint32_t slot = take_slot(activities, limits);
    if (slot == 0) {
        return 0;
    }
    struct activity_hot *hot = activities_hot(activities, slot);
    struct activity_cold *cold = activities_cold(activities, slot);
    hot->state = ACTIVITY_RUNNING;
    hot->tenant = rights->tenant;
    hot->owner = rights->owner;
    hot->creator = rights->creator;
    memcpy(cold->groups, rights->groups, sizeof cold->groups);
    cold->order = ++activities->last_order;
    link_to(activities, names, slot, rights->tenant, &cold->links[0]);
    link_to(activities, names, slot, rights->owner, &cold->links[1]);
    link_to(activities, names, slot, rights->creator, &cold->links[2]);
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        link_to(activities, names, slot, rights->groups[i], &cold->links[3 + i]);
    }
    activities->running++;
    shares_add(names, rights->tenant, SHARE_ACTIVITIES, 1);
    return slot;
}

static void unlink_from(struct activities *activities, struct names *names, uint32_t name,
                        uint32_t link)
{
    if (name != 0) {
        order_remove(&activities->order, &names_at(names, name)->activities, link);
    }
}

void activities_remove(struct activities *activities, struct names *names, uint32_t slot)
{
    struct activity_hot *hot = activities_hot(activities, slot);
    struct activity_cold *cold = activities_cold(activities, slot);
    list_remove(&activities->ended, &activities->cold, ACTIVITY_ENDED, slot);
    list_remove(&shares_of(names, hot->tenant)->lists[SHARE_ACTIVITIES], &activities->cold,
                ACTIVITY_ENDED_OF_TENANT, slot);
    unlink_from(activities, names, hot->tenant, cold->links[0]);
    unlink_from(activities, names, hot->owner, cold->links[1]);
    unlink_from(activities, names, hot->creator, cold->links[2]);
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        unlink_from(activities, names, cold->groups[i], cold->links[3 + i]);
    }
    uint32_t used = activities->texts.blocks.used;
    pool_free(&activities->texts, cold->fixed_text);
    pool_free(&activities->texts, cold->status_text);
    pool_free(&activities->texts, cold->failure_text);
    shares_sub(names, hot->tenant, SHARE_TEXT, used - activities->texts.blocks.used);
    shares_sub(names, hot->tenant, SHARE_ACTIVITIES, 1);
    table_give(&activities->hot, slot);
    table_give(&activities->cold, slot);
}

void activities_set_text(struct activities *activities, struct names *names, uint32_t slot,
                         uint32_t *first, uint32_t old_length, struct bytes text)
{
    uint32_t tenant = activities_hot(activities, slot)->tenant;
    pool_free(&activities->texts, *first);
    shares_sub(names, tenant, SHARE_TEXT, pool_blocks(&activities->texts, old_length));
    *first = pool_put(&activities->texts, text);
    shares_add(names, tenant, SHARE_TEXT, pool_blocks(&activities->texts, text.length));
}

/* ---- Timers ---- */

uint64_t activities_due_ms(const struct activities *activities, uint32_t slot,
                           const struct core_limits *limits, const struct core_time *time)
{
    uint64_t silence_over = activities_hot(activities, slot)->heard_ms + limits->kill_after_ms + 1;
    uint64_t grace_over = time->resume_ms + limits->resume_grace_ms;
    return silence_over > grace_over ? silence_over : grace_over;
}

void activities_start_timer(struct activities *activities, uint32_t slot,
                            const struct core_limits *limits, const struct core_time *time)
{
    activities_hot(activities, slot)->bucket =
        wheel_put(&activities->wheel, &activities->hot, slot,
                  activities_due_ms(activities, slot, limits, time));
}

void activities_stop_timer(struct activities *activities, uint32_t slot)
{
    struct activity_hot *hot = activities_hot(activities, slot);
    wheel_remove(&activities->wheel, &activities->hot, slot, hot->bucket);
    hot->bucket = 0;
}

void activities_set_timers(struct activities *activities, const struct core_limits *limits,
                           const struct core_time *time)
{
    for (uint32_t slot = table_next(&activities->hot, 0); slot != 0;
         slot = table_next(&activities->hot, slot)) {
        if (activities_hot(activities, slot)->state == ACTIVITY_RUNNING) {
            activities_stop_timer(activities, slot);
            activities_start_timer(activities, slot, limits, time);
        }
    }
}

/* ---- Snapshot and verification ---- */

struct activities_head {
    struct list ended;
    uint32_t retired;
    uint32_t running;
    uint32_t first_generation;
    uint64_t last_order;
    uint64_t salt;
    uint32_t raised;
    uint32_t zero;
};
_Static_assert(sizeof(struct activities_head) == 48, "no padding");

void activities_save(const struct activities *activities, struct stream_out *out)
{
    struct activities_head head = {.ended = activities->ended,
                                   .retired = activities->retired,
                                   .running = activities->running,
                                   .first_generation = activities->first_generation,
                                   .last_order = activities->last_order,
                                   .salt = activities->order.salt,
                                   .raised = activities->raised};
    stream_put(out, &head, sizeof head);
    table_save(&activities->hot, out);
    table_save(&activities->cold, out);
    stream_put(out, activities->issued + 1, activities->hot.high * sizeof *activities->issued);
    table_save(&activities->order.nodes, out);
    pool_save(&activities->texts, out);
    wheel_save(&activities->wheel, out);
}

void activities_load(struct activities *activities, struct stream_in *in)
{
    struct activities_head head;
    (void)stream_get(in, &head, sizeof head);
    activities->ended = head.ended;
    activities->retired = head.retired;
    activities->running = head.running;
    activities->first_generation = head.first_generation;
    activities->last_order = head.last_order;
    activities->order.salt = head.salt;
    activities->raised = head.raised;
    table_load(&activities->hot, in);
    table_load(&activities->cold, in);
    (void)stream_get(in, activities->issued + 1, activities->hot.high * sizeof *activities->issued);
    table_load(&activities->order.nodes, in);
    pool_load(&activities->texts, in);
    wheel_load(&activities->wheel, in);
}

/* Text chains have the lengths that the record says. */
static bool texts_sound(struct activities *activities, const struct activity_cold *cold)
{
    return cold->title_length <= LIMIT_TITLE_LENGTH &&
           cold->attributes_length <= LIMIT_ATTRIBUTES_BYTES &&
           cold->status_length <= LIMIT_STATUS_TEXT_LENGTH &&
           cold->failure_code_length <= LIMIT_FAILURE_CODE_LENGTH &&
           cold->failure_message_length <= LIMIT_FAILURE_MESSAGE_LENGTH &&
           pool_claim(&activities->texts, cold->fixed_text,
                      (uint32_t)cold->title_length + cold->attributes_length) &&
           pool_claim(&activities->texts, cold->status_text, cold->status_length) &&
           pool_claim(&activities->texts, cold->failure_text,
                      (uint32_t)cold->failure_code_length + cold->failure_message_length);
}

/* A node is one of the links of its activity, which belongs to the set's name. The other way round
 * follows from the count: there are as many nodes as links. */
static bool node_sound(const struct order_check *check, uint32_t node)
{
    const struct activities *activities = check->context;
    uint32_t slot = order_node(&activities->order, node)->item;
    if (!table_live(&activities->hot, slot)) {
        return false;
    }
    const struct activity_hot *hot = activities_hot(activities, slot);
    const struct activity_cold *cold = activities_cold(activities, slot);
    bool linked = (cold->links[0] == node && hot->tenant == check->name) ||
                  (cold->links[1] == node && hot->owner == check->name) ||
                  (cold->links[2] == node && hot->creator == check->name);
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        linked = linked || (cold->links[3 + i] == node && cold->groups[i] == check->name);
    }
    return linked && hot->state != ACTIVITY_RETIRED &&
           order_node(&activities->order, node)->key == cold->order;
}

static bool links_sound(const struct activity_hot *hot, const struct activity_cold *cold)
{
    bool sound =
        cold->links[0] != 0 && (cold->links[1] == 0) == (hot->owner == 0) && cold->links[2] != 0;
    for (uint32_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        sound = sound && (cold->links[3 + i] == 0) == (cold->groups[i] == 0);
    }
    return sound;
}

static const char *slot_verify(struct activities *activities, const struct names *names,
                               uint32_t slot)
{
    const struct activity_hot *hot = activities_hot(activities, slot);
    const struct activity_cold *cold = activities_cold(activities, slot);
    struct job_rights rights;
    activities_rights(activities, slot, &rights);
    if (hot->state == ACTIVITY_NONE || hot->state > ACTIVITY_KILLED ||
        hot->percent > LIMIT_PERCENT_MAX ||
        (hot->percent == LIMIT_PERCENT_MAX) != (hot->state == ACTIVITY_COMPLETED)) {
        return "an activity's state is none";
    }
    if (hot->generation == 0 || hot->generation != activities->issued[slot].generation) {
        return "an activity's generation was not issued";
    }
    if (cold->order == 0 || cold->order > activities->last_order ||
        activities->last_order > UINT64_MAX / 2 || !job_rights_sound(names, &rights) ||
        !names_is(names, cold->type, NAME_TYPE, 0)) {
        return "an activity belongs to nobody";
    }
    if (!links_sound(hot, cold)) {
        return "an activity cannot be found";
    }
    return texts_sound(activities, cold) ? NULL : "an activity's text is not sound";
}

/* Timers and ended lists: each activity stands in exactly one of the two kinds, which its state
 * tells. */
static const char *lists_verify(struct activities *activities, struct names *names,
                                uint32_t running, uint32_t ended)
{
    uint32_t timers = 0;
    for (uint32_t i = 0; i < WHEEL_BUCKETS; i++) {
        const struct list *bucket = &activities->wheel.buckets[i];
        if (!list_sound(bucket, &activities->hot, 0)) {
            return "a timer's list is not sound";
        }
        for (uint32_t id = bucket->first; id != 0; id = list_next(&activities->hot, 0, id)) {
            if (activities_hot(activities, id)->state != ACTIVITY_RUNNING ||
                activities_hot(activities, id)->bucket != i) {
                return "a timer belongs to no running activity";
            }
        }
        timers += bucket->count;
    }
    uint32_t of_tenants = 0;
    for (uint32_t t = table_next(&names->tenants, 0); t != 0; t = table_next(&names->tenants, t)) {
        const struct tenant *tenant = table_at(&names->tenants, t);
        const struct list *list = &tenant->lists[SHARE_ACTIVITIES];
        if (!list_sound(list, &activities->cold, ACTIVITY_ENDED_OF_TENANT)) {
            return "a tenant's ended activities are not sound";
        }
        for (uint32_t id = list->first; id != 0;
             id = list_next(&activities->cold, ACTIVITY_ENDED_OF_TENANT, id)) {
            if (activities_hot(activities, id)->tenant != tenant->name ||
                activities_hot(activities, id)->state <= ACTIVITY_RUNNING) {
                return "an ended activity is in a wrong list";
            }
        }
        of_tenants += list->count;
    }
    if (!list_sound(&activities->ended, &activities->cold, ACTIVITY_ENDED)) {
        return "the ended activities are not sound";
    }
    for (uint32_t id = activities->ended.first; id != 0;
         id = list_next(&activities->cold, ACTIVITY_ENDED, id)) {
        if (activities_hot(activities, id)->state <= ACTIVITY_RUNNING ||
            activities_hot(activities, id)->state > ACTIVITY_KILLED) {
            return "a running activity is among the ended";
        }
    }
    return timers == running && of_tenants == ended && activities->ended.count == ended &&
                   activities->running == running
               ? NULL
               : "an activity is in no list";
}

static bool claim_sets(struct activities *activities, struct names *names)
{
    table_claim_begin(&activities->order.nodes);
    for (uint32_t id = table_next(&names->records, 0); id != 0;
         id = table_next(&names->records, id)) {
        const struct order_check check = {.sound = node_sound, .context = activities, .name = id};
        if (!order_claim_each(&activities->order, &names_at(names, id)->activities, &check)) {
            return false;
        }
    }
    return table_claimed_all(&activities->order.nodes);
}

static bool tables_agree(const struct activities *activities)
{
    if (activities->hot.high != activities->cold.high ||
        activities->hot.used != activities->cold.used ||
        activities->hot.free_first != activities->cold.free_first ||
        activities->retired > activities->hot.used) {
        return false;
    }
    for (uint32_t slot = 1; slot <= activities->hot.high; slot++) {
        if (table_live(&activities->hot, slot) != table_live(&activities->cold, slot)) {
            return false;
        }
    }
    return true;
}

/* Free lists must agree in their order too, since the slots are taken in lockstep. */
static bool free_lists_agree(const struct activities *activities)
{
    uint32_t slot = activities->hot.free_first;
    while (slot != 0) {
        uint32_t hot;
        uint32_t cold;
        memcpy(&hot, table_at(&activities->hot, slot), sizeof hot);
        memcpy(&cold, table_at(&activities->cold, slot), sizeof cold);
        if (hot != cold || activities_hot(activities, slot)->state != ACTIVITY_NONE) {
            return false;
        }
        slot = hot;
    }
    return true;
}

const char *activities_verify(struct activities *activities, struct names *names)
{
    if (!tables_agree(activities) || !free_lists_agree(activities)) {
        return "hot and cold activities differ";
    }
    if (!claim_sets(activities, names)) {
        return "a set of activities is not sound";
    }
    table_claim_begin(&activities->texts.blocks);
    uint32_t running = 0;
    uint32_t retired = 0;
    uint32_t links = 0;
    for (uint32_t slot = table_next(&activities->hot, 0); slot != 0;
         slot = table_next(&activities->hot, slot)) {
        if (activities_hot(activities, slot)->state == ACTIVITY_RETIRED) {
            retired++;
            continue;
        }
        const char *wrong = slot_verify(activities, names, slot);
        if (wrong != NULL) {
            return wrong;
        }
        struct job_rights rights;
        activities_rights(activities, slot, &rights);
        links += activities_links_needed(&rights);
        running += activities_hot(activities, slot)->state == ACTIVITY_RUNNING;
    }
    if (links != activities->order.nodes.used || retired != activities->retired ||
        !table_claimed_all(&activities->texts.blocks)) {
        return "an activity's memory is lost";
    }
    return lists_verify(activities, names, running, activities->hot.used - retired - running);
}
