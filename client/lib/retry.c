#include "client/lib/retry.h"

enum { PAUSE_FIRST_MS = 50, PAUSE_MAX_MS = 2000, RETRY_AFTER_MAX_MS = 3600 * 1000 };

void retry_budget_init(struct retry_budget *budget, uint32_t repetitions)
{
    uint32_t bounded = repetitions < UINT32_MAX / 10 ? repetitions : UINT32_MAX / 10;
    budget->tenths_max = bounded * 10;
    budget->tenths = budget->tenths_max;
}

bool retry_budget_take(struct retry_budget *budget)
{
    if (budget->tenths < 10) {
        return false;
    }
    budget->tenths -= 10;
    return true;
}

void retry_budget_succeed(struct retry_budget *budget)
{
    if (budget->tenths < budget->tenths_max) {
        budget->tenths++;
    }
}

uint32_t retry_pause_ms(unsigned attempts, uint32_t retry_after_ms, uint32_t chance)
{
    uint32_t pause = PAUSE_FIRST_MS;
    for (unsigned i = 1; i < attempts && pause < PAUSE_MAX_MS; i++) {
        pause *= 2;
    }
    pause = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
    pause -= chance % (pause / 2 + 1);
    uint32_t asked = retry_after_ms < RETRY_AFTER_MAX_MS ? retry_after_ms : RETRY_AFTER_MAX_MS;
    uint32_t spread = asked + chance % (asked / 2 + 1);
    return pause > spread ? pause : spread;
}
