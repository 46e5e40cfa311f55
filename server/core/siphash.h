/* SipHash-2-4 with 64 and 128 bits, after Aumasson and Bernstein,
 * https://www.aumasson.jp/siphash/siphash.pdf: a keyed hash, so that foreign bytes cannot be chosen
 * to collide. */
#ifndef ACTIVITYD_SERVER_CORE_SIPHASH_H
#define ACTIVITYD_SERVER_CORE_SIPHASH_H

#include "server/core/bytes.h"

struct siphash {
    uint64_t v[4];
    uint64_t tail;
    uint64_t length;
};

/* For 64 bits: init, add any number of times, finish. */
void siphash_init(struct siphash *hash, const uint8_t key[16]);
void siphash_add(struct siphash *hash, const void *from, size_t length);
uint64_t siphash_finish(struct siphash *hash);

/* For 128 bits the beginning and the end differ. */
void siphash_init128(struct siphash *hash, const uint8_t key[16]);
void siphash_finish128(struct siphash *hash, uint8_t to[16]);

/* All at once, 64 bits. */
uint64_t siphash_of(const uint8_t key[16], struct bytes bytes);

#endif
