/* What the tests of the core stand on: a core in memory of its own, entries made of commands,
 * snapshots kept in memory. */
#ifndef ACTIVITYD_TESTS_SIM_RIG_H
#define ACTIVITYD_TESTS_SIM_RIG_H

#include "server/core/core.h"

#include <stdlib.h>

/* Growing bytes, written at the end and read from `position`. Start with zeros; buffer_free leaves
 * them so. */
struct buffer {
    uint8_t *at;
    size_t length;
    size_t room;
    size_t position;
};
void buffer_put(struct buffer *buffer, const void *from, size_t length);
void buffer_free(struct buffer *buffer);
static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_of(buffer->at, buffer->length);
}

/* An entry before it is bytes. The commands are views; whoever fills them keeps what they point to.
 */
struct entry {
    struct entry_head head; /* count is set by entry_encode */
    struct command *commands;
    uint32_t count;
};
/* Appends the encoded entry. */
void entry_encode(const struct entry *entry, struct buffer *to);

/* One core and the memory it lives in. */
struct rig {
    struct core *core;
    void *memory;
    size_t size;
    uint64_t index; /* of the last entry applied */
};
void rig_open(struct rig *rig, const struct core_limits *capacity);
void rig_close(struct rig *rig); /* accepts a closed one */

/* Applies the next entry. */
__attribute__((warn_unused_result)) enum core_outcome rig_apply(struct rig *rig, struct bytes entry,
                                                                struct bytes *effects);

/* Writes a snapshot to the end of `to`; must succeed. */
void rig_save(const struct rig *rig, struct buffer *to);

/* Opens a core with the capacity that a snapshot asks for, raised by `more` (may be NULL), and
 * loads it. Returns what core_snapshot_read does, or -100 when the limits could not be read; the
 * rig is open only on 0. */
__attribute__((warn_unused_result)) int rig_load(struct rig *rig, struct bytes snapshot,
                                                 const struct core_limits *more);

/* core_info by value. */
struct core_info rig_info(const struct rig *rig);

#endif
