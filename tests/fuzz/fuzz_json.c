/* The check of documents against jansson, which builds them: what one takes the other takes. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[16u * 1024u * 1024u];

static size_t depth_of(const json_t *value)
{
    const char *key;
    json_t *member;
    size_t index;
    size_t deepest = 0;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, member)
        {
            size_t depth = depth_of(member);
            deepest = depth > deepest ? depth : deepest;
        }
        return deepest + 1;
    }
    json_array_foreach(value, index, member)
    {
        size_t depth = depth_of(member);
        deepest = depth > deepest ? depth : deepest;
    }
    return json_is_array(value) ? deepest + 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    char why[128] = "";
    arena_init(&arena, memory, sizeof memory);
    bool taken = json_check((struct view){data, size}, &arena, why, sizeof why) == 0;
    CHECK(taken == (why[0] == '\0'));
    json_error_t error;
    json_t *document = json_loadb((const char *)data, size,
                                  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY |
                                      JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL,
                                  &error);
    bool good = json_is_object(document) && depth_of(document) <= LIMIT_JSON_DEPTH;
    /* A number that no double holds is still one, and a key may have a NUL in it by \u0000. */
    bool other = document == NULL && (json_error_code(&error) == json_error_numeric_overflow ||
                                      json_error_code(&error) == json_error_null_byte_in_key);
    /* jansson takes a NUL behind a word; in JSON there is none. */
    bool nul = size > 0 && memchr(data, 0, size) != NULL;
    CHECK(nul ? !taken : other || taken == good);
    json_decref(document);
    return 0;
}
