/* Documents of which the index had a version that was not below ours at the last attempt. Bounded:
 * where too many meet, an earlier one is forgotten and begins anew, which only costs attempts. */
#ifndef ACTIVITYD_SERVER_INDEX_TROUBLES_H
#define ACTIVITYD_SERVER_INDEX_TROUBLES_H

#include <stdbool.h>
#include <stdint.h>

#include "server/index/batch.h"

#define TROUBLES_WAYS 4u
#define TROUBLES_SETS 1024u
#define TROUBLES_MAX  (TROUBLES_WAYS * TROUBLES_SETS)

struct troubles {
    uint64_t places[TROUBLES_MAX]; /* hashes of documents; 0: nobody's */
    uint32_t turn;                 /* which one of a set is forgotten next */
};

/* A conflict of versions. True: the last attempt met one, too. */
bool troubles_conflict(struct troubles *troubles, const struct index_document *document);
/* It was taken, set aside, or something else is the matter. */
void troubles_end(struct troubles *troubles, const struct index_document *document);

#endif
