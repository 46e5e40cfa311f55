/* Varints, zigzag and their bounded reading: the innermost loop of the frame, of the batch and of
 * the journal's columns, hence inline. https://protobuf.dev/programming-guides/encoding/#varints */
#ifndef ACTIVITYD_PROTO_VARINT_H
#define ACTIVITYD_PROTO_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_BYTES_MAX 10

/* Reads one varint from [at, end). Returns the bytes it takes, 1..10, or 0 when it has no end there
 * within ten bytes. Padding is accepted and bits above the 64th are dropped, as protobuf's own
 * readers do. */
__attribute__((warn_unused_result)) static inline size_t
varint_read(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    size_t room = (size_t)(end - at);
    if (room > VARINT_BYTES_MAX) {
        room = VARINT_BYTES_MAX;
    }
    uint64_t read = 0;
    for (size_t i = 0; i < room; i++) {
        read |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            *value = read;
            return i + 1;
        }
    }
    return 0;
}

/* The length of the minimal encoding, 1..10. */
static inline size_t varint_size(uint64_t value)
{
    /* ceil(bits / 7) without a division: 9/64 is a little above 1/7, and exact enough up to 64
     * bits. */
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits * 9 + 64) / 64;
}

/* Writes the minimal encoding to `to`, which has room for varint_size(value). Returns the byte
 * after it. */
static inline uint8_t *varint_write(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

/* Signed numbers near zero as small unsigned ones: 0, -1, 1, -2 become 0, 1, 2, 3. Both take and
 * give the two's complement bits in a uint64_t, so that differences modulo 2^64 need no signed
 * overflow. */
static inline uint64_t varint_zigzag(uint64_t value)
{
    return (value << 1) ^ (0 - (value >> 63));
}

static inline uint64_t varint_unzigzag(uint64_t value)
{
    return (value >> 1) ^ (0 - (value & 1));
}

#endif
