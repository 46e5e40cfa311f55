/* What the listeners of a server have in common: the credentials of the day, which can be replaced
 * while connections live on, the connections, and who is told of refusals.
 *
 * A configuration of NNG that is bound to a domain takes its credentials there for each new
 * connection and demands a SPIFFE ID of the peer. One that is not (a client's, or one of somebody
 * else in the process) has its own, filled by NNG's functions. */
#ifndef ACTIVITY_PROTO_TLS_DOMAIN_H
#define ACTIVITY_PROTO_TLS_DOMAIN_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/limits.h"
#include "proto/tls/credentials.h"
#include "proto/tls/refusal.h"
#include "proto/tls/suite.h"

/* Called on NNG's threads, some while a connection is locked: they may lock what is theirs and log,
 * but call neither NNG nor a domain. */
struct tls_hooks {
    void *context;
    /* A connection has come in. TLS_ACCEPTED, and `leave` will be called for it; anything else: it
     * is closed without a byte. */
    enum tls_refusal (*arrive)(void *context, const struct sockaddr *peer);
    /* The handshake is done: it is none of the unfinished any more. */
    void (*finish)(void *context, const struct sockaddr *peer);
    /* It has gone; `finished` as told by `finish`. */
    void (*leave)(void *context, const struct sockaddr *peer, bool finished);
    /* Once per connection: refused by `arrive`, in the handshake, or for its slowness. `detail` is
     * mbedTLS's text, the name found, or "". */
    void (*refused)(void *context, const struct sockaddr *peer, enum tls_refusal refusal,
                    const char *detail);
};

struct tls_domain_options {
    struct tls_hooks hooks;
    const char *trust_domain; /* "": any. Borrowed */
    uint32_t handshake_ms;    /* so long a handshake may take, SP's greeting included */
};

struct tls_domain;

/* NULL: no memory. Lives until the last connection has gone: after nng_fini, or once its listeners'
 * sockets are closed and tls_domain_status() shows none. */
struct tls_domain *tls_domain_new(const struct tls_domain_options *options);
void tls_domain_free(struct tls_domain *domain); /* accepts NULL */

/* Puts these credentials in force for new connections, and keeps a reference. Living ones go on
 * with those that they began with. Any thread. */
void tls_domain_put(struct tls_domain *domain, struct tls_credentials *credentials);

/* Binds a configuration, before it is used. The domain outlives it. Returns 0 or NNG's error;
 * NNG_ENOTSUP: not our engine's. */
__attribute__((warn_unused_result)) int tls_domain_bind(struct tls_domain *domain,
                                                        nng_tls_config *config);

/* Closes what is unfinished for too long, what is dead without NNG's knowing, and those whose
 * certificates the credentials in force have as revoked. To be called every quarter of a second or
 * so, by any thread that holds no lock which an NNG callback may want. */
void tls_domain_sweep(struct tls_domain *domain);

struct tls_domain_status {
    uint32_t connections; /* now, unfinished ones included */
    uint32_t unfinished;
    uint64_t finished[TLS_SUITE_COUNT]; /* handshakes, by what was negotiated, since the start */
    uint64_t revoked; /* connections closed for that by tls_domain_sweep, since the start */
};
void tls_domain_status(struct tls_domain *domain, struct tls_domain_status *status);

/* ---- A connection as its pipe knows it ---- */

struct tls_peer {
    char principal[LIMIT_PRINCIPAL_LENGTH + 1]; /* "" unless bound to a domain */
    unsigned suite;                             /* an index, see suite.h */
};

/* What our engine knows of the peer of a pipe, also in NNG_PIPE_EV_ADD_PRE. False: the connection
 * is not our engine's, or is not verified. Any thread. */
bool tls_peer_of(nng_pipe pipe, struct tls_peer *peer);

#endif
