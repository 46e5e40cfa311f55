/* changes: the history of events, what there is of it or as it happens. */
#include "client/ctl/ctl.h"
#include "client/ctl/cursor.h"
#include "client/ctl/follow.h"
#include "client/ctl/input.h"
#include "client/ctl/interrupt.h"
#include "client/ctl/output.h"

#include <getopt.h>
#include <string.h>

enum { KINDS_MAX = 8, MODELS_MAX = 16, DOCUMENTS_MAX = 256, JOBS_MAX = 256, LOOK_MS = 200 };

struct changes_arguments {
    bool follow;
    bool all_tenants;
    bool oldest; /* begin with the oldest event that there is */
    struct activity_cursor since;
    struct activity_event_filter filter;
    enum activity_event_kind kinds[KINDS_MAX];
    const char *models[MODELS_MAX];
    const char *documents[DOCUMENTS_MAX];
    uint64_t jobs[JOBS_MAX];
};

static const struct {
    const char *name;
    enum activity_event_kind kind;
} kind_names[] = {{"created", ACTIVITY_EVENT_CREATED},
                  {"ended", ACTIVITY_EVENT_ENDED},
                  {"model", ACTIVITY_EVENT_MODEL_CHANGED},
                  {"index", ACTIVITY_EVENT_INDEX_CHANGED}};

static int add_kind(struct changes_arguments *arguments, const char *value)
{
    struct activity_event_filter *filter = &arguments->filter;
    for (size_t i = 0; i < sizeof kind_names / sizeof kind_names[0]; i++) {
        if (strcmp(kind_names[i].name, value) == 0 && filter->kind_count < KINDS_MAX) {
            arguments->kinds[filter->kind_count++] = kind_names[i].kind;
            return EXIT_OK;
        }
    }
    return ctl_usage("changes", "--kind %s: created, ended, model or index, at most %d times",
                     value, KINDS_MAX);
}

static int take_since(struct changes_arguments *arguments, const char *value, bool *now)
{
    arguments->oldest = strcmp(value, "oldest") == 0;
    *now = strcmp(value, "now") == 0;
    return arguments->oldest || *now || cursor_parse(value, &arguments->since)
               ? EXIT_OK
               : ctl_usage("changes",
                           "--since %s: a cursor as it is shown, 16 hex digits and :SEQUENCE, or "
                           "oldest, or now",
                           value);
}

static int changes_option(struct changes_arguments *arguments, int option, const char *value,
                          bool *now)
{
    struct activity_event_filter *filter = &arguments->filter;
    switch (option) {
    case 'f':
        arguments->follow = true;
        return EXIT_OK;
    case 'a':
        arguments->all_tenants = true;
        return EXIT_OK;
    case 's':
        return take_since(arguments, value, now);
    case 'k':
        return add_kind(arguments, value);
    case 'm':
        if (filter->model_count == MODELS_MAX) {
            return ctl_usage("changes", "--model: at most %d times", MODELS_MAX);
        }
        arguments->models[filter->model_count++] = value;
        return EXIT_OK;
    case 'd':
        if (filter->document_id_count == DOCUMENTS_MAX) {
            return ctl_usage("changes", "--document: at most %d times", DOCUMENTS_MAX);
        }
        arguments->documents[filter->document_id_count++] = value;
        return EXIT_OK;
    case 'j':
        if (filter->job_id_count == JOBS_MAX ||
            !input_job(value, &arguments->jobs[filter->job_id_count])) {
            return ctl_usage("changes", "--job %s: a job id, at most %d times", value, JOBS_MAX);
        }
        filter->job_id_count++;
        return EXIT_OK;
    default:
        return ctl_usage("changes", "unknown option");
    }
}

static void show(const struct settings *settings, const struct changes_arguments *arguments,
                 const struct activity_event *event)
{
    if (settings->json) {
        json_event(event);
    } else if (event->kind != ACTIVITY_EVENT_RESET) {
        people_event(event, arguments->all_tenants);
    }
}

static void tell_reset(enum activity_reset reset, const struct activity_cursor *from)
{
    char cursor[CURSOR_TEXT];
    cursor_text(from, cursor);
    (void)fflush(stdout);
    (void)fprintf(stderr,
                  "activityctl: RESET %s: %s; what was known from earlier events is out of date, "
                  "going on after %s\n",
                  activity_reset_name((int)reset),
                  reset == ACTIVITY_RESET_EXPIRED ? "events are missing here, they have left the "
                                                    "server's window"
                  : reset == ACTIVITY_RESET_EPOCH ? "the server has another history than the cursor"
                                                  : "the cursor is ahead of the server's history",
                  cursor);
}

/* Where a next run would go on. */
static void tell_position(const struct settings *settings, const struct activity_cursor *at)
{
    char cursor[CURSOR_TEXT];
    cursor_text(at, cursor);
    if (settings->json) {
        json_line((const struct json_pair[]){{"event", "POSITION", 0}, {"cursor", cursor, 0}, {0}});
    } else {
        (void)fflush(stdout);
        (void)fprintf(stderr, "go on with --since %s\n", cursor);
    }
}

/* The cursor before the oldest event that can be read. */
static int find_oldest(activity_client *client, const struct changes_arguments *arguments,
                       struct activity_cursor *cursor)
{
    const struct activity_changes_request request = {.all_tenants = arguments->all_tenants,
                                                     .page_size = 1};
    activity_result *result = NULL;
    struct activity_error error;
    if (activity_read_changes(client, &request, NULL, &result, &error) != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    const struct activity_changes *changes = activity_result_changes(result);
    cursor->epoch = changes->cursor.epoch;
    cursor->sequence = changes->oldest_sequence - (changes->oldest_sequence > 0 ? 1 : 0);
    activity_result_free(result);
    return EXIT_OK;
}

struct reading {
    const struct settings *settings;
    const struct changes_arguments *arguments;
    activity_client *client;
    struct activity_changes_request request;
    uint64_t head; /* at the first answer: later events are for the next run */
    bool promised; /* the cursor was somebody's, not our own */
    bool hole;
};

/* One page; sets *more. */
static int read_page(struct reading *reading, bool *more)
{
    activity_result *result = NULL;
    struct activity_error error;
    if (activity_read_changes(reading->client, &reading->request, NULL, &result, &error) !=
        ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    const struct activity_changes *changes = activity_result_changes(result);
    struct activity_cursor *after = &reading->request.after;
    *more = true;
    if (changes->reset == ACTIVITY_RESET_NONE) {
        for (size_t i = 0; i < changes->event_count; i++) {
            show(reading->settings, reading->arguments, &changes->events[i]);
        }
        reading->head = reading->head == 0 ? changes->head_sequence : reading->head;
        *more = changes->cursor.sequence < reading->head;
        *after = changes->cursor;
        reading->promised = true;
    } else {
        /* What is left is shown: all of it is after the hole. */
        after->epoch = changes->cursor.epoch;
        after->sequence = changes->oldest_sequence - (changes->oldest_sequence > 0 ? 1 : 0);
        if (reading->promised) {
            const struct activity_event event = {
                .kind = ACTIVITY_EVENT_RESET, .cursor = *after, .reset = changes->reset};
            show(reading->settings, reading->arguments, &event);
            tell_reset(changes->reset, after);
            reading->hole = true;
        }
        reading->promised = false;
        reading->head = 0;
    }
    activity_result_free(result);
    return EXIT_OK;
}

/* Reads what there is and ends. */
static int changes_read(const struct settings *settings, const struct changes_arguments *arguments,
                        activity_client *client)
{
    struct reading reading = {.settings = settings, .arguments = arguments, .client = client};
    reading.request.after = arguments->since;
    reading.request.filter = arguments->filter;
    reading.request.all_tenants = arguments->all_tenants;
    reading.promised = arguments->since.epoch != 0;
    int code = EXIT_OK;
    if (arguments->oldest) {
        code = find_oldest(client, arguments, &reading.request.after);
    }
    for (bool more = code == EXIT_OK; more && code == EXIT_OK && ferror(stdout) == 0;) {
        code = read_page(&reading, &more);
    }
    if (reading.request.after.epoch != 0) {
        tell_position(settings, &reading.request.after);
    }
    return code == EXIT_OK && reading.hole ? EXIT_HOLE : code;
}

/* Events are shown in bursts and flushed when there is a pause. */
static int follow_loop(const struct settings *settings, const struct changes_arguments *arguments,
                       struct follow *follow)
{
    bool unwritten = false;
    while (interrupt_seen() == 0) {
        struct activity_event event;
        switch (follow_next(follow, unwritten ? 0 : LOOK_MS, &event)) {
        case FOLLOW_EVENT:
            show(settings, arguments, &event);
            unwritten = true;
            if (event.kind == ACTIVITY_EVENT_RESET) {
                tell_reset(event.reset, &event.cursor);
            }
            break;
        case FOLLOW_LOST:
            (void)fprintf(stderr, "activityctl: the connection is lost; waiting for the server\n");
            break;
        case FOLLOW_FAILED:
            return ctl_failed(&follow->error);
        default:
            if (unwritten && fflush(stdout) != 0) {
                return EXIT_FAILED;
            }
            unwritten = false;
        }
    }
    return EXIT_OK;
}

static int changes_follow(const struct settings *settings,
                          const struct changes_arguments *arguments, activity_client *client)
{
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.filter = arguments->filter;
    options.scope = arguments->all_tenants ? ACTIVITY_SCOPE_ALL : ACTIVITY_SCOPE_CALLER;
    options.cursor = arguments->since;
    if (arguments->oldest) {
        int code = find_oldest(client, arguments, &options.cursor);
        if (code != EXIT_OK) {
            return code;
        }
    }
    options.start = options.cursor.epoch == 0 ? ACTIVITY_START_NOW : ACTIVITY_START_CURSOR;
    struct follow follow;
    int code = follow_open(&follow, client, settings, &options);
    if (code != ACTIVITY_OK) {
        follow_close(&follow);
        return ctl_failed(&follow.error);
    }
    interrupt_catch();
    code = follow_loop(settings, arguments, &follow);
    struct activity_cursor cursor;
    activity_subscription_cursor(follow.subscription, &cursor);
    if (cursor.epoch != 0) {
        tell_position(settings, &cursor);
    }
    follow_close(&follow);
    return code;
}

int command_changes(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"follow", no_argument, NULL, 'f'},      {"all-tenants", no_argument, NULL, 'a'},
        {"since", required_argument, NULL, 's'}, {"kind", required_argument, NULL, 'k'},
        {"model", required_argument, NULL, 'm'}, {"document", required_argument, NULL, 'd'},
        {"job", required_argument, NULL, 'j'},   {NULL, 0, NULL, 0}};
    struct changes_arguments arguments;
    memset(&arguments, 0, sizeof arguments);
    bool now = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int code = changes_option(&arguments, option, optarg, &now);
        if (code != EXIT_OK) {
            return code;
        }
    }
    if (optind != argc) {
        return ctl_usage("changes", "'%s': changes takes only options", argv[optind]);
    }
    /* Who reads wants what there is; who follows, what comes. */
    arguments.oldest =
        arguments.oldest || (!arguments.follow && !now && arguments.since.epoch == 0);
    arguments.filter.kinds = arguments.kinds;
    arguments.filter.models = arguments.models;
    arguments.filter.document_ids = arguments.documents;
    arguments.filter.job_ids = arguments.jobs;
    activity_client *client = ctl_client(settings);
    if (client == NULL) {
        return EXIT_FAILED;
    }
    int code = (arguments.follow ? changes_follow : changes_read)(settings, &arguments, client);
    activity_client_free(client);
    return code;
}
