#include "server/core/life.h"

#include "server/check.h"
#include "server/core/siphash.h"

/* How much may leave early for the sake of one command. */
#define MAKE_ROOM_MOST 1024u
/* How many timers may be looked at in one entry, whether they kill or not. */
#define TIMERS_MOST 65536u

/* ---- The end ---- */

static void emit_ended(struct core *core, uint32_t slot)
{
    const struct activities *activities = &core->activities;
    const struct activity_hot *hot = activities_hot(activities, slot);
    const struct activity_cold *cold = activities_cold(activities, slot);
    struct event_texts texts;
    uint8_t type[NAME_LENGTH_MAX];
    uint8_t status[LIMIT_STATUS_TEXT_LENGTH];
    uint8_t failure[LIMIT_FAILURE_CODE_LENGTH + LIMIT_FAILURE_MESSAGE_LENGTH];
    struct job_rights rights;
    activities_rights(activities, slot, &rights);
    pool_get(&activities->texts, cold->status_text, cold->status_length, status);
    pool_get(&activities->texts, cold->failure_text,
             (uint32_t)cold->failure_code_length + cold->failure_message_length, failure);
    struct event event = {.kind = EVENT_ACTIVITY_ENDED,
                          .ended = {.job_id = activities_job_id(activities, slot),
                                    .type = names_text(&core->names, cold->type, type),
                                    .state = hot->state,
                                    .percent = hot->percent,
                                    .status_text = bytes_of(status, cold->status_length),
                                    .failure_code = bytes_of(failure, cold->failure_code_length),
                                    .failure_message = bytes_of(failure + cold->failure_code_length,
                                                                cold->failure_message_length)}};
    const struct event_source source = {.tenant = rights.tenant,
                                        .principal = rights.creator,
                                        .user = rights.owner,
                                        .group_count = job_group_count(&rights),
                                        .groups = rights.groups};
    event_source_fill(&core->names, &source, &event, &texts);
    emit_event(core, &event);
}

void life_end(struct core *core, uint32_t slot, enum activity_state state, uint64_t mark)
{
    struct activities *activities = &core->activities;
    struct activity_hot *hot = activities_hot(activities, slot);
    struct activity_cold *cold = activities_cold(activities, slot);
    CHECK(hot->state == ACTIVITY_RUNNING && state > ACTIVITY_RUNNING);
    activities_stop_timer(activities, slot);
    hot->state = (uint8_t)state;
    hot->update_ms = core->time.wall_ms;
    cold->end_ms = core->time.wall_ms;
    cold->end_service_ms = core->time.service_ms;
    cold->end_mark = mark;
    list_append(&activities->ended, &activities->cold, ACTIVITY_ENDED, slot);
    list_append(&shares_of(&core->names, hot->tenant)->lists[SHARE_ACTIVITIES], &activities->cold,
                ACTIVITY_ENDED_OF_TENANT, slot);
    activities->running--;
    children_remove(&core->children, activities, slot);
    progress_forget(&core->progress, slot);
    emit_ended(core, slot);
}

static void add_text(struct siphash *hash, struct bytes text)
{
    siphash_add(hash, &text.length, sizeof text.length);
    siphash_add(hash, text.at, text.length);
}

uint64_t life_mark(const struct core *core, const struct command_update *update)
{
    struct siphash hash;
    uint8_t head[2] = {update->percent, update->has_failure ? 1 : 0};
    siphash_init(&hash, core->names.key);
    siphash_add(&hash, head, sizeof head);
    add_text(&hash, update->failure_code);
    add_text(&hash, update->failure_message);
    add_text(&hash, update->result);
    return siphash_finish(&hash) | 1; /* never "none" */
}

uint64_t life_mark_of_batch(const struct core *core)
{
    struct command_update update = {.has_percent = true, .percent = LIMIT_PERCENT_MAX};
    return life_mark(core, &update);
}

/* ---- Leaving ---- */

static void leave(struct core *core, uint32_t slot)
{
    struct activities *activities = &core->activities;
    const struct activity_hot *hot = activities_hot(activities, slot);
    uint32_t type = activities_cold(activities, slot)->type;
    struct tombstone tombstone = {.job_id = activities_job_id(activities, slot),
                                  .state = hot->state,
                                  .percent = hot->percent,
                                  .had_result = (hot->flags & ACTIVITY_HAD_RESULT) != 0};
    activities_rights(activities, slot, &tombstone.rights);
    activities_remove(activities, &core->names, slot);
    tombstones_add(&core->tombstones, &core->names, &core->limits,
                   &tombstone); /* takes over the names */
    names_release(&core->names, type);
}

bool life_drop_oldest_ended(struct core *core)
{
    uint32_t slot = shares_oldest(&core->names, SHARE_ACTIVITIES, core->limits.activities_max,
                                  &core->activities.ended);
    if (slot == 0) {
        return false;
    }
    leave(core, slot);
    return true;
}

/* The heaviest holder of text loses first here, whatever the count of activities. */
static bool drop_for_text(struct core *core)
{
    uint32_t slot = shares_heaviest(&core->names, SHARE_TEXT,
                                    core->limits.activity_text_bytes / ACTIVITY_TEXT_BLOCK);
    slot = slot == 0 ? 0 : shares_of(&core->names, slot)->lists[SHARE_ACTIVITIES].first;
    slot = slot != 0 ? slot : core->activities.ended.first;
    if (slot == 0) {
        return false;
    }
    leave(core, slot);
    return true;
}

bool life_text_room(struct core *core, uint32_t tenant, uint64_t blocks, uint64_t freed)
{
    if (blocks <= freed) {
        return true;
    }
    for (uint32_t i = 0;; i++) {
        uint64_t used = core->activities.texts.blocks.used;
        if (!shares_refuse(&core->names, tenant, SHARE_TEXT, used, blocks - freed,
                           core->limits.activity_text_bytes / ACTIVITY_TEXT_BLOCK)) {
            return true;
        }
        if (i == MAKE_ROOM_MOST || !drop_for_text(core)) {
            return false;
        }
    }
}

uint32_t life_intern(struct core *core, enum name_kind kind, uint32_t tenant, struct bytes text)
{
    for (uint32_t i = 0;; i++) {
        uint32_t name = names_intern(&core->names, &core->limits, kind, tenant, text);
        if (name != 0 || i == MAKE_ROOM_MOST ||
            !tombstones_drop_oldest(&core->tombstones, &core->names, &core->limits)) {
            return name;
        }
    }
}

/* ---- Expiry ---- */

/* A timer that fires early, because there was a sign of life or a start since, goes where it
 * belongs by now. */
static void kill_silent(struct core *core)
{
    struct activities *activities = &core->activities;
    uint32_t kills = 0;
    for (uint32_t looked = 0; looked < TIMERS_MOST && kills < EXPIRE_MOST; looked++) {
        uint32_t slot = wheel_first(&activities->wheel, core->time.service_ms);
        if (slot == 0) {
            return;
        }
        uint64_t due_ms = activities_due_ms(activities, slot, &core->limits, &core->time);
        if (due_ms / WHEEL_BUCKET_MS > activities->wheel.turn) {
            activities_stop_timer(activities, slot);
            activities_start_timer(activities, slot, &core->limits, &core->time);
        } else {
            life_end(core, slot, ACTIVITY_KILLED, 0);
            kills++;
        }
    }
}

static bool ended_surplus(const struct core *core)
{
    return core->activities.ended.first != 0 &&
           activities_count(&core->activities) > core->limits.activities_max;
}

static uint64_t ended_deadline(const struct core *core)
{
    uint32_t first = core->activities.ended.first;
    if (first == 0) {
        return UINT64_MAX;
    }
    return ended_surplus(core) ? 0
                               : activities_cold(&core->activities, first)->end_service_ms +
                                     core->limits.ended_keep_ms;
}

static void expire_ended(struct core *core)
{
    for (uint32_t i = 0; i < EXPIRE_MOST && ended_deadline(core) <= core->time.service_ms; i++) {
        if (ended_surplus(core)) {
            (void)life_drop_oldest_ended(core);
        } else {
            leave(core, core->activities.ended.first);
        }
    }
}

static bool tombstones_surplus(const struct core *core)
{
    return core->tombstones.table.used > core->limits.tombstones_max;
}

void life_expire(struct core *core)
{
    uint64_t now = core->time.service_ms;
    kill_silent(core);
    flush_pending(core);
    expire_ended(core);
    for (uint32_t i = 0; i < EXPIRE_MOST && tombstones_surplus(core); i++) {
        (void)tombstones_drop_oldest(&core->tombstones, &core->names, &core->limits);
    }
    uint32_t budget = EXPIRE_MOST;
    results_expire(&core->results, &core->names, &core->limits, now, &budget);
    budget = EXPIRE_MOST;
    presence_expire(&core->presence, &core->names, &core->limits, now, &budget);
    budget = EXPIRE_MOST;
    changes_expire(&core->changes, &core->names, &core->limits, now, &budget);
    budget = EXPIRE_MOST;
    tickets_expire(&core->tickets, &core->names, &core->limits, now, &budget);
    budget = EXPIRE_MOST;
    requests_expire(&core->requests, &core->names, &core->limits, now, &budget);
    budget = 4 * EXPIRE_MOST;
    feed_window_expire(&core->feed, &core->limits, now, &budget);
}

uint64_t core_next_deadline(const struct core *core)
{
    uint64_t deadlines[] = {
        wheel_deadline(&core->activities.wheel),
        ended_deadline(core),
        tombstones_surplus(core) ? 0 : UINT64_MAX,
        results_deadline(&core->results, &core->limits),
        presence_deadline(&core->presence, &core->limits),
        core->limits.index_mode != 0
            ? UINT64_MAX /* core_batch_due says when a TAKE is of use */
            : pending_deadline(&core->pending, &core->changes, &core->limits),
        changes_deadline(&core->changes, &core->limits),
        tickets_deadline(&core->tickets, &core->limits),
        requests_deadline(&core->requests, &core->limits),
        feed_window_deadline(&core->feed, &core->limits),
    };
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++) {
        first = deadlines[i] < first ? deadlines[i] : first;
    }
    return first;
}
