#include "server/core/core.h"

struct row {
    const char *name;
    uint64_t standard;
    uint64_t least;
    uint64_t most;
};

static const struct row rows[CORE_LIMIT_COUNT] = {
#define CORE_LIMIT_ROW(name, standard, least, most, unit, text) {#name, standard, least, most},
    CORE_LIMITS(CORE_LIMIT_ROW)
#undef CORE_LIMIT_ROW
};

void core_limits_standard(struct core_limits *limits)
{
    for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        limits->values[i] = rows[i].standard;
    }
}

const char *core_limits_check_each(const struct core_limits *limits)
{
    for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        if (limits->values[i] < rows[i].least || limits->values[i] > rows[i].most) {
            return rows[i].name;
        }
    }
    return NULL;
}

const char *core_limits_check(const struct core_limits *limits)
{
    const char *wrong = core_limits_check_each(limits);
    if (wrong == NULL && limits->request_id_least_ms > limits->request_id_most_ms) {
        wrong = rows[CORE_LIMIT_request_id_least_ms].name;
    }
    return wrong;
}

void core_limits_raise(struct core_limits *to, const struct core_limits *by)
{
    for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        if (to->values[i] < by->values[i]) {
            to->values[i] = by->values[i];
        }
    }
}
