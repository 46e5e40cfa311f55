#include "server/index/troubles.h"

static uint64_t hash_text(uint64_t hash, struct bytes text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        hash = (hash ^ text.at[i]) * UINT64_C(0x100000001b3);
    }
    return (hash ^ 0xff) * UINT64_C(0x100000001b3); /* where the text ends */
}

/* The last bytes of a name reach few bits by themselves, and neighbours differ in no others. */
static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

static uint64_t hash_of(const struct index_document *document)
{
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), document->tenant);
    hash = hash_text(hash, document->model);
    return mix(hash_text(hash, document->id)) | 1; /* not 0 */
}

/* One of the places of a set; NULL: it is in none of them. */
static uint64_t *find(struct troubles *troubles, uint64_t hash)
{
    uint64_t *set = &troubles->places[(hash >> 32) % TROUBLES_SETS * TROUBLES_WAYS];
    for (uint32_t i = 0; i < TROUBLES_WAYS; i++) {
        if (set[i] == hash) {
            return &set[i];
        }
    }
    return NULL;
}

bool troubles_conflict(struct troubles *troubles, const struct index_document *document)
{
    uint64_t hash = hash_of(document);
    if (find(troubles, hash) != NULL) {
        return true;
    }
    uint64_t *set = &troubles->places[(hash >> 32) % TROUBLES_SETS * TROUBLES_WAYS];
    uint32_t way = 0;
    while (way < TROUBLES_WAYS && set[way] != 0) {
        way++;
    }
    set[way < TROUBLES_WAYS ? way : troubles->turn++ % TROUBLES_WAYS] = hash;
    return false;
}

void troubles_end(struct troubles *troubles, const struct index_document *document)
{
    uint64_t *trouble = find(troubles, hash_of(document));
    if (trouble != NULL) {
        *trouble = 0;
    }
}
