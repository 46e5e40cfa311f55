#include "server/index/credentials.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int fault(const char *file, const char *what, char *error, size_t error_size)
{
    (void)snprintf(error, error_size, "%s %s", file, what);
    return -1;
}

static int read_line(const char *file, char line[CREDENTIALS_LINE_MAX + 2], char *error,
                     size_t error_size)
{
    FILE *from = fopen(file, "re");
    if (from == NULL) {
        (void)snprintf(error, error_size, "cannot read %s: %s", file, strerror(errno));
        return -1;
    }
    size_t length = fread(line, 1, CREDENTIALS_LINE_MAX + 1, from);
    (void)fclose(from);
    line[length] = '\0';
    size_t end = strcspn(line, "\r\n");
    if (end == 0 || end > CREDENTIALS_LINE_MAX) {
        return fault(file, "has no first line, or one that is too long", error, error_size);
    }
    for (size_t i = 0; i < end; i++) {
        if ((uint8_t)line[i] < 0x20 || line[i] == 0x7f) {
            return fault(file, "has control characters in its first line", error, error_size);
        }
    }
    line[end] = '\0';
    return 0;
}

static void put_base64(const char *from, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t left = strlen(from);
    const uint8_t *at = (const uint8_t *)from;
    for (; left > 0; left -= left < 3 ? left : 3, at += 3) {
        uint32_t group = (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0) |
                         (left > 2 ? (uint32_t)at[2] : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[group & 63] : '=';
    }
    *to = '\0';
}

int credentials_read(const char *basic_file, const char *api_key_file,
                     char header[CREDENTIALS_HEADER_MAX], char *error, size_t error_size)
{
    char line[CREDENTIALS_LINE_MAX + 2];
    char encoded[(CREDENTIALS_LINE_MAX + 2) / 3 * 4 + 1];
    bool basic = basic_file != NULL;
    if (read_line(basic ? basic_file : api_key_file, line, error, error_size) != 0) {
        return -1;
    }
    const char *colon = strchr(line, ':');
    if (basic && (colon == NULL || colon == line)) {
        return fault(basic_file, "does not begin with user:password", error, error_size);
    }
    if (colon != NULL) {
        put_base64(line, encoded);
    }
    (void)snprintf(header, CREDENTIALS_HEADER_MAX, "Authorization: %s %s",
                   basic ? "Basic" : "ApiKey", colon != NULL ? encoded : line);
    return 0;
}
