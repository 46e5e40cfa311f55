/* Names of indices: what the index would refuse is found here, and tenants stay apart. */
#include "tests/unit/server/index/batches.h"

#include "server/index/target.h"

static int index_name(const char *pattern, const char *tenant, const char *model,
                      struct target_name *name)
{
    struct targets targets = {.index = pattern};
    struct index_document document = {.tenant = text(tenant), .model = text(model)};
    struct reason why;
    int outcome = target_index(&targets, &document, name, &why);
    if (outcome != 0) {
        assert_string_equal(why.code, "index_name");
        assert_non_null(strstr(why.message, pattern));
    }
    return outcome;
}

static void names_come_from_templates(void **state)
{
    (void)state;
    struct target_name name;
    assert_int_equal(index_name("{tenant}-{model}", "acme", "products", &name), 0);
    assert_string_equal(name.text, "acme-products");
    assert_int_equal(name.length, 13);
    assert_int_equal(index_name("x.{model}.{tenant}.v2", "acme", "products", &name), 0);
    assert_string_equal(name.text, "x.products.acme.v2");
}

static void what_no_index_may_be_called(void **state)
{
    (void)state;
    struct target_name name;
    static const char *const bad[] = {"Acme", "a b", "a/b", "a*",  "a,b", "a#b", "_a",  "+a", "-a",
                                      ".a",   "a:b", "a\"", "a\\", "é",   "a|b", "a<b", "a?"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(index_name("{tenant}.{model}", bad[i], "m", &name), 1);
    }
    char longest[TARGET_NAME_MAX + 1];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(index_name("{model}", "t", longest, &name), 0);
    assert_int_equal(index_name("x{model}", "t", longest, &name), 1);
}

static void a_tenant_ends_where_it_seems_to(void **state)
{
    (void)state;
    struct target_name name;
    assert_int_equal(index_name("{tenant}-{model}", "a-b", "c", &name), 1);
    assert_int_equal(index_name("{tenant}-{model}", "a", "b-c", &name), 0);
    assert_int_equal(index_name("{tenant}.{model}", "a-b", "c", &name), 0);
    assert_int_equal(index_name("{model}-{tenant}", "a-b", "c", &name), 1);
    assert_int_equal(index_name("{model}-{tenant}", "ab", "c-d", &name), 0);
    /* Where separators overlap. */
    assert_int_equal(index_name("{tenant}--{model}", "a-", "c", &name), 1);
    assert_int_equal(index_name("{tenant}--{model}", "a-b", "c", &name), 0);
    assert_int_equal(index_name("{model}--{tenant}", "-a", "c", &name), 1);
}

static int check(const char *pattern, char error[512])
{
    struct targets targets = {.index = pattern};
    return targets_check(&targets, error, 512);
}

static void templates_are_checked(void **state)
{
    (void)state;
    char error[512];
    assert_int_equal(check("{tenant}-{model}", error), 0);
    assert_int_equal(check("one", error), 0);
    static const struct {
        const char *pattern;
        const char *said;
    } bad[] = {{"{tenant}{model}", "separator"},
               {"{user}-x", "neither"},
               {"{tenant}-{id}", "neither"},
               {"{tenant}-{tenant}", "twice"},
               {"{tenant", "neither"},
               {"a}", "neither"},
               {"Docs-{tenant}", "upper case"},
               {"_{tenant}", "begins with"},
               {"", "empty"},
               {"a b-{tenant}", "characters"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(check(bad[i].pattern, error), -1);
        assert_non_null(strstr(error, bad[i].said));
    }
    assert_int_equal(check(NULL, error), -1);
}

static void models_are_checked(void **state)
{
    (void)state;
    char error[512];
    struct target_model models[2] = {{.model = "a", .kind = TAKE_WHOLE},
                                     {.model = "b", .kind = TAKE_FRAGMENTS, .routing = "{id}"}};
    struct targets targets = {"{tenant}-{model}", NULL, models, 2};
    assert_int_equal(targets_check(&targets, error, sizeof error), 0);
    models[1].routing = "{id}{id}";
    assert_int_equal(targets_check(&targets, error, sizeof error), -1);
    assert_non_null(strstr(error, "twice"));
    models[1].routing = NULL;
    models[1].model = "B";
    assert_int_equal(targets_check(&targets, error, sizeof error), -1);
    assert_non_null(strstr(error, "upper case"));
    models[1].index = "b-{tenant}"; /* without the model it is good */
    assert_int_equal(targets_check(&targets, error, sizeof error), 0);
    models[1].model = "a";
    assert_int_equal(targets_check(&targets, error, sizeof error), -1);
    assert_non_null(strstr(error, "there twice"));
    models[1] = (struct target_model){.model = "c"};
    assert_int_equal(targets_check(&targets, error, sizeof error), -1);
    assert_non_null(strstr(error, "no kind"));
}

static int check_tenants(const struct targets *targets, const char *a, const char *b)
{
    char error[512] = "";
    const char *const tenants[] = {a, b};
    int outcome = targets_check_tenants(targets, tenants, 2, error, sizeof error);
    assert_int_equal(outcome == 0, error[0] == '\0');
    return outcome;
}

static void tenants_that_meet_are_found(void **state)
{
    (void)state;
    struct target_model models[1] = {{.model = "x", .kind = TAKE_WHOLE}};
    struct targets targets = {.index = "{tenant}-{model}", .models = models};
    assert_int_equal(check_tenants(&targets, "a", "b"), 0);
    assert_int_equal(check_tenants(&targets, "a", "a-b"), -1);
    struct targets shared = {.index = "{model}"};
    assert_int_equal(check_tenants(&shared, "a", "b"), -1);
    struct targets one = {.index = "docs"};
    assert_int_equal(check_tenants(&one, "a", "b"), -1);
    const char *const alone[] = {"a"};
    char error[512];
    assert_int_equal(targets_check_tenants(&one, alone, 1, error, sizeof error), 0);
    /* A model's own template meets the standard one of another tenant, with some model. */
    targets.model_count = 1;
    models[0].index = "b-{tenant}";
    assert_int_equal(check_tenants(&targets, "a", "b"), -1);
    assert_int_equal(check_tenants(&targets, "b", "a"), -1);
    assert_int_equal(check_tenants(&targets, "a", "c"), 0);
    models[0].index = "{tenant}-of-x";
    assert_int_equal(check_tenants(&targets, "a", "b"), 0);
    models[0].index = "shared";
    assert_int_equal(check_tenants(&targets, "a", "b"), -1);
}

static void routing(void **state)
{
    (void)state;
    struct target_model models[] = {{.model = "a", .kind = TAKE_WHOLE},
                                    {.model = "b", .kind = TAKE_WHOLE, .routing = ""},
                                    {.model = "c", .kind = TAKE_WHOLE, .routing = "{tenant}/{id}"}};
    struct targets targets = {"x", "{tenant}", models, 3};
    static const char *const wanted[] = {"acme", "", "acme/p1", "acme"};
    static const char *const names[] = {"a", "b", "c", "unknown"};
    for (size_t i = 0; i < 4; i++) {
        char got[64];
        struct writer to = writer_of(got, sizeof got);
        struct index_document document = {
            .tenant = text("acme"), .model = text(names[i]), .id = text("p1")};
        target_routing(&targets, &document, &to);
        assert_true(bytes_equal(bytes_of(got, to.wanted), text(wanted[i])));
    }
}

static void patterns_take_in_all(void **state)
{
    (void)state;
    struct target_model models[] = {{.model = "a", .kind = TAKE_WHOLE},
                                    {.model = "b", .kind = TAKE_WHOLE, .index = "own-{tenant}"}};
    struct targets targets = {"{tenant}-{model}", NULL, models, 2};
    static const char *const wanted[] = {"*-a", "own-*", "*-*"};
    for (uint32_t i = 0; i < 3; i++) {
        struct target_name name;
        target_pattern(&targets, i, &name);
        assert_string_equal(name.text, wanted[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_from_templates),
        cmocka_unit_test(what_no_index_may_be_called),
        cmocka_unit_test(a_tenant_ends_where_it_seems_to),
        cmocka_unit_test(templates_are_checked),
        cmocka_unit_test(models_are_checked),
        cmocka_unit_test(tenants_that_meet_are_found),
        cmocka_unit_test(routing),
        cmocka_unit_test(patterns_take_in_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
