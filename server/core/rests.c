#include "server/core/rests.h"

#include "server/check.h"
#include "server/core/command.h"
#include "server/core/stream.h"

void rests_layout(struct rests *rests, struct region *region, const struct core_limits *capacity)
{
    uint64_t most = capacity->pending_changes_max;
    *rests = (struct rests){.at = region_take(region, (size_t)most, sizeof *rests->at),
                            .capacity = (uint32_t)most};
}

static bool is_before(const struct rest *one, const struct rest *other)
{
    return one->due_ms != other->due_ms ? one->due_ms < other->due_ms : one->number < other->number;
}

void rests_put(struct rests *rests, const struct rest *from)
{
    CHECK(rests->count < rests->capacity);
    struct rest rest = *from;
    rest.number = ++rests->last_number;
    uint32_t place = rests->count++;
    while (place != 0 && is_before(&rest, &rests->at[(place - 1) / 2])) {
        rests->at[place] = rests->at[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    rests->at[place] = rest;
}

void rests_remove_first(struct rests *rests)
{
    CHECK(rests->count != 0);
    struct rest last = rests->at[--rests->count];
    uint32_t place = 0;
    for (;;) {
        uint32_t next = 2 * place + 1;
        if (next + 1 < rests->count && is_before(&rests->at[next + 1], &rests->at[next])) {
            next++;
        }
        if (next >= rests->count || !is_before(&rests->at[next], &last)) {
            break;
        }
        rests->at[place] = rests->at[next];
        place = next;
    }
    rests->at[place] = last;
}

uint64_t rests_oldest_ms(const struct rests *rests)
{
    uint64_t oldest_ms = UINT64_MAX;
    for (uint32_t i = 0; i < rests->count; i++) {
        oldest_ms = rests->at[i].oldest_ms < oldest_ms ? rests->at[i].oldest_ms : oldest_ms;
    }
    return oldest_ms;
}

void rests_save(const struct rests *rests, struct stream_out *out)
{
    stream_put_u64(out, rests->count);
    stream_put_u64(out, rests->last_number);
    stream_put(out, rests->at, (size_t)rests->count * sizeof *rests->at);
}

void rests_load(struct rests *rests, struct stream_in *in)
{
    rests->count = stream_get_count(in, rests->capacity);
    rests->last_number = stream_get_u64(in);
    if (!stream_get(in, rests->at, (size_t)rests->count * sizeof *rests->at)) {
        rests->count = 0;
    }
}

bool rests_sound(const struct rests *rests, uint64_t service_ms)
{
    for (uint32_t i = 0; i < rests->count; i++) {
        const struct rest *rest = &rests->at[i];
        if (rest->zero != 0 || rest->number == 0 || rest->number > rests->last_number ||
            (rest->due_ms > service_ms && rest->due_ms - service_ms > COMMAND_RETRY_AFTER_MAX_MS) ||
            (i != 0 && is_before(rest, &rests->at[(i - 1) / 2]))) {
            return false;
        }
    }
    return true;
}
