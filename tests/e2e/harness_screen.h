/* A terminal for programs that draw: a pseudo terminal with just enough of a screen to see what a
 * person would see. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_SCREEN_H
#define ACTIVITYD_TESTS_E2E_HARNESS_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { SCREEN_ROWS = 64, SCREEN_COLUMNS = 200 };

struct screen {
    int terminal; /* the master side */
    pid_t pid;    /* what runs on it */
    unsigned rows, columns;
    char cells[SCREEN_ROWS][SCREEN_COLUMNS + 1]; /* ASCII; others show as '?' */
    unsigned row, column;
    bool wraps;          /* lines that are too wide go on in the next one */
    bool at_rest;        /* not within an escape sequence */
    char escape[32];     /* the one that has begun */
    unsigned scrolled;   /* lines that have left at the top */
    uint64_t printed_ms; /* when something came last, by now_ms() */
    char unknown[32];    /* an escape sequence that this terminal does not know; "" */
};

/* Runs a program (argv ends with NULL) on a terminal of that size. */
void screen_open(struct screen *screen, unsigned rows, unsigned columns, char *const *argv);
/* Takes what is printed until a text is on the screen; false if that is not within so many ms. */
bool screen_watch(struct screen *screen, const char *text, uint32_t milliseconds);
/* Takes what is printed until nothing has been for so many ms. */
void screen_settle(struct screen *screen, uint32_t milliseconds);
/* How many rows have a text in them. */
unsigned screen_count(const struct screen *screen, const char *text);
/* Types, as a person: "\003" is Ctrl-C. */
void screen_type(struct screen *screen, const char *keys);
void screen_resize(struct screen *screen, unsigned rows, unsigned columns);
/* Takes what is printed until the program ends (30 s): its exit status, or 128 + the signal. */
int screen_close(struct screen *screen);

#endif
