#include "server/ending.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

enum phase { PHASE_STARTING = 0, PHASE_ARMED, PHASE_BEGUN };

static void fill_signals(sigset_t *signals)
{
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGHUP);
}

static void *take_signals(void *context)
{
    struct ending *ending = context;
    for (;;) {
        sigset_t signals;
        siginfo_t info;
        fill_signals(&signals);
        int number = sigwaitinfo(&signals, &info);
        if (number < 0) {
            continue;
        }
        /* The kernel's own SIGHUP says that the terminal has gone: nobody is there any more who
         * could stop a server that was started by hand. */
        if (number == SIGHUP && info.si_code != SI_KERNEL) {
            ending->hang_up(ending->context);
        } else if (!ending_begin(ending, number)) {
            _exit(128 + number);
        }
    }
    return NULL;
}

int ending_start(struct ending *ending)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t signals;
    pthread_t thread;
    atomic_store(&ending->phase, PHASE_STARTING);
    (void)sem_init(&ending->begun, 0, 0);
    fill_signals(&signals);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    int code = pthread_create(&thread, NULL, take_signals, ending);
    if (code == 0) {
        (void)pthread_detach(thread);
    }
    return code;
}

void ending_arm(struct ending *ending)
{
    atomic_store(&ending->phase, PHASE_ARMED);
}

bool ending_begin(struct ending *ending, int signal_number)
{
    int armed = PHASE_ARMED;
    if (!atomic_compare_exchange_strong(&ending->phase, &armed, PHASE_BEGUN)) {
        return false;
    }
    ending->signal_number = signal_number;
    (void)sem_post(&ending->begun);
    return true;
}

int ending_wait(struct ending *ending)
{
    while (sem_wait(&ending->begun) != 0) {
    }
    return ending->signal_number;
}
