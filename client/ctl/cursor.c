#include "client/ctl/cursor.h"
#include "client/ctl/ctl.h"

#include <stdlib.h>
#include <string.h>

enum { EPOCH_DIGITS = 16 };

void cursor_text(const struct activity_cursor *cursor, char to[CURSOR_TEXT])
{
    (void)snprintf(to, CURSOR_TEXT, "%016llx:%llu", (unsigned long long)cursor->epoch,
                   (unsigned long long)cursor->sequence);
}

bool cursor_parse(const char *text, struct activity_cursor *cursor)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    if (digits != EPOCH_DIGITS || text[digits] != ':' ||
        !ctl_number(text + digits + 1, UINT64_MAX, &cursor->sequence)) {
        return false;
    }
    cursor->epoch = strtoull(text, NULL, 16);
    return cursor->epoch != 0;
}
