/* What PROTOCOL.md shows of a message: its fields in the manner of protobuf's text format, and its
 * bytes as xxd prints them (so that `xxd -r` turns them back into a file). */
#ifndef ACTIVITYD_TESTS_UNIT_PROTO_PROTOCOL_PRINT_H
#define ACTIVITYD_TESTS_UNIT_PROTO_PROTOCOL_PRINT_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <protobuf-c/protobuf-c.h>

/* Text that grows in a fixed room. */
struct text {
    char bytes[1 << 17];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static inline void text_add(struct text *text,
                                                                  const char *format, ...)
{
    size_t room = sizeof(text->bytes) - text->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    assert_true(length >= 0 && (size_t)length < room);
    text->length += (size_t)length;
}

static inline void print_dump(struct text *text, const uint8_t *bytes, size_t length)
{
    for (size_t line = 0; line < length; line += 16) {
        text_add(text, "%08zx:", line);
        for (size_t i = line; i < line + 16; i++) {
            text_add(text, i % 2 == 0 ? " " : "");
            if (i < length) {
                text_add(text, "%02x", bytes[i]);
            } else {
                text_add(text, "  ");
            }
        }
        text_add(text, "  ");
        for (size_t i = line; i < line + 16 && i < length; i++) {
            text_add(text, "%c", bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
        }
        text_add(text, "\n");
    }
}

/* Text as it is, anything else in hexadecimal throughout. */
static inline void print_quoted(struct text *text, const uint8_t *bytes, size_t length)
{
    bool is_text = true;
    for (size_t i = 0; i < length; i++) {
        is_text &= bytes[i] >= 0x20 && bytes[i] < 0x7f;
    }
    text_add(text, "\"");
    for (size_t i = 0; i < length; i++) {
        bool is_escaped = bytes[i] == '"' || bytes[i] == '\\';
        text_add(text, !is_text ? "\\x%02x" : is_escaped ? "\\%c" : "%c", bytes[i]);
    }
    text_add(text, "\"");
}

static inline void print_fields(struct text *text, const ProtobufCMessage *message, int indent);

/* Whether it is a default, which proto3 does not send. */
static inline bool is_default(const ProtobufCFieldDescriptor *field, const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return (*(char *const *)value)[0] == '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)value)->len == 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)value == NULL;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)value == 0;
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_UINT32:
        return *(const uint32_t *)value == 0;
    default:
        return *(const uint64_t *)value == 0;
    }
}

static inline void print_value(struct text *text, const ProtobufCFieldDescriptor *field,
                               const void *value, int indent)
{
    text_add(text, "%*s%s", indent, "", field->name);
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        text_add(text, ": ");
        print_quoted(text, *(uint8_t *const *)value, strlen(*(char *const *)value));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        text_add(text, ": ");
        print_quoted(text, ((const ProtobufCBinaryData *)value)->data,
                     ((const ProtobufCBinaryData *)value)->len);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        text_add(text, " {\n");
        print_fields(text, *(ProtobufCMessage *const *)value, indent + 2);
        text_add(text, "%*s}", indent, "");
        break;
    case PROTOBUF_C_TYPE_BOOL:
        text_add(text, ": true");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        text_add(
            text, ": %s",
            protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)value)->name);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        text_add(text, ": %" PRIu32, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        text_add(text, ": %" PRIu64, *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_SINT64:
        text_add(text, ": %" PRId64, *(const int64_t *)value);
        break;
    case PROTOBUF_C_TYPE_FIXED64:
        text_add(text, ": 0x%016" PRIx64, *(const uint64_t *)value);
        break;
    default:
        fail_msg("no way to print the type of %s", field->name);
    }
    text_add(text, "\n");
}

static inline size_t value_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_UINT32:
        return 4;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 8;
    }
}

/* The fields that travel, in the order of their numbers. */
static inline void print_fields(struct text *text, const ProtobufCMessage *message, int indent)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const char *member = (const char *)message + field->offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count;
            memcpy(&count, (const char *)message + field->quantifier_offset, sizeof(count));
            const char *list = *(const char *const *)member;
            for (size_t j = 0; j < count; j++) {
                print_value(text, field, list + j * value_size(field), indent);
            }
        } else if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            uint32_t chosen;
            memcpy(&chosen, (const char *)message + field->quantifier_offset, sizeof(chosen));
            if (chosen == field->id) {
                print_value(text, field, member, indent);
            }
        } else if (!is_default(field, member)) {
            print_value(text, field, member, indent);
        }
    }
}

#endif
