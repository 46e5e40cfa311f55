#include "server/journal/segment.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "server/check.h"
#include "server/journal/error.h"

enum {
    OFFSET_VERSION = 8,
    OFFSET_PREVIOUS = 12,
    OFFSET_EPOCH = 16,
    OFFSET_FIRST = 24,
    OFFSET_SIZE = 32,
    OFFSET_ZERO = 40,
    OFFSET_CHECKSUM = 504,
    DIGITS = 20,
    ZERO_PIECE = 1 << 20
};

static const char magic[8] = "ACTVJRNL";

static void put64(uint8_t *bytes, uint64_t value)
{
    value = htole64(value);
    memcpy(bytes, &value, sizeof value);
}

static uint64_t get64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

struct segment_name segment_numbered_name(const char *prefix, uint64_t number)
{
    struct segment_name name;
    int length = snprintf(name.text, sizeof name.text, "%s%0*" PRIu64, prefix, DIGITS, number);
    CHECK(length > 0 && (size_t)length < sizeof name.text);
    return name;
}

struct segment_name segment_name(uint64_t first)
{
    return segment_numbered_name(SEGMENT_PREFIX, first);
}

bool segment_numbered_parse(const char *prefix, const char *name, uint64_t *number)
{
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0 || strspn(name + length, "0123456789") != DIGITS ||
        name[length + DIGITS] != '\0')
        return false;
    errno = 0;
    *number = strtoull(name + length, NULL, 10);
    return errno == 0;
}

void segment_header_encode(const struct segment_header *header, uint8_t sector[ENTRY_SECTOR])
{
    memset(sector, 0, ENTRY_SECTOR);
    memcpy(sector, magic, sizeof magic);
    put64(sector + OFFSET_VERSION, SEGMENT_VERSION | (uint64_t)header->previous << 32);
    put64(sector + OFFSET_EPOCH, header->epoch);
    put64(sector + OFFSET_FIRST, header->first);
    put64(sector + OFFSET_SIZE, header->size);
    put64(sector + OFFSET_CHECKSUM, XXH3_64bits(sector, OFFSET_CHECKSUM));
}

enum entry_fault segment_header_decode(const uint8_t sector[ENTRY_SECTOR],
                                       struct segment_header *header)
{
    if (all_zero(sector, ENTRY_SECTOR))
        return ENTRY_MISSING;
    if (memcmp(sector, magic, sizeof magic) != 0 ||
        get64(sector + OFFSET_CHECKSUM) != XXH3_64bits(sector, OFFSET_CHECKSUM))
        return ENTRY_WRONG_HEADER;
    uint64_t version = get64(sector + OFFSET_VERSION);
    if ((uint32_t)version != SEGMENT_VERSION)
        return ENTRY_NEWER;
    header->previous = (uint32_t)(version >> 32);
    header->epoch = get64(sector + OFFSET_EPOCH);
    header->first = get64(sector + OFFSET_FIRST);
    header->size = get64(sector + OFFSET_SIZE);
    bool sound = header->first >= 1 && (header->first > 1 || header->previous == 0) &&
                 header->size % ENTRY_SECTOR == 0 && header->size >= JOURNAL_SEGMENT_MIN &&
                 header->size <= SEGMENT_SIZE_MAX &&
                 all_zero(sector + OFFSET_ZERO, OFFSET_CHECKSUM - OFFSET_ZERO);
    return sound ? ENTRY_SOUND : ENTRY_WRONG_HEADER;
}

static int write_zeros(struct storage_file *file, uint64_t size, bool (*rest)(void *context),
                       void *context)
{
    uint8_t *zeros = calloc(1, ZERO_PIECE);
    int result = zeros == NULL ? -ENOMEM : 0;
    for (uint64_t done = 0; result == 0 && done < size; done += ZERO_PIECE) {
        size_t piece = size - done < ZERO_PIECE ? (size_t)(size - done) : ZERO_PIECE;
        result = storage_write(file, done, zeros, piece);
        if (result == 0)
            result = storage_sync(file);
        if (result == 0 && rest != NULL && !rest(context))
            result = -ECANCELED;
    }
    free(zeros);
    return result;
}

int segment_create(struct storage_directory *directory, const char *name, uint64_t size,
                   bool (*rest)(void *context), void *context, struct storage_file **file)
{
    int result = storage_create(directory, name, size, file);
    if (result != 0)
        return result;
    result = write_zeros(*file, size, rest, context);
    if (result != 0) {
        storage_close(*file);
        *file = NULL;
        /* What cannot be removed now is removed at the next start. */
        (void)!storage_remove(directory, name);
    }
    return result;
}

int segment_publish(struct storage_directory *directory, struct storage_file *file,
                    const char *temporary, const struct segment_header *header,
                    struct journal_error *error)
{
    uint8_t sector[ENTRY_SECTOR];
    struct segment_name name = segment_name(header->first);
    segment_header_encode(header, sector);
    int result = storage_write(file, 0, sector, sizeof sector);
    if (result == 0)
        result = storage_sync(file);
    if (result == 0)
        result = storage_rename(directory, temporary, name.text);
    if (result == 0)
        result = storage_directory_sync(directory);
    return result == 0 ? 0 : journal_error_storage(error, result, "making %s", name.text);
}

static int check_header(struct segment_cursor *cursor, uint64_t first, const uint8_t *bytes,
                        struct journal_error *error)
{
    const char *name = cursor->name.text;
    enum entry_fault fault = segment_header_decode(bytes, &cursor->header);
    if (fault == ENTRY_NEWER)
        return journal_error_set(error, JOURNAL_VERSION, "%s was written by a newer activityd",
                                 name);
    if (fault != ENTRY_SOUND)
        return journal_error_set(error, JOURNAL_DATA_LOSS, "%s: its header is %s; " SEGMENT_WAY_OUT,
                                 name, fault == ENTRY_MISSING ? "missing (zeros)" : "damaged");
    if (cursor->header.first != first)
        return journal_error_set(error, JOURNAL_DATA_LOSS,
                                 "%s says in its header that it begins with entry %" PRIu64
                                 "; " SEGMENT_WAY_OUT,
                                 name, cursor->header.first);
    if (!all_zero(bytes + ENTRY_SECTOR, SEGMENT_DATA - ENTRY_SECTOR))
        return journal_error_set(error, JOURNAL_DATA_LOSS,
                                 "%s: there is something behind its header; " SEGMENT_WAY_OUT,
                                 name);
    return 0;
}

static int read_header(struct segment_cursor *cursor, uint64_t first, struct journal_error *error)
{
    uint8_t bytes[SEGMENT_DATA];
    uint64_t size = 0;
    int result = storage_size(cursor->file, &size);
    if (result == 0 && size >= SEGMENT_DATA)
        result = storage_read(cursor->file, 0, bytes, sizeof bytes);
    if (result != 0)
        return journal_error_storage(error, result, "reading %s", cursor->name.text);
    if (size >= SEGMENT_DATA) {
        result = check_header(cursor, first, bytes, error);
        if (result != 0 || size == cursor->header.size)
            return result;
    }
    return journal_error_set(error, JOURNAL_DATA_LOSS,
                             "%s has %" PRIu64 " bytes, not its full size; " SEGMENT_WAY_OUT,
                             cursor->name.text, size);
}

int segment_cursor_open(struct segment_cursor *cursor, struct storage_directory *directory,
                        uint64_t first, struct journal_error *error)
{
    *cursor = (struct segment_cursor){.name = segment_name(first)};
    int result = storage_open(directory, cursor->name.text, &cursor->file);
    if (result != 0) {
        cursor->file = NULL;
        return journal_error_storage(error, result, "opening %s", cursor->name.text);
    }
    result = read_header(cursor, first, error);
    cursor->window = malloc(SEGMENT_GROUP_BYTES);
    cursor->body = malloc(JOURNAL_BODY_MAX);
    if (result == 0 && (cursor->window == NULL || cursor->body == NULL))
        result = journal_error_set(error, JOURNAL_IO, "no memory to read %s", cursor->name.text);
    if (result != 0) {
        segment_cursor_close(cursor);
        return result;
    }
    cursor->offset = SEGMENT_DATA;
    cursor->index = first;
    cursor->previous = cursor->header.previous;
    return 0;
}

void segment_cursor_close(struct segment_cursor *cursor)
{
    storage_close(cursor->file);
    free(cursor->window);
    free(cursor->body);
    *cursor = (struct segment_cursor){0};
}

static int fill_window(struct segment_cursor *cursor, uint64_t offset, struct journal_error *error)
{
    uint64_t left = cursor->header.size - offset;
    size_t length = left < SEGMENT_GROUP_BYTES ? (size_t)left : SEGMENT_GROUP_BYTES;
    cursor->window_length = 0;
    int result = storage_read(cursor->file, offset, cursor->window, length);
    if (result != 0)
        return journal_error_storage(error, result, "reading %s", cursor->name.text);
    cursor->window_offset = offset;
    cursor->window_length = length;
    return 0;
}

/* The bytes [offset, offset + length) when the window has them, else NULL. */
static const uint8_t *in_window(const struct segment_cursor *cursor, uint64_t offset, size_t length)
{
    if (offset < cursor->window_offset ||
        offset + length > cursor->window_offset + cursor->window_length)
        return NULL;
    return cursor->window + (offset - cursor->window_offset);
}

static enum entry_fault decode(struct segment_cursor *cursor)
{
    const uint8_t *sectors = in_window(cursor, cursor->offset, ENTRY_SECTOR);
    if (sectors == NULL)
        return ENTRY_MISSING;
    enum entry_fault fault = entry_decode_header(sectors, &cursor->entry);
    if (fault != ENTRY_SOUND)
        return fault;
    sectors = in_window(cursor, cursor->offset, entry_bytes(cursor->entry.length));
    /* A window just filled ends before its entry only at the end of the file. */
    return sectors == NULL ? ENTRY_WRONG_HEADER
                           : entry_decode_body(&cursor->entry, sectors, cursor->body);
}

static int entry_damage(const struct segment_cursor *cursor, const char *what,
                        struct journal_error *error)
{
    return journal_error_set(error, JOURNAL_DATA_LOSS,
                             "%s: entry %" PRIu64 " at byte %" PRIu64 ": %s; " SEGMENT_WAY_OUT,
                             cursor->name.text, cursor->index, cursor->offset, what);
}

int segment_cursor_next(struct segment_cursor *cursor, struct journal_error *error)
{
    if (cursor->offset + ENTRY_SECTOR > cursor->header.size)
        return SEGMENT_END;
    enum entry_fault fault = decode(cursor);
    if (fault != ENTRY_SOUND) {
        int result = fill_window(cursor, cursor->offset, error);
        if (result != 0)
            return result;
        fault = decode(cursor);
    }
    if (fault == ENTRY_MISSING)
        return SEGMENT_END;
    if (fault == ENTRY_NEWER)
        return journal_error_set(error, JOURNAL_VERSION,
                                 "%s: entry %" PRIu64 " was written by a newer activityd",
                                 cursor->name.text, cursor->index);
    if (fault != ENTRY_SOUND && fault != ENTRY_LOST_SECTORS)
        return entry_damage(cursor, entry_fault_text(fault), error);
    if (cursor->entry.index != cursor->index)
        return entry_damage(cursor, "another entry is in its place", error);
    if (cursor->entry.previous != cursor->previous)
        return entry_damage(cursor, "it does not continue the entry before it", error);
    if (fault == ENTRY_LOST_SECTORS)
        return SEGMENT_TORN;
    cursor->offset += entry_bytes(cursor->entry.length);
    cursor->index++;
    cursor->previous = cursor->entry.checksum;
    return SEGMENT_ENTRY;
}

/* A sector behind the end that is not zeros. */
static int check_tail_sector(const struct segment_cursor *cursor, uint64_t offset,
                             const uint8_t *sector, struct journal_error *error)
{
    struct entry_header behind;
    if (offset >= cursor->offset + SEGMENT_GROUP_BYTES ||
        entry_sector_kind(sector) == ENTRY_SECTOR_FOREIGN)
        return journal_error_set(error, JOURNAL_DATA_LOSS,
                                 "%s: entry %" PRIu64 " is due at byte %" PRIu64
                                 ", and at byte %" PRIu64
                                 " behind it is something that no entry leaves; " SEGMENT_WAY_OUT,
                                 cursor->name.text, cursor->index, cursor->offset, offset);
    if (entry_sector_kind(sector) == ENTRY_SECTOR_BODY)
        return 0;
    if (entry_decode_header(sector, &behind) == ENTRY_SOUND && behind.index >= cursor->index &&
        behind.synced < cursor->index)
        return 0;
    return journal_error_set(error, JOURNAL_DATA_LOSS,
                             "%s: entry %" PRIu64 " at byte %" PRIu64
                             " is missing, but at byte %" PRIu64
                             " a later entry follows; " SEGMENT_WAY_OUT,
                             cursor->name.text, cursor->index, cursor->offset, offset);
}

int segment_cursor_tail(struct segment_cursor *cursor, struct journal_error *error)
{
    bool found = false;
    for (uint64_t offset = cursor->offset; offset < cursor->header.size;
         offset += cursor->window_length) {
        int result = fill_window(cursor, offset, error);
        if (result != 0)
            return result;
        if (all_zero(cursor->window, cursor->window_length))
            continue;
        found = true;
        for (size_t at = 0; at < cursor->window_length; at += ENTRY_SECTOR) {
            if (entry_sector_kind(cursor->window + at) == ENTRY_SECTOR_ZERO)
                continue;
            result = check_tail_sector(cursor, offset + at, cursor->window + at, error);
            if (result != 0)
                return result;
        }
    }
    return found ? 1 : 0;
}
