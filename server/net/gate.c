#include "server/net/gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/log.h"
#include "server/net/addresses.h"
#include "server/net/door.h"
#include "server/net/remote_ends.h"

/* Of each reason. */
#define LOG_LINES_MAX 20
#define LOG_PERIOD_MS 60000

/* A connection's TLS state and buffers, and what its handshake needs besides. */
#define HANDSHAKE_BYTES (160 * 1024)

struct gate {
    pthread_mutex_t lock;
    struct addresses *addresses;
    _Atomic uint64_t refused[GATE_REFUSAL_COUNT];
    struct log_rate rates[GATE_REFUSAL_COUNT];
};

const char *gate_refusal_text(unsigned refusal)
{
    static const char *const texts[] = {
#define TEXT(name, text) [GATE_REFUSED_##name - (unsigned) TLS_REFUSAL_COUNT] = (text),
        GATE_REFUSALS(TEXT)
#undef TEXT
    };
    return refusal < TLS_REFUSAL_COUNT ? tls_refusal_text((enum tls_refusal)refusal)
                                       : texts[refusal - TLS_REFUSAL_COUNT];
}

static struct addresses_limits limits_of(const struct gate_options *options)
{
    return (struct addresses_limits){
        .connections = options->connections_max,
        .connections_per_address = options->connections_per_address,
        .connects_per_minute = options->connects_per_minute_per_address,
        .unfinished = options->handshakes_max,
    };
}

struct gate *gate_new(const struct gate_options *options)
{
    const struct addresses_limits limits = limits_of(options);
    struct gate *gate = calloc(1, sizeof *gate);
    if (gate == NULL) {
        return NULL;
    }
    (void)pthread_mutex_init(&gate->lock, NULL);
    gate->addresses = addresses_new(&limits);
    if (gate->addresses == NULL) {
        gate_free(gate);
        return NULL;
    }
    for (unsigned i = 0; i < GATE_REFUSAL_COUNT; i++) {
        gate->rates[i] = (struct log_rate){.most = LOG_LINES_MAX, .period_ms = LOG_PERIOD_MS};
    }
    return gate;
}

void gate_free(struct gate *gate)
{
    if (gate == NULL) {
        return;
    }
    addresses_free(gate->addresses);
    (void)pthread_mutex_destroy(&gate->lock);
    free(gate);
}

void gate_memory_parts(const struct gate_options *options,
                       void (*part)(void *context, const char *name, size_t bytes), void *context)
{
    const struct addresses_limits limits = limits_of(options);
    part(context, "connections: unfinished handshakes",
         options->handshakes_max * (size_t)HANDSHAKE_BYTES);
    part(context, "connections: their addresses",
         sizeof(struct gate) + addresses_memory_bytes(&limits));
}

/* ---- What TLS tells ---- */

static enum tls_refusal arrive(void *context, const struct sockaddr *peer)
{
    struct gate *gate = context;
    (void)pthread_mutex_lock(&gate->lock);
    enum tls_refusal refusal = addresses_arrive(gate->addresses, peer, door_now_ms());
    (void)pthread_mutex_unlock(&gate->lock);
    return refusal;
}

static void finish(void *context, const struct sockaddr *peer)
{
    struct gate *gate = context;
    (void)pthread_mutex_lock(&gate->lock);
    addresses_finish(gate->addresses, peer);
    (void)pthread_mutex_unlock(&gate->lock);
}

static void leave(void *context, const struct sockaddr *peer, bool finished)
{
    struct gate *gate = context;
    (void)pthread_mutex_lock(&gate->lock);
    addresses_leave(gate->addresses, peer, finished);
    (void)pthread_mutex_unlock(&gate->lock);
}

static void refused(void *context, const struct sockaddr *peer, enum tls_refusal refusal,
                    const char *detail)
{
    char text[REMOTE_END_MAX];
    remote_end_write(peer, text);
    gate_refuse(context, refusal, text, detail, "");
}

struct tls_hooks gate_hooks(struct gate *gate)
{
    return (struct tls_hooks){
        .context = gate, .arrive = arrive, .finish = finish, .leave = leave, .refused = refused};
}

/* ---- The account ---- */

void gate_refuse(struct gate *gate, unsigned refusal, const char *peer, const char *detail,
                 const char *endpoint)
{
    /* Whoever only looks whether the port is open, like a balancer, says nothing either. */
    enum log_level level = refusal == TLS_REFUSED_DISCONNECTED ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING;
    (void)atomic_fetch_add(&gate->refused[refusal], 1);
    log_write_rated(
        &gate->rates[refusal], level, "peer refused",
        LOG_FIELDS(LOG_TEXT("reason", gate_refusal_text(refusal)),
                   LOG_TEXT(refusal < TLS_REFUSAL_COUNT ? "detail" : "principal", detail),
                   LOG_TEXT("peer", peer), LOG_TEXT("endpoint", endpoint)));
}

void gate_status(struct gate *gate, struct gate_status *status)
{
    (void)pthread_mutex_lock(&gate->lock);
    const struct addresses_count count = addresses_count(gate->addresses);
    (void)pthread_mutex_unlock(&gate->lock);
    status->connections = count.connections;
    status->unfinished = count.unfinished;
    status->addresses = count.addresses;
    for (unsigned i = 0; i < GATE_REASONS; i++) {
        status->refused[i] =
            (struct gate_refused){gate_refusal_text(i + 1), atomic_load(&gate->refused[i + 1])};
    }
}
