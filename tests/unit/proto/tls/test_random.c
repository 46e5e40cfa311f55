#include "proto/tls/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DRAW = 32, THREADS = 8, LONGEST = 5000 };

static void draw(uint8_t to[DRAW])
{
    assert_int_equal(tls_random(NULL, to, DRAW), 0);
}

/* No two of them are alike. */
static void expect_distinct(uint8_t draws[][DRAW], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(draws[i], draws[j], DRAW);
        }
    }
}

/* Every byte is written, none beyond; also what is more than CTR_DRBG gives at once. */
static void test_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 16, 1023, 1024, 1025, 2048, LONGEST};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        static uint8_t bytes[LONGEST + 1];
        static bool moved[LONGEST];
        memset(moved, 0, sizeof moved);
        for (unsigned turn = 0; turn < 8; turn++) { /* a byte stays zero by chance 1 in 2^64 */
            memset(bytes, 0, sizeof bytes);
            assert_int_equal(tls_random(NULL, bytes, lengths[i]), 0);
            for (size_t at = 0; at < lengths[i]; at++) {
                moved[at] = moved[at] || bytes[at] != 0;
            }
            for (size_t at = lengths[i]; at < sizeof bytes; at++) {
                assert_int_equal(bytes[at], 0);
            }
        }
        for (size_t at = 0; at < lengths[i]; at++) {
            assert_true(moved[at]);
        }
    }
}

static void test_every_bit_is_used(void **state)
{
    (void)state;
    unsigned set[8] = {0};
    uint8_t bytes[4096];
    assert_int_equal(tls_random(NULL, bytes, sizeof bytes), 0);
    for (size_t i = 0; i < sizeof bytes; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            set[bit] += bytes[i] >> bit & 1;
        }
    }
    for (unsigned bit = 0; bit < 8; bit++) { /* 2048, and ten times its deviation of 32 */
        assert_in_range(set[bit], 2048 - 320, 2048 + 320);
    }
}

static void *draw_once(void *to)
{
    draw(to);
    return NULL;
}

static void test_each_thread_has_its_own(void **state)
{
    (void)state;
    uint8_t draws[THREADS + 2][DRAW];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, draw_once, draws[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    draw(draws[THREADS]);
    draw(draws[THREADS + 1]);
    expect_distinct(draws, THREADS + 2);
}

/* What the child draws, into a pipe. */
static void draw_in_child(uint8_t to[DRAW])
{
    int ends[2];
    int status = -1;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        uint8_t own[DRAW];
        bool good = tls_random(NULL, own, DRAW) == 0 && write(ends[1], own, DRAW) == DRAW;
        _exit(good ? 0 : 1);
    }
    assert_int_equal(read(ends[0], to, DRAW), DRAW);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

/* Without a seed of its own the child would draw what the parent draws next. */
static void test_a_forked_process_draws_other_numbers(void **state)
{
    (void)state;
    uint8_t draws[4][DRAW];
    draw(draws[0]);
    draw_in_child(draws[1]);
    draw_in_child(draws[2]);
    draw(draws[3]);
    expect_distinct(draws, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_every_bit_is_used),
        cmocka_unit_test(test_each_thread_has_its_own),
        cmocka_unit_test(test_a_forked_process_draws_other_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
