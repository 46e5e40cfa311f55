/* Documents that rest: which is due first, and what a rest means for batches, tickets and those
 * that wait. */
#include "tests/unit/server/core/drive_index.h"
#include "tests/unit/server/core/parts.h"

#include <stdio.h>

#include "server/core/rests.h"

/* ---- The heap ---- */

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    rests_layout(at, region, capacity);
}

static void save(const void *at, struct stream_out *out)
{
    rests_save(at, out);
}

static void load(void *at, struct stream_in *in)
{
    rests_load(at, in);
}

static struct rests *rests_new(uint64_t pending_changes_max)
{
    struct core_limits limits = parts_limits();
    limits.pending_changes_max = pending_changes_max;
    return parts_new(sizeof(struct rests), layout, &limits);
}

static void put(struct rests *rests, uint32_t document, uint64_t due_ms)
{
    const struct rest rest = {.document = document, .due_ms = due_ms, .oldest_ms = 1000 - document};
    rests_put(rests, &rest);
}

static uint32_t take_first(struct rests *rests)
{
    uint32_t document = rests_first(rests);
    rests_remove_first(rests);
    assert_true(rests_sound(rests, UINT64_MAX));
    return document;
}

static void those_due_first_are_first(void **state)
{
    (void)state;
    struct rests *rests = rests_new(16);
    assert_true(rests_due_ms(rests) == UINT64_MAX);
    put(rests, 7, 300);
    put(rests, 8, 100);
    put(rests, 9, 300);
    put(rests, 5, 100);
    put(rests, 6, 200);
    assert_true(rests_due_ms(rests) == 100 && rests->count == 5);
    assert_true(rests_oldest_ms(rests) == 991);
    static const uint32_t order[] = {8, 5, 6, 7, 9};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(take_first(rests), order[i]);
    }
    assert_true(rests_due_ms(rests) == UINT64_MAX && rests_oldest_ms(rests) == UINT64_MAX);
    free(rests);
}

/* Against a search for the least; and with a copy that went through a snapshot. */
static void any_order_comes_out_in_order(void **state)
{
    (void)state;
    enum { MOST = 500 };
    struct rests *rests = rests_new(MOST);
    struct parts_memory memory = {0};
    uint64_t seed = 5;
    struct {
        uint64_t due_ms, nth;
    } kept[MOST + 1] = {{0, 0}};
    uint64_t count = 0;
    for (uint32_t step = 0; step < 20000; step++) {
        uint64_t pick = parts_random(&seed);
        bool fill = step % 2000 < 1000;
        if (rests->count < MOST && (rests->count == 0 || pick % 8 < (fill ? 6u : 2u))) {
            uint32_t document = 1;
            while (kept[document].nth != 0) {
                document++;
            }
            kept[document].due_ms = (pick >> 8) % 64;
            kept[document].nth = ++count;
            put(rests, document, kept[document].due_ms);
        } else {
            uint32_t first = 0;
            for (uint32_t i = 1; i <= MOST; i++) {
                if (kept[i].nth != 0 &&
                    (first == 0 || kept[i].due_ms < kept[first].due_ms ||
                     (kept[i].due_ms == kept[first].due_ms && kept[i].nth < kept[first].nth))) {
                    first = i;
                }
            }
            assert_true(rests_due_ms(rests) == kept[first].due_ms);
            assert_int_equal(take_first(rests), first);
            kept[first].nth = 0;
        }
        if (step % 3000 == 999) {
            parts_save(&memory, save, rests);
            struct rests *other = rests_new(MOST);
            assert_int_equal(parts_load(&memory, load, other), 0);
            free(rests);
            rests = other;
        }
    }
    free(memory.at);
    free(rests);
}

static void damage_is_seen(void **state)
{
    (void)state;
    struct rests *rests = rests_new(8);
    struct parts_memory memory = {0};
    for (uint32_t i = 1; i <= 8; i++) {
        put(rests, i, 100 * i);
    }
    assert_true(rests_sound(rests, 0));
    rests->at[5].due_ms = 250; /* before its parent */
    assert_false(rests_sound(rests, 0));
    rests->at[5].due_ms = COMMAND_RETRY_AFTER_MAX_MS + 1;
    assert_false(rests_sound(rests, 0));
    assert_true(rests_sound(rests, 1));
    rests->at[5].number = 9; /* nobody has got it yet */
    assert_false(rests_sound(rests, 1));
    rests->at[5].number = 6;
    rests->at[5].zero = 1;
    assert_false(rests_sound(rests, 1));
    parts_save(&memory, save, rests);
    struct rests *small = rests_new(7);
    assert_int_equal(parts_load(&memory, load, small), CORE_TOO_LARGE);
    free(small);
    memory.length -= 1;
    struct rests *cut = rests_new(8);
    assert_int_not_equal(parts_load(&memory, load, cut), 0);
    assert_int_equal(cut->count, 0);
    free(cut);
    free(memory.at);
    free(rests);
}

/* ---- Documents ---- */

/* The ids of a batch, one letter each, in its order; and how often each had to rest. */
struct shown {
    char ids[64];
    char rests[64];
};
static struct shown show(const struct reply_take *taken)
{
    struct shown shown = {.ids = ""};
    struct reader from = reader_of(taken->documents);
    struct take_document document;
    struct take_change change;
    for (uint32_t i = 0; take_document_next(&from, &document); i++) {
        shown.ids[i] = (char)document.document_id.at[0];
        shown.rests[i] = (char)('0' + document.rests);
        while (take_change_next(&from, &document, &change)) {
        }
    }
    return shown;
}

static void record_each(struct drive *d, const char *ids)
{
    for (; *ids != 0; ids++) {
        char id[2] = {*ids, 0};
        (void)index_record(d, index_change(id, "{}"));
    }
}

static void a_document_rests_and_others_do_not_wait(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    record_each(d, "ab");
    struct reply_take taken = index_take(d, 200);
    struct reply_result result = index_result_rest(d, taken.batch, "RA", 0, 1000);
    assert_true(result.retried == 1 && result.acked == 1);
    assert_true(core_batch_due(d->core) == 1200); /* by service time */
    record_each(d, "c");
    assert_true(core_batch_due(d->core) == 400);
    taken = index_take(d, 200);
    assert_string_equal(show(&taken).ids, "c");
    assert_int_equal(taken.cause, TAKE_DELAY);
    (void)index_result(d, taken.batch, "A");
    assert_true(core_batch_due(d->core) == 1200);
    assert_int_equal(index_take(d, 799).batch, 0);
    taken = index_take(d, 1);
    assert_string_equal(show(&taken).ids, "a");
    assert_int_equal(taken.cause, TAKE_RESTED);
    (void)index_result(d, taken.batch, "A");
    assert_true(core_batch_due(d->core) == UINT64_MAX);
    drive_free(d);
}

static void without_a_rest_it_is_due_at_once(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    record_each(d, "ab");
    struct reply_take taken = index_take(d, 200);
    (void)index_result_rest(d, taken.batch, "R2", 0, 3); /* halved twice, nothing is left */
    assert_int_equal(index_status(d).resting_documents, 1);
    taken = index_take(d, 0);
    assert_string_equal(show(&taken).ids, "b");
    assert_string_equal(show(&taken).rests, "0");
    drive_free(d);
}

static void rests_of_all_lengths_end_in_order(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    record_each(d, "abcdef");
    struct reply_take taken = index_take(d, 200);
    (void)index_result_rest(d, taken.batch, "R31R13", 0, 800);
    static const char *const order[] = {"bf", "ce", "ad"};
    static const uint16_t until[] = {100, 300, 400};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(index_take(d, (uint16_t)(until[i] - 1)).batch, 0);
        taken = index_take(d, 1);
        assert_string_equal(show(&taken).ids, order[i]);
        (void)index_result(d, taken.batch, "AA");
    }
    drive_free(d);
}

/* What comes later queues up behind, also when it is urgent, and does not end the rest. */
static void changes_of_a_resting_document_stay_in_order(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    (void)index_record(d, index_fragment("a", "{\"n\":1}"));
    struct reply_take taken = index_take(d, 200);
    (void)index_result_rest(d, taken.batch, "R", 0, 1000);
    struct command_change urgent = index_fragment("a", "{\"n\":2}");
    urgent.urgent = true;
    (void)index_record(d, urgent);
    assert_int_equal(index_take(d, 900).batch, 0);
    taken = index_take(d, 100);
    assert_true(taken.changes == 2 && taken.document_count == 1);
    struct reader from = reader_of(taken.documents);
    struct take_document document;
    struct take_change change;
    assert_true(take_document_next(&from, &document));
    assert_true(take_change_next(&from, &document, &change));
    assert_true(bytes_equal(change.json, drive_text("{\"n\":1}")));
    assert_true(take_change_next(&from, &document, &change));
    assert_true(bytes_equal(change.json, drive_text("{\"n\":2}")));
    drive_free(d);
}

static void urgent_documents_rest_too(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    struct command_change urgent = index_change("a", "{}");
    urgent.urgent = true;
    (void)index_record(d, urgent);
    struct reply_take taken = index_take(d, 0);
    (void)index_result_rest(d, taken.batch, "R", 0, 500);
    assert_true(core_batch_due(d->core) == 500);
    assert_int_equal(index_take(d, 499).batch, 0);
    taken = index_take(d, 1);
    assert_string_equal(show(&taken).ids, "a");
    (void)index_result(d, taken.batch, "R");
    assert_int_equal(index_take(d, 0).cause, TAKE_URGENT);
    drive_free(d);
}

/* A document that rested goes first; many of them take turns with what waits; urgent ones go before
 * both. */
static void those_that_rested_take_turns(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    record_each(d, "abcde");
    struct reply_take taken = index_take(d, 200);
    (void)index_result_rest(d, taken.batch, "RRRRR", 0, 300);
    record_each(d, "123");
    struct command_change urgent = index_change("u", "{}");
    urgent.urgent = true;
    (void)index_record_all(d, &urgent, 1, 300);
    taken = index_take_of(d, 0, 4, 10000);
    assert_string_equal(show(&taken).ids, "ua1b");
    taken = index_take_of(d, 0, 100, 10000);
    assert_string_equal(show(&taken).ids, "c2d3e");
    drive_free(d);
}

/* What rests fills no batch: it neither counts as a document that waits nor with its bytes. */
static void what_rests_begins_no_batch(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_documents = 3;
    limits.flush_bytes = 1024;
    struct drive *d = drive_new(&limits);
    static char large[1200];
    memset(large, '1', sizeof large - 1);
    (void)index_record(d, index_change("a", large));
    (void)index_record(d, index_change("b", "{}"));
    (void)index_record(d, index_change("c", "{}"));
    struct reply_take taken = index_take(d, 0);
    assert_int_equal(taken.document_count, 1);
    (void)index_result_rest(d, taken.batch, "R", 0, 5000);
    assert_true(core_batch_due(d->core) == 200);
    (void)index_record(d, index_change("a", large)); /* behind it */
    assert_true(core_batch_due(d->core) == 200);
    assert_int_equal(index_take(d, 199).batch, 0);
    (void)index_record(d, index_change("d", "{}"));
    assert_int_equal(index_take(d, 0).cause, TAKE_DOCUMENTS);
    drive_free(d);
}

/* How often in a row: what was taken, or parked, begins anew. */
static void rests_in_a_row_are_told(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.flush_delay_ms = 0;
    struct drive *d = drive_new(&limits);
    struct command_caller admin = index_admin("studio");
    record_each(d, "ab");
    struct reply_take taken = index_take(d, 0);
    assert_string_equal(show(&taken).rests, "00");
    (void)index_result_rest(d, taken.batch, "RR", 0, 100);
    taken = index_take(d, 100);
    assert_string_equal(show(&taken).rests, "11");
    (void)index_result(d, taken.batch, "RR"); /* the index was away: nobody's fault */
    taken = index_take(d, 0);
    assert_string_equal(show(&taken).rests, "11");
    (void)index_result_rest(d, taken.batch, "RP", 0, 100);
    taken = index_take(d, 100);
    assert_string_equal(show(&taken).rests, "2");
    record_each(d, "a");
    (void)index_result(d, taken.batch, "A");
    assert_true(index_decide(d, &admin, 1, PARKED_RETRY).found);
    taken = index_take(d, 0);
    assert_string_equal(show(&taken).ids, "ba");
    assert_string_equal(show(&taken).rests, "00");
    (void)index_result(d, taken.batch, "AA");
    record_each(d, "a");
    for (int i = 0; i < 300; i++) {
        taken = index_take(d, 1);
        (void)index_result_rest(d, taken.batch, "R", 0, 1);
    }
    taken = index_take(d, 1);
    struct reader from = reader_of(taken.documents);
    struct take_document document;
    assert_true(take_document_next(&from, &document));
    assert_int_equal(document.rests, UINT8_MAX);
    drive_free(d);
}

/* For a ticket a rest is waiting: open, and not under way. */
static void a_ticket_waits_for_what_rests(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    uint64_t ticket = index_record(d, index_change("a", "{}"));
    struct reply_take taken = index_take(d, 200);
    assert_int_equal(index_look(d, ticket, VISIBLE_SENT), CORE_WAIT_REACHED);
    (void)index_result_rest(d, taken.batch, "R", 0, 1000);
    assert_int_equal(index_look(d, ticket, VISIBLE_SENT), CORE_WAIT_PENDING);
    taken = index_take(d, 1000);
    assert_int_equal(index_look(d, ticket, VISIBLE_SENT), CORE_WAIT_REACHED);
    (void)index_result(d, taken.batch, "A");
    assert_int_equal(index_look(d, ticket, VISIBLE_ACKED), CORE_WAIT_REACHED);
    drive_free(d);
}

/* A new process knows nothing of the trouble of the one before. */
static void a_start_ends_all_rests(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    record_each(d, "abc");
    struct reply_take taken = index_take_of(d, 200, 2, 10000);
    (void)index_result_rest(d, taken.batch, "R1", 0, 60000);
    (void)index_take(d, 0); /* c is in flight */
    record_each(d, "d");
    assert_int_equal(index_start(d), 3);
    assert_int_equal(index_status(d).resting_documents, 0);
    taken = index_take(d, 0);
    assert_string_equal(show(&taken).ids, "bac");
    assert_string_equal(show(&taken).rests, "110");
    taken = index_take(d, 200);
    assert_string_equal(show(&taken).ids, "d");
    drive_free(d);
}

static void an_index_that_is_given_up_ends_all_rests(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    uint64_t ticket = index_record(d, index_change("a", "{}"));
    struct reply_take taken = index_take(d, 200);
    (void)index_result_rest(d, taken.batch, "R", 0, 60000);
    struct core_limits none = limits;
    none.index_mode = 0;
    drive_set_limits(d, &none);
    drive_tick(d, 200, 0);
    assert_int_equal(index_look(d, ticket, VISIBLE_ACKED), CORE_WAIT_REACHED);
    assert_int_equal(index_status(d).resting_documents, 0);
    drive_verify(d);
    drive_free(d);
}

/* Time alone needs no entry: nothing ticks because something rests. */
static void a_rest_needs_no_tick(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    record_each(d, "a");
    struct reply_take taken = index_take(d, 200);
    uint64_t deadline = core_next_deadline(d->core);
    (void)index_result_rest(d, taken.batch, "R", 0, 5);
    assert_true(core_next_deadline(d->core) == deadline && deadline > 205);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_due_first_are_first),
        cmocka_unit_test(any_order_comes_out_in_order),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(a_document_rests_and_others_do_not_wait),
        cmocka_unit_test(without_a_rest_it_is_due_at_once),
        cmocka_unit_test(rests_of_all_lengths_end_in_order),
        cmocka_unit_test(changes_of_a_resting_document_stay_in_order),
        cmocka_unit_test(urgent_documents_rest_too),
        cmocka_unit_test(those_that_rested_take_turns),
        cmocka_unit_test(what_rests_begins_no_batch),
        cmocka_unit_test(rests_in_a_row_are_told),
        cmocka_unit_test(a_ticket_waits_for_what_rests),
        cmocka_unit_test(a_start_ends_all_rests),
        cmocka_unit_test(an_index_that_is_given_up_ends_all_rests),
        cmocka_unit_test(a_rest_needs_no_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
