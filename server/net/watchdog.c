/* The thread of a door that closes connections which do not end by themselves. */
#include <time.h>

#include "server/net/door.h"
#include "server/net/door_stock.h"

/* How often connections are looked through: our engine only asks each for its peer, NNG's own has
 * them compared with the kernel's. */
#define SWEEP_MS       250
#define STOCK_SWEEP_MS 2000

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

static void sweep(struct door *door, uint64_t *swept_ms)
{
    struct tls_domain *domain = door->border->domain;
    uint64_t now_ms = door_now_ms();
    if (now_ms - *swept_ms < (domain != NULL ? SWEEP_MS : STOCK_SWEEP_MS)) {
        return;
    }
    *swept_ms = now_ms;
    if (domain != NULL) {
        tls_domain_sweep(domain);
    } else {
        door_stock_sweep(door);
    }
}

static void *watch(void *context)
{
    struct door *door = context;
    uint64_t swept_ms = door_now_ms();
    (void)pthread_mutex_lock(&door->lock);
    while (door->watchdog_runs) {
        sleep_round(door);
        (void)pthread_mutex_unlock(&door->lock);
        if (door->look != NULL) {
            door->look(door->look_context);
        }
        sweep(door, &swept_ms);
        (void)pthread_mutex_lock(&door->lock);
    }
    (void)pthread_mutex_unlock(&door->lock);
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
