/* A client's insides: links to its servers, the queue of calls, and what moves them on.
 *
 * One mutex guards all of it. Nobody but the threads that wait looks after deadlines and
 * repetitions: the library has no thread of its own, and a call without a waiter needs no care. */
#ifndef ACTIVITY_LIB_CLIENT_H
#define ACTIVITY_LIB_CLIENT_H

#include <pthread.h>

#include <activity.h>

#include "client/lib/call.h"
#include "client/lib/link.h"
#include "client/lib/retry.h"

enum {
    CLIENT_SERVERS_MAX = 16,
    CLIENT_DIAL_NEXT_MS = 500, /* how long the servers tried so far have before one more is tried */
};

/* On whose behalf; owned copies. */
struct caller {
    char *tenant;
    char *user;
    char **groups;
    size_t group_count;
};

struct activity_client {
    /* Fixed. */
    struct caller caller;
    uint32_t timeout_ms;
    uint32_t connect_timeout_ms;
    uint32_t attempts_max;
    uint32_t silence_ms;
    uint32_t reconnect_min_ms;
    uint32_t reconnect_max_ms;
    struct link_credentials *credentials;
    char *server_name; /* NULL: the host in a server's URL */
    struct link *links[CLIENT_SERVERS_MAX];
    size_t link_count;
    uint8_t *probe;
    size_t probe_size;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* connections; for activity_client_connect() */
    struct call_table calls;
    struct call_list queue; /* CALL_QUEUED, by call.in_queue */
    struct link *link;      /* in use; NULL = not connected */
    struct link *draining;  /* the one in use, if its server serves nobody at present; else NULL */
    uint64_t held_until_ms; /* when it is asked again */
    uint64_t down_ms;       /* since when there is no connection */
    uint64_t next_dial_ms;  /* when to try one server more, if there is still none */
    struct retry_budget budget;
    uint32_t chance;
    struct activity_client_status counts;
};

extern const struct link_events client_events;

/* The moves of a call, all locked. What is known of one that gets no answer any more; whether there
 * is a connection to a server that serves; its end; its
 * place in the queue; and sending what can be sent, which unlocks for NNG in between. */
enum call_verdict client_give_up_verdict(const struct activity_client *client,
                                         const struct call *call);
bool client_is_served(const struct activity_client *client);
void client_end(struct activity_client *client, struct call *call, enum call_verdict verdict);
void client_enqueue(struct activity_client *client, struct call *call);
bool client_can_send(const struct activity_client *client);
void client_flush(struct activity_client *client);

void waiter_init(struct waiter *waiter);
void waiter_deinit(struct waiter *waiter);

/* Begins a call; takes it over. Without the lock. */
void client_begin_take(struct activity_client *client, struct waiter *waiter, struct call *call);

/* Waits until a call of the waiter has ended and takes it off, to be freed with call_free(); NULL
 * when until_ms has come, the waiter was woken, or nothing is pending and it is not lasting.
 * Without the lock. */
struct call *client_wait(struct activity_client *client, struct waiter *waiter, uint64_t until_ms);

/* Has client_wait() return, the present call or the next. Locked. */
void client_wake(struct waiter *waiter);

/* Gives up all calls of a waiter, or those with a tag. Without the lock. */
void client_abandon(struct activity_client *client, struct waiter *waiter);
void client_abandon_tag(struct activity_client *client, struct waiter *waiter, uint64_t tag);

/* Waits until there is a connection: 0, or 1 when until_ms has come. Without the lock. */
__attribute__((warn_unused_result)) int client_connect(struct activity_client *client,
                                                       uint64_t until_ms);
void client_condition_init(struct activity_client *client);

/* The URL of the server in use, else of the first one. Without the lock. */
void client_server_url(struct activity_client *client, char *url, size_t size);

/* Why there is no connection, for people. Without the lock. */
void client_explain(struct activity_client *client, char *text, size_t size);

#endif
