/* The single writer: inbox -> entry -> journal -> core -> replies and events. Start-up replay is
 * the same loop. */
#ifndef ACTIVITYD_SERVER_ENGINE_ENGINE_H
#define ACTIVITYD_SERVER_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/core/core.h"
#include "server/engine/inbox.h"
#include "server/journal/journal.h"
#include "server/wire/answer.h"

/* Time and randomness, so that a simulator can take their place. */
struct engine_clock {
    void *context;
    uint64_t (*boot_ms)(void *context);                          /* CLOCK_BOOTTIME, truncated */
    uint64_t (*wall_ms)(void *context);                          /* CLOCK_REALTIME */
    void (*fill_random)(void *context, void *to, size_t length); /* getrandom */
};
extern const struct engine_clock engine_clock_system;

/* What the engine tells the outside. None of these may block for long. */
struct engine_outlets {
    void *context;
    /* A reply frame (a whole encoded ReplyEnvelope), durable. Called on the engine's outbox thread,
     * where it may be encrypted and sent. The bytes are valid during the call. */
    void (*reply)(void *context, uint64_t token, struct bytes frame);
    /* The number of the event before the first one that will be told. Once, by engine_start before
     * any event; NULL: nobody wants events. */
    void (*history)(void *context, uint64_t sequence);
    /* The events of one applied entry, in order, as effects (struct effect of type EFFECT_EVENT),
     * before its replies: who has an answer finds its events in the feed. Outbox thread. At the
     * start those that the window still holds are told by engine_start itself, before it returns;
     * NULL: nobody wants events. */
    void (*events)(void *context, struct bytes effects);
    /* Latest progress, as the fields of a ProgressFrame from time_ms on (wire/progress.h), at most
     * LIMIT_FEED_FRAME_BYTES each LIMIT_PROGRESS_PERIOD_MS, while it is wanted. Outbox thread.
     * NULL: nobody wants it. */
    void (*progress)(void *context, struct bytes fields);
    /* The process must end: exit_status 74 after a failed write or sync, 70 after DIVERGED or
     * damage, with one sentence. */
    void (*fatal)(void *context, int exit_status, const char *text);
};

/* A batch that has left the core for the index. */
struct engine_batch {
    struct reply_take take;
    struct core_batch_origin origin;
};

/* Who writes to the index. None of these may block: all are called on the engine's thread. */
struct engine_index {
    void *context;
    /* How many batches would be sent at once. When it grows engine_index_room is called. */
    uint32_t (*room)(void *context);
    /* Takes a batch over; it is valid during the call. One engine_index_result comes for it, unless
     * the process ends before. False: it was not taken over, it is to be retried. */
    bool (*send)(void *context, const struct engine_batch *batch);
    /* Somebody waits until what the index has accepted is searchable. One
     * engine_index_searchable comes for it, once that is so. */
    void (*refresh)(void *context);
};

/* What GetServerInfo says beside the core's own state. Borrowed, constant while the engine runs. */
struct engine_facts {
    const char *version;
    uint64_t start_ms;
    const char *durability;
    const char *index;    /* "none" or "elasticsearch" */
    const char *feed_url; /* empty: none */
    /* Fills how the feed stands; NULL: there is none. Engine's thread. */
    void (*feed)(void *context, struct answer_feed *feed);
    void *feed_context;
    const struct answer_index_source *index_source; /* NULL: there is no index */
    /* Fills how TLS stands, and which files are in force; NULL: nothing is told. Engine's thread.
     */
    void (*tls)(void *context, struct answer_tls *tls, struct answer_files *files);
    void *tls_context;
};

struct engine_options {
    struct core_limits limits; /* from the configuration: journaled after replay when they differ
                                  from the state's */
    uint32_t inbox_places;     /* 1,024 */
    size_t inbox_bytes;        /* 64 MiB */
    size_t outbox_bytes;       /* replies waiting to be sent: 64 MiB */
    uint64_t snapshot_bytes;   /* journal bytes after which a snapshot is made: 1 GiB */
    uint32_t waits_max;        /* long polls that may wait at a time: half of the slots; 0: none */
    struct engine_clock clock;
    struct engine_outlets outlets;
    const struct engine_index *index; /* borrowed; NULL: there is none, and index_mode is 0 */
    const struct engine_facts *facts;
};

struct engine;

/* Loads the newest snapshot, replays what follows, journals EPOCH (fresh journal, or one whose
 * epoch changed) and LIMITS when they differ, and starts the threads. The journal is opened but not
 * started. On failure fills text and returns the exit status that the process should end with
 * (positive): 74 I/O, 70 damage or divergence (naming the entry), 78 limits. */
__attribute__((warn_unused_result)) int engine_start(const struct engine_options *options,
                                                     struct journal *journal,
                                                     struct engine **engine, char *text,
                                                     size_t text_size);

struct inbox *engine_inbox(struct engine *engine);

/* Whether somebody listens to progress: nothing is collected otherwise. Any thread. */
void engine_want_progress(struct engine *engine, bool wanted);

/* There is room for a batch. Any thread. */
void engine_index_room(struct engine *engine);
/* What became of a batch: copied. There is always room for the one result of each batch. Any
 * thread, but one at a time. */
void engine_index_result(struct engine *engine, const struct command_result *result);
/* All that the first `results` results since the start have told of is searchable. The same
 * thread. */
void engine_index_searchable(struct engine *engine, uint64_t results);

/* Refuses new commands from now on (inbox_push answers 2), sends no more batches, lets queries
 * through, commits and answers what is under way; who waits for something is answered that it has
 * not happened. Returns at once. Any thread. */
void engine_drain(struct engine *engine);

/* Waits until drained and the replies are handed over, writes a snapshot from the live core
 * (`with_snapshot`), joins the threads, closes nothing else. Then journal_close, which may still
 * call back, then engine_free. */
void engine_stop(struct engine *engine, bool with_snapshot);
void engine_free(struct engine *engine); /* accepts NULL */

/* Whether commands are served; for health. Any thread. */
enum engine_health { ENGINE_SERVING = 0, ENGINE_DRAINING = 1, ENGINE_DISK_FULL = 2 };
enum engine_health engine_health(const struct engine *engine);

/* Where the engine stands, for diagnostics. Any thread. */
struct engine_status {
    uint64_t applied_index;
    uint64_t commands;
    uint64_t entries;
    uint64_t queries;
    uint64_t snapshots;
    uint64_t waits; /* long polls that wait now */
};
void engine_status(const struct engine *engine, struct engine_status *status);

/* The history's epoch, as every reply carries it. Any thread. */
uint64_t engine_epoch(const struct engine *engine);

/* The most memory that an engine with these options can touch: two cores, queues, entry buffers.
 * For --print-limits. */
size_t engine_memory_bytes(const struct engine_options *options,
                           void (*part)(void *context, const char *name, size_t bytes),
                           void *context);

#endif
