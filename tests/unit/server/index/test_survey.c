/* What is asked before anything is written, and what the answers mean. */
#include "tests/unit/server/index/batches.h"

#include <stdio.h>

#include "server/index/bulk.h"
#include "server/index/script.h"
#include "server/index/survey.h"

#define VERSION                                                                                    \
    "{\"name\":\"n1\",\"version\":{\"number\":\"2.19.4\",\"distribution\":\"opensearch\"}}"

static struct target_model models[] = {{.model = "products", .kind = TAKE_WHOLE},
                                       {.model = "orders", .kind = TAKE_FRAGMENTS}};
static struct targets targets = {.index = "{tenant}-{model}", .models = models, .model_count = 2};
static struct survey survey;
static struct reason why;
static char script[SURVEY_BODY_MAX];

static int begin(void **state)
{
    (void)state;
    targets.model_count = 2;
    survey_begin(&survey, &targets, 60000);
    struct writer to = writer_of(script, sizeof script);
    static const char before[] = "{\"_id\":\"x\",\"found\":true,\"script\":{\"lang\":\"painless\","
                                 "\"source\":";
    writer_put(&to, before, sizeof before - 1);
    bulk_put_string(text(index_script_source), &to);
    writer_put(&to, "}}", 3);
    assert_false(to.failed);
    return 0;
}

static void assert_asked(const char *method, const char *path)
{
    static struct survey_request request;
    survey_ask(&survey, &request);
    assert_string_equal(request.method, method);
    if (strncmp(request.path, path, strlen(path)) != 0) {
        fail_msg("%s", request.path);
    }
    assert_int_equal(request.body_length > 0, strcmp(method, "PUT") == 0);
}

static int answer(uint32_t status, const char *body)
{
    why = (struct reason){.code = ""};
    return survey_answer(&survey, status, text(body), &why);
}

static void all_is_well(void **state)
{
    (void)state;
    assert_asked("GET", "/");
    assert_int_equal(answer(200, VERSION), 0);
    assert_string_equal(survey.version, "opensearch 2.19.4");
    assert_asked("GET", "/_scripts/" INDEX_SCRIPT_NAME);
    assert_int_equal(answer(200, script), 0);
    assert_asked("GET", "/*-products,*-orders,*-*/_settings/index.gc_deletes?");
    assert_int_equal(
        answer(200, "{\"acme-products\":{\"settings\":{\"index.gc_deletes\":\"1h\"}}}"), 0);
    assert_int_equal(survey.step, SURVEY_DONE);
    assert_false(survey.has_warning);
}

static void the_script_is_stored(void **state)
{
    (void)state;
    static const char *const others[] = {"{\"found\":false}",
                                         "{\"found\":true,\"script\":{\"source\":\"x\"}}",
                                         "{\"script\":5}", "", "{\"script\":{\"source\":7}}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        survey_begin(&survey, &targets, 60000);
        assert_int_equal(answer(200, VERSION), 0);
        assert_int_equal(answer(i % 2 ? 200 : 404, others[i]), 0);
        assert_asked("PUT", "/_scripts/" INDEX_SCRIPT_NAME "/update");
        assert_int_equal(answer(200, "{\"acknowledged\":true}"), 0);
        assert_asked("GET", "/_scripts/" INDEX_SCRIPT_NAME);
        assert_int_equal(answer(200, script), 0);
        assert_int_equal(survey.step, SURVEY_DELETIONS);
    }
}

static void another_one_after_it_was_stored(void **state)
{
    (void)state;
    assert_int_equal(answer(200, VERSION) + answer(404, "") + answer(200, "{}"), 0);
    assert_int_equal(answer(200, "{\"script\":{\"source\":\"x\"}}"), 2);
    assert_string_equal(why.code, "script_differs");
}

static void a_script_that_may_not_be_read(void **state)
{
    (void)state;
    assert_int_equal(answer(200, VERSION) + answer(403, "") + answer(200, "{}"), 0);
    assert_int_equal(answer(403, ""), 0);
    assert_true(survey.has_warning);
    assert_string_equal(survey.warning.code, "script_unseen");
    assert_int_equal(survey.step, SURVEY_DELETIONS);
}

static void a_script_that_is_refused(void **state)
{
    (void)state;
    assert_int_equal(answer(200, VERSION) + answer(404, ""), 0);
    assert_int_equal(answer(403, "{\"error\":{\"type\":\"t\",\"reason\":\"no permissions\"}}"), 2);
    assert_string_equal(why.code, "script_denied");
    assert_non_null(strstr(why.message, "no permissions"));
    survey_begin(&survey, &targets, 60000);
    assert_int_equal(answer(200, VERSION) + answer(404, ""), 0);
    assert_int_equal(
        answer(400, "{\"error\":{\"type\":\"script_exception\",\"reason\":\"compile error\"}}"), 2);
    assert_string_equal(why.code, "script_exception");
    assert_non_null(strstr(why.message, "cannot be stored: compile error"));
}

static void away_or_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t status;
        const char *body;
        int outcome;
        const char *code;
    } rows[] = {{503, "OpenSearch Security not initialized.", 1, "status_503"},
                {429, "{\"error\":{\"type\":\"circuit_breaking_exception\"}}", 1,
                 "circuit_breaking_exception"},
                {500, "", 1, "status_500"},
                {401, "Unauthorized", 2, "credentials"},
                {404, "<html>", 2, "status_404"},
                {200, "<html>", 2, "no_index"},
                {200, "{}", 2, "no_index"},
                {200, "{\"version\":\"2\"}", 2, "no_index"},
                {200, "{\"version\":{\"number\":2}}", 2, "no_index"},
                {200, "{\"version\":{\"number\":\"2", 2, "no_index"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        survey_begin(&survey, &targets, 60000);
        assert_int_equal(answer(rows[i].status, rows[i].body), rows[i].outcome);
        assert_string_equal(why.code, rows[i].code);
        assert_true(why.message[0] != '\0');
    }
}

static void others_are_named_too(void **state)
{
    (void)state;
    assert_int_equal(answer(200, "{\"version\":{\"build_flavor\":\"default\",\"number\":\"8.15.0\"}"
                                 ",\"tagline\":\"You Know, for Search\"}"),
                     0);
    assert_string_equal(survey.version, "elasticsearch 8.15.0");
    survey_begin(&survey, &targets, 60000);
    assert_int_equal(answer(403, ""), 0); /* need not be allowed */
    assert_string_equal(survey.version, "unknown");
    assert_int_equal(survey.step, SURVEY_SCRIPT_READ);
}

static void whole_documents_need_no_script(void **state)
{
    (void)state;
    targets.model_count = 1;
    survey_begin(&survey, &targets, 60000);
    assert_int_equal(answer(200, VERSION), 0);
    assert_int_equal(survey.step, SURVEY_DELETIONS);
}

static void deletions(void **state)
{
    (void)state;
    static const struct {
        uint32_t status;
        const char *body;
        const char *code; /* of a warning */
    } rows[] = {
        {200, "{}", NULL},
        {404, "{\"error\":{\"type\":\"index_not_found_exception\"}}", NULL},
        {200, "{\"a\":{\"settings\":{},\"defaults\":{\"index.gc_deletes\":\"60s\"}}}", NULL},
        {200, "{\"a\":{\"settings\":{},\"defaults\":{\"index.gc_deletes\":\"59999ms\"}}}",
         "deletions_forgotten"},
        {200, "{\"a\":{\"settings\":{\"index.gc_deletes\":\"1m\"}}}", NULL},
        {200, "{\"a\":{\"settings\":{\"index.gc_deletes\":\"0s\"}}}", "deletions_forgotten"},
        {200,
         "{\"a\":{\"settings\":{\"index.gc_deletes\":\"1d\"}},\"b\":{\"settings\":{"
         "\"index.gc_deletes\":\"2s\"}}}",
         "deletions_forgotten"},
        {200, "{\"a\":5,\"b\":{\"settings\":7}}", NULL},
        {403, "{\"error\":{\"type\":\"security_exception\",\"reason\":\"no\"}}",
         "deletions_unknown"},
        {200, "<html>", "deletions_unknown"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        survey_begin(&survey, &targets, 60000);
        assert_int_equal(answer(200, VERSION) + answer(200, script), 0);
        assert_int_equal(answer(rows[i].status, rows[i].body), 0);
        assert_int_equal(survey.step, SURVEY_DONE);
        if (survey.has_warning != (rows[i].code != NULL)) {
            fail_msg("%s", rows[i].body);
        }
        if (rows[i].code != NULL) {
            assert_string_equal(survey.warning.code, rows[i].code);
        }
    }
    survey_begin(&survey, &targets, 60000);
    assert_int_equal(answer(200, VERSION) + answer(200, script), 0);
    assert_int_equal(answer(503, ""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_is_well, begin),
        cmocka_unit_test_setup(the_script_is_stored, begin),
        cmocka_unit_test_setup(another_one_after_it_was_stored, begin),
        cmocka_unit_test_setup(a_script_that_may_not_be_read, begin),
        cmocka_unit_test_setup(a_script_that_is_refused, begin),
        cmocka_unit_test_setup(away_or_refused, begin),
        cmocka_unit_test_setup(others_are_named_too, begin),
        cmocka_unit_test_setup(whole_documents_need_no_script, begin),
        cmocka_unit_test_setup(deletions, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
