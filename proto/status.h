/* Status codes and reasons of the wire: gRPC's canonical codes
 * (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md) and our reasons, in the sense of
 * google.rpc.ErrorInfo. One table; PROTOCOL.md lists the same rows and a test compares them. */
#ifndef ACTIVITYD_PROTO_STATUS_H
#define ACTIVITYD_PROTO_STATUS_H

#include <stddef.h>
#include <stdint.h>

enum status_code {
    STATUS_OK = 0,
    STATUS_CANCELLED = 1,
    STATUS_UNKNOWN = 2,
    STATUS_INVALID_ARGUMENT = 3,
    STATUS_DEADLINE_EXCEEDED = 4,
    STATUS_NOT_FOUND = 5,
    STATUS_ALREADY_EXISTS = 6,
    STATUS_PERMISSION_DENIED = 7,
    STATUS_RESOURCE_EXHAUSTED = 8,
    STATUS_FAILED_PRECONDITION = 9,
    STATUS_ABORTED = 10,
    STATUS_OUT_OF_RANGE = 11,
    STATUS_UNIMPLEMENTED = 12,
    STATUS_INTERNAL = 13,
    STATUS_UNAVAILABLE = 14,
    STATUS_DATA_LOSS = 15,
    STATUS_UNAUTHENTICATED = 16,
    STATUS_CODE_COUNT = 17
};

/* X(name, code it comes with, what it means). New ones come last: the numbers of those that the
 * core gives are in the digests of journals. */
#define STATUS_REASONS(X)                                                                          \
    X(NONE, OK, "no reason: the call succeeded")                                                   \
    X(MALFORMED_FRAME, INVALID_ARGUMENT, "the bytes are no request envelope")                      \
    X(FRAME_TOO_LARGE, INVALID_ARGUMENT, "the request is above 960 KiB")                           \
    X(UNKNOWN_METHOD, UNIMPLEMENTED, "this server has no such method")                             \
    X(MALFORMED_PAYLOAD, INVALID_ARGUMENT,                                                         \
      "the payload is no message of the method's request type")                                    \
    X(BAD_FIELD, INVALID_ARGUMENT, "a field breaks its rule; metadata field names it")             \
    X(UNKNOWN_JOB, NOT_FOUND, "there is no such job, or it is not the caller's to see")            \
    X(UNKNOWN_SERVICE, NOT_FOUND, "there is no such service to check")                             \
    X(UNKNOWN_TICKET, NOT_FOUND, "there is no such ticket, or it is another caller's")             \
    X(REQUEST_ID_REUSED, INVALID_ARGUMENT, "this request_id came with another payload before")     \
    X(NOT_ALLOWED, PERMISSION_DENIED, "the policy does not allow this principal to do this")       \
    X(NOT_YOURS, PERMISSION_DENIED, "the job may be seen but not changed by this caller")          \
    X(TOO_MANY_ACTIVITIES, RESOURCE_EXHAUSTED, "the table of activities is full")                  \
    X(TOO_MUCH_TEXT, RESOURCE_EXHAUSTED, "the memory for activities' text is used up")             \
    X(TOO_MANY_NAMES, RESOURCE_EXHAUSTED,                                                          \
      "the memory for tenants, users, groups, types and models is used up")                        \
    X(RESULT_TOO_LARGE, RESOURCE_EXHAUSTED, "the result exceeds the memory for all results")       \
    X(TOO_MANY_PENDING_CHANGES, RESOURCE_EXHAUSTED, "changes wait for the index up to the limit")  \
    X(TOO_MANY_DOCUMENTS, RESOURCE_EXHAUSTED, "the window of changed documents is full")           \
    X(TOO_MANY_TICKETS, RESOURCE_EXHAUSTED, "the table of tickets is full")                        \
    X(TOO_MANY_REQUEST_IDS, RESOURCE_EXHAUSTED,                                                    \
      "request ids cannot be kept for their 2 minutes any more")                                   \
    X(INBOX_FULL, RESOURCE_EXHAUSTED, "more requests wait than the server takes")                  \
    X(DISK_FULL, RESOURCE_EXHAUSTED, "the journal cannot grow")                                    \
    X(REPLY_TOO_LARGE, RESOURCE_EXHAUSTED, "the answer does not fit a reply")                      \
    X(INDEX_NONE, FAILED_PRECONDITION, "this server writes to no index")                           \
    X(CHANGE_PARKED, ABORTED,                                                                      \
      "the index refused a change, and somebody has to decide about it")                           \
    X(DRAINING, UNAVAILABLE, "the server is about to stop")                                        \
    X(STARTING, UNAVAILABLE, "the server is not ready yet")                                        \
    X(EXPIRED_IN_QUEUE, DEADLINE_EXCEEDED,                                                         \
      "the request's time was over before its turn came; it was not executed")                     \
    X(OUTCOME_UNKNOWN, DEADLINE_EXCEEDED,                                                          \
      "no answer came in time; the request may have been executed (client only)")                  \
    X(NOT_CONNECTED, UNAVAILABLE, "no server could be reached (client only)")                      \
    X(INTERNAL_ERROR, INTERNAL, "a bug; the server's diagnostics say more")                        \
    X(UNKNOWN_PARKED, NOT_FOUND, "no document of this tenant is parked under this number")         \
    X(RELOAD_REFUSED, FAILED_PRECONDITION,                                                         \
      "nothing was reloaded, what was in force stays; the message says why")

enum status_reason {
#define STATUS_REASON_ENUM(name, code, text) REASON_##name,
    STATUS_REASONS(STATUS_REASON_ENUM)
#undef STATUS_REASON_ENUM
        REASON_COUNT
};

/* The canonical name of a code ("NOT_FOUND"), "UNKNOWN" for anything that is none. Static. Any
 * thread. */
const char *status_code_name(uint32_t code);

/* The name of a reason as it travels ("UNKNOWN_JOB"), "" for REASON_NONE and anything that is none.
 * Static. Any thread. */
const char *status_reason_name(uint32_t reason);

/* The code that a reason comes with, STATUS_INTERNAL for anything that is none. Any thread. */
enum status_code status_reason_code(uint32_t reason);

/* What a reason means, one sentence without a full stop, for people. Static. Any thread. */
const char *status_reason_text(uint32_t reason);

#endif
