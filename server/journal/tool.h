/* `activityd journal ...`: looking at the journal of a stopped server, and repairing it. */
#ifndef ACTIVITYD_SERVER_JOURNAL_TOOL_H
#define ACTIVITYD_SERVER_JOURNAL_TOOL_H

/* Runs the subcommand; argv[0] is "journal". Prints to stdout and stderr. Returns the exit status:
 * 0 = done, and verify found nothing wrong; 1 = not done, or verify found problems; 2 = wrong
 * usage. */
__attribute__((warn_unused_result)) int journal_tool_main(int argc, char **argv);

#endif
