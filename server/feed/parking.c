#include "server/feed/parking.h"

#include <stdlib.h>
#include <string.h>

#include "server/check.h"

#define SETS (EVENT_AUDIENCE_WORDS * 64u)

static uint32_t words_for(uint32_t spots)
{
    return (spots + 63) / 64;
}

size_t parking_memory_bytes(uint32_t spots)
{
    return (SETS + 2) * sizeof(uint64_t) * words_for(spots) +
           (size_t)spots * (sizeof(struct event_filter) + sizeof(struct poll *));
}

int parking_init(struct parking *parking, uint32_t spots)
{
    *parking = (struct parking){.words = words_for(spots)};
    parking->parked = calloc(parking->words, sizeof(uint64_t));
    parking->found = calloc(parking->words, sizeof(uint64_t));
    parking->sets = calloc((size_t)SETS * parking->words, sizeof(uint64_t));
    parking->filters = calloc(spots, sizeof *parking->filters);
    parking->spots = calloc(spots, sizeof(struct poll *));
    return parking->parked != NULL && parking->found != NULL && parking->sets != NULL &&
                   parking->filters != NULL && parking->spots != NULL
               ? 0
               : -1;
}

void parking_deinit(struct parking *parking)
{
    free(parking->parked);
    free(parking->found);
    free(parking->sets);
    free(parking->filters);
    free(parking->spots);
    *parking = (struct parking){.count = 0};
}

static uint64_t *set_of(const struct parking *parking, uint32_t audience_word, uint32_t bit)
{
    return parking->sets + (size_t)(audience_word * 64 + bit) * parking->words;
}

static uint32_t lowest_bit(uint64_t bits)
{
    return (uint32_t)__builtin_ctzll(bits);
}

static void put_in_sets(struct parking *parking, uint32_t spot, bool in)
{
    uint64_t mask = (uint64_t)1 << (spot % 64);
    const struct event_filter *filter = &parking->filters[spot];
    for (uint32_t word = 0; word < EVENT_AUDIENCE_WORDS; word++) {
        for (uint64_t bits = filter->audience[word]; bits != 0; bits &= bits - 1) {
            uint64_t *set = set_of(parking, word, lowest_bit(bits));
            set[spot / 64] = in ? set[spot / 64] | mask : set[spot / 64] & ~mask;
        }
    }
}

/* The lowest spot, so that the sets are short when few are parked. */
void parking_enter(struct parking *parking, struct poll *poll, const struct event_filter *filter)
{
    uint32_t word = 0;
    while (parking->parked[word] == UINT64_MAX) {
        word++;
        CHECK(word < parking->words);
    }
    uint32_t spot = word * 64 + lowest_bit(~parking->parked[word]);
    parking->parked[word] |= (uint64_t)1 << (spot % 64);
    parking->filters[spot] = *filter;
    parking->spots[spot] = poll;
    put_in_sets(parking, spot, true);
    poll->spot = spot;
    poll->parked = true;
    parking->count++;
    if (parking->used_words < word + 1) {
        parking->used_words = word + 1;
    }
}

void parking_leave(struct parking *parking, struct poll *poll)
{
    uint32_t word = poll->spot / 64;
    put_in_sets(parking, poll->spot, false);
    parking->parked[word] &= ~((uint64_t)1 << (poll->spot % 64));
    parking->spots[poll->spot] = NULL;
    poll->parked = false;
    parking->count--;
    while (parking->used_words > 0 && parking->parked[parking->used_words - 1] == 0) {
        parking->used_words--;
    }
}

/* The next spot of a set from *spot on; UINT32_MAX at its end. */
static uint32_t next_in(const struct parking *parking, const uint64_t *set, uint32_t *spot)
{
    uint32_t word = *spot / 64;
    uint64_t above = ~(uint64_t)0 << (*spot % 64);
    for (; word < parking->used_words; word++, above = ~(uint64_t)0) {
        uint64_t bits = set[word] & above;
        if (bits != 0) {
            *spot = word * 64 + lowest_bit(bits) + 1;
            return *spot - 1;
        }
    }
    return UINT32_MAX;
}

struct poll *parking_next(const struct parking *parking, uint32_t *spot)
{
    uint32_t next = next_in(parking, parking->parked, spot);
    return next == UINT32_MAX ? NULL : parking->spots[next];
}

/* Of each word of the audience at least one bit has to be the same. */
void parking_find(struct parking *parking, const struct event_key *key)
{
    uint32_t words = parking->used_words;
    memcpy(parking->found, parking->parked, words * sizeof *parking->found);
    for (uint32_t word = 0; word < EVENT_AUDIENCE_WORDS; word++) {
        const uint64_t *sets[64];
        uint32_t count = 0;
        for (uint64_t bits = key->audience[word]; bits != 0; bits &= bits - 1) {
            sets[count++] = set_of(parking, word, lowest_bit(bits));
        }
        for (uint32_t i = 0; i < words; i++) {
            uint64_t any = 0;
            for (uint32_t k = 0; k < count; k++) {
                any |= sets[k][i];
            }
            parking->found[i] &= any;
        }
    }
}

struct poll *parking_found(const struct parking *parking, const struct event_key *key,
                           uint32_t *spot)
{
    uint32_t next;
    while ((next = next_in(parking, parking->found, spot)) != UINT32_MAX) {
        if (event_may_pass(&parking->filters[next], key)) {
            return parking->spots[next];
        }
    }
    return NULL;
}
