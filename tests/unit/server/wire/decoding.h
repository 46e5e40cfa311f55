/* One payload through the border, and the fixtures that its tests share. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_WIRE_DECODING_H
#define ACTIVITYD_TESTS_UNIT_SERVER_WIRE_DECODING_H

#include "tests/unit/server/wire/payload.h"

static struct request_scratch *scratch;
static struct decoded decoded;
static struct payload payload;
static struct payload inner;
static struct payload innermost __attribute__((unused));

static inline int make_scratch(void **state)
{
    (void)state;
    scratch = request_scratch_new();
    return scratch == NULL ? -1 : 0;
}

static inline int free_scratch(void **state)
{
    (void)state;
    request_scratch_free(scratch);
    return 0;
}

static inline void decode(enum method_id method)
{
    decode_as(scratch, method, payload_view(&payload), &decoded);
}

struct change_text {
    const char *model;
    const char *id;
    const char *affected;
    const char *json;
};
static inline void start_changes(void)
{
    payload_start(&payload);
    put_request_id(&payload, 1);
}
static inline void put_change(struct change_text change)
{
    payload_start(&inner);
    put_text(&inner, 1, change.model);
    put_text(&inner, 2, change.id);
    put_text(&inner, 3, change.affected);
    if (change.json != NULL) {
        put_text(&inner, 4, change.json);
    }
    put_message(&payload, 2, &inner);
}
static inline void changes_with(struct change_text change)
{
    start_changes();
    put_change((struct change_text){"m", "1", "m", NULL});
    put_change(change);
}

#endif
