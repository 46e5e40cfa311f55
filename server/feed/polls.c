#include "server/feed/polls.h"

#include <stdlib.h>
#include <string.h>

#include "server/check.h"

/* What malloc adds to each query at most. */
#define ALLOCATION_BYTES 32u

size_t polls_memory_bytes(uint32_t count, size_t bytes_max)
{
    return (size_t)count * (sizeof(struct poll) + sizeof(uint64_t) + ALLOCATION_BYTES) + bytes_max;
}

int polls_init(struct polls *polls, uint32_t count, size_t bytes_max)
{
    *polls = (struct polls){.count = count, .bytes_max = bytes_max};
    CHECK(pthread_mutex_init(&polls->lock, NULL) == 0);
    poll_list_init(&polls->incoming);
    polls->places = calloc(count, sizeof *polls->places);
    polls->identities = calloc(count, sizeof *polls->identities);
    if (polls->places == NULL || polls->identities == NULL) {
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        polls->places[i].next = polls->free;
        polls->free = &polls->places[i];
    }
    return 0;
}

void polls_deinit(struct polls *polls)
{
    if (polls->count != 0) {
        (void)pthread_mutex_destroy(&polls->lock);
    }
    free(polls->places);
    free(polls->identities);
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

/* A place and room for the query. Under the lock. */
static struct poll *find_place(struct polls *polls, struct bytes query)
{
    struct poll *poll = polls->free;
    if (poll == NULL || query.length > polls->bytes_max - polls->bytes) {
        return NULL;
    }
    uint8_t *copy = malloc(query.length);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, query.at, query.length);
    polls->free = poll->next;
    polls->bytes += query.length;
    *poll = (struct poll){.query = bytes_of(copy, query.length)};
    return poll;
}

int polls_submit(struct polls *polls, const struct feed_reader_poll *from)
{
    CHECK(from->query.length > 0);
    int outcome = 2;
    lock(polls);
    if (!polls->closed) {
        struct poll *poll = find_place(polls, from->query);
        outcome = poll == NULL ? 1 : 0;
        if (poll != NULL) {
            poll->token = from->token;
            poll->deadline_ms = from->deadline_ms;
            poll->wait_until_ms = from->wait_until_ms;
            poll->gone = from->gone;
            poll->crowded = from->crowded;
            poll_list_add(&polls->incoming, poll);
        }
    }
    unlock(polls);
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
    struct poll *poll;
    while ((poll = poll_list_take(&polls->incoming)) != NULL) {
        poll_list_add(list, poll);
    }
    struct polls_end end = {polls->draining, polls->closed};
    unlock(polls);
    return end;
}

void polls_give_back(struct polls *polls, struct poll *poll)
{
    polls->identities[poll - polls->places] = 0;
    free((void *)(uintptr_t)poll->query.at);
    lock(polls);
    polls->bytes -= poll->query.length;
    poll->next = polls->free;
    polls->free = poll;
    unlock(polls);
}

/* ---- Subscriptions ---- */

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

/* The hash is nobody's secret, so equal ones are compared: no caller ends another's poll. */
struct poll *polls_replace(struct polls *polls, struct poll *poll, const struct query *query,
                           struct query *scratch)
{
    if (query->read.subscription == 0) {
        return NULL;
    }
    uint64_t identity = identity_of(query);
    struct poll *older = NULL;
    for (uint32_t i = 0; i < polls->count && older == NULL; i++) {
        if (polls->identities[i] == identity) {
            query_decode(polls->places[i].query, scratch);
            older = same_subscription(query, scratch) ? &polls->places[i] : NULL;
        }
    }
    if (older != NULL) {
        polls->identities[older - polls->places] = 0;
    }
    polls->identities[poll - polls->places] = identity;
    return older;
}
