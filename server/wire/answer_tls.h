/* What GetServerInfo and Reload say of TLS and of the files in force. */
#ifndef ACTIVITYD_SERVER_WIRE_ANSWER_TLS_H
#define ACTIVITYD_SERVER_WIRE_ANSWER_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"
#include "server/wire/reply.h"

/* CertificateInfo */
struct answer_certificate {
    char subject[256];
    uint64_t not_after_ms;
};

/* RevocationInfo */
struct answer_revocations {
    uint32_t lists; /* 0: none are in force */
    uint32_t entries;
    char issuer[256];
    uint64_t next_update_ms; /* 0: no list says one */
    bool expired;
};

/* What was read from files and is in force. */
struct answer_files {
    struct answer_certificate server;
    struct answer_certificate ca;
    struct answer_revocations revocations;
    uint32_t rules;
    uint64_t loaded_ms;
};

/* A protocol version with a cipher suite. */
struct answer_suite {
    const char *version;
    const char *name;
    uint64_t handshakes;
};
#define ANSWER_SUITES_MAX 8

struct answer_refused {
    const char *reason;
    uint64_t count;
};
#define ANSWER_REFUSED_MAX 48

/* TlsInfo */
struct answer_tls {
    const char *engine;
    uint64_t connections;
    uint64_t unfinished;
    struct answer_suite suites[ANSWER_SUITES_MAX]; /* those with 0 are not told */
    size_t suite_count;
    struct answer_refused refused[ANSWER_REFUSED_MAX]; /* the same */
    size_t refused_count;
};

/* Fields of GetServerInfoResponse, written to `to`; return the byte after the last. `suite`: of the
 * caller's connection, an index into the suites; anything else is unknown. All of them together
 * take less than ANSWER_TLS_MAX. */
#define ANSWER_TLS_MAX (16u * 1024u)
uint8_t *answer_put_tls(const struct answer_tls *tls, unsigned suite, uint8_t *to);
uint8_t *answer_put_files(const struct answer_files *files, uint8_t *to);

/* A reload that has been put in force. */
struct answer_reload {
    struct answer_files files;
    uint32_t closed_revoked;
    uint32_t closed_by_policy;
};

/* The answer to Reload. `to` has room for ANSWER_RELOAD_MAX; returns the length. Any thread. */
#define ANSWER_RELOAD_MAX REPLY_REFUSAL_MAX
size_t answer_reload(uint64_t epoch, const struct answer_reload *reload, uint8_t *to);

#endif
