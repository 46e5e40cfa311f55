#include "server/journal/snapshot_file.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "server/check.h"
#include "server/journal/error.h"
#include "server/journal/recovery.h"

enum {
    VERSION = 1,
    OFFSET_VERSION = 8,
    OFFSET_INDEX = 16,
    OFFSET_DIGEST = 24,
    OFFSET_ZERO = 32,
    OFFSET_CHECKSUM = 504,
    OFFSET_LENGTH = 8, /* in a piece and the trailer, with the number in the upper half */
    OFFSET_TOTAL = 16,
    OFFSET_TRAILER_MAGIC = 24,
    TRAILER = 32,
    WRITE_OUT = 4 << 20 /* dirty bytes that may pile up */
};

#define TRAILER_LENGTH UINT32_MAX

static const char magic[8] = "ACTVSNAP";
static const char trailer_magic[8] = "ACTVSEND";

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

struct segment_name snapshot_name(uint64_t index)
{
    return segment_numbered_name(RECOVERY_SNAPSHOT_PREFIX, index);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static uint64_t encode_header(struct journal_snapshot_head head, uint8_t sector[ENTRY_SECTOR])
{
    memset(sector, 0, ENTRY_SECTOR);
    memcpy(sector, magic, sizeof magic);
    put64(sector + OFFSET_VERSION, VERSION | (uint64_t)head.entry_checksum << 32);
    put64(sector + OFFSET_INDEX, head.index);
    put64(sector + OFFSET_DIGEST, head.digest);
    uint64_t checksum = XXH3_64bits(sector, OFFSET_CHECKSUM);
    put64(sector + OFFSET_CHECKSUM, checksum);
    return checksum;
}

int snapshot_output_open(struct snapshot_output *output, struct storage_directory *directory,
                         struct journal_snapshot_head head)
{
    uint8_t sector[ENTRY_SECTOR];
    *output = (struct snapshot_output){.offset = ENTRY_SECTOR};
    output->seal.checksum = encode_header(head, sector);
    output->buffer = malloc(SNAPSHOT_PIECE_HEAD + SNAPSHOT_PIECE);
    if (output->buffer == NULL)
        return -ENOMEM;
    int result = storage_create(directory, RECOVERY_SNAPSHOT_TEMPORARY, 0, &output->file);
    if (result == 0)
        result = storage_write(output->file, 0, sector, sizeof sector);
    if (result != 0)
        snapshot_output_close(output);
    return result;
}

void snapshot_output_close(struct snapshot_output *output)
{
    storage_close(output->file);
    free(output->buffer);
    output->file = NULL;
    output->buffer = NULL;
}

size_t snapshot_output_fill(struct snapshot_output *output, const void *bytes, size_t length)
{
    size_t room = SNAPSHOT_PIECE - output->filled;
    size_t take = length < room ? length : room;
    if (take > 0)
        memcpy(output->buffer + SNAPSHOT_PIECE_HEAD + output->filled, bytes, take);
    output->filled += take;
    return take;
}

int snapshot_output_put(struct snapshot_output *output)
{
    CHECK(output->filled > 0);
    put64(output->buffer + OFFSET_LENGTH, output->filled | (uint64_t)output->number << 32);
    uint64_t checksum = XXH3_64bits_withSeed(output->buffer + OFFSET_LENGTH,
                                             SNAPSHOT_PIECE_HEAD - OFFSET_LENGTH + output->filled,
                                             output->seal.checksum);
    put64(output->buffer, checksum);
    int result = storage_write(output->file, output->offset, output->buffer,
                               SNAPSHOT_PIECE_HEAD + output->filled);
    if (result != 0)
        return result;
    output->seal.checksum = checksum;
    output->seal.bytes += output->filled;
    output->offset += SNAPSHOT_PIECE_HEAD + output->filled;
    output->filled = 0;
    output->number++;
    if (output->offset - output->written_out >= WRITE_OUT) {
        storage_write_out(output->file, output->written_out, WRITE_OUT);
        output->written_out += WRITE_OUT;
    }
    return 0;
}

int snapshot_output_finish(struct snapshot_output *output)
{
    uint8_t trailer[TRAILER];
    CHECK(output->filled == 0);
    put64(trailer + OFFSET_LENGTH, TRAILER_LENGTH | (uint64_t)output->number << 32);
    put64(trailer + OFFSET_TOTAL, output->seal.bytes);
    memcpy(trailer + OFFSET_TRAILER_MAGIC, trailer_magic, sizeof trailer_magic);
    uint64_t checksum = XXH3_64bits_withSeed(trailer + OFFSET_LENGTH, TRAILER - OFFSET_LENGTH,
                                             output->seal.checksum);
    put64(trailer, checksum);
    int result = storage_write(output->file, output->offset, trailer, sizeof trailer);
    if (result == 0)
        output->seal.checksum = checksum;
    return result;
}

int snapshot_output_sync(struct snapshot_output *output)
{
    int result = storage_sync(output->file);
    if (result == 0)
        storage_forget(output->file);
    return result;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static int damaged(const struct snapshot_input *input, const char *what,
                   struct journal_error *error)
{
    return journal_error_set(error, JOURNAL_DATA_LOSS, "%s is damaged: %s", input->name.text, what);
}

static int decode_header(struct snapshot_input *input, const uint8_t *sector,
                         struct journal_error *error)
{
    input->seal.checksum = XXH3_64bits(sector, OFFSET_CHECKSUM);
    if (memcmp(sector, magic, sizeof magic) != 0 ||
        get64(sector + OFFSET_CHECKSUM) != input->seal.checksum)
        return damaged(input, "its header", error);
    uint64_t version = get64(sector + OFFSET_VERSION);
    if ((uint32_t)version != VERSION)
        return journal_error_set(error, JOURNAL_VERSION, "%s was written by a newer activityd",
                                 input->name.text);
    input->head = (struct journal_snapshot_head){.index = get64(sector + OFFSET_INDEX),
                                                 .entry_checksum = (uint32_t)(version >> 32),
                                                 .digest = get64(sector + OFFSET_DIGEST)};
    return 0;
}

static int open_input(struct snapshot_input *input, struct journal_error *error)
{
    uint8_t sector[ENTRY_SECTOR];
    int result = storage_size(input->file, &input->size);
    if (result == 0 && input->size < ENTRY_SECTOR + TRAILER)
        return damaged(input, "it is too short", error);
    if (result == 0)
        result = storage_read(input->file, 0, sector, sizeof sector);
    if (result != 0)
        return journal_error_storage(error, result, "reading %s", input->name.text);
    return decode_header(input, sector, error);
}

int snapshot_input_open(struct snapshot_input *input, struct storage_directory *directory,
                        const char *name, struct journal_error *error)
{
    *input = (struct snapshot_input){.offset = ENTRY_SECTOR};
    CHECK(strlen(name) <= STORAGE_NAME_MAX);
    memcpy(input->name.text, name, strlen(name) + 1);
    int result = storage_open(directory, name, &input->file);
    if (result != 0) {
        input->file = NULL;
        return journal_error_storage(error, result, "opening %s", name);
    }
    result = open_input(input, error);
    input->buffer = malloc(SNAPSHOT_PIECE_HEAD + SNAPSHOT_PIECE);
    if (result == 0 && input->buffer == NULL)
        result = journal_error_set(error, JOURNAL_IO, "no memory to read %s", name);
    if (result != 0)
        snapshot_input_close(input);
    return result;
}

void snapshot_input_close(struct snapshot_input *input)
{
    storage_close(input->file);
    free(input->buffer);
    input->file = NULL;
    input->buffer = NULL;
    input->piece = NULL;
    input->length = 0;
}

static int check_trailer(struct snapshot_input *input, size_t present, struct journal_error *error)
{
    const uint8_t *trailer = input->buffer;
    if (present != TRAILER ||
        memcmp(trailer + OFFSET_TRAILER_MAGIC, trailer_magic, sizeof trailer_magic) != 0 ||
        get64(trailer + OFFSET_TOTAL) != input->seal.bytes)
        return damaged(input, "its end", error);
    uint64_t checksum = XXH3_64bits_withSeed(trailer + OFFSET_LENGTH, TRAILER - OFFSET_LENGTH,
                                             input->seal.checksum);
    if (get64(trailer) != checksum)
        return damaged(input, "its end", error);
    input->seal.checksum = checksum;
    return 0;
}

int snapshot_input_next(struct snapshot_input *input, struct journal_error *error)
{
    uint64_t left = input->size - input->offset;
    size_t present = left < SNAPSHOT_PIECE_HEAD + SNAPSHOT_PIECE
                         ? (size_t)left
                         : SNAPSHOT_PIECE_HEAD + SNAPSHOT_PIECE;
    input->length = 0;
    if (present < TRAILER)
        return damaged(input, "it ends early", error);
    int result = storage_read(input->file, input->offset, input->buffer, present);
    if (result != 0)
        return journal_error_storage(error, result, "reading %s", input->name.text);
    uint64_t word = get64(input->buffer + OFFSET_LENGTH);
    uint32_t length = (uint32_t)word;
    if (word >> 32 != input->number)
        return damaged(input, "a piece is not in its place", error);
    if (length == TRAILER_LENGTH)
        return check_trailer(input, present, error);
    if (length == 0 || length > present - SNAPSHOT_PIECE_HEAD)
        return damaged(input, "the length of a piece", error);
    uint64_t checksum =
        XXH3_64bits_withSeed(input->buffer + OFFSET_LENGTH,
                             SNAPSHOT_PIECE_HEAD - OFFSET_LENGTH + length, input->seal.checksum);
    if (get64(input->buffer) != checksum)
        return damaged(input, "the checksum of a piece does not hold", error);
    input->seal.checksum = checksum;
    input->seal.bytes += length;
    input->offset += SNAPSHOT_PIECE_HEAD + length;
    input->number++;
    input->piece = input->buffer + SNAPSHOT_PIECE_HEAD;
    input->length = length;
    return 1;
}

int snapshot_input_check(struct snapshot_input *input, struct storage_directory *directory,
                         const char *name, struct journal_error *error)
{
    int result = snapshot_input_open(input, directory, name, error);
    if (result != 0)
        return result;
    do
        result = snapshot_input_next(input, error);
    while (result == 1);
    snapshot_input_close(input);
    return result;
}
