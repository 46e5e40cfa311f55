#include "server/core/batches.h"

#include "server/check.h"
#include "server/core/stream.h"

/* The index keeps versions as signed 64-bit numbers. A clock set to centuries ahead would leave
 * them. */
#define WALL_SHIFT 20u
#define WALL_MOST  (COMMAND_VERSION_SEEN_MAX >> WALL_SHIFT)

uint64_t batches_version(struct batches *batches, uint64_t wall_ms)
{
    uint64_t by_clock = (wall_ms < WALL_MOST ? wall_ms : WALL_MOST) << WALL_SHIFT;
    uint64_t next = batches->last_version + 1;
    batches->last_version = next > by_clock ? next : by_clock;
    return batches->last_version;
}

uint64_t batches_add(struct batches *batches, const struct batch *batch)
{
    CHECK(batches->count < BATCHES_MAX);
    struct batch *own = &batches->at[batches->count++];
    *own = *batch;
    own->number = ++batches->last_number;
    return own->number;
}

const struct batch *batches_find(const struct batches *batches, uint64_t number)
{
    for (uint32_t i = 0; i < batches->count; i++) {
        if (batches->at[i].number == number) {
            return &batches->at[i];
        }
    }
    return NULL;
}

bool batches_remove(struct batches *batches, uint64_t number, struct batch *batch)
{
    const struct batch *found = batches_find(batches, number);
    if (found == NULL) {
        return false;
    }
    *batch = *found;
    batches->count--;
    for (size_t i = (size_t)(found - batches->at); i < batches->count; i++) {
        batches->at[i] = batches->at[i + 1];
    }
    batches->at[batches->count] = (struct batch){0};
    return true;
}

void batches_clear(struct batches *batches)
{
    memset(batches->at, 0, sizeof batches->at);
    batches->count = 0;
}

void batches_save(const struct batches *batches, struct stream_out *out)
{
    stream_put(out, batches, sizeof *batches);
}

void batches_load(struct batches *batches, struct stream_in *in)
{
    (void)stream_get(in, batches, sizeof *batches);
    if (batches->count > BATCHES_MAX) {
        stream_refuse(in, CORE_MALFORMED);
        batches->count = 0;
    }
}

/* What was taken of one document: not more than was recorded when the batch was sent, and as many
 * affected models as the window has room for. Counts the changes. */
static bool taken_sound(const struct pending *pending, const struct changes *changes, uint32_t at,
                        uint64_t sent_ms, uint64_t *taken)
{
    const struct change_document *document = changes_document(changes, at);
    uint32_t models[LIMIT_AFFECTED_MODELS];
    uint32_t model_count = 0;
    uint32_t id = document->waiting.first;
    for (uint32_t i = 0; i < document->in_flight; i++) {
        const struct pending_change *change = pending_at(pending, id);
        uint32_t known = 0;
        while (known < model_count && models[known] != change->affected_model) {
            known++;
        }
        if (known == LIMIT_AFFECTED_MODELS || change->accept_ms > sent_ms) {
            return false;
        }
        models[known] = change->affected_model;
        model_count += known == model_count;
        id = change->links.next;
    }
    *taken += document->in_flight;
    return true;
}

const char *batches_verify(const struct batches *batches, const struct pending *pending,
                           const struct changes *changes, uint64_t wall_ms)
{
    uint32_t at = pending->in_flight.first;
    uint64_t before = 0;
    for (uint32_t i = 0; i < batches->count; i++) {
        const struct batch *batch = &batches->at[i];
        uint64_t taken = 0;
        if (batch->number <= before || batch->number > batches->last_number ||
            batch->sent_ms > wall_ms || batch->first != at || batch->documents == 0 ||
            batch->documents > COMMAND_TAKE_DOCUMENTS_MAX || batch->changes > BATCH_CHANGES_MAX ||
            batch->zero != 0) {
            return "batches: one is not sound";
        }
        for (uint32_t k = 0; k < batch->documents; k++) {
            if (at == 0 || !taken_sound(pending, changes, at, batch->sent_ms, &taken)) {
                return "batches: one has other documents than are in flight";
            }
            at = list_next(&changes->documents, CHANGE_QUEUE, at);
        }
        if (taken != batch->changes) {
            return "batches: one counts other changes";
        }
        before = batch->number;
    }
    for (uint32_t i = (uint32_t)batches->count; i < BATCHES_MAX; i++) {
        if (batches->at[i].number != 0) {
            return "batches: one that is gone";
        }
    }
    return at == 0 && batches->last_version <= INT64_MAX ? NULL : "batches: a document in no batch";
}
