#include "client/lib/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/lib/clock.h"
#include "proto/field.h"
#include "proto/frame.h"
#include "proto/status.h"

enum {
    LANES_AT_ONCE = 32,
    HOLD_MIN_MS = 1000, /* how long a server that refuses everybody is left alone */
    HOLD_MAX_MS = 60000,
    ENVELOPE_TIMEOUT = 2, /* the field's number in RequestEnvelope */
};

/* --- Ends of calls (locked) --- */

static void unqueue(struct activity_client *client, struct call *call)
{
    if (call->state == CALL_QUEUED) {
        TAILQ_REMOVE(&client->queue, call, in_queue);
    }
}

void client_end(struct activity_client *client, struct call *call, enum call_verdict verdict)
{
    unqueue(client, call);
    call_table_remove(&client->calls, call);
    call->state = CALL_DONE;
    call->verdict = verdict;
    TAILQ_REMOVE(&call->waiter->pending, call, of_waiter);
    TAILQ_INSERT_TAIL(&call->waiter->done, call, of_waiter);
    pthread_cond_signal(&call->waiter->done_or_due);
}

bool client_is_served(const struct activity_client *client)
{
    return client->link != NULL && client->link != client->draining;
}

/* What is known of a call that gets no answer any more. */
enum call_verdict client_give_up_verdict(const struct activity_client *client,
                                         const struct call *call)
{
    if (call->unanswered || call->state == CALL_SENT || call->state == CALL_POSTED) {
        return VERDICT_UNKNOWN;
    }
    if (call->reply != NULL) {
        return VERDICT_REPLY; /* the last refusal */
    }
    return client_is_served(client) ? VERDICT_EXPIRED : VERDICT_NOT_CONNECTED;
}

void client_enqueue(struct activity_client *client, struct call *call)
{
    call->state = CALL_QUEUED;
    TAILQ_INSERT_TAIL(&client->queue, call, in_queue);
}

static void pause_call(struct activity_client *client, struct call *call, uint32_t retry_after_ms)
{
    uint64_t now = clock_now_ms();
    client->chance = client->chance * 1664525U + 1013904223U;
    call->due_ms = now + retry_pause_ms(call->failures, retry_after_ms, client->chance >> 8);
    call->state = CALL_PAUSED;
    if (call->due_ms >= call->deadline_ms) {
        client_end(client, call, client_give_up_verdict(client, call));
        return;
    }
    if (call->due_ms < call->waiter->due_ms) {
        call->waiter->due_ms = call->due_ms;
        pthread_cond_signal(&call->waiter->done_or_due);
    }
}

/* The connection on which the call was sent is gone. */
static void lose(struct activity_client *client, struct call *call)
{
    call->unanswered = true;
    call->link = NULL;
    call->failures++;
    if (!call->repeatable || call->failures >= client->attempts_max) {
        client_end(client, call, VERDICT_UNKNOWN);
    } else if (call->failures == 1) {
        client_enqueue(client, call); /* a restart is waited for by not being connected */
    } else {
        pause_call(client, call, 0);
    }
}

/* --- Sending --- */

static size_t write_timeout(const struct call *call, uint64_t now, uint8_t *to)
{
    uint64_t left = call->deadline_ms > now ? call->deadline_ms - now : 1;
    left = left < LIMIT_TIMEOUT_MAX_MS ? left : LIMIT_TIMEOUT_MAX_MS;
    return (size_t)(field_write_varint(to, ENVELOPE_TIMEOUT, left) - to);
}

/* Fills lanes with waiting calls; returns how many must be posted. Locked. */
static size_t fill_lanes(struct activity_client *client, struct lane **lanes)
{
    size_t count = 0;
    uint64_t now = clock_now_ms();
    struct call *call;
    while (client->link != NULL && count < LANES_AT_ONCE &&
           (call = TAILQ_FIRST(&client->queue)) != NULL) {
        uint8_t timeout[16];
        const struct view parts[] = {
            call->head, {timeout, write_timeout(call, now, timeout)}, call->tail};
        bool no_memory;
        lanes[count] = link_lane_take(client->link, call->id, parts, 3, &no_memory);
        if (no_memory) {
            client_end(client, call, VERDICT_NO_MEMORY);
            continue;
        }
        if (lanes[count] == NULL) {
            break;
        }
        TAILQ_REMOVE(&client->queue, call, in_queue);
        call->state = CALL_POSTED;
        call->link = client->link;
        client->counts.repeats += call->attempts > 0;
        call->attempts++;
        count++;
    }
    return count;
}

bool client_can_send(const struct activity_client *client)
{
    return !TAILQ_EMPTY(&client->queue) && client->link != NULL && link_has_lane(client->link) &&
           (client->link != client->draining || clock_now_ms() >= client->held_until_ms);
}

/* Sends what can be sent. Locked; unlocks for NNG in between. */
void client_flush(struct activity_client *client)
{
    while (client_can_send(client)) {
        struct lane *lanes[LANES_AT_ONCE];
        size_t count = fill_lanes(client, lanes);
        pthread_mutex_unlock(&client->lock);
        for (size_t i = 0; i < count; i++) {
            lane_post(lanes[i]);
        }
        pthread_mutex_lock(&client->lock);
    }
}

/* --- Events (locked, but on_reply and on_garbage) --- */

/* Deadlines depend on whether there is a connection. */
static void wake_all(struct activity_client *client)
{
    uint32_t at = 1;
    struct call *call;
    while ((call = call_table_next(&client->calls, &at)) != NULL) {
        call->waiter->due_ms = 0;
        pthread_cond_signal(&call->waiter->done_or_due);
    }
    pthread_cond_broadcast(&client->changed);
}

/* What was sent on a connection that is gone. What NNG has not sent yet it will send on the next
 * connection to the same server by itself. */
static void lose_sent(struct activity_client *client, const struct link *link)
{
    uint32_t at = 1;
    struct call *call;
    while ((call = call_table_next(&client->calls, &at)) != NULL) {
        if (call->link == link && call->state == CALL_SENT) {
            lose(client, call);
        }
    }
}

/* What NNG holds for servers that are gone, now that another one is used instead: it may still be
 * sent there, much later, and then has been executed before. */
static void lose_posted_elsewhere(struct activity_client *client)
{
    uint32_t at = 1;
    struct call *call;
    while ((call = call_table_next(&client->calls, &at)) != NULL) {
        if (call->state == CALL_POSTED && call->repeatable && call->link != client->link &&
            !link_is_up(call->link)) {
            lose(client, call);
        }
    }
}

static struct link *another_link(struct activity_client *client, const struct link *not_this)
{
    for (size_t i = 0; i < client->link_count; i++) {
        if (client->links[i] != not_this && link_is_up(client->links[i])) {
            return client->links[i];
        }
    }
    return NULL;
}

static void use(struct activity_client *client, struct link *link)
{
    client->link = link;
    if (link != NULL) {
        lose_posted_elsewhere(client);
    }
    wake_all(client);
    client_flush(client);
}

static void on_up(void *owner, struct link *link)
{
    struct activity_client *client = owner;
    client->counts.connections++;
    if (client->link == NULL) {
        use(client, link);
    } else if (client->link == client->draining) {
        client->draining = NULL;
        use(client, link); /* the old one still answers what it has */
    }
}

static void on_down(void *owner, struct link *link)
{
    struct activity_client *client = owner;
    if (client->draining == link) {
        client->draining = NULL;
    }
    lose_sent(client, link);
    if (client->link == link) {
        client->down_ms = clock_now_ms();
        client->next_dial_ms = client->down_ms;
        use(client, another_link(client, link));
    } else {
        use(client, client->link); /* what was lost goes there */
    }
}

static void on_sent(void *owner, struct link *link, uint32_t id, enum link_sent outcome)
{
    struct activity_client *client = owner;
    bool known;
    struct call *call = call_table_find(&client->calls, id, &known);
    /* It may have been answered by now, or been taken to another server. */
    if (call != NULL && call->state == CALL_POSTED && call->link == link) {
        if (outcome == LINK_SENT) {
            call->state = CALL_SENT;
        } else if (outcome == LINK_NOT_SENT) {
            call->attempts--;
            client_enqueue(client, call);
        } else if (call->repeatable) {
            lose(client, call);
        } else {
            call->state = CALL_SENT; /* perhaps on this connection: the answer may still come */
        }
    }
    client_flush(client);
}

/* A refusal to come back after; it was not executed. */
static bool is_refusal(const struct frame_reply *reply)
{
    return reply->code == STATUS_UNAVAILABLE ||
           (reply->code == STATUS_RESOURCE_EXHAUSTED && reply->retry_after_ms > 0);
}

/* The server is about to stop, or not ready yet: all calls wait for another connection, or for it
 * to say otherwise when it is asked again. Counts as no failure of theirs, since a drain takes
 * seconds in which they would all be used up. */
static void hold(struct activity_client *client, struct link *link, uint32_t retry_after_ms)
{
    uint64_t now = clock_now_ms();
    if (link != client->link) {
        return;
    }
    if (client->draining != link) {
        client->draining = link;
        client->down_ms = now;
        client->next_dial_ms = now;
        wake_all(client);
    }
    uint32_t pause = retry_after_ms < HOLD_MAX_MS ? retry_after_ms : HOLD_MAX_MS;
    client->held_until_ms = now + (pause > HOLD_MIN_MS ? pause : HOLD_MIN_MS);
    struct link *other = another_link(client, link);
    if (other != NULL) {
        client->link = other;
        client->draining = NULL;
    }
}

static void refused(struct activity_client *client, struct call *call,
                    const struct frame_reply *reply)
{
    client->counts.refused_calls++;
    if (!call->repeatable) {
        client_end(client, call, VERDICT_REPLY);
    } else if (reply->code == STATUS_UNAVAILABLE) {
        hold(client, call->link, reply->retry_after_ms);
        client_enqueue(client, call);
        call->waiter->due_ms = 0;
    } else if (++call->failures >= client->attempts_max || !retry_budget_take(&client->budget)) {
        client_end(client, call, VERDICT_REPLY);
    } else {
        pause_call(client, call, reply->retry_after_ms);
    }
}

/* Takes `copy` of the body over. Whoever answers: the call is the same on all servers, and a lost
 * one that waits for its repetition may be answered after all. Locked. */
static void answered(struct activity_client *client, struct call *call, uint8_t *copy,
                     const struct view body)
{
    struct frame_reply reply;
    struct frame_error error;
    bool readable = frame_reply_decode(body, &reply, &error) == 0;
    bool refusal = readable && is_refusal(&reply);
    if (refusal && call->state != CALL_SENT && call->state != CALL_POSTED) {
        free(copy); /* it is about to be repeated anyway */
        return;
    }
    free(call->reply);
    call->reply = copy;
    call->reply_length = body.length;
    if (!readable) {
        client_end(client, call, VERDICT_REPLY);
    } else if (refusal) {
        refused(client, call, &reply);
    } else {
        if (call->link == client->draining && clock_now_ms() >= client->held_until_ms) {
            client->draining = NULL; /* it has been asked again */
        }
        retry_budget_succeed(&client->budget);
        client_end(client, call, VERDICT_REPLY);
    }
}

static void on_reply(void *owner, struct link *link, uint32_t id, struct view body)
{
    (void)link;
    struct activity_client *client = owner;
    uint8_t *copy = malloc(body.length + 1);
    if (copy != NULL && body.length > 0) {
        memcpy(copy, body.bytes, body.length);
    }
    pthread_mutex_lock(&client->lock);
    bool known;
    struct call *call = call_table_find(&client->calls, id, &known);
    if (call == NULL) {
        client->counts.late_replies += known;
        client->counts.bad_replies += !known;
        free(copy);
    } else if (copy == NULL) {
        client_end(client, call, VERDICT_NO_MEMORY);
    } else {
        answered(client, call, copy, body);
        client_flush(client);
    }
    pthread_mutex_unlock(&client->lock);
}

static void on_garbage(void *owner)
{
    struct activity_client *client = owner;
    pthread_mutex_lock(&client->lock);
    client->counts.bad_replies++;
    pthread_mutex_unlock(&client->lock);
}

const struct link_events client_events = {
    .up = on_up,
    .down = on_down,
    .sent = on_sent,
    .reply = on_reply,
    .garbage = on_garbage,
};
