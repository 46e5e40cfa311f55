/* The capped arena: alignment, refusal at the cap, and protobuf-c giving up cleanly at every
 * capacity. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "activity/v1/activity_service.pb-c.h"
#include "proto/arena.h"

static void allocations_are_aligned_and_apart(void **state)
{
    (void)state;
    alignas(max_align_t) uint8_t buffer[1024];
    for (size_t offset = 0; offset < alignof(max_align_t); offset++) {
        struct arena arena;
        arena_init(&arena, buffer + offset, sizeof(buffer) - offset);
        uint8_t *previous_end = buffer + offset;
        for (size_t size = 0; size < 20; size++) {
            uint8_t *allocated = arena_allocate(&arena, size);
            assert_non_null(allocated);
            assert_int_equal((uintptr_t)allocated % alignof(max_align_t), 0);
            assert_true(allocated >= previous_end);
            previous_end = allocated + size;
        }
        assert_true(previous_end == buffer + offset + arena.used);
    }
}

static void the_capacity_is_used_to_the_last_byte_and_no_further(void **state)
{
    (void)state;
    alignas(max_align_t) uint8_t buffer[64];
    struct arena arena;
    arena_init(&arena, buffer, sizeof(buffer));
    assert_non_null(arena_allocate(&arena, 64));
    assert_null(arena_allocate(&arena, 1));
    arena_reset(&arena);
    assert_ptr_equal(arena_allocate(&arena, 1), buffer);
    assert_null(arena_allocate(&arena, 64));
    assert_null(arena_allocate(&arena, SIZE_MAX));
    assert_null(arena_allocate(&arena, SIZE_MAX - 15));
    assert_non_null(arena_allocate(&arena, 48));
}

static void no_room_for_the_padding(void **state)
{
    (void)state;
    alignas(max_align_t) uint8_t buffer[64];
    struct arena arena;
    arena_init(&arena, buffer + 1, 3);
    assert_null(arena_allocate(&arena, 0));
}

/* A request with strings, bytes and messages in lists. The caller frees *bytes. */
static size_t pack_request(uint8_t **bytes)
{
    Activity__V1__Attribute attributes[16];
    Activity__V1__Attribute *attribute_list[16];
    for (size_t i = 0; i < 16; i++) {
        activity__v1__attribute__init(&attributes[i]);
        attributes[i].name = (char *)"name";
        attributes[i].value = (char *)"a value of some length";
        attribute_list[i] = &attributes[i];
    }
    char *groups[] = {(char *)"editors", (char *)"archive"};
    uint8_t request_id[16] = {1, 2, 3};
    Activity__V1__CreateActivityRequest request = ACTIVITY__V1__CREATE_ACTIVITY_REQUEST__INIT;
    request.request_id = (ProtobufCBinaryData){sizeof(request_id), request_id};
    request.type = (char *)"upload";
    request.n_groups = 2;
    request.groups = groups;
    request.n_attributes = 16;
    request.attributes = attribute_list;
    size_t size = activity__v1__create_activity_request__get_packed_size(&request);
    *bytes = malloc(size);
    assert_non_null(*bytes);
    assert_int_equal(activity__v1__create_activity_request__pack(&request, *bytes), size);
    return size;
}

static void protobuf_c_unpacks_or_gives_up_at_every_capacity(void **state)
{
    (void)state;
    uint8_t *bytes;
    size_t size = pack_request(&bytes);
    size_t refused = 0;
    size_t unpacked = 0;
    for (size_t capacity = 0; capacity < 8192; capacity += 8) {
        uint8_t *buffer =
            malloc(capacity + 1); /* on the heap: a sanitizer sees a write behind it */
        assert_non_null(buffer);
        struct arena arena;
        arena_init(&arena, buffer, capacity);
        ProtobufCAllocator allocator = arena_allocator(&arena);
        Activity__V1__CreateActivityRequest *request =
            activity__v1__create_activity_request__unpack(&allocator, size, bytes);
        if (request == NULL) {
            assert_int_equal(unpacked, 0); /* more room never makes it worse */
            refused++;
        } else {
            assert_string_equal(request->type, "upload");
            assert_int_equal(request->n_attributes, 16);
            assert_string_equal(request->attributes[15]->value, "a value of some length");
            activity__v1__create_activity_request__free_unpacked(request, &allocator);
            unpacked++;
        }
        free(buffer);
    }
    assert_true(refused > 10);
    assert_true(unpacked > 10);
    free(bytes);
}

static void a_swelling_message_is_refused(void **state)
{
    (void)state;
    enum { EMPTY_ATTRIBUTES = 450000, CAPACITY = 4 << 20 };
    uint8_t *bytes = malloc(2 * EMPTY_ATTRIBUTES);
    uint8_t *buffer = malloc(CAPACITY);
    assert_non_null(bytes);
    assert_non_null(buffer);
    for (size_t i = 0; i < EMPTY_ATTRIBUTES; i++) {
        bytes[2 * i] = 0x2a; /* field 5, length 0: two bytes here, more than forty in memory */
        bytes[2 * i + 1] = 0;
    }
    struct arena arena;
    arena_init(&arena, buffer, CAPACITY);
    ProtobufCAllocator allocator = arena_allocator(&arena);
    assert_null(
        activity__v1__create_activity_request__unpack(&allocator, 2 * EMPTY_ATTRIBUTES, bytes));
    assert_true(arena.used <= CAPACITY);
    free(buffer);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_apart),
        cmocka_unit_test(the_capacity_is_used_to_the_last_byte_and_no_further),
        cmocka_unit_test(no_room_for_the_padding),
        cmocka_unit_test(protobuf_c_unpacks_or_gives_up_at_every_capacity),
        cmocka_unit_test(a_swelling_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
