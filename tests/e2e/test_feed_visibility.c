/* P9 for the feed: no event reaches a caller outside tenant and rights, by any of the three ways:
 * found, read, or pushed (where the subscriber of everything is told whose it is, and a filter by
 * hand must come to the same). The whole matrix of who looks and what is looked at. */
#include <stdio.h>
#include <string.h>

#include "tests/e2e/harness_feed.h"
#include "tests/e2e/harness_peer.h"

static struct scene scene;
static struct server server;
static struct activity_error error;

/* Who looks. The gateway names users; worker and boss are principals of acme. */
enum {
    ANNA,
    BERT,
    CARL,
    NOBODY,
    OTHER_ANNA,
    WORKER,
    GATEWAY,
    GATEWAY_OTHER,
    BOSS,
    ROOT_OTHER,
    VIEWERS
};
static const struct viewer {
    const char *who;
    const char *tenant;
    const char *user;
    const char *groups[4];
    bool admin;
} viewers[VIEWERS] = {
    [ANNA] = {"gateway", "acme", "anna", {"editors", NULL}, false},
    [BERT] = {"gateway", "acme", "bert", {"editors", "night", NULL}, false},
    [CARL] = {"gateway", "acme", "carl", {"night", "day", NULL}, false},
    [NOBODY] = {"gateway", "acme", "nobody", {NULL}, false},
    [OTHER_ANNA] = {"gateway", "other", "anna", {"editors", "night", NULL}, false},
    [WORKER] = {"worker", "acme", NULL, {NULL}, false},
    [GATEWAY] = {"gateway", "acme", NULL, {NULL}, false},
    [GATEWAY_OTHER] = {"gateway", "other", NULL, {NULL}, false},
    [BOSS] = {"boss", "acme", NULL, {NULL}, true},
    [ROOT_OTHER] = {"root", "other", NULL, {NULL}, true},
};
static activity_client *clients[VIEWERS];

/* Groups of an object. */
static const char *const group_sets[][3] = {
    {NULL}, {"editors", NULL}, {"night", NULL}, {"day", "editors", NULL}, {"*", NULL}};
enum { GROUP_SETS = sizeof group_sets / sizeof group_sets[0] };
static const int makers[] = {ANNA, CARL, OTHER_ANNA, WORKER, GATEWAY, BOSS};
enum { MAKERS = sizeof makers / sizeof makers[0], OBJECTS = MAKERS * GROUP_SETS };

/* Object n is made by makers[n / GROUP_SETS] with group_sets[n % GROUP_SETS]. */
static uint64_t jobs[OBJECTS];

static size_t count_of(const char *const *names)
{
    size_t count = 0;
    while (names[count] != NULL) {
        count++;
    }
    return count;
}

static char principals[VIEWERS][64]; /* made by set_up, read by all threads */

/* The rule in words: own tenant; admin; the owner, or the principal that calls for itself; a group
 * in common; and for documents "*" is everybody. */
struct whose {
    const char *tenant;
    const char *principal;
    const char *user; /* "" for none */
    const char *const *groups;
    size_t group_count;
    bool of_document;
};

static bool shares_group(const struct viewer *viewer, const struct whose *whose)
{
    for (size_t i = 0; i < whose->group_count; i++) {
        if (whose->of_document && strcmp(whose->groups[i], "*") == 0) {
            return true;
        }
        for (size_t k = 0; viewer->groups[k] != NULL; k++) {
            if (strcmp(viewer->groups[k], whose->groups[i]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool may_see(size_t v, const struct whose *whose)
{
    const struct viewer *viewer = &viewers[v];
    if (strcmp(viewer->tenant, whose->tenant) != 0) {
        return false;
    }
    bool own = viewer->user != NULL ? strcmp(viewer->user, whose->user) == 0
                                    : strcmp(principals[v], whose->principal) == 0;
    return viewer->admin || own || shares_group(viewer, whose);
}

static struct whose whose_object(size_t object, bool of_document)
{
    const int maker = makers[object / GROUP_SETS];
    const char *const *groups = group_sets[object % GROUP_SETS];
    bool for_all = groups[0] != NULL && strcmp(groups[0], "*") == 0; /* of documents only */
    return (struct whose){viewers[maker].tenant,
                          principals[maker],
                          viewers[maker].user == NULL ? "" : viewers[maker].user,
                          groups,
                          for_all && !of_document ? 0 : count_of(groups),
                          of_document};
}

/* ---- The scene: everything is made once ---- */

static void document_of(size_t object, char id[32])
{
    (void)snprintf(id, 32, "doc-%zu", object);
}

static void make(size_t object)
{
    activity_client *client = clients[makers[object / GROUP_SETS]];
    const char *const *groups = group_sets[object % GROUP_SETS];
    const struct whose job = whose_object(object, false);
    const struct activity_create_request create = {
        .type = "upload", .title = "secret", .groups = groups, .group_count = job.group_count};
    struct activity_created created;
    assert_ok(activity_create(client, &create, NULL, &created, &error), error);
    jobs[object] = created.job_id;
    const struct activity_update_request end = {
        .job_id = created.job_id, .set_percent = true, .percent = 100};
    assert_ok(activity_update(client, &end, NULL, NULL, &error), error);
    char id[32];
    document_of(object, id);
    const struct activity_document_change change = {.model = "visible",
                                                    .document_id = id,
                                                    .affected_model = "Visible",
                                                    .groups = groups,
                                                    .group_count = count_of(groups)};
    const struct activity_record_request record = {.changes = &change, .change_count = 1};
    assert_ok(activity_record_changes(client, &record, NULL, NULL, &error), error);
}

/* What was seen, by object and kind. */
struct sight {
    unsigned created[OBJECTS];
    unsigned ended[OBJECTS];
    unsigned changed[OBJECTS];
    unsigned indexed[OBJECTS];
    unsigned foreign; /* of no object */
};

static void see(struct sight *sight, enum activity_event_kind kind, uint64_t job_id,
                const char *document_id)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        char id[32];
        document_of(i, id);
        if (job_id != 0 ? job_id == jobs[i] : strcmp(document_id, id) == 0) {
            sight->created[i] += kind == ACTIVITY_EVENT_CREATED;
            sight->ended[i] += kind == ACTIVITY_EVENT_ENDED;
            sight->changed[i] += kind == ACTIVITY_EVENT_MODEL_CHANGED;
            sight->indexed[i] += kind == ACTIVITY_EVENT_INDEX_CHANGED;
            return;
        }
    }
    sight->foreign++;
}

static void see_event(struct sight *sight, const struct activity_event *event)
{
    see(sight, event->kind, event->activity != NULL ? event->activity->job_id : 0,
        event->change != NULL ? event->change->document_id : "");
}

/* All that was pushed, kept until it is known which job is whose: an event may come before the
 * answer to its call. */
static struct {
    enum activity_event_kind kind;
    uint64_t job_id;
    char document_id[32];
    unsigned seen_by; /* bits of viewers, by the event alone */
} pushed[4 * OBJECTS];
static size_t pushed_count;
static _Atomic unsigned indexed;

static void on_pushed(void *context, const struct activity_event *event)
{
    (void)context;
    if (event->kind > ACTIVITY_EVENT_INDEX_CHANGED) {
        return;
    }
    const struct whose whose = {event->tenant, event->principal,   event->user,
                                event->groups, event->group_count, event->change != NULL};
    size_t at = pushed_count++;
    assert_true(at < sizeof pushed / sizeof pushed[0]);
    pushed[at].kind = event->kind;
    pushed[at].job_id = event->activity != NULL ? event->activity->job_id : 0;
    (void)snprintf(pushed[at].document_id, sizeof pushed[at].document_id, "%s",
                   event->change != NULL ? event->change->document_id : "");
    for (size_t v = 0; v < VIEWERS; v++) {
        pushed[at].seen_by |= (unsigned)may_see(v, &whose) << v;
    }
    atomic_fetch_add(&indexed, event->kind == ACTIVITY_EVENT_INDEX_CHANGED);
}

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    server_start(&server, &scene, NULL);
    for (size_t i = 0; i < VIEWERS; i++) {
        (void)snprintf(principals[i], sizeof principals[i], "spiffe://test/%s", viewers[i].who);
        clients[i] = client_of(&server, viewers[i].who, viewers[i].tenant, viewers[i].user,
                               viewers[i].user == NULL ? NULL : viewers[i].groups);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < VIEWERS; i++) {
        activity_client_free(clients[i]);
    }
    assert_int_equal(server_stop(&server), 0);
    scene_end(&scene);
    return 0;
}

static void check(size_t v, const struct sight *sight, const char *way)
{
    for (size_t i = 0; i < OBJECTS; i++) {
        const struct whose job = whose_object(i, false);
        const struct whose document = whose_object(i, true);
        unsigned sees_job = may_see(v, &job);
        unsigned sees_document = may_see(v, &document);
        if (sight->created[i] != sees_job || sight->ended[i] != sees_job ||
            sight->changed[i] != sees_document || sight->indexed[i] != sees_document) {
            fail_msg("%s: viewer %zu, object %zu: job %u, document %u; seen %u %u %u %u", way, v, i,
                     sees_job, sees_document, sight->created[i], sight->ended[i], sight->changed[i],
                     sight->indexed[i]);
        }
    }
    assert_int_equal(sight->foreign, 0);
}

/* Events that reach a viewer. */
static size_t count_seen_by(size_t v)
{
    size_t count = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        const struct whose job = whose_object(i, false);
        const struct whose document = whose_object(i, true);
        count += 2 * (size_t)may_see(v, &job) + 2 * (size_t)may_see(v, &document);
    }
    return count;
}

static void test_found_read_and_pushed(void **state)
{
    (void)state;
    struct follower all = {
        .server = &server, .who = "watcher", .contiguous = true, .on_event = on_pushed};
    const struct activity_cursor begin = feed_head(clients[WORKER]);
    /* One long poll of each that is parked from before the first event on. */
    activity_subscription *parked[VIEWERS];
    for (size_t v = 0; v < VIEWERS; v++) {
        struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
        options.scope = ACTIVITY_SCOPE_CALLER;
        parked[v] = activity_subscription_open(clients[v], &options, &error);
        assert_non_null(parked[v]);
        struct activity_event event;
        assert_ok(activity_subscription_next(parked[v], 20, &event, &error), error);
        assert_int_equal(event.kind, ACTIVITY_EVENT_NONE);
    }
    follower_start(&all);
    for (size_t i = 0; i < OBJECTS; i++) {
        make(i);
    }
    for (unsigned i = 0; i < 1000 && atomic_load(&indexed) < OBJECTS; i++) {
        sleep_ms(10);
    }
    assert_int_equal(atomic_load(&indexed), OBJECTS);
    follower_stop(&all);
    for (size_t v = 0; v < VIEWERS; v++) {
        struct sight sight;
        memset(&sight, 0, sizeof sight);
        for (size_t i = 0; i < pushed_count; i++) {
            if ((pushed[i].seen_by >> v & 1) != 0) {
                see(&sight, pushed[i].kind, pushed[i].job_id, pushed[i].document_id);
            }
        }
        check(v, &sight, "pushed");

        memset(&sight, 0, sizeof sight);
        struct activity_cursor cursor = begin;
        uint64_t head;
        do {
            const struct activity_changes_request request = {.after = cursor, .page_size = 7};
            activity_result *result;
            assert_ok(activity_read_changes(clients[v], &request, NULL, &result, &error), error);
            const struct activity_changes *changes = activity_result_changes(result);
            for (size_t i = 0; i < changes->event_count; i++) {
                assert_string_equal(changes->events[i].tenant, viewers[v].tenant);
                see_event(&sight, &changes->events[i]);
            }
            cursor = changes->cursor;
            head = changes->head_sequence;
            activity_result_free(result);
        } while (cursor.sequence < head);
        check(v, &sight, "read");

        memset(&sight, 0, sizeof sight);
        struct activity_event event;
        size_t missing = count_seen_by(v);
        do {
            uint32_t patience = missing > 0 ? 10000 : 100;
            assert_ok(activity_subscription_next(parked[v], patience, &event, &error), error);
            if (event.kind != ACTIVITY_EVENT_NONE) {
                see_event(&sight, &event);
                missing -= missing > 0;
            }
        } while (event.kind != ACTIVITY_EVENT_NONE);
        check(v, &sight, "parked");
        activity_subscription_free(parked[v]);

        memset(&sight, 0, sizeof sight);
        const struct activity_find_request find = {.observe = true};
        activity_result *result;
        assert_ok(activity_find(clients[v], &find, NULL, &result, &error), error);
        const struct activity_page *page = activity_result_page(result);
        assert_int_equal(page->next_page_token.size, 0);
        for (size_t i = 0; i < page->activity_count; i++) {
            see(&sight, ACTIVITY_EVENT_CREATED, page->activities[i].job_id, "");
            see(&sight, ACTIVITY_EVENT_ENDED, page->activities[i].job_id, "");
        }
        for (size_t i = 0; i < page->model_change_count; i++) {
            see(&sight, ACTIVITY_EVENT_MODEL_CHANGED, 0, page->model_changes[i].document_id);
        }
        for (size_t i = 0; i < page->model_change_es_count; i++) {
            see(&sight, ACTIVITY_EVENT_INDEX_CHANGED, 0, page->model_changes_es[i].document_id);
        }
        activity_result_free(result);
        check(v, &sight, "found");
    }
}

/* Waiting tells no more than reading. */
static void test_waits_are_no_oracle(void **state)
{
    (void)state;
    for (size_t v = 0; v < VIEWERS; v++) {
        struct activity_error unknown;
        const struct activity_wait_request nothing = {.job_id = 4711};
        assert_int_equal(activity_wait(clients[v], &nothing, NULL, NULL, &unknown),
                         ACTIVITY_NOT_FOUND);
        for (size_t i = 0; i < OBJECTS; i++) {
            const struct whose whose = whose_object(i, false);
            const struct activity_wait_request wait = {.job_id = jobs[i], .children = true};
            struct activity_waited waited;
            int code = activity_wait(clients[v], &wait, NULL, &waited, &error);
            assert_int_equal(code, may_see(v, &whose) ? ACTIVITY_OK : ACTIVITY_NOT_FOUND);
            if (code == ACTIVITY_OK) {
                assert_true(waited.reached);
                assert_int_equal(waited.state, ACTIVITY_STATE_COMPLETED);
            } else {
                assert_string_equal(error.reason, unknown.reason);
                assert_string_equal(error.message, unknown.message);
            }
        }
    }
}

/* A ticket is its recorder's alone. */
static void test_tickets_are_the_recorders(void **state)
{
    (void)state;
    const struct activity_document_change change = {
        .model = "ticketed", .document_id = "1", .affected_model = "Ticketed"};
    const struct activity_record_request record = {.changes = &change, .change_count = 1};
    struct activity_recorded recorded;
    assert_ok(activity_record_changes(clients[ANNA], &record, NULL, &recorded, &error), error);
    for (size_t v = 0; v < VIEWERS; v++) {
        struct activity_error unknown;
        const struct activity_visible_request none = {.ticket = recorded.ticket + 1000000};
        const struct activity_visible_request own = {.ticket = recorded.ticket, .wait_ms = 5000};
        assert_int_equal(activity_wait_visible(clients[v], &none, NULL, NULL, &unknown),
                         ACTIVITY_NOT_FOUND);
        int code = activity_wait_visible(clients[v], &own, NULL, NULL, &error);
        assert_int_equal(code, v == ANNA ? ACTIVITY_OK : ACTIVITY_NOT_FOUND);
        if (v != ANNA) {
            assert_string_equal(error.reason, "UNKNOWN_TICKET");
            assert_string_equal(error.message, unknown.message);
        }
    }
}

/* SP's greeting as a SUB at the change-feed endpoint: whether the server stays. */
static bool is_let_in(const char *who)
{
    static const uint8_t hello[] = {0, 'S', 'P', 0, 0, 0x21, 0, 0};
    uint8_t answer[8 + 8 + 2];
    struct peer *peer = peer_connect(&scene, server.feed_port, who, 3000);
    bool in = peer != NULL && peer_write(peer, hello, sizeof hello) &&
              peer_read(peer, answer, sizeof answer); /* a heartbeat comes within a second */
    peer_close(peer);
    return in;
}

static void test_without_the_permission_nothing_is_pushed(void **state)
{
    (void)state;
    assert_true(is_let_in("watcher"));
    assert_true(is_let_in("root"));
    assert_false(is_let_in("worker"));
    assert_false(is_let_in("gateway"));
    assert_false(is_let_in("boss"));
    assert_false(is_let_in("stranger"));
    assert_false(is_let_in(NULL));
    assert_true(server_said(&server, "feed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_read_and_pushed),
        cmocka_unit_test(test_waits_are_no_oracle),
        cmocka_unit_test(test_tickets_are_the_recorders),
        cmocka_unit_test(test_without_the_permission_nothing_is_pushed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
