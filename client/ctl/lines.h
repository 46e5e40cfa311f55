/* NDJSON: one JSON object per line, from stdin. */
#ifndef ACTIVITYD_CLIENT_CTL_LINES_H
#define ACTIVITYD_CLIENT_CTL_LINES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct lines {
    FILE *file;
    char *line;
    size_t room;
    uint64_t number; /* of the last line read, from 1 */
};

/* 1: *object is the next line's object (a new reference); 0: the end; -1 after saying on stderr
 * which line is wrong and why. Empty lines are passed over. */
int lines_next(struct lines *lines, json_t **object);
void lines_deinit(struct lines *lines);

/* Says on stderr that a member of the last line breaks a rule. Returns -1. */
int lines_refuse(const struct lines *lines, const char *member, const char *rule);

#endif
