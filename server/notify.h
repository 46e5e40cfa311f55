/* Tells the service manager how far the process is: sd_notify(3) without its library. */
#ifndef ACTIVITYD_SERVER_NOTIFY_H
#define ACTIVITYD_SERVER_NOTIFY_H

/* Sends assignments such as "READY=1" to NOTIFY_SOCKET, if there is one. A failure changes nothing
 * for the service and is ignored. Any thread. */
void notify(const char *state);

#endif
