/* server/wire/kinds: which models are written as fragments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/wire/kinds.h"

static bool ask(const struct model_kinds *kinds, const char *model)
{
    return kinds_is_fragments(kinds, bytes_of(model, strlen(model)));
}

static void only_what_is_listed_as_such(void **state)
{
    (void)state;
    static const struct model_kind models[] = {
        {"a", true}, {"media", false}, {"media-2", true}, {"mediacontainer", true}, {"z", false}};
    const struct model_kinds kinds = {models, 5, false};
    for (uint32_t i = 0; i < kinds.count; i++) {
        assert_int_equal(ask(&kinds, models[i].name), models[i].fragments);
    }
    const char *const others[] = {"", "0", "b", "A", "med", "media-", "media-22", "zz", "\xff"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(ask(&kinds, others[i]));
    }
    /* A name is not over at a NUL. */
    assert_false(kinds_is_fragments(&kinds, bytes_of("a\0", 2)));
    assert_false(kinds_is_fragments(&kinds, bytes_of(NULL, 0)));
}

static void all_are_whole_without_a_list(void **state)
{
    (void)state;
    const struct model_kinds none = {NULL, 0, false};
    assert_false(ask(NULL, "media"));
    assert_false(ask(&none, "media"));
}

/* As many as a configuration may have, every second one as fragments. */
static void a_long_list(void **state)
{
    (void)state;
    static struct model_kind models[256];
    const struct model_kinds kinds = {models, 256, false};
    for (unsigned i = 0; i < 256; i++) {
        (void)snprintf(models[i].name, sizeof models[i].name, "model%03u", i);
        models[i].fragments = i % 2 == 1;
    }
    for (unsigned i = 0; i < 300; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "model%03u", i);
        assert_int_equal(ask(&kinds, name), i < 256 && i % 2 == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_what_is_listed_as_such),
                                       cmocka_unit_test(all_are_whole_without_a_list),
                                       cmocka_unit_test(a_long_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
