/* The connection of one subscription to a change-feed endpoint: a SUB socket of NNG over mutual
 * TLS, and the messages that have come and were not taken yet.
 *
 * A receive is always posted while there is room for a message; when there is none, messages are
 * lost (NNG drops the oldest it holds), which their sequences show. As in link.h nothing is
 * cancelled or timed out in NNG, and NNG makes lost connections anew. */
#ifndef ACTIVITY_LIB_LINK_SUB_H
#define ACTIVITY_LIB_LINK_SUB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/lib/link_tls.h"
#include "proto/view.h"

struct link_sub; /* heap object: link_sub_open() to link_sub_free() */

struct link_sub_config {
    const char *url;                            /* tls+tcp://host:port; copied */
    const struct link_credentials *credentials; /* as server_name, looked at by link_sub_open() */
    const char *server_name;
    uint32_t reconnect_min_ms;
    uint32_t reconnect_max_ms;
    const char *topics[2]; /* prefixes of the wanted messages; NULL: none more */
    /* A message has come, or a connection or its end. Called by NNG's threads with the lock held.
     */
    void (*happened)(void *owner);
    void *owner;
    pthread_mutex_t *lock;
};

/* Opens the socket and begins to connect in the background, for ever. Without the lock. */
__attribute__((warn_unused_result)) enum link_fault
link_sub_open(const struct link_sub_config *config, struct link_sub **sub);

/* Closes the connection; nothing happens any more when it returns. Without the lock; may be NULL.
 */
void link_sub_free(struct link_sub *sub);

/* Takes the oldest message; false if there is none. It lives until the next call or the end.
 * Without the lock, by one thread at a time. */
bool link_sub_take(struct link_sub *sub, struct view *message);

struct link_sub_state {
    bool connected;
    bool waiting;      /* a message can be taken */
    unsigned refusals; /* connections that ended before a message came, since the last that did not
                        */
    uint64_t connects; /* since link_sub_open() */
    /* When the last message came, the connection was made, or there was room for messages again. */
    uint64_t heard_ms;
};
void link_sub_state(struct link_sub *sub, struct link_sub_state *state); /* without the lock */

/* Gives up a connection that seems dead; it is made anew in the background. Without the lock. */
void link_sub_reset(struct link_sub *sub);

const char *link_sub_url(const struct link_sub *sub);

#endif
