#include "server/net/remote_ends.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void remote_end_write(const struct sockaddr *address, char to[REMOTE_END_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(to, REMOTE_END_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        (void)snprintf(to, REMOTE_END_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        (void)snprintf(to, REMOTE_END_MAX, "%s", host);
    }
}

static int add(struct remote_ends *ends, const struct sockaddr *address)
{
    if (ends->count == ends->capacity) {
        size_t capacity = ends->capacity * 2 + 64;
        void *grown = realloc(ends->addresses, capacity * sizeof *ends->addresses);
        if (grown == NULL) {
            return -1;
        }
        ends->addresses = grown;
        ends->capacity = capacity;
    }
    memset(ends->addresses[ends->count], 0, REMOTE_END_MAX);
    remote_end_write(address, ends->addresses[ends->count]);
    ends->count++;
    return 0;
}

static bool is_established(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
           info.tcpi_state == TCP_ESTABLISHED;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

int remote_ends_read(struct remote_ends *ends)
{
    ends->count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return -1;
    }
    int outcome = 0;
    const struct dirent *entry;
    while (outcome == 0 && (entry = readdir(folder)) != NULL) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' &&
            getpeername(fd, (struct sockaddr *)(void *)&address, &size) == 0 &&
            is_established(fd)) {
            outcome = add(ends, (const struct sockaddr *)(const void *)&address);
        }
    }
    (void)closedir(folder);
    if (ends->count > 0) {
        qsort(ends->addresses, ends->count, sizeof *ends->addresses, compare);
    }
    return outcome;
}

bool remote_ends_hold(const struct remote_ends *ends, const char *address)
{
    return ends->count > 0 &&
           bsearch(address, ends->addresses, ends->count, sizeof *ends->addresses, compare) != NULL;
}

void remote_ends_deinit(struct remote_ends *ends)
{
    free(ends->addresses);
    memset(ends, 0, sizeof *ends);
}
