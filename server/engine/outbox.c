#include "server/engine/outbox.h"

#include <string.h>

#include "server/check.h"
#include "server/wire/reply.h"

/* A message as it lies in the queue: this, then the room. */
enum message_kind { MESSAGE_REPLY = 1, MESSAGE_EVENTS = 2, MESSAGE_PROGRESS = 3 };
struct message_head {
    uint64_t token;
    uint32_t offset; /* of what is said, behind this head */
    uint32_t length;
    uint8_t kind; /* enum message_kind */
    uint8_t zero[15];
};
_Static_assert(sizeof(struct message_head) % QUEUE_ALIGN == 0, "the room is aligned");

int outbox_init(struct outbox *outbox, size_t bytes, const struct engine_outlets *outlets)
{
    wake_init(&outbox->wake);
    outbox->outlets = outlets;
    outbox->threaded = false;
    atomic_init(&outbox->progress_waiting, 0);
    return queue_init(&outbox->queue, bytes < OUTBOX_BYTES_MIN ? OUTBOX_BYTES_MIN : bytes,
                      UINT32_MAX, &outbox->wake);
}

void outbox_deinit(struct outbox *outbox)
{
    queue_deinit(&outbox->queue);
    wake_deinit(&outbox->wake);
}

uint8_t *outbox_reserve(struct outbox *outbox, size_t size)
{
    uint8_t *record;
    size_t wanted = sizeof(struct message_head) + size;
    if (!outbox->threaded) {
        if (queue_reserve(&outbox->queue, wanted, &record) == QUEUE_OK) {
            return record + sizeof(struct message_head);
        }
        (void)outbox_deliver(outbox);
    }
    CHECK(queue_reserve_wait(&outbox->queue, wanted, &record) == QUEUE_OK);
    return record + sizeof(struct message_head);
}

static void publish(struct outbox *outbox, uint8_t *room, uint64_t token, struct bytes part,
                    enum message_kind kind)
{
    struct message_head head = {.token = token,
                                .offset = part.length == 0 ? 0 : (uint32_t)(part.at - room),
                                .length = part.length,
                                .kind = (uint8_t)kind};
    memcpy(room - sizeof head, &head, sizeof head);
    queue_publish(&outbox->queue, room - sizeof head, sizeof head + head.offset + head.length);
}

void outbox_reply(struct outbox *outbox, uint8_t *room, uint64_t token, struct bytes frame)
{
    publish(outbox, room, token, frame, MESSAGE_REPLY);
}

void outbox_events(struct outbox *outbox, uint8_t *room, struct bytes effects)
{
    publish(outbox, room, 0, effects, MESSAGE_EVENTS);
}

void outbox_progress(struct outbox *outbox, uint8_t *room, struct bytes fields)
{
    atomic_fetch_add(&outbox->progress_waiting, 1);
    publish(outbox, room, 0, fields, MESSAGE_PROGRESS);
}

void outbox_reply_copy(struct outbox *outbox, uint64_t token, struct bytes frame)
{
    uint8_t *room = outbox_reserve(outbox, frame.length);
    memcpy(room, frame.at, frame.length);
    outbox_reply(outbox, room, token, bytes_of(room, frame.length));
}

void outbox_refuse(struct outbox *outbox, uint64_t token, uint64_t epoch,
                   const struct refusal *refusal)
{
    if (token == 0) {
        return;
    }
    uint8_t *room = outbox_reserve(outbox, REPLY_REFUSAL_MAX);
    outbox_reply(outbox, room, token, bytes_of(room, reply_refuse(epoch, refusal, room)));
}

static void hand_over(struct outbox *outbox, const struct message_head *head, struct bytes part)
{
    const struct engine_outlets *outlets = outbox->outlets;
    switch ((enum message_kind)head->kind) {
    case MESSAGE_REPLY:
        if (head->token != 0) {
            outlets->reply(outlets->context, head->token, part);
        }
        break;
    case MESSAGE_EVENTS:
        outlets->events(outlets->context, part);
        break;
    case MESSAGE_PROGRESS:
        outlets->progress(outlets->context, part);
        atomic_fetch_sub(&outbox->progress_waiting, 1);
        break;
    }
}

bool outbox_deliver(struct outbox *outbox)
{
    uint8_t *record;
    size_t size;
    bool delivered = false;
    while (queue_peek(&outbox->queue, &record, &size)) {
        struct message_head head;
        memcpy(&head, record, sizeof head);
        hand_over(outbox, &head, bytes_of(record + sizeof head + head.offset, head.length));
        queue_pop(&outbox->queue);
        delivered = true;
    }
    return delivered;
}

static bool is_closed(struct outbox *outbox)
{
    struct queue *queue = &outbox->queue;
    (void)pthread_mutex_lock(&queue->lock);
    bool closed = queue->closed && queue->used == 0;
    (void)pthread_mutex_unlock(&queue->lock);
    return closed;
}

static void *run(void *context)
{
    struct outbox *outbox = context;
    while (!is_closed(outbox)) {
        if (!outbox_deliver(outbox)) {
            wake_wait(&outbox->wake, WAKE_NEVER);
        }
    }
    return NULL;
}

int outbox_start(struct outbox *outbox)
{
    outbox->threaded = true;
    int outcome = pthread_create(&outbox->thread, NULL, run, outbox);
    outbox->threaded = outcome == 0;
    return outcome == 0 ? 0 : 1;
}

void outbox_stop(struct outbox *outbox)
{
    queue_close(&outbox->queue);
    if (outbox->threaded) {
        (void)pthread_join(outbox->thread, NULL);
        outbox->threaded = false;
    } else {
        (void)outbox_deliver(outbox);
    }
}
