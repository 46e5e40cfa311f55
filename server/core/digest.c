#include "server/core/digest.h"

#define XXH_STATIC_LINKING_ONLY /* the size of the state */
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) <= sizeof(((struct digest_stream *)NULL)->state),
               "the hash's state has room");
_Static_assert(_Alignof(XXH3_state_t) <= 64, "the hash's state is aligned");

uint64_t digest_next(uint64_t previous, const void *effects, size_t length)
{
    return XXH3_64bits_withSeed(effects, length, previous);
}

void digest_stream_init(struct digest_stream *stream)
{
    (void)XXH3_64bits_reset((XXH3_state_t *)(void *)stream->state);
}

void digest_stream_add(struct digest_stream *stream, const void *from, size_t length)
{
    (void)XXH3_64bits_update((XXH3_state_t *)(void *)stream->state, from, length);
}

uint64_t digest_stream_value(const struct digest_stream *stream)
{
    return XXH3_64bits_digest((const XXH3_state_t *)(const void *)stream->state);
}
