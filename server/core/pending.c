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
    rests_layout(&pending->resting, region, capacity);
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

static struct list *queue_of(struct pending *pending, const struct change_document *document)
{
    return document->urgent != 0 ? &pending->urgent : &pending->waiting;
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
    bool urgent = (change->flags & PENDING_URGENT) != 0;
    bool enters = document->waiting.count == 0;
    if (enters) {
        document->since_ms = change->service_ms;
    } else if (urgent && document->urgent == 0 && document->in_flight == 0 &&
               document->aside == ASIDE_NONE) {
        list_remove(&pending->waiting, &changes->documents, CHANGE_QUEUE, change->document);
        enters = true;
    }
    document->urgent += urgent;
    if (enters) {
        list_append(queue_of(pending, document), &changes->documents, CHANGE_QUEUE,
                    change->document);
    }
    list_append(&document->waiting, &pending->changes, LINKS, at);
    pending->waiting_bytes += document->aside != ASIDE_NONE ? 0 : json.length;
}

/* Why a batch begins before the oldest change has waited long enough. */
static enum take_cause much_waits(const struct pending *pending, const struct core_limits *limits)
{
    if ((uint64_t)pending->waiting.count + pending->urgent.count >= limits->flush_documents) {
        return TAKE_DOCUMENTS;
    }
    return pending->waiting_bytes >= limits->flush_bytes ? TAKE_BYTES : TAKE_NONE;
}

static uint64_t head_due_ms(const struct pending *pending, const struct changes *changes,
                            const struct core_limits *limits)
{
    return changes_document(changes, pending->waiting.first)->since_ms + limits->flush_delay_ms;
}

uint64_t pending_deadline(const struct pending *pending, const struct changes *changes,
                          const struct core_limits *limits)
{
    if (pending->urgent.count != 0) {
        return 0;
    }
    uint64_t rested_ms = rests_due_ms(&pending->resting);
    if (pending->waiting.count == 0) {
        return rested_ms;
    }
    uint64_t due_ms =
        much_waits(pending, limits) != TAKE_NONE ? 0 : head_due_ms(pending, changes, limits);
    return due_ms < rested_ms ? due_ms : rested_ms;
}

enum take_cause pending_begin(const struct pending *pending, const struct changes *changes,
                              const struct core_limits *limits, uint64_t service_ms,
                              struct pending_room *room)
{
    enum take_cause much = much_waits(pending, limits);
    *room = (struct pending_room){.service_ms = service_ms,
                                  .documents = limits->flush_documents,
                                  .bytes = limits->flush_bytes,
                                  .changes = limits->pending_changes_max,
                                  .all = much != TAKE_NONE,
                                  .first = true};
    if (pending_deadline(pending, changes, limits) > service_ms) {
        return TAKE_NONE;
    }
    if (pending->urgent.count != 0) {
        return TAKE_URGENT;
    }
    if (pending->waiting.count != 0 && much != TAKE_NONE) {
        return much;
    }
    return rests_due_ms(&pending->resting) <= service_ms ? TAKE_RESTED : TAKE_DELAY;
}

/* What a batch takes of one document: its oldest changes. */
struct prefix {
    uint32_t count;
    uint64_t bytes;   /* of all of them */
    uint64_t carried; /* what of it counts against the batch's room */
    bool whole;       /* nothing but the batch's own room cut it */
};

static struct prefix prefix_of(const struct pending *pending,
                               const struct change_document *document,
                               const struct pending_room *room)
{
    uint32_t models[LIMIT_AFFECTED_MODELS];
    uint32_t model_count = 0;
    uint32_t kind = pending_at(pending, document->waiting.first)->flags & PENDING_FRAGMENT;
    bool last_counts = room->for_index && kind == 0;
    struct prefix prefix = {.whole = true};
    for (uint32_t at = document->waiting.first; at != 0;
         at = list_next(&pending->changes, LINKS, at)) {
        const struct pending_change *change = pending_at(pending, at);
        uint32_t known = 0;
        while (known < model_count && models[known] != change->affected_model) {
            known++;
        }
        if (known == LIMIT_AFFECTED_MODELS ||
            (room->for_index && (change->flags & PENDING_FRAGMENT) != kind)) {
            break;
        }
        bool oversize = room->first && prefix.count == 0;
        uint64_t carried = change->json_length + (last_counts ? 0 : prefix.carried);
        if (prefix.count == room->changes || (!oversize && carried > room->bytes)) {
            prefix.whole = false;
            break;
        }
        models[known] = change->affected_model;
        model_count += known == model_count;
        prefix.count++;
        prefix.bytes += change->json_length;
        prefix.carried = carried;
    }
    return prefix;
}

/* What one change more or less in flight, or parked, is to its ticket. */
static void mark_tickets(const struct pending *pending, const struct change_document *document,
                         struct tickets *tickets, int flying, int parked)
{
    uint32_t at = document->waiting.first;
    for (uint32_t i = 0; i < document->in_flight; i++) {
        struct ticket *ticket = tickets_at(tickets, pending_at(pending, at)->ticket);
        ticket->flying = (uint16_t)(ticket->flying + flying);
        ticket->parked += (uint32_t)parked;
        at = list_next(&pending->changes, LINKS, at);
    }
}

/* JSON of the changes from `at` on, at most `count` of them. */
static uint64_t bytes_from(const struct pending *pending, uint32_t at, uint32_t count)
{
    uint64_t bytes = 0;
    for (; at != 0 && count != 0; at = list_next(&pending->changes, LINKS, at), count--) {
        bytes += pending_at(pending, at)->json_length;
    }
    return bytes;
}

/* Whose turn it is: 0, nobody is due. */
static uint32_t next_due(const struct pending *pending, const struct changes *changes,
                         const struct core_limits *limits, const struct pending_room *room)
{
    if (pending->urgent.first != 0) {
        return pending->urgent.first;
    }
    bool rested = rests_due_ms(&pending->resting) <= room->service_ms;
    bool waits = pending->waiting.first != 0 &&
                 (room->all || head_due_ms(pending, changes, limits) <= room->service_ms);
    if (rested && !(waits && room->rested)) {
        return rests_first(&pending->resting);
    }
    return waits ? pending->waiting.first : 0;
}

/* Takes the document that rests first out of its rest; it is in no list then. */
static void end_rest(struct pending *pending, struct change_document *document)
{
    rests_remove_first(&pending->resting);
    document->aside = ASIDE_NONE;
    pending->waiting_bytes += bytes_from(pending, document->waiting.first, UINT32_MAX);
}

uint32_t pending_take(struct pending *pending, struct changes *changes, struct tickets *tickets,
                      const struct core_limits *limits, struct pending_room *room)
{
    uint32_t at = room->documents == 0 ? 0 : next_due(pending, changes, limits, room);
    if (at == 0) {
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
    room->bytes -= prefix.carried < room->bytes ? prefix.carried : room->bytes;
    room->first = false;
    room->rested = document->aside == ASIDE_RESTS;
    if (room->rested) {
        end_rest(pending, document);
    } else {
        list_remove(queue_of(pending, document), &changes->documents, CHANGE_QUEUE, at);
    }
    document->in_flight = prefix.count;
    pending->waiting_bytes -= prefix.bytes;
    mark_tickets(pending, document, tickets, 1, 0);
    list_append(&pending->in_flight, &changes->documents, CHANGE_QUEUE, at);
    return at;
}

void pending_park(struct pending *pending, struct changes *changes, struct tickets *tickets,
                  uint32_t at, uint64_t park_id)
{
    struct change_document *document = changes_document(changes, at);
    CHECK(document->in_flight != 0 && document->aside == ASIDE_NONE);
    mark_tickets(pending, document, tickets, -1, 1);
    document->aside = ASIDE_PARKED;
    document->rests = 0;
    document->park_id = park_id;
    pending->parked_changes += document->in_flight;
    pending->waiting_bytes -= bytes_from(pending, document->waiting.first, UINT32_MAX) -
                              bytes_from(pending, document->waiting.first, document->in_flight);
    list_remove(&pending->in_flight, &changes->documents, CHANGE_QUEUE, at);
    list_append(&pending->parked, &changes->documents, CHANGE_QUEUE, at);
}

/* Takes a document out of the list of those in flight or parked: all its changes wait again. */
static void come_back(struct pending *pending, struct changes *changes, struct tickets *tickets,
                      uint32_t at)
{
    struct change_document *document = changes_document(changes, at);
    bool parked = document->aside == ASIDE_PARKED;
    mark_tickets(pending, document, tickets, parked ? 0 : -1, parked ? -1 : 0);
    list_remove(parked ? &pending->parked : &pending->in_flight, &changes->documents, CHANGE_QUEUE,
                at);
    pending->parked_changes -= parked ? document->in_flight : 0;
    pending->waiting_bytes +=
        bytes_from(pending, document->waiting.first, parked ? UINT32_MAX : document->in_flight);
    document->in_flight = 0;
    document->aside = ASIDE_NONE;
    document->since_ms = 0;
}

static void oldest_leaves(struct pending *pending, struct changes *changes, struct names *names,
                          struct tickets *tickets, const struct pending_settlement *settlement)
{
    struct change_document *document = changes_document(changes, settlement->document);
    uint32_t at = document->waiting.first;
    struct pending_change change = *pending_at(pending, at);
    list_remove(&document->waiting, &pending->changes, LINKS, at);
    pool_free(&pending->json, change.json_first);
    table_give(&pending->changes, at);
    document->urgent -= (change.flags & PENDING_URGENT) != 0;
    pending->waiting_bytes -= change.json_length;
    shares_sub(names, document->tenant, SHARE_PENDING, 1);
    shares_sub(names, document->tenant, SHARE_PENDING_BLOCKS,
               pending_blocks(pending, change.json_length));
    if (settlement->discarded) {
        tickets_item_discarded(tickets, change.ticket, settlement->service_ms);
    } else {
        tickets_item_done(tickets, change.ticket, settlement->service_ms);
    }
    names_release(names, change.affected_model);
    job_rights_release(names, &change.rights);
}

/* The queue stays in order of time: in front no document is younger than the next, behind none is
 * older. */
static void queue_up(struct pending *pending, struct changes *changes, uint32_t at, bool behind)
{
    struct change_document *document = changes_document(changes, at);
    struct list *queue = queue_of(pending, document);
    uint32_t neighbour = behind ? queue->last : queue->first;
    document->since_ms = pending_at(pending, document->waiting.first)->service_ms;
    if (neighbour != 0 && queue == &pending->waiting) {
        uint64_t its_ms = changes_document(changes, neighbour)->since_ms;
        if (behind ? document->since_ms < its_ms : document->since_ms > its_ms) {
            document->since_ms = its_ms;
        }
    }
    if (behind) {
        list_append(queue, &changes->documents, CHANGE_QUEUE, at);
    } else {
        list_prepend(queue, &changes->documents, CHANGE_QUEUE, at);
    }
}

void pending_settle(struct pending *pending, struct changes *changes, struct names *names,
                    struct tickets *tickets, const struct pending_settlement *settlement)
{
    struct change_document *document = changes_document(changes, settlement->document);
    CHECK(document->in_flight != 0 && settlement->accepted <= document->in_flight);
    come_back(pending, changes, tickets, settlement->document);
    if (settlement->accepted != 0) {
        document->rests = 0;
    }
    for (uint32_t i = 0; i < settlement->accepted; i++) {
        oldest_leaves(pending, changes, names, tickets, settlement);
    }
    if (document->waiting.count != 0) {
        queue_up(pending, changes, settlement->document, settlement->behind);
    }
    for (uint32_t i = 0; i < settlement->accepted; i++) {
        changes_unpin(changes, names, settlement->document);
    }
}

void pending_rest(struct pending *pending, struct changes *changes, struct tickets *tickets,
                  uint32_t at, uint64_t due_ms)
{
    struct change_document *document = changes_document(changes, at);
    CHECK(document->in_flight != 0 && document->aside == ASIDE_NONE);
    come_back(pending, changes, tickets, at);
    pending->waiting_bytes -= bytes_from(pending, document->waiting.first, UINT32_MAX);
    document->aside = ASIDE_RESTS;
    document->rests = document->rests < UINT8_MAX ? (uint8_t)(document->rests + 1) : UINT8_MAX;
    const struct rest rest = {.due_ms = due_ms,
                              .oldest_ms = pending_at(pending, document->waiting.first)->accept_ms,
                              .document = at};
    rests_put(&pending->resting, &rest);
}

uint32_t pending_wake(struct pending *pending, struct changes *changes)
{
    struct list woken = {.count = 0};
    while (pending->resting.count != 0) {
        uint32_t at = rests_first(&pending->resting);
        end_rest(pending, changes_document(changes, at));
        list_append(&woken, &changes->documents, CHANGE_QUEUE, at);
    }
    uint32_t count = woken.count;
    while (woken.count != 0) {
        uint32_t at = woken.last;
        list_remove(&woken, &changes->documents, CHANGE_QUEUE, at);
        queue_up(pending, changes, at, false);
    }
    return count;
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

void pending_save_more(const struct pending *pending, struct stream_out *out)
{
    stream_put(out, &pending->urgent, sizeof pending->urgent);
    stream_put(out, &pending->parked, sizeof pending->parked);
    stream_put_u64(out, pending->parked_changes);
    rests_save(&pending->resting, out);
}

void pending_load_more(struct pending *pending, struct stream_in *in)
{
    (void)stream_get(in, &pending->urgent, sizeof pending->urgent);
    (void)stream_get(in, &pending->parked, sizeof pending->parked);
    pending->parked_changes = stream_get_u64(in);
    rests_load(&pending->resting, in);
}

/* What is counted of all documents. */
struct counts {
    uint64_t documents;
    uint64_t bytes; /* as waiting_bytes */
    uint64_t parked;
    uint64_t parked_changes;
    uint64_t resting;
};

static bool change_sound(struct pending *pending, const struct change_document *document,
                         const struct names *names, const struct tickets *tickets, uint32_t id)
{
    const struct pending_change *change = pending_at(pending, id);
    return table_claim(&pending->changes, id) && change->deleted <= 1 &&
           change->flags <= (PENDING_FRAGMENT | PENDING_URGENT) &&
           change_model_name_sound(names, change->affected_model) &&
           change->rights.tenant == document->tenant && job_rights_sound(names, &change->rights) &&
           table_live(&tickets->table, change->ticket) &&
           tickets_at(tickets, change->ticket)->tenant == document->tenant &&
           pool_claim(&pending->json, change->json_first, change->json_length);
}

static bool aside_sound(const struct change_document *document)
{
    switch (document->aside) {
    case ASIDE_NONE:
        return document->rests == 0 || document->waiting.count != 0;
    case ASIDE_PARKED:
        return document->rests == 0 && document->in_flight != 0;
    case ASIDE_RESTS:
        return document->rests != 0 && document->in_flight == 0 && document->waiting.count != 0;
    default:
        return false;
    }
}

/* One document's changes: its own, of a ticket, with their JSON, in order of time. */
static bool changes_sound(struct pending *pending, const struct changes *changes,
                          const struct names *names, const struct tickets *tickets, uint32_t at,
                          struct counts *counts)
{
    const struct change_document *document = changes_document(changes, at);
    if (!list_sound(&document->waiting, &pending->changes, LINKS) ||
        document->pins != document->waiting.count ||
        document->in_flight > document->waiting.count || !aside_sound(document)) {
        return false;
    }
    uint64_t before_ms = 0;
    uint64_t accepted_ms = 0;
    uint32_t urgent = 0;
    for (uint32_t id = document->waiting.first; id != 0;
         id = list_next(&pending->changes, LINKS, id)) {
        const struct pending_change *change = pending_at(pending, id);
        if (!change_sound(pending, document, names, tickets, id) || change->document != at ||
            change->service_ms < before_ms || change->accept_ms < accepted_ms) {
            return false;
        }
        before_ms = change->service_ms;
        accepted_ms = change->accept_ms;
        urgent += (change->flags & PENDING_URGENT) != 0;
    }
    uint64_t all = bytes_from(pending, document->waiting.first, UINT32_MAX);
    uint64_t taken = bytes_from(pending, document->waiting.first, document->in_flight);
    counts->documents += document->waiting.count != 0;
    counts->bytes += document->aside != ASIDE_NONE ? 0 : all - taken;
    counts->parked += document->aside == ASIDE_PARKED;
    counts->parked_changes += document->aside == ASIDE_PARKED ? document->in_flight : 0;
    counts->resting += document->aside == ASIDE_RESTS;
    return urgent == document->urgent;
}

/* Documents wait in order of time; those in flight, parked or urgent are in other lists; the rest
 * in none. */
static bool queues_sound(const struct pending *pending, const struct changes *changes,
                         uint64_t service_ms)
{
    const struct list *lists[] = {&pending->waiting, &pending->urgent, &pending->in_flight,
                                  &pending->parked};
    for (uint32_t i = 0; i < 4; i++) {
        if (!list_sound(lists[i], &changes->documents, CHANGE_QUEUE)) {
            return false;
        }
        uint64_t before_ms = 0; /* or the park_id */
        for (uint32_t at = lists[i]->first; at != 0;
             at = list_next(&changes->documents, CHANGE_QUEUE, at)) {
            const struct change_document *document = changes_document(changes, at);
            bool waits = i < 2;
            if (document->waiting.count == 0 || waits != (document->in_flight == 0) ||
                (waits && (document->urgent != 0) != (i == 1)) ||
                document->aside != (i == 3 ? ASIDE_PARKED : ASIDE_NONE) ||
                (i == 3 ? document->park_id <= before_ms : document->since_ms > service_ms) ||
                (i == 0 && document->since_ms < before_ms)) {
                return false;
            }
            before_ms = document->since_ms;
        }
    }
    return true;
}

/* Each document that rests does so once. */
static bool resting_sound(const struct pending *pending, struct changes *changes,
                          uint64_t service_ms)
{
    const struct rests *resting = &pending->resting;
    table_claim_begin(&changes->documents);
    for (uint32_t i = 0; i < resting->count; i++) {
        uint32_t at = resting->at[i].document;
        if (!table_claim(&changes->documents, at) ||
            changes_document(changes, at)->aside != ASIDE_RESTS ||
            pending_at(pending, changes_document(changes, at)->waiting.first)->accept_ms !=
                resting->at[i].oldest_ms) {
            return false;
        }
    }
    return rests_sound(resting, service_ms);
}

/* Whether each ticket has as many changes of a kind as it says. */
enum ticket_count { COUNT_OPEN, COUNT_FLYING, COUNT_PARKED };

static bool tickets_sound(const struct pending *pending, const struct changes *changes,
                          const struct tickets *tickets, enum ticket_count which)
{
    memset(tickets->counted, 0, ((size_t)tickets->table.high + 1) * sizeof *tickets->counted);
    for (uint32_t at = table_next(&changes->documents, 0); at != 0;
         at = table_next(&changes->documents, at)) {
        const struct change_document *document = changes_document(changes, at);
        bool counts =
            which == COUNT_OPEN || (which == COUNT_PARKED) == (document->aside == ASIDE_PARKED);
        uint32_t count = !counts               ? 0
                         : which == COUNT_OPEN ? document->waiting.count
                                               : document->in_flight;
        for (uint32_t id = document->waiting.first; count != 0;
             id = list_next(&pending->changes, LINKS, id), count--) {
            tickets->counted[pending_at(pending, id)->ticket]++;
        }
    }
    for (uint32_t at = table_next(&tickets->table, 0); at != 0;
         at = table_next(&tickets->table, at)) {
        const struct ticket *ticket = tickets_at(tickets, at);
        uint32_t says = which == COUNT_OPEN     ? ticket->open
                        : which == COUNT_FLYING ? ticket->flying
                                                : ticket->parked;
        if (says != tickets->counted[at]) {
            return false;
        }
    }
    return true;
}

const char *pending_verify(struct pending *pending, struct changes *changes,
                           const struct names *names, const struct tickets *tickets,
                           uint64_t service_ms)
{
    struct counts counts = {0};
    table_claim_begin(&pending->changes);
    table_claim_begin(&pending->json.blocks);
    for (uint32_t at = table_next(&changes->documents, 0); at != 0;
         at = table_next(&changes->documents, at)) {
        if (!changes_sound(pending, changes, names, tickets, at, &counts)) {
            return "pending: a document's changes are not sound";
        }
    }
    if (!table_claimed_all(&pending->changes) || !table_claimed_all(&pending->json.blocks)) {
        return "pending: memory that belongs to no document";
    }
    if (!queues_sound(pending, changes, service_ms) || counts.bytes != pending->waiting_bytes ||
        !resting_sound(pending, changes, service_ms) || counts.resting != pending->resting.count ||
        counts.parked != pending->parked.count ||
        counts.parked_changes != pending->parked_changes ||
        counts.documents != (uint64_t)pending->waiting.count + pending->urgent.count +
                                pending->in_flight.count + pending->parked.count +
                                pending->resting.count) {
        return "pending: the queues are not sound";
    }
    return tickets_sound(pending, changes, tickets, COUNT_OPEN) &&
                   tickets_sound(pending, changes, tickets, COUNT_FLYING) &&
                   tickets_sound(pending, changes, tickets, COUNT_PARKED)
               ? NULL
               : "pending: a ticket counts other changes";
}
