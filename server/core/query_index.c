/* Questions about the way into the index: when a batch is due, what is under way, what is parked.
 */
#include "server/check.h"
#include "server/core/state.h"

uint64_t core_batch_due(const struct core *core)
{
    return core->limits.index_mode == 0 || core->batches.count == BATCHES_MAX
               ? UINT64_MAX
               : pending_deadline(&core->pending, &core->changes, &core->limits);
}

/* Of the document that stands first in a queue; a later time than `ms` does not count. */
static uint64_t head_ms(const struct core *core, const struct list *queue, uint64_t ms)
{
    if (queue->first == 0) {
        return ms;
    }
    uint32_t oldest = changes_document(&core->changes, queue->first)->waiting.first;
    uint64_t accept_ms = pending_at(&core->pending, oldest)->accept_ms;
    return ms == 0 || accept_ms < ms ? accept_ms : ms;
}

void core_index_status(const struct core *core, struct core_index_status *status)
{
    const struct pending *pending = &core->pending;
    *status = (struct core_index_status){
        .waiting_documents = (uint64_t)pending->waiting.count + pending->urgent.count,
        .flying_documents = pending->in_flight.count,
        .resting_documents = pending->resting.count,
        .parked_documents = pending->parked.count,
        .parked_changes = pending->parked_changes,
        .waiting_bytes = pending->waiting_bytes,
        .pending_bytes = pool_used_bytes(&pending->json),
        .oldest_ms = head_ms(core, &pending->waiting, head_ms(core, &pending->urgent, 0)),
        .last_batch = core->batches.last_number,
        .last_version = core->batches.last_version,
        .batch_count = (uint32_t)core->batches.count,
    };
    uint64_t rests_ms = rests_oldest_ms(&pending->resting);
    if (status->oldest_ms == 0 ? rests_ms != UINT64_MAX : rests_ms < status->oldest_ms) {
        status->oldest_ms = rests_ms;
    }
    for (uint32_t i = 0; i < core->batches.count; i++) {
        const struct batch *batch = &core->batches.at[i];
        status->batches[i] = (struct core_index_batch){batch->number, batch->sent_ms,
                                                       batch->documents, batch->changes};
        status->flying_changes += batch->changes;
    }
    status->waiting_changes =
        pending->changes.used - status->flying_changes - status->parked_changes;
}

/* Puts a ticket among those shown, unless it is there or there is no place. */
static void show_ticket(uint64_t tickets[CORE_TICKETS_SHOWN], uint32_t *count, uint64_t ticket)
{
    uint32_t known = 0;
    while (known < *count && tickets[known] != ticket) {
        known++;
    }
    if (known == *count && known < CORE_TICKETS_SHOWN) {
        tickets[known] = ticket;
        *count += 1;
    }
}

bool core_batch_origin(const struct core *core, uint64_t number, struct core_batch_origin *origin)
{
    const struct batch *batch = batches_find(&core->batches, number);
    *origin = (struct core_batch_origin){.oldest_ms = UINT64_MAX};
    if (batch == NULL) {
        return false;
    }
    uint32_t at = batch->first;
    for (uint32_t i = 0; i < batch->documents; i++) {
        const struct change_document *document = changes_document(&core->changes, at);
        uint32_t next = document->waiting.first;
        for (uint32_t j = 0; j < document->in_flight; j++) {
            const struct pending_change *change = pending_at(&core->pending, next);
            show_ticket(origin->tickets, &origin->ticket_count,
                        tickets_at(&core->tickets, change->ticket)->id);
            origin->oldest_ms =
                change->accept_ms < origin->oldest_ms ? change->accept_ms : origin->oldest_ms;
            origin->fragments += (change->flags & PENDING_FRAGMENT) != 0;
            next = change->links.next;
        }
        at = list_next(&core->changes.documents, CHANGE_QUEUE, at);
    }
    return true;
}

/* ---- Parked documents ---- */

static uint32_t next_parked(const struct core *core, uint32_t document)
{
    return list_next(&core->changes.documents, CHANGE_QUEUE, document);
}

void core_parked_walk_init(struct core_parked_walk *walk, const struct core *core,
                           struct bytes tenant, uint64_t after)
{
    *walk = (struct core_parked_walk){.core = core, .position = after};
    if (tenant.length != 0) {
        walk->tenant = names_lookup(&core->names, NAME_TENANT, 0, tenant);
        walk->none = walk->tenant == 0;
    }
    uint32_t place = after == 0 ? 0 : parked_find(&core->parked, after);
    if (place != 0) {
        walk->next = next_parked(core, parked_at(&core->parked, place)->document);
        return;
    }
    walk->next = core->pending.parked.first;
    while (walk->next != 0 && changes_document(&core->changes, walk->next)->park_id <= after) {
        walk->next = next_parked(core, walk->next);
    }
}

static struct bytes text_put(struct writer *to, struct bytes text)
{
    const uint8_t *at = to->at;
    writer_bytes(to, text);
    CHECK(!to->failed);
    return (struct bytes){at, text.length};
}

static void fill_texts(const struct core *core, const struct change_document *document,
                       const struct parked *record, struct core_parked *parked)
{
    uint8_t text[LIMIT_DOCUMENT_ID_LENGTH];
    _Static_assert(sizeof text >= NAME_LENGTH_MAX &&
                       sizeof text >= COMMAND_REASON_CODE_LENGTH + COMMAND_REASON_MESSAGE_LENGTH,
                   "the longest of them");
    struct writer to = writer_of(parked->text, sizeof parked->text);
    parked->tenant = text_put(&to, names_text(&core->names, document->tenant, text));
    parked->model = text_put(&to, names_text(&core->names, document->model, text));
    pool_get(&core->changes.ids, document->id_first, document->id_length, text);
    parked->document_id = text_put(&to, bytes_of(text, document->id_length));
    pool_get(&core->parked.texts, record->text,
             (uint32_t)record->code_length + record->message_length, text);
    parked->code = text_put(&to, bytes_of(text, record->code_length));
    parked->message = text_put(&to, bytes_of(text + record->code_length, record->message_length));
}

static void fill_tickets(const struct core *core, const struct change_document *document,
                         struct core_parked *parked)
{
    uint32_t at = document->waiting.first;
    for (uint32_t i = 0; i < document->in_flight && parked->ticket_count < CORE_TICKETS_SHOWN;
         i++) {
        const struct pending_change *change = pending_at(&core->pending, at);
        show_ticket(parked->tickets, &parked->ticket_count,
                    tickets_at(&core->tickets, change->ticket)->id);
        at = change->links.next;
    }
}

static void fill(const struct core *core, uint32_t at, struct core_parked *parked)
{
    const struct change_document *document = changes_document(&core->changes, at);
    const struct parked *record =
        parked_at(&core->parked, parked_find(&core->parked, document->park_id));
    const struct pending_change *oldest = pending_at(&core->pending, document->waiting.first);
    parked->park_id = record->park_id;
    parked->since_ms = record->since_ms;
    parked->changes = document->in_flight;
    parked->behind = document->waiting.count - document->in_flight;
    parked->fragments = (oldest->flags & PENDING_FRAGMENT) != 0;
    parked->oldest_ms = oldest->accept_ms;
    parked->ticket_count = 0;
    fill_texts(core, document, record, parked);
    fill_tickets(core, document, parked);
}

enum core_found core_parked_next(struct core_parked_walk *walk, struct core_parked *parked)
{
    const struct core *core = walk->core;
    while (walk->next != 0 && !walk->none) {
        uint32_t at = walk->next;
        const struct change_document *document = changes_document(&core->changes, at);
        if (walk->touched++ == LIMIT_FIND_TOUCHED) {
            return CORE_EXHAUSTED;
        }
        walk->position = document->park_id;
        walk->next = next_parked(core, at);
        if (walk->tenant == 0 || walk->tenant == document->tenant) {
            fill(core, at, parked);
            return CORE_FOUND;
        }
    }
    return CORE_END;
}

bool core_parked_of_ticket(const struct core *core, uint64_t ticket, struct core_parked *parked)
{
    uint32_t place = tickets_find(&core->tickets, ticket);
    uint32_t touched = 0;
    if (place == 0 || tickets_at(&core->tickets, place)->parked == 0) {
        return false;
    }
    for (uint32_t at = core->pending.parked.first; at != 0; at = next_parked(core, at)) {
        const struct change_document *document = changes_document(&core->changes, at);
        uint32_t change = document->waiting.first;
        for (uint32_t i = 0; i < document->in_flight; i++) {
            if (pending_at(&core->pending, change)->ticket == place) {
                fill(core, at, parked);
                return true;
            }
            if (++touched == LIMIT_FIND_TOUCHED) {
                return false;
            }
            change = pending_at(&core->pending, change)->links.next;
        }
    }
    return false;
}
