/* The ring behind inbox and outbox: order, bounds, wrapping, several producers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/engine/queue.h"

static struct wake wake;
static struct queue queue;

static void start(size_t bytes, uint32_t places)
{
    wake_init(&wake);
    assert_int_equal(queue_init(&queue, bytes, places, &wake), 0);
}

static void end(void)
{
    queue_deinit(&queue);
    wake_deinit(&wake);
}

static enum queue_outcome put(uint8_t byte, size_t size)
{
    uint8_t *record;
    enum queue_outcome outcome = queue_reserve(&queue, size, &record);
    if (outcome == QUEUE_OK) {
        assert_int_equal((uintptr_t)record % QUEUE_ALIGN, 0);
        memset(record, byte, size);
        queue_publish(&queue, record, size);
    }
    return outcome;
}

static void take(uint8_t byte, size_t size)
{
    uint8_t *record;
    size_t found;
    assert_true(queue_peek(&queue, &record, &found));
    assert_int_equal(found, size);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(record[i], byte);
    }
    queue_pop(&queue);
}

static void records_leave_in_order(void **state)
{
    (void)state;
    start(4096, 100);
    uint8_t *record;
    size_t size;
    assert_false(queue_peek(&queue, &record, &size));
    /* Random sizes against a second, simple model: the sizes in a list. */
    static size_t sizes[100000];
    size_t in = 0;
    size_t out = 0;
    uint64_t seed = 1;
    while (in < 100000) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t wanted = (seed >> 33) % 700;
        if (put((uint8_t)in, wanted) == QUEUE_OK) {
            sizes[in++] = wanted;
        } else {
            assert_true(out < in); /* an empty queue has room */
            take((uint8_t)out, sizes[out]);
            out++;
        }
        if ((seed >> 60) == 0) {
            for (; out < in; out++) {
                take((uint8_t)out, sizes[out]);
            }
            assert_true(queue_empty(&queue));
        }
    }
    end();
}

static void both_bounds_hold(void **state)
{
    (void)state;
    start(1600, 3);
    assert_int_equal(put(1, 1), QUEUE_OK);
    assert_int_equal(put(2, 1), QUEUE_OK);
    assert_int_equal(put(3, 1), QUEUE_OK);
    assert_int_equal(put(4, 1), QUEUE_FULL); /* places */
    take(1, 1);
    assert_int_equal(put(4, 2000), QUEUE_FULL); /* larger than all */
    assert_int_equal(put(4, 1600 - 3 * 32 - 16), QUEUE_OK);
    take(2, 1);
    assert_int_equal(put(5, 64), QUEUE_FULL); /* bytes: two freed records of 32 */
    assert_int_equal(put(5, 48), QUEUE_OK);
    take(3, 1);
    take(4, 1600 - 3 * 32 - 16);
    take(5, 48);
    assert_int_equal(put(6, 1600 - 16), QUEUE_OK); /* emptied: it begins at the front again */
    take(6, 1600 - 16);
    end();
}

static void unpublished_record_holds_back_later_ones(void **state)
{
    (void)state;
    start(4096, 10);
    uint8_t *first;
    assert_int_equal(queue_reserve(&queue, 100, &first), QUEUE_OK);
    assert_int_equal(put(2, 10), QUEUE_OK);
    uint8_t *record;
    size_t size;
    assert_false(queue_peek(&queue, &record, &size));
    assert_false(queue_empty(&queue));
    memset(first, 1, 40);
    queue_publish(&queue, first, 40); /* less than reserved */
    take(1, 40);
    take(2, 10);
    assert_true(queue_empty(&queue));
    end();
}

static void last_record_gives_room_back(void **state)
{
    (void)state;
    start(4096, 10);
    uint8_t *record;
    assert_int_equal(queue_reserve(&queue, 4000, &record), QUEUE_OK);
    queue_publish(&queue, record, 10);
    assert_int_equal(put(7, 4000), QUEUE_OK);
    end();
}

static void closed_queue_refuses_and_drains(void **state)
{
    (void)state;
    start(4096, 10);
    assert_int_equal(put(1, 5), QUEUE_OK);
    queue_close(&queue);
    assert_int_equal(put(2, 5), QUEUE_CLOSED);
    take(1, 5);
    assert_true(queue_empty(&queue));
    end();
}

/* ---- Threads ---- */

enum { PRODUCERS = 3, RECORDS = 20000 };

static void *produce(void *context)
{
    uint32_t who = *(uint32_t *)context;
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint8_t *record;
        if (queue_reserve_wait(&queue, 8 + i % 50, &record) != QUEUE_OK) {
            return context;
        }
        memcpy(record, &who, 4);
        memcpy(record + 4, &i, 4);
        queue_publish(&queue, record, 8);
    }
    return NULL;
}

static void producers_wait_for_room(void **state)
{
    (void)state;
    start(2048, 1000);
    pthread_t threads[PRODUCERS];
    uint32_t names[PRODUCERS];
    uint32_t next[PRODUCERS] = {0};
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        names[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &names[i]), 0);
    }
    for (uint32_t taken = 0; taken < PRODUCERS * RECORDS;) {
        uint8_t *record;
        size_t size;
        if (!queue_peek(&queue, &record, &size)) {
            wake_wait(&wake, WAKE_NEVER);
            continue;
        }
        uint32_t who;
        uint32_t number;
        memcpy(&who, record, 4);
        memcpy(&number, record + 4, 4);
        assert_int_equal(size, 8);
        assert_in_range(who, 0, PRODUCERS - 1);
        assert_int_equal(number, next[who]); /* each producer's in its order, none lost */
        next[who]++;
        queue_pop(&queue);
        taken++;
    }
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_true(queue_empty(&queue));
    end();
}

static void wake_ends_by_time(void **state)
{
    (void)state;
    wake_init(&wake);
    wake_wait(&wake, 5); /* nobody rings */
    wake_ring(&wake);
    wake_wait(&wake, WAKE_NEVER); /* rung before */
    wake_deinit(&wake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_leave_in_order),
        cmocka_unit_test(both_bounds_hold),
        cmocka_unit_test(unpublished_record_holds_back_later_ones),
        cmocka_unit_test(last_record_gives_room_back),
        cmocka_unit_test(closed_queue_refuses_and_drains),
        cmocka_unit_test(producers_wait_for_room),
        cmocka_unit_test(wake_ends_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
