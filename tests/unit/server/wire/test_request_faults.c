/* Each breach of a rule at the border is told with the field's path, the rule, what was found and
 * the way out. */
#include "tests/unit/server/wire/faults.h"

#include "proto/batch.h"

static void create_with(uint32_t number, const char *text)
{
    payload_start(&payload);
    put_request_id(&payload, 1);
    put_text(&payload, 2, "upload");
    put_text(&payload, number, text);
}

static void id_absent(void)
{
    payload_start(&payload);
    put_text(&payload, 2, "upload");
}
static void id_short(void)
{
    create_with(1, "0123456789");
}
static void id_zero(void)
{
    payload_start(&payload);
    put_filled(&payload, 1, 0, 16);
    put_text(&payload, 2, "upload");
}
static void type_absent(void)
{
    payload_start(&payload);
    put_request_id(&payload, 1);
}
static void type_digit_first(void)
{
    create_with(2, "9upload");
}
static void type_with_slash(void)
{
    create_with(2, "up/load");
}
static void type_long(void)
{
    payload_start(&payload);
    put_request_id(&payload, 1);
    put_filled(&payload, 2, 'a', 65);
}
static void title_long(void)
{
    create_with(2, "upload");
    put_filled(&payload, 3, 'a', 257);
}
static void title_nul(void)
{
    create_with(2, "upload");
    put_filled(&payload, 3, 0, 1);
}
static void title_escape(void)
{
    create_with(3, "red \x1b[31m");
}
static void title_c1(void)
{
    create_with(3, "ab\xc2\x9b");
}
static void title_latin1(void)
{
    create_with(3, "M\xfcller");
}
static void title_cut(void)
{
    create_with(3, "M\xc3");
}
static void groups_nine(void)
{
    create_with(4, "g0");
    for (char name[] = "g1"; name[1] <= '8'; name[1]++) {
        put_text(&payload, 4, name);
    }
}
static void group_empty(void)
{
    create_with(4, "a");
    put_text(&payload, 4, "");
}
static void group_long(void)
{
    create_with(4, "a");
    put_filled(&payload, 4, 'g', 65);
}
static void group_twice(void)
{
    create_with(4, "a");
    put_text(&payload, 4, "b");
    put_text(&payload, 4, "a");
}
static void group_everybody(void)
{
    create_with(4, "*");
}
static void attribute(const char *name, size_t value_length)
{
    payload_start(&inner);
    put_text(&inner, 1, name);
    put_filled(&inner, 2, 'v', value_length);
    put_message(&payload, 5, &inner);
}
static void attributes_seventeen(void)
{
    create_with(2, "upload");
    for (char name[] = "a"; name[0] <= 'q'; name[0]++) {
        attribute(name, 1);
    }
}
static void attributes_large(void)
{
    create_with(2, "upload");
    for (char name[] = "a"; name[0] <= 'd'; name[0]++) {
        attribute(name, 1024);
    }
}
static void attribute_nameless(void)
{
    create_with(2, "upload");
    attribute("ok", 1);
    attribute("", 1);
}
static void attribute_bad_name(void)
{
    create_with(2, "upload");
    attribute("a b", 1);
}
static void attribute_long_value(void)
{
    create_with(2, "upload");
    attribute("a", 1025);
}
static void attribute_twice(void)
{
    create_with(2, "upload");
    attribute("a", 1);
    attribute("a", 2);
}
static void attribute_no_message(void)
{
    create_with(5, "\x0a\x7f");
}
static void title_a_number(void)
{
    create_with(2, "upload");
    put_number(&payload, 3, 5);
}

static void update_with(uint64_t job_id)
{
    payload_start(&payload);
    put_number(&payload, 1, job_id);
}
static void job_id_absent(void)
{
    payload_start(&payload);
}
static void percent_above(void)
{
    update_with(1);
    put_number(&payload, 2, 101);
}
static void percent_negative(void)
{
    update_with(1);
    put_number(&payload, 2, UINT64_MAX); /* -1 as int32 */
}
static void status_text_long(void)
{
    update_with(1);
    put_filled(&payload, 3, 'a', 513);
}
static void status_text_newline(void)
{
    update_with(1);
    put_text(&payload, 3, "two\nlines");
}
static void result_of(const struct payload *result, bool complete)
{
    update_with(1);
    if (complete) {
        put_number(&payload, 2, 100);
    }
    put_message(&payload, 4, result);
}
static void result_without_percent(void)
{
    payload_start(&inner);
    result_of(&inner, false);
}
static void result_with_99(void)
{
    payload_start(&inner);
    result_of(&inner, false);
    put_number(&payload, 2, 99);
}
static void failure_with(const char *code, size_t message_length)
{
    payload_start(&inner);
    put_text(&inner, 1, code);
    put_filled(&inner, 2, 'm', message_length);
    put_message(&payload, 5, &inner);
}
static void failure_and_result(void)
{
    payload_start(&inner);
    result_of(&inner, true);
    failure_with("NO", 1);
}
static void failure_and_100(void)
{
    update_with(1);
    put_number(&payload, 2, 100);
    failure_with("NO", 1);
}
static void failure_without_code(void)
{
    update_with(1);
    failure_with("", 1);
}
static void failure_long_message(void)
{
    update_with(1);
    failure_with("NO", 1025);
}
static void item_with(const char *id, const char *code, size_t message_length)
{
    payload_start(&innermost);
    put_text(&innermost, 1, id);
    put_text(&innermost, 2, code);
    put_filled(&innermost, 3, 'm', message_length);
    put_message(&inner, 1, &innermost);
}
static void item_without_id(void)
{
    payload_start(&inner);
    item_with("a", "", 0);
    item_with("", "", 0);
    result_of(&inner, true);
}
static void item_message_without_code(void)
{
    payload_start(&inner);
    item_with("a", "", 3);
    result_of(&inner, true);
}
static void item_long_message(void)
{
    payload_start(&inner);
    item_with("a", "X", 1025);
    result_of(&inner, true);
}
static void items_too_many(void)
{
    payload_start(&inner);
    for (uint32_t i = 0; i <= LIMIT_RESULT_ITEMS; i++) {
        item_with("a", "", 0);
    }
    result_of(&inner, true);
}
static void content_without_type(void)
{
    payload_start(&inner);
    put_text(&inner, 2, "bytes");
    result_of(&inner, true);
}
static void content_type_long(void)
{
    payload_start(&inner);
    put_filled(&inner, 3, 't', 129);
    result_of(&inner, true);
}
static void result_large(void)
{
    payload_start(&inner);
    put_filled(&inner, 2, 'x', LIMIT_RESULT_BYTES);
    put_text(&inner, 3, "x");
    result_of(&inner, true);
}
static void result_no_message(void)
{
    payload_start(&inner);
    put_number(&inner, 1, 1);
    result_of(&inner, true);
}

static void batch_of(uint32_t count, uint8_t percent)
{
    static uint64_t ids[LIMIT_BATCH_UPDATES];
    static uint8_t percents[LIMIT_BATCH_UPDATES];
    memset(percents, 1, sizeof percents);
    percents[count - 1] = percent;
    payload.at = batch_request_encode(ids, percents, count, payload.bytes);
}
static void batch_empty(void)
{
    payload_start(&payload);
}
static void batch_bad_percent(void)
{
    batch_of(5, 101);
}
static void batch_counts_differ(void)
{
    batch_of(5, 1);
    put_text(&payload, 2, "\x01\x01");
}
static void batch_too_many(void)
{
    payload_start(&payload);
    put_filled(&payload, 1, 0, LIMIT_BATCH_UPDATES + 1);
    put_filled(&payload, 2, 0, LIMIT_BATCH_UPDATES + 1);
}
static void batch_cut(void)
{
    batch_of(5, 1);
    payload.at--;
}

static void find_types_many(void)
{
    payload_start(&payload);
    for (int i = 0; i < 17; i++) {
        put_text(&payload, 4, "upload");
    }
}
static void find_type_bad(void)
{
    payload_start(&payload);
    put_text(&payload, 4, "upload");
    put_text(&payload, 4, "up load");
}
static void find_states_many(void)
{
    payload_start(&payload);
    put_filled(&payload, 5, 1, 9); /* packed */
}
static void find_state_unknown(void)
{
    payload_start(&payload);
    put_number(&payload, 5, 1);
    put_number(&payload, 5, 6);
}
static void find_ids_many(void)
{
    payload_start(&payload);
    put_filled(&payload, 6, 1, 257);
}
static void find_ids_cut(void)
{
    payload_start(&payload);
    put_text(&payload, 6, "\x01\xff");
}
static void page_size_large(void)
{
    payload_start(&payload);
    put_number(&payload, 8, 1001);
}
static void page_token_text(void)
{
    payload_start(&payload);
    put_text(&payload, 9, "next please");
}
static void page_token_long(void)
{
    payload_start(&payload);
    put_filled(&payload, 9, 1, 65);
}
static void users_page_size(void)
{
    payload_start(&payload);
    put_number(&payload, 1, 1001);
}
static void users_token(void)
{
    payload_start(&payload);
    put_text(&payload, 2, "x");
}

static void changes_id_absent(void)
{
    payload_start(&payload);
    put_change((struct change_text){"m", "1", "m", NULL});
}
static void changes_none(void)
{
    start_changes();
}
static void changes_many(void)
{
    start_changes();
    for (int i = 0; i <= LIMIT_CHANGES; i++) {
        put_change((struct change_text){"m", "1", "m", NULL});
    }
}
static void changes_large(void)
{
    start_changes();
    put_change((struct change_text){"m", "1", "m", NULL});
    put_filled(&payload, 100, 'x', LIMIT_CHANGES_BYTES);
}
static void change_model(void)
{
    changes_with((struct change_text){"es:media", "1", "m", NULL});
}
static void change_no_id(void)
{
    changes_with((struct change_text){"m", "", "m", NULL});
}
static void change_id_control(void)
{
    changes_with((struct change_text){"m", "a\tb", "m", NULL});
}
static void change_affected(void)
{
    changes_with((struct change_text){"m", "1", "", NULL});
}
static void json_array(void)
{
    changes_with((struct change_text){"m", "1", "m", "[1]"});
}
static void json_number(void)
{
    changes_with((struct change_text){"m", "1", "m", "5"});
}
static void json_cut(void)
{
    changes_with((struct change_text){"m", "1", "m", "{\"a\":"});
}
static void json_two(void)
{
    changes_with((struct change_text){"m", "1", "m", "{} {}"});
}
static void json_duplicate(void)
{
    changes_with((struct change_text){"m", "1", "m", "{\"a\":1,\"b\":{\"x\":1,\"\\u0078\":2}}"});
}
static void json_utf8(void)
{
    changes_with((struct change_text){"m", "1", "m", "{\"a\":\"\xff\"}"});
}
static void json_deep(void)
{
    static char json[1000];
    memset(json, '[', sizeof json - 1);
    memcpy(json, "{\"a\":", 5);
    changes_with((struct change_text){"m", "1", "m", json});
}
static void json_long(void)
{
    start_changes();
    payload_start(&inner);
    put_text(&inner, 1, "m");
    put_text(&inner, 2, "1");
    put_text(&inner, 3, "m");
    put_filled(&inner, 4, ' ', LIMIT_JSON_BYTES + 1);
    put_message(&payload, 2, &inner);
}
/* As many objects as there may be, and never their end. */
static void json_greedy(void)
{
    start_changes();
    payload_start(&inner);
    put_text(&inner, 1, "m");
    put_text(&inner, 2, "1");
    put_text(&inner, 3, "m");
    inner.at = encode_head(inner.at, 4, LIMIT_JSON_BYTES);
    uint8_t *json = inner.at;
    memcpy(json, "{\"a\":[", 6);
    size_t length = 6;
    for (; length + 5 < LIMIT_JSON_BYTES; length += 3) {
        memcpy(json + length, "{},", 3);
    }
    memset(json + length, ' ', LIMIT_JSON_BYTES - length);
    inner.at += LIMIT_JSON_BYTES;
    put_message(&payload, 2, &inner);
}
static void json_and_deleted(void)
{
    start_changes();
    payload_start(&inner);
    put_text(&inner, 1, "m");
    put_text(&inner, 2, "1");
    put_text(&inner, 3, "m");
    put_text(&inner, 4, "{}");
    put_number(&inner, 6, 1);
    put_message(&payload, 2, &inner);
}
static void change_groups(void)
{
    start_changes();
    payload_start(&inner);
    put_text(&inner, 1, "m");
    put_text(&inner, 2, "1");
    put_text(&inner, 3, "m");
    put_text(&inner, 5, "*");
    put_text(&inner, 5, "*");
    put_message(&payload, 2, &inner);
}

static void garbage(void)
{
    payload_start(&payload);
    put_filled(&payload, 0, 'x', 20);
}

static const struct fault faults[] = {
    {"no request id", METHOD_CREATE_ACTIVITY, id_absent, "request_id", "16 bytes, found 0"},
    {"short request id", METHOD_CREATE_ACTIVITY, id_short, "request_id", "found 10"},
    {"zero request id", METHOD_CREATE_ACTIVITY, id_zero, "request_id", "all zero"},
    {"no type", METHOD_CREATE_ACTIVITY, type_absent, "type", "is required"},
    {"digit first", METHOD_CREATE_ACTIVITY, type_digit_first, "type", "'9' at position 0"},
    {"slash in type", METHOD_CREATE_ACTIVITY, type_with_slash, "type", "'/' at position 2"},
    {"long type", METHOD_CREATE_ACTIVITY, type_long, "type", "at most 64 bytes, found 65"},
    {"long title", METHOD_CREATE_ACTIVITY, title_long, "title", "at most 256 bytes, found 257"},
    {"NUL in title", METHOD_CREATE_ACTIVITY, title_nul, "title", "byte 0x00 at position 0"},
    {"escape in title", METHOD_CREATE_ACTIVITY, title_escape, "title", "byte 0x1b at position 4"},
    {"C1 in title", METHOD_CREATE_ACTIVITY, title_c1, "title", "byte 0xc2 at position 2"},
    {"Latin-1 title", METHOD_CREATE_ACTIVITY, title_latin1, "title", "byte 0xfc at position 1"},
    {"cut title", METHOD_CREATE_ACTIVITY, title_cut, "title", "at position 1"},
    {"title a number", METHOD_CREATE_ACTIVITY, title_a_number, NULL, "no message"},
    {"nine groups", METHOD_CREATE_ACTIVITY, groups_nine, "groups", "at most 8 groups, found 9"},
    {"empty group", METHOD_CREATE_ACTIVITY, group_empty, "groups[1]", "is required"},
    {"long group", METHOD_CREATE_ACTIVITY, group_long, "groups[1]", "found 65"},
    {"group twice", METHOD_CREATE_ACTIVITY, group_twice, "groups[2]", "same as in groups[0]"},
    {"everybody", METHOD_CREATE_ACTIVITY, group_everybody, "groups[0]", "only model changes"},
    {"17 attributes", METHOD_CREATE_ACTIVITY, attributes_seventeen, "attributes", "found 17"},
    {"4 KiB of attributes", METHOD_CREATE_ACTIVITY, attributes_large, "attributes",
     "at most 4096 bytes in all"},
    {"no name", METHOD_CREATE_ACTIVITY, attribute_nameless, "attributes[1].name", "is required"},
    {"blank in name", METHOD_CREATE_ACTIVITY, attribute_bad_name, "attributes[0].name",
     "byte 0x20"},
    {"long value", METHOD_CREATE_ACTIVITY, attribute_long_value, "attributes[0].value",
     "found 1025"},
    {"attribute twice", METHOD_CREATE_ACTIVITY, attribute_twice, "attributes[1].name", "unique"},
    {"attribute garbage", METHOD_CREATE_ACTIVITY, attribute_no_message, NULL, "no message"},
    {"no job", METHOD_UPDATE_ACTIVITY, job_id_absent, "job_id", "is required"},
    {"no job", METHOD_GET_ACTIVITY, job_id_absent, "job_id", "is required"},
    {"no job", METHOD_DESTROY_ACTIVITY, job_id_absent, "job_id", "is required"},
    {"no job", METHOD_GET_JOB_RESULT, job_id_absent, "job_id", "is required"},
    {"percent 101", METHOD_UPDATE_ACTIVITY, percent_above, "percent", "0 to 100, found 101"},
    {"percent -1", METHOD_UPDATE_ACTIVITY, percent_negative, "percent", "found 4294967295"},
    {"long status", METHOD_UPDATE_ACTIVITY, status_text_long, "status_text", "found 513"},
    {"two lines", METHOD_UPDATE_ACTIVITY, status_text_newline, "status_text", "byte 0x0a"},
    {"early result", METHOD_UPDATE_ACTIVITY, result_without_percent, "result", "no percent"},
    {"result at 99", METHOD_UPDATE_ACTIVITY, result_with_99, "result", "percent = 99"},
    {"both ends", METHOD_UPDATE_ACTIVITY, failure_and_result, "failure", "beside a result"},
    {"failed at 100", METHOD_UPDATE_ACTIVITY, failure_and_100, "failure", "percent = 100"},
    {"no code", METHOD_UPDATE_ACTIVITY, failure_without_code, "failure.code", "is required"},
    {"long failure", METHOD_UPDATE_ACTIVITY, failure_long_message, "failure.message", "found 1025"},
    {"no item id", METHOD_UPDATE_ACTIVITY, item_without_id, "result.items[1].id", "is required"},
    {"no item code", METHOD_UPDATE_ACTIVITY, item_message_without_code,
     "result.items[0].error_message", "beside an error_code"},
    {"long item", METHOD_UPDATE_ACTIVITY, item_long_message, "result.items[0].error_message",
     "found 1025"},
    {"many items", METHOD_UPDATE_ACTIVITY, items_too_many, "result.items", "at most 16384"},
    {"no media type", METHOD_UPDATE_ACTIVITY, content_without_type, "result.content_type",
     "5 bytes of content"},
    {"long media type", METHOD_UPDATE_ACTIVITY, content_type_long, "result.content_type",
     "found 129"},
    {"large result", METHOD_UPDATE_ACTIVITY, result_large, "result", "at most 880640 bytes"},
    {"result garbage", METHOD_UPDATE_ACTIVITY, result_no_message, NULL, "no message"},
    {"empty batch", METHOD_BATCH_UPDATE_ACTIVITIES, batch_empty, "job_id_deltas", "found none"},
    {"one bad percent", METHOD_BATCH_UPDATE_ACTIVITIES, batch_bad_percent, "percents[4]",
     "whole batch is refused"},
    {"uneven batch", METHOD_BATCH_UPDATE_ACTIVITIES, batch_counts_differ, "percents",
     "one byte for each"},
    {"large batch", METHOD_BATCH_UPDATE_ACTIVITIES, batch_too_many, "job_id_deltas", "1 to 65536"},
    {"cut batch", METHOD_BATCH_UPDATE_ACTIVITIES, batch_cut, NULL, "no message"},
    {"17 types", METHOD_FIND_ACTIVITIES, find_types_many, "types", "at most 16, found 17"},
    {"bad type", METHOD_FIND_ACTIVITIES, find_type_bad, "types[1]", "must match"},
    {"nine states", METHOD_FIND_ACTIVITIES, find_states_many, "states", "at most 8, found 9"},
    {"unknown state", METHOD_FIND_ACTIVITIES, find_state_unknown, "states[1]", "found 6"},
    {"257 ids", METHOD_FIND_ACTIVITIES, find_ids_many, "job_ids", "at most 256, found 257"},
    {"cut ids", METHOD_FIND_ACTIVITIES, find_ids_cut, NULL, "no message"},
    {"large page", METHOD_FIND_ACTIVITIES, page_size_large, "page_size", "found 1001"},
    {"made-up token", METHOD_FIND_ACTIVITIES, page_token_text, "page_token", "next_page_token"},
    {"long token", METHOD_FIND_ACTIVITIES, page_token_long, "page_token", "65 other bytes"},
    {"large page of users", METHOD_LIST_PRESENT_USERS, users_page_size, "page_size", "1001"},
    {"token of users", METHOD_LIST_PRESENT_USERS, users_token, "page_token", "next_page_token"},
    {"no request id", METHOD_RECORD_MODEL_CHANGES, changes_id_absent, "request_id", "found 0"},
    {"no changes", METHOD_RECORD_MODEL_CHANGES, changes_none, "changes", "1 to 4096, found 0"},
    {"4097 changes", METHOD_RECORD_MODEL_CHANGES, changes_many, "changes", "found 4097"},
    {"large changes", METHOD_RECORD_MODEL_CHANGES, changes_large, "changes", "880640 bytes"},
    {"es: model", METHOD_RECORD_MODEL_CHANGES, change_model, "changes[1].model",
     "':' at position 2"},
    {"no document", METHOD_RECORD_MODEL_CHANGES, change_no_id, "changes[1].document_id",
     "is required"},
    {"tab in id", METHOD_RECORD_MODEL_CHANGES, change_id_control, "changes[1].document_id",
     "byte 0x09"},
    {"no affected model", METHOD_RECORD_MODEL_CHANGES, change_affected, "changes[1].affected_model",
     "is required"},
    {"JSON array", METHOD_RECORD_MODEL_CHANGES, json_array, "changes[1].json", "another value"},
    {"JSON number", METHOD_RECORD_MODEL_CHANGES, json_number, "changes[1].json", "another value"},
    {"cut JSON", METHOD_RECORD_MODEL_CHANGES, json_cut, "changes[1].json", "one JSON object"},
    {"two objects", METHOD_RECORD_MODEL_CHANGES, json_two, "changes[1].json", "one JSON object"},
    {"key twice", METHOD_RECORD_MODEL_CHANGES, json_duplicate, "changes[1].json", "duplicate"},
    {"no UTF-8", METHOD_RECORD_MODEL_CHANGES, json_utf8, "changes[1].json", "one JSON object"},
    {"deep JSON", METHOD_RECORD_MODEL_CHANGES, json_deep, "changes[1].json", "more than 64 levels"},
    {"long JSON", METHOD_RECORD_MODEL_CHANGES, json_long, "changes[0].json", "524288"},
    {"greedy JSON", METHOD_RECORD_MODEL_CHANGES, json_greedy, "changes[0].json", "one JSON object"},
    {"JSON of a deleted one", METHOD_RECORD_MODEL_CHANGES, json_and_deleted, "changes[0].json",
     "beside deleted"},
    {"everybody twice", METHOD_RECORD_MODEL_CHANGES, change_groups, "changes[0].groups[1]",
     "unique"},
    {"garbage", METHOD_WAIT_ACTIVITY, garbage, NULL, "no message"},
    {"garbage", METHOD_WAIT_VISIBLE, garbage, NULL, "no message"},
    {"garbage", METHOD_READ_CHANGES, garbage, NULL, "no message"},
    {"garbage", METHOD_FIND_ACTIVITIES, garbage, NULL, "no message"},
    {"garbage", METHOD_CREATE_ACTIVITY, garbage, NULL, "no message"},
    {"garbage", METHOD_UPDATE_ACTIVITY, garbage, NULL, "no message"},
    {"garbage", METHOD_GET_ACTIVITY, garbage, NULL, "no message"},
    {"garbage", METHOD_DESTROY_ACTIVITY, garbage, NULL, "no message"},
    {"garbage", METHOD_GET_JOB_RESULT, garbage, NULL, "no message"},
    {"garbage", METHOD_RECORD_MODEL_CHANGES, garbage, NULL, "no message"},
    {"garbage", METHOD_CHECK, garbage, NULL, "no message"},
    {"garbage", METHOD_GET_SERVER_INFO, garbage, NULL, "no message"},
    {"garbage", METHOD_LIST_PRESENT_USERS, garbage, NULL, "no message"},
    {"garbage", METHOD_DRAIN, garbage, NULL, "no message"},
    {"garbage", METHOD_GET_STATE_HASH, garbage, NULL, "no message"},
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
