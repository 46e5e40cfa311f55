/* Admission on its own: the engine's inbox and the feed's reader are taken at link time, and keep
 * the last thing that they were given. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_RPC_ADMISSION_H
#define ACTIVITYD_TESTS_UNIT_SERVER_RPC_ADMISSION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "server/core/command.h"
#include "server/log.h"
#include "server/rpc/admit.h"

#define EPOCH 0x1122334455667788ull

/* ---- What admission gives to ---- */

enum given_to { GIVEN_TO_NOBODY = 0, GIVEN_TO_ENGINE, GIVEN_TO_FEED, GIVEN_TO_RELOAD };

static _Thread_local struct {
    int outcome; /* what the next one will be told */
    int count;
    enum given_to to;
    struct inbox_item item; /* of the feed: without a kind */
    uint8_t body[32 * 1024];
} pushed;

static inline int keep_pushed(enum given_to to, const struct inbox_item *item)
{
    pushed.count++;
    pushed.to = to;
    pushed.item = *item;
    assert_true(item->body.length <= sizeof pushed.body);
    memcpy(pushed.body, item->body.at, item->body.length);
    pushed.item.body.at = pushed.body;
    return pushed.outcome;
}

int inbox_push(struct inbox *inbox, const struct inbox_item *item)
{
    (void)inbox;
    return keep_pushed(GIVEN_TO_ENGINE, item);
}

int feed_reader_submit(struct feed_reader *reader, const struct feed_reader_poll *poll)
{
    assert_non_null(reader);
    const struct inbox_item item = {.token = poll->token,
                                    .deadline_ms = poll->deadline_ms,
                                    .body = poll->query,
                                    .wait_until_ms = poll->wait_until_ms,
                                    .crowded = poll->crowded,
                                    .gone = poll->gone};
    return keep_pushed(GIVEN_TO_FEED, &item);
}

/* ---- What admission asks ---- */

static uint64_t clock_ms = 5000;
static enum admit_health health_now;
static int drains;

static inline uint64_t read_clock(void *context)
{
    (void)context;
    return clock_ms;
}

static inline enum admit_health read_health(void *context)
{
    (void)context;
    return health_now;
}

static inline void count_drain(void *context)
{
    (void)context;
    drains++;
}

static inline int take_reload(void *context, uint64_t token, uint64_t deadline_ms)
{
    (void)context;
    const struct inbox_item item = {
        .token = token, .deadline_ms = deadline_ms, .body = bytes_of("", 0)};
    return keep_pushed(GIVEN_TO_RELOAD, &item);
}

static struct policy *policy;
static struct admit *admit;
static uint64_t reader_place; /* never looked into */

static const char *const rules =
    "rule \"spiffe://t/worker\" { methods = {read, write} tenant = acme }\n"
    "rule \"spiffe://t/gateway\" { methods = {read, write} tenant = acme\n"
    "                              delegate = {other} update_any = true }\n"
    "rule \"spiffe://t/boss\" { methods = {read, write, admin} tenant = acme\n"
    "                           delegate = {other} admin = own }\n"
    "rule \"spiffe://t/root\" { methods = {\"*\"} tenant = acme delegate = {\"*\"} admin = all\n"
    "                           feed = true }\n"
    "rule \"spiffe://t/probe\" { methods = {health} tenant = acme }\n"
    "rule \"spiffe://t/watcher\" { methods = {read, write} tenant = acme feed = true }\n";

static inline struct admit_options admission_options(void)
{
    return (struct admit_options){.reader = (struct feed_reader *)(void *)&reader_place,
                                  .waits_max = 5,
                                  .waits_per_principal = 3,
                                  .epoch = EPOCH,
                                  .slow_call_ms = 1000,
                                  .boot_ms = read_clock,
                                  .health = read_health,
                                  .drain = count_drain,
                                  .reload = take_reload};
}

static inline int open_admission(void **state)
{
    (void)state;
    char path[] = "/tmp/activityd-admit-XXXXXX";
    char error[512];
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, rules, strlen(rules)) != (ssize_t)strlen(rules) || close(fd) != 0) {
        return -1;
    }
    int outcome = policy_load(path, &policy, error, sizeof error);
    (void)unlink(path);
    const struct admit_options options = admission_options();
    admit = admit_new(&options);
    log_set_level(LOG_LEVEL_FATAL); /* refusals are what is tested */
    return outcome == 0 && admit != NULL ? 0 : -1;
}

static inline int close_admission(void **state)
{
    (void)state;
    admit_free(admit);
    admit_free(NULL);
    policy_release(policy);
    log_set_level(LOG_LEVEL_INFO);
    return 0;
}

/* ---- Requests ---- */

static inline struct admit_peer peer_of(const char *name)
{
    return (struct admit_peer){.principal = view_of(name),
                               .rule = policy_find(policy, view_of(name)),
                               .address = "127.0.0.1:1"};
}

static _Thread_local struct admit_call call;
static _Thread_local uint8_t answer[ADMIT_REPLY_MAX];
static _Thread_local struct frame_reply reply; /* views answer */

/* Admits bytes; true when they were answered at once, with `reply` read. */
static inline bool admits_bytes(const struct admit_peer *peer, struct view bytes)
{
    assert_non_null(peer->rule);
    pushed.count = 0;
    pushed.to = GIVEN_TO_NOBODY;
    size_t length = admit_request(admit, peer, 42, bytes, &call, answer);
    assert_int_equal(call.received_ms, clock_ms);
    if (length == 0) {
        assert_int_equal(pushed.count, 1);
        return false;
    }
    struct frame_error error;
    assert_int_equal(frame_reply_decode((struct view){answer, length}, &reply, &error), 0);
    assert_true(reply.epoch == EPOCH);
    return true;
}

static inline bool admits_of(const struct admit_peer *peer, const struct frame_request *frame)
{
    static _Thread_local uint8_t bytes[64 * 1024];
    assert_true(frame_request_head_size(frame) + frame->payload.length <= sizeof bytes);
    uint8_t *end = frame_request_encode_head(frame, bytes);
    if (frame->payload.length > 0) {
        memcpy(end, frame->payload.bytes, frame->payload.length);
    }
    return admits_bytes(peer, (struct view){bytes, (size_t)(end - bytes) + frame->payload.length});
}

static inline bool admits(const char *who, const struct frame_request *frame)
{
    const struct admit_peer peer = peer_of(who);
    return admits_of(&peer, frame);
}

static inline void assert_reply(enum status_code code, const char *reason)
{
    if (reply.code != (uint32_t)code || !view_equal(reply.reason, view_of(reason))) {
        fail_msg("answered %u %.*s", reply.code, (int)reply.reason.length,
                 (const char *)reply.reason.bytes);
    }
}

static inline struct frame_request request(const char *method, const char *payload)
{
    return (struct frame_request){.method = view_of(method), .payload = view_of(payload)};
}

#define CHECK_METHOD   "activity.v1.HealthService/Check"
#define DESTROY_METHOD "activity.v1.ActivityService/DestroyActivity"
#define GET_METHOD     "activity.v1.ActivityService/GetActivity"
#define WAIT_METHOD    "activity.v1.ActivityService/WaitActivity"
#define VISIBLE_METHOD "activity.v1.ChangeService/WaitVisible"
#define READ_METHOD    "activity.v1.ChangeService/ReadChanges"
#define INFO_METHOD    "activity.v1.AdminService/GetServerInfo"
#define RELOAD_METHOD  "activity.v1.AdminService/Reload"
#define JOB_7          "\x08\x07"

/* What is logged while a pipe stands in for standard error. */
static inline const char *logged(int fd)
{
    static char seen[4096];
    ssize_t n = read(fd, seen, sizeof seen - 1);
    seen[n > 0 ? n : 0] = '\0';
    return seen;
}

#endif
