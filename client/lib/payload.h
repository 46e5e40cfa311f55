/* Writing an encoded protobuf message into bytes that grow. Any thread. */
#ifndef ACTIVITY_LIB_PAYLOAD_H
#define ACTIVITY_LIB_PAYLOAD_H

#include <activity.h>

#include "proto/view.h"

/* After a failed allocation nothing more is written and `failed` stays. */
struct payload {
    uint8_t *bytes; /* owned */
    size_t length;
    size_t capacity;
    bool failed;
};
void payload_deinit(struct payload *payload);

/* Room for `size` bytes more, to be told by payload_wrote() with the end of what was written; NULL
 * after a failure. */
uint8_t *payload_room(struct payload *payload, size_t size);
void payload_wrote(struct payload *payload, const uint8_t *end);

/* Fields with a number of 1 to 15. Those without "present" leave out a default (0, empty, NULL), as
 * proto3 does; the others are for members of repeated fields and of a oneof. */
void payload_number(struct payload *payload, uint32_t number, uint64_t value);
void payload_present_number(struct payload *payload, uint32_t number, uint64_t value);
void payload_fixed64(struct payload *payload, uint32_t number, uint64_t value);
void payload_bytes(struct payload *payload, uint32_t number, struct view bytes);
void payload_present_bytes(struct payload *payload, uint32_t number, struct view bytes);
void payload_text(struct payload *payload, uint32_t number, const char *string);
void payload_texts(struct payload *payload, uint32_t number, const char *const *strings,
                   size_t count);

/* The tag and length of a message that is put next. */
void payload_head(struct payload *payload, uint32_t number, size_t length);

/* The size of a field with a string; a string as a view; both may be NULL. */
size_t payload_text_size(const char *string);
struct view payload_view(const char *string);

bool payload_is_list(const void *items, size_t count);

/* ACTIVITY_OK, or OUT_OF_MEMORY after a failure. */
int payload_finish(const struct payload *payload, struct activity_error *error);

#endif
