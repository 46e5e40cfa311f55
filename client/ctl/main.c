/* activityctl: the command line of activityd, written with libactivity's public header alone. */
#include "client/ctl/ctl.h"
#include "client/ctl/profile.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
    {"create", "TYPE [TITLE]", "create an activity and print its job id",
     "  --group GROUP          its members see it (up to 8 times; default: owner and creator "
     "only)\n"
     "  --attribute NAME=VALUE anything worth knowing (up to 16 times)\n"
     "  --parent JOB           the job that it is a part of\n"
     "  --retry-of JOB         the job that it repeats\n"
     "  --request-id HEX       32 digits: repeat a create whose outcome is unknown\n"
     "  --count N              create N of them, an id per line\n",
     "  activityctl create upload \"Holiday pictures\"\n"
     "  activityctl create transcoding --group editors --attribute codec=av1\n",
     command_create},
    {"update", "JOB [PERCENT]", "advance, annotate or end a job",
     "  --status TEXT          replace the status text\n"
     "  --item ID[=CODE]       with 100: a processed item, with CODE one that failed (repeatable)\n"
     "  --content FILE         with 100: what the job returns\n"
     "  --content-type TYPE    the media type of --content\n"
     "  --fail CODE[:MESSAGE]  end the job as FAILED\n",
     "  activityctl update 281474976710657 40 --status \"40 of 100 MB\"\n"
     "  activityctl update 281474976710657 100 --content out.json --content-type application/json\n"
     "  activityctl update 281474976710657 --fail CODEC_MISSING:\"no such codec\"\n",
     command_update},
    {"destroy", "JOB", "cancel a running job", "", "  activityctl destroy 281474976710657\n",
     command_destroy},
    {"get", "JOB", "show one activity", "", "  activityctl get 281474976710657 --json\n",
     command_get},
    {"find", "", "show activities, model changes and Elasticsearch changes",
     "  --activities           only activities (these three may be combined; default: all three)\n"
     "  --changes              only model changes\n"
     "  --changes-es           only Elasticsearch changes\n"
     "  --type TYPE            only activities of this type (up to 16 times)\n"
     "  --state STATE          only in this state: running, completed, failed, cancelled, killed\n"
     "  --job JOB              only this job (up to 256 times)\n"
     "  --since MS             only what changed at or after this time (milliseconds since 1970)\n"
     "  --observe              do not count as a sign of life of the user\n",
     "  activityctl find\n  activityctl find --activities --state running --json\n", command_find},
    {"result", "JOB", "show what a job returned; its content goes to stdout or a file",
     "  --output FILE          write the content there\n",
     "  activityctl result 281474976710657\n  activityctl result 281474976710657 --output "
     "out.json\n",
     command_result},
    {"record", "MODEL ID AFFECTED_MODEL | -",
     "record changed documents (- reads one JSON object per line)",
     "  --body FILE            the document's JSON for the index (- is stdin)\n"
     "  --deleted              the document was deleted\n"
     "  --group GROUP          its members see the change; \"*\" is the whole tenant (up to 8 "
     "times)\n"
     "  --job JOB              a job to which the changes belong\n"
     "  --size N               changes per request when reading lines (500)\n",
     "  activityctl record mediacontainer 123 mediaContainer --group '*'\n"
     "  echo "
     "'{\"model\":\"asset\",\"id\":7,\"affectedModel\":\"Asset\",\"groups\":[\"*\"],\"json\":{"
     "\"a\":1}}' |\n"
     "      activityctl record -\n",
     command_record},
    {"pipe", "[FILE]",
     "copy FILE or stdin to stdout as an activity whose percent follows the bytes",
     "  --title TITLE          default: the file's name\n"
     "  --type TYPE            default: upload\n"
     "  --total BYTES          the size to reckon with when reading stdin\n"
     "  --group GROUP          its members see it (up to 8 times)\n"
     "  --quiet                no progress bar\n",
     "  activityctl pipe film.mov >/srv/incoming/film.mov\n"
     "  tar c album | activityctl pipe --title album --total 120000000 | ssh archive 'cat "
     ">album.tar'\n",
     command_pipe},
    {"batch", "-", "update many jobs: one JSON object per line, {\"jobId\":1,\"percent\":50}",
     "  --size N               updates per request (1,000; at most 65,536)\n",
     "  activityctl batch - <updates.ndjson\n", command_batch},
    {"health", "[SERVICE]", "ask whether calls are served", "", "  activityctl health\n",
     command_health},
    {"server-info", "", "show version, limits, certificates and position of the server", "",
     "  activityctl server-info --json\n", command_server_info},
    {"users", "", "list the users that were present in the last 90 s (needs admin)", "",
     "  activityctl users\n", command_users},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const char general_options[] =
    "Options of every command:\n"
    "  --json                 output for machines\n"
    "  --profile FILE         default: $ACTIVITYCTL_PROFILE, ./.data/activityctl.conf, "
    "~/.config/activityctl.conf\n"
    "  --server URL           tls+tcp://host:port (repeatable: the first that answers is used)\n"
    "  --ca, --cert, --key FILE   whom to trust, and who you are (PEM)\n"
    "  --server-name NAME     the name in the server's certificate, if not the URL's host\n"
    "  --tenant, --user NAME  on whose behalf (needs the permission delegate)\n"
    "  --user-group GROUP     a security group of the user (up to 64 times)\n"
    "  --timeout MS           how long one call may take (10,000)\n";

static const struct command *command_find_row(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void help_all(FILE *to)
{
    (void)fprintf(to,
                  "activityctl %s: the command line of activityd\n\n"
                  "Usage: activityctl [options] COMMAND [arguments]\n\nCommands (activityctl "
                  "COMMAND --help tells more):\n",
                  activity_version());
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        (void)fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fprintf(to,
                  "\n%s\n"
                  "Exit codes: 0 ok, 1 failure, 2 usage, 3 cannot connect, 4 denied, 5 not found,\n"
                  "            6 precondition, 7 deadline, 8 overloaded\n",
                  general_options);
}

static void help_command(FILE *to, const struct command *command)
{
    (void)fprintf(to, "Usage: activityctl %s %s\n\n%s.\n\n", command->name, command->usage,
                  command->summary);
    if (command->options[0] != '\0') {
        (void)fprintf(to, "Options:\n%s\n", command->options);
    }
    (void)fprintf(to, "%s\nExamples:\n%s", general_options, command->examples);
}

int ctl_usage(const char *command, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const struct command *row = command_find_row(command);
    (void)fprintf(stderr, "activityctl: %s\nUsage: activityctl %s %s (--help tells more)\n", text,
                  command, row == NULL ? "" : row->usage);
    return EXIT_USAGE;
}

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
    (void)fprintf(stderr, "activityctl: %s%s%s: %s\n", activity_code_name((int)error->code),
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
        help_all(parsed.help ? stdout : stderr);
        return parsed.help ? EXIT_OK : EXIT_USAGE;
    }
    const struct command *command = command_find_row(argv[1]);
    if (command == NULL) {
        (void)fprintf(stderr,
                      "activityctl: there is no command '%s'; activityctl --help lists them\n",
                      argv[1]);
        return EXIT_USAGE;
    }
    if (parsed.help) {
        help_command(stdout, command);
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
    int code = command->run(&settings, argc - 1, argv + 1);
    profile_free(profile);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "activityctl: stdout: %s\n", strerror(errno));
        return code == EXIT_OK ? EXIT_FAILED : code;
    }
    return code;
}
