#include "server/journal/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int journal_error_set(struct journal_error *error, enum journal_error_code code, const char *format,
                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return code;
}

int journal_error_storage(struct journal_error *error, int result, const char *format, ...)
{
    char text[384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bool full = result == -ENOSPC || result == -EDQUOT;
    return journal_error_set(error, full ? JOURNAL_NO_SPACE : JOURNAL_IO, "%s: %s", text,
                             strerror(-result));
}
