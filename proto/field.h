/* The fields of an encoded protobuf message, one at a time, read and written in place.
 *
 * Reading is total and bounded: any bytes give a field, the end or a refusal. Groups are refused
 * (proto3 has none), as are the field number 0 and tags above 32 bits. Nothing allocates, blocks or
 * keeps state; any thread. */
#ifndef ACTIVITYD_PROTO_FIELD_H
#define ACTIVITYD_PROTO_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include "proto/view.h"

/* How a field's value is encoded; the numbers are the wire's. */
enum field_type {
    FIELD_VARINT = 0,
    FIELD_FIXED64 = 1,
    FIELD_BYTES = 2, /* strings, bytes, messages and packed columns */
    FIELD_FIXED32 = 5,
};

struct field {
    uint32_t number;
    enum field_type type;
    uint64_t value;    /* of the three numeric types, else 0 */
    struct view bytes; /* of FIELD_BYTES, else empty; points into what was read */
};

enum field_outcome {
    FIELD_READ = 0,
    FIELD_END = 1,       /* nothing is left */
    FIELD_MALFORMED = 2, /* what is left is no field */
};

/* Takes the first field off `rest`. On FIELD_MALFORMED `rest` is left as it was. */
__attribute__((warn_unused_result)) enum field_outcome field_next(struct view *rest,
                                                                  struct field *field);

/* Sizes and writers of single fields, for numbers 1..15 (one byte of tag), which is all our
 * envelopes and columns use. The scalar ones leave out a default (0 or empty), as proto3 does;
 * field_head is for what is present even when it is empty: the tag and length of a message or of a
 * member of a repeated field, whose bytes the caller writes next. */
size_t field_head_size(size_t length);
size_t field_varint_size(uint64_t value);
size_t field_fixed64_size(uint64_t value);
size_t field_bytes_size(size_t length);

/* Each returns the byte after the last one written; `to` has room for the matching size. */
uint8_t *field_write_head(uint8_t *to, uint32_t number, size_t length);
uint8_t *field_write_varint(uint8_t *to, uint32_t number, uint64_t value);
uint8_t *field_write_fixed64(uint8_t *to, uint32_t number, uint64_t value);
uint8_t *field_write_bytes(uint8_t *to, uint32_t number, struct view bytes);

#endif
