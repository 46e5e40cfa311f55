/* BATCH: percents of many jobs, the hot path. Ids are decoded in blocks, a block ahead of the
 * updates, so that each job's line is on its way from memory before it is needed; an update that
 * ends no job touches that line only. */
#include "server/check.h"
#include "server/core/life.h"

#define BLOCK 16u /* more lines than a core can wait for at once gain nothing */

/* ---- Ids ---- */

struct ids {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t job_id; /* of the last one */
    bool failed;
};

/* The groups of seven bits of up to eight bytes, put together. */
static inline uint64_t gather(uint64_t w)
{
    w &= 0x7f7f7f7f7f7f7f7fu;
    w = (w & 0x007f007f007f007fu) | (w & 0x7f007f007f007f00u) >> 1;
    w = (w & 0x00003fff00003fffu) | (w & 0x3fff00003fff0000u) >> 2;
    return (w & 0x0fffffffu) | (w & 0x0fffffff00000000u) >> 4;
}

/* A varint near the end of the column, or a long one. */
static uint64_t read_slowly(struct ids *ids)
{
    uint64_t value = 0;
    for (uint32_t shift = 0; ids->at != ids->end && shift < 70; shift += 7) {
        uint8_t byte = *ids->at++;
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (byte < 0x80) {
            /* Minimal, and within 64 bits: one value has one encoding. */
            ids->failed = ids->failed || (byte == 0 && shift != 0) || (shift == 63 && byte > 1);
            return value;
        }
    }
    ids->failed = true;
    return 0;
}

static inline uint64_t read_delta(struct ids *ids)
{
    if (ids->end - ids->at >= 8) {
        uint64_t w;
        memcpy(&w, ids->at, sizeof w);
        uint64_t ends = ~w & 0x8080808080808080u;
        if (ends != 0) {
            uint32_t bits = (uint32_t)__builtin_ctzll(ends) + 1; /* of the varint, 8 to 64 */
            uint64_t own = w & (~(uint64_t)0 >> (64 - bits));
            ids->failed |= bits > 8 && own >> (bits - 8) == 0;
            ids->at += bits / 8;
            return gather(own);
        }
    }
    return read_slowly(ids);
}

static inline uint32_t read_block(const struct activities *activities, struct ids *ids,
                                  uint64_t *to, uint32_t most)
{
    for (uint32_t i = 0; i < most; i++) {
        uint64_t delta = read_delta(ids);
        ids->job_id += delta >> 1 ^ (0 - (delta & 1));
        to[i] = ids->job_id;
        __builtin_prefetch(
            activities_hot(activities,
                           (uint32_t)(ids->job_id & ACTIVITY_SLOTS_MAX) <= activities->hot.high
                               ? (uint32_t)(ids->job_id & ACTIVITY_SLOTS_MAX)
                               : 0),
            1);
    }
    return most;
}

/* ---- Updates ---- */

/* The caller's right as one comparison: (line field & mask) == value. */
struct right {
    uint32_t tenant;
    uint32_t owner; /* 0: need not be the owner */
    uint32_t creator;
    bool none;
};

static struct right right_of(const struct core_viewer *viewer)
{
    struct right right = {.tenant = viewer->tenant, .none = viewer->tenant == 0};
    if (viewer->admin || viewer->update_any) {
        return right;
    }
    if (viewer->has_user) {
        right.owner = viewer->user;
        right.none = right.none || viewer->user == 0;
    } else {
        right.creator = viewer->principal;
        right.none = right.none || viewer->principal == 0;
    }
    return right;
}

struct work {
    struct core *core;
    struct right right;
    struct core_viewer viewer;
    uint64_t mark; /* of completing, 0 = not computed yet */
};

static uint8_t update_gone(const struct work *work, uint64_t job_id, uint8_t *percent)
{
    uint32_t id = tombstones_find(&work->core->tombstones, job_id);
    const struct tombstone *tombstone = id == 0 ? NULL : tombstones_at(&work->core->tombstones, id);
    if (tombstone == NULL || !job_changeable(&work->viewer, &tombstone->rights)) {
        *percent = 0;
        return DISPOSITION_UNKNOWN;
    }
    *percent = tombstone->percent;
    return (uint8_t)(tombstone->state + 2);
}

/* 100 %, or a job that has ended: the rare half. */
static uint8_t update_end(struct work *work, uint32_t slot, uint8_t *percent)
{
    struct activity_hot *hot = activities_hot(&work->core->activities, slot);
    if (work->mark == 0) {
        work->mark = life_mark_of_batch(work->core);
    }
    if (hot->state == ACTIVITY_RUNNING) {
        hot->percent = LIMIT_PERCENT_MAX;
        life_end(work->core, slot, ACTIVITY_COMPLETED, work->mark);
        return DISPOSITION_APPLIED;
    }
    bool repeated = *percent == LIMIT_PERCENT_MAX &&
                    activities_cold(&work->core->activities, slot)->end_mark == work->mark;
    *percent = hot->percent;
    return repeated ? DISPOSITION_APPLIED : (uint8_t)(hot->state + 2);
}

/* One update; *percent becomes the stored one. */
static inline uint8_t update_one(struct work *work, uint64_t job_id, uint8_t *percent)
{
    const struct activities *activities = &work->core->activities;
    uint32_t slot = activities_find(activities, job_id);
    if (slot == 0) {
        return update_gone(work, job_id, percent);
    }
    struct activity_hot *hot = activities_hot(activities, slot);
    const struct right *right = &work->right;
    if (hot->tenant != right->tenant || (right->owner != 0 && hot->owner != right->owner) ||
        (right->creator != 0 && hot->creator != right->creator) || right->none) {
        *percent = 0;
        return DISPOSITION_UNKNOWN;
    }
    if (hot->state != ACTIVITY_RUNNING) {
        return update_end(work, slot, percent);
    }
    hot->heard_ms = work->core->time.service_ms;
    if (*percent < hot->percent) {
        *percent = hot->percent;
        return DISPOSITION_HEARTBEAT;
    }
    if (*percent > hot->percent) {
        hot->update_ms = work->core->time.wall_ms;
        hot->percent = *percent;
        if (*percent == LIMIT_PERCENT_MAX) {
            return update_end(work, slot, percent);
        }
        progress_mark(work->core->progress.percents, slot);
    }
    return DISPOSITION_APPLIED;
}

static void update_block(struct work *work, const uint64_t *job_ids, uint32_t count,
                         uint8_t *percents, uint8_t *dispositions)
{
    for (uint32_t i = 0; i < count; i++) {
        dispositions[i] = update_one(work, job_ids[i], &percents[i]);
    }
}

static uint32_t count_ignored(const uint8_t *dispositions, uint32_t count)
{
    uint32_t ignored = 0;
    for (uint32_t i = 0; i < count; i++) {
        ignored += dispositions[i] >= DISPOSITION_UNKNOWN;
    }
    return ignored;
}

static void emit_batch(struct core *core, uint32_t count, const uint8_t *percents,
                       const uint8_t *dispositions)
{
    /* All the same as the first, which is APPLIED. */
    bool all_applied = dispositions[0] == DISPOSITION_APPLIED &&
                       memcmp(dispositions, dispositions + 1, count - 1) == 0;
    uint32_t ignored = all_applied ? 0 : count_ignored(dispositions, count);
    uint8_t *body = core->columns + 2 * (size_t)LIMIT_BATCH_UPDATES;
    struct writer to = writer_of(body, BATCH_REPLY_BYTES);
    writer_u32(&to, count);
    writer_u32(&to, ignored);
    writer_u8(&to, all_applied ? 1 : 0);
    writer_put(&to, percents, count);
    writer_put(&to, dispositions, all_applied ? 0 : count);
    emit_reply(core, bytes_of(body, to.wanted));
}

void apply_batch(struct core *core, const struct command *command)
{
    const struct command_batch *batch = &command->batch;
    struct work work = {.core = core};
    viewer_of(&core->names, &batch->caller, false, &work.viewer);
    work.right = right_of(&work.viewer);
    uint8_t *percents = core->columns;
    uint8_t *dispositions = core->columns + LIMIT_BATCH_UPDATES;
    memcpy(percents, batch->percents.at, batch->count);
    struct ids ids = {.at = batch->deltas.at, .end = batch->deltas.at + batch->deltas.length};
    uint64_t blocks[2][BLOCK];
    uint32_t ready =
        read_block(&core->activities, &ids, blocks[0], batch->count < BLOCK ? batch->count : BLOCK);
    for (uint32_t done = 0, turn = 0; done < batch->count; turn ^= 1) {
        uint32_t left = batch->count - done - ready;
        uint32_t next =
            read_block(&core->activities, &ids, blocks[turn ^ 1], left < BLOCK ? left : BLOCK);
        update_block(&work, blocks[turn], ready, percents + done, dispositions + done);
        done += ready;
        ready = next;
    }
    if (ids.failed || ids.at != ids.end) {
        core->error = CORE_MALFORMED;
        return;
    }
    emit_batch(core, batch->count, percents, dispositions);
}
