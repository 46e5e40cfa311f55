#include "client/lib/feed_url.h"

#include <stdio.h>
#include <string.h>

#include "client/lib/link.h"

enum { HOST_SIZE = 256 };

bool feed_url_resolve(const char *said, const char *server, char *url, size_t size)
{
    char host[HOST_SIZE];
    if (!link_url_host(said, host, sizeof host)) {
        return false;
    }
    int length;
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || strcmp(host, "*") == 0) {
        const char *port = strrchr(said, ':');
        if (!link_url_host(server, host, sizeof host)) {
            return false;
        }
        bool address6 = strchr(host, ':') != NULL;
        length = snprintf(url, size, address6 ? "tls+tcp://[%s]%s" : "tls+tcp://%s%s", host, port);
    } else {
        length = snprintf(url, size, "%s", said);
    }
    return length > 0 && (size_t)length < size;
}
