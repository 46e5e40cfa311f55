/* find: the three lists, page by page. */
#include "client/ctl/ctl.h"
#include "client/ctl/input.h"
#include "client/ctl/output.h"

#include <getopt.h>
#include <string.h>
#include <strings.h>

enum { TYPES_MAX = 16, STATES_MAX = 8, JOBS_MAX = 256 };

struct find_arguments {
    struct activity_find_request request;
    const char *types[TYPES_MAX];
    enum activity_state states[STATES_MAX];
    uint64_t jobs[JOBS_MAX];
};

static enum activity_state state_of(const char *text)
{
    for (int state = ACTIVITY_STATE_RUNNING; state <= ACTIVITY_STATE_KILLED; state++) {
        if (strcasecmp(text, activity_state_name(state)) == 0) {
            return (enum activity_state)state;
        }
    }
    return ACTIVITY_STATE_ANY;
}

static int find_option(struct find_arguments *arguments, int option, const char *value)
{
    struct activity_find_request *request = &arguments->request;
    switch (option) {
    case 'a':
        request->activities = true;
        return EXIT_OK;
    case 'c':
        request->model_changes = true;
        return EXIT_OK;
    case 'e':
        request->model_changes_es = true;
        return EXIT_OK;
    case 'o':
        request->observe = true;
        return EXIT_OK;
    case 't':
        if (request->type_count == TYPES_MAX) {
            return ctl_usage("find", "--type: at most %d", TYPES_MAX);
        }
        arguments->types[request->type_count++] = value;
        return EXIT_OK;
    case 's':
        if (request->state_count == STATES_MAX || state_of(value) == ACTIVITY_STATE_ANY) {
            return ctl_usage("find", "--state %s: running, completed, failed, cancelled or killed",
                             value);
        }
        arguments->states[request->state_count++] = state_of(value);
        return EXIT_OK;
    case 'j':
        if (request->job_id_count == JOBS_MAX ||
            !input_job(value, &arguments->jobs[request->job_id_count])) {
            return ctl_usage("find", "--job %s: a job id, at most %d times", value, JOBS_MAX);
        }
        request->job_id_count++;
        return EXIT_OK;
    case 'm':
        return ctl_number(value, UINT64_MAX / 2, &request->updated_since_ms)
                   ? EXIT_OK
                   : ctl_usage("find", "--since %s: milliseconds since 1970", value);
    default:
        return ctl_usage("find", "unknown option");
    }
}

/* How many of each list were shown; the heads of the tables are printed before the first row. */
struct shown {
    size_t activities;
    size_t changes;
    size_t changes_es;
};

static void show_changes(const struct settings *settings, const char *title,
                         const struct activity_model_change *changes, size_t count, size_t *shown,
                         uint64_t now_ms)
{
    for (size_t i = 0; i < count; i++) {
        if (settings->json) {
            json_change(&changes[i]);
            continue;
        }
        if ((*shown)++ == 0) {
            people_changes_head(title);
        }
        people_change_row(&changes[i], now_ms);
    }
}

static void show_page(const struct settings *settings, const struct activity_page *page,
                      struct shown *shown)
{
    for (size_t i = 0; i < page->activity_count; i++) {
        if (settings->json) {
            json_activity(&page->activities[i]);
            continue;
        }
        if (shown->activities++ == 0) {
            people_activities_head();
        }
        people_activity_row(&page->activities[i], page->time_ms);
    }
    show_changes(settings, shown->activities > 0 ? "\nmodel changes" : "model changes",
                 page->model_changes, page->model_change_count, &shown->changes, page->time_ms);
    show_changes(settings,
                 shown->activities + shown->changes > 0 ? "\nin Elasticsearch" : "in Elasticsearch",
                 page->model_changes_es, page->model_change_es_count, &shown->changes_es,
                 page->time_ms);
}

int command_find(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"activities", no_argument, NULL, 'a'},
                                            {"changes", no_argument, NULL, 'c'},
                                            {"changes-es", no_argument, NULL, 'e'},
                                            {"observe", no_argument, NULL, 'o'},
                                            {"type", required_argument, NULL, 't'},
                                            {"state", required_argument, NULL, 's'},
                                            {"job", required_argument, NULL, 'j'},
                                            {"since", required_argument, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    struct find_arguments arguments = {.request = {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int code = find_option(&arguments, option, optarg);
        if (code != EXIT_OK) {
            return code;
        }
    }
    if (optind != argc) {
        return ctl_usage("find", "'%s': find takes only options", argv[optind]);
    }
    arguments.request.types = arguments.types;
    arguments.request.states = arguments.states;
    arguments.request.job_ids = arguments.jobs;
    activity_client *client = ctl_client(settings);
    struct activity_error error;
    activity_finder *finder =
        client == NULL ? NULL : activity_finder_new(client, &arguments.request, NULL, &error);
    if (finder == NULL) {
        int failed = client == NULL ? EXIT_FAILED : ctl_failed(&error);
        activity_client_free(client);
        return failed;
    }
    struct shown shown = {0, 0, 0};
    const struct activity_page *page;
    int code;
    while ((code = activity_finder_next(finder, &page, &error)) == ACTIVITY_OK && page != NULL) {
        show_page(settings, page, &shown);
    }
    activity_finder_free(finder);
    activity_client_free(client);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    if (!settings->json && shown.activities + shown.changes + shown.changes_es == 0) {
        (void)puts("nothing that you may see matches");
    }
    return EXIT_OK;
}
