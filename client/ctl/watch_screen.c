#include "client/ctl/watch_screen.h"
#include "client/ctl/output.h"
#include "client/ctl/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    ROWS_STANDARD = 24,
    COLUMNS_STANDARD = 80,
    COLUMNS_MAX = 400,
    LINE_COLUMNS_MAX = 4000,
    QUIET_MS = 10000, /* who has not changed for so long gives its row to one who has */
    BUFFER_BYTES = 256 * 1024
};

void screen_init(struct watch_screen *screen, bool lines_only)
{
    memset(screen, 0, sizeof *screen);
    screen->live = !lines_only && people_lively(STDOUT_FILENO);
    screen->colour = people_colour(STDOUT_FILENO);
    /* A picture leaves in one piece: otherwise it would flicker. */
    static char buffer[BUFFER_BYTES];
    (void)setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

static void measure(struct watch_screen *screen)
{
    struct winsize size;
    memset(&size, 0, sizeof size);
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    screen->rows = size.ws_row == 0 ? ROWS_STANDARD : size.ws_row;
    screen->columns = size.ws_col == 0            ? COLUMNS_STANDARD
                      : size.ws_col > COLUMNS_MAX ? COLUMNS_MAX
                                                  : size.ws_col;
}

/* --- Rows ----------------------------------------------------------------------------------- */

static void put_bar(struct text *text, unsigned percent, unsigned width)
{
    unsigned full = (percent > 100 ? 100 : percent) * width / 100;
    char bar[64];
    memset(bar, '-', width);
    memset(bar, '#', full);
    bar[width] = '\0';
    text_words(text, "[");
    text_colour(text, people_state_colour(ACTIVITY_STATE_RUNNING));
    text_words(text, "%s", bar);
    text_colour(text, NULL);
    text_words(text, "] %3u %% ", percent);
}

static void put_state(struct text *text, enum activity_state state)
{
    text_colour(text, people_state_colour(state));
    text_words(text, "%s", activity_state_name((int)state));
    text_colour(text, NULL);
}

static void put_title(struct text *text, const struct watch_job *job)
{
    text_foreign(text, job->title);
    if (job->status[0] != '\0') {
        text_words(text, job->title[0] == '\0' ? "(" : "  (");
        text_foreign(text, job->status);
        text_words(text, ")");
    }
}

/* A row of a terminal: what matters least goes first when it is narrow. */
static void put_row(struct text *text, const struct watch_job *job, unsigned columns)
{
    unsigned bar = columns >= 100 ? 20 : columns >= 60 ? 10 : 0;
    if (columns >= 40) {
        text_words(text, "%-16llu ", (unsigned long long)job->id);
    }
    if (columns >= 72) {
        text_field(text, job->type, columns >= 100 ? 14 : 12);
        text_words(text, " ");
    }
    if (job->state != ACTIVITY_STATE_RUNNING) {
        unsigned end = text->columns + bar + (bar == 0 ? 0 : 9);
        put_state(text, job->state);
        /* Everybody knows of a completed job that it is at 100 %. */
        if (job->state != ACTIVITY_STATE_COMPLETED) {
            text_words(text, " %u %%", job->percent);
        }
        text_pad(text, end);
        text_words(text, bar == 0 ? " " : "");
    } else if (bar > 0) {
        put_bar(text, job->percent, bar);
    } else {
        text_words(text, "%3u %% ", job->percent);
    }
    text_words(text, bar == 0 ? "" : " ");
    put_title(text, job);
}

/* --- The region ----------------------------------------------------------------------------- */

/* Moves the cursor to the region's first row. Terminals that were made narrower since have broken
 * its rows. */
static void go_to_top(const struct watch_screen *screen)
{
    unsigned rows = 0;
    for (unsigned i = 0; i < screen->drawn; i++) {
        unsigned width = screen->widths[i];
        rows += width <= screen->columns ? 1 : (width + screen->columns - 1) / screen->columns;
    }
    if (rows >= screen->rows) {
        rows = screen->rows - 1;
    }
    (void)printf(rows > 0 ? "\r\033[%uA" : "\r", rows);
}

void screen_clear(struct watch_screen *screen)
{
    if (screen->drawn > 0) {
        measure(screen);
        go_to_top(screen);
        (void)printf("\033[J");
        screen->drawn = 0;
    }
}

void screen_forget(struct watch_screen *screen)
{
    screen->drawn = 0;
}

void screen_line(struct watch_screen *screen, const struct watch_job *job, uint64_t time_ms)
{
    struct text text;
    if (screen->live) {
        screen_clear(screen);
        measure(screen);
        text_init(&text, LINE_COLUMNS_MAX, screen->colour); /* it may take several rows: it stays */
        put_row(&text, job, screen->columns);
    } else {
        char clock[16];
        people_clock(time_ms, clock, sizeof clock);
        text_init(&text, LINE_COLUMNS_MAX, screen->colour);
        text_words(&text, "%s  %-16llu ", clock, (unsigned long long)job->id);
        text_field(&text, job->type, 14);
        text_words(&text, " ");
        unsigned end = text.columns + 9;
        put_state(&text, job->state);
        text_pad(&text, end);
        text_words(&text, " %3u %%  ", job->percent);
        put_title(&text, job);
    }
    (void)puts(text.bytes);
}

static void put_region_row(struct watch_screen *screen, const struct text *text)
{
    (void)printf("%s\033[K\n", text->bytes);
    screen->widths[screen->drawn++] = text->columns;
}

void screen_drop(struct watch_screen *screen, struct watch_job *job)
{
    if (!job->shown) {
        return;
    }
    unsigned at = 0;
    while (screen->jobs[at] != job) {
        at++;
    }
    job->shown = false;
    screen->job_count--;
    memmove(&screen->jobs[at], &screen->jobs[at + 1],
            (screen->job_count - at) * sizeof screen->jobs[0]);
}

static int by_number(const void *a, const void *b)
{
    const struct watch_job *const *left = a;
    const struct watch_job *const *right = b;
    return ((*left)->number > (*right)->number) - ((*left)->number < (*right)->number);
}

/* Who gets a row: who has one keeps it, as long as it changes now and then; free rows go to those
 * that changed last. So rows do not jump about, and what moves is seen. */
static void choose(struct watch_screen *screen, struct watch_jobs *jobs, unsigned rows,
                   uint64_t now_ms)
{
    while (screen->job_count > rows) {
        screen_drop(screen, screen->jobs[screen->job_count - 1]);
    }
    unsigned kept = screen->job_count;
    unsigned quiet = 0; /* rows above are not */
    for (struct watch_job *job = jobs->newest; job != NULL; job = job->older) {
        if (job->shown) {
            continue;
        }
        if (screen->job_count < rows) {
            screen->jobs[screen->job_count++] = job;
            job->shown = true;
            continue;
        }
        while (quiet < rows && screen->jobs[quiet]->changed_ms + QUIET_MS > now_ms) {
            quiet++;
        }
        if (quiet == rows || job->changed_ms + QUIET_MS <= now_ms) {
            break;
        }
        screen->jobs[quiet]->shown = false;
        screen->jobs[quiet] = job;
        job->shown = true;
    }
    qsort(screen->jobs + kept, screen->job_count - kept, sizeof screen->jobs[0], by_number);
}

static void put_summary(struct text *text, const struct watch_screen *screen,
                        const struct watch_jobs *jobs, const struct watch_summary *summary)
{
    text_words(text, "%zu running", jobs->running);
    if (jobs->running > screen->job_count) {
        text_words(text, " (%u shown)", screen->job_count);
    }
    if (summary->completed > 0) {
        text_words(text, ", %zu completed", summary->completed);
    }
    if (summary->otherwise > 0) {
        text_words(text, ", %zu failed, cancelled or killed", summary->otherwise);
    }
    if (jobs->left_out > 0) {
        text_words(text, ", too many to follow: %zu left out", jobs->left_out);
    }
    if (summary->lost_ms > 0) {
        text_colour(text, people_state_colour(ACTIVITY_STATE_FAILED));
        text_words(text, "  no connection for %llu s", (unsigned long long)summary->lost_ms / 1000);
        text_colour(text, NULL);
    }
}

void screen_draw(struct watch_screen *screen, struct watch_jobs *jobs,
                 const struct watch_summary *summary, uint64_t now_ms)
{
    measure(screen);
    /* The cursor stands below the region, and what has ended is to be seen above it. */
    unsigned room = screen->rows > 2 ? screen->rows - 2 : 1;
    if (summary->completed + summary->otherwise > 0) {
        room -= room / 4;
    }
    choose(screen, jobs, room < SCREEN_ROWS_MAX ? room : SCREEN_ROWS_MAX - 1, now_ms);
    if (screen->drawn > 0) {
        go_to_top(screen);
    }
    screen->drawn = 0;
    (void)printf("\033[?7l"); /* a row that is wider than it seems is cut, not continued */
    struct text text;
    for (unsigned i = 0; i < screen->job_count; i++) {
        text_init(&text, screen->columns - 1, screen->colour);
        put_row(&text, screen->jobs[i], screen->columns);
        put_region_row(screen, &text);
    }
    text_init(&text, screen->columns - 1, screen->colour);
    put_summary(&text, screen, jobs, summary);
    put_region_row(screen, &text);
    (void)printf("\033[?7h\033[J");
    (void)fflush(stdout);
}
