/* Changes at the border: whole documents and fragments, by the kinds of their models. */
#include "tests/unit/server/wire/payload.h"

#include "activity/v1/change_service.pb-c.h"

static uint8_t request_bytes[8192];
static struct request_scratch *scratch;
static struct decoded decoded;
static const struct model_kind models[] = {{"orders", true}, {"products", false}};
static struct model_kinds kinds = {models, 2, false};

static int open_scratch(void **state)
{
    (void)state;
    scratch = request_scratch_new();
    kinds.written = false;
    request_scratch_set_kinds(scratch, &kinds);
    return scratch == NULL ? -1 : 0;
}

static int close_scratch(void **state)
{
    (void)state;
    request_scratch_free(scratch);
    return 0;
}

struct change {
    const char *model;
    const char *id;
    const char *json;
    const char *merge_patch;
    bool deleted;
};

static ProtobufCBinaryData data_of(const char *text)
{
    return (ProtobufCBinaryData){text == NULL ? 0 : strlen(text), (uint8_t *)(uintptr_t)text};
}

/* The change stands behind another one, which is good. */
static int decode(const struct change *change, bool urgent)
{
    Activity__V1__RecordModelChangesRequest request =
        ACTIVITY__V1__RECORD_MODEL_CHANGES_REQUEST__INIT;
    Activity__V1__DocumentChange first = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    Activity__V1__DocumentChange second = ACTIVITY__V1__DOCUMENT_CHANGE__INIT;
    Activity__V1__DocumentChange *changes[] = {&first, &second};
    uint8_t id[16] = {1};
    struct command_caller caller = test_caller();
    first.model = "products";
    first.document_id = "first";
    first.affected_model = "Product";
    first.json = data_of("{}");
    second.model = (char *)(uintptr_t)change->model;
    second.document_id = (char *)(uintptr_t)change->id;
    second.affected_model = "Something";
    second.json = data_of(change->json);
    second.merge_patch = data_of(change->merge_patch);
    second.deleted = change->deleted;
    request.request_id = (ProtobufCBinaryData){16, id};
    request.n_changes = 2;
    request.changes = changes;
    request.urgent = urgent;
    size_t length = activity__v1__record_model_changes_request__pack(&request, request_bytes);
    assert_in_range(length, 1, sizeof request_bytes);
    decode_for(scratch, METHOD_RECORD_MODEL_CHANGES, &caller, (struct view){request_bytes, length},
               &decoded);
    return decoded.outcome;
}

static struct command_change second_change(void)
{
    struct reader reader = reader_of(decoded.command.record.changes);
    struct command_change change;
    assert_true(command_change_next(&reader, &change));
    assert_true(command_change_next(&reader, &change));
    return change;
}

static void assert_refused(const struct change *change, const char *field, const char *rule)
{
    assert_int_equal(decode(change, false), 1);
    assert_string_equal(decoded.error.field, field);
    if (strstr(decoded.error.rule, rule) == NULL) {
        fail_msg("%s", decoded.error.rule);
    }
}

static void a_change_is_of_its_models_kind(void **state)
{
    (void)state;
    const struct change whole = {"products", "1", "{\"a\":1}", NULL, false};
    assert_int_equal(decode(&whole, false), 0);
    assert_false(second_change().fragment || second_change().urgent);
    assert_int_equal(second_change().json.length, 7);
    const struct change unlisted = {"assets", "1", "{\"a\":1}", NULL, false};
    assert_int_equal(decode(&unlisted, false), 0);
    assert_false(second_change().fragment);
    const struct change patch = {"orders", "1", NULL, "{\"a\":null}", false};
    assert_int_equal(decode(&patch, false), 0);
    assert_true(second_change().fragment);
    assert_memory_equal(second_change().json.at, "{\"a\":null}", 10);
    const struct change deleted = {"orders", "1", NULL, NULL, true};
    assert_int_equal(decode(&deleted, false), 0);
    assert_true(second_change().fragment && second_change().deleted);
}

static void the_other_kind_is_refused(void **state)
{
    (void)state;
    const struct change whole = {"orders", "a-1", "{\"a\":1}", NULL, false};
    assert_refused(&whole, "changes[1].json", "document \"a-1\" of orders; send merge_patch");
    const struct change patch = {"products", "a-1", NULL, "{\"a\":1}", false};
    assert_refused(&patch, "changes[1].merge_patch", "document \"a-1\" of products; send json");
    const struct change both = {"products", "a-1", "{}", "{}", false};
    assert_refused(&both, "changes[1].merge_patch", "send json");
    request_scratch_set_kinds(scratch, NULL); /* all are whole */
    const struct change unknown = {"orders", "a-1", NULL, "{\"a\":1}", false};
    assert_refused(&unknown, "changes[1].merge_patch", "send json");
}

static void urgent_is_of_the_whole_request(void **state)
{
    (void)state;
    const struct change change = {"products", "1", "{\"a\":1}", NULL, false};
    assert_int_equal(decode(&change, true), 0);
    struct reader reader = reader_of(decoded.command.record.changes);
    struct command_change each;
    while (command_change_next(&reader, &each)) {
        assert_true(each.urgent);
    }
}

static void with_an_index_there_must_be_something_to_write(void **state)
{
    (void)state;
    const struct change empty = {"products", "1", NULL, NULL, false};
    const struct change empty_patch = {"orders", "1", NULL, NULL, false};
    const struct change deleted = {"products", "1", NULL, NULL, true};
    assert_int_equal(decode(&empty, false), 0);
    kinds.written = true;
    assert_refused(&empty, "changes[1].json", "is required");
    assert_refused(&empty_patch, "changes[1].merge_patch", "is required");
    assert_int_equal(decode(&deleted, false), 0);
}

static void errors_name_document_and_position(void **state)
{
    (void)state;
    const struct change broken = {"products", "a-1", "{\"a\":1,}", NULL, false};
    assert_refused(&broken, "changes[1].json", "at position 8 in document \"a-1\" of products");
    const struct change twice = {"orders", "a-1", NULL, "{\"a\":1,\"\\u0061\":2}", false};
    assert_refused(&twice, "changes[1].merge_patch", "duplicate");
    const struct change marked = {"orders", "a-1", NULL, "{}", true};
    assert_refused(&marked, "changes[1].merge_patch", "beside deleted");
    /* A long id is shown in part, whole characters of it. */
    char id[LIMIT_DOCUMENT_ID_LENGTH + 1];
    memset(id, 'x', sizeof id - 1);
    memcpy(id + 63, "\xc3\xa4", 2);
    id[LIMIT_DOCUMENT_ID_LENGTH] = '\0';
    const struct change long_one = {"products", id, "[]", NULL, false};
    assert_refused(&long_one, "changes[1].json", "xxx...\" of products");
}

int main(void)
{
#define SCRATCH_TEST(test) cmocka_unit_test_setup_teardown(test, open_scratch, close_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_change_is_of_its_models_kind),
        SCRATCH_TEST(the_other_kind_is_refused),
        SCRATCH_TEST(urgent_is_of_the_whole_request),
        SCRATCH_TEST(with_an_index_there_must_be_something_to_write),
        SCRATCH_TEST(errors_name_document_and_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
