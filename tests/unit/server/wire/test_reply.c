/* Refusals and replies as frames: what a client's reader makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/batch.h"
#include "proto/field.h"
#include "proto/frame.h"
#include "server/wire/reply.h"

#define EPOCH UINT64_C(0x123456789abcdef0)

static uint8_t frame_bytes[512 * 1024];
static struct frame_reply frame;

static void read_back(size_t length)
{
    struct frame_error error;
    assert_in_range(length, 1, sizeof frame_bytes);
    assert_int_equal(frame_reply_decode((struct view){frame_bytes, length}, &frame, &error), 0);
    assert_true(frame.epoch == EPOCH);
}

static void assert_view(struct view view, const char *text)
{
    assert_true(view_equal(view, view_of(text)));
}

static void every_reason_makes_a_frame(void **state)
{
    (void)state;
    for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        struct refusal refusal = {.reason = (enum status_reason)reason, .retry_after_ms = 250};
        read_back(reply_refuse(EPOCH, &refusal, frame_bytes));
        assert_int_equal(frame.code, status_reason_code((uint32_t)reason));
        assert_view(frame.reason, status_reason_name((uint32_t)reason));
        assert_view(frame.message, status_reason_text((uint32_t)reason));
        assert_int_equal(frame.retry_after_ms, 250);
        assert_int_equal(frame.metadata_count, 0);
        assert_int_equal(frame.payload.length, 0);
    }
}

static void field_is_named(void **state)
{
    (void)state;
    struct refusal refusal = {
        .reason = REASON_BAD_FIELD, .field = "changes[3].json", .message = "is no JSON"};
    read_back(reply_refuse(EPOCH, &refusal, frame_bytes));
    assert_int_equal(frame.metadata_count, 1);
    assert_view(frame.metadata[0].name, "field");
    assert_view(frame.metadata[0].value, "changes[3].json");
    assert_view(frame.message, "is no JSON");
}

static void long_message_is_cut_before_a_character(void **state)
{
    (void)state;
    static char message[3000];
    memset(message, 'a', 1023);
    for (size_t at = 1023; at + 2 < sizeof message; at += 2) {
        memcpy(message + at, "\xc3\xa4", 2); /* one stands across the limit */
    }
    struct refusal refusal = {.reason = REASON_INTERNAL_ERROR, .message = message};
    read_back(reply_refuse(EPOCH, &refusal, frame_bytes));
    assert_int_equal(frame.message.length, 1023);
}

static void no_text_is_left_out(void **state)
{
    (void)state;
    struct refusal refusal = {
        .reason = REASON_BAD_FIELD, .field = "a\nb", .message = "\x1b[31mred"};
    read_back(reply_refuse(EPOCH, &refusal, frame_bytes));
    assert_int_equal(frame.metadata_count, 0);
    assert_int_equal(frame.message.length, 0);
    assert_view(frame.reason, "BAD_FIELD");
}

/* An effect with its body as the core writes it. */
static struct effect effect_of(enum command_kind kind, struct writer *body, uint8_t *begin)
{
    return (struct effect){.type = EFFECT_REPLY,
                           .kind = (uint8_t)kind,
                           .body = bytes_of(begin, (size_t)(body->at - begin))};
}

static const struct reply_facts standard = {EPOCH, 90000};

static void batch_reply_has_its_columns(void **state)
{
    (void)state;
    static uint8_t body[150000];
    struct writer writer = writer_of(body, sizeof body);
    const uint32_t count = 65536;
    writer_u32(&writer, count);
    writer_u32(&writer, 3);
    writer_u8(&writer, 0);
    for (uint32_t i = 0; i < 2 * count; i++) {
        writer_u8(&writer, (uint8_t)(i < count ? i % 101 : 1 + i % 7));
    }
    struct effect effect = effect_of(COMMAND_BATCH, &writer, body);
    size_t length = reply_from_effect(&standard, &effect, frame_bytes);
    assert_true(length <= reply_room(&effect));
    read_back(length);
    struct batch_response response;
    assert_int_equal(batch_response_decode(frame.payload, &response), 0);
    assert_int_equal(response.ignored_count, 3);
    assert_int_equal(response.percents.length, count);
    assert_int_equal(response.dispositions.length, count);
    assert_memory_equal(response.percents.bytes, body + 9, count);
    assert_memory_equal(response.dispositions.bytes, body + 9 + count, count);
}

static void batch_reply_without_dispositions(void **state)
{
    (void)state;
    static uint8_t body[64];
    struct writer writer = writer_of(body, sizeof body);
    writer_u32(&writer, 2);
    writer_u32(&writer, 0);
    writer_u8(&writer, 1);
    writer_u8(&writer, 10);
    writer_u8(&writer, 100);
    struct effect effect = effect_of(COMMAND_BATCH, &writer, body);
    read_back(reply_from_effect(&standard, &effect, frame_bytes));
    struct batch_response response;
    assert_int_equal(batch_response_decode(frame.payload, &response), 0);
    assert_int_equal(response.dispositions.length, 0);
    assert_int_equal(response.percents.bytes[1], 100);
}

static void room_is_never_exceeded(void **state)
{
    (void)state;
    uint8_t body[64];
    memset(body, 0xff, sizeof body); /* the largest numbers */
    static const struct {
        enum command_kind kind;
        size_t length;
    } replies[] = {{COMMAND_CREATE, 8},  {COMMAND_UPDATE, 10}, {COMMAND_DESTROY, 1},
                   {COMMAND_RECORD, 16}, {COMMAND_PARKED, 5},  {COMMAND_TICK, 0}};
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct effect effect = {.type = EFFECT_REPLY,
                                .kind = (uint8_t)replies[i].kind,
                                .body = bytes_of(body, replies[i].length)};
        size_t length = reply_from_effect(&standard, &effect, frame_bytes);
        assert_in_range(length, 1, reply_room(&effect));
        read_back(length);
        assert_int_equal(frame.code, STATUS_OK);
    }
}

static void reply_parked(bool found, uint32_t changes)
{
    uint8_t body[5];
    struct writer writer = writer_of(body, sizeof body);
    writer_u8(&writer, found);
    writer_u32(&writer, changes);
    struct effect effect = effect_of(COMMAND_PARKED, &writer, body);
    size_t length = reply_from_effect(&standard, &effect, frame_bytes);
    assert_in_range(length, 1, reply_room(&effect));
    read_back(length);
}

static void a_decision_tells_how_many_changes_it_was_about(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 300, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        reply_parked(true, counts[i]);
        assert_int_equal(frame.code, STATUS_OK);
        struct field field;
        assert_int_equal(field_next(&frame.payload, &field), FIELD_READ);
        assert_int_equal(field.number, 1);
        assert_true(field.value == counts[i]);
        assert_int_equal(frame.payload.length, 0);
    }
    reply_parked(false, 0);
    assert_int_equal(frame.code, STATUS_NOT_FOUND);
    assert_view(frame.reason, "UNKNOWN_PARKED");
    assert_view(frame.message, status_reason_text(REASON_UNKNOWN_PARKED));
    assert_int_equal(frame.metadata_count, 0);
    assert_int_equal(frame.payload.length, 0);
}

static void head_stands_right_before_the_payload(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, 400000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t *payload = frame_bytes + REPLY_HEAD_MAX;
        memset(payload, 'p', lengths[i]);
        uint8_t *begin = reply_head_before(EPOCH, payload, lengths[i]);
        struct frame_error error;
        size_t length = (size_t)(payload - begin) + lengths[i];
        assert_int_equal(frame_reply_decode((struct view){begin, length}, &frame, &error), 0);
        assert_int_equal(frame.payload.length, lengths[i]);
        assert_int_equal(frame.code, STATUS_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_makes_a_frame),
        cmocka_unit_test(field_is_named),
        cmocka_unit_test(long_message_is_cut_before_a_character),
        cmocka_unit_test(no_text_is_left_out),
        cmocka_unit_test(batch_reply_has_its_columns),
        cmocka_unit_test(batch_reply_without_dispositions),
        cmocka_unit_test(room_is_never_exceeded),
        cmocka_unit_test(a_decision_tells_how_many_changes_it_was_about),
        cmocka_unit_test(head_stands_right_before_the_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
