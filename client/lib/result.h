/* Answers as plain C structures. Any thread; a result belongs to one at a time. */
#ifndef ACTIVITY_LIB_RESULT_H
#define ACTIVITY_LIB_RESULT_H

#include <activity.h>

#include "proto/frame.h"

/* What the answer is to. */
struct result_question {
    enum activity_method method;
    uint32_t batch_count;
    const unsigned char *request_id;
};

/* Decodes the payload of a successful reply. Takes over `bytes`, the block that the frame points
 * into, whatever comes out. Any bytes give a result or an error. */
int result_decode_take(const struct result_question *question, const struct frame_reply *reply,
                       uint8_t *bytes, activity_result **result, struct activity_error *error);

/* What a success says beside its answer: the server had no place to wait, come back after this; or
 * 0. */
uint32_t result_retry_after_ms(const activity_result *result);

/* Of the answer to RetryParked or DiscardParked. */
uint32_t result_decided_changes(const activity_result *result);

#endif
