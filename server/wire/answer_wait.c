/* Answers to WaitActivity and WaitVisible: what a look at the core's state means for who waits. */
#include <inttypes.h>
#include <stdio.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/wire/answer.h"
#include "server/wire/encode.h"

void answer_wait_init(const struct query *query, struct answer_wait *wait)
{
    *wait = (struct answer_wait){.method = query->method};
    if (query->method == METHOD_WAIT_ACTIVITY) {
        wait->activity.job_id = query->wait.job_id;
        wait->activity.percent = query->wait.percent;
        wait->activity.children = query->wait.children;
    } else {
        CHECK(query->method == METHOD_WAIT_VISIBLE);
        wait->visible.ticket = query->wait.ticket;
        wait->visible.job_id = query->wait.job_id;
        wait->visible.stage = (enum core_visible_stage)query->wait.stage;
    }
}

static size_t refuse(uint64_t epoch, enum status_reason reason, uint8_t *to)
{
    struct refusal refusal = {.reason = reason};
    return reply_refuse(epoch, &refusal, to);
}

/* The longest response: a flag, two numbers and a job id. */
#define WAIT_RESPONSE_MAX 32

/* WaitActivityResponse {reached = 1, state = 2, percent = 3, waiting_for_job_id = 4} */
static uint8_t *put_activity(const struct core_wait_activity *wait, bool reached, uint8_t *to)
{
    to = encode_number(to, 1, reached);
    to = encode_number(to, 2, wait->own_state);
    to = encode_number(to, 3, wait->own_percent);
    return encode_number(to, 4, reached ? 0 : wait->pending);
}

/* WaitVisibleResponse {reached = 1, open_changes = 2} */
static uint8_t *put_visible(const struct core_wait_visible *wait, bool reached, uint8_t *to)
{
    to = encode_number(to, 1, reached);
    return encode_number(to, 2, reached ? 0 : wait->open);
}

static size_t put_wait(uint64_t epoch, const struct answer_wait *wait, bool reached,
                       uint32_t retry_after_ms, uint8_t *to)
{
    uint8_t response[WAIT_RESPONSE_MAX];
    uint8_t *end = wait->method == METHOD_WAIT_ACTIVITY
                       ? put_activity(&wait->activity, reached, response)
                       : put_visible(&wait->visible, reached, response);
    return reply_ok_later(epoch, encoded_since(response, end), retry_after_ms, to, ANSWER_WAIT_MAX);
}

/* Nothing will ever be searchable through a server that writes to no index. It is said before the
 * ticket is looked for: the answer is the same for everybody. */
static bool is_never_searchable(const struct core *core, const struct core_wait_visible *wait)
{
    if (wait->stage != VISIBLE_SEARCHABLE) {
        return false;
    }
    struct core_info info;
    core_info(core, &info);
    return info.limits.index_mode == 0;
}

static size_t look_at_activity(const struct answer_look *look, const struct command_caller *caller,
                               struct answer_wait *wait, uint8_t *to)
{
    switch (core_wait_activity(look->core, caller, &wait->activity)) {
    case CORE_WAIT_PENDING:
        return 0;
    case CORE_WAIT_REACHED:
        return put_wait(look->epoch, wait, true, 0, to);
    case CORE_WAIT_PARKED:
    case CORE_WAIT_UNKNOWN:
    default:
        return refuse(look->epoch, REASON_UNKNOWN_JOB, to);
    }
}

static int length_of(struct bytes text)
{
    return (int)text.length;
}

/* Why it will not go on by itself. Of a job others may have recorded the change: then the document
 * is not named, which the caller need not be allowed to see. */
static size_t refuse_parked(const struct answer_look *look, const struct core_wait_visible *wait,
                            uint8_t *to)
{
    struct core_parked parked;
    char message[LIMIT_STATUS_MESSAGE_LENGTH + 1];
    struct refusal refusal = {.reason = REASON_CHANGE_PARKED};
    if (!core_parked_of_ticket(look->core, wait->pending, &parked)) {
        return reply_refuse(look->epoch, &refusal, to);
    }
    int at = snprintf(message, sizeof message, "%s: park_id %" PRIu64,
                      status_reason_text(REASON_CHANGE_PARKED), parked.park_id);
    if (wait->ticket != 0) {
        (void)snprintf(message + at, sizeof message - (size_t)at,
                       ", document \"%.*s\" of %.*s: %.*s: %.*s", length_of(parked.document_id),
                       (const char *)parked.document_id.at, length_of(parked.model),
                       (const char *)parked.model.at, length_of(parked.code),
                       (const char *)parked.code.at, length_of(parked.message),
                       (const char *)parked.message.at);
    }
    refusal.message = message;
    return reply_refuse(look->epoch, &refusal, to);
}

static size_t look_at_visible(const struct answer_look *look, const struct command_caller *caller,
                              struct answer_wait *wait, uint8_t *to)
{
    struct core_wait_visible *visible = &wait->visible;
    wait->unrefreshed = false;
    if (is_never_searchable(look->core, visible)) {
        return refuse(look->epoch, REASON_INDEX_NONE, to);
    }
    switch (core_wait_visible(look->core, caller, visible)) {
    case CORE_WAIT_PENDING:
        return 0;
    case CORE_WAIT_REACHED:
        wait->unrefreshed =
            visible->stage == VISIBLE_SEARCHABLE && visible->done_ms >= look->searchable_before_ms;
        return wait->unrefreshed ? 0 : put_wait(look->epoch, wait, true, 0, to);
    case CORE_WAIT_PARKED:
        return refuse_parked(look, visible, to);
    case CORE_WAIT_UNKNOWN:
    default:
        return refuse(look->epoch, REASON_UNKNOWN_TICKET, to);
    }
}

size_t answer_wait_look(const struct answer_look *look, const struct command_caller *caller,
                        struct answer_wait *wait, uint8_t *to)
{
    return wait->method == METHOD_WAIT_ACTIVITY ? look_at_activity(look, caller, wait, to)
                                                : look_at_visible(look, caller, wait, to);
}

bool answer_wait_goes_on(const struct answer_wait *wait)
{
    return !wait->unrefreshed &&
           (wait->method == METHOD_WAIT_ACTIVITY ? wait->activity.pending
                                                 : wait->visible.pending) == 0;
}

bool answer_wait_may_be_long(const struct answer_wait *wait)
{
    return wait->method == METHOD_WAIT_ACTIVITY ? wait->activity.children
                                                : wait->visible.job_id != 0;
}

size_t answer_wait_over(uint64_t epoch, const struct answer_wait *wait, uint32_t retry_after_ms,
                        uint8_t *to)
{
    return put_wait(epoch, wait, false, retry_after_ms, to);
}
