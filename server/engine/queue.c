#include "server/engine/queue.h"

#include <string.h>

#include "server/check.h"
#include "server/engine/memory.h"

struct record {
    size_t size;   /* of the bytes behind it */
    uint32_t span; /* in QUEUE_ALIGN: with this head, up to the next record */
    bool published;
};
_Static_assert(sizeof(struct record) == QUEUE_ALIGN, "a head keeps the alignment");

int queue_init(struct queue *queue, size_t bytes, uint32_t places, struct wake *wake)
{
    *queue = (struct queue){.capacity = bytes / QUEUE_ALIGN * QUEUE_ALIGN};
    queue->base = memory_reserve(queue->capacity);
    queue->places = places;
    queue->wake = wake;
    CHECK(pthread_mutex_init(&queue->lock, NULL) == 0);
    CHECK(pthread_cond_init(&queue->freed, NULL) == 0);
    return queue->base == NULL ? 1 : 0;
}

void queue_deinit(struct queue *queue)
{
    if (queue->capacity == 0) {
        return;
    }
    memory_return(queue->base, queue->capacity);
    (void)pthread_cond_destroy(&queue->freed);
    (void)pthread_mutex_destroy(&queue->lock);
    *queue = (struct queue){.capacity = 0};
}

static size_t span_of(size_t size)
{
    return (sizeof(struct record) + size + QUEUE_ALIGN - 1) / QUEUE_ALIGN * QUEUE_ALIGN;
}

static struct record *record_at(const struct queue *queue, size_t offset)
{
    return (struct record *)(void *)(queue->base + offset);
}

/* Finds the place of a record of that span. Under the lock. */
static bool find_room(struct queue *queue, size_t span, size_t *offset)
{
    if (queue->used == queue->places) {
        return false;
    }
    if (queue->wrapped) {
        *offset = queue->next;
        return queue->first - queue->next >= span;
    }
    if (queue->capacity - queue->next >= span) {
        *offset = queue->next;
        return true;
    }
    if (queue->first < span) {
        return false;
    }
    queue->end = queue->next;
    queue->wrapped = true;
    *offset = 0;
    return true;
}

static enum queue_outcome reserve(struct queue *queue, size_t size, bool wait, uint8_t **record)
{
    size_t span = span_of(size);
    size_t offset = 0;
    CHECK(!wait || span <= queue->capacity);
    (void)pthread_mutex_lock(&queue->lock);
    while (!queue->closed && !find_room(queue, span, &offset)) {
        if (!wait) {
            (void)pthread_mutex_unlock(&queue->lock);
            return QUEUE_FULL;
        }
        queue->waiting++;
        (void)pthread_cond_wait(&queue->freed, &queue->lock);
        queue->waiting--;
    }
    bool closed = queue->closed;
    if (!closed) {
        *record_at(queue, offset) =
            (struct record){.size = size, .span = (uint32_t)(span / QUEUE_ALIGN)};
        queue->next = offset + span;
        queue->used++;
        *record = queue->base + offset + sizeof(struct record);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return closed ? QUEUE_CLOSED : QUEUE_OK;
}

enum queue_outcome queue_reserve(struct queue *queue, size_t size, uint8_t **record)
{
    return reserve(queue, size, false, record);
}

enum queue_outcome queue_reserve_wait(struct queue *queue, size_t size, uint8_t **record)
{
    return reserve(queue, size, true, record);
}

void queue_publish(struct queue *queue, uint8_t *bytes, size_t size)
{
    size_t offset = (size_t)(bytes - queue->base) - sizeof(struct record);
    struct record *record = record_at(queue, offset);
    (void)pthread_mutex_lock(&queue->lock);
    CHECK(size <= record->size);
    if (queue->next == offset + (size_t)record->span * QUEUE_ALIGN) {
        /* The last one gives back what it did not use. */
        record->span = (uint32_t)(span_of(size) / QUEUE_ALIGN);
        queue->next = offset + span_of(size);
    }
    record->size = size;
    record->published = true;
    (void)pthread_mutex_unlock(&queue->lock);
    wake_ring(queue->wake);
}

/* Steps over the end of the upper records. Under the lock. */
static void unwrap(struct queue *queue)
{
    if (queue->wrapped && queue->first == queue->end) {
        queue->first = 0;
        queue->wrapped = false;
    }
}

bool queue_peek(struct queue *queue, uint8_t **bytes, size_t *size)
{
    (void)pthread_mutex_lock(&queue->lock);
    unwrap(queue);
    const struct record *record = record_at(queue, queue->first);
    bool found = queue->used > 0 && record->published;
    if (found) {
        *bytes = queue->base + queue->first + sizeof(struct record);
        *size = record->size;
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return found;
}

void queue_pop(struct queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    CHECK(queue->used > 0);
    queue->first += (size_t)record_at(queue, queue->first)->span * QUEUE_ALIGN;
    queue->used--;
    unwrap(queue);
    if (queue->used == 0) {
        queue->first = 0;
        queue->next = 0;
        queue->wrapped = false;
    }
    if (queue->waiting > 0) {
        (void)pthread_cond_broadcast(&queue->freed);
    }
    (void)pthread_mutex_unlock(&queue->lock);
}

void queue_close(struct queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    (void)pthread_cond_broadcast(&queue->freed);
    (void)pthread_mutex_unlock(&queue->lock);
    wake_ring(queue->wake);
}

bool queue_empty(struct queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    bool empty = queue->used == 0;
    (void)pthread_mutex_unlock(&queue->lock);
    return empty;
}
