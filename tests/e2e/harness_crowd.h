/* Many peers that mean no good, from addresses of their own, and a few good clients beside them who
 * must not notice. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_CROWD_H
#define ACTIVITYD_TESTS_E2E_HARNESS_CROWD_H

#include "tests/e2e/harness.h"

/* A TCP connection from 127.0.0.`host` to 127.0.0.1:port; the descriptor, which does not block.
 * Aborts the test when there is none: the kernel accepts before the server knows. */
int crowd_connect(uint16_t port, uint8_t host);
/* Ends it with a reset. */
void crowd_reset(int fd);

enum crowd_end {
    CROWD_OPEN = 0, /* still, when the time was over */
    CROWD_CLOSED,   /* without a byte */
    CROWD_ANSWERED  /* bytes came before */
};
/* Waits until the other side has closed, so long at most. */
enum crowd_end crowd_await_end(int fd, uint32_t milliseconds);
/* Of so many descriptors (-1: none), how many the other side has closed until now; each is closed
 * here then and becomes -1. */
size_t crowd_closed(int *fds, size_t count);

/* Good clients: one that calls all the time on its connection, and one that connects anew for each
 * call, both from 127.0.0.1. */
struct steady;
struct steady *steady_start(const struct server *server);
struct steady_count {
    uint32_t calls;    /* on the one connection */
    uint32_t connects; /* each with a call */
    uint32_t failed;   /* of both */
    uint64_t worst_ms; /* of both */
    char failure[256]; /* the last one in words */
};
/* Ends them. */
void steady_stop(struct steady *steady, struct steady_count *count);
/* The same, and fails unless all went well, each within `worst_ms`. */
void steady_assert(struct steady *steady, uint64_t worst_ms);

/* How many the server has refused for this reason, as its server-info tells. */
uint64_t refusals_of(const struct server *server, const char *reason);

/* Waits until the server has at most so many descriptors again, so long at most. */
void assert_descriptors(const struct server *server, size_t most, uint32_t milliseconds);

#endif
