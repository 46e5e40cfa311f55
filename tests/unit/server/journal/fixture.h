/* What the journal's tests share: bodies that can be told from a serial number, and a user of the
 * journal who waits. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_JOURNAL_FIXTURE_H
#define ACTIVITYD_TESTS_UNIT_SERVER_JOURNAL_FIXTURE_H

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "server/journal/journal.h"

/* How often: N= in the environment multiplies the counts of the tests that are random. */
static inline unsigned long fixture_times(unsigned long count)
{
    const char *n = getenv("N");
    unsigned long factor = n == NULL ? 1 : strtoul(n, NULL, 10);
    return count * (factor == 0 ? 1 : factor);
}

static inline uint64_t fixture_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* Length of the body with this serial: mostly small, sometimes many sectors, at most `most`. */
static inline uint32_t fixture_length(uint64_t serial, uint32_t most)
{
    uint64_t random = fixture_mix(serial + 1);
    uint32_t limit = random % 8 == 0 ? most : random % 8 < 3 ? 5000 : 300;
    limit = limit < most ? limit : most;
    return 1 + (uint32_t)((random >> 8) % limit);
}

/* Fills a body; some are nearly all zeros, the hard case for telling a lost sector from a written
 * one. */
static inline void fixture_fill(uint64_t serial, uint8_t *body, uint32_t length)
{
    uint64_t random = fixture_mix(serial + 1);
    bool sparse = random % 5 == 0;
    for (uint32_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)((random >> (i % 8 * 8)) + i);
        body[i] = sparse ? (uint8_t)(i % 509 == 0) : byte;
    }
    memcpy(body, &serial, length < sizeof serial ? length : sizeof serial);
}

static inline bool fixture_is(uint64_t serial, const uint8_t *body, uint32_t length, uint32_t most)
{
    if (length != fixture_length(serial, most))
        return false;
    uint8_t *expected = malloc(length);
    assert_non_null(expected);
    fixture_fill(serial, expected, length);
    bool same = memcmp(expected, body, length) == 0;
    free(expected);
    return same;
}

/* A user of the journal: counts what it is told. */
struct user {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t committed; /* entries */
    uint64_t last_index;
    uint64_t last_token;
    bool in_order; /* every index and token was one above the last */
    bool writable;
    unsigned writable_calls;
    bool failed;
    struct journal_error failure;
};

static inline void user_committed(void *context, uint64_t token, const struct journal_entry *entry)
{
    struct user *user = context;
    pthread_mutex_lock(&user->lock);
    if (user->committed > 0 &&
        (entry->index != user->last_index + 1 || token != user->last_token + 1))
        user->in_order = false;
    user->committed++;
    user->last_index = entry->index;
    user->last_token = token;
    pthread_cond_broadcast(&user->changed);
    pthread_mutex_unlock(&user->lock);
}

static inline void user_writable(void *context, bool writable)
{
    struct user *user = context;
    pthread_mutex_lock(&user->lock);
    user->writable = writable;
    user->writable_calls++;
    pthread_cond_broadcast(&user->changed);
    pthread_mutex_unlock(&user->lock);
}

static inline void user_failed(void *context, const struct journal_error *error)
{
    struct user *user = context;
    pthread_mutex_lock(&user->lock);
    user->failed = true;
    user->failure = *error;
    pthread_cond_broadcast(&user->changed);
    pthread_mutex_unlock(&user->lock);
}

static inline struct journal_events user_events(struct user *user)
{
    *user = (struct user){.in_order = true, .writable = true};
    pthread_mutex_init(&user->lock, NULL);
    pthread_cond_init(&user->changed, NULL);
    return (struct journal_events){.context = user,
                                   .committed = user_committed,
                                   .writable = user_writable,
                                   .failed = user_failed};
}

/* Waits until so many entries are committed since user_events. False: the journal failed first. */
static inline bool user_wait(struct user *user, uint64_t committed)
{
    pthread_mutex_lock(&user->lock);
    while (user->committed < committed && !user->failed)
        pthread_cond_wait(&user->changed, &user->lock);
    bool reached = user->committed >= committed;
    pthread_mutex_unlock(&user->lock);
    return reached;
}

static inline bool user_is_writable(struct user *user)
{
    pthread_mutex_lock(&user->lock);
    bool writable = user->writable;
    pthread_mutex_unlock(&user->lock);
    return writable;
}

/* Waits until the journal has said that it is (not) writable; false after ten seconds. */
static inline bool user_wait_writable(struct user *user, bool writable)
{
    struct timespec until;
    int result = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&user->lock);
    while (user->writable != writable && result == 0)
        result = pthread_cond_timedwait(&user->changed, &user->lock, &until);
    pthread_mutex_unlock(&user->lock);
    return result == 0;
}

/* Proposes the body with this serial and waits. False: the journal failed. */
static inline bool user_append(struct user *user, struct journal *journal, uint64_t serial,
                               uint32_t most)
{
    uint32_t length = fixture_length(serial, most);
    uint8_t *body = malloc(length);
    assert_non_null(body);
    fixture_fill(serial, body, length);
    pthread_mutex_lock(&user->lock);
    uint64_t wanted = user->committed + 1;
    pthread_mutex_unlock(&user->lock);
    bool committed = journal_propose(journal, serial, body, length) == 0 && user_wait(user, wanted);
    free(body);
    return committed;
}

/* Reads all entries from `first` on; entry i must be the body with serial i. Returns the last
 * index, or the error's code. */
static inline int64_t fixture_replay(const struct journal *journal, uint64_t first, uint32_t most,
                                     struct journal_error *error)
{
    struct journal_reader *reader = NULL;
    struct journal_entry entry;
    uint64_t expected = first;
    int result = journal_reader_open(journal, first, &reader, error);
    if (result != 0)
        return result;
    while ((result = journal_reader_next(reader, journal_durable_index(journal), &entry, error)) ==
           1) {
        assert_int_equal(entry.index, expected);
        assert_true(fixture_is(entry.index, entry.body, entry.length, most));
        expected++;
    }
    journal_reader_close(reader);
    return result < 0 ? result : (int64_t)(expected - 1);
}

#endif
