/* What is looked at before anything is written to an index, each time that it has been away: does
 * it answer, does it want us, has it the script for fragments (it is stored if not, and read back),
 * and does it remember deletions long enough. Decides what to ask and what the answers mean; sends
 * nothing itself. */
#ifndef ACTIVITYD_SERVER_INDEX_SURVEY_H
#define ACTIVITYD_SERVER_INDEX_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/bytes.h"
#include "server/index/reason.h"
#include "server/index/target.h"

#define SURVEY_PATH_MAX    4096u
#define SURVEY_BODY_MAX    8192u
#define SURVEY_VERSION_MAX 48u

enum survey_step {
    SURVEY_VERSION,
    SURVEY_SCRIPT_READ,
    SURVEY_SCRIPT_STORE,
    SURVEY_SCRIPT_READ_BACK,
    SURVEY_DELETIONS,
    SURVEY_DONE
};

struct survey {
    const struct targets *targets;
    uint32_t late_ms; /* so late may a request still arrive */
    enum survey_step step;
    char version[SURVEY_VERSION_MAX]; /* "opensearch 2.19.4" */
    bool has_warning;
    struct reason warning; /* nothing that would keep us from writing */
};

struct survey_request {
    const char *method;
    char path[SURVEY_PATH_MAX];
    char body[SURVEY_BODY_MAX];
    uint32_t body_length; /* 0: none */
};

void survey_begin(struct survey *survey, const struct targets *targets, uint32_t late_ms);
/* What is to be asked. Not when it is done. */
void survey_ask(const struct survey *survey, struct survey_request *request);

/* Returns 0: on to the next step (SURVEY_DONE: all is well); 1: with a reason, it has to be begun
 * anew later; 2: the same, and somebody has to do something about it. */
__attribute__((warn_unused_result)) int survey_answer(struct survey *survey, uint32_t status,
                                                      struct bytes body, struct reason *why);

#endif
