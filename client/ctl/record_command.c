/* record: changed documents, one from the arguments or many from lines. */
#include "client/ctl/ctl.h"
#include "client/ctl/input.h"
#include "client/ctl/lines.h"
#include "client/ctl/output.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 8, SIZE_STANDARD = 500, SIZE_MAX_CHANGES = 4096 };

struct record {
    const struct settings *settings;
    activity_client *client;
    uint64_t job_id;
    uint64_t size;
    bool urgent;
    uint64_t changes, requests;
    uint64_t ticket; /* of the last request */
};

static int send_changes(struct record *record, const struct activity_document_change *changes,
                        size_t count)
{
    const struct activity_record_request request = {.changes = changes,
                                                    .change_count = count,
                                                    .job_id = record->job_id,
                                                    .urgent = record->urgent};
    struct activity_recorded recorded;
    struct activity_error error;
    if (activity_record_changes(record->client, &request, NULL, &recorded, &error) != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    record->changes += count;
    record->requests++;
    record->ticket = recorded.ticket;
    if (record->settings->json) {
        char ticket[20];
        (void)snprintf(ticket, sizeof ticket, "%016llx", (unsigned long long)recorded.ticket);
        json_line((const struct json_pair[]){{"ticket", ticket, 0},
                                             {"changes", NULL, count},
                                             {"accepted", NULL, recorded.accept_time_ms},
                                             {NULL, NULL, 0}});
    }
    return EXIT_OK;
}

/* One line's change with the memory that it points into. */
struct parsed_change {
    json_t *object;
    char *body;
    char id[32];
    const char *groups[GROUPS_MAX];
};

static void parsed_deinit(struct parsed_change *parsed)
{
    json_decref(parsed->object);
    free(parsed->body);
    memset(parsed, 0, sizeof *parsed);
}

static int parse_groups(const struct lines *lines, struct parsed_change *parsed,
                        struct activity_document_change *change)
{
    const json_t *groups = json_object_get(parsed->object, "groups");
    if (groups != NULL && (!json_is_array(groups) || json_array_size(groups) > GROUPS_MAX)) {
        return lines_refuse(lines, "groups", "an array of at most 8 names");
    }
    for (size_t i = 0; i < json_array_size(groups); i++) {
        parsed->groups[i] = json_string_value(json_array_get(groups, i));
        if (parsed->groups[i] == NULL) {
            return lines_refuse(lines, "groups", "an array of at most 8 names");
        }
    }
    change->groups = parsed->groups;
    change->group_count = json_array_size(groups);
    return 0;
}

static int parse_change(const struct lines *lines, struct parsed_change *parsed,
                        struct activity_document_change *change)
{
    const json_t *id = json_object_get(parsed->object, "id");
    const json_t *whole = json_object_get(parsed->object, "json");
    const json_t *patch = json_object_get(parsed->object, "mergePatch");
    const json_t *body = patch != NULL ? patch : whole;
    *change = (struct activity_document_change){
        .model = json_string_value(json_object_get(parsed->object, "model")),
        .affected_model = json_string_value(json_object_get(parsed->object, "affectedModel")),
        .document_id = json_string_value(id),
        .deleted = json_is_true(json_object_get(parsed->object, "deleted"))};
    if (change->model == NULL) {
        return lines_refuse(lines, "model", "a text is needed");
    }
    if (change->affected_model == NULL) {
        return lines_refuse(lines, "affectedModel", "a text is needed");
    }
    if (json_is_integer(id) && json_integer_value(id) >= 0) {
        (void)snprintf(parsed->id, sizeof parsed->id, "%lld", (long long)json_integer_value(id));
        change->document_id = parsed->id;
    }
    if (change->document_id == NULL) {
        return lines_refuse(lines, "id", "a text or a whole number is needed");
    }
    if (patch != NULL && whole != NULL) {
        return lines_refuse(lines, "mergePatch", "only without json");
    }
    if (body != NULL) {
        parsed->body = json_dumps(body, JSON_COMPACT);
        if (!json_is_object(body) || parsed->body == NULL) {
            return lines_refuse(lines, patch != NULL ? "mergePatch" : "json", "an object");
        }
        *(patch != NULL ? &change->merge_patch : &change->json) =
            (struct activity_bytes){parsed->body, strlen(parsed->body)};
    }
    return parse_groups(lines, parsed, change);
}

static int record_lines(struct record *record)
{
    struct lines lines = {.file = stdin};
    struct parsed_change *parsed = calloc(record->size, sizeof *parsed);
    struct activity_document_change *changes = calloc(record->size, sizeof *changes);
    size_t count = 0;
    size_t bytes = 0;
    int code = parsed == NULL || changes == NULL ? EXIT_FAILED : EXIT_OK;
    int more = 1;
    while (code == EXIT_OK && more == 1) {
        more = lines_next(&lines, &parsed[count].object);
        if (more == 1) {
            code =
                parse_change(&lines, &parsed[count], &changes[count]) == 0 ? EXIT_OK : EXIT_USAGE;
            bytes += changes[count].json.size + changes[count].merge_patch.size + 1024;
            count++;
        } else if (more < 0) {
            code = EXIT_USAGE;
        }
        /* A request holds 860 KiB; a body 512. */
        if (code == EXIT_OK && count > 0 &&
            (more == 0 || count == record->size || bytes > (size_t)340 * 1024)) {
            code = send_changes(record, changes, count);
            for (size_t i = 0; i < count; i++) {
                parsed_deinit(&parsed[i]);
            }
            count = 0;
            bytes = 0;
        }
    }
    for (size_t i = 0; i < count; i++) {
        parsed_deinit(&parsed[i]);
    }
    free(parsed);
    free(changes);
    lines_deinit(&lines);
    return code;
}

struct record_arguments {
    struct record record;
    struct activity_document_change change;
    const char *groups[GROUPS_MAX];
    char *body;
};

static int record_option(struct record_arguments *arguments, int option, const char *value)
{
    size_t size = 0;
    switch (option) {
    case 'b':
    case 'p':
        if (arguments->body != NULL) {
            return ctl_usage("record", "--body and --patch: one of both, once");
        }
        arguments->body = input_file(value, &size);
        *(option == 'b' ? &arguments->change.json : &arguments->change.merge_patch) =
            (struct activity_bytes){arguments->body, size};
        return arguments->body == NULL ? EXIT_FAILED : EXIT_OK;
    case 'd':
        arguments->change.deleted = true;
        return EXIT_OK;
    case 'g':
        if (arguments->change.group_count == GROUPS_MAX) {
            return ctl_usage("record", "--group: at most %d", GROUPS_MAX);
        }
        arguments->groups[arguments->change.group_count++] = value;
        return EXIT_OK;
    case 'j':
        return input_job(value, &arguments->record.job_id)
                   ? EXIT_OK
                   : ctl_usage("record", "--job %s: no job id", value);
    case 's':
        return ctl_number(value, SIZE_MAX_CHANGES, &arguments->record.size) &&
                       arguments->record.size > 0
                   ? EXIT_OK
                   : ctl_usage("record", "--size: changes per request, 1 to %d", SIZE_MAX_CHANGES);
    case 'u':
        arguments->record.urgent = true;
        return EXIT_OK;
    default:
        return ctl_usage("record", "unknown option");
    }
}

static int record_run(struct record_arguments *arguments, int argc, char **argv)
{
    bool lines = argc - optind == 1 && strcmp(argv[optind], "-") == 0;
    if (!lines && argc - optind != 3) {
        return ctl_usage("record", "MODEL, ID and AFFECTED_MODEL are needed, or - to read lines");
    }
    struct record *record = &arguments->record;
    record->client = ctl_client(record->settings);
    if (record->client == NULL) {
        return EXIT_FAILED;
    }
    int code;
    if (lines) {
        code = record_lines(record);
    } else {
        arguments->change.model = argv[optind];
        arguments->change.document_id = argv[optind + 1];
        arguments->change.affected_model = argv[optind + 2];
        arguments->change.groups = arguments->groups;
        code = send_changes(record, &arguments->change, 1);
    }
    activity_client_free(record->client);
    if (!record->settings->json && record->requests > 0) {
        (void)printf("%llu %s recorded in %llu %s", (unsigned long long)record->changes,
                     record->changes == 1 ? "change" : "changes",
                     (unsigned long long)record->requests,
                     record->requests == 1 ? "request" : "requests");
        /* Of many requests --json tells each ticket. */
        if (record->requests == 1) {
            (void)printf(", ticket %016llx", (unsigned long long)record->ticket);
        }
        (void)putchar('\n');
    }
    return code;
}

int command_record(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"body", required_argument, NULL, 'b'},  {"deleted", no_argument, NULL, 'd'},
        {"group", required_argument, NULL, 'g'}, {"job", required_argument, NULL, 'j'},
        {"size", required_argument, NULL, 's'},  {"patch", required_argument, NULL, 'p'},
        {"urgent", no_argument, NULL, 'u'},      {NULL, 0, NULL, 0}};
    struct record_arguments arguments = {.record = {.settings = settings, .size = SIZE_STANDARD}};
    int code = EXIT_OK;
    for (int option;
         code == EXIT_OK && (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        code = record_option(&arguments, option, optarg);
    }
    if (code == EXIT_OK) {
        code = record_run(&arguments, argc, argv);
    }
    free(arguments.body);
    return code;
}
