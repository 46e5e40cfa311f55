/* Any bytes as what a disk may hold: an entry, a segment's header, the entries of a segment, a
 * snapshot. Never a read outside; what is accepted is what would have been written, byte for byte.
 * Checksums are put right in a second pass, so that what lies behind them is reached too. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "server/journal/recovery.h"
#include "server/journal/snapshot_file.h"
#include "tests/unit/server/journal/storage_memory.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OFFSET_LENGTH = 24, OFFSET_BODY_CHECKSUM = 32, OFFSET_CHECKSUM = 44, WHOLE_SHARE = 16 };

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static uint32_t smaller(size_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

/* Makes the checksums of an entry hold, as far as its sectors are there. */
static void repair_entry(uint8_t *sectors, size_t available)
{
    static uint8_t body[JOURNAL_BODY_MAX];
    uint32_t length;
    memcpy(&length, sectors + OFFSET_LENGTH, sizeof length);
    length = le32toh(length);
    if (length >= 1 && length <= JOURNAL_BODY_MAX && entry_bytes(length) <= available) {
        uint32_t begin = ENTRY_HEADER_BYTES;
        const uint8_t *at = sectors;
        for (uint32_t done = 0; done < length; begin = 0, at += ENTRY_SECTOR) {
            uint32_t take = smaller(length - done, ENTRY_SECTOR_ROOM - begin);
            memcpy(body + done, at + begin, take);
            done += take;
        }
        uint64_t checksum = htole64(XXH3_64bits(body, length));
        memcpy(sectors + OFFSET_BODY_CHECKSUM, &checksum, sizeof checksum);
    }
    uint32_t checksum = htole32((uint32_t)XXH3_64bits(sectors, OFFSET_CHECKSUM));
    memcpy(sectors + OFFSET_CHECKSUM, &checksum, sizeof checksum);
}

static void try_entry(const uint8_t *sectors, size_t available)
{
    struct entry_header header;
    (void)entry_sector_kind(sectors);
    if (entry_decode_header(sectors, &header) != ENTRY_SOUND)
        return;
    size_t bytes = entry_bytes(header.length);
    expect(header.length >= 1 && header.length <= JOURNAL_BODY_MAX && bytes <= ENTRY_BYTES_MAX);
    if (bytes > available)
        return;
    uint8_t *body = malloc(header.length);
    uint8_t *again = malloc(bytes);
    expect(body != NULL && again != NULL);
    if (entry_decode_body(&header, sectors, body) == ENTRY_SOUND) {
        struct entry_header written = header;
        entry_encode(&written, body, again);
        expect(written.checksum == header.checksum && memcmp(again, sectors, bytes) == 0);
    }
    free(body);
    free(again);
}

static void try_segment_header(uint8_t *sector)
{
    struct segment_header header;
    uint8_t again[ENTRY_SECTOR];
    for (int pass = 0; pass < 2; pass++) {
        if (segment_header_decode(sector, &header) == ENTRY_SOUND) {
            segment_header_encode(&header, again);
            expect(memcmp(again, sector, sizeof again) == 0);
        }
        uint64_t checksum = htole64(XXH3_64bits(sector, ENTRY_SECTOR - sizeof checksum));
        memcpy(sector + ENTRY_SECTOR - sizeof checksum, &checksum, sizeof checksum);
    }
}

static struct storage_file *file_with(struct storage_directory *directory, const char *name,
                                      uint64_t file_size, uint64_t offset, const void *bytes,
                                      size_t length)
{
    struct storage_file *file = NULL;
    expect(storage_create(directory, name, file_size, &file) == 0);
    expect(storage_write(file, offset, bytes, length) == 0);
    return file;
}

/* The bytes as all entries of a segment. */
static void try_segment(struct storage_directory *directory, const uint8_t *sectors, size_t length)
{
    struct journal_error error;
    struct recovery_end end;
    uint8_t sector[ENTRY_SECTOR];
    struct segment_header header = {.epoch = 1, .first = 1, .size = JOURNAL_SEGMENT_MIN};
    struct storage_file *file = file_with(directory, segment_name(1).text, JOURNAL_SEGMENT_MIN,
                                          SEGMENT_DATA, sectors, length);
    segment_header_encode(&header, sector);
    expect(storage_write(file, 0, sector, sizeof sector) == 0);
    storage_close(file);
    int result = recovery_find_end(directory, 1, &end, &error);
    expect(result == 0 || result == JOURNAL_DATA_LOSS || result == JOURNAL_VERSION);
    if (result == 0)
        expect(end.offset >= SEGMENT_DATA && end.offset <= SEGMENT_DATA + length);
    else
        expect(error.code == result && error.text[0] != '\0');
}

static void try_snapshot(struct storage_directory *directory, const uint8_t *bytes, size_t length)
{
    struct journal_error error;
    struct snapshot_input input;
    storage_close(file_with(directory, "snapshot.tmp", 0, 0, bytes, length));
    int result = snapshot_input_check(&input, directory, "snapshot.tmp", &error);
    expect(result == 0 || result == JOURNAL_DATA_LOSS || result == JOURNAL_VERSION);
    expect(result != 0 || input.seal.bytes < length);
}

static void try_whole_files(uint8_t *sectors, size_t length)
{
    struct storage_directory *directory = NULL;
    memory_start(1);
    expect(storage_directory_open("memory", false, &directory) == 0);
    try_segment(directory, sectors, length);
    try_snapshot(directory, sectors, length);
    uint64_t checksum = htole64(XXH3_64bits(sectors, ENTRY_SECTOR - sizeof checksum));
    memcpy(sectors + ENTRY_SECTOR - sizeof checksum, &checksum, sizeof checksum);
    try_snapshot(directory, sectors, length);
    storage_directory_close(directory);
    memory_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length = (size + ENTRY_SECTOR) / ENTRY_SECTOR * ENTRY_SECTOR;
    if (length > JOURNAL_SEGMENT_MIN - SEGMENT_DATA)
        return 0;
    uint8_t *sectors = calloc(1, length);
    expect(sectors != NULL);
    memcpy(sectors, data, size);
    try_entry(sectors, length);
    uint8_t header[ENTRY_SECTOR];
    memcpy(header, sectors, sizeof header);
    try_segment_header(header);
    for (size_t at = 0; at < length; at += ENTRY_SECTOR) {
        if (entry_sector_kind(sectors + at) == ENTRY_SECTOR_HEAD)
            repair_entry(sectors + at, length - at);
        try_entry(sectors + at, length - at);
    }
    /* These look at two megabytes each time. */
    if (XXH3_64bits(data, size) % WHOLE_SHARE == 0)
        try_whole_files(sectors, length);
    free(sectors);
    return 0;
}
