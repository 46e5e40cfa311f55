#include "server/core/siphash.h"

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

void siphash_init(struct siphash *hash, const uint8_t key[16])
{
    uint64_t k0;
    uint64_t k1;
    memcpy(&k0, key, sizeof k0);
    memcpy(&k1, key + 8, sizeof k1);
    *hash = (struct siphash){.v = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
                                   k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u}};
}

void siphash_init128(struct siphash *hash, const uint8_t key[16])
{
    siphash_init(hash, key);
    hash->v[1] ^= 0xee;
}

static inline void word(struct siphash *hash, uint64_t m)
{
    hash->v[3] ^= m;
    rounds(hash->v, 2);
    hash->v[0] ^= m;
}

void siphash_add(struct siphash *hash, const void *from, size_t length)
{
    const uint8_t *at = from;
    const uint8_t *end = at + length;
    for (; at != end && hash->length % 8 != 0; at++) {
        hash->tail |= (uint64_t)*at << (8 * (hash->length % 8));
        if (++hash->length % 8 == 0) {
            word(hash, hash->tail);
            hash->tail = 0;
        }
    }
    for (; end - at >= 8; at += 8) {
        uint64_t m;
        memcpy(&m, at, sizeof m);
        word(hash, m);
        hash->length += 8;
    }
    for (; at != end; at++) {
        hash->tail |= (uint64_t)*at << (8 * (hash->length % 8));
        hash->length++;
    }
}

uint64_t siphash_finish(struct siphash *hash)
{
    word(hash, hash->tail | hash->length << 56);
    hash->v[2] ^= 0xff;
    rounds(hash->v, 4);
    return hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3];
}

void siphash_finish128(struct siphash *hash, uint8_t to[16])
{
    word(hash, hash->tail | hash->length << 56);
    hash->v[2] ^= 0xee;
    rounds(hash->v, 4);
    uint64_t low = hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3];
    hash->v[1] ^= 0xdd;
    rounds(hash->v, 4);
    uint64_t high = hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3];
    memcpy(to, &low, sizeof low);
    memcpy(to + 8, &high, sizeof high);
}

uint64_t siphash_of(const uint8_t key[16], struct bytes bytes)
{
    struct siphash hash;
    siphash_init(&hash, key);
    siphash_add(&hash, bytes.at, bytes.length);
    return siphash_finish(&hash);
}
