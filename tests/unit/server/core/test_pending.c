/* The queue to the index: when a batch begins, what it takes, what comes back, and its caps. */
#include "tests/unit/server/core/parts.h"

#include <stdio.h>

#include "server/core/pending.h"

struct world {
    struct core_limits limits;
    struct names names;
    struct changes changes;
    struct tickets tickets;
    struct pending pending;
    uint64_t now_ms; /* both times */
    uint32_t ticket; /* of all changes to come */
};

static void layout(void *at, struct region *region, const struct core_limits *capacity)
{
    struct world *world = at;
    world->limits = *capacity;
    names_layout(&world->names, region, capacity);
    changes_layout(&world->changes, region, capacity);
    tickets_layout(&world->tickets, region, capacity);
    pending_layout(&world->pending, region, capacity);
}

static void save(const void *at, struct stream_out *out)
{
    const struct world *world = at;
    names_save(&world->names, out);
    changes_save(&world->changes, out);
    tickets_save(&world->tickets, out);
    pending_save(&world->pending, out);
    pending_save_more(&world->pending, out);
}

static const char *verify(struct world *world)
{
    const char *wrong = changes_verify(&world->changes, &world->names, UINT64_MAX);
    wrong = wrong != NULL ? wrong : tickets_verify(&world->tickets, &world->names, UINT64_MAX);
    return wrong != NULL ? wrong
                         : pending_verify(&world->pending, &world->changes, &world->names,
                                          &world->tickets, UINT64_MAX);
}

static void load(void *at, struct stream_in *in)
{
    struct world *world = at;
    names_load(&world->names, in);
    if (in->error == 0) {
        changes_load(&world->changes, &world->names, in);
        tickets_load(&world->tickets, &world->names, in);
        pending_load(&world->pending, in);
        pending_load_more(&world->pending, in);
    }
    if (in->error == 0 && verify(world) != NULL) {
        stream_refuse(in, CORE_MALFORMED);
    }
}

static struct world *world_new(void)
{
    struct core_limits limits = parts_limits();
    limits.flush_documents = 8;
    limits.flush_bytes = 4096;
    limits.tickets_max = 1024;
    return parts_new(sizeof(struct world), layout, &limits);
}

static uint32_t intern(struct world *world, enum name_kind kind, uint32_t tenant, const char *text)
{
    uint32_t name =
        names_intern(&world->names, &world->limits, kind, tenant, bytes_of(text, strlen(text)));
    assert_int_not_equal(name, 0);
    return name;
}

/* Records one change, as apply_record does it, with a ticket of its own. Returns the document. */
static uint32_t add(struct world *world, const char *tenant, const char *id, const char *affected,
                    uint32_t json_length)
{
    static uint8_t json[64 * 1024];
    struct job_rights rights = {.tenant = intern(world, NAME_TENANT, 0, tenant)};
    rights.creator = intern(world, NAME_PRINCIPAL, rights.tenant, "p");
    struct change_identity identity = {.tenant = rights.tenant,
                                       .model = intern(world, NAME_MODEL, 0, "model"),
                                       .id = bytes_of(id, strlen(id))};
    struct ticket_source source = {.tenant = rights.tenant, .principal = rights.creator, .open = 1};
    memset(json, '{', json_length);
    struct pending_change change = {.accept_ms = world->now_ms + 5,
                                    .service_ms = world->now_ms,
                                    .rights = rights,
                                    .document =
                                        changes_use(&world->changes, &world->names, &identity),
                                    .affected_model = intern(world, NAME_MODEL, 0, affected),
                                    .ticket = tickets_add(&world->tickets, &world->names, &source)};
    world->ticket = change.ticket;
    pending_add(&world->pending, &world->changes, &world->names, &change,
                bytes_of(json, json_length));
    names_release(&world->names, identity.model);
    assert_null(verify(world));
    return change.document;
}

static uint32_t take(struct world *world, struct pending_room *room)
{
    room->service_ms = world->now_ms;
    uint32_t document =
        pending_take(&world->pending, &world->changes, &world->tickets, &world->limits, room);
    assert_null(verify(world));
    return document;
}

static bool begin(struct world *world, struct pending_room *room)
{
    return pending_begin(&world->pending, &world->changes, &world->limits, world->now_ms, room) !=
           TAKE_NONE;
}

static void settle(struct world *world, uint32_t document, uint32_t accepted)
{
    struct pending_settlement settlement = {
        .document = document, .accepted = accepted, .service_ms = world->now_ms};
    pending_settle(&world->pending, &world->changes, &world->names, &world->tickets, &settlement);
    assert_null(verify(world));
}

static uint32_t in_flight(const struct world *world, uint32_t document)
{
    return changes_document(&world->changes, document)->in_flight;
}

static uint64_t deadline(const struct world *world)
{
    return pending_deadline(&world->pending, &world->changes, &world->limits);
}

static void a_document_waits_from_its_oldest_change_on(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct pending_room room;
    assert_int_equal(deadline(world), UINT64_MAX);
    uint32_t document = add(world, "t", "1", "a", 10);
    world->now_ms = 50;
    (void)add(world, "t", "1", "a", 10);
    world->now_ms = 100;
    uint32_t later = add(world, "t", "2", "a", 10);
    assert_int_equal(deadline(world), 200);
    world->now_ms = 199;
    assert_false(begin(world, &room));
    world->now_ms = 200;
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room), document);
    assert_int_equal(in_flight(world, document), 2);
    assert_int_equal(take(world, &room), 0); /* the other is not due */
    assert_int_equal(deadline(world), 300);
    settle(world, document, 2);
    assert_int_equal(tickets_at(&world->tickets, 1)->open, 0);
    assert_int_equal(tickets_at(&world->tickets, 3)->open, 1);
    world->now_ms = 300;
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room), later);
    settle(world, later, 1);
    assert_int_equal(world->pending.changes.used, 0);
    assert_int_equal(world->pending.json.blocks.used, 0);
    assert_int_equal(world->changes.documents.used, 0);
    free(world);
}

static void much_that_waits_is_sent_at_once(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct pending_room room;
    uint32_t first = 0;
    for (uint32_t i = 0; i < 8; i++) {
        char id[16];
        assert_int_equal(deadline(world), i == 0 ? UINT64_MAX : 200);
        (void)snprintf(id, sizeof id, "%u", i);
        uint32_t document = add(world, "t", id, "a", 10);
        first = first == 0 ? document : first;
    }
    assert_int_equal(deadline(world), 0);
    assert_true(begin(world, &room));
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t document = take(world, &room);
        assert_int_not_equal(document, 0);
        settle(world, document, 1);
    }
    assert_int_equal(take(world, &room), 0);
    (void)add(world, "t", "large", "a", 4096);
    assert_int_equal(deadline(world), 0);
    free(world);
}

static void a_batch_is_cut_at_its_bytes_between_documents(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct pending_room room;
    uint32_t one = add(world, "t", "1", "a", 2000);
    uint32_t two = add(world, "t", "2", "a", 1500);
    (void)add(world, "t", "2", "a", 1500);
    uint32_t three = add(world, "t", "3", "a", 9000);
    (void)add(world, "t", "3", "a", 1);
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room), one);
    assert_int_equal(take(world, &room),
                     0); /* both of its changes do not fit: not split over two batches */
    settle(world, one, 1);
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room), two);
    assert_int_equal(in_flight(world, two), 2);
    assert_int_equal(take(world, &room), 0);
    settle(world, two, 2);
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room),
                     three); /* alone in its batch, since one change is more than a batch */
    assert_int_equal(in_flight(world, three), 1);
    settle(world, three, 1);
    assert_int_equal(deadline(world), 200);
    free(world);
}

static void a_batch_has_at_most_64_models_of_a_document(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct pending_room room;
    uint32_t document = 0;
    for (uint32_t i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%u", i % 70);
        world->now_ms = i;
        document = add(world, "t", "1", name, 1);
    }
    world->now_ms = 200;
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room), document);
    assert_int_equal(in_flight(world, document), 64);
    settle(world, document, 64);
    assert_int_equal(deadline(world), 264); /* what is left waits since its own oldest */
    world->now_ms = 300;
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room), document);
    assert_int_equal(in_flight(world, document), 36);
    settle(world, document, 36);
    free(world);
}

/* What later becomes TAKE and RESULT: one batch in flight per document, retries in front and in
 * order. */
static void what_comes_back_goes_in_front(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct pending_room room;
    uint32_t one = add(world, "t", "1", "a", 100);
    (void)add(world, "t", "1", "b", 100);
    (void)add(world, "t", "1", "c", 100);
    world->now_ms = 10;
    uint32_t two = add(world, "t", "2", "a", 100);
    world->now_ms = 210;
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room), one);
    assert_int_equal(take(world, &room), two);
    world->now_ms = 250;
    (void)add(world, "t", "1", "d", 100);
    assert_int_equal(changes_document(&world->changes, one)->waiting.count, 4);
    assert_int_equal(world->pending.waiting.count, 0); /* in flight: no other batch may take it */
    uint32_t three = add(world, "t", "3", "a", 100);
    settle(world, one, 1); /* one accepted, two to be sent again, one new */
    assert_int_equal(world->pending.waiting.first, one);
    assert_int_equal(changes_document(&world->changes, one)->since_ms, 0);
    settle(world, two, 0);
    assert_int_equal(world->pending.waiting.first, two);
    assert_true(begin(world, &room));
    assert_int_equal(take(world, &room), two);
    assert_int_equal(take(world, &room), one);
    assert_int_equal(in_flight(world, one), 3);
    const struct pending_change *oldest =
        pending_at(&world->pending, changes_document(&world->changes, one)->waiting.first);
    uint8_t text[NAME_LENGTH_MAX];
    assert_true(bytes_equal(names_text(&world->names, oldest->affected_model, text), TEXT("b")));
    assert_int_equal(take(world, &room), 0);
    world->now_ms = 450;
    assert_int_equal(take(world, &room), three);
    settle(world, one, 3);
    settle(world, two, 1);
    settle(world, three, 1);
    assert_int_equal(world->pending.changes.used, 0);
    assert_int_equal(world->pending.waiting_bytes, 0);
    free(world);
}

static void caps_count_changes_and_blocks_per_tenant(void **state)
{
    (void)state;
    struct world *world = world_new();
    for (uint32_t i = 0; i < 300; i++) {
        (void)add(world, "t", "1", "a", 0);
    }
    uint32_t tenant = names_lookup(&world->names, NAME_TENANT, 0, TEXT("t"));
    struct pending_load load = {.tenant = tenant, .changes = 512 - 300};
    assert_true(pending_fits(&world->pending, &world->names, &world->limits, &load));
    load.changes++;
    assert_false(pending_fits(&world->pending, &world->names, &world->limits, &load));
    (void)add(world, "s", "1", "a", 0);
    load.changes = 211;
    assert_false(pending_fits(&world->pending, &world->names, &world->limits,
                              &load)); /* the rest is kept for others */
    load.tenant = names_lookup(&world->names, NAME_TENANT, 0, TEXT("s"));
    assert_true(pending_fits(&world->pending, &world->names, &world->limits, &load));
    load = (struct pending_load){.tenant = tenant,
                                 .changes = 1,
                                 .json_blocks = pending_blocks(&world->pending, MIB(2) - 10)};
    assert_true(pending_fits(&world->pending, &world->names, &world->limits, &load));
    load.json_blocks++;
    assert_false(pending_fits(&world->pending, &world->names, &world->limits, &load));
    free(world);
}

static void random_traffic_and_snapshots(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct parts_memory memory = {0};
    uint64_t seed = 77;
    uint32_t flying[64];
    uint32_t flying_count = 0;
    for (uint32_t step = 0; step < 4000; step++) {
        uint64_t pick = parts_random(&seed);
        char id[16];
        char affected[16];
        (void)snprintf(id, sizeof id, "%u", (unsigned)(pick >> 8 & 31));
        (void)snprintf(affected, sizeof affected, "m%u", (unsigned)(pick >> 16 & 3));
        world->now_ms += pick >> 20 & 63;
        if (pick % 3 != 0 && world->pending.changes.used < 256 && world->tickets.table.used < 256) {
            (void)add(world, (pick >> 30 & 1) != 0 ? "s" : "t", id, affected,
                      (uint32_t)(pick >> 40 & 1023));
        } else if (flying_count != 0 && (pick >> 50 & 1) != 0) {
            uint32_t document = flying[--flying_count];
            if ((pick >> 58 & 3) == 0) {
                pending_rest(&world->pending, &world->changes, &world->tickets, document,
                             world->now_ms + (pick >> 40 & 511));
                assert_null(verify(world));
                continue;
            }
            settle(world, document, (uint32_t)((pick >> 51) % (in_flight(world, document) + 1)));
        } else if ((pick >> 52 & 255) == 0) {
            uint32_t resting = world->pending.resting.count;
            assert_int_equal(pending_wake(&world->pending, &world->changes), resting);
            assert_null(verify(world));
        } else {
            struct pending_room room;
            uint32_t document;
            while (begin(world, &room) && flying_count < 64 &&
                   (document = take(world, &room)) != 0) {
                assert_true(room.documents <= world->limits.flush_documents);
                flying[flying_count++] = document;
            }
        }
        uint32_t budget = 1000;
        tickets_expire(&world->tickets, &world->names, &world->limits, world->now_ms + 600000,
                       &budget);
        if (step % 500 == 499) {
            parts_save(&memory, save, world);
            struct world *other = parts_new(sizeof *other, layout, &world->limits);
            assert_int_equal(parts_load(&memory, load, other), 0);
            other->now_ms = world->now_ms;
            free(world);
            world = other;
        }
    }
    uint32_t refused = 0;
    uint32_t tried = 0;
    for (size_t bit = 1; bit < memory.length * 8; bit += memory.length * 8 / 500, tried++) {
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct world *other = parts_new(sizeof *other, layout, &world->limits);
        refused += parts_load(&memory, load, other) != 0;
        free(other);
        memory.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(tried >= 500 && refused != 0);
    free(memory.at);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_waits_from_its_oldest_change_on),
        cmocka_unit_test(much_that_waits_is_sent_at_once),
        cmocka_unit_test(a_batch_is_cut_at_its_bytes_between_documents),
        cmocka_unit_test(a_batch_has_at_most_64_models_of_a_document),
        cmocka_unit_test(what_comes_back_goes_in_front),
        cmocka_unit_test(caps_count_changes_and_blocks_per_tenant),
        cmocka_unit_test(random_traffic_and_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
