#include "tests/sim/rig.h"

#include "server/check.h"

#include <sys/mman.h>

void buffer_put(struct buffer *buffer, const void *from, size_t length)
{
    if (length > buffer->room - buffer->length) {
        size_t room = buffer->room < 4096 ? 4096 : buffer->room;
        while (room - buffer->length < length) {
            room *= 2;
        }
        buffer->at = realloc(buffer->at, room);
        CHECK(buffer->at != NULL);
        buffer->room = room;
    }
    if (length > 0) {
        memcpy(buffer->at + buffer->length, from, length);
        buffer->length += length;
    }
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->at);
    *buffer = (struct buffer){0};
}

void entry_encode(const struct entry *entry, struct buffer *to)
{
    struct entry_head head = entry->head;
    head.count = entry->count;
    struct writer measure = writer_of(NULL, 0);
    entry_head_encode(&head, &measure);
    for (uint32_t i = 0; i < entry->count; i++) {
        command_encode(&entry->commands[i], &measure);
    }
    /* An exact allocation, so that a read past the end of an entry is seen by the sanitizer. */
    uint8_t *exact = malloc(measure.wanted);
    CHECK(exact != NULL);
    struct writer writer = writer_of(exact, measure.wanted);
    entry_head_encode(&head, &writer);
    for (uint32_t i = 0; i < entry->count; i++) {
        command_encode(&entry->commands[i], &writer);
    }
    CHECK(!writer.failed && writer.at == writer.end);
    buffer_put(to, exact, measure.wanted);
    free(exact);
}

void rig_open(struct rig *rig, const struct core_limits *capacity)
{
    rig->size = core_memory_bytes(capacity);
    rig->memory = mmap(NULL, rig->size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(rig->memory != MAP_FAILED);
    rig->core = core_init(rig->memory, capacity);
    CHECK(rig->core != NULL);
    rig->index = 0;
}

void rig_close(struct rig *rig)
{
    if (rig->memory != NULL) {
        CHECK(munmap(rig->memory, rig->size) == 0);
    }
    *rig = (struct rig){0};
}

enum core_outcome rig_apply(struct rig *rig, struct bytes entry, struct bytes *effects)
{
    uint8_t *exact = malloc(entry.length + !entry.length);
    CHECK(exact != NULL);
    if (entry.length > 0) {
        memcpy(exact, entry.at, entry.length);
    }
    enum core_outcome outcome =
        core_apply(rig->core, ++rig->index, bytes_of(exact, entry.length), effects);
    free(exact); /* the effects may not point into it */
    return outcome;
}

static int save(void *context, const void *bytes, size_t length)
{
    buffer_put(context, bytes, length);
    return 0;
}

static int load(void *context, void *bytes, size_t length)
{
    struct buffer *from = context;
    if (from->length - from->position < length) {
        return -101;
    }
    if (length > 0) {
        memcpy(bytes, from->at + from->position, length);
    }
    from->position += length;
    return 0;
}

void rig_save(const struct rig *rig, struct buffer *to)
{
    struct core_stream stream = {to, save, NULL};
    CHECK(core_snapshot_write(rig->core, &stream) == 0);
}

int rig_load(struct rig *rig, struct bytes snapshot, const struct core_limits *more)
{
    struct buffer from = {.at = malloc(snapshot.length + !snapshot.length),
                          .length = snapshot.length};
    CHECK(from.at != NULL);
    if (snapshot.length > 0) {
        memcpy(from.at, snapshot.at, snapshot.length);
    }
    struct core_stream stream = {&from, NULL, load};
    struct core_limits capacity;
    int outcome = -100;
    if (core_snapshot_limits(&stream, &capacity) == 0) {
        if (more != NULL) {
            core_limits_raise(&capacity, more);
        }
        from.position = 0;
        rig_open(rig, &capacity);
        outcome = core_snapshot_read(rig->core, &stream);
        if (outcome == 0 && from.position != from.length) {
            outcome = -102;
        }
        if (outcome == 0) {
            rig->index = rig_info(rig).index;
        } else {
            rig_close(rig);
        }
    }
    buffer_free(&from);
    return outcome;
}

struct core_info rig_info(const struct rig *rig)
{
    struct core_info info;
    core_info(rig->core, &info);
    return info;
}
