/* make TLS=stock: NNG's own engine stays. */
#include "proto/tls/engine.h"

int tls_engine_register(void)
{
    return 1;
}

bool tls_engine_is_ours(void)
{
    return false;
}
