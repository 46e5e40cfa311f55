/* Text for a terminal: foreign text made harmless, and cut by columns instead of bytes. */
#ifndef ACTIVITYD_CLIENT_CTL_TEXT_H
#define ACTIVITYD_CLIENT_CTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum { TEXT_ROOM = 4096, TEXT_CHARACTER_ROOM = 24 };

/* Takes the locale of the environment; once, before anything is printed. */
void text_locale(void);

/* Takes one character from *at (not at its end) and moves *at behind it: what to print of it,
 * terminated, and how many columns that takes. Control characters and what is no UTF-8 are escaped:
 * foreign text cannot steer the terminal, although the service refuses such at its border. */
unsigned text_character(const char **at, char to[TEXT_CHARACTER_ROOM]);

/* One line under construction, never wider than `most` columns. */
struct text {
    char bytes[TEXT_ROOM]; /* terminated */
    size_t length;
    unsigned columns;
    unsigned most;
    bool colour; /* whether text_colour() has an effect */
    bool full;   /* something did not fit: nothing more is added */
};

void text_init(struct text *text, unsigned most, bool colour);
/* Adds foreign text. What does not fit is left out, and nothing is added after that. */
void text_foreign(struct text *text, const char *foreign);
/* Adds words of our own (ASCII). */
void text_words(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds spaces up to a column. */
void text_pad(struct text *text, unsigned column);
/* Foreign text in a field of a fixed width. */
void text_field(struct text *text, const char *foreign, unsigned width);
/* Switches a colour on ("\033[31m") or off (NULL); takes no columns. */
void text_colour(struct text *text, const char *colour);

#endif
