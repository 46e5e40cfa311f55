/* What entries say of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/engine/timing.h"

#define YEARS_10 (UINT64_C(10) * 365 * 86400 * 1000)

static struct timing timing;
static struct entry_head head;

static enum timing_news stamp(uint64_t boot_ms, uint64_t wall_ms)
{
    return timing_stamp(&timing, boot_ms, wall_ms, &head);
}

static void first_entry_resumes_at_zero(void **state)
{
    (void)state;
    timing_init(&timing, 5000, 1000000);
    (void)stamp(5900, 1000900);
    assert_int_equal(head.flags, ENTRY_RESUME | ENTRY_JUMP);
    assert_int_equal(head.elapsed_ms, 0);
    assert_int_equal(head.clock_ms, 1000900);
    (void)stamp(5901, 1000901);
    assert_int_equal(head.flags, 0);
    assert_int_equal(head.elapsed_ms, 1);
}

static void no_time_is_lost_between_entries(void **state)
{
    (void)state;
    uint64_t boot = 123456;
    uint64_t seed = 7;
    uint64_t sum = 0;
    timing_init(&timing, boot, boot);
    (void)stamp(boot, boot);
    uint64_t begin = boot;
    for (int i = 0; i < 100000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        boot += (seed >> 33) % 3 == 0 ? (seed >> 40) % 2001 : 0; /* mostly within a millisecond */
        (void)stamp(boot, boot);
        assert_int_equal(head.flags, 0);
        sum += head.elapsed_ms;
    }
    assert_int_equal(sum, boot - begin);
}

static void stall_is_cut_and_resumes(void **state)
{
    (void)state;
    timing_init(&timing, 0, 0);
    (void)stamp(0, 0);
    (void)stamp(2000, 2000);
    assert_int_equal(head.flags, 0);
    assert_int_equal(head.elapsed_ms, 2000);
    (void)stamp(4001, 4001);
    assert_int_equal(head.flags, ENTRY_RESUME);
    assert_int_equal(head.elapsed_ms, 2000);
    (void)stamp(4002, 4002); /* what was cut is not made up for */
    assert_int_equal(head.flags, 0);
    assert_int_equal(head.elapsed_ms, 1);
    timing.resume = true; /* the end of a disk-full time */
    (void)stamp(4003, 4003);
    assert_int_equal(head.flags, ENTRY_RESUME);
    (void)stamp(4004, 4004);
    assert_int_equal(head.flags, 0);
}

static void clock_never_runs_backwards_for_us(void **state)
{
    (void)state;
    timing_init(&timing, 100, 100);
    (void)stamp(100, 100);
    (void)stamp(90, 100); /* cannot be, must not harm */
    assert_int_equal(head.elapsed_ms, 0);
    (void)stamp(101, 100);
    assert_int_equal(head.elapsed_ms, 1);
}

static void small_steps_of_the_clock_are_followed(void **state)
{
    (void)state;
    timing_init(&timing, 0, YEARS_10);
    (void)stamp(0, YEARS_10);
    assert_int_equal(stamp(10, YEARS_10 + 3600000), TIMING_NOTHING);
    assert_int_equal(head.clock_ms, YEARS_10 + 3600000);
    assert_int_equal(stamp(20, 500), TIMING_NOTHING); /* backwards: the core never shows it */
    assert_int_equal(head.clock_ms, 500);
}

static void forward_jump_is_followed_after_a_minute(void **state)
{
    (void)state;
    timing_init(&timing, 0, 1000);
    (void)stamp(0, 1000);
    assert_int_equal(stamp(1000, 1000 + YEARS_10), TIMING_JUMPED);
    assert_int_equal(head.clock_ms, 2000); /* as if it had not happened */
    assert_int_equal(stamp(60999, 61000 + YEARS_10), TIMING_NOTHING);
    assert_int_equal(head.clock_ms, 61999);
    assert_int_equal(stamp(61000, 61001 + YEARS_10), TIMING_FOLLOWED);
    assert_int_equal(head.clock_ms, 61001 + YEARS_10);
    assert_int_equal(stamp(61001, 61002 + YEARS_10), TIMING_NOTHING);
}

static void jump_that_is_taken_back_was_none(void **state)
{
    (void)state;
    timing_init(&timing, 0, 1000);
    (void)stamp(0, 1000);
    assert_int_equal(stamp(1000, YEARS_10), TIMING_JUMPED);
    assert_int_equal(stamp(2000, 3000), TIMING_NOTHING);
    assert_int_equal(head.clock_ms, 3000);
    /* A new one is doubted anew, for a whole minute. */
    assert_int_equal(stamp(62000, YEARS_10), TIMING_JUMPED);
    assert_int_equal(head.clock_ms, 63000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_entry_resumes_at_zero),
        cmocka_unit_test(no_time_is_lost_between_entries),
        cmocka_unit_test(stall_is_cut_and_resumes),
        cmocka_unit_test(clock_never_runs_backwards_for_us),
        cmocka_unit_test(small_steps_of_the_clock_are_followed),
        cmocka_unit_test(forward_jump_is_followed_after_a_minute),
        cmocka_unit_test(jump_that_is_taken_back_was_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
