/* Small files read whole: configuration, policy, certificates. */
#ifndef ACTIVITYD_SERVER_TEXT_FILE_H
#define ACTIVITYD_SERVER_TEXT_FILE_H

#include <stddef.h>

#define TEXT_FILE_MAX (1024 * 1024)

/* Reads the file into fresh memory with a terminator behind it and `room` bytes after that. Returns
 * it (the caller frees it), or NULL with one sentence naming the file: it cannot be read, is above
 * TEXT_FILE_MAX, or holds a NUL. Any thread. */
char *text_file_read(const char *path, size_t room, char *error, size_t error_size);

/* Overwrites remarks (from # or // to the end of the line, and between slash-star and star-slash)
 * with blanks, so that no line moves. libconfuse skips remarks itself but then counts lines
 * wrongly, and an error must name the right one. A remark begins at the start of a word only, and
 * not within quotes. Returns 0, or -1 when one is never closed. */
__attribute__((warn_unused_result)) int text_file_blank_remarks(char *text);

#endif
