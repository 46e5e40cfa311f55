#include "server/index/places.h"

#include <string.h>

#include "server/check.h"

/* A name with what a path needs: it begins with the separator. 0: too long. */
static uint32_t escape(const struct target_name *name, char separator,
                       char to[3 * TARGET_NAME_MAX + 2])
{
    static const char hex[] = "0123456789ABCDEF";
    uint32_t length = 0;
    to[length++] = separator;
    for (uint32_t i = 0; i < name->length; i++) {
        uint8_t c = (uint8_t)name->text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                     c == '.' || c == '*';
        if (plain) {
            to[length++] = (char)c;
        } else {
            to[length++] = '%';
            to[length++] = hex[c >> 4];
            to[length++] = hex[c & 15];
        }
    }
    to[length] = '\0';
    return length;
}

/* Whether the list has the name, of which the first byte is the separator. */
static bool has(const char *list, const char *name, uint32_t length)
{
    for (const char *at = list; (at = strstr(at, name + 1)) != NULL; at++) {
        char behind = at[length - 1];
        if ((at[-1] == '/' || at[-1] == ',') && (behind == ',' || behind == '\0')) {
            return true;
        }
    }
    return false;
}

/* False: there is no room for it. */
static bool add(char list[PLACES_LIST_MAX], uint32_t *length, const struct target_name *name)
{
    char escaped[3 * TARGET_NAME_MAX + 2];
    uint32_t more = escape(name, *length == 0 ? '/' : ',', escaped);
    if (*length > 0 && has(list, escaped, more)) {
        return true;
    }
    if (*length + more >= PLACES_LIST_MAX) {
        return false;
    }
    memcpy(list + *length, escaped, more + 1);
    *length += more;
    return true;
}

void places_clear(struct places *places)
{
    *places = (struct places){.all = false};
}

void places_all(struct places *places)
{
    *places = (struct places){.all = true};
}

void places_add(struct places *places, const struct targets *targets,
                const struct index_batch *batch)
{
    struct bytes tenant = {NULL, 0};
    struct bytes model = {NULL, 0};
    for (uint32_t i = 0; i < batch->document_count && !places->all; i++) {
        const struct index_document *document = &batch->documents[i];
        struct target_name name;
        struct reason why;
        /* Neighbours are mostly of one index. */
        if ((i > 0 && bytes_equal(tenant, document->tenant) &&
             bytes_equal(model, document->model)) ||
            target_index(targets, document, &name, &why) != 0) {
            continue;
        }
        tenant = document->tenant;
        model = document->model;
        if (!add(places->list, &places->length, &name)) {
            places_all(places);
        }
    }
}

void places_join(struct places *places, const struct places *others)
{
    if (places->all || others->length == 0) {
        places->all = places->all || others->all;
        return;
    }
    if (others->all || places->length + others->length >= PLACES_LIST_MAX) {
        places_all(places);
        return;
    }
    /* A name may be there twice, which the index does not mind. */
    memcpy(places->list + places->length, others->list, others->length + 1);
    if (places->length > 0) {
        places->list[places->length] = ',';
    }
    places->length += others->length;
}

void places_patterns(const struct targets *targets, char list[PLACES_LIST_MAX])
{
    uint32_t length = 0;
    for (uint32_t i = 0; i <= targets->model_count; i++) {
        struct target_name name;
        target_pattern(targets, i, &name);
        if (!add(list, &length, &name)) {
            list[0] = '\0';
            return;
        }
    }
}
