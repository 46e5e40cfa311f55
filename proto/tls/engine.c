#include "proto/tls/engine.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/engine.h>
#include <string.h>

#include "proto/tls/conn.h"

/* Constant, and never gone: NNG keeps the pointer. */
static const nng_tls_engine engine = {
    .version = NNG_TLS_ENGINE_VERSION,
    .config_ops = &tls_config_ops,
    .conn_ops = &tls_conn_ops,
    .name = "activity",
    .description = "activity on mbedTLS",
    .fips_mode = false,
};

int tls_engine_register(void)
{
    /* conn.c takes the context of a connection for its stream, as it is in 1.10. */
    if (strncmp(nng_version(), "1.10.", 5) != 0) {
        return 1;
    }
    /* NNG puts its own in place when it is initialised: now, if it is not yet. */
    if (tls_engine_is_ours()) {
        return 0;
    }
    return nng_tls_engine_register(&engine) == 0 ? 0 : 1;
}

bool tls_engine_is_ours(void)
{
    return strcmp(nng_tls_engine_name(), engine.name) == 0;
}
