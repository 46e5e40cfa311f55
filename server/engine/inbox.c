#include <string.h>

#include "server/engine/inbox_queue.h"

/* An item as it lies in the queue: this, then the body. */
struct item_head {
    uint64_t token;
    uint64_t deadline_ms;
    uint64_t wait_until_ms;
    const atomic_bool *gone;
    uint32_t kind;
    uint32_t length;
    bool crowded;
    uint8_t zero[7];
};

int inbox_init(struct inbox *inbox, size_t bytes, uint32_t places, struct wake *wake)
{
    atomic_init(&inbox->draining, false);
    atomic_init(&inbox->disk_full, false);
    return queue_init(&inbox->queue, bytes, places, wake);
}

void inbox_deinit(struct inbox *inbox)
{
    queue_deinit(&inbox->queue);
}

int inbox_push(struct inbox *inbox, const struct inbox_item *item)
{
    if (item->kind == INBOX_COMMAND && atomic_load(&inbox->draining)) {
        return 2;
    }
    if (item->kind == INBOX_COMMAND && atomic_load(&inbox->disk_full)) {
        return 3;
    }
    uint8_t *record;
    size_t size = sizeof(struct item_head) + item->body.length;
    enum queue_outcome outcome = queue_reserve(&inbox->queue, size, &record);
    if (outcome != QUEUE_OK) {
        return outcome == QUEUE_FULL ? 1 : 2;
    }
    struct item_head head = {.token = item->token,
                             .deadline_ms = item->deadline_ms,
                             .wait_until_ms = item->wait_until_ms,
                             .gone = item->gone,
                             .kind = (uint32_t)item->kind,
                             .length = item->body.length,
                             .crowded = item->crowded};
    memcpy(record, &head, sizeof head);
    if (item->body.length != 0) {
        memcpy(record + sizeof head, item->body.at, item->body.length);
    }
    queue_publish(&inbox->queue, record, size);
    return 0;
}

bool inbox_peek(struct inbox *inbox, struct inbox_item *item)
{
    uint8_t *record;
    size_t size;
    if (!queue_peek(&inbox->queue, &record, &size)) {
        return false;
    }
    struct item_head head;
    memcpy(&head, record, sizeof head);
    *item = (struct inbox_item){.kind = (enum inbox_kind)head.kind,
                                .token = head.token,
                                .deadline_ms = head.deadline_ms,
                                .body = bytes_of(record + sizeof head, head.length),
                                .wait_until_ms = head.wait_until_ms,
                                .crowded = head.crowded,
                                .gone = head.gone};
    return true;
}

void inbox_pop(struct inbox *inbox)
{
    queue_pop(&inbox->queue);
}
