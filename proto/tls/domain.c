#include "proto/tls/domain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/tls/address.h"
#include "proto/tls/member.h"

struct tls_domain {
    struct tls_domain_options options;
    atomic_uint unfinished;
    _Atomic uint64_t finished[TLS_SUITE_COUNT];

    /* Held while NNG's connections are locked, never the other way round. */
    pthread_mutex_t lock;
    struct tls_credentials *credentials;
    uint64_t generation; /* how often they were replaced */
    struct tls_member *members;
    uint32_t count;
    uint64_t revoked;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct tls_domain *tls_domain_new(const struct tls_domain_options *options)
{
    struct tls_domain *domain = calloc(1, sizeof *domain);
    if (domain != NULL) {
        domain->options = *options;
        (void)pthread_mutex_init(&domain->lock, NULL);
    }
    return domain;
}

void tls_domain_free(struct tls_domain *domain)
{
    if (domain == NULL) {
        return;
    }
    tls_credentials_release(domain->credentials);
    (void)pthread_mutex_destroy(&domain->lock);
    free(domain);
}

void tls_domain_put(struct tls_domain *domain, struct tls_credentials *credentials)
{
    struct tls_credentials *fresh = tls_credentials_hold(credentials);
    (void)pthread_mutex_lock(&domain->lock);
    struct tls_credentials *old = domain->credentials;
    domain->credentials = fresh;
    domain->generation++;
    (void)pthread_mutex_unlock(&domain->lock);
    tls_credentials_release(old);
}

int tls_domain_bind(struct tls_domain *domain, nng_tls_config *config)
{
    return tls_config_bind(config, domain);
}

const char *tls_domain_trust(const struct tls_domain *domain)
{
    return domain->options.trust_domain != NULL ? domain->options.trust_domain : "";
}

void tls_domain_status(struct tls_domain *domain, struct tls_domain_status *status)
{
    (void)pthread_mutex_lock(&domain->lock);
    status->connections = domain->count;
    status->revoked = domain->revoked;
    (void)pthread_mutex_unlock(&domain->lock);
    status->unfinished = atomic_load(&domain->unfinished);
    for (unsigned i = 0; i < TLS_SUITE_COUNT; i++) {
        status->finished[i] = atomic_load(&domain->finished[i]);
    }
}

/* ---- Connections come, finish and go ---- */

/* Fails when the descriptor has been shut down, by the peer's reset or by NNG. */
static bool read_peer(nng_stream *stream, struct sockaddr_storage *peer)
{
    nng_sockaddr address = {.s_family = NNG_AF_UNSPEC};
    if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &address) != 0) {
        return false;
    }
    (void)tls_address_read(&address, peer);
    return true;
}

static const struct sockaddr *peer_of(const struct tls_member *member)
{
    return (const struct sockaddr *)(const void *)&member->peer;
}

void tls_domain_refuse(struct tls_domain *domain, struct tls_member *member,
                       enum tls_refusal refusal, const char *detail)
{
    const struct tls_hooks *hooks = &domain->options.hooks;
    if (!atomic_exchange(&member->told, true) && hooks->refused != NULL) {
        hooks->refused(hooks->context, peer_of(member), refusal, detail);
    }
}

enum tls_refusal tls_domain_enter(struct tls_domain *domain, struct tls_member *member,
                                  nng_stream *stream, struct tls_credentials **credentials)
{
    const struct tls_hooks *hooks = &domain->options.hooks;
    enum tls_refusal refusal = TLS_ACCEPTED;
    member->stream = stream;
    member->born_ms = now_ms();
    if (!read_peer(stream, &member->peer)) {
        refusal = TLS_REFUSED_DISCONNECTED;
    } else if (hooks->arrive != NULL) {
        refusal = hooks->arrive(hooks->context, peer_of(member));
    }
    if (refusal != TLS_ACCEPTED) {
        tls_domain_refuse(domain, member, refusal, "");
        return refusal;
    }
    (void)atomic_fetch_add(&domain->unfinished, 1);
    (void)pthread_mutex_lock(&domain->lock);
    *credentials = tls_credentials_hold(domain->credentials);
    member->generation = domain->generation;
    domain->count++;
    member->entered = true;
    (void)pthread_mutex_unlock(&domain->lock);
    return TLS_ACCEPTED;
}

void tls_domain_join(struct tls_domain *domain, struct tls_member *member)
{
    (void)pthread_mutex_lock(&domain->lock);
    member->next = domain->members;
    member->link = &domain->members;
    if (member->next != NULL) {
        member->next->link = &member->next;
    }
    domain->members = member;
    (void)pthread_mutex_unlock(&domain->lock);
}

void tls_domain_finish(struct tls_domain *domain, struct tls_member *member, unsigned suite,
                       const mbedtls_x509_crt *chain)
{
    const struct tls_hooks *hooks = &domain->options.hooks;
    member->chain = chain;
    (void)atomic_fetch_sub(&domain->unfinished, 1);
    if (suite < TLS_SUITE_COUNT) {
        (void)atomic_fetch_add(&domain->finished[suite], 1);
    }
    if (hooks->finish != NULL) {
        hooks->finish(hooks->context, peer_of(member));
    }
    atomic_store(&member->stage, TLS_STAGE_FINISHED);
}

void tls_domain_leave(struct tls_domain *domain, struct tls_member *member)
{
    const struct tls_hooks *hooks = &domain->options.hooks;
    if (!member->entered) {
        return;
    }
    (void)pthread_mutex_lock(&domain->lock);
    if (member->link != NULL) {
        *member->link = member->next;
    }
    if (member->next != NULL) {
        member->next->link = member->link;
    }
    (void)pthread_mutex_unlock(&domain->lock);
    bool finished = atomic_load(&member->stage) != TLS_STAGE_HANDSHAKE;
    if (!finished) {
        (void)atomic_fetch_sub(&domain->unfinished, 1);
        tls_domain_refuse(domain, member, TLS_REFUSED_DISCONNECTED, "");
    }
    if (hooks->leave != NULL) {
        hooks->leave(hooks->context, peer_of(member), finished);
    }
    /* The last touch: who sees none may free the domain. */
    (void)pthread_mutex_lock(&domain->lock);
    domain->count--;
    (void)pthread_mutex_unlock(&domain->lock);
}

/* ---- What does not end by itself ---- */

/* Its certificate may have been revoked since it was judged. */
static bool is_revoked(const struct tls_domain *domain, struct tls_member *member)
{
    if (member->generation == domain->generation || member->chain == NULL) {
        return false;
    }
    member->generation = domain->generation;
    return tls_credentials_revoked(domain->credentials, member->chain);
}

/* Whether it is to be closed, for a reason that is told here unless it has just died. */
static bool is_over(struct tls_domain *domain, struct tls_member *member, uint64_t now)
{
    struct sockaddr_storage peer;
    int stage = atomic_load(&member->stage);
    if (!read_peer(member->stream, &peer)) {
        return true;
    }
    if (stage != TLS_STAGE_GREETED && now - member->born_ms >= domain->options.handshake_ms) {
        tls_domain_refuse(domain, member, TLS_REFUSED_TIMEOUT, "");
        return true;
    }
    if (stage != TLS_STAGE_HANDSHAKE && is_revoked(domain, member)) {
        domain->revoked++;
        tls_domain_refuse(domain, member, TLS_REFUSED_REVOKED, "");
        return true;
    }
    return false;
}

void tls_domain_sweep(struct tls_domain *domain)
{
    (void)pthread_mutex_lock(&domain->lock);
    uint64_t now = now_ms(); /* not earlier, or the last to join would be younger than now */
    for (struct tls_member *each = domain->members; each != NULL; each = each->next) {
        if (!each->closed && is_over(domain, each, now)) {
            each->closed = true;
            nng_stream_close(each->stream);
        }
    }
    (void)pthread_mutex_unlock(&domain->lock);
}
