/* What `watch` shows: on a terminal lines that stay, and below them a region that is redrawn in
 * place: a row for each running job as far as there is room, and a summary. Else only lines. */
#ifndef ACTIVITYD_CLIENT_CTL_WATCH_SCREEN_H
#define ACTIVITYD_CLIENT_CTL_WATCH_SCREEN_H

#include "client/ctl/watch_jobs.h"

#include <stdbool.h>
#include <stdint.h>

enum { SCREEN_ROWS_MAX = 256 };

struct watch_screen {
    bool live; /* a terminal whose cursor can be moved */
    bool colour;
    unsigned rows, columns;                  /* of the terminal */
    unsigned widths[SCREEN_ROWS_MAX];        /* of what is drawn at present */
    unsigned drawn;                          /* how many rows that is; 0: nothing */
    struct watch_job *jobs[SCREEN_ROWS_MAX]; /* who has a row, from the top */
    unsigned job_count;
};

/* The last row of the region. */
struct watch_summary {
    size_t completed;
    size_t otherwise; /* ended in another way */
    uint64_t lost_ms; /* for how long there has been no connection (duration); 0: there is one */
};

void screen_init(struct watch_screen *screen, bool lines_only);
/* A line that stays: how a job stands, with the time of day where there are only lines. */
void screen_line(struct watch_screen *screen, const struct watch_job *job, uint64_t time_ms);
/* Draws the region anew. */
void screen_draw(struct watch_screen *screen, struct watch_jobs *jobs,
                 const struct watch_summary *summary, uint64_t now_ms);
/* Takes the region away, so that something else can be printed. */
void screen_clear(struct watch_screen *screen);
/* The region was left behind on a screen that others have written on: it is not redrawn in place.
 */
void screen_forget(struct watch_screen *screen);
/* A job is about to be forgotten, or its row is to be another's. */
void screen_drop(struct watch_screen *screen, struct watch_job *job);

#endif
