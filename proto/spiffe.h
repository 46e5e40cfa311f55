/* SPIFFE IDs: who a workload is, spiffe://TRUST_DOMAIN/PATH
 * (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md, section 2). */
#ifndef ACTIVITY_PROTO_SPIFFE_H
#define ACTIVITY_PROTO_SPIFFE_H

#include <stdbool.h>

#include "proto/view.h"

struct spiffe_id {
    struct view trust_domain;
    struct view path; /* begins with a slash */
};

/* Whether the text is a trust domain: 1 to 255 of a-z 0-9 . - _ */
bool spiffe_trust_domain_valid(struct view text);

/* Reads the ID of a workload: scheme in small letters, a trust domain, and a path of one or more
 * segments of A-Z a-z 0-9 . - _, none of them empty, "." or ".."; at most LIMIT_PRINCIPAL_LENGTH
 * bytes in all. False, and *id is not touched, when it is none. *id points into the text. */
bool spiffe_id_read(struct view text, struct spiffe_id *id);

#endif
