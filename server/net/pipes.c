#include "server/net/pipes.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "server/check.h"

/* Principals are remembered for a minute after their last connection, to count connects. So many
 * beyond those that are connected. */
#define IDLE_PRINCIPALS 1024
#define MINUTE_MS       60000

struct principal {
    char name[LIMIT_PRINCIPAL_LENGTH + 1];
    size_t length; /* 0: unused */
    uint32_t connections;
    uint32_t connects;      /* since `since_ms` */
    _Atomic uint32_t waits; /* admission's: long polls that wait, of requests that we hold */
    uint64_t since_ms;
};

struct pipes {
    struct pipes_limits limits;
    uint32_t count; /* living */
    struct pipe *all;
    size_t all_count;
    struct pipe *unused;   /* list */
    struct pipe **buckets; /* living ones, by id */
    size_t bucket_mask;
    struct principal *principals;
    size_t principal_count;
};

static size_t all_count(const struct pipes_limits *limits)
{
    return (size_t)limits->connections_max + limits->requests_max;
}

static size_t bucket_count(const struct pipes_limits *limits)
{
    size_t count = 16;
    while (count < (size_t)limits->connections_max * 2) {
        count *= 2;
    }
    return count;
}

static size_t principal_count(const struct pipes_limits *limits)
{
    return (size_t)limits->connections_max + IDLE_PRINCIPALS;
}

size_t pipes_memory_bytes(const struct pipes_limits *limits)
{
    return sizeof(struct pipes) + all_count(limits) * sizeof(struct pipe) +
           bucket_count(limits) * sizeof(struct pipe *) +
           principal_count(limits) * sizeof(struct principal);
}

struct pipes *pipes_new(const struct pipes_limits *limits)
{
    struct pipes *pipes = calloc(1, sizeof *pipes);
    if (pipes == NULL) {
        return NULL;
    }
    pipes->limits = *limits;
    pipes->all_count = all_count(limits);
    pipes->bucket_mask = bucket_count(limits) - 1;
    pipes->principal_count = principal_count(limits);
    pipes->all = calloc(pipes->all_count, sizeof *pipes->all);
    pipes->buckets = calloc(pipes->bucket_mask + 1, sizeof(struct pipe *));
    pipes->principals = calloc(pipes->principal_count, sizeof *pipes->principals);
    if (pipes->all == NULL || pipes->buckets == NULL || pipes->principals == NULL) {
        pipes_free(pipes);
        return NULL;
    }
    for (size_t i = 0; i < pipes->all_count; i++) {
        pipes->all[i].next = pipes->unused;
        pipes->unused = &pipes->all[i];
    }
    return pipes;
}

void pipes_free(struct pipes *pipes)
{
    if (pipes == NULL) {
        return;
    }
    free(pipes->all);
    free(pipes->buckets);
    free(pipes->principals);
    free(pipes);
}

/* Walked from the front: connects are rare, and limited. */
static struct principal *find_principal(struct pipes *pipes, struct view name, uint64_t now_ms)
{
    struct principal *free_place = NULL;
    for (size_t i = 0; i < pipes->principal_count; i++) {
        struct principal *each = &pipes->principals[i];
        if (each->length == name.length && memcmp(each->name, name.bytes, name.length) == 0) {
            return each;
        }
        bool idle = each->connections == 0 && now_ms - each->since_ms >= MINUTE_MS;
        if (free_place == NULL && (each->length == 0 || idle)) {
            free_place = each;
        }
        if (each->length == 0) {
            break; /* places are taken from the front and never emptied */
        }
    }
    if (free_place != NULL) {
        memset(free_place, 0, sizeof *free_place);
        memcpy(free_place->name, name.bytes, name.length);
        free_place->length = name.length;
        free_place->since_ms = now_ms;
    }
    return free_place;
}

enum pipes_verdict pipes_add(struct pipes *pipes, const struct pipes_arrival *arrival,
                             uint64_t now_ms)
{
    struct view name = arrival->principal;
    CHECK(name.length > 0 && name.length <= LIMIT_PRINCIPAL_LENGTH);
    struct principal *owner = find_principal(pipes, name, now_ms);
    if (owner == NULL) {
        return PIPES_FULL;
    }
    if (now_ms - owner->since_ms >= MINUTE_MS) {
        owner->since_ms = now_ms;
        owner->connects = 0;
    }
    owner->connects++;
    if (owner->connects > pipes->limits.connects_per_minute) {
        return PIPES_PRINCIPAL_TOO_FAST;
    }
    if (pipes->count >= pipes->limits.connections_max) {
        return PIPES_FULL;
    }
    if (owner->connections >= pipes->limits.connections_per_principal) {
        return PIPES_PRINCIPAL_FULL;
    }
    struct pipe *pipe = pipes->unused;
    CHECK(pipe != NULL);
    pipes->unused = pipe->next;
    memset(pipe, 0, sizeof *pipe);
    pipe->id = arrival->id;
    pipe->principal = owner;
    pipe->references = 1;
    pipe->progress_ms = now_ms;
    size_t length = strnlen(arrival->address, sizeof pipe->address - 1);
    memcpy(pipe->address, arrival->address, length);
    pipe->peer = (struct admit_peer){
        .principal = {(const uint8_t *)owner->name, owner->length},
        .rule = arrival->rule,
        .suite = arrival->suite,
        .address = pipe->address,
        .gone = &pipe->gone,
        .waits = &owner->waits,
    };
    struct pipe **bucket = &pipes->buckets[arrival->id & pipes->bucket_mask];
    pipe->next = *bucket;
    *bucket = pipe;
    owner->connections++;
    pipes->count++;
    return PIPES_ADMITTED;
}

void pipes_remove(struct pipes *pipes, uint32_t id)
{
    struct pipe **link = &pipes->buckets[id & pipes->bucket_mask];
    while (*link != NULL && (*link)->id != id) {
        link = &(*link)->next;
    }
    struct pipe *pipe = *link;
    if (pipe == NULL) {
        return;
    }
    *link = pipe->next;
    pipe->next = NULL;
    atomic_store(&pipe->gone, true);
    pipes->count--;
    pipes_release(pipes, pipe);
}

struct pipe *pipes_acquire(struct pipes *pipes, uint32_t id)
{
    struct pipe *pipe = pipes->buckets[id & pipes->bucket_mask];
    while (pipe != NULL && pipe->id != id) {
        pipe = pipe->next;
    }
    if (pipe == NULL || pipe->peer.rule == NULL) {
        return NULL;
    }
    pipe->references++;
    return pipe;
}

void pipes_release(struct pipes *pipes, struct pipe *pipe)
{
    CHECK(pipe->references > 0);
    pipe->references--;
    if (pipe->references > 0) {
        return;
    }
    CHECK(pipe->gone);
    /* Until the last request is answered it counts as a connection of its principal, whose name
     * diagnostics still need. */
    pipe->principal->connections--;
    pipe->next = pipes->unused;
    pipes->unused = pipe;
}

void pipes_each(struct pipes *pipes, void (*visit)(void *context, struct pipe *pipe), void *context)
{
    for (size_t i = 0; i <= pipes->bucket_mask; i++) {
        for (struct pipe *pipe = pipes->buckets[i]; pipe != NULL; pipe = pipe->next) {
            visit(context, pipe);
        }
    }
}

static void keep_slower(void *context, struct pipe *pipe)
{
    struct pipe **slowest = context;
    uint64_t most = *slowest != NULL ? (*slowest)->waiting_bytes : 0;
    if (!pipe->condemned && pipe->waiting_bytes > most) {
        *slowest = pipe;
    }
}

struct pipe *pipes_slowest(struct pipes *pipes)
{
    struct pipe *slowest = NULL;
    pipes_each(pipes, keep_slower, &slowest);
    return slowest;
}

uint32_t pipes_count(const struct pipes *pipes)
{
    return pipes->count;
}
