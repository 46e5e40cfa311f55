/* Who gets an event sees what it is about, and the other way round: every event of a core is judged
 * for every caller by the filter, by its key, and by what the core itself shows that caller. */
#include "tests/unit/server/core/drive.h"

#include <stdio.h>

#include "server/wire/event.h"

struct role {
    const char *tenant;
    const char *principal;
    const char *user;
    const char *groups[2];
    uint8_t rights;
};

#define APP   "spiffe://test/app"
#define OTHER "spiffe://test/other"

/* Names meet across roles on purpose: a group called as a user, a user called as a tenant. */
static const struct role roles[] = {
    {"studio", APP, "anna", {NULL}, 0},
    {"studio", OTHER, "anna", {NULL}, 0},
    {"studio", APP, "bert", {"editors", NULL}, 0},
    {"studio", APP, "bert", {"editors", "cutters"}, 0},
    {"studio", APP, "carl", {"anna", NULL}, 0},
    {"studio", APP, "editors", {NULL}, 0},
    {"studio", APP, "nobody", {"*", "unheard"}, 0},
    {"studio", OTHER, "bert", {NULL}, RIGHT_UPDATE_ANY},
    {"studio", APP, NULL, {NULL}, 0},
    {"studio", OTHER, NULL, {NULL}, 0},
    {"studio", OTHER, NULL, {"editors", NULL}, 0}, /* without a user groups do not count */
    {"studio", OTHER, NULL, {NULL}, RIGHT_ADMIN},
    {"studio", APP, "nobody", {NULL}, RIGHT_ADMIN},
    {"other", APP, "anna", {"editors", NULL}, 0},
    {"other", APP, NULL, {NULL}, 0},
    {"other", APP, "anna", {NULL}, RIGHT_ADMIN | RIGHT_UPDATE_ANY},
    {"unknown", APP, "anna", {"editors", NULL}, RIGHT_ADMIN},
};
#define ROLES (sizeof roles / sizeof roles[0])

static const struct role makers[] = {
    {"studio", APP, "anna", {NULL}, 0}, {"studio", OTHER, "bert", {NULL}, 0},
    {"studio", APP, NULL, {NULL}, 0},   {"studio", OTHER, NULL, {NULL}, 0},
    {"other", APP, "anna", {NULL}, 0},  {"other", OTHER, NULL, {NULL}, 0},
};
#define MAKERS (sizeof makers / sizeof makers[0])
static const char *const group_sets[][2] = {
    {NULL, NULL}, {"editors", NULL}, {"cutters", "editors"}, {"anna", NULL}, {"bert", "x"},
    {"*", NULL},  {"y", "*"}};
#define GROUP_SETS (sizeof group_sets / sizeof group_sets[0])
#define OBJECTS    (MAKERS * GROUP_SETS)

static struct command_caller caller_of(const struct role *role)
{
    struct command_caller caller = drive_caller(role->tenant, role->principal, role->user);
    caller.rights = role->rights;
    for (int i = 0; i < 2 && role->groups[i] != NULL; i++) {
        drive_in_group(&caller, role->groups[i]);
    }
    return caller;
}

static struct command_groups groups_of(size_t set)
{
    struct command_groups groups = {.count = 0};
    for (int i = 0; i < 2 && group_sets[set][i] != NULL; i++) {
        groups.names[groups.count++] = drive_text(group_sets[set][i]);
    }
    return groups;
}

/* ---- What a caller gets ---- */

static struct query_read everything;

static bool gets(const struct role *role, const struct effect *effect, bool all_tenants)
{
    struct command_caller caller = caller_of(role);
    struct query_read read = everything;
    struct event event;
    struct event_key key;
    struct event_filter filter;
    uint8_t encoded[EVENT_WIRE_MAX];
    assert_true(event_decode(effect->kind, effect->body, &event));
    size_t length = event_put(&event, encoded, &key);
    read.all_tenants = all_tenants;
    event_filter_init(&filter, &caller, &read);
    bool passes = event_passes(&filter, bytes_of(encoded, length));
    assert_true(event_may_pass(&filter, &key) || !passes);
    return passes;
}

/* The events of the last entry, each given to `judge`. Returns how many there were. */
static uint32_t each_event(const struct drive *d,
                           void (*judge)(const struct drive *d, const struct effect *effect))
{
    struct reader from = reader_of(d->effects);
    struct effect effect;
    uint32_t count = 0;
    while (effect_next(&from, &effect)) {
        if (effect.type == EFFECT_EVENT) {
            judge(d, &effect);
            count++;
        }
    }
    return count;
}

static void judge_activity(const struct drive *d, const struct effect *effect)
{
    struct event event;
    assert_true(event_decode(effect->kind, effect->body, &event));
    uint64_t job_id =
        event.kind == EVENT_ACTIVITY_CREATED ? event.created.job_id : event.ended.job_id;
    for (size_t r = 0; r < ROLES; r++) {
        struct command_caller caller = caller_of(&roles[r]);
        struct core_activity activity;
        bool sees = drive_get(d, &caller, job_id, &activity);
        if (gets(&roles[r], effect, false) != sees) {
            fail_msg("role %zu, kind %d: the core says %d", r, effect->kind, sees);
        }
        assert_true(gets(&roles[r], effect, true)); /* all tenants: whoever may see it */
    }
}

static void activities(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    uint32_t events = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        struct command_caller maker = caller_of(&makers[i / GROUP_SETS]);
        struct command command = drive_create_command(d, &maker, "upload");
        command.create.groups = groups_of(i % GROUP_SETS);
        struct effect reply = drive_one(d, &command);
        uint64_t job_id = drive_created(&reply);
        events += each_event(d, judge_activity);
        switch (i % 3) {
        case 0:
            (void)drive_update(d, &maker, job_id, 100);
            break;
        case 1:
            (void)drive_fail(d, &maker, job_id, "BROKEN");
            break;
        default:
            (void)drive_destroy(d, &maker, job_id);
            break;
        }
        events += each_event(d, judge_activity);
    }
    assert_int_equal(events, 2 * OBJECTS);
    drive_free(d);
}

/* Documents have the same names in every tenant. */
static bool core_shows(const struct drive *d, const struct role *role, enum core_change_view view,
                       struct bytes document_id)
{
    struct command_caller caller = caller_of(role);
    struct core_viewer viewer;
    struct core_change_walk walk;
    static struct core_change change;
    core_viewer_init(d->core, &caller, &viewer);
    core_change_walk_init(&walk, d->core, &viewer, view, 0);
    enum core_found found;
    while ((found = core_change_next(&walk, &change)) == CORE_FOUND) {
        if (bytes_equal(change.document_id, document_id)) {
            return true;
        }
    }
    assert_int_equal(found, CORE_END);
    return false;
}

static void judge_change(const struct drive *d, const struct effect *effect)
{
    struct event event;
    assert_true(event_decode(effect->kind, effect->body, &event));
    enum core_change_view view =
        event.kind == EVENT_INDEX_CHANGED ? CHANGES_INDEX : CHANGES_DATABASE;
    for (size_t r = 0; r < ROLES; r++) {
        bool shows = core_shows(d, &roles[r], view, event.changed.document_id);
        if (gets(&roles[r], effect, false) != shows) {
            fail_msg("role %zu, kind %d: the core says %d", r, effect->kind, shows);
        }
        assert_true(gets(&roles[r], effect, true));
    }
}

static void documents(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    uint32_t events = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "document-%zu", i);
        struct command_change change = {.model = drive_text("asset"),
                                        .document_id = drive_text(id),
                                        .affected_model = drive_text("Asset"),
                                        .groups = groups_of(i % GROUP_SETS)};
        uint8_t changes[512];
        struct writer to = writer_of(changes, sizeof changes);
        command_change_put(&to, &change);
        struct command command = {.kind = COMMAND_RECORD,
                                  .record = {.caller = caller_of(&makers[i / GROUP_SETS]),
                                             .change_count = 1,
                                             .changes = bytes_of(changes, to.wanted)}};
        command.record.request_id[0] = (uint8_t)(i + 1);
        assert_int_equal(drive_one(d, &command).code, STATUS_OK);
        assert_int_equal(each_event(d, judge_change), 1);
    }
    for (int tick = 0; tick < 10; tick++) {
        drive_tick(d, 100, 0);
        events += each_event(d, judge_change);
    }
    assert_int_equal(events, OBJECTS); /* in the index, each */
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activities),
        cmocka_unit_test(documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
