/* A server with a history for the library's tests: ReadChanges, FindActivities and GetServerInfo on
 * the scripted command endpoint, and a change-feed endpoint that says what a test wants. Event n is
 * always the same one. */
#ifndef TESTS_CLIENT_FAKE_FEED_H
#define TESTS_CLIENT_FAKE_FEED_H

#include "tests/unit/client/lib/fake_server.h"

#include <time.h>

#include <nng/protocol/pubsub0/pub.h>

#include <activity_feed.h>

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/admin_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "activity/v1/feed.pb-c.h"
#include "proto/field.h"
#include "proto/varint.h"

enum { FAKE_EVENT_MAX = 512, FAKE_EPOCH = 77, FAKE_TIME_MS = 1000000 };

struct fake_feed {
    struct fake_server server;
    nng_socket pub;
    int pub_port;
    const char *url; /* that is told; NULL: its own */
    atomic_bool refuses;
    atomic_uint subscribers; /* connections made */

    pthread_mutex_t lock; /* of what follows */
    uint64_t epoch;
    uint64_t oldest;
    uint64_t head;
    bool allowed;
    _Atomic uint32_t crowded_ms;     /* nobody may wait, and is asked to come back after this */
    _Atomic enum fake_action action; /* of ReadChanges, if not FAKE_REPLY */
    unsigned found;                  /* activities that are found, in pages of 2 */
    uint32_t percent;                /* of the running ones */
    /* What was asked. */
    unsigned reads;
    unsigned waiting_reads;
    unsigned finds;
    unsigned infos;
    uint64_t updated_since_ms;
    uint64_t subscription;
    bool observe;
    uint8_t reply[1 << 20];
};

static inline uint64_t fake_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void fake_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* --- Events --- */

static inline enum activity_event_kind fake_kind(uint64_t sequence)
{
    return (enum activity_event_kind)(1 + sequence % 4);
}

static inline const char *fake_tenant(uint64_t sequence)
{
    return sequence % 3 == 0 ? "other" : "acme";
}

/* ChangeEvent; returns its length. */
static inline size_t fake_event(uint64_t sequence, uint8_t *to)
{
    char document[32];
    snprintf(document, sizeof document, "doc-%d", (int)(sequence % 100));
    char *groups[] = {"editors", "*"};
    Activity__V1__ActivityCreated created = ACTIVITY__V1__ACTIVITY_CREATED__INIT;
    Activity__V1__ActivityEnded ended = ACTIVITY__V1__ACTIVITY_ENDED__INIT;
    Activity__V1__DocumentChanged changed = ACTIVITY__V1__DOCUMENT_CHANGED__INIT;
    Activity__V1__TimeRange range = ACTIVITY__V1__TIME_RANGE__INIT;
    Activity__V1__ChangeEvent event = ACTIVITY__V1__CHANGE_EVENT__INIT;
    event.sequence = sequence;
    event.time_ms = FAKE_TIME_MS + sequence;
    event.tenant = (char *)fake_tenant(sequence);
    event.principal = "spiffe://x/worker";
    event.user = "ann";
    event.n_groups = 2;
    event.groups = groups;
    created.job_id = ended.job_id = sequence / 4;
    created.type = ended.type = "upload";
    created.title = "T\xC3\xA4st";
    ended.state = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_COMPLETED;
    ended.percent = 100;
    changed.model = "mediacontainer";
    changed.document_id = document;
    changed.affected_model = "mediaContainer";
    changed.time_range = &range;
    range.first_ms = 1;
    range.last_ms = sequence;
    changed.updated_ms = FAKE_TIME_MS + sequence;
    changed.deleted = sequence % 8 == 2;
    switch (fake_kind(sequence)) {
    case ACTIVITY_EVENT_CREATED:
        event.event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_ACTIVITY_CREATED;
        event.activity_created = &created;
        break;
    case ACTIVITY_EVENT_ENDED:
        event.event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_ACTIVITY_ENDED;
        event.activity_ended = &ended;
        break;
    case ACTIVITY_EVENT_MODEL_CHANGED:
        event.event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_MODEL_CHANGED;
        event.model_changed = &changed;
        break;
    default:
        changed.model = "es:mediacontainer";
        event.event_case = ACTIVITY__V1__CHANGE_EVENT__EVENT_INDEX_CHANGED;
        event.index_changed = &changed;
    }
    size_t size = activity__v1__change_event__pack(&event, to);
    assert_in_range(size, 1, FAKE_EVENT_MAX);
    return size;
}

static inline void assert_is_event(const struct activity_event *event, uint64_t sequence)
{
    assert_int_equal(event->cursor.sequence, sequence);
    assert_int_equal(event->kind, fake_kind(sequence));
    assert_int_equal(event->time_ms, FAKE_TIME_MS + sequence);
    assert_string_equal(event->tenant, fake_tenant(sequence));
    assert_string_equal(event->user, "ann");
    assert_int_equal(event->group_count, 2);
    assert_string_equal(event->groups[1], "*");
    if (event->kind <= ACTIVITY_EVENT_ENDED) {
        assert_null(event->change);
        assert_int_equal(event->activity->job_id, sequence / 4);
        assert_string_equal(event->activity->type, "upload");
    } else {
        assert_null(event->activity);
        assert_int_equal(event->change->affected_models[0].last_ms, sequence);
    }
}

static inline uint8_t *fake_put_events(uint64_t first, uint64_t last, uint32_t number, uint8_t *to)
{
    for (uint64_t i = first; i <= last; i++) {
        uint8_t event[FAKE_EVENT_MAX];
        size_t size = fake_event(i, event);
        to = field_write_head(to, number, size);
        memcpy(to, event, size);
        to += size;
    }
    return to;
}

/* --- The command endpoint --- */

static inline void fake_refuse(struct frame_reply *reply)
{
    *reply = (struct frame_reply){.code = STATUS_PERMISSION_DENIED,
                                  .reason = view_of("NOT_ALLOWED"),
                                  .message = view_of("the rule has no feed")};
}

static inline bool fake_wants(const Activity__V1__ReadChangesRequest *read, uint64_t sequence)
{
    bool wanted = read->n_kinds == 0;
    for (size_t i = 0; i < read->n_kinds; i++) {
        wanted = wanted || (int)read->kinds[i] == (int)fake_kind(sequence);
    }
    return wanted;
}

/* The events of one page, and where it ends. */
static inline uint8_t *fake_page(const struct fake_feed *feed,
                                 const Activity__V1__ReadChangesRequest *read, uint64_t *cursor,
                                 unsigned *count, uint8_t *to)
{
    uint32_t most = read->page_size == 0 ? 1000 : read->page_size;
    while (*cursor < feed->head && *count < most) {
        (*cursor)++;
        if (fake_wants(read, *cursor)) {
            to = fake_put_events(*cursor, *cursor, 1, to);
            (*count)++;
        }
    }
    return to;
}

static inline enum fake_action fake_read_changes(struct fake_feed *feed,
                                                 const Activity__V1__ReadChangesRequest *read,
                                                 struct frame_reply *reply)
{
    if (!feed->server.again) {
        feed->reads++;
        feed->waiting_reads += read->wait_ms > 0;
        feed->subscription = read->subscription;
    }
    if (read->all_tenants && !feed->allowed) {
        fake_refuse(reply);
        return FAKE_REPLY;
    }
    if (feed->action != FAKE_REPLY) {
        return feed->action;
    }
    uint64_t cursor = read->after == NULL ? feed->head : read->after->sequence;
    unsigned reset = read->after == NULL                 ? 0
                     : read->after->epoch != feed->epoch ? 2
                     : cursor > feed->head               ? 3
                     : cursor + 1 < feed->oldest         ? 1
                                                         : 0;
    uint8_t *to = feed->reply;
    unsigned count = 0;
    if (reset != 0) {
        cursor = feed->head;
    } else {
        to = fake_page(feed, read, &cursor, &count, to);
    }
    if (count == 0 && reset == 0 && read->wait_ms > 0) {
        if (feed->crowded_ms == 0) {
            return FAKE_PARK;
        }
        reply->retry_after_ms = feed->crowded_ms;
    }
    to = field_write_head(to, 2, field_fixed64_size(feed->epoch) + field_varint_size(cursor));
    to = field_write_fixed64(to, 1, feed->epoch);
    to = field_write_varint(to, 2, cursor);
    to = field_write_varint(to, 3, feed->oldest);
    to = field_write_varint(to, 4, feed->head);
    if (reset != 0) {
        to = field_write_head(to, 5, 2);
        to = field_write_varint(to, 1, reset);
    }
    reply->payload = (struct view){feed->reply, (size_t)(to - feed->reply)};
    return FAKE_REPLY;
}

/* Activities 1 to `found`, two to a page; odd ones run. */
static inline void fake_find(struct fake_feed *feed,
                             const Activity__V1__FindActivitiesRequest *find,
                             struct frame_reply *reply)
{
    feed->finds++;
    feed->observe = find->observe;
    feed->updated_since_ms = find->updated_since_ms;
    unsigned first = find->page_token.len == 0 ? 1 : find->page_token.data[0];
    Activity__V1__FindActivitiesResponse page = ACTIVITY__V1__FIND_ACTIVITIES_RESPONSE__INIT;
    Activity__V1__Activity activities[2];
    Activity__V1__Activity *pointers[2];
    Activity__V1__Cursor cursor = ACTIVITY__V1__CURSOR__INIT;
    cursor.epoch = feed->epoch;
    cursor.sequence = feed->head;
    bool running = find->n_states == 1;
    for (unsigned i = first; i < first + 2 && i <= feed->found; i++) {
        if (running && i % 2 == 0) {
            continue;
        }
        Activity__V1__Activity *activity = &activities[page.n_activities];
        *activity = (Activity__V1__Activity)ACTIVITY__V1__ACTIVITY__INIT;
        activity->job_id = i;
        activity->percent = feed->percent;
        activity->status_text = "busy";
        pointers[page.n_activities++] = activity;
    }
    page.activities = pointers;
    page.time_ms = FAKE_TIME_MS + feed->finds;
    page.cursor = first == 1 ? &cursor : NULL;
    uint8_t next = (uint8_t)(first + 2);
    if (next <= feed->found) {
        page.next_page_token = (ProtobufCBinaryData){1, &next};
    }
    Activity__V1__AffectedModel affected = ACTIVITY__V1__AFFECTED_MODEL__INIT;
    affected.affected_model = "mediaContainer";
    Activity__V1__AffectedModel *affecteds[] = {&affected};
    Activity__V1__ModelChange change = ACTIVITY__V1__MODEL_CHANGE__INIT;
    change.model = "mediacontainer";
    change.document_id = "doc-1";
    change.n_affected_models = 1;
    change.affected_models = affecteds;
    Activity__V1__ModelChange *changes[] = {&change};
    if (first == 1 && find->model_changes) {
        page.n_model_changes = 1;
        page.model_changes = changes;
    }
    size_t size = activity__v1__find_activities_response__pack(&page, feed->reply);
    reply->payload = (struct view){feed->reply, size};
}

static inline void fake_info(struct fake_feed *feed, struct frame_reply *reply)
{
    char url[64];
    feed->infos++;
    Activity__V1__GetServerInfoResponse info = ACTIVITY__V1__GET_SERVER_INFO_RESPONSE__INIT;
    snprintf(url, sizeof url, "tls+tcp://0.0.0.0:%d", feed->pub_port);
    info.epoch = feed->epoch;
    info.head_sequence = feed->head;
    info.time_ms = FAKE_TIME_MS;
    info.feed_url = feed->url != NULL ? (char *)feed->url : url;
    info.feed_allowed = feed->allowed && *info.feed_url != '\0';
    size_t size = activity__v1__get_server_info_response__pack(&info, feed->reply);
    reply->payload = (struct view){feed->reply, size};
}

static inline enum fake_action fake_feed_script(void *arg, const struct frame_request *request,
                                                struct frame_reply *reply)
{
    struct fake_feed *feed = arg;
    enum fake_action action = FAKE_REPLY;
    struct view payload = request->payload;
    pthread_mutex_lock(&feed->lock);
    if (view_equal(request->method, view_of("activity.v1.ChangeService/ReadChanges"))) {
        Activity__V1__ReadChangesRequest *read =
            activity__v1__read_changes_request__unpack(NULL, payload.length, payload.bytes);
        assert_non_null(read);
        action = fake_read_changes(feed, read, reply);
        activity__v1__read_changes_request__free_unpacked(read, NULL);
    } else if (view_equal(request->method, view_of("activity.v1.ActivityService/FindActivities"))) {
        Activity__V1__FindActivitiesRequest *find =
            activity__v1__find_activities_request__unpack(NULL, payload.length, payload.bytes);
        assert_non_null(find);
        fake_find(feed, find, reply);
        activity__v1__find_activities_request__free_unpacked(find, NULL);
    } else {
        assert_true(view_equal(request->method, view_of("activity.v1.AdminService/GetServerInfo")));
        fake_info(feed, reply);
    }
    pthread_mutex_unlock(&feed->lock);
    return action;
}

/* --- The change-feed endpoint --- */

static inline void fake_sub_arrives(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    (void)event;
    struct fake_feed *feed = arg;
    atomic_fetch_add(&feed->subscribers, 1);
    if (atomic_load(&feed->refuses)) {
        nng_pipe_close(pipe);
    }
}

static inline void fake_pub_start(struct fake_feed *feed)
{
    nng_listener listener;
    char url[64];
    assert_int_equal(nng_pub0_open(&feed->pub), 0);
    assert_int_equal(nng_socket_set_int(feed->pub, NNG_OPT_SENDBUF, 4096), 0);
    nng_pipe_notify(feed->pub, NNG_PIPE_EV_ADD_PRE, fake_sub_arrives, feed);
    nng_tls_config *tls = fake_tls();
    snprintf(url, sizeof url, "tls+tcp://127.0.0.1:%d", feed->pub_port);
    assert_int_equal(nng_listener_create(&listener, feed->pub, url), 0);
    assert_int_equal(nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, tls), 0);
    assert_int_equal(nng_listener_start(listener, 0), 0);
    assert_int_equal(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &feed->pub_port), 0);
    nng_tls_config_free(tls);
}

static inline void fake_feed_start(struct fake_feed *feed)
{
    pthread_mutex_init(&feed->lock, NULL);
    feed->epoch = FAKE_EPOCH;
    feed->oldest = 1;
    feed->server.script = fake_feed_script;
    feed->server.arg = feed;
    fake_pub_start(feed);
    fake_start(&feed->server);
}

static inline struct fake_feed *fake_feed_new(void)
{
    struct fake_feed *feed = calloc(1, sizeof *feed);
    assert_non_null(feed);
    feed->allowed = true;
    fake_feed_start(feed);
    return feed;
}

static inline void fake_feed_free(struct fake_feed *feed)
{
    fake_stop(&feed->server);
    nng_close(feed->pub);
    pthread_mutex_destroy(&feed->lock);
    free(feed);
}

static inline void fake_publish_bytes(struct fake_feed *feed, const uint8_t *bytes, size_t size)
{
    nng_msg *message;
    assert_int_equal(nng_msg_alloc(&message, 0), 0);
    assert_int_equal(nng_msg_append(message, bytes, size), 0);
    assert_int_equal(nng_sendmsg(feed->pub, message, 0), 0);
}

/* "c|" and a HistoryFrame; returns the length. */
static inline size_t fake_history(uint64_t epoch, uint64_t first, uint64_t last, bool goodbye,
                                  uint8_t *to)
{
    uint8_t *begin = to;
    memcpy(to, "c|", 2);
    to = field_write_fixed64(to + 2, 1, epoch);
    to = field_write_varint(to, 2, first);
    to = field_write_varint(to, 3, last);
    to = fake_put_events(first, last, 4, to);
    to = field_write_varint(to, 5, goodbye);
    return (size_t)(to - begin);
}

static inline void fake_publish(struct fake_feed *feed, uint64_t first, uint64_t last)
{
    static uint8_t message[LIMIT_FEED_MESSAGE_BYTES];
    fake_publish_bytes(feed, message, fake_history(feed->epoch, first, last, false, message));
}

static inline void fake_goodbye(struct fake_feed *feed)
{
    uint8_t message[64];
    fake_publish_bytes(feed, message,
                       fake_history(feed->epoch, feed->head + 1, feed->head, true, message));
}

/* The history grows, unseen or published; or becomes another one. */
static inline void fake_grow(struct fake_feed *feed, uint64_t head)
{
    pthread_mutex_lock(&feed->lock);
    feed->head = head;
    pthread_mutex_unlock(&feed->lock);
}

static inline void fake_become(struct fake_feed *feed, uint64_t epoch, uint64_t oldest,
                               uint64_t head)
{
    pthread_mutex_lock(&feed->lock);
    feed->epoch = epoch;
    feed->oldest = oldest;
    feed->head = head;
    pthread_mutex_unlock(&feed->lock);
}

static inline void fake_tell_url(struct fake_feed *feed, const char *url)
{
    pthread_mutex_lock(&feed->lock);
    feed->url = url;
    pthread_mutex_unlock(&feed->lock);
}

/* A counter of what was asked. */
static inline unsigned fake_count(struct fake_feed *feed, const unsigned *counter)
{
    pthread_mutex_lock(&feed->lock);
    unsigned count = *counter;
    pthread_mutex_unlock(&feed->lock);
    return count;
}

static inline void fake_heartbeat(struct fake_feed *feed)
{
    fake_publish(feed, feed->head + 1, feed->head);
}

/* "p|" and a ProgressFrame of these jobs, all of tenant acme. */
static inline void fake_progress(struct fake_feed *feed, uint64_t number, uint64_t time_ms,
                                 const uint64_t *jobs, size_t count, uint8_t percent)
{
    uint8_t message[4096] = "p|";
    uint8_t percents[256];
    int64_t deltas[256];
    char *tenants[] = {"acme"};
    Activity__V1__ProgressText text = ACTIVITY__V1__PROGRESS_TEXT__INIT;
    Activity__V1__ProgressText *texts[] = {&text};
    text.status_text = "half way";
    Activity__V1__ProgressFrame frame = ACTIVITY__V1__PROGRESS_FRAME__INIT;
    frame.epoch = feed->epoch;
    frame.number = number;
    for (size_t i = 0; i < count; i++) {
        percents[i] = percent;
        deltas[i] = (int64_t)(jobs[i] - (i == 0 ? 0 : jobs[i - 1]));
    }
    if (count > 0) {
        frame.time_ms = time_ms;
        frame.n_job_id_deltas = count;
        frame.job_id_deltas = deltas;
        frame.percents = (ProtobufCBinaryData){count, percents};
        frame.n_tenants = 1;
        frame.tenants = tenants;
        frame.n_texts = 1;
        frame.texts = texts;
    }
    size_t size = activity__v1__progress_frame__pack(&frame, message + 2);
    fake_publish_bytes(feed, message, size + 2);
}

/* --- The subscription under test --- */

static inline activity_subscription *
fake_subscribe(activity_client *client, const struct activity_subscription_options *options)
{
    struct activity_error error;
    activity_subscription *subscription = activity_subscription_open(client, options, &error);
    if (subscription == NULL) {
        fail_msg("not subscribed: %s %s", error.reason, error.message);
    }
    return subscription;
}

static inline struct activity_subscription_status
fake_status(const activity_subscription *subscription)
{
    struct activity_subscription_status status;
    activity_subscription_status(subscription, &status);
    return status;
}

/* Ends it, not in the middle of a handshake, which NNG would leak. */
static inline void fake_unsubscribe(activity_subscription *subscription)
{
    for (int i = 0; i < 200 && subscription != NULL; i++) {
        struct activity_subscription_status status = fake_status(subscription);
        if (!status.all || status.connects > 0) {
            break;
        }
        fake_sleep_ms(1);
    }
    activity_subscription_free(subscription);
}

/* The next event; fails without one. */
static inline void fake_next(activity_subscription *subscription, struct activity_event *event)
{
    struct activity_error error;
    if (activity_subscription_next(subscription, 5000, event, &error) != ACTIVITY_OK) {
        fail_msg("%s: %s", error.reason, error.message);
    }
    assert_int_not_equal(event->kind, ACTIVITY_EVENT_NONE);
}

static inline void fake_expect(activity_subscription *subscription, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        struct activity_event event;
        fake_next(subscription, &event);
        assert_is_event(&event, i);
    }
}

static inline void fake_expect_nothing(activity_subscription *subscription, uint32_t ms)
{
    struct activity_event event;
    assert_int_equal(activity_subscription_next(subscription, ms, &event, NULL), ACTIVITY_OK);
    assert_int_equal(event.kind, ACTIVITY_EVENT_NONE);
}

/* Until history comes by messages, and by them only. */
static inline void fake_settle(struct fake_feed *feed, activity_subscription *subscription)
{
    for (int i = 0; !fake_status(subscription).pushed; i++) {
        assert_in_range(i, 0, 1000);
        fake_heartbeat(feed);
        fake_expect_nothing(subscription, 10);
    }
    feed->crowded_ms = 1; /* answers the poll from before */
    fake_expect_nothing(subscription, 30);
    feed->crowded_ms = 0;
}

#endif
