/* What a certificate has to be, beyond a good signature, to be a client's or a server's: the rules
 * that are asked of the leaf of a verified chain. The common name means nothing. Any thread. */
#ifndef ACTIVITY_PROTO_TLS_LEAF_H
#define ACTIVITY_PROTO_TLS_LEAF_H

#include <mbedtls/x509_crt.h>

#include "proto/limits.h"
#include "proto/tls/refusal.h"
#include "proto/view.h"

/* A client: no authority (basicConstraints CA, keyCertSign, cRLSign); keyUsage, if there,
 * has digitalSignature; extKeyUsage, if there, has clientAuth or anyExtendedKeyUsage; exactly one
 * URI among the subject alternative names, a SPIFFE ID, of the trust domain when one is given (an
 * empty view: of any). Names of other kinds may stand beside it, and mean nothing. TLS_ACCEPTED
 * with the ID, terminated, in `principal`, which is not touched otherwise.
 * (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md, sections 2 to 5.) */
enum tls_refusal tls_leaf_client(const mbedtls_x509_crt *leaf, struct view trust_domain,
                                 char principal[LIMIT_PRINCIPAL_LENGTH + 1]);

/* A server: the same with serverAuth in place of clientAuth, and one of its subject alternative
 * names is the server's: an address in text (IPv4, IPv6 with or without brackets) must be there as
 * an iPAddress; any other name as a dNSName, letters alike in either case, whose leftmost label may
 * be "*" when two labels or more follow (RFC 6125 6.4.3; "*" is not for a part of a label). */
enum tls_refusal tls_leaf_server(const mbedtls_x509_crt *leaf, const char *server_name);

/* Whether the text is an address, as tls_leaf_server takes it: such a name is not sent in SNI
 * (RFC 6066 3). */
bool tls_name_is_address(const char *server_name);

#endif
