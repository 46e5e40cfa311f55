/* Why something was not taken: a code for programs and a sentence for people, as long as the core
 * keeps them. */
#ifndef ACTIVITYD_SERVER_INDEX_REASON_H
#define ACTIVITYD_SERVER_INDEX_REASON_H

#include "server/core/command.h"

struct reason {
    char code[COMMAND_REASON_CODE_LENGTH + 1];
    char message[COMMAND_REASON_MESSAGE_LENGTH + 1];
};

/* The sentence is a printf format; both texts are cut to fit. */
__attribute__((format(printf, 3, 4))) void reason_set(struct reason *reason, const char *code,
                                                      const char *message, ...);

#endif
