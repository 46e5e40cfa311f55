/* The commands, and what --help says about them. */
#include "client/ctl/commands.h"

#include <stdarg.h>
#include <stdio.h>
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
     "  --body FILE            the whole document, JSON for the index (- is stdin)\n"
     "  --patch FILE           a JSON merge patch of it, where the model is written as fragments\n"
     "  --deleted              the document was deleted\n"
     "  --group GROUP          its members see the change; \"*\" is the whole tenant (up to 8 "
     "times)\n"
     "  --job JOB              a job to which the changes belong\n"
     "  --size N               changes per request when reading lines (500)\n"
     "  --urgent               the documents leave for the index at once\n",
     "  activityctl record mediacontainer 123 mediaContainer --group '*'\n"
     "  echo "
     "'{\"model\":\"asset\",\"id\":7,\"affectedModel\":\"Asset\",\"groups\":[\"*\"],\"json\":{"
     "\"a\":1}}' |\n"
     "      activityctl record -          # or \"mergePatch\" instead of \"json\"\n",
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
    {"watch", "[JOB...]", "show live progress of some activities, or of all that you may see",
     "  --type TYPE            only activities of this type (up to 16 times)\n"
     "On a terminal the bars are redrawn in place, and what has ended scrolls away above them;\n"
     "otherwise there is a line for everything that happens, and with --json an object "
     "(\"event\":\n"
     "FOUND_ACTIVITY, FOUND_ALL, ACTIVITY_CREATED, PROGRESS, ACTIVITY_ENDED, RESET).\n"
     "With JOBs (at most 256) it ends when all of them have ended: with 0 if all were completed,\n"
     "9 if one failed, was cancelled or killed, and 5 if one is unknown.\n",
     "  activityctl watch\n  activityctl watch 281474976710657 && echo finished\n", command_watch},
    {"wait", "JOB | --visible TICKET | --job JOB",
     "wait until a job has ended, or until recorded changes are in the index",
     "  --percent P            until the job has reached P % (100)\n"
     "  --children             and all jobs that name it as their parent\n"
     "  --visible TICKET       until the changes of a ticket of `record` have come so far\n"
     "  --job JOB              the same for all changes recorded with a job\n"
     "  --stage STAGE          sent, acked (the standard) or searchable\n"
     "  --wait MS              how long at most (no limit)\n"
     "It ends with 0 when it has come so far, 9 if the job failed, was cancelled or killed, 10 "
     "when\n"
     "the wait is over before, and 6 if the index refused a change.\n",
     "  activityctl wait 281474976710657 --children --wait 60000\n"
     "  activityctl wait --visible 00000001000186a1 --stage searchable\n",
     command_wait},
    {"changes", "", "show what has happened, event by event, or follow what happens",
     "  --follow               go on with what happens from now on, until Ctrl-C\n"
     "  --since CURSOR         events after this one, as the last line or \"cursor\" of a run "
     "tells;\n"
     "                         or oldest, or now (standard: oldest; with --follow: now)\n"
     "  --kind KIND            only created, ended, model or index (up to 8 times)\n"
     "  --model MODEL          only about documents of this model (up to 16 times)\n"
     "  --document ID          only about this document (up to 256 times)\n"
     "  --job JOB              only about this job (up to 256 times)\n"
     "  --all-tenants          what everybody does, in all tenants (needs the permission feed)\n"
     "When events after CURSOR cannot be had any more, that is said (RESET), what is left is "
     "shown,\n"
     "and a run without --follow ends with 11.\n",
     "  activityctl changes --kind ended --json\n"
     "  activityctl changes --follow --since 9f86d081884c7d65:1042\n",
     command_changes},
    {"batch", "-", "update many jobs: one JSON object per line, {\"jobId\":1,\"percent\":50}",
     "  --size N               updates per request (1,000; at most 65,536)\n",
     "  activityctl batch - <updates.ndjson\n", command_batch},
    {"health", "[SERVICE]", "ask whether calls are served", "", "  activityctl health\n",
     command_health},
    {"server-info", "", "show version, limits, certificates and position of the server", "",
     "  activityctl server-info --json\n", command_server_info},
    {"reload", "",
     "have certificates, revocations and policy read anew, as SIGHUP does (needs admin = all)", "",
     "  activityctl reload\n", command_reload},
    {"users", "", "list the users that were present in the last 90 s (needs admin)", "",
     "  activityctl users\n", command_users},
    {"index", "status | batches | parked | retry PARK_ID... | discard PARK_ID...",
     "see how changes get into the index, and decide about those that it refuses (needs admin)",
     "  status                 how it stands: what is the matter, what waits, how far it lags\n"
     "  batches                the latest attempts to write, newest first\n"
     "    --limit N            how many (20; the server remembers 256)\n"
     "  parked                 the tenant's documents that the index has refused, longest first\n"
     "  retry PARK_ID...       have the refused changes written once more\n"
     "  discard PARK_ID...     give the refused changes up: they are never written\n"
     "    --all                instead of PARK_IDs: everything that is parked in the tenant\n"
     "    --reason CODE        with parked and --all: only what was refused for this reason\n"
     "    --yes                discard --all is done only with it; without, it says what it "
     "would do\n"
     "  -v                     batches and parked: also tickets, and since when\n"
     "CHANGES of a parked document are refused+behind: those behind wait for the decision.\n"
     "status and batches count what all tenants have, and need admin = all.\n",
     "  activityctl index status\n"
     "  activityctl index batches --limit 50 --json\n"
     "  activityctl index parked --tenant acme\n"
     "  activityctl index retry --all --reason mapper_parsing_exception\n",
     command_index},
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

const struct command *commands_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

void commands_help(FILE *to)
{
    (void)fprintf(to,
                  "activityctl %s: the command line of activityd\n\n"
                  "Usage: activityctl [options] COMMAND [arguments]\n\nCommands (activityctl "
                  "COMMAND --help tells more):\n",
                  activity_version());
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        (void)fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].summary);
    }
    (void)fprintf(
        to,
        "\n%s\n"
        "Exit codes: 0 ok, 1 failure, 2 usage, 3 cannot connect, 4 denied, 5 not found,\n"
        "            6 precondition, 7 deadline, 8 overloaded, 9 a job did not complete,\n"
        "            10 the wait is over, 11 events are missing\n",
        general_options);
}

void command_help(FILE *to, const struct command *command)
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
    const struct command *row = commands_find(command);
    (void)fprintf(stderr, "activityctl: %s\nUsage: activityctl %s %s (--help tells more)\n", text,
                  command, row == NULL ? "" : row->usage);
    return EXIT_USAGE;
}
