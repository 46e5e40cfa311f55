/* The way out of the engine: reply frames, events and progress wait here for the thread that hands
 * them over, where they may be encrypted. Bounded: who has to say something while it is full waits,
 * and the inbox fills and refuses. */
#ifndef ACTIVITYD_SERVER_ENGINE_OUTBOX_H
#define ACTIVITYD_SERVER_ENGINE_OUTBOX_H

#include "server/engine/engine.h"
#include "server/engine/queue.h"

struct outbox {
    struct queue queue;
    struct wake wake; /* of the thread that delivers */
    const struct engine_outlets *outlets;
    bool threaded;                     /* false: whoever finds it full delivers itself */
    _Atomic uint32_t progress_waiting; /* messages of progress that are not delivered yet */
    pthread_t thread;
};

/* Room for the largest reply must fit at least. */
#define OUTBOX_BYTES_MIN (4u * 1024u * 1024u)

__attribute__((warn_unused_result)) int outbox_init(struct outbox *outbox, size_t bytes,
                                                    const struct engine_outlets *outlets);
void outbox_deinit(struct outbox *outbox);

/* Starts the thread; ends it when all is delivered. */
__attribute__((warn_unused_result)) int outbox_start(struct outbox *outbox);
void outbox_stop(struct outbox *outbox);

/* Room for a frame of `size` bytes; any thread. */
uint8_t *outbox_reserve(struct outbox *outbox, size_t size);
/* The frame lies in that room. Token 0: nobody waits, the room is given back. */
void outbox_reply(struct outbox *outbox, uint8_t *room, uint64_t token, struct bytes frame);
/* The room holds events, as effects. */
void outbox_events(struct outbox *outbox, uint8_t *room, struct bytes effects);
/* The room holds progress, as the fields of a ProgressFrame. */
void outbox_progress(struct outbox *outbox, uint8_t *room, struct bytes fields);
/* A frame that stands elsewhere, as a whole. Any thread. */
void outbox_reply_copy(struct outbox *outbox, uint64_t token, struct bytes frame);
/* A refusal, as a whole. Any thread. */
void outbox_refuse(struct outbox *outbox, uint64_t token, uint64_t epoch,
                   const struct refusal *refusal);

/* Delivers what is there. The delivering thread, or without one the engine's. */
bool outbox_deliver(struct outbox *outbox);

#endif
