/* WaitActivity and WaitVisible, look by look. Where a look is repeated while what it waits for
 * still waits, no caller is given at all: nobody is to be asked for their rights then. */
#include "tests/unit/server/core/drive.h"

#include "server/core/state.h"

static const struct command_caller *const nobody = NULL;

static struct core_wait_activity wait_for(uint64_t job_id, uint8_t percent, bool children)
{
    return (struct core_wait_activity){.job_id = job_id, .percent = percent, .children = children};
}

/* One look, the first or a later one. */
static void expect(const struct drive *d, const struct command_caller *caller,
                   struct core_wait_activity *wait, enum core_wait_outcome outcome)
{
    assert_int_equal(core_wait_activity(d->core, caller, wait), outcome);
    assert_true(outcome == CORE_WAIT_PENDING || wait->pending == 0);
}

static void expect_once(const struct drive *d, const struct command_caller *caller, uint64_t job_id,
                        enum core_wait_outcome outcome)
{
    struct core_wait_activity wait = wait_for(job_id, 100, true);
    expect(d, caller, &wait, outcome);
}

static uint64_t create_child(struct drive *d, const struct command_caller *caller, uint64_t parent)
{
    struct command command = drive_create_command(d, caller, "transcoding");
    command.create.parent_job_id = parent;
    struct effect reply = drive_one(d, &command);
    return drive_created(&reply);
}

/* ---- A job ---- */

static void until_a_percent_or_an_end(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t job = drive_create(d, &anna, "upload");
    struct core_wait_activity half = wait_for(job, 50, false);
    struct core_wait_activity whole = wait_for(job, 100, false);
    expect(d, &anna, &half, CORE_WAIT_PENDING);
    expect(d, &anna, &whole, CORE_WAIT_PENDING);
    assert_true(half.pending == job && whole.pending == job);
    assert_true(half.own_state == ACTIVITY_RUNNING && half.own_percent == 0);
    (void)drive_update(d, &anna, job, 49);
    expect(d, nobody, &half, CORE_WAIT_PENDING);
    assert_int_equal(half.own_percent, 49);
    (void)drive_update(d, &anna, job, 50);
    expect(d, nobody, &half, CORE_WAIT_REACHED);
    assert_true(half.own_state == ACTIVITY_RUNNING && half.own_percent == 50);
    expect(d, nobody, &whole, CORE_WAIT_PENDING);
    (void)drive_update(d, &anna, job, 100);
    expect(d, nobody, &whole, CORE_WAIT_REACHED);
    assert_true(whole.own_state == ACTIVITY_COMPLETED && whole.own_percent == 100);
    drive_free(d);
}

static void any_end_is_as_far_as_it_comes(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    static const enum activity_state ends[] = {ACTIVITY_FAILED, ACTIVITY_CANCELLED,
                                               ACTIVITY_KILLED};
    for (size_t i = 0; i < 3; i++) {
        uint64_t job = drive_create(d, &anna, "upload");
        struct core_wait_activity wait = wait_for(job, 100, false);
        (void)drive_update(d, &anna, job, 30);
        expect(d, &anna, &wait, CORE_WAIT_PENDING);
        if (ends[i] == ACTIVITY_FAILED) {
            (void)drive_fail(d, &anna, job, "DISK");
        } else if (ends[i] == ACTIVITY_CANCELLED) {
            (void)drive_destroy(d, &anna, job);
        } else {
            drive_wait(d, 92000);
        }
        expect(d, nobody, &wait, CORE_WAIT_REACHED);
        assert_true(wait.own_state == ends[i] && wait.own_percent == 30);
    }
    drive_free(d);
}

/* Its tombstone and then its result stand for a job that has left. */
static void what_is_left_of_a_job_answers(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.tombstones_max = 2;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    struct command_caller bert = drive_caller("studio", "spiffe://x/app", "bert");
    uint64_t failed = drive_create(d, &anna, "upload");
    uint64_t completed = drive_create(d, &anna, "upload");
    struct core_wait_activity late = wait_for(failed, 100, false);
    expect(d, &anna, &late, CORE_WAIT_PENDING);
    (void)drive_update(d, &anna, failed, 70);
    (void)drive_fail(d, &anna, failed, "DISK");
    (void)drive_complete(d, &anna, completed, drive_text("result"));
    drive_wait(d, 61000);
    assert_int_equal(drive_state(d, "studio", failed), ACTIVITY_NONE);
    struct core_wait_activity wait = wait_for(failed, 100, true);
    expect(d, &anna, &wait, CORE_WAIT_REACHED);
    assert_true(wait.own_state == ACTIVITY_FAILED && wait.own_percent == 70);
    expect_once(d, &bert, failed, CORE_WAIT_UNKNOWN);
    for (int i = 0; i < 2; i++) { /* two newer tombstones: the old ones leave */
        (void)drive_destroy(d, &anna, drive_create(d, &anna, "upload"));
    }
    drive_wait(d, 61000);
    expect_once(d, &anna, failed, CORE_WAIT_UNKNOWN);
    expect(d, nobody, &late, CORE_WAIT_UNKNOWN); /* how it ended was never seen */
    wait = wait_for(completed, 100, false);
    expect(d, &anna, &wait, CORE_WAIT_REACHED);
    assert_true(wait.own_state == ACTIVITY_COMPLETED && wait.own_percent == 100);
    expect_once(d, &bert, completed, CORE_WAIT_UNKNOWN);
    drive_free(d);
}

static void what_is_not_visible_is_unknown(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t job = drive_create_in(d, &anna, "editors");
    struct command_caller others[] = {
        drive_caller("studio", "spiffe://x/app", "bert"),
        drive_caller("studio", "spiffe://x/other", NULL),
        drive_caller("elsewhere", "spiffe://x/app", "anna"),
    };
    others[2].rights = RIGHT_ADMIN;
    for (size_t i = 0; i < 3; i++) {
        expect_once(d, &others[i], job, CORE_WAIT_UNKNOWN);
    }
    expect_once(d, &anna, job ^ (uint64_t)1 << 30, CORE_WAIT_UNKNOWN);
    expect_once(d, &anna, 0, CORE_WAIT_UNKNOWN);
    drive_in_group(&others[0], "editors");
    expect_once(d, &others[0], job, CORE_WAIT_PENDING);
    struct command_caller creator = drive_caller("studio", "spiffe://x/app", NULL);
    expect_once(d, &creator, job, CORE_WAIT_PENDING);
    struct command_caller admin = drive_caller("studio", "spiffe://x/admin", NULL);
    admin.rights = RIGHT_ADMIN;
    expect_once(d, &admin, job, CORE_WAIT_PENDING);
    drive_free(d);
}

/* ---- Children ---- */

static void children_one_by_one(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t parent = drive_create(d, &anna, "batchUpdate");
    uint64_t first = create_child(d, &anna, parent);
    uint64_t second = create_child(d, &anna, parent);
    (void)create_child(d, &anna, first); /* a grandchild does not count */
    struct core_wait_activity wait = wait_for(parent, 80, true);
    struct core_wait_activity alone = wait_for(parent, 80, false);
    expect(d, &anna, &wait, CORE_WAIT_PENDING);
    expect(d, &anna, &alone, CORE_WAIT_PENDING);
    assert_true(wait.pending == parent); /* itself first */
    (void)drive_update(d, &anna, parent, 80);
    expect(d, nobody, &alone, CORE_WAIT_REACHED);
    expect(d, &anna, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == first);
    uint64_t third = create_child(d, &anna, parent); /* known before the wait ends */
    (void)drive_destroy(d, &anna, second);
    expect(d, nobody, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == first);
    (void)drive_update(d, &anna, first, 80);
    expect(d, &anna, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == third);
    (void)drive_update(d, &anna, parent, 95);
    expect(d, nobody, &wait, CORE_WAIT_PENDING);
    assert_int_equal(wait.own_percent, 95); /* told as it stands, though it is not waited for */
    (void)drive_fail(d, &anna, third, "DISK");
    expect(d, &anna, &wait, CORE_WAIT_REACHED);
    assert_int_equal(wait.own_state, ACTIVITY_RUNNING);
    drive_verify(d);
    drive_free(d);
}

static void the_parent_may_be_forgotten(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.tombstones_max = 1;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t parent = drive_create(d, &anna, "batchUpdate");
    uint64_t child = create_child(d, &anna, parent);
    struct core_wait_activity wait = wait_for(parent, 100, true);
    (void)drive_update(d, &anna, parent, 20);
    (void)drive_destroy(d, &anna, parent);
    expect(d, &anna, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == child && wait.own_state == ACTIVITY_CANCELLED);
    drive_wait(d, 61000); /* it leaves */
    (void)drive_update(d, &anna, child, 1);
    struct core_wait_activity later = wait_for(parent, 100, true);
    expect(d, &anna, &later, CORE_WAIT_PENDING); /* by its tombstone */
    assert_true(later.pending == child && later.own_percent == 20);
    (void)drive_destroy(d, &anna, drive_create(d, &anna, "upload"));
    drive_wait(d, 61000); /* its tombstone leaves */
    expect_once(d, &anna, parent, CORE_WAIT_UNKNOWN);
    (void)drive_update(d, &anna, child, 2);
    expect(d, nobody, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == child && wait.own_state == ACTIVITY_CANCELLED);
    (void)drive_update(d, &anna, child, 100);
    drive_wait(d, 61000); /* and so does the child, between two looks */
    expect(d, &anna, &wait, CORE_WAIT_REACHED);
    assert_int_equal(wait.own_percent, 20);
    drive_verify(d);
    drive_free(d);
}

static void children_that_are_not_visible_do_not_count(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller app = drive_caller("studio", "spiffe://x/app", NULL);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    struct command_caller other = drive_caller("studio", "spiffe://x/other", NULL);
    other.rights = RIGHT_UPDATE_ANY;
    drive_in_group(&anna, "editors");
    uint64_t parent = drive_create_in(d, &app, "editors");
    uint64_t hidden = create_child(d, &other, parent);
    (void)drive_complete(d, &app, parent, drive_text(""));
    expect_once(d, &anna, parent, CORE_WAIT_REACHED);
    expect_once(d, &app, parent, CORE_WAIT_REACHED);
    struct command command = drive_create_command(d, &other, "upload");
    command.create.parent_job_id = parent;
    command.create.groups.names[command.create.groups.count++] = drive_text("editors");
    struct effect reply = drive_one(d, &command);
    uint64_t shared = drive_created(&reply);
    struct core_wait_activity wait = wait_for(parent, 100, true);
    expect(d, &anna, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == shared);
    app.rights = RIGHT_ADMIN;
    wait = wait_for(parent, 100, true);
    expect(d, &app, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == hidden);
    drive_free(d);
}

static void a_look_at_many_children_is_bounded(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.activities_max = 20000;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t parent = drive_create(d, &anna, "batchUpdate");
    uint64_t last = 0;
    for (uint32_t i = 0; i < 2 * LIMIT_FIND_TOUCHED + 100; i++) {
        last = create_child(d, &anna, parent);
        (void)drive_update(d, &anna, last, 50);
    }
    last = create_child(d, &anna, parent);
    (void)drive_update(d, &anna, parent, 50);
    struct core_wait_activity wait = wait_for(parent, 50, true);
    for (int i = 0; i < 2; i++) {
        uint64_t after = wait.after;
        expect(d, &anna, &wait, CORE_WAIT_PENDING);
        assert_true(wait.pending == 0);
        assert_true(wait.after == after + LIMIT_FIND_TOUCHED + (i == 0)); /* the parent is 1 */
    }
    expect(d, &anna, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == last);
    (void)drive_update(d, &anna, last, 50);
    expect(d, &anna, &wait, CORE_WAIT_REACHED);
    drive_verify(d);
    drive_free(d);
}

/* The index is in no snapshot: what is written after loading is the same, and waits go on. */
static void a_loaded_core_knows_the_children(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    struct command_caller berta = drive_caller("other", "spiffe://x/app", "berta");
    uint64_t parents[] = {drive_create(d, &anna, "upload"), drive_create(d, &berta, "upload")};
    uint64_t children[20];
    for (int i = 0; i < 20; i++) {
        children[i] = create_child(d, i % 2 == 0 ? &anna : &berta, parents[i % 2]);
    }
    (void)drive_destroy(d, &anna, children[0]);
    struct core_wait_activity wait = wait_for(parents[0], 100, true);
    (void)drive_destroy(d, &anna, parents[0]);
    expect(d, &anna, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == children[2]);
    struct drive_snapshot snapshot = drive_snapshot(d);
    struct core_limits larger = limits;
    larger.activities_max *= 3;
    struct drive *loaded = drive_load(&snapshot, &larger);
    drive_verify(loaded);
    struct drive_snapshot again = drive_snapshot(loaded);
    assert_int_equal(again.length, snapshot.length);
    assert_memory_equal(again.at, snapshot.at, snapshot.length);
    expect(loaded, nobody, &wait, CORE_WAIT_PENDING);
    for (int i = 2; i < 20; i += 2) {
        assert_true(wait.pending == children[i]);
        (void)drive_update(loaded, &anna, children[i], 100);
        expect(loaded, &anna, &wait, i < 18 ? CORE_WAIT_PENDING : CORE_WAIT_REACHED);
    }
    drive_verify(loaded);
    drive_free(loaded);
    drive_free(d);
    free(snapshot.at);
    free(again.at);
}

/* ---- Tickets ---- */

static uint64_t record_some(struct drive *d, const struct command_caller *caller, uint64_t job_id,
                            uint32_t count)
{
    uint8_t bytes[1024];
    struct writer to = writer_of(bytes, sizeof bytes);
    for (uint32_t i = 0; i < count; i++) {
        char id[2] = {(char)('a' + i), 0};
        command_change_put(&to, &(struct command_change){.model = drive_text("asset"),
                                                         .document_id = drive_text(id),
                                                         .affected_model = drive_text("rights")});
    }
    assert_false(to.failed);
    struct command command = {.kind = COMMAND_RECORD,
                              .record = {.caller = *caller,
                                         .job_id = job_id,
                                         .change_count = count,
                                         .changes = bytes_of(bytes, to.wanted)}};
    d->request++;
    memcpy(command.record.request_id, &d->request, sizeof d->request);
    command.record.request_id[15] = 2;
    struct effect reply = drive_one(d, &command);
    struct reply_record recorded;
    assert_int_equal(reply.code, STATUS_OK);
    reply_record_read(reply.body, &recorded);
    return recorded.ticket;
}

static struct core_wait_visible wait_ticket(uint64_t ticket)
{
    return (struct core_wait_visible){.ticket = ticket, .stage = VISIBLE_ACKED};
}

static struct core_wait_visible wait_tickets(uint64_t job_id)
{
    return (struct core_wait_visible){.job_id = job_id, .stage = VISIBLE_SENT};
}

static void see(const struct drive *d, const struct command_caller *caller,
                struct core_wait_visible *wait, enum core_wait_outcome outcome)
{
    assert_int_equal(core_wait_visible(d->core, caller, wait), outcome);
    assert_true(outcome == CORE_WAIT_PENDING || outcome == CORE_WAIT_PARKED ||
                (wait->pending == 0 && wait->open == 0));
}

static void see_once(const struct drive *d, const struct command_caller *caller,
                     struct core_wait_visible wait, enum core_wait_outcome outcome)
{
    see(d, caller, &wait, outcome);
}

static void a_ticket_until_nothing_waits(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t ticket = record_some(d, &anna, 0, 3);
    struct core_wait_visible wait = wait_ticket(ticket);
    see(d, &anna, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == ticket && wait.open == 3);
    see(d, nobody, &wait, CORE_WAIT_PENDING);
    struct core_wait_visible long_away = wait;
    drive_wait(d, 1000);
    see(d, nobody, &wait, CORE_WAIT_REACHED);
    see_once(d, &anna, wait_ticket(ticket), CORE_WAIT_REACHED);
    drive_wait(d, 601000);
    see_once(d, &anna, wait_ticket(ticket), CORE_WAIT_UNKNOWN);
    see(d, nobody, &long_away, CORE_WAIT_REACHED); /* it was there: only what is done leaves */
    drive_free(d);
}

static void a_ticket_of_others_is_unknown(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    struct command_caller app = drive_caller("studio", "spiffe://x/app", NULL);
    uint64_t annas = record_some(d, &anna, 0, 1);
    uint64_t apps = record_some(d, &app, 0, 1);
    struct command_caller others[] = {
        app,
        drive_caller("studio", "spiffe://x/app", "bert"),
        drive_caller("studio", "spiffe://x/other", "anna"),
        drive_caller("elsewhere", "spiffe://x/app", "anna"),
        drive_caller("studio", "spiffe://x/app", "nobody's name"),
        app,
    };
    others[5].rights = RIGHT_ADMIN;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        see_once(d, &others[i], wait_ticket(annas), CORE_WAIT_UNKNOWN);
    }
    see_once(d, &anna, wait_ticket(apps), CORE_WAIT_UNKNOWN);
    see_once(d, &others[4], wait_ticket(apps), CORE_WAIT_UNKNOWN);
    see_once(d, &anna, wait_ticket(apps + 1), CORE_WAIT_UNKNOWN);
    see_once(d, &app, wait_ticket(apps), CORE_WAIT_PENDING);
    see_once(d, &anna, wait_ticket(annas), CORE_WAIT_PENDING);
    drive_free(d);
}

static void what_the_index_refused_is_told_at_once(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    uint64_t job = drive_create(d, &anna, "upload");
    uint64_t ticket = record_some(d, &anna, job, 2);
    struct core_wait_visible wait = wait_ticket(ticket);
    struct core_wait_visible of_job = wait_tickets(job);
    see(d, &anna, &wait, CORE_WAIT_PENDING);
    see(d, &anna, &of_job, CORE_WAIT_PENDING);
    struct tickets *tickets = &d->core->tickets;
    tickets_at(tickets, tickets_find(tickets, ticket))->parked = 1; /* as an index would */
    see(d, nobody, &wait, CORE_WAIT_PARKED);
    see(d, nobody, &of_job, CORE_WAIT_PARKED);
    assert_true(wait.open == 2 && of_job.open == 2 && of_job.pending == ticket);
    see_once(d, &anna, wait_tickets(job), CORE_WAIT_PARKED);
    drive_free(d);
}

static void all_tickets_of_a_job(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.flush_delay_ms = 5000;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    struct command_caller other = drive_caller("studio", "spiffe://x/other", NULL);
    other.rights = RIGHT_UPDATE_ANY;
    uint64_t job = drive_create(d, &anna, "upload");
    see_once(d, &anna, wait_tickets(job), CORE_WAIT_UNKNOWN); /* none yet */
    uint64_t first = record_some(d, &anna, job, 1);
    drive_wait(d, 4000);
    uint64_t second = record_some(d, &other, job, 2);
    struct core_wait_visible annas = wait_tickets(job);
    struct core_wait_visible others = wait_tickets(job);
    see(d, &anna, &annas, CORE_WAIT_PENDING);
    assert_true(annas.pending == first && annas.open == 1);
    see(d, &other, &others, CORE_WAIT_PENDING); /* does not see the job, but its own ticket */
    assert_true(others.pending == second && others.open == 2);
    drive_wait(d,
               2000); /* the first is through: the documents' oldest change takes the rest along */
    see(d, &anna, &annas, CORE_WAIT_PENDING);
    assert_true(annas.pending == second && annas.open == 1);
    see(d, nobody, &others, CORE_WAIT_PENDING);
    struct command_caller bert = drive_caller("studio", "spiffe://x/app", "bert");
    struct command_caller stranger = drive_caller("elsewhere", "spiffe://x/other", NULL);
    stranger.rights = RIGHT_ADMIN;
    see_once(d, &bert, wait_tickets(job), CORE_WAIT_UNKNOWN);
    see_once(d, &stranger, wait_tickets(job), CORE_WAIT_UNKNOWN);
    bert.rights = RIGHT_ADMIN;
    see_once(d, &bert, wait_tickets(job), CORE_WAIT_PENDING);
    drive_wait(d, 4000);
    see(d, &anna, &annas, CORE_WAIT_REACHED);
    see(d, &other, &others, CORE_WAIT_REACHED);
    drive_free(d);
}

/* The job is forgotten while somebody who saw it waits for others' tickets; new ones come. */
static void a_wait_outlives_the_job(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.tombstones_max = 1;
    limits.flush_delay_ms = 60000;
    limits.ended_keep_ms = 0;
    limits.ticket_keep_ms = 0;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    struct command_caller bert = drive_caller("studio", "spiffe://x/app", "bert");
    drive_in_group(&bert, "editors");
    uint64_t job = drive_create_in(d, &anna, "editors");
    uint64_t first = record_some(d, &anna, job, 1);
    drive_wait(d, 30000);
    uint64_t second = record_some(d, &anna, job, 2);
    struct core_wait_visible berts = wait_tickets(job);
    see(d, &bert, &berts, CORE_WAIT_PENDING);
    assert_true(berts.pending == first);
    for (int i = 0; i < 2; i++) {
        (void)drive_destroy(d, &anna, i == 0 ? job : drive_create(d, &anna, "upload"));
        drive_wait(d, 1000);
    }
    see_once(d, &bert, wait_tickets(job), CORE_WAIT_UNKNOWN);
    see_once(d, &anna, wait_tickets(job), CORE_WAIT_PENDING);
    see(d, nobody, &berts, CORE_WAIT_PENDING);
    drive_wait(d, 29000); /* the first is done and gone, and the place with it */
    assert_int_equal(tickets_find(&d->core->tickets, first), 0);
    see(d, &bert, &berts, CORE_WAIT_PENDING);
    assert_true(berts.pending == second && berts.open == 1);
    drive_wait(d, 31000);
    see(d, &bert, &berts, CORE_WAIT_REACHED);
    see_once(d, &anna, wait_tickets(job), CORE_WAIT_UNKNOWN);
    drive_free(d);
}

static void a_look_at_many_tickets_is_bounded(void **state)
{
    (void)state;
    struct core_limits limits = drive_limits();
    limits.tickets_max = 20000;
    limits.flush_delay_ms = 0;
    struct drive *d = drive_new(&limits);
    struct command_caller anna = drive_caller("studio", "spiffe://x/app", "anna");
    struct command_caller other = drive_caller("studio", "spiffe://x/other", NULL);
    other.rights = RIGHT_UPDATE_ANY;
    uint64_t job = drive_create(d, &anna, "upload");
    (void)record_some(d, &anna, job, 1);
    (void)record_some(d, &other, job, 1);
    for (uint32_t i = 0; i < LIMIT_FIND_TOUCHED + 10; i++) {
        (void)record_some(d, &anna, job, 1);
        if (i % 500 == 0) {
            drive_wait(d, 1);
            (void)drive_update(d, &anna, job, 1);
        }
    }
    drive_wait(d, 1);
    struct core_wait_visible wait = wait_tickets(job);
    see(d, &anna, &wait, CORE_WAIT_PENDING);
    assert_true(wait.pending == 0 && wait.after != 0);
    see(d, &anna, &wait, CORE_WAIT_REACHED);
    /* The other's only ticket lies too far back to be found. */
    see_once(d, &other, wait_tickets(job), CORE_WAIT_UNKNOWN);
    (void)record_some(d, &other, job, 1);
    drive_wait(d, 1);
    wait = wait_tickets(job);
    see(d, &other, &wait, CORE_WAIT_PENDING);
    see(d, &other, &wait, CORE_WAIT_REACHED);
    drive_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(until_a_percent_or_an_end),
        cmocka_unit_test(any_end_is_as_far_as_it_comes),
        cmocka_unit_test(what_is_left_of_a_job_answers),
        cmocka_unit_test(what_is_not_visible_is_unknown),
        cmocka_unit_test(children_one_by_one),
        cmocka_unit_test(the_parent_may_be_forgotten),
        cmocka_unit_test(children_that_are_not_visible_do_not_count),
        cmocka_unit_test(a_look_at_many_children_is_bounded),
        cmocka_unit_test(a_loaded_core_knows_the_children),
        cmocka_unit_test(a_ticket_until_nothing_waits),
        cmocka_unit_test(a_ticket_of_others_is_unknown),
        cmocka_unit_test(what_the_index_refused_is_told_at_once),
        cmocka_unit_test(all_tickets_of_a_job),
        cmocka_unit_test(a_wait_outlives_the_job),
        cmocka_unit_test(a_look_at_many_tickets_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
