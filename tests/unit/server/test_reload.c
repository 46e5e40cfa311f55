/* Who waits for a reload, what it is told, and what is in force: on real files, with others' doors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "activity/v1/admin_service.pb-c.h"
#include "proto/frame.h"
#include "server/log.h"
#include "server/reload.h"
#include "tests/unit/server/shell.h"

#define EPOCH  0x1122334455667788ull
#define DAY_MS (24ull * 3600 * 1000)
#define FAR    UINT64_MAX /* a deadline */

static char folder[] = "/tmp/activityd-reload-XXXXXX";
static char error[2048];
static struct config config;
static struct index_config *index_config;
static struct reload *reload;

/* ---- The world around it ---- */

static _Atomic uint64_t wall_now_ms;
static _Atomic uint64_t boot_now_ms;
static atomic_int credentials_put;
static atomic_int policies_put;
static atomic_bool holds; /* whether putting waits for `go` */
static sem_t begun;
static sem_t go;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    size_t count;
    uint64_t tokens[64];
    uint8_t frames[64][REPLY_REFUSAL_MAX];
    size_t lengths[64];
} replies = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static uint64_t read_wall(void *context)
{
    (void)context;
    return atomic_load(&wall_now_ms);
}

static uint64_t read_boot(void *context)
{
    (void)context;
    return atomic_load(&boot_now_ms);
}

static uint32_t put_credentials(void *context, struct tls_credentials *credentials)
{
    (void)context;
    assert_non_null(credentials);
    (void)atomic_fetch_add(&credentials_put, 1);
    if (atomic_load(&holds)) {
        (void)sem_post(&begun);
        while (sem_wait(&go) != 0) {
        }
    }
    return 3;
}

static uint32_t put_policy(void *context, struct policy *policy)
{
    (void)context;
    assert_true(policy_count(policy) > 0);
    (void)atomic_fetch_add(&policies_put, 1);
    return 4;
}

static void take_reply(void *context, uint64_t token, struct bytes frame)
{
    (void)context;
    (void)pthread_mutex_lock(&replies.lock);
    assert_true(replies.count < 64 && frame.length <= REPLY_REFUSAL_MAX);
    replies.tokens[replies.count] = token;
    replies.lengths[replies.count] = frame.length;
    memcpy(replies.frames[replies.count++], frame.at, frame.length);
    (void)pthread_cond_broadcast(&replies.came);
    (void)pthread_mutex_unlock(&replies.lock);
}

static void await_replies(size_t count)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    (void)pthread_mutex_lock(&replies.lock);
    while (replies.count < count) {
        if (pthread_cond_timedwait(&replies.came, &replies.lock, &until) != 0) {
            fail_msg("%zu replies came", replies.count);
        }
    }
    (void)pthread_mutex_unlock(&replies.lock);
}

/* The n-th reply: its token, and what it says. */
static struct frame_reply reply(size_t n, uint64_t token)
{
    struct frame_reply frame;
    struct frame_error fault;
    await_replies(n + 1);
    assert_true(replies.tokens[n] == token);
    assert_int_equal(
        frame_reply_decode((struct view){replies.frames[n], replies.lengths[n]}, &frame, &fault),
        0);
    assert_true(frame.epoch == EPOCH);
    return frame;
}

static void assert_refused(size_t n, uint64_t token, enum status_code code, const char *reason,
                           const char *says)
{
    const struct frame_reply frame = reply(n, token);
    char message[2048];
    (void)snprintf(message, sizeof message, "%.*s", (int)frame.message.length,
                   (const char *)frame.message.bytes);
    if (frame.code != (uint32_t)code || !view_equal(frame.reason, view_of(reason)) ||
        strstr(message, says) == NULL) {
        fail_msg("%u %.*s: %s", frame.code, (int)frame.reason.length,
                 (const char *)frame.reason.bytes, message);
    }
}

/* ---- Files ---- */

static void name(char to[CONFIG_TEXT_MAX], const char *file)
{
    (void)snprintf(to, CONFIG_TEXT_MAX, "%s/%s", folder, file);
}

/* ---- Each test has one, which is not started ---- */

static int make(void **state)
{
    (void)state;
    struct reload_files files;
    config_standard(&config);
    name(config.ca, "ca.crt");
    name(config.crl, "ca.crl");
    name(config.cert, "server.crt");
    name(config.key, "server.key");
    name(config.policy, "policy");
    atomic_store(&wall_now_ms, (uint64_t)time(NULL) * 1000);
    atomic_store(&boot_now_ms, 5000);
    atomic_store(&holds, false);
    atomic_store(&credentials_put, 0);
    atomic_store(&policies_put, 0);
    replies.count = 0;
    shell_in(folder, "cp $1/server.crt.good $1/server.crt; cp $1/policy.good $1/policy");
    if (reload_read(&config, &files, error, sizeof error) != 0) {
        print_error("%s\n", error);
        return -1;
    }
    index_config = index_config_new(&config, files.policy, error, sizeof error);
    const struct reload_options options = {
        .config = &config,
        .index_config = index_config,
        .wall_ms = read_wall,
        .boot_ms = read_boot,
        .put_credentials = put_credentials,
        .put_policy = put_policy,
        .reply = take_reply,
    };
    reload = reload_new(&options, &files);
    reload_files_deinit(&files);
    return reload != NULL && index_config != NULL ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    reload_stop(reload);
    reload_free(reload);
    reload_free(NULL);
    reload_stop(NULL);
    index_config_free(index_config);
    return 0;
}

/* ---- What is in force ---- */

static void test_what_is_in_force(void **state)
{
    (void)state;
    struct answer_files files;
    reload_describe(reload, &files);
    assert_string_equal(files.server.subject, "CN=server");
    assert_string_equal(files.ca.subject, "CN=ca");
    assert_int_equal(files.revocations.lists, 1);
    assert_int_equal(files.revocations.entries, 1);
    assert_string_equal(files.revocations.issuer, "CN=ca");
    assert_false(files.revocations.expired);
    assert_int_equal(files.rules, 2);
    assert_true(files.loaded_ms == atomic_load(&wall_now_ms));
    atomic_store(&wall_now_ms, files.revocations.next_update_ms - 1);
    reload_describe(reload, &files);
    assert_false(files.revocations.expired);
    atomic_store(&wall_now_ms, files.revocations.next_update_ms);
    reload_describe(reload, &files);
    assert_true(files.revocations.expired);
}

static void test_another_set(void **state)
{
    (void)state;
    struct answer_files files;
    uint64_t start_ms = atomic_load(&wall_now_ms);
    assert_int_equal(reload_start(reload, EPOCH, true), 0);
    atomic_store(&wall_now_ms, start_ms + 1000);
    shell_in(folder,
             "cp $1/second.crt $1/server.crt; echo 'rule \"spiffe://t/one\" { methods = {read} "
             "tenant = t }' >$1/policy; chmod 600 $1/policy");
    name(config.key, "second.key");
    assert_int_equal(reload_submit(reload, 7, FAR), 0);
    const struct frame_reply frame = reply(0, 7);
    assert_int_equal(frame.code, STATUS_OK);
    Activity__V1__ReloadResponse *response =
        activity__v1__reload_response__unpack(NULL, frame.payload.length, frame.payload.bytes);
    assert_non_null(response);
    assert_int_equal(response->n_certificates, 2);
    assert_string_equal(response->certificates[0]->subject, "CN=second");
    assert_int_equal(response->revocations->entries, 1);
    assert_int_equal(response->rules, 1);
    assert_int_equal(response->closed_revoked, 3);
    assert_int_equal(response->closed_by_policy, 4);
    activity__v1__reload_response__free_unpacked(response, NULL);
    reload_describe(reload, &files);
    assert_string_equal(files.server.subject, "CN=second");
    assert_int_equal(files.rules, 1);
    assert_true(files.loaded_ms == start_ms + 1000);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *trust_domain;
        const char *says;
    } rows[] = {
        {"echo x >$1/server.crt", "", "/server.crt: "},
        {"cp $1/second.crt $1/server.crt", "", "/server.key: "},
        {"echo x >$1/policy", "", "/policy:1: "},
        {": >$1/policy", "", "/policy: has no rule"},
        {"rm $1/policy", "", "/policy: No such file"},
        {"true", "else", "/policy: rule \"spiffe://t/one\": is outside of trust_domain \"else\""},
    };
    struct answer_files before;
    struct answer_files after;
    reload_describe(reload, &before);
    assert_int_equal(reload_start(reload, EPOCH, true), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        shell_in(folder, "cp $1/server.crt.good $1/server.crt; cp $1/policy.good $1/policy");
        shell_in(folder, rows[i].line);
        (void)snprintf(config.trust_domain, sizeof config.trust_domain, "%s", rows[i].trust_domain);
        assert_int_equal(reload_submit(reload, i, FAR), 0);
        assert_refused(i, i, STATUS_FAILED_PRECONDITION, "RELOAD_REFUSED", rows[i].says);
    }
    reload_describe(reload, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(atomic_load(&credentials_put) + atomic_load(&policies_put), 0);
}

/* NNG's own engine: not even the policy alone. */
static void test_what_is_not_possible(void **state)
{
    (void)state;
    assert_int_equal(reload_start(reload, EPOCH, false), 0);
    assert_int_equal(reload_submit(reload, 9, FAR), 0);
    assert_refused(0, 9, STATUS_FAILED_PRECONDITION, "RELOAD_REFUSED", "restart the server");
    assert_int_equal(atomic_load(&credentials_put) + atomic_load(&policies_put), 0);
}

/* ---- Who waits ---- */

static void test_wishes_before_the_start(void **state)
{
    (void)state;
    reload_want(reload);
    reload_want(reload);
    assert_int_equal(reload_submit(reload, 1, FAR), 0);
    assert_int_equal(atomic_load(&credentials_put), 0);
    assert_int_equal(reload_start(reload, EPOCH, true), 0);
    assert_int_equal(reply(0, 1).code, STATUS_OK);
    assert_int_equal(atomic_load(&credentials_put), 1);
}

/* What comes while one is under way may have come too late for it: one more serves all of them. */
static void test_wishes_meanwhile_are_one(void **state)
{
    (void)state;
    atomic_store(&holds, true);
    assert_int_equal(reload_start(reload, EPOCH, true), 0);
    assert_int_equal(reload_submit(reload, 1, FAR), 0);
    while (sem_wait(&begun) != 0) {
    }
    for (uint64_t token = 2; token <= 40; token++) {
        assert_int_equal(reload_submit(reload, token, FAR), 0);
        reload_want(reload);
    }
    struct answer_files files;
    reload_describe(reload, &files); /* does not wait for it either */
    atomic_store(&holds, false);
    (void)sem_post(&go);
    for (uint64_t token = 1; token <= 40; token++) {
        assert_int_equal(reply(token - 1, token).code, STATUS_OK);
    }
    assert_int_equal(atomic_load(&credentials_put), 2);
    assert_int_equal(atomic_load(&policies_put), 2);
}

static void test_late_wishes(void **state)
{
    (void)state;
    assert_int_equal(reload_submit(reload, 1, 5000), 0);
    assert_int_equal(reload_submit(reload, 2, 4999), 0);
    assert_int_equal(reload_start(reload, EPOCH, true), 0);
    assert_refused(0, 1, STATUS_DEADLINE_EXCEEDED, "EXPIRED_IN_QUEUE", "");
    assert_refused(1, 2, STATUS_DEADLINE_EXCEEDED, "EXPIRED_IN_QUEUE", "");
    assert_int_equal(atomic_load(&credentials_put), 0); /* nobody wants it any more */
    assert_int_equal(reload_submit(reload, 3, 5001), 0);
    assert_int_equal(reply(2, 3).code, STATUS_OK);
}

static void *stop_it(void *context)
{
    (void)context;
    reload_stop(reload);
    return NULL;
}

static void test_the_end(void **state)
{
    (void)state;
    atomic_store(&holds, true);
    assert_int_equal(reload_start(reload, EPOCH, true), 0);
    assert_int_equal(reload_submit(reload, 1, FAR), 0);
    while (sem_wait(&begun) != 0) {
    }
    assert_int_equal(reload_submit(reload, 2, FAR), 0);
    pthread_t thread;
    int outcome = 0;
    assert_int_equal(pthread_create(&thread, NULL, stop_it, NULL), 0);
    for (int i = 0; i < 40 && outcome == 0; i++) { /* until it has begun to stop */
        outcome = reload_submit(reload, 3, FAR);
        (void)usleep(20000);
    }
    assert_int_equal(outcome, 1);
    (void)sem_post(&go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reply(0, 1).code, STATUS_OK); /* what was begun is done */
    assert_refused(1, 2, STATUS_UNAVAILABLE, "DRAINING", "");
    for (size_t i = 2; i < replies.count; i++) {
        assert_refused(i, 3, STATUS_UNAVAILABLE, "DRAINING", "");
    }
    assert_int_equal(reload_submit(reload, 4, FAR), 1);
    assert_int_equal(atomic_load(&credentials_put), 1);
}

/* ---- What expires while it runs ---- */

static void test_expiry_while_it_runs(void **state)
{
    (void)state;
    int seen[2];
    char text[4096];
    assert_int_equal(pipe(seen), 0);
    struct answer_files files;
    reload_describe(reload, &files);
    log_init(seen[1], LOG_LEVEL_WARNING, true);
    assert_int_equal(reload_start(reload, EPOCH, true), 0);
    atomic_store(&wall_now_ms, files.server.not_after_ms - DAY_MS);
    assert_int_equal(reload_submit(reload, 1, 0), 0); /* wakes it, and is late */
    assert_refused(0, 1, STATUS_DEADLINE_EXCEEDED, "EXPIRED_IN_QUEUE", "");
    log_init(2, LOG_LEVEL_INFO, false);
    ssize_t n = read(seen[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    if (strstr(text, "certificate expires soon") == NULL || strstr(text, "days=1") == NULL) {
        fail_msg("it says: %s", text);
    }
    (void)close(seen[0]);
    (void)close(seen[1]);
}

/* ---- Beginning and end ---- */

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL || sem_init(&begun, 0, 0) != 0 || sem_init(&go, 0, 0) != 0) {
        return -1;
    }
    shell_in(
        folder,
        "c=.make/devcerts.sh; $c ca $1 ca && $c issue $1 server ca serverAuth DNS:localhost 90 && "
        "$c issue $1 second ca serverAuth DNS:localhost && $c crl $1 ca 99 second && "
        "mv $1/server.crt $1/server.crt.good && "
        "for n in one two; do "
        "echo \"rule \\\"spiffe://t/$n\\\" { methods = {read} tenant = t }\"; done "
        ">$1/policy.good");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    shell_in(folder, "rm -rf $1");
    return 0;
}

#define RELOAD_TEST(test) cmocka_unit_test_setup_teardown(test, make, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELOAD_TEST(test_what_is_in_force),
        RELOAD_TEST(test_another_set),
        RELOAD_TEST(test_what_is_refused),
        RELOAD_TEST(test_what_is_not_possible),
        RELOAD_TEST(test_wishes_before_the_start),
        RELOAD_TEST(test_wishes_meanwhile_are_one),
        RELOAD_TEST(test_late_wishes),
        RELOAD_TEST(test_the_end),
        RELOAD_TEST(test_expiry_while_it_runs),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
