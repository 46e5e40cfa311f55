/* Signals that end a command which has something to put in order first. */
#ifndef ACTIVITYD_CLIENT_CTL_INTERRUPT_H
#define ACTIVITYD_CLIENT_CTL_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP are remembered instead of ending the program; a second one
 * ends it. */
void interrupt_catch(void);

/* The signal that came, or 0. */
int interrupt_seen(void);

/* True once after the program was stopped (Ctrl-Z) and continued. Of programs that called
 * interrupt_catch(). */
bool interrupt_continued(void);

/* Ends the program by a signal as if it had never been caught: this is how a shell learns that its
 * script shall end, too. */
void interrupt_end(int signal_number);

#endif
