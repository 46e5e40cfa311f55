/* The bounded way into the engine: admitted requests wait here in order of arrival. Bytes are
 * copied in, so a caller may reuse its own at once. Two bounds: places and bytes; a full inbox
 * answers at once and loses nothing. */
#ifndef ACTIVITYD_SERVER_ENGINE_INBOX_H
#define ACTIVITYD_SERVER_ENGINE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"

struct inbox;

enum inbox_kind {
    INBOX_COMMAND = 1, /* body: one encoded command (server/core/command.h) */
    INBOX_QUERY = 2 /* body: one encoded query (server/wire/query.h), answered from applied state */
};

struct inbox_item {
    enum inbox_kind kind;
    uint64_t token;       /* comes back with the reply; 0 = nobody waits for one */
    uint64_t deadline_ms; /* CLOCK_BOOTTIME; past it the request is answered EXPIRED_IN_QUEUE and
                             not executed */
    struct bytes body;
    /* Of a long poll (WaitActivity, WaitVisible); zero for everything else. */
    uint64_t wait_until_ms; /* CLOCK_BOOTTIME: answered by then in any case; 0: answered at once */
    bool crowded; /* there was no place to wait: an answer that nothing has happened says to come
                     back later */
    const atomic_bool *gone; /* becomes true when nobody can be answered any more; valid until the
                                answer. NULL: never */
};

/* Puts one item in. Returns 0; 1 when there is no place or no room (answer INBOX_FULL); 2 when the
 * engine is draining (answer DRAINING); 3 when the disk is full and this is a command (answer
 * DISK_FULL). Any thread; never blocks. */
__attribute__((warn_unused_result)) int inbox_push(struct inbox *inbox,
                                                   const struct inbox_item *item);

#endif
