#include "bench/harness_documents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/harness.h"

const char documents_index[] =
    "{\"settings\":{\"number_of_shards\":1,\"number_of_replicas\":0,\"refresh_interval\":\"1s\","
    "\"gc_deletes\":\"1h\"},\"mappings\":{\"dynamic\":\"strict\",\"properties\":{"
    "\"n\":{\"type\":\"long\"},\"state\":{\"type\":\"keyword\"},\"updated\":{\"type\":\"date\"},"
    "\"id\":{\"type\":\"keyword\"},\"owner\":{\"type\":\"keyword\"},\"tags\":{\"type\":\"keyword\"}"
    ",\"title\":{\"type\":\"text\"},\"text\":{\"type\":\"text\"},"
    "\"_seq\":{\"type\":\"long\"},\"_deleted\":{\"type\":\"boolean\"}}}}";

struct document {
    uint32_t length;
    char text[DOCUMENT_BYTES_MAX];
};

/* What changes stands in front, and is of the same length in each change. */
#define CHANGING "{\"n\":%010llu,\"state\":\"%s\",\"updated\":17%011llu"
enum { NUMBER_AT = 5, NUMBER_DIGITS = 10 };

static struct document *documents;
static uint64_t all_bytes;

/* As in JSON: without leading zeros. */
static void put_number(char *to, uint64_t n)
{
    n = 1000000000u + n % 1000000000u;
    for (int i = NUMBER_DIGITS - 1; i >= 0; i--, n /= 10) {
        to[i] = (char)('0' + n % 10);
    }
}

static size_t put_changing(char *to, size_t size, uint32_t document)
{
    return (size_t)snprintf(to, size, CHANGING, 0ull, document % 3 == 0 ? "DRAFT" : "READY",
                            (unsigned long long)document);
}

static size_t put_words(char *to, size_t most, uint64_t *seed)
{
    static const char *const words[] = {
        "harbour", "evening", "report",  "interview", "river",  "music",    "science",    "garden",
        "winter",  "archive", "session", "studio",    "market", "election", "football",   "weather",
        "island",  "morning", "theatre", "history",   "train",  "mountain", "parliament", "sea"};
    size_t length = 0;
    while (length + 24 < most) {
        const char *word = words[random_next(seed) % (sizeof words / sizeof words[0])];
        length += (size_t)snprintf(to + length, most - length, "%s%s%u", length == 0 ? "" : " ",
                                   word, (unsigned)(random_next(seed) % 50));
    }
    return length;
}

static void make(uint32_t number, uint64_t *seed)
{
    struct document *document = &documents[number];
    char *to = document->text;
    size_t size = sizeof document->text;
    size_t at = put_changing(to, size, number);
    at += (size_t)snprintf(to + at, size - at,
                           ",\"id\":\"%u\",\"owner\":\"user-%u\",\"tags\":[\"tag-%u\",\"tag-%u\"],"
                           "\"title\":\"",
                           number, number % 997, number % 31, number % 101);
    at += put_words(to + at, 80, seed);
    at += (size_t)snprintf(to + at, size - at, "\",\"text\":\"");
    at += put_words(to + at, 290, seed);
    at += (size_t)snprintf(to + at, size - at, "\"}");
    document->length = (uint32_t)at;
    all_bytes += at;
}

void documents_make(void)
{
    uint64_t seed = 88172645463325252u;
    documents = malloc(DOCUMENTS * sizeof documents[0]);
    assert_non_null(documents);
    all_bytes = 0;
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        make(i, &seed);
    }
}

void documents_free(void)
{
    free(documents);
    documents = NULL;
}

size_t documents_id(uint32_t document, char id[DOCUMENT_ID_BYTES])
{
    return (size_t)snprintf(id, DOCUMENT_ID_BYTES, "%u", document);
}

size_t documents_whole(uint32_t document, uint64_t n, char to[DOCUMENT_BYTES_MAX])
{
    const struct document *from = &documents[document];
    memcpy(to, from->text, from->length);
    put_number(to + NUMBER_AT, n);
    return from->length;
}

size_t documents_patch(uint32_t document, uint64_t n, char to[DOCUMENT_BYTES_MAX])
{
    size_t length = put_changing(to, DOCUMENT_BYTES_MAX - 1, document);
    put_number(to + NUMBER_AT, n);
    to[length++] = '}';
    return length;
}

uint32_t documents_mean_bytes(void)
{
    return (uint32_t)(all_bytes / DOCUMENTS);
}

struct documents_walk documents_walk_of(uint32_t lane, uint32_t lanes)
{
    assert_true(lanes != 0 && DOCUMENTS_GROUPS % lanes == 0);
    return (struct documents_walk){.times = 1, .stride = lanes, .group = lane};
}

static void next_group(struct documents_walk *walk)
{
    walk->group = (walk->group + walk->stride) % DOCUMENTS_GROUPS;
    walk->done = 0;
}

void documents_walk_set(struct documents_walk *walk, uint32_t times)
{
    walk->times = times;
    next_group(walk);
}

uint32_t documents_walk_next(struct documents_walk *walk)
{
    if (walk->done == walk->times * DOCUMENTS_GROUP) {
        next_group(walk);
    }
    return walk->group * DOCUMENTS_GROUP + walk->done++ % DOCUMENTS_GROUP;
}
