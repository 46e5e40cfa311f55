/* What the files of the command endpoint share: its life in endpoint.c, slots in slot.c. */
#ifndef ACTIVITYD_SERVER_NET_ENDPOINT_STATE_H
#define ACTIVITYD_SERVER_NET_ENDPOINT_STATE_H

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/net/door.h"
#include "server/net/endpoint.h"

enum slot_state {
    SLOT_FREE = 0, /* nobody has it: in the list of free ones, or the socket was closed */
    SLOT_RECEIVE,  /* NNG has it, a request will complete it */
    SLOT_WAIT,     /* the engine has its request */
    SLOT_SEND      /* NNG has its reply and will complete it by taking the bytes */
};

/* So many slots receive at a time, the other free ones wait in a list: a request that has arrived
 * stays in its slot until a thread comes to it, and 1,024 of them would be a gigabyte. */
#define RECEIVING_MAX 128

/* `state`, `generation` and `pipe` change under the door's lock; the rest belongs to whoever
 * the state says. */
struct slot {
    struct endpoint *endpoint;
    nng_ctx context;
    nng_aio *aio;
    enum slot_state state;
    uint32_t generation; /* of the request: a token names slot and generation */
    struct pipe *pipe;   /* in WAIT and SEND */
    struct slot *next;   /* in the list of free ones */
    uint64_t since_ms;   /* in SEND */
    size_t reply_bytes;  /* in SEND */
    struct admit_call call;
};

struct endpoint {
    struct door door; /* its lock guards what follows, and is never held while NNG is called */
    struct admit *admit;
    uint64_t waiting_bytes_max;
    uint64_t waiting_bytes; /* of all slots in SEND */
    struct slot *free_slots;
    uint32_t receiving; /* slots in RECEIVE */
    uint32_t sending;   /* slots in SEND */
    uint32_t nng_has;   /* both: what closing the socket gives back */
    struct slot *slots;
    uint32_t slot_count;
};

/* Opens the context of each slot and begins to receive. Returns 0 or NNG's error. */
__attribute__((warn_unused_result)) int slots_start(struct endpoint *endpoint, uint32_t count);

/* After the socket was closed: waits for the callbacks, frees. */
void slots_free(struct endpoint *endpoint);

/* Closes connections whose peers do not read their replies. The door's watchdog; `context` is the
 * endpoint. */
void slots_watch(void *context);

#endif
