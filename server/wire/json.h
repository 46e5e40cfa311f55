/* Whether bytes are one JSON object that an index can take. */
#ifndef ACTIVITYD_SERVER_WIRE_JSON_H
#define ACTIVITYD_SERVER_WIRE_JSON_H

#include "proto/arena.h"
#include "proto/view.h"

/* One object in UTF-8, at most LIMIT_JSON_DEPTH levels, without a key twice in one object, and
 * nothing behind it but white space. Its length is the caller's to check. Takes memory from the
 * arena only; the caller resets it. Returns 0, or 1 with a sentence of what was found in `why`. One
 * thread per arena. */
__attribute__((warn_unused_result)) int json_check(struct view text, struct arena *arena, char *why,
                                                   size_t why_size);

#endif
