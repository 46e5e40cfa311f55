#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/config.h"

static char path[] = "/tmp/activityd-config-XXXXXX";
static char error[512];

static int load(const char *text, struct config *config)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    config_standard(config);
    return config_load(path, config, error, sizeof error);
}

static void test_standards(void **state)
{
    (void)state;
    struct config config;
    config_standard(&config);
    assert_string_equal(config.listen, "tls+tcp://127.0.0.1:7401");
    assert_string_equal(config.feed_listen, "tls+tcp://127.0.0.1:7402");
    assert_true(config_has_feed(&config));
    assert_int_equal(config.connections_max, 1024);
    assert_int_equal(config.feed_connections_max, 1024);
    assert_int_equal(config.feed_queue_frames, 128);
    assert_int_equal(config.connections_per_address, 1024);
    assert_int_equal(config.connects_per_minute_per_address, 1200);
    assert_int_equal(config.handshakes_max, 256);
    assert_int_equal(config.handshake_ms, 5000);
    assert_string_equal(config.trust_domain, "");
    assert_string_equal(config.crl, "");
    assert_int_equal(config.waits_per_principal, 64);
    assert_int_equal(config.memory_max, 8ull << 30);
    assert_int_equal(config.log_level, LOG_LEVEL_INFO);
    assert_false(config.dev);
#define SAME(name, standard, least, most, unit, text)                                              \
    assert_true(config.limits.name == (uint64_t)(standard));
    CORE_LIMITS(SAME)
#undef SAME
}

static void test_values_and_suffixes(void **state)
{
    (void)state;
    struct config config;
    if (load("data_dir = \"/x y\"\nsegment_bytes = 2MiB\ninbox_bytes = 3145728\nmemory_max = 1GiB\n"
             "outbox_bytes = 8192KiB\nslow_call_ms = 2s\nresult_keep_ms = 48h\n"
             "ticket_keep_ms = 3min\nflush_delay_ms = 50\nkill_after_ms = 1500ms\n"
             "activities_max = 7 # remark\nlog_level = debug\ndev = yes\n",
             &config) != 0) {
        fail_msg("%s", error);
    }
    assert_string_equal(config.data_dir, "/x y");
    assert_int_equal(config.segment_bytes, 2 << 20);
    assert_int_equal(config.inbox_bytes, 3 << 20);
    assert_int_equal(config.memory_max, 1 << 30);
    assert_int_equal(config.outbox_bytes, 8 << 20);
    assert_int_equal(config.slow_call_ms, 2000);
    assert_int_equal(config.limits.result_keep_ms, 48 * 3600000);
    assert_int_equal(config.limits.ticket_keep_ms, 180000);
    assert_int_equal(config.limits.flush_delay_ms, 50);
    assert_int_equal(config.limits.kill_after_ms, 1500);
    assert_int_equal(config.limits.activities_max, 7);
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
    assert_true(config.dev);
}

static void test_errors_name_line_key_and_rule(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *position;
        const char *says;
    } rows[] = {
        {"\n\nslots = 15\n", ":3: ", "slots: \"15\" is not a number from 16 to 65536"},
        {"slots = many\n", ":1: ", "slots: \"many\""},
        {"slots = \"-20\"\n", ":1: ", "slots: \"-20\""},
        {"slots = 4KiB\n", ":1: ", "slots: \"4KiB\""},
        {"slots = 18446744073709551617\n", ":1: ", "slots"},
        {"memory_max = 20000000000GiB\n", ":1: ", "memory_max"},
        {"\nsegment_bytes = 1MiB\n", ":2: ", "segment_bytes: \"1MiB\" is not a number from 2MiB"},
        {"segment_bytes = 64MB\n", ":1: ", "suffixes KiB"},
        {"kill_after_ms = 2d\n", ":1: ", "kill_after_ms: \"2d\" is not a number from 1s to 1h"},
        {"activities_max = 0\n", ":1: ", "activities_max"},
        {"log_level = loud\n", ":1: ", "log_level: \"loud\" is none of"},
        {"dev = perhaps\n", ":1: ", "dev: \"perhaps\""},
        {"data_dir = \"\"\n", ":1: ", "data_dir"},
        {"slots = 99\n# and\nslots = 100\n", ":3: ", "slots: is given twice"},
        {"colour = red\n", ":1: ", "colour"},
        {"# one\n/* two\n three */ // three\nslots = 1\n", ":4: ", "slots"},
        {"slots = 99 # one\n\nlisten = \"a#b//c\" # two\nslots = 1\n", ":4: ", "slots"},
        {"slots = 99 /* never closed\n", ": ", "a remark is not closed"},
        {"slots 12\n", ":1: ", ""},
        {"slots = {1, 2}\n", ":1: ", ""},
        {"data_dir = \"never closed\n", ":", ""},
        {"index = solr\n", ":1: ",
         "index: \"solr\" is neither none nor elasticsearch (which is for OpenSearch, too)"},
        {"index_mode = 1\n", ":1: ", "index_mode"},
        {"\nindex_batches_max = 17\n", ":2: ", "index_batches_max: \"17\" is not a number from 1"},
        {"index_gzip = perhaps\n", ":1: ", "index_gzip: \"perhaps\""},
        /* Models. */
        {"model \"m\" {\n  kind = half\n}\n",
         ":2: ", "model \"m\": kind: \"half\" is neither whole nor fragments"},
        {"# one\nmodel m { # two\n  index = \"\"\n}\n",
         ":3: ", "model \"m\": index: \"\" must have 1 to 255 bytes"},
        {"model m {\n kind = whole\n kind = whole\n}\n",
         ":3: ", "model \"m\": kind: is given twice"},
        {"model m { kind = whole }\n\nmodel m { kind = whole }\n", ":3: ", "'m'"},
        {"model \"m n\" { }\n", ":1: ", "model \"m n\": the name is none of a model (a letter and"},
        {"model \"\" { }\n", ":1: ", "the name is none of a model"},
        {"model \"1m\" { }\n", ":1: ", "model \"1m\": the name"},
        {"model m { colour = red }\n", ":1: ", "colour"},
        {"model m { slots = 99 }\n", ":1: ", "slots"},
        {"kind = whole\n", ":1: ", "kind"},
        {"model { }\n", ":1: ", ""},
        {"model m { kind = whole\n", ":", "end_of_file"},
        {"model m\n", ":", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config;
        if (load(rows[i].text, &config) == 0) {
            fail_msg("row %zu loaded", i);
        }
        if (strstr(error, rows[i].position) == NULL || strstr(error, rows[i].says) == NULL ||
            strncmp(error, path, strlen(path)) != 0) {
            fail_msg("row %zu says: %s", i, error);
        }
    }
    struct config config;
    config_standard(&config);
    assert_int_equal(config_load("/nonexistent.conf", &config, error, sizeof error), -1);
    assert_non_null(strstr(error, "/nonexistent.conf: No such file"));
}

/* The example loads, holds every key, and shows the standard values. */
static void test_example(void **state)
{
    (void)state;
    struct config config;
    struct config standard;
    config_standard(&config);
    config_standard(&standard);
    if (config_load("server/activityd.conf.example", &config, error, sizeof error) != 0) {
        fail_msg("%s", error);
    }
    assert_string_equal(config.listen, standard.listen);
    assert_string_equal(config.feed_listen, standard.feed_listen);
    assert_string_equal(config.feed_url, standard.feed_listen);
    assert_string_equal(config.data_dir, "/var/lib/activityd");
    assert_memory_equal(&config.limits, &standard.limits, sizeof config.limits);
    assert_int_equal(config.log_level, standard.log_level);
    assert_int_equal(config.dev, standard.dev);
#define SAME(name, ...) assert_true(config.name == standard.name);
    CONFIG_NUMBERS(SAME)
#undef SAME

    FILE *file = fopen("server/activityd.conf.example", "r");
    assert_non_null(file);
    char text[64 * 1024];
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    assert_int_equal(fclose(file), 0);
#define HAS(name, ...) assert_non_null(strstr(text, "\n" #name " = "));
#define HAS_LIMIT(name, ...)                                                                       \
    if (CORE_LIMIT_##name != CORE_LIMIT_index_mode) { /* that one follows from `index` */          \
        HAS(name)                                                                                  \
    }
/* Has no value that is right for everybody: shown in a remark. */
#define REMARKED(name, ...) assert_non_null(strstr(text, #name " = "));
    CONFIG_TEXTS(HAS)
    CONFIG_OPTIONAL_TEXTS(REMARKED)
    CONFIG_INDEX_TEXTS(REMARKED)
    CONFIG_NUMBERS(HAS)
    CORE_LIMITS(HAS_LIMIT)
    HAS(index)
    HAS(index_gzip)
    HAS(dev)
    HAS(log_level)
#undef REMARKED
#undef HAS_LIMIT
#undef HAS
}

/* What stands there in remarks is good, too. */
static void test_remarks_of_the_example(void **state)
{
    (void)state;
    FILE *file = fopen("server/activityd.conf.example", "r");
    assert_non_null(file);
    static char text[64 * 1024];
    char line[1024];
    size_t length = 0;
    bool in_model = false;
    while (fgets(line, sizeof line, file) != NULL) {
        in_model = in_model || strncmp(line, "# model ", 8) == 0;
        bool is_key = strncmp(line, "# index_", 8) == 0 || strncmp(line, "# crl ", 6) == 0 ||
                      strncmp(line, "# trust_domain ", 15) == 0;
        if (in_model || (is_key && strstr(line, " = \"") != NULL)) {
            size_t rest = strlen(line + 2);
            assert_true(length + rest < sizeof text);
            memcpy(text + length, line + 2, rest + 1);
            length += rest;
            in_model = in_model && strcmp(line, "# }\n") != 0;
        }
    }
    assert_int_equal(fclose(file), 0);
    struct config config;
    if (load(text, &config) != 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(config.model_count, 1);
    assert_true(config.models[0].fragments);
#define GIVEN(name, ...) assert_true(config.name[0] != '\0');
    CONFIG_INDEX_TEXTS(GIVEN)
    CONFIG_OPTIONAL_TEXTS(GIVEN)
#undef GIVEN
}

static const struct config_model *model_of(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->model_count; i++) {
        if (strcmp(config->models[i].name, name) == 0) {
            return &config->models[i];
        }
    }
    fail_msg("no model %s", name);
    return NULL;
}

static void test_models_of_the_file(void **state)
{
    (void)state;
    struct config config;
    if (load(
            "index = elasticsearch\nmodel \"mediacontainer\" {\n  kind = \"fragments\"\n"
            "  index = \"{tenant}-media\" # remark }\n  routing = \"{id}\"\n}\n"
            "model b-2_x.Y { kind = whole }\nslots = 99\nmodel c { routing = \"\" }\nmodel d { }\n",
            &config) != 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(config.index, CONFIG_INDEX_ELASTICSEARCH);
    assert_int_equal(config.slots, 99);
    assert_int_equal(config.model_count, 4);
    const struct config_model *model = model_of(&config, "mediacontainer");
    assert_true(model->fragments && model->has_routing);
    assert_string_equal(model->index, "{tenant}-media");
    assert_string_equal(model->routing, "{id}");
    model = model_of(&config, "b-2_x.Y");
    assert_false(model->fragments || model->has_routing);
    assert_string_equal(model->index, "");
    model = model_of(&config, "c");
    assert_true(model->has_routing);
    assert_string_equal(model->routing, "");
    assert_false(model_of(&config, "d")->has_routing);
}

static void test_so_many_models(void **state)
{
    (void)state;
    static char text[16 * 1024];
    struct config config;
    size_t length = 0;
    for (int i = 0; i <= CONFIG_MODELS_MAX; i++) {
        if (i == CONFIG_MODELS_MAX) {
            assert_int_equal(load(text, &config), 0);
            assert_int_equal(config.model_count, CONFIG_MODELS_MAX);
        }
        length += (size_t)snprintf(text + length, sizeof text - length, "model m%d { }\n", i);
    }
    assert_int_equal(load(text, &config), -1);
    assert_non_null(strstr(error, ":257: model \"m256\": there are more than 256 models"));
    (void)snprintf(text, sizeof text, "model %065d { }\n", 0);
    text[6] = 'm';
    assert_int_equal(load(text, &config), -1);
    assert_non_null(strstr(error, "the name is none of a model"));
    memmove(text + 7, text + 8, strlen(text + 8) + 1);
    assert_int_equal(load(text, &config), 0);
    assert_int_equal(strlen(config.models[0].name), LIMIT_MODEL_LENGTH);
}

static int arguments(struct config *config, enum config_action *action, int count, ...)
{
    char *list[16];
    va_list rest;
    va_start(rest, count);
    for (int i = 0; i < count; i++) {
        list[i] = va_arg(rest, char *);
    }
    va_end(rest);
    return config_from_arguments(count, list, config, action, error, sizeof error);
}

static void test_flags_win_over_the_file(void **state)
{
    (void)state;
    struct config config;
    enum config_action action;
    assert_int_equal(load("slots = 2000\ninbox_places = 500\nlog_level = error\n", &config), 0);
    if (arguments(&config, &action, 7, "--slots=3000", "--dev", "--config", path, "--data-dir",
                  "/nowhere", "--print-limits") != 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(action, CONFIG_PRINT_LIMITS);
    assert_int_equal(config.slots, 3000);
    assert_int_equal(config.inbox_places, 500);
    assert_int_equal(config.log_level, LOG_LEVEL_ERROR);
    assert_true(config.dev);
    assert_string_equal(config.cert, "/nowhere/tls/server.crt");
    assert_string_equal(config.key, "/nowhere/tls/server.key");
    assert_string_equal(config.ca, "/nowhere/tls/ca.crt");
    assert_string_equal(config.policy, "/nowhere/policy.conf");
    assert_true(config.open_policy);

    assert_int_equal(
        arguments(&config, &action, 4, "--dev", "--set", "ticket_keep_ms=5min", "--set=slots=1025"),
        0);
    assert_int_equal(config.limits.ticket_keep_ms, 300000);
    assert_int_equal(config.slots, 1025);

    /* A policy that is named is never replaced by the open one. */
    assert_int_equal(arguments(&config, &action, 3, "--dev", "--policy", "/nowhere/policy.conf"),
                     0);
    assert_false(config.open_policy);
}

static void test_flags_that_are_refused(void **state)
{
    (void)state;
    struct config config;
    enum config_action action;
    static const struct {
        const char *flag;
        const char *value; /* NULL: only the flag */
        const char *says;
    } rows[] = {
        {"--colour", "red", "--colour: no such flag"},
        {"--data_dir", "x", "--data_dir: no such flag"},
        {"slots", "1", "slots: no such flag"},
        {"-v", NULL, "-v: no such flag"},
        {"--slots", NULL, "--slots: a value is missing"},
        {"--slots", "0", "--slots: \"0\" is not a number from 16"},
        {"--slots=0", NULL, "--slots: \"0\" is not a number from 16"},
        {"--slots", "1024", "slots: must be more than inbox_places"},
        {"--listen", "tcp://127.0.0.1:1", "listen: must begin with tls+tcp://"},
        {"--listen", "tls+tcp://10.0.0.1:1", "listen: with --dev only"},
        {"--listen", "tls+tcp://*:1", "listen: with --dev only"},
        {"--feed-listen", "tcp://127.0.0.1:1", "feed_listen: must begin with tls+tcp://, or be"},
        {"--feed-listen", "tls+tcp://10.0.0.1:1", "feed_listen: with --dev only"},
        {"--feed-listen", "tls+tcp://127.0.0.1:7401", "feed_listen: must not be the same"},
        {"--feed-listen", "None", "feed_listen: must begin with"},
        {"--index-mode", "1", "--index-mode: no such flag"},
        {"--set", "index_mode=1", "--set index_mode=1: is not KEY=VALUE"},
        {"--index", "opensearch", "--index: \"opensearch\" is neither none nor elasticsearch"},
        {"--index", "elasticsearch", "index_nodes: is required with index = elasticsearch"},
        {"--model", "m kind=half", "--model \"m kind=half\": kind: \"half\" is neither"},
        {"--model", "m colour=red", "--model \"m colour=red\": \"colour=red\" is none of kind="},
        {"--model", "m kind", "--model \"m kind\": \"kind\" is none of kind="},
        {"--model", "m kind=whole kind=whole",
         "--model \"m kind=whole kind=whole\": kind: is given"},
        {"--model", "kind=whole", "--model \"kind=whole\": the name is none of a model"},
        {"--model", " ", "--model \" \": the name is none of a model"},
        {"--model", NULL, "--model: a value is missing"},
        {"--feed-url", "tcp://x:1", "feed_url: must begin with"},
        {"--feed-queue-frames", "7", "--feed-queue-frames: \"7\" is not a number from 8 to 8192"},
        {"--waits-per-principal", "0", "--waits-per-principal: \"0\""},
        {"--connections-per-principal", "1025", "connections_per_principal: is above"},
        {"--trust-domain", "spiffe://example.org", "trust_domain: is none"},
        {"--trust-domain", "Example.org", "trust_domain: is none"},
        {"--handshakes-max", "3", "--handshakes-max: \"3\" is not a number from 4"},
        {"--handshake-ms", "99", "--handshake-ms: \"99\" is not a number from 100ms to 1min"},
        {"--connections-per-address", "0", "--connections-per-address: \"0\""},
        {"--connects-per-minute-per-address", "0", "--connects-per-minute-per-address: \"0\""},
        {"--segment-bytes", "2097153", "segment_bytes: must be a multiple"},
        {"--config", "/nonexistent.conf", "/nonexistent.conf: "},
        {"--set", "slots", "--set slots: is not KEY=VALUE"},
        {"--set", "colour=red", "--set colour=red: is not KEY=VALUE"},
        {"--set", "slots=1", "--set slots: \"1\" is not a number"},
        {"--set=slots=1", NULL, "--set slots: \"1\" is not a number"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int outcome = arguments(&config, &action, rows[i].value != NULL ? 3 : 2, "--dev",
                                rows[i].flag, rows[i].value);
        if (outcome == 0 || strncmp(error, rows[i].says, strlen(rows[i].says)) != 0) {
            fail_msg("row %zu says: %s", i, outcome == 0 ? "nothing" : error);
        }
    }
    assert_int_equal(arguments(&config, &action, 0), -1);
    assert_string_equal(error, "data_dir: is required (or --dev, for development)");
    assert_int_equal(arguments(&config, &action, 1, "--version"), 0);
    assert_int_equal(action, CONFIG_VERSION);
}

static void test_flags_of_the_index(void **state)
{
    (void)state;
    struct config config;
    enum config_action action;
    assert_int_equal(load("index = elasticsearch\nindex_nodes = \"http://a:1\"\n"
                          "model m { kind = fragments index = x }\nmodel n { kind = fragments }\n",
                          &config),
                     0);
    if (arguments(&config, &action, 10, "--dev", "--config", path, "--index-gzip", "--index-nodes",
                  "https://b:2 https://c:3", "--model", "m  routing={id}\tkind=whole",
                  "--model=o kind=fragments routing=", "--index-refresh-ms=1s") != 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(config.limits.index_mode, 1);
    assert_true(config.index_gzip);
    assert_int_equal(config.index_refresh_ms, 1000);
    assert_string_equal(config.index_nodes, "https://b:2 https://c:3");
    assert_int_equal(config.model_count, 3);
    const struct config_model *model = model_of(&config, "m"); /* replaced, not mixed */
    assert_false(model->fragments);
    assert_string_equal(model->index, "");
    assert_string_equal(model->routing, "{id}");
    assert_true(model_of(&config, "n")->fragments);
    assert_true(model_of(&config, "o")->fragments);
    assert_true(model_of(&config, "o")->has_routing);

    assert_int_equal(arguments(&config, &action, 5, "--dev", "--config", path, "--index", "none"),
                     0);
    assert_int_equal(config.limits.index_mode, 0);
    assert_int_equal(config.model_count, 2);
}

static void test_keys_of_the_index_together(void **state)
{
    (void)state;
    static const struct {
        const char *one;
        const char *two;
        const char *says; /* NULL: it is good */
    } rows[] = {
        {"--index-cert=c", "--index-gzip", "index_key: is missing"},
        {"--index-key=c", "--index-gzip", "index_cert: is missing"},
        {"--index-key=c", "--index-cert=c", NULL},
        {"--index-user-file=c", "--index-api-key-file=c", "index_api_key_file: does not go with"},
        {"--index-retry-first-ms=2s", "--index-retry-most-ms=1s",
         "index_retry_first_ms: is above index_retry_most_ms"},
        {"--index-retry-first-ms=2s", "--index-item-retry-most-ms=1s",
         "index_retry_first_ms: is above index_item_retry_most_ms"},
        {"--index-retry-first-ms=1s", "--index-retry-most-ms=1s", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config config;
        enum config_action action;
        int outcome = arguments(&config, &action, 5, "--dev", "--index=elasticsearch",
                                "--index-nodes=https://a:1", rows[i].one, rows[i].two);
        if ((outcome == 0) != (rows[i].says == NULL) ||
            (outcome != 0 && strncmp(error, rows[i].says, strlen(rows[i].says)) != 0)) {
            fail_msg("row %zu says: %s", i, outcome == 0 ? "nothing" : error);
        }
        /* They may stay while the index is switched off. */
        assert_int_equal(arguments(&config, &action, 5, "--dev", "--index=none",
                                   "--index-nodes=https://a:1", rows[i].one, rows[i].two),
                         0);
    }
}

static void test_what_subscribers_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *listen;
        const char *url;  /* NULL: not given */
        const char *told; /* NULL: refused */
    } rows[] = {
        {"tls+tcp://10.0.0.1:7402", NULL, "tls+tcp://10.0.0.1:7402"},
        {"tls+tcp://10.0.0.1:7402", "tls+tcp://feed.example:9", "tls+tcp://feed.example:9"},
        {"tls+tcp://*:7402", "tls+tcp://feed.example:9", "tls+tcp://feed.example:9"},
        {"tls+tcp://*:7402", NULL, NULL},
        {"tls+tcp://:7402", NULL, NULL},
        {"tls+tcp://0.0.0.0:7402", NULL, NULL},
        {"tls+tcp://[::]:7402", NULL, NULL},
        {"tls+tcp://[::1]:7402", NULL, "tls+tcp://[::1]:7402"},
        {"none", NULL, ""},
        {"none", "tls+tcp://feed.example:9", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config;
        enum config_action action;
        int outcome =
            arguments(&config, &action, rows[i].url != NULL ? 14 : 12, "--listen",
                      "tls+tcp://*:7401", "--data-dir", "d", "--cert", "c", "--key=k", "--ca=a",
                      "--policy", "p", "--feed-listen", rows[i].listen, "--feed-url", rows[i].url);
        if (outcome != (rows[i].told != NULL ? 0 : -1)) {
            fail_msg("row %zu says: %s", i, outcome == 0 ? config.feed_url : error);
        }
        if (rows[i].told != NULL) {
            assert_string_equal(config.feed_url, rows[i].told);
            assert_int_equal(config_has_feed(&config), rows[i].told[0] != '\0');
        } else {
            assert_memory_equal(error, "feed_url: is ", 13);
        }
    }
}

static void test_loopback(void **state)
{
    (void)state;
    static const char *const yes[] = {"tls+tcp://127.0.0.1:7401", "tls+tcp://127.8.9.10:1",
                                      "tls+tcp://[::1]:7401", "tls+tcp://localhost:7401"};
    static const char *const no[] = {"tls+tcp://0.0.0.0:7401",
                                     "tls+tcp://:7401",
                                     "tls+tcp://*:7401",
                                     "tls+tcp://127.0.0.1.example.org:1",
                                     "tls+tcp://127.example.org:1",
                                     "tls+tcp://localhost.example.org:1",
                                     "tls+tcp://[::]:1",
                                     "tls+tcp://127.0.0.1",
                                     "tcp://127.0.0.1:1"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(config_is_loopback(yes[i]));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_false(config_is_loopback(no[i]));
    }
}

static void test_help_names_every_key(void **state)
{
    (void)state;
    static char text[32 * 1024];
    FILE *to = fmemopen(text, sizeof text, "w");
    assert_non_null(to);
    config_print_help(to);
    assert_int_equal(fclose(to), 0);
    assert_non_null(strstr(text, "--data-dir "));
    assert_non_null(strstr(text, "--request-id-least-ms "));
    assert_non_null(strstr(text, "[24h]"));
    assert_non_null(strstr(text, "[8GiB]"));
    assert_non_null(strstr(text, "--check-config"));
    assert_non_null(strstr(text, "--index-request-bytes "));
    assert_non_null(strstr(text, "--model "));
    assert_null(strstr(text, "--index-mode"));
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
        cmocka_unit_test(test_standards),
        cmocka_unit_test(test_values_and_suffixes),
        cmocka_unit_test(test_errors_name_line_key_and_rule),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_remarks_of_the_example),
        cmocka_unit_test(test_models_of_the_file),
        cmocka_unit_test(test_so_many_models),
        cmocka_unit_test(test_flags_win_over_the_file),
        cmocka_unit_test(test_flags_that_are_refused),
        cmocka_unit_test(test_flags_of_the_index),
        cmocka_unit_test(test_keys_of_the_index_together),
        cmocka_unit_test(test_what_subscribers_are_told),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_help_names_every_key),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
