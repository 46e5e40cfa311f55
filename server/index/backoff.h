/* How long to wait before the next attempt: twice as long after each failure, up to a bound, and
 * between half of it and all of it by chance, so that several servers do not come back together. */
#ifndef ACTIVITYD_SERVER_INDEX_BACKOFF_H
#define ACTIVITYD_SERVER_INDEX_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint32_t first_ms;
    uint32_t most_ms;
    uint64_t random; /* any number to begin with */
};

/* `failures` in a row, at least 1. */
uint32_t backoff_ms(struct backoff *backoff, uint32_t failures);

#endif
