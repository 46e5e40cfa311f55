/* The two halves of our engine as NNG calls them: one table each for configurations (config.c) and
 * for connections (conn.c). Only engine.c needs this. */
#ifndef ACTIVITY_PROTO_TLS_CONN_H
#define ACTIVITY_PROTO_TLS_CONN_H

#include <nng/supplemental/tls/engine.h>
#include <stdbool.h>

#include "proto/tls/credentials.h"
#include "proto/tls/domain.h"

extern nng_tls_engine_config_ops tls_config_ops;
extern nng_tls_engine_conn_ops tls_conn_ops;

/* For conn.c: the domain that a configuration is bound to, or NULL; then its own credentials, made
 * ready at the first call (NULL: no memory), and the server's name ("" if none was set), which
 * lives as long as the configuration. */
struct tls_domain *tls_config_domain(const nng_tls_engine_config *config);
struct tls_credentials *tls_config_credentials(nng_tls_engine_config *config);
const char *tls_config_server_name(const nng_tls_engine_config *config);

#endif
