/* Calls under way, and the table that finds them by the id in a reply. Everything here is guarded
 * by the client's mutex, except what is said to be fixed once the call is made. */
#ifndef ACTIVITY_LIB_CALL_H
#define ACTIVITY_LIB_CALL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <activity.h>

#include "client/lib/link.h"

enum call_state {
    CALL_QUEUED = 0, /* in the client's queue, until there is a connection and a lane */
    CALL_POSTED = 1, /* NNG has it and has not said that it is sent */
    CALL_SENT = 2,   /* the server owes the answer */
    CALL_PAUSED = 3, /* waits for due_ms before it is repeated */
    CALL_DONE = 4,   /* in its waiter's list of completions */
};

/* How a call ended. */
enum call_verdict {
    VERDICT_REPLY = 0,         /* `reply` holds a frame, or bytes that are none */
    VERDICT_UNKNOWN = 1,       /* it was sent, and no answer came */
    VERDICT_NOT_CONNECTED = 2, /* never sent */
    VERDICT_EXPIRED = 3,       /* never sent, though there was a connection */
    VERDICT_NO_MEMORY = 4,
};

TAILQ_HEAD(call_list, call);

/* Who waits for calls: a window, a thread in a synchronous call, or a subscription, which waits for
 * its messages, too. */
struct waiter {
    pthread_cond_t done_or_due;
    struct call_list pending; /* by call.of_waiter */
    struct call_list done;    /* by call.of_waiter */
    uint64_t due_ms;          /* nothing of `pending` needs looking after before */
    bool lasting;             /* waits even when nothing is pending, until it is woken */
    bool woken;
};

struct call {
    /* Fixed. */
    uint64_t tag;
    uint64_t begun_ms;
    uint64_t deadline_ms;
    uint32_t connect_timeout_ms; /* how long it waits for a connection; 0: the client's */
    enum activity_method method;
    bool repeatable;
    uint32_t batch_count; /* of a batch update */
    unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE];
    /* The frame but its timeout, which stands between the two. In one block. */
    uint8_t *bytes;
    struct view head;
    struct view tail;

    struct waiter *waiter;
    TAILQ_ENTRY(call) of_waiter;
    TAILQ_ENTRY(call) in_queue; /* while CALL_QUEUED */
    uint32_t id;                /* on the wire; 0 = not in the table */
    enum call_state state;
    struct link *link; /* while POSTED or SENT */
    unsigned attempts; /* how often it was given to a lane */
    unsigned failures; /* how many of them count against attempts_max */
    bool unanswered;   /* an attempt was sent and its connection lost */
    uint64_t due_ms;   /* while PAUSED */
    enum call_verdict verdict;
    uint8_t *reply; /* the answer, or the last refusal while it is repeated */
    size_t reply_length;
};

void call_free(struct call *call); /* may be NULL */

/* The table: slots with generations, so that a late reply finds nothing. */
struct call_slot {
    struct call *call;
    uint32_t generation;
    uint32_t next_free; /* 0 = none */
};

struct call_table {
    struct call_slot *slots; /* 0 is never used */
    uint32_t capacity;
    uint32_t used;
    uint32_t free_first; /* oldest first, so that an id comes back as late as possible */
    uint32_t free_last;
};

enum { CALL_TABLE_MAX = 1 << LINK_ID_SLOT_BITS };

void call_table_deinit(struct call_table *table);

/* Gives the call its id; false when the table is full or cannot grow. */
__attribute__((warn_unused_result)) bool call_table_add(struct call_table *table,
                                                        struct call *call);
void call_table_remove(struct call_table *table, struct call *call);

/* NULL when no such call is under way; *known tells whether the id was ever issued. */
struct call *call_table_find(const struct call_table *table, uint32_t id, bool *known);

/* Calls in the table from slot *at on, which is moved behind it; NULL at the end. Begin with 1. */
struct call *call_table_next(const struct call_table *table, uint32_t *at);

#endif
