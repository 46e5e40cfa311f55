/* What activityctl's commands share: the command table, global options, output and exit codes. */
#ifndef ACTIVITYD_CLIENT_CTL_CTL_H
#define ACTIVITYD_CLIENT_CTL_CTL_H

#include <activity.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes, as `activityctl --help` documents them. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_CONNECTED = 3,
    EXIT_DENIED = 4,
    EXIT_NOT_FOUND = 5,
    EXIT_PRECONDITION = 6,
    EXIT_DEADLINE = 7,
    EXIT_OVERLOADED = 8,
    EXIT_ENDED = 9,    /* the job failed, was cancelled or killed */
    EXIT_NOT_YET = 10, /* the wait is over */
    EXIT_HOLE = 11     /* events are missing */
};

#define CTL_GROUPS_MAX  64
#define CTL_SERVERS_MAX 16

/* Who calls whom: from the profile, overridden by flags. */
struct settings {
    const char *servers[CTL_SERVERS_MAX];
    size_t server_count;
    const char *ca;
    const char *cert;
    const char *key;
    const char *server_name;
    const char *tenant;
    const char *user;
    const char *groups[CTL_GROUPS_MAX];
    size_t group_count;
    uint32_t timeout_ms;
    bool json; /* for machines */
};

struct command {
    const char *name;
    const char *usage;    /* what follows "activityctl name" */
    const char *summary;  /* one line */
    const char *options;  /* the command's own options, one line each, or "" */
    const char *examples; /* lines */
    /* argv[0] is the command's name. Returns an exit code. */
    int (*run)(const struct settings *settings, int argc, char **argv);
};

int command_create(const struct settings *settings, int argc, char **argv);
int command_update(const struct settings *settings, int argc, char **argv);
int command_destroy(const struct settings *settings, int argc, char **argv);
int command_get(const struct settings *settings, int argc, char **argv);
int command_find(const struct settings *settings, int argc, char **argv);
int command_result(const struct settings *settings, int argc, char **argv);
int command_record(const struct settings *settings, int argc, char **argv);
int command_pipe(const struct settings *settings, int argc, char **argv);
int command_watch(const struct settings *settings, int argc, char **argv);
int command_wait(const struct settings *settings, int argc, char **argv);
int command_changes(const struct settings *settings, int argc, char **argv);
int command_batch(const struct settings *settings, int argc, char **argv);
int command_health(const struct settings *settings, int argc, char **argv);
int command_server_info(const struct settings *settings, int argc, char **argv);
int command_reload(const struct settings *settings, int argc, char **argv);
int command_users(const struct settings *settings, int argc, char **argv);
int command_index(const struct settings *settings, int argc, char **argv);

/* Makes a client of the settings. NULL after saying why on stderr. */
activity_client *ctl_client(const struct settings *settings);

/* Says on stderr what went wrong and returns the exit code that stands for it. */
int ctl_failed(const struct activity_error *error);
/* The same of one of several things that were asked for; `what` is NULL or names it. */
int ctl_failed_about(const char *what, const struct activity_error *error);

/* Says on stderr how the command is used and returns EXIT_USAGE. `format` is one line about the
 * mistake. */
int ctl_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads a whole decimal number up to `most`; false if it is none. */
bool ctl_number(const char *text, uint64_t most, uint64_t *number);

#endif
