#include "server/core/requests.h"

#include "server/check.h"
#include "server/core/siphash.h"
#include "server/core/stream.h"

#define TIME_MASK (((uint64_t)1 << 48) - 1) /* 8,900 years */

void requests_layout(struct requests *requests, struct region *region,
                     const struct core_limits *capacity)
{
    *requests = (struct requests){.capacity = (uint32_t)capacity->request_ids_max};
    requests->ring = region_take(region, (size_t)requests->capacity, sizeof *requests->ring);
    hash_layout(&requests->index, region, requests->capacity);
    requests->held = region_take(region, (size_t)capacity->names_max + 1, sizeof *requests->held);
}

static uint32_t place_of(const struct requests *requests, uint32_t nth)
{
    uint64_t place = (uint64_t)requests->first + nth;
    return (uint32_t)(place >= requests->capacity ? place - requests->capacity : place);
}

static uint32_t principal_of(const struct request_record *record)
{
    return (uint32_t)record->principal_high << 16 | (uint32_t)record->principal_low;
}

/* The identity is a keyed hash already. */
static uint64_t hash_of(const uint8_t identity[16])
{
    uint64_t hash;
    memcpy(&hash, identity, sizeof hash);
    return hash;
}

static void add_text(struct siphash *hash, struct bytes text)
{
    uint32_t length = text.length;
    siphash_add(hash, &length, sizeof length);
    siphash_add(hash, text.at, text.length);
}

void requests_identify(const struct names *names, const struct command_caller *caller,
                       enum command_kind method, const uint8_t request_id[LIMIT_REQUEST_ID_LENGTH],
                       struct bytes payload, struct request_identity *identity)
{
    struct siphash hash;
    uint8_t kind = (uint8_t)method;
    siphash_init128(&hash, names->key);
    add_text(&hash, caller->tenant);
    add_text(&hash, caller->principal);
    add_text(&hash, caller->user);
    siphash_add(&hash, &kind, sizeof kind);
    siphash_add(&hash, request_id, LIMIT_REQUEST_ID_LENGTH);
    siphash_finish128(&hash, identity->identity);
    identity->payload = siphash_of(names->key, payload);
    uint32_t tenant = names_lookup(names, NAME_TENANT, 0, caller->tenant);
    identity->principal =
        tenant == 0 ? 0 : names_lookup(names, NAME_PRINCIPAL, tenant, caller->principal);
}

static const struct request_record *find(const struct requests *requests,
                                         const uint8_t identity[16])
{
    for (uint32_t id = hash_first(&requests->index, hash_of(identity)); id != 0;
         id = hash_next(&requests->index, id)) {
        if (memcmp(requests->ring[id - 1].identity, identity, 16) == 0) {
            return &requests->ring[id - 1];
        }
    }
    return NULL;
}

static void drop_oldest(struct requests *requests, struct names *names)
{
    const struct request_record *record = &requests->ring[requests->first];
    uint32_t principal = principal_of(record);
    requests->lost_ms = record->service_ms + 1u;
    hash_remove(&requests->index, hash_of(record->identity), requests->first + 1);
    requests->held[principal]--;
    names_release(names, principal);
    requests->first = place_of(requests, 1);
    requests->count--;
}

/* A principal that holds more than half is refused an eighth before the others are. */
static uint64_t room_for(const struct requests *requests, const struct core_limits *limits,
                         uint32_t principal)
{
    uint64_t cap =
        limits->request_ids_max < requests->capacity ? limits->request_ids_max : requests->capacity;
    return principal != 0 && requests->held[principal] > cap / 2 ? cap - cap / 8 : cap;
}

static uint64_t oldest_age(const struct requests *requests, uint64_t service_ms)
{
    return service_ms - requests->ring[requests->first].service_ms;
}

enum request_outcome requests_check(const struct requests *requests,
                                    const struct core_limits *limits, uint64_t service_ms,
                                    const struct request_identity *identity,
                                    struct request_answer *answer)
{
    const struct request_record *record = find(requests, identity->identity);
    *answer = (struct request_answer){0};
    if (record != NULL) {
        answer->answer = record->answer;
        answer->accept_ms = record->accept_ms;
        return record->payload == identity->payload ? REQUEST_REPEATED : REQUEST_REUSED;
    }
    if (requests->count < room_for(requests, limits, identity->principal) ||
        oldest_age(requests, service_ms) >= limits->request_id_least_ms) {
        return REQUEST_NEW;
    }
    answer->retry_after_ms =
        (uint32_t)(limits->request_id_least_ms - oldest_age(requests, service_ms));
    return REQUEST_NO_ROOM;
}

void requests_remember(struct requests *requests, struct names *names,
                       const struct core_limits *limits, uint64_t service_ms,
                       const struct request_identity *identity, const struct request_answer *answer)
{
    CHECK(identity->principal != 0);
    if (requests->count >= room_for(requests, limits, identity->principal)) {
        CHECK(oldest_age(requests, service_ms) >= limits->request_id_least_ms);
        drop_oldest(requests, names);
    }
    CHECK(requests->count < requests->capacity);
    uint32_t place = place_of(requests, requests->count++);
    struct request_record *record = &requests->ring[place];
    *record = (struct request_record){.payload = identity->payload,
                                      .answer = answer->answer,
                                      .service_ms = service_ms & TIME_MASK,
                                      .accept_ms = answer->accept_ms & TIME_MASK,
                                      .principal_low = identity->principal & 0xffff,
                                      .principal_high = (uint16_t)(identity->principal >> 16)};
    memcpy(record->identity, identity->identity, sizeof record->identity);
    names_hold(names, identity->principal);
    requests->held[identity->principal]++;
    hash_insert(&requests->index, hash_of(record->identity), place + 1);
}

uint64_t requests_kept_ms(const struct requests *requests, const struct core_limits *limits,
                          uint64_t service_ms)
{
    if (requests->lost_ms == 0) {
        return limits->request_id_most_ms;
    }
    uint64_t age = service_ms - (requests->lost_ms - 1); /* of the youngest that has left */
    return age < limits->request_id_most_ms ? age : limits->request_id_most_ms;
}

/* Over the cap only after it was lowered: the oldest leave as soon as they may. */
uint64_t requests_deadline(const struct requests *requests, const struct core_limits *limits)
{
    if (requests->count == 0) {
        return UINT64_MAX;
    }
    bool over = requests->count > limits->request_ids_max;
    uint64_t keep = over ? limits->request_id_least_ms : limits->request_id_most_ms;
    return requests->ring[requests->first].service_ms + keep;
}

void requests_expire(struct requests *requests, struct names *names,
                     const struct core_limits *limits, uint64_t service_ms, uint32_t *budget)
{
    for (; *budget > 0 && requests_deadline(requests, limits) <= service_ms; --*budget) {
        drop_oldest(requests, names);
    }
}

void requests_save(const struct requests *requests, struct stream_out *out)
{
    stream_put_u64(out, requests->lost_ms);
    stream_put_u64(out, requests->count);
    for (uint32_t nth = 0; nth < requests->count; nth++) {
        stream_put(out, &requests->ring[place_of(requests, nth)], sizeof *requests->ring);
    }
}

void requests_load(struct requests *requests, const struct names *names, struct stream_in *in)
{
    requests->lost_ms = stream_get_u64(in);
    uint32_t count = stream_get_count(in, requests->capacity);
    for (; requests->count < count; requests->count++) {
        struct request_record *record = &requests->ring[requests->count];
        if (!stream_get(in, record, sizeof *record)) {
            return;
        }
        uint32_t principal = principal_of(record);
        if (!table_live(&names->records, principal) || find(requests, record->identity) != NULL) {
            stream_refuse(in, CORE_MALFORMED);
            return;
        }
        requests->held[principal]++;
        hash_insert(&requests->index, hash_of(record->identity), requests->count + 1);
    }
}

const char *requests_verify(const struct requests *requests, const struct names *names,
                            uint64_t service_ms)
{
    uint64_t before_ms = 0;
    for (uint32_t nth = 0; nth < requests->count; nth++) {
        const struct request_record *record = &requests->ring[place_of(requests, nth)];
        uint32_t principal = principal_of(record);
        if (record->service_ms < before_ms || record->service_ms > service_ms) {
            return "requests: one out of its time";
        }
        if (!table_live(&names->records, principal) ||
            names_at(names, principal)->kind != NAME_PRINCIPAL) {
            return "requests: one of no principal";
        }
        if (find(requests, record->identity) != record) {
            return "requests: one that is not found";
        }
        before_ms = record->service_ms;
    }
    return requests->lost_ms > service_ms + 1 ? "requests: lost in the future" : NULL;
}
