/* What finished jobs returned: kept for result_keep_ms, beyond the activity and its tombstone, and
 * found by the job's id. Only results with something in them are here. */
#ifndef ACTIVITYD_SERVER_CORE_RESULTS_H
#define ACTIVITYD_SERVER_CORE_RESULTS_H

#include "server/core/hash.h"
#include "server/core/jobs.h"
#include "server/core/list.h"
#include "server/core/pool.h"

#define RESULT_BLOCK 256u

struct result {
    uint64_t job_id;
    uint64_t service_ms;      /* when it came */
    struct job_rights rights; /* holds its names */
    uint32_t first;           /* block */
    uint32_t length;
    struct list_links all; /* oldest first */
    struct list_links of_tenant;
    uint32_t zero;
};
_Static_assert(sizeof(struct result) == 88, "written as it lies in memory");

struct results {
    struct table table;
    struct pool bytes;
    struct hash index;
    struct list all;
};

void results_layout(struct results *results, struct region *region,
                    const struct core_limits *capacity);

static inline struct result *results_at(const struct results *results, uint32_t id)
{
    return table_at(&results->table, id);
}

/* 0 when there is none. */
uint32_t results_find(const struct results *results, uint64_t job_id);

/* Whether a result of this length can be kept at all. */
bool results_fits(const struct results *results, const struct core_limits *limits, uint32_t length);

/* Keeps a result that fits; the oldest leave as far as needed. Takes references to the names of the
 * rights. */
void results_add(struct results *results, struct names *names, const struct core_limits *limits,
                 const struct result *result, struct bytes bytes);

/* Service time at which something has to leave, UINT64_MAX for never; and letting it leave, at most
 * *budget. */
uint64_t results_deadline(const struct results *results, const struct core_limits *limits);
void results_expire(struct results *results, struct names *names, const struct core_limits *limits,
                    uint64_t service_ms, uint32_t *budget);

void results_save(const struct results *results, struct stream_out *out);
void results_load(struct results *results, struct stream_in *in);
const char *results_verify(struct results *results, const struct names *names);

#endif
