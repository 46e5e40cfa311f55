/* A connection as its domain knows it, and what conn.c tells the domain of it. */
#ifndef ACTIVITY_PROTO_TLS_MEMBER_H
#define ACTIVITY_PROTO_TLS_MEMBER_H

#include <mbedtls/x509_crt.h>
#include <nng/nng.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/tls/domain.h"

enum tls_stage {
    TLS_STAGE_HANDSHAKE = 0,
    TLS_STAGE_FINISHED, /* the handshake is; `chain` may be read */
    TLS_STAGE_GREETED   /* the peer has sent something */
};

struct tls_member {
    nng_stream *stream;
    struct sockaddr_storage peer;
    uint64_t born_ms;
    atomic_int stage;
    atomic_bool told; /* that it was refused */
    const mbedtls_x509_crt *chain;
    /* The domain's own, under its lock. */
    bool entered;
    bool closed;
    uint64_t generation; /* of the credentials that judged it last */
    struct tls_member *next;
    struct tls_member **link;
};

/* A connection has come in on a stream: TLS_ACCEPTED with credentials of which it holds a
 * reference, or it is refused, and that has been told. Zeroed before. */
enum tls_refusal tls_domain_enter(struct tls_domain *domain, struct tls_member *member,
                                  nng_stream *stream, struct tls_credentials **credentials);
/* It is whole: from now on it may be closed by a sweep. */
void tls_domain_join(struct tls_domain *domain, struct tls_member *member);
const char *tls_domain_trust(const struct tls_domain *domain);
/* Its handshake is done; the chain lives until it leaves. */
void tls_domain_finish(struct tls_domain *domain, struct tls_member *member, unsigned suite,
                       const mbedtls_x509_crt *chain);
/* It is refused: told once, however often this is called. */
void tls_domain_refuse(struct tls_domain *domain, struct tls_member *member,
                       enum tls_refusal refusal, const char *detail);
/* It has gone; the stream is not touched any more once this returns. Accepts one that never
 * entered. */
void tls_domain_leave(struct tls_domain *domain, struct tls_member *member);

/* For tls_domain_bind, in config.c. */
int tls_config_bind(nng_tls_config *config, struct tls_domain *domain);

#endif
