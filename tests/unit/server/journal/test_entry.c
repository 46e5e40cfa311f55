/* The form of entries: what is encoded is decoded, and nothing else is. */
#include "tests/unit/server/journal/fixture.h"

#include "server/journal/entry.h"

static uint8_t sectors[ENTRY_BYTES_MAX];
static uint8_t body[JOURNAL_BODY_MAX];
static uint8_t read_back[JOURNAL_BODY_MAX];

static struct entry_header encode(uint64_t index, uint32_t length)
{
    struct entry_header header = {
        .index = index, .synced = index - 1, .length = length, .previous = 0x12345678};
    entry_encode(&header, body, sectors);
    return header;
}

static enum entry_fault decode(struct entry_header *header)
{
    enum entry_fault fault = entry_decode_header(sectors, header);
    return fault == ENTRY_SOUND ? entry_decode_body(header, sectors, read_back) : fault;
}

static void sizes_are_whole_sectors(void **state)
{
    (void)state;
    assert_int_equal(entry_bytes(1), 512);
    assert_int_equal(entry_bytes(463), 512);
    assert_int_equal(entry_bytes(464), 1024);
    assert_int_equal(entry_bytes(463 + 511), 1024);
    assert_int_equal(entry_bytes(463 + 512), 1536);
    assert_int_equal(entry_bytes(JOURNAL_BODY_MAX), ENTRY_BYTES_MAX);
    assert_int_equal(entry_sectors(JOURNAL_BODY_MAX), ENTRY_SECTORS_MAX);
}

static void every_length_comes_back(void **state)
{
    (void)state;
    struct entry_header header;
    for (uint32_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)fixture_mix(i);
    for (uint32_t length = 1; length <= JOURNAL_BODY_MAX;
         length += length < 1600 ? 1 : length / 3) {
        memset(sectors, 0xee, sizeof sectors);
        struct entry_header written = encode(7, length);
        assert_int_equal(decode(&header), ENTRY_SOUND);
        assert_int_equal(header.index, 7);
        assert_int_equal(header.synced, 6);
        assert_int_equal(header.length, length);
        assert_int_equal(header.previous, 0x12345678);
        assert_int_equal(header.checksum, written.checksum);
        assert_memory_equal(read_back, body, length);
    }
    encode(7, JOURNAL_BODY_MAX);
    assert_int_equal(decode(&header), ENTRY_SOUND);
    assert_memory_equal(read_back, body, JOURNAL_BODY_MAX);
}

static void bytes_are_as_documented(void **state)
{
    (void)state;
    static const uint8_t head[32] = {'A', 'J', 'E', 'N', 1, 0, 0,    0,    8,    7,   6,
                                     5,   4,   3,   2,   1, 7, 7,    6,    5,    4,   3,
                                     2,   1,   3,   0,   0, 0, 0x78, 0x56, 0x34, 0x12};
    memcpy(body, "abc", 3);
    encode(0x0102030405060708, 3);
    assert_memory_equal(sectors, head, sizeof head);
    assert_memory_equal(sectors + ENTRY_HEADER_BYTES, "abc", 4);
    assert_int_equal(sectors[511], 0xa5);
}

static void sectors_know_what_they_are(void **state)
{
    (void)state;
    memset(body, 0, sizeof body);
    encode(1, 2000);
    assert_int_equal(entry_sector_kind(sectors), ENTRY_SECTOR_HEAD);
    assert_int_equal(entry_sector_kind(sectors + 512), ENTRY_SECTOR_BODY);
    memset(sectors, 0, 512);
    assert_int_equal(entry_sector_kind(sectors), ENTRY_SECTOR_ZERO);
    sectors[17] = 1;
    assert_int_equal(entry_sector_kind(sectors), ENTRY_SECTOR_FOREIGN);
}

/* The heart of the tail rule: a body of zeros leaves no sector of zeros, and no single flipped bit
 * makes one. */
static void a_flipped_bit_never_looks_lost(void **state)
{
    (void)state;
    struct entry_header header;
    for (int kind = 0; kind < 3; kind++) {
        memset(body, 0, sizeof body);
        body[1000] = kind == 1;
        body[1999] = kind == 2;
        encode(1, 2000);
        for (size_t bit = 0; bit < entry_bytes(2000) * 8; bit++) {
            sectors[bit / 8] = (uint8_t)(sectors[bit / 8] ^ 1u << bit % 8);
            enum entry_fault fault = decode(&header);
            assert_true(fault != ENTRY_SOUND && fault != ENTRY_MISSING &&
                        fault != ENTRY_LOST_SECTORS);
            sectors[bit / 8] = (uint8_t)(sectors[bit / 8] ^ 1u << bit % 8);
        }
        assert_int_equal(decode(&header), ENTRY_SOUND);
    }
}

static void a_lost_sector_is_seen_before_anything_else(void **state)
{
    (void)state;
    struct entry_header header;
    for (size_t i = 0; i < 3000; i++)
        body[i] = (uint8_t)(i + 1);
    for (uint32_t lost = 1; lost < entry_sectors(3000); lost++) {
        encode(1, 3000);
        memset(sectors + (size_t)lost * 512, 0, 512);
        sectors[512u * (lost == 1 ? 2 : 1) + 9] ^= 0x10;
        assert_int_equal(decode(&header), ENTRY_LOST_SECTORS);
    }
    encode(1, 3000);
    memset(sectors, 0, 512);
    assert_int_equal(decode(&header), ENTRY_MISSING);
}

static void faults_are_told_apart(void **state)
{
    (void)state;
    struct entry_header header;
    encode(1, 700);
    sectors[1023] = 0xa5;
    assert_int_equal(decode(&header), ENTRY_WRONG_MARK);
    encode(1, 700);
    sectors[1000] = 1;
    assert_int_equal(decode(&header), ENTRY_WRONG_PADDING);
    encode(1, 700);
    sectors[600] ^= 1;
    assert_int_equal(decode(&header), ENTRY_WRONG_BODY);
    encode(1, 700);
    sectors[24] ^= 1;
    assert_int_equal(decode(&header), ENTRY_WRONG_HEADER);
    for (int fault = ENTRY_SOUND; fault <= ENTRY_WRONG_BODY; fault++)
        assert_true(strlen(entry_fault_text((enum entry_fault)fault)) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_whole_sectors),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(bytes_are_as_documented),
        cmocka_unit_test(sectors_know_what_they_are),
        cmocka_unit_test(a_flipped_bit_never_looks_lost),
        cmocka_unit_test(a_lost_sector_is_seen_before_anything_else),
        cmocka_unit_test(faults_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
