/* From a method's payload to the core's command or our query: everything is validated here and
 * trusted after. */
#ifndef ACTIVITYD_SERVER_WIRE_REQUEST_H
#define ACTIVITYD_SERVER_WIRE_REQUEST_H

#include "proto/frame.h"
#include "server/core/command.h"
#include "server/wire/kinds.h"
#include "server/wire/method.h"

/* Why a payload is refused: becomes INVALID_ARGUMENT with metadata field, and a message "field:
 * rule". */
struct request_error {
    enum status_reason reason; /* MALFORMED_PAYLOAD or BAD_FIELD */
    char field[96];            /* path as changes[3].json; empty for MALFORMED_PAYLOAD */
    char rule[384];            /* the rule, what was found, the way out */
};

/* The longest body: with the head of an entry before it, it fits one entry of the journal. */
#define REQUEST_BODY_MAX (900u * 1024u - 64u)

/* Room for decoding one request: the command, its lists, the batch's slow path, the check of JSON.
 * Reserved, not touched before it is used; what a large request has touched is given back. One per
 * thread at a time. */
struct request_scratch;
struct request_scratch *request_scratch_new(void); /* NULL: out of memory */
void request_scratch_free(struct request_scratch *scratch);
/* How models are written, from now on; borrowed. NULL, as at first: all as a whole, and nowhere. */
void request_scratch_set_kinds(struct request_scratch *scratch, const struct model_kinds *kinds);
/* Which version and cipher suite the caller's connection has, for GetServerInfo: an index into what
 * answer.h's struct answer_tls counts, or this. */
#define REQUEST_SUITE_UNKNOWN UINT8_MAX
void request_scratch_set_suite(struct request_scratch *scratch, unsigned suite);

/* What became of a payload. */
struct request_body {
    /* The encoded command (ROUTE_COMMAND) or query (ROUTE_QUERY, ROUTE_FEED) inside the scratch,
     * valid until the next call with it; for ROUTE_LOCAL it is empty, but for Check it views the
     * name of the service in the payload. */
    struct bytes bytes;
    uint32_t wait_ms; /* of a long poll: how long the caller would wait, 0 for not at all */
    bool all_tenants; /* ReadChanges: needs the permission "feed" */
};

/* Decodes and validates. Returns 0 with *body, or 1 with *error filled. Never more memory than the
 * scratch has. */
__attribute__((warn_unused_result)) int
request_decode(struct request_scratch *scratch, const struct method *method,
               const struct command_caller *caller, struct view payload, struct request_body *body,
               struct request_error *error);

#endif
