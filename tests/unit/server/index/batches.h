/* Batches for the tests of server/index/. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_INDEX_BATCHES_H
#define ACTIVITYD_TESTS_UNIT_SERVER_INDEX_BATCHES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "server/index/batch.h"

static inline struct bytes text(const char *from)
{
    return bytes_of(from, strlen(from));
}

static inline struct index_batch *open_batch(uint64_t number)
{
    struct index_room room = {4096, 8192, 4u * 1024u * 1024u};
    struct index_batch *batch = index_batch_new(number, 1000, room);
    assert_non_null(batch);
    return batch;
}

static inline void put_document(struct index_batch *batch, const char *model, const char *id,
                                enum take_kind kind)
{
    struct index_document document = {
        .tenant = text("acme"), .model = text(model), .id = text(id), .kind = kind};
    index_batch_put_document(batch, &document);
}

/* json NULL: a deletion. */
static inline void put_change(struct index_batch *batch, uint64_t version, const char *json)
{
    struct index_change change = {version, json == NULL, json == NULL ? text("") : text(json)};
    index_batch_put_change(batch, &change);
}

static inline void put_whole(struct index_batch *batch, const char *id, uint64_t version,
                             const char *json)
{
    put_document(batch, "products", id, TAKE_WHOLE);
    put_change(batch, version, json);
}

#endif
