#include "server/net/door_stock.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/remote_ends.h"
#include "server/rpc/policy.h"

/* A pipe is born a little before or after its descriptor is looked at: so often in a row. */
#define MISSING_MAX 2

int door_stock_configure(nng_tls_config *tls, const struct border *border)
{
    int code = nng_tls_config_auth_mode(tls, NNG_TLS_AUTH_MODE_REQUIRED);
    if (code == 0) {
        code = nng_tls_config_version(tls, NNG_TLS_1_2, NNG_TLS_1_3);
    }
    if (code == 0) {
        code = nng_tls_config_ca_chain(tls, border->ca_pem, border->crl_pem);
    }
    return code == 0 ? nng_tls_config_own_cert(tls, border->cert_pem, border->key_pem, NULL) : code;
}

/* ---- Who a peer is ---- */

static enum tls_refusal judge(char *const *names, struct tls_peer *peer)
{
    if (names[0] == NULL) {
        return TLS_REFUSED_NO_SPIFFE_ID;
    }
    if (names[1] != NULL) {
        return TLS_REFUSED_SEVERAL_SPIFFE_IDS;
    }
    if (!policy_principal_valid(view_of(names[0]))) {
        return TLS_REFUSED_BAD_SPIFFE_ID;
    }
    (void)snprintf(peer->principal, sizeof peer->principal, "%s", names[0]);
    return TLS_ACCEPTED;
}

enum tls_refusal door_stock_identify(nng_pipe pipe, struct tls_peer *peer)
{
    bool verified = false;
    void *list = NULL;
    memset(peer, 0, sizeof *peer);
    peer->suite = UINT_MAX; /* not known */
    if (nng_pipe_get_bool(pipe, NNG_OPT_TLS_VERIFIED, &verified) != 0 || !verified) {
        return TLS_REFUSED_NO_CERTIFICATE;
    }
    if (nng_pipe_get_ptr(pipe, NNG_OPT_TLS_PEER_ALT_NAMES, &list) != 0 || list == NULL) {
        return TLS_REFUSED_NO_SPIFFE_ID;
    }
    char **names = list;
    enum tls_refusal refusal = judge(names, peer);
    for (size_t i = 0; names[i] != NULL; i++) {
        free(names[i]); /* the engine's mallocs */
    }
    free(names);
    return refusal;
}

/* ---- Connections that are dead without NNG's knowing ---- */

struct comparison {
    const struct remote_ends *ends;
    nng_pipe dead; /* one of them; the next round finds the next */
};

static void compare_pipe(void *context, struct pipe *pipe)
{
    struct comparison *comparison = context;
    if (remote_ends_hold(comparison->ends, pipe->address)) {
        pipe->missing = 0;
        return;
    }
    if (pipe->missing < MISSING_MAX) {
        pipe->missing++;
    }
    if (pipe->missing >= MISSING_MAX && comparison->dead.id == 0) {
        comparison->dead = door_condemn(pipe, "the connection is dead");
    }
}

void door_stock_sweep(struct door *door)
{
    struct remote_ends ends = {0};
    struct comparison comparison = {.ends = &ends};
    if (remote_ends_read(&ends) != 0) {
        remote_ends_deinit(&ends);
        return;
    }
    do {
        comparison.dead.id = 0;
        (void)pthread_mutex_lock(&door->lock);
        pipes_each(door->pipes, compare_pipe, &comparison);
        (void)pthread_mutex_unlock(&door->lock);
        if (comparison.dead.id != 0) {
            (void)nng_pipe_close(comparison.dead);
        }
    } while (comparison.dead.id != 0);
    remote_ends_deinit(&ends);
}
