/* A batch on its way, against an index that is played here: it refuses a request as a whole when a
 * bad document is in it. */
#include "tests/unit/server/index/batches.h"

#include <stdio.h>

#include "server/index/job.h"

static const struct targets targets = {.index = "{tenant}-{model}"};
static struct troubles troubles;
static struct backoff backoff = {.first_ms = 10, .most_ms = 80};

static const struct job_options standard = {.targets = &targets,
                                            .troubles = &troubles,
                                            .item_backoff = &backoff,
                                            .request_bytes_max = 1u << 20};

static int forget(void **state)
{
    (void)state;
    troubles = (struct troubles){.places = {0}};
    return 0;
}

static struct job *job_of(uint32_t count, uint32_t bytes_max)
{
    struct index_batch *batch = open_batch(9);
    for (uint32_t i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "d%04u", i);
        put_whole(batch, id, i + 1, "{}");
    }
    struct job_options options = standard;
    options.request_bytes_max = bytes_max;
    struct job *job = job_new_take(batch, &options);
    assert_non_null(job);
    return job;
}

/* The documents of a request, by the digits of their ids. */
static uint32_t read_ids(struct bytes body, uint32_t *ids)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i + 12 < body.length; i++) {
        if (memcmp(body.at + i, "\"_id\":\"d", 8) == 0) {
            ids[count++] = (uint32_t)strtoul((const char *)body.at + i + 8, NULL, 10);
        }
    }
    return count;
}

struct played {
    bool bad[4096];
    uint32_t requests;
    uint32_t largest;
};

static void answer(struct job *job, struct job_piece *piece, struct played *played)
{
    static uint32_t ids[4096];
    static char body[4096 * 32];
    uint32_t count = read_ids(piece->body, ids);
    assert_int_equal(count, piece->count);
    played->requests++;
    played->largest = count > played->largest ? count : played->largest;
    bool refused = false;
    size_t length = (size_t)snprintf(body, sizeof body, "{\"items\":[");
    for (uint32_t i = 0; i < count; i++) {
        refused = refused || played->bad[ids[i]];
        length += (size_t)snprintf(body + length, sizeof body - length,
                                   "%s{\"index\":{\"status\":201}}", i == 0 ? "" : ",");
    }
    length += (size_t)snprintf(body + length, sizeof body - length, "]}");
    if (refused) {
        job_answer(job, piece, 400, text("{\"error\":{\"type\":\"bad\",\"reason\":\"line\"}}"), "");
    } else {
        job_answer(job, piece, 200, bytes_of(body, length), "");
    }
}

/* Plays it to its end, several requests at a time, answered in any order. */
static struct job_result play(struct job *job, struct played *played)
{
    struct job_piece pieces[4];
    uint32_t open = 0;
    uint64_t random = 5;
    for (;;) {
        while (open < 4 && job_next(job, &pieces[open]) == 0) {
            open++;
        }
        if (open == 0) {
            break;
        }
        assert_false(job_is_idle(job));
        assert_false(job_is_over(job));
        random = random * 6364136223846793005u + 1;
        uint32_t which = (uint32_t)(random >> 33) % open;
        answer(job, &pieces[which], played);
        pieces[which] = pieces[--open];
    }
    assert_true(job_is_over(job));
    struct job_result result;
    assert_int_equal(job_result(job, &result), 0);
    assert_int_equal(result.batch, 9);
    assert_int_equal(result.acked + result.retried + result.parked, result.count);
    return result;
}

static void all_good(void **state)
{
    (void)state;
    struct played played = {.requests = 0};
    struct job *job = job_of(1000, 1u << 20);
    struct job_result result = play(job, &played);
    assert_int_equal(result.acked, 1000);
    assert_int_equal(played.requests, 1);
    assert_int_equal(result.trouble, JOB_FINE);
    assert_int_equal(result.reasons.length, 0);
    job_free(job);
    job_free(NULL);
}

static void requests_are_bounded(void **state)
{
    (void)state;
    for (uint32_t bytes = 50; bytes < 2000; bytes += 37) {
        struct played played = {.requests = 0};
        struct job *job = job_of(40, bytes);
        struct job_piece piece;
        assert_int_equal(job_next(job, &piece), 0);
        assert_true(piece.body.length <= bytes || piece.count == 1);
        job_piece_unsent(job, &piece);
        struct job_result result = play(job, &played);
        assert_int_equal(result.acked, 40);
        assert_true(played.requests == 40 || played.largest > 1);
        job_free(job);
    }
}

/* Wherever the bad ones stand: they are parked, and all others taken. */
static void bad_ones_are_found(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (uint32_t round = 0; round < 200; round++) {
        struct played played = {.requests = 0};
        uint32_t count = 1 + round * 7;
        uint32_t bad = 0;
        for (uint32_t i = 0; i < 1 + round % 4; i++) {
            random = random * 6364136223846793005u + 1;
            uint32_t at = (uint32_t)(random >> 33) % count;
            bad += !played.bad[at];
            played.bad[at] = true;
        }
        struct job *job = job_of(count, 1u << 20);
        struct job_result result = play(job, &played);
        assert_int_equal(result.parked, bad);
        assert_int_equal(result.acked, count - bad);
        assert_in_range(played.requests, 1, 1 + 2 * 11 * bad);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(result.outcomes.at[i], played.bad[i] ? INDEX_PARKED : INDEX_ACKED);
        }
        struct reader reasons = reader_of(result.reasons);
        struct bytes code;
        struct bytes message;
        for (uint32_t i = 0; i < bad; i++) {
            assert_true(command_reason_next(&reasons, &code, &message));
            assert_true(bytes_equal(code, text("bad")));
            assert_true(bytes_equal(message, text("line")));
        }
        assert_true(reasons.at == reasons.end);
        job_free(job);
    }
}

/* Of very many bad ones some are found in each attempt, and the rest comes again. */
static void the_search_is_bounded(void **state)
{
    (void)state;
    struct played played = {.requests = 0};
    for (uint32_t i = 0; i < 2000; i += 2) {
        played.bad[i] = true;
    }
    struct job *job = job_of(2000, 1u << 20);
    struct job_result result = play(job, &played);
    assert_in_range(played.requests, JOB_SPLITS_MAX, 2 * JOB_SPLITS_MAX + 1);
    assert_in_range(result.parked, 5, 64);
    assert_in_range(result.acked, 5, 64);
    assert_int_equal(result.retried, 2000 - result.parked - result.acked);
    assert_string_equal(result.why.code, "bad");
    job_free(job);
}

static void when_all_are_bad_none_is(void **state)
{
    (void)state;
    struct played played = {.requests = 0};
    memset(played.bad, 1, sizeof played.bad);
    struct job *job = job_of(JOB_ALL_REFUSED_MIN, 1u << 20);
    struct job_result result = play(job, &played);
    assert_int_equal(result.retried, JOB_ALL_REFUSED_MIN);
    assert_int_equal(result.reasons.length, 0);
    assert_int_equal(result.trouble, JOB_REFUSED);
    assert_string_equal(result.why.code, "bad");
    job_free(job);
    job = job_of(JOB_ALL_REFUSED_MIN - 1, 1u << 20);
    result = play(job, &played);
    assert_int_equal(result.parked, JOB_ALL_REFUSED_MIN - 1);
    job_free(job);
}

static void lost_is_retried(void **state)
{
    (void)state;
    struct job *job = job_of(40, 400);
    struct played played = {.requests = 0};
    struct job_piece first;
    struct job_piece second;
    assert_int_equal(job_next(job, &first), 0);
    assert_int_equal(job_next(job, &second), 0);
    answer(job, &first, &played);
    job_answer(job, &second, 0, text(""), "it is gone");
    struct job_piece third;
    assert_int_equal(job_next(job, &third), 1); /* nothing more is sent */
    struct job_result result;
    assert_int_equal(job_result(job, &result), 0);
    assert_int_equal(result.acked, played.largest);
    assert_int_equal(result.retried, 40 - played.largest);
    assert_int_equal(result.trouble, JOB_AWAY);
    assert_string_equal(result.why.code, "unreachable");
    assert_string_equal(result.why.message, "it is gone");
    job_free(job);
}

static void given_up_before_it_was_sent(void **state)
{
    (void)state;
    struct job *job = job_of(10, 400);
    job_give_up(job);
    assert_true(job_is_over(job));
    struct job_result result;
    assert_int_equal(job_result(job, &result), 0);
    assert_int_equal(result.retried, 10);
    job_free(job);
}

/* Documents that no index can be named for are not in the requests; positions fit nevertheless. */
static void without_an_index(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(9);
    for (uint32_t i = 0; i < 6; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "d%04u", i);
        put_document(batch, i % 2 ? "products" : "Products", id, TAKE_WHOLE);
        put_change(batch, i + 1, "{}");
    }
    struct job *job = job_new_take(batch, &standard);
    struct job_piece piece;
    assert_int_equal(job_next(job, &piece), 0);
    assert_int_equal(piece.count, 3);
    job_answer(
        job, &piece, 200,
        text("{\"items\":[{\"index\":{\"status\":201}},{\"index\":{\"status\":400,\"error\":{"
             "\"type\":\"t\"}}},{\"index\":{\"status\":429}}]}"),
        "");
    struct job_result result;
    assert_int_equal(job_result(job, &result), 0);
    static const uint8_t wanted[] = {INDEX_PARKED, INDEX_ACKED,  INDEX_PARKED,
                                     INDEX_PARKED, INDEX_PARKED, INDEX_RETRY};
    assert_memory_equal(result.outcomes.at, wanted, sizeof wanted);
    struct reader reasons = reader_of(result.reasons);
    static const char *const codes[] = {"index_name", "index_name", "t", "index_name"};
    for (uint32_t i = 0; i < 4; i++) {
        struct bytes code;
        struct bytes message;
        assert_true(command_reason_next(&reasons, &code, &message));
        assert_true(bytes_equal(code, text(codes[i])));
    }
    assert_in_range(result.retry_ms, 5, 10);
    assert_string_equal(result.why.code, "status_429");
    job_free(job);
}

/* Documents with so many rests in a row behind them, answered by these items. */
static struct job *answered(const uint8_t *rests, uint32_t count, const char *items,
                            struct job_result *result)
{
    struct index_batch *batch = open_batch(9);
    for (uint32_t i = 0; i < count; i++) {
        struct index_document document = {.tenant = text("acme"),
                                          .model = text("products"),
                                          .id = text("p"),
                                          .kind = TAKE_WHOLE,
                                          .rests = rests[i]};
        index_batch_put_document(batch, &document);
        put_change(batch, i + 1, "{}");
    }
    struct job *job = job_new_take(batch, &standard);
    struct job_piece piece;
    assert_int_equal(job_next(job, &piece), 0);
    job_answer(job, &piece, 200, text(items), "");
    assert_true(job_is_over(job));
    assert_int_equal(job_result(job, result), 0);
    return job;
}

static uint32_t rest_of(const struct job_result *result, uint32_t document)
{
    assert_int_equal(index_outcome_of(result->outcomes.at[document]), INDEX_RETRY);
    return index_rest_ms(result->retry_ms, result->outcomes.at[document]);
}

#define BUSY  "{\"index\":{\"status\":429,\"error\":{\"type\":\"busy\",\"reason\":\"full\"}}}"
#define TAKEN "{\"index\":{\"status\":201}}"
#define REFUSED                                                                                    \
    "{\"index\":{\"status\":403,\"error\":{\"type\":\"security_exception\",\"reason\":\"no\"}}}"

/* Each document rests as long as its own trouble lasts, also beside one that rests long. */
static void rests_grow_for_each_document(void **state)
{
    (void)state;
    static const uint8_t rests[] = {0, 1, 2, 3, 200, 255, 0};
    static const uint32_t full[] = {10, 20, 40, 80, 80, 80};
    for (int round = 0; round < 50; round++) {
        struct job_result result;
        struct job *job = answered(rests, 7,
                                   "{\"items\":[" BUSY "," BUSY "," BUSY "," BUSY "," BUSY "," BUSY
                                   "," TAKEN "]}",
                                   &result);
        assert_true(result.retried == 6 && result.acked == 1 && result.refused == 0);
        assert_in_range(result.retry_ms, 40, 80);
        for (uint32_t i = 0; i < 6; i++) {
            uint32_t most = 2 * full[i] < 80 ? 2 * full[i] : 80;
            assert_in_range(rest_of(&result, i), full[i] / 2, most);
        }
        assert_string_equal(result.why.code, "busy");
        job_free(job);
    }
}

/* What is about the index parks nothing, rests long, and is said with its name. */
static void a_refused_index_is_named(void **state)
{
    (void)state;
    static const uint8_t rests[] = {0, 0, 0};
    struct job_result result;
    struct job *job = answered(rests, 3, "{\"items\":[" BUSY "," REFUSED "," BUSY "]}", &result);
    assert_true(result.retried == 3 && result.parked == 0 && result.refused == 1);
    assert_int_equal(result.trouble, JOB_FINE);
    assert_in_range(rest_of(&result, 0), 5, 20);
    assert_in_range(rest_of(&result, 1), 40, 80);
    assert_in_range(rest_of(&result, 2), 5, 20);
    assert_string_equal(result.why.code, "security_exception");
    assert_string_equal(result.why.message, "index acme-products: no");
    job_free(job);
    job =
        answered(rests, 1,
                 "{\"items\":[{\"index\":{\"status\":404,\"error\":{\"type\":"
                 "\"index_not_found_exception\",\"reason\":\"no such index [acme-products]\"}}}]}",
                 &result);
    assert_int_equal(result.refused, 1);
    assert_string_equal(result.why.message, "no such index [acme-products]");
    job_free(job);
}

/* Reasons have to fit a RESULT: what has no room for one is retried. */
static void reasons_are_bounded(void **state)
{
    (void)state;
    struct index_batch *batch = open_batch(9);
    for (uint32_t i = 0; i < JOB_REASONS_MAX + 10; i++) {
        put_document(batch, "Products", "p", TAKE_WHOLE);
        put_change(batch, i + 1, NULL);
    }
    struct job *job = job_new_take(batch, &standard);
    struct job_piece piece;
    assert_int_equal(job_next(job, &piece), 1);
    struct job_result result;
    assert_int_equal(job_result(job, &result), 0);
    assert_int_equal(result.parked, JOB_REASONS_MAX);
    assert_int_equal(result.retried, 10);
    assert_true(result.reasons.length + result.count < 900u * 1024);
    job_free(job);
}

/* A batch of the largest size fits what the configuration counts for it. */
static void memory_is_counted(void **state)
{
    (void)state;
    assert_in_range(job_memory_bytes(1), 1000, 10000);
    assert_in_range(job_memory_bytes(COMMAND_TAKE_DOCUMENTS_MAX),
                    COMMAND_TAKE_DOCUMENTS_MAX * sizeof(struct reply_item), 4u * 1024 * 1024);
}

static void versions_that_were_seen(void **state)
{
    (void)state;
    static const char item[] =
        "{\"items\":[{\"index\":{\"status\":409,\"error\":{\"reason\":\"[d0000]: version conflict, "
        "current version [50] is higher\"}}},{\"index\":{\"status\":409,\"error\":{\"reason\":"
        "\"[d0001]: version conflict, current version [70] is higher\"}}}]}";
    for (int attempt = 1; attempt <= 3; attempt++) {
        struct job *job = job_of(2, 1u << 20);
        struct job_piece piece;
        assert_int_equal(job_next(job, &piece), 0);
        job_answer(job, &piece, 200, text(item), "");
        struct job_result result;
        assert_int_equal(job_result(job, &result), 0);
        assert_int_equal(result.version_seen, 70);
        assert_int_equal(result.trouble, JOB_FINE);
        /* Parked, it begins anew when an administrator retries it. */
        assert_int_equal(result.parked, attempt == 2 ? 2 : 0);
        assert_in_range(result.retry_ms, attempt == 2 ? 0 : 5, attempt == 2 ? 0 : 10);
        job_free(job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_good, forget),
        cmocka_unit_test_setup(requests_are_bounded, forget),
        cmocka_unit_test_setup(bad_ones_are_found, forget),
        cmocka_unit_test_setup(the_search_is_bounded, forget),
        cmocka_unit_test_setup(when_all_are_bad_none_is, forget),
        cmocka_unit_test_setup(lost_is_retried, forget),
        cmocka_unit_test_setup(given_up_before_it_was_sent, forget),
        cmocka_unit_test_setup(without_an_index, forget),
        cmocka_unit_test_setup(rests_grow_for_each_document, forget),
        cmocka_unit_test_setup(a_refused_index_is_named, forget),
        cmocka_unit_test_setup(reasons_are_bounded, forget),
        cmocka_unit_test(memory_is_counted),
        cmocka_unit_test_setup(versions_that_were_seen, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
