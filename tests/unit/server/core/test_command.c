/* The codecs of commands, entries' heads and effects: what goes in comes out, and any bytes give a
 * command or "malformed". */
#include "tests/unit/server/core/drive.h"

static uint8_t buffer[2 * 1024 * 1024];

static struct bytes encoded(const struct command *command)
{
    struct writer measure = writer_of(NULL, 0);
    command_encode(command, &measure);
    struct writer to = writer_of(buffer, sizeof buffer);
    command_encode(command, &to);
    assert_false(to.failed);
    assert_int_equal(to.wanted, measure.wanted);
    assert_int_equal(to.at - buffer, to.wanted);
    return bytes_of(buffer, to.wanted);
}

static bool decodes(struct bytes bytes, struct command *command)
{
    struct reader from = reader_of(bytes);
    bool decoded = command_decode(&from, command);
    assert_int_equal(decoded, !from.failed);
    return decoded && from.at == from.end;
}

static struct command_caller full_caller(void)
{
    struct command_caller caller = drive_caller("studio", "spiffe://test/app", "anna");
    caller.rights = RIGHT_UPDATE_ANY;
    for (int i = 0; i < LIMIT_CALLER_GROUPS; i++) {
        drive_in_group(&caller, "editors");
    }
    return caller;
}

static void caller_equals(const struct command_caller *a, const struct command_caller *b)
{
    assert_true(bytes_equal(a->tenant, b->tenant));
    assert_true(bytes_equal(a->principal, b->principal));
    assert_true(bytes_equal(a->user, b->user));
    assert_int_equal(a->rights, b->rights);
    assert_int_equal(a->group_count, b->group_count);
    for (uint32_t i = 0; i < a->group_count; i++) {
        assert_true(bytes_equal(a->groups[i], b->groups[i]));
    }
}

/* One of each kind, with everything in it. Lists point into the static bytes. */
static struct command example(enum command_kind kind)
{
    static uint8_t list[1024];
    struct writer to = writer_of(list, sizeof list);
    struct command c = {.kind = kind};
    struct command_change change = {.model = drive_text("mediacontainer"),
                                    .document_id = drive_text("123"),
                                    .affected_model = drive_text("mediaContainer"),
                                    .groups = {2, {drive_text("a"), drive_text("*")}},
                                    .deleted = true,
                                    .json = drive_text("{}")};
    switch (kind) {
    case COMMAND_EPOCH:
        c.epoch = (struct command_epoch){0x1111, {1, 2, 3}, 0x0fffffff, 7, 0x2222};
        break;
    case COMMAND_LIMITS:
        for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
            c.limits.values[i] = (uint64_t)i << 40 | i;
        }
        break;
    case COMMAND_UPGRADE:
        c.upgrade.core_version = 3;
        break;
    case COMMAND_TICK:
        command_beat_put(&to, drive_text("studio"), drive_text("anna"));
        command_beat_put(&to, drive_text("other"), drive_text("bert"));
        c.tick = (struct command_tick){5, 6, 2, bytes_of(list, to.wanted)};
        break;
    case COMMAND_CREATE:
        c.create = (struct command_create){.caller = full_caller(),
                                           .request_id = {0, 0, 1},
                                           .type = drive_text("upload"),
                                           .title = drive_text("A film"),
                                           .groups = {1, {drive_text("editors")}},
                                           .attributes = drive_text("attributes"),
                                           .parent_job_id = 11,
                                           .retry_of_job_id = 12};
        break;
    case COMMAND_UPDATE:
        c.update = (struct command_update){.caller = full_caller(),
                                           .job_id = 99,
                                           .has_percent = true,
                                           .percent = 100,
                                           .has_status_text = true,
                                           .status_text = drive_text("done"),
                                           .result = drive_text("result")};
        break;
    case COMMAND_BATCH:
        c.batch = (struct command_batch){full_caller(), 3, drive_text("\x02\x04\x06"),
                                         drive_text("\x01\x64\x03")};
        break;
    case COMMAND_DESTROY:
        c.destroy = (struct command_destroy){full_caller(), 1234};
        break;
    case COMMAND_RECORD:
        command_change_put(&to, &change);
        change.deleted = false;
        change.groups.count = 0;
        command_change_put(&to, &change);
        c.record = (struct command_record){.caller = full_caller(),
                                           .request_id = {1},
                                           .job_id = 8,
                                           .change_count = 2,
                                           .changes = bytes_of(list, to.wanted)};
        break;
    case COMMAND_TAKE:
        c.take = (struct command_take){.documents_max = 500, .bytes_max = 1 << 20};
        break;
    case COMMAND_RESULT:
        command_reason_put(&to, drive_text("MAPPING"), drive_text("no such field"));
        command_reason_put(&to, drive_text(""), drive_text(""));
        c.result = (struct command_result){.batch = 77,
                                           .version_seen = 1u << 30,
                                           .retry_after_ms = 30000,
                                           .count = 5,
                                           .outcomes = drive_text("\x03\x01\x03\x02\x0e"),
                                           .reasons = bytes_of(list, to.wanted)};
        break;
    case COMMAND_PARKED:
        c.parked = (struct command_parked){full_caller(), 5, PARKED_DISCARD};
        break;
    case COMMAND_INDEX_START:
    case COMMAND_KIND_END:
        break;
    }
    return c;
}

static void system_commands_round_trip(void **state)
{
    (void)state;
    struct command c;
    struct command want = example(COMMAND_EPOCH);
    assert_true(decodes(encoded(&want), &c));
    assert_memory_equal(&c.epoch, &want.epoch, sizeof c.epoch);
    want = example(COMMAND_LIMITS);
    assert_true(decodes(encoded(&want), &c));
    assert_memory_equal(&c.limits, &want.limits, sizeof c.limits);
    want = example(COMMAND_UPGRADE);
    assert_true(decodes(encoded(&want), &c));
    assert_int_equal(c.upgrade.core_version, 3);
    want = example(COMMAND_TICK);
    assert_true(decodes(encoded(&want), &c));
    assert_true(c.tick.index == 5 && c.tick.digest == 6 && c.tick.beat_count == 2);
    struct reader from = reader_of(c.tick.beats);
    struct bytes tenant;
    struct bytes user;
    assert_true(command_beat_next(&from, &tenant, &user));
    assert_true(bytes_equal(user, drive_text("anna")));
    assert_true(command_beat_next(&from, &tenant, &user));
    assert_true(bytes_equal(tenant, drive_text("other")));
    assert_false(command_beat_next(&from, &tenant, &user));
}

static void job_commands_round_trip(void **state)
{
    (void)state;
    struct command c;
    struct command want = example(COMMAND_CREATE);
    assert_true(decodes(encoded(&want), &c));
    caller_equals(&c.create.caller, &want.create.caller);
    assert_memory_equal(c.create.request_id, want.create.request_id, LIMIT_REQUEST_ID_LENGTH);
    assert_true(bytes_equal(c.create.type, want.create.type));
    assert_true(bytes_equal(c.create.title, want.create.title));
    assert_true(bytes_equal(c.create.attributes, want.create.attributes));
    assert_int_equal(c.create.groups.count, 1);
    assert_true(c.create.parent_job_id == 11 && c.create.retry_of_job_id == 12);
    assert_true(c.create.payload.length > 0);
    want = example(COMMAND_UPDATE);
    assert_true(decodes(encoded(&want), &c));
    caller_equals(&c.update.caller, &want.update.caller);
    assert_true(c.update.job_id == 99 && c.update.has_percent && c.update.percent == 100);
    assert_true(c.update.has_status_text && bytes_equal(c.update.status_text, drive_text("done")));
    assert_true(!c.update.has_failure && bytes_equal(c.update.result, drive_text("result")));
    want = example(COMMAND_BATCH);
    assert_true(decodes(encoded(&want), &c));
    assert_int_equal(c.batch.count, 3);
    assert_true(bytes_equal(c.batch.deltas, want.batch.deltas));
    assert_true(bytes_equal(c.batch.percents, want.batch.percents));
    want = example(COMMAND_DESTROY);
    assert_true(decodes(encoded(&want), &c));
    assert_int_equal(c.destroy.job_id, 1234);
    want = example(COMMAND_RECORD);
    assert_true(decodes(encoded(&want), &c));
    assert_int_equal(c.record.job_id, 8);
    struct reader from = reader_of(c.record.changes);
    struct command_change change;
    assert_true(command_change_next(&from, &change));
    assert_true(change.deleted && change.groups.count == 2);
    assert_true(bytes_equal(change.json, drive_text("{}")));
    assert_true(command_change_next(&from, &change));
    assert_false(change.deleted);
    assert_false(command_change_next(&from, &change));
}

/* Equal requests have equal payloads, whoever makes them and however often. */
static void payloads_compare(void **state)
{
    (void)state;
    struct command a;
    struct command b;
    static uint8_t copy[8192];
    struct command want = example(COMMAND_CREATE);
    struct bytes bytes = encoded(&want);
    memcpy(copy, bytes.at, bytes.length);
    assert_true(decodes(bytes_of(copy, bytes.length), &a));
    want.create.caller = drive_caller("other", "spiffe://test/x", NULL);
    want.create.request_id[0] = 9;
    assert_true(decodes(encoded(&want), &b));
    assert_true(bytes_equal(a.create.payload, b.create.payload));
    want.create.retry_of_job_id = 13;
    assert_true(decodes(encoded(&want), &b));
    assert_false(bytes_equal(a.create.payload, b.create.payload));
}

/* Cut anywhere, or with one byte more: malformed, each of them. */
static void cut_commands_are_malformed(void **state)
{
    (void)state;
    struct command c;
    static uint8_t copy[16384];
    for (int kind = COMMAND_EPOCH; kind < COMMAND_KIND_END; kind++) {
        struct command want = example((enum command_kind)kind);
        struct bytes bytes = encoded(&want);
        for (uint32_t length = 0; length < bytes.length; length++) {
            assert_false(decodes(bytes_of(bytes.at, length), &c));
            if (length < 5) {
                continue;
            }
            memcpy(copy, bytes.at, length); /* with a length that agrees */
            uint32_t body = length - 5;
            memcpy(copy + 1, &body, sizeof body);
            assert_false(decodes(bytes_of(copy, length), &c));
        }
        memcpy(copy, bytes.at, bytes.length);
        copy[bytes.length] = 0;
        uint32_t body = bytes.length - 4;
        memcpy(copy + 1, &body, sizeof body);
        assert_false(decodes(bytes_of(copy, bytes.length + 1), &c));
    }
}

/* Any bytes decode or do not; what decodes has one encoding. */
static void mutated_commands_are_canonical(void **state)
{
    (void)state;
    uint64_t random = 77;
    static uint8_t copy[16384];
    static uint8_t again[16384];
    int decoded = 0;
    for (int round = 0; round < 100000; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct command c = example((enum command_kind)(1 + round % (COMMAND_KIND_END - 1)));
        struct bytes bytes = encoded(&c);
        memcpy(copy, bytes.at, bytes.length);
        copy[(random >> 33) % bytes.length] = (uint8_t)(random >> 20);
        if (!decodes(bytes_of(copy, bytes.length), &c)) {
            (void)command_effects_max(bytes_of(copy, bytes.length));
            continue;
        }
        decoded++;
        struct writer to = writer_of(again, sizeof again);
        command_encode(&c, &to);
        assert_int_equal(to.wanted, bytes.length);
        assert_memory_equal(again, copy, bytes.length);
    }
    assert_true(decoded > 10000);
}

static void rules_of_fields(void **state)
{
    (void)state;
    struct command c;
    struct command bad = example(COMMAND_CREATE);
    memset(bad.create.request_id, 0, sizeof bad.create.request_id);
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_CREATE);
    bad.create.groups = (struct command_groups){2, {drive_text("twice"), drive_text("twice")}};
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_CREATE);
    bad.create.type = drive_text("");
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_UPDATE);
    bad.update.percent = 99; /* with a result */
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_UPDATE);
    bad.update.has_failure = true; /* with 100 */
    bad.update.result = drive_text("");
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_UPDATE);
    bad.update.result = drive_text("");
    bad.update.percent = 101;
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_BATCH);
    bad.batch.percents = drive_text("\x01\x65\x03");
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_BATCH);
    bad.batch.deltas = drive_text("\x02\x04");
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_BATCH);
    bad.batch.deltas = drive_text("\x02\x04\x06\x80");
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_EPOCH);
    bad.epoch.first_generation = 1u << 28;
    assert_false(decodes(encoded(&bad), &c));
    bad = example(COMMAND_RECORD);
    bad.record.change_count = 3;
    assert_false(decodes(encoded(&bad), &c));
    bad.record.change_count = 1;
    assert_false(decodes(encoded(&bad), &c));
}

/* What a byte says of a document, and what none says. */
static void outcomes_have_rests(void **state)
{
    (void)state;
    struct command c;
    struct command result = example(COMMAND_RESULT);
    assert_true(decodes(encoded(&result), &c));
    assert_true(c.result.retry_after_ms == 30000 && c.result.version_seen == 1u << 30);
    assert_int_equal(index_outcome_of(c.result.outcomes.at[4]), INDEX_RETRY);
    assert_int_equal(index_rest_ms(30000, c.result.outcomes.at[3]), 30000);
    assert_int_equal(index_rest_ms(30000, c.result.outcomes.at[4]), 3750);
    assert_int_equal(index_retry(0), INDEX_RETRY);
    assert_int_equal(index_rest_ms(COMMAND_RETRY_AFTER_MAX_MS, index_retry(COMMAND_HALVINGS_MAX)),
                     1);
    result.result.retry_after_ms = COMMAND_RETRY_AFTER_MAX_MS;
    assert_true(decodes(encoded(&result), &c));
    result.result.retry_after_ms++;
    assert_false(decodes(encoded(&result), &c));
    result = (struct command){.kind = COMMAND_RESULT, .result = {.batch = 1, .count = 1}};
    for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
        uint8_t at = (uint8_t)byte;
        result.result.outcomes = bytes_of(&at, 1);
        bool good = byte == INDEX_ACKED || ((byte & 3) == INDEX_RETRY && byte >> 2 <= 21);
        assert_int_equal(decodes(encoded(&result), &c), good); /* parked: without its reason */
    }
}

/* The core reads deltas itself: padded, endless or overlong varints end the entry as malformed. */
static void deltas_are_minimal(void **state)
{
    (void)state;
    static const struct {
        const char *deltas;
        uint32_t length;
        enum core_outcome want;
    } cases[] = {
        {"\x02", 1, CORE_OK},
        {"\x82\x01", 2, CORE_OK},
        {"\x82\x00", 2, CORE_MALFORMED},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, CORE_OK},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, CORE_MALFORMED},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, CORE_MALFORMED},
        {"\xff\xff\xff\xff\xff\xff\xff\x7f", 8, CORE_OK},
        {"\xff\xff\xff\xff\xff\xff\xff\x00", 8, CORE_MALFORMED},
    };
    struct core_limits limits = drive_limits();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct drive *d = drive_new(&limits);
        struct command c = {.kind = COMMAND_BATCH,
                            .batch = {.caller = drive_caller("t", "p", NULL),
                                      .count = 1,
                                      .deltas = bytes_of(cases[i].deltas, cases[i].length),
                                      .percents = drive_text("\x01")}};
        drive_begin(d, 0, 0);
        drive_add(d, &c);
        assert_int_equal(drive_try(d), cases[i].want);
        drive_free(d);
    }
}

static void ids_of_every_size_are_read(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://test/app", "anna");
    uint64_t jobs[64];
    uint8_t percents[1000];
    uint64_t ids[1000];
    uint64_t random = 9;
    for (int i = 0; i < 64; i++) {
        jobs[i] = drive_create(d, &anna, "upload");
    }
    for (int round = 0; round < 300; round++) {
        uint32_t count = 1 + (uint32_t)round % 200;
        for (uint32_t i = 0; i < count; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            ids[i] = i % 2 == 0 ? jobs[(random >> 40) % 64] : random >> (random >> 58);
            percents[i] = 0;
        }
        struct reply_batch reply;
        drive_batch(d, &anna, &(struct drive_batch){count, ids, percents}, &reply);
        for (uint32_t i = 0; i < count; i += 2) {
            assert_int_equal(drive_batch_disposition(&reply, i), DISPOSITION_APPLIED);
        }
    }
    drive_free(d);
}

static void heads_round_trip(void **state)
{
    (void)state;
    const struct entry_head head = {.version = 1,
                                    .flags = ENTRY_RESUME | ENTRY_JUMP,
                                    .elapsed_ms = 2000,
                                    .writer = 5,
                                    .clock_ms = 1700000000000,
                                    .count = 3};
    uint8_t bytes[ENTRY_HEAD_BYTES];
    struct writer to = writer_of(bytes, sizeof bytes);
    entry_head_encode(&head, &to);
    assert_int_equal(to.wanted, ENTRY_HEAD_BYTES);
    struct entry_head got;
    struct reader from = reader_of(bytes_of(bytes, sizeof bytes));
    assert_true(entry_head_decode(&from, &got));
    assert_true(got.flags == head.flags && got.elapsed_ms == 2000 && got.writer == 5);
    assert_true(got.clock_ms == head.clock_ms && got.count == 3);
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 2}, {1, 4}, {2, 0xd1}, {20, 1}};
    for (size_t i = 0; i < 4; i++) {
        uint8_t copy[ENTRY_HEAD_BYTES];
        memcpy(copy, bytes, sizeof copy);
        copy[bad[i].at] = bad[i].value;
        from = reader_of(bytes_of(copy, sizeof copy));
        assert_false(entry_head_decode(&from, &got));
    }
    from = reader_of(bytes_of(bytes, sizeof bytes - 1));
    assert_false(entry_head_decode(&from, &got));
}

static void events_round_trip(void **state)
{
    (void)state;
    uint8_t body[EVENT_BYTES_MAX];
    for (int kind = EVENT_ACTIVITY_CREATED; kind <= EVENT_INDEX_CHANGED; kind++) {
        struct event event = {.kind = (enum event_kind)kind,
                              .sequence = 7,
                              .time_ms = 8,
                              .tenant = drive_text("studio"),
                              .principal = drive_text("p"),
                              .user = drive_text("anna"),
                              .groups = {2, {drive_text("a"), drive_text("b")}}};
        if (kind == EVENT_ACTIVITY_CREATED) {
            event.created.job_id = 5;
            event.created.title = drive_text("title");
            event.created.retry_of_job_id = 6;
        } else if (kind == EVENT_ACTIVITY_ENDED) {
            event.ended.state = ACTIVITY_FAILED;
            event.ended.percent = 40;
            event.ended.failure_message = drive_text("broken");
        } else {
            event.changed.document_id = drive_text("123");
            event.changed.deleted = true;
            event.changed.updated_ms = 200;
        }
        struct writer to = writer_of(body, sizeof body);
        event_encode(&event, &to);
        struct event got;
        assert_true(event_decode((uint8_t)kind, bytes_of(body, to.wanted), &got));
        assert_true(got.sequence == 7 && got.time_ms == 8 && got.groups.count == 2);
        assert_true(bytes_equal(got.user, drive_text("anna")));
        if (kind == EVENT_ACTIVITY_CREATED) {
            assert_true(bytes_equal(got.created.title, drive_text("title")));
            assert_true(got.created.job_id == 5 && got.created.retry_of_job_id == 6);
        } else if (kind == EVENT_ACTIVITY_ENDED) {
            assert_true(bytes_equal(got.ended.failure_message, drive_text("broken")));
            assert_int_equal(got.ended.percent, 40);
        } else {
            assert_true(got.changed.deleted && got.changed.updated_ms == 200);
            assert_true(bytes_equal(got.changed.document_id, drive_text("123")));
        }
        for (size_t length = 0; length < to.wanted; length++) {
            assert_false(event_decode((uint8_t)kind, bytes_of(body, length), &got));
        }
        assert_false(event_decode(9, bytes_of(body, to.wanted), &got));
    }
}

/* The bound that the engine closes entries by holds for the longest that can be said. */
static void effects_stay_within_their_bound(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    static char text[4096];
    memset(text, 'x', sizeof text);
    struct command_caller caller = {.tenant = bytes_of(text, LIMIT_TENANT_LENGTH),
                                    .principal = bytes_of(text, LIMIT_PRINCIPAL_LENGTH),
                                    .user = bytes_of(text, LIMIT_USER_LENGTH)};
    struct command c = drive_create_command(d, &caller, "upload");
    c.create.title = bytes_of(text, LIMIT_TITLE_LENGTH);
    c.create.type = bytes_of(text, LIMIT_TYPE_LENGTH);
    c.create.attributes = bytes_of(text, LIMIT_ATTRIBUTES_BYTES);
    static char groups[8][LIMIT_GROUP_LENGTH];
    c.create.groups.count = 8;
    for (int i = 0; i < 8; i++) {
        memset(groups[i], 'a' + i, LIMIT_GROUP_LENGTH);
        c.create.groups.names[i] = bytes_of(groups[i], LIMIT_GROUP_LENGTH);
    }
    for (int ending = 0; ending < 3; ending++) {
        d->request++;
        memcpy(c.create.request_id, &d->request, sizeof d->request);
        struct effect reply = drive_one(d, &c);
        uint64_t job = drive_created(&reply);
        assert_true(d->effects.length <= command_effects_max(encoded(&c)));
        struct command status = drive_update_command(&caller, job, 50);
        status.update.has_status_text = true;
        status.update.status_text = bytes_of(text, LIMIT_STATUS_TEXT_LENGTH);
        (void)drive_apply_update(d, &status);
        struct command end = drive_update_command(&caller, job, 100);
        if (ending == 1) {
            end.update.has_percent = false;
            end.update.percent = 0;
            end.update.has_failure = true;
            end.update.failure_code = bytes_of(text, LIMIT_FAILURE_CODE_LENGTH);
            end.update.failure_message = bytes_of(text, LIMIT_FAILURE_MESSAGE_LENGTH);
        } else if (ending == 2) {
            uint8_t *deltas = malloc(10);
            assert_non_null(deltas);
            end = (struct command){.kind = COMMAND_BATCH, .batch = {.caller = caller, .count = 1}};
            end.batch.deltas = bytes_of(deltas, drive_deltas(&job, 1, deltas));
            end.batch.percents = drive_text("\x64");
            (void)drive_one(d, &end);
            assert_true(d->effects.length <= command_effects_max(encoded(&end)));
            free(deltas);
            continue;
        }
        (void)drive_apply_update(d, &end);
        assert_int_equal(d->events, 1);
        assert_true(d->effects.length <= command_effects_max(encoded(&end)));
    }
    drive_free(d);
}

static void limits_are_checked(void **state)
{
    (void)state;
    struct core_limits limits;
    core_limits_standard(&limits);
    assert_null(core_limits_check(&limits));
    struct core_limits bad = limits;
    bad.activities_max = 0;
    assert_string_equal(core_limits_check(&bad), "activities_max");
    bad = limits;
    bad.feed_keep_ms = 3600001;
    assert_string_equal(core_limits_check(&bad), "feed_keep_ms");
    bad = limits;
    bad.request_id_least_ms = bad.request_id_most_ms + 1;
    assert_string_equal(core_limits_check(&bad), "request_id_least_ms");
    bad = limits;
    bad.results_max = 5;
    bad.names_max = 9000000;
    core_limits_raise(&bad, &limits);
    assert_true(bad.results_max == limits.results_max && bad.names_max == 9000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_commands_round_trip),
        cmocka_unit_test(job_commands_round_trip),
        cmocka_unit_test(payloads_compare),
        cmocka_unit_test(cut_commands_are_malformed),
        cmocka_unit_test(mutated_commands_are_canonical),
        cmocka_unit_test(rules_of_fields),
        cmocka_unit_test(outcomes_have_rests),
        cmocka_unit_test(deltas_are_minimal),
        cmocka_unit_test(ids_of_every_size_are_read),
        cmocka_unit_test(heads_round_trip),
        cmocka_unit_test(events_round_trip),
        cmocka_unit_test(effects_stay_within_their_bound),
        cmocka_unit_test(limits_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
