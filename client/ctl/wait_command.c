/* wait: for a job to end or to come so far, or for changed documents to be visible. */
#include "client/ctl/ctl.h"
#include "client/ctl/follow.h"
#include "client/ctl/input.h"
#include "client/ctl/output.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Without --wait there is no end; one call waits this long at most. */
enum { CALL_WAIT_MS = 600000, PAUSE_MS = 500, CONNECT_MS = 5000 };

struct wait_arguments {
    bool visible; /* for documents, not for a job */
    bool endless; /* no --wait was given */
    uint64_t wait_ms;
    struct activity_wait_request job;
    struct activity_visible_request changes;
    bool of_job; /* which options were given that the other kind of wait does not have */
    bool of_changes;
};

/* A ticket as `record` prints it. */
static bool parse_ticket(const char *text, uint64_t *ticket)
{
    size_t length = strlen(text);
    if (length != 16 || strspn(text, "0123456789abcdefABCDEF") != length) {
        return false;
    }
    *ticket = strtoull(text, NULL, 16);
    return *ticket != 0;
}

static enum activity_stage stage_of(const char *text)
{
    static const char *const names[] = {"", "sent", "acked", "searchable"};
    for (int stage = ACTIVITY_STAGE_SENT; stage <= ACTIVITY_STAGE_SEARCHABLE; stage++) {
        if (strcasecmp(text, names[stage]) == 0) {
            return (enum activity_stage)stage;
        }
    }
    return ACTIVITY_STAGE_DEFAULT;
}

static int wait_option(struct wait_arguments *arguments, int option, const char *value)
{
    uint64_t number;
    switch (option) {
    case 'p':
        if (!ctl_number(value, 100, &number) || number == 0) {
            return ctl_usage("wait", "--percent %s: a whole number from 1 to 100", value);
        }
        arguments->job.percent = (uint32_t)number;
        arguments->of_job = true;
        return EXIT_OK;
    case 'c':
        arguments->job.children = true;
        arguments->of_job = true;
        return EXIT_OK;
    case 'w':
        arguments->endless = false;
        return ctl_number(value, UINT32_MAX, &arguments->wait_ms)
                   ? EXIT_OK
                   : ctl_usage("wait", "--wait %s: milliseconds", value);
    case 'v':
        arguments->visible = true;
        return parse_ticket(value, &arguments->changes.ticket)
                   ? EXIT_OK
                   : ctl_usage("wait", "--visible %s: a ticket as record shows it, 16 hex digits",
                               value);
    case 'j':
        arguments->visible = true;
        return input_job(value, &arguments->changes.job_id)
                   ? EXIT_OK
                   : ctl_usage("wait", "--job %s: no job id", value);
    case 's':
        arguments->of_changes = true;
        arguments->changes.stage = stage_of(value);
        return arguments->changes.stage != ACTIVITY_STAGE_DEFAULT
                   ? EXIT_OK
                   : ctl_usage("wait", "--stage %s: sent, acked or searchable", value);
    default:
        return ctl_usage("wait", "unknown option");
    }
}

/* One call that waits for wait_ms at most; *reached tells whether it has come so far, *code how
 * that is said. */
struct waiting {
    const struct settings *settings;
    const struct wait_arguments *arguments;
    activity_client *client;
    struct activity_waited waited;
    struct activity_visible seen;
    struct activity_error error;
};

static bool wait_once(struct waiting *waiting, uint32_t wait_ms, bool *reached)
{
    int code;
    if (waiting->arguments->visible) {
        struct activity_visible_request request = waiting->arguments->changes;
        request.wait_ms = wait_ms;
        code =
            activity_wait_visible(waiting->client, &request, NULL, &waiting->seen, &waiting->error);
        *reached = waiting->seen.reached;
    } else {
        struct activity_wait_request request = waiting->arguments->job;
        request.wait_ms = wait_ms;
        code = activity_wait(waiting->client, &request, NULL, &waiting->waited, &waiting->error);
        *reached = waiting->waited.reached;
    }
    return code == ACTIVITY_OK;
}

static int tell_job(const struct settings *settings, uint64_t job_id,
                    const struct activity_waited *waited)
{
    if (settings->json) {
        json_waited(job_id, waited);
    } else if (waited->reached || waited->waiting_for_job_id == job_id) {
        (void)printf("%s %u %%\n", activity_state_name((int)waited->state), waited->percent);
    } else {
        (void)printf("%s %u %%, waiting for job %llu\n", activity_state_name((int)waited->state),
                     waited->percent, (unsigned long long)waited->waiting_for_job_id);
    }
    if (!waited->reached) {
        return EXIT_NOT_YET;
    }
    return waited->state == ACTIVITY_STATE_RUNNING || waited->state == ACTIVITY_STATE_COMPLETED
               ? EXIT_OK
               : EXIT_ENDED;
}

static int tell_visible(const struct settings *settings,
                        const struct activity_visible_request *request,
                        const struct activity_visible *visible)
{
    if (settings->json) {
        json_visible(request, visible);
    } else if (visible->reached) {
        (void)puts("visible");
    } else {
        (void)printf("%llu %s to come\n", (unsigned long long)visible->open_changes,
                     visible->open_changes == 1 ? "change is" : "changes are");
    }
    return visible->reached ? EXIT_OK : EXIT_NOT_YET;
}

/* Calls until it is reached or the time is over. A server that goes away meanwhile is waited for,
 * as long as the wait goes on. */
static int wait_loop(struct waiting *waiting)
{
    const struct wait_arguments *arguments = waiting->arguments;
    uint64_t end = follow_now_ms() + arguments->wait_ms;
    bool told = false;
    for (bool last = false;;) {
        uint64_t now = follow_now_ms();
        uint64_t left = arguments->endless ? CALL_WAIT_MS : end > now ? end - now : 0;
        last = !arguments->endless && left <= CALL_WAIT_MS;
        bool reached = false;
        bool answered =
            wait_once(waiting, left < CALL_WAIT_MS ? (uint32_t)left : CALL_WAIT_MS, &reached);
        if (answered && (reached || last)) {
            return EXIT_OK;
        }
        if (!answered &&
            (!follow_passing(&waiting->error) || (last && follow_now_ms() + PAUSE_MS >= end))) {
            return ctl_failed(&waiting->error);
        }
        if (!answered) {
            if (!told) {
                (void)fprintf(stderr,
                              "activityctl: the connection is lost; waiting for the server\n");
            }
            told = true;
            const struct timespec pause = {0, PAUSE_MS * 1000000L};
            (void)nanosleep(&pause, NULL);
        }
    }
}

static int wait_run(const struct settings *settings, const struct wait_arguments *arguments,
                    activity_client *client)
{
    struct waiting waiting = {.settings = settings, .arguments = arguments, .client = client};
    uint32_t patience = settings->timeout_ms < CONNECT_MS ? settings->timeout_ms : CONNECT_MS;
    if (activity_client_connect(client, patience, &waiting.error) != ACTIVITY_OK) {
        return ctl_failed(&waiting.error);
    }
    int code = wait_loop(&waiting);
    if (code != EXIT_OK) {
        return code;
    }
    return arguments->visible ? tell_visible(settings, &arguments->changes, &waiting.seen)
                              : tell_job(settings, arguments->job.job_id, &waiting.waited);
}

int command_wait(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"percent", required_argument, NULL, 'p'},
                                            {"children", no_argument, NULL, 'c'},
                                            {"wait", required_argument, NULL, 'w'},
                                            {"visible", required_argument, NULL, 'v'},
                                            {"job", required_argument, NULL, 'j'},
                                            {"stage", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    struct wait_arguments arguments = {.endless = true};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int code = wait_option(&arguments, option, optarg);
        if (code != EXIT_OK) {
            return code;
        }
    }
    if (arguments.visible) {
        if (optind != argc || arguments.of_job) {
            return ctl_usage("wait", "a wait for changes has no JOB argument, --percent or "
                                     "--children (--job JOB waits for the changes of a job)");
        }
        if (arguments.changes.ticket != 0 && arguments.changes.job_id != 0) {
            return ctl_usage("wait", "either --visible TICKET or --job JOB");
        }
    } else if (argc - optind != 1 || !input_job(argv[optind], &arguments.job.job_id)) {
        return ctl_usage("wait", "one job id is needed, or --visible TICKET, or --job JOB");
    } else if (arguments.of_changes) {
        return ctl_usage("wait", "--stage is for --visible and --job");
    }
    activity_client *client = ctl_client(settings);
    if (client == NULL) {
        return EXIT_FAILED;
    }
    int code = wait_run(settings, &arguments, client);
    activity_client_free(client);
    return code;
}
