/* How TLS stands on a server's endpoints, in the words of GetServerInfo. */
#ifndef ACTIVITYD_SERVER_TLS_FACTS_H
#define ACTIVITYD_SERVER_TLS_FACTS_H

#include "proto/tls/domain.h"
#include "server/net/gate.h"
#include "server/wire/answer_tls.h"

/* `domain` is NULL with NNG's own engine. Any thread. */
void tls_facts_fill(struct tls_domain *domain, struct gate *gate, struct answer_tls *to);

#endif
