/* What each outcome of a look becomes for who waits. The core's looks are taken at link time: some
 * outcomes need an index, which no core here writes to. */
#include "tests/unit/server/wire/payload.h"

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "server/wire/answer.h"

#define EPOCH             UINT64_C(0x1122334455667788)
#define PENDING_TICKET    UINT64_C(99)
#define SEARCHABLE_BEFORE UINT64_C(5000)

/* The core's place. */
static struct {
    enum core_wait_outcome outcome;
    int looks;
    uint64_t index_mode;
    struct core_wait_activity activity; /* what it was asked */
    struct core_wait_visible visible;
    const struct command_caller *caller;
    uint64_t done_ms;
    bool has_parked;
} fake;

void core_info(const struct core *core, struct core_info *info)
{
    (void)core;
    memset(info, 0, sizeof *info);
    info->limits.index_mode = fake.index_mode;
}

enum core_wait_outcome core_wait_activity(const struct core *core,
                                          const struct command_caller *caller,
                                          struct core_wait_activity *wait)
{
    (void)core;
    fake.looks++;
    fake.activity = *wait;
    fake.caller = caller;
    wait->seen = fake.outcome != CORE_WAIT_UNKNOWN;
    wait->own_state = 1;
    wait->own_percent = 61;
    wait->pending = UINT64_C(1) << 52;
    return fake.outcome;
}

enum core_wait_outcome core_wait_visible(const struct core *core,
                                         const struct command_caller *caller,
                                         struct core_wait_visible *wait)
{
    (void)core;
    fake.looks++;
    fake.visible = *wait;
    fake.caller = caller;
    wait->open = UINT64_MAX;
    wait->pending = fake.outcome == CORE_WAIT_REACHED ? 0 : PENDING_TICKET;
    wait->done_ms = fake.done_ms;
    return fake.outcome;
}

bool core_parked_of_ticket(const struct core *core, uint64_t ticket, struct core_parked *parked)
{
    (void)core;
    assert_true(ticket == PENDING_TICKET);
    *parked = (struct core_parked){.park_id = 12,
                                   .model = bytes_of("orders", 6),
                                   .document_id = bytes_of("a-17", 4),
                                   .code = bytes_of("mapper_parsing_exception", 24),
                                   .message = bytes_of("failed to parse field [n]", 25)};
    return fake.has_parked;
}

static uint8_t frame_bytes[ANSWER_WAIT_MAX];
static struct frame_reply reply; /* views frame_bytes */
static struct answer_wait wait;
static struct command_caller caller;

static struct query wait_activity_query(void)
{
    return (struct query){.method = METHOD_WAIT_ACTIVITY,
                          .wait = {.job_id = 7, .percent = 80, .children = true}};
}

static struct query wait_visible_query(enum core_visible_stage stage)
{
    return (struct query){.method = METHOD_WAIT_VISIBLE,
                          .wait = {.ticket = 5, .job_id = 0, .stage = (uint8_t)stage}};
}

static void begin(const struct query *query, enum core_wait_outcome outcome)
{
    memset(&fake, 0, sizeof fake);
    fake.outcome = outcome;
    memset(&wait, 0xa5, sizeof wait);
    answer_wait_init(query, &wait);
}

static void read_frame(size_t length)
{
    struct frame_error error;
    assert_in_range(length, 1, sizeof frame_bytes);
    assert_int_equal(frame_reply_decode((struct view){frame_bytes, length}, &reply, &error), 0);
    assert_true(reply.epoch == EPOCH);
}

static size_t look(void)
{
    const struct answer_look at = {NULL, EPOCH, SEARCHABLE_BEFORE};
    return answer_wait_look(&at, &caller, &wait, frame_bytes);
}

static void *response_of(const ProtobufCMessageDescriptor *type, uint32_t retry_after_ms)
{
    assert_int_equal(reply.code, STATUS_OK);
    assert_int_equal(reply.retry_after_ms, retry_after_ms);
    void *response =
        protobuf_c_message_unpack(type, NULL, reply.payload.length, reply.payload.bytes);
    assert_non_null(response);
    return response;
}

static void assert_refused(enum status_code code, const char *reason)
{
    assert_int_equal(reply.code, code);
    assert_true(view_equal(reply.reason, view_of(reason)));
    assert_true(reply.message.length > 0);
}

struct activity_answer {
    bool reached;
    uint64_t waiting_for_job_id;
    uint32_t retry_after_ms;
};
static void assert_activity(struct activity_answer expected)
{
    Activity__V1__WaitActivityResponse *response =
        response_of(&activity__v1__wait_activity_response__descriptor, expected.retry_after_ms);
    assert_int_equal(response->reached, expected.reached);
    assert_int_equal(response->state, ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_RUNNING);
    assert_int_equal(response->percent, 61);
    assert_true(response->waiting_for_job_id == expected.waiting_for_job_id);
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

static void what_is_asked_reaches_the_core(void **state)
{
    (void)state;
    struct query query = wait_activity_query();
    begin(&query, CORE_WAIT_PENDING);
    assert_int_equal(look(), 0);
    assert_ptr_equal(fake.caller, &caller);
    assert_int_equal(fake.activity.job_id, 7);
    assert_int_equal(fake.activity.percent, 80);
    assert_true(fake.activity.children);
    assert_false(fake.activity.seen);
    assert_int_equal(fake.activity.pending, 0);
    assert_int_equal(fake.activity.after, 0);
    /* The next look goes on where this one stood. */
    assert_int_equal(look(), 0);
    assert_true(fake.activity.seen);
    assert_true(fake.activity.pending != 0);

    query = wait_visible_query(VISIBLE_SENT);
    begin(&query, CORE_WAIT_PENDING);
    assert_int_equal(look(), 0);
    assert_int_equal(fake.visible.ticket, 5);
    assert_int_equal(fake.visible.job_id, 0);
    assert_int_equal(fake.visible.stage, VISIBLE_SENT);
    assert_int_equal(fake.visible.open, 0);
    assert_int_equal(fake.looks, 1);
}

static void activity_is_reached_or_not(void **state)
{
    (void)state;
    struct query query = wait_activity_query();
    begin(&query, CORE_WAIT_REACHED);
    read_frame(look());
    assert_activity((struct activity_answer){true, 0, 0});

    begin(&query, CORE_WAIT_PENDING);
    assert_int_equal(look(), 0);
    read_frame(answer_wait_over(EPOCH, &wait, 0, frame_bytes));
    assert_activity((struct activity_answer){false, UINT64_C(1) << 52, 0});
    read_frame(answer_wait_over(EPOCH, &wait, 1000, frame_bytes));
    assert_activity((struct activity_answer){false, UINT64_C(1) << 52, 1000});
    assert_int_equal(fake.looks, 1);
}

static void changes_are_visible_or_not(void **state)
{
    (void)state;
    struct query query = wait_visible_query(VISIBLE_ACKED);
    begin(&query, CORE_WAIT_REACHED);
    read_frame(look());
    Activity__V1__WaitVisibleResponse *response =
        response_of(&activity__v1__wait_visible_response__descriptor, 0);
    assert_true(response->reached);
    assert_int_equal(response->open_changes, 0);
    protobuf_c_message_free_unpacked(&response->base, NULL);

    begin(&query, CORE_WAIT_PENDING);
    assert_int_equal(look(), 0);
    read_frame(answer_wait_over(EPOCH, &wait, 1000, frame_bytes));
    response = response_of(&activity__v1__wait_visible_response__descriptor, 1000);
    assert_false(response->reached);
    assert_true(response->open_changes == UINT64_MAX);
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

static void what_will_never_be_is_refused_at_once(void **state)
{
    (void)state;
    struct query query = wait_activity_query();
    begin(&query, CORE_WAIT_UNKNOWN);
    read_frame(look());
    assert_refused(STATUS_NOT_FOUND, "UNKNOWN_JOB");
    query = wait_visible_query(VISIBLE_ACKED);
    begin(&query, CORE_WAIT_UNKNOWN);
    read_frame(look());
    assert_refused(STATUS_NOT_FOUND, "UNKNOWN_TICKET");
    begin(&query, CORE_WAIT_PARKED);
    read_frame(look());
    assert_refused(STATUS_ABORTED, "CHANGE_PARKED");
}

static void searchable_needs_an_index(void **state)
{
    (void)state;
    static const enum core_wait_outcome outcomes[] = {CORE_WAIT_UNKNOWN, CORE_WAIT_PENDING,
                                                      CORE_WAIT_REACHED, CORE_WAIT_PARKED};
    struct query query = wait_visible_query(VISIBLE_SEARCHABLE);
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        begin(&query, outcomes[i]);
        read_frame(look());
        assert_refused(STATUS_FAILED_PRECONDITION, "INDEX_NONE");
        assert_int_equal(fake.looks, 0); /* nobody learns which tickets there are */
    }
    begin(&query, CORE_WAIT_PENDING);
    fake.index_mode = 1;
    assert_int_equal(look(), 0);
    assert_int_equal(fake.visible.stage, VISIBLE_SEARCHABLE);
}

/* What was done with before a refresh is searchable, what was in its millisecond may not be. */
static void searchable_needs_evidence(void **state)
{
    (void)state;
    struct query query = wait_visible_query(VISIBLE_SEARCHABLE);
    begin(&query, CORE_WAIT_REACHED);
    fake.index_mode = 1;
    fake.done_ms = SEARCHABLE_BEFORE;
    assert_int_equal(look(), 0);
    assert_true(wait.unrefreshed);
    assert_false(answer_wait_goes_on(&wait)); /* another look finds nothing else */
    fake.done_ms = SEARCHABLE_BEFORE - 1;
    read_frame(look());
    assert_false(wait.unrefreshed);
    Activity__V1__WaitVisibleResponse *response =
        response_of(&activity__v1__wait_visible_response__descriptor, 0);
    assert_true(response->reached);
    protobuf_c_message_free_unpacked(&response->base, NULL);

    query = wait_visible_query(VISIBLE_ACKED);
    begin(&query, CORE_WAIT_REACHED);
    fake.index_mode = 1;
    fake.done_ms = SEARCHABLE_BEFORE;
    read_frame(look()); /* that it was accepted needs none */
    assert_int_equal(reply.code, STATUS_OK);
}

static bool message_has(const char *text)
{
    char message[LIMIT_STATUS_MESSAGE_LENGTH + 1];
    assert_in_range(reply.message.length, 0, LIMIT_STATUS_MESSAGE_LENGTH);
    memcpy(message, reply.message.bytes, reply.message.length);
    message[reply.message.length] = '\0';
    return strstr(message, text) != NULL;
}

static void a_parked_change_is_named_to_who_recorded_it(void **state)
{
    (void)state;
    struct query query = wait_visible_query(VISIBLE_ACKED);
    begin(&query, CORE_WAIT_PARKED);
    fake.has_parked = true;
    read_frame(look());
    assert_refused(STATUS_ABORTED, "CHANGE_PARKED");
    assert_true(message_has("park_id 12") && message_has("\"a-17\" of orders") &&
                message_has("mapper_parsing_exception: failed to parse field [n]"));

    query.wait.ticket = 0; /* somebody else may have recorded a change of the job */
    query.wait.job_id = 5;
    begin(&query, CORE_WAIT_PARKED);
    fake.has_parked = true;
    read_frame(look());
    assert_refused(STATUS_ABORTED, "CHANGE_PARKED");
    assert_true(message_has("park_id 12") && !message_has("a-17") && !message_has("failed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_reaches_the_core),
        cmocka_unit_test(activity_is_reached_or_not),
        cmocka_unit_test(changes_are_visible_or_not),
        cmocka_unit_test(what_will_never_be_is_refused_at_once),
        cmocka_unit_test(searchable_needs_an_index),
        cmocka_unit_test(searchable_needs_evidence),
        cmocka_unit_test(a_parked_change_is_named_to_who_recorded_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
