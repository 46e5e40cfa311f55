/* When the process is to end: at SIGTERM, at SIGINT, when its terminal is gone, or when somebody
 * asks for it. The first reason counts. SIGHUP from somebody is none: it asks for something else.
 */
#ifndef ACTIVITYD_SERVER_ENDING_H
#define ACTIVITYD_SERVER_ENDING_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

struct ending {
    atomic_int phase;
    sem_t begun;
    int signal_number; /* why; 0: somebody asked for it */
    /* At SIGHUP, on the thread that takes signals. Both are set before ending_start. */
    void (*hang_up)(void *context);
    void *context;
};

/* Before there are other threads, which inherit that signals are not for them: starts the one that
 * takes them. Until ending_arm, and again when the end takes too long for somebody, a signal ends
 * the process at once (what was acknowledged is on disk). Returns 0 or an errno. The ending lives
 * as long as the process. */
__attribute__((warn_unused_result)) int ending_start(struct ending *ending);

/* From now on there is something to end in order. */
void ending_arm(struct ending *ending);

/* Begins the end. False: it is not armed, or somebody came first. Any thread. */
bool ending_begin(struct ending *ending, int signal_number);

/* Waits until it has begun. Returns the signal, or 0. */
int ending_wait(struct ending *ending);

#endif
