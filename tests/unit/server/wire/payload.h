/* Payloads made by hand, field by field, and requests decoded from them: what the wire's tests are
 * written with. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_WIRE_PAYLOAD_H
#define ACTIVITYD_TESTS_UNIT_SERVER_WIRE_PAYLOAD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/wire/encode.h"
#include "server/wire/query.h"
#include "server/wire/request.h"

#define PAYLOAD_ROOM (2u * 1024u * 1024u)

struct payload {
    uint8_t *at;
    uint8_t bytes[PAYLOAD_ROOM];
};

static inline void payload_start(struct payload *payload)
{
    payload->at = payload->bytes;
}

static inline struct view payload_view(const struct payload *payload)
{
    return (struct view){payload->bytes, (size_t)(payload->at - payload->bytes)};
}

static inline struct bytes payload_bytes(const struct payload *payload)
{
    return bytes_of(payload->bytes, (size_t)(payload->at - payload->bytes));
}

static inline void put_text(struct payload *payload, uint32_t number, const char *text)
{
    payload->at = encode_member(payload->at, number, bytes_of(text, strlen(text)));
}

/* A field of so many times the same byte. */
static inline void put_filled(struct payload *payload, uint32_t number, char byte, size_t length)
{
    payload->at = encode_head(payload->at, number, length);
    memset(payload->at, byte, length);
    payload->at += length;
}

static inline void put_number(struct payload *payload, uint32_t number, uint64_t value)
{
    payload->at = varint_write(encode_tag(payload->at, number, FIELD_VARINT), value);
}

static inline void put_fixed64(struct payload *payload, uint32_t number, uint64_t value)
{
    payload->at = encode_tag(payload->at, number, FIELD_FIXED64);
    memcpy(payload->at, &value, sizeof value);
    payload->at += sizeof value;
}

static inline void put_message(struct payload *payload, uint32_t number,
                               const struct payload *message)
{
    payload->at = encode_member(payload->at, number, payload_bytes(message));
}

/* Numbers that only look random. */
static inline void put_request_id(struct payload *payload, uint32_t number)
{
    put_text(payload, number, "0123456789abcdef");
}

static inline struct bytes text_bytes(const char *text)
{
    return bytes_of(text, strlen(text));
}

/* The caller of all tests: alice of acme with two groups, through a gateway. */
static inline struct command_caller test_caller(void)
{
    struct command_caller caller = {.tenant = text_bytes("acme"),
                                    .principal = text_bytes("spiffe://test/gateway"),
                                    .user = text_bytes("alice"),
                                    .rights = 0,
                                    .group_count = 2};
    caller.groups[0] = text_bytes("editors");
    caller.groups[1] = text_bytes("video");
    return caller;
}

/* One payload through request_decode, and for commands through command_decode. */
struct decoded {
    int outcome;
    struct bytes body;
    uint32_t wait_ms;
    bool all_tenants;
    struct request_error error;
    struct command command;
    struct query query;
};

static inline void decode_for(struct request_scratch *scratch, enum method_id method,
                              const struct command_caller *caller, struct view payload,
                              struct decoded *decoded)
{
    const struct method *row = method_row(method);
    memset(&decoded->error, 0, sizeof decoded->error);
    struct request_body body = {.bytes = {NULL, 0}};
    decoded->outcome = request_decode(scratch, row, caller, payload, &body, &decoded->error);
    if (decoded->outcome != 0) {
        return;
    }
    decoded->body = body.bytes;
    decoded->wait_ms = body.wait_ms;
    decoded->all_tenants = body.all_tenants;
    if (row->route == ROUTE_COMMAND) {
        struct reader reader = reader_of(decoded->body);
        assert_true(command_decode(&reader, &decoded->command));
        assert_ptr_equal(reader.at, reader.end);
    } else if (row->route != ROUTE_LOCAL) {
        query_decode(decoded->body, &decoded->query);
        assert_int_equal(query_method(decoded->body), method);
    }
}

static inline void decode_as(struct request_scratch *scratch, enum method_id method,
                             struct view payload, struct decoded *decoded)
{
    struct command_caller caller = test_caller();
    decode_for(scratch, method, &caller, payload, decoded);
}

static inline void assert_bytes(struct bytes bytes, const char *text)
{
    assert_int_equal(bytes.length, strlen(text));
    assert_memory_equal(bytes.at, text, bytes.length);
}

static inline void assert_caller(const struct command_caller *caller)
{
    assert_bytes(caller->tenant, "acme");
    assert_bytes(caller->principal, "spiffe://test/gateway");
    assert_bytes(caller->user, "alice");
    assert_int_equal(caller->group_count, 2);
    assert_bytes(caller->groups[1], "video");
}

#endif
