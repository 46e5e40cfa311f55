/* What a TAKE gave, copied. */
#include "tests/unit/server/index/batches.h"

static void a_take_is_copied(void **state)
{
    (void)state;
    uint8_t documents[512];
    struct writer to = writer_of(documents, sizeof documents);
    static const char json[] = "{\"n\":1}";
    for (uint32_t i = 0; i < 2; i++) {
        writer_text(&to, text("acme"));
        writer_text(&to, text(i == 0 ? "products" : "orders"));
        writer_text(&to, text(i == 0 ? "p1" : "o1"));
        writer_u8(&to, i == 0 ? TAKE_WHOLE : TAKE_FRAGMENTS);
        writer_u8(&to, (uint8_t)(7 * i));
        writer_u32(&to, i + 1);
        for (uint32_t j = 0; j <= i; j++) {
            writer_u64(&to, 100 + 10 * i + j);
            writer_u8(&to, j == 1);
            writer_u64(&to, 5);
            writer_u32(&to, j == 1 ? 0 : sizeof json - 1);
            writer_put(&to, json, j == 1 ? 0 : sizeof json - 1);
        }
    }
    assert_false(to.failed);
    struct reply_take take = {.batch = 7,
                              .sent_ms = 99,
                              .changes = 5,
                              .document_count = 2,
                              .documents = bytes_of(documents, to.wanted)};
    struct index_batch *batch = index_batch_from_take(&take);
    assert_non_null(batch);
    memset(documents, 0xff, sizeof documents);
    assert_int_equal(batch->number, 7);
    assert_int_equal(batch->sent_ms, 99);
    assert_int_equal(batch->document_count, 2);
    assert_int_equal(batch->change_count, 3);
    const struct index_document *order = &batch->documents[1];
    assert_true(bytes_equal(order->tenant, text("acme")));
    assert_true(bytes_equal(order->model, text("orders")));
    assert_true(bytes_equal(order->id, text("o1")));
    assert_int_equal(order->kind, TAKE_FRAGMENTS);
    assert_int_equal(order->rests, 7);
    assert_int_equal(order->first_change, 1);
    assert_int_equal(order->change_count, 2);
    assert_true(bytes_equal(batch->changes[1].json, text(json)));
    assert_int_equal(batch->changes[1].version, 110);
    assert_int_equal(index_batch_last_change(batch, 0)->version, 100);
    assert_int_equal(index_batch_last_change(batch, 1)->version, 111);
    assert_true(index_batch_last_change(batch, 1)->deleted);
    index_batch_free(batch);
    index_batch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_take_is_copied)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
