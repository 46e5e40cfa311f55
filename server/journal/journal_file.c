/* The embedded journal: opening, starting, and the committer, the thread that appends and syncs.
 *
 * The committer takes what is queued, writes it with one pwrite, syncs once, and only then tells.
 * It alone calls the user's functions. A failed sync ends all writing: what reached the disk is not
 * known, and the page cache would answer a second sync with success. */
#include "server/journal/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/check.h"
#include "server/journal/error.h"
#include "server/journal/journal_state.h"

enum { COPY_PIECE = 1 << 20, SIZE_UNIT = 4096 };

struct group {
    struct journal_proposal proposals[JOURNAL_PROPOSALS_MAX];
    struct entry_header headers[JOURNAL_PROPOSALS_MAX];
    size_t count;
    size_t bytes;
};

/* --- Opening ---------------------------------------------------------------------------------- */

static struct journal_shared *shared_new(void)
{
    struct journal_shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&shared->lock, NULL);
    pthread_cond_init(&shared->work, NULL);
    pthread_cond_init(&shared->keep, &monotonic);
    pthread_condattr_destroy(&monotonic);
    shared->writable = true;
    return shared;
}

static void shared_free(struct journal_shared *shared)
{
    if (shared == NULL)
        return;
    for (size_t i = 0; i < JOURNAL_SPARES; i++)
        storage_close(shared->spares[i]);
    pthread_cond_destroy(&shared->keep);
    pthread_cond_destroy(&shared->work);
    pthread_mutex_destroy(&shared->lock);
    free(shared->segments);
    free(shared);
}

int journal_segment_add(struct journal_shared *shared, uint64_t first, uint64_t bytes,
                        struct journal_error *error)
{
    if (shared->segment_count == shared->segment_capacity) {
        size_t capacity = shared->segment_capacity == 0 ? 16 : shared->segment_capacity * 2;
        struct journal_segment *segments = realloc(shared->segments, capacity * sizeof *segments);
        if (segments == NULL)
            return journal_error_set(error, JOURNAL_IO, "no memory for the list of segments");
        shared->segments = segments;
        shared->segment_capacity = capacity;
    }
    shared->segments[shared->segment_count++] =
        (struct journal_segment){.first = first, .bytes = bytes};
    return 0;
}

static int open_directory(struct journal *journal, struct journal_error *error)
{
    const char *path = journal->options.directory;
    int result = storage_directory_open(path, !journal->options.read_only, &journal->directory);
    if (result != 0) {
        journal->directory = NULL;
        return journal_error_storage(error, result, "opening the journal's directory %s", path);
    }
    if (!journal->options.read_only && storage_lock(journal->directory) != 0)
        return journal_error_set(error, JOURNAL_LOCKED,
                                 "the journal in %s is in use by another process", path);
    return 0;
}

/* The first segment of a new history. */
static int make_first(struct journal *journal, struct journal_error *error)
{
    struct storage_file *file = NULL;
    journal->header = (struct segment_header){.first = 1, .size = journal->options.segment_bytes};
    int result = storage_random(&journal->header.epoch, sizeof journal->header.epoch);
    if (result == 0)
        result = segment_create(journal->directory, RECOVERY_TEMPORARY, journal->header.size, NULL,
                                NULL, &file);
    if (result != 0)
        return journal_error_storage(error, result, "making the first segment in %s",
                                     journal->options.directory);
    journal->active = file;
    journal->offset = SEGMENT_DATA;
    journal->fresh = true;
    result = segment_publish(journal->directory, file, RECOVERY_TEMPORARY, &journal->header, error);
    return result == 0 ? journal_segment_add(journal->shared, 1, 0, error) : result;
}

/* All but the last segment count as full: only their sizes are looked at, whoever needs the entries
 * checks them. */
static int add_full_segment(struct journal *journal, uint64_t first, struct journal_error *error)
{
    struct storage_file *file = NULL;
    uint64_t size = 0;
    int result = storage_open(journal->directory, segment_name(first).text, &file);
    if (result == 0) {
        result = storage_size(file, &size);
        storage_close(file);
    }
    if (result != 0)
        return journal_error_storage(error, result, "opening %s", segment_name(first).text);
    return journal_segment_add(journal->shared, first,
                               size > SEGMENT_DATA ? size - SEGMENT_DATA : 0, error);
}

static int read_segments(struct journal *journal, const struct recovery_numbers *segments,
                         struct journal_error *error)
{
    struct recovery_end end;
    int result = 0;
    for (size_t i = 0; result == 0 && i + 1 < segments->count; i++)
        result = add_full_segment(journal, segments->items[i], error);
    if (result == 0)
        result = recovery_find_end(journal->directory, segments->items[segments->count - 1], &end,
                                   error);
    if (result == 0)
        result = journal_segment_add(journal->shared, end.header.first, end.offset - SEGMENT_DATA,
                                     error);
    if (result != 0)
        return result;
    journal->header = end.header;
    journal->offset = end.offset;
    journal->previous = end.checksum;
    atomic_store_explicit(&journal->durable, end.index, memory_order_release);
    return 0;
}

static int read_directory(struct journal *journal, struct journal_error *error)
{
    struct recovery_listing listing;
    const char *path = journal->options.directory;
    int result = recovery_list(journal->directory, &listing, error);
    if (result == 0 && listing.repairing)
        result = journal_error_set(
            error, JOURNAL_DATA_LOSS,
            "a repair of %s was interrupted: run `activityd journal repair` again", path);
    else if (result == 0 && listing.segments.count > 0)
        result = read_segments(journal, &listing.segments, error);
    else if (result == 0 && listing.snapshots.count > 0)
        result = journal_error_set(error, JOURNAL_DATA_LOSS,
                                   "%s has snapshots but no segment; " SEGMENT_WAY_OUT, path);
    else if (result == 0 && journal->options.read_only)
        result = journal_error_set(error, JOURNAL_IO, "there is no journal in %s", path);
    else if (result == 0)
        result = make_first(journal, error);
    recovery_listing_free(&listing);
    return result;
}

static int open_all(struct journal *journal, struct journal_error *error)
{
    int result = open_directory(journal, error);
    if (result == 0)
        result = read_directory(journal, error);
    if (result == 0 && journal->options.read_only)
        result = mark_read(journal->directory, &journal->found, error);
    else if (result == 0)
        result = mark_open(&journal->mark, journal->directory, &journal->found, error);
    journal->epoch = journal->header.epoch;
    return result;
}

int journal_open(const struct journal_options *options, struct journal **journal,
                 struct journal_error *error)
{
    CHECK(options->segment_bytes >= JOURNAL_SEGMENT_MIN &&
          options->segment_bytes <= SEGMENT_SIZE_MAX);
    CHECK(options->segment_bytes % SIZE_UNIT == 0);
    struct journal *opened = calloc(1, sizeof *opened);
    int result = 0;
    if (opened != NULL) {
        opened->options = *options;
        opened->options.directory = strdup(options->directory);
        opened->shared = shared_new();
    }
    if (opened == NULL || opened->options.directory == NULL || opened->shared == NULL)
        result = journal_error_set(error, JOURNAL_IO, "no memory to open the journal");
    if (result == 0)
        result = open_all(opened, error);
    if (result != 0) {
        journal_close(opened);
        return result;
    }
    *journal = opened;
    return 0;
}

/* --- The committer ---------------------------------------------------------------------------- */

void journal_set_failed(struct journal *journal, const struct journal_error *error)
{
    struct journal_shared *shared = journal->shared;
    pthread_mutex_lock(&shared->lock);
    if (!shared->failed) {
        shared->failed = true;
        shared->failure = *error;
    }
    pthread_cond_signal(&shared->work);
    pthread_cond_signal(&shared->keep);
    pthread_mutex_unlock(&shared->lock);
}

static uint64_t room(const struct journal *journal)
{
    return journal->header.size - journal->offset;
}

/* Goes on in a new segment, made of the given spare. */
static int roll(struct journal *journal, size_t spare, struct storage_file *file,
                struct journal_error *error)
{
    uint64_t first = atomic_load_explicit(&journal->durable, memory_order_relaxed) + 1;
    struct segment_header header = {.epoch = journal->epoch,
                                    .first = first,
                                    .size = journal->options.segment_bytes,
                                    .previous = journal->previous};
    storage_close(journal->active);
    journal->active = file;
    journal->header = header;
    journal->offset = SEGMENT_DATA;
    int result =
        segment_publish(journal->directory, file, journal_spare_name(spare), &header, error);
    struct journal_shared *shared = journal->shared;
    pthread_mutex_lock(&shared->lock);
    if (result == 0)
        result = journal_segment_add(shared, first, 0, error);
    /* Only now: the keeper makes the next spare under the name that this one has left. */
    shared->spares[spare] = NULL;
    pthread_cond_signal(&shared->keep);
    pthread_mutex_unlock(&shared->lock);
    return result;
}

/* Copies from the queue what one write takes: at least one entry, which has room in the segment.
 * Under the lock. */
static void form_group(struct journal *journal, struct group *group)
{
    const struct journal_shared *shared = journal->shared;
    uint64_t limit = room(journal) < SEGMENT_GROUP_BYTES ? room(journal) : SEGMENT_GROUP_BYTES;
    group->count = 0;
    group->bytes = 0;
    while (group->count < shared->count) {
        const struct journal_proposal *next =
            &shared->queue[(shared->head + group->count) % JOURNAL_PROPOSALS_MAX];
        if (group->bytes + entry_bytes(next->length) > limit)
            break;
        group->bytes += entry_bytes(next->length);
        group->proposals[group->count++] = *next;
    }
    CHECK(group->count > 0);
}

static int write_group(struct journal *journal, struct group *group, struct journal_error *error)
{
    uint64_t synced = atomic_load_explicit(&journal->durable, memory_order_relaxed);
    uint8_t *at = journal->group;
    for (size_t i = 0; i < group->count; i++) {
        group->headers[i] = (struct entry_header){.index = synced + 1 + i,
                                                  .synced = synced,
                                                  .length = group->proposals[i].length,
                                                  .previous = journal->previous};
        entry_encode(&group->headers[i], group->proposals[i].body, at);
        at += entry_bytes(group->headers[i].length);
        journal->previous = group->headers[i].checksum;
    }
    int result = storage_write(journal->active, journal->offset, journal->group, group->bytes);
    if (result == 0)
        result = storage_sync(journal->active);
    if (result != 0) {
        journal_error_storage(error, result, "%s: writing entry %" PRIu64,
                              segment_name(journal->header.first).text, synced + 1);
        /* The place was allocated: even "no space" is a broken disk here, and never a reason to go
         * on. */
        error->code = JOURNAL_IO;
        return error->code;
    }
    journal->offset += group->bytes;
    return 0;
}

static void tell_committed(struct journal *journal, const struct group *group)
{
    struct journal_shared *shared = journal->shared;
    atomic_store_explicit(&journal->durable, group->headers[group->count - 1].index,
                          memory_order_release);
    pthread_mutex_lock(&shared->lock);
    shared->head = (shared->head + group->count) % JOURNAL_PROPOSALS_MAX;
    shared->count -= group->count;
    shared->segments[shared->segment_count - 1].bytes += group->bytes;
    shared->syncs++;
    pthread_mutex_unlock(&shared->lock);
    for (size_t i = 0; i < group->count; i++) {
        struct journal_entry entry = {.index = group->headers[i].index,
                                      .body = group->proposals[i].body,
                                      .length = group->proposals[i].length,
                                      .checksum = group->headers[i].checksum};
        journal->events.committed(journal->events.context, group->proposals[i].token, &entry);
    }
}

enum task { TASK_WAIT, TASK_END, TASK_FAILED, TASK_WRITABLE, TASK_ROLL, TASK_COMMIT };

/* What the committer does next, by the state under the lock. */
static enum task next_task(const struct journal *journal, bool told_writable, size_t *spare)
{
    const struct journal_shared *shared = journal->shared;
    if (shared->failed)
        return TASK_FAILED;
    if (shared->writable != told_writable)
        return TASK_WRITABLE;
    if (shared->count == 0)
        return shared->stopping ? TASK_END : TASK_WAIT;
    if (entry_bytes(shared->queue[shared->head].length) <= room(journal))
        return TASK_COMMIT;
    for (*spare = 0; *spare < JOURNAL_SPARES; ++*spare)
        if (shared->spares[*spare] != NULL)
            return TASK_ROLL;
    /* Out of space altogether: commits wait until there is some; but an end does not. */
    return shared->stopping && !shared->writable ? TASK_END : TASK_WAIT;
}

static void *committer_main(void *argument)
{
    struct journal *journal = argument;
    struct journal_shared *shared = journal->shared;
    struct journal_error error;
    struct group group;
    bool told_writable = true;
    int result = 0;
    for (;;) {
        size_t spare = 0;
        struct storage_file *file = NULL;
        enum task task;
        pthread_mutex_lock(&shared->lock);
        while ((task = next_task(journal, told_writable, &spare)) == TASK_WAIT)
            pthread_cond_wait(&shared->work, &shared->lock);
        if (task == TASK_WRITABLE)
            told_writable = shared->writable;
        if (task == TASK_COMMIT)
            form_group(journal, &group);
        if (task == TASK_ROLL)
            file = shared->spares[spare];
        if (task == TASK_FAILED)
            error = shared->failure;
        pthread_mutex_unlock(&shared->lock);

        if (task == TASK_END)
            return NULL;
        if (task == TASK_FAILED) {
            journal->events.failed(journal->events.context, &error);
            return NULL;
        }
        if (task == TASK_WRITABLE)
            journal->events.writable(journal->events.context, told_writable);
        if (task == TASK_ROLL)
            result = roll(journal, spare, file, &error);
        if (task == TASK_COMMIT)
            result = write_group(journal, &group, &error);
        if (result != 0)
            journal_set_failed(journal, &error);
        else if (task == TASK_COMMIT)
            tell_committed(journal, &group);
    }
}

int journal_propose(struct journal *journal, uint64_t token, const uint8_t *body, uint32_t length)
{
    struct journal_shared *shared = journal->shared;
    CHECK(journal->started && length >= 1 && length <= JOURNAL_BODY_MAX);
    pthread_mutex_lock(&shared->lock);
    bool taken = shared->count < JOURNAL_PROPOSALS_MAX && !shared->failed;
    if (taken) {
        size_t place = (shared->head + shared->count) % JOURNAL_PROPOSALS_MAX;
        shared->queue[place] =
            (struct journal_proposal){.token = token, .body = body, .length = length};
        shared->count++;
        pthread_cond_signal(&shared->work);
    }
    pthread_mutex_unlock(&shared->lock);
    return taken ? 0 : 1;
}

/* --- Starting and ending ---------------------------------------------------------------------- */

static int remove_leftovers(struct journal *journal, struct journal_error *error)
{
    static const char *const names[] = {RECOVERY_TEMPORARY, RECOVERY_SNAPSHOT_TEMPORARY,
                                        RECOVERY_SPARE_0, RECOVERY_SPARE_1, RECOVERY_RESERVE};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int result = storage_remove(journal->directory, names[i]);
        if (result != 0)
            return journal_error_storage(error, result, "removing %s", names[i]);
    }
    return 0;
}

static int copy_bytes(struct storage_file *from, struct storage_file *to, uint64_t end)
{
    uint8_t *piece = malloc(COPY_PIECE);
    int result = piece == NULL ? -ENOMEM : 0;
    for (uint64_t offset = SEGMENT_DATA; result == 0 && offset < end; offset += COPY_PIECE) {
        size_t length = end - offset < COPY_PIECE ? (size_t)(end - offset) : COPY_PIECE;
        result = storage_read(from, offset, piece, length);
        if (result == 0)
            result = storage_write(to, offset, piece, length);
    }
    free(piece);
    return result;
}

/* Makes the segment that takes the last one's place: its valid part, at the same offsets. */
static int copy_last(struct journal *journal, struct journal_error *error)
{
    struct segment_name name = segment_name(journal->header.first);
    struct segment_header header = journal->header;
    uint64_t used = (journal->offset + SIZE_UNIT - 1) / SIZE_UNIT * SIZE_UNIT;
    struct storage_file *from = NULL;
    header.size = used > journal->options.segment_bytes ? used : journal->options.segment_bytes;
    int result = storage_open(journal->directory, name.text, &from);
    if (result == 0)
        result = segment_create(journal->directory, RECOVERY_TEMPORARY, header.size, NULL, NULL,
                                &journal->active);
    if (result == 0)
        result = copy_bytes(from, journal->active, journal->offset);
    storage_close(from);
    if (result != 0)
        return journal_error_storage(error, result, "copying %s", name.text);
    journal->header = header;
    return segment_publish(journal->directory, journal->active, RECOVERY_TEMPORARY, &header, error);
}

/* The copy is read again: what the first reading saw may have been in memory only, and may be gone
 * by now. */
static int check_copy(const struct journal *journal, struct journal_error *error)
{
    struct recovery_end end;
    int result = recovery_find_end(journal->directory, journal->header.first, &end, error);
    if (result != 0)
        return result;
    if (end.index != journal_durable_index(journal) || end.checksum != journal->previous ||
        end.torn)
        return journal_error_set(error, JOURNAL_DATA_LOSS,
                                 "%s has changed while it was copied; " SEGMENT_WAY_OUT,
                                 segment_name(journal->header.first).text);
    return 0;
}

static void stop_keeper(struct journal *journal)
{
    struct journal_shared *shared = journal->shared;
    pthread_mutex_lock(&shared->lock);
    shared->keeper_stopping = true;
    pthread_cond_signal(&shared->keep);
    pthread_mutex_unlock(&shared->lock);
    pthread_join(journal->keeper, NULL);
}

static int start_threads(struct journal *journal, struct journal_error *error)
{
    int result = pthread_create(&journal->keeper, NULL, journal_keeper_main, journal);
    if (result != 0)
        return journal_error_storage(error, -result, "starting the journal's keeper");
    result = pthread_create(&journal->committer, NULL, committer_main, journal);
    if (result == 0) {
        journal->started = true;
        return 0;
    }
    stop_keeper(journal);
    return journal_error_storage(error, -result, "starting the journal's committer");
}

int journal_start(struct journal *journal, const struct journal_events *events,
                  struct journal_error *error)
{
    CHECK(!journal->started && !journal->options.read_only);
    journal->events = *events;
    journal->group = malloc(SEGMENT_GROUP_BYTES);
    if (journal->group == NULL)
        return journal_error_set(error, JOURNAL_IO, "no memory to start the journal");
    int result = remove_leftovers(journal, error);
    if (result == 0 && !journal->fresh) {
        result = copy_last(journal, error);
        if (result == 0)
            result = check_copy(journal, error);
    }
    if (result == 0)
        result = mark_started(&journal->mark, error);
    return result == 0 ? start_threads(journal, error) : result;
}

/* The keeper goes last: the committer may need a spare for what is still queued. */
static void stop_threads(struct journal *journal)
{
    struct journal_shared *shared = journal->shared;
    pthread_mutex_lock(&shared->lock);
    shared->stopping = true;
    pthread_cond_signal(&shared->work);
    pthread_mutex_unlock(&shared->lock);
    pthread_join(journal->committer, NULL);
    stop_keeper(journal);
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    if (journal->started)
        stop_threads(journal);
    mark_close(&journal->mark);
    storage_close(journal->active);
    shared_free(journal->shared);
    storage_directory_close(journal->directory);
    free(journal->group);
    free((char *)journal->options.directory);
    free(journal);
}

/* --- Looking ---------------------------------------------------------------------------------- */

uint64_t journal_epoch(const struct journal *journal)
{
    return journal->epoch;
}

uint64_t journal_durable_index(const struct journal *journal)
{
    return atomic_load_explicit(&journal->durable, memory_order_acquire);
}

uint64_t journal_marked_index(const struct journal *journal)
{
    return journal->found.suspect != 0 ? journal->found.suspect : journal->found.replay;
}

void journal_mark(struct journal *journal, uint64_t index)
{
    mark_set(&journal->mark, index);
}

/* Bytes of the entries behind `index`; within a segment they are taken as equally long. Under the
 * lock. */
static uint64_t bytes_behind(const struct journal_shared *shared, uint64_t index, uint64_t durable)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < shared->segment_count; i++) {
        const struct journal_segment *segment = &shared->segments[i];
        uint64_t next = i + 1 < shared->segment_count ? shared->segments[i + 1].first : durable + 1;
        if (segment->first > index)
            bytes += segment->bytes;
        else if (next > index + 1)
            bytes += (uint64_t)((double)segment->bytes * (double)(next - index - 1) /
                                (double)(next - segment->first));
    }
    return bytes;
}

void journal_status(const struct journal *journal, struct journal_status *status)
{
    struct journal_shared *shared = journal->shared;
    pthread_mutex_lock(&shared->lock);
    uint64_t durable = journal_durable_index(journal);
    *status = (struct journal_status){.durable_index = durable,
                                      .bytes_since_snapshot =
                                          bytes_behind(shared, shared->snapshot_index, durable),
                                      .newest_snapshot_index = shared->snapshot_index,
                                      .newest_snapshot_bytes = shared->snapshot_bytes,
                                      .segment_count = shared->segment_count,
                                      .syncs = shared->syncs,
                                      .writable = shared->writable};
    pthread_mutex_unlock(&shared->lock);
}
