/* A journal in memory, in the place of journal_file.c at link time: what was committed outlives the
 * engine, what was only proposed does not. Commits come when the test says so. One thread. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_ENGINE_FAKE_JOURNAL_H
#define ACTIVITYD_TESTS_UNIT_SERVER_ENGINE_FAKE_JOURNAL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/journal/journal.h"

#define FAKE_ENTRIES_MAX (1u << 17)

struct fake_entry {
    uint8_t *body;
    uint32_t length;
};

struct fake_proposal {
    uint64_t token;
    const uint8_t *body;
    uint32_t length;
};

struct fake_snapshot {
    struct journal_snapshot_head head;
    uint8_t *bytes;
    size_t length;
    size_t room;
};

struct journal {
    uint64_t epoch;
    struct fake_entry entries[FAKE_ENTRIES_MAX]; /* entry i + 1 */
    uint64_t durable;
    struct fake_proposal proposals[JOURNAL_PROPOSALS_MAX];
    size_t proposal_count;
    size_t proposal_most; /* under way at a time, seen */
    bool automatic;       /* a proposal is committed at once */
    struct journal_events events;
    struct fake_snapshot newest; /* bytes == NULL: none */
    uint64_t bytes_since_snapshot;
    uint64_t marked;
    bool mark_expected; /* an entry is being applied */
};

struct journal_reader {
    const struct journal *journal;
    uint64_t next;
};
struct journal_snapshot_reader {
    const struct fake_snapshot *snapshot;
    size_t at;
};
struct journal_snapshot_writer {
    struct journal *journal;
    struct fake_snapshot snapshot;
};

static inline struct journal *fake_journal_new(uint64_t epoch)
{
    struct journal *journal = calloc(1, sizeof *journal);
    CHECK(journal != NULL);
    journal->epoch = epoch;
    journal->automatic = true;
    return journal;
}

static inline void fake_journal_free(struct journal *journal)
{
    for (uint64_t i = 0; i < journal->durable; i++) {
        free(journal->entries[i].body);
    }
    free(journal->newest.bytes);
    free(journal);
}

/* The process died: what was not committed is gone. */
static inline void fake_crash(struct journal *journal)
{
    journal->proposal_count = 0;
}

static inline uint32_t fake_checksum(uint64_t index)
{
    return (uint32_t)(index * 2654435761u);
}

static inline void fake_commit_one(struct journal *journal)
{
    struct fake_proposal proposal = journal->proposals[0];
    journal->proposal_count--;
    memmove(journal->proposals, journal->proposals + 1,
            journal->proposal_count * sizeof journal->proposals[0]);
    CHECK(journal->durable < FAKE_ENTRIES_MAX);
    struct fake_entry *entry = &journal->entries[journal->durable++];
    entry->body = malloc(proposal.length);
    CHECK(entry->body != NULL);
    memcpy(entry->body, proposal.body, proposal.length);
    entry->length = proposal.length;
    journal->bytes_since_snapshot += proposal.length;
    struct journal_entry told = {journal->durable, proposal.body, proposal.length,
                                 fake_checksum(journal->durable)};
    journal->events.committed(journal->events.context, proposal.token, &told);
}

static inline void fake_commit_all(struct journal *journal)
{
    while (journal->proposal_count > 0) {
        fake_commit_one(journal);
    }
}

/* ---- journal.h ---- */

uint64_t journal_epoch(const struct journal *journal)
{
    return journal->epoch;
}

uint64_t journal_durable_index(const struct journal *journal)
{
    return journal->durable;
}

uint64_t journal_marked_index(const struct journal *journal)
{
    return journal->marked;
}

void journal_mark(struct journal *journal, uint64_t index)
{
    /* Each entry is marked before it is applied, and only then. */
    CHECK((index == 0) == journal->mark_expected);
    journal->mark_expected = index != 0;
}

int journal_start(struct journal *journal, const struct journal_events *events,
                  struct journal_error *error)
{
    (void)error;
    journal->events = *events;
    return 0;
}

int journal_propose(struct journal *journal, uint64_t token, const uint8_t *body, uint32_t length)
{
    CHECK(length > 0 && length <= JOURNAL_BODY_MAX);
    if (journal->proposal_count == JOURNAL_PROPOSALS_MAX) {
        return 1;
    }
    journal->proposals[journal->proposal_count++] = (struct fake_proposal){token, body, length};
    if (journal->proposal_count > journal->proposal_most) {
        journal->proposal_most = journal->proposal_count;
    }
    if (journal->automatic) {
        fake_commit_all(journal);
    }
    return 0;
}

void journal_status(const struct journal *journal, struct journal_status *status)
{
    *status = (struct journal_status){.durable_index = journal->durable,
                                      .bytes_since_snapshot = journal->bytes_since_snapshot,
                                      .newest_snapshot_index = journal->newest.head.index,
                                      .newest_snapshot_bytes = journal->newest.length,
                                      .writable = true};
}

int journal_reader_open(const struct journal *journal, uint64_t first,
                        struct journal_reader **reader, struct journal_error *error)
{
    (void)error;
    *reader = malloc(sizeof **reader);
    CHECK(*reader != NULL);
    **reader = (struct journal_reader){journal, first};
    return 0;
}

int journal_reader_next(struct journal_reader *reader, uint64_t last, struct journal_entry *entry,
                        struct journal_error *error)
{
    (void)error;
    if (reader->next > last || reader->next > reader->journal->durable) {
        return 0;
    }
    const struct fake_entry *found = &reader->journal->entries[reader->next - 1];
    *entry = (struct journal_entry){reader->next, found->body, found->length,
                                    fake_checksum(reader->next)};
    reader->next++;
    return 1;
}

void journal_reader_close(struct journal_reader *reader)
{
    free(reader);
}

int journal_snapshot_begin(struct journal *journal, struct journal_snapshot_head head,
                           struct journal_snapshot_writer **writer, struct journal_error *error)
{
    (void)error;
    *writer = calloc(1, sizeof **writer);
    CHECK(*writer != NULL);
    (*writer)->journal = journal;
    (*writer)->snapshot.head = head;
    return 0;
}

int journal_snapshot_write(struct journal_snapshot_writer *writer, const void *bytes, size_t length,
                           struct journal_error *error)
{
    (void)error;
    struct fake_snapshot *snapshot = &writer->snapshot;
    while (snapshot->room - snapshot->length < length) {
        snapshot->room = snapshot->room == 0 ? 1u << 20 : snapshot->room * 2;
        snapshot->bytes = realloc(snapshot->bytes, snapshot->room);
        CHECK(snapshot->bytes != NULL);
    }
    memcpy(snapshot->bytes + snapshot->length, bytes, length);
    snapshot->length += length;
    return 0;
}

int journal_snapshot_commit(struct journal_snapshot_writer *writer, struct journal_error *error)
{
    (void)error;
    free(writer->journal->newest.bytes);
    writer->journal->newest = writer->snapshot;
    writer->journal->bytes_since_snapshot = 0;
    free(writer);
    return 0;
}

void journal_snapshot_abort(struct journal_snapshot_writer *writer)
{
    if (writer != NULL) {
        free(writer->snapshot.bytes);
        free(writer);
    }
}

int journal_snapshot_open(const struct journal *journal, struct journal_snapshot_reader **reader,
                          struct journal_snapshot_head *head, uint32_t *skipped,
                          struct journal_error *error)
{
    (void)error;
    *skipped = 0;
    if (journal->newest.bytes == NULL) {
        return 0;
    }
    *reader = calloc(1, sizeof **reader);
    CHECK(*reader != NULL);
    (*reader)->snapshot = &journal->newest;
    *head = journal->newest.head;
    return 1;
}

int journal_snapshot_read(struct journal_snapshot_reader *reader, void *bytes, size_t length,
                          struct journal_error *error)
{
    if (reader->snapshot->length - reader->at < length) {
        error->code = JOURNAL_DATA_LOSS;
        (void)snprintf(error->text, sizeof error->text, "the snapshot is short");
        return error->code;
    }
    memcpy(bytes, reader->snapshot->bytes + reader->at, length);
    reader->at += length;
    return 0;
}

void journal_snapshot_close(struct journal_snapshot_reader *reader)
{
    free(reader);
}

#endif
