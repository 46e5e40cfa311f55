/* Answers to WaitActivity and WaitVisible: what a look at the core's state means for who waits. */
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

size_t answer_wait_look(const struct core *core, const struct command_caller *caller,
                        uint64_t epoch, struct answer_wait *wait, uint8_t *to)
{
    bool is_activity = wait->method == METHOD_WAIT_ACTIVITY;
    if (!is_activity && is_never_searchable(core, &wait->visible)) {
        return refuse(epoch, REASON_INDEX_NONE, to);
    }
    enum core_wait_outcome outcome = is_activity ? core_wait_activity(core, caller, &wait->activity)
                                                 : core_wait_visible(core, caller, &wait->visible);
    switch (outcome) {
    case CORE_WAIT_PENDING:
        return 0;
    case CORE_WAIT_REACHED:
        return put_wait(epoch, wait, true, 0, to);
    case CORE_WAIT_PARKED:
        return refuse(epoch, REASON_CHANGE_PARKED, to);
    case CORE_WAIT_UNKNOWN:
    default:
        return refuse(epoch, is_activity ? REASON_UNKNOWN_JOB : REASON_UNKNOWN_TICKET, to);
    }
}

bool answer_wait_goes_on(const struct answer_wait *wait)
{
    return (wait->method == METHOD_WAIT_ACTIVITY ? wait->activity.pending
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
