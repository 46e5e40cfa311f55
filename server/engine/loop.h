/* The engine without its threads: one step at a time, so that a simulator or a test can drive it
 * with a journal, a clock and a pace of its own. engine.c runs the same steps on a thread. */
#ifndef ACTIVITYD_SERVER_ENGINE_LOOP_H
#define ACTIVITYD_SERVER_ENGINE_LOOP_H

#include "server/engine/beats.h"
#include "server/engine/engine.h"
#include "server/engine/inbox_queue.h"
#include "server/engine/indexing.h"
#include "server/engine/latest.h"
#include "server/engine/outbox.h"
#include "server/engine/restore.h"
#include "server/engine/snapshot_maker.h"
#include "server/engine/timing.h"
#include "server/engine/waits.h"
#include "server/wire/answer.h"

/* Entries that may be proposed and not yet applied; one more is being formed. */
#define LOOP_UNDER_WAY_MAX 4
#define LOOP_SLOTS         (LOOP_UNDER_WAY_MAX + 1)
#define LOOP_COMMANDS_MAX  4096 /* of one entry */

/* An entry being formed or under way: the body is borrowed by the journal until it is committed. */
struct loop_slot {
    uint8_t *body;
    uint32_t length;
    uint32_t count;
    size_t effects_max;
    uint64_t tokens[LOOP_COMMANDS_MAX]; /* who waits for the reply of each command */
};

/* What the journal has said, until the engine's thread looks at it. */
struct loop_commits {
    pthread_mutex_t lock;
    uint32_t first;
    uint32_t count;
    struct journal_entry entries[LOOP_SLOTS];
};

struct engine {
    struct engine_options options;
    struct answer_facts facts;
    struct journal *journal;
    struct wake wake;
    struct inbox inbox;
    struct outbox outbox;
    struct snapshot_maker maker;

    /* Of the engine's thread alone. */
    struct restored state; /* the live core */
    struct core_info info; /* after its last entry */
    struct timing timing;
    struct waits waits;
    struct latest latest;
    struct indexing indexing;
    struct beats *beats;
    uint64_t tick_ms;     /* when the last tick was formed, CLOCK_BOOTTIME */
    uint64_t snapshot_ms; /* when a snapshot was last thought of */
    struct loop_slot *slots;
    uint8_t *bodies;
    uint32_t oldest;      /* slot of the oldest entry under way */
    uint32_t under_way;   /* proposed and not applied */
    uint32_t uncommitted; /* proposed and not committed */
    bool was_writable;

    struct loop_commits commits;
    _Atomic bool committed; /* there is something in it */
    _Atomic bool writable;
    _Atomic bool failed; /* nothing is applied or proposed any more */
    _Atomic bool stopping;
    _Atomic uint64_t applied_index;
    _Atomic uint64_t command_count;
    _Atomic uint64_t entry_count;
    _Atomic uint64_t query_count;

    bool threaded;
    pthread_t thread;
};

/* As engine_start, but without threads, and the first entry (EPOCH, LIMITS) is formed, not waited
 * for. Starts the journal. */
__attribute__((warn_unused_result)) int engine_open(const struct engine_options *options,
                                                    struct journal *journal, struct engine **engine,
                                                    char *text, size_t text_size);

/* Does what can be done now without waiting: applies what is committed, takes a bounded number of
 * items, proposes. Returns whether there was anything. */
bool engine_step(struct engine *engine);

/* When the next step is due although nobody rings (CLOCK_BOOTTIME ms), WAKE_NEVER if never. */
uint64_t engine_wake_at(const struct engine *engine);

/* Nothing is being formed or under way, and nobody waits for an answer. */
bool engine_idle(struct engine *engine);

/* Writes a snapshot from the live core, unless there is one. Only while nothing steps. */
void engine_save(struct engine *engine);

/* Ends what engine_open began: no snapshot, nothing waited for. Accepts NULL. */
void engine_close(struct engine *engine);

/* Appends one encoded command to the entry being formed; false when it must be proposed first. */
bool engine_append(struct engine *engine, struct bytes command, uint64_t token);

#endif
