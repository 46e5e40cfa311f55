/* The table of activityctl's commands, and what --help says about them. */
#ifndef ACTIVITYD_CLIENT_CTL_COMMANDS_H
#define ACTIVITYD_CLIENT_CTL_COMMANDS_H

#include "client/ctl/ctl.h"

/* NULL if there is none of that name. */
const struct command *commands_find(const char *name);
void commands_help(FILE *to);
void command_help(FILE *to, const struct command *command);

#endif
