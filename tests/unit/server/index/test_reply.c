/* What the index answers, as OpenSearch 2.19 writes it, and everything that is no such answer. */
#include "tests/unit/server/index/batches.h"

#include <stdio.h>

#include "proto/view.h"
#include "server/index/reply.h"

#define OK_ITEM "{\"index\":{\"_version\":7,\"result\":\"created\",\"status\":201}}"

static struct reply_item items[8];

static struct reply read_reply(uint32_t status, const char *body, uint32_t count)
{
    struct reply reply;
    reply_read(status, text(body), count, items, &reply);
    return reply;
}

static struct verdict judge(const char *item, struct index_batch *batch, struct reason *reason)
{
    char body[2048];
    assert_in_range(
        snprintf(body, sizeof body, "{\"took\":5,\"errors\":true,\"items\":[%s]}", item), 1,
        sizeof body - 1);
    struct reply reply = read_reply(200, body, 1);
    assert_int_equal(reply.whole, REPLY_ITEMS);
    assert_int_equal(reply.took_ms, 5);
    struct verdict verdict;
    memset(reason, 0, sizeof *reason);
    reply_judge(&items[0], batch, 0, &verdict, reason);
    return verdict;
}

struct row {
    const char *item;
    enum index_outcome outcome;
    bool conflict;
    uint64_t seen;
    const char *code;
    const char *said;
};

static void assert_rows(struct index_batch *batch, const struct row *rows, size_t count,
                        bool refused)
{
    for (size_t i = 0; i < count; i++) {
        struct reason reason;
        struct verdict verdict = judge(rows[i].item, batch, &reason);
        if (verdict.outcome != rows[i].outcome) {
            fail_msg("%s: %d", rows[i].item, (int)verdict.outcome);
        }
        assert_int_equal(verdict.conflict, rows[i].conflict);
        assert_int_equal(verdict.version_seen, rows[i].seen);
        if (verdict.refused != refused) {
            fail_msg("%s: refused %d", rows[i].item, (int)verdict.refused);
        }
        if (rows[i].outcome != INDEX_ACKED) {
            assert_string_equal(reason.code, rows[i].code);
            assert_non_null(strstr(reason.message, rows[i].said));
        }
    }
    index_batch_free(batch);
}

#define CONFLICT(id, seen, given)                                                                  \
    "{\"index\":{\"status\":409,\"error\":{\"type\":\"version_conflict_engine_exception\","        \
    "\"reason\":\"[" id "]: version conflict, current version [" seen                              \
    "] is higher or equal to the one provided [" given "]\"}}}"

static void items_of_whole_documents(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(1);
    put_whole(batch, "p", 7, "{}");
    static const struct row rows[] = {
        {OK_ITEM, INDEX_ACKED, false, 0, NULL, NULL},
        {"{\"index\":{\"status\":200}}", INDEX_ACKED, false, 0, NULL, NULL},
        {CONFLICT("p", "9", "7"), INDEX_RETRY, true, 9, "version_ahead", "has version 9"},
        {CONFLICT("p", "7", "7"), INDEX_ACKED, false, 0, NULL, NULL}, /* it came twice */
        {CONFLICT("p", "18446744073709551616", "7"), INDEX_RETRY, true, 0, "version_ahead", ""},
        {CONFLICT("p", "6", "7"), INDEX_RETRY, true, 0, "version_ahead", ""},
        /* An id that looks like the sentence. */
        {CONFLICT("x]: version conflict, current version [99] y", "9", "7"), INDEX_RETRY, true, 9,
         "version_ahead", ""},
        {"{\"index\":{\"status\":409,\"error\":{\"type\":\"version_conflict_engine_exception\"}}}",
         INDEX_RETRY, true, 0, "version_ahead", ""},
        {"{\"index\":{\"status\":429,\"error\":{\"type\":\"rejected_execution_exception\","
         "\"reason\":\"full\"}}}",
         INDEX_RETRY, false, 0, "rejected_execution_exception", "full"},
        {"{\"index\":{\"status\":503,\"error\":{\"type\":\"unavailable_shards_exception\"}}}",
         INDEX_RETRY, false, 0, "unavailable_shards_exception", "status 503"},
        {"{\"index\":{\"status\":500,\"error\":null}}", INDEX_RETRY, false, 0, "status_500",
         "status 500"},
        {"{\"index\":{\"status\":302}}", INDEX_RETRY, false, 0, "status_302", ""},
        {"{\"index\":{\"status\":400,\"error\":{\"type\":\"mapper_parsing_exception\",\"reason\":"
         "\"failed to parse field [n] of type [integer] in document with id 'p'. Preview: "
         "'a\\nb'\","
         "\"caused_by\":{\"type\":\"x\",\"reason\":\"y\"}}}}",
         INDEX_PARKED, false, 0, "mapper_parsing_exception", "with id 'p'. Preview: 'a b'"},
        {"{\"index\":{\"status\":404,\"result\":\"not_found\"}}", INDEX_PARKED, false, 0,
         "status_404", ""},
        {"{\"index\":{\"status\":400,\"error\":\"text alone\"}}", INDEX_PARKED, false, 0,
         "status_400", "text alone"},
    };
    assert_rows(batch, rows, sizeof rows / sizeof *rows, false);
}

/* Not about the document: the same for all that go there. */
static void items_about_the_index(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"index\":{\"status\":403,\"error\":{\"type\":\"security_exception\","
         "\"reason\":\"no permissions\"}}}",
         INDEX_RETRY, false, 0, "security_exception", "no permissions"},
        {"{\"index\":{\"status\":401}}", INDEX_RETRY, false, 0, "status_401", ""},
        {"{\"index\":{\"status\":403,\"error\":\"a proxy says no\"}}", INDEX_RETRY, false, 0,
         "status_403", "a proxy says no"},
        {"{\"index\":{\"status\":403,\"error\":{\"type\":\"cluster_block_exception\",\"reason\":"
         "\"index [acme-products] blocked by: [FORBIDDEN/8/index write (api)];\"}}}",
         INDEX_RETRY, false, 0, "cluster_block_exception", "[acme-products] blocked"},
        {"{\"index\":{\"status\":400,\"error\":{\"type\":\"validation_exception\",\"reason\":"
         "\"this cluster currently has [1]/[1] maximum shards open;\"}}}",
         INDEX_RETRY, false, 0, "validation_exception", "maximum shards"},
        {"{\"index\":{\"status\":429,\"error\":{\"type\":\"cluster_block_exception\"}}}",
         INDEX_RETRY, false, 0, "cluster_block_exception", ""}, /* the disk is full */
        {"{\"index\":{\"status\":400,\"error\":{\"type\":\"index_closed_exception\",\"reason\":"
         "\"closed\"}}}",
         INDEX_RETRY, false, 0, "index_closed_exception", "closed"},
        {"{\"index\":{\"status\":404,\"error\":{\"type\":\"index_not_found_exception\","
         "\"reason\":\"no such index [acme-products]\"}}}",
         INDEX_RETRY, false, 0, "index_not_found_exception", "no such index"},
    };
    struct index_batch *batch = open_batch(1);
    put_whole(batch, "p", 7, "{}");
    assert_rows(batch, rows, sizeof rows / sizeof *rows, true);
    batch = open_batch(1);
    put_whole(batch, "p", 7, NULL);
    static const struct row deletion = {
        "{\"delete\":{\"status\":404,\"error\":{\"type\":\"index_not_found_exception\"}}}",
        INDEX_RETRY,
        false,
        0,
        "index_not_found_exception",
        ""};
    assert_rows(batch, &deletion, 1, true);
}

static void items_of_deletions(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(1);
    put_whole(batch, "p", 7, NULL);
    static const struct row rows[] = {
        {"{\"delete\":{\"status\":200,\"result\":\"deleted\"}}", INDEX_ACKED, false, 0, NULL, NULL},
        {"{\"delete\":{\"status\":404,\"result\":\"not_found\",\"_version\":7}}", INDEX_ACKED,
         false, 0, NULL, NULL},
        {CONFLICT("p", "8", "7"), INDEX_RETRY, true, 8, "version_ahead", ""},
    };
    assert_rows(batch, rows, sizeof rows / sizeof *rows, false);
}

static void items_of_fragments(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(1);
    put_document(batch, "orders", "o", TAKE_FRAGMENTS);
    put_change(batch, 6, "{}");
    put_change(batch, 7, NULL);
    static const struct row rows[] = {
        {"{\"update\":{\"status\":200,\"result\":\"updated\",\"_version\":3,\"get\":{\"_source\":"
         "{\"_seq\":7}}}}",
         INDEX_ACKED, false, 0, NULL, NULL},
        {"{\"update\":{\"status\":200,\"result\":\"noop\",\"get\":{\"_source\":{\"_seq\":7}}}}",
         INDEX_ACKED, false, 0, NULL, NULL},
        {"{\"update\":{\"status\":200,\"result\":\"noop\",\"get\":{\"x\":1,\"_source\":{\"a\":[],"
         "\"_seq\":12},\"y\":2}}}",
         INDEX_RETRY, true, 12, "version_ahead", "has version 12"},
        {"{\"update\":{\"status\":200,\"result\":\"noop\"}}", INDEX_RETRY, true, 0, "version_ahead",
         ""},
        {"{\"update\":{\"status\":200,\"result\":\"noop\",\"get\":{\"_source\":null}}}",
         INDEX_RETRY, true, 0, "version_ahead", ""},
        {"{\"update\":{\"status\":409,\"error\":{\"type\":\"version_conflict_engine_exception\","
         "\"reason\":\"[o]: version conflict, required seqNo [9], primary term [1]. current "
         "document has seqNo [11] and primary term [1]\"}}}",
         INDEX_RETRY, false, 0, "version_conflict_engine_exception", "required seqNo"},
        {"{\"update\":{\"status\":400,\"error\":{\"type\":\"illegal_argument_exception\","
         "\"reason\":\"failed to execute script\"}}}",
         INDEX_PARKED, false, 0, "illegal_argument_exception", "failed to execute script"},
        {"{\"update\":{\"status\":404,\"result\":\"not_found\"}}", INDEX_PARKED, false, 0,
         "status_404", ""},
    };
    assert_rows(batch, rows, sizeof rows / sizeof *rows, false);
}

static void positions_have_to_match(void **state)
{
    (void)state;
    struct reply reply = read_reply(
        200, "{\"errors\":true,\"items\":[" OK_ITEM ",{\"delete\":{\"status\":404}}," OK_ITEM "]}",
        3);
    assert_int_equal(reply.whole, REPLY_ITEMS);
    assert_int_equal(items[0].status, 201);
    assert_int_equal(items[0].version, 7);
    assert_int_equal(items[1].status, 404);
    assert_int_equal(items[2].status, 201);
    static const char *const bad[] = {
        "{\"items\":[" OK_ITEM "]}",
        "{\"items\":[" OK_ITEM "," OK_ITEM "," OK_ITEM "]}",
        "{\"items\":[]}",
        "{\"items\":[" OK_ITEM ",{}]}",
        "{\"items\":[" OK_ITEM ",{\"index\":{}}]}",
        "{\"items\":[" OK_ITEM ",{\"index\":{\"status\":\"201\"}}]}",
        "{\"items\":[" OK_ITEM ",{\"index\":{\"status\":201},\"x\":{\"status\":201}}]}",
        "{\"items\":[" OK_ITEM ",5]}",
        "{\"items\":{}}",
        "{\"errors\":false}",
        "{\"items\":[" OK_ITEM "," OK_ITEM "]} x",
        "[]",
        "",
        "OK",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        reply = read_reply(200, bad[i], 2);
        if (reply.whole != REPLY_LATER) {
            fail_msg("%s: %d", bad[i], (int)reply.whole);
        }
        assert_string_equal(reply.why.code, "answer_unreadable");
    }
}

static void a_cut_answer_says_nothing(void **state)
{
    (void)state;
    static const char body[] = "{\"took\":1,\"errors\":false,\"items\":[" OK_ITEM "," OK_ITEM "]}";
    for (size_t length = 0; length < sizeof body - 1; length++) {
        struct reply reply;
        reply_read(200, bytes_of(body, length), 2, items, &reply);
        assert_int_equal(reply.whole, REPLY_LATER);
    }
    assert_int_equal(read_reply(200, body, 2).whole, REPLY_ITEMS);
}

static void the_whole_request(void **state)
{
    (void)state;
    static const struct {
        uint32_t status;
        const char *body;
        enum reply_whole whole;
        const char *code;
        const char *message;
    } rows[] = {
        {400,
         "{\"error\":{\"root_cause\":[{\"type\":\"inner\",\"reason\":\"x\"}],\"type\":"
         "\"illegal_argument_exception\",\"reason\":\"Malformed line [3]\"},\"status\":400}",
         REPLY_SPLIT, "illegal_argument_exception", "Malformed line [3]"},
        {413, "", REPLY_SPLIT, "status_413", "status 413 without a reason"},
        {401, "Unauthorized", REPLY_REFUSED, "status_401", "Unauthorized"},
        {403, "{\"error\":{\"type\":\"security_exception\",\"reason\":\"no\"},\"status\":403}",
         REPLY_REFUSED, "security_exception", "no"},
        {404, "<html>\n", REPLY_REFUSED, "status_404", "<html> "},
        {406, "{\"error\":\"Content-Type header [text/plain] is not supported\",\"status\":406}",
         REPLY_REFUSED, "status_406", "Content-Type header [text/plain] is not supported"},
        {301, "", REPLY_REFUSED, "status_301", "status 301 without a reason"},
        {429, "{\"error\":{\"type\":\"circuit_breaking_exception\",\"reason\":\"too la",
         REPLY_LATER, "circuit_breaking_exception", "status 429 without a reason"},
        {503, "OpenSearch Security not initialized.", REPLY_LATER, "status_503",
         "OpenSearch Security not initialized."},
        {502, "{\"error\":{\"reason\":null}}", REPLY_LATER, "status_502",
         "{\"error\":{\"reason\":null}}"},
        {500, "{}", REPLY_LATER, "status_500", "{}"},
        {204, "", REPLY_LATER, "status_204", "status 204 without a reason"},
        {408, "", REPLY_LATER, "status_408", "status 408 without a reason"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = read_reply(rows[i].status, rows[i].body, 2);
        assert_int_equal(reply.whole, rows[i].whole);
        assert_string_equal(reply.why.code, rows[i].code);
        assert_string_equal(reply.why.message, rows[i].message);
    }
}

static void reasons_are_cut(void **state)
{
    (void)state;
    char body[4096];
    char wide[2000];
    for (size_t i = 0; i < sizeof wide - 2; i += 2) {
        memcpy(wide + i, "é", 2);
    }
    wide[sizeof wide - 2] = '\0';
    (void)snprintf(body, sizeof body, "{\"error\":{\"type\":\"t%s\",\"reason\":\"r%s\"}}", wide,
                   wide);
    struct reply reply = read_reply(400, body, 1);
    assert_int_equal(strlen(reply.why.code), 63);
    assert_int_equal(strlen(reply.why.message), 256);
    (void)snprintf(body, sizeof body, "{\"error\":{\"reason\":\"id [%s] is too long\"}}", wide);
    reply = read_reply(400, body, 1);
    assert_in_range(strlen(reply.why.message), 250, 256);
    assert_true(view_is_text(view_of(reply.why.message)));
    assert_memory_equal(reply.why.message, "id [éé", 8);
    assert_non_null(strstr(reply.why.message, "é ... é"));
    assert_string_equal(reply.why.message + strlen(reply.why.message) - 15, "é] is too long");
    reason_set(&reply.why, "code", "%s", wide);
    assert_int_equal(strlen(reply.why.message), 256);
    reason_set(&reply.why, "code", "r%s", wide);
    assert_int_equal(strlen(reply.why.message), 255);
    reason_set(&reply.why, "code", "%d", 5);
    assert_string_equal(reply.why.message, "5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_of_whole_documents), cmocka_unit_test(items_of_deletions),
        cmocka_unit_test(items_about_the_index),    cmocka_unit_test(items_of_fragments),
        cmocka_unit_test(positions_have_to_match),  cmocka_unit_test(a_cut_answer_says_nothing),
        cmocka_unit_test(the_whole_request),        cmocka_unit_test(reasons_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
