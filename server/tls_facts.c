#include "server/tls_facts.h"

_Static_assert(TLS_SUITE_COUNT <= ANSWER_SUITES_MAX, "each suite can be told");
_Static_assert(GATE_REASONS <= ANSWER_REFUSED_MAX, "each reason can be told");

static void fill_suites(struct tls_domain *domain, struct answer_tls *to)
{
    struct tls_domain_status status;
    tls_domain_status(domain, &status);
    to->connections = status.connections;
    to->unfinished = status.unfinished;
    to->suite_count = TLS_SUITE_COUNT;
    for (unsigned i = 0; i < TLS_SUITE_COUNT; i++) {
        to->suites[i] = (struct answer_suite){
            .version = tls_suite_version(i),
            .name = tls_suite_name(i),
            .handshakes = status.finished[i],
        };
    }
}

void tls_facts_fill(struct tls_domain *domain, struct gate *gate, struct answer_tls *to)
{
    struct gate_status status;
    gate_status(gate, &status);
    to->engine = domain != NULL ? "activity" : "nng";
    to->connections = to->unfinished = 0;
    to->suite_count = 0;
    if (domain != NULL) {
        fill_suites(domain, to);
    }
    to->refused_count = GATE_REASONS;
    for (unsigned i = 0; i < GATE_REASONS; i++) {
        to->refused[i] = (struct answer_refused){status.refused[i].reason, status.refused[i].count};
    }
}
