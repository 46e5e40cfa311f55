#include "server/index/batch.h"

#include <stdlib.h>
#include <string.h>

#include "server/check.h"

struct index_batch *index_batch_new(uint64_t number, uint64_t sent_ms, struct index_room room)
{
    size_t documents = room.documents * sizeof(struct index_document);
    size_t changes = room.changes * sizeof(struct index_change);
    struct index_batch *batch = malloc(sizeof *batch + documents + changes + room.bytes);
    if (batch == NULL) {
        return NULL;
    }
    uint8_t *at = (uint8_t *)(batch + 1);
    *batch = (struct index_batch){.number = number, .sent_ms = sent_ms, .left = room};
    batch->documents = (struct index_document *)(void *)at;
    batch->changes = (struct index_change *)(void *)(at + documents);
    batch->bytes = at + documents + changes;
    return batch;
}

void index_batch_free(struct index_batch *batch)
{
    free(batch);
}

static struct bytes copy(struct index_batch *batch, struct bytes from)
{
    CHECK(from.length <= batch->left.bytes);
    if (from.length != 0) {
        memcpy(batch->bytes, from.at, from.length);
    }
    struct bytes copied = bytes_of(batch->bytes, from.length);
    batch->bytes += from.length;
    batch->left.bytes -= from.length;
    return copied;
}

void index_batch_put_document(struct index_batch *batch, const struct index_document *from)
{
    CHECK(batch->left.documents > 0);
    batch->left.documents--;
    struct index_document *document = &batch->documents[batch->document_count++];
    *document = (struct index_document){
        .kind = from->kind, .rests = from->rests, .first_change = batch->change_count};
    document->tenant = copy(batch, from->tenant);
    document->model = copy(batch, from->model);
    document->id = copy(batch, from->id);
}

void index_batch_put_change(struct index_batch *batch, const struct index_change *from)
{
    CHECK(batch->left.changes > 0 && batch->document_count > 0);
    batch->left.changes--;
    struct index_change *change = &batch->changes[batch->change_count++];
    *change = (struct index_change){.version = from->version, .deleted = from->deleted};
    change->json = copy(batch, from->json);
    struct index_document *document = &batch->documents[batch->document_count - 1];
    document->change_count++;
    CHECK(document->kind == TAKE_FRAGMENTS || document->change_count == 1);
}

const struct index_change *index_batch_last_change(const struct index_batch *batch,
                                                   uint32_t document)
{
    CHECK(document < batch->document_count && batch->documents[document].change_count > 0);
    const struct index_document *from = &batch->documents[document];
    return &batch->changes[from->first_change + from->change_count - 1];
}

struct index_batch *index_batch_from_take(const struct reply_take *take)
{
    CHECK(take->batch != 0);
    struct index_room room = {take->document_count, take->changes, take->documents.length};
    struct index_batch *batch = index_batch_new(take->batch, take->sent_ms, room);
    struct reader from = reader_of(take->documents);
    struct take_document document;
    while (batch != NULL && take_document_next(&from, &document)) {
        struct index_document to = {.tenant = document.tenant,
                                    .model = document.model,
                                    .id = document.document_id,
                                    .kind = document.kind,
                                    .rests = document.rests};
        index_batch_put_document(batch, &to);
        struct take_change change;
        while (take_change_next(&from, &document, &change)) {
            struct index_change next = {change.version, change.deleted, change.json};
            index_batch_put_change(batch, &next);
        }
    }
    return batch;
}
