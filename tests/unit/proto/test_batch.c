/* The batch against protobuf-c as the judge: what either writes the other reads alike, whatever the
 * encoding, and what one refuses the other refuses. The only difference is meant: a field number of
 * 0 or above 2^29 - 1, which protobuf forbids and protobuf-c lets pass, is malformed here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "activity/v1/activity_service.pb-c.h"
#include "proto/batch.h"
#include "proto/varint.h"
#include "tests/unit/proto/chance.h"

typedef Activity__V1__BatchUpdateActivitiesRequest Request;
typedef Activity__V1__BatchUpdateActivitiesResponse Response;

enum { MESSAGE_ROOM = 1 << 16, JUDGED_UPDATES_MAX = 3000 };

static struct batch_scratch scratch;

/* --- The judge --- */

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

/* What must come out, by protobuf-c's reading and the rules of batch.h. */
static enum batch_outcome judge(const Request *request, size_t *bad_index)
{
    if (request == NULL || has_forbidden_number(&request->base)) {
        return BATCH_MALFORMED;
    }
    if (request->n_job_id_deltas == 0 && request->percents.len == 0) {
        return BATCH_EMPTY;
    }
    if (request->n_job_id_deltas > LIMIT_BATCH_UPDATES ||
        request->percents.len > LIMIT_BATCH_UPDATES) {
        return BATCH_TOO_MANY;
    }
    if (request->n_job_id_deltas != request->percents.len) {
        return BATCH_COUNTS_DIFFER;
    }
    for (size_t i = 0; i < request->percents.len; i++) {
        if (request->percents.data[i] > LIMIT_PERCENT_MAX) {
            *bad_index = i;
            return BATCH_BAD_PERCENT;
        }
    }
    return BATCH_OK;
}

/* The ids of a column, taken in pieces of at most `piece`, against protobuf-c's deltas. */
static void check_ids(struct view deltas, const Request *request, size_t piece)
{
    uint64_t *job_ids = malloc(piece * sizeof(*job_ids));
    assert_non_null(job_ids);
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, deltas);
    uint64_t expected = 0;
    size_t seen = 0;
    size_t taken;
    while ((taken = batch_cursor_next(&cursor, job_ids, piece)) > 0) {
        assert_in_range(taken, 1, piece);
        for (size_t i = 0; i < taken; i++, seen++) {
            assert_true(seen < request->n_job_id_deltas);
            expected += (uint64_t)request->job_id_deltas[seen];
            assert_true(job_ids[i] == expected);
        }
    }
    assert_int_equal(seen, request->n_job_id_deltas);
    free(job_ids);
}

/* Decodes these bytes and compares everything with protobuf-c. Returns the outcome. */
static enum batch_outcome check_request(const uint8_t *bytes, size_t length)
{
    struct view copy = copy_of(bytes, length);
    Request *request =
        activity__v1__batch_update_activities_request__unpack(NULL, length, copy.bytes);
    size_t expected_index = SIZE_MAX;
    enum batch_outcome expected = judge(request, &expected_index);

    struct batch_columns columns = {0};
    uint32_t bad_index = UINT32_MAX;
    enum batch_outcome outcome = batch_request_decode(copy, &scratch, &columns, &bad_index);
    assert_int_equal(outcome, expected);
    assert_int_equal(bad_index, (uint32_t)expected_index);
    if (outcome == BATCH_OK) {
        assert_int_equal(columns.count, request->n_job_id_deltas);
        assert_int_equal(columns.percents.length, columns.count);
        assert_memory_equal(columns.percents.bytes, request->percents.data, columns.count);
        assert_true(batch_deltas_valid(columns.deltas, columns.count));
        check_ids(columns.deltas, request, 1 + below(300));
    }

    /* Without scratch the only other answer is a refusal. */
    enum batch_outcome in_place = batch_request_decode(copy, NULL, &columns, &bad_index);
    assert_true(in_place == outcome || in_place == BATCH_MALFORMED);
    if (request != NULL) {
        activity__v1__batch_update_activities_request__free_unpacked(request, NULL);
    }
    free((void *)copy.bytes);
    return outcome;
}

/* --- Random requests --- */

/* Ids as they come: neighbours, sorted with gaps, random among few or many, and any 64 bits. */
static void random_job_ids(uint64_t *job_ids, size_t count)
{
    uint64_t base = (next_random() >> 36) << 24;
    size_t kind = below(6);
    for (size_t i = 0; i < count; i++) {
        switch (kind) {
        case 0:
            job_ids[i] = base + i;
            break;
        case 1:
            job_ids[i] = (i == 0 ? base : job_ids[i - 1]) + below(200);
            break;
        case 2:
            job_ids[i] = base + below(100000);
            break;
        case 3:
            job_ids[i] = next_random() >> (64 - LIMIT_JOB_ID_BITS);
            break;
        case 4:
            job_ids[i] = next_random();
            break;
        default:
            job_ids[i] = base + (next_random() >> below(64));
            break;
        }
    }
}

static void random_percents(uint8_t *percents, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        percents[i] = (uint8_t)below(LIMIT_PERCENT_MAX + 1);
    }
}

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

static uint8_t *write_tag(uint8_t *to, uint32_t number, unsigned type)
{
    return write_padded(to, number << 3 | type, below(8) == 0 ? 3 : 0, 5);
}

static uint8_t *write_bytes(uint8_t *to, uint32_t number, const uint8_t *bytes, size_t length)
{
    to = write_tag(to, number, 2);
    to = write_padded(to, length, below(8) == 0 ? 3 : 0, 5);
    memcpy(to, bytes, length);
    return to + length;
}

static uint8_t *write_unknown(uint8_t *to)
{
    static const uint8_t noise[64] = {0xff, 0x0b, 0x80, 0x0a};
    uint32_t number = (uint32_t)(4 + below(below(2) == 0 ? 12 : (1 << 29) - 4));
    switch (below(4)) {
    case 0:
        return write_padded(write_tag(to, number, 0), next_random() >> below(64), 2, 10);
    case 1:
        to = write_tag(to, number, 1);
        memcpy(to, noise, 8);
        return to + 8;
    case 2:
        return write_bytes(to, number, noise, below(sizeof(noise)));
    default:
        to = write_tag(to, number, 5);
        memcpy(to, noise, 4);
        return to + 4;
    }
}

/* The next piece of the column of deltas: one unpacked member, or a run of packed ones. */
static uint8_t *write_some_deltas(uint8_t *to, const uint64_t *deltas, size_t count, size_t *taken)
{
    size_t padding = below(3) == 0 ? 4 : 0;
    if (count > 0 && below(2) == 0) {
        *taken = 1;
        return write_padded(write_tag(to, 1, 0), deltas[0], padding, 10);
    }
    static uint8_t packed[MESSAGE_ROOM];
    uint8_t *end = packed;
    *taken = below(count + 1);
    for (size_t i = 0; i < *taken; i++) {
        end = write_padded(end, deltas[i], padding, 10);
    }
    return write_bytes(to, 1, packed, (size_t)(end - packed));
}

/* A valid encoding of these updates, chosen at random: columns split, repeated, padded, in any
 * order, between unknown fields. Returns its length. */
static size_t encode_somehow(uint8_t *to, const uint64_t *job_ids, const uint8_t *percents,
                             size_t count)
{
    static uint64_t deltas[JUDGED_UPDATES_MAX];
    static const uint8_t overwritten[] = {200, 1};
    for (size_t i = 0; i < count; i++) {
        deltas[i] = varint_zigzag(job_ids[i] - (i == 0 ? 0 : job_ids[i - 1]));
    }
    uint8_t *at = to;
    size_t done = 0;
    bool percents_last = below(2) == 0;
    if (!percents_last) {
        at = write_bytes(at, 2, percents, count);
    } else if (below(2) == 0) {
        at = write_bytes(at, 2, overwritten, below(3));
    }
    while (done < count) {
        size_t taken;
        at = write_some_deltas(at, deltas + done, count - done, &taken);
        done += taken;
        if (below(8) == 0) {
            at = write_unknown(at);
        }
        assert_true(at - to < MESSAGE_ROOM);
    }
    if (percents_last) {
        at = write_bytes(at, 2, percents, count);
    }
    return (size_t)(at - to);
}

static size_t random_encoding(uint8_t *to, size_t count)
{
    static uint64_t job_ids[JUDGED_UPDATES_MAX];
    static uint8_t percents[JUDGED_UPDATES_MAX];
    random_job_ids(job_ids, count);
    random_percents(percents, count);
    if (below(4) == 0 && count > 0) {
        return (size_t)(batch_request_encode(job_ids, percents, (uint32_t)count, to) - to);
    }
    return encode_somehow(to, job_ids, percents, count);
}

/* One change of the kinds that parsers get wrong. Returns the new length. */
static size_t mutate(uint8_t *bytes, size_t length)
{
    static const uint8_t extremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x0b, 0x12};
    if (length == 0) {
        return 0;
    }
    size_t at = below(length);
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

/* --- Requests --- */

static void canonical_requests_are_protobuf_c_s_and_read_in_place(void **state)
{
    (void)state;
    static uint64_t job_ids[JUDGED_UPDATES_MAX];
    static uint8_t percents[JUDGED_UPDATES_MAX];
    static int64_t deltas[JUDGED_UPDATES_MAX];
    for (size_t round = rounds(400); round > 0; round--) {
        uint32_t count = (uint32_t)(1 + below(round % 4 == 0 ? JUDGED_UPDATES_MAX : 40));
        random_job_ids(job_ids, count);
        random_percents(percents, count);
        for (size_t i = 0; i < count; i++) {
            deltas[i] = (int64_t)(job_ids[i] - (i == 0 ? 0 : job_ids[i - 1]));
        }
        Request request = ACTIVITY__V1__BATCH_UPDATE_ACTIVITIES_REQUEST__INIT;
        request.n_job_id_deltas = count;
        request.job_id_deltas = deltas;
        request.percents = (ProtobufCBinaryData){count, percents};
        size_t size = batch_request_size(job_ids, count);
        assert_int_equal(size,
                         activity__v1__batch_update_activities_request__get_packed_size(&request));
        uint8_t *ours = malloc(size);
        uint8_t *theirs = malloc(size);
        assert_non_null(ours);
        assert_non_null(theirs);
        assert_ptr_equal(batch_request_encode(job_ids, percents, count, ours), ours + size);
        activity__v1__batch_update_activities_request__pack(&request, theirs);
        assert_memory_equal(ours, theirs, size);

        struct batch_columns columns;
        uint32_t bad_index;
        assert_int_equal(
            batch_request_decode((struct view){ours, size}, NULL, &columns, &bad_index), BATCH_OK);
        assert_true(columns.deltas.bytes > ours && columns.deltas.bytes < ours + size);
        assert_ptr_equal(columns.percents.bytes + columns.percents.length, ours + size);
        assert_int_equal(check_request(ours, size), BATCH_OK);
        free(ours);
        free(theirs);
    }
}

static void any_valid_encoding_reads_as_protobuf_c_reads_it(void **state)
{
    (void)state;
    static uint8_t bytes[MESSAGE_ROOM];
    for (size_t round = rounds(4000); round > 0; round--) {
        size_t count = 1 + below(round % 16 == 0 ? JUDGED_UPDATES_MAX : 30);
        size_t length = random_encoding(bytes, count);
        assert_int_equal(check_request(bytes, length), BATCH_OK);
    }
}

static void mutated_encodings_are_judged_alike(void **state)
{
    (void)state;
    static uint8_t bytes[MESSAGE_ROOM];
    size_t seen[BATCH_BAD_PERCENT + 1] = {0};
    for (size_t round = rounds(60000); round > 0; round--) {
        size_t length = random_encoding(bytes, below(12));
        for (size_t changes = 1 + below(3); changes > 0; changes--) {
            length = mutate(bytes, length);
        }
        seen[check_request(bytes, length)]++;
    }
    assert_int_equal(seen[BATCH_TOO_MANY], 0); /* so many do not fit; they have a test below */
    for (enum batch_outcome outcome = BATCH_OK; outcome <= BATCH_BAD_PERCENT; outcome++) {
        assert_true(outcome == BATCH_TOO_MANY || seen[outcome] > 500);
    }
}

static void truncation_at_every_byte_is_judged_alike(void **state)
{
    (void)state;
    static uint8_t bytes[MESSAGE_ROOM];
    for (size_t round = rounds(300); round > 0; round--) {
        size_t length = random_encoding(bytes, below(20));
        for (size_t cut = 0; cut < length; cut++) {
            check_request(bytes, cut);
        }
    }
}

static void random_bytes_are_judged_alike(void **state)
{
    (void)state;
    size_t malformed = 0;
    size_t count = rounds(100000);
    for (size_t round = 0; round < count; round++) {
        uint8_t bytes[24];
        size_t length = below(sizeof(bytes));
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)(next_random() >> below(64));
        }
        malformed += check_request(bytes, length) == BATCH_MALFORMED;
    }
    assert_true(malformed > count / 4);
    assert_true(malformed < count);
}

static void malformed(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
#define BYTES(text) {text, sizeof(text) - 1}
        BYTES("\x0b\x0c\x12\x01\x05"),                                 /* a group */
        BYTES("\x1b\x08\x01\x1c\x0a\x01\x02\x12\x01\x05"),             /* an unknown group */
        BYTES("\x0a\x01\x80\x12\x01\x05"),                             /* no end in the column */
        BYTES("\x0a\x0b\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* 11 bytes */
        BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),     /* the same, unpacked */
        BYTES("\x09\x01\x02\x03\x04\x05\x06\x07\x08\x12\x01\x05"),     /* deltas as fixed64 */
        BYTES("\x0a\x01\x02\x10\x05"),                                 /* percents as a varint */
        BYTES("\x0a\x02\x02\x12\x01\x05"),                             /* deltas eat the percents */
        BYTES("\x0a\x01\x02\x12\x02\x05"),                             /* percents beyond the end */
        BYTES("\x0e\x01"),
        BYTES("\x00\x01"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(check_request((const uint8_t *)cases[i].bytes, cases[i].length),
                         BATCH_MALFORMED);
    }
}

static void an_empty_message_and_empty_columns_are_empty(void **state)
{
    (void)state;
    assert_int_equal(check_request((const uint8_t *)"", 0), BATCH_EMPTY);
    assert_int_equal(check_request((const uint8_t *)"\x0a\x00\x12\x00", 4), BATCH_EMPTY);
    assert_int_equal(check_request((const uint8_t *)"\x20\x01", 2), BATCH_EMPTY);
    struct batch_columns columns;
    uint32_t bad_index;
    assert_int_equal(batch_request_decode((struct view){0}, &scratch, &columns, &bad_index),
                     BATCH_EMPTY);
}

static void columns_of_different_length(void **state)
{
    (void)state;
    assert_int_equal(check_request((const uint8_t *)"\x0a\x02\x02\x02\x12\x01\x05", 7),
                     BATCH_COUNTS_DIFFER);
    assert_int_equal(check_request((const uint8_t *)"\x0a\x01\x02", 3), BATCH_COUNTS_DIFFER);
    assert_int_equal(check_request((const uint8_t *)"\x12\x01\x05", 3), BATCH_COUNTS_DIFFER);
    /* ... comes before a bad percent. */
    assert_int_equal(check_request((const uint8_t *)"\x0a\x02\x02\x02\x12\x01\xff", 7),
                     BATCH_COUNTS_DIFFER);
}

static void the_first_bad_percent_is_named(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    uint64_t job_ids[COUNT] = {0};
    uint8_t percents[COUNT];
    uint8_t bytes[4 * COUNT];
    static const uint8_t bad[] = {101, 127, 128, 200, 255};
    for (uint32_t first = 0; first < COUNT; first++) {
        for (size_t i = 0; i < sizeof(bad); i++) {
            memset(percents, LIMIT_PERCENT_MAX, sizeof(percents));
            percents[first] = bad[i];
            percents[COUNT - 1] = bad[i];
            size_t length = (size_t)(batch_request_encode(job_ids, percents, COUNT, bytes) - bytes);
            struct batch_columns columns;
            uint32_t bad_index = UINT32_MAX;
            assert_int_equal(
                batch_request_decode((struct view){bytes, length}, NULL, &columns, &bad_index),
                BATCH_BAD_PERCENT);
            assert_int_equal(bad_index, first);
            assert_int_equal(check_request(bytes, length), BATCH_BAD_PERCENT);
        }
    }
}

/* `count` updates in the canonical form or, with `unpacked`, one field per delta. */
static enum batch_outcome decode_many(uint32_t count, bool unpacked, uint64_t step)
{
    uint64_t *job_ids = calloc(count, sizeof(*job_ids));
    uint8_t *percents = calloc(count, 1);
    uint8_t *bytes = malloc((size_t)count * 12 + 16);
    assert_non_null(job_ids);
    assert_non_null(percents);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < count; i++) {
        job_ids[i] = i % 2 * step;
    }
    uint8_t *end = bytes;
    if (unpacked) {
        for (uint32_t i = 0; i < count; i++) {
            *end++ = 0x08;
            end = varint_write(end, varint_zigzag(job_ids[i] - (i == 0 ? 0 : job_ids[i - 1])));
        }
        *end++ = 0x12;
        end = varint_write(end, count);
        memcpy(end, percents, count);
        end += count;
    } else {
        end = batch_request_encode(job_ids, percents, count, end);
    }
    enum batch_outcome outcome = check_request(bytes, (size_t)(end - bytes));
    free(bytes);
    free(percents);
    free(job_ids);
    return outcome;
}

static void the_limit_is_exact_in_every_form(void **state)
{
    (void)state;
    const uint64_t widest = UINT64_C(1) << 63; /* ten bytes a delta: the scratch is full */
    for (int form = 0; form < 4; form++) {
        bool unpacked = form % 2 == 1;
        uint64_t step = form < 2 ? 1 : widest;
        assert_int_equal(decode_many(LIMIT_BATCH_UPDATES, unpacked, step), BATCH_OK);
        assert_int_equal(decode_many(LIMIT_BATCH_UPDATES + 1, unpacked, step), BATCH_TOO_MANY);
        assert_int_equal(decode_many(2 * LIMIT_BATCH_UPDATES, unpacked, step), BATCH_TOO_MANY);
    }
}

static void the_largest_batch_fits_a_request(void **state)
{
    (void)state;
    uint64_t *job_ids = malloc(LIMIT_BATCH_UPDATES * sizeof(*job_ids));
    assert_non_null(job_ids);
    for (size_t i = 0; i < LIMIT_BATCH_UPDATES; i++) {
        job_ids[i] = i % 2 * ((UINT64_C(1) << LIMIT_JOB_ID_BITS) - 1);
    }
    assert_in_range(batch_request_size(job_ids, LIMIT_BATCH_UPDATES), 8 * LIMIT_BATCH_UPDATES,
                    LIMIT_REQUEST_BYTES - LIMIT_ENVELOPE_BYTES);
    free(job_ids);
}

/* --- Columns --- */

/* What batch_deltas_valid promises, one byte at a time. */
static bool is_valid_plainly(const uint8_t *bytes, size_t length, size_t count)
{
    size_t found = 0;
    size_t run = 0;
    for (size_t i = 0; i < length; i++) {
        run++;
        if (bytes[i] >= 0x80) {
            if (run == 10) {
                return false;
            }
            continue;
        }
        if ((run > 1 && bytes[i] == 0) || (run == 10 && bytes[i] > 1)) {
            return false;
        }
        found++;
        run = 0;
    }
    return run == 0 && found == count;
}

static void a_column_is_valid_when_a_plain_reader_says_so(void **state)
{
    (void)state;
    size_t valid = 0;
    size_t count = rounds(300000);
    for (size_t round = 0; round < count; round++) {
        uint8_t bytes[48];
        size_t length = below(sizeof(bytes) + 1);
        size_t ends = 0;
        size_t long_runs = below(20); /* from single bytes to runs of more than ten */
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)(below(8) == 0 ? below(2) : 1 + below(0x7f));
            if (below(20) < long_runs) {
                bytes[i] |= 0x80;
            }
            ends += bytes[i] < 0x80;
        }
        if (length > 0 && below(4) > 0) {
            ends += bytes[length - 1] >= 0x80;
            bytes[length - 1] &= 0x7f;
        }
        struct view copy = copy_of(bytes, length);
        bool expected = is_valid_plainly(bytes, length, ends);
        assert_int_equal(batch_deltas_valid(copy, (uint32_t)ends), expected);
        assert_false(batch_deltas_valid(copy, (uint32_t)ends + 1));
        valid += expected;
        free((void *)copy.bytes);
    }
    assert_in_range(valid, count / 50, count - count / 4);
    assert_true(batch_deltas_valid((struct view){0}, 0));
}

static void a_run_of_each_length_at_each_place(void **state)
{
    (void)state;
    for (size_t before = 0; before < 17; before++) {
        for (size_t run = 1; run <= 12; run++) {
            for (int last = 0; last <= 2; last++) {
                uint8_t bytes[40];
                memset(bytes, 1, sizeof(bytes));
                memset(bytes + before, 0xff, run - 1);
                bytes[before + run - 1] = (uint8_t)last;
                size_t count = sizeof(bytes) - run + 1;
                struct view copy = copy_of(bytes, sizeof(bytes));
                assert_int_equal(batch_deltas_valid(copy, (uint32_t)count),
                                 is_valid_plainly(bytes, sizeof(bytes), count));
                free((void *)copy.bytes);
            }
        }
    }
}

static void a_cursor_stays_within_any_bytes(void **state)
{
    (void)state;
    for (size_t round = rounds(100000); round > 0; round--) {
        uint8_t bytes[40];
        size_t length = below(sizeof(bytes) + 1);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)(next_random() | (below(3) == 0 ? 0x80 : 0));
        }
        struct view copy = copy_of(bytes, length);
        struct batch_cursor cursor;
        batch_cursor_init(&cursor, copy);
        uint64_t job_ids[16];
        size_t max = 1 + below(16);
        size_t taken;
        size_t total = 0;
        while ((taken = batch_cursor_next(&cursor, job_ids, max)) > 0) {
            assert_in_range(taken, 1, max);
            total += taken;
        }
        assert_true(total <= length);
        assert_ptr_equal(cursor.at, copy.bytes + length);
        free((void *)copy.bytes);
    }
    struct batch_cursor cursor;
    uint64_t job_id;
    batch_cursor_init(&cursor, (struct view){0});
    assert_int_equal(batch_cursor_next(&cursor, &job_id, 1), 0);
}

/* --- Responses --- */

static void responses_are_protobuf_c_s(void **state)
{
    (void)state;
    for (size_t round = rounds(2000); round > 0; round--) {
        uint8_t percents[64];
        uint8_t dispositions[64];
        size_t count = below(sizeof(percents) + 1);
        random_percents(percents, count);
        for (size_t i = 0; i < count; i++) {
            dispositions[i] = (uint8_t)(1 + below(7));
        }
        Response theirs = ACTIVITY__V1__BATCH_UPDATE_ACTIVITIES_RESPONSE__INIT;
        theirs.percents = (ProtobufCBinaryData){count, percents};
        theirs.ignored_count = (uint32_t)(next_random() >> below(64));
        theirs.dispositions = (ProtobufCBinaryData){below(2) * count, dispositions};
        struct batch_response ours = {
            .percents = {percents, count},
            .ignored_count = theirs.ignored_count,
            .dispositions = {dispositions, theirs.dispositions.len},
        };
        uint8_t expected[160];
        uint8_t bytes[160];
        size_t size = activity__v1__batch_update_activities_response__pack(&theirs, expected);
        assert_int_equal(batch_response_size(&ours), size);
        assert_ptr_equal(batch_response_encode(&ours, bytes), bytes + size);
        assert_memory_equal(bytes, expected, size);

        struct batch_response read;
        assert_int_equal(batch_response_decode((struct view){bytes, size}, &read), 0);
        assert_true(view_equal(read.percents, ours.percents));
        assert_true(view_equal(read.dispositions, ours.dispositions));
        assert_int_equal(read.ignored_count, ours.ignored_count);
    }
}

/* A response in any order, with repetitions, padding and unknown fields. Returns its length. */
static size_t random_response(uint8_t *to)
{
    uint8_t *at = to;
    for (size_t fields = below(6); fields > 0; fields--) {
        uint8_t bytes[20];
        random_percents(bytes, sizeof(bytes));
        switch (below(4)) {
        case 0:
            at = write_bytes(at, 1, bytes, below(sizeof(bytes)));
            break;
        case 1:
            at = write_padded(write_tag(at, 2, 0), next_random() >> below(64), 4, 10);
            break;
        case 2:
            at = write_bytes(at, 3, bytes, below(sizeof(bytes)));
            break;
        default:
            at = write_unknown(at);
            break;
        }
    }
    return (size_t)(at - to);
}

static void any_response_reads_as_protobuf_c_reads_it(void **state)
{
    (void)state;
    size_t refused = 0;
    size_t count = rounds(40000);
    for (size_t round = 0; round < count; round++) {
        uint8_t bytes[1024];
        size_t length = random_response(bytes);
        for (size_t changes = below(3); changes > 0; changes--) {
            length = mutate(bytes, length);
        }
        struct view copy = copy_of(bytes, length);
        Response *theirs =
            activity__v1__batch_update_activities_response__unpack(NULL, length, copy.bytes);
        struct batch_response ours;
        if (theirs == NULL || has_forbidden_number(&theirs->base)) {
            assert_int_equal(batch_response_decode(copy, &ours), 1);
            refused++;
        } else {
            assert_int_equal(batch_response_decode(copy, &ours), 0);
            assert_true(view_equal(ours.percents,
                                   (struct view){theirs->percents.data, theirs->percents.len}));
            assert_true(view_equal(ours.dispositions, (struct view){theirs->dispositions.data,
                                                                    theirs->dispositions.len}));
            assert_int_equal(ours.ignored_count, theirs->ignored_count);
        }
        if (theirs != NULL) {
            activity__v1__batch_update_activities_response__free_unpacked(theirs, NULL);
        }
        free((void *)copy.bytes);
    }
    assert_in_range(refused, count / 20, count - count / 20);
}

int main(void)
{
    seed = 0x2545f4914f6cdd1d;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_requests_are_protobuf_c_s_and_read_in_place),
        cmocka_unit_test(any_valid_encoding_reads_as_protobuf_c_reads_it),
        cmocka_unit_test(mutated_encodings_are_judged_alike),
        cmocka_unit_test(truncation_at_every_byte_is_judged_alike),
        cmocka_unit_test(random_bytes_are_judged_alike),
        cmocka_unit_test(malformed),
        cmocka_unit_test(an_empty_message_and_empty_columns_are_empty),
        cmocka_unit_test(columns_of_different_length),
        cmocka_unit_test(the_first_bad_percent_is_named),
        cmocka_unit_test(the_limit_is_exact_in_every_form),
        cmocka_unit_test(the_largest_batch_fits_a_request),
        cmocka_unit_test(a_column_is_valid_when_a_plain_reader_says_so),
        cmocka_unit_test(a_run_of_each_length_at_each_place),
        cmocka_unit_test(a_cursor_stays_within_any_bytes),
        cmocka_unit_test(responses_are_protobuf_c_s),
        cmocka_unit_test(any_response_reads_as_protobuf_c_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
