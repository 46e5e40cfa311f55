/* A peer that speaks TLS and SP by hand, so that it can break every rule. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_PEER_H
#define ACTIVITYD_TESTS_E2E_HARNESS_PEER_H

#include "tests/e2e/harness.h"

struct peer;

/* Connects to 127.0.0.1:port with tls/<who>.crt and .key (NULL: without a certificate). NULL when
 * the connection or the handshake fails. `milliseconds` bounds every later read. */
struct peer *peer_connect(const struct scene *scene, uint16_t port, const char *who,
                          uint32_t milliseconds);
/* The first message of a handshake, as it would be sent: its length. */
size_t peer_hello(const struct scene *scene, uint8_t *to, size_t room);
/* Another bound for the reads from here on. */
void peer_patience(struct peer *peer, uint32_t milliseconds);
void peer_close(struct peer *peer); /* accepts NULL */
/* Ends it with a TCP reset, without a word of TLS. Accepts NULL. */
void peer_reset(struct peer *peer);

/* Everything written, or false. */
bool peer_write(struct peer *peer, const void *bytes, size_t length);
/* Exactly `length` bytes, or false (closed, an alert, too late). */
bool peer_read(struct peer *peer, void *bytes, size_t length);

/* SP's greeting in both directions, with the numbers of two protocols; false when the other side
 * does not answer as that one. */
#define PEER_REQ 0x30
#define PEER_REP 0x31
#define PEER_PUB 0x20
#define PEER_SUB 0x21
bool peer_greet_as(struct peer *peer, uint8_t own, uint8_t other);
bool peer_greet(struct peer *peer); /* as a REQ to a REP */
/* One request frame with an id of its own, and the reply's body into `reply` (at most `room`): its
 * length, or -1. */
long peer_call(struct peer *peer, const void *body, size_t length, uint8_t *reply, size_t room);
/* As a SUB: the next message into `message`, its length, or -1. */
long peer_receive(struct peer *peer, uint8_t *message, size_t room);

#endif
