#include "server/loopback.h"

#include <string.h>

size_t loopback_length(const char *text)
{
    static const char *const names[] = {"[::1]", "localhost"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(text, names[i], length) == 0) {
            return length;
        }
    }
    /* A name may begin with 127 too: only digits and three dots are an address. */
    size_t length = strspn(text, "0123456789.");
    size_t dots = 0;
    for (size_t i = 0; i < length; i++) {
        dots += text[i] == '.';
    }
    return strncmp(text, "127.", 4) == 0 && dots == 3 ? length : 0;
}
