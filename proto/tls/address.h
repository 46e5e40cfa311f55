/* A peer's address as NNG tells it, in the form of the system. */
#ifndef ACTIVITY_PROTO_TLS_ADDRESS_H
#define ACTIVITY_PROTO_TLS_ADDRESS_H

#include <nng/nng.h>
#include <stdbool.h>
#include <sys/socket.h>

/* False, with *to zeroed (AF_UNSPEC), when it is neither IPv4 nor IPv6. Any thread. */
bool tls_address_read(const nng_sockaddr *from, struct sockaddr_storage *to);

#endif
