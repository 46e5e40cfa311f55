/* Names, shares, and the hash they are found by. */
#include <stdio.h>

#include "tests/unit/server/core/parts.h"

#include "server/core/digest.h"
#include "server/core/siphash.h"

struct world {
    struct names names;
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    names_layout(&((struct world *)at)->names, region, capacity);
}

static struct world *fresh(const struct core_limits *limits)
{
    return parts_new(sizeof(struct world), layout, limits);
}

static void the_paper_s_vectors(void **state)
{
    (void)state;
    uint8_t key[16];
    uint8_t input[15];
    for (uint8_t i = 0; i < 16; i++) {
        key[i] = i;
    }
    for (uint8_t i = 0; i < 15; i++) {
        input[i] = i;
    }
    assert_true(siphash_of(key, bytes_of(input, 15)) == 0xa129ca6149be45e5u);
    assert_true(siphash_of(key, bytes_of(input, 0)) == 0x726fdb47dd0e0e31u);
    struct siphash hash;
    uint8_t got[16];
    static const uint8_t want[16] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                     0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    siphash_init128(&hash, key);
    siphash_finish128(&hash, got);
    assert_memory_equal(got, want, 16);
}

static void pieces_hash_as_the_whole(void **state)
{
    (void)state;
    uint8_t key[16] = {7};
    uint8_t input[64];
    memset(input, 0x5a, sizeof input);
    for (uint32_t length = 0; length <= 64; length++) {
        uint64_t whole = siphash_of(key, bytes_of(input, length));
        for (uint32_t cut = 0; cut <= length; cut++) {
            struct siphash hash;
            siphash_init(&hash, key);
            siphash_add(&hash, input, cut);
            siphash_add(&hash, input + cut, length - cut);
            assert_true(siphash_finish(&hash) == whole);
        }
    }
}

static void names_are_counted(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *w = fresh(&limits);
    struct names *names = &w->names;
    uint32_t studio = names_intern(names, &limits, NAME_TENANT, 0, TEXT("studio"));
    uint32_t other = names_intern(names, &limits, NAME_TENANT, 0, TEXT("other"));
    uint32_t anna = names_intern(names, &limits, NAME_USER, studio, TEXT("anna"));
    assert_int_equal(names_intern(names, &limits, NAME_USER, studio, TEXT("anna")), anna);
    assert_int_not_equal(names_intern(names, &limits, NAME_USER, other, TEXT("anna")), anna);
    assert_int_not_equal(names_intern(names, &limits, NAME_GROUP, studio, TEXT("anna")), anna);
    assert_int_equal(names_lookup(names, NAME_USER, studio, TEXT("anna")), anna);
    assert_int_equal(names_lookup(names, NAME_USER, studio, TEXT("ann")), 0);
    assert_int_equal(names_lookup(names, NAME_PRINCIPAL, studio, TEXT("anna")), 0);
    assert_int_equal(shares_held(names, studio, SHARE_NAMES), 2);
    assert_null(names_verify(names));
    names_release(names, studio); /* its users hold it */
    assert_int_equal(names_lookup(names, NAME_TENANT, 0, TEXT("studio")), studio);
    names_release(names, anna);
    assert_int_equal(names_lookup(names, NAME_USER, studio, TEXT("anna")), anna);
    names_release(names, anna);
    assert_int_equal(names_lookup(names, NAME_USER, studio, TEXT("anna")), 0);
    names_release(names, names_lookup(names, NAME_GROUP, studio, TEXT("anna")));
    assert_int_equal(names_lookup(names, NAME_TENANT, 0, TEXT("studio")), 0);
    names_release(names, names_lookup(names, NAME_USER, other, TEXT("anna")));
    names_release(names, other);
    assert_int_equal(names->records.used, 0);
    assert_int_equal(names->texts.blocks.used, 0);
    assert_int_equal(names->tenants.used, 0);
    free(w);
}

static void texts_of_every_length(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *w = fresh(&limits);
    char text[256];
    uint8_t got[NAME_LENGTH_MAX];
    for (uint32_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('a' + i % 26);
    }
    for (uint32_t length = 1; length <= NAME_LENGTH_MAX; length++) {
        uint32_t id = names_intern(&w->names, &limits, NAME_TYPE, 0, bytes_of(text, length));
        assert_int_equal(id, length);
        assert_true(bytes_equal(names_text(&w->names, id, got), bytes_of(text, length)));
    }
    for (uint32_t length = 1; length <= NAME_LENGTH_MAX; length++) {
        assert_int_equal(names_lookup(&w->names, NAME_TYPE, 0, bytes_of(text, length)), length);
    }
    assert_int_equal(names_text(&w->names, 0, got).length, 0);
    free(w);
}

static void no_room_changes_nothing(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    limits.names_max = 1024;
    struct world *w = fresh(&limits);
    char text[32];
    for (int i = 0; i < 1024; i++) {
        int length = snprintf(text, sizeof text, "type%d", i);
        assert_int_not_equal(
            names_intern(&w->names, &limits, NAME_TYPE, 0, bytes_of(text, (size_t)length)), 0);
    }
    assert_int_equal(names_intern(&w->names, &limits, NAME_TYPE, 0, TEXT("one more")), 0);
    assert_int_not_equal(names_intern(&w->names, &limits, NAME_TYPE, 0, TEXT("type7")), 0);
    assert_int_equal(w->names.records.used, 1024);
    assert_null(names_verify(&w->names));
    free(w);
}

static void the_largest_holder_is_known(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *w = fresh(&limits);
    struct names *names = &w->names;
    uint32_t tenants[3];
    tenants[0] = names_intern(names, &limits, NAME_TENANT, 0, TEXT("a"));
    tenants[1] = names_intern(names, &limits, NAME_TENANT, 0, TEXT("b"));
    tenants[2] = names_intern(names, &limits, NAME_TENANT, 0, TEXT("c"));
    uint64_t held[3] = {0};
    uint64_t random = 3;
    for (int step = 0; step < 20000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t t = (uint32_t)(random >> 40) % 3;
        if ((random >> 60) < 9 && held[0] + held[1] + held[2] < 100) {
            shares_add(names, tenants[t], SHARE_TICKETS, 1);
            held[t]++;
        } else if (held[t] != 0) {
            shares_sub(names, tenants[t], SHARE_TICKETS, 1);
            held[t]--;
        }
        uint32_t heavy = 0;
        for (int i = 0; i < 3; i++) {
            heavy = held[i] > 50 ? tenants[i] : heavy;
        }
        assert_int_equal(shares_heaviest(names, SHARE_TICKETS, 100), heavy);
    }
    free(w);
}

static void snapshots_are_found_again(void **state)
{
    (void)state;
    struct core_limits limits = parts_limits();
    struct world *w = fresh(&limits);
    const uint8_t key[16] = {1, 2, 3};
    names_set_key(&w->names, key);
    uint32_t studio = names_intern(&w->names, &limits, NAME_TENANT, 0, TEXT("studio"));
    uint32_t anna = names_intern(&w->names, &limits, NAME_USER, studio, TEXT("anna"));
    struct parts_memory memory = {.at = NULL};
    struct core_stream stream = {.context = &memory, .write = parts_write, .read = parts_read};
    struct digest_stream hash;
    struct stream_out out = {.to = &stream, .hash = &hash};
    digest_stream_init(&hash);
    names_save(&w->names, &out);
    struct world *again = fresh(&limits);
    struct stream_in in = {.from = &stream, .hash = &hash};
    digest_stream_init(&hash);
    names_load(&again->names, &in);
    assert_int_equal(in.error, 0);
    assert_int_equal(names_lookup(&again->names, NAME_USER, studio, TEXT("anna")), anna);
    free(memory.at);
    free(again);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_paper_s_vectors),       cmocka_unit_test(pieces_hash_as_the_whole),
        cmocka_unit_test(names_are_counted),         cmocka_unit_test(texts_of_every_length),
        cmocka_unit_test(no_room_changes_nothing),   cmocka_unit_test(the_largest_holder_is_known),
        cmocka_unit_test(snapshots_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
