/* Our TLS engine for NNG 1.10, on mbedTLS 3.6, in place of NNG's own
 * (nng/supplemental/tls/engine.h). It writes one TLS record per SP message where NNG's writes one
 * per piece, knows the kinds of the peer's names, and notices peers that are silent or dead.
 *
 * It is registered for the whole process. What is told apart from NNG's engine: a client without a
 * server name is refused by itself, a server's common name means nothing, TLS 1.2 is the least, and
 * there are no pre-shared keys. */
#ifndef ACTIVITY_PROTO_TLS_ENGINE_H
#define ACTIVITY_PROTO_TLS_ENGINE_H

#include <stdbool.h>

/* Registers it, before any tls listener or dialer is made, and again after nng_fini. Initialises
 * NNG (nng_init_set_parameter comes before). Returns 0; 1: NNG's own stays, since this build wants
 * it (make TLS=stock) or libnng is another than the 1.10 that the engine relies on. Any thread, any
 * number of times. */
int tls_engine_register(void);

/* Whether what is configured from now on is our engine's. */
bool tls_engine_is_ours(void);

#endif
