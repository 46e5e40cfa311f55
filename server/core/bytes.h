/* Views into bytes owned by somebody else, and little-endian access: what every part of the core is
 * written with. */
#ifndef ACTIVITYD_SERVER_CORE_BYTES_H
#define ACTIVITYD_SERVER_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The canonical forms (journal, effects, snapshot) are little-endian, and tables are written as
 * they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the core's canonical forms need a little-endian machine");

struct bytes {
    const uint8_t *at;
    uint32_t length;
};

static inline struct bytes bytes_of(const void *at, size_t length)
{
    return (struct bytes){(const uint8_t *)at, (uint32_t)length};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

/* A bounded reading position. A read past the end sets `failed`, gives zeros, and stays at the end.
 */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){b.at, b.length ? b.at + b.length : b.at, false};
}

static inline bool reader_take(struct reader *r, size_t length, const uint8_t **from)
{
    if ((size_t)(r->end - r->at) < length) {
        r->failed = true;
        r->at = r->end;
        return false;
    }
    *from = r->at;
    r->at += length;
    return true;
}

#define READER_GET(name, type)                                                                     \
    static inline type reader_##name(struct reader *r)                                             \
    {                                                                                              \
        const uint8_t *from;                                                                       \
        type value = 0;                                                                            \
        if (reader_take(r, sizeof value, &from)) {                                                 \
            memcpy(&value, from, sizeof value);                                                    \
        }                                                                                          \
        return value;                                                                              \
    }
READER_GET(u8, uint8_t)
READER_GET(u16, uint16_t)
READER_GET(u32, uint32_t)
READER_GET(u64, uint64_t)
#undef READER_GET

static inline struct bytes reader_bytes(struct reader *r, size_t length)
{
    const uint8_t *from = NULL;
    if (!reader_take(r, length, &from)) {
        return (struct bytes){NULL, 0};
    }
    return (struct bytes){from, (uint32_t)length};
}

/* A bounded writing position. A write past the end sets `failed` and writes nothing; `wanted`
 * counts on, so that one pass with an empty buffer measures. */
struct writer {
    uint8_t *at;
    uint8_t *end;
    size_t wanted;
    bool failed;
};

static inline struct writer writer_of(void *at, size_t length)
{
    return (struct writer){(uint8_t *)at, at == NULL ? NULL : (uint8_t *)at + length, 0, false};
}

static inline void writer_put(struct writer *w, const void *from, size_t length)
{
    w->wanted += length;
    if (w->failed || (size_t)(w->end - w->at) < length) {
        w->failed = true;
        return;
    }
    if (length != 0) {
        memcpy(w->at, from, length);
        w->at += length;
    }
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
    writer_put(w, &v, sizeof v);
}
static inline void writer_u16(struct writer *w, uint16_t v)
{
    writer_put(w, &v, sizeof v);
}
static inline void writer_u32(struct writer *w, uint32_t v)
{
    writer_put(w, &v, sizeof v);
}
static inline void writer_u64(struct writer *w, uint64_t v)
{
    writer_put(w, &v, sizeof v);
}
static inline void writer_bytes(struct writer *w, struct bytes b)
{
    writer_put(w, b.at, b.length);
}

/* A text with its length before it (16 bits). */
static inline void writer_text(struct writer *w, struct bytes b)
{
    writer_u16(w, (uint16_t)b.length);
    writer_bytes(w, b);
}
static inline struct bytes reader_text(struct reader *r)
{
    return reader_bytes(r, reader_u16(r));
}

#endif
