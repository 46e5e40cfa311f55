/* The remote ends of this process's established TCP connections, as the kernel knows them.
 *
 * NNG 1.10.1 over TLS forgets an error that arrives while nothing is received or sent: a peer that
 * resets its connection right after connecting leaves a pipe for ever, which would count against
 * the caps. The kernel knows better, so the watchdog compares. */
#ifndef ACTIVITYD_SERVER_NET_REMOTE_ENDS_H
#define ACTIVITYD_SERVER_NET_REMOTE_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define REMOTE_END_MAX 64

struct remote_ends {
    char (*addresses)[REMOTE_END_MAX]; /* sorted */
    size_t count;
    size_t capacity;
};

/* "127.0.0.1:4711" or "[::1]:4711". Any thread. */
void remote_end_write(const struct sockaddr *address, char to[REMOTE_END_MAX]);

/* Reads them anew. Returns 0, or -1 when that is not possible here (no /proc, no memory): then
 * nothing may be concluded. */
__attribute__((warn_unused_result)) int remote_ends_read(struct remote_ends *ends);
bool remote_ends_hold(const struct remote_ends *ends, const char *address);
void remote_ends_deinit(struct remote_ends *ends); /* accepts a zeroed one */

#endif
