/* Carries requests to the nodes of an index, several at a time on kept connections. One thread,
 * which calls transport_run; only transport_wake may be called from others. Visible here alone:
 * libcurl.
 *
 * Requests go to one node as long as it answers. One that cannot be reached is left alone for a
 * while, and what had not been sent yet goes to the next one; what may have arrived is not sent a
 * second time here, but for a kept connection that ends without an answer: libcurl tries a new one
 * then. TLS is never without verification of the peer and its name, and with `ca` no
 * other authorities count. Redirects are not followed, proxies of the environment not used. */
#ifndef ACTIVITYD_SERVER_INDEX_TRANSPORT_H
#define ACTIVITYD_SERVER_INDEX_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"

#define TRANSPORT_NODES_MAX 16u
#define TRANSPORT_WHY_MAX   512u

struct transport_options {
    const char *const *nodes; /* "https://HOST:PORT" or http://, 1..TRANSPORT_NODES_MAX */
    uint32_t node_count;
    const char *ca;         /* PEM file with the authorities; NULL: the system's */
    const char *cert;       /* PEM file of the client certificate, with key; NULL: none */
    const char *key;        /* PEM file */
    const char *basic_file; /* see credentials.h; at most one of both. Read again after a 401. */
    const char *api_key_file;
    bool gzip;                /* bodies are compressed; answers may be in any case */
    uint32_t connect_ms;      /* until a connection with TLS stands */
    uint32_t answer_ms;       /* until an answer is complete, unless the request says so itself */
    uint32_t reply_bytes_max; /* uncompressed */
    uint32_t requests_max;    /* under way */
    uint32_t node_away_ms;    /* for so long a node is left alone that could not be reached */
    uint64_t (*now_ms)(void *context); /* a clock that does not jump */
    void *context;
};

struct transport_request {
    const char *method;       /* a constant */
    const char *path;         /* with the query; copied */
    const char *content_type; /* a constant; NULL: without body */
    struct bytes body;        /* borrowed until it is done */
    uint32_t answer_ms;       /* 0: that of the options */
    void *owner;
};

struct transport_answer {
    uint32_t status; /* of HTTP; 0: none, or not whole */
    bool too_long;   /* status 0: it came, but has more than reply_bytes_max */
    struct bytes body;
    const char *why; /* of status 0: a sentence that names the node, what happened and what helps */
    const char *node;
};

struct transport;

/* Whether nothing to this node leaves the machine: 127.0.0.0/8, [::1] or localhost. */
bool transport_is_local(const char *node);

/* Reads files and checks what can be checked without a connection. Returns NULL with a sentence. */
struct transport *transport_new(const struct transport_options *options, char *error,
                                size_t error_size);
/* Requests under way end without being told of. Accepts NULL. */
void transport_free(struct transport *transport);

/* Called by transport_run when a request is done; the answer is valid during the call. It may send.
 */
typedef void transport_done(void *context, void *owner, const struct transport_answer *answer);

/* Returns 0: `done` will be called; 1: there is no place, or no memory. */
__attribute__((warn_unused_result)) int transport_send(struct transport *transport,
                                                       const struct transport_request *request);
uint32_t transport_places(const struct transport *transport); /* free ones */

/* Waits until something happens, transport_wake is called or the time is over; does what is to be
 * done. */
void transport_run(struct transport *transport, uint32_t wait_ms, transport_done *done,
                   void *context);
void transport_wake(struct transport *transport); /* never lost; any thread */

#endif
