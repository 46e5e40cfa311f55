#include "proto/view.h"

#include <string.h>

struct view view_of(const char *text)
{
    return (struct view){(const uint8_t *)text, strlen(text)};
}

bool view_equal(struct view a, struct view b)
{
    /* memcmp must not see the NULL of an empty view, not even with length 0. */
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

static uint8_t small_letter(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

bool view_equal_any_case(struct view a, struct view b)
{
    size_t same = 0;
    while (same < a.length && same < b.length &&
           small_letter(a.bytes[same]) == small_letter(b.bytes[same])) {
        same++;
    }
    return same == a.length && same == b.length;
}

/* How many bytes at the front of `at` are printable ASCII, looked at eight at a time: nearly all
 * text is. */
static size_t ascii_length(const uint8_t *at, size_t length)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    size_t done = 0;
    for (; length - done >= 8; done += 8) {
        uint64_t word;
        memcpy(&word, at + done, 8);
        /* Adding 0x60 carries into a byte's top bit exactly when the byte is 0x20 or more. */
        uint64_t printable = (word & ~high) + UINT64_C(0x6060606060606060);
        if ((word & high) != 0 || (printable & high) != high) {
            break;
        }
    }
    while (done < length && at[done] >= 0x20 && at[done] < 0x80) {
        done++;
    }
    return done;
}

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The length of the character of two to four bytes at `at`, 0 if it is none. The ranges of the
 * second byte are those of RFC 3629, section 4: they exclude overlong forms, surrogates and what
 * lies above U+10FFFF. */
static size_t multibyte_length(const uint8_t *at, size_t length)
{
    uint8_t lead = at[0];
    size_t need = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4 || length < need) {
        return 0;
    }
    uint8_t second_min = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t second_max = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < second_min || at[1] > second_max) {
        return 0;
    }
    for (size_t i = 2; i < need; i++) {
        if (!is_continuation(at[i])) {
            return 0;
        }
    }
    return need;
}

bool view_is_text(struct view text)
{
    size_t done = 0;
    while (done < text.length) {
        done += ascii_length(text.bytes + done, text.length - done);
        if (done == text.length) {
            break;
        }
        const uint8_t *at = text.bytes + done;
        size_t length = multibyte_length(at, text.length - done);
        if (length == 0 || (at[0] == 0xc2 && at[1] < 0xa0)) { /* the latter: a C1 control */
            return false;
        }
        done += length;
    }
    return true;
}

static bool is_letter(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_further(uint8_t byte)
{
    return is_letter(byte) || (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' ||
           byte == '-';
}

size_t view_name_length(struct view text)
{
    size_t done = 0;
    while (done < text.length &&
           (done == 0 ? is_letter(text.bytes[done]) : is_further(text.bytes[done]))) {
        done++;
    }
    return done;
}

size_t view_utf8_length(struct view text)
{
    size_t done = 0;
    while (done < text.length) {
        uint64_t word;
        if (text.length - done >= sizeof word) {
            memcpy(&word, text.bytes + done, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                done += sizeof word;
                continue;
            }
        }
        size_t length =
            text.bytes[done] < 0x80 ? 1 : multibyte_length(text.bytes + done, text.length - done);
        if (length == 0) {
            break;
        }
        done += length;
    }
    return done;
}
