/* How an engine begins: the state from the disk, the journal's threads, and the first entry. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/engine/loop.h"
#include "server/engine/memory.h"
#include "server/engine/window.h"
#include "server/log.h"

/* ---- What the journal tells, on its own threads ---- */

static void on_committed(void *context, uint64_t token, const struct journal_entry *entry)
{
    struct engine *engine = context;
    struct loop_commits *commits = &engine->commits;
    (void)token;
    (void)pthread_mutex_lock(&commits->lock);
    CHECK(commits->count < LOOP_SLOTS);
    commits->entries[(commits->first + commits->count) % LOOP_SLOTS] = *entry;
    commits->count++;
    atomic_store(&engine->committed, true);
    (void)pthread_mutex_unlock(&commits->lock);
    wake_ring(&engine->wake);
}

static void on_writable(void *context, bool writable)
{
    struct engine *engine = context;
    atomic_store(&engine->writable, writable);
    atomic_store(&engine->inbox.disk_full, !writable);
    wake_ring(&engine->wake);
}

static void on_failed(void *context, const struct journal_error *error)
{
    struct engine *engine = context;
    atomic_store(&engine->failed, true);
    engine->options.outlets.fatal(engine->options.outlets.context, RESTORE_IO, error->text);
    wake_ring(&engine->wake);
}

/* ---- The first entry ---- */

/* What may have been issued between the copy of the state and now: the free list goes round over at
 * least 65,536 slots, so that at 70,000 creates a second, more than can be made durable, a slot
 * takes 64 generations a minute. The rest is a margin for a clock that was wrong. */
#define RAISE_LEAST      65536
#define RAISE_PER_MINUTE 64

static uint32_t generations_between(uint64_t from_ms, uint64_t to_ms)
{
    uint64_t minutes = to_ms > from_ms ? (to_ms - from_ms) / 60000 + 1 : 0;
    uint64_t raise = RAISE_LEAST + RAISE_PER_MINUTE * minutes;
    return raise < UINT32_MAX ? (uint32_t)raise : UINT32_MAX;
}

static void append_command(struct engine *engine, const struct command *command)
{
    uint8_t bytes[1024];
    struct writer writer = writer_of(bytes, sizeof bytes);
    command_encode(command, &writer);
    CHECK(!writer.failed);
    CHECK(engine_append(engine, bytes_of(bytes, (size_t)(writer.at - bytes)), 0));
}

/* A new directory, a restore or a repair: its epoch is not that of the state. */
static void append_epoch(struct engine *engine, struct command *command)
{
    const struct engine_clock *clock = &engine->options.clock;
    uint64_t wall_ms = clock->wall_ms(clock->context);
    command->kind = COMMAND_EPOCH;
    struct command_epoch *epoch = &command->epoch;
    epoch->epoch = journal_epoch(engine->journal);
    epoch->raise_generations =
        engine->info.epoch == 0 ? 0 : generations_between(engine->info.wall_ms, wall_ms);
    clock->fill_random(clock->context, epoch->hash_key, sizeof epoch->hash_key);
    clock->fill_random(clock->context, &epoch->first_generation, sizeof epoch->first_generation);
    epoch->first_generation &= (UINT32_C(1) << 28) - 1;
    clock->fill_random(clock->context, &epoch->first_ticket, sizeof epoch->first_ticket);
    append_command(engine, command);
}

static void form_first_entry(struct engine *engine)
{
    const struct core_limits *limits = &engine->options.limits;
    static _Thread_local struct command command; /* large */
    if (engine->info.epoch != journal_epoch(engine->journal)) {
        append_epoch(engine, &command);
    }
    if (engine->info.index > 0 && engine->info.version < CORE_VERSION) {
        command.kind = COMMAND_UPGRADE;
        command.upgrade.core_version = CORE_VERSION;
        append_command(engine, &command);
    }
    if (memcmp(limits->values, engine->info.limits.values, sizeof limits->values) != 0 ||
        engine->info.index == 0) {
        command.kind = COMMAND_LIMITS;
        memcpy(command.limits.values, limits->values, sizeof limits->values);
        append_command(engine, &command);
    }
    if (limits->index_mode != 0) { /* nobody knows what became of the batches under way */
        command.kind = COMMAND_INDEX_START;
        append_command(engine, &command);
    }
}

/* ---- Opening ---- */

static void copy_facts(struct engine *engine)
{
    const struct engine_facts *from = engine->options.facts;
    struct answer_facts *to = &engine->facts;
    to->epoch = journal_epoch(engine->journal);
    to->version = from->version;
    to->start_ms = from->start_ms;
    to->durability = from->durability;
    to->index = from->index;
    to->feed_url = from->feed_url != NULL ? from->feed_url : "";
    to->feed = from->feed;
    to->feed_context = from->feed_context;
    to->index_source = from->index_source;
    to->tls = from->tls;
    to->tls_context = from->tls_context;
}

static int allocate(struct engine *engine)
{
    const struct engine_options *options = &engine->options;
    wake_init(&engine->wake);
    CHECK(pthread_mutex_init(&engine->commits.lock, NULL) == 0);
    int outcome =
        inbox_init(&engine->inbox, options->inbox_bytes, options->inbox_places, &engine->wake);
    outcome |= outbox_init(&engine->outbox, options->outbox_bytes, &engine->options.outlets);
    outcome |= indexing_init(&engine->indexing, options->index, &engine->wake);
    outcome |= latest_init(&engine->latest, &engine->outbox);
    outcome |= waits_init(&engine->waits, options->waits_max, &engine->outbox);
    engine->beats = memory_reserve(sizeof *engine->beats);
    engine->slots = memory_reserve(LOOP_SLOTS * sizeof *engine->slots);
    engine->bodies = memory_reserve((size_t)LOOP_SLOTS * JOURNAL_BODY_MAX);
    if (outcome != 0 || engine->beats == NULL || engine->slots == NULL || engine->bodies == NULL) {
        return 1;
    }
    const struct engine_clock *clock = &options->clock;
    clock->fill_random(clock->context, engine->beats->key, sizeof engine->beats->key);
    for (size_t i = 0; i < LOOP_SLOTS; i++) {
        engine->slots[i].body = engine->bodies + i * JOURNAL_BODY_MAX;
    }
    return 0;
}

static void warn_of_mark(uint64_t marked)
{
    char text[256];
    (void)snprintf(text, sizeof text,
                   "a previous process died while it was applying entry %" PRIu64
                   "; if this one dies there too, `activityd journal repair --drop-last DIR` "
                   "removes the entry, if it was never acknowledged",
                   marked);
    if (marked != 0) {
        log_warning(text, LOG_NUMBER("index", marked));
    }
}

static int restore_state(struct engine *engine, char *text, size_t text_size)
{
    const struct restore_options options = {.journal = engine->journal,
                                            .capacity = engine->options.limits,
                                            .last = journal_durable_index(engine->journal),
                                            .mark = true};
    warn_of_mark(journal_marked_index(engine->journal));
    int outcome = restore(&options, &engine->state, text, text_size);
    if (outcome != 0) {
        return outcome;
    }
    core_info(engine->state.core, &engine->info);
    atomic_store(&engine->applied_index, engine->info.index);
    log_info("state restored", LOG_NUMBER("index", engine->info.index),
             LOG_NUMBER("replayed", engine->state.entries),
             LOG_NUMBER("running", engine->info.running));
    return 0;
}

static int start_journal(struct engine *engine, char *text, size_t text_size)
{
    const struct journal_events events = {engine, on_committed, on_writable, on_failed};
    struct journal_error error = {.code = JOURNAL_OK};
    if (journal_start(engine->journal, &events, &error) == 0) {
        return 0;
    }
    (void)snprintf(text, text_size, "%s", error.text);
    return restore_status(&error);
}

static int open_parts(struct engine *engine, char *text, size_t text_size)
{
    const char *bad = core_limits_check(&engine->options.limits);
    if (bad != NULL) {
        (void)snprintf(text, text_size, "the limit %s is out of its range", bad);
        return RESTORE_LIMITS;
    }
    copy_facts(engine);
    int outcome = restore_state(engine, text, text_size);
    if (outcome != 0) {
        return outcome;
    }
    if (window_tell(engine->state.core, &engine->options.outlets) != 0) {
        (void)snprintf(text, text_size, "the system refuses memory for the kept events");
        return RESTORE_LIMITS;
    }
    snapshot_maker_init(&engine->maker, engine->journal, &engine->outbox, engine->facts.epoch,
                        &engine->state.capacity);
    outcome = start_journal(engine, text, text_size);
    if (outcome != 0) {
        return outcome;
    }
    const struct engine_clock *clock = &engine->options.clock;
    timing_init(&engine->timing, clock->boot_ms(clock->context), clock->wall_ms(clock->context));
    form_first_entry(engine);
    return 0;
}

int engine_open(const struct engine_options *options, struct journal *journal,
                struct engine **opened, char *text, size_t text_size)
{
    struct engine *engine = memory_reserve(sizeof *engine);
    if (engine == NULL) {
        (void)snprintf(text, text_size, "out of memory");
        return RESTORE_DAMAGE;
    }
    engine->options = *options;
    engine->journal = journal;
    engine->was_writable = true;
    atomic_store(&engine->writable, true);
    int outcome;
    if (allocate(engine) != 0) {
        (void)snprintf(text, text_size, "the system refuses memory for the queues");
        outcome = RESTORE_LIMITS;
    } else {
        outcome = open_parts(engine, text, text_size);
    }
    if (outcome != 0) {
        engine_close(engine);
        return outcome;
    }
    *opened = engine;
    return 0;
}

void engine_close(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    if (engine->maker.journal != NULL) {
        snapshot_maker_stop(&engine->maker);
        snapshot_maker_deinit(&engine->maker);
    }
    restored_deinit(&engine->state);
    memory_return(engine->bodies, (size_t)LOOP_SLOTS * JOURNAL_BODY_MAX);
    memory_return(engine->slots, LOOP_SLOTS * sizeof *engine->slots);
    memory_return(engine->beats, sizeof *engine->beats);
    waits_deinit(&engine->waits);
    latest_deinit(&engine->latest);
    indexing_deinit(&engine->indexing);
    outbox_deinit(&engine->outbox);
    inbox_deinit(&engine->inbox);
    (void)pthread_mutex_destroy(&engine->commits.lock);
    wake_deinit(&engine->wake);
    memory_return(engine, sizeof *engine);
}

void engine_save(struct engine *engine)
{
    struct journal_error error = {.code = JOURNAL_OK};
    struct journal_status status;
    journal_status(engine->journal, &status);
    if (engine->state.index == 0 || status.newest_snapshot_index >= engine->state.index) {
        return;
    }
    if (restored_snapshot(engine->state.core, engine->journal, engine->state.checksum, NULL,
                          &error) != 0) {
        log_warning("no snapshot could be made; the next start reads the journal instead",
                    LOG_TEXT("why", error.text));
        return;
    }
    atomic_fetch_add(&engine->maker.snapshots, 1);
    log_info("snapshot made", LOG_NUMBER("index", engine->state.index));
}
