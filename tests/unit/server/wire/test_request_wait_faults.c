/* The same for long polls: each breach of a rule is told with the field's path, the rule, what was
 * found and the way out. */
#include "tests/unit/server/wire/faults.h"

static void nothing(void)
{
    payload_start(&payload);
}
static void wait_with(uint64_t job_id)
{
    payload_start(&payload);
    put_number(&payload, 1, job_id);
}
static void wait_percent(void)
{
    wait_with(1);
    put_number(&payload, 2, 101);
}
static void wait_long(void)
{
    wait_with(1);
    put_number(&payload, 4, LIMIT_WAIT_MS + 1);
}
static void wait_job_a_text(void)
{
    payload_start(&payload);
    put_text(&payload, 1, "7");
}
static void visible_nothing(void)
{
    payload_start(&payload);
    put_fixed64(&payload, 1, 0);
}
static void visible_both(void)
{
    payload_start(&payload);
    put_fixed64(&payload, 1, 5);
    put_number(&payload, 2, 6);
}
static void visible_with(uint32_t number, uint64_t value)
{
    payload_start(&payload);
    put_fixed64(&payload, 1, 5);
    put_number(&payload, number, value);
}
static void visible_stage(void)
{
    visible_with(3, 4);
}
static void visible_long(void)
{
    visible_with(4, UINT32_MAX);
}
static void visible_ticket_a_varint(void)
{
    visible_with(1, 5);
}

static void read_kinds_many(void)
{
    payload_start(&payload);
    put_filled(&payload, 2, 1, 9); /* packed */
}
static void read_kind_zero(void)
{
    payload_start(&payload);
    put_number(&payload, 2, 4);
    put_number(&payload, 2, 0);
}
static void read_kind_unknown(void)
{
    payload_start(&payload);
    put_number(&payload, 2, 5);
}
static void read_kind_negative(void)
{
    payload_start(&payload);
    put_number(&payload, 2, UINT64_MAX);
}
static void read_texts(uint32_t number, size_t count, size_t length)
{
    payload_start(&payload);
    for (size_t i = 0; i < count; i++) {
        put_filled(&payload, number, 'm', length);
    }
}
static void read_models_many(void)
{
    read_texts(3, LIMIT_READ_MODELS + 1, 1);
}
static void read_model_long(void)
{
    read_texts(3, 2, LIMIT_MODEL_LENGTH + 1);
}
static void read_model_of_index(void)
{
    payload_start(&payload);
    put_text(&payload, 3, "asset");
    put_text(&payload, 3, "es:mediacontainer");
}
static void read_model_only_prefix(void)
{
    payload_start(&payload);
    put_text(&payload, 3, "es:");
}
static void read_model_form(void)
{
    payload_start(&payload);
    put_text(&payload, 3, "es");
    put_text(&payload, 3, "e:s");
}
static void read_documents_many(void)
{
    read_texts(4, LIMIT_READ_DOCUMENT_IDS + 1, 1);
}
static void read_document_empty(void)
{
    read_texts(4, 1, 0);
}
static void read_document_long(void)
{
    read_texts(4, 1, LIMIT_DOCUMENT_ID_LENGTH + 1);
}
static void read_document_control(void)
{
    payload_start(&payload);
    put_text(&payload, 4, "1");
    put_text(&payload, 4, "a\x7f\xc2\x85");
}
static void read_documents_large(void)
{
    read_texts(4, LIMIT_READ_DOCUMENTS_BYTES / LIMIT_DOCUMENT_ID_LENGTH, LIMIT_DOCUMENT_ID_LENGTH);
    put_text(&payload, 4, "1");
}
static void read_jobs_many(void)
{
    payload_start(&payload);
    put_filled(&payload, 5, 1, LIMIT_READ_JOB_IDS + 1);
}
static void read_wait_long(void)
{
    payload_start(&payload);
    put_number(&payload, 6, LIMIT_WAIT_MS + 1);
}
static void read_page_large(void)
{
    payload_start(&payload);
    put_number(&payload, 7, LIMIT_PAGE_SIZE + 1);
}
static void read_all_for_a_user(void)
{
    payload_start(&payload);
    put_number(&payload, 8, 1);
}
static void read_cursor_cut(void)
{
    payload_start(&payload);
    put_text(&payload, 1, "\x09\x01");
}
static void read_cursor_a_number(void)
{
    payload_start(&payload);
    put_number(&payload, 1, 1);
}
static void read_epoch_a_varint(void)
{
    payload_start(&payload);
    put_text(&payload, 1, "\x08\x01");
}
static void read_subscription_a_varint(void)
{
    payload_start(&payload);
    put_number(&payload, 9, 1);
}

static const struct fault faults[] = {
    {"no job", METHOD_WAIT_ACTIVITY, nothing, "job_id", "is required"},
    {"wait for 101", METHOD_WAIT_ACTIVITY, wait_percent, "percent", "0 for 100, found 101"},
    {"wait long", METHOD_WAIT_ACTIVITY, wait_long, "wait_ms", "at most 30000, found 30001"},
    {"job a text", METHOD_WAIT_ACTIVITY, wait_job_a_text, NULL, "no message"},
    {"no ticket", METHOD_WAIT_VISIBLE, visible_nothing, "ticket", "found neither"},
    {"ticket and job", METHOD_WAIT_VISIBLE, visible_both, "job_id", "beside ticket"},
    {"unknown stage", METHOD_WAIT_VISIBLE, visible_stage, "stage", "0 to 3, found 4"},
    {"wait very long", METHOD_WAIT_VISIBLE, visible_long, "wait_ms", "found 4294967295"},
    {"ticket a varint", METHOD_WAIT_VISIBLE, visible_ticket_a_varint, NULL, "no message"},
    {"nine kinds", METHOD_READ_CHANGES, read_kinds_many, "kinds", "at most 8, found 9"},
    {"kind 0", METHOD_READ_CHANGES, read_kind_zero, "kinds[1]", "1 to 4, found 0"},
    {"unknown kind", METHOD_READ_CHANGES, read_kind_unknown, "kinds[0]", "found 5"},
    {"kind -1", METHOD_READ_CHANGES, read_kind_negative, "kinds[0]", "found 18446744073709551615"},
    {"17 models", METHOD_READ_CHANGES, read_models_many, "models", "at most 16, found 17"},
    {"long model", METHOD_READ_CHANGES, read_model_long, "models[0]", "found 65"},
    {"model of the index", METHOD_READ_CHANGES, read_model_of_index, "models[1]",
     "kinds = INDEX_CHANGED"},
    {"prefix alone", METHOD_READ_CHANGES, read_model_only_prefix, "models[0]", "es:"},
    {"no model", METHOD_READ_CHANGES, read_model_form, "models[1]", "':' at position 1"},
    {"257 documents", METHOD_READ_CHANGES, read_documents_many, "document_ids",
     "at most 256, found 257"},
    {"empty document", METHOD_READ_CHANGES, read_document_empty, "document_ids[0]", "is required"},
    {"long document", METHOD_READ_CHANGES, read_document_long, "document_ids[0]", "found 513"},
    {"C1 in a document", METHOD_READ_CHANGES, read_document_control, "document_ids[1]",
     "at position 2"},
    {"large documents", METHOD_READ_CHANGES, read_documents_large, "document_ids",
     "at most 16384 bytes in all, found 16385"},
    {"257 jobs", METHOD_READ_CHANGES, read_jobs_many, "job_ids", "at most 256, found 257"},
    {"read long", METHOD_READ_CHANGES, read_wait_long, "wait_ms", "at most 30000, found 30001"},
    {"large page", METHOD_READ_CHANGES, read_page_large, "page_size", "found 1001"},
    {"all tenants for alice", METHOD_READ_CHANGES, read_all_for_a_user, "all_tenants",
     "on behalf of a user"},
    {"cut cursor", METHOD_READ_CHANGES, read_cursor_cut, NULL, "no message"},
    {"cursor a number", METHOD_READ_CHANGES, read_cursor_a_number, NULL, "no message"},
    {"epoch a varint", METHOD_READ_CHANGES, read_epoch_a_varint, NULL, "no message"},
    {"subscription a varint", METHOD_READ_CHANGES, read_subscription_a_varint, NULL, "no message"},
};

static void each_fault_is_told(void **state)
{
    (void)state;
    assert_told(faults, sizeof faults / sizeof faults[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_fault_is_told)};
    return cmocka_run_group_tests(tests, make_scratch, free_scratch);
}
