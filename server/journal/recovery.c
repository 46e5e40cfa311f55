#include "server/journal/recovery.h"

#include <stdlib.h>
#include <string.h>

#include "server/journal/error.h"

static bool append(struct recovery_numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->capacity) {
        size_t capacity = numbers->capacity == 0 ? 16 : numbers->capacity * 2;
        uint64_t *items = realloc(numbers->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        numbers->items = items;
        numbers->capacity = capacity;
    }
    numbers->items[numbers->count++] = number;
    return true;
}

static void visit(void *context, const char *name)
{
    struct recovery_listing *listing = context;
    uint64_t number;
    bool kept = true;
    if (segment_numbered_parse(SEGMENT_PREFIX, name, &number))
        kept = append(&listing->segments, number);
    else if (segment_numbered_parse(RECOVERY_SNAPSHOT_PREFIX, name, &number))
        kept = append(&listing->snapshots, number);
    else if (strcmp(name, RECOVERY_REPAIRING) == 0)
        listing->repairing = true;
    listing->out_of_memory = listing->out_of_memory || !kept;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void sort(struct recovery_numbers *numbers)
{
    if (numbers->count > 1)
        qsort(numbers->items, numbers->count, sizeof *numbers->items, ascending);
}

int recovery_list(struct storage_directory *directory, struct recovery_listing *listing,
                  struct journal_error *error)
{
    *listing = (struct recovery_listing){0};
    int result = storage_list(directory, visit, listing);
    if (result != 0)
        return journal_error_storage(error, result, "listing the journal's directory");
    if (listing->out_of_memory)
        return journal_error_set(error, JOURNAL_IO, "no memory to list the journal's directory");
    sort(&listing->segments);
    sort(&listing->snapshots);
    return 0;
}

void recovery_listing_free(struct recovery_listing *listing)
{
    free(listing->segments.items);
    free(listing->snapshots.items);
    *listing = (struct recovery_listing){0};
}

int recovery_find_end(struct storage_directory *directory, uint64_t first, struct recovery_end *end,
                      struct journal_error *error)
{
    struct segment_cursor cursor;
    int result = segment_cursor_open(&cursor, directory, first, error);
    if (result != 0)
        return result;
    do
        result = segment_cursor_next(&cursor, error);
    while (result == SEGMENT_ENTRY);
    if (result >= 0)
        result = segment_cursor_tail(&cursor, error);
    *end = (struct recovery_end){.header = cursor.header,
                                 .index = cursor.index - 1,
                                 .checksum = cursor.previous,
                                 .offset = cursor.offset,
                                 .torn = result == 1};
    segment_cursor_close(&cursor);
    return result < 0 ? result : 0;
}
