/* Where a change-feed endpoint is. Any thread. */
#ifndef ACTIVITY_LIB_FEED_URL_H
#define ACTIVITY_LIB_FEED_URL_H

#include <stdbool.h>
#include <stddef.h>

/* Puts the URL to connect to into `url`: the one that a server says, where a host of 0.0.0.0, [::]
 * or * stands for the host by which that server was reached. False if it is no tls+tcp:// URL or
 * too long. */
bool feed_url_resolve(const char *said, const char *server, char *url, size_t size);

#endif
