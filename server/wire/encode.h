/* Appending protobuf fields: what answers, and the encoded parts inside commands, are written with.
 *
 * proto/field.h writes the envelope, whose numbers are below 16; messages here go beyond. A scalar
 * with its default is left out, as proto3 says; encode_member is for members of repeated fields and
 * for messages, which are present even when empty. The caller has made sure of the room; each
 * returns the byte after the last one written. Any thread. */
#ifndef ACTIVITYD_SERVER_WIRE_ENCODE_H
#define ACTIVITYD_SERVER_WIRE_ENCODE_H

#include <string.h>

#include "proto/field.h"
#include "proto/varint.h"
#include "server/core/bytes.h"

/* Tag and length of a field with bytes: numbers up to 2^11, lengths up to 2^28. */
#define ENCODE_HEAD_MAX 6

static inline uint8_t *encode_tag(uint8_t *to, uint32_t number, enum field_type type)
{
    return varint_write(to, (uint64_t)number << 3 | (uint64_t)type);
}

static inline uint8_t *encode_number(uint8_t *to, uint32_t number, uint64_t value)
{
    return value == 0 ? to : varint_write(encode_tag(to, number, FIELD_VARINT), value);
}

static inline uint8_t *encode_fixed64(uint8_t *to, uint32_t number, uint64_t value)
{
    if (value == 0) {
        return to;
    }
    to = encode_tag(to, number, FIELD_FIXED64);
    memcpy(to, &value, sizeof value); /* bytes.h has made sure that this machine is little-endian */
    return to + sizeof value;
}

static inline uint8_t *encode_raw(uint8_t *to, struct bytes bytes)
{
    if (bytes.length != 0) {
        memcpy(to, bytes.at, bytes.length);
    }
    return to + bytes.length;
}

static inline uint8_t *encode_head(uint8_t *to, uint32_t number, size_t length)
{
    return varint_write(encode_tag(to, number, FIELD_BYTES), length);
}

static inline uint8_t *encode_member(uint8_t *to, uint32_t number, struct bytes bytes)
{
    return encode_raw(encode_head(to, number, bytes.length), bytes);
}

static inline uint8_t *encode_bytes(uint8_t *to, uint32_t number, struct bytes bytes)
{
    return bytes.length == 0 ? to : encode_member(to, number, bytes);
}

static inline struct bytes encoded_since(const uint8_t *from, const uint8_t *to)
{
    return bytes_of(from, (size_t)(to - from));
}

#endif
