/* The tail rule, case by case: what a power cut can leave is cut, everything else is refused by
 * name. */
#include "tests/unit/server/journal/fixture.h"
#include "tests/unit/server/journal/storage_memory.c"

#include <xxhash.h>

#include "server/journal/entry.h"
#include "server/journal/segment.h"

enum { MOST = 4000, COUNT = 20 };

static uint64_t offsets[COUNT + 2]; /* of entry i; [COUNT + 1]: the end */

static struct journal *opened(int expected, struct journal_error *error)
{
    struct journal_options options = {.directory = "memory", .segment_bytes = JOURNAL_SEGMENT_MIN};
    struct journal *journal = NULL;
    int result = journal_open(&options, &journal, error);
    if (result != expected)
        fail_msg("%d: %s", result, error->text);
    return journal;
}

/* A journal of COUNT entries, each synced by itself but for the last `grouped`, which share one
 * group. */
static int setup(void **state)
{
    (void)state;
    struct journal_error error;
    struct user user;
    memory_start(1);
    struct journal *journal = opened(0, &error);
    struct journal_events events = user_events(&user);
    assert_int_equal(journal_start(journal, &events, &error), 0);
    offsets[1] = SEGMENT_DATA;
    for (uint64_t i = 1; i <= COUNT; i++) {
        assert_true(user_append(&user, journal, i, MOST));
        offsets[i + 1] = offsets[i] + entry_bytes(fixture_length(i, MOST));
    }
    journal_close(journal);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_stop();
    return 0;
}

static uint8_t *segment_bytes(void)
{
    uint8_t *bytes = NULL;
    size_t size;
    assert_true(memory_file(memory_last("segment-"), &bytes, &size));
    return bytes;
}

/* Appends entries COUNT + 1 .. COUNT + count to the segment as one group that a power cut
 * interrupted. */
static void write_group(uint64_t count, uint64_t at[])
{
    static uint8_t body[MOST];
    struct entry_header last;
    assert_int_equal(entry_decode_header(segment_bytes() + offsets[COUNT], &last), ENTRY_SOUND);
    uint32_t previous = last.checksum;
    at[0] = offsets[COUNT + 1];
    for (uint64_t i = 0; i < count; i++) {
        struct entry_header header = {
            .index = COUNT + 1 + i, .synced = COUNT, .length = 1500, .previous = previous};
        memset(body, (int)i + 1, sizeof body);
        entry_encode(&header, body, segment_bytes() + at[i]);
        previous = header.checksum;
        at[i + 1] = at[i] + entry_bytes(1500);
    }
}

static void zero(uint64_t offset, size_t sectors)
{
    memset(segment_bytes() + offset, 0, sectors * ENTRY_SECTOR);
}

/* Opens, starts, appends one, opens again: the journal must end at `last`, and go on behind it. */
static void assert_cut_at(uint64_t last)
{
    struct journal_error error = {0};
    struct user user;
    struct journal *journal = opened(0, &error);
    assert_int_equal(journal_durable_index(journal), last);
    if (last <= COUNT)
        assert_int_equal(fixture_replay(journal, 1, MOST, &error), last);
    struct journal_events events = user_events(&user);
    assert_int_equal(journal_start(journal, &events, &error), 0);
    assert_true(user_append(&user, journal, last + 1, MOST));
    journal_close(journal);
    journal = opened(0, &error);
    assert_int_equal(journal_durable_index(journal), last + 1);
    journal_close(journal);
}

/* Refused, naming the segment and all of the words given, which are separated by '|'. */
static void assert_data_loss(const char *words)
{
    struct journal_error error = {0};
    char copy[128];
    opened(JOURNAL_DATA_LOSS, &error);
    assert_int_equal(error.code, JOURNAL_DATA_LOSS);
    assert_non_null(strstr(error.text, memory_last("segment-")));
    assert_non_null(strstr(error.text, "journal repair"));
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, "|"); word != NULL; word = strtok(NULL, "|"))
        if (strstr(error.text, word) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", word, error.text);
}

static void an_intact_end_is_found(void **state)
{
    (void)state;
    assert_cut_at(COUNT);
}

static void an_entry_with_a_lost_sector_is_cut(void **state)
{
    (void)state;
    uint64_t at[8];
    write_group(1, at);
    zero(at[0] + 512, 1);
    assert_cut_at(COUNT);
}

static void an_entry_without_its_first_sector_is_cut(void **state)
{
    (void)state;
    uint64_t at[8];
    write_group(1, at);
    zero(at[0], 1);
    assert_cut_at(COUNT);
}

static void every_way_to_tear_a_group_is_cut(void **state)
{
    (void)state;
    uint64_t at[8];
    memory_save();
    for (unsigned lost = 1; lost < 1u << 12; lost += 1 + lost / 12) {
        memory_restore();
        write_group(3, at);
        unsigned sectors = (unsigned)((at[3] - at[0]) / 512);
        assert_int_equal(sectors, 12);
        uint64_t whole = COUNT;
        for (unsigned i = 0; i < sectors; i++)
            if (lost & 1u << i)
                zero(at[0] + i * 512u, 1);
        for (unsigned entry = 0; entry < 3 && (lost >> entry * 4 & 15u) == 0; entry++)
            whole++;
        assert_cut_at(whole);
    }
}

static void a_lost_sector_of_an_acknowledged_entry_is_no_tear(void **state)
{
    (void)state;
    char words[64];
    memory_save();
    for (uint64_t i = 1; i < COUNT; i++) {
        for (uint64_t offset = offsets[i]; offset < offsets[i + 1]; offset += 512) {
            memory_restore();
            zero(offset, 1);
            snprintf(words, sizeof words, "entry %" PRIu64 " at byte %" PRIu64 "|a later entry", i,
                     offsets[i]);
            assert_data_loss(words);
        }
    }
}

static void a_damaged_header_is_no_tear(void **state)
{
    (void)state;
    segment_bytes()[offsets[COUNT] + 25] ^= 4;
    assert_data_loss("entry 20|its header is damaged");
}

static void a_damaged_body_is_no_tear(void **state)
{
    (void)state;
    segment_bytes()[offsets[COUNT] + 60] ^= 4;
    assert_data_loss("entry 20|its body is damaged");
}

static void a_whole_lost_entry_before_others_is_no_tear(void **state)
{
    (void)state;
    zero(offsets[COUNT - 1], (size_t)(offsets[COUNT] - offsets[COUNT - 1]) / 512);
    assert_data_loss("entry 19|a later entry");
}

static void an_entry_in_the_wrong_place_is_no_tear(void **state)
{
    (void)state;
    memcpy(segment_bytes() + offsets[COUNT + 1], segment_bytes() + offsets[3],
           offsets[4] - offsets[3]);
    assert_data_loss("entry 21|another entry");
}

static void a_broken_chain_is_no_tear(void **state)
{
    (void)state;
    uint64_t at[8];
    struct entry_header header = {.index = COUNT + 1, .synced = COUNT, .length = 10, .previous = 1};
    write_group(1, at);
    zero(at[0], 8);
    entry_encode(&header, (const uint8_t *)"0123456789", segment_bytes() + at[0]);
    assert_data_loss("entry 21|does not continue");
}

static void something_far_behind_is_no_tear(void **state)
{
    (void)state;
    uint64_t near = offsets[COUNT + 1] + SEGMENT_GROUP_BYTES - 512;
    uint64_t at[8];
    write_group(1, at);
    uint8_t sector[512];
    memcpy(sector, segment_bytes() + at[0] + 512, 512);
    zero(at[0], 8);
    memory_save();
    memcpy(segment_bytes() + near, sector, 512);
    assert_cut_at(COUNT);
    memory_restore();
    memcpy(segment_bytes() + near + 512, sector, 512);
    assert_data_loss("entry 21 is due");
}

static void something_that_is_no_sector_of_ours_is_no_tear(void **state)
{
    (void)state;
    segment_bytes()[offsets[COUNT + 1] + 1024 + 7] = 1;
    assert_data_loss("entry 21 is due|no entry leaves");
}

static void a_client_cannot_send_an_entry(void **state)
{
    (void)state;
    /* A body that holds a whole later entry at every place where a sector could begin, torn at its
     * first sector. */
    static uint8_t body[MOST];
    uint8_t forged[512];
    struct entry_header inner = {.index = COUNT + 9, .synced = COUNT + 8, .length = 10};
    entry_encode(&inner, (const uint8_t *)"0123456789", forged);
    for (size_t begin = 512 - 48 - 1; begin + 512 <= sizeof body; begin += 511)
        memcpy(body + begin, forged, 512);
    struct entry_header last;
    assert_int_equal(entry_decode_header(segment_bytes() + offsets[COUNT], &last), ENTRY_SOUND);
    struct entry_header outer = {
        .index = COUNT + 1, .synced = COUNT, .length = sizeof body, .previous = last.checksum};
    entry_encode(&outer, body, segment_bytes() + offsets[COUNT + 1]);
    zero(offsets[COUNT + 1], 1);
    assert_cut_at(COUNT);
}

static void a_newer_version_is_named(void **state)
{
    (void)state;
    struct journal_error error = {0};
    uint8_t *entry = segment_bytes() + offsets[COUNT];
    entry[4] = 2;
    uint32_t checksum = (uint32_t)XXH3_64bits(entry, 44);
    memcpy(entry + 44, &checksum, sizeof checksum);
    opened(JOURNAL_VERSION, &error);
    assert_non_null(strstr(error.text, "entry 20 was written by a newer activityd"));
}

static void a_segment_must_be_whole(void **state)
{
    (void)state;
    memory_save();
    static const size_t sizes[] = {
        0, 1, 511, 512, 4095, 4096, 5000, 65536, JOURNAL_SEGMENT_MIN - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memory_restore();
        memory_truncate(memory_last("segment-"), sizes[i]);
        assert_data_loss("not its full size");
    }
    memory_restore();
    segment_bytes()[600] = 1;
    assert_data_loss("behind its header");
    memory_restore();
    segment_bytes()[20] ^= 1;
    assert_data_loss("its header is damaged");
    memory_restore();
    zero(0, 1);
    assert_data_loss("its header is missing");
}

static void a_segment_under_another_name_is_refused(void **state)
{
    (void)state;
    struct storage_directory *directory = NULL;
    assert_int_equal(storage_directory_open("memory", false, &directory), 0);
    assert_int_equal(storage_rename(directory, segment_name(1).text, segment_name(2).text), 0);
    storage_directory_close(directory);
    assert_data_loss("begins with entry 1");
}

static void an_interrupted_repair_is_not_served(void **state)
{
    (void)state;
    struct journal_error error = {0};
    struct storage_directory *directory = NULL;
    struct storage_file *file = NULL;
    assert_int_equal(storage_directory_open("memory", false, &directory), 0);
    assert_int_equal(storage_create(directory, "repairing", 0, &file), 0);
    storage_close(file);
    storage_directory_close(directory);
    opened(JOURNAL_DATA_LOSS, &error);
    assert_non_null(strstr(error.text, "repair of memory was interrupted"));
}

int main(void)
{
#define ON_A_DISK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_A_DISK(an_intact_end_is_found),
        ON_A_DISK(an_entry_with_a_lost_sector_is_cut),
        ON_A_DISK(an_entry_without_its_first_sector_is_cut),
        ON_A_DISK(every_way_to_tear_a_group_is_cut),
        ON_A_DISK(a_lost_sector_of_an_acknowledged_entry_is_no_tear),
        ON_A_DISK(a_damaged_header_is_no_tear),
        ON_A_DISK(a_damaged_body_is_no_tear),
        ON_A_DISK(a_whole_lost_entry_before_others_is_no_tear),
        ON_A_DISK(an_entry_in_the_wrong_place_is_no_tear),
        ON_A_DISK(a_broken_chain_is_no_tear),
        ON_A_DISK(something_far_behind_is_no_tear),
        ON_A_DISK(something_that_is_no_sector_of_ours_is_no_tear),
        ON_A_DISK(a_client_cannot_send_an_entry),
        ON_A_DISK(a_newer_version_is_named),
        ON_A_DISK(a_segment_must_be_whole),
        ON_A_DISK(a_segment_under_another_name_is_refused),
        ON_A_DISK(an_interrupted_repair_is_not_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
