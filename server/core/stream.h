/* The two directions of a snapshot, with the error remembered: after the first one nothing more
 * happens, so that callers stay straight and look once at the end. */
#ifndef ACTIVITYD_SERVER_CORE_STREAM_H
#define ACTIVITYD_SERVER_CORE_STREAM_H

#include "server/core/core.h"
#include "server/core/digest.h"

struct stream_out {
    const struct core_stream *to; /* NULL: only the hash is wanted */
    struct digest_stream *hash;   /* over everything that is put */
    int error;
};

static inline void stream_put(struct stream_out *out, const void *from, size_t length)
{
    if (length == 0 || out->error != 0) {
        return;
    }
    digest_stream_add(out->hash, from, length);
    if (out->to != NULL) {
        out->error = out->to->write(out->to->context, from, length);
    }
}

static inline void stream_put_u64(struct stream_out *out, uint64_t value)
{
    stream_put(out, &value, sizeof value);
}

struct stream_in {
    const struct core_stream *from;
    struct digest_stream *hash;
    int error; /* the stream's, CORE_MALFORMED or CORE_TOO_LARGE */
};

/* False when there is an error; `to` is then zeroed. */
static inline bool stream_get(struct stream_in *in, void *to, size_t length)
{
    if (length == 0) {
        return in->error == 0;
    }
    if (in->error == 0) {
        in->error = in->from->read(in->from->context, to, length);
    }
    if (in->error != 0) {
        memset(to, 0, length);
        return false;
    }
    digest_stream_add(in->hash, to, length);
    return true;
}

static inline uint64_t stream_get_u64(struct stream_in *in)
{
    uint64_t value;
    (void)stream_get(in, &value, sizeof value);
    return value;
}

/* Remembers that what was read cannot be. */
static inline void stream_refuse(struct stream_in *in, int error)
{
    if (in->error == 0) {
        in->error = error;
    }
}

/* A count or place that must not lie above what fits here. */
static inline uint32_t stream_get_count(struct stream_in *in, uint64_t most)
{
    uint64_t value = stream_get_u64(in);
    if (value > most) {
        stream_refuse(in, CORE_TOO_LARGE);
        return 0;
    }
    return (uint32_t)value;
}

#endif
