/* Memory that is given once and carved up. A region without memory only measures, so that one
 * layout function both says how much a module needs and takes it: `void x_layout(struct x *x,
 * struct region *region, const struct core_limits *capacity)`. */
#ifndef ACTIVITYD_SERVER_CORE_REGION_H
#define ACTIVITYD_SERVER_CORE_REGION_H

#include <stddef.h>
#include <stdint.h>

struct region {
    uint8_t *base; /* 64-byte aligned and zeroed; NULL: measure only */
    size_t used;
};

/* Takes `count` places of `size` bytes, beginning at a cache line. NULL when the region only
 * measures. The limits' maxima keep the sum far below 2^64. */
static inline void *region_take(struct region *region, size_t count, size_t size)
{
    void *at = region->base == NULL ? NULL : region->base + region->used;
    region->used += (count * size + 63u) & ~(size_t)63u;
    return at;
}

#endif
