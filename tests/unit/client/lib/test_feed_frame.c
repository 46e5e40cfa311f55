/* Messages of the change-feed endpoint and pages of events: what protobuf-c packs, read as plain
 * structures; and what is refused. */
#include "tests/unit/client/lib/fake_feed.h"

#include "client/lib/event.h"
#include "client/lib/feed_frame.h"
#include "client/lib/feed_url.h"

/* A block of exactly its size, so that sanitizers see a read past its end. */
static bool decode(const uint8_t *bytes, size_t size, struct feed_frame *frame)
{
    static uint8_t memory[2 << 20];
    static struct arena arena;
    size_t capacity = FEED_FRAME_MEMORY(size);
    assert_true(capacity <= sizeof memory);
    arena_init(&arena, memory, capacity);
    uint8_t *exact = malloc(size + 1);
    assert_non_null(exact);
    if (size > 0) {
        memcpy(exact + 1, bytes, size);
    }
    bool good = feed_frame_decode((struct view){exact + 1, size}, &arena, frame);
    free(exact); /* nothing of the frame lies there */
    return good;
}

static void history(void **state)
{
    (void)state;
    static uint8_t bytes[LIMIT_FEED_MESSAGE_BYTES];
    struct feed_frame frame;
    size_t size = fake_history(UINT64_MAX, 5, 200, false, bytes);
    assert_true(decode(bytes, size, &frame));
    assert_int_equal(frame.kind, FEED_HISTORY);
    assert_true(frame.epoch == UINT64_MAX);
    assert_int_equal(frame.first, 5);
    assert_int_equal(frame.last, 200);
    assert_false(frame.goodbye);
    assert_int_equal(frame.event_count, 196);
    for (uint64_t i = 0; i < 196; i++) {
        assert_is_event(&frame.events[i], i + 5);
        assert_true(frame.events[i].cursor.epoch == UINT64_MAX);
    }
    const struct activity_event *created = &frame.events[3]; /* event 8 */
    assert_string_equal(created->activity->title, "T\xC3\xA4st");
    assert_string_equal(created->activity->owner, "ann");
    assert_string_equal(created->activity->creator, "spiffe://x/worker");
    assert_int_equal(created->activity->state, ACTIVITY_STATE_RUNNING);
    assert_int_equal(created->activity->create_time_ms, FAKE_TIME_MS + 8);
    assert_int_equal(created->activity->end_time_ms, 0);
    assert_int_equal(created->activity->group_count, 2);
    const struct activity_event *ended = &frame.events[0]; /* event 5 */
    assert_int_equal(ended->activity->state, ACTIVITY_STATE_COMPLETED);
    assert_int_equal(ended->activity->percent, 100);
    assert_int_equal(ended->activity->end_time_ms, FAKE_TIME_MS + 5);
    assert_null(ended->activity->failure);
    const struct activity_event *changed = &frame.events[5]; /* event 10 */
    assert_string_equal(changed->change->model, "mediacontainer");
    assert_string_equal(changed->change->document_id, "doc-10");
    assert_int_equal(changed->change->affected_model_count, 1);
    assert_string_equal(changed->change->affected_models[0].affected_model, "mediaContainer");
    assert_int_equal(changed->change->affected_models[0].first_ms, 1);
    assert_int_equal(changed->change->updated_ms, FAKE_TIME_MS + 10);
    assert_true(changed->deleted);

    size = fake_history(1, 1, 0, true, bytes);
    assert_true(decode(bytes, size, &frame));
    assert_int_equal(frame.first, 1);
    assert_int_equal(frame.last, 0);
    assert_int_equal(frame.event_count, 0);
    assert_true(frame.goodbye);
}

static size_t pack_event(const Activity__V1__ChangeEvent *event, uint8_t *to)
{
    memcpy(to, "c|", 2);
    uint8_t *end = field_write_varint(to + 2, 2, event->sequence);
    end = field_write_varint(end, 3, event->sequence);
    end = field_write_head(end, 4, activity__v1__change_event__get_packed_size(event));
    end += activity__v1__change_event__pack(event, end);
    return (size_t)(end - to);
}

static void whole_activity(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct feed_frame frame;
    Activity__V1__Attribute attributes[2] = {ACTIVITY__V1__ATTRIBUTE__INIT,
                                             ACTIVITY__V1__ATTRIBUTE__INIT};
    Activity__V1__Attribute *pointers[] = {&attributes[0], &attributes[1]};
    attributes[0].name = "file";
    attributes[0].value = "a.mov";
    attributes[1].name = "empty";
    Activity__V1__ActivityCreated created = ACTIVITY__V1__ACTIVITY_CREATED__INIT;
    created.job_id = (1ULL << 53) - 1;
    created.n_attributes = 2;
    created.attributes = pointers;
    created.parent_job_id = 4;
    created.retry_of_job_id = 5;
    Activity__V1__ChangeEvent event = ACTIVITY__V1__CHANGE_EVENT__INIT;
    event.sequence = 9;
    event.event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_ACTIVITY_CREATED;
    event.activity_created = &created;
    assert_true(decode(bytes, pack_event(&event, bytes), &frame));
    const struct activity_info *activity = frame.events[0].activity;
    assert_true(activity->job_id == (1ULL << 53) - 1);
    assert_int_equal(activity->attribute_count, 2);
    assert_string_equal(activity->attributes[0].value, "a.mov");
    assert_string_equal(activity->attributes[1].name, "empty");
    assert_string_equal(activity->attributes[1].value, "");
    assert_int_equal(activity->parent_job_id, 4);
    assert_int_equal(activity->retry_of_job_id, 5);
    assert_string_equal(activity->type, "");
    assert_string_equal(activity->status_text, "");

    Activity__V1__Failure failure = ACTIVITY__V1__FAILURE__INIT;
    failure.code = "BROKEN";
    Activity__V1__ActivityEnded ended = ACTIVITY__V1__ACTIVITY_ENDED__INIT;
    ended.state = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_FAILED;
    ended.status_text = "oh";
    ended.failure = &failure;
    event.event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_ACTIVITY_ENDED;
    event.activity_ended = &ended;
    assert_true(decode(bytes, pack_event(&event, bytes), &frame));
    activity = frame.events[0].activity;
    assert_int_equal(activity->state, ACTIVITY_STATE_FAILED);
    assert_string_equal(activity->status_text, "oh");
    assert_string_equal(activity->failure->code, "BROKEN");
    assert_string_equal(activity->failure->message, "");

    /* A kind of later days. */
    event.event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT__NOT_SET;
    assert_true(decode(bytes, pack_event(&event, bytes), &frame));
    assert_int_equal(frame.events[0].kind, ACTIVITY_EVENT_NONE);
    assert_int_equal(frame.events[0].cursor.sequence, 9);
}

static void bad_history(void **state)
{
    (void)state;
    static uint8_t bytes[LIMIT_FEED_MESSAGE_BYTES];
    struct feed_frame frame;
    size_t size = fake_history(1, 5, 9, false, bytes);
    for (size_t cut = 0; cut < size; cut++) {
        assert_false(decode(bytes, cut, &frame));
    }
    bytes[0] = 'd'; /* no such topic */
    assert_false(decode(bytes, size, &frame));
    bytes[0] = 'p'; /* another message */
    assert_false(decode(bytes, size, &frame));
    bytes[0] = 'c';
    /* Of two events that are numbered 5 and 6. */
    const uint64_t numbers[][2] = {{5, 7}, {5, 5}, {4, 5},          {6, 7},          {0, 1}, {6, 5},
                                   {6, 4}, {0, 0}, {1, UINT64_MAX}, {UINT64_MAX, 0}, {7, 8}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint8_t *to = bytes + 2;
        to = field_write_varint(to, 2, numbers[i][0]);
        to = field_write_varint(to, 3, numbers[i][1]);
        to = fake_put_events(5, 6, 4, to);
        assert_false(decode(bytes, (size_t)(to - bytes), &frame));
    }
    /* Events out of order, or one twice. */
    uint8_t *to = field_write_varint(field_write_varint(bytes + 2, 2, 5), 3, 6);
    to = fake_put_events(5, 5, 4, fake_put_events(6, 6, 4, to));
    assert_false(decode(bytes, (size_t)(to - bytes), &frame));
    to = field_write_varint(field_write_varint(bytes + 2, 2, 5), 3, 6);
    to = fake_put_events(5, 5, 4, fake_put_events(5, 5, 4, to));
    assert_false(decode(bytes, (size_t)(to - bytes), &frame));
}

/* Text that is none, in every place that has some. */
static void bad_text(void **state)
{
    (void)state;
    static const char *const bad[] = {"a\nb", "\xC3", "\xC0\x80", "\xED\xA0\x80", "\x7F\xC2\x85"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (int place = 0; place < 8; place++) {
            char *text = (char *)bad[i];
            char *groups[] = {place == 3 ? text : "g"};
            Activity__V1__DocumentChanged changed = ACTIVITY__V1__DOCUMENT_CHANGED__INIT;
            Activity__V1__ChangeEvent event = ACTIVITY__V1__CHANGE_EVENT__INIT;
            event.sequence = 1;
            event.tenant = place == 0 ? text : "t";
            event.principal = place == 1 ? text : "p";
            event.user = place == 2 ? text : "u";
            event.n_groups = 1;
            event.groups = groups;
            event.event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_MODEL_CHANGED;
            event.model_changed = &changed;
            changed.model = place == 4 ? text : "m";
            changed.document_id = place == 5 ? text : "d";
            changed.affected_model = place == 6 ? text : "a";
            uint8_t bytes[512];
            struct feed_frame frame;
            assert_true(decode(bytes, pack_event(&event, bytes), &frame) == (place == 7));
        }
    }
}

/* Few bytes that become many, as far as they may. */
static void bombs(void **state)
{
    (void)state;
    static uint8_t bytes[LIMIT_FEED_MESSAGE_BYTES];
    struct feed_frame frame;
    const uint8_t tags[] = {0x32, 0x3A}; /* of a group, of a creation */
    for (size_t i = 0; i < sizeof tags; i++) {
        /* One event of nothing but that. */
        size_t count = 30000;
        uint8_t *to = bytes + 2;
        memcpy(bytes, "c|", 2);
        to = field_write_varint(field_write_varint(to, 2, 1), 3, 1);
        to = field_write_head(to, 4, 2 + count * 2);
        to = field_write_varint(to, 1, 1);
        for (size_t n = 0; n < count; n++) {
            *to++ = tags[i];
            *to++ = 0;
        }
        assert_true(decode(bytes, (size_t)(to - bytes), &frame) == (i == 0));
        if (i == 0) {
            assert_int_equal(frame.events[0].group_count, count);
            assert_string_equal(frame.events[0].groups[count - 1], "");
        }
    }
    /* Many small events. */
    uint8_t *to = bytes + 2;
    to = field_write_varint(field_write_varint(to, 2, 1), 3, 6000);
    for (uint64_t n = 1; n <= 6000; n++) {
        to = field_write_head(to, 4, field_varint_size(n) + 2);
        to = field_write_varint(to, 1, n);
        to = field_write_head(to, 7, 0);
    }
    assert_false(decode(bytes, (size_t)(to - bytes), &frame));
}

/* --- Progress --- */

static size_t pack_progress(const Activity__V1__ProgressFrame *frame, uint8_t *to)
{
    memcpy(to, "p|", 2);
    return 2 + activity__v1__progress_frame__pack(frame, to + 2);
}

static void progress(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    int64_t deltas[] = {1000, -500, 1LL << 40};
    uint8_t percents[] = {0, 100, 42};
    uint8_t indexes[] = {1, 0, 1};
    char *tenants[] = {"acme", "other"};
    Activity__V1__ProgressText texts[2] = {ACTIVITY__V1__PROGRESS_TEXT__INIT,
                                           ACTIVITY__V1__PROGRESS_TEXT__INIT};
    Activity__V1__ProgressText *pointers[] = {&texts[0], &texts[1]};
    texts[0].index = 2;
    texts[0].status_text = "";
    texts[1].index = 0;
    texts[1].status_text = "half";
    Activity__V1__ProgressFrame from = ACTIVITY__V1__PROGRESS_FRAME__INIT;
    from.epoch = 7;
    from.number = 8;
    from.time_ms = 9;
    from.n_job_id_deltas = 3;
    from.job_id_deltas = deltas;
    from.percents = (ProtobufCBinaryData){3, percents};
    from.n_tenants = 2;
    from.tenants = tenants;
    from.tenant_indexes = (ProtobufCBinaryData){3, indexes};
    from.n_texts = 2;
    from.texts = pointers;
    struct feed_frame frame;
    assert_true(decode(bytes, pack_progress(&from, bytes), &frame));
    assert_int_equal(frame.kind, FEED_PROGRESS);
    assert_int_equal(frame.epoch, 7);
    assert_int_equal(frame.number, 8);
    assert_int_equal(frame.time_ms, 9);
    assert_int_equal(frame.job_count, 3);
    assert_int_equal(frame.jobs[0].job_id, 1000);
    assert_int_equal(frame.jobs[1].job_id, 500);
    assert_true(frame.jobs[2].job_id == (1ULL << 40) + 500);
    assert_int_equal(frame.jobs[1].percent, 100);
    assert_string_equal(frame.tenants[frame.jobs[0].tenant], "other");
    assert_string_equal(frame.tenants[frame.jobs[1].tenant], "acme");
    assert_string_equal(frame.jobs[0].status_text, "half");
    assert_null(frame.jobs[1].status_text);
    assert_string_equal(frame.jobs[2].status_text, "");

    /* Unpacked job ids, and packed ones in two pieces, are the same message. */
    static const uint8_t other[] = {'p',  '|',  0x20, 4, 0x22, 1, 2,    0x22, 2,  0x80,
                                    0x01, 0x2A, 3,    1, 2,    3, 0x32, 1,    't'};
    assert_true(decode(other, sizeof other, &frame));
    assert_int_equal(frame.job_count, 3);
    assert_int_equal(frame.jobs[0].job_id, 2);
    assert_int_equal(frame.jobs[1].job_id, 3);
    assert_int_equal(frame.jobs[2].job_id, 67);

    /* A heartbeat. */
    from = (Activity__V1__ProgressFrame)ACTIVITY__V1__PROGRESS_FRAME__INIT;
    from.number = 3;
    assert_true(decode(bytes, pack_progress(&from, bytes), &frame));
    assert_int_equal(frame.job_count, 0);
    assert_int_equal(frame.number, 3);
}

static void bad_progress(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[24];
        size_t size;
    } bad[] = {
        {{0x22, 2, 2, 2, 0x2A, 1, 1, 0x32, 1, 't'}, 10},             /* counts differ */
        {{0x22, 1, 2, 0x2A, 2, 1, 1, 0x32, 1, 't'}, 10},             /* the other way round */
        {{0x22, 1, 2, 0x2A, 1, 1}, 6},                               /* no tenant */
        {{0x22, 1, 2, 0x2A, 1, 101, 0x32, 1, 't'}, 9},               /* 101 % */
        {{0x22, 1, 1, 0x2A, 1, 1, 0x32, 1, 't'}, 9},                 /* job -1 */
        {{0x22, 1, 0x80, 0x2A, 1, 1, 0x32, 1, 't'}, 9},              /* a cut varint */
        {{0x22, 1, 2, 0x2A, 1, 1, 0x32, 1, 't', 0x3A, 1, 1}, 12},    /* tenant 1 of 1 */
        {{0x22, 1, 2, 0x2A, 1, 1, 0x32, 0, 0x32, 0}, 10},            /* which of two tenants */
        {{0x22, 1, 2, 0x2A, 1, 1, 0x32, 1, '\n'}, 9},                /* no text */
        {{0x22, 1, 2, 0x2A, 1, 1, 0x32, 1, 't', 0x42, 2, 8, 1}, 13}, /* text of job 1 of 1 */
        {{0x42, 0}, 2},                                              /* text of no job */
        {{0x08, 1}, 2},                                              /* an epoch of another type */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t bytes[32] = "p|";
        struct feed_frame frame;
        memcpy(bytes + 2, bad[i].bytes, bad[i].size);
        if (decode(bytes, bad[i].size + 2, &frame)) {
            fail_msg("%zu is taken", i);
        }
    }
    /* A delta of eleven bytes. */
    uint8_t long_delta[] = {'p', '|', 0x22, 11, 128,  128, 128, 128,  128, 128, 128,
                            128, 128, 128,  0,  0x2A, 1,   1,   0x32, 1,   't'};
    struct feed_frame frame;
    assert_false(decode(long_delta, sizeof long_delta, &frame));
}

/* --- Pages --- */

static bool decode_page(const uint8_t *bytes, size_t size, struct activity_changes *page)
{
    static uint8_t memory[1 << 20];
    static struct arena arena;
    arena_init(&arena, memory, sizeof memory);
    return event_page_decode((struct view){bytes, size}, &arena, page);
}

static uint8_t *put_cursor(uint64_t sequence, uint8_t *to)
{
    to = field_write_head(to, 2, field_fixed64_size(7) + field_varint_size(sequence));
    return field_write_varint(field_write_fixed64(to, 1, 7), 2, sequence);
}

static void pages(void **state)
{
    (void)state;
    static uint8_t bytes[8192];
    struct activity_changes page;
    /* With one of an unknown kind among them. */
    uint8_t *to = put_cursor(9, fake_put_events(3, 4, 1, bytes));
    to = field_write_varint(field_write_head(to, 1, 2), 1, 6);
    to = fake_put_events(8, 8, 1, to);
    to = field_write_varint(field_write_varint(to, 3, 2), 4, 12);
    assert_true(decode_page(bytes, (size_t)(to - bytes), &page));
    assert_int_equal(page.event_count, 3);
    assert_is_event(&page.events[0], 3);
    assert_is_event(&page.events[1], 4);
    assert_is_event(&page.events[2], 8);
    assert_int_equal(page.events[2].cursor.epoch, 7);
    assert_int_equal(page.cursor.epoch, 7);
    assert_int_equal(page.cursor.sequence, 9);
    assert_int_equal(page.oldest_sequence, 2);
    assert_int_equal(page.head_sequence, 12);
    assert_int_equal(page.reset, ACTIVITY_RESET_NONE);

    to = put_cursor(9, bytes);
    to = field_write_varint(field_write_head(to, 5, 2), 1, ACTIVITY_RESET_EPOCH);
    assert_true(decode_page(bytes, (size_t)(to - bytes), &page));
    assert_int_equal(page.reset, ACTIVITY_RESET_EPOCH);
    /* A reset without a reason; events out of order, twice, behind the cursor. */
    to = field_write_head(put_cursor(9, bytes), 5, 0);
    assert_false(decode_page(bytes, (size_t)(to - bytes), &page));
    to = fake_put_events(3, 3, 1, fake_put_events(4, 4, 1, put_cursor(9, bytes)));
    assert_false(decode_page(bytes, (size_t)(to - bytes), &page));
    to = fake_put_events(4, 4, 1, fake_put_events(4, 4, 1, put_cursor(9, bytes)));
    assert_false(decode_page(bytes, (size_t)(to - bytes), &page));
    to = fake_put_events(10, 10, 1, put_cursor(9, bytes));
    assert_false(decode_page(bytes, (size_t)(to - bytes), &page));
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(activity_event_kind_name(ACTIVITY_EVENT_NONE), "NONE");
    assert_string_equal(activity_event_kind_name(ACTIVITY_EVENT_CREATED), "ACTIVITY_CREATED");
    assert_string_equal(activity_event_kind_name(ACTIVITY_EVENT_INDEX_CHANGED), "INDEX_CHANGED");
    assert_string_equal(activity_event_kind_name(ACTIVITY_EVENT_FOUND_ALL), "FOUND_ALL");
    assert_string_equal(activity_event_kind_name(ACTIVITY_EVENT_RESET), "RESET");
    assert_string_equal(activity_event_kind_name(11), "UNKNOWN_VALUE");
    assert_string_equal(activity_reset_name(ACTIVITY_RESET_AHEAD), "AHEAD");
    assert_string_equal(activity_reset_name(-1), "UNKNOWN_VALUE");
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        const char *server;
        const char *expected;
    } cases[] = {
        {"tls+tcp://0.0.0.0:7402", "tls+tcp://a.example:1", "tls+tcp://a.example:7402"},
        {"tls+tcp://*:7402", "tls+tcp://10.0.0.1:1", "tls+tcp://10.0.0.1:7402"},
        {"tls+tcp://[::]:7402", "tls+tcp://[::1]:1", "tls+tcp://[::1]:7402"},
        {"tls+tcp4://0.0.0.0:5", "tls+tcp4://b:1", "tls+tcp://b:5"},
        {"tls+tcp://feed.example:7402", "tls+tcp://a:1", "tls+tcp://feed.example:7402"},
        {"tls+tcp://[::1]:7402", "tls+tcp://a:1", "tls+tcp://[::1]:7402"},
        {"", "tls+tcp://a:1", NULL},
        {"tcp://0.0.0.0:1", "tls+tcp://a:1", NULL},
        {"tls+tcp://0.0.0.0", "tls+tcp://a:1", NULL},
        {"tls+tcp://a-name-that-is-too-long-for-the-buffer.example:1", "tls+tcp://a:1", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char url[48];
        bool good = feed_url_resolve(cases[i].said, cases[i].server, url, sizeof url);
        assert_true(good == (cases[i].expected != NULL));
        if (good) {
            assert_string_equal(url, cases[i].expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history),      cmocka_unit_test(whole_activity),
        cmocka_unit_test(bad_history),  cmocka_unit_test(bad_text),
        cmocka_unit_test(bombs),        cmocka_unit_test(progress),
        cmocka_unit_test(bad_progress), cmocka_unit_test(pages),
        cmocka_unit_test(names),        cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
