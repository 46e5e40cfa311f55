/* Documents that the index did not take lately: how often in a row it said to come again, and
 * whether it had a version that is not below ours. Bounded: where too many documents meet, an
 * earlier one is forgotten and begins anew, which only costs attempts. */
#ifndef ACTIVITYD_SERVER_INDEX_TROUBLES_H
#define ACTIVITYD_SERVER_INDEX_TROUBLES_H

#include <stdbool.h>
#include <stdint.h>

#include "server/index/batch.h"

#define TROUBLES_WAYS 4u
#define TROUBLES_SETS 1024u
#define TROUBLES_MAX  (TROUBLES_WAYS * TROUBLES_SETS)

struct troubles {
    struct trouble {
        uint64_t document; /* its hash; 0: nobody's */
        uint32_t retries;
        bool conflict;
    } places[TROUBLES_MAX];
    uint32_t turn; /* which one of a set is forgotten next */
};

/* One more retry in a row; returns how many there are now. */
uint32_t troubles_retry(struct troubles *troubles, const struct index_document *document);
/* A conflict of versions. True: the last attempt met one, too. */
bool troubles_conflict(struct troubles *troubles, const struct index_document *document);
/* It was taken, or set aside. */
void troubles_end(struct troubles *troubles, const struct index_document *document);

#endif
