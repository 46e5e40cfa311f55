/* Each rule of envelope.proto by itself: accepted at its edge, refused beyond, with the path of the
 * field and the rule that a person reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "tests/unit/proto/chance.h"
#include "tests/unit/proto/envelopes.h"

static char *letters(size_t length)
{
    return letters_of(length, 'z');
}

static const char accepted[] = "accepted";

/* What is wrong with the frame itself is MALFORMED_FRAME, what is wrong with a field BAD_FIELD. */
static enum status_reason expected_reason(const char *rule)
{
    static const char *const of_frames[] = {"is no protobuf message", "has the wrong wire type",
                                            "stands more than once", "is missing"};
    for (size_t i = 0; i < sizeof(of_frames) / sizeof(of_frames[0]); i++) {
        if (strcmp(rule, of_frames[i]) == 0) {
            return REASON_MALFORMED_FRAME;
        }
    }
    return rule == accepted ? REASON_NONE : REASON_BAD_FIELD;
}

static void expect_request_bytes(const uint8_t *bytes, size_t length, const char *field,
                                 const char *rule)
{
    struct view copy = copy_of(bytes, length);
    struct frame_request frame;
    struct frame_error error = {REASON_NONE, "", accepted};
    int refused = frame_request_decode(copy, &frame, &error);
    assert_string_equal(error.field, field);
    assert_string_equal(error.rule, rule);
    assert_int_equal(refused, rule != accepted);
    assert_int_equal(error.reason, expected_reason(rule));
    free((void *)copy.bytes);
}

static void expect_request(const struct request *request, const char *field, const char *rule)
{
    static uint8_t bytes[FRAME_ROOM];
    size_t size = activity__v1__request_envelope__pack(&request->envelope, bytes);
    expect_request_bytes(bytes, size, field, rule);
}

static void expect_reply_bytes(const uint8_t *bytes, size_t length, const char *field,
                               const char *rule)
{
    struct view copy = copy_of(bytes, length);
    struct frame_reply frame;
    struct frame_error error = {REASON_NONE, "", accepted};
    int refused = frame_reply_decode(copy, &frame, &error);
    assert_string_equal(error.field, field);
    assert_string_equal(error.rule, rule);
    assert_int_equal(refused, rule != accepted);
    assert_int_equal(error.reason, expected_reason(rule));
    free((void *)copy.bytes);
}

static void expect_reply(const struct reply *reply, const char *field, const char *rule)
{
    static uint8_t bytes[FRAME_ROOM];
    size_t size = activity__v1__reply_envelope__pack(&reply->envelope, bytes);
    expect_reply_bytes(bytes, size, field, rule);
}

static const char not_text[] = "is not UTF-8 or has control characters";
static char *const bad_texts[] = {
    (char *)"line\n", (char *)"\x1b[31m",    (char *)"a\xc2\x85",
    (char *)"\xff",   (char *)"cut\xe2\x82",
};
enum { BAD_TEXTS = sizeof(bad_texts) / sizeof(bad_texts[0]) };

static void the_method(void **state)
{
    (void)state;
    static struct request request;
    init_request(&request);
    request.envelope.method = letters(LIMIT_METHOD_LENGTH);
    expect_request(&request, "", accepted);
    request.envelope.method = letters(LIMIT_METHOD_LENGTH + 1);
    expect_request(&request, "method", "is longer than 128 bytes");
    for (size_t i = 0; i < BAD_TEXTS; i++) {
        request.envelope.method = bad_texts[i];
        expect_request(&request, "method", not_text);
    }
    expect_request_bytes((const uint8_t *)"\x0a\x03z\0z", 5, "method", not_text);
}

static void the_tenant(void **state)
{
    (void)state;
    static struct request request;
    init_request(&request);
    request.envelope.on_behalf_of = &request.caller;
    static const char length_rule[] = "is not 1 to 64 bytes long";
    static const char form_rule[] = "does not match [a-zA-Z0-9][a-zA-Z0-9._-]*";
    const struct {
        char *tenant;
        const char *rule;
    } cases[] = {
        {letters(LIMIT_TENANT_LENGTH), accepted},
        {letters(LIMIT_TENANT_LENGTH + 1), length_rule},
        {(char *)"", length_rule},
        {(char *)"9Az._-", accepted},
        {(char *)"_a", form_rule},
        {(char *)".a", form_rule},
        {(char *)"-a", form_rule},
        {(char *)"a b", form_rule},
        {(char *)"a/b", form_rule},
        {(char *)"K\xc3\xb6ln", form_rule},
        {bad_texts[0], not_text},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request.caller.tenant = cases[i].tenant;
        expect_request(&request, cases[i].rule == accepted ? "" : "on_behalf_of.tenant",
                       cases[i].rule);
    }
}

static void the_user(void **state)
{
    (void)state;
    static struct request request;
    init_request(&request);
    request.envelope.on_behalf_of = &request.caller;
    request.caller.tenant = (char *)"studio";
    request.caller.user = letters(LIMIT_USER_LENGTH);
    expect_request(&request, "", accepted);
    request.caller.user = (char *)"J\xc3\xb6rg M\xc3\xbcller";
    expect_request(&request, "", accepted);
    request.caller.user = letters(LIMIT_USER_LENGTH + 1);
    expect_request(&request, "on_behalf_of.user", "is longer than 128 bytes");
    for (size_t i = 0; i < BAD_TEXTS; i++) {
        request.caller.user = bad_texts[i];
        expect_request(&request, "on_behalf_of.user", not_text);
    }
}

static void the_groups(void **state)
{
    (void)state;
    static struct request request;
    init_request(&request);
    request.envelope.on_behalf_of = &request.caller;
    request.caller.tenant = (char *)"studio";
    request.caller.user = (char *)"anna";
    request.caller.n_groups = LIMIT_CALLER_GROUPS;
    request.groups[63] = letters(LIMIT_GROUP_LENGTH);
    expect_request(&request, "", accepted);
    request.groups[63] = letters(LIMIT_GROUP_LENGTH + 1);
    expect_request(&request, "on_behalf_of.groups", "is not 1 to 64 bytes long");
    request.groups[63] = (char *)"";
    expect_request(&request, "on_behalf_of.groups", "is not 1 to 64 bytes long");
    request.groups[63] = bad_texts[0];
    expect_request(&request, "on_behalf_of.groups", not_text);
    request.groups[63] = (char *)"g";
    request.caller.n_groups = LIMIT_CALLER_GROUPS + 1;
    expect_request(&request, "on_behalf_of.groups", "has more than 64 members");
    request.caller.n_groups = 1;
    request.caller.user = (char *)"";
    expect_request(&request, "on_behalf_of.groups", "stands without a user");
}

static void the_metadata(void **state)
{
    (void)state;
    static struct request request;
    init_request(&request);
    static const char length_rule[] = "is not 1 to 64 bytes long";
    request.envelope.n_metadata = 1;
    request.metadata[0].name = (char *)"trace-parent_1";
    request.metadata[0].value = letters(LIMIT_METADATA_VALUE_LENGTH);
    expect_request(&request, "", accepted);
    request.metadata[0].value = letters(LIMIT_METADATA_VALUE_LENGTH + 1);
    expect_request(&request, "metadata.value", "is longer than 1024 bytes");
    request.metadata[0].value = bad_texts[0];
    expect_request(&request, "metadata.value", not_text);
    request.metadata[0].value = (char *)"";
    request.metadata[0].name = letters(LIMIT_METADATA_NAME_LENGTH);
    expect_request(&request, "", accepted);
    request.metadata[0].name = letters(LIMIT_METADATA_NAME_LENGTH + 1);
    expect_request(&request, "metadata.name", length_rule);
    request.metadata[0].name = (char *)"";
    expect_request(&request, "metadata.name", length_rule);
    request.metadata[0].name = (char *)"traceParent";
    expect_request(&request, "metadata.name", "does not match [a-z0-9_-]+");
    request.metadata[0].name = (char *)"a.b";
    expect_request(&request, "metadata.name", "does not match [a-z0-9_-]+");
}

static void all_metadata_together(void **state)
{
    (void)state;
    static struct request request;
    init_request(&request);
    request.envelope.n_metadata = LIMIT_METADATA_COUNT;
    size_t share = LIMIT_METADATA_BYTES / LIMIT_METADATA_COUNT;
    for (size_t i = 0; i < LIMIT_METADATA_COUNT; i++) {
        request.metadata[i].name = letters(10);
        request.metadata[i].value = letters(share - 10);
    }
    expect_request(&request, "", accepted);
    request.metadata[7].value = letters(share - 9);
    expect_request(&request, "metadata", "has more than 8192 bytes");
    init_request(&request);
    request.envelope.n_metadata = LIMIT_METADATA_COUNT + 1;
    expect_request(&request, "metadata", "has more than 32 members");
}

static void the_status(void **state)
{
    (void)state;
    static struct reply reply;
    init_reply(&reply);
    reply.status.n_metadata = 1;
    reply.status.message = letters(LIMIT_STATUS_MESSAGE_LENGTH);
    reply.status.reason = letters(LIMIT_REASON_LENGTH);
    reply.metadata[0].name = letters(LIMIT_METADATA_NAME_LENGTH);
    reply.metadata[0].value = letters(LIMIT_METADATA_VALUE_LENGTH);
    expect_reply(&reply, "", accepted);
    reply.metadata[0].value = letters(LIMIT_METADATA_VALUE_LENGTH + 1);
    expect_reply(&reply, "status.metadata.value", "is longer than 1024 bytes");
    reply.metadata[0].value = bad_texts[0];
    expect_reply(&reply, "status.metadata.value", not_text);
    reply.metadata[0].value = (char *)"";
    reply.metadata[0].name = letters(LIMIT_METADATA_NAME_LENGTH + 1);
    expect_reply(&reply, "status.metadata.name", "is not 1 to 64 bytes long");
    reply.metadata[0].name = (char *)"anyName.atAll";
    expect_reply(&reply, "", accepted);
    reply.status.reason = letters(LIMIT_REASON_LENGTH + 1);
    expect_reply(&reply, "status.reason", "is longer than 64 bytes");
    reply.status.reason = (char *)"";
    reply.status.message = letters(LIMIT_STATUS_MESSAGE_LENGTH + 1);
    expect_reply(&reply, "status.message", "is longer than 1024 bytes");
    reply.status.message = bad_texts[1];
    expect_reply(&reply, "status.message", not_text);
}

static void more_status_metadata_than_we_keep(void **state)
{
    (void)state;
    static struct reply reply;
    static uint8_t bytes[FRAME_ROOM];
    init_reply(&reply);
    reply.status.n_metadata = LIMIT_STATUS_METADATA_COUNT + 3;
    for (size_t i = 0; i < reply.status.n_metadata; i++) {
        reply.metadata[i].value = letters(i);
    }
    size_t size = activity__v1__reply_envelope__pack(&reply.envelope, bytes);
    struct frame_reply frame;
    struct frame_error error;
    assert_int_equal(frame_reply_decode((struct view){bytes, size}, &frame, &error), 0);
    assert_int_equal(frame.metadata_count, LIMIT_STATUS_METADATA_COUNT);
    assert_int_equal(frame.metadata[7].value.length, 7);
    reply.metadata[LIMIT_STATUS_METADATA_COUNT].name = (char *)"";
    expect_reply(&reply, "status.metadata.name", "is not 1 to 64 bytes long");
}

static void a_reply_without_a_status_is_no_success(void **state)
{
    (void)state;
    expect_reply_bytes((const uint8_t *)"", 0, "status", "is missing");
    expect_reply_bytes((const uint8_t *)"\x1a\x01z", 3, "status", "is missing");
    expect_reply_bytes((const uint8_t *)"\x0a\x00", 2, "", accepted);
}

static void messages_that_stand_twice_are_refused(void **state)
{
    (void)state;
    expect_reply_bytes((const uint8_t *)"\x0a\x00\x0a\x00", 4, "status", "stands more than once");
    static const uint8_t caller_twice[] = {0x1a, 3, 0x0a, 1, 'a', 0x1a, 3, 0x0a, 1, 'a'};
    expect_request_bytes(caller_twice, 5, "", accepted);
    expect_request_bytes(caller_twice, 10, "on_behalf_of", "stands more than once");
}

/* Every known field with a type that is not its own. */
static void wrong_wire_types_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[8];
        size_t length;
        const char *field;
    } requests[] =
        {
            {{0x08, 1}, 2, "method"},
            {{0x12, 1, 1}, 3, "timeout_ms"},
            {{0x18, 1}, 2, "on_behalf_of"},
            {{0x20, 1}, 2, "metadata"},
            {{0x28, 1}, 2, "payload"},
            {{0x1a, 2, 0x08, 1}, 4, "on_behalf_of.tenant"},
            {{0x1a, 2, 0x10, 1}, 4, "on_behalf_of.user"},
            {{0x1a, 2, 0x18, 1}, 4, "on_behalf_of.groups"},
            {{0x22, 2, 0x08, 1}, 4, "metadata.name"},
            {{0x22, 2, 0x10, 1}, 4, "metadata.value"},
        },
      replies[] = {
          {{0x08, 1}, 2, "status"},
          {{0x10, 1}, 2, "epoch"},
          {{0x18, 1}, 2, "payload"},
          {{0x0a, 3, 0x0a, 1, 1}, 5, "status.code"},
          {{0x0a, 2, 0x10, 1}, 4, "status.message"},
          {{0x0a, 2, 0x18, 1}, 4, "status.reason"},
          {{0x0a, 2, 0x20, 1}, 4, "status.metadata"},
          {{0x0a, 3, 0x2a, 1, 1}, 5, "status.retry_after_ms"},
      };
    static const char rule[] = "has the wrong wire type";
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        expect_request_bytes(requests[i].bytes, requests[i].length, requests[i].field, rule);
    }
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        expect_reply_bytes(replies[i].bytes, replies[i].length, replies[i].field, rule);
    }
}

static void bytes_that_are_no_message(void **state)
{
    (void)state;
    static const char rule[] = "is no protobuf message";
    expect_request_bytes((const uint8_t *)"GET / HTTP/1.1\r\n", 16, "", rule);
    expect_request_bytes((const uint8_t *)"\x0b\x0c", 2, "", rule);
    expect_request_bytes((const uint8_t *)"\x1a\x01\x0b", 3, "on_behalf_of", rule);
    expect_request_bytes((const uint8_t *)"\x22\x01\x0b", 3, "metadata.name", rule);
    expect_reply_bytes((const uint8_t *)"\x0a\x05\x08", 3, "", rule);
    expect_reply_bytes((const uint8_t *)"\x0a\x01\x0b", 3, "status", rule);
}

static void the_largest_envelope_fits_its_share(void **state)
{
    (void)state;
    static struct request request;
    init_request(&request);
    request.envelope.method = letters(LIMIT_METHOD_LENGTH);
    request.envelope.timeout_ms = UINT32_MAX;
    request.envelope.on_behalf_of = &request.caller;
    request.caller.tenant = letters(LIMIT_TENANT_LENGTH);
    request.caller.user = letters(LIMIT_USER_LENGTH);
    request.caller.n_groups = LIMIT_CALLER_GROUPS;
    for (size_t i = 0; i < LIMIT_CALLER_GROUPS; i++) {
        request.groups[i] = letters(LIMIT_GROUP_LENGTH);
    }
    request.envelope.n_metadata = LIMIT_METADATA_COUNT;
    for (size_t i = 0; i < LIMIT_METADATA_COUNT; i++) {
        request.metadata[i].name = letters(LIMIT_METADATA_NAME_LENGTH);
        request.metadata[i].value =
            letters(LIMIT_METADATA_BYTES / LIMIT_METADATA_COUNT - LIMIT_METADATA_NAME_LENGTH);
    }
    expect_request(&request, "", accepted);
    size_t size = activity__v1__request_envelope__get_packed_size(&request.envelope);
    assert_in_range(size, LIMIT_METADATA_BYTES,
                    LIMIT_ENVELOPE_BYTES - 8); /* and the payload's head */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_method),
        cmocka_unit_test(the_tenant),
        cmocka_unit_test(the_user),
        cmocka_unit_test(the_groups),
        cmocka_unit_test(the_metadata),
        cmocka_unit_test(all_metadata_together),
        cmocka_unit_test(the_status),
        cmocka_unit_test(more_status_metadata_than_we_keep),
        cmocka_unit_test(a_reply_without_a_status_is_no_success),
        cmocka_unit_test(messages_that_stand_twice_are_refused),
        cmocka_unit_test(wrong_wire_types_are_refused),
        cmocka_unit_test(bytes_that_are_no_message),
        cmocka_unit_test(the_largest_envelope_fits_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
