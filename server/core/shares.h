/* What each tenant holds in each table, so that a tenant that holds more than half of one loses its
 * own oldest, or is refused, before any other. */
#ifndef ACTIVITYD_SERVER_CORE_SHARES_H
#define ACTIVITYD_SERVER_CORE_SHARES_H

#include "server/core/list.h"
#include "server/core/names.h"

enum share {
    SHARE_NAMES = 0,
    SHARE_ACTIVITIES, /* list: its ended ones, oldest end first */
    SHARE_TEXT,       /* blocks of activities' text */
    SHARE_RESULTS,    /* list: its results, oldest first */
    SHARE_RESULT_BLOCKS,
    SHARE_TOMBSTONES, /* list: oldest first */
    SHARE_DOCUMENTS,
    SHARE_MODELS,
    SHARE_CHANGE_TEXT,
    SHARE_PENDING,
    SHARE_PENDING_BLOCKS,
    SHARE_TICKETS,
    SHARE_PRESENT, /* list: the user longest silent first */
    SHARE_COUNT
};

_Static_assert((int)SHARE_COUNT <= (int)NAME_SHARES, "names remember the largest holder of each");

/* Beside the name of a tenant. */
struct tenant {
    uint32_t name;
    uint32_t zero;
    uint64_t held[SHARE_COUNT];
    struct list lists[SHARE_COUNT]; /* oldest first, by the tables' own links */
    struct order_tree changes[2];   /* documents by last update, per enum core_change_view */
};

static inline struct tenant *shares_of(const struct names *names, uint32_t tenant)
{
    return table_at(&names->tenants, names_at(names, tenant)->beside);
}

static inline uint64_t shares_held(const struct names *names, uint32_t tenant, enum share share)
{
    return shares_of(names, tenant)->held[share];
}

static inline void shares_add(struct names *names, uint32_t tenant, enum share share,
                              uint64_t count)
{
    uint64_t held = shares_of(names, tenant)->held[share] += count;
    uint32_t largest = names->largest[share];
    if (largest == 0 || shares_held(names, largest, share) <= held) {
        names->largest[share] = tenant;
    }
}

static inline void shares_sub(struct names *names, uint32_t tenant, enum share share,
                              uint64_t count)
{
    CHECK(shares_of(names, tenant)->held[share] >= count);
    shares_of(names, tenant)->held[share] -= count;
}

/* Whether the tenant holds more than half of what `limit` admits: it loses its own oldest first. */
static inline bool shares_heavy(const struct names *names, uint32_t tenant, enum share share,
                                uint64_t limit)
{
    return shares_held(names, tenant, share) > limit / 2;
}

/* The tenant that holds more than half of what `limit` admits, 0 when none does. Only one can; it
 * became the largest when it got the last of what it has, and no other can have overtaken it since.
 * That holds while the limit does: shares_recount. */
static inline uint32_t shares_heaviest(const struct names *names, enum share share, uint64_t limit)
{
    uint32_t largest = names->largest[share];
    return largest != 0 && shares_heavy(names, largest, share, limit) ? largest : 0;
}

/* After a change of limits: whoever holds most of a table now counts as its largest. (Of several
 * that hold more than half of a lowered limit one is known at a time; the next is found when it
 * gets more.) */
static inline void shares_recount(struct names *names)
{
    for (uint32_t id = table_next(&names->tenants, 0); id != 0;
         id = table_next(&names->tenants, id)) {
        const struct tenant *tenant = table_at(&names->tenants, id);
        for (uint32_t share = 0; share < SHARE_COUNT; share++) {
            uint32_t largest = names->largest[share];
            uint64_t most = largest == 0 ? 0 : shares_held(names, largest, (enum share)share);
            if (tenant->held[share] > most) {
                names->largest[share] = tenant->name;
            }
        }
    }
}

/* The oldest item of a kind that has to leave first: the heaviest tenant's, else of all. Each
 * share's list is by age. */
static inline uint32_t shares_oldest(const struct names *names, enum share share, uint64_t limit,
                                     const struct list *all)
{
    uint32_t heavy = shares_heaviest(names, share, limit);
    uint32_t own = heavy == 0 ? 0 : shares_of(names, heavy)->lists[share].first;
    return own != 0 ? own : all->first;
}

/* Whether `more` for this tenant must be refused: there is no room, or the tenant holds more than
 * half and would take of the last sixteenth, which is kept for the others when there are any.
 * `used` and `limit` are in the share's unit. */
static inline bool shares_refuse(const struct names *names, uint32_t tenant, enum share share,
                                 uint64_t used, uint64_t more, uint64_t limit)
{
    if (used + more > limit) {
        return true;
    }
    uint64_t held = tenant == 0 ? 0 : shares_held(names, tenant, share);
    return held > limit / 2 && held < used && used + more > limit - limit / 16;
}

#endif
