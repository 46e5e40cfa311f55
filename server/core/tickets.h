/* Tickets: receipts for recorded changes. A ticket knows how many of its changes the index has not
 * accepted yet, and is kept ticket_keep_ms after the last of them. */
#ifndef ACTIVITYD_SERVER_CORE_TICKETS_H
#define ACTIVITYD_SERVER_CORE_TICKETS_H

#include "server/core/hash.h"
#include "server/core/limits.h"
#include "server/core/list.h"
#include "server/core/names.h"

struct ticket {
    uint64_t id;
    uint64_t job_id;  /* 0 = none */
    uint64_t done_ms; /* service time of the end, 0 while open */
    uint32_t tenant;  /* names, held */
    uint32_t principal;
    uint32_t user;            /* 0 = none */
    uint32_t open;            /* changes that the index has not accepted */
    uint32_t parked;          /* of these, those that an admin has to decide about */
    uint16_t flying;          /* of these, those in a batch */
    uint16_t discarded;       /* not open any more, and never written */
    struct list_links of_job; /* among the tickets of its job */
    struct list_links done;   /* in the order of their end */
};
_Static_assert(sizeof(struct ticket) == 64, "one cache line, no padding");

struct tickets {
    struct table table;
    struct hash by_id;
    struct hash by_job;
    struct list done;
    uint64_t next_id;
    uint32_t *counted; /* changes found by ticket, for verification; no state */
};

void tickets_layout(struct tickets *tickets, struct region *region,
                    const struct core_limits *capacity);

/* The number of the next ticket, drawn at random with the epoch. */
void tickets_set_next(struct tickets *tickets, uint64_t first_ticket);

/* What a new ticket is made of. */
struct ticket_source {
    uint64_t job_id;
    uint32_t tenant;
    uint32_t principal;
    uint32_t user;
    uint32_t open; /* at least 1 */
};

/* Makes a ticket; it holds its names and counts for its tenant. The caller has compared table.used
 * with tickets_max. Returns its place. */
uint32_t tickets_add(struct tickets *tickets, struct names *names,
                     const struct ticket_source *source);

static inline struct ticket *tickets_at(const struct tickets *tickets, uint32_t place)
{
    return table_at(&tickets->table, place);
}

/* One change of the ticket was accepted by the index, or discarded. */
void tickets_item_done(struct tickets *tickets, uint32_t place, uint64_t service_ms);
void tickets_item_discarded(struct tickets *tickets, uint32_t place, uint64_t service_ms);

/* Place of a kept ticket by its number, 0 when there is none. */
uint32_t tickets_find(const struct tickets *tickets, uint64_t id);

/* The kept tickets of a job, one after the other: `after` 0 at first; 0 at the end. */
uint32_t tickets_of_job(const struct tickets *tickets, uint64_t job_id, uint32_t after);

/* Service time at which something has to leave, UINT64_MAX for never; and letting it leave, at most
 * *budget tickets. */
uint64_t tickets_deadline(const struct tickets *tickets, const struct core_limits *limits);
void tickets_expire(struct tickets *tickets, struct names *names, const struct core_limits *limits,
                    uint64_t service_ms, uint32_t *budget);

/* Loading verifies the links; verification gives NULL, or what is wrong. That each ticket has as
 * many waiting changes as it says is checked with the changes. */
void tickets_save(const struct tickets *tickets, struct stream_out *out);
void tickets_load(struct tickets *tickets, const struct names *names, struct stream_in *in);
const char *tickets_verify(struct tickets *tickets, const struct names *names, uint64_t service_ms);

#endif
