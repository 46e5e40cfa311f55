#include "server/rpc/admit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/field.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "server/log.h"

/* How long a refused caller should wait: about the time that a full inbox takes to empty. */
#define RETRY_INBOX_MS 100
#define RETRY_DISK_MS  2000
#define RETRY_DRAIN_MS 500

/* A long poll is answered so much before its caller gives up, or a quarter of its time if that is
 * less. */
#define ANSWER_EARLIER_MS 1000

/* As many as threads decode at a time; the library has a few. What is above is made and freed. */
#define SCRATCH_KEPT 16

struct admit {
    struct admit_options options;
    _Atomic uint32_t waits; /* long polls that wait now, of all principals */
    pthread_mutex_t lock;   /* guards the two below */
    struct request_scratch *scratches[SCRATCH_KEPT];
    size_t scratch_count;
};

/* One request on its way through admission. */
struct admission {
    struct admit *admit;
    const struct admit_peer *peer;
    struct admit_call *call;
    struct frame_request frame;
    struct command_caller caller;
    struct refusal refusal;
    struct request_error request_error; /* what the refusal's texts point into */
    char text[512];
};

struct admit *admit_new(const struct admit_options *options)
{
    struct admit *admit = calloc(1, sizeof *admit);
    if (admit == NULL) {
        return NULL;
    }
    admit->options = *options;
    (void)pthread_mutex_init(&admit->lock, NULL);
    return admit;
}

void admit_free(struct admit *admit)
{
    if (admit == NULL) {
        return;
    }
    for (size_t i = 0; i < admit->scratch_count; i++) {
        request_scratch_free(admit->scratches[i]);
    }
    (void)pthread_mutex_destroy(&admit->lock);
    free(admit);
}

static struct request_scratch *take_scratch(struct admit *admit)
{
    struct request_scratch *scratch = NULL;
    (void)pthread_mutex_lock(&admit->lock);
    if (admit->scratch_count > 0) {
        scratch = admit->scratches[--admit->scratch_count];
    }
    (void)pthread_mutex_unlock(&admit->lock);
    if (scratch == NULL && (scratch = request_scratch_new()) != NULL) {
        request_scratch_set_kinds(scratch, admit->options.kinds);
    }
    return scratch;
}

static void give_scratch(struct admit *admit, struct request_scratch *scratch)
{
    (void)pthread_mutex_lock(&admit->lock);
    if (admit->scratch_count < SCRATCH_KEPT) {
        admit->scratches[admit->scratch_count++] = scratch;
        scratch = NULL;
    }
    (void)pthread_mutex_unlock(&admit->lock);
    request_scratch_free(scratch);
}

/* ---- Refusals ---- */

static int refuse(struct admission *on, enum status_reason reason, const char *field,
                  const char *message, uint32_t retry_after_ms)
{
    on->refusal = (struct refusal){reason, field, message, retry_after_ms};
    return -1;
}

static void log_refusal(const struct admission *on)
{
    static struct log_rate rate = {.most = 20, .period_ms = 60000};
    const struct method *method = on->call->method;
    log_write_rated(
        &rate, LOG_LEVEL_WARNING, "call refused",
        LOG_FIELDS(LOG_TEXT("reason", status_reason_name(on->refusal.reason)),
                   LOG_TEXT("method", method != NULL ? method->name : ""),
                   LOG_BYTES("principal", on->peer->principal.bytes, on->peer->principal.length),
                   LOG_BYTES("tenant", on->frame.tenant.bytes, on->frame.tenant.length),
                   LOG_TEXT("peer", on->peer->address),
                   LOG_TEXT("why", on->refusal.message != NULL ? on->refusal.message : ""),
                   LOG_TEXT("traceparent", on->call->traceparent)));
}

/* ---- The steps ---- */

static void keep_traceparent(const struct frame_request *frame, struct admit_call *call)
{
    static const char name[] = "traceparent";
    for (size_t i = 0; i < frame->metadata_count; i++) {
        struct view value = frame->metadata[i].value;
        if (view_equal(frame->metadata[i].name, view_of(name)) &&
            value.length < sizeof call->traceparent) {
            memcpy(call->traceparent, value.bytes, value.length);
            call->traceparent[value.length] = '\0';
        }
    }
}

static int read_envelope(struct admission *on, struct view bytes)
{
    struct frame_error error = {REASON_MALFORMED_FRAME, "", "the request is empty"};
    if (bytes.length > LIMIT_REQUEST_BYTES) {
        return refuse(on, REASON_FRAME_TOO_LARGE, NULL, NULL, 0);
    }
    if (bytes.length != 0 && frame_request_decode(bytes, &on->frame, &error) != 0) {
        on->frame.tenant = (struct view){NULL, 0}; /* the contents are unspecified now */
    } else if (bytes.length != 0 && on->frame.method.length == 0) {
        error = (struct frame_error){REASON_BAD_FIELD, "method", "is required"};
    } else if (bytes.length != 0) {
        keep_traceparent(&on->frame, on->call);
        return 0;
    }
    (void)snprintf(on->text, sizeof on->text, "%s%s%s", error.field,
                   error.field[0] != '\0' ? ": " : "", error.rule);
    return refuse(on, error.reason, error.field[0] != '\0' ? error.field : NULL, on->text, 0);
}

static struct bytes bytes_of_view(struct view view)
{
    return bytes_of(view.bytes, view.length);
}

/* For whom the peer calls: tenant, user and groups, and what it may do there. */
static int resolve_caller(struct admission *on)
{
    const struct frame_request *frame = &on->frame;
    const struct policy_rule *rule = on->peer->rule;
    struct view tenant = frame->on_behalf_of ? frame->tenant : view_of(rule->tenant);
    /* Naming the own tenant and nobody in it says what was so anyway. */
    bool delegates = frame->on_behalf_of &&
                     (frame->user.length > 0 || !view_equal(tenant, view_of(rule->tenant)));
    if (delegates && !policy_tenants_hold(&rule->delegate, tenant)) {
        return refuse(on, REASON_NOT_ALLOWED, "on_behalf_of",
                      "the rule of this principal has no delegate for this tenant", 0);
    }
    struct command_caller *caller = &on->caller;
    caller->tenant = bytes_of_view(tenant);
    caller->principal = bytes_of_view(on->peer->principal);
    caller->user = frame->on_behalf_of ? bytes_of_view(frame->user) : bytes_of(NULL, 0);
    caller->group_count = frame->on_behalf_of ? (uint8_t)frame->group_count : 0;
    for (size_t i = 0; i < caller->group_count; i++) {
        caller->groups[i] = bytes_of_view(frame->groups[i]);
    }
    /* Commands are journaled, and nothing in them depends on the feed. */
    bool feeds = rule->feed && on->call->method->route != ROUTE_COMMAND;
    caller->rights = (uint8_t)((rule->update_any ? RIGHT_UPDATE_ANY : 0) |
                               (policy_tenants_hold(&rule->admin, tenant) ? RIGHT_ADMIN : 0) |
                               (feeds ? RIGHT_FEED : 0));
    return 0;
}

static int check_right(struct admission *on)
{
    const struct method *method = on->call->method;
    const struct policy_rule *rule = on->peer->rule;
    if (method->need == NEED_ANY_RULE) {
        return 0;
    }
    if ((rule->methods & UINT32_C(1) << method->id) == 0) {
        return refuse(on, REASON_NOT_ALLOWED, NULL,
                      "the rule of this principal does not list the method", 0);
    }
    if (method->need == NEED_ADMIN && (on->caller.rights & RIGHT_ADMIN) == 0) {
        return refuse(on, REASON_NOT_ALLOWED, NULL,
                      "the method needs admin of the tenant, which the rule of this principal does "
                      "not give",
                      0);
    }
    if (method->need == NEED_ADMIN_ALL && !rule->admin.all) {
        return refuse(on, REASON_NOT_ALLOWED, NULL,
                      "the method needs admin = all, which the rule of this principal does not say",
                      0);
    }
    return 0;
}

/* ---- Places to wait ---- */

static bool take_one(_Atomic uint32_t *count, uint32_t most)
{
    uint32_t now = atomic_load(count);
    while (now < most) {
        if (atomic_compare_exchange_weak(count, &now, now + 1)) {
            return true;
        }
    }
    return false;
}

static bool take_place(struct admit *admit, const struct admit_peer *peer)
{
    if (peer->waits == NULL || !take_one(peer->waits, admit->options.waits_per_principal)) {
        return false;
    }
    if (!take_one(&admit->waits, admit->options.waits_max)) {
        (void)atomic_fetch_sub(peer->waits, 1);
        return false;
    }
    return true;
}

static void give_place(struct admit *admit, const struct admit_peer *peer)
{
    (void)atomic_fetch_sub(&admit->waits, 1);
    (void)atomic_fetch_sub(peer->waits, 1);
}

static void log_crowded(const struct admission *on)
{
    static struct log_rate rate = {.most = 5, .period_ms = 60000};
    log_write_rated(
        &rate, LOG_LEVEL_INFO, "no place to wait",
        LOG_FIELDS(LOG_TEXT("method", on->call->method->name),
                   LOG_BYTES("principal", on->peer->principal.bytes, on->peer->principal.length),
                   LOG_TEXT("peer", on->peer->address)));
}

/* ---- Handing over ---- */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t timeout_of(const struct admission *on)
{
    uint32_t given = on->frame.timeout_ms;
    return given == 0 ? LIMIT_TIMEOUT_DEFAULT_MS : smaller(given, LIMIT_TIMEOUT_MAX_MS);
}

/* How long the call may wait; 0 when it has no place, or does not want to. */
static uint32_t wait_of(const struct admission *on, uint32_t wanted_ms)
{
    if (wanted_ms == 0 || !take_place(on->admit, on->peer)) {
        return 0;
    }
    uint32_t timeout = timeout_of(on);
    return smaller(wanted_ms, timeout - smaller(timeout / 4, ANSWER_EARLIER_MS));
}

/* Both return what inbox_push returns. */
static int give_to_engine(const struct admission *on, const struct inbox_item *item)
{
    return inbox_push(on->admit->options.inbox, item);
}

static int give_to_feed(const struct admission *on, const struct inbox_item *item)
{
    const struct feed_reader_poll poll = {.token = item->token,
                                          .deadline_ms = item->deadline_ms,
                                          .wait_until_ms = item->wait_until_ms,
                                          .crowded = item->crowded,
                                          .gone = item->gone,
                                          .query = item->body};
    return feed_reader_submit(on->admit->options.reader, &poll);
}

static int hand_over(struct admission *on, uint64_t token, const struct request_body *body)
{
    enum method_route route = on->call->method->route;
    uint32_t wait_ms = wait_of(on, body->wait_ms);
    bool crowded = wait_ms == 0 && body->wait_ms != 0;
    if (crowded) {
        log_crowded(on);
    }
    on->call->wait_ms = wait_ms;
    uint64_t received_ms = on->call->received_ms;
    const struct inbox_item item = {
        .kind = route == ROUTE_COMMAND ? INBOX_COMMAND : INBOX_QUERY,
        .token = token,
        .deadline_ms = received_ms + timeout_of(on),
        .body = body->bytes,
        .wait_until_ms = wait_ms == 0 ? 0 : received_ms + wait_ms,
        .crowded = crowded,
        .gone = wait_ms == 0 ? NULL : on->peer->gone,
    };
    int outcome = route == ROUTE_FEED ? give_to_feed(on, &item) : give_to_engine(on, &item);
    if (outcome == 0) {
        return 0; /* the call is the answerer's now */
    }
    if (wait_ms != 0) {
        give_place(on->admit, on->peer);
        on->call->wait_ms = 0;
    }
    switch (outcome) {
    case 1:
        return refuse(on, REASON_INBOX_FULL, NULL, NULL, RETRY_INBOX_MS);
    case 2:
        return refuse(on, REASON_DRAINING, NULL, NULL, RETRY_DRAIN_MS);
    default:
        return refuse(on, REASON_DISK_FULL, NULL, NULL, RETRY_DISK_MS);
    }
}

static int decode_and_hand_over(struct admission *on, uint64_t token)
{
    struct request_scratch *scratch = take_scratch(on->admit);
    if (scratch == NULL) {
        return refuse(on, REASON_INBOX_FULL, NULL, NULL, RETRY_INBOX_MS);
    }
    struct request_body body;
    struct request_error *error = &on->request_error;
    request_scratch_set_suite(scratch, on->peer->suite);
    int outcome = 0;
    if (request_decode(scratch, on->call->method, &on->caller, on->frame.payload, &body, error) !=
        0) {
        (void)snprintf(on->text, sizeof on->text, "%s%s%s", error->field,
                       error->field[0] != '\0' ? ": " : "", error->rule);
        outcome = refuse(on, error->reason, error->field[0] != '\0' ? error->field : NULL,
                         on->text[0] != '\0' ? on->text : NULL, 0);
    } else if (body.all_tenants && (on->caller.rights & RIGHT_FEED) == 0) {
        outcome = refuse(on, REASON_NOT_ALLOWED, "all_tenants",
                         "the events of all tenants need feed, which the rule of this principal "
                         "does not give",
                         0);
    } else {
        outcome = hand_over(on, token, &body);
    }
    give_scratch(on->admit, scratch);
    return outcome;
}

/* ---- What is answered here ---- */

static bool is_service(struct view name)
{
    for (int id = METHOD_NONE + 1; id < METHOD_COUNT; id++) {
        const char *method = method_row((enum method_id)id)->name;
        if (view_equal(name, (struct view){(const uint8_t *)method, strcspn(method, "/")})) {
            return true;
        }
    }
    return name.length == 0;
}

/* CheckRequest {string service = 1}, read by hand: the wire's translations are for the engine. */
static int read_check(struct admission *on)
{
    struct view rest = on->frame.payload;
    struct view service = {NULL, 0};
    struct field field;
    enum field_outcome outcome;
    while ((outcome = field_next(&rest, &field)) == FIELD_READ) {
        if (field.number == 1 && field.type == FIELD_BYTES) {
            service = field.bytes;
        } else if (field.number == 1) {
            outcome = FIELD_MALFORMED;
            break;
        }
    }
    if (outcome == FIELD_MALFORMED) {
        return refuse(on, REASON_MALFORMED_PAYLOAD, NULL, NULL, 0);
    }
    return is_service(service) ? 0 : refuse(on, REASON_UNKNOWN_SERVICE, "service", NULL, 0);
}

static size_t answer_check(struct admission *on, uint8_t *reply)
{
    static const char *const explanations[] = {"", "the server is about to stop",
                                               "the journal cannot grow: its disk is full"};
    const struct admit_options *options = &on->admit->options;
    enum admit_health health = options->health(options->context);
    struct view explanation = view_of(explanations[health]);
    uint8_t response[128];
    uint8_t *end = field_write_varint(response, 1, health == ADMIT_SERVING ? 1 : 2);
    end = field_write_bytes(end, 2, explanation);
    return reply_ok(options->epoch, bytes_of(response, (size_t)(end - response)), reply,
                    ADMIT_REPLY_MAX);
}

static size_t answer_drain(struct admission *on, uint8_t *reply)
{
    const struct admit_options *options = &on->admit->options;
    log_warning("drain requested",
                LOG_BYTES("principal", on->peer->principal.bytes, on->peer->principal.length),
                LOG_TEXT("peer", on->peer->address));
    options->drain(options->context);
    return reply_ok(options->epoch, bytes_of(NULL, 0), reply, ADMIT_REPLY_MAX);
}

/* ReloadRequest {}: what is not known is skipped, what is no message is not taken for a wish. */
static int hand_reload(struct admission *on, uint64_t token)
{
    struct view rest = on->frame.payload;
    struct field field;
    enum field_outcome outcome;
    while ((outcome = field_next(&rest, &field)) == FIELD_READ) {
    }
    if (outcome == FIELD_MALFORMED) {
        return refuse(on, REASON_MALFORMED_PAYLOAD, NULL, NULL, 0);
    }
    const struct admit_options *options = &on->admit->options;
    log_info("reload requested",
             LOG_BYTES("principal", on->peer->principal.bytes, on->peer->principal.length),
             LOG_TEXT("peer", on->peer->address));
    if (options->reload(options->context, token, on->call->received_ms + timeout_of(on)) != 0) {
        return refuse(on, REASON_DRAINING, NULL, NULL, RETRY_DRAIN_MS);
    }
    return 0;
}

/* ---- The line ---- */

/* Returns 0 when somebody else will answer, -1 with the refusal, or the length of an answer. */
static long pass(struct admission *on, struct view bytes, uint64_t token, uint8_t *reply)
{
    if (read_envelope(on, bytes) != 0) {
        return -1;
    }
    on->call->method = method_find(on->frame.method);
    if (on->call->method == NULL ||
        (on->call->method->route == ROUTE_FEED && on->admit->options.reader == NULL)) {
        return refuse(on, REASON_UNKNOWN_METHOD, "method", NULL, 0);
    }
    if (resolve_caller(on) != 0 || check_right(on) != 0) {
        return -1;
    }
    switch (on->call->method->id) {
    case METHOD_CHECK:
        return read_check(on) != 0 ? -1 : (long)answer_check(on, reply);
    case METHOD_DRAIN:
        return (long)answer_drain(on, reply);
    case METHOD_RELOAD:
        return hand_reload(on, token);
    default:
        return decode_and_hand_over(on, token);
    }
}

size_t admit_request(struct admit *admit, const struct admit_peer *peer, uint64_t token,
                     struct view frame, struct admit_call *call, uint8_t *reply)
{
    struct admission on;
    on.admit = admit;
    on.peer = peer;
    on.call = call;
    on.refusal = (struct refusal){REASON_NONE, NULL, NULL, 0};
    on.frame.tenant = (struct view){NULL, 0};
    call->wait_ms = 0;
    call->method = NULL;
    call->traceparent[0] = '\0';
    call->received_ms = admit->options.boot_ms(admit->options.context);
    long outcome = pass(&on, frame, token, reply);
    if (outcome >= 0) {
        return (size_t)outcome;
    }
    log_refusal(&on);
    return reply_refuse(admit->options.epoch, &on.refusal, reply);
}

void admit_answered(struct admit *admit, const struct admit_peer *peer,
                    const struct admit_call *call)
{
    static struct log_rate rate = {.most = 20, .period_ms = 60000};
    if (call->wait_ms != 0) {
        give_place(admit, peer);
    }
    uint64_t elapsed = admit->options.boot_ms(admit->options.context) - call->received_ms;
    if (elapsed < call->wait_ms + admit->options.slow_call_ms) {
        return;
    }
    log_write_rated(
        &rate, LOG_LEVEL_WARNING, "slow call",
        LOG_FIELDS(LOG_TEXT("method", call->method != NULL ? call->method->name : ""),
                   LOG_NUMBER("elapsed_ms", elapsed),
                   LOG_BYTES("principal", peer->principal.bytes, peer->principal.length),
                   LOG_TEXT("peer", peer->address), LOG_TEXT("traceparent", call->traceparent)));
}
