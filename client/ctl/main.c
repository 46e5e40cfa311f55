/* activityctl: the command line of activityd, written with libactivity's public header alone. */
#include "client/ctl/commands.h"
#include "client/ctl/ctl.h"
#include "client/ctl/interrupt.h"
#include "client/ctl/profile.h"
#include "client/ctl/text.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

bool ctl_number(const char *text, uint64_t most, uint64_t *number)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] < '0' || text[0] > '9' ||
        value > most) {
        return false;
    }
    *number = value;
    return true;
}

activity_client *ctl_client(const struct settings *settings)
{
    struct activity_options options = ACTIVITY_OPTIONS_INIT;
    struct activity_error error;
    options.servers = settings->servers;
    options.server_count = settings->server_count;
    options.ca_file = settings->ca;
    options.cert_file = settings->cert;
    options.key_file = settings->key;
    options.server_name = settings->server_name;
    options.tenant = settings->tenant;
    options.user = settings->user;
    options.groups = settings->groups;
    options.group_count = settings->group_count;
    options.timeout_ms = settings->timeout_ms;
    if (settings->server_count == 0) {
        (void)fprintf(
            stderr, "activityctl: no server is named: give --server URL or a profile with a line\n"
                    "    server = \"tls+tcp://host:port\"   (`make run` writes one to "
                    ".data/activityctl.conf)\n");
        return NULL;
    }
    activity_client *client = activity_client_new(&options, &error);
    if (client == NULL) {
        (void)ctl_failed(&error);
    }
    return client;
}

int ctl_failed(const struct activity_error *error)
{
    return ctl_failed_about(NULL, error);
}

int ctl_failed_about(const char *what, const struct activity_error *error)
{
    (void)fprintf(stderr, "activityctl: %s%s%s%s%s: %s\n", what == NULL ? "" : what,
                  what == NULL ? "" : ": ", activity_code_name((int)error->code),
                  error->reason[0] != '\0' ? " " : "", error->reason, error->message);
    static const unsigned char none[ACTIVITY_REQUEST_ID_SIZE];
    if (error->code == ACTIVITY_DEADLINE_EXCEEDED &&
        memcmp(error->request_id, none, sizeof none) != 0) {
        (void)fprintf(stderr,
                      "    it may have been executed; to make sure, repeat it with --request-id ");
        for (size_t i = 0; i < sizeof none; i++) {
            (void)fprintf(stderr, "%02x", error->request_id[i]);
        }
        (void)fputc('\n', stderr);
    }
    switch (error->code) {
    case ACTIVITY_OK:
        return EXIT_OK;
    case ACTIVITY_UNAVAILABLE:
        return EXIT_NOT_CONNECTED;
    case ACTIVITY_PERMISSION_DENIED:
    case ACTIVITY_UNAUTHENTICATED:
        return EXIT_DENIED;
    case ACTIVITY_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ACTIVITY_FAILED_PRECONDITION:
    case ACTIVITY_ABORTED:
        return EXIT_PRECONDITION;
    case ACTIVITY_DEADLINE_EXCEEDED:
        return EXIT_DEADLINE;
    case ACTIVITY_RESOURCE_EXHAUSTED:
        return EXIT_OVERLOADED;
    default:
        return EXIT_FAILED;
    }
}

enum general_option {
    OPTION_JSON = 1000,
    OPTION_PROFILE,
    OPTION_SERVER,
    OPTION_CA,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_SERVER_NAME,
    OPTION_TENANT,
    OPTION_USER,
    OPTION_USER_GROUP,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct {
    const char *name;
    enum general_option option;
    bool takes_value;
} general[] = {
    {"--json", OPTION_JSON, false},
    {"--profile", OPTION_PROFILE, true},
    {"--server", OPTION_SERVER, true},
    {"--ca", OPTION_CA, true},
    {"--cert", OPTION_CERT, true},
    {"--key", OPTION_KEY, true},
    {"--server-name", OPTION_SERVER_NAME, true},
    {"--tenant", OPTION_TENANT, true},
    {"--user", OPTION_USER, true},
    {"--user-group", OPTION_USER_GROUP, true},
    {"--timeout", OPTION_TIMEOUT, true},
    {"--help", OPTION_HELP, false},
    {"-h", OPTION_HELP, false},
    {"--version", OPTION_VERSION, false},
};

struct parsed {
    struct settings flags; /* what was given on the command line */
    const char *profile;
    bool help;
    bool version;
};

/* One general option; false after saying what is wrong with it. */
static bool take_general(struct parsed *parsed, enum general_option option, const char *value)
{
    struct settings *flags = &parsed->flags;
    uint64_t number = 0;
    switch (option) {
    case OPTION_JSON:
        flags->json = true;
        return true;
    case OPTION_PROFILE:
        parsed->profile = value;
        return true;
    case OPTION_CA:
        flags->ca = value;
        return true;
    case OPTION_CERT:
        flags->cert = value;
        return true;
    case OPTION_KEY:
        flags->key = value;
        return true;
    case OPTION_SERVER_NAME:
        flags->server_name = value;
        return true;
    case OPTION_TENANT:
        flags->tenant = value;
        return true;
    case OPTION_USER:
        flags->user = value;
        return true;
    case OPTION_HELP:
        parsed->help = true;
        return true;
    case OPTION_VERSION:
        parsed->version = true;
        return true;
    case OPTION_SERVER:
        if (flags->server_count == CTL_SERVERS_MAX) {
            (void)fprintf(stderr, "activityctl: more than %d servers\n", CTL_SERVERS_MAX);
            return false;
        }
        flags->servers[flags->server_count++] = value;
        return true;
    case OPTION_USER_GROUP:
        if (flags->group_count == CTL_GROUPS_MAX) {
            (void)fprintf(stderr, "activityctl: more than %d groups of the user\n", CTL_GROUPS_MAX);
            return false;
        }
        flags->groups[flags->group_count++] = value;
        return true;
    case OPTION_TIMEOUT:
        if (!ctl_number(value, 3600000, &number) || number == 0) {
            (void)fprintf(stderr, "activityctl: --timeout %s: milliseconds, 1 to 3,600,000\n",
                          value);
            return false;
        }
        flags->timeout_ms = (uint32_t)number;
        return true;
    }
    return false;
}

/* Takes the general options out of argv, wherever they stand before "--"; the rest keeps its order.
 */
static bool parse_general(struct parsed *parsed, int *argc, char **argv)
{
    int kept = 1;
    bool literal = false;
    for (int i = 1; i < *argc; i++) {
        size_t row = 0;
        size_t count = sizeof general / sizeof general[0];
        const char *value = strchr(argv[i], '=');
        size_t length = value == NULL ? strlen(argv[i]) : (size_t)(value - argv[i]);
        while (row < count && (literal || strlen(general[row].name) != length ||
                               strncmp(general[row].name, argv[i], length) != 0)) {
            row++;
        }
        if (row == count) {
            literal = literal || strcmp(argv[i], "--") == 0;
            argv[kept++] = argv[i];
            continue;
        }
        value = value == NULL ? NULL : value + 1;
        if (general[row].takes_value && value == NULL) {
            if (i + 1 == *argc) {
                (void)fprintf(stderr, "activityctl: %s needs a value\n", general[row].name);
                return false;
            }
            value = argv[++i];
        }
        if (!take_general(parsed, general[row].option, value)) {
            return false;
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}

int main(int argc, char **argv)
{
    struct parsed parsed = {0};
    if (!parse_general(&parsed, &argc, argv)) {
        return EXIT_USAGE;
    }
    if (parsed.version) {
        (void)printf("activityctl %s\n", activity_version());
        return EXIT_OK;
    }
    if (argc < 2) {
        commands_help(parsed.help ? stdout : stderr);
        return parsed.help ? EXIT_OK : EXIT_USAGE;
    }
    const struct command *command = commands_find(argv[1]);
    if (command == NULL) {
        (void)fprintf(stderr,
                      "activityctl: there is no command '%s'; activityctl --help lists them\n",
                      argv[1]);
        return EXIT_USAGE;
    }
    if (parsed.help) {
        command_help(stdout, command);
        return EXIT_OK;
    }
    struct profile *profile = NULL;
    struct settings settings = {.timeout_ms = 10000};
    if (!profile_load(parsed.profile, &profile, &settings)) {
        profile_free(profile);
        return EXIT_USAGE;
    }
    settings_override(&settings, &parsed.flags);
    (void)signal(SIGPIPE, SIG_IGN);
    text_locale();
    int code = command->run(&settings, argc - 1, argv + 1);
    profile_free(profile);
    bool unwritten = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (interrupt_seen() != 0) {
        interrupt_end(interrupt_seen());
    }
    if (unwritten) {
        (void)fprintf(stderr, "activityctl: stdout: %s\n", strerror(errno));
        return code == EXIT_OK ? EXIT_FAILED : code;
    }
    return code;
}
