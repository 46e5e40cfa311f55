#include "server/net/addresses.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server/check.h"
#include "server/core/siphash.h"

/* So many are remembered beside those that have a connection. */
#define IDLE_ADDRESSES 4096
#define MINUTE_US      UINT64_C(60000000)

struct address {
    uint64_t key;
    uint32_t connections; /* 0: in the list of idle ones */
    uint32_t unfinished;
    /* When the connects so far are paid for, each with its part of a minute. */
    uint64_t paid_us;
    struct address *next;  /* of the same bucket */
    struct address *older; /* without a connection for longer */
    struct address *younger;
    bool known; /* in a bucket */
};

struct addresses {
    struct addresses_limits limits;
    struct addresses_count count;
    uint8_t hash_key[16];
    struct address *all;
    struct address **buckets;
    size_t bucket_mask;
    struct address *oldest; /* the idle ones, never none: there are more than connections */
    struct address *youngest;
};

static size_t all_count(const struct addresses_limits *limits)
{
    return (size_t)limits->connections + IDLE_ADDRESSES;
}

static size_t bucket_count(const struct addresses_limits *limits)
{
    size_t count = 16;
    while (count < all_count(limits)) {
        count *= 2;
    }
    return count;
}

size_t addresses_memory_bytes(const struct addresses_limits *limits)
{
    return sizeof(struct addresses) + all_count(limits) * sizeof(struct address) +
           bucket_count(limits) * sizeof(struct address *);
}

/* ---- The list of idle ones ---- */

static void put_idle(struct addresses *addresses, struct address *address)
{
    address->older = addresses->youngest;
    address->younger = NULL;
    *(address->older != NULL ? &address->older->younger : &addresses->oldest) = address;
    addresses->youngest = address;
}

static void take_idle(struct addresses *addresses, struct address *address)
{
    *(address->older != NULL ? &address->older->younger : &addresses->oldest) = address->younger;
    *(address->younger != NULL ? &address->younger->older : &addresses->youngest) = address->older;
}

/* ---- The table ---- */

struct addresses *addresses_new(const struct addresses_limits *limits)
{
    struct addresses *addresses = calloc(1, sizeof *addresses);
    if (addresses == NULL) {
        return NULL;
    }
    addresses->limits = *limits;
    addresses->bucket_mask = bucket_count(limits) - 1;
    addresses->all = calloc(all_count(limits), sizeof *addresses->all);
    addresses->buckets = calloc(bucket_count(limits), sizeof(struct address *));
    if (addresses->all == NULL || addresses->buckets == NULL ||
        getrandom(addresses->hash_key, sizeof addresses->hash_key, 0) !=
            (ssize_t)sizeof addresses->hash_key) {
        addresses_free(addresses);
        return NULL;
    }
    for (size_t i = 0; i < all_count(limits); i++) {
        put_idle(addresses, &addresses->all[i]);
    }
    return addresses;
}

void addresses_free(struct addresses *addresses)
{
    if (addresses == NULL) {
        return;
    }
    free(addresses->all);
    free(addresses->buckets);
    free(addresses);
}

/* What counts as one address: an IPv4 address, also within IPv6, or an IPv6 network of 64 bits,
 * whose highest bits are never those of an IPv4 one here (0000:0000/32 is no network of hosts). */
static uint64_t key_of(const struct sockaddr *peer)
{
    uint64_t key = 0;
    if (peer->sa_family == AF_INET) {
        return ntohl(((const struct sockaddr_in *)(const void *)peer)->sin_addr.s_addr);
    }
    if (peer->sa_family != AF_INET6) {
        return key;
    }
    const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(in6);
    for (size_t i = mapped ? 12 : 0; i < (mapped ? 16 : 8); i++) {
        key = key << 8 | in6->s6_addr[i];
    }
    return key;
}

static struct address **bucket_of(struct addresses *addresses, uint64_t key)
{
    uint64_t hash = siphash_of(addresses->hash_key, bytes_of(&key, sizeof key));
    return &addresses->buckets[hash & addresses->bucket_mask];
}

static struct address *find(struct addresses *addresses, uint64_t key)
{
    struct address *address = *bucket_of(addresses, key);
    while (address != NULL && address->key != key) {
        address = address->next;
    }
    return address;
}

static void forget(struct addresses *addresses, struct address *address)
{
    struct address **link = bucket_of(addresses, address->key);
    while (*link != address) {
        link = &(*link)->next;
    }
    *link = address->next;
}

/* Takes the place of the one that has been idle for longest. It is idle itself. */
static struct address *enter(struct addresses *addresses, uint64_t key)
{
    struct address *address = addresses->oldest;
    CHECK(address != NULL);
    if (address->known) {
        forget(addresses, address);
    }
    take_idle(addresses, address);
    struct address **bucket = bucket_of(addresses, key);
    *address = (struct address){.key = key, .next = *bucket, .known = true};
    *bucket = address;
    put_idle(addresses, address);
    return address;
}

/* ---- Connections ---- */

static enum tls_refusal judge(const struct addresses *addresses, const struct address *address,
                              uint64_t now_us)
{
    const struct addresses_limits *limits = &addresses->limits;
    if (address->connections >= limits->connections_per_address) {
        return TLS_REFUSED_ADDRESS_FULL;
    }
    if (address->paid_us > now_us + MINUTE_US - MINUTE_US / limits->connects_per_minute) {
        return TLS_REFUSED_ADDRESS_TOO_FAST;
    }
    uint32_t free_places = limits->unfinished - addresses->count.unfinished;
    uint32_t quarter = limits->unfinished >= 4 ? limits->unfinished / 4 : 1;
    if (address->unfinished >= free_places || address->unfinished >= quarter) {
        return TLS_REFUSED_HANDSHAKES_FULL;
    }
    return addresses->count.connections < limits->connections ? TLS_ACCEPTED
                                                              : TLS_REFUSED_CONNECTIONS_FULL;
}

enum tls_refusal addresses_arrive(struct addresses *addresses, const struct sockaddr *peer,
                                  uint64_t now_ms)
{
    uint64_t now_us = now_ms * 1000;
    const struct address unknown = {.connections = 0};
    struct address *address = find(addresses, key_of(peer));
    enum tls_refusal refusal = judge(addresses, address != NULL ? address : &unknown, now_us);
    if (refusal != TLS_ACCEPTED) {
        return refusal;
    }
    if (address == NULL) {
        address = enter(addresses, key_of(peer));
    }
    if (address->connections == 0) {
        take_idle(addresses, address);
        addresses->count.addresses++;
    }
    address->paid_us = (address->paid_us > now_us ? address->paid_us : now_us) +
                       MINUTE_US / addresses->limits.connects_per_minute;
    address->connections++;
    address->unfinished++;
    addresses->count.connections++;
    addresses->count.unfinished++;
    return TLS_ACCEPTED;
}

static void finish(struct addresses *addresses, struct address *address)
{
    CHECK(address != NULL && address->unfinished > 0);
    address->unfinished--;
    addresses->count.unfinished--;
}

void addresses_finish(struct addresses *addresses, const struct sockaddr *peer)
{
    finish(addresses, find(addresses, key_of(peer)));
}

void addresses_leave(struct addresses *addresses, const struct sockaddr *peer, bool finished)
{
    struct address *address = find(addresses, key_of(peer));
    if (!finished) {
        finish(addresses, address);
    }
    CHECK(address != NULL && address->connections > 0);
    address->connections--;
    addresses->count.connections--;
    if (address->connections == 0) {
        put_idle(addresses, address);
        addresses->count.addresses--;
    }
}

struct addresses_count addresses_count(const struct addresses *addresses)
{
    return addresses->count;
}
