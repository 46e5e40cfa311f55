#include "server/engine/waits.h"

#include <string.h>

#include "server/check.h"
#include "server/engine/memory.h"

/* Who found no place, or a server that is about to stop, comes back after so long. */
#define RETRY_IN_VAIN_MS 1000

_Static_assert(WAITS_QUERY_MAX > 64 + LIMIT_TENANT_LENGTH + LIMIT_PRINCIPAL_LENGTH +
                                     LIMIT_USER_LENGTH +
                                     LIMIT_CALLER_GROUPS * (2 + LIMIT_GROUP_LENGTH),
               "any caller fits a place");

/* ---- Places ---- */

size_t waits_memory_bytes(uint32_t max)
{
    return max * (sizeof(struct wait_slot) + sizeof(struct wait_place) + sizeof(uint32_t));
}

int waits_init(struct waits *waits, uint32_t max, struct outbox *outbox)
{
    *waits = (struct waits){.outbox = outbox, .max = max, .over_ms = WAKE_NEVER};
    if (max == 0) {
        return 0;
    }
    waits->memory = memory_reserve(waits_memory_bytes(max));
    if (waits->memory == NULL) {
        return 1;
    }
    waits->slots = waits->memory;
    waits->places = (struct wait_place *)(void *)(waits->slots + max);
    waits->free_places = (uint32_t *)(void *)(waits->places + max);
    for (uint32_t i = 0; i < max; i++) {
        waits->free_places[i] = max - 1 - i; /* the first ones first: they are touched already */
    }
    return 0;
}

void waits_deinit(struct waits *waits)
{
    memory_return(waits->memory, waits_memory_bytes(waits->max));
    *waits = (struct waits){.max = 0};
}

static void keep(struct waits *waits, const struct inbox_item *item, const struct answer_wait *wait)
{
    struct query query;
    uint32_t number = waits->free_places[waits->max - waits->count - 1];
    struct wait_place *place = &waits->places[number];
    CHECK(item->body.length <= sizeof place->query);
    memcpy(place->query, item->body.at, item->body.length);
    query_decode(bytes_of(place->query, item->body.length), &query);
    place->caller = query.caller;
    waits->slots[waits->count++] = (struct wait_slot){.token = item->token,
                                                      .until_ms = item->wait_until_ms,
                                                      .gone = item->gone,
                                                      .wait = *wait,
                                                      .place = number};
    waits->over_ms = item->wait_until_ms < waits->over_ms ? item->wait_until_ms : waits->over_ms;
    waits->changed = waits->changed || answer_wait_goes_on(wait);
    waits->wants_refresh = waits->wants_refresh || wait->unrefreshed;
    atomic_store(&waits->waiting, waits->count);
}

/* The last one takes its slot. */
static void leave(struct waits *waits, uint32_t at)
{
    waits->free_places[waits->max - waits->count] = waits->slots[at].place;
    waits->slots[at] = waits->slots[--waits->count];
    atomic_store(&waits->waiting, waits->count);
}

/* ---- Looking ---- */

static void answer(const struct waits *waits, uint64_t token, const uint8_t *frame, size_t length)
{
    if (token != 0) {
        outbox_reply_copy(waits->outbox, token, bytes_of(frame, length));
    }
}

void waits_take(struct waits *waits, const struct answer_look *look, const struct inbox_item *item,
                bool closing)
{
    struct query query;
    struct answer_wait wait;
    uint8_t frame[ANSWER_WAIT_MAX];
    query_decode(item->body, &query);
    answer_wait_init(&query, &wait);
    size_t length = answer_wait_look(look, &query.caller, &wait, frame);
    if (length == 0 && item->wait_until_ms != 0 && !closing && waits->count < waits->max) {
        keep(waits, item, &wait);
        return;
    }
    if (length == 0) {
        bool in_vain = item->crowded || item->wait_until_ms != 0;
        length = answer_wait_over(look->epoch, &wait, in_vain ? RETRY_IN_VAIN_MS : 0, frame);
    }
    answer(waits, item->token, frame, length);
}

void waits_changed(struct waits *waits)
{
    waits->changed = waits->count > 0;
}

static uint64_t look_at(const struct waits *waits)
{
    return waits->changed ? waits->looked_ms + WAITS_LOOK_MS : WAKE_NEVER;
}

uint64_t waits_wake_at(const struct waits *waits)
{
    if (waits->count == 0) {
        return WAKE_NEVER;
    }
    uint64_t wake_at = waits->asked_ms + WAITS_GONE_MS;
    wake_at = waits->over_ms < wake_at ? waits->over_ms : wake_at;
    return look_at(waits) < wake_at ? look_at(waits) : wake_at;
}

/* What one round does with each. */
struct round {
    const struct answer_look *at;
    uint64_t now_ms;
    bool look; /* something may have happened */
    bool ask;  /* whether they are still there */
    bool closing;
    uint32_t long_looks; /* that may still be taken */
    bool goes_on;        /* another round has to look, although nothing changes */
};

/* Whether its turn comes in this round. Of the long looks those that were begun first are brought
 * to their end, and then cost no more. */
static bool has_turn(const struct wait_slot *slot, struct round *round)
{
    if (round->look && round->long_looks == 0 && answer_wait_may_be_long(&slot->wait)) {
        round->goes_on = true;
        return false;
    }
    return round->look;
}

/* Whether it is over; then it was answered. */
static bool is_over(struct waits *waits, struct wait_slot *slot, struct round *round)
{
    bool over = round->closing || slot->until_ms <= round->now_ms ||
                (round->ask && slot->gone != NULL && atomic_load(slot->gone));
    if (!over && !has_turn(slot, round)) {
        return false;
    }
    uint8_t frame[ANSWER_WAIT_MAX];
    const struct command_caller *caller = &waits->places[slot->place].caller;
    size_t length = answer_wait_look(round->at, caller, &slot->wait, frame);
    if (length == 0 && over) {
        uint32_t retry_after_ms = round->closing ? RETRY_IN_VAIN_MS : 0;
        length = answer_wait_over(round->at->epoch, &slot->wait, retry_after_ms, frame);
    }
    if (length == 0 && answer_wait_goes_on(&slot->wait)) {
        round->goes_on = true;
        round->long_looks -= round->long_looks > 0;
    }
    if (length == 0) {
        waits->wants_refresh = waits->wants_refresh || slot->wait.unrefreshed;
        return false;
    }
    answer(waits, slot->token, frame, length);
    return true;
}

bool waits_step(struct waits *waits, const struct answer_look *look, uint64_t now_ms, bool closing)
{
    if (waits->count == 0 || (!closing && now_ms < waits_wake_at(waits))) {
        return false;
    }
    struct round round = {.at = look,
                          .now_ms = now_ms,
                          .look = look_at(waits) <= now_ms,
                          .ask = waits->asked_ms + WAITS_GONE_MS <= now_ms,
                          .closing = closing,
                          .long_looks = WAITS_LONG_LOOKS};
    uint64_t over_ms = WAKE_NEVER;
    for (uint32_t i = 0; i < waits->count;) {
        struct wait_slot *slot = &waits->slots[i];
        if (is_over(waits, slot, &round)) {
            leave(waits, i);
        } else {
            over_ms = slot->until_ms < over_ms ? slot->until_ms : over_ms;
            i++;
        }
    }
    waits->over_ms = over_ms;
    if (round.look) {
        waits->changed = round.goes_on;
        waits->looked_ms = now_ms;
    }
    if (round.ask) {
        waits->asked_ms = now_ms;
    }
    return true;
}
