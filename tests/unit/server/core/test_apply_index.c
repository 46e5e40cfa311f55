/* TAKE, RESULT, INDEX_START and PARKED: what a batch carries, and what becomes of it. */
#include <stdio.h>

#include "tests/unit/server/core/drive_index.h"

/* ---- TAKE ---- */

/* The example of the contract: payloads at 0, 50 and 100 ms, sent as one batch at 200, accepted
 * later. */
static void a_batch_says_when_it_was_sent_and_what_it_spans(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    struct command_change change = index_change("123", "{\"a\":1}");
    uint64_t start = d->clock_ms;
    (void)index_record_all(d, &change, 1, 0);
    (void)index_record_all(d, &change, 1, 50);
    change.json = drive_text("{\"a\":3}");
    (void)index_record_all(d, &change, 1, 50);
    struct reply_take taken = index_take(d, 99);
    assert_true(taken.batch == 0 && taken.document_count == 0 && taken.cause == TAKE_NONE);
    taken = index_take(d, 1);
    assert_true(taken.batch == 1 && taken.sent_ms == start + 200 && taken.changes == 3);
    assert_int_equal(taken.cause, TAKE_DELAY);
    struct take_change only = index_only(&taken);
    assert_true(bytes_equal(only.json, drive_text("{\"a\":3}")) && !only.deleted);
    assert_true(only.accept_ms == start + 100 && only.version >= (start + 200) << 20);
    assert_int_equal(d->events, 0); /* nothing is announced that the index has not accepted */
    drive_wait(d, 700);
    struct reply_result result = index_result(d, taken.batch, "A");
    assert_true(!result.stale && result.acked == 1 && result.retried == 0 && result.parked == 0);
    assert_int_equal(d->events, 1);
    struct event event = index_event(d, 0);
    assert_int_equal(event.kind, EVENT_INDEX_CHANGED);
    assert_true(event.changed.first_ms == start && event.changed.last_ms == start + 100);
    assert_true(event.changed.updated_ms == start + 200 && event.time_ms == start + 900);
    drive_free(d);
}

static void a_batch_carries_documents_whole_or_in_fragments(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    struct command_change changes[] = {index_change("w", "{}"), index_fragment("f", "{\"x\":1}"),
                                       index_fragment("f", "{\"x\":2}"), index_change("w", ""),
                                       index_fragment("f", "")};
    changes[3].deleted = changes[4].deleted = true;
    changes[3].json.length = changes[4].json.length = 0;
    (void)index_record_all(d, changes, 5, 0);
    struct reply_take taken = index_take(d, 200);
    struct reader from = reader_of(taken.documents);
    struct take_document document;
    struct take_change change;
    assert_int_equal(taken.changes, 5);
    assert_true(take_document_next(&from, &document));
    assert_true(bytes_equal(document.tenant, drive_text("studio")));
    assert_true(bytes_equal(document.model, drive_text("mediacontainer")));
    assert_true(bytes_equal(document.document_id, drive_text("w")));
    assert_true(document.kind == TAKE_WHOLE && document.change_count == 1);
    assert_true(take_change_next(&from, &document, &change));
    assert_true(change.deleted && change.json.length == 0);
    uint64_t version = change.version;
    assert_true(take_document_next(&from, &document));
    assert_true(document.kind == TAKE_FRAGMENTS && document.change_count == 3);
    static const char *const jsons[] = {"{\"x\":1}", "{\"x\":2}", ""};
    for (int i = 0; i < 3; i++) {
        assert_true(take_change_next(&from, &document, &change));
        assert_true(bytes_equal(change.json, drive_text(jsons[i])));
        assert_int_equal(change.deleted, i == 2);
        assert_true(change.version > version);
        version = change.version;
    }
    assert_true(version == index_status(d).last_version);
    assert_false(take_document_next(&from, &document));
    drive_free(d);
}

/* What has accumulated of one kind goes; the other kind waits for its own batch. */
static void kinds_are_not_mixed(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    (void)index_record(d, index_fragment("1", "{\"a\":1}"));
    (void)index_record(d, index_change("1", "{\"b\":1}"));
    (void)index_record(d, index_change("1", "{\"b\":2}"));
    struct reply_take taken = index_take(d, 200);
    assert_int_equal(taken.changes, 1);
    assert_true(bytes_equal(index_only(&taken).json, drive_text("{\"a\":1}")));
    assert_int_equal(index_take(d, 500).batch, 0); /* one batch in flight per document */
    (void)index_result(d, 1, "A");
    taken = index_take(d, 0);
    assert_int_equal(taken.changes, 2);
    assert_true(bytes_equal(index_only(&taken).json, drive_text("{\"b\":2}")));
    drive_free(d);
}

/* A batch takes documents whole, except the first; of whole documents only the last counts. */
static void a_batch_has_bounds(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    static char json[1000];
    memset(json, ' ', sizeof json);
    struct command_change changes[] = {index_fragment("1", ""), index_fragment("1", ""),
                                       index_change("2", ""), index_change("2", ""),
                                       index_change("3", "")};
    for (int i = 0; i < 5; i++) {
        changes[i].json = bytes_of(json, sizeof json);
    }
    (void)index_record_all(d, changes, 5, 0);
    struct reply_take taken = index_take_of(d, 200, 10, 10); /* one change alone may exceed it */
    assert_true(taken.document_count == 1 && taken.changes == 1);
    taken = index_take_of(d, 0, 10, 1500); /* the last of 2 counts, and 3 has no room */
    assert_true(taken.document_count == 1 && taken.changes == 2);
    taken = index_take_of(d, 0, 10, 1500);
    assert_true(taken.document_count == 1 && taken.changes == 1);
    assert_int_equal(index_start(d), 3);
    taken = index_take_of(d, 0, 2, COMMAND_TAKE_BYTES_MAX);
    assert_true(taken.document_count == 2 && taken.changes == 4);
    drive_free(d);
}

static void causes_are_told(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_documents = 3;
    limits.flush_bytes = 1024;
    struct drive *d = drive_new(&limits);
    static char json[1100];
    memset(json, ' ', sizeof json);
    (void)index_record(d, index_change("1", "{}"));
    (void)index_record(d, index_change("2", "{}"));
    assert_int_equal(index_take(d, 0).batch, 0);
    (void)index_record(d, index_change("3", "{}"));
    struct reply_take taken = index_take(d, 0);
    assert_true(taken.cause == TAKE_DOCUMENTS && taken.document_count == 3);
    struct command_change large = index_change("4", "");
    large.json = bytes_of(json, sizeof json);
    (void)index_record(d, large);
    assert_int_equal(index_take(d, 0).cause, TAKE_BYTES);
    (void)index_record(d, index_change("5", "{}"));
    struct command_change urgent = index_change("6", "{}");
    urgent.urgent = true;
    (void)index_record(d, urgent);
    taken = index_take(d, 0);
    assert_int_equal(taken.cause, TAKE_URGENT);
    assert_int_equal(taken.document_count, 1); /* the other one has not waited long enough */
    assert_int_equal(index_take(d, 200).cause, TAKE_DELAY);
    drive_free(d);
}

/* A document becomes urgent with one change, with all that waits of it, and is so until that one is
 * done with. */
static void urgent_documents_go_first(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    (void)index_record(d, index_change("1", "{}"));
    (void)index_record(d, index_change("2", "{\"a\":1}"));
    struct command_change urgent = index_change("2", "{\"a\":2}");
    urgent.urgent = true;
    (void)index_record(d, urgent);
    assert_int_equal(core_batch_due(d->core), 0);
    struct reply_take taken = index_take(d, 10);
    assert_int_equal(taken.changes, 2);
    assert_true(bytes_equal(index_only(&taken).json, drive_text("{\"a\":2}")));
    (void)index_record(d, index_change("2", "{\"a\":3}"));
    (void)index_result(d, taken.batch, "R");
    taken = index_take(d, 10);
    assert_true(taken.cause == TAKE_URGENT && taken.changes == 3);
    (void)index_record(d, index_change("2", "{\"a\":4}"));
    (void)index_result(d, taken.batch, "A");
    assert_int_equal(index_take(d, 10).batch, 0); /* what is left has time */
    assert_int_equal(index_take(d, 200).document_count, 2);
    drive_free(d);
}

static void sixteen_batches_may_be_in_flight(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_delay_ms = 0;
    struct drive *d = drive_new(&limits);
    for (int i = 0; i < 17; i++) {
        char id[2] = {(char)('a' + i), 0};
        (void)index_record(d, index_change(id, "{}"));
        assert_int_equal(index_take(d, 0).batch, i < 16 ? i + 1 : 0);
    }
    assert_true(core_batch_due(d->core) == UINT64_MAX);
    assert_int_equal(index_status(d).batch_count, 16);
    (void)index_result(d, 7, "A");
    assert_int_equal(index_take(d, 0).batch, 17);
    assert_true(index_result(d, 7, "A").stale);
    struct core_index_status status = index_status(d);
    assert_true(status.batches[6].number == 8 && status.batches[15].number == 17);
    drive_free(d);
}

/* Of a document no more affected models go in one batch than an entry of the window can hold. */
static void a_batch_takes_64_affected_models_of_a_document(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    struct command_change changes[70];
    char names[70][16];
    for (int i = 0; i < 70; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        changes[i] = index_change("1", "{}");
        changes[i].affected_model = drive_text(names[i]);
    }
    (void)index_record_all(d, changes, 70, 0);
    struct reply_take taken = index_take(d, 200);
    assert_int_equal(taken.changes, LIMIT_AFFECTED_MODELS);
    (void)index_result(d, taken.batch, "A");
    assert_int_equal(d->events, LIMIT_AFFECTED_MODELS);
    assert_int_equal(index_take(d, 0).changes, 70 - LIMIT_AFFECTED_MODELS);
    drive_free(d);
}

/* ---- RESULT ---- */

static void what_is_retried_goes_first_and_in_order_under_new_versions(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    static const char *const ids[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 4; i++) {
        (void)index_record(d, index_change(ids[i], "{}"));
    }
    struct reply_take taken = index_take(d, 200);
    (void)index_record(d, index_change("9", "{}"));
    uint64_t version = index_status(d).last_version;
    struct reply_result result = index_result(d, taken.batch, "RARR");
    assert_true(result.acked == 1 && result.retried == 3);
    assert_int_equal(d->events, 1);
    taken = index_take(d, 200);
    assert_int_equal(taken.document_count, 4);
    struct reader from = reader_of(taken.documents);
    struct take_document document;
    struct take_change change;
    static const char *const order[] = {"1", "3", "4", "9"};
    for (int i = 0; i < 4; i++) {
        assert_true(take_document_next(&from, &document));
        assert_true(bytes_equal(document.document_id, drive_text(order[i])));
        assert_true(take_change_next(&from, &document, &change));
        assert_true(change.version > version);
        version = change.version;
    }
    drive_free(d);
}

/* Only the time that it has waited itself counts of what came while a document was away. */
static void what_came_meanwhile_waits_for_others(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    (void)index_record(d, index_change("1", "{}"));
    struct reply_take taken = index_take(d, 200);
    (void)index_record(d, index_change("1", "{\"a\":2}"));
    drive_wait(d, 100);
    (void)index_record(d, index_change("2", "{}"));
    (void)index_result(d, taken.batch, "A");
    assert_int_equal(core_batch_due(d->core), 500);
    taken = index_take(d, 200);
    assert_int_equal(taken.document_count, 2);
    drive_free(d);
}

static void a_result_for_nothing_does_nothing(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    (void)index_record(d, index_change("1", "{}"));
    struct reply_take taken = index_take(d, 200);
    assert_true(index_result_of(d, taken.batch + 1, "A", UINT64_C(1) << 61).stale);
    assert_true(index_status(d).last_version < UINT64_C(1) << 61);
    assert_int_equal(index_start(d), 1);
    assert_true(index_result(d, taken.batch, "P").stale);
    assert_true(index_result(d, taken.batch, "AAAA").stale); /* not even counted */
    assert_int_equal(d->events, 0);
    taken = index_take(d, 0);
    assert_int_equal(taken.batch, 2);
    struct command command = {
        .kind = COMMAND_RESULT,
        .result = {.batch = 2, .count = 2, .outcomes = drive_text("\x01\x01")}};
    drive_begin(d, 0, 0);
    drive_add(d, &command);
    assert_int_equal(drive_try(d), CORE_MALFORMED);
    drive_free(d);
}

static void a_version_that_was_seen_is_passed(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_delay_ms = 0;
    struct drive *d = drive_new(&limits);
    (void)index_record(d, index_change("1", "{}"));
    struct reply_take taken = index_take(d, 0);
    uint64_t before = index_only(&taken).version;
    (void)index_result_of(d, taken.batch, "R", before + 1000000);
    taken = index_take(d, 0);
    assert_true(index_only(&taken).version == before + 1000001);
    (void)index_result_of(d, taken.batch, "R", 5);
    taken = index_take(d, 0);
    assert_true(index_only(&taken).version == before + 1000002);
    (void)index_result_of(d, taken.batch, "R", UINT64_MAX); /* nobody counts as we do up there */
    taken = index_take(d, 0);
    assert_true(index_only(&taken).version == before + 1000003);
    (void)index_result_of(d, taken.batch, "R", COMMAND_VERSION_SEEN_MAX);
    taken = index_take(d, 0);
    assert_true(index_only(&taken).version == COMMAND_VERSION_SEEN_MAX + 1);
    drive_free(d);
}

/* The index reads versions as signed numbers. */
static void versions_stay_below_2_63_in_any_century(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_delay_ms = 0;
    struct drive *d = drive_new(&limits);
    d->clock_ms = UINT64_C(1) << 60;
    drive_tick(d, 0, ENTRY_RESUME | ENTRY_JUMP);
    uint64_t before = 0;
    for (int i = 0; i < 3; i++) {
        (void)index_record(d, index_change("1", "{}"));
        struct reply_take taken = index_take(d, 0);
        uint64_t version = index_only(&taken).version;
        assert_true(version > before && version <= INT64_MAX);
        before = version;
        (void)index_result(d, taken.batch, "A");
    }
    drive_free(d);
}

/* A ticket is SENT when all of it is under way, and ACKED when all of it is done with. */
static void tickets_know_what_is_under_way(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    struct command_change changes[] = {index_change("1", "{}"), index_change("2", "{}")};
    uint64_t ticket = index_record_all(d, changes, 2, 0);
    struct reply_take taken = index_take_of(d, 200, 1, 1000);
    assert_int_equal(index_look(d, ticket, VISIBLE_SENT), CORE_WAIT_PENDING);
    struct reply_take second = index_take(d, 0);
    assert_int_equal(index_look(d, ticket, VISIBLE_SENT), CORE_WAIT_REACHED);
    assert_int_equal(index_look(d, ticket, VISIBLE_ACKED), CORE_WAIT_PENDING);
    (void)index_result(d, second.batch, "R");
    assert_int_equal(index_look(d, ticket, VISIBLE_SENT), CORE_WAIT_PENDING);
    (void)index_result(d, taken.batch, "A");
    second = index_take(d, 0);
    assert_int_equal(index_look(d, ticket, VISIBLE_SENT), CORE_WAIT_REACHED);
    assert_int_equal(index_look(d, ticket, VISIBLE_SEARCHABLE), CORE_WAIT_PENDING);
    (void)index_result(d, second.batch, "A");
    assert_int_equal(index_look(d, ticket, VISIBLE_SEARCHABLE), CORE_WAIT_REACHED);
    drive_free(d);
}

/* ---- INDEX_START ---- */

static void a_start_puts_everything_back_in_order(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_delay_ms = 0;
    struct drive *d = drive_new(&limits);
    static const char *const ids[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        (void)index_record(d, index_change(ids[i], "{}"));
        (void)index_take(d, 0);
    }
    (void)index_record(d, index_change("4", "{}"));
    assert_int_equal(index_start(d), 3);
    assert_int_equal(index_start(d), 0);
    struct reply_take taken = index_take(d, 0);
    assert_true(taken.batch == 4 && taken.document_count == 4);
    struct reader from = reader_of(taken.documents);
    struct take_document document;
    struct take_change change;
    for (int i = 0; i < 4; i++) {
        assert_true(take_document_next(&from, &document));
        assert_int_equal(document.document_id.at[0], '1' + i);
        assert_true(take_change_next(&from, &document, &change));
    }
    drive_free(d);
}

/* ---- PARKED ---- */

/* A refused document holds back what comes later of it, and nothing else. */
static void a_parked_document_waits_for_an_admin(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_delay_ms = 0;
    struct drive *d = drive_new(&limits);
    struct command_caller admin = index_admin("studio");
    uint64_t bad = index_record(d, index_change("1", "{\"bad\":1}"));
    uint64_t good = index_record(d, index_change("2", "{}"));
    struct reply_take taken = index_take(d, 0);
    assert_int_equal(index_result(d, taken.batch, "PA").parked, 1);
    assert_int_equal(index_look(d, bad, VISIBLE_SENT), CORE_WAIT_PARKED);
    assert_int_equal(index_look(d, good, VISIBLE_ACKED), CORE_WAIT_REACHED);
    uint64_t later = index_record(d, index_change("1", "{\"good\":1}"));
    assert_int_equal(index_look(d, later, VISIBLE_SENT), CORE_WAIT_PENDING);
    assert_int_equal(index_take(d, 1000).batch, 0);
    assert_true(core_batch_due(d->core) == UINT64_MAX);
    assert_int_equal(index_start(d), 0); /* a start changes nothing about it */

    struct command_caller other = index_admin("other");
    struct command_caller nobody = index_caller();
    assert_false(index_decide(d, &other, 1, PARKED_RETRY).found);
    assert_false(index_decide(d, &nobody, 1, PARKED_RETRY).found);
    assert_false(index_decide(d, &admin, 2, PARKED_RETRY).found);
    struct reply_parked decided = index_decide(d, &admin, 1, PARKED_RETRY);
    assert_true(decided.found && decided.changes == 1);
    assert_false(index_decide(d, &admin, 1, PARKED_RETRY).found); /* twice is once */
    taken = index_take(d, 0);
    assert_int_equal(taken.changes, 2); /* with what came later */
    (void)index_result(d, taken.batch, "A");
    assert_int_equal(index_look(d, bad, VISIBLE_ACKED), CORE_WAIT_REACHED);
    drive_free(d);
}

static void a_discarded_change_is_never_announced(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_delay_ms = 0;
    struct drive *d = drive_new(&limits);
    struct command_caller admin = index_admin("studio");
    struct command_change changes[] = {index_change("1", "{\"bad\":1}"), index_change("2", "{}")};
    uint64_t bad = index_record_all(d, changes, 2, 0);
    struct reply_take taken = index_take(d, 0);
    (void)index_result(d, taken.batch, "PA");
    uint64_t later = index_record(d, index_change("1", "{\"good\":1}"));
    struct reply_parked decided = index_decide(d, &admin, 1, PARKED_DISCARD);
    assert_true(decided.found && decided.changes == 1 && d->events == 0);
    assert_int_equal(index_look(d, bad, VISIBLE_ACKED), CORE_WAIT_PARKED); /* for good */
    taken = index_take(d, 0);
    assert_true(bytes_equal(index_only(&taken).json, drive_text("{\"good\":1}")));
    (void)index_result(d, taken.batch, "A");
    assert_int_equal(index_look(d, later, VISIBLE_ACKED), CORE_WAIT_REACHED);
    assert_int_equal(index_look(d, bad, VISIBLE_SENT), CORE_WAIT_PARKED);
    drive_wait(d, limits.ticket_keep_ms);
    assert_int_equal(index_look(d, bad, VISIBLE_SENT), CORE_WAIT_UNKNOWN);
    struct core_info info;
    core_info(d->core, &info);
    assert_true(info.tickets == 0 && info.pending_changes == 0);
    drive_free(d);
}

/* ---- With and without ---- */

static void without_an_index_nothing_is_taken(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    (void)index_record(d, index_change("1", "{}"));
    assert_int_equal(index_take(d, 150).batch, 0);
    assert_true(core_batch_due(d->core) == UINT64_MAX);
    assert_true(core_next_deadline(d->core) == 200);
    struct command_change urgent = index_change("2", "{}");
    urgent.urgent = true;
    (void)index_record(d, urgent);
    assert_int_equal(d->events, 2); /* recorded, and at once accepted */
    drive_tick(d, 50, 0);
    assert_int_equal(d->events, 1);
    assert_int_equal(index_start(d), 0);
    assert_true(index_result(d, 1, "A").stale);
    drive_free(d);
}

static void with_an_index_time_alone_sends_nothing(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    (void)index_record(d, index_change("1", "{}"));
    assert_int_equal(core_batch_due(d->core), 200);
    assert_true(core_next_deadline(d->core) >= limits.change_keep_ms); /* no tick for it */
    drive_wait(d, 5000);
    assert_int_equal(index_status(d).waiting_changes, 1);
    assert_int_equal(core_batch_due(d->core), 200);
    drive_free(d);
}

/* Nobody is left to take, to answer or to refuse. */
static void an_index_that_is_given_up_leaves_nothing_behind(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    uint64_t tickets[4];
    static const char *const ids[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        tickets[i] = index_record(d, index_change(ids[i], "{}"));
    }
    struct reply_take taken = index_take_of(d, 200, 2, COMMAND_TAKE_BYTES_MAX);
    (void)index_result(d, taken.batch, "PA");
    taken = index_take(d, 0);
    tickets[3] = index_record(d, index_change("1", "{}"));
    struct core_limits none = limits;
    none.index_mode = 0;
    drive_set_limits(d, &none);
    drive_tick(d, 200, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(index_look(d, tickets[i], VISIBLE_SENT), CORE_WAIT_REACHED);
    }
    struct core_index_status status = index_status(d);
    assert_true(status.parked_documents == 0 && status.flying_changes == 0 &&
                status.waiting_changes == 0 && status.batch_count == 0);
    drive_verify(d);
    drive_set_limits(d, &limits);
    assert_true(index_result(d, taken.batch, "A").stale);
    struct command_caller admin = index_admin("studio");
    assert_false(index_decide(d, &admin, 1, PARKED_DISCARD).found);
    drive_free(d);
}

/* ---- Bounds ---- */

/* The bound that the engine closes entries by holds for the fullest batch. */
static void effects_stay_within_their_bound(void **state)
{
    (void)state;
    enum { COUNT = 600 };
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    static char id[COUNT][LIMIT_DOCUMENT_ID_LENGTH];
    static char model[LIMIT_MODEL_LENGTH];
    static char outcomes[COUNT + 1];
    static struct command_change changes[COUNT];
    memset(model, 'm', sizeof model);
    for (uint32_t i = 0; i < COUNT; i++) {
        memset(id[i], 'i', sizeof id[i]);
        memcpy(id[i], &i, sizeof i);
        changes[i] = index_change("", i % 2 == 0 ? "{}" : "{\"abc\":12345}");
        changes[i].document_id = bytes_of(id[i], sizeof id[i]);
        changes[i].model = changes[i].affected_model = bytes_of(model, sizeof model);
        outcomes[i] = 'A';
    }
    (void)index_record_all(d, changes, COUNT, 0);
    uint8_t encoded[64];
    struct command command = {.kind = COMMAND_TAKE, .take = {COUNT, 10000}};
    struct writer to = writer_of(encoded, sizeof encoded);
    command_encode(&command, &to);
    struct reply_take taken = index_take_of(d, 200, COUNT, 10000);
    assert_int_equal(taken.document_count, COUNT);
    assert_true(d->effects.length <= command_effects_max(bytes_of(encoded, to.wanted)));
    (void)index_result(d, taken.batch, outcomes);
    assert_int_equal(d->events, COUNT);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_says_when_it_was_sent_and_what_it_spans),
        cmocka_unit_test(a_batch_carries_documents_whole_or_in_fragments),
        cmocka_unit_test(kinds_are_not_mixed),
        cmocka_unit_test(a_batch_has_bounds),
        cmocka_unit_test(causes_are_told),
        cmocka_unit_test(urgent_documents_go_first),
        cmocka_unit_test(sixteen_batches_may_be_in_flight),
        cmocka_unit_test(a_batch_takes_64_affected_models_of_a_document),
        cmocka_unit_test(what_is_retried_goes_first_and_in_order_under_new_versions),
        cmocka_unit_test(what_came_meanwhile_waits_for_others),
        cmocka_unit_test(a_result_for_nothing_does_nothing),
        cmocka_unit_test(a_version_that_was_seen_is_passed),
        cmocka_unit_test(versions_stay_below_2_63_in_any_century),
        cmocka_unit_test(tickets_know_what_is_under_way),
        cmocka_unit_test(a_start_puts_everything_back_in_order),
        cmocka_unit_test(a_parked_document_waits_for_an_admin),
        cmocka_unit_test(a_discarded_change_is_never_announced),
        cmocka_unit_test(without_an_index_nothing_is_taken),
        cmocka_unit_test(with_an_index_time_alone_sends_nothing),
        cmocka_unit_test(an_index_that_is_given_up_leaves_nothing_behind),
        cmocka_unit_test(effects_stay_within_their_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
