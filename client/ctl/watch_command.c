/* watch: how activities get on, live. */
#include "client/ctl/ctl.h"
#include "client/ctl/follow.h"
#include "client/ctl/input.h"
#include "client/ctl/interrupt.h"
#include "client/ctl/output.h"
#include "client/ctl/watch_jobs.h"
#include "client/ctl/watch_screen.h"

#include <getopt.h>
#include <string.h>
#include <time.h>

enum {
    JOBS_MAX = 256,
    TYPES_MAX = 16,
    FRAME_MS = 100,     /* between two pictures */
    IDLE_MS = 200,      /* how soon Ctrl-C is noticed */
    REMEMBER_MS = 30000 /* how long what has ended is known, at least */
};

struct watch {
    const struct settings *settings;
    activity_client *client;
    struct follow follow;
    struct watch_jobs jobs;
    struct watch_screen screen;
    struct watch_summary summary;
    uint64_t wanted[JOBS_MAX];
    size_t wanted_count; /* 0: all */
    const char *types[TYPES_MAX];
    size_t type_count; /* 0: any */
    uint32_t found;    /* number of the present snapshot */
    size_t found_ended;
    uint64_t drawn_ms, swept_ms;
    bool changed; /* since the last picture, or since stdout was flushed */
};

static bool wanted_type(const struct watch *watch, const char *type)
{
    for (size_t i = 0; i < watch->type_count; i++) {
        if (strcmp(watch->types[i], type) == 0) {
            return true;
        }
    }
    return watch->type_count == 0;
}

static uint64_t wall_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void show_line(struct watch *watch, const struct watch_job *job, uint64_t time_ms)
{
    watch->changed = true;
    if (!watch->settings->json) {
        screen_line(&watch->screen, job, time_ms == 0 ? wall_ms() : time_ms);
    }
}

/* Takes over what an event says; true if that is something new. */
static bool learn(struct watch_job *job, const struct activity_event *event)
{
    const struct activity_info *info = event->activity;
    bool news = job->percent != info->percent;
    job->percent = info->percent;
    if (event->kind != ACTIVITY_EVENT_PROGRESS) {
        news = watch_job_text(&job->type, info->type) || news;
    }
    if (event->kind == ACTIVITY_EVENT_CREATED || event->kind == ACTIVITY_EVENT_FOUND_ACTIVITY) {
        news = watch_job_text(&job->title, info->title) || news;
    }
    if (info->failure == NULL) {
        return watch_job_text(&job->status, info->status_text) || news;
    }
    char reason[1200];
    (void)snprintf(reason, sizeof reason, "%s%s%s", info->failure->code,
                   info->failure->message[0] == '\0' ? "" : ": ", info->failure->message);
    return watch_job_text(&job->status, reason) || news;
}

/* A job is at its end: its line scrolls away above the bars. */
static void end_job(struct watch *watch, struct watch_job *job, enum activity_state state,
                    uint64_t time_ms)
{
    if (job->state != ACTIVITY_STATE_RUNNING) {
        return;
    }
    screen_drop(&watch->screen, job);
    watch_jobs_end(&watch->jobs, job, state, follow_now_ms());
    *(state == ACTIVITY_STATE_COMPLETED ? &watch->summary.completed : &watch->summary.otherwise) +=
        1;
    show_line(watch, job, time_ms);
}

/* A job that runs. Lines are for what is new. */
static void show_running(struct watch *watch, struct watch_job *job,
                         const struct activity_event *event, bool first)
{
    if (job->state != ACTIVITY_STATE_RUNNING) {
        return; /* late word of what has ended */
    }
    bool news = learn(job, event);
    if (news) {
        watch_jobs_touch(&watch->jobs, job, follow_now_ms());
    }
    watch->changed = true;
    if ((news || first) && !watch->screen.live) {
        show_line(watch, job, event->time_ms);
    }
}

static void take_activity(struct watch *watch, const struct activity_event *event)
{
    const struct activity_info *info = event->activity;
    bool progress = event->kind == ACTIVITY_EVENT_PROGRESS;
    struct watch_job *job = watch_jobs_find(&watch->jobs, info->job_id);
    bool first = job == NULL;
    /* Of the progress of a job that was never seen its type is not known. */
    if (!wanted_type(watch, progress && first ? "" : progress ? job->type : info->type)) {
        return;
    }
    if (watch->settings->json) {
        json_event(event);
    }
    bool ended =
        event->kind == ACTIVITY_EVENT_ENDED ||
        (event->kind == ACTIVITY_EVENT_FOUND_ACTIVITY && info->state != ACTIVITY_STATE_RUNNING);
    if (first && ended && event->kind == ACTIVITY_EVENT_FOUND_ACTIVITY &&
        watch->wanted_count == 0 && watch->screen.live) {
        watch->found_ended++; /* of the past; a screenful of it would hide the present */
        return;
    }
    job = first ? watch_jobs_add(&watch->jobs, info->job_id, follow_now_ms()) : job;
    if (job == NULL) {
        return;
    }
    job->found = watch->found;
    if (ended) {
        if (job->state == ACTIVITY_STATE_RUNNING) {
            (void)learn(job, event);
        }
        end_job(watch, job, info->state, info->end_time_ms);
    } else {
        show_running(watch, job, event, first);
    }
}

/* Says something beside the picture. */
static void say(struct watch *watch, const char *words)
{
    screen_clear(&watch->screen);
    (void)fflush(stdout);
    (void)fprintf(stderr, "activityctl: %s\n", words);
    watch->changed = true;
}

/* A job that the snapshot does not have: it has ended longer ago, or there is none of that number.
 * EXIT_OK, or what is wrong. */
static int look_after(struct watch *watch, uint64_t job_id, bool must)
{
    const struct activity_wait_request request = {.job_id = job_id};
    struct activity_waited waited;
    struct activity_error error;
    struct watch_job *job = watch_jobs_find(&watch->jobs, job_id);
    int code = activity_wait(watch->client, &request, NULL, &waited, &error);
    if (code != ACTIVITY_OK && follow_passing(&error)) {
        return EXIT_OK; /* the next snapshot asks again */
    }
    if (code != ACTIVITY_OK) {
        screen_clear(&watch->screen);
        (void)fflush(stdout);
        if (code != ACTIVITY_NOT_FOUND || must) {
            return ctl_failed(&error);
        }
        if (job != NULL) {
            screen_drop(&watch->screen, job);
            watch_jobs_end(&watch->jobs, job, ACTIVITY_STATE_ANY, follow_now_ms());
        }
        return EXIT_OK;
    }
    job = job == NULL ? watch_jobs_add(&watch->jobs, job_id, follow_now_ms()) : job;
    if (job == NULL) {
        return EXIT_OK;
    }
    job->found = watch->found;
    job->percent = waited.percent;
    if (waited.state != ACTIVITY_STATE_RUNNING) {
        const struct activity_info info = {
            .job_id = job_id, .state = waited.state, .percent = waited.percent, .type = job->type};
        const struct activity_event event = {.kind = ACTIVITY_EVENT_ENDED, .activity = &info};
        if (watch->settings->json && job->state == ACTIVITY_STATE_RUNNING) {
            json_event(&event);
        }
        end_job(watch, job, waited.state, 0);
    }
    return EXIT_OK;
}

/* The snapshot is complete: what should be in it and is not? */
static int look_for_missing(struct watch *watch)
{
    int code = EXIT_OK;
    for (size_t i = 0; i < watch->wanted_count; i++) {
        const struct watch_job *job = watch_jobs_find(&watch->jobs, watch->wanted[i]);
        if (job == NULL || (job->state == ACTIVITY_STATE_RUNNING && job->found != watch->found)) {
            int failed = look_after(watch, watch->wanted[i], true);
            code = failed == EXIT_OK ? code : failed;
        }
    }
    for (struct watch_job *job = watch->jobs.newest, *older; job != NULL && code == EXIT_OK;
         job = older) {
        older = job->older;
        if (job->found != watch->found) {
            code = look_after(watch, job->id, false);
        }
    }
    if (watch->found_ended > 0) {
        char words[160];
        (void)snprintf(words, sizeof words,
                       "%zu more %s within the last minute (activityctl find --activities)",
                       watch->found_ended, watch->found_ended == 1 ? "has ended" : "have ended");
        say(watch, words);
        watch->found_ended = 0;
    }
    return code;
}

static int take_event(struct watch *watch, const struct activity_event *event)
{
    switch (event->kind) {
    case ACTIVITY_EVENT_CREATED:
    case ACTIVITY_EVENT_ENDED:
    case ACTIVITY_EVENT_PROGRESS:
    case ACTIVITY_EVENT_FOUND_ACTIVITY:
        take_activity(watch, event);
        return EXIT_OK;
    case ACTIVITY_EVENT_FOUND_ALL:
        if (watch->settings->json) {
            json_event(event);
        }
        watch->changed = true; /* that nothing is there is something to show, too */
        return look_for_missing(watch);
    case ACTIVITY_EVENT_RESET: {
        char words[128];
        (void)snprintf(words, sizeof words, "RESET %s: something was missed; looking again",
                       activity_reset_name((int)event->reset));
        if (watch->settings->json) {
            json_event(event);
        }
        say(watch, words);
        watch->found++;
        return EXIT_OK;
    }
    default:
        return EXIT_OK;
    }
}

static bool all_ended(const struct watch *watch)
{
    for (size_t i = 0; i < watch->wanted_count; i++) {
        const struct watch_job *job = watch_jobs_find(&watch->jobs, watch->wanted[i]);
        if (job == NULL || job->state == ACTIVITY_STATE_RUNNING) {
            return false;
        }
    }
    return watch->wanted_count > 0;
}

/* What is done between events: the picture, and housekeeping. False when stdout is gone. */
static bool between(struct watch *watch)
{
    uint64_t now = follow_now_ms();
    if (interrupt_continued()) {
        screen_forget(&watch->screen);
        watch->changed = true;
    }
    if (now - watch->swept_ms >= REMEMBER_MS) {
        watch->swept_ms = now;
        if (watch->wanted_count == 0) {
            watch_jobs_sweep(&watch->jobs, now - REMEMBER_MS);
        }
    }
    watch->summary.lost_ms = watch->follow.lost ? now - watch->follow.lost_ms : 0;
    bool due = watch->changed || watch->follow.lost;
    if (due && now - watch->drawn_ms >= FRAME_MS) {
        watch->drawn_ms = now;
        watch->changed = false;
        if (watch->screen.live) {
            screen_draw(&watch->screen, &watch->jobs, &watch->summary, now);
        }
        return fflush(stdout) == 0;
    }
    return ferror(stdout) == 0;
}

static int watch_loop(struct watch *watch)
{
    int code = EXIT_OK;
    while (code == EXIT_OK && interrupt_seen() == 0 && !all_ended(watch)) {
        struct activity_event event;
        switch (follow_next(&watch->follow, watch->changed ? FRAME_MS : IDLE_MS, &event)) {
        case FOLLOW_EVENT:
            code = take_event(watch, &event);
            break;
        case FOLLOW_LOST:
            say(watch, "the connection is lost; waiting for the server");
            break;
        case FOLLOW_BACK:
            watch->changed = true; /* the summary says that there is none */
            break;
        case FOLLOW_FAILED:
            screen_clear(&watch->screen);
            (void)fflush(stdout);
            return ctl_failed(&watch->follow.error);
        default:
            break;
        }
        if (!between(watch)) {
            return EXIT_FAILED;
        }
    }
    if (code != EXIT_OK || interrupt_seen() != 0) {
        return code;
    }
    return watch->summary.otherwise == 0 ? EXIT_OK : EXIT_ENDED;
}

static int watch_run(struct watch *watch)
{
    static const enum activity_event_kind kinds[] = {ACTIVITY_EVENT_CREATED, ACTIVITY_EVENT_ENDED};
    const char *const tenants[] = {watch->settings->tenant};
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.start = ACTIVITY_START_SNAPSHOT;
    options.progress = true;
    options.filter.kinds = kinds;
    options.filter.kind_count = sizeof kinds / sizeof kinds[0];
    options.filter.job_ids = watch->wanted;
    options.filter.job_id_count = watch->wanted_count;
    options.tenants = tenants;
    options.tenant_count = watch->settings->tenant == NULL ? 0 : 1;
    int code = follow_open(&watch->follow, watch->client, watch->settings, &options);
    if (code != ACTIVITY_OK) {
        follow_close(&watch->follow);
        return ctl_failed(&watch->follow.error);
    }
    interrupt_catch();
    screen_init(&watch->screen, watch->settings->json);
    watch->swept_ms = watch->drawn_ms = follow_now_ms(); /* the first picture shows all, not one */
    code = watch_loop(watch);
    /* The last picture stays when the user ends it, as it was; else all that is to say is above. */
    if (watch->screen.live && interrupt_seen() != 0) {
        screen_draw(&watch->screen, &watch->jobs, &watch->summary, follow_now_ms());
    } else {
        screen_clear(&watch->screen);
    }
    follow_close(&watch->follow);
    watch_jobs_deinit(&watch->jobs);
    return code;
}

int command_watch(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"type", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    static struct watch watch; /* large */
    watch.settings = settings;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 't' || watch.type_count == TYPES_MAX) {
            return option == 't' ? ctl_usage("watch", "--type: at most %d times", TYPES_MAX)
                                 : ctl_usage("watch", "unknown option");
        }
        watch.types[watch.type_count++] = optarg;
    }
    for (int i = optind; i < argc; i++) {
        if (watch.wanted_count == JOBS_MAX ||
            !input_job(argv[i], &watch.wanted[watch.wanted_count])) {
            return ctl_usage("watch", "'%s': a job id, at most %d of them", argv[i], JOBS_MAX);
        }
        watch.wanted_count++;
    }
    if (watch.wanted_count > 0 && watch.type_count > 0) {
        return ctl_usage("watch", "either JOBs or --type");
    }
    watch.client = ctl_client(settings);
    if (watch.client == NULL) {
        return EXIT_FAILED;
    }
    int code = watch_run(&watch);
    activity_client_free(watch.client);
    return code;
}
