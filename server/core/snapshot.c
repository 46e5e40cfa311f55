/* The canonical snapshot: a head that says what capacity it needs, the tables as they lie in memory
 * up to the highest record ever used, and the hash over all of it. Indexes by hash are built anew;
 * everything else is checked record by record before it is used, so that damaged or hostile bytes
 * end in an error. */
#include "server/core/life.h"
#include "server/core/stream.h"

#define SNAPSHOT_MAGIC       0x3145524f43544341u /* "ACTCORE1" */
#define SNAPSHOT_MAGIC_INDEX 0x3245524f43544341u /* "ACTCORE2": and what an index brought */

/* Whether there is anything of the last section. A state that never met an index has none, and is
 * written as before there was one. */
static bool has_index(const struct core *core)
{
    return core->batches.last_number != 0 || core->batches.last_version != 0 ||
           core->parked.last_id != 0 || core->pending.urgent.count != 0;
}

struct snapshot_head {
    uint64_t magic;
    uint64_t limit_count;
    struct core_limits peak;
};

static void put_all(const struct core *core, struct stream_out *out)
{
    struct snapshot_head head = {has_index(core) ? SNAPSHOT_MAGIC_INDEX : SNAPSHOT_MAGIC,
                                 CORE_LIMIT_COUNT, core->peak};
    struct core_scalars scalars = {.limits = core->limits,
                                   .limits_given = core->limits_given,
                                   .version = core->version,
                                   .epoch = core->epoch,
                                   .index = core->index,
                                   .time = core->time};
    memcpy(scalars.digests, core->digests, sizeof scalars.digests);
    stream_put(out, &head, sizeof head);
    stream_put(out, &scalars, sizeof scalars);
    names_save(&core->names, out);
    activities_save(&core->activities, out);
    results_save(&core->results, out);
    tombstones_save(&core->tombstones, out);
    presence_save(&core->presence, out);
    requests_save(&core->requests, out);
    changes_save(&core->changes, out);
    tickets_save(&core->tickets, out);
    pending_save(&core->pending, out);
    feed_window_save(&core->feed, out);
    if (has_index(core)) {
        pending_save_more(&core->pending, out);
        batches_save(&core->batches, out);
        parked_save(&core->parked, out);
    }
}

int core_snapshot_write(const struct core *core, const struct core_stream *stream)
{
    struct digest_stream hash;
    struct stream_out out = {.to = stream, .hash = &hash};
    digest_stream_init(&hash);
    put_all(core, &out);
    uint64_t value = digest_stream_value(&hash);
    return out.error != 0 ? out.error : stream->write(stream->context, &value, sizeof value);
}

uint64_t core_state_hash(const struct core *core)
{
    struct digest_stream hash;
    struct stream_out out = {.to = NULL, .hash = &hash};
    digest_stream_init(&hash);
    put_all(core, &out);
    return digest_stream_value(&hash);
}

static void get_head(struct stream_in *in, struct snapshot_head *head)
{
    if (stream_get(in, head, sizeof *head) &&
        ((head->magic != SNAPSHOT_MAGIC && head->magic != SNAPSHOT_MAGIC_INDEX) ||
         head->limit_count != CORE_LIMIT_COUNT || core_limits_check_each(&head->peak) != NULL)) {
        stream_refuse(in, CORE_MALFORMED);
    }
}

int core_snapshot_limits(const struct core_stream *stream, struct core_limits *limits)
{
    struct digest_stream hash;
    struct stream_in in = {.from = stream, .hash = &hash};
    struct snapshot_head head;
    digest_stream_init(&hash);
    get_head(&in, &head);
    *limits = head.peak;
    return in.error;
}

static bool covers(const struct core_limits *larger, const struct core_limits *smaller)
{
    for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        if (larger->values[i] < smaller->values[i]) {
            return false;
        }
    }
    return true;
}

/* Returns whether the last section follows. */
static bool get_scalars(struct core *core, struct stream_in *in)
{
    struct snapshot_head head;
    struct core_scalars scalars;
    get_head(in, &head);
    if (!stream_get(in, &scalars, sizeof scalars)) {
        return false;
    }
    if (!covers(&core->capacity, &head.peak)) {
        stream_refuse(in, CORE_TOO_LARGE);
        return false;
    }
    if (core_limits_check(&scalars.limits) != NULL || !covers(&head.peak, &scalars.limits) ||
        scalars.version == 0 || scalars.version > CORE_VERSION || scalars.limits_given > 1 ||
        !time_sound(&scalars.time)) {
        stream_refuse(in, CORE_MALFORMED);
        return false;
    }
    core->peak = head.peak;
    core->limits = scalars.limits;
    core->limits_given = scalars.limits_given;
    core->version = scalars.version;
    core->epoch = scalars.epoch;
    core->index = scalars.index;
    core->time = scalars.time;
    memcpy(core->digests, scalars.digests, sizeof core->digests);
    return head.magic == SNAPSHOT_MAGIC_INDEX;
}

static void get_all(struct core *core, struct stream_in *in)
{
    bool index = get_scalars(core, in);
    names_load(&core->names, in);
    activities_load(&core->activities, in);
    results_load(&core->results, in);
    tombstones_load(&core->tombstones, in);
    presence_load(&core->presence, in);
    requests_load(&core->requests, &core->names, in);
    changes_load(&core->changes, &core->names, in);
    tickets_load(&core->tickets, &core->names, in);
    pending_load(&core->pending, in);
    feed_window_load(&core->feed, in);
    if (index) {
        pending_load_more(&core->pending, in);
        batches_load(&core->batches, in);
        parked_load(&core->parked, in);
        if (in->error == 0 && !has_index(core)) { /* it is written in one way only */
            stream_refuse(in, CORE_MALFORMED);
        }
    }
}

int core_snapshot_read(struct core *core, const struct core_stream *stream)
{
    struct digest_stream hash;
    struct stream_in in = {.from = stream, .hash = &hash};
    digest_stream_init(&hash);
    get_all(core, &in);
    uint64_t value = digest_stream_value(&hash);
    uint64_t kept = 0;
    if (in.error == 0) {
        in.error = stream->read(stream->context, &kept, sizeof kept);
    }
    if (in.error != 0) {
        return in.error;
    }
    return kept == value && state_verify(core) == NULL &&
                   children_load(&core->children, &core->activities, &core->names)
               ? 0
               : CORE_MALFORMED;
}
