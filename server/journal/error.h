/* Filling struct journal_error: one sentence that names file and entry, and the code that goes up
 * unchanged. */
#ifndef ACTIVITYD_SERVER_JOURNAL_ERROR_H
#define ACTIVITYD_SERVER_JOURNAL_ERROR_H

#include "server/journal/journal.h"

/* Both return the code that they stored, so that a caller can return it in the same line. Any
 * thread. */
int journal_error_set(struct journal_error *error, enum journal_error_code code, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));

/* For a storage function's negative errno: a full disk or quota is JOURNAL_NO_SPACE, all else
 * JOURNAL_IO. The system's words are appended to the sentence. */
int journal_error_storage(struct journal_error *error, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
