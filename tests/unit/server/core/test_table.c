/* Tables, lists and pools: ids, free lists, claims, and snapshots of them. */
#include "tests/unit/server/core/parts.h"

#include "server/core/digest.h"
#include "server/core/list.h"
#include "server/core/pool.h"

struct record {
    struct list_links links;
    uint64_t value;
};

struct world {
    struct table table;
    struct pool pool;
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    struct world *world = at;
    (void)capacity;
    table_layout(&world->table, region, 200, sizeof(struct record));
    pool_layout(&world->pool, region, 64 * 100, 64);
}

static struct world *fresh(void)
{
    struct core_limits limits = parts_limits();
    return parts_new(sizeof(struct world), layout, &limits);
}

static void ids_are_first_in_first_out(void **state)
{
    (void)state;
    struct world *w = fresh();
    for (uint32_t i = 1; i <= 10; i++) {
        assert_int_equal(table_take(&w->table), i);
    }
    table_give(&w->table, 7);
    table_give(&w->table, 3);
    table_give(&w->table, 5);
    assert_false(table_live(&w->table, 3));
    assert_int_equal(w->table.used, 7);
    assert_int_equal(table_take(&w->table), 7);
    assert_int_equal(table_take(&w->table), 3);
    assert_int_equal(table_take(&w->table), 5);
    assert_int_equal(table_take(&w->table), 11);
    free(w);
}

static void records_come_zeroed(void **state)
{
    (void)state;
    struct world *w = fresh();
    static const struct record zero;
    uint32_t id = table_take(&w->table);
    memset(table_at(&w->table, id), 0xff, sizeof(struct record));
    table_give(&w->table, id);
    assert_int_equal(table_take(&w->table), id);
    assert_memory_equal(table_at(&w->table, id), &zero, sizeof zero);
    free(w);
}

static void rested_ids(void **state)
{
    (void)state;
    struct world *w = fresh();
    for (uint32_t i = 1; i <= 20; i++) {
        assert_int_equal(table_take_rested(&w->table, 3, 12), i <= 12 ? i : 0);
    }
    table_give(&w->table, 2);
    table_give(&w->table, 1);
    assert_int_equal(table_take_rested(&w->table, 3, 13), 13); /* two are fewer than rest */
    assert_int_equal(table_take_rested(&w->table, 3, 13), 2);  /* nothing fresh is left */
    table_give(&w->table, 3);
    table_give(&w->table, 4);
    table_give(&w->table, 5);
    assert_int_equal(table_take_rested(&w->table, 3, 20), 1); /* four are more than rest */
    free(w);
}

static void walking_skips_the_free(void **state)
{
    (void)state;
    struct world *w = fresh();
    for (uint32_t i = 0; i < 190; i++) {
        (void)table_take(&w->table);
    }
    for (uint32_t i = 1; i <= 190; i++) {
        if (i % 63 != 0 && i != 64) {
            table_give(&w->table, i);
        }
    }
    uint32_t at = 0;
    static const uint32_t want[] = {63, 64, 126, 189, 0};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        at = table_next(&w->table, at);
        assert_int_equal(at, want[i]);
    }
    free(w);
}

static void save(const struct world *w, struct parts_memory *memory)
{
    struct digest_stream hash;
    struct core_stream stream = {.context = memory, .write = parts_write, .read = parts_read};
    struct stream_out out = {.to = &stream, .hash = &hash};
    digest_stream_init(&hash);
    table_save(&w->table, &out);
    pool_save(&w->pool, &out);
    assert_int_equal(out.error, 0);
}

static int load(struct world *w, struct parts_memory *memory)
{
    struct digest_stream hash;
    struct core_stream stream = {.context = memory, .write = parts_write, .read = parts_read};
    struct stream_in in = {.from = &stream, .hash = &hash};
    digest_stream_init(&hash);
    memory->position = 0;
    table_load(&w->table, &in);
    pool_load(&w->pool, &in);
    return in.error;
}

static void snapshots_go_on_equal(void **state)
{
    (void)state;
    struct world *a = fresh();
    uint8_t bytes[300];
    memset(bytes, 9, sizeof bytes);
    for (uint32_t i = 0; i < 50; i++) {
        (void)table_take(&a->table);
    }
    for (uint32_t i = 50; i > 0; i -= 2) {
        table_give(&a->table, i);
    }
    uint32_t chain = pool_put(&a->pool, bytes_of(bytes, 300));
    pool_free(&a->pool, pool_put(&a->pool, bytes_of(bytes, 100)));
    struct parts_memory memory = {.at = NULL};
    save(a, &memory);
    struct world *b = fresh();
    assert_int_equal(load(b, &memory), 0);
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(table_take(&a->table), table_take(&b->table));
    }
    uint8_t got[300] = {0};
    pool_get(&b->pool, chain, 300, got);
    assert_memory_equal(got, bytes, 300);
    free(memory.at);
    free(a);
    free(b);
}

/* Heads and free lists that cannot be. */
static void damaged_tables_are_refused(void **state)
{
    (void)state;
    struct world *a = fresh();
    for (uint32_t i = 0; i < 5; i++) {
        (void)table_take(&a->table);
    }
    table_give(&a->table, 2);
    table_give(&a->table, 4);
    struct parts_memory memory = {.at = NULL};
    save(a, &memory);
    const size_t head = 5 * sizeof(uint64_t);
    const size_t record = sizeof(struct record);
    const struct {
        size_t at;
        uint32_t value;
    } damages[] = {
        {0, 8},                /* another record size */
        {8, 201},              /* more than fits */
        {16, 6},               /* more in use than ever taken */
        {16, 4},               /* the free list is longer than the free records */
        {24, 0},               /* it begins nowhere */
        {24, 4},               /* it is too short */
        {32, 2},               /* it ends elsewhere */
        {head + record, 2},    /* 2 is free after itself */
        {head + record, 9},    /* out of the table */
        {head + 3 * record, 2} /* a loop */
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        uint32_t good;
        memcpy(&good, memory.at + damages[i].at, sizeof good);
        memcpy(memory.at + damages[i].at, &damages[i].value, sizeof damages[i].value);
        struct world *b = fresh();
        assert_int_not_equal(load(b, &memory), 0);
        memcpy(memory.at + damages[i].at, &good, sizeof good);
        free(b);
    }
    struct world *b = fresh();
    assert_int_equal(load(b, &memory), 0);
    memory.length -= 1;
    assert_int_not_equal(load(b, &memory), 0);
    free(memory.at);
    free(a);
    free(b);
}

static void claims_find_what_is_shared_or_lost(void **state)
{
    (void)state;
    struct world *w = fresh();
    for (uint32_t i = 0; i < 3; i++) {
        (void)table_take(&w->table);
    }
    table_give(&w->table, 2);
    table_claim_begin(&w->table);
    assert_true(table_claim(&w->table, 1));
    assert_false(table_claim(&w->table, 1));
    assert_false(table_claim(&w->table, 2));
    assert_false(table_claim(&w->table, 0));
    assert_false(table_claim(&w->table, 4));
    assert_false(table_claim(&w->table, UINT32_MAX));
    assert_false(table_claimed_all(&w->table));
    assert_true(table_claim(&w->table, 3));
    assert_true(table_claimed_all(&w->table));
    free(w);
}

static void lists_keep_their_order(void **state)
{
    (void)state;
    struct world *w = fresh();
    struct list list = {0};
    const size_t links = offsetof(struct record, links);
    for (uint32_t i = 1; i <= 5; i++) {
        list_append(&list, &w->table, links, table_take(&w->table));
    }
    list_prepend(&list, &w->table, links, table_take(&w->table));
    list_remove(&list, &w->table, links, 3);
    list_remove(&list, &w->table, links, 6);
    list_remove(&list, &w->table, links, 5);
    static const uint32_t want[] = {1, 2, 4};
    uint32_t at = list.first;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(at, want[i]);
        at = list_next(&w->table, links, at);
    }
    assert_int_equal(at, 0);
    assert_int_equal(list.last, 4);
    assert_true(list_sound(&list, &w->table, links));
    struct list damaged = list;
    damaged.count = 2;
    assert_false(list_sound(&damaged, &w->table, links));
    damaged = list;
    damaged.last = 2;
    assert_false(list_sound(&damaged, &w->table, links));
    list_links(&w->table, links, 4)->next = 1; /* a loop */
    assert_false(list_sound(&list, &w->table, links));
    list_links(&w->table, links, 4)->next = 5000;
    assert_false(list_sound(&list, &w->table, links));
    free(w);
}

static void pools_hold_any_length(void **state)
{
    (void)state;
    struct world *w = fresh();
    uint8_t bytes[300];
    uint8_t got[300];
    for (uint32_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7 + 1);
    }
    for (uint32_t length = 0; length <= 300; length++) {
        assert_int_equal(pool_blocks(&w->pool, length), (length + 63) / 64);
        uint32_t first = pool_put(&w->pool, bytes_of(bytes, length));
        assert_int_equal(first != 0, length != 0);
        assert_int_equal(pool_used_bytes(&w->pool), (length + 63) / 64 * 64);
        pool_get(&w->pool, first, length, got);
        assert_memory_equal(got, bytes, length);
        assert_true(pool_equal(&w->pool, first, bytes_of(bytes, length)));
        if (length != 0) {
            bytes[length - 1] ^= 1;
            assert_false(pool_equal(&w->pool, first, bytes_of(bytes, length)));
            bytes[length - 1] ^= 1;
        }
        table_claim_begin(&w->pool.blocks);
        assert_false(pool_claim(&w->pool, first, length + 64));
        table_claim_begin(&w->pool.blocks);
        assert_true(length == 0 || !pool_claim(&w->pool, first, (length - 1) / 64 * 64));
        table_claim_begin(&w->pool.blocks);
        assert_true(pool_claim(&w->pool, first, length));
        assert_true(length == 0 || !pool_claim(&w->pool, first, length));
        pool_free(&w->pool, first);
        assert_int_equal(w->pool.blocks.used, 0);
    }
    assert_true(pool_room(&w->pool, 6400, 100));
    assert_false(pool_room(&w->pool, 6400, 101));
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_first_in_first_out),
        cmocka_unit_test(records_come_zeroed),
        cmocka_unit_test(rested_ids),
        cmocka_unit_test(walking_skips_the_free),
        cmocka_unit_test(snapshots_go_on_equal),
        cmocka_unit_test(damaged_tables_are_refused),
        cmocka_unit_test(claims_find_what_is_shared_or_lost),
        cmocka_unit_test(lists_keep_their_order),
        cmocka_unit_test(pools_hold_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
