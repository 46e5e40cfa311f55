/* The keeper: a thread that makes segments before they are needed and keeps room in reserve, so
 * that neither a commit nor the snapshot that frees a full disk has to hope for space. What it does
 * is slow and never in a commit's way. */
#include <errno.h>
#include <time.h>

#include "server/journal/error.h"
#include "server/journal/journal_state.h"

enum {
    RETRY_SECONDS = 1,
    REST_NANOSECONDS = 10 * 1000 * 1000, /* after each megabyte: a spare of 64 MiB takes a second */
    NANOSECONDS = 1000 * 1000 * 1000,
    RESERVE_ADD = 1 << 20, /* a snapshot may be this much larger than the last one */
    RESERVE_SHARE = 8      /* and by this part of it */
};

const char *journal_spare_name(size_t spare)
{
    return spare == 0 ? RECOVERY_SPARE_0 : RECOVERY_SPARE_1;
}

/* At least a segment: a start on a full disk gives up the reserve to copy the last one. */
static uint64_t reserve_wanted(const struct journal *journal)
{
    const struct journal_shared *shared = journal->shared;
    uint64_t wanted = journal->options.snapshot_reserve;
    uint64_t next = shared->snapshot_bytes + shared->snapshot_bytes / RESERVE_SHARE + RESERVE_ADD;
    wanted = wanted > next ? wanted : next;
    return wanted > journal->options.segment_bytes ? wanted : journal->options.segment_bytes;
}

/* What is to be made next: a spare's number, JOURNAL_SPARES for the reserve, -1 for nothing. Under
 * the lock. */
static int next_task(const struct journal *journal)
{
    const struct journal_shared *shared = journal->shared;
    bool has_first = shared->spares[0] != NULL;
    bool has_second = shared->spares[1] != NULL;
    if (shared->reserve_spent)
        return -1;
    if (!has_first && !has_second)
        return 0;
    if (shared->reserve_bytes < reserve_wanted(journal))
        return JOURNAL_SPARES;
    return has_first ? (has_second ? -1 : 1) : 0;
}

/* Called between the pieces of a spare. While the other spare stands there is time, and commits go
 * first; a roll takes it, signals, and then there is none. */
static bool rest(void *argument)
{
    struct journal *journal = argument;
    struct journal_shared *shared = journal->shared;
    struct timespec until;
    int result = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += REST_NANOSECONDS;
    until.tv_sec += until.tv_nsec / NANOSECONDS;
    until.tv_nsec %= NANOSECONDS;
    pthread_mutex_lock(&shared->lock);
    while (!shared->keeper_stopping && !shared->failed &&
           (shared->spares[0] != NULL || shared->spares[1] != NULL) && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&shared->keep, &shared->lock, &until);
    bool goes_on = !shared->keeper_stopping && !shared->failed;
    pthread_mutex_unlock(&shared->lock);
    return goes_on;
}

static int make_spare(struct journal *journal, size_t spare, struct journal_error *error)
{
    struct storage_file *file = NULL;
    int result = segment_create(journal->directory, journal_spare_name(spare),
                                journal->options.segment_bytes, rest, journal, &file);
    if (result == -ECANCELED)
        return 0;
    if (result != 0)
        return journal_error_storage(error, result, "making %s", journal_spare_name(spare));
    pthread_mutex_lock(&journal->shared->lock);
    journal->shared->spares[spare] = file;
    pthread_mutex_unlock(&journal->shared->lock);
    return 0;
}

static int make_reserve(struct journal *journal, struct journal_error *error)
{
    pthread_mutex_lock(&journal->shared->lock);
    uint64_t wanted = reserve_wanted(journal);
    journal->shared->reserve_bytes = 0;
    pthread_mutex_unlock(&journal->shared->lock);
    struct storage_file *file = NULL;
    int result = storage_create(journal->directory, RECOVERY_RESERVE, wanted, &file);
    storage_close(file);
    if (result != 0)
        return journal_error_storage(error, result, "making " RECOVERY_RESERVE);
    pthread_mutex_lock(&journal->shared->lock);
    journal->shared->reserve_bytes = wanted;
    pthread_mutex_unlock(&journal->shared->lock);
    return 0;
}

static void set_writable(struct journal *journal, bool writable)
{
    journal->shared->writable = writable;
    pthread_cond_signal(&journal->shared->work);
}

static void wait_a_while(struct journal *journal)
{
    struct journal_shared *shared = journal->shared;
    struct timespec until;
    int result = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETRY_SECONDS;
    while (!shared->keeper_stopping && !shared->failed && !shared->hurry && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&shared->keep, &shared->lock, &until);
    shared->hurry = false;
}

void *journal_keeper_main(void *argument)
{
    struct journal *journal = argument;
    struct journal_shared *shared = journal->shared;
    struct journal_error error;
    pthread_mutex_lock(&journal->shared->lock);
    while (!shared->keeper_stopping && !shared->failed) {
        int task = next_task(journal);
        if (task < 0) {
            if (!shared->reserve_spent && !shared->writable)
                set_writable(journal, true);
            pthread_cond_wait(&journal->shared->keep, &journal->shared->lock);
            continue;
        }
        pthread_mutex_unlock(&journal->shared->lock);
        int result = task == JOURNAL_SPARES ? make_reserve(journal, &error)
                                            : make_spare(journal, (size_t)task, &error);
        if (result != 0 && result != JOURNAL_NO_SPACE)
            journal_set_failed(journal, &error);
        pthread_mutex_lock(&journal->shared->lock);
        if (result == 0)
            pthread_cond_signal(&journal->shared->work);
        if (result != JOURNAL_NO_SPACE)
            continue;
        set_writable(journal, false);
        wait_a_while(journal);
    }
    pthread_mutex_unlock(&journal->shared->lock);
    return NULL;
}

bool journal_spend_reserve(struct journal *journal)
{
    struct journal_shared *shared = journal->shared;
    pthread_mutex_lock(&journal->shared->lock);
    bool present = shared->reserve_bytes > 0;
    shared->reserve_bytes = 0;
    shared->reserve_spent = shared->reserve_spent || present;
    if (present)
        set_writable(journal, false);
    pthread_mutex_unlock(&journal->shared->lock);
    return present && storage_remove(journal->directory, RECOVERY_RESERVE) == 0;
}
