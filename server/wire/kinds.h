/* How each model is written: documents as a whole, or fragments of them. Fixed by the
 * configuration; a change of the other kind is refused, with an index or without. */
#ifndef ACTIVITYD_SERVER_WIRE_KINDS_H
#define ACTIVITYD_SERVER_WIRE_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"
#include "server/core/bytes.h"

struct model_kind {
    char name[LIMIT_MODEL_LENGTH + 1]; /* terminated, without NUL in it */
    bool fragments;
};

/* Sorted by name, as strcmp does, none of them twice. What is not listed is whole. */
struct model_kinds {
    const struct model_kind *models; /* borrowed */
    uint32_t count;
    bool written; /* to an index: each change has to say what is to be written */
};

/* Any name may be asked for. NULL: every model is whole. Any thread. */
bool kinds_is_fragments(const struct model_kinds *kinds, struct bytes model);

#endif
