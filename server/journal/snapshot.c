/* Snapshots of the journal: writing one, choosing the one to start from, and removing what they
 * make superfluous. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/journal/error.h"
#include "server/journal/journal_state.h"
#include "server/journal/snapshot_file.h"

struct journal_snapshot_writer {
    struct journal *journal;
    struct journal_snapshot_head head;
    struct snapshot_output output;
};

struct journal_snapshot_reader {
    struct snapshot_input input;
};

/* --- Choosing --------------------------------------------------------------------------------- */

static uint64_t first_kept(const struct journal *journal)
{
    pthread_mutex_lock(&journal->shared->lock);
    uint64_t first = journal->shared->segments[0].first;
    pthread_mutex_unlock(&journal->shared->lock);
    return first;
}

static bool begins_segment(const struct journal *journal, uint64_t index)
{
    struct journal_shared *shared = journal->shared;
    bool begins = false;
    pthread_mutex_lock(&shared->lock);
    for (size_t i = 0; i < shared->segment_count; i++)
        begins = begins || shared->segments[i].first == index;
    pthread_mutex_unlock(&shared->lock);
    return begins;
}

/* The checksum of an entry, by the segment that follows it, or by the entry itself. */
static int entry_checksum(const struct journal *journal, uint64_t index, uint32_t *checksum,
                          struct journal_error *error)
{
    if (begins_segment(journal, index + 1)) {
        struct segment_cursor cursor;
        int result = segment_cursor_open(&cursor, journal->directory, index + 1, error);
        if (result != 0)
            return result;
        *checksum = cursor.header.previous;
        segment_cursor_close(&cursor);
        return 0;
    }
    struct journal_reader *reader = NULL;
    struct journal_entry entry;
    int result = journal_reader_open(journal, index, &reader, error);
    if (result != 0)
        return result;
    result = journal_reader_next(reader, index, &entry, error);
    if (result == 1)
        *checksum = entry.checksum;
    journal_reader_close(reader);
    return result < 0 ? result : 0;
}

/* Returns 1 when a start can go on from this snapshot, 0 when it cannot be used, negative when
 * nothing can help. */
static int is_usable(const struct journal *journal, uint64_t index, struct snapshot_input *input,
                     struct journal_error *error)
{
    uint32_t checksum = 0;
    struct segment_name name = snapshot_name(index);
    int result = snapshot_input_check(input, journal->directory, name.text, error);
    if (result == JOURNAL_DATA_LOSS || result == JOURNAL_IO)
        return 0;
    if (result != 0)
        return result;
    if (input->head.index != index || index + 1 < first_kept(journal))
        return 0;
    if (index > journal_durable_index(journal))
        return journal_error_set(
            error, JOURNAL_DATA_LOSS,
            "%s holds entries that are missing in the journal, which ends with entry %" PRIu64
            "; " SEGMENT_WAY_OUT,
            name.text, journal_durable_index(journal));
    result = entry_checksum(journal, index, &checksum, error);
    if (result != 0)
        return result;
    return checksum == input->head.entry_checksum;
}

/* Finds the newest usable snapshot; *index is 0 when there is none and none is needed. */
static int choose(const struct journal *journal, uint64_t *index, uint32_t *skipped,
                  struct journal_error *error)
{
    struct recovery_listing listing;
    struct snapshot_input input = {0};
    *index = 0;
    *skipped = 0;
    int result = recovery_list(journal->directory, &listing, error);
    for (size_t i = listing.snapshots.count; result == 0 && i-- > 0;) {
        result = is_usable(journal, listing.snapshots.items[i], &input, error);
        if (result == 1)
            *index = listing.snapshots.items[i];
        if (result == 0)
            ++*skipped;
    }
    recovery_listing_free(&listing);
    if (result < 0)
        return result;
    if (*index == 0 && first_kept(journal) > 1)
        return journal_error_set(error, JOURNAL_DATA_LOSS,
                                 "no snapshot in %s can be used (%" PRIu32
                                 " are damaged), and the entries before entry %" PRIu64
                                 " are gone; " SEGMENT_WAY_OUT,
                                 journal->options.directory, *skipped, first_kept(journal));
    pthread_mutex_lock(&journal->shared->lock);
    journal->shared->snapshot_chosen = true;
    journal->shared->snapshot_index = *index;
    journal->shared->snapshot_bytes = *index == 0 ? 0 : input.size;
    pthread_mutex_unlock(&journal->shared->lock);
    return 0;
}

/* --- Reading ---------------------------------------------------------------------------------- */

int journal_snapshot_open(const struct journal *journal, struct journal_snapshot_reader **reader,
                          struct journal_snapshot_head *head, uint32_t *skipped,
                          struct journal_error *error)
{
    uint64_t index;
    int result = choose(journal, &index, skipped, error);
    if (result != 0 || index == 0)
        return result;
    struct journal_snapshot_reader *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return journal_error_set(error, JOURNAL_IO, "no memory to read a snapshot");
    result =
        snapshot_input_open(&opened->input, journal->directory, snapshot_name(index).text, error);
    if (result != 0) {
        free(opened);
        return result;
    }
    *head = opened->input.head;
    *reader = opened;
    return 1;
}

int journal_snapshot_read(struct journal_snapshot_reader *reader, void *bytes, size_t length,
                          struct journal_error *error)
{
    struct snapshot_input *input = &reader->input;
    uint8_t *at = bytes;
    while (length > 0) {
        if (input->length == 0) {
            int result = snapshot_input_next(input, error);
            if (result < 0)
                return result;
            if (result == 0)
                return journal_error_set(error, JOURNAL_DATA_LOSS,
                                         "%s holds less than was asked of it", input->name.text);
        }
        size_t take = length < input->length ? length : input->length;
        memcpy(at, input->piece, take);
        at += take;
        length -= take;
        input->piece += take;
        input->length -= take;
    }
    return 0;
}

void journal_snapshot_close(struct journal_snapshot_reader *reader)
{
    if (reader == NULL)
        return;
    snapshot_input_close(&reader->input);
    free(reader);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static int refuse_when_failed(struct journal *journal, struct journal_error *error)
{
    pthread_mutex_lock(&journal->shared->lock);
    bool failed = journal->shared->failed;
    if (failed)
        *error = journal->shared->failure;
    pthread_mutex_unlock(&journal->shared->lock);
    return failed ? JOURNAL_IO : 0;
}

/* Runs a step of the output; when the disk is full, once more with the reserve's room. */
static int run(struct journal_snapshot_writer *writer, int (*step)(struct snapshot_output *),
               struct journal_error *error)
{
    int result = refuse_when_failed(writer->journal, error);
    if (result != 0)
        return result;
    result = step(&writer->output);
    if (result == 0)
        return 0;
    if (journal_error_storage(error, result, "writing a snapshot") != JOURNAL_NO_SPACE ||
        !journal_spend_reserve(writer->journal))
        return error->code;
    result = step(&writer->output);
    return result == 0 ? 0 : journal_error_storage(error, result, "writing a snapshot");
}

/* Ends a writer, whatever became of its file. */
static void end(struct journal_snapshot_writer *writer)
{
    struct journal_shared *shared = writer->journal->shared;
    snapshot_output_close(&writer->output);
    pthread_mutex_lock(&shared->lock);
    shared->snapshot_writing = false;
    shared->reserve_spent = false;
    shared->hurry = true;
    pthread_cond_signal(&shared->keep);
    pthread_mutex_unlock(&shared->lock);
    free(writer);
}

int journal_snapshot_begin(struct journal *journal, struct journal_snapshot_head head,
                           struct journal_snapshot_writer **writer, struct journal_error *error)
{
    struct journal_shared *shared = journal->shared;
    uint64_t index;
    uint32_t skipped;
    CHECK(journal->started && head.index >= 1 && head.index <= journal_durable_index(journal));
    pthread_mutex_lock(&shared->lock);
    CHECK(!shared->snapshot_writing && head.index >= shared->snapshot_index);
    bool chosen = shared->snapshot_chosen;
    pthread_mutex_unlock(&shared->lock);
    /* What is trimmed later hangs on which older snapshot is good. */
    int result = chosen ? 0 : choose(journal, &index, &skipped, error);
    if (result != 0)
        return result;
    struct journal_snapshot_writer *begun = calloc(1, sizeof *begun);
    if (begun == NULL)
        return journal_error_set(error, JOURNAL_IO, "no memory to write a snapshot");
    begun->journal = journal;
    begun->head = head;
    pthread_mutex_lock(&shared->lock);
    shared->snapshot_writing = true;
    pthread_mutex_unlock(&shared->lock);
    result = snapshot_output_open(&begun->output, journal->directory, head);
    if (result != 0 &&
        journal_error_storage(error, result, "making a snapshot") == JOURNAL_NO_SPACE &&
        journal_spend_reserve(journal))
        result = snapshot_output_open(&begun->output, journal->directory, head);
    if (result != 0) {
        result = journal_error_storage(error, result, "making a snapshot");
        journal_snapshot_abort(begun);
        return result;
    }
    *writer = begun;
    return 0;
}

int journal_snapshot_write(struct journal_snapshot_writer *writer, const void *bytes, size_t length,
                           struct journal_error *error)
{
    const uint8_t *at = bytes;
    for (;;) {
        size_t taken = snapshot_output_fill(&writer->output, at, length);
        if (taken == length)
            return 0;
        int result = run(writer, snapshot_output_put, error);
        if (result != 0)
            return result;
        at += taken;
        length -= taken;
    }
}

void journal_snapshot_abort(struct journal_snapshot_writer *writer)
{
    if (writer == NULL)
        return;
    /* What cannot be removed now is removed at the next start. */
    (void)!storage_remove(writer->journal->directory, RECOVERY_SNAPSHOT_TEMPORARY);
    end(writer);
}

/* --- Keeping two ------------------------------------------------------------------------------ */

static int remove_named(struct journal *journal, struct segment_name name,
                        struct journal_error *error)
{
    int result = storage_remove(journal->directory, name.text);
    return result == 0 ? 0 : journal_error_storage(error, result, "removing %s", name.text);
}

/* Removes all snapshots but these two. */
static int remove_snapshots(struct journal *journal, uint64_t newest, uint64_t older,
                            size_t *removed, struct journal_error *error)
{
    struct recovery_listing listing;
    int result = recovery_list(journal->directory, &listing, error);
    for (size_t i = 0; result == 0 && i < listing.snapshots.count; i++) {
        uint64_t index = listing.snapshots.items[i];
        if (index == newest || index == older)
            continue;
        result = remove_named(journal, snapshot_name(index), error);
        ++*removed;
    }
    recovery_listing_free(&listing);
    return result;
}

/* Takes the oldest segment out of the list if all its entries are at or below `index`; 0 = it is
 * needed. */
static uint64_t take_superfluous(struct journal *journal, uint64_t index)
{
    struct journal_shared *shared = journal->shared;
    uint64_t first = 0;
    pthread_mutex_lock(&shared->lock);
    if (shared->segment_count > 1 && shared->segments[1].first <= index + 1) {
        first = shared->segments[0].first;
        shared->segment_count--;
        memmove(shared->segments, shared->segments + 1,
                shared->segment_count * sizeof *shared->segments);
    }
    pthread_mutex_unlock(&shared->lock);
    return first;
}

static int remove_segments(struct journal *journal, uint64_t index, size_t *removed,
                           struct journal_error *error)
{
    for (uint64_t first; (first = take_superfluous(journal, index)) != 0; ++*removed) {
        int result = remove_named(journal, segment_name(first), error);
        if (result != 0)
            return result;
    }
    return 0;
}

/* Keeps the two newest snapshots and the segments after the older one. On a full disk on which that
 * frees nothing, the older one and its segments go as well: the newest has just been read back from
 * the disk, and without room there is no service. */
static int trim(struct journal *journal, uint64_t newest, uint64_t older,
                struct journal_error *error)
{
    size_t removed = 0;
    int result = remove_snapshots(journal, newest, older, &removed, error);
    if (result == 0 && older != 0)
        result = remove_segments(journal, older, &removed, error);
    pthread_mutex_lock(&journal->shared->lock);
    bool writable = journal->shared->writable;
    pthread_mutex_unlock(&journal->shared->lock);
    if (result == 0 && removed == 0 && !writable) {
        result = remove_snapshots(journal, newest, newest, &removed, error);
        if (result == 0)
            result = remove_segments(journal, newest, &removed, error);
    }
    if (result == 0 && storage_directory_sync(journal->directory) != 0)
        result =
            journal_error_set(error, JOURNAL_IO, "syncing %s failed", journal->options.directory);
    return result;
}

/* Makes the file durable, reads it back from the disk and gives it its name. */
static int publish(struct journal_snapshot_writer *writer, struct journal_error *error)
{
    struct storage_directory *directory = writer->journal->directory;
    struct segment_name name = snapshot_name(writer->head.index);
    struct snapshot_input input;
    const struct snapshot_seal *written = &writer->output.seal;
    int result = snapshot_output_sync(&writer->output);
    if (result != 0)
        return journal_error_storage(error, result, "syncing %s", name.text);
    result = snapshot_input_check(&input, directory, RECOVERY_SNAPSHOT_TEMPORARY, error);
    if (result == JOURNAL_DATA_LOSS)
        error->code = JOURNAL_IO; /* nothing is lost: the disk does not keep what it is given */
    if (result != 0)
        return error->code;
    if (input.seal.checksum != written->checksum || input.seal.bytes != written->bytes)
        return journal_error_set(error, JOURNAL_IO,
                                 "%s reads back differently from what was written", name.text);
    result = storage_rename(directory, RECOVERY_SNAPSHOT_TEMPORARY, name.text);
    if (result == 0)
        result = storage_directory_sync(directory);
    if (result != 0)
        return journal_error_storage(error, result, "making %s", name.text);
    struct journal_shared *shared = writer->journal->shared;
    pthread_mutex_lock(&shared->lock);
    shared->snapshot_index = writer->head.index;
    shared->snapshot_bytes = input.size;
    pthread_mutex_unlock(&shared->lock);
    return 0;
}

int journal_snapshot_commit(struct journal_snapshot_writer *writer, struct journal_error *error)
{
    struct journal *journal = writer->journal;
    uint64_t newest = writer->head.index;
    pthread_mutex_lock(&journal->shared->lock);
    uint64_t older = journal->shared->snapshot_index;
    pthread_mutex_unlock(&journal->shared->lock);
    int result = writer->output.filled > 0 ? run(writer, snapshot_output_put, error) : 0;
    if (result == 0)
        result = run(writer, snapshot_output_finish, error);
    if (result == 0)
        result = publish(writer, error);
    if (result != 0) {
        journal_snapshot_abort(writer);
        return result;
    }
    /* One that only takes the place of another of the same index frees nothing. */
    if (older != newest)
        result = trim(journal, newest, older, error);
    end(writer);
    return result;
}
