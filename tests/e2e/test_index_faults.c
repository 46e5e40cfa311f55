/* The whole service and a real index, and all that may go wrong between them, while several threads
 * record: of the bulk requests 5 % are refused, lost, late, answered late or never; the service is
 * killed twice, and the index once. In the end the index equals a naive model, each change was
 * announced once and in order, and nothing was announced that the index did not have. 10,000
 * changes of 500 documents; make soak-index_faults N=10 for ten times as many of both. */
#include "tests/e2e/harness_faults.h"
#include "tests/e2e/harness_feed.h"
#include "tests/e2e/harness_recorded.h"

#include <activity_index.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"

#define SEED          UINT64_C(0x5eed0005)
#define DOCUMENTS     500u
#define CHANGES       10000u
#define RECORDERS     4u
#define PER_REQUEST   10u
#define PER_DOCUMENT  3u /* so many of a request's changes at most are of one document */
#define PAUSE_MS      25u
#define PAUSE_AWAY_MS 400u /* while the index starts again, so that recording outlasts it */
#define CALL_MS       20000u
#define LATE_MS       3000u /* mostly more than index_answer_ms below */
#define ONE_IN        20u
#define LOOK_AT       8u /* one in so many announcements */
#define LOOK_MS       60000u
#define SETTLE_MS     120000u

static struct scene scene;
static struct opensearch node;
static struct server server;
static struct faults *faults;
static struct recorded recorded;
static struct activity_error error;
static const char *flags[3];

/* ---- The scene ---- */

static void make_index(const char *model)
{
    char path[64];
    int status = 0;
    (void)snprintf(path, sizeof path, "/acme-%s", model);
    /* Fields of every kind meet under one name: only "n" is mapped. */
    json_decref(opensearch_ask(&node, "PUT", path,
                               "{\"settings\":{\"number_of_replicas\":0,\"gc_deletes\":\"1h\","
                               "\"refresh_interval\":\"-1\"},\"mappings\":{\"dynamic\":false,"
                               "\"properties\":{\"n\":{\"type\":\"long\"}}}}",
                               &status));
    assert_int_equal(status, 200);
}

/* Small batches, so that there are many requests to fail, and short rests. */
static void write_configuration(void)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "index = elasticsearch\n"
                   "index_nodes = \"http://127.0.0.1:%u\"\n"
                   "index_answer_ms = 1s\n"
                   "index_retry_first_ms = 20\n"
                   "index_retry_most_ms = 100\n"
                   "index_item_retry_most_ms = 100\n"
                   "flush_delay_ms = 10\n"
                   "flush_documents = 6\n"
                   "feed_keep_ms = 600s\n"
                   "model \"orders\" {\n    kind = fragments\n}\n",
                   faults_port(faults));
    scene_write(&scene, "index.conf", text);
    flags[0] = "--config";
    flags[1] = strdup(scene_path(&scene, "index.conf"));
}

static const struct opensearch_options node_options = {.settings = NULL};

static int set_up(void **state)
{
    (void)state;
    scene_make(&scene);
    if (!opensearch_start(&node, &scene, &node_options)) {
        return 0;
    }
    make_index("orders");
    make_index("products");
    const struct faults_options options = {
        .target = node.port, .seed = SEED, .one_in = ONE_IN, .late_ms = LATE_MS};
    faults = faults_start(&options);
    write_configuration();
    server_start(&server, &scene, flags);
    recorded_init(&recorded, test_count(DOCUMENTS));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_kill(&server);
    faults_stop(faults);
    opensearch_end(&node);
    recorded_deinit(&recorded);
    free((void *)(uintptr_t)flags[1]);
    scene_end(&scene);
    return 0;
}

/* ---- Recording ---- */

static atomic_uint pause_ms = PAUSE_MS;
static _Atomic uint64_t accepted; /* changes of all recorders */
static atomic_bool giving_up;

/* Records changes of documents of its own. */
struct recorder {
    pthread_t thread;
    uint32_t first; /* document */
    uint32_t documents;
    uint32_t requests;
    uint64_t random;
    uint64_t *tickets; /* of all requests */
    uint64_t repeats;  /* of requests whose answer did not come in time */
    bool failed;
};

struct drawn {
    struct activity_document_change changes[PER_REQUEST];
    struct recorded_document *documents[PER_REQUEST];
    uint32_t numbers[PER_REQUEST];
};

/* Some documents have several changes in one request. */
static void draw_request(struct recorder *recorder, struct drawn *drawn)
{
    static const char *const groups[] = {"*"};
    struct recorded_document *document = NULL;
    for (uint32_t i = 0; i < PER_REQUEST; i++) {
        if (i % PER_DOCUMENT == 0) {
            uint64_t draw = random_next(&recorder->random) % recorder->documents;
            document = &recorded.documents[recorder->first + (uint32_t)draw];
        }
        drawn->documents[i] = document;
        drawn->numbers[i] = recorded_draw(document, &recorder->random);
        const struct recorded_change *change = &document->changes[drawn->numbers[i]];
        struct activity_bytes json = {change->json,
                                      change->json == NULL ? 0 : strlen(change->json)};
        const struct activity_bytes none = {NULL, 0};
        drawn->changes[i] =
            (struct activity_document_change){.model = recorded_model(document),
                                              .document_id = document->id,
                                              .affected_model = recorded_affected(change->affected),
                                              .json = document->fragments ? none : json,
                                              .merge_patch = document->fragments ? json : none,
                                              .deleted = change->json == NULL,
                                              .groups = groups,
                                              .group_count = 1};
    }
}

/* Until it is answered: the same request, which has its effect once. */
static int record_drawn(struct recorder *recorder, activity_client *client,
                        const struct drawn *drawn, struct activity_recorded *answer,
                        struct activity_error *why)
{
    struct activity_call_options options = ACTIVITY_CALL_OPTIONS_INIT;
    struct activity_record_request request = {.changes = drawn->changes,
                                              .change_count = PER_REQUEST};
    options.timeout_ms = CALL_MS;
    (void)activity_request_id_new(request.request_id);
    int code;
    while ((code = activity_record_changes(client, &request, &options, answer, why)) != 0 &&
           (code == ACTIVITY_UNAVAILABLE || code == ACTIVITY_DEADLINE_EXCEEDED) &&
           !atomic_load(&giving_up)) {
        recorder->repeats++;
        sleep_ms(PAUSE_MS);
    }
    recorder->repeats += why->attempts > 1;
    return code;
}

static void *run_recorder(void *context)
{
    struct recorder *recorder = context;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    for (uint32_t i = 0; i < recorder->requests && !recorder->failed; i++) {
        struct drawn drawn;
        struct activity_recorded answer = {.ticket = 0};
        struct activity_error why = {.attempts = 0};
        draw_request(recorder, &drawn);
        if (record_drawn(recorder, client, &drawn, &answer, &why) != 0) {
            print_error("record: %s %s\n", why.reason, why.message);
            recorder->failed = true;
        }
        for (uint32_t k = 0; k < PER_REQUEST; k++) {
            drawn.documents[k]->changes[drawn.numbers[k]].accept_ms = answer.accept_time_ms;
        }
        recorder->tickets[i] = answer.ticket;
        atomic_fetch_add(&accepted, PER_REQUEST);
        sleep_ms(atomic_load(&pause_ms));
    }
    activity_client_free(client);
    return NULL;
}

static void start_recorder(struct recorder *recorder, uint32_t number)
{
    uint32_t documents = test_count(DOCUMENTS) / RECORDERS;
    *recorder = (struct recorder){.first = number * documents,
                                  .documents = documents,
                                  .requests = test_count(CHANGES) / RECORDERS / PER_REQUEST,
                                  .random = SEED + number};
    recorder->tickets = calloc(recorder->requests, sizeof *recorder->tickets);
    assert_non_null(recorder->tickets);
    assert_int_equal(pthread_create(&recorder->thread, NULL, run_recorder, recorder), 0);
}

/* ---- Watching ---- */

/* What a subscriber has seen; its thread's until follower_stop. */
struct witness {
    struct opensearch node; /* past the faults */
    struct announcement *announcements;
    size_t announcement_count;
    size_t announcement_room;
    struct sighting *sightings;
    size_t sighting_count;
    size_t sighting_room;
    char fault[256]; /* the first thing that was wrong; "" */
};

static void *grow(void *items, size_t count, size_t *room, size_t size)
{
    if (count == *room) {
        *room = *room == 0 ? 1024 : 2 * *room;
        items = realloc(items, *room * size);
        CHECK(items != NULL);
    }
    return items;
}

/* A document's path, its id percent-encoded. */
static void document_path(const struct recorded_document *document, char *path, size_t size)
{
    size_t length = (size_t)snprintf(path, size, "/acme-%s/_doc/", recorded_model(document));
    for (const char *at = document->id; *at != '\0' && length + 4 < size; at++) {
        length += (size_t)snprintf(path + length, size - length, "%%%02X", (unsigned char)*at);
    }
}

/* Whether the index answered: with the source, or that there is none (NULL). */
static bool get_source(struct opensearch *index, const struct recorded_document *document,
                       json_t **source)
{
    char path[256];
    int status = 0;
    document_path(document, path, sizeof path);
    json_t *answer = opensearch_ask(index, "GET", path, NULL, &status);
    const json_t *found = json_object_get(answer, "found");
    bool answered =
        (status == 200 && json_is_true(found)) || (status == 404 && json_is_false(found));
    *source = answered && status == 200 ? json_incref(json_object_get(answer, "_source")) : NULL;
    json_decref(answer);
    return answered;
}

/* What the index has now; while it is being started again, as soon as it tells. */
static void look(struct witness *witness, const struct announcement *after)
{
    const struct recorded_document *document = &recorded.documents[after->document];
    struct sighting sighting = {.after = *after};
    uint64_t end = now_ms() + LOOK_MS;
    while (!get_source(&witness->node, document, &sighting.source)) {
        if (now_ms() > end || atomic_load(&giving_up)) {
            (void)snprintf(witness->fault, sizeof witness->fault, "no answer about %s",
                           document->id);
            return;
        }
        sleep_ms(20);
    }
    witness->sightings = grow(witness->sightings, witness->sighting_count, &witness->sighting_room,
                              sizeof *witness->sightings);
    witness->sightings[witness->sighting_count++] = sighting;
}

static void witness_event(void *context, const struct activity_event *event)
{
    struct witness *witness = context;
    struct announcement announcement;
    if (event->kind != ACTIVITY_EVENT_INDEX_CHANGED || witness->fault[0] != '\0' ||
        !recorded_announcement(&recorded, event, &announcement, witness->fault,
                               sizeof witness->fault)) {
        return;
    }
    witness->announcements = grow(witness->announcements, witness->announcement_count,
                                  &witness->announcement_room, sizeof *witness->announcements);
    witness->announcements[witness->announcement_count++] = announcement;
    if (witness->announcement_count % LOOK_AT == 0) {
        look(witness, &announcement);
    }
}

static void witness_end(struct witness *witness)
{
    for (size_t i = 0; i < witness->sighting_count; i++) {
        json_decref(witness->sightings[i].source);
    }
    free(witness->sightings);
    free(witness->announcements);
    opensearch_hang_up(&witness->node);
}

/* ---- What happens meanwhile ---- */

static void await_accepted(uint32_t percent)
{
    uint64_t until = (uint64_t)test_count(CHANGES) * percent / 100;
    uint64_t end = now_ms() + SETTLE_MS * test_count(1);
    while (atomic_load(&accepted) < until) {
        if (now_ms() > end) {
            fail_msg("%" PRIu64 " changes are accepted, not %" PRIu64, atomic_load(&accepted),
                     until);
        }
        sleep_ms(5);
    }
}

static void kill_service(void)
{
    server_kill(&server);
    server_start(&server, &scene, flags);
    assert_true(atomic_load(&accepted) < test_count(CHANGES)); /* recording goes on */
}

static void kill_index(void)
{
    atomic_store(&pause_ms, PAUSE_AWAY_MS);
    opensearch_kill(&node);
    assert_true(opensearch_start(&node, &scene, &node_options));
    atomic_store(&pause_ms, PAUSE_MS);
    assert_true(atomic_load(&accepted) < test_count(CHANGES));
}

/* ---- The end ---- */

static void await_tickets(activity_client *client, const struct recorder *recorder)
{
    for (uint32_t i = 0; i < recorder->requests; i++) {
        const struct activity_visible_request request = {.ticket = recorder->tickets[i],
                                                         .stage = ACTIVITY_STAGE_SEARCHABLE,
                                                         .wait_ms = SETTLE_MS};
        struct activity_visible visible = {.reached = false};
        assert_ok(activity_wait_visible(client, &request, NULL, &visible, &error), error);
        assert_true(visible.reached);
    }
}

static void assert_settled(void)
{
    activity_result *result = NULL;
    activity_client *root = client_of(&server, "root", NULL, NULL, NULL);
    assert_ok(activity_get_index_status(root, NULL, &result, &error), error);
    const struct activity_index_status *status = activity_result_index_status(result);
    assert_int_equal(status->state, ACTIVITY_INDEX_READY);
    assert_int_equal(status->parked_documents, 0);
    assert_int_equal(status->parked_since_start, 0);
    assert_int_equal(status->waiting_changes, 0);
    assert_int_equal(status->resting_documents, 0);
    assert_int_equal(status->in_flight_changes, 0);
    assert_int_equal(status->pending_bytes, 0);
    activity_result_free(result);
    activity_client_free(root);
    activity_client *boss = client_of(&server, "boss", NULL, NULL, NULL);
    assert_ok(activity_list_parked_documents(boss, NULL, NULL, &result, &error), error);
    assert_int_equal(activity_result_parked_documents(result)->document_count, 0);
    activity_result_free(result);
    activity_client_free(boss);
}

static void assert_faults(void)
{
    struct faults_count count;
    faults_count(faults, &count);
    print_message("%" PRIu64 " bulk requests, %" PRIu64 " with a fault:", count.bulks,
                  count.injected);
    for (int i = 0; i < FAULTS; i++) {
        print_message(" %" PRIu64 " %s", count.of[i], fault_name((enum fault)i));
    }
    print_message("; %" PRIu64 " connections, %" PRIu64 " ended for want of the index\n",
                  count.connections, count.away);
    for (int i = 0; i < FAULTS; i++) {
        assert_true(count.of[i] > 0);
    }
    assert_int_equal(count.strange, 0);
    assert_true(count.away > 0);
    assert_true(count.injected >= count.bulks / 33);
}

static void check_witness(struct witness *witness, struct follower *follower, uint64_t events)
{
    if (witness->fault[0] != '\0') {
        fail_msg("%s", witness->fault);
    }
    assert_int_equal(atomic_load(&follower->resets), 0);
    assert_int_equal(atomic_load(&follower->events), events);
    assert_int_equal(atomic_load(&follower->of_kind[ACTIVITY_EVENT_MODEL_CHANGED]),
                     test_count(CHANGES));
    assert_int_equal(atomic_load(&follower->of_kind[ACTIVITY_EVENT_INDEX_CHANGED]),
                     witness->announcement_count);
    recorded_check_announcements(&recorded, witness->announcements, witness->announcement_count);
    recorded_check_sightings(&recorded, witness->sightings, witness->sighting_count);
}

static void the_index_equals_the_model_whatever_goes_wrong(void **state)
{
    (void)state;
    opensearch_needed(&node);
    static struct recorder recorders[RECORDERS];
    static struct witness witness;
    witness.node = opensearch_of(&node);
    witness.node.timeout_ms = 3000;
    struct follower follower = {.server = &server,
                                .who = "watcher",
                                .contiguous = true,
                                .on_event = witness_event,
                                .context = &witness};
    follower_start(&follower);
    uint64_t begin = atomic_load(&follower.last_sequence);
    uint64_t began_ms = now_ms();
    for (uint32_t i = 0; i < RECORDERS; i++) {
        start_recorder(&recorders[i], i);
    }
    await_accepted(20);
    kill_service();
    await_accepted(40);
    kill_index();
    await_accepted(80);
    kill_service();
    uint64_t repeats = 0;
    for (uint32_t i = 0; i < RECORDERS; i++) {
        assert_int_equal(pthread_join(recorders[i].thread, NULL), 0);
        assert_false(recorders[i].failed);
        repeats += recorders[i].repeats;
    }
    uint64_t recorded_ms = now_ms();
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    for (uint32_t i = 0; i < RECORDERS; i++) {
        await_tickets(client, &recorders[i]);
        free(recorders[i].tickets);
    }
    uint64_t settled_ms = now_ms();
    assert_settled();
    uint64_t head = feed_head(client).sequence;
    assert_true(follower_await(&follower, head, SETTLE_MS));
    follower_stop(&follower);
    activity_client_free(client);
    print_message("%u changes of %u documents in %" PRIu64 " ms, %" PRIu64
                  " requests repeated; searchable %" PRIu64 " ms later; %zu announcements, %zu "
                  "looked at\n",
                  test_count(CHANGES), test_count(DOCUMENTS), recorded_ms - began_ms, repeats,
                  settled_ms - recorded_ms, witness.announcement_count, witness.sighting_count);
    assert_faults();
    check_witness(&witness, &follower, head - begin);
    recorded_check_index(&recorded, &node);
    assert_true(witness.sighting_count > 0);
    witness_end(&witness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_equals_the_model_whatever_goes_wrong),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
