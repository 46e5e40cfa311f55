#include "server/journal/entry.h"

#include <endian.h>
#include <string.h>
#include <xxhash.h>

#include "server/check.h"

enum {
    MAGIC = 0x4e454a41, /* "AJEN" on disk */
    MARK_HEAD = 0xa5,
    MARK_BODY = 0x5a,
    OFFSET_VERSION = 4,
    OFFSET_INDEX = 8,
    OFFSET_SYNCED = 16,
    OFFSET_LENGTH = 24,
    OFFSET_PREVIOUS = 28,
    OFFSET_BODY_CHECKSUM = 32,
    OFFSET_ZERO = 40,
    OFFSET_CHECKSUM = 44
};

static const uint8_t zeros[ENTRY_SECTOR];

static void put32(uint8_t *bytes, uint32_t value)
{
    value = htole32(value);
    memcpy(bytes, &value, sizeof value);
}

static void put64(uint8_t *bytes, uint64_t value)
{
    value = htole64(value);
    memcpy(bytes, &value, sizeof value);
}

static uint32_t get32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static uint64_t get64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

static uint32_t header_checksum(const uint8_t *bytes)
{
    return (uint32_t)XXH3_64bits(bytes, OFFSET_CHECKSUM);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

const char *entry_fault_text(enum entry_fault fault)
{
    switch (fault) {
    case ENTRY_SOUND:
        return "it is sound";
    case ENTRY_MISSING:
        return "it is missing (zeros)";
    case ENTRY_LOST_SECTORS:
        return "sectors of it are missing (zeros)";
    case ENTRY_WRONG_HEADER:
        return "its header is damaged";
    case ENTRY_NEWER:
        return "it was written by a newer activityd";
    case ENTRY_WRONG_MARK:
        return "the mark of a sector is damaged";
    case ENTRY_WRONG_PADDING:
        return "there is something behind its body";
    case ENTRY_WRONG_BODY:
        return "its body is damaged";
    }
    return "it is damaged";
}

uint32_t entry_sectors(uint32_t length)
{
    return (ENTRY_HEADER_BYTES + length + ENTRY_SECTOR_ROOM - 1) / ENTRY_SECTOR_ROOM;
}

size_t entry_bytes(uint32_t length)
{
    return (size_t)entry_sectors(length) * ENTRY_SECTOR;
}

enum entry_sector entry_sector_kind(const uint8_t sector[ENTRY_SECTOR])
{
    switch (sector[ENTRY_SECTOR_ROOM]) {
    case MARK_HEAD:
        return ENTRY_SECTOR_HEAD;
    case MARK_BODY:
        return ENTRY_SECTOR_BODY;
    case 0:
        return memcmp(sector, zeros, ENTRY_SECTOR) == 0 ? ENTRY_SECTOR_ZERO : ENTRY_SECTOR_FOREIGN;
    default:
        return ENTRY_SECTOR_FOREIGN;
    }
}

static void encode_header(struct entry_header *header, uint8_t *bytes)
{
    put32(bytes, MAGIC);
    put32(bytes + OFFSET_VERSION, ENTRY_VERSION);
    put64(bytes + OFFSET_INDEX, header->index);
    put64(bytes + OFFSET_SYNCED, header->synced);
    put32(bytes + OFFSET_LENGTH, header->length);
    put32(bytes + OFFSET_PREVIOUS, header->previous);
    put64(bytes + OFFSET_BODY_CHECKSUM, header->body_checksum);
    put32(bytes + OFFSET_ZERO, 0);
    header->checksum = header_checksum(bytes);
    put32(bytes + OFFSET_CHECKSUM, header->checksum);
}

void entry_encode(struct entry_header *header, const uint8_t *body, uint8_t *sectors)
{
    CHECK(header->length >= 1 && header->length <= JOURNAL_BODY_MAX);
    CHECK(header->index > header->synced);
    header->body_checksum = XXH3_64bits(body, header->length);
    encode_header(header, sectors);
    uint32_t left = header->length;
    uint32_t begin = ENTRY_HEADER_BYTES;
    for (uint8_t mark = MARK_HEAD; left > 0; mark = MARK_BODY, begin = 0, sectors += ENTRY_SECTOR) {
        uint32_t take = smaller(left, ENTRY_SECTOR_ROOM - begin);
        memcpy(sectors + begin, body, take);
        memset(sectors + begin + take, 0, ENTRY_SECTOR_ROOM - begin - take);
        sectors[ENTRY_SECTOR_ROOM] = mark;
        body += take;
        left -= take;
    }
}

enum entry_fault entry_decode_header(const uint8_t sector[ENTRY_SECTOR],
                                     struct entry_header *header)
{
    enum entry_sector kind = entry_sector_kind(sector);
    if (kind == ENTRY_SECTOR_ZERO)
        return ENTRY_MISSING;
    if (kind != ENTRY_SECTOR_HEAD || get32(sector) != MAGIC)
        return ENTRY_WRONG_HEADER;
    header->checksum = get32(sector + OFFSET_CHECKSUM);
    if (header->checksum != header_checksum(sector))
        return ENTRY_WRONG_HEADER;
    if (get32(sector + OFFSET_VERSION) != ENTRY_VERSION)
        return ENTRY_NEWER;
    header->index = get64(sector + OFFSET_INDEX);
    header->synced = get64(sector + OFFSET_SYNCED);
    header->length = get32(sector + OFFSET_LENGTH);
    header->previous = get32(sector + OFFSET_PREVIOUS);
    header->body_checksum = get64(sector + OFFSET_BODY_CHECKSUM);
    bool sound = header->length >= 1 && header->length <= JOURNAL_BODY_MAX &&
                 header->index > header->synced && get32(sector + OFFSET_ZERO) == 0;
    return sound ? ENTRY_SOUND : ENTRY_WRONG_HEADER;
}

enum entry_fault entry_decode_body(const struct entry_header *header, const uint8_t *sectors,
                                   uint8_t *body)
{
    uint32_t count = entry_sectors(header->length);
    enum entry_fault fault = ENTRY_SOUND;
    for (uint32_t i = 1; i < count; i++) {
        enum entry_sector kind = entry_sector_kind(sectors + (size_t)i * ENTRY_SECTOR);
        if (kind == ENTRY_SECTOR_ZERO)
            return ENTRY_LOST_SECTORS;
        if (kind != ENTRY_SECTOR_BODY)
            fault = ENTRY_WRONG_MARK;
    }
    if (fault != ENTRY_SOUND)
        return fault;
    uint32_t done = 0;
    for (uint32_t begin = ENTRY_HEADER_BYTES; done < header->length;
         begin = 0, sectors += ENTRY_SECTOR) {
        uint32_t take = smaller(header->length - done, ENTRY_SECTOR_ROOM - begin);
        memcpy(body + done, sectors + begin, take);
        if (memcmp(sectors + begin + take, zeros, ENTRY_SECTOR_ROOM - begin - take) != 0)
            return ENTRY_WRONG_PADDING;
        done += take;
    }
    return XXH3_64bits(body, header->length) == header->body_checksum ? ENTRY_SOUND
                                                                      : ENTRY_WRONG_BODY;
}
