#include "server/engine/window.h"

#include "server/check.h"
#include "server/engine/memory.h"

#define CHUNK_BYTES  (256u * 1024u)
#define EFFECT_BYTES (8u + EVENT_BYTES_MAX) /* of one event at most */

/* An effect as the core writes it: see effect.h. */
static void put_event(struct writer *to, const struct core *core, uint64_t sequence)
{
    uint8_t body[EVENT_BYTES_MAX];
    uint8_t kind;
    uint32_t length;
    CHECK(core_event_read(core, sequence, &kind, body, &length));
    writer_u8(to, EFFECT_EVENT);
    writer_u8(to, kind);
    writer_u16(to, 0);
    writer_u32(to, length);
    writer_put(to, body, length);
    CHECK(!to->failed);
}

/* Tells as many as fit. Returns the next one's sequence. */
static uint64_t tell_chunk(const struct core *core, const struct engine_outlets *outlets,
                           uint8_t *chunk, uint64_t from, uint64_t last)
{
    struct writer writer = writer_of(chunk, CHUNK_BYTES);
    while (from <= last && (size_t)(writer.end - writer.at) >= EFFECT_BYTES) {
        put_event(&writer, core, from++);
    }
    outlets->events(outlets->context, bytes_of(chunk, (size_t)(writer.at - chunk)));
    return from;
}

int window_tell(const struct core *core, const struct engine_outlets *outlets)
{
    struct core_info info;
    core_info(core, &info);
    if (outlets->history != NULL) {
        outlets->history(outlets->context, info.oldest_sequence - 1);
    }
    if (outlets->events == NULL || info.oldest_sequence > info.head_sequence) {
        return 0;
    }
    uint8_t *chunk = memory_reserve(CHUNK_BYTES);
    if (chunk == NULL) {
        return 1;
    }
    for (uint64_t next = info.oldest_sequence; next <= info.head_sequence;) {
        next = tell_chunk(core, outlets, chunk, next, info.head_sequence);
    }
    memory_return(chunk, CHUNK_BYTES);
    return 0;
}
