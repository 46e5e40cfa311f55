/* pipe: bytes from a file or stdin to stdout, watched by an activity whose percent follows them.
 * The copy never waits for the service: updates are submitted and their answers taken when they
 * come. */
#include "client/ctl/ctl.h"
#include "client/ctl/interrupt.h"
#include "client/ctl/output.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    GROUPS_MAX = 8,
    BUFFER_BYTES = 256 * 1024,
    UPDATE_EVERY_MS = 250,
    BEAT_EVERY_MS = 10000,
    IN_FLIGHT = 4
};

struct pipe {
    const struct settings *settings;
    activity_client *client;
    activity_window *window;
    uint64_t job_id;
    uint64_t total; /* 0: unknown */
    uint64_t copied;
    uint64_t started_ms, updated_ms, shown_ms;
    unsigned percent; /* last submitted */
    bool bar;
    bool unwanted; /* cancelled or killed: nobody waits for it, but the copy goes on */
};

static uint64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* 100 % is kept for the end: it would complete the job. */
static unsigned percent_now(const struct pipe *pipe)
{
    if (pipe->total == 0) {
        return 0;
    }
    uint64_t percent = pipe->copied * 100 / pipe->total;
    return percent > 99 ? 99 : (unsigned)percent;
}

static void show_bar(struct pipe *pipe, unsigned percent, const char *end)
{
    char bar[64];
    char copied[32];
    char rate[32];
    uint64_t elapsed = now_ms() - pipe->started_ms;
    people_bar(percent, bar, sizeof bar);
    people_bytes(pipe->copied, copied, sizeof copied);
    people_bytes(pipe->copied * 1000 / (elapsed == 0 ? 1 : elapsed), rate, sizeof rate);
    (void)fprintf(stderr, "\r%s  %s  %s/s  job %llu\033[K%s", bar, copied, rate,
                  (unsigned long long)pipe->job_id, end);
}

static void take_answers(struct pipe *pipe, uint32_t wait_ms)
{
    struct activity_completion completion;
    while (activity_next(pipe->window, wait_ms, &completion) == ACTIVITY_NEXT_DONE) {
        const struct activity_updated *updated = activity_result_updated(completion.result);
        if (updated != NULL && updated->disposition >= ACTIVITY_IGNORED_UNKNOWN &&
            !pipe->unwanted) {
            pipe->unwanted = true;
            (void)fprintf(stderr, "%sactivityctl: the activity is %s; the copy goes on\n",
                          pipe->bar ? "\n" : "",
                          activity_disposition_name((int)updated->disposition));
        }
        activity_result_free(completion.result);
    }
}

static void progress(struct pipe *pipe)
{
    uint64_t now = now_ms();
    unsigned percent = percent_now(pipe);
    if (pipe->bar && now - pipe->shown_ms >= 100) {
        pipe->shown_ms = now;
        show_bar(pipe, percent, "");
    }
    uint64_t pause = percent > pipe->percent ? UPDATE_EVERY_MS : BEAT_EVERY_MS;
    if (now - pipe->updated_ms < pause || pipe->unwanted) {
        return;
    }
    take_answers(pipe, 0);
    struct activity_error error;
    char status[64];
    people_bytes(pipe->copied, status, sizeof status);
    const struct activity_update_request request = {
        .job_id = pipe->job_id, .set_percent = true, .percent = percent, .status_text = status};
    if (activity_submit_update(pipe->window, &request, NULL, 0, &error) == ACTIVITY_OK) {
        pipe->updated_ms = now;
        pipe->percent = percent;
    }
}

static bool write_all(int to, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(to, bytes, length);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        } else if (interrupt_seen() != 0) {
            return false;
        }
    }
    return true;
}

/* Copies everything. NULL, or why it ended early. */
static const char *copy(struct pipe *pipe, int from, const char **code)
{
    static char buffer[BUFFER_BYTES];
    for (;;) {
        if (interrupt_seen() != 0) {
            *code = "INTERRUPTED";
            return "stopped by a signal";
        }
        ssize_t got = read(from, buffer, sizeof buffer);
        if (got == 0) {
            return NULL;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            *code = "READ_FAILED";
            return strerror(errno);
        }
        if (!write_all(STDOUT_FILENO, buffer, (size_t)got)) {
            *code = interrupt_seen() != 0 ? "INTERRUPTED" : "WRITE_FAILED";
            return interrupt_seen() != 0 ? "stopped by a signal" : strerror(errno);
        }
        pipe->copied += (uint64_t)got;
        progress(pipe);
    }
}

/* The last update, which carries the result or the failure. */
static int finish(struct pipe *pipe, const char *name, const char *failed_code, const char *failed)
{
    struct activity_error error;
    struct activity_updated updated;
    char content[64];
    (void)snprintf(content, sizeof content, "{\"bytes\":%llu}", (unsigned long long)pipe->copied);
    const struct activity_result_item item = {.id = name};
    const struct activity_job_result result = {.items = &item,
                                               .item_count = 1,
                                               .content = {content, strlen(content)},
                                               .content_type = "application/json"};
    const struct activity_failure failure = {failed_code, failed};
    struct activity_update_request request = {.job_id = pipe->job_id};
    if (failed == NULL) {
        request.set_percent = true;
        request.percent = 100;
        request.result = &result;
    } else {
        request.failure = &failure;
    }
    int code = activity_update(pipe->client, &request, NULL, &updated, &error);
    if (pipe->bar) {
        show_bar(pipe, failed == NULL ? 100 : percent_now(pipe), "\n");
    }
    if (failed != NULL) {
        (void)fprintf(stderr, "activityctl: %s: %s\n", name, failed);
        return EXIT_FAILED;
    }
    if (code != ACTIVITY_OK) {
        (void)fprintf(stderr,
                      "activityctl: the copy is complete, but the activity could not be told so\n");
        return ctl_failed(&error);
    }
    return updated.disposition == ACTIVITY_APPLIED ? EXIT_OK : EXIT_PRECONDITION;
}

struct pipe_arguments {
    struct activity_create_request create;
    const char *groups[GROUPS_MAX];
    uint64_t total;
    bool quiet;
};

static int pipe_option(struct pipe_arguments *arguments, int option, const char *value)
{
    switch (option) {
    case 't':
        arguments->create.title = value;
        return EXIT_OK;
    case 'y':
        arguments->create.type = value;
        return EXIT_OK;
    case 'q':
        arguments->quiet = true;
        return EXIT_OK;
    case 'n':
        return ctl_number(value, UINT64_MAX / 100, &arguments->total)
                   ? EXIT_OK
                   : ctl_usage("pipe", "--total %s: bytes", value);
    case 'g':
        if (arguments->create.group_count == GROUPS_MAX) {
            return ctl_usage("pipe", "--group: at most %d", GROUPS_MAX);
        }
        arguments->groups[arguments->create.group_count++] = value;
        return EXIT_OK;
    default:
        return ctl_usage("pipe", "unknown option");
    }
}

static int pipe_run(struct pipe *pipe, struct pipe_arguments *arguments, const char *path, int from)
{
    const char *name = path == NULL                 ? "stdin"
                       : strrchr(path, '/') == NULL ? path
                                                    : strrchr(path, '/') + 1;
    struct activity_created created;
    struct activity_error error;
    arguments->create.groups = arguments->groups;
    arguments->create.title = arguments->create.title == NULL ? name : arguments->create.title;
    if (activity_create(pipe->client, &arguments->create, NULL, &created, &error) != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    pipe->job_id = created.job_id;
    pipe->started_ms = now_ms();
    pipe->window = activity_window_new(pipe->client, IN_FLIGHT, &error);
    if (pipe->window == NULL) {
        return ctl_failed(&error);
    }
    interrupt_catch();
    const char *failed_code = NULL;
    const char *failed = copy(pipe, from, &failed_code);
    take_answers(pipe, 0);
    activity_window_free(pipe->window);
    return finish(pipe, name, failed_code, failed);
}

int command_pipe(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"title", required_argument, NULL, 't'}, {"type", required_argument, NULL, 'y'},
        {"total", required_argument, NULL, 'n'}, {"group", required_argument, NULL, 'g'},
        {"quiet", no_argument, NULL, 'q'},       {NULL, 0, NULL, 0}};
    struct pipe_arguments arguments = {.create = {.type = "upload"}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int code = pipe_option(&arguments, option, optarg);
        if (code != EXIT_OK) {
            return code;
        }
    }
    if (argc - optind > 1) {
        return ctl_usage("pipe", "at most one FILE");
    }
    if (isatty(STDOUT_FILENO) != 0) {
        return ctl_usage("pipe", "stdout is a terminal: redirect it to where the bytes shall go");
    }
    const char *path = argc - optind == 1 && strcmp(argv[optind], "-") != 0 ? argv[optind] : NULL;
    int from = path == NULL ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (from < 0 || fstat(from, &status) != 0) {
        (void)fprintf(stderr, "activityctl: %s: %s\n", path == NULL ? "stdin" : path,
                      strerror(errno));
        return EXIT_FAILED;
    }
    struct pipe pipe = {.settings = settings,
                        .bar = !arguments.quiet && people_lively(STDERR_FILENO)};
    pipe.total = arguments.total != 0      ? arguments.total
                 : S_ISREG(status.st_mode) ? (uint64_t)status.st_size
                                           : 0;
    pipe.client = ctl_client(settings);
    int code = pipe.client == NULL ? EXIT_FAILED : pipe_run(&pipe, &arguments, path, from);
    activity_client_free(pipe.client);
    if (path != NULL) {
        (void)close(from);
    }
    if (code == EXIT_OK && settings->json) {
        (void)fprintf(stderr, "{\"jobId\":%llu,\"bytes\":%llu}\n", (unsigned long long)pipe.job_id,
                      (unsigned long long)pipe.copied);
    }
    return code;
}
