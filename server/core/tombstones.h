/* What is remembered of jobs that have left: how they ended and who may know it. */
#ifndef ACTIVITYD_SERVER_CORE_TOMBSTONES_H
#define ACTIVITYD_SERVER_CORE_TOMBSTONES_H

#include "server/core/hash.h"
#include "server/core/jobs.h"
#include "server/core/list.h"

struct tombstone {
    uint64_t job_id;
    struct job_rights rights; /* holds its names */
    struct list_links all;    /* oldest first */
    struct list_links of_tenant;
    uint8_t state; /* how it ended */
    uint8_t percent;
    uint8_t had_result;
    uint8_t zero;
};
_Static_assert(sizeof(struct tombstone) == 72, "written as it lies in memory");

struct tombstones {
    struct table table;
    struct hash index;
    struct list all;
};

void tombstones_layout(struct tombstones *tombstones, struct region *region,
                       const struct core_limits *capacity);

static inline struct tombstone *tombstones_at(const struct tombstones *tombstones, uint32_t id)
{
    return table_at(&tombstones->table, id);
}

/* 0 when nothing is remembered of the job. */
uint32_t tombstones_find(const struct tombstones *tombstones, uint64_t job_id);

/* Remembers a job; the oldest leaves when there are too many. The references of its rights become
 * the tombstone's. */
void tombstones_add(struct tombstones *tombstones, struct names *names,
                    const struct core_limits *limits, const struct tombstone *tombstone);

/* Lets the oldest go. False: there is none. */
bool tombstones_drop_oldest(struct tombstones *tombstones, struct names *names,
                            const struct core_limits *limits);

void tombstones_save(const struct tombstones *tombstones, struct stream_out *out);
void tombstones_load(struct tombstones *tombstones, struct stream_in *in);
const char *tombstones_verify(const struct tombstones *tombstones, const struct names *names);

#endif
