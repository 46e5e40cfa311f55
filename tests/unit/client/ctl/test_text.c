/* Foreign text on a terminal: what it may not do, and how many columns it takes. activityctl is no
 * library: the module is taken in as it is. */
#include "client/ctl/text.c"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static int set_up(void **state)
{
    (void)state;
    (void)setenv("LC_ALL", "C", 1);
    text_locale(); /* nobody has chosen: UTF-8 */
    return 0;
}

static void assert_character(const char *from, const char *to, unsigned columns)
{
    char character[TEXT_CHARACTER_ROOM];
    const char *at = from;
    assert_int_equal(text_character(&at, character), columns);
    assert_string_equal(character, to);
    assert_true(at > from);
}

static void test_characters(void **state)
{
    (void)state;
    assert_character("a", "a", 1);
    assert_character("\xC3\xA9!", "\xC3\xA9", 1);        /* e with an acute accent */
    assert_character("\xE6\x96\x87", "\xE6\x96\x87", 2); /* a wide one */
    assert_character("\xCC\x81", "\xCC\x81", 0);         /* combining */
    assert_character("\x1B[2J", "\\x1b", 4);             /* escape */
    assert_character("\xC2\x9B", "\\x9b", 4);            /* the same in one C1 character */
    assert_character("\xE2\x80\xAE", "\\u202e", 6);      /* right to left from here on */
    assert_character("\x9B", "\\x9b", 4);                /* no UTF-8 */
    assert_character("\xC0\xAF", "\\xc0", 4);            /* too long a form */
    assert_character("\xE6\x96", "\\xe6", 4);            /* cut */
    assert_character("\xED\xA0\x80", "\\xed", 4);        /* a surrogate */
    assert_character("\xF4\x90\x80\x80", "\\xf4", 4);    /* beyond Unicode */
    assert_character("\xFF", "\\xff", 4);
}

static void test_lines_are_cut_by_columns(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 10, false);
    text_foreign(&text, "\xE6\x96\x87\xE6\x96\x87"); /* 4 columns in 6 bytes */
    text_words(&text, "|%u|", 12u);
    assert_int_equal(text.columns, 8);
    text_foreign(&text, "a\xE6\x96\x87z"); /* the wide one would end in column 11 */
    assert_string_equal(text.bytes, "\xE6\x96\x87\xE6\x96\x87|12|a");
    assert_true(text.full);
    text_words(&text, "z");
    assert_int_equal(text.columns, 9);
}

static void test_fields_are_filled_and_cut(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 80, false);
    text_field(&text, "ab", 4);
    text_field(&text, "a\xE6\x96\x87\xE6\x96\x87", 4); /* the second wide one does not fit */
    text_words(&text, "|");
    assert_string_equal(text.bytes, "ab  a\xE6\x96\x87 |");
    text_pad(&text, 12);
    text_pad(&text, 5);
    assert_int_equal(text.columns, 12);
}

static void test_colours_end_in_every_line(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 3, true);
    text_colour(&text, "\033[31m");
    text_words(&text, "FAILED");
    text_colour(&text, NULL);
    assert_string_equal(text.bytes, "\033[31mFAI\033[0m");
    assert_int_equal(text.columns, 3);

    text_init(&text, TEXT_ROOM * 2, true); /* the room ends before the columns do */
    for (int i = 0; i < TEXT_ROOM; i++) {
        text_colour(&text, "\033[31m");
        text_words(&text, "x");
        text_colour(&text, NULL);
    }
    assert_in_range(text.length, TEXT_ROOM - 40, TEXT_ROOM - 1);
    assert_int_equal(strlen(text.bytes), text.length);
    assert_string_equal(text.bytes + text.length - 4, "\033[0m");

    text_init(&text, 80, false);
    text_colour(&text, "\033[31m");
    assert_string_equal(text.bytes, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_lines_are_cut_by_columns),
        cmocka_unit_test(test_fields_are_filled_and_cut),
        cmocka_unit_test(test_colours_end_in_every_line),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
