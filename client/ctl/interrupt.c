#include "client/ctl/interrupt.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t seen;
static volatile sig_atomic_t continued;

static void remember(int signal_number)
{
    seen = signal_number;
}

static void go_on(int signal_number)
{
    (void)signal_number;
    continued = 1;
}

void interrupt_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = remember;
    action.sa_flags = (int)SA_RESETHAND;
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct sigaction now;
        /* Under nohup, and in the background of a shell without job control, signals are ignored on
         * purpose. */
        if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) {
            (void)sigaction(ends[i], &action, NULL);
        }
    }
    action.sa_handler = go_on;
    action.sa_flags = SA_RESTART;
    (void)sigaction(SIGCONT, &action, NULL);
}

int interrupt_seen(void)
{
    return seen;
}

bool interrupt_continued(void)
{
    bool once = continued != 0;
    continued = 0;
    return once;
}

void interrupt_end(int signal_number)
{
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}
