/* JSON Merge Patch as its RFC words it, to judge the one that an index runs. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_PATCH_H
#define ACTIVITYD_TESTS_E2E_HARNESS_PATCH_H

#include <jansson.h>
#include <stdint.h>

/* What a patch (any JSON) makes of a target (NULL: absent): a new reference. Borrows both. */
json_t *patch_apply(const json_t *target, const json_t *patch);

/* An object to patch with, up to `depth` levels below its own, over few names, so that patches
 * meet: values of every kind, removals, objects where others have none. */
json_t *patch_random(uint64_t *random, unsigned depth);

#endif
