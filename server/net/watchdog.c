/* The thread of a door that closes connections which do not end by themselves. */
#include <stdlib.h>
#include <time.h>

#include "server/log.h"
#include "server/net/door.h"

/* How often connections are compared with the kernel's, and how often one must be missing: a pipe
 * is born a little before or after its descriptor is looked at. */
#define COMPARE_MS  2000
#define MISSING_MAX 2

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
        comparison->dead = door_condemn(pipe, "the connection is dead");
    }
}

static void close_dead(struct door *door, struct remote_ends *ends)
{
    if (remote_ends_read(ends) != 0) {
        return;
    }
    struct comparison comparison;
    do {
        comparison = (struct comparison){.ends = ends};
        (void)pthread_mutex_lock(&door->lock);
        pipes_each(door->pipes, compare_pipe, &comparison);
        (void)pthread_mutex_unlock(&door->lock);
        if (comparison.dead.id != 0) {
            (void)nng_pipe_close(comparison.dead);
        }
    } while (comparison.dead.id != 0);
}

/* ---- The thread ---- */

/* Sleeps a round, with the lock. */
static void sleep_round(struct door *door)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += door->watch_ms / 1000;
    until.tv_nsec += door->watch_ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&door->changed, &door->lock, &until);
}

static void *watch(void *context)
{
    struct door *door = context;
    struct remote_ends ends = {0};
    uint64_t compared_ms = door_now_ms();
    (void)pthread_mutex_lock(&door->lock);
    while (door->watchdog_runs) {
        sleep_round(door);
        uint64_t now_ms = door_now_ms();
        bool compare = pipes_count(door->pipes) > 0 && now_ms - compared_ms >= COMPARE_MS;
        (void)pthread_mutex_unlock(&door->lock);
        if (door->look != NULL) {
            door->look(door->look_context);
        }
        if (compare) {
            compared_ms = now_ms;
            close_dead(door, &ends);
        }
        (void)pthread_mutex_lock(&door->lock);
    }
    (void)pthread_mutex_unlock(&door->lock);
    remote_ends_deinit(&ends);
    return NULL;
}

int watchdog_start(struct door *door)
{
    door->watchdog_runs = true;
    if (pthread_create(&door->watchdog, NULL, watch, door) != 0) {
        door->watchdog_runs = false;
        return NNG_ENOMEM;
    }
    return 0;
}

void watchdog_stop(struct door *door)
{
    (void)pthread_mutex_lock(&door->lock);
    bool runs = door->watchdog_runs;
    door->watchdog_runs = false;
    (void)pthread_cond_broadcast(&door->changed);
    (void)pthread_mutex_unlock(&door->lock);
    if (runs) {
        (void)pthread_join(door->watchdog, NULL);
    }
}
