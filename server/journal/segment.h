/* A segment: one file of fixed size with consecutive entries, and the cursor that reads them.
 *
 * The first sector is the segment's header, the entries begin at SEGMENT_DATA: so the header's
 * physical block, 4 KiB on most disks, is never rewritten. What follows the last entry is zeros.
 * The file is called segment-<first index>; it gets that name only when its header is durable, and
 * its bytes are written once. Numbers are little-endian:
 *
 *    0 magic 8 bytes    8 version u32    12 previous u32    16 epoch u64
 *   24 first u64       32 size u64       40 zeros
 *  504 checksum u64 (XXH3-64 of the 504 bytes before) */
#ifndef ACTIVITYD_SERVER_JOURNAL_SEGMENT_H
#define ACTIVITYD_SERVER_JOURNAL_SEGMENT_H

#include "server/journal/entry.h"
#include "server/journal/journal.h"
#include "server/journal/storage.h"

#define SEGMENT_VERSION  1u
#define SEGMENT_DATA     4096u
#define SEGMENT_SIZE_MAX (1ull << 40)

/* The most that one write and sync may hold: entries behind a torn one are looked for this far. */
#define SEGMENT_GROUP_BYTES (1u << 20)
_Static_assert(ENTRY_BYTES_MAX <= SEGMENT_GROUP_BYTES, "a group holds the longest entry");
_Static_assert(SEGMENT_DATA + SEGMENT_GROUP_BYTES <= JOURNAL_SEGMENT_MIN,
               "a fresh segment holds any group");

struct segment_header {
    uint64_t epoch;
    uint64_t first;    /* index of the first entry that belongs here */
    uint64_t size;     /* of the file */
    uint32_t previous; /* checksum of entry first - 1; 0 when first is 1 */
};

/* Files called prefix-<20 digits>: segments and snapshots. */
struct segment_name {
    char text[STORAGE_NAME_MAX + 1];
};
#define SEGMENT_PREFIX "segment-"
struct segment_name segment_name(uint64_t first);
struct segment_name segment_numbered_name(const char *prefix, uint64_t number);
/* False unless `name` is exactly what segment_numbered_name writes. */
bool segment_numbered_parse(const char *prefix, const char *name, uint64_t *number);

void segment_header_encode(const struct segment_header *header, uint8_t sector[ENTRY_SECTOR]);
enum entry_fault segment_header_decode(const uint8_t sector[ENTRY_SECTOR],
                                       struct segment_header *header);

/* Makes a file of zeros that are really written and synced, so that a commit only overwrites blocks
 * and needs nothing of the file system. With blocks that are merely allocated, an ext4 that was
 * shut down in the middle of a commit reported some syncs as done whose entries were gone after
 * the next mount (in every run of test_mounted.c; in none of 800 cuts with written zeros).
 *
 * `rest` (may be NULL) is called between pieces of a megabyte, so that others get at the disk;
 * returning false gives up with -ECANCELED. Returns a storage result; a failure leaves no file. */
__attribute__((warn_unused_result)) int segment_create(struct storage_directory *directory,
                                                       const char *name, uint64_t size,
                                                       bool (*rest)(void *context), void *context,
                                                       struct storage_file **file);

/* Writes the header into a file of zeros, syncs it, gives it its final name and makes the name
 * durable. */
__attribute__((warn_unused_result)) int segment_publish(struct storage_directory *directory,
                                                        struct storage_file *file,
                                                        const char *temporary,
                                                        const struct segment_header *header,
                                                        struct journal_error *error);

/* Reads a segment from its beginning. Entries may be appended by another thread meanwhile: anything
 * but a sound entry is only believed after the bytes were read again. */
struct segment_cursor {
    struct storage_file *file;
    struct segment_name name;
    struct segment_header header;
    uint64_t offset;           /* of the entry that comes next */
    uint64_t index;            /* of the entry that comes next */
    uint32_t previous;         /* checksum of the entry before it */
    struct entry_header entry; /* the last one read */
    uint8_t *window;           /* SEGMENT_GROUP_BYTES of the file, */
    uint64_t window_offset;    /* from here */
    size_t window_length;
    uint8_t *body; /* JOURNAL_BODY_MAX */
};

/* Opens segment-<first>, checks its header, its size, and that what lies between header and entries
 * is zeros. */
__attribute__((warn_unused_result)) int segment_cursor_open(struct segment_cursor *cursor,
                                                            struct storage_directory *directory,
                                                            uint64_t first,
                                                            struct journal_error *error);
void segment_cursor_close(struct segment_cursor *cursor); /* accepts a zeroed one */

enum segment_outcome {
    SEGMENT_END = 0,   /* zeros where an entry is due, or no room for one */
    SEGMENT_ENTRY = 1, /* cursor->entry and cursor->body are the next entry */
    SEGMENT_TORN = 2   /* a sound header, and sectors of zeros in its entry */
};
/* Returns an outcome, or a negative code: damage (JOURNAL_DATA_LOSS) or a failed read. */
__attribute__((warn_unused_result)) int segment_cursor_next(struct segment_cursor *cursor,
                                                            struct journal_error *error);

/* Looks at everything from the cursor's place to the end of the file. Returns 0 when all of it is
 * zeros, 1 when it is what a torn group leaves (see entry.h), negative when it is neither or a read
 * fails. After SEGMENT_END or SEGMENT_TORN. */
__attribute__((warn_unused_result)) int segment_cursor_tail(struct segment_cursor *cursor,
                                                            struct journal_error *error);

/* The way out that every JOURNAL_DATA_LOSS sentence ends with. */
#define SEGMENT_WAY_OUT "`activityd journal verify` says more, `activityd journal repair` cuts"

#endif
