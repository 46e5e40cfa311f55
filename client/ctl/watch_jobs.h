/* The activities that `watch` knows: those that run, and for a little while those that have ended,
 * so that a late word about their progress does not bring them back. */
#ifndef ACTIVITYD_CLIENT_CTL_WATCH_JOBS_H
#define ACTIVITYD_CLIENT_CTL_WATCH_JOBS_H

#include <activity.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCH_JOBS_MAX = 1 << 20 };

struct watch_job {
    uint64_t id;
    enum activity_state state;
    uint32_t percent;
    char *type;          /* "" as long as it is not known */
    char *title;         /* the same */
    char *status;        /* of a failure: why */
    uint64_t changed_ms; /* of follow_now_ms(): the last time something was learned about it */
    uint64_t number;     /* in the order in which they became known */
    uint32_t found;      /* the snapshot that had it last */
    bool shown;          /* has a row on the screen */
    struct watch_job *newer, *older; /* of running jobs, by changed_ms */
};

struct watch_jobs {
    struct watch_job **slots; /* open addressing by id */
    size_t room;
    size_t count;
    size_t running;
    uint64_t known;  /* ever */
    size_t left_out; /* for want of room */
    struct watch_job *newest, *oldest;
};

/* NULL if it is not known. */
struct watch_job *watch_jobs_find(const struct watch_jobs *jobs, uint64_t id);
/* A running job that is not known yet; NULL when there are too many. */
struct watch_job *watch_jobs_add(struct watch_jobs *jobs, uint64_t id, uint64_t now_ms);
/* Something was learned about a running job. */
void watch_jobs_touch(struct watch_jobs *jobs, struct watch_job *job, uint64_t now_ms);
/* It has ended; it stays known until it is swept. */
void watch_jobs_end(struct watch_jobs *jobs, struct watch_job *job, enum activity_state state,
                    uint64_t now_ms);
/* Forgets what had ended before that time. */
void watch_jobs_sweep(struct watch_jobs *jobs, uint64_t before_ms);
void watch_jobs_deinit(struct watch_jobs *jobs);

/* Replaces a text; NULL leaves it as it is. Returns whether it is another one now. */
bool watch_job_text(char **text, const char *value);

#endif
