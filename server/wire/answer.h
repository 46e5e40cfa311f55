/* Answers to queries, from applied state, as whole reply frames. Nothing is allocated; the time
 * taken is bounded by LIMIT_FIND_TOUCHED and LIMIT_PAGE_SIZE. One thread per core. */
#ifndef ACTIVITYD_SERVER_WIRE_ANSWER_H
#define ACTIVITYD_SERVER_WIRE_ANSWER_H

#include "server/core/core.h"
#include "server/wire/query.h"

#define ANSWER_CERTIFICATES_MAX 4

struct answer_certificate {
    const char *name;
    const char *subject;
    uint64_t not_after_ms;
};

/* What GetServerInfo says beside the core's own state. Borrowed. */
struct answer_facts {
    uint64_t epoch; /* of the journal: every reply carries it */
    const char *version;
    uint64_t start_ms;
    const char *durability;
    const char *index;
    size_t certificate_count;
    struct answer_certificate certificates[ANSWER_CERTIFICATES_MAX];
};

struct answer {
    struct bytes frame; /* inside the room given */
    /* A user's sign of life that the next tick should carry: views into the query. */
    bool has_beat;
    struct bytes tenant;
    struct bytes user;
};

/* Answers anything but GetStateHash, which is computed beside the engine. `to` has room for
 * LIMIT_REPLY_BYTES. */
void query_answer(const struct core *core, struct bytes query, const struct answer_facts *facts,
                  uint8_t *to, struct answer *answer);

/* The answer to GetStateHash. `to` has room for ANSWER_STATE_HASH_MAX; returns the length. */
#define ANSWER_STATE_HASH_MAX 128
size_t answer_state_hash(uint64_t epoch, uint64_t index, uint64_t state_hash, uint64_t digest,
                         uint8_t *to);

/* For answer.c: the response's fields are written to `to`; returns the byte after the last. */
uint8_t *answer_find(const struct core *core, const struct core_viewer *viewer,
                     const struct query_find *find, uint64_t epoch, uint8_t *to);
/* An Activity's fields: at most ANSWER_ITEM_MAX bytes. */
#define ANSWER_ITEM_MAX (16u * 1024u)
uint8_t *answer_put_activity(const struct core_activity *activity, uint8_t *to);

#endif
