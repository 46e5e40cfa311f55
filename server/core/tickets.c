#include "server/core/tickets.h"

#include "proto/limits.h"
#include "server/check.h"
#include "server/core/shares.h"
#include "server/core/stream.h"

#define DONE offsetof(struct ticket, done)

void tickets_layout(struct tickets *tickets, struct region *region,
                    const struct core_limits *capacity)
{
    *tickets = (struct tickets){.next_id = 1};
    table_layout(&tickets->table, region, capacity->tickets_max, sizeof(struct ticket));
    hash_layout(&tickets->by_id, region, capacity->tickets_max);
    hash_layout(&tickets->by_job, region, capacity->tickets_max);
    tickets->counted =
        region_take(region, (size_t)capacity->tickets_max + 1, sizeof *tickets->counted);
}

void tickets_set_next(struct tickets *tickets, uint64_t first_ticket)
{
    tickets->next_id = first_ticket == 0 ? 1 : first_ticket;
}

/* The hash holds the first ticket of each job; the others hang on it, since one job may have all of
 * them. */
static uint32_t head_of_job(const struct tickets *tickets, uint64_t job_id)
{
    uint32_t place = hash_first(&tickets->by_job, hash_mix(job_id));
    while (place != 0 && tickets_at(tickets, place)->job_id != job_id) {
        place = hash_next(&tickets->by_job, place);
    }
    return place;
}

static void join_job(struct tickets *tickets, uint32_t place)
{
    struct ticket *ticket = tickets_at(tickets, place);
    uint32_t head = ticket->job_id == 0 ? 0 : head_of_job(tickets, ticket->job_id);
    if (head == 0) {
        if (ticket->job_id != 0) {
            hash_insert(&tickets->by_job, hash_mix(ticket->job_id), place);
        }
        return;
    }
    uint32_t second = tickets_at(tickets, head)->of_job.next;
    ticket->of_job = (struct list_links){.previous = head, .next = second};
    tickets_at(tickets, head)->of_job.next = place;
    if (second != 0) {
        tickets_at(tickets, second)->of_job.previous = place;
    }
}

static void leave_job(struct tickets *tickets, uint32_t place)
{
    const struct ticket *ticket = tickets_at(tickets, place);
    if (ticket->job_id == 0) {
        return;
    }
    uint32_t previous = ticket->of_job.previous;
    uint32_t next = ticket->of_job.next;
    if (next != 0) {
        tickets_at(tickets, next)->of_job.previous = previous;
    }
    if (previous != 0) {
        tickets_at(tickets, previous)->of_job.next = next;
        return;
    }
    hash_remove(&tickets->by_job, hash_mix(ticket->job_id), place);
    if (next != 0) {
        hash_insert(&tickets->by_job, hash_mix(ticket->job_id), next);
    }
}

uint32_t tickets_add(struct tickets *tickets, struct names *names,
                     const struct ticket_source *source)
{
    CHECK(source->open != 0);
    uint32_t place = table_take(&tickets->table);
    *tickets_at(tickets, place) = (struct ticket){.id = tickets->next_id,
                                                  .job_id = source->job_id,
                                                  .tenant = source->tenant,
                                                  .principal = source->principal,
                                                  .user = source->user,
                                                  .open = source->open};
    if (++tickets->next_id == 0) { /* the number of no ticket */
        tickets->next_id = 1;
    }
    hash_insert(&tickets->by_id, hash_mix(tickets_at(tickets, place)->id), place);
    join_job(tickets, place);
    names_hold(names, source->tenant);
    names_hold(names, source->principal);
    names_hold(names, source->user);
    shares_add(names, source->tenant, SHARE_TICKETS, 1);
    return place;
}

void tickets_item_done(struct tickets *tickets, uint32_t place, uint64_t service_ms)
{
    struct ticket *ticket = tickets_at(tickets, place);
    CHECK(ticket->open != 0);
    if (--ticket->open == 0) {
        ticket->done_ms = service_ms;
        list_append(&tickets->done, &tickets->table, DONE, place);
    }
}

void tickets_item_discarded(struct tickets *tickets, uint32_t place, uint64_t service_ms)
{
    tickets_at(tickets, place)->discarded++;
    tickets_item_done(tickets, place, service_ms);
}

uint32_t tickets_find(const struct tickets *tickets, uint64_t id)
{
    uint32_t place = hash_first(&tickets->by_id, hash_mix(id));
    while (place != 0 && tickets_at(tickets, place)->id != id) {
        place = hash_next(&tickets->by_id, place);
    }
    return place;
}

uint32_t tickets_of_job(const struct tickets *tickets, uint64_t job_id, uint32_t after)
{
    return after == 0 ? head_of_job(tickets, job_id) : tickets_at(tickets, after)->of_job.next;
}

uint64_t tickets_deadline(const struct tickets *tickets, const struct core_limits *limits)
{
    uint32_t first = tickets->done.first;
    return first == 0 ? UINT64_MAX : tickets_at(tickets, first)->done_ms + limits->ticket_keep_ms;
}

void tickets_expire(struct tickets *tickets, struct names *names, const struct core_limits *limits,
                    uint64_t service_ms, uint32_t *budget)
{
    for (; *budget > 0 && tickets_deadline(tickets, limits) <= service_ms; --*budget) {
        uint32_t place = tickets->done.first;
        struct ticket ticket = *tickets_at(tickets, place);
        list_remove(&tickets->done, &tickets->table, DONE, place);
        leave_job(tickets, place);
        hash_remove(&tickets->by_id, hash_mix(ticket.id), place);
        table_give(&tickets->table, place);
        shares_sub(names, ticket.tenant, SHARE_TICKETS, 1);
        names_release(names, ticket.user);
        names_release(names, ticket.principal);
        names_release(names, ticket.tenant);
    }
}

void tickets_save(const struct tickets *tickets, struct stream_out *out)
{
    table_save(&tickets->table, out);
    stream_put(out, &tickets->done, sizeof tickets->done);
    stream_put_u64(out, tickets->next_id);
}

static bool names_sound(const struct ticket *ticket, const struct names *names)
{
    return names_is(names, ticket->tenant, NAME_TENANT, 0) &&
           names_is(names, ticket->principal, NAME_PRINCIPAL, ticket->tenant) &&
           (ticket->user == 0 || names_is(names, ticket->user, NAME_USER, ticket->tenant));
}

/* Neighbours among the tickets of a job agree; a ring without a head is not reached from any. */
static bool job_sound(const struct tickets *tickets, uint32_t place)
{
    const struct ticket *ticket = tickets_at(tickets, place);
    const struct list_links *of_job = &ticket->of_job;
    if (ticket->job_id == 0) {
        return of_job->previous == 0 && of_job->next == 0;
    }
    if (of_job->next != 0 && (!table_live(&tickets->table, of_job->next) ||
                              tickets_at(tickets, of_job->next)->job_id != ticket->job_id ||
                              tickets_at(tickets, of_job->next)->of_job.previous != place)) {
        return false;
    }
    return of_job->previous == 0 || (table_live(&tickets->table, of_job->previous) &&
                                     tickets_at(tickets, of_job->previous)->of_job.next == place);
}

/* Claims the tickets of jobs from the heads on: what is left out hangs in a ring. */
static bool jobs_claimed(struct tickets *tickets)
{
    table_claim_begin(&tickets->table);
    for (uint32_t head = table_next(&tickets->table, 0); head != 0;
         head = table_next(&tickets->table, head)) {
        if (tickets_at(tickets, head)->of_job.previous == 0) {
            for (uint32_t at = head; at != 0; at = tickets_at(tickets, at)->of_job.next) {
                if (!table_claim(&tickets->table, at)) {
                    return false;
                }
            }
        }
    }
    return table_claimed_all(&tickets->table);
}

const char *tickets_verify(struct tickets *tickets, const struct names *names, uint64_t service_ms)
{
    if (!list_sound(&tickets->done, &tickets->table, DONE)) {
        return "tickets: the list of done ones is broken";
    }
    uint32_t done = 0;
    for (uint32_t at = table_next(&tickets->table, 0); at != 0;
         at = table_next(&tickets->table, at)) {
        const struct ticket *ticket = tickets_at(tickets, at);
        if (!names_sound(ticket, names) || !job_sound(tickets, at) || ticket->id == 0) {
            return "tickets: one without its names, number or job";
        }
        if (ticket->open > LIMIT_CHANGES || ticket->discarded > LIMIT_CHANGES - ticket->open ||
            ticket->done_ms > service_ms || (ticket->open != 0 && ticket->done_ms != 0)) {
            return "tickets: one with impossible counts or times";
        }
        done += ticket->open == 0;
    }
    uint64_t before_ms = 0;
    for (uint32_t at = tickets->done.first; at != 0; at = list_next(&tickets->table, DONE, at)) {
        const struct ticket *ticket = tickets_at(tickets, at);
        if (ticket->open != 0 || ticket->done_ms < before_ms) {
            return "tickets: the done ones are not in order";
        }
        before_ms = ticket->done_ms;
    }
    return done == tickets->done.count && jobs_claimed(tickets) ? NULL : "tickets: one in no list";
}

void tickets_load(struct tickets *tickets, const struct names *names, struct stream_in *in)
{
    table_load(&tickets->table, in);
    (void)stream_get(in, &tickets->done, sizeof tickets->done);
    tickets->next_id = stream_get_u64(in);
    if (in->error == 0 && tickets_verify(tickets, names, UINT64_MAX) != NULL) {
        stream_refuse(in, CORE_MALFORMED);
    }
    for (uint32_t at = 0; in->error == 0 && (at = table_next(&tickets->table, at)) != 0;) {
        const struct ticket *ticket = tickets_at(tickets, at);
        bool second_head = ticket->job_id != 0 && ticket->of_job.previous == 0 &&
                           head_of_job(tickets, ticket->job_id) != 0;
        if (tickets_find(tickets, ticket->id) != 0 || second_head) {
            stream_refuse(in, CORE_MALFORMED);
            return;
        }
        hash_insert(&tickets->by_id, hash_mix(ticket->id), at);
        if (ticket->job_id != 0 && ticket->of_job.previous == 0) {
            hash_insert(&tickets->by_job, hash_mix(ticket->job_id), at);
        }
    }
}
