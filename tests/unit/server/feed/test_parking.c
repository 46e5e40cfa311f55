/* Who may be meant by an event, against the loop over everybody that the sets stand for. */
#include "tests/unit/proto/chance.h"

#include <stdio.h>

#include "server/feed/parking.h"

#define SPOTS 300u /* the last word of a set is not full */

static struct parking parking;
static struct poll polls[SPOTS];
static struct event_filter filters[SPOTS];

static int open_parking(void **state)
{
    (void)state;
    memset(polls, 0, sizeof polls);
    return parking_init(&parking, SPOTS);
}

static int close_parking(void **state)
{
    (void)state;
    parking_deinit(&parking);
    return 0;
}

static struct bytes name_of(const char *what, size_t number)
{
    static char names[16][32];
    static size_t used;
    char *name = names[used++ % 16];
    (void)snprintf(name, sizeof names[0], "%s-%zu", what, number);
    return bytes_of(name, strlen(name));
}

/* Some see everything, most a little. */
static void filter_by_chance(struct event_filter *filter)
{
    static struct query_read read;
    struct command_caller caller = {.tenant = name_of("tenant", below(3)),
                                    .principal = name_of("principal", below(4)),
                                    .rights = below(10) == 0 ? RIGHT_ADMIN : 0};
    memset(&read, 0, sizeof read);
    if (below(4) != 0) {
        caller.user = name_of("user", below(40));
        caller.group_count = (uint8_t)below(4);
    }
    for (size_t i = 0; i < caller.group_count; i++) {
        caller.groups[i] = name_of("group", below(20));
    }
    read.all_tenants = below(20) == 0;
    read.kinds = below(2) == 0 ? 0 : 1u << (1 + below(4));
    event_filter_init(filter, &caller, &read);
}

static void key_by_chance(struct event_key *key)
{
    struct event event = {.kind = below(2) == 0 ? EVENT_MODEL_CHANGED : EVENT_ACTIVITY_CREATED,
                          .tenant = name_of("tenant", below(3)),
                          .principal = name_of("principal", below(4)),
                          .user = name_of("user", below(40))};
    event.groups.count = (uint8_t)below(3);
    for (size_t i = 0; i < event.groups.count; i++) {
        event.groups.names[i] = below(8) == 0 ? bytes_of("*", 1) : name_of("group", below(20));
    }
    event_key_make(&event, key);
}

static void assert_found(const struct event_key *key)
{
    static bool found[SPOTS];
    memset(found, 0, sizeof found);
    struct poll *poll;
    parking_find(&parking, key);
    for (uint32_t spot = 0; (poll = parking_found(&parking, key, &spot)) != NULL;) {
        assert_true(poll->parked);
        assert_false(found[poll - polls]); /* once */
        found[poll - polls] = true;
    }
    for (size_t i = 0; i < SPOTS; i++) {
        bool wanted = polls[i].parked && event_may_pass(&filters[i], key);
        assert_int_equal(found[i], wanted);
    }
}

static void assert_parked(uint32_t count)
{
    struct poll *poll;
    uint32_t found = 0;
    for (uint32_t spot = 0; (poll = parking_next(&parking, &spot)) != NULL; found++) {
        assert_true(poll->parked);
    }
    assert_int_equal(found, count);
    assert_int_equal(parking.count, count);
}

static void the_same_as_asking_everybody(void **state)
{
    (void)state;
    uint32_t count = 0;
    uint32_t most_parked = 0;
    for (size_t round = 0; round < rounds(20000); round++) {
        /* It fills up, and empties again. */
        size_t most = round / 2000 % 2 == 0 ? 3 : 1;
        struct poll *poll = &polls[below(SPOTS)];
        if (!poll->parked && below(4) < most) {
            filter_by_chance(&filters[poll - polls]);
            parking_enter(&parking, poll, &filters[poll - polls]);
            count++;
        } else if (poll->parked && below(4) >= most) {
            parking_leave(&parking, poll);
            count--;
        }
        struct event_key key;
        key_by_chance(&key);
        assert_found(&key);
        assert_parked(count);
        most_parked = count > most_parked ? count : most_parked;
    }
    assert_in_range(most_parked, SPOTS / 2, SPOTS);
}

static void full_and_empty(void **state)
{
    (void)state;
    struct event_key key;
    key_by_chance(&key);
    assert_found(&key);
    for (size_t i = 0; i < SPOTS; i++) {
        filter_by_chance(&filters[i]);
        parking_enter(&parking, &polls[i], &filters[i]);
        assert_int_equal(polls[i].spot, i); /* the lowest */
    }
    assert_parked(SPOTS);
    for (size_t i = 0; i < 50; i++) {
        key_by_chance(&key);
        assert_found(&key);
    }
    parking_leave(&parking, &polls[17]);
    parking_enter(&parking, &polls[17], &filters[17]);
    assert_int_equal(polls[17].spot, 17);
    struct poll *poll;
    for (uint32_t spot = 0; (poll = parking_next(&parking, &spot)) != NULL;) {
        parking_leave(&parking, poll); /* while going through them */
    }
    assert_parked(0);
    assert_found(&key);
    for (uint32_t i = 0; i < EVENT_AUDIENCE_WORDS * 64 * parking.words; i++) {
        assert_true(parking.sets[i] == 0); /* nobody is left behind */
    }
    assert_int_equal(parking.used_words, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_as_asking_everybody, open_parking, close_parking),
        cmocka_unit_test_setup_teardown(full_and_empty, open_parking, close_parking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
