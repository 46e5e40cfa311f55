/* The engine's side of the inbox (inbox.h is the producers'). */
#ifndef ACTIVITYD_SERVER_ENGINE_INBOX_QUEUE_H
#define ACTIVITYD_SERVER_ENGINE_INBOX_QUEUE_H

#include <stdatomic.h>

#include "server/engine/inbox.h"
#include "server/engine/queue.h"

struct inbox {
    struct queue queue;
    _Atomic bool draining;
    _Atomic bool disk_full;
};

__attribute__((warn_unused_result)) int inbox_init(struct inbox *inbox, size_t bytes,
                                                   uint32_t places, struct wake *wake);
void inbox_deinit(struct inbox *inbox);

/* The oldest item, valid until inbox_pop. */
bool inbox_peek(struct inbox *inbox, struct inbox_item *item);
void inbox_pop(struct inbox *inbox);

#endif
