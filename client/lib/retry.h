/* When to try again. Pure; the caller brings time and chance. */
#ifndef ACTIVITY_LIB_RETRY_H
#define ACTIVITY_LIB_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* Repetitions upon refusals that a client may still make: each costs one, each success gives back a
 * tenth, so that under a lasting overload at most a tenth of the good calls is added to it. */
struct retry_budget {
    uint32_t tenths;
    uint32_t tenths_max;
};

void retry_budget_init(struct retry_budget *budget, uint32_t repetitions);
__attribute__((warn_unused_result)) bool retry_budget_take(struct retry_budget *budget);
void retry_budget_succeed(struct retry_budget *budget);

/* The pause before the next attempt, in ms, after `attempts` (1 or more) have failed: doubled each
 * time and shortened by chance by up to half; at least what the server asks for, then lengthened by
 * up to a half, so that a crowd does not come back at once. */
uint32_t retry_pause_ms(unsigned attempts, uint32_t retry_after_ms, uint32_t chance);

#endif
