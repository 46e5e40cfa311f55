/* What the tests of the feed have in common: a subscriber on a thread of its own that checks the
 * order of what it gets, and a load that makes events and knows how many. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_FEED_H
#define ACTIVITYD_TESTS_E2E_HARNESS_FEED_H

#include <activity_feed.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/e2e/harness.h"

/* A subscriber. Fill the first part with `= {...}`, then follower_start. */
struct follower {
    const struct server *server;
    const char *who;                              /* of the cast */
    struct activity_subscription_options options; /* size may be 0: standard ones */
    bool contiguous; /* every sequence must come: false when a filter leaves some out */
    void (*on_event)(void *context, const struct activity_event *event); /* may be NULL */
    void *context;
    uint32_t pause_us; /* slow: after each event */

    /* Written by its thread, read after follower_stop or where atomic. */
    activity_client *client;
    activity_subscription *subscription;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool paused; /* takes nothing while true */
    _Atomic uint64_t last_sequence;
    _Atomic uint64_t epoch;
    _Atomic uint64_t events;      /* of history */
    _Atomic uint64_t of_kind[16]; /* by enum activity_event_kind */
    _Atomic uint32_t resets;
    _Atomic uint64_t frames;   /* messages from the change-feed endpoint */
    _Atomic uint64_t connects; /* to it */
    enum activity_reset last_reset;
    struct activity_subscription_status status; /* at the end */
    char fault[256];                            /* the first thing that was wrong; "" */
};

/* Opens the subscription (aborts the test when that fails) and takes events until stopped. */
void follower_start(struct follower *follower);
/* Waits until it has come to this sequence; false after so many ms. */
bool follower_await(struct follower *follower, uint64_t sequence, uint32_t milliseconds);
/* Ends the thread, frees; fails the test with `fault` when there is one. */
void follower_stop(struct follower *follower);

/* A subscriber that is a process, to be killed or stopped: main() of a test program that starts one
 * calls feed_child_main when it has arguments. It follows everything as "watcher" and appends each
 * cursor to a file, from whose end it goes on when it is started again; a reset is a record of its
 * own. */
int feed_child_main(int count, char **arguments);
pid_t feed_child_start(const struct server *server, const char *path);
/* The file with a cursor to begin after. */
void feed_record_begin(const char *path, struct activity_cursor begin);
/* Waits until the sequence is in it; false after so many ms. */
bool feed_record_await(const char *path, uint64_t sequence, uint32_t milliseconds);
/* Fails the test unless the sequences follow each other without hole, but for resets: how many. */
uint32_t feed_record_check(const char *path, struct activity_cursor begin);

/* The head of the history, by GetServerInfo. */
struct activity_cursor feed_head(activity_client *client);

/* Makes events until stopped: creates, ends and changes; each acknowledged one is counted. */
struct feed_load {
    const struct server *server;
    const char *who;
    uint32_t in_flight;  /* 0: 16 */
    uint32_t per_second; /* bound of requests; 0: as fast as it goes */
    /* Objects belong to these groups in turn, a document always to the same; the last turn to none.
     * NULL: activities to none, documents to "*". */
    const char *const *groups;
    size_t group_count;
    uint64_t seed;

    activity_client *client;
    pthread_t thread;
    atomic_bool stop;
    _Atomic uint64_t created; /* acknowledged */
    _Atomic uint64_t ended;
    _Atomic uint64_t changes;
    _Atomic uint64_t failed; /* requests without an answer: their effect is not known */
    uint64_t *jobs;          /* all acknowledged creates, in order of their answers */
    size_t job_count;
    size_t job_capacity;
};
void feed_load_start(struct feed_load *load);
/* Returns when all its events are in the history. Its jobs stay until feed_load_free. */
void feed_load_stop(struct feed_load *load);
void feed_load_free(struct feed_load *load);

#endif
