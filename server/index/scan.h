/* Reads JSON from the front, value by value, without memory of its own: what the index answers may
 * be megabytes of which a few numbers are wanted. Total: any bytes give values or `failed`, which
 * stays; what is read after it is empty. Nesting is skipped by counting, never by recursion.
 *
 * Names and strings are given as they stand between their quotes; scan_text undoes the escapes. */
#ifndef ACTIVITYD_SERVER_INDEX_SCAN_H
#define ACTIVITYD_SERVER_INDEX_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"

#define SCAN_DEPTH_MAX 64u

struct scan {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

enum scan_kind {
    SCAN_NOTHING, /* the end, or no JSON */
    SCAN_OBJECT,
    SCAN_ARRAY,
    SCAN_STRING,
    SCAN_NUMBER,
    SCAN_WORD /* true, false, null */
};

struct scan scan_of(const void *at, size_t length);

/* What comes next. Reads only blanks. */
enum scan_kind scan_peek(struct scan *scan);

/* Enters an object or array. False, and failed: another value comes. */
bool scan_enter_object(struct scan *scan);
bool scan_enter_array(struct scan *scan);

/* The next name of an object: its value has to be read or skipped before the next call. *count
 * begins at 0. False at the object's end, which is read, or when it has failed. */
bool scan_name(struct scan *scan, uint32_t *count, struct bytes *name);
/* The same for the values of an array. */
bool scan_value(struct scan *scan, uint32_t *count);

struct bytes scan_string(struct scan *scan); /* failed: another value comes */
bool scan_true(struct scan *scan);           /* true; false for the other words */
/* An integer from 0 to 2^64-1. False: another value comes, which is skipped. */
bool scan_u64(struct scan *scan, uint64_t *number);
void scan_skip(struct scan *scan); /* any value */

/* Nothing but blanks may be left. True: the whole was JSON, as far as it was looked at. */
bool scan_is_over(struct scan *scan);

static inline bool scan_is(struct bytes name, const char *text)
{
    size_t length = strlen(text);
    return name.length == length && memcmp(name.at, text, length) == 0;
}

/* Undoes the escapes and makes it text for people: control characters become blanks, what is no
 * UTF-8 '?', and what does not fit is cut between characters. Terminates; returns the length. */
size_t scan_text(struct bytes raw, char *to, size_t size);

#endif
