/* The standing proof: a chained hash over every entry's effects, and a running one over snapshots.
 */
#ifndef ACTIVITYD_SERVER_CORE_DIGEST_H
#define ACTIVITYD_SERVER_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* digest(k) = XXH3-64 of the effects of entry k, seeded with digest(k - 1). */
uint64_t digest_next(uint64_t previous, const void *effects, size_t length);

/* XXH3-64 over bytes that come in pieces. */
struct digest_stream {
    _Alignas(64) uint8_t state[640];
};
void digest_stream_init(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, const void *from, size_t length);
uint64_t digest_stream_value(const struct digest_stream *stream);

#endif
