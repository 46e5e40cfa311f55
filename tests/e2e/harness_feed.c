#include "tests/e2e/harness_feed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- A subscriber ---- */

static bool is_history(enum activity_event_kind kind)
{
    return kind >= ACTIVITY_EVENT_CREATED && kind <= ACTIVITY_EVENT_INDEX_CHANGED;
}

__attribute__((format(printf, 2, 3))) static void blame(struct follower *follower,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (follower->fault[0] == '\0') {
        (void)vsnprintf(follower->fault, sizeof follower->fault, format, arguments);
    }
    va_end(arguments);
}

static void check_order(struct follower *follower, const struct activity_event *event)
{
    uint64_t last = atomic_load(&follower->last_sequence);
    uint64_t sequence = event->cursor.sequence;
    uint64_t epoch = atomic_load(&follower->epoch);
    if (epoch != 0 && event->cursor.epoch != epoch) {
        blame(follower, "the epoch changed without a reset");
    }
    if (sequence <= last) {
        blame(follower, "%llu came after %llu", (unsigned long long)sequence,
              (unsigned long long)last);
    }
    if (follower->contiguous && last != 0 && sequence != last + 1) {
        blame(follower, "%llu came after %llu: a gap", (unsigned long long)sequence,
              (unsigned long long)last);
    }
    atomic_store(&follower->epoch, event->cursor.epoch);
    atomic_store(&follower->last_sequence, sequence);
}

static void take(struct follower *follower, const struct activity_event *event)
{
    atomic_fetch_add(&follower->of_kind[event->kind], 1);
    if (is_history(event->kind)) {
        check_order(follower, event);
        atomic_fetch_add(&follower->events, 1);
    } else if (event->kind == ACTIVITY_EVENT_RESET) {
        follower->last_reset = event->reset;
        atomic_store(&follower->last_sequence, event->cursor.sequence);
        atomic_store(&follower->epoch, event->cursor.epoch);
        atomic_fetch_add(&follower->resets, 1);
    }
    if (follower->on_event != NULL) {
        follower->on_event(follower->context, event);
    }
}

static void rest(uint32_t microseconds)
{
    const struct timespec time = {.tv_sec = microseconds / 1000000,
                                  .tv_nsec = (long)(microseconds % 1000000) * 1000};
    (void)nanosleep(&time, NULL);
}

static void *follow(void *context)
{
    struct follower *follower = context;
    struct activity_subscription_status status;
    struct activity_event event;
    struct activity_error error;
    while (!atomic_load(&follower->stop)) {
        if (atomic_load(&follower->paused)) {
            rest(1000);
            continue;
        }
        /* An error is a server that is away: the subscription goes on with the next call. */
        if (activity_subscription_next(follower->subscription, 50, &event, &error) == ACTIVITY_OK &&
            event.kind != ACTIVITY_EVENT_NONE) {
            take(follower, &event);
            if (follower->pause_us != 0) {
                rest(follower->pause_us);
            }
        }
        activity_subscription_status(follower->subscription, &status);
        atomic_store(&follower->frames, status.frames);
        atomic_store(&follower->connects, status.connects);
    }
    return NULL;
}

void follower_start(struct follower *follower)
{
    struct activity_error error;
    const struct activity_subscription_options standard = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    follower->options.size = standard.size;
    follower->client = client_of(follower->server, follower->who, NULL, NULL, NULL);
    follower->subscription =
        activity_subscription_open(follower->client, &follower->options, &error);
    if (follower->subscription == NULL) {
        fail_msg("no subscription of %s: %s %s", follower->who, error.reason, error.message);
    }
    struct activity_cursor cursor;
    activity_subscription_cursor(follower->subscription, &cursor);
    atomic_store(&follower->last_sequence, cursor.sequence);
    atomic_store(&follower->epoch, cursor.epoch);
    assert_int_equal(pthread_create(&follower->thread, NULL, follow, follower), 0);
}

bool follower_await(struct follower *follower, uint64_t sequence, uint32_t milliseconds)
{
    uint64_t until = now_ms() + milliseconds;
    while (atomic_load(&follower->last_sequence) < sequence && now_ms() < until) {
        sleep_ms(5);
    }
    bool there = atomic_load(&follower->last_sequence) >= sequence;
    if (!there) {
        print_error("%s is at %llu, not at %llu\n", follower->who,
                    (unsigned long long)atomic_load(&follower->last_sequence),
                    (unsigned long long)sequence);
    }
    return there;
}

void follower_stop(struct follower *follower)
{
    atomic_store(&follower->stop, true);
    (void)pthread_join(follower->thread, NULL);
    activity_subscription_status(follower->subscription, &follower->status);
    activity_subscription_free(follower->subscription);
    activity_client_free(follower->client);
    if (follower->fault[0] != '\0') {
        fail_msg("%s: %s", follower->who, follower->fault);
    }
}

/* ---- A subscriber that is a process ---- */

struct feed_record {
    uint64_t epoch;
    uint64_t sequence;
    uint64_t is_reset;
};

static bool read_last(const char *path, struct feed_record *record)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool there = file >= 0 && lseek(file, -(off_t)sizeof *record, SEEK_END) >= 0 &&
                 read(file, record, sizeof *record) == (ssize_t)sizeof *record;
    if (file >= 0) {
        (void)close(file);
    }
    return there;
}

static int append_events(activity_subscription *subscription, const char *path)
{
    struct activity_event event;
    struct activity_error error;
    int out = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    for (;;) {
        if (activity_subscription_next(subscription, 1000, &event, &error) != ACTIVITY_OK ||
            event.kind == ACTIVITY_EVENT_NONE) {
            continue;
        }
        const struct feed_record record = {event.cursor.epoch, event.cursor.sequence,
                                           event.kind == ACTIVITY_EVENT_RESET};
        if (write(out, &record, sizeof record) != (ssize_t)sizeof record) {
            return 1;
        }
    }
}

int feed_child_main(int count, char **arguments)
{
    struct scene scene = {{0}};
    struct server server = {.scene = &scene};
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    struct activity_error error;
    struct feed_record last;
    if (count != 4 || !read_last(arguments[3], &last)) {
        (void)fprintf(stderr, "a subscriber needs a scene, a URL and a file\n");
        return 2;
    }
    (void)snprintf(scene.directory, sizeof scene.directory, "%s", arguments[1]);
    (void)snprintf(server.url, sizeof server.url, "%s", arguments[2]);
    options.start = ACTIVITY_START_CURSOR;
    options.cursor = (struct activity_cursor){last.epoch, last.sequence};
    activity_client *client = client_of(&server, "watcher", NULL, NULL, NULL);
    activity_subscription *subscription = activity_subscription_open(client, &options, &error);
    if (subscription == NULL) {
        (void)fprintf(stderr, "%s %s\n", error.reason, error.message);
        return 1;
    }
    return append_events(subscription, arguments[3]);
}

pid_t feed_child_start(const struct server *server, const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "subscriber", server->scene->directory, server->url, path,
                    (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

void feed_record_begin(const char *path, struct activity_cursor begin)
{
    const struct feed_record record = {begin.epoch, begin.sequence, 0};
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(file, &record, sizeof record), sizeof record);
    (void)close(file);
}

bool feed_record_await(const char *path, uint64_t sequence, uint32_t milliseconds)
{
    uint64_t until = now_ms() + milliseconds;
    struct feed_record last = {0, 0, 0};
    while ((!read_last(path, &last) || last.sequence < sequence) && now_ms() < until) {
        sleep_ms(10);
    }
    if (last.sequence < sequence) {
        print_error("the subscriber is at %llu, not at %llu\n", (unsigned long long)last.sequence,
                    (unsigned long long)sequence);
    }
    return last.sequence >= sequence;
}

uint32_t feed_record_check(const char *path, struct activity_cursor begin)
{
    FILE *file = fopen(path, "re");
    struct feed_record record;
    uint32_t resets = 0;
    uint64_t last = begin.sequence;
    assert_non_null(file);
    assert_int_equal(fread(&record, sizeof record, 1, file), 1); /* where it began */
    while (fread(&record, sizeof record, 1, file) == 1) {
        assert_true(record.epoch == begin.epoch);
        resets += record.is_reset != 0;
        if (record.is_reset == 0 && record.sequence != last + 1) {
            fail_msg("%llu came after %llu", (unsigned long long)record.sequence,
                     (unsigned long long)last);
        }
        assert_true(record.sequence >= last);
        last = record.sequence;
    }
    (void)fclose(file);
    return resets;
}

struct activity_cursor feed_head(activity_client *client)
{
    struct activity_error error;
    activity_result *result;
    assert_ok(activity_get_server_info(client, NULL, &result, &error), error);
    const struct activity_server_info *info = activity_result_server_info(result);
    const struct activity_cursor cursor = {info->epoch, info->head_sequence};
    activity_result_free(result);
    return cursor;
}

/* ---- A load ---- */

/* The group of the n-th object, NULL for none. */
static const char *const *group_of(const struct feed_load *load, uint64_t n,
                                   const char *const *standard)
{
    if (load->groups == NULL) {
        return standard;
    }
    size_t turn = (size_t)(n % (load->group_count + 1));
    return turn == load->group_count ? NULL : &load->groups[turn];
}

static int submit_change(struct feed_load *load, activity_window *window,
                         const struct activity_call_options *call, struct activity_error *error)
{
    static const char *const all = "*";
    char id[32];
    uint64_t document = random_next(&load->seed) % 500;
    const char *const *group = group_of(load, document, &all);
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)document);
    const struct activity_document_change change = {.model = "mediacontainer",
                                                    .document_id = id,
                                                    .affected_model = "mediaContainer",
                                                    .groups = group,
                                                    .group_count = group == NULL ? 0 : 1};
    const struct activity_record_request request = {.changes = &change, .change_count = 1};
    return activity_submit_record_changes(window, &request, call, 0, error);
}

/* One more request: creates and ends in turn, and as many changes. The tag of an end is its job. */
static void submit_one(struct feed_load *load, activity_window *window, size_t *next_end)
{
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    struct activity_error error;
    call.timeout_ms = 60000;
    uint64_t dice = random_next(&load->seed) % 4;
    int code;
    if (dice < 2) {
        code = submit_change(load, window, &call, &error);
    } else if (dice == 2 && *next_end < load->job_count) {
        const struct activity_update_request request = {.job_id = load->jobs[*next_end],
                                                        .set_percent = true,
                                                        .percent = 100,
                                                        .status_text = "done"};
        code = activity_submit_update(window, &request, &call, load->jobs[(*next_end)++], &error);
    } else {
        const char *const *group = group_of(load, random_next(&load->seed), NULL);
        group = group != NULL && strcmp(*group, "*") == 0 ? NULL : group; /* of documents only */
        const struct activity_create_request request = {.type = "upload",
                                                        .title = "load",
                                                        .groups = group,
                                                        .group_count = group == NULL ? 0 : 1};
        code = activity_submit_create(window, &request, &call, 0, &error);
    }
    if (code != ACTIVITY_OK) {
        print_error("load: %s %s\n", error.reason, error.message);
        atomic_fetch_add(&load->failed, 1);
    }
}

static void keep_job(struct feed_load *load, uint64_t job_id)
{
    if (load->job_count == load->job_capacity) {
        load->job_capacity = load->job_capacity == 0 ? 4096 : load->job_capacity * 2;
        load->jobs = realloc(load->jobs, load->job_capacity * sizeof load->jobs[0]);
    }
    load->jobs[load->job_count++] = job_id;
}

static void take_completion(struct feed_load *load, struct activity_completion *done)
{
    if (done->error.code != ACTIVITY_OK) {
        print_error("load: %s %s\n", done->error.reason, done->error.message);
        atomic_fetch_add(&load->failed, 1);
    } else if (done->method == ACTIVITY_METHOD_CREATE) {
        keep_job(load, activity_result_created(done->result)->job_id);
        atomic_fetch_add(&load->created, 1);
    } else if (done->method == ACTIVITY_METHOD_UPDATE) {
        atomic_fetch_add(&load->ended,
                         activity_result_updated(done->result)->disposition == ACTIVITY_APPLIED);
    } else {
        atomic_fetch_add(&load->changes, 1);
    }
    activity_result_free(done->result);
}

static void *work(void *context)
{
    struct feed_load *load = context;
    struct activity_error error;
    size_t in_flight = load->in_flight == 0 ? 16 : load->in_flight;
    size_t next_end = 0;
    activity_window *window = activity_window_new(load->client, in_flight, &error);
    uint64_t began = now_ms();
    uint64_t sent = 0;
    while (!atomic_load(&load->stop) || activity_window_used(window) > 0) {
        uint64_t due =
            load->per_second == 0 ? UINT64_MAX : (now_ms() - began) * load->per_second / 1000 + 1;
        while (!atomic_load(&load->stop) && activity_window_used(window) < in_flight &&
               sent < due) {
            submit_one(load, window, &next_end);
            sent++;
        }
        struct activity_completion done;
        if (activity_next(window, load->per_second == 0 ? 50 : 2, &done) == ACTIVITY_NEXT_DONE) {
            take_completion(load, &done);
        } else if (activity_window_used(window) == 0) {
            rest(1000);
        }
    }
    activity_window_free(window);
    return NULL;
}

void feed_load_start(struct feed_load *load)
{
    load->seed = load->seed == 0 ? 88172645463325252u : load->seed;
    load->client = client_of(load->server, load->who, NULL, NULL, NULL);
    assert_int_equal(pthread_create(&load->thread, NULL, work, load), 0);
}

/* The index follows the changes in their order: when one of a document of its own has been seen in
 * it, all before it have. */
static void await_index(struct feed_load *load)
{
    static const char *const all = "*";
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    struct activity_error error;
    struct activity_recorded recorded;
    struct activity_visible visible;
    const struct activity_document_change change = {.model = "mediacontainer",
                                                    .document_id = "last",
                                                    .affected_model = "mediaContainer",
                                                    .groups = &all,
                                                    .group_count = 1};
    const struct activity_record_request record = {.changes = &change, .change_count = 1};
    call.timeout_ms = 60000;
    assert_ok(activity_record_changes(load->client, &record, &call, &recorded, &error), error);
    atomic_fetch_add(&load->changes, 1);
    const struct activity_visible_request wait = {.ticket = recorded.ticket, .wait_ms = 30000};
    assert_ok(activity_wait_visible(load->client, &wait, &call, &visible, &error), error);
    assert_true(visible.reached);
}

void feed_load_stop(struct feed_load *load)
{
    atomic_store(&load->stop, true);
    (void)pthread_join(load->thread, NULL);
    await_index(load);
    activity_client_free(load->client);
    load->client = NULL;
}

void feed_load_free(struct feed_load *load)
{
    free(load->jobs);
    load->jobs = NULL;
}
