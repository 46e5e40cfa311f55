/* Any bytes as a SPIFFE ID and as a trust domain, judged once more by a slow reading of the
 * standard with the C library's functions on terminated text. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/spiffe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SMALL    "abcdefghijklmnopqrstuvwxyz0123456789.-_"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static bool model_trust_domain(const char *text, size_t length)
{
    return length >= 1 && length <= 255 && strspn(text, SMALL) == length;
}

/* "/a/b" from its end: each piece is cut off by a terminator in place of its slash. */
static bool model_path(char *path)
{
    char *slash = NULL;
    size_t segments = 0;
    if (path[0] != '/') {
        return false;
    }
    while ((slash = strrchr(path, '/')) != NULL) {
        const char *segment = slash + 1;
        if (segment[0] == '\0' || strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0 ||
            strspn(segment, SMALL CAPITALS) != strlen(segment)) {
            return false;
        }
        *slash = '\0';
        segments++;
    }
    return segments > 0;
}

/* Changes the text. */
static bool model_id(char *text, size_t length)
{
    char *slash = length > 9 ? strchr(text + 9, '/') : NULL;
    if (strlen(text) != length || length > 255 || strncmp(text, "spiffe://", 9) != 0 ||
        slash == NULL) {
        return false;
    }
    *slash = '\0';
    bool good = model_trust_domain(text + 9, strlen(text + 9));
    *slash = '/';
    return good && model_path(slash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spiffe_id untouched = {{data, 1}, {data, 2}};
    struct spiffe_id id = untouched;
    struct view text = {data, size};
    char *copy = calloc(1, size + 1);
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    check(spiffe_trust_domain_valid(text) == model_trust_domain(copy, size));
    bool good = spiffe_id_read(text, &id);
    check(good == model_id(copy, size));
    free(copy);
    if (!good) {
        check(memcmp(&id, &untouched, sizeof id) == 0);
        return 0;
    }
    check(size <= LIMIT_PRINCIPAL_LENGTH);
    check(id.trust_domain.bytes == data + 9);
    check(id.path.bytes == id.trust_domain.bytes + id.trust_domain.length);
    check(id.path.bytes + id.path.length == data + size);
    check(spiffe_trust_domain_valid(id.trust_domain));
    check(memchr(id.trust_domain.bytes, '/', id.trust_domain.length) == NULL);
    return 0;
}
