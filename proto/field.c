#include "proto/field.h"

#include <string.h>

#include "proto/varint.h"

#define TAG_BYTES_MAX    5 /* a tag has 32 bits: 29 of field number, 3 of type */
#define LENGTH_BYTES_MAX 5 /* more than any length below 2 GiB takes, padded or not */

/* Reads a varint that has at most `bytes_max` bytes, or returns 0. */
static size_t read_short_varint(const uint8_t *at, const uint8_t *end, size_t bytes_max,
                                uint64_t *value)
{
    size_t used = varint_read(at, end, value);
    return used <= bytes_max ? used : 0;
}

/* Little-endian, whatever this machine is. */
static uint64_t read_fixed(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

/* Reads the value of a field whose type is known. Returns the bytes it takes, 0 if it is malformed.
 */
static size_t read_value(const uint8_t *at, const uint8_t *end, struct field *field)
{
    size_t room = (size_t)(end - at);
    switch (field->type) {
    case FIELD_VARINT:
        return varint_read(at, end, &field->value);
    case FIELD_FIXED64:
    case FIELD_FIXED32: {
        size_t width = field->type == FIELD_FIXED64 ? 8 : 4;
        if (room < width) {
            return 0;
        }
        field->value = read_fixed(at, width);
        return width;
    }
    case FIELD_BYTES: {
        uint64_t length;
        size_t used = read_short_varint(at, end, LENGTH_BYTES_MAX, &length);
        if (used == 0 || length > room - used) {
            return 0;
        }
        field->bytes = (struct view){at + used, (size_t)length};
        return used + (size_t)length;
    }
    }
    return 0; /* groups, and the two types that do not exist */
}

enum field_outcome field_next(struct view *rest, struct field *field)
{
    if (rest->length == 0) {
        return FIELD_END;
    }
    const uint8_t *at = rest->bytes;
    const uint8_t *end = at + rest->length;
    uint64_t tag;
    size_t tag_bytes = read_short_varint(at, end, TAG_BYTES_MAX, &tag);
    if (tag_bytes == 0 || tag > UINT32_MAX || tag >> 3 == 0) {
        return FIELD_MALFORMED;
    }
    *field = (struct field){.number = (uint32_t)(tag >> 3), .type = (enum field_type)(tag & 7)};
    size_t value_bytes = read_value(at + tag_bytes, end, field);
    if (value_bytes == 0) {
        return FIELD_MALFORMED;
    }
    rest->bytes += tag_bytes + value_bytes;
    rest->length -= tag_bytes + value_bytes;
    return FIELD_READ;
}

size_t field_head_size(size_t length)
{
    return 1 + varint_size(length);
}

size_t field_varint_size(uint64_t value)
{
    return value == 0 ? 0 : 1 + varint_size(value);
}

size_t field_fixed64_size(uint64_t value)
{
    return value == 0 ? 0 : 1 + sizeof(value);
}

size_t field_bytes_size(size_t length)
{
    return length == 0 ? 0 : field_head_size(length) + length;
}

static uint8_t *write_tag(uint8_t *to, uint32_t number, enum field_type type)
{
    *to++ = (uint8_t)(number << 3 | type);
    return to;
}

uint8_t *field_write_head(uint8_t *to, uint32_t number, size_t length)
{
    return varint_write(write_tag(to, number, FIELD_BYTES), length);
}

uint8_t *field_write_varint(uint8_t *to, uint32_t number, uint64_t value)
{
    return value == 0 ? to : varint_write(write_tag(to, number, FIELD_VARINT), value);
}

uint8_t *field_write_fixed64(uint8_t *to, uint32_t number, uint64_t value)
{
    if (value == 0) {
        return to;
    }
    to = write_tag(to, number, FIELD_FIXED64);
    for (size_t i = 0; i < sizeof(value); i++) {
        *to++ = (uint8_t)(value >> (8 * i));
    }
    return to;
}

uint8_t *field_write_bytes(uint8_t *to, uint32_t number, struct view bytes)
{
    if (bytes.length == 0) {
        return to;
    }
    to = field_write_head(to, number, bytes.length);
    memcpy(to, bytes.bytes, bytes.length);
    return to + bytes.length;
}
