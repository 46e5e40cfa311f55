/* Calls as they come from the wire, and their answers as a client would read them: what the
 * engine's tests are written with. Replies are kept by token. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_ENGINE_CALLS_H
#define ACTIVITYD_TESTS_UNIT_SERVER_ENGINE_CALLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "activity/v1/activity_service.pb-c.h"
#include "activity/v1/admin_service.pb-c.h"
#include "activity/v1/change_service.pb-c.h"
#include "activity/v1/feed.pb-c.h"
#include "proto/frame.h"
#include "server/engine/engine.h"
#include "server/wire/request.h"

#define CALL_TOKENS 65536

/* A reply, copied. */
struct call_reply {
    uint8_t *bytes;
    uint32_t length;
    uint32_t times;    /* a token is answered once */
    uint64_t sequence; /* of the last event told before it */
};

/* What is kept of the messages of progress. */
struct call_progress {
    uint64_t messages;
    uint64_t bytes_most; /* of one */
    uint64_t jobs;       /* told, with repetitions */
    uint32_t last_count;
    struct {
        uint64_t job_id;
        uint8_t percent;
    } last[8192]; /* of the newest message */
};

struct calls {
    struct request_scratch *scratch;
    struct call_reply replies[CALL_TOKENS];
    uint64_t next_token;
    uint64_t now_ms; /* for deadlines */
    uint64_t requests;
    bool crowded;            /* of the next calls: there is no place to wait */
    const atomic_bool *gone; /* of the next calls: NULL, or whether nobody is there any more */
    int fatal_status;        /* 0: none */
    char fatal_text[512];
    bool history_told;
    uint64_t history;       /* what it said */
    uint64_t last_sequence; /* of the events seen */
    uint64_t event_count;
    void (*on_event)(uint8_t kind, struct bytes body); /* NULL, or who else wants them */
    struct call_progress progress;
};

static inline void calls_init(struct calls *calls)
{
    memset(calls, 0, sizeof *calls);
    calls->scratch = request_scratch_new();
    calls->next_token = 1;
    assert_non_null(calls->scratch);
}

static inline void calls_deinit(struct calls *calls)
{
    for (size_t i = 0; i < CALL_TOKENS; i++) {
        free(calls->replies[i].bytes);
    }
    request_scratch_free(calls->scratch);
}

static inline void calls_on_reply(void *context, uint64_t token, struct bytes frame)
{
    struct calls *calls = context;
    struct call_reply *reply = &calls->replies[token % CALL_TOKENS];
    free(reply->bytes);
    reply->bytes = malloc(frame.length);
    memcpy(reply->bytes, frame.at, frame.length);
    reply->length = frame.length;
    reply->sequence = calls->last_sequence;
    reply->times++;
}

static inline void calls_on_history(void *context, uint64_t sequence)
{
    struct calls *calls = context;
    assert_false(calls->history_told);
    calls->history_told = true;
    calls->history = sequence;
    calls->last_sequence = sequence;
}

static inline void calls_on_events(void *context, struct bytes effects)
{
    struct calls *calls = context;
    struct reader reader = reader_of(effects);
    struct effect effect;
    while (effect_next(&reader, &effect)) {
        struct event event;
        assert_int_equal(effect.type, EFFECT_EVENT);
        assert_true(event_decode(effect.kind, effect.body, &event));
        assert_true(calls->history_told);
        assert_int_equal(event.sequence, calls->last_sequence + 1);
        calls->last_sequence = event.sequence;
        calls->event_count++;
        if (calls->on_event != NULL) {
            calls->on_event(effect.kind, effect.body);
        }
    }
}

static inline void calls_on_progress(void *context, struct bytes fields)
{
    struct calls *calls = context;
    struct call_progress *progress = &calls->progress;
    Activity__V1__ProgressFrame *frame =
        activity__v1__progress_frame__unpack(NULL, fields.length, fields.at);
    assert_non_null(frame);
    assert_true(frame->n_job_id_deltas > 0);
    assert_int_equal(frame->percents.len, frame->n_job_id_deltas);
    assert_in_range(frame->n_job_id_deltas, 1, 8192);
    uint64_t job_id = 0;
    for (size_t i = 0; i < frame->n_job_id_deltas; i++) {
        job_id += (uint64_t)frame->job_id_deltas[i];
        progress->last[i].job_id = job_id;
        progress->last[i].percent = frame->percents.data[i];
    }
    progress->last_count = (uint32_t)frame->n_job_id_deltas;
    progress->jobs += frame->n_job_id_deltas;
    progress->messages++;
    progress->bytes_most =
        fields.length > progress->bytes_most ? fields.length : progress->bytes_most;
    activity__v1__progress_frame__free_unpacked(frame, NULL);
}

static inline void calls_on_fatal(void *context, int exit_status, const char *text)
{
    struct calls *calls = context;
    calls->fatal_status = exit_status;
    (void)snprintf(calls->fatal_text, sizeof calls->fatal_text, "%s", text);
}

/* Who calls. */
static inline struct command_caller call_caller(const char *user, uint8_t rights)
{
    static const char tenant[] = "acme";
    static const char principal[] = "spiffe://test/gateway";
    return (struct command_caller){.tenant = bytes_of(tenant, sizeof tenant - 1),
                                   .principal = bytes_of(principal, sizeof principal - 1),
                                   .user = bytes_of(user, strlen(user)),
                                   .rights = rights};
}

/* Pushes a packed request. Returns its token, and what inbox_push said in *outcome. */
static inline uint64_t call_push(struct calls *calls, struct engine *engine, enum method_id method,
                                 const char *user, const ProtobufCMessage *request, int *outcome)
{
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *payload = malloc(size + 1);
    (void)protobuf_c_message_pack(request, payload);
    struct command_caller caller = call_caller(user, 0);
    const struct method *row = method_row(method);
    struct request_body body;
    struct request_error error;
    int decoded =
        request_decode(calls->scratch, row, &caller, (struct view){payload, size}, &body, &error);
    if (decoded != 0) {
        fail_msg("%s: %s: %s", row->name, error.field, error.rule);
    }
    uint64_t token = calls->next_token++;
    struct call_reply *reply = &calls->replies[token % CALL_TOKENS];
    free(reply->bytes);
    *reply = (struct call_reply){.bytes = NULL};
    struct inbox_item item = {
        .kind = row->route == ROUTE_COMMAND ? INBOX_COMMAND : INBOX_QUERY,
        .token = token,
        .deadline_ms = calls->now_ms + 30000,
        .body = body.bytes,
        .wait_until_ms = body.wait_ms == 0 || calls->crowded ? 0 : calls->now_ms + body.wait_ms,
        .crowded = calls->crowded,
        .gone = calls->gone};
    *outcome = inbox_push(engine_inbox(engine), &item);
    free(payload);
    return token;
}

static inline uint64_t call(struct calls *calls, struct engine *engine, enum method_id method,
                            const char *user, const ProtobufCMessage *request)
{
    int outcome;
    uint64_t token = call_push(calls, engine, method, user, request, &outcome);
    assert_int_equal(outcome, 0);
    return token;
}

static inline bool call_answered(const struct calls *calls, uint64_t token)
{
    return calls->replies[token % CALL_TOKENS].times > 0;
}

/* The reply's envelope: its views live as long as the token is not used again. */
static inline struct frame_reply call_envelope(const struct calls *calls, uint64_t token)
{
    const struct call_reply *reply = &calls->replies[token % CALL_TOKENS];
    struct frame_reply frame;
    struct frame_error error;
    assert_int_equal(reply->times, 1);
    assert_int_equal(frame_reply_decode((struct view){reply->bytes, reply->length}, &frame, &error),
                     0);
    return frame;
}

/* The response of a call that went well. Free with protobuf_c_message_free_unpacked. */
static inline void *call_response(const struct calls *calls, uint64_t token,
                                  const ProtobufCMessageDescriptor *type)
{
    struct frame_reply frame = call_envelope(calls, token);
    if (frame.code != 0) {
        fail_msg("refused: %.*s", (int)frame.message.length, (const char *)frame.message.bytes);
    }
    void *response =
        protobuf_c_message_unpack(type, NULL, frame.payload.length, frame.payload.bytes);
    assert_non_null(response);
    return response;
}

static inline void call_free(void *response)
{
    protobuf_c_message_free_unpacked(response, NULL);
}

static inline void assert_refused(const struct calls *calls, uint64_t token, const char *reason)
{
    struct frame_reply frame = call_envelope(calls, token);
    assert_int_not_equal(frame.code, 0);
    assert_true(view_equal(frame.reason, view_of(reason)));
}

/* ---- Single calls ---- */

static inline uint64_t call_create(struct calls *calls, struct engine *engine, const char *user)
{
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    uint64_t id[2] = {++calls->requests, 0x6964};
    request.request_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)id};
    request.type = "upload";
    request.title = "a film";
    return call(calls, engine, METHOD_CREATE_ACTIVITY, user, &request.base);
}

static inline uint64_t created_id(const struct calls *calls, uint64_t token)
{
    Activity__V1__CreateActivityResponse *response =
        call_response(calls, token, &activity__v1__create_activity_response__descriptor);
    uint64_t job_id = response->job_id;
    assert_true(job_id != 0);
    call_free(response);
    return job_id;
}

static inline uint64_t call_update(struct calls *calls, struct engine *engine, const char *user,
                                   uint64_t job_id, uint32_t percent)
{
    Activity__V1__UpdateActivityRequest request = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__INIT;
    request.job_id = job_id;
    request.percent_change_case = ACTIVITY__V1__UPDATE_ACTIVITY_REQUEST__PERCENT_CHANGE_PERCENT;
    request.percent = percent;
    return call(calls, engine, METHOD_UPDATE_ACTIVITY, user, &request.base);
}

static inline uint64_t call_get(struct calls *calls, struct engine *engine, const char *user,
                                uint64_t job_id)
{
    Activity__V1__GetActivityRequest request = ACTIVITY__V1__GET_ACTIVITY_REQUEST__INIT;
    request.job_id = job_id;
    return call(calls, engine, METHOD_GET_ACTIVITY, user, &request.base);
}

static inline Activity__V1__ActivityState state_in(const struct calls *calls, uint64_t token)
{
    Activity__V1__GetActivityResponse *response =
        call_response(calls, token, &activity__v1__get_activity_response__descriptor);
    Activity__V1__ActivityState state = response->activity->state;
    call_free(response);
    return state;
}

#endif
