#include "server/text_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *text_file_read(const char *path, size_t room, char *error, size_t error_size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)snprintf(error, error_size, "%s: %m", path);
        return NULL;
    }
    char *text = malloc(TEXT_FILE_MAX + 1 + room);
    size_t length = text != NULL ? fread(text, 1, TEXT_FILE_MAX, file) : 0;
    bool bad = text == NULL || ferror(file) || length == TEXT_FILE_MAX;
    if (bad) {
        (void)snprintf(error, error_size, "%s: cannot be read, or is above 1 MiB", path);
    } else if (memchr(text, '\0', length) != NULL) {
        (void)snprintf(error, error_size, "%s: is no text", path);
        bad = true;
    }
    (void)fclose(file);
    if (bad) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    char *fitting = realloc(text, length + 1 + room);
    return fitting != NULL ? fitting : text;
}

/* Behind the end of the quoted text that begins at `at`, or at the terminator. */
static char *skip_quoted(char *at)
{
    char quote = *at;
    for (at++; *at != '\0' && *at != quote; at++) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
        }
    }
    return *at != '\0' ? at + 1 : at;
}

/* Blanks up to `end`, line ends excepted. */
static char *blank(char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at != '\n') {
            *at = ' ';
        }
    }
    return at;
}

int text_file_blank_remarks(char *text)
{
    bool word_starts = true;
    for (char *at = text; *at != '\0';) {
        if (*at == '"' || *at == '\'') {
            at = skip_quoted(at);
            word_starts = true;
        } else if (*at == '#' || (word_starts && at[0] == '/' && at[1] == '/')) {
            at = blank(at, at + strcspn(at, "\n"));
        } else if (word_starts && at[0] == '/' && at[1] == '*') {
            const char *end = strstr(at + 2, "*/");
            if (end == NULL) {
                return -1;
            }
            at = blank(at, end + 2);
        } else {
            word_starts = strchr(" \t\r\n={}(),;", *at) != NULL;
            at++;
        }
    }
    return 0;
}
