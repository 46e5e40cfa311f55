/* The lines of a bulk request, byte by byte. */
#include "tests/unit/server/index/batches.h"

#include <jansson.h>

#include "server/index/bulk.h"
#include "server/index/script.h"

static const struct targets standard = {.index = "{tenant}-{model}"};

/* Also checks that measuring says the same, and that no byte less is enough. */
static void assert_item(const struct targets *targets, const struct index_batch *batch,
                        uint32_t document, const char *wanted)
{
    struct reason why;
    struct writer measure = writer_of(NULL, 0);
    assert_int_equal(bulk_put(targets, batch, document, &measure, &why), 0);
    size_t length = strlen(wanted);
    char *exact = malloc(length);
    assert_non_null(exact);
    struct writer to = writer_of(exact, length);
    assert_int_equal(bulk_put(targets, batch, document, &to, &why), 0);
    assert_int_equal(to.wanted, length);
    assert_false(to.failed);
    assert_memory_equal(exact, wanted, length);
    assert_int_equal(measure.wanted, length);
    struct writer less = writer_of(exact, length - 1);
    assert_int_equal(bulk_put(targets, batch, document, &less, &why), 0);
    assert_true(less.failed);
    free(exact);
}

static void whole_documents(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(1);
    put_whole(batch, "p1", 9223372036854775807u, "{\"n\":1}");
    put_whole(batch, "p2", 5, NULL);
    assert_item(&standard, batch, 0,
                "{\"index\":{\"_index\":\"acme-products\",\"_id\":\"p1\",\"version\":"
                "9223372036854775807,\"version_type\":\"external\"}}\n{\"n\":1}\n");
    assert_item(&standard, batch, 1,
                "{\"delete\":{\"_index\":\"acme-products\",\"_id\":\"p2\",\"version\":5,"
                "\"version_type\":\"external\"}}\n");
    index_batch_free(batch);
}

static void fragments_are_one_item(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(1);
    put_document(batch, "orders", "o1", TAKE_FRAGMENTS);
    put_change(batch, 7, "{\"a\":null}");
    put_change(batch, 8, NULL);
    put_change(batch, 9, "{\"b\":\n{}}");
    assert_item(&standard, batch, 0,
                "{\"update\":{\"_index\":\"acme-orders\",\"_id\":\"o1\",\"retry_on_conflict\":3}}\n"
                "{\"scripted_upsert\":true,\"upsert\":{},\"_source\":[\"" INDEX_FIELD_SEQUENCE
                "\"],\"script\":{\"id\":\"" INDEX_SCRIPT_NAME "\",\"params\":{\"list\":["
                "{\"seq\":7,\"patch\":{\"a\":null}},{\"seq\":8,\"deleted\":true},"
                "{\"seq\":9,\"patch\":{\"b\": {}}}]}}}\n");
    index_batch_free(batch);
}

static void routing_is_in_the_item(void **state)
{
    (void)state;
    struct targets targets = {.index = "docs", .routing = "{tenant}\"{id}"};
    struct index_batch *batch = open_batch(1);
    put_whole(batch, "p\\", 1, NULL);
    assert_item(&targets, batch, 0,
                "{\"delete\":{\"_index\":\"docs\",\"_id\":\"p\\\\\",\"routing\":"
                "\"acme\\\"p\\\\\",\"version\":1,\"version_type\":\"external\"}}\n");
    index_batch_free(batch);
}

/* An item ends with a line, so a document must be one. */
static void line_breaks_become_blanks(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(1);
    put_whole(batch, "p", 1, "\n{\r\n  \"n\": \"\\n\"\n\n}\n");
    assert_item(&standard, batch, 0,
                "{\"index\":{\"_index\":\"acme-products\",\"_id\":\"p\",\"version\":1,"
                "\"version_type\":\"external\"}}\n {\r   \"n\": \"\\n\"  } \n");
    index_batch_free(batch);
}

/* Judged by another JSON library: any id of any characters comes back as it was. */
static void ids_are_escaped(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x10ffff; c += c < 0x300 ? 1 : 0x3fd) {
        if (c >= 0xd800 && c < 0xe000) {
            continue;
        }
        uint8_t id[8] = {'<'};
        size_t length = 1;
        if (c < 0x80) {
            id[length++] = (uint8_t)c;
        } else if (c < 0x800) {
            id[length++] = (uint8_t)(0xc0 | c >> 6);
            id[length++] = (uint8_t)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
            id[length++] = (uint8_t)(0xe0 | c >> 12);
            id[length++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            id[length++] = (uint8_t)(0x80 | (c & 0x3f));
        } else {
            id[length++] = (uint8_t)(0xf0 | c >> 18);
            id[length++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
            id[length++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            id[length++] = (uint8_t)(0x80 | (c & 0x3f));
        }
        id[length++] = '>';
        char quoted[64];
        struct writer to = writer_of(quoted, sizeof quoted);
        bulk_put_string(bytes_of(id, length), &to);
        assert_false(to.failed);
        json_error_t error;
        json_t *read = json_loadb(quoted, to.wanted, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert_non_null(read);
        assert_int_equal(json_string_length(read), length);
        assert_memory_equal(json_string_value(read), id, length);
        json_decref(read);
    }
}

/* Such changes come from a time without an index; the border refuses them with one. */
static void without_json_there_is_nothing_to_write(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(1);
    struct reason why;
    struct writer to = writer_of(NULL, 0);
    put_whole(batch, "p1", 5, "");
    assert_int_equal(bulk_put(&standard, batch, 0, &to, &why), 1);
    assert_string_equal(why.code, "no_document");
    put_document(batch, "orders", "o1", TAKE_FRAGMENTS);
    put_change(batch, 7, "");
    assert_item(&standard, batch, 1,
                "{\"update\":{\"_index\":\"acme-orders\",\"_id\":\"o1\",\"retry_on_conflict\":3}}\n"
                "{\"scripted_upsert\":true,\"upsert\":{},\"_source\":[\"" INDEX_FIELD_SEQUENCE
                "\"],\"script\":{\"id\":\"" INDEX_SCRIPT_NAME "\",\"params\":{\"list\":["
                "{\"seq\":7,\"patch\":{}}]}}}\n");
    index_batch_free(batch);
}

static void without_an_index_there_is_a_reason(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(1);
    put_document(batch, "Upper", "p", TAKE_WHOLE);
    put_change(batch, 1, NULL);
    struct reason why;
    struct writer to = writer_of(NULL, 0);
    assert_int_equal(bulk_put(&standard, batch, 0, &to, &why), 1);
    assert_string_equal(why.code, "index_name");
    assert_non_null(strstr(why.message, "acme-Upper"));
    index_batch_free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_documents),
        cmocka_unit_test(fragments_are_one_item),
        cmocka_unit_test(routing_is_in_the_item),
        cmocka_unit_test(line_breaks_become_blanks),
        cmocka_unit_test(ids_are_escaped),
        cmocka_unit_test(without_json_there_is_nothing_to_write),
        cmocka_unit_test(without_an_index_there_is_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
