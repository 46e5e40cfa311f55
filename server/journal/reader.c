/* Readers of committed entries: from segment to segment, checking that each continues the one
 * before. */
#include <inttypes.h>
#include <stdlib.h>

#include "server/check.h"
#include "server/journal/error.h"
#include "server/journal/journal_state.h"

struct journal_reader {
    const struct journal *journal;
    struct segment_cursor cursor;
    uint64_t next; /* the first entry that the caller has not seen */
};

/* The newest segment whose first entry is not behind `index`; 0 = there is none. */
static uint64_t segment_of(const struct journal *journal, uint64_t index)
{
    struct journal_shared *shared = journal->shared;
    uint64_t first = 0;
    pthread_mutex_lock(&shared->lock);
    for (size_t i = shared->segment_count; i-- > 0 && first == 0;)
        if (shared->segments[i].first <= index)
            first = shared->segments[i].first;
    pthread_mutex_unlock(&shared->lock);
    return first;
}

int journal_reader_open(const struct journal *journal, uint64_t first,
                        struct journal_reader **reader, struct journal_error *error)
{
    CHECK(first >= 1);
    uint64_t segment = segment_of(journal, first);
    if (segment == 0)
        return journal_error_set(error, JOURNAL_TOO_OLD,
                                 "entry %" PRIu64 " is older than all segments in %s", first,
                                 journal->options.directory);
    struct journal_reader *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return journal_error_set(error, JOURNAL_IO, "no memory to read the journal");
    opened->journal = journal;
    opened->next = first;
    int result = segment_cursor_open(&opened->cursor, journal->directory, segment, error);
    if (result != 0) {
        free(opened);
        return result;
    }
    *reader = opened;
    return 0;
}

void journal_reader_close(struct journal_reader *reader)
{
    if (reader == NULL)
        return;
    segment_cursor_close(&reader->cursor);
    free(reader);
}

static int missing(const struct journal_reader *reader, struct journal_error *error)
{
    const struct segment_cursor *cursor = &reader->cursor;
    return journal_error_set(error, JOURNAL_DATA_LOSS,
                             "%s: entry %" PRIu64 " at byte %" PRIu64
                             " is missing; " SEGMENT_WAY_OUT,
                             cursor->name.text, cursor->index, cursor->offset);
}

/* At the end of one segment, with more to come: either the next one begins here, or this one,
 * perhaps with a torn end, was replaced by its copy when the journal started, and the copy goes on.
 */
static int next_segment(struct journal_reader *reader, bool reopened, struct journal_error *error)
{
    struct segment_cursor *cursor = &reader->cursor;
    struct segment_cursor next;
    uint64_t first = segment_of(reader->journal, cursor->index);
    bool same = first == cursor->header.first;
    if (first == 0 || first < cursor->header.first || (same && reopened))
        return missing(reader, error);
    if (!same) {
        int tail = segment_cursor_tail(cursor, error);
        if (tail != 0)
            return tail > 0 ? missing(reader, error) : tail;
    }
    int result = segment_cursor_open(&next, reader->journal->directory, first, error);
    if (result != 0)
        return result;
    bool follows = next.index == cursor->index && next.previous == cursor->previous;
    if (same) {
        next.offset = cursor->offset;
        next.index = cursor->index;
        next.previous = cursor->previous;
    } else if (!follows) {
        segment_cursor_close(&next);
        return missing(reader, error);
    }
    segment_cursor_close(cursor);
    *cursor = next;
    return 0;
}

static int next_entry(struct journal_reader *reader, struct journal_error *error)
{
    bool reopened = false;
    for (;;) {
        int result = segment_cursor_next(&reader->cursor, error);
        if (result != SEGMENT_END && result != SEGMENT_TORN)
            return result;
        uint64_t segment = reader->cursor.header.first;
        result = next_segment(reader, reopened, error);
        if (result != 0)
            return result;
        reopened = segment == reader->cursor.header.first;
    }
}

int journal_reader_next(struct journal_reader *reader, uint64_t last, struct journal_entry *entry,
                        struct journal_error *error)
{
    const struct segment_cursor *cursor = &reader->cursor;
    CHECK(last <= journal_durable_index(reader->journal));
    if (reader->next > last)
        return 0;
    do {
        int result = next_entry(reader, error);
        if (result < 0)
            return result;
    } while (cursor->entry.index < reader->next);
    reader->next++;
    *entry = (struct journal_entry){.index = cursor->entry.index,
                                    .body = cursor->body,
                                    .length = cursor->entry.length,
                                    .checksum = cursor->entry.checksum};
    return 1;
}
