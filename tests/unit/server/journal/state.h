/* A snapshot's bytes that can be told from the index, and a whole start as the engine makes it. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_JOURNAL_STATE_H
#define ACTIVITYD_TESTS_UNIT_SERVER_JOURNAL_STATE_H

#include "tests/unit/server/journal/fixture.h"

enum { STATE_PIECE = 10007 };

/* Byte ranges are written in odd pieces, so that they do not end where the file's own pieces do. */
static inline void state_fill(uint64_t index, size_t offset, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(fixture_mix(index + (offset + i) / 8) >> (offset + i) % 8 * 8);
}

/* Fills the head of a snapshot after entry `index`. Returns 0 or a code. */
static inline int state_head(const struct journal *journal, uint64_t index,
                             struct journal_snapshot_head *head, struct journal_error *error)
{
    struct journal_reader *reader = NULL;
    struct journal_entry entry;
    int result = journal_reader_open(journal, index, &reader, error);
    if (result == 0)
        result = journal_reader_next(reader, index, &entry, error);
    if (result == 1)
        *head = (struct journal_snapshot_head){
            .index = index, .entry_checksum = entry.checksum, .digest = fixture_mix(index)};
    journal_reader_close(reader);
    return result < 0 ? result : 0;
}

/* Writes a snapshot of `size` bytes after entry `index`. Returns what the journal returns. */
static inline int state_write(struct journal *journal, uint64_t index, size_t size,
                              struct journal_error *error)
{
    static uint8_t piece[STATE_PIECE];
    struct journal_snapshot_writer *writer = NULL;
    struct journal_snapshot_head head;
    int result = state_head(journal, index, &head, error);
    if (result == 0)
        result = journal_snapshot_begin(journal, head, &writer, error);
    if (result != 0)
        return result;
    for (size_t offset = 0; offset < size; offset += STATE_PIECE) {
        size_t length = size - offset < STATE_PIECE ? size - offset : STATE_PIECE;
        state_fill(index, offset, piece, length);
        result = journal_snapshot_write(writer, piece, length, error);
        if (result != 0) {
            journal_snapshot_abort(writer);
            return result;
        }
    }
    return journal_snapshot_commit(writer, error);
}

/* Reads the snapshot to start from and asserts that each byte is right. Returns 1, 0 (none) or a
 * code. */
static inline int state_read(const struct journal *journal, size_t size, uint64_t *index,
                             uint32_t *skipped, struct journal_error *error)
{
    static uint8_t piece[STATE_PIECE];
    static uint8_t expected[STATE_PIECE];
    struct journal_snapshot_reader *reader = NULL;
    struct journal_snapshot_head head = {0};
    int result = journal_snapshot_open(journal, &reader, &head, skipped, error);
    *index = 0;
    if (result != 1)
        return result;
    assert_int_equal(head.digest, fixture_mix(head.index));
    for (size_t offset = 0; result == 1 && offset < size; offset += STATE_PIECE) {
        size_t length = size - offset < STATE_PIECE ? size - offset : STATE_PIECE;
        if (journal_snapshot_read(reader, piece, length, error) != 0)
            result = error->code;
        state_fill(head.index, offset, expected, length);
        if (result == 1)
            assert_memory_equal(piece, expected, length);
    }
    if (result == 1)
        assert_int_equal(journal_snapshot_read(reader, piece, 1, error), JOURNAL_DATA_LOSS);
    journal_snapshot_close(reader);
    *index = head.index;
    return result;
}

/* A start: snapshot, then everything behind it. Returns the last entry or a code; never accepts a
 * wrong byte. */
static inline int64_t state_start(const struct journal *journal, size_t size, uint32_t most,
                                  uint32_t *skipped, struct journal_error *error)
{
    uint64_t index = 0;
    int result = state_read(journal, size, &index, skipped, error);
    return result < 0 ? result : fixture_replay(journal, index + 1, most, error);
}

#endif
