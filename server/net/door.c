#include "server/net/door.h"

#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/limits.h"
#include "proto/tls/address.h"
#include "proto/tls/domain.h"
#include "server/log.h"
#include "server/net/door_stock.h"
#include "server/net/gate.h"

#define LINGER_MS 300 /* nng_close does not wait for what is in its buffers */

uint64_t door_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- Who is let in ---- */

/* False when there is none any more: a peer that has reset the connection since. */
static bool read_address(nng_pipe pipe, char to[REMOTE_END_MAX])
{
    nng_sockaddr address = {.s_family = NNG_AF_UNSPEC};
    struct sockaddr_storage peer;
    (void)nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &address);
    if (!tls_address_read(&address, &peer)) {
        return false;
    }
    remote_end_write((const struct sockaddr *)(const void *)&peer, to);
    return true;
}

/* Who the peer is, by its verified certificate. */
static unsigned identify(const struct door *door, nng_pipe pipe, struct tls_peer *peer)
{
    if (door->border->domain == NULL) {
        return door_stock_identify(pipe, peer);
    }
    /* Everything else was asked in the handshake. */
    return tls_peer_of(pipe, peer) ? (unsigned)TLS_ACCEPTED : GATE_REFUSED_DEAD;
}

/* Under the lock. The rule by which a principal may come in now; NULL: *refusal says why not. */
static const struct policy_rule *find_rule(const struct door *door, struct view principal,
                                           unsigned *refusal)
{
    const struct policy_rule *rule = policy_find(door->policy, principal);
    if (rule == NULL) {
        *refusal = GATE_REFUSED_NO_RULE;
    } else if (door->kind->needs_feed && !rule->feed) {
        *refusal = GATE_REFUSED_NO_FEED;
        rule = NULL;
    }
    return rule;
}

static unsigned enter(struct door *door, struct pipes_arrival *arrival)
{
    unsigned refusal = TLS_ACCEPTED;
    (void)pthread_mutex_lock(&door->lock);
    arrival->rule = find_rule(door, arrival->principal, &refusal);
    if (door->stopping) {
        refusal = GATE_REFUSED_STOPPING;
    } else if (arrival->rule != NULL) {
        const unsigned refusals[] = {
            [PIPES_ADMITTED] = TLS_ACCEPTED,
            [PIPES_FULL] = door->kind->full,
            [PIPES_PRINCIPAL_FULL] = GATE_REFUSED_PRINCIPAL_FULL,
            [PIPES_PRINCIPAL_TOO_FAST] = GATE_REFUSED_PRINCIPAL_TOO_FAST,
        };
        refusal = refusals[pipes_add(door->pipes, arrival, door_now_ms())];
    }
    (void)pthread_mutex_unlock(&door->lock);
    return refusal;
}

/* Returns TLS_ACCEPTED, or why the peer is not let in. */
static unsigned admit_pipe(struct door *door, nng_pipe pipe, const char *address,
                           struct tls_peer *peer)
{
    unsigned refusal = identify(door, pipe, peer);
    if (refusal != TLS_ACCEPTED) {
        return refusal;
    }
    struct pipes_arrival arrival = {.id = (uint32_t)pipe.id,
                                    .principal = view_of(peer->principal),
                                    .suite = peer->suite,
                                    .address = address};
    return enter(door, &arrival);
}

static void count_connections(struct door *door)
{
    (void)pthread_mutex_lock(&door->lock);
    atomic_store(&door->connections, pipes_count(door->pipes));
    (void)pthread_mutex_unlock(&door->lock);
}

static void forget_pipe(struct door *door, nng_pipe pipe)
{
    (void)pthread_mutex_lock(&door->lock);
    pipes_remove(door->pipes, (uint32_t)pipe.id);
    (void)pthread_mutex_unlock(&door->lock);
    count_connections(door);
    log_debug("peer gone", LOG_NUMBER("pipe", pipe.id),
              LOG_NUMBER("connections", atomic_load(&door->connections)),
              LOG_TEXT("endpoint", door->kind->name));
}

static void judge_pipe(struct door *door, nng_pipe pipe)
{
    char address[REMOTE_END_MAX] = "?";
    struct tls_peer peer = {.principal = ""};
    unsigned refusal = GATE_REFUSED_DEAD;
    if (read_address(pipe, address)) {
        refusal = admit_pipe(door, pipe, address, &peer);
    }
    if (refusal != TLS_ACCEPTED) {
        gate_refuse(door->border->gate, refusal, address, peer.principal, door->kind->name);
        (void)nng_pipe_close(pipe);
        return;
    }
    log_debug("peer connected", LOG_NUMBER("pipe", pipe.id), LOG_TEXT("principal", peer.principal),
              LOG_TEXT("peer", address), LOG_TEXT("endpoint", door->kind->name));
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *context)
{
    if (event == NNG_PIPE_EV_ADD_PRE) {
        judge_pipe(context, pipe);
    } else if (event == NNG_PIPE_EV_ADD_POST) {
        count_connections(context); /* now it can be sent to */
    } else {
        forget_pipe(context, pipe);
    }
}

nng_pipe door_condemn(struct pipe *pipe, const char *reason)
{
    static struct log_rate rate = {.most = 10, .period_ms = 60000};
    nng_pipe none = {0};
    if (pipe->condemned || pipe->gone) {
        return none;
    }
    pipe->condemned = true;
    log_write_rated(
        &rate, LOG_LEVEL_WARNING, "peer closed",
        LOG_FIELDS(LOG_TEXT("reason", reason),
                   LOG_BYTES("principal", pipe->peer.principal.bytes, pipe->peer.principal.length),
                   LOG_TEXT("peer", pipe->address), LOG_NUMBER("waiting", pipe->waiting),
                   LOG_NUMBER("waiting_bytes", pipe->waiting_bytes)));
    return (nng_pipe){.id = pipe->id};
}

/* ---- Another policy ---- */

/* Closed in rounds, so that the lock is not held for long and nothing is allocated. */
#define ROUND_MAX 256

struct victims {
    nng_pipe pipes[ROUND_MAX];
    size_t count;
};

static void find_rule_again(void *context, struct pipe *pipe)
{
    const struct door *door = context;
    unsigned refusal = TLS_ACCEPTED;
    pipe->peer.rule = find_rule(door, pipe->peer.principal, &refusal);
}

static void condemn_without_rule(void *context, struct pipe *pipe)
{
    struct victims *victims = context;
    if (pipe->peer.rule == NULL && victims->count < ROUND_MAX) {
        nng_pipe victim = door_condemn(pipe, "the policy does not let it in any more");
        victims->pipes[victims->count] = victim;
        victims->count += victim.id != 0;
    }
}

static uint32_t close_without_rule(struct door *door)
{
    uint32_t closed = 0;
    struct victims victims;
    do {
        victims.count = 0;
        (void)pthread_mutex_lock(&door->lock);
        pipes_each(door->pipes, condemn_without_rule, &victims);
        (void)pthread_mutex_unlock(&door->lock);
        for (size_t i = 0; i < victims.count; i++) {
            (void)nng_pipe_close(victims.pipes[i]);
        }
        closed += (uint32_t)victims.count;
    } while (victims.count == ROUND_MAX);
    return closed;
}

uint32_t door_set_policy(struct door *door, struct policy *policy)
{
    (void)policy_hold(policy);
    (void)pthread_mutex_lock(&door->lock);
    struct policy *old = door->policy;
    door->policy = policy;
    pipes_each(door->pipes, find_rule_again, door);
    (void)pthread_mutex_unlock(&door->lock);
    policy_release(old);
    return close_without_rule(door);
}

/* ---- Beginning and end ---- */

int door_init(struct door *door, const struct door_kind *kind, const struct door_options *options)
{
    pthread_condattr_t attributes;
    memset(door, 0, sizeof *door);
    door->kind = kind;
    door->border = options->border;
    door->policy = policy_hold(options->policy);
    door->step = "beginning";
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&door->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&door->lock, NULL);
    door->pipes = pipes_new(&options->limits);
    return door->pipes != NULL ? 0 : NNG_ENOMEM;
}

int door_open(struct door *door)
{
    door->step = "opening the endpoint";
    int code = door->kind->open(&door->socket);
    if (code != 0) {
        return code;
    }
    /* Before any listener: a pipe has the limit of its birth, and the standard one is none. */
    code = nng_socket_set_size(door->socket, NNG_OPT_RECVMAXSZ, door->kind->receive_bytes);
    for (int event = NNG_PIPE_EV_ADD_PRE; event <= NNG_PIPE_EV_REM_POST && code == 0; event++) {
        code = nng_pipe_notify(door->socket, (nng_pipe_ev)event, on_pipe, door);
    }
    return code;
}

int door_watch(struct door *door, unsigned watch_ms, void (*look)(void *context), void *context)
{
    door->watch_ms = watch_ms;
    door->look = look;
    door->look_context = context;
    return watchdog_start(door);
}

static int make_tls(const struct border *border, nng_tls_config **tls)
{
    int code = nng_tls_config_alloc(tls, NNG_TLS_MODE_SERVER);
    if (code != 0) {
        return code;
    }
    return border->domain != NULL ? tls_domain_bind(border->domain, *tls)
                                  : door_stock_configure(*tls, border);
}

static int start_listener(struct door *door, const char *url, nng_tls_config *tls)
{
    nng_listener listener;
    int code = nng_listener_create(&listener, door->socket, url);
    if (code == 0) {
        code = nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls);
    }
    if (code == 0) {
        code = nng_listener_set_bool(listener, NNG_OPT_TCP_KEEPALIVE, true);
    }
    return code == 0 ? nng_listener_start(listener, 0) : code;
}

int door_listen(struct door *door, const struct door_options *options)
{
    nng_tls_config *tls = NULL;
    door->step = "TLS";
    int code = make_tls(options->border, &tls);
    if (code == 0) {
        door->step = "listening";
        code = start_listener(door, options->url, tls);
    }
    if (tls != NULL) {
        nng_tls_config_free(tls);
    }
    return code;
}

void door_explain(const struct door *door, const char *url, int code, char *error, size_t size)
{
    (void)snprintf(error, size, "%s: %s: %s", url, door->step, nng_strerror(code));
}

void door_close(struct door *door)
{
    (void)pthread_mutex_lock(&door->lock);
    door->stopping = true;
    (void)pthread_mutex_unlock(&door->lock);
    watchdog_stop(door);
    if (nng_socket_id(door->socket) <= 0) {
        return;
    }
    if (atomic_load(&door->connections) > 0) {
        nng_msleep(LINGER_MS);
    }
    (void)nng_close(door->socket);
}

void door_deinit(struct door *door)
{
    pipes_free(door->pipes);
    policy_release(door->policy);
    (void)pthread_cond_destroy(&door->changed);
    (void)pthread_mutex_destroy(&door->lock);
}
