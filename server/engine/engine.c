#include "server/engine/engine.h"

#include <stdio.h>

#include "server/check.h"
#include "server/engine/loop.h"
#include "server/log.h"

/* How long a start waits for its first entry, and a stop for its last. */
#define FIRST_ENTRY_MS 10000
#define LAST_ENTRY_MS  10000
#define LOOK_MS        100

/* ---- The thread ---- */

static void sleep_until_due(struct engine *engine, uint64_t most_ms)
{
    uint64_t wake_at = engine_wake_at(engine);
    if (wake_at != WAKE_NEVER) {
        const struct engine_clock *clock = &engine->options.clock;
        uint64_t now = clock->boot_ms(clock->context);
        uint64_t left = wake_at > now ? wake_at - now : 0;
        most_ms = left < most_ms ? left : most_ms;
    }
    if (most_ms > 0) {
        wake_wait(&engine->wake, most_ms);
    }
}

/* Whether a stop need not wait any longer: all is through, or nothing comes any more. */
static bool is_finished(struct engine *engine, uint64_t *progress_ms)
{
    const struct engine_clock *clock = &engine->options.clock;
    if (atomic_load(&engine->failed) || engine_idle(engine)) {
        return true;
    }
    uint64_t now = clock->boot_ms(clock->context);
    *progress_ms = *progress_ms == 0 ? now : *progress_ms;
    return now - *progress_ms >= LAST_ENTRY_MS;
}

static void *run(void *context)
{
    struct engine *engine = context;
    uint64_t progress_ms = 0; /* since when a stop has waited in vain */
    for (;;) {
        if (engine_step(engine)) {
            progress_ms = 0;
            continue;
        }
        bool stopping = atomic_load(&engine->stopping);
        if (stopping && is_finished(engine, &progress_ms)) {
            return NULL;
        }
        sleep_until_due(engine, stopping ? LOOK_MS : WAKE_NEVER);
    }
}

/* Steps on the caller's thread until the first entry is applied: who is let in finds limits and an
 * epoch. */
static int await_first_entry(struct engine *engine, char *text, size_t text_size)
{
    for (uint64_t waited = 0; !engine_idle(engine) && waited < FIRST_ENTRY_MS;) {
        if (!engine_step(engine)) {
            wake_wait(&engine->wake, LOOK_MS);
            waited += LOOK_MS;
        }
        if (atomic_load(&engine->failed)) {
            break;
        }
    }
    if (engine_idle(engine)) {
        return 0;
    }
    (void)snprintf(text, text_size,
                   atomic_load(&engine->failed)
                       ? "the journal failed at the first entry of this start"
                       : "the first entry of this start could not be written: is the disk full?");
    return RESTORE_IO;
}

static int start_threads(struct engine *engine)
{
    if (outbox_start(&engine->outbox) != 0 || snapshot_maker_start(&engine->maker) != 0) {
        return 1;
    }
    engine->threaded = pthread_create(&engine->thread, NULL, run, engine) == 0;
    return engine->threaded ? 0 : 1;
}

int engine_start(const struct engine_options *options, struct journal *journal,
                 struct engine **started, char *text, size_t text_size)
{
    struct engine *engine = NULL;
    int outcome = engine_open(options, journal, &engine, text, text_size);
    if (outcome != 0) {
        return outcome;
    }
    outcome = await_first_entry(engine, text, text_size);
    if (outcome == 0 && start_threads(engine) != 0) {
        (void)snprintf(text, text_size, "the system refuses threads");
        outcome = RESTORE_DAMAGE;
    }
    if (outcome != 0) {
        /* The journal's threads may still call back: memory is left to the end of the process. */
        atomic_store(&engine->failed, true);
        return outcome;
    }
    *started = engine;
    return 0;
}

/* ---- Ending ---- */

void engine_want_progress(struct engine *engine, bool wanted)
{
    if (latest_want(&engine->latest, wanted)) {
        wake_ring(&engine->wake);
    }
}

void engine_index_room(struct engine *engine)
{
    wake_ring(&engine->wake);
}

void engine_index_result(struct engine *engine, const struct command_result *result)
{
    indexing_put(&engine->indexing, result);
}

void engine_index_searchable(struct engine *engine, uint64_t results)
{
    indexing_refreshed(&engine->indexing, results);
}

void engine_drain(struct engine *engine)
{
    atomic_store(&engine->inbox.draining, true);
    wake_ring(&engine->wake);
}

void engine_stop(struct engine *engine, bool with_snapshot)
{
    engine_drain(engine);
    queue_close(&engine->inbox.queue);
    if (engine->options.index != NULL) {
        queue_close(&engine->indexing.results);
    }
    atomic_store(&engine->stopping, true);
    wake_ring(&engine->wake);
    if (engine->threaded) {
        (void)pthread_join(engine->thread, NULL);
        engine->threaded = false;
    }
    snapshot_maker_stop(&engine->maker);
    outbox_stop(&engine->outbox);
    if (!atomic_load(&engine->failed) && !engine_idle(engine)) {
        log_warning("entries under way could not be written before the end: is the disk full?");
    } else if (!atomic_load(&engine->failed) && with_snapshot) {
        engine_save(engine);
    }
}

void engine_free(struct engine *engine)
{
    engine_close(engine);
}

/* ---- Asking ---- */

struct inbox *engine_inbox(struct engine *engine)
{
    return &engine->inbox;
}

enum engine_health engine_health(const struct engine *engine)
{
    if (atomic_load(&engine->inbox.draining)) {
        return ENGINE_DRAINING;
    }
    return atomic_load(&engine->writable) ? ENGINE_SERVING : ENGINE_DISK_FULL;
}

void engine_status(const struct engine *engine, struct engine_status *status)
{
    *status = (struct engine_status){
        .applied_index = atomic_load(&engine->applied_index),
        .commands = atomic_load(&engine->command_count),
        .entries = atomic_load(&engine->entry_count),
        .queries = atomic_load(&engine->query_count),
        .snapshots = atomic_load(&engine->maker.snapshots),
        .waits = atomic_load(&engine->waits.waiting),
    };
}

uint64_t engine_epoch(const struct engine *engine)
{
    return engine->facts.epoch;
}

size_t engine_memory_bytes(const struct engine_options *options,
                           void (*part)(void *context, const char *name, size_t bytes),
                           void *context)
{
    size_t core = core_memory_bytes(&options->limits);
    size_t outbox =
        options->outbox_bytes < OUTBOX_BYTES_MIN ? OUTBOX_BYTES_MIN : options->outbox_bytes;
    size_t entries =
        (size_t)LOOP_SLOTS * (JOURNAL_BODY_MAX + sizeof(struct loop_slot)) + sizeof(struct beats);
    size_t waits = waits_memory_bytes(options->waits_max);
    size_t indexing = options->index != NULL ? INDEXING_QUEUE_BYTES : 0;
    size_t latest = options->outlets.progress != NULL ? LATEST_COLUMNS_BYTES : 0;
    if (part != NULL) {
        core_memory_parts(&options->limits, part, context);
        part(context, "second core, while a snapshot is made", core);
        part(context, "inbox", options->inbox_bytes);
        part(context, "outbox", outbox);
        part(context, "entries being formed and under way", entries);
        part(context, "long polls that wait", waits);
        part(context, "progress being collected", latest);
        if (indexing != 0) {
            part(context, "index: results for the engine", indexing);
        }
    }
    return 2 * core + options->inbox_bytes + outbox + entries + waits + latest + indexing;
}
