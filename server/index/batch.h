/* A batch of documents on its way into the index: what a TAKE of the core gave, copied, since the
 * bytes of an effect live only as long as the call that brings them. */
#ifndef ACTIVITYD_SERVER_INDEX_BATCH_H
#define ACTIVITYD_SERVER_INDEX_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"
#include "server/core/effect.h"

struct index_change {
    uint64_t version; /* above those of all earlier takes, below 2^63 */
    bool deleted;     /* without JSON */
    struct bytes json;
};

struct index_document {
    struct bytes tenant;
    struct bytes model;
    struct bytes id;
    enum take_kind kind;
    uint8_t rests;         /* so often in a row it was not taken and had to rest */
    uint32_t first_change; /* in the batch's changes */
    uint32_t change_count; /* at least 1 */
};

struct index_batch {
    uint64_t number;  /* of the core's TAKE, comes back with the result */
    uint64_t sent_ms; /* of the core's TAKE, by the wall clock */
    uint32_t document_count;
    uint32_t change_count;
    struct index_document *documents;
    struct index_change *changes;
    struct index_room {
        uint32_t documents;
        uint32_t changes;
        size_t bytes; /* of names and JSON together */
    } left;           /* what may still be put in */
    uint8_t *bytes;
};

/* An empty batch with room for so much, in one block. NULL: out of memory. */
struct index_batch *index_batch_new(uint64_t number, uint64_t sent_ms, struct index_room room);
void index_batch_free(struct index_batch *batch); /* accepts NULL */

/* The batch of a TAKE that was not empty, copied. NULL: out of memory. */
struct index_batch *index_batch_from_take(const struct reply_take *take);

/* Copies a document in, without its changes, which follow by index_batch_put_change. There must be
 * room. first_change and change_count of `from` are not looked at. */
void index_batch_put_document(struct index_batch *batch, const struct index_document *from);
/* One more change of the document that was put last. There must be room. */
void index_batch_put_change(struct index_batch *batch, const struct index_change *from);

/* The last change of a document: the one that decides what it is afterwards. */
const struct index_change *index_batch_last_change(const struct index_batch *batch,
                                                   uint32_t document);

#endif
