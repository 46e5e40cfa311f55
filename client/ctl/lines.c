#define _GNU_SOURCE /* getline */
#include "client/ctl/lines.h"

#include <stdlib.h>
#include <string.h>

int lines_next(struct lines *lines, json_t **object)
{
    for (ssize_t length; (length = getline(&lines->line, &lines->room, lines->file)) >= 0;) {
        lines->number++;
        if (strspn(lines->line, " \t\r\n") == (size_t)length) {
            continue;
        }
        json_error_t error;
        *object = json_loadb(lines->line, (size_t)length, JSON_REJECT_DUPLICATES, &error);
        if (*object == NULL) {
            (void)fprintf(stderr, "activityctl: line %llu: %s\n", (unsigned long long)lines->number,
                          error.text);
            return -1;
        }
        if (!json_is_object(*object)) {
            json_decref(*object);
            (void)fprintf(stderr, "activityctl: line %llu: not a JSON object\n",
                          (unsigned long long)lines->number);
            return -1;
        }
        return 1;
    }
    if (ferror(lines->file) != 0) {
        (void)fprintf(stderr, "activityctl: reading failed after line %llu\n",
                      (unsigned long long)lines->number);
        return -1;
    }
    return 0;
}

void lines_deinit(struct lines *lines)
{
    free(lines->line);
    lines->line = NULL;
}

int lines_refuse(const struct lines *lines, const char *member, const char *rule)
{
    (void)fprintf(stderr, "activityctl: line %llu: \"%s\": %s\n", (unsigned long long)lines->number,
                  member, rule);
    return -1;
}
