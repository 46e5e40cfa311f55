/* Questions about the way into the index: status, parked documents page by page, why a ticket is
 * parked. */
#include <stdio.h>

#include "tests/unit/server/core/drive_index.h"

static void an_empty_state_has_an_empty_status(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    struct core_index_status status = index_status(d);
    struct core_index_status nothing = {0};
    assert_memory_equal(&status, &nothing, sizeof status);
    assert_true(core_batch_due(d->core) == UINT64_MAX);
    struct core_parked_walk walk;
    struct core_parked parked;
    core_parked_walk_init(&walk, d->core, drive_text(""), 0);
    assert_int_equal(core_parked_next(&walk, &parked), CORE_END);
    drive_free(d);
}

static void the_status_tells_where_everything_is(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    uint64_t start = d->clock_ms;
    static const char *const ids[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 3; i++) {
        (void)index_record(d, index_change(ids[i], "{\"a\":1}"));
    }
    struct reply_take taken = index_take_of(d, 200, 2, 1000);
    (void)index_result(d, taken.batch, "PR");
    (void)index_record(d, index_change("1", "{\"b\":22}")); /* behind a parked one */
    taken = index_take_of(d, 0, 1, 1000);
    (void)index_record(d, index_change("2", "{\"c\":333}")); /* behind one in flight */
    (void)index_record(d, index_change("4", "{}"));
    struct core_index_status status = index_status(d);
    assert_true(status.waiting_documents == 2 && status.waiting_changes == 4);
    assert_true(status.flying_documents == 1 && status.flying_changes == 1);
    assert_true(status.parked_documents == 1 && status.parked_changes == 1);
    assert_int_equal(status.waiting_bytes, 7 + 9 + 2); /* without what is held back by an admin */
    assert_true(status.pending_bytes == 6 * 256 && status.oldest_ms == start);
    assert_true(status.batch_count == 1 && status.last_batch == 2);
    assert_true(status.batches[0].number == 2 && status.batches[0].sent_ms == start + 200);
    assert_true(status.batches[0].documents == 1 && status.batches[0].changes == 1);
    drive_free(d);
}

/* What rests is neither waiting nor under way, but its changes are not in the index either. */
static void the_status_tells_what_rests(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    uint64_t start = d->clock_ms;
    static const char *const ids[] = {"1", "2"};
    for (int i = 0; i < 2; i++) {
        (void)index_record(d, index_change(ids[i], "{\"a\":1}"));
    }
    struct reply_take taken = index_take(d, 200);
    (void)index_result_rest(d, taken.batch, "RR", 0, 1000);
    (void)index_record(d, index_change("1", "{\"b\":22}"));
    (void)index_record(d, index_change("3", "{}"));
    struct core_index_status status = index_status(d);
    assert_true(status.resting_documents == 2 && status.waiting_documents == 1);
    assert_true(status.waiting_changes == 4 && status.flying_changes == 0);
    assert_int_equal(status.waiting_bytes, 2);
    assert_true(status.oldest_ms == start); /* not in the index since then */
    drive_wait(d, 1000); /* due once more, and still aside until a batch takes it */
    assert_int_equal(index_status(d).resting_documents, 2);
    (void)index_take(d, 0);
    status = index_status(d);
    assert_true(status.resting_documents == 0 && status.flying_documents == 3);
    assert_int_equal(status.oldest_ms, 0);
    drive_free(d);
}

/* The head of each queue is looked at: urgent ones do not hide who waits longer. */
static void the_oldest_waits_in_either_queue(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    struct command_change urgent = index_change("u", "{}");
    urgent.urgent = true;
    (void)index_record(d, urgent);
    assert_true(index_status(d).oldest_ms == d->clock_ms);
    uint64_t first = d->clock_ms;
    struct command_change change = index_change("1", "{}");
    (void)index_record_all(d, &change, 1, 50);
    assert_true(index_status(d).oldest_ms == first);
    struct reply_take taken = index_take(d, 0);
    assert_int_equal(taken.document_count, 1);
    assert_true(index_status(d).oldest_ms == first + 50);
    drive_free(d);
}

static void a_parked_document_is_explained(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    struct drive *d = drive_new(&limits);
    uint64_t start = d->clock_ms;
    struct command_change changes[12];
    uint64_t tickets[12];
    for (int i = 0; i < 12; i++) {
        changes[i] = index_fragment("one document", "{}");
    }
    tickets[0] = index_record_all(d, changes, 2, 0);
    for (int i = 1; i < 11; i++) {
        tickets[i] = index_record(d, changes[i]);
    }
    struct reply_take taken = index_take(d, 300);
    tickets[11] = index_record(d, changes[0]);
    (void)index_result(d, taken.batch, "P");
    struct core_parked_walk walk;
    struct core_parked parked;
    core_parked_walk_init(&walk, d->core, drive_text(""), 0);
    assert_int_equal(core_parked_next(&walk, &parked), CORE_FOUND);
    assert_true(parked.park_id == 1 && parked.since_ms == start + 300);
    assert_true(bytes_equal(parked.tenant, drive_text("studio")));
    assert_true(bytes_equal(parked.model, drive_text("mediacontainer")));
    assert_true(bytes_equal(parked.document_id, drive_text("one document")));
    assert_true(bytes_equal(parked.code, drive_text("CODE")));
    assert_true(bytes_equal(parked.message, drive_text("message")));
    assert_true(parked.changes == 12 && parked.behind == 1 && parked.fragments);
    assert_true(parked.oldest_ms == start);
    assert_int_equal(parked.ticket_count, CORE_TICKETS_SHOWN);
    for (uint32_t i = 0; i < CORE_TICKETS_SHOWN; i++) {
        assert_true(parked.tickets[i] == tickets[i]);
    }
    assert_int_equal(core_parked_next(&walk, &parked), CORE_END);
    assert_true(core_parked_of_ticket(d->core, tickets[10], &parked) && parked.park_id == 1);
    assert_false(core_parked_of_ticket(d->core, tickets[11], &parked));
    assert_false(core_parked_of_ticket(d->core, 12345, &parked));
    drive_free(d);
}

/* Parks so many documents of each of two tenants in turns. */
static void park_many(struct drive *d, uint32_t count)
{
    static char outcomes[2 * 5000 + 1];
    uint8_t bytes[1024];
    for (uint32_t i = 0; i < 2 * count; i++) {
        char id[16];
        snprintf(id, sizeof id, "%u", i);
        struct command_change change = index_change(id, "");
        struct writer to = writer_of(bytes, sizeof bytes);
        command_change_put(&to, &change);
        struct command command = {.kind = COMMAND_RECORD,
                                  .record = {.caller = drive_caller(i % 2 == 0 ? "studio" : "other",
                                                                    "spiffe://test/app", NULL),
                                             .change_count = 1,
                                             .changes = bytes_of(bytes, to.wanted)}};
        d->request++;
        memcpy(command.record.request_id, &d->request, sizeof d->request);
        assert_int_equal(drive_one(d, &command).code, STATUS_OK);
    }
    memset(outcomes, 'P', 2 * (size_t)count);
    outcomes[2 * count] = 0;
    struct reply_take taken = index_take(d, 200);
    assert_int_equal(taken.document_count, 2 * count);
    assert_int_equal(index_result(d, taken.batch, outcomes).parked, 2 * count);
}

/* All pages together: how many documents, and that their numbers rise. */
static uint32_t page_through(const struct drive *d, const char *tenant, uint64_t after,
                             uint32_t *pages)
{
    struct core_parked_walk walk;
    struct core_parked parked;
    uint32_t count = 0;
    uint64_t before = after;
    enum core_found found = CORE_EXHAUSTED;
    for (*pages = 0; found == CORE_EXHAUSTED; ++*pages, after = walk.position) {
        core_parked_walk_init(&walk, d->core, drive_text(tenant), after);
        while ((found = core_parked_next(&walk, &parked)) == CORE_FOUND) {
            assert_true(parked.park_id > before);
            before = parked.park_id;
            count++;
        }
    }
    return count;
}

static void parked_documents_come_in_pages(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.change_documents_max = limits.change_models_max = 20000;
    limits.pending_changes_max = limits.tickets_max = 20000;
    limits.flush_documents = 16384;
    struct drive *d = drive_new(&limits);
    park_many(d, 2500);
    uint32_t pages;
    assert_int_equal(page_through(d, "", 0, &pages), 5000);
    assert_int_equal(pages, 2);
    assert_int_equal(page_through(d, "other", 0, &pages), 2500);
    assert_int_equal(pages, 2);
    assert_int_equal(page_through(d, "nobody", 0, &pages), 0);
    assert_int_equal(page_through(d, "", 4990, &pages), 10);
    struct command_caller admin = index_admin("other");
    assert_true(index_decide(d, &admin, 4990, PARKED_RETRY).found);
    assert_int_equal(page_through(d, "", 4990, &pages), 10); /* a page may end at what is gone */
    assert_int_equal(page_through(d, "", 4989, &pages), 10);
    assert_int_equal(page_through(d, "", 9999, &pages), 0);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_state_has_an_empty_status),
        cmocka_unit_test(the_status_tells_where_everything_is),
        cmocka_unit_test(the_status_tells_what_rests),
        cmocka_unit_test(the_oldest_waits_in_either_queue),
        cmocka_unit_test(a_parked_document_is_explained),
        cmocka_unit_test(parked_documents_come_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
