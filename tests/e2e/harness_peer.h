/* A peer that speaks TLS and SP by hand, so that it can break every rule. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_PEER_H
#define ACTIVITYD_TESTS_E2E_HARNESS_PEER_H

#include "tests/e2e/harness.h"

struct peer;

/* Connects to 127.0.0.1:port with tls/<who>.crt and .key (NULL: without a certificate). NULL when
 * the connection or the handshake fails. `milliseconds` bounds every later read. */
struct peer *peer_connect(const struct scene *scene, uint16_t port, const char *who,
                          uint32_t milliseconds);
/* Another bound for the reads from here on. */
void peer_patience(struct peer *peer, uint32_t milliseconds);
void peer_close(struct peer *peer); /* accepts NULL */

/* Everything written, or false. */
bool peer_write(struct peer *peer, const void *bytes, size_t length);
/* Exactly `length` bytes, or false (closed, an alert, too late). */
bool peer_read(struct peer *peer, void *bytes, size_t length);

/* SP's greeting as a REQ, in both directions; false when the other side does not answer as a REP.
 */
bool peer_greet(struct peer *peer);
/* One request frame with an id of its own, and the reply's body into `reply` (at most `room`): its
 * length, or -1. */
long peer_call(struct peer *peer, const void *body, size_t length, uint8_t *reply, size_t room);

#endif
