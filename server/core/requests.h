/* Request ids: what makes a repeated request have the effect of one.
 *
 * A request is known by a keyed 128-bit hash over (tenant, principal, user, method, its 16 bytes)
 * and compared by a hash of its payload. Records lie in a ring in order of arrival, so the oldest
 * is always next to leave: after request_id_most_ms, or, when its place is needed, from
 * request_id_least_ms on. Younger ones are never given up: the new request is refused, an eighth
 * before the end already when its principal holds more than half. */
#ifndef ACTIVITYD_SERVER_CORE_REQUESTS_H
#define ACTIVITYD_SERVER_CORE_REQUESTS_H

#include "server/core/command.h"
#include "server/core/hash.h"
#include "server/core/names.h"

struct request_record {
    uint8_t identity[16];
    uint64_t payload; /* hash */
    uint64_t answer;
    uint64_t service_ms : 48; /* when it was executed */
    uint64_t principal_low : 16;
    uint64_t accept_ms : 48; /* the same by the wall clock */
    uint64_t principal_high : 16;
};
_Static_assert(sizeof(struct request_record) == 48, "written as they lie in memory");

struct requests {
    struct request_record *ring;
    struct hash index; /* ids are places + 1 */
    uint32_t *held;    /* records per principal, by name */
    uint32_t capacity;
    uint32_t first; /* place of the oldest; no state */
    uint32_t count;
    uint64_t lost_ms; /* one above the service time of the youngest record that has left; 0: none */
};

/* What a request is known by. */
struct request_identity {
    uint8_t identity[16];
    uint64_t payload;
    uint32_t principal; /* name; 0: the core has not met it */
};

/* What is remembered of the first execution. */
struct request_answer {
    uint64_t answer; /* job_id or ticket */
    uint64_t accept_ms;
    uint32_t retry_after_ms; /* of REQUEST_NO_ROOM only */
};

enum request_outcome {
    REQUEST_NEW = 0,      /* execute it, then requests_remember */
    REQUEST_REPEATED = 1, /* the answer is the first one's */
    REQUEST_REUSED = 2,   /* refuse: REQUEST_ID_REUSED */
    REQUEST_NO_ROOM = 3   /* refuse: TOO_MANY_REQUEST_IDS */
};

void requests_layout(struct requests *requests, struct region *region,
                     const struct core_limits *capacity);

/* Makes the identity of a request; finds the principal's name. */
void requests_identify(const struct names *names, const struct command_caller *caller,
                       enum command_kind method, const uint8_t request_id[LIMIT_REQUEST_ID_LENGTH],
                       struct bytes payload, struct request_identity *identity);

/* Looks a request up, and whether a new one could be remembered. */
__attribute__((warn_unused_result)) enum request_outcome
requests_check(const struct requests *requests, const struct core_limits *limits,
               uint64_t service_ms, const struct request_identity *identity,
               struct request_answer *answer);

/* Remembers a request that requests_check found new in this same step; identity->principal is a
 * name by now, and is held. */
void requests_remember(struct requests *requests, struct names *names,
                       const struct core_limits *limits, uint64_t service_ms,
                       const struct request_identity *identity,
                       const struct request_answer *answer);

/* For how long requests are surely remembered now: at most request_id_most_ms, and not less than
 * request_id_least_ms, once these have been in force for as long. */
uint64_t requests_kept_ms(const struct requests *requests, const struct core_limits *limits,
                          uint64_t service_ms);

/* Service time at which something has to leave, UINT64_MAX for never; and letting it leave, at most
 * *budget records. */
uint64_t requests_deadline(const struct requests *requests, const struct core_limits *limits);
void requests_expire(struct requests *requests, struct names *names,
                     const struct core_limits *limits, uint64_t service_ms, uint32_t *budget);

/* Loading needs the names. Verification gives NULL, or what is wrong. */
void requests_save(const struct requests *requests, struct stream_out *out);
void requests_load(struct requests *requests, const struct names *names, struct stream_in *in);
const char *requests_verify(const struct requests *requests, const struct names *names,
                            uint64_t service_ms);

#endif
