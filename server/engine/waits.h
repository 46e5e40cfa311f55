/* The long polls that wait (WaitActivity, WaitVisible): looked at when they come, after entries
 * were applied, and answered at the latest when their time is over. Bounded by a number of places.
 * The engine's thread. */
#ifndef ACTIVITYD_SERVER_ENGINE_WAITS_H
#define ACTIVITYD_SERVER_ENGINE_WAITS_H

#include "server/engine/inbox.h"
#include "server/engine/outbox.h"
#include "server/wire/answer.h"

/* The longest query of a wait: a caller in 64 groups, and what is waited for. */
#define WAITS_QUERY_MAX 5120

/* Between two looks at all that wait: entries come far more often. */
#define WAITS_LOOK_MS 10
/* Long looks that one round may take, so that commands need not wait for many of them. */
#define WAITS_LONG_LOOKS 64
/* Between two looks at whether those who wait are still there. */
#define WAITS_GONE_MS 100

/* What a look needs, side by side: all of them are gone through. */
struct wait_slot {
    uint64_t token;
    uint64_t until_ms;
    const atomic_bool *gone;
    struct answer_wait wait;
    uint32_t place; /* where its caller is kept */
};

/* Who waits, decoded once: the views point into the query. */
struct wait_place {
    struct command_caller caller;
    uint8_t query[WAITS_QUERY_MAX];
};

struct waits {
    struct outbox *outbox;
    uint32_t max;
    uint32_t count;
    struct wait_slot *slots; /* the first `count` are used */
    struct wait_place *places;
    uint32_t *free_places; /* max - count of them */
    void *memory;
    bool changed;             /* entries were applied since all were looked at, or a look goes on */
    uint64_t looked_ms;       /* when they were, CLOCK_BOOTTIME */
    uint64_t asked_ms;        /* when it was last asked whether they are still there */
    uint64_t over_ms;         /* when the first of them is over */
    bool wants_refresh;       /* somebody waits for nothing else; the engine's to take back */
    _Atomic uint64_t waiting; /* count, for other threads */
};

/* Returns 0, or 1: no memory. The outbox is borrowed. */
__attribute__((warn_unused_result)) int waits_init(struct waits *waits, uint32_t max,
                                                   struct outbox *outbox);
void waits_deinit(struct waits *waits); /* accepts a zeroed one; who waits is not answered */
size_t waits_memory_bytes(uint32_t max);

/* Looks at a new one, and keeps it if there is something to wait for: otherwise, or without time,
 * place or (`closing`) a future it is answered at once. */
void waits_take(struct waits *waits, const struct answer_look *look, const struct inbox_item *item,
                bool closing);

/* An entry was applied. */
void waits_changed(struct waits *waits);

/* When waits_step has something to do, WAKE_NEVER if never. */
uint64_t waits_wake_at(const struct waits *waits);

/* Looks at those whose look is due, and answers; with `closing` all of them. Returns whether there
 * was anything to do. */
bool waits_step(struct waits *waits, const struct answer_look *look, uint64_t now_ms, bool closing);

#endif
