/* JSON is read by jansson and thrown away: nobody here needs the document, but duplicate keys
 * cannot be found without keeping the keys, compared after their escapes. jansson's allocator is
 * one for the whole process, so ours looks for the arena of the calling thread, and outside of a
 * check leaves everything to malloc. */
#include "server/wire/json.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

static _Thread_local struct arena *current;

static void *allocate(size_t size)
{
    return current != NULL ? arena_allocate(current, size) : malloc(size);
}

static void release(void *allocated)
{
    if (current == NULL) {
        free(allocated);
    }
}

static void set_allocator(void)
{
    json_set_alloc_funcs(allocate, release);
}

/* Whether anything is nested more deeply. Looked at first, since jansson recurses to a depth of its
 * own. Brackets in strings do not count; what is no JSON is found later. */
static bool is_deeper(struct view text, size_t most)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.bytes[i];
        if (in_string) {
            if (byte == '\\') {
                i++;
            } else if (byte == '"') {
                in_string = false;
            }
        } else if (byte == '"') {
            in_string = true;
        } else if (byte == '{' || byte == '[') {
            if (++depth > most) {
                return true;
            }
        } else if ((byte == '}' || byte == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

/* jansson's sentence may quote the document: what is no text is not passed on. */
static void explain(const json_error_t *error, char *why, size_t why_size)
{
    if (error->text[0] == '\0') { /* an allocation failed */
        (void)snprintf(why, why_size, "more values than can be checked");
        return;
    }
    const char *text = view_is_text(view_of(error->text)) ? error->text : "an invalid token";
    (void)snprintf(why, why_size, "%s at position %d", text, error->position);
}

int json_check(struct view text, struct arena *arena, char *why, size_t why_size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_allocator);
    if (is_deeper(text, LIMIT_JSON_DEPTH)) {
        (void)snprintf(why, why_size, "more than %d levels", LIMIT_JSON_DEPTH);
        return 1;
    }
    /* Numbers as real ones: an integer above 63 bits is a number too. */
    size_t flags =
        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL;
    json_error_t error = {.position = 0};
    current = arena;
    json_t *document = json_loadb((const char *)text.bytes, text.length, flags, &error);
    bool is_object = json_is_object(document);
    current = NULL;
    if (document == NULL) {
        explain(&error, why, why_size);
        return 1;
    }
    if (!is_object) {
        (void)snprintf(why, why_size, "another value");
        return 1;
    }
    return 0;
}
