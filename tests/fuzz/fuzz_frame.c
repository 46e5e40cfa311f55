/* Any bytes as a request and as a reply envelope: a frame or an error, never a read outside. What
 * is accepted is a message for protobuf-c too, and survives being written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "activity/v1/envelope.pb-c.h"
#include "proto/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Every byte that a view covers belongs to the input, or the view is empty. */
static void expect_within(struct view part, struct view whole)
{
    expect(part.length == 0 ||
           (part.bytes >= whole.bytes && part.bytes <= whole.bytes + whole.length &&
            part.length <= (size_t)(whole.bytes + whole.length - part.bytes)));
}

static void expect_same_metadata(const struct frame_metadata *a, const struct frame_metadata *b,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        expect(view_equal(a[i].name, b[i].name) && view_equal(a[i].value, b[i].value));
    }
}

/* The head that was written, followed by the payload, as one piece. The caller frees it. */
static struct view join(uint8_t *bytes, size_t head, struct view payload)
{
    if (payload.length > 0) {
        memcpy(bytes + head, payload.bytes, payload.length);
    }
    return (struct view){bytes, head + payload.length};
}

static void read_as_request(struct view input)
{
    struct frame_request first;
    struct frame_request second;
    struct frame_error error = {0};
    Activity__V1__RequestEnvelope *message =
        activity__v1__request_envelope__unpack(NULL, input.length, input.bytes);
    if (frame_request_decode(input, &first, &error) != 0) {
        expect(error.field != NULL && error.rule != NULL);
    } else {
        expect(message != NULL && strlen(message->method) == first.method.length);
        expect_within(first.method, input);
        expect_within(first.payload, input);
        size_t head = frame_request_head_size(&first);
        uint8_t *bytes = malloc(head + first.payload.length + 1);
        expect(bytes != NULL && frame_request_encode_head(&first, bytes) == bytes + head);
        expect(frame_request_decode(join(bytes, head, first.payload), &second, &error) == 0);
        expect(view_equal(first.method, second.method) && view_equal(first.user, second.user));
        expect(view_equal(first.tenant, second.tenant));
        expect(first.timeout_ms == second.timeout_ms);
        expect(first.on_behalf_of == second.on_behalf_of);
        expect(first.group_count == second.group_count);
        for (size_t i = 0; i < first.group_count; i++) {
            expect(view_equal(first.groups[i], second.groups[i]));
        }
        expect(first.metadata_count == second.metadata_count);
        expect_same_metadata(first.metadata, second.metadata, first.metadata_count);
        expect(view_equal(first.payload, second.payload));
        free(bytes);
    }
    activity__v1__request_envelope__free_unpacked(message, NULL);
}

static void read_as_reply(struct view input)
{
    struct frame_reply first;
    struct frame_reply second;
    struct frame_error error = {0};
    Activity__V1__ReplyEnvelope *message =
        activity__v1__reply_envelope__unpack(NULL, input.length, input.bytes);
    if (frame_reply_decode(input, &first, &error) != 0) {
        expect(error.field != NULL && error.rule != NULL);
    } else {
        expect(message != NULL && message->status != NULL && message->epoch == first.epoch);
        expect_within(first.message, input);
        expect_within(first.payload, input);
        size_t head = frame_reply_head_size(&first);
        uint8_t *bytes = malloc(head + first.payload.length);
        expect(bytes != NULL && frame_reply_encode_head(&first, bytes) == bytes + head);
        expect(frame_reply_decode(join(bytes, head, first.payload), &second, &error) == 0);
        expect(first.code == second.code && first.retry_after_ms == second.retry_after_ms);
        expect(first.epoch == second.epoch && first.metadata_count == second.metadata_count);
        expect(view_equal(first.message, second.message));
        expect(view_equal(first.reason, second.reason));
        expect_same_metadata(first.metadata, second.metadata, first.metadata_count);
        expect(view_equal(first.payload, second.payload));
        free(bytes);
    }
    activity__v1__reply_envelope__free_unpacked(message, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view input = {data, size};
    read_as_request(input);
    read_as_reply(input);
    return 0;
}
