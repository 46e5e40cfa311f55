#include "server/journal/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/journal/error.h"
#include "server/journal/repair.h"
#include "server/journal/survey.h"

enum { EXIT_DONE = 0, EXIT_PROBLEM = 1, EXIT_USAGE = 2 };

struct arguments {
    const char *directory;
    bool repair;
    bool drop_last;
};

static const char usage[] = "usage: activityd journal verify DIRECTORY\n"
                            "       activityd journal repair DIRECTORY [--drop-last]\n";

static const char help[] =
    "\n"
    "Looks at or repairs the journal of a stopped server.\n"
    "\n"
    "  verify       read everything: list segments and snapshots with their entries, and\n"
    "               name every problem. Changes nothing. Exit status 0 if all is sound, else 1.\n"
    "  repair       make a journal that the server refuses (DATA_LOSS) servable again: keep every\n"
    "               entry that the state can still reach, cut behind the last one, and say what\n"
    "               is lost. When something is lost the epoch changes, so that clients read\n"
    "               everything anew. Damaged files are kept as lost-<n>-<name>; remove them when\n"
    "               they are of no use. What needs no repair is left alone.\n"
    "  --drop-last  also give up the last entry, if it was being applied for the first time when\n"
    "               the server crashed. Nobody was told of it. For a crash that repeats itself.\n"
    "\n"
    "Examples:\n"
    "  activityd journal verify /var/lib/activityd/journal\n"
    "  activityd journal repair /var/lib/activityd/journal\n"
    "\n"
    "Exit status: 0 done or sound; 1 problems found, or not done; 2 wrong usage.\n";

static int fail(const struct journal_error *error)
{
    fprintf(stderr, "activityd journal: %s\n", error->text);
    return EXIT_PROBLEM;
}

/* --- verify ----------------------------------------------------------------------------------- */

static const char *state_text(enum survey_state state)
{
    switch (state) {
    case SURVEY_SOUND:
        return "sound";
    case SURVEY_TORN:
        return "sound; a torn end, never acknowledged, is cut at the next start";
    case SURVEY_DAMAGED:
        return "DAMAGED";
    }
    return "?";
}

static void print_segment(const struct survey_segment *segment)
{
    printf("%s  ", segment_name(segment->first).text);
    if (segment->last >= segment->first)
        printf("entries %" PRIu64 "-%" PRIu64 ", %" PRIu64 " bytes, ", segment->first,
               segment->last, segment->used);
    else
        printf("no entries, ");
    printf("%s\n", state_text(segment->state));
    if (segment->state == SURVEY_DAMAGED)
        printf("  problem: %s\n", segment->problem.text);
}

static void print_snapshot(const struct survey_snapshot *snapshot)
{
    printf("%s  ", snapshot_name(snapshot->index).text);
    if (snapshot->state == SURVEY_SOUND)
        printf("after entry %" PRIu64 ", %" PRIu64 " bytes, sound\n", snapshot->index,
               snapshot->size);
    else
        printf("DAMAGED\n  problem: %s\n", snapshot->problem.text);
}

static size_t count_problems(const struct survey *survey)
{
    size_t problems = survey->repairing ? 1 : 0;
    for (size_t i = 0; i < survey->segment_count; i++)
        problems += survey->segments[i].state == SURVEY_DAMAGED;
    for (size_t i = 0; i < survey->snapshot_count; i++)
        problems += survey->snapshots[i].state == SURVEY_DAMAGED;
    return problems;
}

static void print_mark(const struct mark_found *found)
{
    if (found->suspect != 0)
        printf("entry %" PRIu64 " was being applied for the first time when the server crashed\n",
               found->suspect);
    else if (found->replay != 0)
        printf("entry %" PRIu64 " was being applied again, at a start, when the server crashed\n",
               found->replay);
}

static int verify(struct storage_directory *directory, const struct survey *survey)
{
    struct repair_plan plan;
    struct journal_error error;
    for (size_t i = 0; i < survey->segment_count; i++)
        print_segment(&survey->segments[i]);
    for (size_t i = 0; i < survey->snapshot_count; i++)
        print_snapshot(&survey->snapshots[i]);
    if (survey->repairing)
        printf("problem: a repair was interrupted: run it again\n");
    print_mark(&survey->found);
    size_t problems = count_problems(survey);
    int result = repair_make_plan(directory, survey, &plan, &error);
    if (result != 0)
        printf("the server would not start: %s\n", error.text);
    else if (plan.needed)
        printf("the server would not start; a repair would keep all up to entry %" PRIu64 "\n",
               plan.end);
    else
        printf("epoch %016" PRIx64 ", last entry %" PRIu64 ", start from %s %" PRIu64 "\n",
               plan.epoch, plan.end, plan.base == 0 ? "entry" : "the snapshot after entry",
               plan.base == 0 ? 1 : plan.base);
    bool sound = result == 0 && !plan.needed && problems == 0;
    repair_plan_free(&plan);
    if (sound)
        printf("sound\n");
    else
        printf("%zu problem%s\n", problems, problems == 1 ? "" : "s");
    return sound ? EXIT_DONE : EXIT_PROBLEM;
}

/* --- repair ----------------------------------------------------------------------------------- */

static void print_lost(const struct repair_plan *plan)
{
    const struct salvage_rest *lost = &plan->lost;
    if (!plan->loses)
        printf("nothing is lost\n");
    else if (lost->highest > plan->end + 1)
        printf("lost: entries %" PRIu64 "-%" PRIu64 ", %" PRIu64 " bytes\n", plan->end + 1,
               lost->highest, lost->bytes);
    else if (lost->highest == plan->end + 1)
        printf("lost: entry %" PRIu64 ", %" PRIu64 " bytes\n", lost->highest, lost->bytes);
    else if (lost->bytes > 0)
        printf("lost: what was behind entry %" PRIu64 ", if there was anything: %" PRIu64
               " bytes that no longer tell\n",
               plan->end, lost->bytes);
    else
        printf("lost: what was behind entry %" PRIu64 ", if there was anything\n", plan->end);
}

static int carry_out(struct storage_directory *directory, const struct survey *survey,
                     const struct repair_plan *plan)
{
    struct journal_error error;
    unsigned aside = 0;
    if (plan->reason.code != JOURNAL_OK)
        printf("found: %s\n", plan->reason.text);
    int result = repair_run(directory, survey, plan, &aside, &error);
    if (result != 0)
        return fail(&error);
    printf("kept: everything up to entry %" PRIu64 "\n", plan->end);
    print_lost(plan);
    if (plan->damaged)
        printf("files that were damaged or given up are kept as lost-%u-...\n", aside);
    if (plan->loses)
        printf("the epoch is now %016" PRIx64 "\n", plan->epoch);
    printf("repaired\n");
    return EXIT_DONE;
}

static int repair(struct storage_directory *directory, const struct survey *survey, bool drop_last)
{
    struct repair_plan plan;
    struct journal_error error;
    int status = EXIT_DONE;
    int result = repair_make_plan(directory, survey, &plan, &error);
    if (result == 0 && drop_last)
        result = repair_drop_last(&plan, survey, &error);
    if (result != 0)
        status = fail(&error);
    else if (plan.needed)
        status = carry_out(directory, survey, &plan);
    else
        printf("nothing to repair: the server can start\n");
    repair_plan_free(&plan);
    return status;
}

/* --- the command line ------------------------------------------------------------------------- */

static int run(const struct arguments *arguments)
{
    struct storage_directory *directory = NULL;
    struct survey survey = {0};
    struct journal_error error;
    int status;
    int result = storage_directory_open(arguments->directory, false, &directory);
    if (result != 0) {
        journal_error_storage(&error, result, "opening %s", arguments->directory);
        return fail(&error);
    }
    if (storage_lock(directory) != 0) {
        journal_error_set(&error, JOURNAL_LOCKED, "%s is in use: stop the server first",
                          arguments->directory);
        status = fail(&error);
    } else if (survey_read(directory, &survey, &error) != 0) {
        status = fail(&error);
    } else if (survey.segment_count + survey.snapshot_count == 0) {
        journal_error_set(&error, JOURNAL_IO, "there is no journal in %s", arguments->directory);
        status = fail(&error);
    } else {
        status = arguments->repair ? repair(directory, &survey, arguments->drop_last)
                                   : verify(directory, &survey);
    }
    survey_free(&survey);
    storage_directory_close(directory);
    return status;
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    *arguments = (struct arguments){0};
    if (argc < 3 || (strcmp(argv[1], "verify") != 0 && strcmp(argv[1], "repair") != 0))
        return false;
    arguments->repair = strcmp(argv[1], "repair") == 0;
    for (int i = 2; i < argc; i++) {
        if (arguments->repair && strcmp(argv[i], "--drop-last") == 0)
            arguments->drop_last = true;
        else if (argv[i][0] != '-' && arguments->directory == NULL)
            arguments->directory = argv[i];
        else
            return false;
    }
    return arguments->directory != NULL;
}

int journal_tool_main(int argc, char **argv)
{
    struct arguments arguments;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf("%s%s", usage, help);
            return EXIT_DONE;
        }
    }
    if (!parse(argc, argv, &arguments)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return run(&arguments);
}
