#include "client/lib/payload.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/error.h"
#include "proto/field.h"
#include "proto/varint.h"

enum { CAPACITY_FIRST = 256 };

void payload_deinit(struct payload *payload)
{
    free(payload->bytes);
    *payload = (struct payload){0};
}

/* What exceeds the limit of a request by far need not be collected. */
uint8_t *payload_room(struct payload *payload, size_t size)
{
    if (payload->failed || size > SIZE_MAX / 4 || payload->length > SIZE_MAX / 4) {
        payload->failed = true;
        return NULL;
    }
    size_t needed = payload->length + size;
    if (needed > payload->capacity) {
        size_t capacity = payload->capacity == 0 ? CAPACITY_FIRST : payload->capacity * 2;
        capacity = capacity < needed ? needed : capacity;
        uint8_t *bytes = realloc(payload->bytes, capacity);
        if (bytes == NULL) {
            payload->failed = true;
            return NULL;
        }
        payload->bytes = bytes;
        payload->capacity = capacity;
    }
    return payload->bytes + payload->length;
}

void payload_wrote(struct payload *payload, const uint8_t *end)
{
    payload->length = (size_t)(end - payload->bytes);
}

void payload_number(struct payload *payload, uint32_t number, uint64_t value)
{
    uint8_t *to = payload_room(payload, field_varint_size(value));
    if (to != NULL) {
        payload_wrote(payload, field_write_varint(to, number, value));
    }
}

void payload_present_number(struct payload *payload, uint32_t number, uint64_t value)
{
    uint8_t *to = payload_room(payload, 1 + VARINT_BYTES_MAX);
    if (to != NULL) {
        *to++ = (uint8_t)(number << 3 | FIELD_VARINT);
        payload_wrote(payload, varint_write(to, value));
    }
}

void payload_fixed64(struct payload *payload, uint32_t number, uint64_t value)
{
    uint8_t *to = payload_room(payload, field_fixed64_size(value));
    if (to != NULL) {
        payload_wrote(payload, field_write_fixed64(to, number, value));
    }
}

void payload_head(struct payload *payload, uint32_t number, size_t length)
{
    uint8_t *to = payload_room(payload, field_head_size(length));
    if (to != NULL) {
        payload_wrote(payload, field_write_head(to, number, length));
    }
}

void payload_present_bytes(struct payload *payload, uint32_t number, struct view bytes)
{
    payload_head(payload, number, bytes.length);
    uint8_t *to = payload_room(payload, bytes.length);
    if (to != NULL && bytes.length > 0) {
        memcpy(to, bytes.bytes, bytes.length);
        payload_wrote(payload, to + bytes.length);
    }
}

void payload_bytes(struct payload *payload, uint32_t number, struct view bytes)
{
    if (bytes.length > 0) {
        payload_present_bytes(payload, number, bytes);
    }
}

struct view payload_view(const char *string)
{
    return string == NULL ? (struct view){0} : view_of(string);
}

void payload_text(struct payload *payload, uint32_t number, const char *string)
{
    payload_bytes(payload, number, payload_view(string));
}

void payload_texts(struct payload *payload, uint32_t number, const char *const *strings,
                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        payload_present_bytes(payload, number, payload_view(strings[i]));
    }
}

size_t payload_text_size(const char *string)
{
    return field_bytes_size(payload_view(string).length);
}

int payload_finish(const struct payload *payload, struct activity_error *error)
{
    return payload->failed ? error_no_memory(error) : error_clear(error);
}

bool payload_is_list(const void *items, size_t count)
{
    return count == 0 || items != NULL;
}
