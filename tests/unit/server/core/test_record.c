/* RecordModelChanges from command to both windows: the whole core, in simulated time. */
#include "tests/unit/server/core/parts.h"

#include <stdio.h>
#include <sys/mman.h>

#include "server/core/core.h"

#define EVENTS_KEPT 8192

/* A core, its clocks, and what its last entry did. */
struct world {
    struct core *core;
    size_t memory_bytes;
    uint64_t index;
    uint64_t wall_ms;
    uint8_t *entry;
    uint32_t commands;
    struct writer to; /* behind the entry's head */
    struct effect replies[64];
    uint32_t reply_count;
    struct event events[EVENTS_KEPT];
    uint32_t event_count;
};
#define ENTRY_ROOM (8u * 1024 * 1024)

static void entry_begin(struct world *world)
{
    world->commands = 0;
    world->to = writer_of(world->entry + ENTRY_HEAD_BYTES, ENTRY_ROOM - ENTRY_HEAD_BYTES);
}

static void add(struct world *world, const struct command *command)
{
    command_encode(command, &world->to);
    assert_false(world->to.failed);
    world->commands++;
}

static void effects_read(struct world *world, struct bytes effects)
{
    struct reader from = reader_of(effects);
    struct effect effect;
    world->reply_count = 0;
    world->event_count = 0;
    while (effect_next(&from, &effect)) {
        if (effect.type == EFFECT_REPLY) {
            assert_true(world->reply_count < 64);
            world->replies[world->reply_count++] = effect;
        } else {
            assert_true(world->event_count < EVENTS_KEPT);
            assert_true(
                event_decode(effect.kind, effect.body, &world->events[world->event_count++]));
        }
    }
}

/* Closes the entry and applies it `elapsed_ms` after the one before; both clocks move alike. */
static void run(struct world *world, uint32_t elapsed_ms)
{
    struct entry_head head = {.version = 1,
                              .elapsed_ms = (uint16_t)elapsed_ms,
                              .clock_ms = world->wall_ms += elapsed_ms,
                              .count = world->commands};
    struct writer to = writer_of(world->entry, ENTRY_HEAD_BYTES);
    struct bytes effects;
    entry_head_encode(&head, &to);
    assert_int_equal(core_apply(world->core, ++world->index,
                                bytes_of(world->entry, ENTRY_HEAD_BYTES + world->to.wanted),
                                &effects),
                     CORE_OK);
    effects_read(world, effects);
    assert_int_equal(world->reply_count, world->commands);
    entry_begin(world);
}

/* Time without commands. */
static void pass(struct world *world, uint64_t ms)
{
    for (; ms > 1000; ms -= 1000) {
        run(world, 1000);
    }
    run(world, (uint32_t)ms);
}

static void core_open(struct world *world, const struct core_limits *capacity)
{
    world->memory_bytes = core_memory_bytes(capacity);
    void *memory = mmap(NULL, world->memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    world->core = core_init(memory, capacity);
}

static struct world *world_new(const struct core_limits *limits)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->entry = malloc(ENTRY_ROOM);
    assert_non_null(world->entry);
    core_open(world, limits);
    entry_begin(world);
    add(world, &(struct command){
                   .kind = COMMAND_EPOCH,
                   .epoch = {.epoch = 1, .hash_key = "0123456789abcdef", .first_ticket = 500}});
    struct command given = {.kind = COMMAND_LIMITS};
    memcpy(given.limits.values, limits->values, sizeof limits->values);
    add(world, &given);
    run(world, 0);
    return world;
}

static void world_free(struct world *world)
{
    assert_null(core_verify(world->core));
    munmap(world->core, world->memory_bytes);
    free(world->entry);
    free(world);
}

/* Ends this core and goes on with one that was loaded from its snapshot. */
static void reload(struct world *world)
{
    struct parts_memory memory = {0};
    struct core_stream stream = {.context = &memory, .write = parts_write, .read = parts_read};
    struct core_limits limits;
    uint64_t hash = core_state_hash(world->core);
    assert_int_equal(core_snapshot_write(world->core, &stream), 0);
    munmap(world->core, world->memory_bytes);
    assert_int_equal(core_snapshot_limits(&stream, &limits), 0);
    memory.position = 0;
    core_open(world, &limits);
    assert_int_equal(core_snapshot_read(world->core, &stream), 0);
    assert_int_equal(core_state_hash(world->core), hash);
    free(memory.at);
}

/* ---- Commands ---- */

static struct command_caller caller_of(const char *tenant, const char *principal, const char *user)
{
    return (struct command_caller){.tenant = bytes_of(tenant, strlen(tenant)),
                                   .principal = bytes_of(principal, strlen(principal)),
                                   .user = bytes_of(user, strlen(user))};
}

struct changes_text {
    uint8_t at[4 * 1024 * 1024];
    struct writer to;
    uint32_t count;
};
static struct changes_text changes_text;

static void changes_begin(void)
{
    changes_text.to = writer_of(changes_text.at, sizeof changes_text.at);
    changes_text.count = 0;
}

static void change_add(const char *id, const char *affected, const char *group, const char *json)
{
    struct command_change change = {.model = TEXT("mediacontainer"),
                                    .document_id = bytes_of(id, strlen(id)),
                                    .affected_model = bytes_of(affected, strlen(affected)),
                                    .json = bytes_of(json, strlen(json))};
    if (group != NULL) {
        change.groups.count = 1;
        change.groups.names[0] = bytes_of(group, strlen(group));
    }
    command_change_put(&changes_text.to, &change);
    assert_false(changes_text.to.failed);
    changes_text.count++;
}

/* The changes begun and added, as one request. */
static void record_add(struct world *world, const struct command_caller *caller, uint64_t request,
                       uint64_t job_id)
{
    struct command command = {
        .kind = COMMAND_RECORD,
        .record = {.caller = *caller,
                   .job_id = job_id,
                   .change_count = changes_text.count,
                   .changes = bytes_of(changes_text.at, changes_text.to.wanted)}};
    memcpy(command.record.request_id, &request, sizeof request);
    command.record.request_id[15] = 1;
    add(world, &command);
}

/* One request with one change, in an entry of its own. */
static struct reply_record record(struct world *world, const struct command_caller *caller,
                                  uint64_t request, const char *id, const char *group)
{
    struct reply_record reply = {0};
    changes_begin();
    change_add(id, "mediaContainer", group, "{}");
    record_add(world, caller, request, 0);
    run(world, 0);
    if (world->replies[0].code == STATUS_OK) {
        reply_record_read(world->replies[0].body, &reply);
    }
    return reply;
}

static void expect_refusal(const struct world *world, enum status_code code,
                           enum status_reason reason, enum effect_field field)
{
    struct reply_refusal refusal;
    assert_int_equal(world->replies[0].code, code);
    assert_int_equal(world->replies[0].reason, reason);
    reply_refusal_read(world->replies[0].body, &refusal);
    assert_int_equal(refusal.field, field);
    assert_int_equal(world->event_count, 0);
}

/* Collects what a caller sees; returns how many documents. */
static uint32_t seen(const struct world *world, const struct command_caller *caller,
                     enum core_change_view view, struct core_change *change)
{
    struct core_viewer viewer;
    struct core_change_walk walk;
    uint32_t count = 0;
    core_viewer_init(world->core, caller, &viewer);
    core_change_walk_init(&walk, world->core, &viewer, view, 0);
    while (core_change_next(&walk, change) == CORE_FOUND) {
        count++;
    }
    return count;
}

/* ---- Tests ---- */

static void the_seeds_example(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    struct core_change change;
    assert_int_equal(record(world, &caller, 1, "123", "*").accept_ms, 0);
    pass(world, 50);
    assert_int_equal(record(world, &caller, 2, "123", "*").accept_ms, 50);
    pass(world, 50);
    assert_int_equal(record(world, &caller, 3, "123", "*").accept_ms, 100);
    assert_int_equal(core_next_deadline(world->core), 200);
    pass(world, 99);
    assert_int_equal(seen(world, &caller, CHANGES_INDEX, &change), 0);
    pass(world, 1);
    assert_int_equal(world->event_count, 1);
    const struct event *event = &world->events[0];
    assert_int_equal(event->kind, EVENT_INDEX_CHANGED);
    assert_true(bytes_equal(event->changed.model, TEXT("mediacontainer")));
    assert_true(bytes_equal(event->changed.document_id, TEXT("123")));
    assert_int_equal(event->changed.first_ms, 0);
    assert_int_equal(event->changed.last_ms, 100);
    assert_int_equal(event->changed.updated_ms, 200);
    assert_int_equal(seen(world, &caller, CHANGES_INDEX, &change), 1);
    assert_true(bytes_equal(change.model, TEXT("mediacontainer")));
    assert_true(bytes_equal(change.document_id, TEXT("123")));
    assert_int_equal(change.updated_ms, 200);
    assert_int_equal(change.affected_count, 1);
    assert_true(bytes_equal(change.affected[0].affected_model, TEXT("mediaContainer")));
    assert_int_equal(change.affected[0].first_ms, 0);
    assert_int_equal(change.affected[0].last_ms, 100);
    assert_int_equal(change.affected[0].updated_ms, 200);
    assert_int_equal(seen(world, &caller, CHANGES_DATABASE, &change), 1);
    assert_int_equal(change.updated_ms, 100);
    assert_int_equal(change.affected[0].first_ms, 0);
    assert_int_equal(change.affected[0].last_ms, 100);
    pass(world, 59899); /* 60 s after the latest change, and after the acceptance */
    assert_int_equal(seen(world, &caller, CHANGES_DATABASE, &change), 1);
    pass(world, 1);
    assert_int_equal(seen(world, &caller, CHANGES_DATABASE, &change), 0);
    assert_int_equal(core_changes_complete_since_ms(world->core, CHANGES_DATABASE), 101);
    pass(world, 99);
    assert_int_equal(seen(world, &caller, CHANGES_INDEX, &change), 1);
    pass(world, 1);
    assert_int_equal(seen(world, &caller, CHANGES_INDEX, &change), 0);
    world_free(world);
}

static void a_repetition_has_no_effect(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    struct core_info info;
    pass(world, 10);
    struct reply_record first = record(world, &caller, 1, "1", NULL);
    assert_int_equal(first.ticket, 500);
    assert_int_equal(first.accept_ms, 10);
    assert_int_equal(world->event_count, 1);
    for (uint32_t i = 0; i < 5; i++) {
        pass(world, 100);
        if (i == 2) {
            reload(world);
        }
        struct reply_record again = record(world, &caller, 1, "1", NULL);
        assert_int_equal(again.ticket, first.ticket);
        assert_int_equal(again.accept_ms, first.accept_ms);
        assert_int_equal(world->event_count, 0);
    }
    core_info(world->core, &info);
    assert_int_equal(info.tickets, 1);
    assert_int_equal(info.head_sequence, 2);
    (void)record(world, &caller, 1, "2", NULL);
    expect_refusal(world, STATUS_INVALID_ARGUMENT, REASON_REQUEST_ID_REUSED, FIELD_REQUEST_ID);
    struct command_caller other = caller_of("t", "q", "u");
    assert_int_equal(record(world, &other, 1, "1", NULL).ticket, 501);
    other = caller_of("t", "p", "v");
    assert_int_equal(record(world, &other, 1, "1", NULL).ticket, 502);
    other = caller_of("s", "p", "u");
    assert_int_equal(record(world, &other, 1, "1", NULL).ticket, 503);
    caller.rights = RIGHT_ADMIN; /* what the policy grants is not part of the payload */
    assert_int_equal(record(world, &caller, 1, "1", NULL).ticket, 500);
    pass(world, 600001);
    assert_int_equal(record(world, &caller, 1, "1", NULL).ticket, 504);
    world_free(world);
}

/* Both in one entry: the second is a repetition already. */
static void twice_in_one_entry(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    struct reply_record replies[2];
    changes_begin();
    change_add("1", "a", NULL, "{\"a\":1}");
    change_add("1", "b", NULL, "");
    record_add(world, &caller, 1, 0);
    record_add(world, &caller, 1, 0);
    run(world, 0);
    reply_record_read(world->replies[0].body, &replies[0]);
    reply_record_read(world->replies[1].body, &replies[1]);
    assert_int_equal(replies[0].ticket, replies[1].ticket);
    assert_int_equal(world->event_count, 2);
    world_free(world);
}

static void a_job_must_be_the_callers_to_change(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *world = world_new(&limits);
    struct command_caller owner = caller_of("t", "p", "u");
    struct command create = {
        .kind = COMMAND_CREATE,
        .create = {
            .caller = owner, .request_id = {[15] = 9}, .type = TEXT("upload"), .title = TEXT("x")}};
    create.create.groups.count = 1;
    create.create.groups.names[0] = TEXT("g");
    add(world, &create);
    run(world, 0);
    struct reply_create made;
    reply_create_read(world->replies[0].body, &made);
    struct {
        struct command_caller caller;
        uint64_t job_id;
        bool allowed;
    } cases[] = {
        {owner, made.job_id, true},
        {caller_of("t", "q", "u"), made.job_id, true}, /* the same user by another service */
        {caller_of("t", "p", "v"), made.job_id, false},
        {caller_of("t", "p", ""), made.job_id, true}, /* its creator */
        {caller_of("t", "q", ""), made.job_id, false},
        {caller_of("s", "p", "u"), made.job_id, false},
        {owner, made.job_id + 1, false},
        {owner, 12345, false},
        {caller_of("t", "q", ""), made.job_id, true}, /* these two with rights */
        {caller_of("t", "q", "v"), made.job_id, true},
        {caller_of("t", "p", "v"), made.job_id, false}, /* seen by a group, not changed */
    };
    cases[8].caller.rights = RIGHT_UPDATE_ANY;
    cases[9].caller.rights = RIGHT_ADMIN;
    cases[10].caller.group_count = 1;
    cases[10].caller.groups[0] = TEXT("g");
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        changes_begin();
        change_add("1", "m", NULL, "{}");
        record_add(world, &cases[i].caller, 100 + i, cases[i].job_id);
        run(world, 1);
        if (cases[i].allowed) {
            assert_int_equal(world->replies[0].code, STATUS_OK);
        } else {
            expect_refusal(world, STATUS_INVALID_ARGUMENT, REASON_UNKNOWN_JOB, FIELD_JOB_ID);
        }
    }
    world_free(world);
}

static void who_sees_a_change(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *world = world_new(&limits);
    struct command_caller by_user = caller_of("t", "p", "u");
    struct command_caller by_principal = caller_of("t", "p", "");
    (void)record(world, &by_user, 1, "user", NULL);
    (void)record(world, &by_user, 2, "group", "g");
    (void)record(world, &by_user, 3, "all", "*");
    (void)record(world, &by_principal, 4, "principal", NULL);
    pass(world, 200);
    struct {
        struct command_caller caller;
        const char *group;
        uint8_t rights;
        uint32_t sees;
    } cases[] = {
        {caller_of("t", "p", "u"), NULL, 0, 3},
        {caller_of("t", "q", "u"), NULL, 0, 3},
        {caller_of("t", "p", "v"), NULL, 0, 1},
        {caller_of("t", "q", "v"), "g", 0, 2},
        {caller_of("t", "q", "v"), "h", 0, 1},
        {caller_of("t", "q", "v"), "*", 0, 1}, /* naming it gives no more */
        {caller_of("t", "p", ""), NULL, 0, 4}, /* recorded all of them */
        {caller_of("t", "q", ""), NULL, 0, 1},
        {caller_of("t", "q", "v"), NULL, RIGHT_UPDATE_ANY, 1},
        {caller_of("t", "q", "v"), NULL, RIGHT_ADMIN, 4},
        {caller_of("t", "q", ""), NULL, RIGHT_ADMIN, 4},
        {caller_of("s", "p", "u"), "g", RIGHT_ADMIN, 0},
        {caller_of("none", "p", "u"), NULL, RIGHT_ADMIN, 0},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct core_change change;
        if (i == 11) {
            (void)record(world, &cases[i].caller, 5, "user",
                         NULL); /* the tenant exists, and has one of its own */
            pass(world, 200);
            cases[i].sees = 1;
        }
        cases[i].caller.rights = cases[i].rights;
        if (cases[i].group != NULL) {
            cases[i].caller.group_count = 1;
            cases[i].caller.groups[0] = bytes_of(cases[i].group, strlen(cases[i].group));
        }
        assert_int_equal(seen(world, &cases[i].caller, CHANGES_DATABASE, &change), cases[i].sees);
        assert_int_equal(seen(world, &cases[i].caller, CHANGES_INDEX, &change), cases[i].sees);
    }
    world_free(world);
}

/* The latest change of each model decides, and the root shows the newest of what is shown. */
static void each_model_is_seen_by_its_latest_change(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    struct command_caller other = caller_of("t", "p", "v");
    struct core_change change;
    changes_begin();
    change_add("1", "a", "*", "{}");
    change_add("1", "b", "*", "{}");
    record_add(world, &caller, 1, 0);
    run(world, 5);
    changes_begin();
    change_add("1", "b", NULL, "{}");
    record_add(world, &caller, 2, 0);
    run(world, 10);
    assert_int_equal(seen(world, &other, CHANGES_DATABASE, &change), 1);
    assert_int_equal(change.affected_count, 1);
    assert_true(bytes_equal(change.affected[0].affected_model, TEXT("a")));
    assert_int_equal(change.updated_ms, 5);
    assert_int_equal(seen(world, &caller, CHANGES_DATABASE, &change), 1);
    assert_int_equal(change.affected_count, 2);
    assert_int_equal(change.updated_ms, 15);
    world_free(world);
}

/* A cap refuses the whole request: no event, no ticket, nothing waits, nothing is seen. */
static void refuse_whole(struct world *world, enum status_reason reason, uint64_t request)
{
    struct command_caller caller = caller_of("t", "p", "u");
    struct core_info before;
    struct core_info after;
    core_info(world->core, &before);
    record_add(world, &caller, request, 0);
    run(world, 0);
    expect_refusal(world, STATUS_RESOURCE_EXHAUSTED, reason, FIELD_NONE);
    core_info(world->core, &after);
    assert_int_equal(after.head_sequence, before.head_sequence);
    assert_int_equal(after.tickets, before.tickets);
    assert_int_equal(after.pending_changes, before.pending_changes);
    assert_null(core_verify(world->core));
}

static void many(uint32_t from, uint32_t count, const char *json)
{
    changes_begin();
    for (uint32_t i = from; i < from + count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%u", i);
        change_add(id, "m", "*", json);
    }
}

static void caps_refuse_the_whole_request(void **state)
{
    (void)state;
    static char json[64 * 1024];
    struct core_limits limits = parts_limits();
    limits.change_documents_max = 1000;
    limits.change_models_max = 4000;
    limits.flush_documents = 16384;
    limits.flush_bytes = MIB(64);
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    struct core_change change;
    many(0, 513, "{}");
    refuse_whole(world, REASON_TOO_MANY_PENDING_CHANGES, 1);
    many(0, 512, "{}");
    record_add(world, &caller, 1, 0); /* the id of a refused request is not remembered */
    run(world, 0);
    assert_int_equal(world->replies[0].code, STATUS_OK);
    many(0, 1, "{}");
    refuse_whole(world, REASON_TOO_MANY_PENDING_CHANGES, 2);
    pass(world, 200); /* all are accepted now */
    memset(json, ' ', sizeof json - 1);
    many(0, 33, json);
    refuse_whole(world, REASON_TOO_MANY_PENDING_CHANGES, 3);
    many(0, 32, json);
    record_add(world, &caller, 3, 0);
    run(world, 0);
    assert_int_equal(world->replies[0].code, STATUS_OK);
    pass(world, 60200);

    for (uint64_t request = 10; request < 10 + limits.tickets_max - 2; request++) {
        (void)record(world, &caller, request, "1", NULL);
        assert_int_equal(world->replies[0].code, STATUS_OK);
        pass(world, 200);
    }
    many(0, 1, "{}");
    refuse_whole(world, REASON_TOO_MANY_TICKETS, 4);
    assert_int_equal(seen(world, &caller, CHANGES_DATABASE, &change), 1);
    world_free(world);
}

static void documents_in_use_have_a_cap(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    limits.flush_documents = 16384;
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    struct core_change change;
    many(0, 65, "{}");
    refuse_whole(world, REASON_TOO_MANY_DOCUMENTS, 1);
    assert_int_equal(seen(world, &caller, CHANGES_DATABASE, &change), 0);
    changes_begin();
    for (uint32_t i = 0; i < 300; i++) {
        change_add("same", "m", "*", "{}"); /* one document however often it comes */
    }
    record_add(world, &caller, 1, 0);
    run(world, 0);
    assert_int_equal(world->replies[0].code, STATUS_OK);
    many(0, 64, "{}");
    refuse_whole(world, REASON_TOO_MANY_DOCUMENTS, 2);
    many(0, 63, "{}");
    record_add(world, &caller, 2, 0);
    run(world, 0);
    assert_int_equal(world->replies[0].code, STATUS_OK);
    assert_int_equal(seen(world, &caller, CHANGES_DATABASE, &change), 64);
    pass(world, 200);
    many(100, 64, "{}"); /* now the old ones can leave */
    record_add(world, &caller, 3, 0);
    run(world, 0);
    assert_int_equal(world->replies[0].code, STATUS_OK);
    assert_int_equal(seen(world, &caller, CHANGES_DATABASE, &change), 64);
    assert_true(core_changes_complete_since_ms(world->core, CHANGES_DATABASE) > 0);
    world_free(world);
}

static void names_have_a_cap(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    limits.names_max = 1024;
    limits.pending_changes_max = 4096;
    limits.change_models_max = 4096;
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    changes_begin();
    for (uint32_t i = 0; i < 1100; i++) {
        char group[16];
        (void)snprintf(group, sizeof group, "g%u", i);
        change_add("1", "m", group, "{}");
    }
    refuse_whole(world, REASON_TOO_MANY_NAMES, 1);
    assert_int_equal(record(world, &caller, 1, "1", NULL).ticket, 500);
    world_free(world);
}

/* More than one entry may send is sent by those that follow at once. */
static void a_flush_is_bounded(void **state)
{
    (void)state;
    struct core_limits limits;
    core_limits_standard(&limits);
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    struct core_info info;
    for (uint32_t i = 0; i < 3; i++) {
        changes_begin();
        for (uint32_t k = 0; k < LIMIT_CHANGES; k++) {
            change_add("1", "m", NULL, "");
        }
        record_add(world, &caller, 1 + i, 0);
        run(world, 0);
    }
    run(world, 199);
    assert_int_equal(world->event_count, 0);
    run(world, 1);
    assert_int_equal(world->event_count, 1);
    core_info(world->core, &info);
    assert_int_equal(info.pending_changes, 3 * LIMIT_CHANGES - 8192);
    assert_true(core_next_deadline(world->core) <= info.service_ms);
    run(world, 0);
    core_info(world->core, &info);
    assert_int_equal(info.pending_changes, 0);
    assert_int_equal(info.tickets, 3);
    world_free(world);
}

static void pages_continue_behind_any_position(void **state)
{
    (void)state;
    struct core_limits limits;
    core_limits_standard(&limits);
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    struct command_caller stranger = caller_of("t", "p", "v");
    struct core_viewer viewer;
    struct core_change_walk walk;
    struct core_change change;
    for (uint32_t i = 0; i < 3; i++) {
        changes_begin();
        for (uint32_t k = 0; k < 2000; k++) {
            char id[16];
            (void)snprintf(id, sizeof id, "%u", i * 2000 + k);
            change_add(id, "m", NULL, "");
        }
        record_add(world, &caller, 1 + i, 0);
        run(world, 10);
    }
    core_viewer_init(world->core, &caller, &viewer);
    uint64_t position = 0;
    uint32_t expected = 0;
    uint32_t calls = 0;
    enum core_found found;
    do { /* 100 a page; a document that changes between pages comes again at the end */
        core_change_walk_init(&walk, world->core, &viewer, CHANGES_DATABASE, position);
        uint32_t on_page = 0;
        while ((found = core_change_next(&walk, &change)) == CORE_FOUND) {
            char id[16];
            (void)snprintf(id, sizeof id, "%u", expected++);
            assert_true(bytes_equal(change.document_id, bytes_of(id, strlen(id))));
            assert_int_equal(change.order, walk.position);
            if (++on_page == 100) {
                break;
            }
        }
        position = walk.position;
        calls++;
    } while (found != CORE_END);
    assert_int_equal(expected, 6000);
    assert_int_equal(calls, 61);
    core_viewer_init(world->core, &stranger,
                     &viewer); /* who sees nothing does not make the server look at everything */
    core_change_walk_init(&walk, world->core, &viewer, CHANGES_DATABASE, 0);
    assert_int_equal(core_change_next(&walk, &change), CORE_EXHAUSTED);
    assert_true(walk.touched <= LIMIT_FIND_TOUCHED + 2);
    position = walk.position;
    for (calls = 1; found != CORE_EXHAUSTED || calls < 10; calls++) {
        core_change_walk_init(&walk, world->core, &viewer, CHANGES_DATABASE, position);
        found = core_change_next(&walk, &change);
        assert_int_not_equal(found, CORE_FOUND);
        position = walk.position;
        if (found == CORE_END) {
            break;
        }
    }
    assert_int_equal(calls, 2);
    core_viewer_init(world->core, &caller, &viewer);
    core_change_walk_init(&walk, world->core, &viewer, CHANGES_DATABASE, 0);
    walk.updated_since_ms = 20;
    found = core_change_next(&walk, &change);
    assert_int_equal(found, CORE_FOUND);
    assert_true(bytes_equal(change.document_id, TEXT("2000")));
    world_free(world);
}

/* ---- P7 under random traffic, against a plain model ---- */

#define DOCUMENTS 20
#define MODELS    3
struct shown {
    uint64_t first_ms, last_ms, updated_ms;
    uint64_t oldest_waiting_ms; /* accept time, UINT64_MAX: nothing waits */
    uint64_t newest_waiting_ms;
    uint64_t waiting;
};

static struct shown *shown_of(struct shown table[DOCUMENTS][MODELS], const struct event *event)
{
    char id[16] = {0};
    memcpy(id, event->changed.document_id.at, event->changed.document_id.length);
    return &table[strtoul(id, NULL, 10)][event->changed.affected_model.at[0] - 'a'];
}

/* An accepted batch spans exactly what waited of the model, in order, and nothing goes back. */
static void check_events(struct world *world, struct shown table[DOCUMENTS][MODELS],
                         uint64_t *sequence)
{
    for (uint32_t i = 0; i < world->event_count; i++) {
        const struct event *event = &world->events[i];
        struct shown *shown = shown_of(table, event);
        uint8_t kind;
        uint8_t body[EVENT_BYTES_MAX];
        uint32_t length;
        struct event read;
        assert_int_equal(event->sequence, ++*sequence);
        assert_int_equal(event->time_ms, world->wall_ms);
        assert_true(core_event_read(world->core, event->sequence, &kind, body, &length));
        assert_true(event_decode(kind, bytes_of(body, length), &read));
        assert_int_equal(read.changed.last_ms, event->changed.last_ms);
        if (event->kind == EVENT_MODEL_CHANGED) {
            shown->oldest_waiting_ms =
                shown->waiting == 0 ? event->time_ms : shown->oldest_waiting_ms;
            shown->newest_waiting_ms = event->time_ms;
            shown->waiting++;
            continue;
        }
        assert_int_equal(event->kind, EVENT_INDEX_CHANGED);
        assert_true(shown->waiting != 0);
        assert_int_equal(event->changed.first_ms, shown->oldest_waiting_ms);
        assert_int_equal(event->changed.last_ms, shown->newest_waiting_ms);
        assert_int_equal(event->changed.updated_ms, world->wall_ms);
        assert_true(event->changed.first_ms >= shown->first_ms &&
                    event->changed.last_ms >= shown->last_ms &&
                    event->changed.updated_ms >= shown->updated_ms);
        *shown = (struct shown){.first_ms = event->changed.first_ms,
                                .last_ms = event->changed.last_ms,
                                .updated_ms = event->changed.updated_ms};
    }
}

static void time_ranges_never_go_back(void **state)
{
    (void)state;
    static struct shown table[DOCUMENTS][MODELS];
    struct core_limits limits = parts_limits();
    struct world *world = world_new(&limits);
    struct command_caller caller = caller_of("t", "p", "u");
    uint64_t seed = 3;
    uint64_t sequence = 0;
    for (uint32_t step = 0; step < 5000; step++) {
        uint64_t pick = parts_random(&seed);
        uint32_t count = (uint32_t)(pick & 3);
        changes_begin();
        for (uint32_t i = 0; i < count; i++) {
            char id[16];
            char affected[2] = {(char)('a' + (pick >> (16 + 4 * i)) % MODELS), 0};
            (void)snprintf(id, sizeof id, "%u", (unsigned)((pick >> (32 + 5 * i)) % DOCUMENTS));
            change_add(id, affected, (pick >> 8 & 1) != 0 ? "*" : NULL, "{\"x\":1}");
        }
        struct core_info info;
        core_info(world->core, &info);
        if (count != 0 && info.tickets < limits.tickets_max) {
            record_add(world, &caller, 1000 + step, 0);
        }
        uint32_t elapsed = (pick >> 60) == 0 ? 2000 : (uint32_t)(pick >> 50 & 255);
        if (world->commands == 0 && (pick >> 55 & 31) == 0) {
            pass(world, 600200); /* an idle while: tickets leave */
            memset(table, 0, sizeof table);
            core_info(world->core, &info);
            assert_int_equal(info.pending_changes, 0);
            sequence = info.head_sequence;
            continue;
        }
        run(world, elapsed);
        check_events(world, table, &sequence);
        if (step % 250 == 0) {
            assert_null(core_verify(world->core));
            reload(world);
        }
    }
    assert_true(sequence > 3000);
    world_free(world);
}

/* The same entries to a core that lives on and to one that is reloaded again and again: the same
 * digests. */
static void digests_agree_across_snapshots(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *one = world_new(&limits);
    struct world *two = world_new(&limits);
    struct command_caller callers[3] = {caller_of("t", "p", "u"), caller_of("t", "q", ""),
                                        caller_of("s", "p", "v")};
    uint64_t seed = 9;
    for (uint32_t step = 0; step < 1500; step++) {
        uint64_t pick = parts_random(&seed);
        changes_begin();
        for (uint32_t i = 0; i <= (pick & 7); i++) {
            char id[16];
            (void)snprintf(id, sizeof id, "%u", (unsigned)((pick >> (3 * i + 8)) % 200));
            change_add(id, (pick >> i & 1) != 0 ? "a" : "b", (pick >> 40 & 3) == 0 ? "g" : NULL,
                       "{}");
        }
        record_add(one, &callers[pick % 3], pick >> 50, 0);
        record_add(two, &callers[pick % 3], pick >> 50, 0);
        run(one, (uint32_t)(pick >> 20 & 1023));
        run(two, (uint32_t)(pick >> 20 & 1023));
        struct core_info info[2];
        core_info(one->core, &info[0]);
        core_info(two->core, &info[1]);
        assert_int_equal(info[0].digest, info[1].digest);
        assert_int_equal(core_next_deadline(one->core), core_next_deadline(two->core));
        if (step % 50 == 0) {
            assert_int_equal(core_state_hash(one->core), core_state_hash(two->core));
            reload(two);
        }
    }
    world_free(one);
    world_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seeds_example),
        cmocka_unit_test(a_repetition_has_no_effect),
        cmocka_unit_test(twice_in_one_entry),
        cmocka_unit_test(a_job_must_be_the_callers_to_change),
        cmocka_unit_test(who_sees_a_change),
        cmocka_unit_test(each_model_is_seen_by_its_latest_change),
        cmocka_unit_test(caps_refuse_the_whole_request),
        cmocka_unit_test(documents_in_use_have_a_cap),
        cmocka_unit_test(names_have_a_cap),
        cmocka_unit_test(a_flush_is_bounded),
        cmocka_unit_test(pages_continue_behind_any_position),
        cmocka_unit_test(time_ranges_never_go_back),
        cmocka_unit_test(digests_agree_across_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
