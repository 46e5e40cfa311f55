/* The polls of feed/reader.c: a fixed number of places, filled by any thread, worked on and freed
 * by the reader's. The queries' bytes are bounded together. What is not said to be any thread's is
 * that thread's alone. */
#ifndef ACTIVITYD_SERVER_FEED_POLLS_H
#define ACTIVITYD_SERVER_FEED_POLLS_H

#include <pthread.h>

#include "server/feed/reader.h"

/* One poll on its way. Once it is taken it is the reader's thread's alone. */
struct poll {
    struct poll *next; /* of the list that it is in */
    uint64_t token;
    uint64_t deadline_ms;
    uint64_t wait_until_ms; /* 0: not at all, or not any more */
    const atomic_bool *gone;
    bool crowded;
    struct bytes query; /* allocated */
    bool started;
    uint64_t position; /* the last event looked at */
    uint32_t looked;   /* at so many events */
    uint32_t spot;     /* while parked */
    bool parked;
    uint64_t identity;      /* hash of whose subscription it is, 0: of none */
    struct poll *neighbour; /* in the bucket of that hash */
};

struct poll_list {
    struct poll *first;
    struct poll **end;
};
static inline void poll_list_init(struct poll_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}
static inline void poll_list_add(struct poll_list *list, struct poll *poll)
{
    poll->next = NULL;
    *list->end = poll;
    list->end = &poll->next;
}
/* Moves all of `from` to the end of `list`. */
static inline void poll_list_join(struct poll_list *list, struct poll_list *from)
{
    if (from->first != NULL) {
        *list->end = from->first;
        list->end = from->end;
        poll_list_init(from);
    }
}
static inline struct poll *poll_list_take(struct poll_list *list)
{
    struct poll *poll = list->first;
    if (poll != NULL) {
        list->first = poll->next;
        if (list->first == NULL) {
            list->end = &list->first;
        }
    }
    return poll;
}

struct polls {
    struct poll *places;
    uint32_t count;
    size_t bytes_max;
    struct poll **buckets; /* of identities, as many as places */

    pthread_mutex_t lock; /* guards what follows */
    struct poll *free;
    struct poll_list incoming;
    size_t bytes;
    bool draining; /* nobody waits any more */
    bool closed;   /* nobody comes any more */
};

__attribute__((warn_unused_result)) int polls_init(struct polls *polls, uint32_t count,
                                                   size_t bytes_max);
void polls_deinit(struct polls *polls); /* of a zeroed one, too */
size_t polls_memory_bytes(uint32_t count, size_t bytes_max);

/* As feed_reader_submit. Any thread. */
__attribute__((warn_unused_result)) int polls_submit(struct polls *polls,
                                                     const struct feed_reader_poll *poll);
void polls_drain(struct polls *polls, bool close);

/* Moves what has come to the end of `list`. */
struct polls_end {
    bool draining;
    bool closed;
};
struct polls_end polls_take(struct polls *polls, struct poll_list *list);
/* Frees the place. */
void polls_give_back(struct polls *polls, struct poll *poll);

/* This poll is that of its subscription from now on. Returns the one that was it before, NULL when
 * there is none. `query` is decoded from poll->query, `scratch` is for the other's. */
struct poll *polls_replace(struct polls *polls, struct poll *poll, const struct query *query,
                           struct query *scratch);

#endif
