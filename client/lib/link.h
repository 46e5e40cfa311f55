/* The connection to one server: a raw REQ socket of NNG over mutual TLS. Only the modules link,
 * link_sub and link_tls of the library know NNG.
 *
 * Raw, since a REQ socket of NNG's own resends by itself and would execute requests twice. Requests
 * are handed to NNG in lanes, each an asynchronous send; nothing is ever cancelled or timed out in
 * NNG, since an operation that is cancelled just when it completes may call back twice or never
 * there (https://github.com/nanomsg/nng/issues/2208).
 *
 * A link is up when the server has answered a probe on the present connection: a server that
 * refuses a client closes the connection right after the handshake, and a request sent in between
 * would be of unknown outcome.
 *
 * All links of a client share its mutex (link_config.lock), which the events are called with.
 * Functions marked "locked" want it held; all others must be called without it. */
#ifndef ACTIVITY_LIB_LINK_H
#define ACTIVITY_LIB_LINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/lib/link_tls.h"
#include "proto/view.h"

/* Ids on the wire: the top bit says that it is the last word of the header (SP's rule), then a
 * generation, then a slot of the table of calls. Slot 0 belongs to the probes. */
enum { LINK_ID_SLOT_BITS = 17, LINK_ID_GENERATION_BITS = 14 };

struct link; /* heap object: link_open() to link_free() */
struct lane; /* one send under way; belongs to its link */

/* What became of a message that was given to a lane. */
enum link_sent {
    LINK_SENT = 0,     /* it is on its way on the present connection */
    LINK_UNSURE = 1,   /* it was sent, but perhaps on a connection that is gone */
    LINK_NOT_SENT = 2, /* NNG refused it; it will not be sent */
};

/* Called by NNG's threads with the lock held; may unlock it for a while, must return with it held.
 */
struct link_events {
    void (*up)(void *owner, struct link *link);
    void (*down)(void *owner, struct link *link); /* only after up */
    void (*sent)(void *owner, struct link *link, uint32_t id, enum link_sent outcome);
    /* Without the lock. `body` lives during the call only. */
    void (*reply)(void *owner, struct link *link, uint32_t id, struct view body);
    void (*garbage)(void *owner); /* a message without a proper id */
};

struct link_config {
    const char *url;                            /* tls+tcp://host:port; copied */
    const struct link_credentials *credentials; /* as server_name, looked at by link_open() only */
    const char *server_name;
    uint32_t reconnect_min_ms;
    uint32_t reconnect_max_ms;
    struct view probe; /* a request frame that any server answers; must outlive the link */
    const struct link_events *events;
    void *owner;
    pthread_mutex_t *lock;
};

/* Copies the host of a tls+tcp:// URL to `host`; false if it is none or too long. */
bool link_url_host(const char *url, char *host, size_t size);

/* Opens the socket without connecting. */
__attribute__((warn_unused_result)) enum link_fault link_open(const struct link_config *config,
                                                              struct link **link);
/* Closes the connection; no event comes any more when it returns. All links of an owner are closed
 * before the first is freed, since an event of one may look at the others. */
void link_close(struct link *link);
void link_free(struct link *link); /* may be NULL */

/* Begins to connect in the background, for ever; again is harmless. */
void link_dial(struct link *link);

/* Gives up a connection that seems dead; it is made anew in the background. */
void link_reset(struct link *link);

/* Asks the server for a sign of life; one at a time. */
void link_probe(struct link *link);

bool link_is_up(const struct link *link);       /* locked */
bool link_is_dialling(const struct link *link); /* locked */
const char *link_url(const struct link *link);

/* How long the server has owed an answer to what was sent since its last one, and to a probe; 0 =
 * it owes none. How long it has said nothing at all, whether it owes something or not. Locked. */
uint64_t link_silent_ms(const struct link *link, uint64_t now_ms);
uint64_t link_quiet_ms(const struct link *link, uint64_t now_ms);
uint64_t link_probed_ms(const struct link *link, uint64_t now_ms);

/* Connections that ended before the server answered anything, since the last one that did not.
 * Locked. */
unsigned link_refusals(const struct link *link);

/* Takes a free lane and fills it with a message of `count` parts (locked); NULL if there is none,
 * or with *no_memory set. It must then be given to lane_post(), without the lock. */
struct lane *link_lane_take(struct link *link, uint32_t id, const struct view *parts, size_t count,
                            bool *no_memory);
bool link_has_lane(const struct link *link); /* locked */
void lane_post(struct lane *lane);

/* Why there is no connection, one sentence for people without a full stop. */
void link_explain(struct link *link, char *text, size_t size);

#endif
