/* The records of parked documents: numbers, texts, and what remains when there is no room for
 * them. */
#include "tests/unit/server/core/parts.h"

#include "server/core/parked.h"

struct world {
    struct core_limits limits;
    struct parked_documents documents;
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    struct world *world = at;
    world->limits = *capacity;
    parked_layout(&world->documents, region, capacity);
}

static struct world *world_new(uint64_t pending_changes_max)
{
    struct core_limits limits = parts_limits();
    limits.pending_changes_max = pending_changes_max;
    return parts_new(sizeof(struct world), layout, &limits);
}

static uint64_t add(struct world *world, uint32_t document, uint32_t code, uint32_t message)
{
    static uint8_t text[512];
    memset(text, 'x', sizeof text);
    struct parked_reason reason = {bytes_of(text, code), bytes_of(text, message)};
    return parked_add(&world->documents, &world->limits, document, 1000 + document, &reason);
}

static void numbers_are_never_used_again(void **state)
{
    (void)state;
    struct world *world = world_new(512);
    assert_int_equal(add(world, 7, 4, 20), 1);
    assert_int_equal(add(world, 8, 0, 0), 2);
    uint32_t place = parked_find(&world->documents, 2);
    assert_int_equal(parked_at(&world->documents, place)->document, 8);
    assert_int_equal(parked_at(&world->documents, place)->since_ms, 1008);
    assert_int_equal(parked_at(&world->documents, place)->text, 0);
    parked_remove(&world->documents, place);
    assert_int_equal(parked_find(&world->documents, 2), 0);
    assert_int_equal(parked_find(&world->documents, 0), 0);
    assert_int_equal(add(world, 9, 1, 1), 3);
    place = parked_find(&world->documents, 1);
    const struct parked *first = parked_at(&world->documents, place);
    assert_true(first->code_length == 4 && first->message_length == 20);
    uint8_t text[24];
    pool_get(&world->documents.texts, first->text, sizeof text, text);
    assert_true(text[0] == 'x' && text[23] == 'x');
    parked_remove(&world->documents, place);
    parked_remove(&world->documents, parked_find(&world->documents, 3));
    assert_int_equal(world->documents.table.used + world->documents.texts.blocks.used, 0);
    free(world);
}

/* First the message goes, then the code; the record always fits. */
static void texts_give_way_when_there_is_no_room(void **state)
{
    (void)state;
    struct world *world = world_new(2048); /* 2,048 blocks of text */
    uint32_t whole = 0;
    uint32_t code_only = 0;
    uint32_t bare = 0;
    for (uint32_t i = 1; i <= 2048; i++) {
        uint64_t id = add(world, i, COMMAND_REASON_CODE_LENGTH, COMMAND_REASON_MESSAGE_LENGTH);
        const struct parked *parked =
            parked_at(&world->documents, parked_find(&world->documents, id));
        assert_true(parked->message_length == 0 || parked->code_length != 0);
        whole += parked->message_length != 0;
        code_only += parked->message_length == 0 && parked->code_length != 0;
        bare += parked->code_length == 0;
    }
    assert_int_equal(whole, 204); /* of ten blocks each */
    assert_int_equal(code_only, 4);
    assert_int_equal(bare, 2048 - 208);
    assert_int_equal(world->documents.texts.blocks.used, 2048);
    free(world);
}

/* What fits is said by the limits in force, not by the memory. */
static void capacity_does_not_decide(void **state)
{
    (void)state;
    struct world *large = world_new(100000);
    large->limits.pending_changes_max = 2048;
    uint32_t whole = 0;
    for (uint32_t i = 1; i <= 300; i++) {
        uint64_t id = add(large, i, COMMAND_REASON_CODE_LENGTH, COMMAND_REASON_MESSAGE_LENGTH);
        whole +=
            parked_at(&large->documents, parked_find(&large->documents, id))->message_length != 0;
    }
    assert_int_equal(whole, 204);
    free(large);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct core_limits limits;
    core_limits_standard(&limits);
    struct region region = {.base = NULL};
    struct parked_documents documents;
    parked_layout(&documents, &region, &limits);
    assert_true(region.used <= 20 * MIB(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_never_used_again),
        cmocka_unit_test(texts_give_way_when_there_is_no_room),
        cmocka_unit_test(capacity_does_not_decide),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
