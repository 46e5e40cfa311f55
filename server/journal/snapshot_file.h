/* One snapshot file: its form, and streams that write and read it. Knows storage, not the journal.
 *
 * A header sector, pieces of 256 KiB (the last may be shorter), a trailer; little-endian:
 *   header   0 magic 8 bytes    8 version u32      12 entry checksum u32   16 index u64
 *           24 digest u64      32 zeros
 *          504 checksum u64 (XXH3-64 of the 504 bytes before)
 *   piece    0 checksum u64     8 length u32 (1..256 KiB)    12 number u32 (from 0)   16 bytes
 *   trailer  0 checksum u64     8 length u32 (2^32 - 1)      12 number u32
 *           16 bytes in all u64                             24 magic 8 bytes
 * A piece's checksum is XXH3-64 of all behind it, seeded with the checksum before it: pieces cannot
 * be exchanged, and the trailer's checksum stands for the whole file. */
#ifndef ACTIVITYD_SERVER_JOURNAL_SNAPSHOT_FILE_H
#define ACTIVITYD_SERVER_JOURNAL_SNAPSHOT_FILE_H

#include "server/journal/journal.h"
#include "server/journal/segment.h"
#include "server/journal/storage.h"

#define SNAPSHOT_PIECE      (256u * 1024u)
#define SNAPSHOT_PIECE_HEAD 16u

/* What names a file's whole contents. */
struct snapshot_seal {
    uint64_t checksum; /* the trailer's */
    uint64_t bytes;    /* of the state */
};

struct snapshot_output {
    struct storage_file *file;
    uint64_t offset; /* where the next piece goes */
    uint64_t written_out;
    uint32_t number;
    struct snapshot_seal seal;
    size_t filled;   /* bytes waiting in the buffer */
    uint8_t *buffer; /* a piece's head and bytes */
};

/* These return storage results (0 or negative errno). The file is made under the temporary name. */
__attribute__((warn_unused_result)) int snapshot_output_open(struct snapshot_output *output,
                                                             struct storage_directory *directory,
                                                             struct journal_snapshot_head head);
/* Takes bytes into the buffer and returns how many; less than `length` means that it is full and
 * must be put. */
__attribute__((warn_unused_result)) size_t snapshot_output_fill(struct snapshot_output *output,
                                                                const void *bytes, size_t length);
/* Writes the buffer as a piece. After a failure it can be tried again. */
__attribute__((warn_unused_result)) int snapshot_output_put(struct snapshot_output *output);
/* Writes the trailer (the buffer must have been put). After a failure it can be tried again. */
__attribute__((warn_unused_result)) int snapshot_output_finish(struct snapshot_output *output);
/* Makes it durable and forgets what is cached of it. After a failure the file is lost. */
__attribute__((warn_unused_result)) int snapshot_output_sync(struct snapshot_output *output);
void snapshot_output_close(struct snapshot_output *output); /* accepts a zeroed one */

struct snapshot_input {
    struct storage_file *file;
    struct segment_name name;
    struct journal_snapshot_head head;
    uint64_t size;
    uint64_t offset; /* of what comes next */
    uint32_t number;
    struct snapshot_seal seal;
    uint8_t *buffer;
    const uint8_t *piece; /* the piece last read */
    size_t length;
};

/* Opens a file and checks its header; damage is JOURNAL_DATA_LOSS. */
__attribute__((warn_unused_result)) int snapshot_input_open(struct snapshot_input *input,
                                                            struct storage_directory *directory,
                                                            const char *name,
                                                            struct journal_error *error);
/* Returns 1 with the next piece, 0 at a sound trailer that ends the file, negative on damage or a
 * failed read. */
__attribute__((warn_unused_result)) int snapshot_input_next(struct snapshot_input *input,
                                                            struct journal_error *error);
void snapshot_input_close(struct snapshot_input *input); /* accepts a zeroed one */

/* Reads a whole file from the disk and checks it. On success the input is closed and holds head,
 * size and seal. */
__attribute__((warn_unused_result)) int snapshot_input_check(struct snapshot_input *input,
                                                             struct storage_directory *directory,
                                                             const char *name,
                                                             struct journal_error *error);

struct segment_name snapshot_name(uint64_t index);

#endif
