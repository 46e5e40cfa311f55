/* UPDATE: one step of one job.
 *
 * What an update of a running job means: a percent below the stored one is a sign of life and
 * nothing else, as is an update that says nothing; everything else is APPLIED, also when it says
 * what is stored already, so that a repetition gets the same answer. The time of the last change
 * moves only when something changes. A refusal for want of room is a sign of life too: nobody is
 * killed because others fill the tables. */
#include "server/check.h"
#include "server/core/life.h"

static void emit_updated(struct core *core, uint64_t job_id, uint8_t percent, uint8_t disposition)
{
    uint8_t body[10];
    struct writer to = writer_of(body, sizeof body);
    writer_u64(&to, job_id);
    writer_u8(&to, percent);
    writer_u8(&to, disposition);
    emit_reply(core, bytes_of(body, sizeof body));
}

/* A job that has ended, and perhaps left: 100 % and the same failure again are repetitions. */
static void update_ended(struct core *core, const struct command_update *update, uint32_t slot)
{
    const struct activity_hot *hot = activities_hot(&core->activities, slot);
    const struct activity_cold *cold = activities_cold(&core->activities, slot);
    bool ends =
        update->has_failure || (update->has_percent && update->percent == LIMIT_PERCENT_MAX);
    bool repeated = ends && cold->end_mark != 0 && cold->end_mark == life_mark(core, update);
    emit_updated(core, update->job_id, hot->percent,
                 repeated ? DISPOSITION_APPLIED : (uint8_t)(hot->state + 2));
}

static void update_gone(struct core *core, const struct command_update *update,
                        const struct core_viewer *viewer)
{
    uint32_t id = tombstones_find(&core->tombstones, update->job_id);
    const struct tombstone *tombstone = id == 0 ? NULL : tombstones_at(&core->tombstones, id);
    if (tombstone == NULL || !job_changeable(viewer, &tombstone->rights)) {
        emit_updated(core, update->job_id, 0, DISPOSITION_UNKNOWN);
    } else {
        emit_updated(core, update->job_id, tombstone->percent, (uint8_t)(tombstone->state + 2));
    }
}

/* What a text would add, beyond what it replaces. */
static void count_text(const struct core *core, uint32_t new_length, uint32_t old_length,
                       uint64_t *blocks, uint64_t *freed)
{
    *blocks += activities_text_blocks(&core->activities, new_length);
    *freed += activities_text_blocks(&core->activities, old_length);
}

static bool text_fits(struct core *core, const struct command_update *update, uint32_t slot)
{
    const struct activity_cold *cold = activities_cold(&core->activities, slot);
    uint64_t blocks = 0;
    uint64_t freed = 0;
    if (update->has_status_text) {
        count_text(core, update->status_text.length, cold->status_length, &blocks, &freed);
    }
    if (update->has_failure) {
        count_text(core, update->failure_code.length + update->failure_message.length, 0, &blocks,
                   &freed);
    }
    return life_text_room(core, activities_hot(&core->activities, slot)->tenant, blocks, freed);
}

static bool status_equal(const struct core *core, const struct activity_cold *cold,
                         struct bytes text)
{
    return cold->status_length == text.length &&
           pool_equal(&core->activities.texts, cold->status_text, text);
}

static void set_status(struct core *core, const struct command_update *update, uint32_t slot)
{
    struct activity_cold *cold = activities_cold(&core->activities, slot);
    if (!update->has_status_text || status_equal(core, cold, update->status_text)) {
        return;
    }
    activities_set_text(&core->activities, &core->names, slot, &cold->status_text,
                        cold->status_length, update->status_text);
    cold->status_length = (uint16_t)update->status_text.length;
    activities_hot(&core->activities, slot)->update_ms = core->time.wall_ms;
    progress_mark(core->progress.texts, slot);
}

static void set_failure(struct core *core, const struct command_update *update, uint32_t slot)
{
    struct activity_cold *cold = activities_cold(&core->activities, slot);
    uint8_t text[LIMIT_FAILURE_CODE_LENGTH + LIMIT_FAILURE_MESSAGE_LENGTH];
    struct writer to = writer_of(text, sizeof text);
    writer_bytes(&to, update->failure_code);
    writer_bytes(&to, update->failure_message);
    activities_set_text(&core->activities, &core->names, slot, &cold->failure_text, 0,
                        bytes_of(text, to.wanted));
    cold->failure_code_length = (uint16_t)update->failure_code.length;
    cold->failure_message_length = (uint16_t)update->failure_message.length;
}

static void keep_result(struct core *core, const struct command_update *update, uint32_t slot)
{
    if (update->result.length == 0) {
        return;
    }
    struct result result = {.job_id = update->job_id, .service_ms = core->time.service_ms};
    activities_rights(&core->activities, slot, &result.rights);
    activities_hot(&core->activities, slot)->flags |= ACTIVITY_HAD_RESULT;
    results_add(&core->results, &core->names, &core->limits, &result, update->result);
}

static void apply_to(struct core *core, const struct command_update *update, uint32_t slot)
{
    struct activity_hot *hot = activities_hot(&core->activities, slot);
    set_status(core, update, slot);
    if (update->has_percent && update->percent > hot->percent) {
        hot->percent = update->percent;
        hot->update_ms = core->time.wall_ms;
        progress_mark(core->progress.percents, slot);
    }
    if (update->has_failure) {
        set_failure(core, update, slot);
        life_end(core, slot, ACTIVITY_FAILED, life_mark(core, update));
    } else if (hot->percent == LIMIT_PERCENT_MAX) {
        keep_result(core, update, slot);
        life_end(core, slot, ACTIVITY_COMPLETED, life_mark(core, update));
    }
    emit_updated(core, update->job_id, hot->percent, DISPOSITION_APPLIED);
}

void apply_update(struct core *core, const struct command *command)
{
    const struct command_update *update = &command->update;
    struct core_viewer viewer;
    viewer_of(&core->names, &update->caller, false, &viewer);
    uint32_t slot = activities_find(&core->activities, update->job_id);
    if (slot == 0) {
        update_gone(core, update, &viewer);
        return;
    }
    struct activity_hot *hot = activities_hot(&core->activities, slot);
    struct job_rights rights;
    activities_rights(&core->activities, slot, &rights);
    if (!job_changeable(&viewer, &rights)) {
        emit_updated(core, update->job_id, 0, DISPOSITION_UNKNOWN);
        return;
    }
    if (hot->state != ACTIVITY_RUNNING) {
        update_ended(core, update, slot);
        return;
    }
    hot->heard_ms = core->time.service_ms;
    bool lower = update->has_percent && update->percent < hot->percent;
    bool nothing = !update->has_percent && !update->has_status_text;
    if (!update->has_failure && (lower || nothing)) {
        emit_updated(core, update->job_id, hot->percent, DISPOSITION_HEARTBEAT);
    } else if (!results_fits(&core->results, &core->limits, update->result.length)) {
        emit_exhausted(core, REASON_RESULT_TOO_LARGE);
    } else if (!text_fits(core, update, slot)) {
        emit_exhausted(core, REASON_TOO_MUCH_TEXT);
    } else {
        apply_to(core, update, slot);
    }
}
