/* Ordered sets against a sorted array. */
#include "tests/unit/server/core/parts.h"

#include "server/core/order.h"

#define MOST 2000

struct world {
    struct order order;
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    (void)capacity;
    order_layout(&((struct world *)at)->order, region, 3 * MOST);
}

static struct world *fresh(void)
{
    struct core_limits limits = parts_limits();
    struct world *world = parts_new(sizeof(struct world), layout, &limits);
    world->order.salt = 0x1234567890abcdef;
    return world;
}

static uint32_t random_below(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 33) % below);
}

struct known {
    uint64_t key;
    uint32_t node;
};

static void equals(const struct world *w, const struct order_tree *tree, const struct known *known,
                   uint32_t count)
{
    uint32_t at = order_after(&w->order, tree, 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(at, known[i].node);
        assert_true(order_node(&w->order, at)->key == known[i].key);
        assert_int_equal(order_node(&w->order, at)->item, (uint32_t)known[i].key + 7);
        at = order_next(&w->order, at);
    }
    assert_int_equal(at, 0);
    assert_int_equal(tree->count, count);
    assert_int_equal(tree->last, count == 0 ? 0 : known[count - 1].node);
}

static void random_sets(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = fresh();
        struct order_tree trees[3] = {{0}};
        static struct known known[3][MOST];
        uint32_t counts[3] = {0};
        uint64_t random = seed;
        uint64_t key = 0;
        for (int step = 0; step < 6000; step++) {
            uint32_t t = random_below(&random, 3);
            if (counts[t] < MOST && random_below(&random, 5) < (step < 3000 ? 4u : 1u)) {
                key += 1 + random_below(&random, 3);
                uint32_t node = order_append(&w->order, &trees[t], key, (uint32_t)key + 7);
                known[t][counts[t]++] = (struct known){key, node};
            } else if (counts[t] != 0) {
                uint32_t nth = random_below(&random, 3) == 0 ? counts[t] - 1
                                                             : random_below(&random, counts[t]);
                order_remove(&w->order, &trees[t], known[t][nth].node);
                memmove(&known[t][nth], &known[t][nth + 1],
                        (counts[t] - nth - 1) * sizeof known[t][0]);
                counts[t]--;
            }
            uint64_t after = random_below(&random, (uint32_t)key + 2);
            uint32_t want = 0;
            for (uint32_t i = 0; i < counts[t] && want == 0; i++) {
                want = known[t][i].key > after ? known[t][i].node : 0;
            }
            assert_int_equal(order_after(&w->order, &trees[t], after), want);
            if (step % 300 == 0) {
                table_claim_begin(&w->order.nodes);
                for (int i = 0; i < 3; i++) {
                    equals(w, &trees[i], known[i], counts[i]);
                    assert_true(order_claim(&w->order, &trees[i]));
                }
                assert_true(table_claimed_all(&w->order.nodes));
            }
        }
        free(w);
    }
}

/* Six thousand in order: no path is long. */
static uint32_t depth(const struct world *w, uint32_t node)
{
    uint32_t deep = 0;
    for (; node != 0; node = order_node(&w->order, node)->parent) {
        deep++;
    }
    return deep;
}

static void trees_stay_flat(void **state)
{
    (void)state;
    struct world *w = fresh();
    struct order_tree tree = {0};
    uint32_t deepest = 0;
    for (uint64_t key = 1; key <= 3 * MOST; key++) {
        (void)order_append(&w->order, &tree, key, (uint32_t)key);
    }
    for (uint32_t at = order_after(&w->order, &tree, 0); at != 0; at = order_next(&w->order, at)) {
        uint32_t deep = depth(w, at);
        deepest = deep > deepest ? deep : deepest;
    }
    assert_in_range(deepest, 12, 45);
    free(w);
}

/* Whatever the bytes, checking ends, and what is called sound can be walked. */
static void damaged_trees_are_noticed(void **state)
{
    (void)state;
    uint64_t random = 5;
    int unsound = 0;
    for (int round = 0; round < 3000; round++) {
        struct world *w = fresh();
        struct order_tree tree = {0};
        for (uint64_t key = 1; key <= 30; key++) {
            (void)order_append(&w->order, &tree, key, (uint32_t)key);
        }
        uint8_t *node = table_at(&w->order.nodes, 1 + random_below(&random, 30));
        uint32_t field = random_below(&random, 6);
        uint32_t value = random_below(&random, 33);
        memcpy(node + 4 * field, &value, sizeof value);
        if (random_below(&random, 10) == 0) {
            ((uint32_t *)(void *)&tree)[random_below(&random, 3)] = value;
        }
        table_claim_begin(&w->order.nodes);
        if (!order_claim(&w->order, &tree)) {
            unsound++;
        } else {
            uint32_t count = 0;
            for (uint32_t at = order_after(&w->order, &tree, 0); at != 0;
                 at = order_next(&w->order, at)) {
                count++;
            }
            assert_int_equal(count, tree.count);
        }
        free(w);
    }
    assert_true(unsound > 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sets),
        cmocka_unit_test(trees_stay_flat),
        cmocka_unit_test(damaged_trees_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
