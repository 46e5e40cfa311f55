/* Who may do what: an immutable table of rules, read from a file and asked when a peer connects.
 * Default deny: a principal without a rule is closed before its first message.
 *
 * A reload puts another table in its place. Tables are counted, so that one lives as long as
 * somebody holds it: a rule of it is good for exactly so long.
 *
 * A rule is named by a principal, or by a prefix of principals that ends in a slash and a star.
 * Exactly one rule applies to a principal: its own, else the longest prefix. What a rule may say
 * stands in policy.conf.example. */
#ifndef ACTIVITYD_SERVER_RPC_POLICY_H
#define ACTIVITYD_SERVER_RPC_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/limits.h"
#include "proto/view.h"
#include "server/wire/method.h"

/* A set of tenants: everything, or those that are listed. */
struct policy_tenants {
    bool all;
    char **names;
    size_t count;
};

struct policy_rule {
    char *name;       /* the principal, or a prefix with its star */
    uint32_t methods; /* bit 1 << enum method_id */
    char tenant[LIMIT_TENANT_LENGTH + 1];
    struct policy_tenants delegate; /* on whose behalf it may call */
    struct policy_tenants admin;    /* where it is admin; all: of the server, too */
    bool update_any;
    bool feed;
};
_Static_assert((int)METHOD_COUNT <= 32, "a rule's methods are 32 bits");

struct policy;

/* Reads and checks a file. Returns 0 with *policy, of which the caller has the one reference and
 * which may have no rule at all (policy_count), or -1 with one sentence that names file, line, rule
 * and what is wrong. Not from two threads at once (libconfuse's parser is global). */
__attribute__((warn_unused_result)) int policy_load(const char *path, struct policy **policy,
                                                    char *error, size_t error_size);

/* For development only: every principal may do everything, at home in the tenant "dev". NULL: out
 * of memory. */
struct policy *policy_new_open(void);

/* Each holder releases; the last one frees. Any thread. */
struct policy *policy_hold(struct policy *policy); /* the same */
void policy_release(struct policy *policy);        /* accepts NULL */
size_t policy_count(const struct policy *policy);

/* The one rule that applies, or NULL. Lives as long as the policy. Any thread. */
const struct policy_rule *policy_find(const struct policy *policy, struct view principal);

/* The name of a rule for principals outside of this trust domain, or NULL. Any thread. */
const char *policy_foreign_rule(const struct policy *policy, struct view trust_domain);

/* Whether the text is a principal that we accept: a SPIFFE ID with a trust domain and a path
 * (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md). Any thread. */
bool policy_principal_valid(struct view principal);

/* The tenants for which somebody may call the method, sorted, each once: those of the rules that
 * have it, and those they delegate to. `all`: any tenant; then the names are those that are
 * listed beside. The names live as long as the policy; the caller frees the list of them. Returns
 * 0; -1: out of memory. Any thread. */
__attribute__((warn_unused_result)) int policy_tenants_of(const struct policy *policy,
                                                          enum method_id method,
                                                          struct policy_tenants *tenants);

bool policy_tenants_hold(const struct policy_tenants *tenants, struct view tenant);

#endif
