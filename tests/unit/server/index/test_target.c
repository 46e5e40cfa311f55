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
    struct targets targets = {.index = "{tenant}-{model}", .models = models, .model_count = 2};
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

static int separator_of(const char *standard, const char *own, char separator[])
{
    struct target_model models[] = {{.model = "own", .kind = TAKE_WHOLE, .index = own},
                                    {.model = "other", .kind = TAKE_WHOLE}};
    const struct targets targets = {.index = standard, .models = models, .model_count = 2};
    char error[512] = "";
    int outcome = targets_separator(&targets, separator, error, sizeof error);
    assert_int_equal(outcome == 0, error[0] == '\0');
    return outcome;
}

static void templates_in_common(void **state)
{
    (void)state;
    static const struct {
        const char *standard;
        const char *own;
        const char *separator; /* NULL: they cannot keep tenants apart */
    } rows[] = {
        {"{tenant}-{model}", NULL, ""},
        {"{tenant}", NULL, ""},
        {"x-{tenant}", "x-{tenant}", ""},
        {"{tenant}-{model}", "{tenant}-things", "-"},
        {"{tenant}-of-{model}", "{tenant}-of-things", "-of-"},
        {"x.{tenant}-+{model}", "x.{tenant}-+v2", "-+"},
        {"x.{tenant}-{model}", "y.{tenant}-{model}", NULL},
        {"{tenant}-{model}", "{tenant}.{model}", NULL},
        {"{tenant}-{model}", "{tenant}", NULL},
        {"{tenant}-{model}", "{model}-{tenant}", NULL},
        {"{tenant}-{model}", "things-{tenant}", NULL},
        {"{model}-{tenant}", "things-{tenant}", "-"},
        {"{model}-{tenant}.x", "things+-{tenant}.x", "-"},
        {"{model}-{tenant}.x", "things-{tenant}", NULL},
        {"one-{tenant}", "two-{tenant}", "-"},
        {"things", NULL, NULL},
        {"{tenant}-{model}", "things", NULL},
        {"{model}", "{tenant}", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char separator[TARGET_TEMPLATE_MAX + 1];
        if ((separator_of(rows[i].standard, rows[i].own, separator) == 0) !=
                (rows[i].separator != NULL) ||
            (rows[i].separator != NULL && strcmp(rows[i].separator, separator) != 0)) {
            fail_msg("row %zu", i);
        }
    }
}

#define NAMES_MOST 6000

struct reached {
    char name[TARGET_NAME_MAX + 1];
    uint32_t tenant;
};

static int compare_reached(const void *a, const void *b)
{
    const struct reached *x = a;
    const struct reached *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->tenant > y->tenant) - (x->tenant < y->tenant);
}

/* Every tenant of up to four of these characters, and models that look like parts of names. */
static uint32_t names_of_all(const struct targets *targets, struct reached *names)
{
    static const char characters[] = "a-.x";
    static const char *const models[] = {"own", "x", "a-x", "x-a", "a.x", "-"};
    uint32_t count = 0;
    for (uint32_t number = 4; number < 4 * 4 * 4 * 4; number++) {
        char tenant[5] = "";
        for (uint32_t rest = number, at = 0; rest > 0; rest /= 4) {
            tenant[at++] = characters[rest % 4];
        }
        for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
            struct target_name name;
            struct reason why;
            struct index_document document = {.tenant = text(tenant), .model = text(models[i])};
            if (target_index(targets, &document, &name, &why) == 0) {
                assert_true(count < NAMES_MOST);
                memcpy(names[count].name, name.text, name.length + 1);
                names[count++].tenant = number;
            }
        }
    }
    qsort(names, count, sizeof *names, compare_reached);
    return count;
}

/* Whatever tenants are called: what the separator lets through never meets. */
static void no_two_tenants_meet(void **state)
{
    (void)state;
    static struct reached names[NAMES_MOST];
    static const char *const patterns[] = {
        "{tenant}-{model}",   "{tenant}-x",        "{tenant}-a-{model}", "{tenant}",
        "{tenant}.{model}",   "x-{tenant}",        "a-{tenant}",         "{model}-{tenant}",
        "x.{tenant}",         "x{tenant}-{model}", "{tenant}--{model}",  "{tenant}--x",
        "{model}--{tenant}",  "x--{tenant}",       "{tenant}-.x",        "{tenant}-x-a",
        "{model}-{tenant}.x", "x-{tenant}.x"};
    const size_t count = sizeof patterns / sizeof *patterns;
    uint32_t kept_apart = 0;
    for (size_t pair = 0; pair < count * count; pair++) {
        struct target_model model = {.model = "own", .kind = TAKE_WHOLE};
        struct targets targets = {
            .index = patterns[pair / count], .models = &model, .model_count = 1};
        char separator[TARGET_TEMPLATE_MAX + 1];
        char error[512];
        model.index = patterns[pair % count];
        if (targets_separator(&targets, separator, error, sizeof error) != 0) {
            continue;
        }
        targets.separator = separator;
        uint32_t reached = names_of_all(&targets, names);
        assert_true(reached > 0);
        kept_apart++;
        for (uint32_t i = 1; i < reached; i++) {
            if (strcmp(names[i - 1].name, names[i].name) == 0 &&
                names[i - 1].tenant != names[i].tenant) {
                fail_msg("\"%s\" and \"%s\": %s", targets.index, model.index, names[i].name);
            }
        }
    }
    assert_true(kept_apart > count);
}

static void routing(void **state)
{
    (void)state;
    struct target_model models[] = {{.model = "a", .kind = TAKE_WHOLE},
                                    {.model = "b", .kind = TAKE_WHOLE, .routing = ""},
                                    {.model = "c", .kind = TAKE_WHOLE, .routing = "{tenant}/{id}"}};
    struct targets targets = {
        .index = "x", .routing = "{tenant}", .models = models, .model_count = 3};
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
    struct targets targets = {.index = "{tenant}-{model}", .models = models, .model_count = 2};
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
        cmocka_unit_test(templates_in_common),
        cmocka_unit_test(no_two_tenants_meet),
        cmocka_unit_test(routing),
        cmocka_unit_test(patterns_take_in_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
