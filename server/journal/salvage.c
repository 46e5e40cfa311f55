#include "server/journal/salvage.h"

#include <stdlib.h>

#include "server/journal/error.h"

static int open_damaged(struct segment_cursor *cursor, struct storage_directory *directory,
                        uint64_t first, struct journal_error *error)
{
    uint64_t size = 0;
    *cursor = (struct segment_cursor){.name = segment_name(first)};
    int result = storage_open(directory, cursor->name.text, &cursor->file);
    if (result == 0)
        result = storage_size(cursor->file, &size);
    else
        cursor->file = NULL;
    if (result != 0)
        return journal_error_storage(error, result, "reading %s", cursor->name.text);
    cursor->header =
        (struct segment_header){.first = first, .size = size / ENTRY_SECTOR * ENTRY_SECTOR};
    cursor->offset = SEGMENT_DATA;
    cursor->index = first;
    cursor->window = malloc(SEGMENT_GROUP_BYTES);
    cursor->body = malloc(JOURNAL_BODY_MAX);
    return cursor->window != NULL && cursor->body != NULL
               ? 0
               : journal_error_set(error, JOURNAL_IO, "no memory to read %s", cursor->name.text);
}

int salvage_open(struct salvage *salvage, struct storage_directory *directory, uint64_t first,
                 struct journal_error *error)
{
    int result = segment_cursor_open(&salvage->cursor, directory, first, &salvage->problem);
    salvage->intact = result == 0;
    if (result == 0)
        return 0;
    if (result != JOURNAL_DATA_LOSS) {
        *error = salvage->problem;
        return result;
    }
    result = open_damaged(&salvage->cursor, directory, first, error);
    if (result != 0)
        salvage_close(salvage);
    return result;
}

void salvage_close(struct salvage *salvage)
{
    segment_cursor_close(&salvage->cursor);
}

/* Calls `visit` with each sector from `offset` on until it returns true; *found is where that was.
 * Returns 1, 0 for never, negative when reading fails. Uses the cursor's window. */
static int each_sector(struct segment_cursor *cursor, uint64_t offset,
                       bool (*visit)(void *context, const uint8_t *sector), void *context,
                       uint64_t *found, struct journal_error *error)
{
    cursor->window_length = 0;
    for (size_t length; offset < cursor->header.size; offset += length) {
        uint64_t left = cursor->header.size - offset;
        length = left < SEGMENT_GROUP_BYTES ? (size_t)left : SEGMENT_GROUP_BYTES;
        int result = storage_read(cursor->file, offset, cursor->window, length);
        if (result != 0)
            return journal_error_storage(error, result, "reading %s", cursor->name.text);
        for (size_t at = 0; at < length; at += ENTRY_SECTOR) {
            if (!visit(context, cursor->window + at))
                continue;
            *found = offset + at;
            return 1;
        }
    }
    return 0;
}

static bool is_wanted(void *context, const uint8_t *sector)
{
    const struct entry_header *wanted = context;
    struct entry_header header;
    return entry_decode_header(sector, &header) == ENTRY_SOUND && header.index == wanted->index &&
           header.previous == wanted->previous;
}

int salvage_find(struct salvage *salvage, uint64_t index, uint32_t previous,
                 struct journal_error *error)
{
    struct segment_cursor *cursor = &salvage->cursor;
    struct entry_header wanted = {.index = index, .previous = previous};
    uint64_t found = 0;
    int result = each_sector(cursor, SEGMENT_DATA, is_wanted, &wanted, &found, error);
    if (result != 1)
        return result;
    cursor->offset = found;
    cursor->index = index;
    cursor->previous = previous;
    return 1;
}

static bool count_sector(void *context, const uint8_t *sector)
{
    struct salvage_rest *rest = context;
    struct entry_header header;
    if (entry_sector_kind(sector) == ENTRY_SECTOR_ZERO)
        return false;
    rest->bytes += ENTRY_SECTOR;
    if (entry_decode_header(sector, &header) == ENTRY_SOUND && header.index > rest->highest)
        rest->highest = header.index;
    return false;
}

int salvage_rest(struct salvage *salvage, struct salvage_rest *rest, struct journal_error *error)
{
    uint64_t nowhere;
    return each_sector(&salvage->cursor, salvage->cursor.offset, count_sector, rest, &nowhere,
                       error);
}
