/* Randomness for mbedTLS: from a generator that the calling thread has for itself, so that threads
 * neither share one nor wait for each other. */
#ifndef ACTIVITY_PROTO_TLS_RANDOM_H
#define ACTIVITY_PROTO_TLS_RANDOM_H

#include <stddef.h>

/* Fills `to`. CTR_DRBG (NIST SP 800-90A), seeded by getrandom(2) at a thread's first call and in a
 * forked process. The context is not used. Returns 0 or mbedTLS's error: the kernel gives none. Any
 * thread. */
int tls_random(void *context, unsigned char *to, size_t length);

#endif
