#include "client/ctl/watch_jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 256 };

static void *must(void *memory)
{
    if (memory == NULL) {
        (void)fprintf(stderr, "activityctl: out of memory\n");
        exit(1);
    }
    return memory;
}

/* Ids are numbers in a row, and come from a server that is trusted: any mixing will do. */
static size_t place(const struct watch_jobs *jobs, uint64_t id)
{
    size_t at = (size_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (jobs->room - 1);
    while (jobs->slots[at] != NULL && jobs->slots[at]->id != id) {
        at = (at + 1) & (jobs->room - 1);
    }
    return at;
}

struct watch_job *watch_jobs_find(const struct watch_jobs *jobs, uint64_t id)
{
    return jobs->room == 0 ? NULL : jobs->slots[place(jobs, id)];
}

/* Moves all jobs that `keep` into a table of `room` slots, and frees the others. */
static void rebuild(struct watch_jobs *jobs, size_t room, uint64_t ended_before_ms)
{
    struct watch_job **old = jobs->slots;
    size_t old_room = jobs->room;
    jobs->slots = must(calloc(room, sizeof(struct watch_job *)));
    jobs->room = room;
    jobs->count = 0;
    for (size_t i = 0; i < old_room; i++) {
        struct watch_job *job = old[i];
        if (job == NULL) {
            continue;
        }
        if (job->state != ACTIVITY_STATE_RUNNING && job->changed_ms < ended_before_ms) {
            free(job->type);
            free(job->title);
            free(job->status);
            free(job);
            continue;
        }
        jobs->slots[place(jobs, job->id)] = job;
        jobs->count++;
    }
    free(old);
}

static void link_newest(struct watch_jobs *jobs, struct watch_job *job)
{
    job->newer = NULL;
    job->older = jobs->newest;
    *(jobs->newest == NULL ? &jobs->oldest : &jobs->newest->newer) = job;
    jobs->newest = job;
}

static void unlink_job(struct watch_jobs *jobs, struct watch_job *job)
{
    *(job->newer == NULL ? &jobs->newest : &job->newer->older) = job->older;
    *(job->older == NULL ? &jobs->oldest : &job->older->newer) = job->newer;
}

struct watch_job *watch_jobs_add(struct watch_jobs *jobs, uint64_t id, uint64_t now_ms)
{
    if (jobs->count == WATCH_JOBS_MAX) {
        jobs->left_out++;
        return NULL;
    }
    if (jobs->count * 2 >= jobs->room) {
        rebuild(jobs, jobs->room == 0 ? ROOM_FIRST : jobs->room * 2, 0);
    }
    struct watch_job *job = must(calloc(1, sizeof *job));
    job->id = id;
    job->number = jobs->known++;
    job->state = ACTIVITY_STATE_RUNNING;
    job->changed_ms = now_ms;
    job->type = must(strdup(""));
    job->title = must(strdup(""));
    job->status = must(strdup(""));
    jobs->slots[place(jobs, id)] = job;
    jobs->count++;
    jobs->running++;
    link_newest(jobs, job);
    return job;
}

void watch_jobs_touch(struct watch_jobs *jobs, struct watch_job *job, uint64_t now_ms)
{
    job->changed_ms = now_ms;
    if (job->state == ACTIVITY_STATE_RUNNING) {
        unlink_job(jobs, job);
        link_newest(jobs, job);
    }
}

void watch_jobs_end(struct watch_jobs *jobs, struct watch_job *job, enum activity_state state,
                    uint64_t now_ms)
{
    if (job->state == ACTIVITY_STATE_RUNNING) {
        unlink_job(jobs, job);
        jobs->running--;
    }
    job->state = state;
    job->changed_ms = now_ms;
}

void watch_jobs_sweep(struct watch_jobs *jobs, uint64_t before_ms)
{
    if (jobs->count > jobs->running) {
        rebuild(jobs, jobs->room, before_ms);
    }
}

void watch_jobs_deinit(struct watch_jobs *jobs)
{
    while (jobs->newest != NULL) {
        watch_jobs_end(jobs, jobs->newest, ACTIVITY_STATE_ANY, 0);
    }
    if (jobs->room > 0) {
        rebuild(jobs, jobs->room, UINT64_MAX);
    }
    free(jobs->slots);
    memset(jobs, 0, sizeof *jobs);
}

bool watch_job_text(char **text, const char *value)
{
    if (value == NULL || strcmp(*text, value) == 0) {
        return false;
    }
    free(*text);
    *text = must(strdup(value));
    return true;
}
