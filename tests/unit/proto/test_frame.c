/* The envelopes against protobuf-c as the judge: what we accept, protobuf-c accepts with the same
 * contents, and what protobuf-c refuses, we refuse. We refuse more: field numbers of 0 or above
 * 2^29 - 1, which protobuf forbids and protobuf-c lets pass, repeated on_behalf_of or status, and
 * what breaks a rule (test_frame_rules.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/frame.h"
#include "proto/varint.h"
#include "tests/unit/proto/chance.h"
#include "tests/unit/proto/envelopes.h"

static char *letters(size_t length)
{
    return letters_of(length, (char)('a' + below(26)));
}

static char *random_text(size_t length_max)
{
    return letters(below(4) == 0 ? below(length_max + 1) : below(9));
}

static void random_metadata(Activity__V1__Metadata *metadata, size_t count, size_t value_max)
{
    for (size_t i = 0; i < count; i++) {
        metadata[i].name = letters(1 + below(LIMIT_METADATA_NAME_LENGTH));
        metadata[i].value = random_text(value_max);
    }
}

static void random_request(struct request *request, uint8_t *payload, size_t payload_max)
{
    init_request(request);
    request->envelope.method = random_text(LIMIT_METHOD_LENGTH);
    request->envelope.timeout_ms = (uint32_t)(below(2) * (next_random() >> below(64)));
    request->envelope.payload = (ProtobufCBinaryData){below(payload_max + 1), payload};
    request->envelope.n_metadata = below(4) == 0 ? below(LIMIT_METADATA_COUNT + 1) : below(3);
    random_metadata(request->metadata, request->envelope.n_metadata, 100);
    if (below(2) == 0) {
        request->envelope.on_behalf_of = &request->caller;
        request->caller.tenant = letters(1 + below(LIMIT_TENANT_LENGTH));
        request->caller.user = random_text(LIMIT_USER_LENGTH);
        if (request->caller.user[0] != '\0') {
            request->caller.n_groups = below(4) == 0 ? below(LIMIT_CALLER_GROUPS + 1) : below(3);
        }
        for (size_t i = 0; i < request->caller.n_groups; i++) {
            request->groups[i] = letters(1 + below(LIMIT_GROUP_LENGTH));
        }
    }
}

static void random_reply(struct reply *reply, uint8_t *payload, size_t payload_max)
{
    init_reply(reply);
    reply->status.code = (uint32_t)(below(2) * (next_random() >> below(64)));
    reply->status.message = random_text(LIMIT_STATUS_MESSAGE_LENGTH);
    reply->status.reason = random_text(LIMIT_REASON_LENGTH);
    reply->status.retry_after_ms = (uint32_t)(below(2) * (next_random() >> below(64)));
    reply->status.n_metadata = below(LIMIT_STATUS_METADATA_COUNT + 1);
    random_metadata(reply->metadata, reply->status.n_metadata, LIMIT_METADATA_VALUE_LENGTH);
    reply->envelope.epoch = below(2) * next_random();
    reply->envelope.payload = (ProtobufCBinaryData){below(payload_max + 1), payload};
}

/* --- Comparing a frame with what protobuf-c has read --- */

static bool is_same(struct view ours, const char *theirs)
{
    return view_equal(ours, view_of(theirs));
}

static bool are_same_metadata(const struct frame_metadata *ours, size_t count,
                              Activity__V1__Metadata *const *theirs)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_same(ours[i].name, theirs[i]->name) || !is_same(ours[i].value, theirs[i]->value)) {
            return false;
        }
    }
    return true;
}

static void check_same_request(const struct frame_request *ours,
                               const Activity__V1__RequestEnvelope *theirs)
{
    assert_true(is_same(ours->method, theirs->method));
    assert_int_equal(ours->timeout_ms, theirs->timeout_ms);
    assert_int_equal(ours->on_behalf_of, theirs->on_behalf_of != NULL);
    if (ours->on_behalf_of) {
        assert_true(is_same(ours->tenant, theirs->on_behalf_of->tenant));
        assert_true(is_same(ours->user, theirs->on_behalf_of->user));
        assert_int_equal(ours->group_count, theirs->on_behalf_of->n_groups);
        for (size_t i = 0; i < ours->group_count; i++) {
            assert_true(is_same(ours->groups[i], theirs->on_behalf_of->groups[i]));
        }
    }
    assert_int_equal(ours->metadata_count, theirs->n_metadata);
    assert_true(are_same_metadata(ours->metadata, ours->metadata_count, theirs->metadata));
    assert_true(
        view_equal(ours->payload, (struct view){theirs->payload.data, theirs->payload.len}));
}

static void check_same_reply(const struct frame_reply *ours,
                             const Activity__V1__ReplyEnvelope *theirs)
{
    const Activity__V1__Status *status = theirs->status;
    assert_non_null(status);
    assert_int_equal(ours->code, status->code);
    assert_true(is_same(ours->message, status->message));
    assert_true(is_same(ours->reason, status->reason));
    assert_int_equal(ours->retry_after_ms, status->retry_after_ms);
    size_t kept = status->n_metadata < LIMIT_STATUS_METADATA_COUNT ? status->n_metadata
                                                                   : LIMIT_STATUS_METADATA_COUNT;
    assert_int_equal(ours->metadata_count, kept);
    assert_true(are_same_metadata(ours->metadata, kept, status->metadata));
    assert_true(ours->epoch == theirs->epoch);
    assert_true(
        view_equal(ours->payload, (struct view){theirs->payload.data, theirs->payload.len}));
}

static bool has_forbidden_number(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        uint32_t number = message->unknown_fields[i].tag;
        if (number == 0 || number >= 1U << 29) {
            return true;
        }
    }
    return false;
}

static bool have_forbidden_number(Activity__V1__Metadata *const *metadata, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (has_forbidden_number(&metadata[i]->base)) {
            return true;
        }
    }
    return false;
}

/* True when these bytes are a protobuf message of the type, whatever the rules say. */
static bool is_request_message(const Activity__V1__RequestEnvelope *theirs)
{
    return theirs != NULL && !has_forbidden_number(&theirs->base) &&
           !have_forbidden_number(theirs->metadata, theirs->n_metadata) &&
           (theirs->on_behalf_of == NULL || !has_forbidden_number(&theirs->on_behalf_of->base));
}

static bool is_reply_message(const Activity__V1__ReplyEnvelope *theirs)
{
    return theirs != NULL && !has_forbidden_number(&theirs->base) &&
           (theirs->status == NULL ||
            (!has_forbidden_number(&theirs->status->base) &&
             !have_forbidden_number(theirs->status->metadata, theirs->status->n_metadata)));
}

/* A refusal that says that the bytes are no message at all. */
static bool is_about_encoding(const struct frame_error *error)
{
    return error->reason == REASON_MALFORMED_FRAME && strcmp(error->rule, "is missing") != 0 &&
           strcmp(error->rule, "stands more than once") != 0;
}

/* Decodes these bytes and compares with protobuf-c. Returns whether they were accepted. */
static bool check_request(const uint8_t *bytes, size_t length)
{
    struct view copy = copy_of(bytes, length);
    Activity__V1__RequestEnvelope *theirs =
        activity__v1__request_envelope__unpack(NULL, length, copy.bytes);
    struct frame_request ours;
    struct frame_error error = {0};
    bool accepted = frame_request_decode(copy, &ours, &error) == 0;
    if (accepted) {
        assert_true(is_request_message(theirs));
        check_same_request(&ours, theirs);
    } else {
        assert_non_null(error.field);
        assert_true(!is_about_encoding(&error) || !is_request_message(theirs));
    }
    if (theirs != NULL) {
        activity__v1__request_envelope__free_unpacked(theirs, NULL);
    }
    free((void *)copy.bytes);
    return accepted;
}

static bool check_reply(const uint8_t *bytes, size_t length)
{
    struct view copy = copy_of(bytes, length);
    Activity__V1__ReplyEnvelope *theirs =
        activity__v1__reply_envelope__unpack(NULL, length, copy.bytes);
    struct frame_reply ours;
    struct frame_error error = {0};
    bool accepted = frame_reply_decode(copy, &ours, &error) == 0;
    if (accepted) {
        assert_true(is_reply_message(theirs));
        check_same_reply(&ours, theirs);
    } else {
        assert_non_null(error.field);
        assert_true(!is_about_encoding(&error) || !is_reply_message(theirs));
    }
    if (theirs != NULL) {
        activity__v1__reply_envelope__free_unpacked(theirs, NULL);
    }
    free((void *)copy.bytes);
    return accepted;
}

/* --- Other encodings of the same message --- */

/* A varint with up to `padding_max` bytes more than it needs, but never more than `size_max`. */
static uint8_t *write_padded(uint8_t *to, uint64_t value, size_t padding_max, size_t size_max)
{
    size_t size = varint_size(value);
    to = varint_write(to, value);
    size_t padding = padding_max == 0 ? 0 : below(padding_max + 1);
    if (size + padding > size_max) {
        padding = size_max - size;
    }
    for (; padding > 0; padding--) {
        to[-1] |= 0x80;
        *to++ = 0;
    }
    return to;
}

static uint8_t *write_unknown(uint8_t *to)
{
    static const uint8_t noise[32] = {0xff, 0x0b, 0x80, 0x0a};
    static const size_t widths[] = {0, 8, 0, 0, 0, 4};
    static const unsigned types[] = {0, 1, 2, 5};
    unsigned type = types[below(4)];
    uint64_t number = 16 + below((1 << 29) - 16);
    to = write_padded(to, number << 3 | type, 2, 5);
    if (type == 0) {
        return write_padded(to, next_random() >> below(64), 2, 10);
    }
    size_t width = widths[type];
    if (type == 2) {
        width = below(sizeof(noise));
        to = write_padded(to, width, 2, 5);
    }
    memcpy(to, noise, width);
    return to + width;
}

/* Which fields of a message are messages themselves: a table of their own fields, or NULL. */
struct shape {
    const struct shape *members[6];
};
static const struct shape metadata_shape = {{NULL}};
static const struct shape caller_shape = {{NULL}};
static const struct shape request_shape = {{[3] = &caller_shape, [4] = &metadata_shape}};
static const struct shape status_shape = {{[4] = &metadata_shape}};
static const struct shape reply_shape = {{[1] = &status_shape}};

/* Reads the canonical encoding of a message back field by field and writes it in another valid way:
 * padded tags, lengths and values, unknown fields in between, scalars given twice. */
static uint8_t *rewrite(const uint8_t *at, const uint8_t *end, const struct shape *shape,
                        uint8_t *to)
{
    while (at < end) {
        uint64_t tag = at[0];
        uint64_t value = 0;
        const uint8_t *value_at = at + 1;
        at = value_at + ((tag & 7) == 1 ? 8 : varint_read(value_at, end, &value));
        if (below(4) == 0) {
            to = write_unknown(to);
        }
        const struct shape *member = shape->members[(tag >> 3) % 6];
        size_t copies = (tag & 7) == 0 && below(4) == 0 ? 2 : 1;
        for (size_t copy = 0; copy < copies; copy++) {
            to = write_padded(to, tag, below(2) * 3, 5);
            if ((tag & 7) == 0) {
                to = write_padded(to, copy + 1 < copies ? next_random() : value, below(2) * 5, 10);
            } else if ((tag & 7) == 1) {
                memcpy(to, value_at, 8);
                to += 8;
            }
        }
        if ((tag & 7) == 2) {
            static uint8_t nested[3][FRAME_ROOM]; /* no deeper than envelope, status, metadata */
            static size_t depth;
            uint8_t *inner = nested[depth++];
            uint8_t *inner_end = inner + value;
            if (member != NULL) {
                inner_end = rewrite(at, at + value, member, inner);
            } else {
                memcpy(inner, at, value);
            }
            depth--;
            at += value;
            to = write_padded(to, (uint64_t)(inner_end - inner), below(2) * 3, 5);
            memcpy(to, inner, (size_t)(inner_end - inner));
            to += inner_end - inner;
        }
    }
    return to;
}

static size_t mutate(uint8_t *bytes, size_t length)
{
    static const uint8_t extremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x0b, 0x1a};
    if (length == 0) {
        return 0;
    }
    size_t at = below(below(2) == 0 ? length : length < 40 ? length : 40);
    switch (below(5)) {
    case 0:
        bytes[at] ^= (uint8_t)(1U << below(8));
        return length;
    case 1:
        bytes[at] = extremes[below(sizeof(extremes))];
        return length;
    case 2:
        return at;
    case 3:
        memmove(bytes + at, bytes + at + 1, length - at - 1);
        return length - 1;
    default:
        memmove(bytes + at + 1, bytes + at, length - at);
        bytes[at] = extremes[below(sizeof(extremes))];
        return length + 1;
    }
}

/* --- Both directions --- */

static void requests_are_written_as_protobuf_c_writes_them(void **state)
{
    (void)state;
    static struct request request;
    static uint8_t payload[300];
    static uint8_t theirs[FRAME_ROOM];
    for (size_t round = rounds(3000); round > 0; round--) {
        random_request(&request, payload, sizeof(payload));
        size_t size = activity__v1__request_envelope__pack(&request.envelope, theirs);
        struct frame_request frame;
        struct frame_error error;
        assert_int_equal(frame_request_decode((struct view){theirs, size}, &frame, &error), 0);
        check_same_request(&frame, &request.envelope);

        size_t head = frame_request_head_size(&frame);
        assert_int_equal(head + frame.payload.length, size);
        uint8_t *ours = malloc(head + (head == 0));
        assert_non_null(ours);
        assert_ptr_equal(frame_request_encode_head(&frame, ours), ours + head);
        assert_memory_equal(ours, theirs, head);
        assert_true(frame.payload.length == 0 || frame.payload.bytes == theirs + head);
        free(ours);
    }
}

static void replies_are_written_as_protobuf_c_writes_them(void **state)
{
    (void)state;
    static struct reply reply;
    static uint8_t payload[300];
    static uint8_t theirs[FRAME_ROOM];
    for (size_t round = rounds(3000); round > 0; round--) {
        random_reply(&reply, payload, sizeof(payload));
        size_t size = activity__v1__reply_envelope__pack(&reply.envelope, theirs);
        struct frame_reply frame;
        struct frame_error error;
        assert_int_equal(frame_reply_decode((struct view){theirs, size}, &frame, &error), 0);
        check_same_reply(&frame, &reply.envelope);

        size_t head = frame_reply_head_size(&frame);
        assert_int_equal(head + frame.payload.length, size);
        assert_true(head >= 2); /* no reply is empty */
        uint8_t *ours = malloc(head);
        assert_non_null(ours);
        assert_ptr_equal(frame_reply_encode_head(&frame, ours), ours + head);
        assert_memory_equal(ours, theirs, head);
        assert_true(frame.payload.length == 0 || frame.payload.bytes == theirs + head);
        free(ours);
    }
}

static void any_valid_encoding_reads_as_protobuf_c_reads_it(void **state)
{
    (void)state;
    static struct request request;
    static struct reply reply;
    static uint8_t payload[50];
    static uint8_t canonical[FRAME_ROOM];
    static uint8_t bytes[FRAME_ROOM];
    for (size_t round = rounds(3000); round > 0; round--) {
        random_request(&request, payload, sizeof(payload));
        size_t size = activity__v1__request_envelope__pack(&request.envelope, canonical);
        uint8_t *end = rewrite(canonical, canonical + size, &request_shape, bytes);
        assert_true(check_request(bytes, (size_t)(end - bytes)));

        random_reply(&reply, payload, sizeof(payload));
        size = activity__v1__reply_envelope__pack(&reply.envelope, canonical);
        end = rewrite(canonical, canonical + size, &reply_shape, bytes);
        assert_true(check_reply(bytes, (size_t)(end - bytes)));
    }
}

static void mutated_frames_are_judged_alike(void **state)
{
    (void)state;
    static struct request request;
    static struct reply reply;
    static uint8_t payload[20];
    static uint8_t canonical[FRAME_ROOM];
    static uint8_t bytes[FRAME_ROOM];
    size_t accepted = 0;
    size_t count = rounds(30000);
    for (size_t round = 0; round < count; round++) {
        bool is_request = round % 2 == 0;
        size_t length;
        if (is_request) {
            random_request(&request, payload, sizeof(payload));
            length = activity__v1__request_envelope__pack(&request.envelope, canonical);
        } else {
            random_reply(&reply, payload, sizeof(payload));
            length = activity__v1__reply_envelope__pack(&reply.envelope, canonical);
        }
        const struct shape *shape = is_request ? &request_shape : &reply_shape;
        length = (size_t)(rewrite(canonical, canonical + length, shape, bytes) - bytes);
        for (size_t changes = 1 + below(3); changes > 0; changes--) {
            length = mutate(bytes, length);
        }
        accepted += is_request ? check_request(bytes, length) : check_reply(bytes, length);
    }
    assert_in_range(accepted, count / 20, count - count / 20);
}

static void truncation_at_every_byte_is_judged_alike(void **state)
{
    (void)state;
    static struct request request;
    static struct reply reply;
    static uint8_t payload[20];
    static uint8_t canonical[FRAME_ROOM];
    for (size_t round = rounds(60); round > 0; round--) {
        random_request(&request, payload, sizeof(payload));
        size_t size = activity__v1__request_envelope__pack(&request.envelope, canonical);
        for (size_t cut = 0; cut < size; cut++) {
            check_request(canonical, cut);
        }
        random_reply(&reply, payload, sizeof(payload));
        size = activity__v1__reply_envelope__pack(&reply.envelope, canonical);
        for (size_t cut = 0; cut < size; cut++) {
            check_reply(canonical, cut);
        }
    }
}

static void random_bytes_are_judged_alike(void **state)
{
    (void)state;
    size_t accepted = 0;
    for (size_t round = rounds(100000); round > 0; round--) {
        uint8_t bytes[24];
        size_t length = below(sizeof(bytes));
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)(next_random() >> below(64));
        }
        accepted += check_request(bytes, length);
        accepted += check_reply(bytes, length);
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written_as_protobuf_c_writes_them),
        cmocka_unit_test(replies_are_written_as_protobuf_c_writes_them),
        cmocka_unit_test(any_valid_encoding_reads_as_protobuf_c_reads_it),
        cmocka_unit_test(mutated_frames_are_judged_alike),
        cmocka_unit_test(truncation_at_every_byte_is_judged_alike),
        cmocka_unit_test(random_bytes_are_judged_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
