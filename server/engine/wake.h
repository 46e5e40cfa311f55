/* One thread's bell: others ring, it sleeps until then or until its time. A ring is never lost. */
#ifndef ACTIVITYD_SERVER_ENGINE_WAKE_H
#define ACTIVITYD_SERVER_ENGINE_WAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct wake {
    pthread_mutex_t lock;
    pthread_cond_t rung_changed;
    bool rung;
    bool sleeping;
};

#define WAKE_NEVER UINT64_MAX

void wake_init(struct wake *wake);
void wake_deinit(struct wake *wake);
/* Any thread. A system call only when somebody sleeps. */
void wake_ring(struct wake *wake);
/* Returns when rung since the last return, or after so long. The one thread. */
void wake_wait(struct wake *wake, uint64_t most_ms);

#endif
