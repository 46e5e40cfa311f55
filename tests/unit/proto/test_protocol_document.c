/* PROTOCOL.md says what the code does: its dumps are made here again from protobuf-c and frame, its
 * lists of methods, codes and reasons from their tables, its limits are compared with limits.h.
 * With UPDATE=1 in the environment what is generated is written into the document instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "activity/v1/envelope.pb-c.h"
#include "proto/batch.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/status.h"
#include "tests/unit/proto/protocol_examples.h"
#include "tests/unit/proto/protocol_print.h"

#define DOCUMENT_PATH "proto/PROTOCOL.md"
#define LIMITS_PATH   "proto/limits.h"

enum { SECTIONS_MAX = 64, SECTION_NAME_MAX = 64, MESSAGE_ROOM = 4096, DOCUMENT_ROOM = 1 << 18 };

static const ProtobufCServiceDescriptor *const services[] = {
    &activity__v1__activity_service__descriptor,
    &activity__v1__change_service__descriptor,
    &activity__v1__health_service__descriptor,
    &activity__v1__admin_service__descriptor,
};
enum { SERVICES = sizeof(services) / sizeof(services[0]) };

/* What stands between "<!-- generated: NAME -->" and the next "<!-- end -->". */
struct section {
    char name[SECTION_NAME_MAX];
    char *content;
};
static struct section sections[SECTIONS_MAX];
static size_t section_count;

static void add_section(const struct text *content, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_section(const struct text *content, const char *format, ...)
{
    assert_true(section_count < SECTIONS_MAX);
    struct section *section = &sections[section_count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(section->name, sizeof(section->name), format, arguments);
    va_end(arguments);
    section->content = strdup(content->bytes);
    assert_non_null(section->content);
}

static struct text *new_text(void)
{
    static struct text text;
    text.length = 0;
    text.bytes[0] = '\0';
    return &text;
}

/* --- Frames --- */

static size_t pack(const ProtobufCMessage *message, uint8_t *to)
{
    assert_true(protobuf_c_message_get_packed_size(message) <= MESSAGE_ROOM);
    return protobuf_c_message_pack(message, to);
}

/* The envelope as frame writes it, which must be as protobuf-c writes it. Returns its length. */
static size_t encode_request(const Activity__V1__RequestEnvelope *envelope, uint8_t *to)
{
    uint8_t expected[MESSAGE_ROOM];
    size_t length = pack(&envelope->base, expected);
    struct frame_request frame;
    struct frame_error error;
    assert_int_equal(frame_request_decode((struct view){expected, length}, &frame, &error), 0);
    uint8_t *end = frame_request_encode_head(&frame, to);
    if (frame.payload.length > 0) {
        memcpy(end, frame.payload.bytes, frame.payload.length);
        end += frame.payload.length;
    }
    assert_int_equal(end - to, length);
    assert_memory_equal(to, expected, length);
    return length;
}

static size_t encode_reply(const Activity__V1__ReplyEnvelope *envelope, uint8_t *to)
{
    uint8_t expected[MESSAGE_ROOM];
    size_t length = pack(&envelope->base, expected);
    struct frame_reply frame;
    struct frame_error error;
    assert_int_equal(frame_reply_decode((struct view){expected, length}, &frame, &error), 0);
    uint8_t *end = frame_reply_encode_head(&frame, to);
    if (frame.payload.length > 0) {
        memcpy(end, frame.payload.bytes, frame.payload.length);
        end += frame.payload.length;
    }
    assert_int_equal(end - to, length);
    assert_memory_equal(to, expected, length);
    return length;
}

/* The envelope without its payload, then the payload's message, then the bytes of both. */
static void print_frame(struct text *text, ProtobufCMessage *envelope, ProtobufCBinaryData *payload,
                        const ProtobufCMessage *message)
{
    ProtobufCBinaryData whole = *payload;
    *payload = (ProtobufCBinaryData){0};
    text_add(text, "```\n");
    print_fields(text, envelope, 0);
    *payload = whole;
    if (message != NULL && whole.len > 0) {
        text_add(text, "payload: (%s) {\n", message->descriptor->short_name);
        print_fields(text, message, 2);
        text_add(text, "}\n");
    }
    text_add(text, "```\n\n```\n");
}

static void make_request_section(const struct example *example)
{
    uint8_t payload[MESSAGE_ROOM];
    uint8_t bytes[MESSAGE_ROOM];
    char method[LIMIT_METHOD_LENGTH + 1];
    snprintf(method, sizeof(method), "%s/%s", example->service->name, example->method);
    Activity__V1__OnBehalfOf caller = ACTIVITY__V1__ON_BEHALF_OF__INIT;
    caller.tenant = example_text("studio");
    caller.user = example_text("anna");
    caller.n_groups = 1;
    caller.groups = (char **)example_groups;
    Activity__V1__RequestEnvelope envelope = ACTIVITY__V1__REQUEST_ENVELOPE__INIT;
    envelope.method = method;
    /* A long poll needs more time than it waits. */
    bool waits = protobuf_c_message_descriptor_get_field_by_name(example->request->descriptor,
                                                                 "wait_ms") != NULL;
    envelope.timeout_ms = waits ? 27000 : 5000;
    envelope.on_behalf_of = example->as_user ? &caller : NULL;
    envelope.payload = (ProtobufCBinaryData){pack(example->request, payload), payload};
    size_t length = encode_request(&envelope, bytes);
    struct text *text = new_text();
    print_frame(text, &envelope.base, &envelope.payload, example->request);
    print_dump(text, bytes, length);
    text_add(text, "```\n");
    add_section(text, "%s request", example->method);
}

static void make_reply_section(const struct example *example)
{
    uint8_t payload[MESSAGE_ROOM];
    uint8_t bytes[MESSAGE_ROOM];
    Activity__V1__Status status = ACTIVITY__V1__STATUS__INIT;
    Activity__V1__ReplyEnvelope envelope = ACTIVITY__V1__REPLY_ENVELOPE__INIT;
    envelope.status = &status;
    envelope.epoch = EXAMPLE_EPOCH;
    envelope.payload = (ProtobufCBinaryData){pack(example->response, payload), payload};
    size_t length = encode_reply(&envelope, bytes);
    struct text *text = new_text();
    print_frame(text, &envelope.base, &envelope.payload, example->response);
    print_dump(text, bytes, length);
    text_add(text, "```\n");
    add_section(text, "%s reply", example->method);
}

static void make_example_sections(const struct example *example)
{
    make_request_section(example);
    make_reply_section(example);
}

static void make_refusal_section(const char *name, Activity__V1__Status *status)
{
    uint8_t bytes[MESSAGE_ROOM];
    Activity__V1__ReplyEnvelope envelope = ACTIVITY__V1__REPLY_ENVELOPE__INIT;
    envelope.status = status;
    envelope.epoch = EXAMPLE_EPOCH;
    size_t length = encode_reply(&envelope, bytes);
    struct text *text = new_text();
    print_frame(text, &envelope.base, &envelope.payload, NULL);
    print_dump(text, bytes, length);
    text_add(text, "```\n");
    add_section(text, "%s", name);
}

static void make_refusal_sections(void)
{
    Activity__V1__Metadata field = ACTIVITY__V1__METADATA__INIT;
    field.name = example_text("field");
    field.value = example_text("percents[1]");
    Activity__V1__Metadata *metadata[] = {&field};
    Activity__V1__Status status = ACTIVITY__V1__STATUS__INIT;
    status.code = STATUS_INVALID_ARGUMENT;
    status.message = example_text("percents[1]: is 101, where 100 is the most");
    status.reason = example_text(status_reason_name(REASON_BAD_FIELD));
    status.n_metadata = 1;
    status.metadata = metadata;
    make_refusal_section("refusal of a field", &status);
    activity__v1__status__init(&status);
    status.code = STATUS_RESOURCE_EXHAUSTED;
    status.message = example_text(status_reason_text(REASON_INBOX_FULL));
    status.reason = example_text(status_reason_name(REASON_INBOX_FULL));
    status.retry_after_ms = 50;
    make_refusal_section("refusal under load", &status);
}

/* A long poll that found no place to wait: all is well, but there is advice. */
static void make_crowded_section(void)
{
    uint8_t payload[MESSAGE_ROOM];
    uint8_t bytes[MESSAGE_ROOM];
    Activity__V1__WaitActivityResponse response = ACTIVITY__V1__WAIT_ACTIVITY_RESPONSE__INIT;
    response.state = ACTIVITY__V1__ACTIVITY_STATE__ACTIVITY_STATE_RUNNING;
    response.percent = 42;
    response.waiting_for_job_id = EXAMPLE_JOB;
    Activity__V1__Status status = ACTIVITY__V1__STATUS__INIT;
    status.retry_after_ms = 1000;
    Activity__V1__ReplyEnvelope envelope = ACTIVITY__V1__REPLY_ENVELOPE__INIT;
    envelope.status = &status;
    envelope.epoch = EXAMPLE_EPOCH;
    envelope.payload = (ProtobufCBinaryData){pack(&response.base, payload), payload};
    size_t length = encode_reply(&envelope, bytes);
    struct text *text = new_text();
    print_frame(text, &envelope.base, &envelope.payload, &response.base);
    print_dump(text, bytes, length);
    text_add(text, "```\n");
    add_section(text, "no place to wait");
}

/* A reader that was away for too long. */
static void make_reset_section(void)
{
    uint8_t bytes[MESSAGE_ROOM];
    Activity__V1__Reset reset = ACTIVITY__V1__RESET__INIT;
    reset.reason = ACTIVITY__V1__RESET_REASON__RESET_REASON_EXPIRED;
    reset.call = example_text("activity.v1.ActivityService/FindActivities");
    Activity__V1__Cursor cursor = ACTIVITY__V1__CURSOR__INIT;
    cursor.epoch = EXAMPLE_EPOCH;
    cursor.sequence = EXAMPLE_HEAD + EXAMPLE_EVENTS;
    Activity__V1__ReadChangesResponse response = ACTIVITY__V1__READ_CHANGES_RESPONSE__INIT;
    response.cursor = &cursor;
    response.oldest_sequence = 12;
    response.head_sequence = cursor.sequence;
    response.reset = &reset;
    size_t length = pack(&response.base, bytes);
    struct text *text = new_text();
    text_add(text, "```\nReadChangesResponse {\n");
    print_fields(text, &response.base, 2);
    text_add(text, "}\n```\n\n```\n");
    print_dump(text, bytes, length);
    text_add(text, "```\n");
    add_section(text, "reset");
}

/* --- Messages of the change-feed endpoint --- */

/* The topic, the frame's fields, and the bytes of the whole message. */
static void make_feed_section(const char *name, const char *topic, const ProtobufCMessage *frame)
{
    uint8_t message[2 + MESSAGE_ROOM];
    assert_int_equal(strlen(topic), 2);
    memcpy(message, topic, 2);
    size_t length = 2 + pack(frame, message + 2);
    assert_true(length <= LIMIT_FEED_MESSAGE_BYTES);
    struct text *text = new_text();
    text_add(text, "```\n\"%s\", %s {\n", topic, frame->descriptor->short_name);
    print_fields(text, frame, 2);
    text_add(text, "}\n```\n\n```\n");
    print_dump(text, message, length);
    text_add(text, "```\n");
    add_section(text, "%s", name);
}

static void make_history_sections(void)
{
    struct example_history history;
    example_history(&history);
    Activity__V1__HistoryFrame frame = ACTIVITY__V1__HISTORY_FRAME__INIT;
    frame.epoch = EXAMPLE_EPOCH;
    frame.first_sequence = EXAMPLE_HEAD + 1;
    frame.last_sequence = EXAMPLE_HEAD + EXAMPLE_EVENTS;
    frame.n_events = EXAMPLE_EVENTS;
    frame.events = history.list;
    make_feed_section("history", "c|", &frame.base);

    frame.first_sequence = EXAMPLE_HEAD + EXAMPLE_EVENTS + 1;
    frame.n_events = 0;
    make_feed_section("heartbeat", "c|", &frame.base);
    frame.goodbye = 1;
    make_feed_section("goodbye", "c|", &frame.base);
}

static void make_progress_section(void)
{
    int64_t deltas[] = {EXAMPLE_CHILD_JOB, EXAMPLE_OTHER_JOB - EXAMPLE_CHILD_JOB};
    char *tenants[] = {example_text("studio"), example_text("museum")};
    Activity__V1__ProgressText changed = ACTIVITY__V1__PROGRESS_TEXT__INIT;
    changed.index = 1;
    changed.status_text = example_text("scanning");
    Activity__V1__ProgressText *texts[] = {&changed};
    Activity__V1__ProgressFrame frame = ACTIVITY__V1__PROGRESS_FRAME__INIT;
    frame.epoch = EXAMPLE_EPOCH;
    frame.number = 7;
    frame.time_ms = EXAMPLE_NOW + 41100;
    frame.n_job_id_deltas = 2;
    frame.job_id_deltas = deltas;
    frame.percents = example_bytes("\x1e\x08", 2);
    frame.n_tenants = 2;
    frame.tenants = tenants;
    frame.tenant_indexes = example_bytes("\x00\x01", 2);
    frame.n_texts = 1;
    frame.texts = texts;
    make_feed_section("progress", "p|", &frame.base);
}

/* What goes over a connection to the change-feed endpoint: both greetings, then a heartbeat. */
static void make_feed_connection_section(void)
{
    static const uint8_t client_greeting[] = {0, 'S', 'P', 0, 0, 0x21, 0, 0};
    static const uint8_t server_greeting[] = {0, 'S', 'P', 0, 0, 0x20, 0, 0};
    uint8_t message[8 + 2 + MESSAGE_ROOM] = {0};
    Activity__V1__HistoryFrame frame = ACTIVITY__V1__HISTORY_FRAME__INIT;
    frame.epoch = EXAMPLE_EPOCH;
    frame.first_sequence = EXAMPLE_HEAD + 1;
    frame.last_sequence = EXAMPLE_HEAD;
    message[8] = 'c';
    message[9] = '|';
    size_t length = 2 + pack(&frame.base, message + 10);
    assert_true(length < 256);
    message[7] = (uint8_t)length;
    struct text *text = new_text();
    text_add(text, "```\nclient, once:\n");
    print_dump(text, client_greeting, sizeof(client_greeting));
    text_add(text, "server, once:\n");
    print_dump(text, server_greeting, sizeof(server_greeting));
    text_add(text, "server, a message: length %zu, topic \"c|\", HistoryFrame\n", length);
    print_dump(text, message, 8 + length);
    text_add(text, "```\n");
    add_section(text, "feed connection");
}

/* What goes over the connection for one call, in each direction: greeting, length, id, frame. */
static void make_connection_section(void)
{
    static const uint8_t client_greeting[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    static const uint8_t server_greeting[] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
    uint8_t message[12 + MESSAGE_ROOM] = {0};
    uint8_t payload[MESSAGE_ROOM];
    Activity__V1__RequestEnvelope request = ACTIVITY__V1__REQUEST_ENVELOPE__INIT;
    request.method = example_text("activity.v1.HealthService/Check");
    size_t length = encode_request(&request, message + 12);
    message[7] = (uint8_t)(length + 4);
    message[8] = 0x80;
    message[11] = 1;
    assert_true(length + 4 < 256);
    struct text *text = new_text();
    text_add(text, "```\nclient, once:\n");
    print_dump(text, client_greeting, sizeof(client_greeting));
    text_add(text, "server, once:\n");
    print_dump(text, server_greeting, sizeof(server_greeting));
    text_add(text, "client, the request: length %zu, id 0x80000001, RequestEnvelope\n", length + 4);
    print_dump(text, message, 12 + length);

    Activity__V1__CheckResponse response = ACTIVITY__V1__CHECK_RESPONSE__INIT;
    response.status = ACTIVITY__V1__SERVING_STATUS__SERVING_STATUS_SERVING;
    Activity__V1__Status status = ACTIVITY__V1__STATUS__INIT;
    Activity__V1__ReplyEnvelope reply = ACTIVITY__V1__REPLY_ENVELOPE__INIT;
    reply.status = &status;
    reply.epoch = EXAMPLE_EPOCH;
    reply.payload = (ProtobufCBinaryData){pack(&response.base, payload), payload};
    length = encode_reply(&reply, message + 12);
    message[7] = (uint8_t)(length + 4);
    text_add(text, "server, the reply: length %zu, the same id, ReplyEnvelope\n", length + 4);
    print_dump(text, message, 12 + length);
    text_add(text, "```\n");
    add_section(text, "connection");
}

/* --- Lists --- */

static void make_methods_section(void)
{
    struct text *text = new_text();
    text_add(text, "| method | request | response |\n|---|---|---|\n");
    for (size_t i = 0; i < SERVICES; i++) {
        for (unsigned j = 0; j < services[i]->n_methods; j++) {
            const ProtobufCMethodDescriptor *method = &services[i]->methods[j];
            text_add(text, "| `%s/%s` | `%s` | `%s` |\n", services[i]->name, method->name,
                     method->input->short_name, method->output->short_name);
        }
    }
    add_section(text, "methods");
}

static void make_codes_section(void)
{
    struct text *text = new_text();
    text_add(text, "| code | name | sent by this service |\n|---|---|---|\n");
    for (uint32_t code = 0; code < STATUS_CODE_COUNT; code++) {
        bool is_used = false;
        for (uint32_t reason = 0; reason < REASON_COUNT; reason++) {
            is_used |= status_reason_code(reason) == code;
        }
        text_add(text, "| %u | `%s` | %s |\n", (unsigned)code, status_code_name(code),
                 is_used ? "yes" : "");
    }
    add_section(text, "codes");
}

static void make_reasons_section(void)
{
    struct text *text = new_text();
    text_add(text, "| reason | code | meaning |\n|---|---|---|\n");
    for (uint32_t reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        text_add(text, "| `%s` | `%s` | %s |\n", status_reason_name(reason),
                 status_code_name(status_reason_code(reason)), status_reason_text(reason));
    }
    add_section(text, "reasons");
}

/* --- The document --- */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot open %s: tests run in the root of the tree", path);
    }
    char *content = malloc(DOCUMENT_ROOM);
    assert_non_null(content);
    size_t length = fread(content, 1, DOCUMENT_ROOM - 1, file);
    assert_true(length < DOCUMENT_ROOM - 1);
    content[length] = '\0';
    fclose(file);
    return content;
}

static const char begin_mark[] = "<!-- generated: ";
static const char end_mark[] = "<!-- end -->\n";

/* Where the content of a section stands in the document: *end is its end. Fails when it is not
 * there exactly once. */
static const char *find_section(const char *document, const char *name, const char **end)
{
    char mark[SECTION_NAME_MAX + 32];
    snprintf(mark, sizeof(mark), "%s%s -->\n", begin_mark, name);
    const char *begin = strstr(document, mark);
    if (begin == NULL) {
        fail_msg("%s has no section \"%s\"", DOCUMENT_PATH, name);
    }
    begin += strlen(mark);
    assert_null(strstr(begin, mark));
    *end = strstr(begin, end_mark);
    assert_non_null(*end);
    return begin;
}

static void update_document(void)
{
    for (size_t i = 0; i < section_count; i++) {
        char *document = read_file(DOCUMENT_PATH);
        const char *end;
        const char *begin = find_section(document, sections[i].name, &end);
        FILE *file = fopen(DOCUMENT_PATH, "wb");
        assert_non_null(file);
        fwrite(document, 1, (size_t)(begin - document), file);
        fputs(sections[i].content, file);
        fputs(end, file);
        assert_int_equal(fclose(file), 0);
        free(document);
    }
}

static void what_is_generated_stands_in_the_document(void **state)
{
    (void)state;
    if (getenv("UPDATE") != NULL) {
        update_document();
    }
    char *document = read_file(DOCUMENT_PATH);
    for (size_t i = 0; i < section_count; i++) {
        const char *end;
        const char *begin = find_section(document, sections[i].name, &end);
        char *found = strndup(begin, (size_t)(end - begin));
        assert_non_null(found);
        assert_string_equal(found, sections[i].content);
        free(found);
    }
    size_t marks = 0;
    for (const char *at = document; (at = strstr(at, begin_mark)) != NULL; at++) {
        marks++;
    }
    assert_int_equal(marks, section_count);
    free(document);
}

static const struct example *wanted; /* of the method that is looked for */
static bool is_covered;

static void look_for_method(const struct example *example)
{
    if (strcmp(example->method, wanted->method) == 0 && example->service == wanted->service) {
        is_covered = example->request->descriptor == wanted->request->descriptor &&
                     example->response->descriptor == wanted->response->descriptor;
    }
}

static void every_method_has_an_example_and_a_chapter(void **state)
{
    (void)state;
    char *document = read_file(DOCUMENT_PATH);
    for (size_t i = 0; i < SERVICES; i++) {
        for (unsigned j = 0; j < services[i]->n_methods; j++) {
            const ProtobufCMethodDescriptor *method = &services[i]->methods[j];
            const ProtobufCMessage request = {.descriptor = method->input};
            const ProtobufCMessage response = {.descriptor = method->output};
            const struct example method_only = {services[i], method->name, false, &request,
                                                &response};
            wanted = &method_only;
            is_covered = false;
            take_examples(look_for_method);
            if (!is_covered) {
                fail_msg("%s has no example", method->name);
            }
            char heading[64];
            snprintf(heading, sizeof(heading), "\n### %s\n", method->name);
            if (strstr(document, heading) == NULL) {
                fail_msg("%s has no chapter", method->name);
            }
        }
    }
    free(document);
}

/* The batch of the document by our own codec. */
static void check_batch(const struct example *example)
{
    if (strcmp(example->method, "BatchUpdateActivities") != 0) {
        return;
    }
    const uint64_t job_ids[] = {EXAMPLE_JOB, EXAMPLE_JOB + 1, EXAMPLE_JOB + 8, EXAMPLE_JOB};
    const uint8_t percents[] = {41, 100, 10, 42};
    uint8_t expected[MESSAGE_ROOM];
    uint8_t bytes[MESSAGE_ROOM];
    size_t length = pack(example->request, expected);
    assert_ptr_equal(batch_request_encode(job_ids, percents, 4, bytes), bytes + length);
    assert_memory_equal(bytes, expected, length);

    struct batch_response response;
    length = pack(example->response, bytes);
    assert_int_equal(batch_response_decode((struct view){bytes, length}, &response), 0);
    assert_int_equal(response.percents.length, 4);
    assert_int_equal(response.ignored_count, 1);
    is_covered = true;
}

static void the_batch_is_the_codec_s(void **state)
{
    (void)state;
    is_covered = false;
    take_examples(check_batch);
    assert_true(is_covered);
}

/* --- Limits --- */

/* clang-format off */
static const struct {
    const char *name;
    uint64_t value;
} limits[] = {
#define ROW(name) {#name, LIMIT_##name}
    ROW(REQUEST_BYTES),
    ROW(REPLY_BYTES),
    ROW(RECEIVE_BYTES),
    ROW(ENVELOPE_BYTES),
    ROW(METHOD_LENGTH),
    ROW(METADATA_COUNT),
    ROW(METADATA_NAME_LENGTH),
    ROW(METADATA_VALUE_LENGTH),
    ROW(METADATA_BYTES),
    ROW(TIMEOUT_DEFAULT_MS),
    ROW(TIMEOUT_MAX_MS),
    ROW(PRINCIPAL_LENGTH),
    ROW(TENANT_LENGTH),
    ROW(USER_LENGTH),
    ROW(GROUP_LENGTH),
    ROW(CALLER_GROUPS),
    ROW(OBJECT_GROUPS),
    ROW(REQUEST_ID_LENGTH),
    ROW(TYPE_LENGTH),
    ROW(TITLE_LENGTH),
    ROW(STATUS_TEXT_LENGTH),
    ROW(ATTRIBUTE_COUNT),
    ROW(ATTRIBUTE_NAME_LENGTH),
    ROW(ATTRIBUTE_VALUE_LENGTH),
    ROW(ATTRIBUTES_BYTES),
    ROW(FAILURE_CODE_LENGTH),
    ROW(FAILURE_MESSAGE_LENGTH),
    ROW(PERCENT_MAX),
    ROW(BATCH_UPDATES),
    ROW(RESULT_BYTES),
    ROW(RESULT_ITEMS),
    ROW(RESULT_ITEM_ID_LENGTH),
    ROW(RESULT_ERROR_CODE_LENGTH),
    ROW(RESULT_ERROR_MESSAGE_LENGTH),
    ROW(CONTENT_TYPE_LENGTH),
    ROW(UPDATE_WITHIN_MS),
    ROW(KILL_AFTER_MS),
    ROW(JOB_ID_BITS),
    ROW(JOB_SLOT_BITS),
    ROW(PAGE_SIZE),
    ROW(PAGE_BYTES),
    ROW(FIND_TYPES),
    ROW(FIND_STATES),
    ROW(FIND_JOB_IDS),
    ROW(PAGE_TOKEN_LENGTH),
    ROW(FIND_TOUCHED),
    ROW(MODEL_LENGTH),
    ROW(DOCUMENT_ID_LENGTH),
    ROW(CHANGES),
    ROW(CHANGES_BYTES),
    ROW(JSON_BYTES),
    ROW(JSON_DEPTH),
    ROW(AFFECTED_MODELS),
    ROW(INDEX_BATCHES),
    ROW(WAIT_MS),
    ROW(READ_KINDS),
    ROW(READ_MODELS),
    ROW(READ_DOCUMENT_IDS),
    ROW(READ_DOCUMENTS_BYTES),
    ROW(READ_JOB_IDS),
    ROW(FEED_FRAME_BYTES),
    ROW(FEED_MESSAGE_BYTES),
    ROW(FEED_HEARTBEAT_MS),
    ROW(PROGRESS_PERIOD_MS),
    ROW(PROGRESS_TENANTS),
    ROW(STATUS_MESSAGE_LENGTH),
    ROW(REASON_LENGTH),
    ROW(STATUS_METADATA_COUNT),
#undef ROW
};
/* clang-format on */
enum { LIMITS = sizeof(limits) / sizeof(limits[0]) };

/* A limit that is in limits.h but not in the table above would be missed by the next test. */
static void the_table_of_limits_is_complete(void **state)
{
    (void)state;
    char *header = read_file(LIMITS_PATH);
    static const char define[] = "#define LIMIT_";
    size_t defined = 0;
    for (const char *at = header; (at = strstr(at, define)) != NULL; defined++) {
        at += strlen(define);
        size_t length = strcspn(at, " ");
        bool is_known = false;
        for (size_t i = 0; i < LIMITS; i++) {
            is_known |= strlen(limits[i].name) == length && memcmp(limits[i].name, at, length) == 0;
        }
        if (!is_known) {
            fail_msg("LIMIT_%.*s is not in this test's table", (int)length, at);
        }
    }
    assert_int_equal(defined, LIMITS);
    free(header);
}

static void every_limit_stands_in_the_document(void **state)
{
    (void)state;
    char *document = read_file(DOCUMENT_PATH);
    for (size_t i = 0; i < LIMITS; i++) {
        char name[64];
        char row[96];
        snprintf(name, sizeof(name), "\n| `%s` |", limits[i].name);
        snprintf(row, sizeof(row), "%s %" PRIu64 " |", name, limits[i].value);
        const char *at = strstr(document, name);
        if (at == NULL || strncmp(at, row, strlen(row)) != 0 || strstr(at + 1, name) != NULL) {
            fail_msg("%s needs exactly one row%s", DOCUMENT_PATH, row);
        }
    }
    free(document);
}

static int make_sections(void **state)
{
    (void)state;
    take_examples(make_example_sections);
    make_refusal_sections();
    make_connection_section();
    make_crowded_section();
    make_reset_section();
    make_feed_connection_section();
    make_history_sections();
    make_progress_section();
    make_methods_section();
    make_codes_section();
    make_reasons_section();
    return 0;
}

static int free_sections(void **state)
{
    (void)state;
    for (size_t i = 0; i < section_count; i++) {
        free(sections[i].content);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_generated_stands_in_the_document),
        cmocka_unit_test(every_method_has_an_example_and_a_chapter),
        cmocka_unit_test(the_batch_is_the_codec_s),
        cmocka_unit_test(the_table_of_limits_is_complete),
        cmocka_unit_test(every_limit_stands_in_the_document),
    };
    return cmocka_run_group_tests(tests, make_sections, free_sections);
}
