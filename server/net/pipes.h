/* The connections that were let in, by NNG's pipe id, and the principals they belong to: caps in
 * total and per principal, and how often a principal may connect.
 *
 * A connection outlives its pipe as long as a request of it is under way, so that the reply finds
 * out that nobody waits. Fixed memory. Not synchronised: net/door.h guards it by its lock; what is
 * atomic others may look at as long as they have a request of it. */
#ifndef ACTIVITYD_SERVER_NET_PIPES_H
#define ACTIVITYD_SERVER_NET_PIPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/net/remote_ends.h"
#include "server/rpc/admit.h"

struct pipes_limits {
    uint32_t connections_max;
    uint32_t connections_per_principal;
    uint32_t connects_per_minute; /* of one principal */
    uint32_t requests_max;        /* references taken at most: slots */
};

struct pipe {
    uint32_t id;
    /* Points into this structure and the principal. The rule is of the policy in force, which a
     * request holds as long as it looks at the rule; NULL: it has none any more. */
    struct admit_peer peer;
    char address[REMOTE_END_MAX];
    atomic_bool gone; /* closed: nobody reads replies. Those who have a request of it look, too. */
    bool condemned;   /* to be closed by us */
    uint8_t missing;  /* how often in a row the kernel did not know it */
    /* Replies handed to NNG that it has not taken yet, and when it last took one (or had none). */
    uint32_t waiting;
    uint64_t waiting_bytes;
    uint64_t progress_ms;
    /* The table's own. */
    struct principal *principal;
    uint32_t references;
    struct pipe *next;
};

struct pipes;

struct pipes *pipes_new(const struct pipes_limits *limits); /* NULL: out of memory */
void pipes_free(struct pipes *pipes);                       /* accepts NULL */
size_t pipes_memory_bytes(const struct pipes_limits *limits);

enum pipes_verdict {
    PIPES_ADMITTED = 0,
    PIPES_FULL,              /* connections_max */
    PIPES_PRINCIPAL_FULL,    /* connections_per_principal */
    PIPES_PRINCIPAL_TOO_FAST /* connects_per_minute */
};

/* Who comes in. What is pointed to is copied, but the rule is borrowed. */
struct pipes_arrival {
    uint32_t id;
    struct view principal; /* at most LIMIT_PRINCIPAL_LENGTH bytes */
    const struct policy_rule *rule;
    unsigned suite; /* see struct admit_peer */
    const char *address;
};

/* Enters a new connection. A refused one counts as a connect of its principal, too. */
__attribute__((warn_unused_result)) enum pipes_verdict
pipes_add(struct pipes *pipes, const struct pipes_arrival *arrival, uint64_t now_ms);

/* The pipe is closed. Unknown ids (refused ones are removed, too) are ignored. */
void pipes_remove(struct pipes *pipes, uint32_t id);

/* The connection of a request, held until released; NULL when it is gone, or has lost its rule and
 * is about to be closed for that. */
struct pipe *pipes_acquire(struct pipes *pipes, uint32_t id);
void pipes_release(struct pipes *pipes, struct pipe *pipe);

/* The living connection with the most bytes waiting, NULL when nothing waits. */
struct pipe *pipes_slowest(struct pipes *pipes);

/* Calls `visit` for each living connection. It may not add or remove any. */
void pipes_each(struct pipes *pipes, void (*visit)(void *context, struct pipe *pipe),
                void *context);

uint32_t pipes_count(const struct pipes *pipes); /* living connections */

#endif
