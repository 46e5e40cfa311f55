/* The ordered durable journal: what every kind of journal offers the engine.
 *
 * An entry is proposed and comes back committed, in the journal's order, possibly between entries
 * of other writers, possibly never; several may be under way. Indexes count from 1 without holes.
 * The journal does not look into a body. journal_file.c is the embedded default: numbered segments
 * in a directory, one pwrite and one fdatasync per group of entries. Start-up order: journal_open,
 * journal_snapshot_open (or none), journal_reader over what follows, journal_start.
 *
 * Errors: functions that can fail return 0 or a negative enum journal_error_code and fill *error
 * with one sentence that names file, entry and the way out. */
#ifndef ACTIVITYD_SERVER_JOURNAL_JOURNAL_H
#define ACTIVITYD_SERVER_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest body: a replicated stream takes messages up to 1 MiB, less its own headers. */
#define JOURNAL_BODY_MAX    (900u * 1024u)
#define JOURNAL_SEGMENT_MIN (2u * 1024u * 1024u)

enum journal_error_code {
    JOURNAL_OK = 0,
    JOURNAL_IO = -1, /* the disk or the directory failed; the process must end (exit 74) */
    JOURNAL_DATA_LOSS =
        -2, /* damage that is not a torn tail: `activityd journal repair` is the way out */
    JOURNAL_LOCKED = -3,   /* another process serves this directory */
    JOURNAL_NO_SPACE = -4, /* the disk is full where there must be room */
    JOURNAL_TOO_OLD = -5,  /* the index asked for lies before what is kept */
    JOURNAL_VERSION = -6   /* written by a newer activityd */
};

struct journal_error {
    enum journal_error_code code;
    char text[512];
};

struct journal_options {
    const char *directory;     /* made if absent (its parent must exist) */
    uint64_t segment_bytes;    /* size of each segment file; a multiple of 4096, at least
                                  JOURNAL_SEGMENT_MIN */
    uint64_t snapshot_reserve; /* bytes to keep in the reserve file beside one segment, at least */
    bool read_only; /* for verify: takes no lock, writes nothing, journal_start is not allowed */
};

struct journal;

/* Opens or makes the directory, locks it, finds the valid end (cutting a torn tail in memory only)
 * and reads the epoch. The directory of a fresh journal gets a random epoch. Writes nothing to
 * existing segments. */
__attribute__((warn_unused_result)) int journal_open(const struct journal_options *options,
                                                     struct journal **journal,
                                                     struct journal_error *error);

/* Stops the threads (what was proposed is committed first), releases the lock, frees. Accepts NULL.
 */
void journal_close(struct journal *journal);

/* The history's 64 random bits: a repair changes them, a restart does not. */
uint64_t journal_epoch(const struct journal *journal);

/* The newest durable entry, 0 = none. Any thread. */
uint64_t journal_durable_index(const struct journal *journal);

/* The index that was marked as being applied when a previous process died, 0 = none (see
 * journal_mark). One that crashed while it was applied for the first time is remembered until a
 * journal_start succeeds. */
uint64_t journal_marked_index(const struct journal *journal);

/* Marks the entry about to be applied (0 = none): survives a crash of the process, costs no system
 * call. The mark must be cleared before a reply speaks of the entry, and stay when it stops the
 * process: after journal_start a mark that is left says that nobody was told of the entry, and lets
 * `activityd journal repair --drop-last` drop it. Engine thread. */
void journal_mark(struct journal *journal, uint64_t index);

struct journal_entry {
    uint64_t index;
    const uint8_t *body;
    uint32_t length;
    uint32_t checksum; /* of the header and body: snapshots name it */
};

/* What the journal tells its user, on the journal's own thread. The functions must not block. */
struct journal_events {
    void *context;
    /* The entry is durable. `token` is the proposer's, and `entry->body` is the pointer that was
     * proposed: from here on it belongs to the proposer again. In order of index. */
    void (*committed)(void *context, uint64_t token, const struct journal_entry *entry);
    /* writable == false: proposals made from now on are still taken while the reserve lasts, but
     * users' commands should be refused (DISK_FULL), and a snapshot should be made at once: room
     * for it is kept, and it frees space. When even the reserve is used up, commits wait for room.
     * true: there is room again (it is looked for every second, and after each snapshot). */
    void (*writable)(void *context, bool writable);
    /* A write or sync failed: nothing proposed and uncommitted is known to be durable; no further
     * call comes. The process must end with exit status 74. */
    void (*failed)(void *context, const struct journal_error *error);
};

/* Copies the valid part of the last segment to a new one and syncs it (an old segment is never
 * appended to), and starts the journal's threads, which begin with making the next segments and the
 * reserve. What journal_open found is durable from here on. Once. */
__attribute__((warn_unused_result)) int journal_start(struct journal *journal,
                                                      const struct journal_events *events,
                                                      struct journal_error *error);

/* Proposes one entry. The body is borrowed until `committed` or `failed`; 1..JOURNAL_BODY_MAX
 * bytes. Several may be under way (at most JOURNAL_PROPOSALS_MAX). Returns 0, or 1 when that many
 * are, or the journal has failed. One thread. */
#define JOURNAL_PROPOSALS_MAX 64
__attribute__((warn_unused_result)) int journal_propose(struct journal *journal, uint64_t token,
                                                        const uint8_t *body, uint32_t length);

/* Where the journal stands, for server-info and the decision to make a snapshot. Any thread. */
struct journal_status {
    uint64_t durable_index;
    uint64_t bytes_since_snapshot;  /* of entries, since the newest snapshot; nearly */
    uint64_t newest_snapshot_index; /* 0 = none */
    uint64_t newest_snapshot_bytes;
    uint64_t segment_count;
    uint64_t syncs; /* made by this process */
    bool writable;
};
void journal_status(const struct journal *journal, struct journal_status *status);

/* Reads committed entries from `first` on. Independent of the writer; a reader on another thread
 * may read up to journal_durable_index while the journal is being written. */
struct journal_reader;
__attribute__((warn_unused_result)) int journal_reader_open(const struct journal *journal,
                                                            uint64_t first,
                                                            struct journal_reader **reader,
                                                            struct journal_error *error);
/* Returns 1 with the next entry (the body is valid until the next call), 0 after the entry `last`,
 * negative on error. */
__attribute__((warn_unused_result)) int journal_reader_next(struct journal_reader *reader,
                                                            uint64_t last,
                                                            struct journal_entry *entry,
                                                            struct journal_error *error);
void journal_reader_close(struct journal_reader *reader); /* accepts NULL */

/* Snapshots: the state after one entry, as a stream of bytes which the journal does not look into.
 * Written under a temporary name, synced, re-read and compared, renamed, the directory synced; then
 * older ones beyond two and all segments before the older one are removed (on a full disk on which
 * that frees nothing, all before the newest one). One writer at a time; any thread.
 * JOURNAL_NO_SPACE harms nothing: it can be tried again later. */
struct journal_snapshot_head {
    uint64_t index;          /* the last entry contained */
    uint32_t entry_checksum; /* of that entry */
    uint64_t digest;         /* of the core after it */
};
struct journal_snapshot_writer;
__attribute__((warn_unused_result)) int
journal_snapshot_begin(struct journal *journal, struct journal_snapshot_head head,
                       struct journal_snapshot_writer **writer, struct journal_error *error);
__attribute__((warn_unused_result)) int
journal_snapshot_write(struct journal_snapshot_writer *writer, const void *bytes, size_t length,
                       struct journal_error *error);
/* Ends the writer in any case. */
__attribute__((warn_unused_result)) int
journal_snapshot_commit(struct journal_snapshot_writer *writer, struct journal_error *error);
void journal_snapshot_abort(struct journal_snapshot_writer *writer); /* accepts NULL */

/* Opens the newest snapshot whose checksums hold and whose following entries are kept. Returns 1,
 * or 0 when there is none and the journal is complete from entry 1. `skipped` counts newer ones
 * that were damaged. */
struct journal_snapshot_reader;
__attribute__((warn_unused_result)) int
journal_snapshot_open(const struct journal *journal, struct journal_snapshot_reader **reader,
                      struct journal_snapshot_head *head, uint32_t *skipped,
                      struct journal_error *error);
/* Reads exactly `length` bytes. Returns 0, or negative when there are fewer or a checksum fails. */
__attribute__((warn_unused_result)) int
journal_snapshot_read(struct journal_snapshot_reader *reader, void *bytes, size_t length,
                      struct journal_error *error);
void journal_snapshot_close(struct journal_snapshot_reader *reader); /* accepts NULL */

#endif
