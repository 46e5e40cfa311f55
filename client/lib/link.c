#include "client/lib/link.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

#include "client/lib/clock.h"
#include "proto/limits.h"

enum {
    LANES = 32,         /* sends under way; NNG takes one after the other anyway */
    RECEIVE_QUEUE = 16, /* messages that NNG holds for us: 16 MiB at most */
    FAILURE_KINDS = 6,
};

struct lane {
    struct link *link;
    nng_aio *aio;
    struct lane *next; /* in link.idle */
    uint32_t id;
    uint32_t connection; /* the one that it was given to */
};

struct link {
    nng_socket socket;
    nng_tls_config *tls;
    nng_dialer dialer;
    nng_aio *receive;
    char *url;
    struct view probe_frame;
    const struct link_events *events;
    void *owner;
    pthread_mutex_t *lock;
    uint32_t reconnect_min_ms;
    uint32_t reconnect_max_ms;

    atomic_bool closing;
    atomic_uint posting; /* calls of post_begin() without their post_end() */

    /* Under the lock. */
    bool dialling;
    bool up;
    int pipe;            /* of the present connection; 0 = none */
    int removed_pipe;    /* whose removal was told last: it may be told before the addition */
    uint32_t connection; /* counts connections */
    uint64_t asked_ms;   /* when the oldest message since heard_ms was sent; 0 = none */
    uint64_t heard_ms;   /* when the connection was made, or an answer came last */
    uint64_t probed_ms;  /* the same for a probe */
    unsigned refusals;
    uint64_t failures[FAILURE_KINDS]; /* of attempts to connect, when link_explain() last looked */
    const char *failure;              /* what it told then; NULL = nothing */
    bool probe_lane_busy;
    struct lane *idle;
    struct lane probe_lane;
    struct lane lanes[LANES];
};

/* --- Giving operations to NNG --- */

/* A raw socket takes an operation that comes just while it is being closed into a queue that nobody
 * empties any more (nni_msgq_aio_get does not look whether it is closed), and freeing the operation
 * then touches the freed queue. So nothing may be given to NNG from link_close() on. */
static bool post_begin(struct link *link)
{
    atomic_fetch_add(&link->posting, 1);
    if (atomic_load(&link->closing)) {
        atomic_fetch_sub(&link->posting, 1);
        return false;
    }
    return true;
}

static void post_end(struct link *link)
{
    atomic_fetch_sub(&link->posting, 1);
}

/* Each post_begin() is followed by one call that does not block. */
static void wait_for_posts(struct link *link)
{
    atomic_store(&link->closing, true);
    while (atomic_load(&link->posting) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* --- Sending --- */

bool link_has_lane(const struct link *link)
{
    return link->idle != NULL;
}

static bool fill(struct lane *lane, uint32_t id, const struct view *parts, size_t count)
{
    nng_msg *message;
    if (nng_msg_alloc(&message, 0) != 0) {
        return false;
    }
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].length;
    }
    bool good = nng_msg_header_append_u32(message, id) == 0 && nng_msg_reserve(message, size) == 0;
    for (size_t i = 0; good && i < count; i++) {
        good = nng_msg_append(message, parts[i].bytes, parts[i].length) == 0;
    }
    if (!good) {
        nng_msg_free(message);
        return false;
    }
    lane->id = id;
    lane->connection = lane->link->connection;
    nng_aio_set_msg(lane->aio, message);
    return true;
}

struct lane *link_lane_take(struct link *link, uint32_t id, const struct view *parts, size_t count,
                            bool *no_memory)
{
    *no_memory = false;
    struct lane *lane = link->idle;
    if (lane == NULL) {
        return NULL;
    }
    if (!fill(lane, id, parts, count)) {
        *no_memory = true;
        return NULL;
    }
    link->idle = lane->next;
    if (link->asked_ms == 0) {
        link->asked_ms = clock_now_ms();
    }
    return lane;
}

void lane_post(struct lane *lane)
{
    if (post_begin(lane->link)) {
        nng_send_aio(lane->link->socket, lane->aio);
        post_end(lane->link);
    } else {
        nng_msg_free(nng_aio_get_msg(lane->aio));
        nng_aio_set_msg(lane->aio, NULL);
    }
}

static enum link_sent finish_send(struct lane *lane)
{
    if (nng_aio_result(lane->aio) != 0) {
        nng_msg_free(nng_aio_get_msg(lane->aio));
        nng_aio_set_msg(lane->aio, NULL);
        return LINK_NOT_SENT;
    }
    return lane->connection == lane->link->connection && lane->link->pipe != 0 ? LINK_SENT
                                                                               : LINK_UNSURE;
}

static void lane_sent(void *arg)
{
    struct lane *lane = arg;
    struct link *link = lane->link;
    pthread_mutex_lock(link->lock);
    enum link_sent outcome = finish_send(lane);
    lane->next = link->idle;
    link->idle = lane;
    link->events->sent(link->owner, link, lane->id, outcome);
    pthread_mutex_unlock(link->lock);
}

static void probe_sent(void *arg)
{
    struct lane *lane = arg;
    struct link *link = lane->link;
    pthread_mutex_lock(link->lock);
    enum link_sent outcome = finish_send(lane);
    link->probe_lane_busy = false;
    /* One that hung over from a lost connection is no probe of this one. */
    bool again = outcome == LINK_UNSURE && link->pipe != 0;
    pthread_mutex_unlock(link->lock);
    if (again) {
        link_probe(link);
    }
}

static uint32_t probe_id(const struct link *link)
{
    uint32_t generation = link->connection & ((1U << LINK_ID_GENERATION_BITS) - 1);
    return 0x80000000U | generation << LINK_ID_SLOT_BITS;
}

void link_probe(struct link *link)
{
    pthread_mutex_lock(link->lock);
    bool post = !link->probe_lane_busy && link->pipe != 0 &&
                fill(&link->probe_lane, probe_id(link), &link->probe_frame, 1);
    if (post) {
        link->probe_lane_busy = true;
    }
    if (link->pipe != 0 && link->probed_ms == 0) {
        link->probed_ms = clock_now_ms();
    }
    pthread_mutex_unlock(link->lock);
    if (post) {
        lane_post(&link->probe_lane);
    }
}

/* --- Receiving --- */

static void set_reconnect_min(struct link *link, uint32_t ms)
{
    nng_dialer_set_ms(link->dialer, NNG_OPT_RECONNMINT, (nng_duration)ms);
}

/* Any answer shows that the server takes this client. */
static void heard(struct link *link)
{
    pthread_mutex_lock(link->lock);
    link->asked_ms = 0;
    link->probed_ms = 0;
    link->heard_ms = clock_now_ms();
    bool slowed = link->refusals > 0;
    link->refusals = 0;
    if (!link->up && link->pipe != 0) {
        link->up = true;
        link->events->up(link->owner, link);
    }
    pthread_mutex_unlock(link->lock);
    if (slowed) {
        set_reconnect_min(link, link->reconnect_min_ms);
    }
}

static void take_message(struct link *link, nng_msg *message)
{
    const uint8_t *header = nng_msg_header(message);
    if (nng_msg_header_len(message) != sizeof(uint32_t)) {
        link->events->garbage(link->owner);
        return;
    }
    uint32_t id = (uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 |
                  header[3];
    heard(link);
    bool probe = (id & ((1U << LINK_ID_SLOT_BITS) - 1)) == 0;
    if (!probe) {
        struct view body = {.bytes = nng_msg_body(message), .length = nng_msg_len(message)};
        link->events->reply(link->owner, link, id, body);
    }
}

static void received(void *arg)
{
    struct link *link = arg;
    if (nng_aio_result(link->receive) != 0) {
        return; /* only when the socket is closed */
    }
    nng_msg *message = nng_aio_get_msg(link->receive);
    nng_aio_set_msg(link->receive, NULL);
    take_message(link, message);
    nng_msg_free(message);
    if (post_begin(link)) {
        nng_recv_aio(link->socket, link->receive);
        post_end(link);
    }
}

/* --- Connections --- */

/* `next` is the pipe of the new connection; 0 = none. All is set before the event, which may
 * unlock. */
static void change_pipe(struct link *link, int next)
{
    bool was_up = link->up;
    bool refused = link->pipe != 0 && !was_up;
    link->pipe = next;
    link->up = false;
    link->asked_ms = 0;
    link->probed_ms = 0;
    link->heard_ms = clock_now_ms();
    link->connection += next != 0;
    link->refusals += refused;
    if (was_up) {
        link->events->down(link->owner, link);
    }
}

static void pipe_added(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct link *link = arg;
    int id = nng_pipe_id(pipe);
    pthread_mutex_lock(link->lock);
    bool alive = id != link->removed_pipe;
    if (alive) {
        change_pipe(link, id); /* the removal of one before may be told later */
    }
    pthread_mutex_unlock(link->lock);
    if (alive) {
        link_probe(link);
    }
}

/* NNG dials anew after this, within its present minimum: without a longer one a client that the
 * server refuses would come back some forty times a second for ever. */
static void pipe_removed(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct link *link = arg;
    int id = nng_pipe_id(pipe);
    pthread_mutex_lock(link->lock);
    link->removed_pipe = id;
    if (id == link->pipe) {
        change_pipe(link, 0);
    }
    unsigned doublings = link->refusals < 16 ? link->refusals : 16;
    pthread_mutex_unlock(link->lock);
    uint64_t pause = (uint64_t)link->reconnect_min_ms << doublings;
    if (doublings > 0) {
        set_reconnect_min(link, pause < link->reconnect_max_ms ? (uint32_t)pause
                                                               : link->reconnect_max_ms);
    }
}

static bool open_lane(struct link *link, struct lane *lane, void (*sent)(void *))
{
    lane->link = link;
    return nng_aio_alloc(&lane->aio, sent, lane) == 0;
}

static bool open_lanes(struct link *link)
{
    for (size_t i = 0; i < LANES; i++) {
        if (!open_lane(link, &link->lanes[i], lane_sent)) {
            return false;
        }
        link->lanes[i].next = link->idle;
        link->idle = &link->lanes[i];
    }
    return open_lane(link, &link->probe_lane, probe_sent) &&
           nng_aio_alloc(&link->receive, received, link) == 0;
}

/* The receive limit comes before any dialer: without it 16 bytes from a peer end the process. */
static enum link_fault open_socket(struct link *link, const struct link_config *config)
{
    if (nng_req0_open_raw(&link->socket) != 0) {
        link->socket.id = 0;
        return LINK_NO_MEMORY;
    }
    if (nng_socket_set_size(link->socket, NNG_OPT_RECVMAXSZ, LIMIT_RECEIVE_BYTES) != 0 ||
        nng_socket_set_int(link->socket, NNG_OPT_RECVBUF, RECEIVE_QUEUE) != 0 ||
        nng_pipe_notify(link->socket, NNG_PIPE_EV_ADD_POST, pipe_added, link) != 0 ||
        nng_pipe_notify(link->socket, NNG_PIPE_EV_REM_POST, pipe_removed, link) != 0) {
        return LINK_FAILED;
    }
    enum link_fault fault =
        link_tls_configure(config->credentials, config->server_name, &link->tls);
    if (fault != LINK_OK) {
        return fault;
    }
    if (nng_dialer_create(&link->dialer, link->socket, config->url) != 0) {
        return LINK_BAD_SERVER;
    }
    if (nng_dialer_set_ptr(link->dialer, NNG_OPT_TLS_CONFIG, link->tls) != 0 ||
        nng_dialer_set_ms(link->dialer, NNG_OPT_RECONNMINT,
                          (nng_duration)config->reconnect_min_ms) != 0 ||
        nng_dialer_set_ms(link->dialer, NNG_OPT_RECONNMAXT,
                          (nng_duration)config->reconnect_max_ms) != 0) {
        return LINK_FAILED;
    }
    return LINK_OK;
}

enum link_fault link_open(const struct link_config *config, struct link **link)
{
    *link = NULL;
    struct link *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return LINK_NO_MEMORY;
    }
    made->probe_frame = config->probe;
    made->events = config->events;
    made->owner = config->owner;
    made->lock = config->lock;
    made->reconnect_min_ms = config->reconnect_min_ms;
    made->reconnect_max_ms = config->reconnect_max_ms;
    made->url = strdup(config->url);
    enum link_fault fault = LINK_NO_MEMORY;
    if (made->url != NULL && open_lanes(made)) {
        fault = open_socket(made, config);
    }
    if (fault != LINK_OK) {
        link_free(made);
        return fault;
    }
    nng_recv_aio(made->socket, made->receive);
    *link = made;
    return LINK_OK;
}

void link_close(struct link *link)
{
    wait_for_posts(link);
    if (link->socket.id != 0) {
        nng_close(link->socket);
        link->socket.id = 0;
    }
}

void link_free(struct link *link)
{
    if (link == NULL) {
        return;
    }
    link_close(link);
    if (link->tls != NULL) {
        nng_tls_config_free(link->tls);
    }
    nng_aio_free(link->receive);
    nng_aio_free(link->probe_lane.aio);
    for (size_t i = 0; i < LANES; i++) {
        nng_aio_free(link->lanes[i].aio);
    }
    free(link->url);
    free(link);
}

void link_dial(struct link *link)
{
    pthread_mutex_lock(link->lock);
    bool begin = !link->dialling;
    link->dialling = true;
    pthread_mutex_unlock(link->lock);
    if (begin && nng_dialer_start(link->dialer, NNG_FLAG_NONBLOCK) != 0) {
        pthread_mutex_lock(link->lock);
        link->dialling = false;
        pthread_mutex_unlock(link->lock);
    }
}

void link_reset(struct link *link)
{
    pthread_mutex_lock(link->lock);
    nng_pipe pipe = {.id = (uint32_t)link->pipe};
    pthread_mutex_unlock(link->lock);
    if (pipe.id != 0) {
        nng_pipe_close(pipe);
    }
}

/* --- What may be asked --- */

bool link_is_up(const struct link *link)
{
    return link->up;
}

bool link_is_dialling(const struct link *link)
{
    return link->dialling;
}

const char *link_url(const struct link *link)
{
    return link->url;
}

/* Above 0 from the first moment on. */
static uint64_t since(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms == 0 ? 0 : now_ms <= then_ms ? 1 : now_ms - then_ms + 1;
}

uint64_t link_silent_ms(const struct link *link, uint64_t now_ms)
{
    return since(link->asked_ms, now_ms);
}

uint64_t link_quiet_ms(const struct link *link, uint64_t now_ms)
{
    return since(link->heard_ms, now_ms);
}

uint64_t link_probed_ms(const struct link *link, uint64_t now_ms)
{
    return since(link->probed_ms, now_ms);
}

unsigned link_refusals(const struct link *link)
{
    return link->refusals;
}

bool link_url_host(const char *url, char *host, size_t size)
{
    static const char *const schemes[] = {"tls+tcp://", "tls+tcp4://", "tls+tcp6://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t scheme = strlen(schemes[i]);
        if (strncmp(url, schemes[i], scheme) != 0) {
            continue;
        }
        const char *begin = url + scheme;
        bool bracketed = *begin == '['; /* an IPv6 address */
        begin += bracketed;
        const char *end = strchr(begin, bracketed ? ']' : ':');
        if (end == NULL || end == begin || (size_t)(end - begin) >= size) {
            return false;
        }
        memcpy(host, begin, (size_t)(end - begin));
        host[end - begin] = '\0';
        return true;
    }
    return false;
}

/* NNG tells a background dialer's failures only by its statistics. Most telling first. */
static const struct {
    const char *statistic;
    const char *text;
} dial_failures[FAILURE_KINDS] = {
    {"auth", "the TLS handshake failed: the server's certificate is not of the given CA or has "
             "another name, or the key does not belong to the certificate, or the server refused "
             "this client's certificate (with TLS 1.3 that shows only as a bad record MAC here; "
             "the server's diagnostics name the reason)"},
    {"refused", "connection refused: nothing listens there"},
    {"timeout", "no answer to the attempt to connect"},
    {"proto", "what listens there does not speak this protocol"},
    {"disconnect", "the server closed the connection during the handshake"},
    {"other", "cannot connect: the name is unknown, the network unreachable, or the connection was "
              "closed during the handshake"},
};

/* Reads how often each kind of failure has happened. */
static void count_failures(const struct link *link, uint64_t *counts)
{
    nng_stat *root = NULL;
    if (nng_stats_get(&root) != 0) {
        return;
    }
    nng_stat *dialer = nng_stat_find_dialer(root, link->dialer);
    for (size_t i = 0; dialer != NULL && i < FAILURE_KINDS; i++) {
        nng_stat *count = nng_stat_find(dialer, dial_failures[i].statistic);
        counts[i] = count == NULL ? 0 : nng_stat_value(count);
    }
    nng_stats_free(root);
}

/* The kind that has grown most since the last question, else the one that was told then. */
static const char *dial_failure(struct link *link)
{
    uint64_t counts[FAILURE_KINDS] = {0};
    count_failures(link, counts);
    uint64_t most = 0;
    pthread_mutex_lock(link->lock);
    for (size_t i = 0; i < FAILURE_KINDS; i++) {
        uint64_t grown = counts[i] - link->failures[i];
        if (counts[i] > link->failures[i] && grown > most) {
            most = grown;
            link->failure = dial_failures[i].text;
        }
        link->failures[i] = counts[i];
    }
    const char *text = link->failure;
    pthread_mutex_unlock(link->lock);
    return text;
}

void link_explain(struct link *link, char *text, size_t size)
{
    pthread_mutex_lock(link->lock);
    unsigned refusals = link->refusals;
    bool waiting = link->pipe != 0 && !link->up;
    bool dialling = link->dialling;
    pthread_mutex_unlock(link->lock);
    const char *reason = "not tried yet";
    if (refusals > 0) { /* also while the next one is about to be closed */
        reason = "the server closes each connection at once: it may not admit this client's "
                 "certificate, or has too many connections; its diagnostics name the reason";
    } else if (waiting) {
        reason = "connected, but the server does not answer";
    } else if (dialling) {
        reason = dial_failure(link);
        reason = reason != NULL ? reason : "the connection is not made yet";
    }
    snprintf(text, size, "%s: %s", link->url, reason);
}
