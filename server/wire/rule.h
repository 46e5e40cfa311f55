/* The rules of single fields at the border, and how their breach is told: the field's path, the
 * rule, what was found, the way out. Nothing allocates or keeps state; any thread. */
#ifndef ACTIVITYD_SERVER_WIRE_RULE_H
#define ACTIVITYD_SERVER_WIRE_RULE_H

#include "proto/view.h"
#include "server/wire/query.h"
#include "server/wire/request.h"

/* Where a field stands: list[index].field[member]. Made into text only when something is wrong. */
struct place {
    const char *list; /* NULL: the field is one of the request's own */
    size_t index;
    const char *field; /* NULL: the member of the list itself */
    size_t member;     /* NOT_REPEATED, or which one of the field */
};
#define NOT_REPEATED SIZE_MAX

static inline struct place place_of(const char *field)
{
    return (struct place){NULL, 0, field, NOT_REPEATED};
}

/* Fills the error with BAD_FIELD. Returns 1, so that a check can end in it. */
__attribute__((format(printf, 3, 4))) int rule_refuse(struct request_error *error,
                                                      struct place place, const char *format, ...);

/* Each returns 0, or 1 with the error filled. */

/* Text of `least` (0 or 1) to `most` bytes. */
__attribute__((warn_unused_result)) int rule_text(struct request_error *error, struct place place,
                                                  struct view text, size_t least, size_t most);
/* [a-zA-Z][a-zA-Z0-9._-]* of 1 to `most` bytes: types, models, names of attributes. */
__attribute__((warn_unused_result)) int rule_name(struct request_error *error, struct place place,
                                                  struct view text, size_t most);
/* 16 bytes, not all zero. */
__attribute__((warn_unused_result)) int rule_request_id(struct request_error *error,
                                                        struct view id);
__attribute__((warn_unused_result)) int rule_job_id(struct request_error *error, uint64_t job_id);
__attribute__((warn_unused_result)) int rule_park_id(struct request_error *error, uint64_t park_id);
__attribute__((warn_unused_result)) int rule_percent(struct request_error *error, uint64_t percent);
/* How many members a list of filters has. */
__attribute__((warn_unused_result)) int rule_count(struct request_error *error, const char *field,
                                                   size_t count, size_t most);
/* Fills *page_size; 0 is given for the largest, `most`. */
__attribute__((warn_unused_result)) int rule_page_size(struct request_error *error, uint32_t given,
                                                       uint32_t most, uint32_t *page_size);
/* Fills *from; an empty token is the beginning. `hash` as in token.h. */
__attribute__((warn_unused_result)) int rule_page_token(struct request_error *error,
                                                        struct view token, uint64_t hash,
                                                        struct query_place *from);
__attribute__((warn_unused_result)) int rule_wait_ms(struct request_error *error, uint32_t wait_ms);

#endif
