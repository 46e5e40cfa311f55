/* The form of an entry on disk: pure functions over bytes, no I/O.
 *
 * An entry is a whole number of 512-byte sectors, the unit that a disk writes entirely or not at
 * all. The last byte of each sector is a mark, different for an entry's first sector and the
 * others; the 511 bytes before it carry the header (first sector), then the body, then zeros. All
 * numbers are little-endian.
 *
 *    0 magic u32        8 index u64      24 length u32       32 body checksum u64
 *    4 version u32     16 synced u64     28 previous u32     40 zero u32
 *   44 header checksum u32               48 body ...
 *
 * What the marks are for. A segment is zeros before it is written, so a sector lost in a power cut
 * is all zeros, and a written one never is, whatever the body; nor can a single flipped bit make it
 * so (a mark has four bits set). A count of the body's own zero sectors in the header would tell
 * the two apart as well, but for a sector with one bit set: flipped, it would look lost, and the
 * entry, acknowledged, would be cut. And as bodies never reach the mark's byte, no client can send
 * one that looks like an entry to the search behind a torn end.
 *
 * `synced` is the newest entry that was durable when this one was written: entries of one group
 * share a write and a sync, so a later one can be on disk where an earlier one is lost. An entry
 * behind a gap proves a loss only when its `synced` reaches the gap. */
#ifndef ACTIVITYD_SERVER_JOURNAL_ENTRY_H
#define ACTIVITYD_SERVER_JOURNAL_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/journal/journal.h"

#define ENTRY_SECTOR       512u
#define ENTRY_SECTOR_ROOM  (ENTRY_SECTOR - 1) /* what a sector holds beside its mark */
#define ENTRY_HEADER_BYTES 48u
#define ENTRY_VERSION      1u
#define ENTRY_SECTORS_MAX                                                                          \
    ((ENTRY_HEADER_BYTES + JOURNAL_BODY_MAX + ENTRY_SECTOR_ROOM - 1) / ENTRY_SECTOR_ROOM)
#define ENTRY_BYTES_MAX ((size_t)ENTRY_SECTORS_MAX * ENTRY_SECTOR)

struct entry_header {
    uint64_t index;
    uint64_t synced;        /* below index */
    uint32_t length;        /* of the body, 1..JOURNAL_BODY_MAX */
    uint32_t previous;      /* checksum of entry index - 1; 0 for entry 1 */
    uint64_t body_checksum; /* XXH3-64 */
    uint32_t checksum;      /* XXH3-64, low half, of the header up to here: names header and body */
};

/* What a sector is by itself. */
enum entry_sector { ENTRY_SECTOR_ZERO, ENTRY_SECTOR_HEAD, ENTRY_SECTOR_BODY, ENTRY_SECTOR_FOREIGN };

/* Why bytes are not an entry. */
enum entry_fault {
    ENTRY_SOUND,
    ENTRY_MISSING,      /* its first sector is all zeros */
    ENTRY_LOST_SECTORS, /* the header is sound, at least one later sector is all zeros */
    ENTRY_WRONG_HEADER, /* mark, magic, checksum or a field out of its range */
    ENTRY_NEWER,        /* a version that this program does not know, with a sound checksum */
    ENTRY_WRONG_MARK,
    ENTRY_WRONG_PADDING,
    ENTRY_WRONG_BODY /* body checksum */
};
const char *entry_fault_text(enum entry_fault fault);

/* Sectors and bytes that an entry with this body length takes on disk. */
uint32_t entry_sectors(uint32_t length);
size_t entry_bytes(uint32_t length);

enum entry_sector entry_sector_kind(const uint8_t sector[ENTRY_SECTOR]);

/* Writes entry_bytes(header->length) bytes to `sectors`. Of the header, index, synced, length and
 * previous are the caller's; the checksums are filled in. */
void entry_encode(struct entry_header *header, const uint8_t *body, uint8_t *sectors);

/* Reads a first sector. On ENTRY_SOUND the header is complete and its ranges hold; the body is not
 * looked at. */
enum entry_fault entry_decode_header(const uint8_t sector[ENTRY_SECTOR],
                                     struct entry_header *header);

/* Reads the body of an entry whose header was sound from its entry_bytes(header->length) bytes;
 * `body` has room for header->length. ENTRY_LOST_SECTORS is found before any other fault. */
enum entry_fault entry_decode_body(const struct entry_header *header, const uint8_t *sectors,
                                   uint8_t *body);

#endif
