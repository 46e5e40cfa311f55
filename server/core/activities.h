/* The activities that run or have just ended.
 *
 * A slot has a hot line, which is all that an update needs, and a cold part. The job id is slot and
 * generation; a slot rests after use, so that an id comes near an old one late. Each activity
 * stands in the ordered sets of its tenant, its owner, its creator and its groups (names.h), by
 * which it is found without looking at others. */
#ifndef ACTIVITYD_SERVER_CORE_ACTIVITIES_H
#define ACTIVITYD_SERVER_CORE_ACTIVITIES_H

#include "server/core/jobs.h"
#include "server/core/list.h"
#include "server/core/names.h"
#include "server/core/pool.h"
#include "server/core/time.h"
#include "server/core/wheel.h"

#define ACTIVITY_SLOTS_MAX   (((uint64_t)1 << LIMIT_JOB_SLOT_BITS) - 1)
#define ACTIVITY_REST_SLOTS  65536u /* a slot is used again when as many are free */
#define ACTIVITY_GENERATIONS ((uint64_t)1 << (LIMIT_JOB_ID_BITS - LIMIT_JOB_SLOT_BITS))
#define ACTIVITY_RETIRED     255u /* state of a slot whose generations are used up */
/* Places in ordered sets that one activity may need: tenant, owner, creator and groups. */
#define ACTIVITY_LINKS_MOST (3u + LIMIT_OBJECT_GROUPS)
#define ACTIVITY_TEXT_BLOCK 64u

enum activity_flags { ACTIVITY_HAD_RESULT = 1 };

/* One cache line. */
struct activity_hot {
    struct list_links timer;
    uint32_t generation;
    uint8_t state; /* enum activity_state or ACTIVITY_RETIRED */
    uint8_t percent;
    uint8_t flags;
    uint8_t zero;
    uint32_t tenant;
    uint32_t owner;
    uint32_t creator;
    uint32_t bucket;    /* of the wheel, while running */
    uint64_t heard_ms;  /* service time of the last sign of life */
    uint64_t update_ms; /* wall clock of the last change of percent, status text or state */
    uint64_t spare[2];
};
_Static_assert(sizeof(struct activity_hot) == 64, "one cache line");

struct activity_cold {
    uint64_t order; /* of creation, from 1 */
    uint64_t create_ms;
    uint64_t end_ms;
    uint64_t end_service_ms;
    uint64_t end_mark; /* hash of the update that ended it: its repetition is recognised */
    uint64_t parent_job_id;
    uint64_t retry_of_job_id;
    uint32_t type;
    uint32_t fixed_text; /* title and attributes, one behind the other */
    uint32_t status_text;
    uint32_t failure_text; /* code and message */
    uint16_t title_length;
    uint16_t attributes_length;
    uint16_t status_length;
    uint16_t failure_code_length;
    uint16_t failure_message_length;
    uint16_t zero;
    uint32_t groups[LIMIT_OBJECT_GROUPS];
    uint32_t links[ACTIVITY_LINKS_MOST]; /* nodes: tenant, owner, creator, groups */
    struct list_links ended;
    struct list_links ended_of_tenant;
    uint32_t zero_at_end[4];
};
_Static_assert(sizeof(struct activity_cold) == 192, "three cache lines, no padding");

/* What a slot's next generation is made of. */
struct activity_issue {
    uint32_t generation; /* the last one issued; 0: none yet */
    uint32_t raised;     /* activities.raised then */
};

/* Hot and cold records are taken and given together, so they have the same ids: slots. */
struct activities {
    struct table hot;
    struct table cold;
    struct activity_issue *issued; /* by slot */
    struct order order;
    struct pool texts;
    struct wheel wheel;
    struct list ended; /* oldest end first */
    uint32_t retired;
    uint32_t running;
    uint64_t last_order;
    uint32_t first_generation;
    uint32_t raised; /* by all EPOCH commands together */
};
#define ACTIVITY_ENDED           offsetof(struct activity_cold, ended)
#define ACTIVITY_ENDED_OF_TENANT offsetof(struct activity_cold, ended_of_tenant)

void activities_layout(struct activities *activities, struct region *region,
                       const struct core_limits *capacity);

static inline struct activity_hot *activities_hot(const struct activities *activities,
                                                  uint32_t slot)
{
    /* As table_at, with a size that the compiler knows: this is on the way of every update. */
    return (struct activity_hot *)(void *)activities->hot.records + slot;
}
static inline struct activity_cold *activities_cold(const struct activities *activities,
                                                    uint32_t slot)
{
    return table_at(&activities->cold, slot);
}
static inline uint64_t activities_job_id(const struct activities *activities, uint32_t slot)
{
    return (uint64_t)activities_hot(activities, slot)->generation << LIMIT_JOB_SLOT_BITS | slot;
}
/* Running and ended ones. */
static inline uint32_t activities_count(const struct activities *activities)
{
    return activities->hot.used - activities->retired;
}

/* The slot of a job, running or ended; 0 when there is none. */
static inline uint32_t activities_find(const struct activities *activities, uint64_t job_id)
{
    uint32_t slot = (uint32_t)(job_id & ACTIVITY_SLOTS_MAX);
    if (slot == 0 || slot > activities->hot.high) {
        return 0;
    }
    const struct activity_hot *hot = activities_hot(activities, slot);
    return hot->state != ACTIVITY_NONE && hot->state != ACTIVITY_RETIRED &&
                   hot->generation == job_id >> LIMIT_JOB_SLOT_BITS
               ? slot
               : 0;
}

void activities_rights(const struct activities *activities, uint32_t slot,
                       struct job_rights *rights);

/* Who it belongs to, and how many places in ordered sets that takes. */
static inline uint32_t activities_links_needed(const struct job_rights *rights)
{
    return 2u + (rights->owner != 0 ? 1u : 0u) + job_group_count(rights);
}

/* Takes a slot, gives it its next job id, its place in the ordered sets and its share. The
 * references of `rights` become the activity's. The caller has compared the counts with the limits.
 * 0 when no slot is left. */
uint32_t activities_add(struct activities *activities, struct names *names,
                        const struct core_limits *limits, const struct job_rights *rights);

/* Frees all of an ended activity but its names' references, which are the caller's again. */
void activities_remove(struct activities *activities, struct names *names, uint32_t slot);

/* Replaces a text (status, failure) of an activity; there is room (activities_text_room). */
void activities_set_text(struct activities *activities, struct names *names, uint32_t slot,
                         uint32_t *first, uint32_t old_length, struct bytes text);
/* Blocks that a text takes. */
static inline uint32_t activities_text_blocks(const struct activities *activities, uint32_t length)
{
    return pool_blocks(&activities->texts, length);
}

/* When the activity would have to be killed: the first service time at which its silence is too
 * long. */
uint64_t activities_due_ms(const struct activities *activities, uint32_t slot,
                           const struct core_limits *limits, const struct core_time *time);
void activities_start_timer(struct activities *activities, uint32_t slot,
                            const struct core_limits *limits, const struct core_time *time);
void activities_stop_timer(struct activities *activities, uint32_t slot);
/* After the silence allowed has become shorter. */
void activities_set_timers(struct activities *activities, const struct core_limits *limits,
                           const struct core_time *time);

void activities_save(const struct activities *activities, struct stream_out *out);
void activities_load(struct activities *activities, struct stream_in *in);
const char *activities_verify(struct activities *activities, struct names *names);

#endif
