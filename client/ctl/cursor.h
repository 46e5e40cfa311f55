/* A place in the history of events as people and scripts write it: EPOCH:SEQUENCE, the epoch in 16
 * hexadecimal digits, the sequence in decimal ones. */
#ifndef ACTIVITYD_CLIENT_CTL_CURSOR_H
#define ACTIVITYD_CLIENT_CTL_CURSOR_H

#include <activity.h>

#include <stdbool.h>

enum { CURSOR_TEXT = 40 };

void cursor_text(const struct activity_cursor *cursor, char to[CURSOR_TEXT]);
/* False if it is none. */
bool cursor_parse(const char *text, struct activity_cursor *cursor);

#endif
