/* Admission: from the bytes of a request to a place in the engine's inbox, or to an answer at once.
 *
 * One straight line, called on the thread that received the bytes: envelope, method, right, caller,
 * payload, inbox. Nothing in it blocks, and nothing is executed here but Check, Drain and
 * Reload, which concern the process and not the state. Every request gets one answer: garbage a
 * refusal. */
#ifndef ACTIVITYD_SERVER_RPC_ADMIT_H
#define ACTIVITYD_SERVER_RPC_ADMIT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/view.h"
#include "server/engine/inbox.h"
#include "server/feed/reader.h"
#include "server/rpc/policy.h"
#include "server/wire/method.h"
#include "server/wire/reply.h"
#include "server/wire/request.h"

enum admit_health { ADMIT_SERVING = 0, ADMIT_DRAINING = 1, ADMIT_DISK_FULL = 2 };

/* What admission needs of the rest of the house; main.c knows where it is. All are called on
 * receiving threads and must not block. */
struct admit_options {
    struct inbox *inbox;
    struct feed_reader *reader;      /* answers ReadChanges; NULL: there is no such method */
    uint32_t waits_max;              /* long polls that may wait at a time: half of the slots */
    uint32_t waits_per_principal;    /* of one principal: 64 */
    const struct model_kinds *kinds; /* see request.h */
    uint64_t epoch;                  /* for replies */
    uint64_t slow_call_ms;
    void *context;
    uint64_t (*boot_ms)(void *context); /* CLOCK_BOOTTIME: what deadlines are compared with */
    enum admit_health (*health)(void *context);
    void (*drain)(void *context); /* begins the end of the process */
    /* Has the files read anew. Returns 0: somebody will answer under `token`, perhaps before this
     * returns; 1: the server is about to stop. */
    int (*reload)(void *context, uint64_t token, uint64_t deadline_ms);
};

struct admit;

/* The options are copied, what they point to is borrowed. NULL: out of memory. */
struct admit *admit_new(const struct admit_options *options);
void admit_free(struct admit *admit); /* accepts NULL */

/* Who sends. Borrowed for the call; the rule, which a reload may replace, only for admission. */
struct admit_peer {
    struct view principal;
    const struct policy_rule *rule;
    const char *address;     /* for diagnostics */
    const atomic_bool *gone; /* true once the connection is closed */
    _Atomic uint32_t *waits; /* long polls of this principal that wait now; NULL: it may not wait */
    unsigned suite;          /* of its connection: see request_scratch_set_suite */
};

/* What is kept of a request until it is answered: for diagnostics, and the place of a long poll. */
struct admit_call {
    uint32_t wait_ms;            /* how long it may wait in the place it holds; 0: it holds none */
    const struct method *method; /* NULL: it was not known */
    uint64_t received_ms;        /* CLOCK_BOOTTIME */
    char traceparent[56];        /* W3C Trace Context, empty if none */
};

#define ADMIT_REPLY_MAX REPLY_REFUSAL_MAX

/* Admits one request frame. Returns 0: somebody else will answer under `token`, perhaps before this
 * returns; else the length of the answer written to `reply` (ADMIT_REPLY_MAX bytes of room). *call
 * is filled before anybody can answer. `frame` is not needed any more afterwards. Any thread.
 *
 * A long poll for which there is no place to wait is not refused: it is answered at once, and when
 * nothing has happened the answer says when to come back. */
__attribute__((warn_unused_result)) size_t admit_request(struct admit *admit,
                                                         const struct admit_peer *peer,
                                                         uint64_t token, struct view frame,
                                                         struct admit_call *call, uint8_t *reply);

/* Gives back what the call holds, and says that it was slow, if it was: a long poll may take its
 * waiting time besides. Exactly once for each request that admit_request gave to somebody, also
 * when its answer has nobody to go to any more. Any thread. */
void admit_answered(struct admit *admit, const struct admit_peer *peer,
                    const struct admit_call *call);

#endif
