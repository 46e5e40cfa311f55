/* The names in a certificate, read by ourselves: the subject alternative names (RFC 5280 4.2.1.6)
 * with their kinds, which NNG does not tell, in place and without allocation. Total: any bytes get
 * an answer. Any thread. */
#ifndef ACTIVITY_PROTO_TLS_SAN_H
#define ACTIVITY_PROTO_TLS_SAN_H

#include "proto/view.h"

/* The kinds of GeneralName that mean something to us, by their context tags. */
enum tls_san_kind { TLS_SAN_DNS = 2, TLS_SAN_URI = 6, TLS_SAN_IP = 7, TLS_SAN_OTHER = 31 };

struct tls_san {
    enum tls_san_kind kind;
    struct view value; /* of DNS, URI and IP the content; of others the bytes as they are */
};

enum tls_san_outcome {
    TLS_SAN_READ = 0,
    TLS_SAN_END = 1,
    TLS_SAN_MALFORMED = 2,
};

/* The GeneralNames of a certificate: `extensions` is the DER of its Extensions (a SEQUENCE, as
 * mbedtls_x509_crt.v3_ext has it; nothing: there are none). TLS_SAN_READ with *names, the content
 * of the SEQUENCE of GeneralName; TLS_SAN_END: no such extension; TLS_SAN_MALFORMED: not DER, an
 * empty SEQUENCE, or there are two. *names is touched only by TLS_SAN_READ. */
enum tls_san_outcome tls_san_find(struct view extensions, struct view *names);

/* Takes the next name from *names. Malformed are what is not DER or no GeneralName, a DNS name or
 * URI that is empty or holds a byte outside of visible ASCII (NUL, blanks), a DNS name above 253
 * bytes, and an address that has neither 4 nor 16 bytes; other kinds are not looked into. Not to be
 * called again after TLS_SAN_MALFORMED. */
enum tls_san_outcome tls_san_next(struct view *names, struct tls_san *san);

#endif
