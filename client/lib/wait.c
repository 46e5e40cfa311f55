/* What waiting threads do for the calls: deadlines, repetitions, and the choice of a server. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "client/lib/client.h"
#include "client/lib/clock.h"

enum { LOOK_AFTER_MS = 1000 }; /* at most, between two looks of a waiting thread */

static void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

void waiter_init(struct waiter *waiter)
{
    condition_init(&waiter->done_or_due);
    TAILQ_INIT(&waiter->pending);
    TAILQ_INIT(&waiter->done);
    waiter->due_ms = 0;
    waiter->lasting = false;
    waiter->woken = false;
}

void waiter_deinit(struct waiter *waiter)
{
    pthread_cond_destroy(&waiter->done_or_due);
}

/* --- Looking after connections --- */

/* What is to be done without the lock. */
struct chores {
    struct link *dial;
    struct link *probe;
    struct link *reset;
};

/* The next server that is not being dialled yet, if it is time to try one more. Locked. */
static struct link *link_to_dial(struct activity_client *client, uint64_t now)
{
    if (client_is_served(client) || now < client->next_dial_ms) {
        return NULL;
    }
    client->next_dial_ms = now + CLIENT_DIAL_NEXT_MS;
    for (size_t i = 0; i < client->link_count; i++) {
        if (!link_is_dialling(client->links[i])) {
            return client->links[i];
        }
    }
    return NULL;
}

/* Whether an answer is still to come on the link. One to a long poll may take its time while others
 * are answered, so the link's own count of what is owed does not tell. Locked. */
static bool is_owed(const struct activity_client *client, const struct link *link)
{
    uint32_t at = 1;
    const struct call *call;
    while ((call = call_table_next(&client->calls, &at)) != NULL) {
        if (call->link == link && (call->state == CALL_SENT || call->state == CALL_POSTED)) {
            return true;
        }
    }
    return false;
}

/* Whether a sign of life is due: from a server that owes answers and says nothing. Locked. */
static bool is_silent(const struct activity_client *client, const struct link *link, uint64_t now)
{
    return link_silent_ms(link, now) >= client->silence_ms ||
           (link_quiet_ms(link, now) >= client->silence_ms && is_owed(client, link));
}

/* A connection that has never answered anything, though it was made a while ago. Locked. */
static struct link *stillborn(const struct activity_client *client, uint64_t now)
{
    for (size_t i = 0; i < client->link_count; i++) {
        struct link *link = client->links[i];
        if (!link_is_up(link) && link_probed_ms(link, now) / 2 >= client->silence_ms) {
            return link;
        }
    }
    return NULL;
}

/* Locked. */
static struct chores look_at_links(struct activity_client *client, uint64_t now)
{
    struct chores chores = {.dial = link_to_dial(client, now), .reset = stillborn(client, now)};
    struct link *link = client->link;
    if (link == NULL) {
        return chores;
    }
    uint64_t probed_ms = link_probed_ms(link, now);
    if (probed_ms >= client->silence_ms) {
        chores.reset = link;
    } else if (probed_ms == 0 && is_silent(client, link, now)) {
        chores.probe = link;
    }
    return chores;
}

/* Locked; unlocks if there is something to do, and then returns true. */
static bool look_after_links(struct activity_client *client, uint64_t now)
{
    struct chores chores = look_at_links(client, now);
    if (chores.dial == NULL && chores.probe == NULL && chores.reset == NULL) {
        return false;
    }
    pthread_mutex_unlock(&client->lock);
    if (chores.dial != NULL) {
        link_dial(chores.dial);
    }
    if (chores.probe != NULL) {
        link_probe(chores.probe);
    }
    if (chores.reset != NULL) {
        link_reset(chores.reset);
    }
    pthread_mutex_lock(&client->lock);
    return true;
}

/* --- Looking after calls (locked) --- */

/* When the call needs care, if nothing happens to it before. */
static uint64_t call_due_ms(const struct activity_client *client, const struct call *call)
{
    uint64_t due = call->deadline_ms;
    uint64_t earlier = due;
    if (call->state == CALL_PAUSED) {
        earlier = call->due_ms;
    } else if (call->state == CALL_QUEUED && !client_is_served(client)) {
        uint64_t since = call->begun_ms > client->down_ms ? call->begun_ms : client->down_ms;
        uint32_t patience = call->connect_timeout_ms;
        earlier = since + (patience != 0 ? patience : client->connect_timeout_ms);
    }
    return earlier < due ? earlier : due;
}

static void look_after_calls(struct activity_client *client, struct waiter *waiter, uint64_t now)
{
    if (now < waiter->due_ms) {
        return;
    }
    uint64_t next = now + LOOK_AFTER_MS;
    struct call *call = TAILQ_FIRST(&waiter->pending);
    while (call != NULL) {
        struct call *following = TAILQ_NEXT(call, of_waiter);
        if (call->state == CALL_PAUSED && call->due_ms <= now && now < call->deadline_ms) {
            client_enqueue(client, call);
        }
        uint64_t due = call_due_ms(client, call);
        if (due <= now) {
            client_end(client, call, client_give_up_verdict(client, call));
        } else if (due < next) {
            next = due;
        }
        call = following;
    }
    waiter->due_ms = next;
}

static void sleep_until(struct activity_client *client, pthread_cond_t *condition,
                        uint64_t until_ms)
{
    uint64_t clock_ms = until_ms - 1; /* clock_now_ms() is one ahead */
    struct timespec until = {.tv_sec = (time_t)(clock_ms / 1000),
                             .tv_nsec = (long)(clock_ms % 1000) * 1000000};
    pthread_cond_timedwait(condition, &client->lock, &until);
}

static uint64_t earlier_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* While there is no connection another server is tried now and then. */
static uint64_t next_look_ms(const struct activity_client *client, uint64_t now)
{
    if (!client_is_served(client)) {
        return now + CLIENT_DIAL_NEXT_MS;
    }
    return now + (client->silence_ms < LOOK_AFTER_MS ? client->silence_ms : LOOK_AFTER_MS);
}

struct call *client_wait(struct activity_client *client, struct waiter *waiter, uint64_t until_ms)
{
    pthread_mutex_lock(&client->lock);
    struct call *call;
    for (;;) {
        uint64_t now = clock_now_ms();
        look_after_calls(client, waiter, now);
        call = TAILQ_FIRST(&waiter->done);
        if (call != NULL) {
            TAILQ_REMOVE(&waiter->done, call, of_waiter);
            break;
        }
        if (waiter->woken || (TAILQ_EMPTY(&waiter->pending) && !waiter->lasting)) {
            waiter->woken = false;
            break;
        }
        if (client_can_send(client)) {
            client_flush(client);
            continue;
        }
        bool busy = look_after_links(client, now);
        if (now >= until_ms) {
            break;
        }
        if (!busy) {
            uint64_t wake = earlier_of(until_ms, next_look_ms(client, now));
            sleep_until(client, &waiter->done_or_due, earlier_of(wake, waiter->due_ms));
        }
    }
    pthread_mutex_unlock(&client->lock);
    return call;
}

void client_begin_take(struct activity_client *client, struct waiter *waiter, struct call *call)
{
    pthread_mutex_lock(&client->lock);
    client->counts.calls++;
    call->waiter = waiter;
    call->state = CALL_PAUSED;
    TAILQ_INSERT_TAIL(&waiter->pending, call, of_waiter);
    if (!call_table_add(&client->calls, call)) {
        TAILQ_REMOVE(&waiter->pending, call, of_waiter);
        call->state = CALL_DONE;
        call->verdict = VERDICT_NO_MEMORY;
        TAILQ_INSERT_TAIL(&waiter->done, call, of_waiter);
    } else {
        client_enqueue(client, call);
        waiter->due_ms = earlier_of(waiter->due_ms, call_due_ms(client, call));
        client_flush(client);
    }
    pthread_mutex_unlock(&client->lock);
}

/* Locked. */
static void forget(struct activity_client *client, struct waiter *waiter, struct call *call)
{
    if (call->state != CALL_DONE) {
        client_end(client, call, VERDICT_UNKNOWN);
    }
    TAILQ_REMOVE(&waiter->done, call, of_waiter);
    call_free(call);
}

void client_abandon(struct activity_client *client, struct waiter *waiter)
{
    pthread_mutex_lock(&client->lock);
    struct call *call;
    while ((call = TAILQ_FIRST(&waiter->pending)) != NULL ||
           (call = TAILQ_FIRST(&waiter->done)) != NULL) {
        forget(client, waiter, call);
    }
    pthread_mutex_unlock(&client->lock);
}

void client_abandon_tag(struct activity_client *client, struct waiter *waiter, uint64_t tag)
{
    struct call_list *const lists[] = {&waiter->pending, &waiter->done};
    pthread_mutex_lock(&client->lock);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct call *call = TAILQ_FIRST(lists[i]);
        while (call != NULL) {
            struct call *following = TAILQ_NEXT(call, of_waiter);
            if (call->tag == tag) {
                forget(client, waiter, call);
            }
            call = following;
        }
    }
    pthread_mutex_unlock(&client->lock);
}

void client_wake(struct waiter *waiter)
{
    waiter->woken = true;
    pthread_cond_signal(&waiter->done_or_due);
}

/* --- Connecting --- */

int client_connect(struct activity_client *client, uint64_t until_ms)
{
    pthread_mutex_lock(&client->lock);
    for (;;) {
        uint64_t now = clock_now_ms();
        if (client->link != NULL || now >= until_ms) {
            break;
        }
        if (!look_after_links(client, now)) {
            sleep_until(client, &client->changed, earlier_of(until_ms, next_look_ms(client, now)));
        }
    }
    bool connected = client->link != NULL;
    pthread_mutex_unlock(&client->lock);
    return connected ? 0 : 1;
}

void client_condition_init(struct activity_client *client)
{
    condition_init(&client->changed);
}
