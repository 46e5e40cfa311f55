#include "server/wire/kinds.h"

#include <string.h>

static int compare(struct bytes model, const char *name)
{
    size_t length = strlen(name);
    size_t common = length < model.length ? length : model.length;
    int order = common == 0 ? 0 : memcmp(model.at, name, common);
    return order != 0 ? order : (model.length > length) - (model.length < length);
}

bool kinds_is_fragments(const struct model_kinds *kinds, struct bytes model)
{
    uint32_t low = 0;
    uint32_t high = kinds != NULL ? kinds->count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(model, kinds->models[middle].name);
        if (order == 0) {
            return kinds->models[middle].fragments;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return false;
}
