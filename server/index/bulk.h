/* The body of a _bulk request. Each document is one item, so that positions in the reply are
 * positions in the request:
 *
 *   whole      index or delete with version_type=external: right even when requests come twice or
 * in another order fragments  update by the stored script (script.h), which gets the list of them:
 * all of a document in one item, since a later one that passes while an earlier one is refused
 * would lose the earlier one for ever */
#ifndef ACTIVITYD_SERVER_INDEX_BULK_H
#define ACTIVITYD_SERVER_INDEX_BULK_H

#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"
#include "server/index/batch.h"
#include "server/index/target.h"

/* How often the index itself repeats an update that met another writer's. */
#define BULK_RETRY_ON_CONFLICT 3

/* Writes a document's lines. Returns 0, or 1 with the reason (then what was written is to be thrown
 * away): there is no index for the document, or nothing to write. With a writer without bytes it
 * measures (to->wanted).
 */
__attribute__((warn_unused_result)) int bulk_put(const struct targets *targets,
                                                 const struct index_batch *batch, uint32_t document,
                                                 struct writer *to, struct reason *why);

/* Writes `text` as a JSON string. */
void bulk_put_string(struct bytes text, struct writer *to);

#endif
