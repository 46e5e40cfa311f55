#include "server/core/pending.h"

#include "server/check.h"
#include "server/core/shares.h"
#include "server/core/stream.h"

#define JSON_BLOCK 256u
#define LINKS      offsetof(struct pending_change, links)

void pending_layout(struct pending *pending, struct region *region,
                    const struct core_limits *capacity)
{
    *pending = (struct pending){.waiting_bytes = 0};
    table_layout(&pending->changes, region, capacity->pending_changes_max,
                 sizeof(struct pending_change));
    pool_layout(&pending->json, region, capacity->pending_bytes, JSON_BLOCK);
    pending->plan = region_take(region, LIMIT_CHANGES, sizeof *pending->plan);
}

uint32_t pending_blocks(const struct pending *pending, uint64_t json_length)
{
    return pool_blocks(&pending->json, json_length);
}

bool pending_fits(const struct pending *pending, const struct names *names,
                  const struct core_limits *limits, const struct pending_load *load)
{
    return !shares_refuse(names, load->tenant, SHARE_PENDING, pending->changes.used, load->changes,
                          limits->pending_changes_max) &&
           !shares_refuse(names, load->tenant, SHARE_PENDING_BLOCKS, pending->json.blocks.used,
                          load->json_blocks, limits->pending_bytes / JSON_BLOCK);
}

void pending_add(struct pending *pending, struct changes *changes, struct names *names,
                 const struct pending_change *change, struct bytes json)
{
    struct change_document *document = changes_document(changes, change->document);
    uint32_t at = table_take(&pending->changes);
    struct pending_change *own = pending_at(pending, at);
    *own = *change;
    own->json_first = pool_put(&pending->json, json);
    own->json_length = json.length;
    shares_add(names, document->tenant, SHARE_PENDING, 1);
    shares_add(names, document->tenant, SHARE_PENDING_BLOCKS, pending_blocks(pending, json.length));
    if (document->waiting.count == 0) {
        document->since_ms = change->service_ms;
        list_append(&pending->waiting, &changes->documents, CHANGE_QUEUE, change->document);
    }
    list_append(&document->waiting, &pending->changes, LINKS, at);
    pending->waiting_bytes += json.length;
}

static bool much_waits(const struct pending *pending, const struct core_limits *limits)
{
    return pending->waiting.count >= limits->flush_documents ||
           pending->waiting_bytes >= limits->flush_bytes;
}

static uint64_t head_due_ms(const struct pending *pending, const struct changes *changes,
                            const struct core_limits *limits)
{
    return changes_document(changes, pending->waiting.first)->since_ms + limits->flush_delay_ms;
}

uint64_t pending_deadline(const struct pending *pending, const struct changes *changes,
                          const struct core_limits *limits)
{
    if (pending->waiting.count == 0) {
        return UINT64_MAX;
    }
    return much_waits(pending, limits) ? 0 : head_due_ms(pending, changes, limits);
}

bool pending_begin(const struct pending *pending, const struct changes *changes,
                   const struct core_limits *limits, uint64_t service_ms, struct pending_room *room)
{
    *room = (struct pending_room){.documents = limits->flush_documents,
                                  .bytes = limits->flush_bytes,
                                  .changes = limits->pending_changes_max,
                                  .all = much_waits(pending, limits),
                                  .first = true};
    return pending_deadline(pending, changes, limits) <= service_ms;
}

/* What a batch takes of one document: its oldest changes. */
struct prefix {
    uint32_t count;
    uint64_t bytes;
    bool whole; /* nothing but the batch's own room cut it */
};

static struct prefix prefix_of(const struct pending *pending,
                               const struct change_document *document,
                               const struct pending_room *room)
{
    uint32_t models[LIMIT_AFFECTED_MODELS];
    uint32_t model_count = 0;
    struct prefix prefix = {.whole = true};
    for (uint32_t at = document->waiting.first; at != 0;
         at = list_next(&pending->changes, LINKS, at)) {
        const struct pending_change *change = pending_at(pending, at);
        uint32_t known = 0;
        while (known < model_count && models[known] != change->affected_model) {
            known++;
        }
        if (known == LIMIT_AFFECTED_MODELS) {
            break;
        }
        bool oversize = room->first && prefix.count == 0;
        if (prefix.count == room->changes ||
            (!oversize && prefix.bytes + change->json_length > room->bytes)) {
            prefix.whole = false;
            break;
        }
        models[known] = change->affected_model;
        model_count += known == model_count;
        prefix.count++;
        prefix.bytes += change->json_length;
    }
    return prefix;
}

uint32_t pending_take(struct pending *pending, struct changes *changes,
                      const struct core_limits *limits, uint64_t service_ms,
                      struct pending_room *room)
{
    uint32_t at = pending->waiting.first;
    if (at == 0 || room->documents == 0 ||
        (!room->all && head_due_ms(pending, changes, limits) > service_ms)) {
        return 0;
    }
    struct change_document *document = changes_document(changes, at);
    struct prefix prefix = prefix_of(pending, document, room);
    if (prefix.count == 0 ||
        (!prefix.whole && !room->first)) { /* whole in the next batch rather than split over two */
        return 0;
    }
    room->documents--;
    room->changes -= prefix.count;
    room->bytes -= prefix.bytes < room->bytes ? prefix.bytes : room->bytes;
    room->first = false;
    document->in_flight = prefix.count;
    pending->waiting_bytes -= prefix.bytes;
    list_remove(&pending->waiting, &changes->documents, CHANGE_QUEUE, at);
    list_append(&pending->in_flight, &changes->documents, CHANGE_QUEUE, at);
    return at;
}

static void accept_oldest(struct pending *pending, struct names *names, struct tickets *tickets,
                          struct change_document *document, uint64_t service_ms)
{
    uint32_t at = document->waiting.first;
    struct pending_change change = *pending_at(pending, at);
    list_remove(&document->waiting, &pending->changes, LINKS, at);
    pool_free(&pending->json, change.json_first);
    table_give(&pending->changes, at);
    shares_sub(names, document->tenant, SHARE_PENDING, 1);
    shares_sub(names, document->tenant, SHARE_PENDING_BLOCKS,
               pending_blocks(pending, change.json_length));
    tickets_item_done(tickets, change.ticket, service_ms);
    names_release(names, change.affected_model);
    job_rights_release(names, &change.rights);
}

void pending_settle(struct pending *pending, struct changes *changes, struct names *names,
                    struct tickets *tickets, const struct pending_settlement *settlement)
{
    struct change_document *document = changes_document(changes, settlement->document);
    CHECK(document->in_flight != 0 && settlement->accepted <= document->in_flight);
    list_remove(&pending->in_flight, &changes->documents, CHANGE_QUEUE, settlement->document);
    for (uint32_t i = 0; i < settlement->accepted; i++) {
        accept_oldest(pending, names, tickets, document, settlement->service_ms);
    }
    uint32_t back = document->in_flight - settlement->accepted;
    for (uint32_t at = document->waiting.first; back != 0;
         at = list_next(&pending->changes, LINKS, at), back--) {
        pending->waiting_bytes += pending_at(pending, at)->json_length;
    }
    document->in_flight = 0;
    document->since_ms = 0;
    if (document->waiting.count != 0) {
        /* In front of the others, and no younger than they: the queue stays in order of time. */
        uint64_t own_ms = pending_at(pending, document->waiting.first)->service_ms;
        uint32_t head = pending->waiting.first;
        uint64_t head_ms = head == 0 ? own_ms : changes_document(changes, head)->since_ms;
        document->since_ms = own_ms < head_ms ? own_ms : head_ms;
        list_prepend(&pending->waiting, &changes->documents, CHANGE_QUEUE, settlement->document);
    }
    for (uint32_t i = 0; i < settlement->accepted; i++) {
        changes_unpin(changes, names, settlement->document);
    }
}

void pending_save(const struct pending *pending, struct stream_out *out)
{
    table_save(&pending->changes, out);
    pool_save(&pending->json, out);
    stream_put(out, &pending->waiting, sizeof pending->waiting);
    stream_put(out, &pending->in_flight, sizeof pending->in_flight);
    stream_put_u64(out, pending->waiting_bytes);
}

void pending_load(struct pending *pending, struct stream_in *in)
{
    table_load(&pending->changes, in);
    pool_load(&pending->json, in);
    (void)stream_get(in, &pending->waiting, sizeof pending->waiting);
    (void)stream_get(in, &pending->in_flight, sizeof pending->in_flight);
    pending->waiting_bytes = stream_get_u64(in);
}

/* One document's changes: its own, of a ticket, with their JSON, in order of time. *bytes grows by
 * what waits. */
static bool changes_sound(struct pending *pending, const struct changes *changes,
                          const struct names *names, const struct tickets *tickets, uint32_t at,
                          uint64_t *bytes)
{
    const struct change_document *document = changes_document(changes, at);
    if (!list_sound(&document->waiting, &pending->changes, LINKS) ||
        document->pins != document->waiting.count ||
        document->in_flight > document->waiting.count) {
        return false;
    }
    uint64_t before_ms = 0;
    uint32_t in_flight = document->in_flight;
    for (uint32_t id = document->waiting.first; id != 0;
         id = list_next(&pending->changes, LINKS, id)) {
        const struct pending_change *change = pending_at(pending, id);
        if (!table_claim(&pending->changes, id) || change->document != at ||
            change->service_ms < before_ms || change->deleted > 1 || change->zero != 0 ||
            !change_model_name_sound(names, change->affected_model) ||
            change->rights.tenant != document->tenant ||
            !job_rights_sound(names, &change->rights) ||
            !table_live(&tickets->table, change->ticket) ||
            tickets_at(tickets, change->ticket)->tenant != document->tenant ||
            !pool_claim(&pending->json, change->json_first, change->json_length)) {
            return false;
        }
        tickets->counted[change->ticket]++;
        before_ms = change->service_ms;
        *bytes += in_flight == 0 ? change->json_length : 0;
        in_flight -= in_flight != 0;
    }
    return true;
}

/* Documents wait in order of time; those in flight are in the other list; the rest in none. */
static bool queues_sound(const struct pending *pending, const struct changes *changes,
                         uint64_t service_ms)
{
    if (!list_sound(&pending->waiting, &changes->documents, CHANGE_QUEUE) ||
        !list_sound(&pending->in_flight, &changes->documents, CHANGE_QUEUE)) {
        return false;
    }
    uint64_t before_ms = 0;
    for (uint32_t at = pending->waiting.first; at != 0;
         at = list_next(&changes->documents, CHANGE_QUEUE, at)) {
        const struct change_document *document = changes_document(changes, at);
        if (document->waiting.count == 0 || document->in_flight != 0 ||
            document->since_ms < before_ms || document->since_ms > service_ms) {
            return false;
        }
        before_ms = document->since_ms;
    }
    for (uint32_t at = pending->in_flight.first; at != 0;
         at = list_next(&changes->documents, CHANGE_QUEUE, at)) {
        if (changes_document(changes, at)->in_flight == 0) {
            return false;
        }
    }
    return true;
}

const char *pending_verify(struct pending *pending, const struct changes *changes,
                           const struct names *names, const struct tickets *tickets,
                           uint64_t service_ms)
{
    uint64_t bytes = 0;
    uint64_t documents = 0;
    table_claim_begin(&pending->changes);
    table_claim_begin(&pending->json.blocks);
    memset(tickets->counted, 0, ((size_t)tickets->table.high + 1) * sizeof *tickets->counted);
    for (uint32_t at = table_next(&changes->documents, 0); at != 0;
         at = table_next(&changes->documents, at)) {
        if (!changes_sound(pending, changes, names, tickets, at, &bytes)) {
            return "pending: a document's changes are not sound";
        }
        documents += changes_document(changes, at)->waiting.count != 0;
    }
    if (!table_claimed_all(&pending->changes) || !table_claimed_all(&pending->json.blocks)) {
        return "pending: memory that belongs to no document";
    }
    if (!queues_sound(pending, changes, service_ms) || bytes != pending->waiting_bytes ||
        documents != (uint64_t)pending->waiting.count + pending->in_flight.count) {
        return "pending: the queues are not sound";
    }
    for (uint32_t at = table_next(&tickets->table, 0); at != 0;
         at = table_next(&tickets->table, at)) {
        if (tickets_at(tickets, at)->open != tickets->counted[at]) {
            return "pending: a ticket counts other changes";
        }
    }
    return NULL;
}
