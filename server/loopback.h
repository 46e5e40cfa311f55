/* Hosts that can only be reached from this machine. */
#ifndef ACTIVITYD_SERVER_LOOPBACK_H
#define ACTIVITYD_SERVER_LOOPBACK_H

#include <stddef.h>

/* How long the host is that `text` begins with, if it is one: [::1], localhost, or an address in
 * 127.0.0.0/8 (RFC 1122, section 3.2.1.3); else 0. What follows is the caller's to look at: a name
 * may begin like one. Any thread. */
size_t loopback_length(const char *text);

#endif
