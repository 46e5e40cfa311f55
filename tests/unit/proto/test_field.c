/* Varints and fields: minimal writing, bounded reading, refusal of what proto3 does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/field.h"
#include "proto/varint.h"

/* A copy on the heap of exactly these bytes, so that a sanitizer sees a read outside. The caller
 * frees it. */
static struct view copy_of(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length + (length == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return (struct view){copy, length};
}

/* Reads the only field of these bytes. */
static enum field_outcome read_one(const char *bytes, size_t length, struct field *field)
{
    struct view copy = copy_of(bytes, length);
    struct view rest = copy;
    enum field_outcome outcome = field_next(&rest, field);
    if (outcome == FIELD_READ) {
        assert_int_equal(rest.length, 0);
        assert_ptr_equal(rest.bytes, copy.bytes + length);
    } else {
        assert_ptr_equal(rest.bytes, copy.bytes);
        assert_int_equal(rest.length, length);
    }
    free((void *)copy.bytes);
    return outcome;
}

#define READ_ONE(bytes, field) read_one(bytes, sizeof(bytes) - 1, field)

static void varints_at_every_power_of_two(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int off = -1; off <= 1; off++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)off;
            uint8_t bytes[VARINT_BYTES_MAX];
            size_t size = (size_t)(varint_write(bytes, value) - bytes);
            assert_int_equal(size, varint_size(value));
            uint64_t read = ~value;
            assert_int_equal(varint_read(bytes, bytes + size, &read), size);
            assert_true(read == value);
            assert_int_equal(varint_read(bytes, bytes + size - 1, &read), 0);
            assert_true(varint_unzigzag(varint_zigzag(value)) == value);
        }
    }
}

static void zigzag_as_documented(void **state)
{
    (void)state;
    assert_true(varint_zigzag(0) == 0);
    assert_true(varint_zigzag((uint64_t)INT64_C(-1)) == 1);
    assert_true(varint_zigzag(1) == 2);
    assert_true(varint_zigzag((uint64_t)INT64_MAX) == UINT64_MAX - 1);
    assert_true(varint_zigzag((uint64_t)INT64_MIN) == UINT64_MAX);
}

static void padded_varints_are_read_up_to_ten_bytes(void **state)
{
    (void)state;
    uint8_t bytes[11];
    memset(bytes, 0x80, sizeof(bytes));
    bytes[0] = 0x85;
    uint64_t value;
    for (size_t size = 2; size <= 10; size++) {
        bytes[size - 1] = 0;
        assert_int_equal(varint_read(bytes, bytes + size, &value), size);
        assert_true(value == 5);
        bytes[size - 1] = 0x80;
    }
    bytes[10] = 0;
    assert_int_equal(varint_read(bytes, bytes + 11, &value), 0);
}

static void bits_above_the_64th_are_dropped(void **state)
{
    (void)state;
    const uint8_t bytes[10] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    uint64_t value;
    assert_int_equal(varint_read(bytes, bytes + sizeof(bytes), &value), 10);
    assert_true(value == UINT64_MAX);
}

static void reads_each_type(void **state)
{
    (void)state;
    struct field field;
    assert_int_equal(READ_ONE("\x08\x96\x01", &field), FIELD_READ);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.type, FIELD_VARINT);
    assert_int_equal(field.value, 150);
    assert_int_equal(field.bytes.length, 0);
    assert_int_equal(READ_ONE("\x11\x01\x02\x03\x04\x05\x06\x07\x08", &field), FIELD_READ);
    assert_int_equal(field.number, 2);
    assert_int_equal(field.type, FIELD_FIXED64);
    assert_true(field.value == UINT64_C(0x0807060504030201));
    assert_int_equal(READ_ONE("\x1d\xff\x00\x00\x80", &field), FIELD_READ);
    assert_int_equal(field.number, 3);
    assert_int_equal(field.type, FIELD_FIXED32);
    assert_true(field.value == UINT64_C(0x800000ff));
    assert_int_equal(READ_ONE("\x22\x03"
                              "abc",
                              &field),
                     FIELD_READ);
    assert_int_equal(field.number, 4);
    assert_int_equal(field.type, FIELD_BYTES);
    assert_int_equal(field.bytes.length, 3);
    assert_int_equal(READ_ONE("\x2a\x00", &field), FIELD_READ);
    assert_int_equal(field.bytes.length, 0);
}

static void the_end_is_not_an_error(void **state)
{
    (void)state;
    struct field field;
    struct view nothing = {0};
    assert_int_equal(field_next(&nothing, &field), FIELD_END);
}

static void tags_are_bounded(void **state)
{
    (void)state;
    struct field field;
    /* The highest field number, 2^29 - 1. */
    assert_int_equal(READ_ONE("\xf8\xff\xff\xff\x0f\x01", &field), FIELD_READ);
    assert_int_equal(field.number, (1 << 29) - 1);
    /* Padded to five bytes. */
    assert_int_equal(READ_ONE("\x88\x80\x80\x80\x00\x07", &field), FIELD_READ);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.value, 7);
    /* One bit more, one byte more, and the field number 0. */
    assert_int_equal(READ_ONE("\x88\x80\x80\x80\x10\x01", &field), FIELD_MALFORMED);
    assert_int_equal(READ_ONE("\x88\x80\x80\x80\x80\x00\x01", &field), FIELD_MALFORMED);
    assert_int_equal(READ_ONE("\x00\x01", &field), FIELD_MALFORMED);
    assert_int_equal(READ_ONE("\x80\x00\x01", &field), FIELD_MALFORMED);
}

static void groups_and_unknown_types_are_refused(void **state)
{
    (void)state;
    struct field field;
    assert_int_equal(READ_ONE("\x0b\x0c", &field), FIELD_MALFORMED); /* an empty group */
    assert_int_equal(READ_ONE("\x0c", &field), FIELD_MALFORMED);
    assert_int_equal(READ_ONE("\x0e\x01\x01\x01\x01", &field), FIELD_MALFORMED);
    assert_int_equal(READ_ONE("\x0f\x01\x01\x01\x01", &field), FIELD_MALFORMED);
}

static void lengths_are_bounded_by_what_is_there(void **state)
{
    (void)state;
    struct field field;
    assert_int_equal(READ_ONE("\x0a\x04"
                              "abc",
                              &field),
                     FIELD_MALFORMED);
    assert_int_equal(READ_ONE("\x0a\xff\xff\xff\xff\x07", &field), FIELD_MALFORMED); /* 2 GiB - 1 */
    assert_int_equal(READ_ONE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &field),
                     FIELD_MALFORMED);
    assert_int_equal(READ_ONE("\x0a\x83\x80\x80\x80\x00"
                              "abc",
                              &field),
                     FIELD_READ);
    assert_int_equal(READ_ONE("\x0a\x83\x80\x80\x80\x80\x00"
                              "abc",
                              &field),
                     FIELD_MALFORMED);
}

static void truncation_anywhere_is_refused(void **state)
{
    (void)state;
    static const char bytes[] = "\x88\x01\x96\x01"
                                "\x11\x01\x02\x03\x04\x05\x06\x07\x08"
                                "\x1d\x01\x02\x03\x04"
                                "\x22\x05hello";
    const size_t ends[] = {4, 13, 18, 25};
    for (size_t length = 0; length < sizeof(bytes); length++) {
        struct view copy = copy_of(bytes, length);
        struct view rest = copy;
        struct field field;
        size_t fields = 0;
        enum field_outcome outcome;
        while ((outcome = field_next(&rest, &field)) == FIELD_READ) {
            assert_int_equal(rest.bytes - copy.bytes, ends[fields]);
            fields++;
        }
        bool whole = length == 0 || (fields > 0 && ends[fields - 1] == length);
        assert_int_equal(outcome, whole ? FIELD_END : FIELD_MALFORMED);
        free((void *)copy.bytes);
    }
}

static void any_bytes_end(void **state)
{
    (void)state;
    unsigned seed = 2;
    size_t read = 0;
    for (int round = 0; round < 100000; round++) {
        uint8_t bytes[40];
        size_t length = (size_t)rand_r(&seed) % sizeof(bytes);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)(rand_r(&seed) >> (rand_r(&seed) % 8));
        }
        struct view copy = copy_of(bytes, length);
        struct view rest = copy;
        struct field field;
        while (field_next(&rest, &field) == FIELD_READ) {
            read++;
            assert_in_range(field.number, 1, (1 << 29) - 1);
            assert_ptr_equal(rest.bytes + rest.length, copy.bytes + copy.length);
        }
        free((void *)copy.bytes);
    }
    assert_in_range(read, 10000, 4000000);
}

static void writers_take_their_size_and_are_read_back(void **state)
{
    (void)state;
    const uint64_t values[] = {1, 127, 128, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        uint8_t bytes[64];
        uint8_t *end = field_write_varint(bytes, 15, values[i]);
        assert_int_equal(end - bytes, field_varint_size(values[i]));
        end = field_write_fixed64(end, 1, values[i]);
        assert_int_equal(end - bytes, field_varint_size(values[i]) + field_fixed64_size(values[i]));
        end = field_write_bytes(end, 2, view_of("text"));
        assert_int_equal(end - bytes, field_varint_size(values[i]) + field_fixed64_size(values[i]) +
                                          field_bytes_size(4));
        struct view rest = {bytes, (size_t)(end - bytes)};
        struct field field;
        assert_int_equal(field_next(&rest, &field), FIELD_READ);
        assert_int_equal(field.number, 15);
        assert_true(field.value == values[i]);
        assert_int_equal(field_next(&rest, &field), FIELD_READ);
        assert_int_equal(field.type, FIELD_FIXED64);
        assert_true(field.value == values[i]);
        assert_int_equal(field_next(&rest, &field), FIELD_READ);
        assert_true(view_equal(field.bytes, view_of("text")));
        assert_int_equal(field_next(&rest, &field), FIELD_END);
    }
}

static void defaults_are_left_out_but_heads_are_not(void **state)
{
    (void)state;
    uint8_t bytes[16];
    assert_ptr_equal(field_write_varint(bytes, 1, 0), bytes);
    assert_ptr_equal(field_write_fixed64(bytes, 1, 0), bytes);
    assert_ptr_equal(field_write_bytes(bytes, 1, (struct view){0}), bytes);
    assert_int_equal(field_varint_size(0) + field_fixed64_size(0) + field_bytes_size(0), 0);
    assert_ptr_equal(field_write_head(bytes, 1, 0), bytes + 2);
    assert_int_equal(field_head_size(0), 2);
    assert_int_equal(field_head_size(300), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_at_every_power_of_two),
        cmocka_unit_test(zigzag_as_documented),
        cmocka_unit_test(padded_varints_are_read_up_to_ten_bytes),
        cmocka_unit_test(bits_above_the_64th_are_dropped),
        cmocka_unit_test(reads_each_type),
        cmocka_unit_test(the_end_is_not_an_error),
        cmocka_unit_test(tags_are_bounded),
        cmocka_unit_test(groups_and_unknown_types_are_refused),
        cmocka_unit_test(lengths_are_bounded_by_what_is_there),
        cmocka_unit_test(truncation_anywhere_is_refused),
        cmocka_unit_test(any_bytes_end),
        cmocka_unit_test(writers_take_their_size_and_are_read_back),
        cmocka_unit_test(defaults_are_left_out_but_heads_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
