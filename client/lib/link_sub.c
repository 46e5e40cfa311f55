#include "client/lib/link_sub.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/supplemental/tls/tls.h>

#include "client/lib/clock.h"
#include "proto/limits.h"

enum {
    MESSAGES_MAX = 1024, /* that wait to be taken, */
    BYTES_MAX = 4 << 20, /* and their bytes, the last one aside */
    RECEIVE_QUEUE = 64,  /* messages that NNG holds for us beside them: 6 MiB at most */
    RECEIVE_BYTES = LIMIT_FEED_MESSAGE_BYTES + 16 * 1024,
    REFUSED_MAX_MS = 30000, /* between attempts at an endpoint that refuses us */
    DOUBLINGS_MAX = 16,
    SETTLE_MS = 100, /* what a first connection may take */
};

struct link_sub {
    nng_socket socket;
    nng_tls_config *tls;
    nng_dialer dialer;
    nng_aio *receive;
    char *url;
    void (*happened)(void *owner);
    void *owner;
    pthread_mutex_t *lock;
    uint32_t reconnect_min_ms;
    uint32_t reconnect_max_ms;
    nng_msg *taken; /* the taker's */
    uint64_t opened_ms;

    atomic_bool closing;
    atomic_uint posting; /* calls of nng_recv_aio() under way */

    /* Under the lock. */
    int pipe;         /* of the present connection; 0 = none */
    int removed_pipe; /* whose removal was told last: it may be told before the addition */
    bool heard;       /* a message has come on the present connection */
    bool full;        /* no receive is posted, since there is no room */
    unsigned refusals;
    uint64_t connects;
    uint64_t heard_ms;
    size_t first;
    size_t count;
    size_t bytes;
    nng_msg *messages[MESSAGES_MAX];
};

/* --- Receiving --- */

/* A socket that is being closed may take an operation into a queue that nobody empties any more; so
 * nothing may be given to NNG from link_sub_free() on. */
static void post(struct link_sub *sub)
{
    atomic_fetch_add(&sub->posting, 1);
    if (!atomic_load(&sub->closing)) {
        nng_recv_aio(sub->socket, sub->receive);
    }
    atomic_fetch_sub(&sub->posting, 1);
}

static void wait_for_posts(struct link_sub *sub)
{
    atomic_store(&sub->closing, true);
    while (atomic_load(&sub->posting) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static bool has_room(const struct link_sub *sub)
{
    return sub->count < MESSAGES_MAX && sub->bytes < BYTES_MAX;
}

static void set_pauses(struct link_sub *sub, uint32_t min_ms, uint32_t max_ms)
{
    nng_dialer_set_ms(sub->dialer, NNG_OPT_RECONNMAXT, (nng_duration)max_ms);
    nng_dialer_set_ms(sub->dialer, NNG_OPT_RECONNMINT, (nng_duration)min_ms);
}

static void received(void *arg)
{
    struct link_sub *sub = arg;
    if (nng_aio_result(sub->receive) != 0) {
        return; /* only when the socket is closed */
    }
    nng_msg *message = nng_aio_get_msg(sub->receive);
    nng_aio_set_msg(sub->receive, NULL);
    pthread_mutex_lock(sub->lock);
    sub->messages[(sub->first + sub->count++) % MESSAGES_MAX] = message;
    sub->bytes += nng_msg_len(message);
    sub->heard_ms = clock_now_ms();
    sub->heard = true;
    bool slowed = sub->refusals > 0;
    sub->refusals = 0;
    sub->full = !has_room(sub);
    bool more = !sub->full;
    sub->happened(sub->owner);
    pthread_mutex_unlock(sub->lock);
    /* From here on link_sub_take() may have posted the next receive, if it was full. */
    if (slowed) {
        set_pauses(sub, sub->reconnect_min_ms, sub->reconnect_max_ms);
    }
    if (more) {
        post(sub);
    }
}

bool link_sub_take(struct link_sub *sub, struct view *message)
{
    nng_msg_free(sub->taken);
    sub->taken = NULL;
    pthread_mutex_lock(sub->lock);
    if (sub->count > 0) {
        sub->taken = sub->messages[sub->first];
        sub->first = (sub->first + 1) % MESSAGES_MAX;
        sub->count--;
        sub->bytes -= nng_msg_len(sub->taken);
    }
    /* Not for every single place. */
    bool resume = sub->full && sub->count <= MESSAGES_MAX / 2 && sub->bytes <= BYTES_MAX / 2;
    if (resume) {
        sub->full = false;
        sub->heard_ms = clock_now_ms();
    }
    pthread_mutex_unlock(sub->lock);
    if (resume) {
        post(sub);
    }
    if (sub->taken != NULL) {
        *message = (struct view){nng_msg_body(sub->taken), nng_msg_len(sub->taken)};
    }
    return sub->taken != NULL;
}

/* --- Connections --- */

/* Locked. */
static void change_pipe(struct link_sub *sub, int next)
{
    sub->refusals += sub->pipe != 0 && !sub->heard;
    sub->pipe = next;
    sub->heard = false;
    if (next != 0) {
        sub->connects++;
        sub->heard_ms = clock_now_ms();
    }
    sub->happened(sub->owner);
}

static void pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct link_sub *sub = arg;
    int id = nng_pipe_id(pipe);
    pthread_mutex_lock(sub->lock);
    if (id != sub->removed_pipe) {
        change_pipe(sub, id);
    } else {
        sub->connects++;
    }
    pthread_mutex_unlock(sub->lock);
}

/* NNG dials anew after this, within its present minimum. Who is refused, for want of the permission
 * or of room, has another way to the same events and so can be patient. */
static void pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct link_sub *sub = arg;
    int id = nng_pipe_id(pipe);
    pthread_mutex_lock(sub->lock);
    sub->removed_pipe = id;
    if (id == sub->pipe) {
        change_pipe(sub, 0);
    }
    unsigned refusals = sub->refusals;
    pthread_mutex_unlock(sub->lock);
    if (refusals > 0) {
        uint64_t pause = (uint64_t)sub->reconnect_min_ms
                         << (refusals < DOUBLINGS_MAX ? refusals : DOUBLINGS_MAX);
        pause = pause < REFUSED_MAX_MS ? pause : REFUSED_MAX_MS;
        set_pauses(sub, (uint32_t)pause,
                   pause > sub->reconnect_max_ms ? (uint32_t)pause : sub->reconnect_max_ms);
    }
}

/* The receive limit comes before any dialer: without it 16 bytes from a peer end the process. */
static enum link_fault open_socket(struct link_sub *sub, const struct link_sub_config *config)
{
    if (nng_sub0_open(&sub->socket) != 0) {
        sub->socket.id = 0;
        return LINK_NO_MEMORY;
    }
    if (nng_socket_set_size(sub->socket, NNG_OPT_RECVMAXSZ, RECEIVE_BYTES) != 0 ||
        nng_socket_set_int(sub->socket, NNG_OPT_RECVBUF, RECEIVE_QUEUE) != 0 ||
        nng_pipe_notify(sub->socket, NNG_PIPE_EV_ADD_POST, pipe_added, sub) != 0 ||
        nng_pipe_notify(sub->socket, NNG_PIPE_EV_REM_POST, pipe_removed, sub) != 0) {
        return LINK_FAILED;
    }
    for (size_t i = 0; i < 2 && config->topics[i] != NULL; i++) {
        const char *topic = config->topics[i];
        if (nng_socket_set(sub->socket, NNG_OPT_SUB_SUBSCRIBE, topic, strlen(topic)) != 0) {
            return LINK_NO_MEMORY;
        }
    }
    return LINK_OK;
}

static enum link_fault open_dialer(struct link_sub *sub, const struct link_sub_config *config)
{
    enum link_fault fault = link_tls_configure(config->credentials, config->server_name, &sub->tls);
    if (fault != LINK_OK) {
        return fault;
    }
    if (nng_dialer_create(&sub->dialer, sub->socket, sub->url) != 0) {
        return LINK_BAD_SERVER;
    }
    if (nng_dialer_set_ptr(sub->dialer, NNG_OPT_TLS_CONFIG, sub->tls) != 0 ||
        nng_dialer_set_ms(sub->dialer, NNG_OPT_RECONNMINT, (nng_duration)sub->reconnect_min_ms) !=
            0 ||
        nng_dialer_set_ms(sub->dialer, NNG_OPT_RECONNMAXT, (nng_duration)sub->reconnect_max_ms) !=
            0) {
        return LINK_FAILED;
    }
    nng_recv_aio(sub->socket, sub->receive);
    sub->opened_ms = clock_now_ms();
    return nng_dialer_start(sub->dialer, NNG_FLAG_NONBLOCK) == 0 ? LINK_OK : LINK_FAILED;
}

enum link_fault link_sub_open(const struct link_sub_config *config, struct link_sub **sub)
{
    *sub = NULL;
    struct link_sub *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return LINK_NO_MEMORY;
    }
    made->happened = config->happened;
    made->owner = config->owner;
    made->lock = config->lock;
    made->reconnect_min_ms = config->reconnect_min_ms;
    made->reconnect_max_ms = config->reconnect_max_ms;
    made->url = strdup(config->url);
    enum link_fault fault = LINK_NO_MEMORY;
    if (made->url != NULL && nng_aio_alloc(&made->receive, received, made) == 0) {
        fault = open_socket(made, config);
    }
    if (fault == LINK_OK) {
        fault = open_dialer(made, config);
    }
    if (fault != LINK_OK) {
        link_sub_free(made);
        return fault;
    }
    *sub = made;
    return LINK_OK;
}

/* NNG 1.10.1 loses a connection that is closed in the middle of its TLS handshake: some 80 KB and a
 * descriptor. Who gives up a moment after opening is made to wait for the end of it. */
static void wait_for_handshake(struct link_sub *sub)
{
    struct link_sub_state state;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        link_sub_state(sub, &state);
    } while (state.connects == 0 && clock_now_ms() < sub->opened_ms + SETTLE_MS);
}

void link_sub_free(struct link_sub *sub)
{
    if (sub == NULL) {
        return;
    }
    if (clock_now_ms() < sub->opened_ms + SETTLE_MS) {
        wait_for_handshake(sub);
    }
    wait_for_posts(sub);
    if (sub->socket.id != 0) {
        nng_close(sub->socket);
    }
    nng_aio_free(sub->receive);
    if (sub->tls != NULL) {
        nng_tls_config_free(sub->tls);
    }
    for (; sub->count > 0; sub->count--) {
        nng_msg_free(sub->messages[sub->first]);
        sub->first = (sub->first + 1) % MESSAGES_MAX;
    }
    nng_msg_free(sub->taken);
    free(sub->url);
    free(sub);
}

void link_sub_reset(struct link_sub *sub)
{
    pthread_mutex_lock(sub->lock);
    nng_pipe pipe = {.id = (uint32_t)sub->pipe};
    pthread_mutex_unlock(sub->lock);
    if (pipe.id != 0) {
        nng_pipe_close(pipe);
    }
}

/* --- What may be asked --- */

void link_sub_state(struct link_sub *sub, struct link_sub_state *state)
{
    pthread_mutex_lock(sub->lock);
    *state = (struct link_sub_state){
        .connected = sub->pipe != 0,
        .waiting = sub->count > 0,
        .refusals = sub->refusals,
        .connects = sub->connects,
        .heard_ms = sub->heard_ms,
    };
    pthread_mutex_unlock(sub->lock);
}

const char *link_sub_url(const struct link_sub *sub)
{
    return sub->url;
}
