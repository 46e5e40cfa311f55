/* libactivity: what proves who a server is, and whom it lets in, for operators. Continues
 * <activity.h>, whose rules on errors, ownership, threads, deadlines and strings hold here, too. */
#ifndef ACTIVITY_ADMIN_H
#define ACTIVITY_ADMIN_H

#include <activity.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The authorities' lists of revoked certificates. */
struct activity_revocations {
    uint32_t lists;
    uint32_t entries;        /* on all of them */
    const char *issuer;      /* of the list that is replaced next, for people */
    uint64_t next_update_ms; /* when that one is to be replaced; 0: no list says */
    bool expired;            /* that time is over: what was revoked since is not known */
};

/* Handshakes with one version and cipher suite, since the process started. */
struct activity_tls_suite {
    const char *version;      /* 1.2 or 1.3 */
    const char *cipher_suite; /* as IANA spells it */
    uint64_t handshakes;
};

/* Peers that were refused for one reason, since the process started. */
struct activity_tls_refusal {
    const char *reason; /* for people and for counters */
    uint64_t count;
};

/* TLS on both endpoints of a server. */
struct activity_tls_info {
    const char *engine;       /* activity: its own; nng: NNG's, which tells less */
    const char *version;      /* of this client's connection: 1.2 or 1.3; "": not told */
    const char *cipher_suite; /* the same */
    uint64_t connections;     /* now, unfinished ones included */
    uint64_t unfinished;      /* those whose handshake is not done */
    const struct activity_tls_suite *suites;
    size_t suite_count;
    const struct activity_tls_refusal *refusals;
    size_t refusal_count;
};

/* What is in force after a reload. */
struct activity_reloaded {
    const struct activity_certificate *certificates; /* server and ca */
    size_t certificate_count;
    const struct activity_revocations *revocations; /* NULL: there are no lists */
    uint32_t rules;                                 /* of the policy */
    uint32_t closed_revoked;   /* connections closed, since their certificate is revoked */
    uint32_t closed_by_policy; /* the same, since their principal is not let in any more */
};

/* Makes the server read certificate, key, authorities, revocations and policy anew, as SIGHUP does:
 * activity_result_reloaded(). All or nothing: FAILED_PRECONDITION RELOAD_REFUSED says which file is
 * not good, and what was in force stays. This client's own connection may be one of those that are
 * closed: then the answer is lost, and the repetition is refused. Safe to repeat. Needs admin =
 * all. */
int activity_reload(activity_client *client, const struct activity_call_options *options,
                    activity_result **result, struct activity_error *error);

/* A pointer into the result, or NULL if it is the answer of another method (or NULL). */
const struct activity_reloaded *activity_result_reloaded(const activity_result *result);

#ifdef __cplusplus
}
#endif

#endif
