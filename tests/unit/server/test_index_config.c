/* The configuration of the index: options for the writer, kinds for the border, and what is refused
 * before anything starts, above all that two tenants reach the same index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/index_config.h"

#define POLICY_MAX (512 * 1024)

static char folder[] = "/tmp/activityd-index-XXXXXX";
static char error[1024];
static struct config config;

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *file_of(const char *name, const char *text)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void put(char to[CONFIG_TEXT_MAX], const char *text)
{
    assert_true(strlen(text) < CONFIG_TEXT_MAX);
    memcpy(to, text, strlen(text) + 1);
}

/* What a file says, over the standards and two nodes of an index. */
static void configure(const char *text)
{
    config_standard(&config);
    config.index = CONFIG_INDEX_ELASTICSEARCH;
    put(config.index_nodes, "https://one.example:9200 https://two.example:9200");
    if (config_load(file_of("activityd.conf", text), &config, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
}

static struct policy *policy_of(const char *rules)
{
    struct policy *policy = NULL;
    if (policy_load(file_of("policy.conf", rules), &policy, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
    return policy;
}

static struct index_config *make(const struct policy *policy)
{
    struct index_config *made;
    error[0] = '\0';
    made = index_config_new(&config, policy, error, sizeof error);
    assert_int_equal(made == NULL, error[0] != '\0');
    return made;
}

/* With a policy that lets anybody write for any tenant; says NULL: it is good. */
static void assert_said(const char *says)
{
    struct policy *policy = policy_new_open();
    assert_non_null(policy);
    struct index_config *made = make(policy);
    if (says == NULL ? made == NULL : made != NULL || strstr(error, says) == NULL) {
        fail_msg("\"%s\" instead of \"%s\"", error, says != NULL ? says : "");
    }
    index_config_free(made);
    policy_release(policy);
}

static bool is_fragments(const struct index_config *made, const char *model)
{
    return kinds_is_fragments(index_config_kinds(made), bytes_of(model, strlen(model)));
}

static void kinds_count_without_an_index(void **state)
{
    (void)state;
    configure("index = none\nindex_ca = \"/nowhere\"\nmodel \"z\" { kind = fragments }\n"
              "model \"b\" { }\nmodel \"a\" { kind = fragments index = \"Bad\" }\n");
    struct policy *policy = policy_new_open();
    struct index_config *made = make(policy);
    assert_non_null(made);
    assert_null(index_config_options(made));
    const struct model_kinds *kinds = index_config_kinds(made);
    assert_int_equal(kinds->count, 3);
    assert_false(kinds->written);
    assert_string_equal(kinds->models[0].name, "a"); /* sorted */
    assert_string_equal(kinds->models[2].name, "z");
    assert_true(is_fragments(made, "z"));
    assert_true(is_fragments(made, "a"));
    assert_false(is_fragments(made, "b"));
    assert_false(is_fragments(made, "c"));
    index_config_free(made);
    policy_release(policy);
    index_config_free(NULL);
}

static void standards(void **state)
{
    (void)state;
    configure("");
    struct index_config *made = make(NULL);
    assert_non_null(made);
    assert_true(index_config_kinds(made)->written);
    const struct index_options *options = index_config_options(made);
    const struct transport_options *transport = &options->transport;
    assert_int_equal(transport->node_count, 2);
    assert_string_equal(transport->nodes[0], "https://one.example:9200");
    assert_string_equal(transport->nodes[1], "https://two.example:9200");
    assert_true(transport->ca == NULL && transport->cert == NULL && transport->key == NULL);
    assert_true(transport->basic_file == NULL && transport->api_key_file == NULL);
    assert_false(transport->gzip);
    assert_int_equal(transport->connect_ms, 5000);
    assert_int_equal(transport->answer_ms, 30000);
    assert_int_equal(transport->requests_max, 4);
    assert_int_equal(transport->reply_bytes_max, 2 << 20);
    assert_true(transport->node_away_ms > 0);
    assert_string_equal(options->targets.index, "{tenant}-{model}");
    assert_null(options->targets.routing);
    assert_int_equal(options->targets.model_count, 0);
    assert_int_equal(options->request_bytes_max, 8 << 20);
    assert_int_equal(options->batches_max, 4);
    assert_int_equal(options->retry_first_ms, 200);
    assert_int_equal(options->retry_most_ms, 30000);
    assert_int_equal(options->item_retry_most_ms, 30000);
    assert_int_equal(options->late_ms, 90000);
    assert_int_equal(options->refresh_ms, 0);
    index_config_free(made);
}

static void every_key_arrives(void **state)
{
    (void)state;
    configure("index_nodes = \"https://a:1,\thttps://b:2   http://127.0.0.1:3 \"\n"
              "index_name = \"x.{tenant}.{model}\"\nindex_routing = \"{id}\"\nindex_ca = ca\n"
              "index_cert = cert\nindex_key = key\nindex_user_file = user\nindex_gzip = true\n"
              "index_batches_max = 16\nindex_request_bytes = 1MiB\nindex_connect_ms = 1s\n"
              "index_answer_ms = 2s\nindex_retry_first_ms = 3\nindex_retry_most_ms = 4\n"
              "index_item_retry_most_ms = 5\nindex_refresh_ms = 6s\nflush_documents = 16384\n"
              "model \"b\" { kind = fragments index = \"x.{tenant}.own\" routing = \"{model}\" }\n"
              "model \"a\" { kind = whole routing = \"\" }\nmodel \"c\" { }\n");
    struct index_config *made = make(NULL);
    assert_non_null(made);
    const struct index_options *options = index_config_options(made);
    const struct transport_options *transport = &options->transport;
    assert_int_equal(transport->node_count, 3);
    assert_string_equal(transport->nodes[1], "https://b:2");
    assert_string_equal(transport->nodes[2], "http://127.0.0.1:3");
    assert_string_equal(transport->ca, "ca");
    assert_string_equal(transport->cert, "cert");
    assert_string_equal(transport->key, "key");
    assert_string_equal(transport->basic_file, "user");
    assert_true(transport->gzip);
    assert_int_equal(transport->connect_ms, 1000);
    assert_int_equal(transport->answer_ms, 2000);
    assert_int_equal(transport->requests_max, 16);
    assert_int_equal(transport->reply_bytes_max, 8 << 20);
    assert_int_equal(options->request_bytes_max, 1 << 20);
    assert_int_equal(options->batches_max, 16);
    assert_int_equal(options->retry_first_ms, 3);
    assert_int_equal(options->retry_most_ms, 4);
    assert_int_equal(options->item_retry_most_ms, 5);
    assert_int_equal(options->late_ms, 62000);
    assert_int_equal(options->refresh_ms, 6000);
    const struct targets *targets = &options->targets;
    assert_string_equal(targets->index, "x.{tenant}.{model}");
    assert_string_equal(targets->routing, "{id}");
    assert_int_equal(targets->model_count, 3);
    assert_string_equal(targets->models[0].model, "b");
    assert_int_equal(targets->models[0].kind, TAKE_FRAGMENTS);
    assert_string_equal(targets->models[0].index, "x.{tenant}.own");
    assert_string_equal(targets->models[0].routing, "{model}");
    assert_int_equal(targets->models[1].kind, TAKE_WHOLE);
    assert_null(targets->models[1].index);
    assert_string_equal(targets->models[1].routing, "");
    assert_null(targets->models[2].routing);
    index_config_free(made);
}

static void templates_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"index_name = \"{tenant}{model}\"\n",
         "index_name: the template \"{tenant}{model}\" needs"},
        {"index_name = \"Docs-{tenant}\"\n", "index_name: the template \"Docs-{tenant}\" makes"},
        {"index_routing = \"{user}\"\n", "index_routing: the template \"{user}\" has braces"},
        {"model \"a\" { }\nmodel \"b\" { index = \"{tenant}-{id}\" }\n",
         "model \"b\": the template"},
        {"model \"a\" { routing = \"{id}{id}\" }\n", "model \"a\": the template \"{id}{id}\" has"},
        {"model \"Upper\" { kind = whole }\n",
         "model \"Upper\": the template \"{tenant}-{model}\""},
        {"model \"Upper\" { index = \"{tenant}-upper\" }\n", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        configure(rows[i].text);
        assert_said(rows[i].says);
    }
}

static void nodes_and_files_are_looked_at(void **state)
{
    (void)state;
    char many[CONFIG_TEXT_MAX] = "";
    configure("");
    put(config.index_nodes, " \t");
    assert_said("1 to 16 nodes");
    for (size_t i = 0; i < 17; i++) {
        (void)snprintf(many + strlen(many), sizeof many - strlen(many), "https://n%zu:9200 ", i);
    }
    put(config.index_nodes, many);
    assert_said("index_nodes: at most 16 nodes");
    put(config.index_nodes, "https://one.example:9200 two.example:9200");
    assert_said("the node \"two.example:9200\" begins with neither");
    put(config.index_nodes, "http://one.example:9200"); /* with a warning */
    assert_said(NULL);
    put(config.index_user_file, file_of("user", "me:secret\n"));
    assert_said("would get the password in clear: use https");
    put(config.index_nodes, "https://one.example:9200");
    assert_said(NULL);
    put(config.index_user_file, file_of("user", "\n"));
    assert_said("user has no first line");
    put(config.index_user_file, "/nowhere/user");
    assert_said("cannot read /nowhere/user");
    configure("index_ca = \"/nowhere/ca\"\n");
    assert_said("cannot read /nowhere/ca");
    put(config.index_ca, file_of("ca", "x"));
    assert_said(NULL);
    put(config.index_key, path_of("ca"));
    assert_said("belong together");
    put(config.index_cert, "/nowhere/cert");
    assert_said("cannot read /nowhere/cert");
    /* How much memory is needed can be told without them. */
    struct index_config *made = make(NULL);
    assert_non_null(made);
    index_config_free(made);
}

#define WRITES(name, tenant, delegate)                                                             \
    "rule \"spiffe://a/" name "\" { methods = {RecordModelChanges} tenant = \"" tenant "\"\n"      \
    "  delegate = " delegate " }\n"
#define READS(name, tenant)                                                                        \
    "rule \"spiffe://a/" name "\" { methods = {read} tenant = \"" tenant "\" delegate = {\"*\"} "  \
    "}\n"

static void no_two_tenants_reach_the_same_index(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *rules;
        const char *says; /* NULL: it is good */
    } rows[] = {
        {"", WRITES("x", "acme", "{globex}") WRITES("y", "globex", "{\"*\"}"), NULL},
        {"", WRITES("x", "acme", "{\"beta.x\", b_2}"), NULL},
        /* One tenant may have it for itself. */
        {"index_name = docs\n", WRITES("x", "acme", "{acme}") READS("y", "globex"), NULL},
        {"index_name = docs\n", WRITES("x", "acme", "{globex}"),
         "\"acme\" and \"globex\" can reach"},
        {"index_name = docs\n", WRITES("x", "acme", "{}") WRITES("y", "globex", "{}"),
         "\"acme\" and \"globex\" can reach the same index \"docs\""},
        {"index_name = docs\n", WRITES("x", "acme", "{\"*\"}"),
         "any tenant (delegate = \"*\"), but the template \"docs\" has no {tenant}"},
        {"index_name = \"{model}\"\n", WRITES("x", "acme", "{\"*\"}"), "has no {tenant}"},
        {"model \"m\" { index = shared }\n", WRITES("x", "acme", "{globex}"), "\"shared\""},
        {"model \"m\" { index = shared }\n", WRITES("x", "acme", "{\"*\"}"),
         "\"shared\" has no {tenant}"},
        {"model \"m\" { index = shared }\n", READS("x", "acme"), NULL}, /* nobody writes */
        /* Names in which another tenant could be seen. */
        {"", WRITES("x", "acme", "{\"acme-eu\"}"), "the tenant \"acme-eu\" of the policy has no"},
        {"", WRITES("x", "acme-eu", "{}"), "the tenant \"acme-eu\" of the policy has no"},
        {"index_name = \"{tenant}+{model}\"\n", WRITES("x", "acme", "{\"acme-eu\", \"*\"}"),
         "stands alone"},
        {"index_name = \"{tenant}+{model}\"\n", WRITES("x", "acme-eu", "{\"*\"}"), NULL},
        {"index_name = \"{tenant}.{model}\"\n", WRITES("x", "acme", "{\"acme-eu\"}"), NULL},
        {"", WRITES("x", "Acme", "{}"), "has upper case letters"},
        /* Templates that differ. */
        {"model \"m\" { index = \"{tenant}-things\" }\n", WRITES("x", "acme", "{\"*\"}"), NULL},
        {"model \"m\" { index = \"things-{tenant}\" }\n", WRITES("x", "acme", "{\"*\"}"),
         "could make the same name for two"},
        {"model \"m\" { index = \"things-{tenant}\" }\n", WRITES("x", "acme", "{globex}"), NULL},
        {"model \"m\" { index = \"things-{tenant}\" }\n", WRITES("x", "acme", "{things}"),
         "\"acme\" and \"things\" can reach the same index"},
        {"model \"m\" { index = \"{tenant}-things\" }\n", WRITES("x", "a", "{\"a-b\"}"),
         "the tenant \"a-b\" of the policy has no index"},
        {"index_name = \"{tenant}\"\nmodel \"m\" { index = \"{tenant}-m\" }\n",
         WRITES("x", "a", "{b}"), NULL},
        {"index_name = \"{tenant}\"\nmodel \"m\" { index = \"{tenant}-m\" }\n",
         WRITES("x", "a", "{\"a-m\"}"), "can reach the same index \"a-m\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        configure(rows[i].text);
        struct policy *policy = NULL;
        struct index_config *made = NULL;
        if (policy_load(file_of("policy.conf", rows[i].rules), &policy, error, sizeof error) == 0) {
            made = make(policy);
        }
        if (rows[i].says == NULL ? made == NULL
                                 : made != NULL || strstr(error, rows[i].says) == NULL) {
            fail_msg("row %zu says: %s", i, error);
        }
        index_config_free(made);
        policy_release(policy);
    }
}

/* A reload: what would be good at a start must also be good for the names as they are made since
 * this one. */
static void another_policy(void **state)
{
    (void)state;
    static const char *const alike = "model \"m\" { index = \"{tenant}-things\" }\n";
    static const char *const unlike = "model \"m\" { index = \"things-{tenant}\" }\n";
    static const char *const either = "index_name = \"{tenant}\"\n"
                                      "model \"m\" { index = \"{tenant}-m\" }\n";
    /* "-" keeps all tenants apart that have none; one that has can only be compared. */
    static const char *const longer = "index_name = \"{tenant}--{model}\"\n"
                                      "model \"m\" { index = \"{tenant}-things\" }\n";
    static const struct {
        const char *text;
        const char *before; /* delegates of the policy at the start */
        const char *after;
        const char *says; /* NULL: it is good */
    } rows[] = {
        {alike, "{}", "{globex}", NULL},
        {alike, "{}", "{\"*\"}", NULL},
        {alike, "{\"*\"}", "{}", NULL},
        {alike, "{}", "{\"acme-eu\"}", "the tenant \"acme-eu\" of the policy has no index"},
        {unlike, "{}", "{globex}", NULL},
        {unlike, "{globex}", "{things}", "\"acme\" and \"things\" can reach the same index"},
        {unlike, "{}", "{\"*\"}", "could make the same name for two"},
        {either, "{b}", "{c}", NULL},
        {either, "{b}", "{\"acme-m\"}", "can reach the same index \"acme-m\""},
        {longer, "{}", "{\"a-b\"}", "restart the server"},
        {longer, "{\"a-b\"}", "{globex}", NULL},
        {longer, "{\"a-b\"}", "{\"*\"}", "restart the server"},
        {"index = none\n", "{}", "{\"acme-eu\", \"A\"}", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char rules[2][512];
        const char *const delegates[] = {rows[i].before, rows[i].after};
        for (size_t j = 0; j < 2; j++) {
            (void)snprintf(rules[j], sizeof rules[j],
                           "rule \"spiffe://a/b\" { methods = {write} tenant = acme delegate = %s "
                           "}\n",
                           delegates[j]);
        }
        configure(rows[i].text);
        struct policy *policy = policy_of(rules[0]);
        struct index_config *made = make(policy);
        if (made == NULL) {
            fail_msg("row %zu: %s", i, error);
        }
        const struct index_options *options = index_config_options(made);
        const char *separator = options != NULL ? options->targets.separator : NULL;
        assert_int_equal(index_config_check_policy(made, policy, error, sizeof error), 0);
        struct policy *other = policy_of(rules[1]);
        int outcome = index_config_check_policy(made, other, error, sizeof error);
        if (outcome != (rows[i].says == NULL ? 0 : -1) ||
            (rows[i].says != NULL && strstr(error, rows[i].says) == NULL)) {
            fail_msg("row %zu: %d, says: %s", i, outcome, error);
        }
        assert_true(options == NULL || options->targets.separator == separator);
        index_config_free(made);
        policy_release(policy);
        policy_release(other);
    }
}

/* What is let through is also what the writer gets: a tenant that nobody knew at the start and
 * that could be taken for another one has no index. */
static void a_tenant_of_later(void **state)
{
    (void)state;
    configure("model \"m\" { index = \"{tenant}-things\" }\n");
    struct policy *policy = policy_of(WRITES("x", "acme", "{\"*\"}"));
    struct index_config *made = make(policy);
    assert_non_null(made);
    static const struct {
        const char *tenant;
        const char *index; /* NULL: none */
    } rows[] = {{"later", "later-things"}, {"acme-old", NULL}};
    for (size_t i = 0; i < 2; i++) {
        struct target_name name;
        struct reason why;
        const struct index_document document = {
            .tenant = bytes_of(rows[i].tenant, strlen(rows[i].tenant)), .model = bytes_of("m", 1)};
        int outcome = target_index(&index_config_options(made)->targets, &document, &name, &why);
        assert_int_equal(outcome, rows[i].index == NULL);
        if (rows[i].index != NULL) {
            assert_string_equal(name.text, rows[i].index);
        }
    }
    index_config_free(made);
    policy_release(policy);
}

static void thousands_of_tenants(void **state)
{
    (void)state;
    static char rules[POLICY_MAX];
    int length = snprintf(rules, sizeof rules,
                          "rule \"spiffe://a/b\" { methods = {write} tenant = t delegate = {t0");
    for (int i = 1; i < 5000; i++) {
        length += snprintf(rules + length, sizeof rules - (size_t)length, ", t%d", i);
    }
    (void)snprintf(rules + length, sizeof rules - (size_t)length, "} }\n");
    struct policy *policy = policy_of(rules);
    configure("model \"m\" { index = \"{tenant}-things\" }\n");
    struct index_config *made = make(policy);
    assert_non_null(made);
    index_config_free(made);
    configure("model \"m\" { index = \"things-{tenant}\" }\n");
    assert_null(make(policy));
    assert_non_null(strstr(error, "too many tenants (5001)"));
    policy_release(policy);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"activityd.conf", "policy.conf", "user", "ca"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)unlink(path_of(names[i]));
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_count_without_an_index),
        cmocka_unit_test(standards),
        cmocka_unit_test(every_key_arrives),
        cmocka_unit_test(templates_are_named),
        cmocka_unit_test(nodes_and_files_are_looked_at),
        cmocka_unit_test(no_two_tenants_reach_the_same_index),
        cmocka_unit_test(another_policy),
        cmocka_unit_test(a_tenant_of_later),
        cmocka_unit_test(thousands_of_tenants),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
