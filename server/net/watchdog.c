#include "server/net/endpoint_state.h"

#include <stdlib.h>
#include <time.h>

#include "server/log.h"

#define WATCH_MS 100
/* How often connections are compared with the kernel's, and how often one must be missing: a pipe
 * is born a little before or after its descriptor is looked at. */
#define COMPARE_EVERY 20
#define MISSING_MAX   2

nng_pipe pipe_condemn(struct pipe *pipe, const char *reason)
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

/* ---- Connections that are dead without NNG's knowing ---- */

struct comparison {
    const struct remote_ends *ends;
    nng_pipe dead; /* one of them; the next round finds the next */
};

static void compare_pipe(void *context, struct pipe *pipe)
{
    struct comparison *comparison = context;
    if (remote_ends_hold(comparison->ends, pipe->address)) {
        pipe->missing = 0;
        return;
    }
    if (pipe->missing < MISSING_MAX) {
        pipe->missing++;
    }
    if (pipe->missing >= MISSING_MAX && comparison->dead.id == 0) {
        comparison->dead = pipe_condemn(pipe, "the connection is dead");
    }
}

static void close_dead(struct endpoint *endpoint, struct remote_ends *ends)
{
    if (remote_ends_read(ends) != 0) {
        return;
    }
    struct comparison comparison;
    do {
        comparison = (struct comparison){.ends = ends};
        (void)pthread_mutex_lock(&endpoint->lock);
        pipes_each(endpoint->pipes, compare_pipe, &comparison);
        (void)pthread_mutex_unlock(&endpoint->lock);
        if (comparison.dead.id != 0) {
            (void)nng_pipe_close(comparison.dead);
        }
    } while (comparison.dead.id != 0);
}

/* ---- The thread ---- */

/* Sleeps a round, with the lock. */
static void sleep_round(struct endpoint *endpoint)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WATCH_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&endpoint->changed, &endpoint->lock, &until);
}

static void *watch(void *context)
{
    struct endpoint *endpoint = context;
    struct remote_ends ends = {0};
    (void)pthread_mutex_lock(&endpoint->lock);
    for (unsigned round = 1; endpoint->watchdog_runs; round++) {
        sleep_round(endpoint);
        bool sending = endpoint->sending > 0;
        bool compare = pipes_count(endpoint->pipes) > 0 && round % COMPARE_EVERY == 0;
        (void)pthread_mutex_unlock(&endpoint->lock);
        if (sending) {
            slots_watch(endpoint);
        }
        if (compare) {
            close_dead(endpoint, &ends);
        }
        (void)pthread_mutex_lock(&endpoint->lock);
    }
    (void)pthread_mutex_unlock(&endpoint->lock);
    remote_ends_deinit(&ends);
    return NULL;
}

int watchdog_start(struct endpoint *endpoint)
{
    endpoint->watchdog_runs = true;
    if (pthread_create(&endpoint->watchdog, NULL, watch, endpoint) != 0) {
        endpoint->watchdog_runs = false;
        return NNG_ENOMEM;
    }
    return 0;
}

void watchdog_stop(struct endpoint *endpoint)
{
    (void)pthread_mutex_lock(&endpoint->lock);
    bool runs = endpoint->watchdog_runs;
    endpoint->watchdog_runs = false;
    (void)pthread_cond_broadcast(&endpoint->changed);
    (void)pthread_mutex_unlock(&endpoint->lock);
    if (runs) {
        (void)pthread_join(endpoint->watchdog, NULL);
    }
}
