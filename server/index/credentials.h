/* Who we are to the index: a line from a file, as a header of HTTP. */
#ifndef ACTIVITYD_SERVER_INDEX_CREDENTIALS_H
#define ACTIVITYD_SERVER_INDEX_CREDENTIALS_H

#include <stddef.h>

#define CREDENTIALS_LINE_MAX   1024u
#define CREDENTIALS_HEADER_MAX 2048u

/* Reads `user:password` (basic) or an API key, as the index gave it out (`id:key`, or its base64
 * form), from the first line of a file; one of both names is NULL. Writes "Authorization: ...".
 * Returns 0, or -1 with a sentence that names the file and what is wrong, and never what is in it.
 * Any thread. */
__attribute__((warn_unused_result)) int credentials_read(const char *basic_file,
                                                         const char *api_key_file,
                                                         char header[CREDENTIALS_HEADER_MAX],
                                                         char *error, size_t error_size);

#endif
