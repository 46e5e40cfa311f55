/* From a method's payload to the core's command or our query: everything is validated here and trusted after. */
#ifndef ACTIVITYD_SERVER_WIRE_REQUEST_H
#define ACTIVITYD_SERVER_WIRE_REQUEST_H

#include "proto/frame.h"
#include "server/core/command.h"
#include "server/wire/method.h"

/* Why a payload is refused: becomes INVALID_ARGUMENT with metadata field, and a message "field: rule". */
struct request_error {
    enum status_reason reason; /* MALFORMED_PAYLOAD or BAD_FIELD */
    char field[96];            /* path as changes[3].json; empty for MALFORMED_PAYLOAD */
    char rule[256];            /* the rule, what was found, the way out */
};

/* Room for decoding one request: protobuf-c's messages, the batch's slow path, the encoded result. One per thread. */
struct request_scratch;
struct request_scratch *request_scratch_new(void); /* NULL: out of memory */
void request_scratch_free(struct request_scratch *scratch);

/* Decodes and validates. On 0 *body views the encoded command (ROUTE_COMMAND) or query (ROUTE_QUERY) inside the scratch,
 * valid until the next call with it. Returns 1 with *error filled. Never more memory than the scratch has. */
__attribute__((warn_unused_result)) int request_decode(struct request_scratch *scratch, const struct method *method,
                                                       const struct command_caller *caller, struct view payload,
                                                       struct bytes *body, struct request_error *error);

#endif
