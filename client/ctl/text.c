#define _XOPEN_SOURCE 700 /* wcwidth */
#include "client/ctl/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum { COLOUR_ROOM = 8 }; /* kept free so that a colour can always be switched off */

static bool foreign_encoding; /* the terminal's is neither UTF-8 nor unknown */

void text_locale(void)
{
    (void)setlocale(LC_CTYPE, "");
    const char *codeset = nl_langinfo(CODESET);
    if (strcmp(codeset, "ANSI_X3.4-1968") == 0) {
        /* Nobody has chosen a locale (a container, cron): terminals are UTF-8 today. */
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    } else {
        foreign_encoding = strcmp(codeset, "UTF-8") != 0;
    }
}

/* The code point that begins at `from` and its length; length 0: no UTF-8. */
static uint32_t decode(const unsigned char *from, size_t *length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *length = from[0] < 0x80             ? 1
              : (from[0] & 0xE0) == 0xC0 ? 2
              : (from[0] & 0xF0) == 0xE0 ? 3
              : (from[0] & 0xF8) == 0xF0 ? 4
                                         : 0;
    if (*length <= 1) {
        return from[0];
    }
    uint32_t point = from[0] & (0x7Fu >> *length);
    for (size_t i = 1; i < *length; i++) {
        if ((from[i] & 0xC0) != 0x80) {
            *length = 0;
            return from[0];
        }
        point = point << 6 | (from[i] & 0x3Fu);
    }
    if (point < least[*length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
        *length = 0;
    }
    return point;
}

/* Characters without a picture of their own that change how their neighbours are shown: the order
 * of writing above all, which would let a title rearrange the rest of its line. */
static bool steers(uint32_t point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0) ||
           (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0x2028 || point == 0x2029;
}

unsigned text_character(const char **at, char to[TEXT_CHARACTER_ROOM])
{
    const unsigned char *from = (const unsigned char *)*at;
    size_t length;
    uint32_t point = decode(from, &length);
    *at += length == 0 ? 1 : length;
    if (length == 0) {
        return (unsigned)snprintf(to, TEXT_CHARACTER_ROOM, "\\x%02x", from[0]);
    }
    if (steers(point)) {
        return (unsigned)snprintf(to, TEXT_CHARACTER_ROOM, point < 0x100 ? "\\x%02x" : "\\u%04x",
                                  point);
    }
    int columns = wcwidth((wchar_t)point);
    if (foreign_encoding && point >= 0x80) {
        mbstate_t state = {0};
        size_t size = wcrtomb(to, (wchar_t)point, &state);
        if (size == (size_t)-1 || columns < 0) {
            to[0] = '?';
            size = 1;
            columns = 1;
        }
        to[size] = '\0';
        return (unsigned)columns;
    }
    memcpy(to, from, length);
    to[length] = '\0';
    return columns < 0 ? 1 : (unsigned)columns;
}

void text_init(struct text *text, unsigned most, bool colour)
{
    text->bytes[0] = '\0';
    text->length = 0;
    text->columns = 0;
    text->most = most;
    text->colour = colour;
    text->full = false;
}

static void add(struct text *text, const char *bytes, unsigned columns)
{
    size_t length = strlen(bytes);
    if (text->full || text->columns + columns > text->most ||
        text->length + length + COLOUR_ROOM >= sizeof text->bytes) {
        text->full = true;
        return;
    }
    memcpy(text->bytes + text->length, bytes, length + 1);
    text->length += length;
    text->columns += columns;
}

void text_foreign(struct text *text, const char *foreign)
{
    char character[TEXT_CHARACTER_ROOM];
    while (*foreign != '\0' && !text->full) {
        unsigned columns = text_character(&foreign, character);
        add(text, character, columns);
    }
}

void text_words(struct text *text, const char *format, ...)
{
    char words[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    text_foreign(text, words);
}

void text_pad(struct text *text, unsigned column)
{
    while (text->columns < column && !text->full) {
        add(text, " ", 1);
    }
}

void text_field(struct text *text, const char *foreign, unsigned width)
{
    char character[TEXT_CHARACTER_ROOM];
    unsigned end = text->columns + width;
    while (*foreign != '\0' && !text->full) {
        unsigned columns = text_character(&foreign, character);
        if (text->columns + columns > end) {
            break;
        }
        add(text, character, columns);
    }
    text_pad(text, end);
}

void text_colour(struct text *text, const char *colour)
{
    const char *code = colour == NULL ? "\033[0m" : colour;
    size_t length = strlen(code);
    /* A colour that was switched on is switched off even in a line that is full. */
    if (text->colour &&
        text->length + length + (colour == NULL ? 0 : COLOUR_ROOM) < sizeof text->bytes) {
        memcpy(text->bytes + text->length, code, length + 1);
        text->length += length;
    }
}
