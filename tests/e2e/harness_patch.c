#include "tests/e2e/harness_patch.h"

#include "server/check.h"
#include "tests/e2e/harness.h"

/* RFC 7396, section 2, line by line. */
json_t *patch_apply(const json_t *target, const json_t *patch)
{
    if (!json_is_object(patch)) {
        return json_deep_copy(patch);
    }
    json_t *result = json_is_object(target) ? json_deep_copy(target) : json_object();
    CHECK(result != NULL);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)patch, name, value)
    {
        if (json_is_null(value)) {
            (void)json_object_del(result, name);
        } else {
            json_t *merged = patch_apply(json_object_get(result, name), value);
            CHECK(json_object_set_new(result, name, merged) == 0);
        }
    }
    return result;
}

static json_t *random_value(uint64_t *random, unsigned depth)
{
    switch (random_next(random) % (depth > 0 ? 12 : 8)) {
    case 0:
    case 1:
        return json_null();
    case 2:
        return json_integer((json_int_t)random_next(random) >> (random_next(random) % 64));
    case 3:
        return json_real((double)(random_next(random) % 1000) / 8);
    case 4:
        return json_boolean(random_next(random) % 2);
    case 5:
        return json_pack("[n,i,{s:n,s:i}]", (int)(random_next(random) % 9), "gone", "kept", 1);
    case 6:
        return json_array();
    case 7:
        return json_sprintf("Gr\xc3\xbc\xc3\x9f"
                            "e \"%u\"\n",
                            (unsigned)(random_next(random) % 99));
    default:
        return patch_random(random, depth - 1);
    }
}

json_t *patch_random(uint64_t *random, unsigned depth)
{
    static const char *const names[] = {"title", "state", "owner", "tags", "x", "y"};
    json_t *patch = json_object();
    CHECK(patch != NULL);
    for (uint64_t left = random_next(random) % 4; left > 0; left--) {
        const char *name = names[random_next(random) % (sizeof names / sizeof names[0])];
        CHECK(json_object_set_new(patch, name, random_value(random, depth)) == 0);
    }
    return patch;
}
