#include "server/core/feed_window.h"

#include "server/check.h"
#include "server/core/effect.h"
#include "server/core/stream.h"

#define STRIDE 16u

/* What stands before each body in the ring. */
struct mark {
    uint64_t service_ms;
    uint32_t length;
    uint8_t kind;
    uint8_t zero[3];
};
_Static_assert(sizeof(struct mark) == 16, "no padding in the ring");

/* The shortest body of an event holds its sequence, time and the counts of its texts. */
#define RECORD_BYTES_MIN (sizeof(struct mark) + 24)

static void ring_put(struct feed_window *feed, uint64_t at, const void *from, size_t length)
{
    uint64_t place = at % feed->ring_bytes;
    size_t first = length < feed->ring_bytes - place ? length : (size_t)(feed->ring_bytes - place);
    memcpy(feed->ring + place, from, first);
    memcpy(feed->ring, (const uint8_t *)from + first, length - first);
}

static void ring_get(const struct feed_window *feed, uint64_t at, void *to, size_t length)
{
    uint64_t place = at % feed->ring_bytes;
    size_t first = length < feed->ring_bytes - place ? length : (size_t)(feed->ring_bytes - place);
    memcpy(to, feed->ring + place, first);
    memcpy((uint8_t *)to + first, feed->ring, length - first);
}

static struct mark mark_at(const struct feed_window *feed, uint64_t at)
{
    struct mark mark;
    ring_get(feed, at, &mark, sizeof mark);
    return mark;
}

static bool feed_empty(const struct feed_window *feed)
{
    return feed->oldest_sequence > feed->head_sequence;
}

static void drop_oldest(struct feed_window *feed)
{
    feed->oldest_at += sizeof(struct mark) + mark_at(feed, feed->oldest_at).length;
    feed->oldest_sequence++;
}

/* What may be used now: the capacity never lies below a limit in force, but a limit may be lowered.
 */
static uint64_t room(const struct feed_window *feed, const struct core_limits *limits)
{
    return limits->feed_window_bytes < feed->ring_bytes ? limits->feed_window_bytes
                                                        : feed->ring_bytes;
}

/* At most one anchor for each STRIDE of the shortest events. */
static uint64_t anchors_for(uint64_t ring_bytes)
{
    return ring_bytes / RECORD_BYTES_MIN / STRIDE + 2;
}

void feed_window_layout(struct feed_window *feed, struct region *region,
                        const struct core_limits *capacity)
{
    *feed = (struct feed_window){.ring_bytes = capacity->feed_window_bytes,
                                 .anchor_count = anchors_for(capacity->feed_window_bytes),
                                 .oldest_sequence = 1};
    feed->ring = region_take(region, (size_t)feed->ring_bytes, 1);
    feed->anchors = region_take(region, (size_t)feed->anchor_count, sizeof *feed->anchors);
}

/* The next record's head and place; the body follows at head_at + sizeof(struct mark). */
static void put_mark(struct feed_window *feed, const struct mark *mark)
{
    feed->head_sequence++;
    if (feed->head_sequence % STRIDE == 0) {
        feed->anchors[feed->head_sequence / STRIDE % feed->anchor_count] = feed->head_at;
    }
    ring_put(feed, feed->head_at, mark, sizeof *mark);
}

void feed_window_append(struct feed_window *feed, const struct core_limits *limits,
                        uint64_t service_ms, uint8_t kind, struct bytes body)
{
    struct mark mark = {.service_ms = service_ms, .length = body.length, .kind = kind};
    uint64_t need = sizeof mark + body.length;
    CHECK(body.length <= EVENT_BYTES_MAX && need >= RECORD_BYTES_MIN && need <= room(feed, limits));
    while (feed->head_at - feed->oldest_at + need > room(feed, limits)) {
        drop_oldest(feed);
    }
    put_mark(feed, &mark);
    ring_put(feed, feed->head_at + sizeof mark, body.at, body.length);
    feed->head_at += need;
}

bool feed_window_read(const struct feed_window *feed, uint64_t sequence, uint8_t *kind, uint8_t *to,
                      uint32_t *length)
{
    if (sequence < feed->oldest_sequence || sequence > feed->head_sequence) {
        return false;
    }
    uint64_t near = sequence - sequence % STRIDE;
    uint64_t at = feed->oldest_at;
    if (near > feed->oldest_sequence) {
        at = feed->anchors[near / STRIDE % feed->anchor_count];
    } else {
        near = feed->oldest_sequence;
    }
    struct mark mark = mark_at(feed, at);
    for (; near < sequence; near++) {
        at += sizeof mark + mark.length;
        mark = mark_at(feed, at);
    }
    ring_get(feed, at + sizeof mark, to, mark.length);
    *kind = mark.kind;
    *length = mark.length;
    return true;
}

static bool overfull(const struct feed_window *feed, const struct core_limits *limits)
{
    return feed->head_at - feed->oldest_at > room(feed, limits);
}

uint64_t feed_window_deadline(const struct feed_window *feed, const struct core_limits *limits)
{
    if (feed_empty(feed)) {
        return UINT64_MAX;
    }
    return overfull(feed, limits)
               ? 0
               : mark_at(feed, feed->oldest_at).service_ms + limits->feed_keep_ms;
}

void feed_window_expire(struct feed_window *feed, const struct core_limits *limits,
                        uint64_t service_ms, uint32_t *budget)
{
    for (; *budget > 0 && feed_window_deadline(feed, limits) <= service_ms; --*budget) {
        drop_oldest(feed);
    }
}

void feed_window_save(const struct feed_window *feed, struct stream_out *out)
{
    uint8_t body[EVENT_BYTES_MAX];
    stream_put_u64(out, feed->oldest_sequence);
    stream_put_u64(out, feed->head_sequence);
    uint64_t at = feed->oldest_at;
    for (uint64_t sequence = feed->oldest_sequence; sequence <= feed->head_sequence; sequence++) {
        struct mark mark = mark_at(feed, at);
        ring_get(feed, at + sizeof mark, body, mark.length);
        stream_put(out, &mark, sizeof mark);
        stream_put(out, body, mark.length);
        at += sizeof mark + mark.length;
    }
}

void feed_window_load(struct feed_window *feed, struct stream_in *in)
{
    uint8_t body[EVENT_BYTES_MAX];
    uint64_t oldest = stream_get_u64(in);
    uint64_t head = stream_get_u64(in);
    if (oldest == 0 || head > UINT64_MAX / 2 || oldest > head + 1) {
        stream_refuse(in, CORE_MALFORMED);
        return;
    }
    feed->oldest_sequence = oldest;
    feed->head_sequence = oldest - 1;
    while (in->error == 0 && feed->head_sequence < head) {
        struct mark mark;
        if (!stream_get(in, &mark, sizeof mark)) {
            return;
        }
        uint64_t need = sizeof mark + mark.length;
        if (mark.length > sizeof body || need < RECORD_BYTES_MIN) {
            stream_refuse(in, CORE_MALFORMED);
            return;
        }
        if (need > feed->ring_bytes - feed->head_at) {
            stream_refuse(in, CORE_TOO_LARGE);
            return;
        }
        (void)stream_get(in, body, mark.length);
        put_mark(feed, &mark);
        ring_put(feed, feed->head_at + sizeof mark, body, mark.length);
        feed->head_at += need;
    }
}

const char *feed_window_verify(const struct feed_window *feed, uint64_t service_ms)
{
    uint8_t body[EVENT_BYTES_MAX];
    uint64_t at = feed->oldest_at;
    uint64_t before_ms = 0;
    uint64_t sequence = feed->oldest_sequence;
    for (; sequence <= feed->head_sequence && at < feed->head_at; sequence++) {
        struct mark mark = mark_at(feed, at);
        struct event event;
        ring_get(feed, at + sizeof mark, body, mark.length);
        if (mark.service_ms < before_ms || mark.service_ms > service_ms ||
            (mark.zero[0] | mark.zero[1] | mark.zero[2]) != 0) {
            return "feed window: an event out of its time";
        }
        if (!event_decode(mark.kind, bytes_of(body, mark.length), &event) ||
            event.sequence != sequence) {
            return "feed window: bytes that are no event, or not this one";
        }
        before_ms = mark.service_ms;
        at += sizeof mark + mark.length;
    }
    return sequence == feed->head_sequence + 1 && at == feed->head_at
               ? NULL
               : "feed window: events do not fill the window";
}
