/* What is refused before a connection is tried; how requests go is tested in tests/e2e. */
#include "tests/unit/server/index/batches.h"

#include <unistd.h>

#include "server/index/gzip.h"
#include "server/index/transport.h"

static uint64_t no_time(void *context)
{
    (void)context;
    return 0;
}

static struct transport_options options_for(const char *const *nodes)
{
    return (struct transport_options){.nodes = nodes,
                                      .node_count = 1,
                                      .connect_ms = 100,
                                      .answer_ms = 100,
                                      .reply_bytes_max = 100,
                                      .requests_max = 2,
                                      .now_ms = no_time};
}

static void assert_refused(const struct transport_options *options, const char *said)
{
    char error[512] = "";
    assert_null(transport_new(options, error, sizeof error));
    if (strstr(error, said) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error, said);
    }
}

static void nodes(void **state)
{
    (void)state;
    static const struct {
        const char *node;
        const char *said; /* NULL: it is good */
    } rows[] = {{"http://127.0.0.1:9200", NULL},
                {"https://index.example:9200", NULL},
                {"https://[::1]:9200", NULL},
                {"http://index.example:9200", NULL},
                {"index.example:9200", "neither https"},
                {"ftp://index.example", "neither https"},
                {"https://", "host and a port"},
                {"https://user@index.example", "without user"},
                {"https://index.example/", "without user"},
                {"https://index.example?x", "without user"},
                {"https://index.example:92000", "port"},
                {"https://index.example:search", "port"},
                {"https://[::1:9200", "no URL"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct transport_options options = options_for(&rows[i].node);
        if (rows[i].said != NULL) {
            assert_refused(&options, rows[i].said);
            continue;
        }
        char error[512];
        struct transport *transport = transport_new(&options, error, sizeof error);
        assert_non_null(transport);
        assert_int_equal(transport_places(transport), 2);
        transport_free(transport);
    }
    transport_free(NULL);
}

static void security(void **state)
{
    (void)state;
    static const char *const plain[] = {"http://index.example:9200"};
    static const char *const secure[] = {"https://index.example:9200"};
    struct transport_options options = options_for(plain);
    options.basic_file = "/dev/null";
    assert_refused(&options, "in clear");
    options.basic_file = NULL;
    options.api_key_file = "/dev/null";
    assert_refused(&options, "in clear");
    options = options_for(secure);
    options.api_key_file = "/dev/null";
    assert_refused(&options, "first line");
    options.basic_file = "/dev/null";
    assert_refused(&options, "not both");
    options = options_for(secure);
    options.cert = "/dev/null";
    assert_refused(&options, "belong together");
    options.key = "/nowhere";
    assert_refused(&options, "cannot read /nowhere");
    options.nodes = plain;
    assert_refused(&options, "no client certificate");
    options = options_for(secure);
    options.ca = "/nowhere";
    assert_refused(&options, "cannot read /nowhere");
    options.node_count = 0;
    assert_refused(&options, "1 to 16");
}

static void nodes_of_this_machine(void **state)
{
    (void)state;
    static const char *const local[] = {"http://127.0.0.1:9200", "http://127.8.9.10",
                                        "http://[::1]:9200",     "http://[::1]",
                                        "http://localhost:9200", "https://localhost"};
    static const char *const others[] = {"http://127.0.0.1.example.org:9200",
                                         "http://127.example.org",
                                         "http://localhost.example.org:9200",
                                         "http://localhosts",
                                         "http://[::2]:9200",
                                         "http://[::1",
                                         "http://10.0.0.1:127",
                                         "127.0.0.1:9200",
                                         "http://127.1",
                                         "http://"};
    char file[] = "/tmp/activityd-user-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "me:secret\n", 10), 10);
    assert_int_equal(close(fd), 0);
    for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
        char error[512];
        assert_true(transport_is_local(local[i]));
        struct transport_options options = options_for(&local[i]);
        options.basic_file = file;
        struct transport *transport = transport_new(&options, error, sizeof error);
        assert_non_null(transport);
        transport_free(transport);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char error[512];
        assert_false(transport_is_local(others[i]));
        struct transport_options options = options_for(&others[i]);
        options.basic_file = file;
        assert_null(transport_new(&options, error, sizeof error));
    }
    assert_int_equal(unlink(file), 0);
}

static void bodies_become_smaller(void **state)
{
    (void)state;
    static char body[100000];
    uint32_t length = 0;
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = "{\"name\":\"value\"},"[i % 17];
    }
    uint8_t *packed = gzip_body(bytes_of(body, sizeof body), &length);
    assert_non_null(packed);
    assert_in_range(length, 50, sizeof body / 20);
    static const uint8_t magic[] = {0x1f, 0x8b, 8};
    assert_memory_equal(packed, magic, sizeof magic);
    free(packed);
    /* What would grow is left as it is. */
    assert_null(gzip_body(bytes_of("abc", 3), &length));
    assert_null(gzip_body(bytes_of("", 0), &length));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes),
        cmocka_unit_test(security),
        cmocka_unit_test(nodes_of_this_machine),
        cmocka_unit_test(bodies_become_smaller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
