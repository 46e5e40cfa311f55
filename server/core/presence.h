/* Who is there: users whose programs asked for something lately. Their beats come in ticks, at most
 * one in 30 s for each. */
#ifndef ACTIVITYD_SERVER_CORE_PRESENCE_H
#define ACTIVITYD_SERVER_CORE_PRESENCE_H

#include "server/core/list.h"
#include "server/core/names.h"

#define PRESENCE_BEAT_MS 30000u

struct present {
    uint64_t service_ms; /* of the last beat */
    uint64_t wall_ms;
    uint32_t user;         /* name, held */
    uint32_t tenant;       /* its tenant */
    struct list_links all; /* longest silent first */
    struct list_links of_tenant;
};
_Static_assert(sizeof(struct present) == 40, "written as it lies in memory");

struct presence {
    struct table table;
    struct list all;
};

struct core_time;

void presence_layout(struct presence *presence, struct region *region,
                     const struct core_limits *capacity);

static inline struct present *presence_at(const struct presence *presence, uint32_t id)
{
    return table_at(&presence->table, id);
}

/* A sign of life. The user longest silent leaves when there are too many; one whose name has no
 * room is not noted. */
void presence_beat(struct presence *presence, struct names *names, const struct core_limits *limits,
                   const struct core_time *time, struct bytes tenant, struct bytes user);

/* Service time at which something has to leave, UINT64_MAX for never; and letting it leave, at most
 * *budget. */
uint64_t presence_deadline(const struct presence *presence, const struct core_limits *limits);
void presence_expire(struct presence *presence, struct names *names,
                     const struct core_limits *limits, uint64_t service_ms, uint32_t *budget);

void presence_save(const struct presence *presence, struct stream_out *out);
void presence_load(struct presence *presence, struct stream_in *in);
const char *presence_verify(const struct presence *presence, const struct names *names);

#endif
