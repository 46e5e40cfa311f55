/* A TCP proxy between clients and a server on loopback, which can break what passes through it:
 * connections are cut, or nothing is forwarded any more for a while. One thread of its own. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_PROXY_H
#define ACTIVITYD_TESTS_E2E_HARNESS_PROXY_H

#include "tests/e2e/harness.h"

struct proxy;

/* Listens on a free port of its own; connections go to 127.0.0.1:target. Aborts the test when that
 * cannot be done. */
struct proxy *proxy_start(uint16_t target);
uint16_t proxy_port(const struct proxy *proxy);

/* Resets all connections that pass through. */
void proxy_cut(struct proxy *proxy);
/* Forwards nothing from the server to the clients while it is held; the connections stay. */
void proxy_hold(struct proxy *proxy, bool held);
/* How many connections pass through now, and how many have so far. */
uint32_t proxy_open(struct proxy *proxy);
uint32_t proxy_accepted(struct proxy *proxy);

void proxy_stop(struct proxy *proxy); /* accepts NULL */

#endif
