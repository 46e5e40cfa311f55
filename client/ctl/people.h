/* What the text output is made of; to stdout. */
#ifndef ACTIVITYD_CLIENT_CTL_PEOPLE_H
#define ACTIVITYD_CLIENT_CTL_PEOPLE_H

#include <stdint.h>

/* Foreign text, cut at `width` columns and filled up to them; 0: as it is. */
void people_text(const char *text, unsigned width);
/* Foreign text as a whole, filled up to `width` columns: for what is copied from the screen. */
void people_whole(const char *text, unsigned width);
/* A date and time of day, in 23 columns. */
void people_time(uint64_t ms);
/* "name         value" on a line; nothing without a value. */
void people_field(const char *name, const char *value);

#endif
