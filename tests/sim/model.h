/* A second opinion about the core: what the calls mean, written down as simply as possible, from
 * the contract and not from the core's code. Linear arrays, malloc, no cleverness.
 *
 * The model follows a core entry by entry: it is given the commands as structures (not their bytes)
 * and the effects, and judges every reply and event; between entries it judges every answer. Where
 * the contract leaves room, the model takes over what the core chose and judges only whether it was
 * within its rights:
 *   - the numbers of jobs and tickets (never issued before, below 2^53);
 *   - what is over leaves within MODEL_SLACK_MS, not at the very millisecond;
 *   - memory counted in bytes (text, results, pending JSON, feed): pressure begins somewhere
 *     between the plain sum and a generous upper bound, and only under pressure may something
 *     leave early or be refused;
 *   - the order of kills in one entry, and whether other entries than ticks send changes.
 * What leaves early must be the oldest of its tenant, and of a tenant that holds more than half
 * first. */
#ifndef ACTIVITYD_TESTS_SIM_MODEL_H
#define ACTIVITYD_TESTS_SIM_MODEL_H

#include "tests/sim/rig.h"

#define MODEL_SLACK_MS 1000u

struct model;

struct model *model_new(void);
void model_free(struct model *model); /* accepts NULL */

/* Judges the effects of one applied entry, and adopts it. False: model_complaint says what is
 * wrong, and the model is useless from then on. `core` is only asked questions. */
__attribute__((warn_unused_result)) bool model_apply(struct model *model, const struct core *core,
                                                     const struct entry *entry,
                                                     struct bytes effects);
const char *model_complaint(const struct model *model);

/* Ask the core a question and judge the answer. `page` items are read at a time. */
__attribute__((warn_unused_result)) bool
model_check_find(struct model *model, const struct core *core, const struct command_caller *caller,
                 const struct core_find_activities *filter, uint32_t page);
__attribute__((warn_unused_result)) bool model_check_get(struct model *model,
                                                         const struct core *core,
                                                         const struct command_caller *caller,
                                                         uint64_t job_id);
__attribute__((warn_unused_result)) bool model_check_result(struct model *model,
                                                            const struct core *core,
                                                            const struct command_caller *caller,
                                                            uint64_t job_id);
__attribute__((warn_unused_result)) bool model_check_changes(struct model *model,
                                                             const struct core *core,
                                                             const struct command_caller *caller,
                                                             enum core_change_view view,
                                                             uint64_t since_ms, uint32_t page);
__attribute__((warn_unused_result)) bool model_check_users(struct model *model,
                                                           const struct core *core,
                                                           const struct command_caller *caller);
/* The feed window, at `samples` sequences spread over it and around it. */
__attribute__((warn_unused_result)) bool
model_check_feed(struct model *model, const struct core *core, uint32_t samples);

/* Somebody who waits, over many looks. */
struct model_wait {
    struct command_caller caller; /* views as of world_caller or model_rightful */
    bool for_tickets;             /* `visible`, else `activity`: what is waited for, else zero */
    struct core_wait_activity activity;
    struct core_wait_visible visible;
    /* The model's own. */
    bool seen, waited, all, over; /* over: there was an answer, do not ask again */
    uint8_t own_state, own_percent;
    uint32_t serial; /* tickets issued later need not count */
};
/* One look, judged. */
__attribute__((warn_unused_result)) bool
model_check_wait(struct model *model, const struct core *core, struct model_wait *wait);

/* Takes the progress that has changed, `slots` slots at a time and then all of it. */
__attribute__((warn_unused_result)) bool model_check_progress(struct model *model,
                                                              struct core *core, uint32_t slots);
/* Has all of it taken again. */
void model_remind(struct model *model, struct core *core);
/* What was not taken before a restart is never told. */
void model_progress_lost(struct model *model);

/* A job that has running children, and a kept ticket (its job, its recorder), for a generator; 0
 * when there is none. */
uint64_t model_parent(const struct model *model, uint64_t pick);
uint64_t model_ticket(const struct model *model, uint64_t pick, uint64_t *job_id,
                      struct command_caller *recorder);

/* A job that the model knows, for a generator: by `pick` out of those running, ended or left; 0
 * when there is none. */
enum model_jobs { MODEL_RUNNING, MODEL_ENDED, MODEL_LEFT };
uint64_t model_job(const struct model *model, enum model_jobs which, uint64_t pick);
/* The update that ended the job `pick` of the ended ones: fills percent, status text, failure and
 * result with views that are valid until the next entry. False when there is none. */
bool model_last_update(const struct model *model, uint64_t pick, struct command_update *update);

/* Makes the caller somebody who may change the job: its owner, or its creator acting for itself.
 * Leaves it when the model does not know the job. */
void model_rightful(const struct model *model, uint64_t job_id, bool as_owner,
                    struct command_caller *caller);

uint64_t model_service_ms(const struct model *model);

/* How often each kind of thing was met, so that a test can say that it was not vacuous. */
enum model_meeting {
    MET_CREATED,
    MET_REPEATED,
    MET_REUSED,
    MET_REFUSED_REFERENCE,
    MET_REFUSED_ROOM,
    MET_REFUSED_REQUEST_ID,
    MET_COMPLETED,
    MET_FAILED,
    MET_CANCELLED,
    MET_KILLED,
    MET_HEARTBEAT,
    MET_UNKNOWN,
    MET_IGNORED,
    MET_REPEATED_END,
    MET_NOT_YOURS,
    MET_RECORDED,
    MET_INDEXED,
    MET_LEFT_EARLY,
    MET_RESULT_LEFT_EARLY,
    MET_TOMBSTONE_LEFT,
    MET_CHANGE_LEFT_EARLY,
    MET_EVENT_LEFT_EARLY,
    MET_AWAITED, /* each was waited for, and then reached */
    MET_AWAITED_CHILDREN,
    MET_AWAITED_TICKET,
    MET_AWAITED_TICKETS,
    MET_LOST,
    MET_PROGRESS,
    MET_PROGRESS_TEXT,
    MET_COUNT
};
extern const char *const model_meetings[MET_COUNT];
const uint64_t *model_met(const struct model *model);

#endif
