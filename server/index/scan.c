#include "server/index/scan.h"

#include <string.h>

#include "server/check.h"

struct scan scan_of(const void *at, size_t length)
{
    const uint8_t *from = length == 0 ? (const uint8_t *)"" : at;
    return (struct scan){from, from + length, false};
}

static bool fail(struct scan *scan)
{
    scan->failed = true;
    scan->at = scan->end;
    return false;
}

/* The next byte that is no blank, 0 at the end: a NUL is nowhere allowed outside of strings. */
static uint8_t next(struct scan *scan)
{
    while (scan->at < scan->end) {
        uint8_t c = *scan->at;
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
            return c;
        }
        scan->at++;
    }
    return 0;
}

enum scan_kind scan_peek(struct scan *scan)
{
    uint8_t c = next(scan);
    switch (c) {
    case '{':
        return SCAN_OBJECT;
    case '[':
        return SCAN_ARRAY;
    case '"':
        return SCAN_STRING;
    case 't':
    case 'f':
    case 'n':
        return SCAN_WORD;
    default:
        return c == '-' || (c >= '0' && c <= '9') ? SCAN_NUMBER : SCAN_NOTHING;
    }
}

static bool take(struct scan *scan, uint8_t wanted)
{
    if (next(scan) != wanted || wanted == 0) {
        return fail(scan);
    }
    scan->at++;
    return true;
}

bool scan_enter_object(struct scan *scan)
{
    return take(scan, '{');
}

bool scan_enter_array(struct scan *scan)
{
    return take(scan, '[');
}

/* Whether there is one more: reads the comma before it, or the bracket at the end. */
static bool has_next(struct scan *scan, uint32_t *count, uint8_t closing)
{
    if (next(scan) == closing && !scan->failed) {
        scan->at++;
        return false;
    }
    if (*count > 0 && !take(scan, ',')) {
        return false;
    }
    if (*count == UINT32_MAX) {
        return fail(scan);
    }
    ++*count;
    return !scan->failed;
}

bool scan_name(struct scan *scan, uint32_t *count, struct bytes *name)
{
    if (!has_next(scan, count, '}')) {
        return false;
    }
    *name = scan_string(scan);
    return take(scan, ':');
}

bool scan_value(struct scan *scan, uint32_t *count)
{
    return has_next(scan, count, ']') && (scan_peek(scan) != SCAN_NOTHING || fail(scan));
}

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The length of the escape at `at`, 0 when it is none. */
static size_t escape_length(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2) {
        return 0;
    }
    if (at[1] != 'u') {
        return at[1] != 0 && strchr("\"\\/bfnrt", at[1]) != NULL ? 2 : 0;
    }
    for (size_t i = 2; i < 6; i++) {
        if (end - at < 6 || hex(at[i]) < 0) {
            return 0;
        }
    }
    return 6;
}

struct bytes scan_string(struct scan *scan)
{
    struct bytes none = {NULL, 0};
    if (!take(scan, '"')) {
        return none;
    }
    const uint8_t *from = scan->at;
    while (scan->at < scan->end && *scan->at != '"' && *scan->at >= 0x20) {
        size_t length = *scan->at == '\\' ? escape_length(scan->at, scan->end) : 1;
        if (length == 0) {
            break;
        }
        scan->at += length;
    }
    if (scan->at == scan->end || *scan->at != '"') {
        (void)fail(scan);
        return none;
    }
    return bytes_of(from, (size_t)(scan->at++ - from));
}

bool scan_true(struct scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    (void)next(scan);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(scan->end - scan->at) >= length && memcmp(scan->at, words[i], length) == 0) {
            scan->at += length;
            return i == 0;
        }
    }
    return fail(scan);
}

static size_t digits(struct scan *scan)
{
    const uint8_t *from = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        scan->at++;
    }
    return (size_t)(scan->at - from);
}

static bool at_one_of(const struct scan *scan, const char *bytes)
{
    return scan->at < scan->end && *scan->at != 0 && strchr(bytes, *scan->at) != NULL;
}

/* Any number. True when it is a natural one that fits. */
static bool number(struct scan *scan, uint64_t *value)
{
    bool natural = !at_one_of(scan, "-");
    scan->at += natural ? 0 : 1;
    const uint8_t *from = scan->at;
    size_t count = digits(scan);
    if (count == 0 || (count > 1 && *from == '0')) {
        return fail(scan);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        natural = natural && !__builtin_mul_overflow(sum, 10u, &sum) &&
                  !__builtin_add_overflow(sum, (uint64_t)(from[i] - '0'), &sum);
    }
    if (at_one_of(scan, ".")) {
        natural = false;
        scan->at++;
        if (digits(scan) == 0) {
            return fail(scan);
        }
    }
    if (at_one_of(scan, "eE")) {
        natural = false;
        scan->at++;
        scan->at += at_one_of(scan, "+-") ? 1 : 0;
        if (digits(scan) == 0) {
            return fail(scan);
        }
    }
    *value = natural ? sum : 0;
    return natural;
}

bool scan_u64(struct scan *scan, uint64_t *value)
{
    *value = 0;
    if (scan_peek(scan) != SCAN_NUMBER) {
        scan_skip(scan);
        return false;
    }
    return number(scan, value);
}

static void skip_scalar(struct scan *scan)
{
    uint64_t value;
    switch (scan_peek(scan)) {
    case SCAN_STRING:
        (void)scan_string(scan);
        return;
    case SCAN_NUMBER:
        (void)number(scan, &value);
        return;
    case SCAN_WORD:
        (void)scan_true(scan);
        return;
    default:
        (void)fail(scan);
    }
}

/* Each level has a count, and a bit that says whether it is an object. */
void scan_skip(struct scan *scan)
{
    uint32_t counts[SCAN_DEPTH_MAX];
    uint64_t objects = 0;
    uint32_t depth = 0;
    do {
        enum scan_kind kind = scan_peek(scan);
        if (kind == SCAN_OBJECT || kind == SCAN_ARRAY) {
            if (depth == SCAN_DEPTH_MAX) {
                (void)fail(scan);
                return;
            }
            scan->at++;
            objects = objects << 1 | (kind == SCAN_OBJECT ? 1u : 0u);
            counts[depth++] = 0;
        } else {
            skip_scalar(scan);
        }
        struct bytes name;
        while (depth > 0 && !(objects & 1 ? scan_name(scan, &counts[depth - 1], &name)
                                          : scan_value(scan, &counts[depth - 1]))) {
            depth--;
            objects >>= 1;
        }
    } while (depth > 0 && !scan->failed);
}

bool scan_is_over(struct scan *scan)
{
    return next(scan) == 0 && scan->at == scan->end && !scan->failed;
}

/* ---- Text for people ---- */

/* The code point at *at, which moves behind it; 0 for what is no UTF-8 (then by one byte). */
static uint32_t decode(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *from = *at;
    uint8_t c = *from;
    *at = from + 1;
    size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : 3;
    if (c < 0x80) {
        return c;
    }
    if (c < 0xc2 || c > 0xf4 || (size_t)(end - from) <= more) {
        return 0;
    }
    uint32_t code = c & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((from[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (from[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        return 0;
    }
    *at = from + more + 1;
    return code;
}

static uint32_t four_hex(const uint8_t *at)
{
    uint32_t code = 0;
    for (size_t i = 0; i < 4; i++) {
        code = code << 4 | (uint32_t)hex(at[i]);
    }
    return code;
}

static uint32_t unescape(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *from = *at;
    size_t length = escape_length(from, end);
    *at = from + (length == 0 ? 1 : length);
    if (length == 0) {
        return 0;
    }
    if (length == 2) {
        return strchr("\"\\/", from[1]) != NULL ? from[1] : ' '; /* the others are controls */
    }
    uint32_t code = four_hex(from + 2);
    if (code >= 0xd800 && code < 0xdc00 && escape_length(*at, end) == 6) {
        uint32_t low = four_hex(*at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            *at += 6;
            return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return code >= 0xd800 && code < 0xe000 ? 0 : code == 0 ? ' ' : code;
}

static size_t encode(uint32_t code, uint8_t to[4])
{
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = more; i > 0; i--) {
        to[i] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    to[0] = (uint8_t)(lead[more] | code);
    return more + 1;
}

size_t scan_text(struct bytes raw, char *to, size_t size)
{
    CHECK(size > 0);
    const uint8_t *at = raw.at;
    const uint8_t *end = raw.length == 0 ? at : at + raw.length;
    size_t length = 0;
    while (at != end) {
        uint32_t code = *at == '\\' ? unescape(&at, end) : decode(&at, end);
        if (code == 0) {
            code = '?';
        } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            code = ' ';
        }
        uint8_t encoded[4];
        size_t more = encode(code, encoded);
        if (length + more >= size) {
            break;
        }
        memcpy(to + length, encoded, more);
        length += more;
    }
    to[length] = '\0';
    return length;
}
