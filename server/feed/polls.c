#include "server/feed/polls.h"

#include <stdlib.h>
#include <string.h>

#include "server/check.h"

/* What malloc adds to each query at most. */
#define ALLOCATION_BYTES 32u

size_t polls_memory_bytes(uint32_t count, size_t bytes_max)
{
    return (size_t)count * (sizeof(struct poll) + sizeof(struct poll *) + ALLOCATION_BYTES) +
           bytes_max;
}

int polls_init(struct polls *polls, uint32_t count, size_t bytes_max)
{
    CHECK(count > 0);
    *polls = (struct polls){.count = count, .bytes_max = bytes_max};
    CHECK(pthread_mutex_init(&polls->lock, NULL) == 0);
    poll_list_init(&polls->incoming);
    polls->places = calloc(count, sizeof *polls->places);
    polls->buckets = calloc(count, sizeof(struct poll *));
    if (polls->places == NULL || polls->buckets == NULL) {
        return -1;
    }
    for (uint32_t i = count; i > 0; i--) { /* the first place is used first */
        polls->places[i - 1].next = polls->free;
        polls->free = &polls->places[i - 1];
    }
    return 0;
}

void polls_deinit(struct polls *polls)
{
    if (polls->count != 0) {
        (void)pthread_mutex_destroy(&polls->lock);
    }
    free(polls->places);
    free(polls->buckets);
    *polls = (struct polls){.count = 0};
}

static void lock(struct polls *polls)
{
    CHECK(pthread_mutex_lock(&polls->lock) == 0);
}

static void unlock(struct polls *polls)
{
    CHECK(pthread_mutex_unlock(&polls->lock) == 0);
}

/* A place, when there is room for the query, too. Under the lock. */
static struct poll *take_place(struct polls *polls, uint32_t length)
{
    struct poll *poll = polls->free;
    if (poll == NULL || length > polls->bytes_max - polls->bytes) {
        return NULL;
    }
    polls->free = poll->next;
    polls->bytes += length;
    return poll;
}

int polls_submit(struct polls *polls, const struct feed_reader_poll *from)
{
    CHECK(from->query.length > 0);
    uint8_t *query = malloc(from->query.length);
    if (query == NULL) {
        return 1;
    }
    memcpy(query, from->query.at, from->query.length);
    lock(polls);
    struct poll *poll = polls->closed ? NULL : take_place(polls, from->query.length);
    int outcome = poll != NULL ? 0 : polls->closed ? 2 : 1;
    if (poll != NULL) {
        *poll = (struct poll){.token = from->token,
                              .deadline_ms = from->deadline_ms,
                              .wait_until_ms = from->wait_until_ms,
                              .gone = from->gone,
                              .crowded = from->crowded,
                              .query = bytes_of(query, from->query.length)};
        poll_list_add(&polls->incoming, poll);
    }
    unlock(polls);
    if (poll == NULL) {
        free(query);
    }
    return outcome;
}

void polls_drain(struct polls *polls, bool close)
{
    lock(polls);
    polls->draining = true;
    polls->closed = polls->closed || close;
    unlock(polls);
}

struct polls_end polls_take(struct polls *polls, struct poll_list *list)
{
    lock(polls);
    poll_list_join(list, &polls->incoming);
    struct polls_end end = {polls->draining, polls->closed};
    unlock(polls);
    return end;
}

/* ---- Subscriptions ---- */

static struct poll **bucket_of(const struct polls *polls, uint64_t identity)
{
    return &polls->buckets[identity % polls->count];
}

static void forget_identity(struct polls *polls, struct poll *poll)
{
    if (poll->identity == 0) {
        return;
    }
    struct poll **link = bucket_of(polls, poll->identity);
    while (*link != poll) {
        link = &(*link)->neighbour;
    }
    *link = poll->neighbour;
    poll->identity = 0;
}

static uint64_t hash_bytes(uint64_t hash, struct bytes text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        hash = (hash ^ text.at[i]) * UINT64_C(0x100000001b3);
    }
    return (hash ^ 0xff) * UINT64_C(0x100000001b3); /* where the text ends */
}

static uint64_t identity_of(const struct query *query)
{
    uint64_t subscription = query->read.subscription;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    hash = hash_bytes(hash, query->caller.tenant);
    hash = hash_bytes(hash, query->caller.principal);
    hash = hash_bytes(hash, query->caller.user);
    return hash_bytes(hash, bytes_of(&subscription, sizeof subscription)) | 1; /* not 0 */
}

static bool same_subscription(const struct query *a, const struct query *b)
{
    return a->read.subscription == b->read.subscription &&
           bytes_equal(a->caller.tenant, b->caller.tenant) &&
           bytes_equal(a->caller.principal, b->caller.principal) &&
           bytes_equal(a->caller.user, b->caller.user);
}

/* The hash is no secret, so equal ones are compared: no caller ends another's poll. */
struct poll *polls_replace(struct polls *polls, struct poll *poll, const struct query *query,
                           struct query *scratch)
{
    if (query->read.subscription == 0) {
        return NULL;
    }
    uint64_t identity = identity_of(query);
    struct poll **bucket = bucket_of(polls, identity);
    struct poll *older = *bucket;
    for (; older != NULL; older = older->neighbour) { /* the newest comes first */
        if (older->identity == identity) {
            query_decode(older->query, scratch);
            if (same_subscription(query, scratch)) {
                break;
            }
        }
    }
    poll->identity = identity;
    poll->neighbour = *bucket;
    *bucket = poll;
    return older;
}

void polls_give_back(struct polls *polls, struct poll *poll)
{
    forget_identity(polls, poll);
    free((void *)(uintptr_t)poll->query.at);
    lock(polls);
    polls->bytes -= poll->query.length;
    poll->next = polls->free;
    polls->free = poll;
    unlock(polls);
}
