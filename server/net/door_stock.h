/* What is different with NNG's own TLS engine (make TLS=stock, or a libnng that ours does not
 * know): it gets texts once and for all, tells names without their kinds, never ends a handshake
 * that the peer leaves unfinished, and forgets connections that die while nothing is received. */
#ifndef ACTIVITYD_SERVER_NET_DOOR_STOCK_H
#define ACTIVITYD_SERVER_NET_DOOR_STOCK_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "proto/tls/domain.h"
#include "server/net/border.h"
#include "server/net/door.h"

/* Fills a listener's configuration. Returns 0 or NNG's error. */
__attribute__((warn_unused_result)) int door_stock_configure(nng_tls_config *tls,
                                                             const struct border *border);

/* TLS_ACCEPTED with *peer, when the certificate has one subject alternative name, and that is a
 * principal. In NNG_PIPE_EV_ADD_PRE. */
enum tls_refusal door_stock_identify(nng_pipe pipe, struct tls_peer *peer);

/* Closes connections that the kernel does not know any more. To be called every few seconds. */
void door_stock_sweep(struct door *door);

#endif
