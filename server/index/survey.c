#include "server/index/survey.h"

#include <stdio.h>
#include <string.h>

#include "server/check.h"
#include "server/index/bulk.h"
#include "server/index/places.h"
#include "server/index/reply.h"
#include "server/index/scan.h"
#include "server/index/script.h"

#define SCRIPT_TEXT_MAX 6000u

void survey_begin(struct survey *survey, const struct targets *targets, uint32_t late_ms)
{
    *survey = (struct survey){.targets = targets, .late_ms = late_ms};
}

static bool writes(const struct targets *targets, enum take_kind kind)
{
    for (uint32_t i = 0; i < targets->model_count; i++) {
        if (targets->models[i].kind == kind) {
            return true;
        }
    }
    return kind == TAKE_WHOLE; /* what all other models are */
}

/* ---- Questions ---- */

static void ask_deletions(const struct survey *survey, struct survey_request *request)
{
    char names[PLACES_LIST_MAX];
    places_patterns(survey->targets, names);
    (void)snprintf(request->path, sizeof request->path,
                   "%s/_settings/index.gc_deletes?flat_settings=true&include_defaults=true"
                   "&allow_no_indices=true&ignore_unavailable=true&expand_wildcards=open",
                   names);
}

static void ask_store(struct survey_request *request)
{
    struct writer to = writer_of(request->body, sizeof request->body);
    static const char before[] = "{\"script\":{\"lang\":\"painless\",\"source\":";
    request->method = "PUT";
    (void)snprintf(request->path, sizeof request->path, "/_scripts/%s/update", INDEX_SCRIPT_NAME);
    writer_put(&to, before, sizeof before - 1);
    bulk_put_string(bytes_of(index_script_source, strlen(index_script_source)), &to);
    writer_put(&to, "}}", 2);
    CHECK(!to.failed);
    request->body_length = (uint32_t)to.wanted;
}

void survey_ask(const struct survey *survey, struct survey_request *request)
{
    request->method = "GET";
    request->body_length = 0;
    switch (survey->step) {
    case SURVEY_VERSION:
        (void)snprintf(request->path, sizeof request->path, "/");
        return;
    case SURVEY_SCRIPT_READ:
    case SURVEY_SCRIPT_READ_BACK:
        (void)snprintf(request->path, sizeof request->path, "/_scripts/%s", INDEX_SCRIPT_NAME);
        return;
    case SURVEY_SCRIPT_STORE:
        ask_store(request);
        return;
    case SURVEY_DELETIONS:
        ask_deletions(survey, request);
        return;
    case SURVEY_DONE:
        break;
    }
    CHECK(survey->step != SURVEY_DONE);
}

/* ---- Answers ---- */

static void warn(struct survey *survey, const struct reason *warning)
{
    survey->has_warning = true;
    survey->warning = *warning;
}

static void skip_to_deletions(struct survey *survey)
{
    survey->step = writes(survey->targets, TAKE_WHOLE) ? SURVEY_DELETIONS : SURVEY_DONE;
}

/* Enters the object that is the value of `wanted`, the rest of the object around it is left. */
static bool enter_member(struct scan *scan, const char *wanted)
{
    uint32_t count = 0;
    struct bytes name;
    if (scan_peek(scan) != SCAN_OBJECT || !scan_enter_object(scan)) {
        return false;
    }
    while (scan_name(scan, &count, &name)) {
        if (scan_is(name, wanted)) {
            return true;
        }
        scan_skip(scan);
    }
    return false;
}

static int unknown_answer(uint32_t status, struct bytes body, struct reason *why)
{
    struct reason said;
    reply_read_error(status, body, &said);
    if (status == 401) {
        reason_set(why, "credentials",
                   "the index refuses user or key (%.120s): see index_user_file and "
                   "index_api_key_file",
                   said.message);
        return 2;
    }
    reason_set(why, said.code, "%s", said.message);
    return status == 429 || status >= 500 ? 1 : 2;
}

static int answer_version(struct survey *survey, uint32_t status, struct bytes body,
                          struct reason *why)
{
    struct scan scan = scan_of(body.at, body.length);
    struct bytes name;
    struct bytes number = {NULL, 0};
    struct bytes kind = {NULL, 0};
    uint32_t count = 0;
    if (status == 403) { /* cluster:monitor/main may be denied: writing need not be */
        (void)snprintf(survey->version, sizeof survey->version, "unknown");
        survey->step = SURVEY_SCRIPT_READ;
    } else if (status != 200) {
        return unknown_answer(status, body, why);
    } else {
        if (!enter_member(&scan, "version") || !scan_enter_object(&scan)) {
            reason_set(why, "no_index", "what answers there is no OpenSearch or Elasticsearch");
            return 2;
        }
        while (scan_name(&scan, &count, &name)) {
            bool is_text = scan_peek(&scan) == SCAN_STRING;
            if (is_text && scan_is(name, "number")) {
                number = scan_string(&scan);
            } else if (is_text && scan_is(name, "distribution")) {
                kind = scan_string(&scan);
            } else {
                scan_skip(&scan);
            }
        }
        if (scan.failed || number.length == 0) {
            reason_set(why, "no_index", "what answers there does not tell its version");
            return 2;
        }
        char text[2][SURVEY_VERSION_MAX / 2];
        (void)scan_text(kind, text[0], sizeof text[0]);
        (void)scan_text(number, text[1], sizeof text[1]);
        (void)snprintf(survey->version, sizeof survey->version, "%s %s",
                       kind.length == 0 ? "elasticsearch" : text[0], text[1]);
        survey->step = SURVEY_SCRIPT_READ;
    }
    if (!writes(survey->targets, TAKE_FRAGMENTS)) {
        skip_to_deletions(survey);
    }
    return 0;
}

/* Both as text for people, since the same text may be escaped in more than one way. */
static bool is_our_script(struct bytes body)
{
    char ours[SCRIPT_TEXT_MAX];
    char theirs[SCRIPT_TEXT_MAX];
    char quoted[SURVEY_BODY_MAX];
    struct writer to = writer_of(quoted, sizeof quoted);
    struct scan scan = scan_of(body.at, body.length);
    if (!enter_member(&scan, "script") || !enter_member(&scan, "source") ||
        scan_peek(&scan) != SCAN_STRING) {
        return false;
    }
    struct bytes source = scan_string(&scan);
    bulk_put_string(bytes_of(index_script_source, strlen(index_script_source)), &to);
    CHECK(!to.failed && to.wanted + 1 < sizeof ours);
    (void)scan_text(bytes_of(quoted + 1, to.wanted - 2), ours, sizeof ours);
    (void)scan_text(source, theirs, sizeof theirs);
    return strcmp(ours, theirs) == 0;
}

static int answer_script(struct survey *survey, uint32_t status, struct bytes body,
                         struct reason *why)
{
    bool back = survey->step == SURVEY_SCRIPT_READ_BACK;
    if (status == 200 && is_our_script(body)) {
        skip_to_deletions(survey);
        return 0;
    }
    if (back && status == 403) { /* it was compiled when it was stored */
        struct reason warning;
        reason_set(&warning, "script_unseen",
                   "our user may store the script %s but not read it back: grant "
                   "cluster:admin/script/get",
                   INDEX_SCRIPT_NAME);
        warn(survey, &warning);
        skip_to_deletions(survey);
        return 0;
    }
    if (back && status == 200) {
        reason_set(why, "script_differs",
                   "the stored script %s is another one: somebody overwrites it",
                   INDEX_SCRIPT_NAME);
        return 2;
    }
    if (back || status == 401 || status == 429 || status >= 500) {
        return unknown_answer(status, body, why);
    }
    survey->step = SURVEY_SCRIPT_STORE; /* 404, another one, or we may not read it */
    return 0;
}

static int answer_store(struct survey *survey, uint32_t status, struct bytes body,
                        struct reason *why)
{
    if (status == 200) {
        survey->step = SURVEY_SCRIPT_READ_BACK;
        return 0;
    }
    struct reason said;
    int outcome = unknown_answer(status, body, &said);
    if (status == 403) {
        reason_set(
            why, "script_denied",
            "our user may not store the script %s: grant cluster:admin/script/put and get, or "
            "have an administrator store it (%.80s)",
            INDEX_SCRIPT_NAME, said.message);
        return 2;
    }
    reason_set(why, said.code, "the script for fragments cannot be stored: %s", said.message);
    return outcome;
}

/* "60s", "1h", "-1" ...: UINT64_MAX when it is none that we know. */
static uint64_t time_ms(struct bytes text)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000u}, {"d", 86400000u}};
    struct scan scan = scan_of(text.at, text.length);
    uint64_t number;
    if (scan_peek(&scan) != SCAN_NUMBER || !scan_u64(&scan, &number) || number > UINT32_MAX) {
        return UINT64_MAX;
    }
    struct bytes unit = bytes_of(scan.at, (size_t)(scan.end - scan.at));
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (scan_is(unit, units[i].unit)) {
            return number * units[i].ms;
        }
    }
    return UINT64_MAX;
}

/* {"settings":{"index.gc_deletes":"1h"},"defaults":{...}}: at most one of them has it. */
static void read_settings(struct scan *scan, struct bytes *value)
{
    uint32_t count = 0;
    struct bytes name;
    if (scan_peek(scan) != SCAN_OBJECT || !scan_enter_object(scan)) {
        scan_skip(scan);
        return;
    }
    while (scan_name(scan, &count, &name)) {
        uint32_t settings = 0;
        struct bytes setting;
        if (scan_peek(scan) != SCAN_OBJECT || !scan_enter_object(scan)) {
            scan_skip(scan);
            continue;
        }
        while (scan_name(scan, &settings, &setting)) {
            if (scan_is(setting, "index.gc_deletes") && scan_peek(scan) == SCAN_STRING) {
                *value = scan_string(scan);
            } else {
                scan_skip(scan);
            }
        }
    }
}

static int answer_deletions(struct survey *survey, uint32_t status, struct bytes body,
                            struct reason *why)
{
    struct reason warning;
    survey->step = SURVEY_DONE;
    if (status == 401 || status == 429 || status >= 500) {
        return unknown_answer(status, body, why);
    }
    if (status == 404) {
        return 0; /* there are no indices yet */
    }
    struct scan scan = scan_of(body.at, body.length);
    uint32_t count = 0;
    struct bytes index;
    if (status != 200 || !scan_enter_object(&scan)) {
        reply_read_error(status, body, why);
        reason_set(&warning, "deletions_unknown",
                   "cannot see how long the indices remember deletions (index.gc_deletes): %.120s",
                   why->message);
        warn(survey, &warning);
        return 0;
    }
    while (scan_name(&scan, &count, &index)) {
        struct bytes value = {NULL, 0};
        read_settings(&scan, &value);
        uint64_t ms = value.length == 0 ? UINT64_MAX : time_ms(value);
        if (ms < survey->late_ms) {
            char text[2][TARGET_NAME_MAX + 1];
            (void)scan_text(index, text[0], sizeof text[0]);
            (void)scan_text(value, text[1], 32);
            reason_set(&warning, "deletions_forgotten",
                       "index.gc_deletes of %.80s is %s, but a write may come %u s late: a deleted "
                       "document could come back. Set it higher",
                       text[0], text[1], survey->late_ms / 1000);
            warn(survey, &warning);
        }
    }
    return 0;
}

int survey_answer(struct survey *survey, uint32_t status, struct bytes body, struct reason *why)
{
    switch (survey->step) {
    case SURVEY_VERSION:
        return answer_version(survey, status, body, why);
    case SURVEY_SCRIPT_READ:
    case SURVEY_SCRIPT_READ_BACK:
        return answer_script(survey, status, body, why);
    case SURVEY_SCRIPT_STORE:
        return answer_store(survey, status, body, why);
    case SURVEY_DELETIONS:
        return answer_deletions(survey, status, body, why);
    case SURVEY_DONE:
        break;
    }
    CHECK(survey->step != SURVEY_DONE);
    return 0;
}
