#include "server/net/endpoint_state.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/log.h"

/* A reply that NNG has not taken for so long: the peer does not read. */
#define SEND_MAX_MS 10000
/* So many replies behind one that NNG does not take, and how long it has taken none: a burst of
 * answers to a peer that does read moves within this time. */
#define WAITING_MAX      256
#define WAITING_STILL_MS 200

/* Under the lock: has a free slot receive, or keeps it for later. Returns it when NNG is to be
 * given it now, with post(), after the lock. */
static struct slot *take_to_receive(struct slot *slot)
{
    struct endpoint *endpoint = slot->endpoint;
    if (endpoint->receiving >= RECEIVING_MAX) {
        slot->state = SLOT_FREE;
        slot->next = endpoint->free_slots;
        endpoint->free_slots = slot;
        return NULL;
    }
    slot->state = SLOT_RECEIVE;
    endpoint->receiving++;
    endpoint->nng_has++;
    return slot;
}

/* Under the lock: the slot has stopped receiving. Returns another one to take its place, if any. */
static struct slot *replace_receiving(struct endpoint *endpoint)
{
    endpoint->receiving--;
    endpoint->nng_has--;
    struct slot *slot = endpoint->free_slots;
    if (slot == NULL) {
        return NULL;
    }
    endpoint->free_slots = slot->next;
    return take_to_receive(slot);
}

static void post(struct slot *slot)
{
    if (slot != NULL) {
        nng_ctx_recv(slot->context, slot->aio);
    }
}

static uint64_t token_of(const struct slot *slot)
{
    return (uint64_t)slot->generation << 32 | ((uint64_t)(slot - slot->endpoint->slots) + 1);
}

/* Whether a peer has shown that it does not read what it is sent. Under the lock. */
static bool is_stuck(const struct pipe *pipe, uint64_t now_ms)
{
    return pipe->waiting > WAITING_MAX && now_ms - pipe->progress_ms >= WAITING_STILL_MS;
}

/* Under the lock: the request is over. What is returned is for post(). */
static struct slot *release(struct slot *slot)
{
    pipes_release(slot->endpoint->door.pipes, slot->pipe);
    slot->pipe = NULL;
    return take_to_receive(slot);
}

/* A reply that is not sent. */
static void drop_reply(struct slot *slot)
{
    struct endpoint *endpoint = slot->endpoint;
    (void)pthread_mutex_lock(&endpoint->door.lock);
    struct slot *next = release(slot);
    (void)pthread_mutex_unlock(&endpoint->door.lock);
    post(next);
}

/* Above the bound the slowest connection is closed, which takes a moment; what comes in that moment
 * may go above by this part of it, and then closes its own connection. */
#define WAITING_SLACK 4

/* Connections to close after the lock was given back. */
struct victims {
    nng_pipe pipes[2];
};

static void judge_reply(struct endpoint *endpoint, struct pipe *pipe, size_t length,
                        uint64_t now_ms, struct victims *victims)
{
    uint64_t wanted = endpoint->waiting_bytes + length;
    if (is_stuck(pipe, now_ms)) {
        victims->pipes[0] = door_condemn(pipe, "does not read its replies");
    } else if (wanted > endpoint->waiting_bytes_max) {
        struct pipe *slowest = pipes_slowest(endpoint->door.pipes);
        if (slowest != NULL) {
            victims->pipes[0] = door_condemn(slowest, "too many bytes wait for it");
        }
        if (wanted > endpoint->waiting_bytes_max + endpoint->waiting_bytes_max / WAITING_SLACK) {
            victims->pipes[1] = door_condemn(pipe, "too many bytes wait");
        }
    }
}

/* Puts a reply on its connection's account. False: it must be dropped. */
static bool book_reply(struct slot *slot, size_t length, struct victims *victims)
{
    struct endpoint *endpoint = slot->endpoint;
    struct pipe *pipe = slot->pipe;
    (void)pthread_mutex_lock(&endpoint->door.lock);
    uint64_t now_ms = door_now_ms(); /* never before what others have noted under the lock */
    judge_reply(endpoint, pipe, length, now_ms, victims);
    bool sends = !pipe->gone && !pipe->condemned;
    if (sends) {
        if (pipe->waiting == 0) {
            pipe->progress_ms = now_ms;
        }
        pipe->waiting++;
        pipe->waiting_bytes += length;
        endpoint->waiting_bytes += length;
        endpoint->sending++;
        endpoint->nng_has++;
        slot->state = SLOT_SEND;
        slot->since_ms = now_ms;
        slot->reply_bytes = length;
    }
    (void)pthread_mutex_unlock(&endpoint->door.lock);
    return sends;
}

static void send_reply(struct slot *slot, struct view frame)
{
    static struct log_rate rate = {.most = 1, .period_ms = 10000};
    CHECK(frame.length > 0 && frame.length <= LIMIT_REPLY_BYTES);
    nng_msg *message = NULL;
    struct victims victims = {0};
    if (nng_msg_alloc(&message, frame.length) != 0) {
        log_write_rated(&rate, LOG_LEVEL_ERROR, "no memory for a reply", LOG_FIELDS());
        message = NULL;
    }
    bool sends = message != NULL && book_reply(slot, frame.length, &victims);
    if (sends) {
        memcpy(nng_msg_body(message), frame.bytes, frame.length);
        nng_aio_set_msg(slot->aio, message);
        nng_ctx_send(slot->context, slot->aio);
    } else {
        nng_msg_free(message);
        drop_reply(slot);
    }
    for (size_t i = 0; i < sizeof victims.pipes / sizeof victims.pipes[0]; i++) {
        if (victims.pipes[i].id != 0) {
            (void)nng_pipe_close(victims.pipes[i]);
        }
    }
}

/* The socket was closed, or NNG failed: the slot is not used again. */
static void on_receive_failed(struct slot *slot, int code)
{
    struct endpoint *endpoint = slot->endpoint;
    if (code != NNG_ECLOSED) {
        log_error("a slot stopped receiving", LOG_TEXT("error", nng_strerror(code)));
    }
    (void)pthread_mutex_lock(&endpoint->door.lock);
    slot->state = SLOT_FREE;
    endpoint->receiving--;
    endpoint->nng_has--;
    (void)pthread_cond_broadcast(&endpoint->door.changed);
    (void)pthread_mutex_unlock(&endpoint->door.lock);
}

static void on_received(struct slot *slot)
{
    struct endpoint *endpoint = slot->endpoint;
    int code = nng_aio_result(slot->aio);
    if (code != 0) {
        on_receive_failed(slot, code);
        return;
    }
    nng_msg *message = nng_aio_get_msg(slot->aio);
    nng_aio_set_msg(slot->aio, NULL);
    uint32_t id = (uint32_t)nng_msg_get_pipe(message).id;
    (void)pthread_mutex_lock(&endpoint->door.lock);
    struct slot *next = replace_receiving(endpoint);
    struct pipe *pipe = pipes_acquire(endpoint->door.pipes, id);
    struct admit_peer peer;
    struct policy *policy = NULL;
    slot->pipe = pipe;
    if (pipe != NULL) {
        peer = pipe->peer; /* as it is now: the rule may be replaced at any time */
        policy = policy_hold(endpoint->door.policy);
        slot->state = SLOT_WAIT;
        slot->generation++;
    } else if (next == NULL) {
        next = take_to_receive(slot);
    } else {
        slot->state = SLOT_FREE;
        slot->next = endpoint->free_slots;
        endpoint->free_slots = slot;
    }
    (void)pthread_mutex_unlock(&endpoint->door.lock);
    post(next);
    if (pipe == NULL) {
        nng_msg_free(message);
        return;
    }
    uint8_t answer[ADMIT_REPLY_MAX];
    size_t length = admit_request(endpoint->admit, &peer, token_of(slot),
                                  (struct view){nng_msg_body(message), nng_msg_len(message)},
                                  &slot->call, answer);
    /* Without an answer the slot is the engine's, and may already be on its next request. */
    policy_release(policy);
    nng_msg_free(message);
    if (length > 0) {
        send_reply(slot, (struct view){answer, length});
    }
}

static void on_sent(struct slot *slot)
{
    struct endpoint *endpoint = slot->endpoint;
    if (nng_aio_result(slot->aio) != 0) {
        nng_msg_free(nng_aio_get_msg(slot->aio));
        nng_aio_set_msg(slot->aio, NULL);
    }
    struct pipe *pipe = slot->pipe;
    (void)pthread_mutex_lock(&endpoint->door.lock);
    pipe->waiting--;
    pipe->waiting_bytes -= slot->reply_bytes;
    pipe->progress_ms = door_now_ms();
    endpoint->waiting_bytes -= slot->reply_bytes;
    endpoint->sending--;
    endpoint->nng_has--;
    struct slot *next = release(slot);
    if (endpoint->door.stopping) {
        (void)pthread_cond_broadcast(&endpoint->door.changed);
    }
    (void)pthread_mutex_unlock(&endpoint->door.lock);
    post(next);
}

/* NNG has completed what it was given. The state is not raced for: only a slot that NNG has can get
 * here, and only its callback takes it out of RECEIVE or SEND. */
static void on_event(void *context)
{
    struct slot *slot = context;
    (void)pthread_mutex_lock(&slot->endpoint->door.lock);
    enum slot_state state = slot->state;
    (void)pthread_mutex_unlock(&slot->endpoint->door.lock);
    CHECK(state == SLOT_RECEIVE || state == SLOT_SEND);
    if (state == SLOT_RECEIVE) {
        on_received(slot);
    } else {
        on_sent(slot);
    }
}

void endpoint_reply(struct endpoint *endpoint, uint64_t token, struct view frame)
{
    uint64_t index = (token & UINT32_MAX) - 1;
    CHECK(index < endpoint->slot_count);
    struct slot *slot = &endpoint->slots[index];
    (void)pthread_mutex_lock(&endpoint->door.lock);
    CHECK(slot->state == SLOT_WAIT && slot->generation == (uint32_t)(token >> 32));
    (void)pthread_mutex_unlock(&endpoint->door.lock);
    admit_answered(endpoint->admit, &slot->pipe->peer, &slot->call);
    send_reply(slot, frame);
}

void slots_watch(void *context)
{
    struct endpoint *endpoint = context;
    uint32_t next = 0;
    while (next < endpoint->slot_count) {
        nng_pipe victim = {0};
        (void)pthread_mutex_lock(&endpoint->door.lock);
        uint64_t now_ms = door_now_ms();
        if (endpoint->sending == 0) {
            next = endpoint->slot_count;
        }
        for (; next < endpoint->slot_count && victim.id == 0; next++) {
            const struct slot *slot = &endpoint->slots[next];
            if (slot->state == SLOT_SEND &&
                (now_ms - slot->since_ms >= SEND_MAX_MS || is_stuck(slot->pipe, now_ms))) {
                victim = door_condemn(slot->pipe, "does not read its replies");
            }
        }
        (void)pthread_mutex_unlock(&endpoint->door.lock);
        if (victim.id != 0) {
            (void)nng_pipe_close(victim);
        }
    }
}

int slots_start(struct endpoint *endpoint, uint32_t count)
{
    endpoint->slots = calloc(count, sizeof *endpoint->slots);
    if (endpoint->slots == NULL) {
        return NNG_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct slot *slot = &endpoint->slots[i];
        slot->endpoint = endpoint;
        endpoint->slot_count = i + 1;
        int code = nng_aio_alloc(&slot->aio, on_event, slot);
        if (code == 0) {
            code = nng_ctx_open(&slot->context, endpoint->door.socket);
        }
        if (code != 0) {
            return code;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)pthread_mutex_lock(&endpoint->door.lock);
        struct slot *slot = take_to_receive(&endpoint->slots[i]);
        (void)pthread_mutex_unlock(&endpoint->door.lock);
        post(slot);
    }
    return 0;
}

void slots_free(struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < endpoint->slot_count; i++) {
        nng_aio_free(endpoint->slots[i].aio); /* waits for its callback */
    }
    free(endpoint->slots);
    endpoint->slots = NULL;
    endpoint->slot_count = 0;
}
