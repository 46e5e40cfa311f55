#include "client/lib/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/status.h"

int error_clear(struct activity_error *error)
{
    if (error != NULL) {
        *error = (struct activity_error){.code = ACTIVITY_OK};
    }
    return ACTIVITY_OK;
}

int error_set(struct activity_error *error, enum activity_code code, const char *reason,
              const char *format, ...)
{
    if (error != NULL) {
        *error = (struct activity_error){.code = code};
        snprintf(error->reason, sizeof error->reason, "%s", reason);
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return (int)code;
}

int error_bad_field(struct activity_error *error, const char *field, const char *rule)
{
    error_set(error, ACTIVITY_INVALID_ARGUMENT, "BAD_FIELD", "%s %s", field, rule);
    if (error != NULL) {
        snprintf(error->field, sizeof error->field, "%s", field);
    }
    return ACTIVITY_INVALID_ARGUMENT;
}

int error_no_memory(struct activity_error *error)
{
    return error_set(error, ACTIVITY_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "out of memory");
}

int error_malformed_reply(struct activity_error *error, const char *what)
{
    return error_set(error, ACTIVITY_INTERNAL, "MALFORMED_REPLY",
                     "the server's answer is not understood: %s", what);
}

/* Cuts at the end of a character, if it must be cut. */
static void copy_text(char *to, size_t size, struct view text)
{
    size_t length = text.length;
    if (length >= size) {
        length = size - 1;
        while (length > 0 && (text.bytes[length] & 0xC0) == 0x80) {
            length--;
        }
    }
    if (length > 0) {
        memcpy(to, text.bytes, length);
    }
    to[length] = '\0';
}

int error_from_reply(struct activity_error *error, const struct frame_reply *reply)
{
    /* A code of a later version is an error of a kind that is not known here. */
    enum activity_code code =
        reply->code < STATUS_CODE_COUNT ? (enum activity_code)reply->code : ACTIVITY_UNKNOWN;
    if (error == NULL || code == ACTIVITY_OK) {
        error_clear(error);
        return (int)code;
    }
    *error = (struct activity_error){.code = code, .retry_after_ms = reply->retry_after_ms};
    copy_text(error->reason, sizeof error->reason, reply->reason);
    copy_text(error->message, sizeof error->message, reply->message);
    for (size_t i = 0; i < reply->metadata_count; i++) {
        if (view_equal(reply->metadata[i].name, view_of("field"))) {
            copy_text(error->field, sizeof error->field, reply->metadata[i].value);
        }
    }
    return (int)code;
}
