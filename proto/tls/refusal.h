/* Why a peer was not let in, or not kept: one list for the engine's handshake and for whoever
 * counts and logs. */
#ifndef ACTIVITY_PROTO_TLS_REFUSAL_H
#define ACTIVITY_PROTO_TLS_REFUSAL_H

/* X(NAME, "text for people and for counters") */
#define TLS_REFUSALS(X)                                                                            \
    X(ADDRESS_FULL, "too many connections of the address")                                         \
    X(ADDRESS_TOO_FAST, "the address connects too often")                                          \
    X(HANDSHAKES_FULL, "too many unfinished handshakes")                                           \
    X(CONNECTIONS_FULL, "too many connections")                                                    \
    X(NO_MEMORY, "no memory for the connection")                                                   \
    X(TIMEOUT, "the handshake took too long")                                                      \
    X(DISCONNECTED, "the peer went away in the handshake")                                         \
    X(PROTOCOL, "no TLS, or not in order")                                                         \
    X(NOT_COMMON, "no common version, cipher suite or group")                                      \
    X(PEER_REFUSES, "the peer refuses our certificate or ends the handshake with an alert")        \
    X(NO_CERTIFICATE, "no certificate")                                                            \
    X(UNTRUSTED, "the certificate is not signed by an authority of ours")                          \
    X(EXPIRED, "a certificate has expired")                                                        \
    X(NOT_YET_VALID, "a certificate is not yet valid")                                             \
    X(REVOKED, "a certificate is revoked")                                                         \
    X(BAD_KEY_OR_HASH, "a certificate has a key or signature that is not allowed")                 \
    X(MALFORMED, "a certificate cannot be read")                                                   \
    X(NOT_ITS_KEY, "the peer does not have the key of its certificate")                            \
    X(BAD_USAGE, "the certificate is not made for this use")                                       \
    X(IS_AUTHORITY, "the certificate is an authority's")                                           \
    X(MALFORMED_NAMES, "the subject alternative names are malformed")                              \
    X(NO_SPIFFE_ID, "the certificate has no SPIFFE ID")                                            \
    X(SEVERAL_SPIFFE_IDS, "the certificate has more than one URI")                                 \
    X(BAD_SPIFFE_ID, "the certificate's URI is no SPIFFE ID of a workload")                        \
    X(FOREIGN_TRUST_DOMAIN, "the SPIFFE ID is of another trust domain")                            \
    X(WRONG_NAME, "the certificate does not hold the server's name")

enum tls_refusal {
    TLS_ACCEPTED = 0,
#define TLS_REFUSAL_NAME(name, text) TLS_REFUSED_##name,
    TLS_REFUSALS(TLS_REFUSAL_NAME)
#undef TLS_REFUSAL_NAME
        TLS_REFUSAL_COUNT
};

/* A constant text; "" for TLS_ACCEPTED. Any thread. */
const char *tls_refusal_text(enum tls_refusal refusal);

#endif
