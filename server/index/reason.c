#include "server/index/reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void reason_set(struct reason *reason, const char *code, const char *message, ...)
{
    va_list values;
    va_start(values, message);
    (void)snprintf(reason->code, sizeof reason->code, "%s", code);
    char full[sizeof reason->message + 1]; /* one more byte tells whether a character is cut */
    int length = vsnprintf(full, sizeof full, message, values);
    va_end(values);
    size_t end = length < 0 ? 0 : (size_t)length;
    if (end >= sizeof reason->message) {
        end = sizeof reason->message - 1;
        while (end > 0 && ((uint8_t)full[end] & 0xc0) == 0x80) {
            end--;
        }
    }
    memcpy(reason->message, full, end);
    reason->message[end] = '\0';
}
