/* TAKE, RESULT, INDEX_START and PARKED: the way of changes into an index. What is due goes into a
 * batch, whose reply carries it; what became of it comes back, document by document. */
#include "server/check.h"
#include "server/core/state.h"

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- TAKE ---- */

/* JSON straight into the effects, which have room for what command_effects_max has counted. */
static void put_json(struct core *core, const struct pending_change *change)
{
    struct writer *to = &core->effects;
    writer_u32(to, change->json_length);
    CHECK(!to->failed && (size_t)(to->end - to->at) >= change->json_length);
    pool_get(&core->pending.json, change->json_first, change->json_length, to->at);
    to->at += change->json_length;
    to->wanted += change->json_length;
}

static void put_change(struct core *core, const struct pending_change *change)
{
    struct writer *to = &core->effects;
    writer_u64(to, batches_version(&core->batches, core->time.wall_ms));
    writer_u8(to, change->deleted != 0 ? 1 : 0);
    writer_u64(to, change->accept_ms);
    put_json(core, change);
}

/* Whole documents replace each other: the last one says all. */
static void put_document(struct core *core, uint32_t at)
{
    const struct change_document *document = changes_document(&core->changes, at);
    struct writer *to = &core->effects;
    uint8_t name[NAME_LENGTH_MAX];
    uint8_t id[LIMIT_DOCUMENT_ID_LENGTH];
    pool_get(&core->changes.ids, document->id_first, document->id_length, id);
    writer_text(to, names_text(&core->names, document->tenant, name));
    writer_text(to, names_text(&core->names, document->model, name));
    writer_text(to, bytes_of(id, document->id_length));
    uint32_t first = document->waiting.first;
    bool whole = (pending_at(&core->pending, first)->flags & PENDING_FRAGMENT) == 0;
    writer_u8(to, whole ? TAKE_WHOLE : TAKE_FRAGMENTS);
    writer_u8(to, document->rests);
    writer_u32(to, whole ? 1 : document->in_flight);
    for (uint32_t i = 1; i <= document->in_flight; i++) {
        const struct pending_change *change = pending_at(&core->pending, first);
        if (!whole || i == document->in_flight) {
            put_change(core, change);
        }
        first = change->links.next;
    }
}

static void put_head(struct core *core, const struct batch *batch, enum take_cause cause)
{
    struct writer *to = &core->effects;
    writer_u64(to, batch->number);
    writer_u64(to, batch->sent_ms);
    writer_u8(to, (uint8_t)cause);
    writer_u32(to, batch->changes);
    writer_u32(to, batch->documents);
}

/* Moves what is due into flight. */
static void fill(struct core *core, struct pending_room *room, struct batch *batch)
{
    uint32_t document;
    while ((document = pending_take(&core->pending, &core->changes, &core->tickets, &core->limits,
                                    room)) != 0) {
        batch->first = batch->first == 0 ? document : batch->first;
        batch->documents++;
        batch->changes += changes_document(&core->changes, document)->in_flight;
    }
}

void apply_take(struct core *core, const struct command *command)
{
    struct pending_room room;
    enum take_cause cause =
        pending_begin(&core->pending, &core->changes, &core->limits, core->time.service_ms, &room);
    uint8_t *reply = emit_reply_begin(core);
    struct batch batch = {.number = 0};
    if (core->limits.index_mode == 0 || core->batches.count == BATCHES_MAX || cause == TAKE_NONE) {
        put_head(core, &batch, TAKE_NONE);
        emit_reply_end(core, reply);
        return;
    }
    room.for_index = true;
    room.documents = least(room.documents, command->take.documents_max);
    room.bytes = least(room.bytes, command->take.bytes_max);
    room.changes = BATCH_CHANGES_MAX;
    batch.sent_ms = core->time.wall_ms;
    fill(core, &room, &batch);
    CHECK(batch.documents != 0); /* the first one always fits */
    batch.number = batches_add(&core->batches, &batch);
    put_head(core, &batch, cause);
    uint32_t document = batch.first;
    for (uint32_t i = 0; i < batch.documents; i++) {
        put_document(core, document);
        document = list_next(&core->changes.documents, CHANGE_QUEUE, document);
    }
    emit_reply_end(core, reply);
}

/* ---- RESULT ---- */

static void put_back(struct core *core, uint32_t document)
{
    struct pending_settlement nothing = {.document = document, .service_ms = core->time.service_ms};
    pending_settle(&core->pending, &core->changes, &core->names, &core->tickets, &nothing);
}

/* The last of them first, so that the first one comes to stand before all others. */
static void put_back_all(struct core *core, uint32_t last, uint32_t count)
{
    while (count-- != 0) {
        uint32_t before = list_links(&core->changes.documents, CHANGE_QUEUE, last)->previous;
        put_back(core, last);
        last = before;
    }
}

static void park(struct core *core, uint32_t document, struct reader *reasons)
{
    struct parked_reason reason;
    CHECK(command_reason_next(reasons, &reason.code, &reason.message)); /* decoding has counted */
    uint64_t park_id =
        parked_add(&core->parked, &core->limits, document, core->time.wall_ms, &reason);
    pending_park(&core->pending, &core->changes, &core->tickets, document, park_id);
}

/* False: it need not rest, and is still where it was. */
static bool rest(struct core *core, uint32_t document, uint32_t rest_ms)
{
    if (rest_ms != 0) {
        pending_rest(&core->pending, &core->changes, &core->tickets, document,
                     core->time.service_ms + rest_ms);
    }
    return rest_ms != 0;
}

/* What waits behind accepted changes has its own time to wait for others. */
static void settle_batch(struct core *core, const struct batch *batch,
                         const struct command_result *result, struct reply_result *reply)
{
    struct reader reasons = reader_of(result->reasons);
    uint32_t document = batch->first;
    uint32_t last_back = 0;
    uint32_t back = 0;
    for (uint32_t i = 0; i < batch->documents; i++) {
        uint32_t next = list_next(&core->changes.documents, CHANGE_QUEUE, document);
        switch (index_outcome_of(result->outcomes.at[i])) {
        case INDEX_ACKED:
            accept_document(core, document, batch->sent_ms, true);
            reply->acked++;
            break;
        case INDEX_PARKED:
            park(core, document, &reasons);
            reply->parked++;
            break;
        case INDEX_RETRY:
            if (!rest(core, document,
                      index_rest_ms(result->retry_after_ms, result->outcomes.at[i]))) {
                last_back = document;
                back++;
            }
            reply->retried++;
            break;
        }
        document = next;
    }
    put_back_all(core, last_back, back); /* by now they stand one behind the other */
}

void apply_result(struct core *core, const struct command *command)
{
    const struct command_result *result = &command->result;
    struct reply_result reply = {.stale = false};
    const struct batch *found = batches_find(&core->batches, result->batch);
    if (found != NULL && found->documents != result->count) {
        core->error = CORE_MALFORMED;
        return;
    }
    struct batch batch;
    if (batches_remove(&core->batches, result->batch, &batch)) {
        uint64_t seen = result->version_seen;
        if (seen > core->batches.last_version && seen <= COMMAND_VERSION_SEEN_MAX) {
            core->batches.last_version = seen;
        }
        settle_batch(core, &batch, result, &reply);
    } else {
        reply.stale = true;
    }
    uint8_t body[13];
    struct writer to = writer_of(body, sizeof body);
    writer_u8(&to, reply.stale ? 1 : 0);
    writer_u32(&to, reply.acked);
    writer_u32(&to, reply.retried);
    writer_u32(&to, reply.parked);
    emit_reply(core, bytes_of(body, sizeof body));
}

/* ---- A start, or an end, of the index ---- */

/* All that is in flight or rests waits again: those that rested in front. */
static uint32_t put_back_everything(struct core *core)
{
    uint32_t documents = core->pending.in_flight.count;
    put_back_all(core, core->pending.in_flight.last, documents);
    batches_clear(&core->batches);
    return documents + pending_wake(&core->pending, &core->changes);
}

void apply_index_start(struct core *core, const struct command *command)
{
    (void)command;
    uint32_t documents = put_back_everything(core);
    emit_reply(core, bytes_of(&documents, sizeof documents));
}

void index_leave(struct core *core)
{
    (void)put_back_everything(core);
    /* Nobody is left who refuses them. */
    for (uint32_t at = core->pending.parked.last; at != 0; at = core->pending.parked.last) {
        uint64_t park_id = changes_document(&core->changes, at)->park_id;
        parked_remove(&core->parked, parked_find(&core->parked, park_id));
        put_back(core, at);
    }
}

/* ---- PARKED ---- */

/* The record, if it is the caller's to decide about; else there is none. */
static uint32_t find_parked(const struct core *core, const struct command_parked *command)
{
    uint32_t place = parked_find(&core->parked, command->park_id);
    if (place == 0 || (command->caller.rights & RIGHT_ADMIN) == 0) {
        return 0;
    }
    uint32_t tenant = names_lookup(&core->names, NAME_TENANT, 0, command->caller.tenant);
    uint32_t document = parked_at(&core->parked, place)->document;
    return changes_document(&core->changes, document)->tenant == tenant ? place : 0;
}

void apply_parked(struct core *core, const struct command *command)
{
    uint32_t place = find_parked(core, &command->parked);
    uint32_t changes = 0;
    if (place != 0) {
        uint32_t document = parked_at(&core->parked, place)->document;
        bool discard = command->parked.action == PARKED_DISCARD;
        changes = changes_document(&core->changes, document)->in_flight;
        parked_remove(&core->parked, place);
        struct pending_settlement settlement = {.document = document,
                                                .accepted = discard ? changes : 0,
                                                .discarded = discard,
                                                .service_ms = core->time.service_ms};
        pending_settle(&core->pending, &core->changes, &core->names, &core->tickets, &settlement);
    }
    uint8_t body[5];
    struct writer to = writer_of(body, sizeof body);
    writer_u8(&to, place != 0 ? 1 : 0);
    writer_u32(&to, changes);
    emit_reply(core, bytes_of(body, sizeof body));
}
