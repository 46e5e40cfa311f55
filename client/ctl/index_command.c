/* index: how the way into the index stands, and deciding about what it has refused. */
#include "client/ctl/ctl.h"
#include "client/ctl/input.h"
#include "client/ctl/output.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES_SHOWN = 20, BATCHES_PAGE = 256 };

/* Options; of each verb those that it takes. */
enum { GIVEN_LIMIT = 1, GIVEN_VERBOSE = 2, GIVEN_REASON = 4, GIVEN_ALL = 8, GIVEN_YES = 16 };

struct index_arguments {
    const struct settings *settings;
    activity_client *client;
    unsigned given;
    uint64_t limit;
    const char *reason; /* only what was refused for it; NULL: everything */
    char **ids;
    int id_count;
    bool discard;
};

/* --- status --- */

/* Since when the server counts. Who may ask for the one may mostly ask for the other, but a rate is
 * not worth a failure. */
static uint64_t start_time_ms(activity_client *client)
{
    activity_result *result = NULL;
    uint64_t start = 0;
    if (activity_get_server_info(client, NULL, &result, NULL) == ACTIVITY_OK) {
        start = activity_result_server_info(result)->start_time_ms;
    }
    activity_result_free(result);
    return start;
}

static int index_status(const struct index_arguments *arguments)
{
    activity_result *result = NULL;
    struct activity_error error;
    if (activity_get_index_status(arguments->client, NULL, &result, &error) != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    const struct activity_index_status *status = activity_result_index_status(result);
    if (arguments->settings->json) {
        json_index_status(status);
    } else {
        bool counts = status->state != ACTIVITY_INDEX_NONE;
        people_index_status(status, counts ? start_time_ms(arguments->client) : 0);
    }
    activity_result_free(result);
    return EXIT_OK;
}

/* --- batches --- */

static void show_batches(const struct index_arguments *arguments,
                         const struct activity_index_batches *page, uint64_t *shown)
{
    for (size_t i = 0; i < page->batch_count && *shown < arguments->limit; i++, (*shown)++) {
        if (arguments->settings->json) {
            json_index_batch(&page->batches[i]);
            continue;
        }
        if (*shown == 0) {
            people_batches_head();
        }
        people_batch_row(&page->batches[i], (arguments->given & GIVEN_VERBOSE) != 0);
    }
}

static int index_batches(const struct index_arguments *arguments)
{
    struct activity_index_page page = {0};
    struct activity_error error;
    activity_result *previous = NULL; /* owns the page token in use */
    uint64_t shown = 0;
    int code;
    do {
        activity_result *result = NULL;
        uint64_t left = arguments->limit - shown;
        page.page_size = left < BATCHES_PAGE ? (uint32_t)left : BATCHES_PAGE;
        code = activity_list_index_batches(arguments->client, &page, NULL, &result, &error);
        activity_result_free(previous);
        previous = result;
        if (code == ACTIVITY_OK) {
            const struct activity_index_batches *batches = activity_result_index_batches(result);
            show_batches(arguments, batches, &shown);
            page.page_token = batches->next_page_token;
        }
    } while (code == ACTIVITY_OK && page.page_token.size > 0 && shown < arguments->limit);
    activity_result_free(previous);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    if (shown == 0 && !arguments->settings->json) {
        (void)puts("no batch was sent since the server started");
    }
    return EXIT_OK;
}

/* --- parked --- */

typedef void visit_parked(void *context, const struct activity_parked_document *document);

/* All parked documents of the tenant with the reason that was asked for. An exit code. */
static int each_parked(const struct index_arguments *arguments, visit_parked *visit, void *context)
{
    struct activity_index_page page = {0};
    struct activity_error error;
    activity_result *previous = NULL; /* owns the page token in use */
    int code;
    do {
        activity_result *result = NULL;
        code = activity_list_parked_documents(arguments->client, &page, NULL, &result, &error);
        activity_result_free(previous);
        previous = result;
        const struct activity_parked_documents *parked = activity_result_parked_documents(result);
        for (size_t i = 0; parked != NULL && i < parked->document_count; i++) {
            const struct activity_index_reason *reason = parked->documents[i].reason;
            if (arguments->reason == NULL ||
                strcmp(arguments->reason, reason == NULL ? "" : reason->code) == 0) {
                visit(context, &parked->documents[i]);
            }
        }
        page.page_token = parked == NULL ? page.page_token : parked->next_page_token;
    } while (code == ACTIVITY_OK && page.page_token.size > 0);
    activity_result_free(previous);
    return code == ACTIVITY_OK ? EXIT_OK : ctl_failed(&error);
}

static void tell_nothing(const struct index_arguments *arguments)
{
    if (!arguments->settings->json) {
        (void)puts(arguments->reason == NULL ? "nothing is parked"
                                             : "nothing is parked for this reason");
    }
}

struct shown {
    const struct index_arguments *arguments;
    uint64_t count;
};

static void show_parked(void *context, const struct activity_parked_document *document)
{
    struct shown *shown = context;
    if (shown->arguments->settings->json) {
        json_parked_document(document);
    } else {
        if (shown->count == 0) {
            people_parked_head();
        }
        people_parked_row(document, (shown->arguments->given & GIVEN_VERBOSE) != 0);
    }
    shown->count++;
}

static int index_parked(const struct index_arguments *arguments)
{
    struct shown shown = {.arguments = arguments};
    int code = each_parked(arguments, show_parked, &shown);
    if (code == EXIT_OK && shown.count == 0) {
        tell_nothing(arguments);
    }
    return code;
}

/* --- retry, discard --- */

/* What is to be decided about. */
struct chosen {
    uint64_t *park_ids; /* owned */
    size_t count;
    size_t room;
    uint64_t changes; /* of all of them; not known of those that were named */
};

static void choose(struct chosen *chosen, uint64_t park_id)
{
    if (chosen->count == chosen->room) {
        chosen->room = chosen->room == 0 ? 64 : chosen->room * 2;
        uint64_t *park_ids = realloc(chosen->park_ids, chosen->room * sizeof *park_ids);
        if (park_ids == NULL) {
            (void)fprintf(stderr, "activityctl: out of memory\n");
            exit(EXIT_FAILED);
        }
        chosen->park_ids = park_ids;
    }
    chosen->park_ids[chosen->count++] = park_id;
}

static void choose_parked(void *context, const struct activity_parked_document *document)
{
    struct chosen *chosen = context;
    choose(chosen, document->park_id);
    chosen->changes += document->changes;
}

static bool park_id_of(const char *text, uint64_t *park_id)
{
    return ctl_number(text, UINT64_MAX, park_id) && *park_id != 0;
}

static void tell_decided(const struct index_arguments *arguments, uint64_t park_id,
                         uint32_t changes)
{
    if (arguments->settings->json) {
        json_line((const struct json_pair[]){
            {"parkId", NULL, park_id}, {"changes", NULL, changes}, {NULL, NULL, 0}});
    } else {
        (void)printf("%llu: %u change%s %s\n", (unsigned long long)park_id, changes,
                     changes == 1 ? "" : "s", arguments->discard ? "given up" : "to be sent again");
    }
}

/* Decides about one. With --all somebody else may have decided meanwhile: all the better. */
static int decide(const struct index_arguments *arguments, uint64_t park_id)
{
    struct activity_error error;
    uint32_t changes;
    int code = (arguments->discard ? activity_discard_parked : activity_retry_parked)(
        arguments->client, park_id, NULL, &changes, &error);
    if (code == ACTIVITY_OK) {
        tell_decided(arguments, park_id, changes);
        return EXIT_OK;
    }
    if (code == ACTIVITY_NOT_FOUND && (arguments->given & GIVEN_ALL) != 0) {
        return EXIT_OK;
    }
    char what[32];
    (void)snprintf(what, sizeof what, "%llu", (unsigned long long)park_id);
    int exit_code = ctl_failed_about(what, &error);
    if (code == ACTIVITY_NOT_FOUND && error.attempts > 1) {
        (void)fprintf(stderr,
                      "    the answer to a first attempt was lost, which may have done it\n");
    }
    return exit_code;
}

/* One that is not there does not keep the others from being decided about; anything else would be
 * the same with each of them. */
static int decide_each(const struct index_arguments *arguments, const struct chosen *chosen)
{
    int worst = EXIT_OK;
    for (size_t i = 0; i < chosen->count; i++) {
        int code = decide(arguments, chosen->park_ids[i]);
        worst = code == EXIT_OK ? worst : code;
        if (code != EXIT_OK && code != EXIT_NOT_FOUND) {
            break;
        }
    }
    return worst;
}

static int decide_all(const struct index_arguments *arguments, struct chosen *chosen)
{
    int code = each_parked(arguments, choose_parked, chosen);
    if (code != EXIT_OK) {
        return code;
    }
    if (chosen->count == 0) {
        tell_nothing(arguments);
        return EXIT_OK;
    }
    if (arguments->discard && (arguments->given & GIVEN_YES) == 0) {
        (void)fprintf(stderr,
                      "activityctl: %llu change%s of %llu document%s would be given up for good; "
                      "--yes does it\n",
                      (unsigned long long)chosen->changes, chosen->changes == 1 ? "" : "s",
                      (unsigned long long)chosen->count, chosen->count == 1 ? "" : "s");
        return EXIT_USAGE;
    }
    return decide_each(arguments, chosen);
}

static int index_decide(const struct index_arguments *arguments)
{
    struct chosen chosen = {0};
    for (int i = 0; i < arguments->id_count; i++) {
        uint64_t park_id;
        if (park_id_of(arguments->ids[i], &park_id)) {
            choose(&chosen, park_id);
        }
    }
    int code = (arguments->given & GIVEN_ALL) != 0 ? decide_all(arguments, &chosen)
                                                   : decide_each(arguments, &chosen);
    free(chosen.park_ids);
    return code;
}

/* --- The command line --- */

static const struct verb {
    const char *name;
    int (*run)(const struct index_arguments *arguments);
    unsigned takes; /* options */
    bool decides;   /* about PARK_IDs, or --all */
} verbs[] = {
    {"status", index_status, 0, false},
    {"batches", index_batches, GIVEN_LIMIT | GIVEN_VERBOSE, false},
    {"parked", index_parked, GIVEN_REASON | GIVEN_VERBOSE, false},
    {"retry", index_decide, GIVEN_ALL | GIVEN_REASON, true},
    {"discard", index_decide, GIVEN_ALL | GIVEN_REASON | GIVEN_YES, true},
};

static const struct verb *verb_of(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static int index_option(struct index_arguments *arguments, int option, const char *value)
{
    switch (option) {
    case 'l':
        arguments->given |= GIVEN_LIMIT;
        return ctl_number(value, UINT32_MAX, &arguments->limit) && arguments->limit > 0
                   ? EXIT_OK
                   : ctl_usage("index", "--limit %s: a whole number from 1 on", value);
    case 'r':
        arguments->given |= GIVEN_REASON;
        arguments->reason = value;
        return EXIT_OK;
    case 'a':
        arguments->given |= GIVEN_ALL;
        return EXIT_OK;
    case 'y':
        arguments->given |= GIVEN_YES;
        return EXIT_OK;
    case 'v':
        arguments->given |= GIVEN_VERBOSE;
        return EXIT_OK;
    default:
        return ctl_usage("index", "unknown option");
    }
}

/* Whether the arguments fit the verb. */
static int check(const struct index_arguments *arguments, const struct verb *verb)
{
    bool all = (arguments->given & GIVEN_ALL) != 0;
    if ((arguments->given & ~verb->takes) != 0) {
        return ctl_usage("index", "an option that %s does not have", verb->name);
    }
    if (!verb->decides && arguments->id_count > 0) {
        return ctl_usage("index", "%s takes only options", verb->name);
    }
    if (verb->decides && all == (arguments->id_count > 0)) {
        return ctl_usage("index", "%s needs either PARK_IDs or --all", verb->name);
    }
    if (verb->decides && !all && arguments->given != 0) {
        return ctl_usage("index", "--reason and --yes belong to --all");
    }
    for (int i = 0; i < arguments->id_count; i++) {
        uint64_t park_id;
        if (!park_id_of(arguments->ids[i], &park_id)) {
            return ctl_usage("index", "'%s': no PARK_ID as index parked shows it",
                             arguments->ids[i]);
        }
    }
    return EXIT_OK;
}

int command_index(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"limit", required_argument, NULL, 'l'}, {"reason", required_argument, NULL, 'r'},
        {"all", no_argument, NULL, 'a'},         {"yes", no_argument, NULL, 'y'},
        {"verbose", no_argument, NULL, 'v'},     {NULL, 0, NULL, 0}};
    struct index_arguments arguments = {.settings = settings, .limit = BATCHES_SHOWN};
    for (int option; (option = getopt_long(argc, argv, "v", options, NULL)) != -1;) {
        int code = index_option(&arguments, option, optarg);
        if (code != EXIT_OK) {
            return code;
        }
    }
    const struct verb *verb = optind < argc ? verb_of(argv[optind]) : NULL;
    if (verb == NULL) {
        return ctl_usage("index", "status, batches, parked, retry or discard?");
    }
    arguments.ids = argv + optind + 1;
    arguments.id_count = argc - optind - 1;
    arguments.discard = strcmp(verb->name, "discard") == 0;
    int code = check(&arguments, verb);
    if (code != EXIT_OK) {
        return code;
    }
    arguments.client = ctl_client(settings);
    if (arguments.client == NULL) {
        return EXIT_FAILED;
    }
    code = verb->run(&arguments);
    activity_client_free(arguments.client);
    return code;
}
