/* A bounded queue of byte records in one ring: the way into the engine and out of it.
 *
 * A producer reserves room, writes into it without a lock, and publishes; records leave in the
 * order of their reservation. Any number of producers, one consumer. An emptied queue begins at its
 * first byte again, so that a short one stays in the caches and touches little memory. */
#ifndef ACTIVITYD_SERVER_ENGINE_QUEUE_H
#define ACTIVITYD_SERVER_ENGINE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/engine/wake.h"

struct queue {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t freed;
    uint8_t *base;
    size_t capacity;
    size_t first; /* the oldest record */
    size_t next;  /* where the next one goes */
    size_t end;   /* of the upper records, when wrapped: next lies below first */
    bool wrapped;
    bool closed;
    uint32_t places;
    uint32_t used;
    uint32_t waiting;  /* producers that wait for room */
    struct wake *wake; /* the consumer's */
};

/* Records' bytes are aligned so. */
#define QUEUE_ALIGN 16

/* `wake` is borrowed. Returns 0, or 1: no memory. */
__attribute__((warn_unused_result)) int queue_init(struct queue *queue, size_t bytes,
                                                   uint32_t places, struct wake *wake);
void queue_deinit(struct queue *queue); /* accepts a zeroed one */

enum queue_outcome {
    QUEUE_OK = 0,
    QUEUE_FULL = 1, /* no place or no room */
    QUEUE_CLOSED = 2
};

/* Room for `size` bytes in *record. Any thread; queue_reserve never waits, queue_reserve_wait waits
 * until there is room (a size above the capacity is a bug). */
__attribute__((warn_unused_result)) enum queue_outcome queue_reserve(struct queue *queue,
                                                                     size_t size, uint8_t **record);
__attribute__((warn_unused_result)) enum queue_outcome
queue_reserve_wait(struct queue *queue, size_t size, uint8_t **record);

/* The record is written, in its first `size` bytes (at most what was reserved). */
void queue_publish(struct queue *queue, uint8_t *record, size_t size);

/* The oldest record, if it is published: valid until queue_pop. The consumer. */
bool queue_peek(struct queue *queue, uint8_t **record, size_t *size);
void queue_pop(struct queue *queue);

/* Refuses what comes from now on. */
void queue_close(struct queue *queue);
/* No record, not even a reserved one. Once closed, it stays so. */
bool queue_empty(struct queue *queue);

#endif
