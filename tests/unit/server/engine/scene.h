/* An engine driven step by step, on a journal and a clock that the test moves. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_ENGINE_SCENE_H
#define ACTIVITYD_TESTS_UNIT_SERVER_ENGINE_SCENE_H

#include "tests/unit/server/engine/calls.h"
#include "tests/unit/server/engine/fake_journal.h"

#include "server/engine/loop.h"

#define SCENE_START_MS UINT64_C(1700000000000)

struct scene {
    struct calls calls;
    struct journal *journal;
    struct engine *engine;
    struct engine_options options;
    struct engine_facts facts;
    uint64_t boot_ms;
    uint64_t wall_ms;
    uint64_t seed;
};

static inline uint64_t scene_boot(void *context)
{
    return ((struct scene *)context)->boot_ms;
}

static inline uint64_t scene_wall(void *context)
{
    return ((struct scene *)context)->wall_ms;
}

static inline uint64_t scene_random(struct scene *scene)
{
    scene->seed = scene->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return scene->seed >> 24;
}

static inline void scene_random_bytes(void *context, void *to, size_t length)
{
    uint8_t *at = to;
    for (size_t i = 0; i < length; i++) {
        at[i] = (uint8_t)scene_random(context);
    }
}

/* Small tables: a second core and a sanitizer fit beside them. */
static inline void scene_limits(struct core_limits *limits)
{
    core_limits_standard(limits);
    limits->activities_max = 4096;
    limits->activity_text_bytes = MIB(4);
    limits->result_bytes = MIB(2);
    limits->results_max = 1024;
    limits->tombstones_max = 4096;
    limits->change_documents_max = 1024;
    limits->change_models_max = 4096;
    limits->change_text_bytes = MIB(1);
    limits->pending_changes_max = 4096;
    limits->pending_bytes = MIB(2);
    limits->feed_window_bytes = MIB(4);
    limits->request_ids_max = 16384;
    limits->names_max = 4096;
    limits->names_bytes = MIB(1);
    limits->present_users_max = 1024;
    limits->tickets_max = 4096;
    assert_null(core_limits_check(limits));
}

static inline void scene_open(struct scene *scene)
{
    char text[640] = "";
    scene->calls.history_told = false;
    int outcome = engine_open(&scene->options, scene->journal, &scene->engine, text, sizeof text);
    if (outcome != 0) {
        fail_msg("engine_open: %d %s", outcome, text);
    }
}

static inline void scene_tls(void *context, struct answer_tls *tls, struct answer_files *files)
{
    (void)context;
    *tls = (struct answer_tls){.engine = "none"};
    *files = (struct answer_files){.server = {.subject = "CN=test", .not_after_ms = 77}};
}

static inline void scene_init(struct scene *scene)
{
    memset(&scene->options, 0, sizeof scene->options);
    calls_init(&scene->calls);
    scene->journal = fake_journal_new(UINT64_C(0xe90c));
    scene->boot_ms = 1000000;
    scene->wall_ms = SCENE_START_MS;
    scene->seed = 42;
    scene->calls.now_ms = scene->boot_ms;
    scene->facts = (struct engine_facts){
        .version = "0.0.1", .start_ms = 5, .durability = "in memory", .index = "none"};
    scene->facts.tls = scene_tls;
    scene_limits(&scene->options.limits);
    scene->options.inbox_places = 1024;
    scene->options.inbox_bytes = MIB(16);
    scene->options.outbox_bytes = MIB(16);
    scene->options.snapshot_bytes = MIB(1024);
    scene->options.clock = (struct engine_clock){scene, scene_boot, scene_wall, scene_random_bytes};
    scene->options.waits_max = 512;
    scene->options.outlets = (struct engine_outlets){.context = &scene->calls,
                                                     .reply = calls_on_reply,
                                                     .history = calls_on_history,
                                                     .events = calls_on_events,
                                                     .progress = calls_on_progress,
                                                     .fatal = calls_on_fatal};
    scene->options.facts = &scene->facts;
    scene_open(scene);
}

static inline void scene_deinit(struct scene *scene)
{
    engine_close(scene->engine);
    fake_journal_free(scene->journal);
    calls_deinit(&scene->calls);
}

/* Steps until there is nothing left to do at this moment. */
static inline void scene_run(struct scene *scene)
{
    scene->calls.now_ms = scene->boot_ms;
    while (engine_step(scene->engine)) {
    }
    (void)outbox_deliver(&scene->engine->outbox);
}

/* Time passes; the engine wakes when it wants to. */
static inline void scene_pass(struct scene *scene, uint64_t ms)
{
    uint64_t until = scene->boot_ms + ms;
    scene_run(scene);
    for (;;) {
        uint64_t wake_at = engine_wake_at(scene->engine);
        if (wake_at > until) {
            break;
        }
        if (wake_at > scene->boot_ms) {
            scene->wall_ms += wake_at - scene->boot_ms;
            scene->boot_ms = wake_at;
        }
        scene_run(scene);
    }
    scene->wall_ms += until - scene->boot_ms;
    scene->boot_ms = until;
    scene->calls.now_ms = until;
}

/* The process dies without a word, and another one starts `ms` later. */
static inline void scene_crash(struct scene *scene, uint64_t ms)
{
    engine_close(scene->engine);
    fake_crash(scene->journal);
    scene->boot_ms += ms;
    scene->wall_ms += ms;
    scene_open(scene);
}

static inline struct core_info scene_info(const struct scene *scene)
{
    struct core_info info;
    core_info(scene->engine->state.core, &info);
    return info;
}

/* The head and the first command of a committed entry. */
static inline struct entry_head scene_entry(const struct scene *scene, uint64_t index,
                                            struct command *first)
{
    assert_in_range(index, 1, scene->journal->durable);
    const struct fake_entry *entry = &scene->journal->entries[index - 1];
    struct reader reader = reader_of(bytes_of(entry->body, entry->length));
    struct entry_head head;
    assert_true(entry_head_decode(&reader, &head));
    assert_true(command_decode(&reader, first));
    return head;
}

#endif
