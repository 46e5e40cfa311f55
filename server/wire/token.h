/* Page tokens: opaque to callers, tied to the filters of the page that gave them. A token says only
 * where to go on; rights are checked anew, so a made-up one shows nothing. Any thread. */
#ifndef ACTIVITYD_SERVER_WIRE_TOKEN_H
#define ACTIVITYD_SERVER_WIRE_TOKEN_H

#include "proto/limits.h"
#include "proto/view.h"
#include "server/wire/query.h"

#define TOKEN_BYTES 18
_Static_assert(TOKEN_BYTES <= LIMIT_PAGE_TOKEN_LENGTH, "a token fits its field");

/* Writes TOKEN_BYTES. */
void token_encode(uint8_t *to, uint64_t filter_hash, struct query_place next);

enum token_outcome {
    TOKEN_OK = 0,
    TOKEN_MALFORMED = 1,    /* not made by this service or version */
    TOKEN_OTHER_FILTERS = 2 /* made for another call */
};
__attribute__((warn_unused_result)) enum token_outcome
token_decode(struct view token, uint64_t filter_hash, struct query_place *next);

/* A hash over everything that decides which items a call finds: not page size, token and observe.
 * FNV-1a is enough, since it protects from mistakes and not from malice. */
uint64_t token_filter_hash(const struct query_find *find);
/* The same for lists without filters: each its own, so that a token fits no other list. */
#define TOKEN_USERS_HASH   UINT64_C(0x7573657273)
#define TOKEN_BATCHES_HASH UINT64_C(0x62617463686573)
#define TOKEN_PARKED_HASH  UINT64_C(0x7061726b6564)

#endif
