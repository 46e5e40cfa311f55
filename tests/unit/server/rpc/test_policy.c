#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/rpc/policy.h"

static char path[] = "/tmp/activityd-policy-XXXXXX";
static char error[512];

static int load(const char *text, struct policy **policy)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    *policy = NULL;
    return policy_load(path, policy, error, sizeof error);
}

static uint32_t bit(enum method_id id)
{
    return UINT32_C(1) << id;
}

static const char *const mixed =
    "rule \"spiffe://a/*\" { methods = {read} tenant = wide }\n"
    "rule \"spiffe://a/b/*\" { methods = {read, write} tenant = near }\n"
    "rule \"spiffe://a/b/c\" { methods = {\"*\"} tenant = exact }\n"
    "rule \"spiffe://a/b/c/d/e/*\" { methods = {Check} tenant = far }\n";

static void test_exactly_one_rule_applies(void **state)
{
    (void)state;
    static const struct {
        const char *principal;
        const char *tenant; /* NULL: none applies */
    } rows[] = {
        {"spiffe://a/b/c", "exact"},
        {"spiffe://a/b/cc", "near"},
        {"spiffe://a/b/c/d", "near"},
        {"spiffe://a/b/c/d/e", "near"},
        {"spiffe://a/b/c/d/e/f", "far"},
        {"spiffe://a/b", "wide"},
        {"spiffe://a/x/y", "wide"},
        {"spiffe://aa/b", NULL},
        {"spiffe://a", NULL},
        {"spiffe://a/", NULL},
        {"spiffe://a/*", NULL}, /* a star is no part of a principal */
        {"spiffe://a/b/*", NULL},
        {"spiffe://A/b", NULL},
        {"spiffe:///b", NULL},
        {"SPIFFE://a/b", NULL},
        {"https://a/b", NULL},
        {"", NULL},
    };
    struct policy *policy;
    assert_int_equal(load(mixed, &policy), 0);
    assert_int_equal(policy_count(policy), 4);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct policy_rule *rule = policy_find(policy, view_of(rows[i].principal));
        if (rows[i].tenant == NULL) {
            assert_null(rule);
        } else {
            assert_non_null(rule);
            assert_string_equal(rule->tenant, rows[i].tenant);
        }
    }
    policy_release(policy);
}

static void test_order_in_the_file_does_not_matter(void **state)
{
    (void)state;
    struct policy *policy;
    assert_int_equal(load("rule \"spiffe://a/b/c\" { methods = {read} tenant = exact }\n"
                          "rule \"spiffe://a/*\" { methods = {read} tenant = wide }\n",
                          &policy),
                     0);
    assert_string_equal(policy_find(policy, view_of("spiffe://a/b/c"))->tenant, "exact");
    assert_string_equal(policy_find(policy, view_of("spiffe://a/b"))->tenant, "wide");
    policy_release(policy);
}

static void test_methods(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        uint32_t methods;
    } rows[] = {
        {"{GetJobResult}", 1u << METHOD_GET_JOB_RESULT},
        {"GetJobResult", 1u << METHOD_GET_JOB_RESULT},
        {"{\"activity.v1.ActivityService/CreateActivity\", FindActivities}",
         1u << METHOD_CREATE_ACTIVITY | 1u << METHOD_FIND_ACTIVITIES},
        {"{WaitVisible, ReadChanges}", 1u << METHOD_WAIT_VISIBLE | 1u << METHOD_READ_CHANGES},
        {"{read}", 1u << METHOD_FIND_ACTIVITIES | 1u << METHOD_GET_ACTIVITY |
                       1u << METHOD_GET_JOB_RESULT | 1u << METHOD_WAIT_ACTIVITY |
                       1u << METHOD_READ_CHANGES | 1u << METHOD_WAIT_VISIBLE},
        {"{write}", 1u << METHOD_CREATE_ACTIVITY | 1u << METHOD_UPDATE_ACTIVITY |
                        1u << METHOD_BATCH_UPDATE_ACTIVITIES | 1u << METHOD_DESTROY_ACTIVITY |
                        1u << METHOD_RECORD_MODEL_CHANGES},
        {"{admin}", 1u << METHOD_LIST_PRESENT_USERS | 1u << METHOD_LIST_PARKED_DOCUMENTS |
                        1u << METHOD_RETRY_PARKED | 1u << METHOD_DISCARD_PARKED |
                        1u << METHOD_RELOAD | 1u << METHOD_DRAIN | 1u << METHOD_GET_STATE_HASH |
                        1u << METHOD_GET_INDEX_STATUS | 1u << METHOD_LIST_INDEX_BATCHES},
        {"{RetryParked}", 1u << METHOD_RETRY_PARKED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        /* What an administrator's methods need does not bring others. */
        (void)snprintf(text, sizeof text,
                       "rule \"spiffe://a/b\" { methods = %s tenant = t admin = all }",
                       rows[i].list);
        struct policy *policy;
        assert_int_equal(load(text, &policy), 0);
        assert_int_equal(policy_find(policy, view_of("spiffe://a/b"))->methods, rows[i].methods);
        policy_release(policy);
    }
    struct policy *policy;
    assert_int_equal(load("rule \"spiffe://a/b\" { methods = {\"*\"} tenant = t }", &policy), 0);
    for (int id = METHOD_NONE + 1; id < METHOD_COUNT; id++) {
        assert_true(policy_find(policy, view_of("spiffe://a/b"))->methods &
                    bit((enum method_id)id));
    }
    policy_release(policy);
}

static void test_rights(void **state)
{
    (void)state;
    struct policy *policy;
    assert_int_equal(
        load("rule \"spiffe://a/plain\" { methods = {read} tenant = t }\n"
             "rule \"spiffe://a/some\" { methods = {read} tenant = t\n"
             "  delegate = {acme, \"beta.x\"} update_any = true admin = {own, acme} }\n"
             "rule \"spiffe://a/all\" { methods = {read, admin, Drain} tenant = t\n"
             "  delegate = {\"*\"} feed = true admin = all }\n"
             "rule \"spiffe://a/feed\" { methods = {read} tenant = t feed = on }\n",
             &policy),
        0);
    const struct policy_rule *rule = policy_find(policy, view_of("spiffe://a/plain"));
    assert_false(rule->update_any || rule->feed || rule->admin.all || rule->delegate.all);
    assert_false(policy_tenants_hold(&rule->delegate, view_of("t")));
    assert_false(policy_tenants_hold(&rule->admin, view_of("t")));

    rule = policy_find(policy, view_of("spiffe://a/some"));
    assert_true(rule->update_any);
    assert_true(policy_tenants_hold(&rule->delegate, view_of("acme")));
    assert_true(policy_tenants_hold(&rule->delegate, view_of("beta.x")));
    assert_false(policy_tenants_hold(&rule->delegate, view_of("bet")));
    assert_false(policy_tenants_hold(&rule->delegate, view_of("t")));
    assert_true(policy_tenants_hold(&rule->admin, view_of("t")));
    assert_true(policy_tenants_hold(&rule->admin, view_of("acme")));
    assert_false(policy_tenants_hold(&rule->admin, view_of("own")));
    assert_false(rule->admin.all);

    rule = policy_find(policy, view_of("spiffe://a/all"));
    assert_true(rule->feed && rule->admin.all);
    assert_true(policy_tenants_hold(&rule->delegate, view_of("anything")));
    assert_true(rule->methods & bit(METHOD_DRAIN));
    assert_true(policy_find(policy, view_of("spiffe://a/feed"))->feed);
    policy_release(policy);
}

static void test_what_does_not_load(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *position;
        const char *says;
    } rows[] = {
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t }\n"
         "rule \"spiffe://a/b\" { methods = {write} tenant = t }\n",
         ":2: ", "spiffe://a/b"},
        {"rule \"spiffe://a/*\" { methods = {read} tenant = t }\n"
         "rule \"spiffe://a/*\" { methods = {read} tenant = t }\n",
         ":2: ", "spiffe://a/*"},
        {"rule \"a/b\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://a\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://*\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://a/b*\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://a/*/c\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://a/../c\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://a//c\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://A/c\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://A/*\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe://a/c/\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"spiffe:///*\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"/*\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"*\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"rule \"Spiffe://a/c\" { methods = {read} tenant = t }", ":1: ", "neither a SPIFFE ID"},
        {"\n\nrule \"spiffe://a/b\" {\n methods = {read}\n}", ":5: ", "tenant"},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = \"no blank\" }", ":1: ", "no tenant"},
        {"rule \"spiffe://a/b\" { tenant = t }", ":1: ", "methods"},
        {"# one\n# two\nrule \"spiffe://a/b\" { # three\nmethods = x /* four */ tenant = t }",
         ":4: ", "\"x\""},
        {"rule \"spiffe://a/b\" { methods = {reed} tenant = t }", ":1: ", "\"reed\""},
        {"rule \"spiffe://a/b\" { methods = {Drain} tenant = t admin = own }",
         ":1: ", "needs admin = all"},
        {"rule \"spiffe://a/b\" { methods = {admin} tenant = t }", ":1: ", "needs admin"},
        {"rule \"spiffe://a/b\" { methods = {RetryParked} tenant = t }", ":1: ", "needs admin"},
        {"rule \"spiffe://a/b\" { methods = {ListIndexBatches} tenant = t admin = own }",
         ":1: ", "needs admin = all"},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t feed = true delegate = {x} }",
         ":1: ", "feed"},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t delegate = {\"*\", x} }",
         ":1: ", "stands alone"},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t admin = {all, x} }",
         ":1: ", "stands alone"},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t\n colour = red }", ":2: ", "colour"},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t feed = maybe }", ":1: ", "feed"},
        {"rule { methods = {read} tenant = t }", ":1: ", "title"},
        {"include(\"/etc/passwd\")", ":1: ", "include"},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t ", ":2: ", "end_of_file"},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t } rule ", ":", ""},
        {"rule \"spiffe://a/b\" { methods = {read, ", ":", ""},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = \"t ", ":", ""},
        {"rule \"spiffe://a/b\" { methods = {read} tenant = t } /* ", ":", "not closed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy *policy;
        if (load(rows[i].text, &policy) == 0) {
            fail_msg("row %zu loaded", i);
        }
        assert_null(policy);
        if (strstr(error, rows[i].position) == NULL || strstr(error, rows[i].says) == NULL ||
            strncmp(error, path, strlen(path)) != 0) {
            fail_msg("row %zu says: %s", i, error);
        }
    }
}

static void test_files(void **state)
{
    (void)state;
    struct policy *policy;
    assert_int_equal(load("# nothing but a remark\n", &policy), 0);
    assert_int_equal(policy_count(policy), 0);
    assert_null(policy_find(policy, view_of("spiffe://a/b")));
    policy_release(policy);

    assert_int_equal(policy_load("/nonexistent/policy.conf", &policy, error, sizeof error), -1);
    assert_non_null(strstr(error, "/nonexistent/policy.conf"));

    /* What we ship loads, and says what its comments say. */
    if (policy_load("server/policy.conf.example", &policy, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
    assert_true(policy_count(policy) >= 4);
    const struct policy_rule *cache =
        policy_find(policy, view_of("spiffe://example.org/service/cache"));
    assert_non_null(cache);
    assert_true(cache->feed);
    assert_int_equal(cache->methods, bit(METHOD_READ_CHANGES));
    policy_release(policy);
    policy_release(NULL);
}

/* A rule is good as long as somebody holds its policy; under the address sanitizer this says so. */
static void test_rules_live_as_long_as_they_are_held(void **state)
{
    (void)state;
    struct policy *policy = policy_new_open();
    assert_non_null(policy);
    const struct policy_rule *rule = policy_find(policy, view_of("spiffe://any/body"));
    assert_ptr_equal(policy_hold(policy), policy);
    policy_release(policy);
    assert_string_equal(rule->tenant, "dev");
    assert_int_equal(policy_count(policy), 1);
    policy_release(policy);
}

static void test_open_policy(void **state)
{
    (void)state;
    struct policy *policy = policy_new_open();
    assert_non_null(policy);
    const struct policy_rule *rule = policy_find(policy, view_of("spiffe://any/body"));
    assert_non_null(rule);
    assert_string_equal(rule->tenant, "dev");
    assert_true(rule->admin.all && rule->delegate.all);
    static const char *const nobody[] = {"bob.example",        "",
                                         "spiffe://any",       "spiffe://Any/body",
                                         "spiffe://any/body/", "SPIFFE://any/body"};
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        assert_null(policy_find(policy, view_of(nobody[i])));
    }
    policy_release(policy);
}

static void test_long_principals(void **state)
{
    (void)state;
    char name[LIMIT_PRINCIPAL_LENGTH + 2];
    memset(name, 'a', sizeof name);
    memcpy(name, "spiffe://a/", 11);
    struct view longest = {(const uint8_t *)name, LIMIT_PRINCIPAL_LENGTH};
    struct view too_long = {(const uint8_t *)name, LIMIT_PRINCIPAL_LENGTH + 1};
    struct policy *policy;
    assert_int_equal(load(mixed, &policy), 0);
    assert_string_equal(policy_find(policy, longest)->tenant, "wide");
    assert_null(policy_find(policy, too_long));
    assert_null(policy_find(policy, (struct view){(const uint8_t *)"spiffe://a/b\0c", 14}));
    name[LIMIT_PRINCIPAL_LENGTH - 2] = '/'; /* the star is written behind the last slash */
    assert_string_equal(policy_find(policy, longest)->tenant, "wide");
    policy_release(policy);
}

/* A rule's name may be so long that one principal fits it, and no longer. */
static void test_long_rules(void **state)
{
    (void)state;
    char text[LIMIT_PRINCIPAL_LENGTH + 80];
    char name[LIMIT_PRINCIPAL_LENGTH + 2];
    struct policy *policy;
    memset(name, 'a', sizeof name);
    memcpy(name, "spiffe://a/", 11);
    for (size_t extra = 0; extra < 2; extra++) {
        size_t length = LIMIT_PRINCIPAL_LENGTH + extra;
        memcpy(name + length - 2, "/*", 2);
        snprintf(text, sizeof text, "rule \"%.*s\" { methods = {read} tenant = t }", (int)length,
                 name);
        assert_int_equal(load(text, &policy), extra == 0 ? 0 : -1);
        if (extra == 0) {
            name[length - 1] = 'z';
            assert_non_null(policy_find(policy, (struct view){(const uint8_t *)name, length}));
            policy_release(policy);
            name[length - 1] = 'a';
            name[length - 2] = 'a';
        }
    }
}

static void test_tenants_of_a_method(void **state)
{
    (void)state;
    struct policy *policy;
    struct policy_tenants tenants;
    assert_int_equal(
        load("rule \"spiffe://a/one\" { methods = {RecordModelChanges} tenant = c\n"
             "  delegate = {b, d, b} }\n"
             "rule \"spiffe://a/two\" { methods = {write} tenant = d delegate = {a} }\n"
             "rule \"spiffe://a/three\" { methods = {read} tenant = e\n"
             "  delegate = {\"*\"} }\n",
             &policy),
        0);
    assert_int_equal(policy_tenants_of(policy, METHOD_RECORD_MODEL_CHANGES, &tenants), 0);
    static const char *const wanted[] = {"a", "b", "c", "d"};
    assert_int_equal(tenants.count, 4);
    assert_false(tenants.all);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(tenants.names[i], wanted[i]);
    }
    free(tenants.names);
    assert_int_equal(policy_tenants_of(policy, METHOD_FIND_ACTIVITIES, &tenants), 0);
    assert_true(tenants.all);
    assert_int_equal(tenants.count, 1);
    assert_string_equal(tenants.names[0], "e");
    free(tenants.names);
    assert_int_equal(policy_tenants_of(policy, METHOD_DRAIN, &tenants), 0);
    assert_false(tenants.all);
    assert_int_equal(tenants.count, 0);
    free(tenants.names);
    policy_release(policy);

    policy = policy_new_open();
    assert_non_null(policy);
    assert_int_equal(policy_tenants_of(policy, METHOD_RECORD_MODEL_CHANGES, &tenants), 0);
    assert_true(tenants.all);
    assert_string_equal(tenants.names[0], "dev");
    free(tenants.names);
    policy_release(policy);
}

static void test_rules_outside_of_a_trust_domain(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        const char *trust_domain;
        bool foreign;
    } rows[] = {
        {"spiffe://a.b/c", "a.b", false},   {"spiffe://a.b/*", "a.b", false},
        {"spiffe://a.b/c/*", "a.b", false}, {"spiffe://a.bc/c", "a.b", true},
        {"spiffe://a/b", "a.b", true},      {"spiffe://a/a.b", "a.b", true},
        {"spiffe://x/a.b/*", "a.b", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy *policy;
        char text[256];
        (void)snprintf(text, sizeof text,
                       "rule \"spiffe://a.b/first\" { methods = {read} tenant = t }\n"
                       "rule \"%s\" { methods = {read} tenant = t }\n",
                       rows[i].rule);
        assert_int_equal(load(text, &policy), 0);
        const char *foreign = policy_foreign_rule(policy, view_of(rows[i].trust_domain));
        if (rows[i].foreign) {
            assert_non_null(foreign);
            assert_string_equal(foreign, rows[i].rule);
        } else {
            assert_null(foreign);
        }
        policy_release(policy);
    }
    struct policy *open = policy_new_open();
    assert_null(policy_foreign_rule(open, view_of("a.b")));
    policy_release(open);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly_one_rule_applies),
        cmocka_unit_test(test_order_in_the_file_does_not_matter),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_what_does_not_load),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_open_policy),
        cmocka_unit_test(test_rules_live_as_long_as_they_are_held),
        cmocka_unit_test(test_long_principals),
        cmocka_unit_test(test_long_rules),
        cmocka_unit_test(test_tenants_of_a_method),
        cmocka_unit_test(test_rules_outside_of_a_trust_domain),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
