/* Drives a core by hand: entries are built, applied and remembered, replies collected, time is what
 * the test says.
 *
 *     struct drive *d = drive_new(&limits);           EPOCH and LIMITS are applied, service time 0
 *     struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
 *     uint64_t job = drive_create(d, &anna, "upload");       one entry each
 *     drive_update(d, &anna, job, 40);
 *     drive_wait(d, 90000);                                  ticks, at most a second apart
 *     drive_free(d);
 *
 * For several commands in an entry: drive_begin, drive_add..., drive_commit. Any outcome but
 * CORE_OK fails the test, unless drive_try is used. Included by the tests; asserts with cmocka. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_CORE_DRIVE_H
#define ACTIVITYD_TESTS_UNIT_SERVER_CORE_DRIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "server/core/core.h"

#define DRIVE_ENTRY_ROOM (2u * 1024 * 1024)
#define DRIVE_CLOCK_MS   1700000000000u /* the wall clock at service time 0 */
#define DRIVE_EPOCH      0x1122334455667788u

struct drive {
    struct core *core;
    size_t memory_bytes;
    struct core_limits capacity;
    uint64_t index;
    uint64_t clock_ms; /* what the next entry says; moves with elapsed time */
    uint64_t request;  /* for request ids that nobody cares about */
    /* The entry at hand. */
    uint8_t *entry;
    struct entry_head head;
    size_t entry_bytes;
    /* What the last one did; views are valid until the next. */
    struct bytes effects;
    struct effect reply; /* the last reply */
    uint32_t replies;
    uint32_t events;
    /* All entries, each with its length (u32) before it. */
    uint8_t *journal;
    size_t journal_bytes;
    size_t journal_room;
};

static inline struct bytes drive_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

/* Limits that a test reaches soon; times are the standard ones. */
static inline struct core_limits drive_limits(void)
{
    struct core_limits limits;
    core_limits_standard(&limits);
    limits.activities_max = 1000;
    limits.activity_text_bytes = MIB(1);
    limits.result_bytes = MIB(2);
    limits.results_max = 1000;
    limits.tombstones_max = 1000;
    limits.change_documents_max = 1000;
    limits.change_models_max = 2000;
    limits.change_text_bytes = MIB(1);
    limits.pending_changes_max = 1000;
    limits.pending_bytes = MIB(2);
    limits.feed_window_bytes = MIB(4);
    limits.request_ids_max = 100000;
    limits.names_max = 5000;
    limits.names_bytes = MIB(1);
    limits.tenants_max = 20;
    limits.present_users_max = 100;
    limits.tickets_max = 1000;
    return limits;
}

/* ---- Memory ---- */

static inline struct core *drive_core_new(const struct core_limits *capacity, size_t *bytes)
{
    *bytes = core_memory_bytes(capacity);
    void *memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    return core_init(memory, capacity);
}

static inline void drive_core_free(struct core *core, size_t bytes)
{
    assert_int_equal(munmap(core, bytes), 0);
}

/* ---- Entries ---- */

static inline void drive_begin(struct drive *d, uint16_t elapsed_ms, uint8_t flags)
{
    d->clock_ms += elapsed_ms;
    d->head = (struct entry_head){
        .version = 1, .flags = flags, .elapsed_ms = elapsed_ms, .clock_ms = d->clock_ms};
    d->entry_bytes = ENTRY_HEAD_BYTES;
}

static inline void drive_add(struct drive *d, const struct command *command)
{
    struct writer to = writer_of(d->entry + d->entry_bytes, DRIVE_ENTRY_ROOM - d->entry_bytes);
    command_encode(command, &to);
    assert_false(to.failed);
    d->entry_bytes += to.wanted;
    d->head.count++;
}

static inline void drive_remember(struct drive *d, struct bytes entry)
{
    size_t need = d->journal_bytes + sizeof entry.length + entry.length;
    if (need > d->journal_room) {
        d->journal_room = 2 * need;
        d->journal = realloc(d->journal, d->journal_room);
        assert_non_null(d->journal);
    }
    memcpy(d->journal + d->journal_bytes, &entry.length, sizeof entry.length);
    memcpy(d->journal + d->journal_bytes + sizeof entry.length, entry.at, entry.length);
    d->journal_bytes = need;
}

static inline enum core_outcome drive_try_bytes(struct drive *d, struct bytes entry)
{
    enum core_outcome outcome = core_apply(d->core, d->index + 1, entry, &d->effects);
    if (outcome != CORE_OK) {
        return outcome;
    }
    d->index++;
    d->replies = 0;
    d->events = 0;
    drive_remember(d, entry);
    struct reader from = reader_of(d->effects);
    struct effect effect;
    while (effect_next(&from, &effect)) {
        if (effect.type == EFFECT_REPLY) {
            d->reply = effect;
            d->replies++;
        } else {
            d->events++;
        }
    }
    return outcome;
}

static inline struct bytes drive_entry(struct drive *d)
{
    struct writer to = writer_of(d->entry, ENTRY_HEAD_BYTES);
    entry_head_encode(&d->head, &to);
    assert_false(to.failed);
    return bytes_of(d->entry, d->entry_bytes);
}

static inline enum core_outcome drive_try(struct drive *d)
{
    return drive_try_bytes(d, drive_entry(d));
}

static inline void drive_commit(struct drive *d)
{
    assert_int_equal(drive_try(d), CORE_OK);
    assert_int_equal(d->replies, d->head.count);
}

/* An entry with one command, without time. */
static inline struct effect drive_one(struct drive *d, const struct command *command)
{
    drive_begin(d, 0, 0);
    drive_add(d, command);
    drive_commit(d);
    assert_int_equal(d->reply.kind, command->kind);
    return d->reply;
}

static inline void drive_tick(struct drive *d, uint16_t elapsed_ms, uint8_t flags)
{
    struct core_info info;
    core_info(d->core, &info);
    struct command command = {.kind = COMMAND_TICK,
                              .tick = {.index = info.index, .digest = info.digest}};
    drive_begin(d, elapsed_ms, flags);
    drive_add(d, &command);
    drive_commit(d);
}

/* Lets service time pass in ticks of at most `step_ms`. */
static inline void drive_wait_by(struct drive *d, uint64_t ms, uint16_t step_ms)
{
    while (ms != 0) {
        uint16_t step = ms < step_ms ? (uint16_t)ms : step_ms;
        drive_tick(d, step, 0);
        ms -= step;
    }
}

static inline void drive_wait(struct drive *d, uint64_t ms)
{
    drive_wait_by(d, ms, 1000);
}

/* ---- Life ---- */

static inline void drive_set_limits(struct drive *d, const struct core_limits *limits)
{
    struct command command = {.kind = COMMAND_LIMITS};
    memcpy(command.limits.values, limits->values, sizeof limits->values);
    (void)drive_one(d, &command);
}

static inline void drive_epoch(struct drive *d, uint64_t epoch, uint32_t raise_generations)
{
    struct command command = {
        .kind = COMMAND_EPOCH,
        .epoch = {.epoch = epoch,
                  .hash_key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                  .first_generation = 0x0abcdef,
                  .raise_generations = raise_generations,
                  .first_ticket = 0x7000000000000001u}};
    (void)drive_one(d, &command);
}

/* A core without an entry yet. */
static inline struct drive *drive_bare(const struct core_limits *capacity)
{
    struct drive *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->capacity = *capacity;
    d->core = drive_core_new(capacity, &d->memory_bytes);
    d->entry = malloc(DRIVE_ENTRY_ROOM);
    assert_non_null(d->entry);
    d->clock_ms = DRIVE_CLOCK_MS;
    return d;
}

static inline struct drive *drive_new(const struct core_limits *limits)
{
    struct drive *d = drive_bare(limits);
    drive_epoch(d, DRIVE_EPOCH, 0);
    drive_set_limits(d, limits);
    return d;
}

static inline void drive_free(struct drive *d)
{
    drive_core_free(d->core, d->memory_bytes);
    free(d->entry);
    free(d->journal);
    free(d);
}

/* Applies a journal (d->journal of another) to this core. */
static inline void drive_replay(struct drive *d, const uint8_t *journal, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t bytes;
        memcpy(&bytes, journal + at, sizeof bytes);
        assert_int_equal(drive_try_bytes(d, bytes_of(journal + at + sizeof bytes, bytes)), CORE_OK);
        at += sizeof bytes + bytes;
    }
}

static inline void drive_verify(const struct drive *d)
{
    const char *wrong = core_verify(d->core);
    if (wrong != NULL) {
        fail_msg("core_verify: %s", wrong);
    }
}

/* ---- Snapshots in memory ---- */

struct drive_snapshot {
    uint8_t *at;
    size_t length;
    size_t room;
    size_t position;
};

static inline int drive_snapshot_put(void *context, const void *bytes, size_t length)
{
    struct drive_snapshot *s = context;
    if (s->length + length > s->room) {
        s->room = 2 * (s->length + length);
        s->at = realloc(s->at, s->room);
        assert_non_null(s->at);
    }
    memcpy(s->at + s->length, bytes, length);
    s->length += length;
    return 0;
}

static inline int drive_snapshot_get(void *context, void *bytes, size_t length)
{
    struct drive_snapshot *s = context;
    if (s->length - s->position < length) {
        return -100;
    }
    memcpy(bytes, s->at + s->position, length);
    s->position += length;
    return 0;
}

static inline struct core_stream drive_stream(struct drive_snapshot *s)
{
    return (struct core_stream){
        .context = s, .write = drive_snapshot_put, .read = drive_snapshot_get};
}

static inline struct drive_snapshot drive_snapshot(const struct drive *d)
{
    struct drive_snapshot s = {.at = NULL};
    struct core_stream stream = drive_stream(&s);
    assert_int_equal(core_snapshot_write(d->core, &stream), 0);
    return s;
}

/* A second core from a snapshot, in `capacity`; goes on where the first stands. */
static inline struct drive *drive_load(struct drive_snapshot *s, const struct core_limits *capacity)
{
    struct drive *d = drive_bare(capacity);
    struct core_stream stream = drive_stream(s);
    s->position = 0;
    assert_int_equal(core_snapshot_read(d->core, &stream), 0);
    struct core_info info;
    core_info(d->core, &info);
    d->index = info.index;
    d->clock_ms = info.wall_ms;
    return d;
}

/* ---- Callers and commands ---- */

static inline struct command_caller drive_caller(const char *tenant, const char *principal,
                                                 const char *user)
{
    return (struct command_caller){.tenant = drive_text(tenant),
                                   .principal = drive_text(principal),
                                   .user = drive_text(user == NULL ? "" : user)};
}

static inline void drive_in_group(struct command_caller *caller, const char *group)
{
    caller->groups[caller->group_count++] = drive_text(group);
}

/* A CREATE with a request id of its own; fill in more before it is applied. */
static inline struct command
drive_create_command(struct drive *d, const struct command_caller *caller, const char *type)
{
    struct command command = {.kind = COMMAND_CREATE,
                              .create = {.caller = *caller, .type = drive_text(type)}};
    d->request++;
    memcpy(command.create.request_id, &d->request, sizeof d->request);
    command.create.request_id[15] = 1;
    return command;
}

static inline uint64_t drive_created(const struct effect *reply)
{
    struct reply_create created;
    assert_int_equal(reply->code, STATUS_OK);
    reply_create_read(reply->body, &created);
    assert_true(created.job_id != 0 && created.job_id < (uint64_t)1 << LIMIT_JOB_ID_BITS);
    return created.job_id;
}

static inline uint64_t drive_create(struct drive *d, const struct command_caller *caller,
                                    const char *type)
{
    struct command command = drive_create_command(d, caller, type);
    struct effect reply = drive_one(d, &command);
    return drive_created(&reply);
}

/* The same in a group. */
static inline uint64_t drive_create_in(struct drive *d, const struct command_caller *caller,
                                       const char *group)
{
    struct command command = drive_create_command(d, caller, "upload");
    command.create.groups.names[command.create.groups.count++] = drive_text(group);
    struct effect reply = drive_one(d, &command);
    return drive_created(&reply);
}

static inline struct reply_update drive_apply_update(struct drive *d, const struct command *command)
{
    struct reply_update updated;
    struct effect reply = drive_one(d, command);
    assert_int_equal(reply.code, STATUS_OK);
    reply_update_read(reply.body, &updated);
    assert_true(updated.job_id == command->update.job_id);
    return updated;
}

static inline struct command drive_update_command(const struct command_caller *caller,
                                                  uint64_t job_id, int percent)
{
    return (struct command){.kind = COMMAND_UPDATE,
                            .update = {.caller = *caller,
                                       .job_id = job_id,
                                       .has_percent = percent >= 0,
                                       .percent = percent < 0 ? 0 : (uint8_t)percent}};
}

/* percent -1: absent. */
static inline struct reply_update drive_update(struct drive *d, const struct command_caller *caller,
                                               uint64_t job_id, int percent)
{
    struct command command = drive_update_command(caller, job_id, percent);
    return drive_apply_update(d, &command);
}

static inline struct reply_update drive_fail(struct drive *d, const struct command_caller *caller,
                                             uint64_t job_id, const char *code)
{
    struct command command = drive_update_command(caller, job_id, -1);
    command.update.has_failure = true;
    command.update.failure_code = drive_text(code);
    return drive_apply_update(d, &command);
}

static inline struct reply_update drive_complete(struct drive *d,
                                                 const struct command_caller *caller,
                                                 uint64_t job_id, struct bytes result)
{
    struct command command = drive_update_command(caller, job_id, 100);
    command.update.result = result;
    return drive_apply_update(d, &command);
}

/* Encodes columns of deltas; returns their length. `to` has room for 10 bytes an id. */
static inline uint32_t drive_deltas(const uint64_t *job_ids, uint32_t count, uint8_t *to)
{
    uint64_t before = 0;
    uint8_t *at = to;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t delta = job_ids[i] - before;
        uint64_t zigzag = delta << 1 ^ (0 - (delta >> 63));
        for (; zigzag >= 0x80; zigzag >>= 7) {
            *at++ = (uint8_t)(zigzag | 0x80);
        }
        *at++ = (uint8_t)zigzag;
        before = job_ids[i];
    }
    return (uint32_t)(at - to);
}

struct drive_batch {
    uint32_t count;
    const uint64_t *job_ids;
    const uint8_t *percents;
};

/* One BATCH; the views of *reply are valid until the next entry. */
static inline void drive_batch(struct drive *d, const struct command_caller *caller,
                               const struct drive_batch *batch, struct reply_batch *reply)
{
    uint8_t *deltas = malloc((size_t)batch->count * 10);
    assert_non_null(deltas);
    uint32_t length = drive_deltas(batch->job_ids, batch->count, deltas);
    struct command command = {.kind = COMMAND_BATCH,
                              .batch = {.caller = *caller,
                                        .count = batch->count,
                                        .deltas = bytes_of(deltas, length),
                                        .percents = bytes_of(batch->percents, batch->count)}};
    struct effect effect = drive_one(d, &command);
    free(deltas);
    assert_int_equal(effect.code, STATUS_OK);
    reply_batch_read(effect.body, reply);
    assert_int_equal(reply->count, batch->count);
}

static inline uint8_t drive_batch_disposition(const struct reply_batch *reply, uint32_t nth)
{
    return reply->dispositions.length == 0 ? DISPOSITION_APPLIED : reply->dispositions.at[nth];
}

/* The reply as it is: a refusal or a disposition. */
static inline struct effect drive_destroy(struct drive *d, const struct command_caller *caller,
                                          uint64_t job_id)
{
    struct command command = {.kind = COMMAND_DESTROY,
                              .destroy = {.caller = *caller, .job_id = job_id}};
    return drive_one(d, &command);
}

static inline void drive_beat(struct drive *d, const char *tenant, const char *user)
{
    uint8_t beats[256];
    struct writer to = writer_of(beats, sizeof beats);
    command_beat_put(&to, drive_text(tenant), drive_text(user));
    struct command command = {.kind = COMMAND_TICK,
                              .tick = {.beat_count = 1, .beats = bytes_of(beats, to.wanted)}};
    (void)drive_one(d, &command);
}

/* ---- Questions ---- */

static inline bool drive_get(const struct drive *d, const struct command_caller *caller,
                             uint64_t job_id, struct core_activity *activity)
{
    struct core_viewer viewer;
    core_viewer_init(d->core, caller, &viewer);
    return core_get_activity(d->core, &viewer, job_id, activity);
}

/* How a job stands for an admin of the tenant; ACTIVITY_NONE when it is no activity (any more). */
static inline enum activity_state drive_state(const struct drive *d, const char *tenant,
                                              uint64_t job_id)
{
    struct command_caller admin = drive_caller(tenant, "spiffe://test/admin", NULL);
    admin.rights = RIGHT_ADMIN;
    struct core_activity activity;
    return drive_get(d, &admin, job_id, &activity) ? (enum activity_state)activity.state
                                                   : ACTIVITY_NONE;
}

static inline struct core_result drive_result(const struct drive *d,
                                              const struct command_caller *caller, uint64_t job_id,
                                              uint8_t *to)
{
    struct core_viewer viewer;
    struct core_result result;
    core_viewer_init(d->core, caller, &viewer);
    core_get_result(d->core, &viewer, job_id, &result, to);
    return result;
}

/* All that one Find gives: job ids in order. Returns how many; fails above `most`. */
static inline uint32_t drive_find(const struct drive *d, const struct command_caller *caller,
                                  const struct core_find_activities *filter, uint64_t *job_ids,
                                  uint32_t most)
{
    struct core_find_activities all = {.type_count = 0};
    if (filter != NULL) {
        all = *filter;
    }
    struct core_viewer viewer;
    struct core_activity_walk walk;
    struct core_activity activity;
    uint32_t count = 0;
    core_viewer_init(d->core, caller, &viewer);
    for (enum core_found found = CORE_EXHAUSTED; found == CORE_EXHAUSTED;
         all.after_order = walk.position) {
        core_activity_walk_init(&walk, d->core, &viewer, &all);
        while ((found = core_activity_next(&walk, &activity)) == CORE_FOUND) {
            assert_true(count < most);
            job_ids[count++] = activity.job_id;
        }
    }
    return count;
}

static inline bool drive_finds(const struct drive *d, const struct command_caller *caller,
                               uint64_t job_id)
{
    uint64_t job_ids[1024];
    uint32_t count = drive_find(d, caller, NULL, job_ids, 1024);
    for (uint32_t i = 0; i < count; i++) {
        if (job_ids[i] == job_id) {
            return true;
        }
    }
    return false;
}

#endif
