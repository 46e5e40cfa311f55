/* create, update, destroy, get, result: one activity at a time. */
#include "client/ctl/ctl.h"
#include "client/ctl/input.h"
#include "client/ctl/output.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static bool hex_id(const char *text, unsigned char id[ACTIVITY_REQUEST_ID_SIZE])
{
    if (strlen(text) != (size_t)2 * ACTIVITY_REQUEST_ID_SIZE ||
        strspn(text, "0123456789abcdefABCDEF") != (size_t)2 * ACTIVITY_REQUEST_ID_SIZE) {
        return false;
    }
    for (size_t i = 0; i < ACTIVITY_REQUEST_ID_SIZE; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        id[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return true;
}

enum { OBJECT_GROUPS_MAX = 8, ATTRIBUTES_MAX = 16, ITEMS_MAX = 16384, CREATES_IN_FLIGHT = 256 };

struct create_arguments {
    struct activity_create_request request;
    const char *groups[OBJECT_GROUPS_MAX];
    struct activity_attribute attributes[ATTRIBUTES_MAX];
    uint64_t count;
};

static int create_option(struct create_arguments *arguments, int option, char *value)
{
    struct activity_create_request *request = &arguments->request;
    char *equals;
    switch (option) {
    case 'g':
        if (request->group_count == OBJECT_GROUPS_MAX) {
            return ctl_usage("create", "--group: at most %d", OBJECT_GROUPS_MAX);
        }
        arguments->groups[request->group_count++] = value;
        return EXIT_OK;
    case 'a':
        equals = strchr(value, '=');
        if (equals == NULL || request->attribute_count == ATTRIBUTES_MAX) {
            return ctl_usage("create", "--attribute %s: NAME=VALUE, at most %d times", value,
                             ATTRIBUTES_MAX);
        }
        *equals = '\0';
        arguments->attributes[request->attribute_count++] =
            (struct activity_attribute){value, equals + 1};
        return EXIT_OK;
    case 'p':
        return input_job(value, &request->parent_job_id)
                   ? EXIT_OK
                   : ctl_usage("create", "--parent %s: no job id", value);
    case 'r':
        return input_job(value, &request->retry_of_job_id)
                   ? EXIT_OK
                   : ctl_usage("create", "--retry-of %s: no job id", value);
    case 'i':
        return hex_id(value, request->request_id)
                   ? EXIT_OK
                   : ctl_usage("create", "--request-id %s: 32 hex digits", value);
    case 'c':
        return ctl_number(value, 1000000, &arguments->count) && arguments->count > 0
                   ? EXIT_OK
                   : ctl_usage("create", "--count %s: 1 to 1,000,000", value);
    default:
        return ctl_usage("create", "unknown option");
    }
}

static void show_created(const struct settings *settings, const struct activity_created *created)
{
    if (settings->json) {
        json_line((const struct json_pair[]){{"jobId", NULL, created->job_id},
                                             {"updateWithinMs", NULL, created->update_within_ms},
                                             {"killAfterMs", NULL, created->kill_after_ms},
                                             {NULL, NULL, 0}});
    } else {
        (void)printf("%llu\n", (unsigned long long)created->job_id);
    }
}

/* Many at once: each is one request with an id of its own. */
static int create_many(const struct settings *settings, activity_client *client,
                       const struct create_arguments *arguments)
{
    struct activity_error error;
    activity_window *window = activity_window_new(client, CREATES_IN_FLIGHT, &error);
    int code = window == NULL ? ctl_failed(&error) : EXIT_OK;
    uint64_t sent = 0;
    while (window != NULL && (sent < arguments->count || activity_window_used(window) > 0)) {
        if (code == EXIT_OK && sent < arguments->count &&
            activity_window_used(window) < CREATES_IN_FLIGHT) {
            if (activity_submit_create(window, &arguments->request, NULL, sent++, &error) !=
                ACTIVITY_OK) {
                code = ctl_failed(&error);
            }
            continue;
        }
        struct activity_completion completion;
        enum activity_next_outcome outcome = activity_next(window, 1000, &completion);
        if (outcome == ACTIVITY_NEXT_IDLE) {
            break;
        }
        if (outcome == ACTIVITY_NEXT_DONE && completion.error.code == ACTIVITY_OK) {
            show_created(settings, activity_result_created(completion.result));
        } else if (outcome == ACTIVITY_NEXT_DONE && code == EXIT_OK) {
            code = ctl_failed(&completion.error);
        }
        activity_result_free(completion.result);
    }
    activity_window_free(window);
    return code;
}

static int create_call(const struct settings *settings, const struct create_arguments *arguments)
{
    activity_client *client = ctl_client(settings);
    if (client == NULL) {
        return EXIT_FAILED;
    }
    struct activity_created created;
    struct activity_error error;
    int code;
    if (arguments->count > 1) {
        code = create_many(settings, client, arguments);
    } else if (activity_create(client, &arguments->request, NULL, &created, &error) ==
               ACTIVITY_OK) {
        show_created(settings, &created);
        code = EXIT_OK;
    } else {
        code = ctl_failed(&error);
    }
    activity_client_free(client);
    return code;
}

int command_create(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"group", required_argument, NULL, 'g'},
                                            {"attribute", required_argument, NULL, 'a'},
                                            {"parent", required_argument, NULL, 'p'},
                                            {"retry-of", required_argument, NULL, 'r'},
                                            {"request-id", required_argument, NULL, 'i'},
                                            {"count", required_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    struct create_arguments arguments;
    memset(&arguments, 0, sizeof arguments);
    arguments.count = 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int code = create_option(&arguments, option, optarg);
        if (code != EXIT_OK) {
            return code;
        }
    }
    if (argc - optind < 1 || argc - optind > 2) {
        return ctl_usage("create", "a TYPE and perhaps a TITLE are needed");
    }
    static const unsigned char none[ACTIVITY_REQUEST_ID_SIZE];
    if (arguments.count > 1 && memcmp(arguments.request.request_id, none, sizeof none) != 0) {
        return ctl_usage("create",
                         "--request-id names one request: it cannot be used with --count");
    }
    arguments.request.type = argv[optind];
    arguments.request.title = argc - optind == 2 ? argv[optind + 1] : NULL;
    arguments.request.groups = arguments.groups;
    arguments.request.attributes = arguments.attributes;
    return create_call(settings, &arguments);
}

struct update_arguments {
    struct activity_update_request request;
    struct activity_failure failure;
    struct activity_job_result result;
    struct activity_result_item *items;
    char *content;
};

static int update_item(struct update_arguments *arguments, char *value)
{
    if (arguments->result.item_count == ITEMS_MAX) {
        return ctl_usage("update", "--item: at most %d", ITEMS_MAX);
    }
    if (arguments->items == NULL &&
        (arguments->items = calloc(ITEMS_MAX, sizeof arguments->items[0])) == NULL) {
        return EXIT_FAILED;
    }
    char *equals = strchr(value, '=');
    if (equals != NULL) {
        *equals = '\0';
    }
    arguments->items[arguments->result.item_count++] =
        (struct activity_result_item){value, equals == NULL ? NULL : equals + 1, NULL};
    arguments->request.result = &arguments->result;
    return EXIT_OK;
}

static int update_option(struct update_arguments *arguments, int option, char *value)
{
    char *colon;
    switch (option) {
    case 's':
        arguments->request.status_text = value;
        return EXIT_OK;
    case 'i':
        return update_item(arguments, value);
    case 'c':
        free(arguments->content);
        arguments->content = input_file(value, &arguments->result.content.size);
        if (arguments->content == NULL) {
            return EXIT_FAILED;
        }
        arguments->result.content.data = arguments->content;
        arguments->request.result = &arguments->result;
        return EXIT_OK;
    case 't':
        arguments->result.content_type = value;
        return EXIT_OK;
    case 'f':
        colon = strchr(value, ':');
        if (colon != NULL) {
            *colon = '\0';
        }
        arguments->failure = (struct activity_failure){value, colon == NULL ? NULL : colon + 1};
        arguments->request.failure = &arguments->failure;
        return EXIT_OK;
    default:
        return ctl_usage("update", "unknown option");
    }
}

static int update_call(const struct settings *settings,
                       const struct activity_update_request *request)
{
    activity_client *client = ctl_client(settings);
    if (client == NULL) {
        return EXIT_FAILED;
    }
    struct activity_updated updated;
    struct activity_error error;
    int code = activity_update(client, request, NULL, &updated, &error);
    activity_client_free(client);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    if (settings->json) {
        json_updated(&updated);
    } else {
        (void)printf("%u %% %s\n", updated.percent,
                     activity_disposition_name((int)updated.disposition));
    }
    switch (updated.disposition) {
    case ACTIVITY_APPLIED:
    case ACTIVITY_HEARTBEAT:
        return EXIT_OK;
    case ACTIVITY_IGNORED_UNKNOWN:
        return EXIT_NOT_FOUND;
    default:
        return EXIT_PRECONDITION;
    }
}

int command_update(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"status", required_argument, NULL, 's'},  {"item", required_argument, NULL, 'i'},
        {"content", required_argument, NULL, 'c'}, {"content-type", required_argument, NULL, 't'},
        {"fail", required_argument, NULL, 'f'},    {NULL, 0, NULL, 0}};
    struct update_arguments arguments = {.request = {0}};
    int code = EXIT_OK;
    for (int option;
         code == EXIT_OK && (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        code = update_option(&arguments, option, optarg);
    }
    arguments.result.items = arguments.items;
    uint64_t percent = 0;
    if (code != EXIT_OK) {
        /* said already */
    } else if (argc - optind < 1 || argc - optind > 2 ||
               !input_job(argv[optind], &arguments.request.job_id)) {
        code = ctl_usage("update", "a job id and perhaps a PERCENT are needed");
    } else if (argc - optind == 2 && !ctl_number(argv[optind + 1], 100, &percent)) {
        code = ctl_usage("update", "PERCENT %s: a whole number from 0 to 100", argv[optind + 1]);
    } else {
        arguments.request.set_percent = argc - optind == 2;
        arguments.request.percent = (uint32_t)percent;
        code = update_call(settings, &arguments.request);
    }
    free(arguments.items);
    free(arguments.content);
    return code;
}

/* The job id that is the only argument; 0 after saying what is wrong. */
static uint64_t only_job(const char *command, int argc, char **argv)
{
    uint64_t job_id = 0;
    if (argc - optind != 1 || !input_job(argv[optind], &job_id)) {
        (void)ctl_usage(command, "one job id is needed");
        return 0;
    }
    return job_id;
}

int command_destroy(const struct settings *settings, int argc, char **argv)
{
    static const struct option none[] = {{NULL, 0, NULL, 0}};
    if (getopt_long(argc, argv, "", none, NULL) != -1) {
        return ctl_usage("destroy", "unknown option");
    }
    uint64_t job_id = only_job("destroy", argc, argv);
    activity_client *client = job_id == 0 ? NULL : ctl_client(settings);
    if (client == NULL) {
        return job_id == 0 ? EXIT_USAGE : EXIT_FAILED;
    }
    enum activity_disposition disposition;
    struct activity_error error;
    int code = activity_destroy(client, job_id, NULL, &disposition, &error);
    activity_client_free(client);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    if (settings->json) {
        json_line((const struct json_pair[]){
            {"jobId", NULL, job_id},
            {"disposition", activity_disposition_name((int)disposition), 0},
            {NULL, NULL, 0}});
    } else {
        (void)puts(disposition == ACTIVITY_APPLIED ? "cancelled"
                                                   : activity_disposition_name((int)disposition));
    }
    return disposition == ACTIVITY_APPLIED           ? EXIT_OK
           : disposition == ACTIVITY_IGNORED_UNKNOWN ? EXIT_NOT_FOUND
                                                     : EXIT_PRECONDITION;
}

int command_get(const struct settings *settings, int argc, char **argv)
{
    static const struct option none[] = {{NULL, 0, NULL, 0}};
    if (getopt_long(argc, argv, "", none, NULL) != -1) {
        return ctl_usage("get", "unknown option");
    }
    uint64_t job_id = only_job("get", argc, argv);
    activity_client *client = job_id == 0 ? NULL : ctl_client(settings);
    if (client == NULL) {
        return job_id == 0 ? EXIT_USAGE : EXIT_FAILED;
    }
    activity_result *result = NULL;
    struct activity_error error;
    int code = activity_get(client, job_id, NULL, &result, &error);
    activity_client_free(client);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    (settings->json ? json_activity : people_activity)(activity_result_activity(result));
    activity_result_free(result);
    return EXIT_OK;
}

static int write_content(const char *path, struct activity_bytes content)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(content.data, 1, content.size, file) != content.size ||
        fclose(file) != 0) {
        (void)fprintf(stderr, "activityctl: %s: %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

int command_result(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    const char *output = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 'o') {
            return ctl_usage("result", "unknown option");
        }
        output = optarg;
    }
    uint64_t job_id = only_job("result", argc, argv);
    activity_client *client = job_id == 0 ? NULL : ctl_client(settings);
    if (client == NULL) {
        return job_id == 0 ? EXIT_USAGE : EXIT_FAILED;
    }
    activity_result *result = NULL;
    struct activity_error error;
    int code = activity_get_result(client, job_id, NULL, &result, &error);
    activity_client_free(client);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    const struct activity_returned *returned = activity_result_returned(result);
    if (settings->json) {
        json_result(job_id, returned);
    } else {
        people_result(returned);
    }
    code = EXIT_OK;
    if (returned->state == ACTIVITY_RESULT_UNKNOWN) {
        code = EXIT_NOT_FOUND;
    } else if (returned->state == ACTIVITY_RESULT_PENDING ||
               returned->state == ACTIVITY_RESULT_EXPIRED) {
        code = EXIT_PRECONDITION;
    } else if (output != NULL) {
        code = write_content(output, returned->result.content);
    }
    activity_result_free(result);
    return code;
}
