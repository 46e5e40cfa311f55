#include "server/wire/rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
#include "server/wire/token.h"

static void write_path(char *to, size_t size, struct place place)
{
    char member[32] = "";
    if (place.member != NOT_REPEATED) {
        (void)snprintf(member, sizeof member, "[%zu]", place.member);
    }
    const char *field = place.field != NULL ? place.field : "";
    if (place.list == NULL) {
        (void)snprintf(to, size, "%s%s", field, member);
    } else {
        (void)snprintf(to, size, "%s[%zu]%s%s%s", place.list, place.index,
                       field[0] != '\0' ? "." : "", field, member);
    }
}

int rule_refuse(struct request_error *error, struct place place, const char *format, ...)
{
    error->reason = REASON_BAD_FIELD;
    write_path(error->field, sizeof error->field, place);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->rule, sizeof error->rule, format, arguments);
    va_end(arguments);
    return 1;
}

/* What stands at a position, as something that can be shown: the text itself may hold anything. */
struct found {
    char text[16];
};

static struct found found_at(struct view text, size_t position)
{
    struct found found;
    uint8_t byte = text.bytes[position];
    bool shown = byte > 0x20 && byte < 0x7f;
    (void)snprintf(found.text, sizeof found.text, shown ? "'%c'" : "byte 0x%02x", byte);
    return found;
}

/* The first byte that belongs to no allowed character. */
static size_t first_bad_byte(struct view text)
{
    size_t at = 0;
    while (at < text.length) {
        size_t length = 1;
        while (length <= 4 && length <= text.length - at &&
               !view_is_text((struct view){text.bytes + at, length})) {
            length++;
        }
        if (length > 4 || length > text.length - at) {
            break;
        }
        at += length;
    }
    return at;
}

static int check_length(struct request_error *error, struct place place, size_t length,
                        size_t least, size_t most)
{
    if (length < least) {
        return rule_refuse(error, place, "is required, 1 to %zu bytes, found none; give it", most);
    }
    if (length > most) {
        return rule_refuse(error, place, "must be at most %zu bytes, found %zu; shorten it", most,
                           length);
    }
    return 0;
}

int rule_text(struct request_error *error, struct place place, struct view text, size_t least,
              size_t most)
{
    if (check_length(error, place, text.length, least, most) != 0) {
        return 1;
    }
    if (!view_is_text(text)) {
        size_t at = first_bad_byte(text);
        return rule_refuse(error, place,
                           "must be UTF-8 without control characters, found %s at position %zu; "
                           "remove or encode it",
                           at < text.length ? found_at(text, at).text : "a cut character", at);
    }
    return 0;
}

int rule_name(struct request_error *error, struct place place, struct view text, size_t most)
{
    if (check_length(error, place, text.length, 1, most) != 0) {
        return 1;
    }
    size_t good = view_name_length(text);
    if (good < text.length) {
        return rule_refuse(error, place,
                           "must match [a-zA-Z][a-zA-Z0-9._-]{0,%zu}, found %s at position %zu; "
                           "choose another name",
                           most - 1, found_at(text, good).text, good);
    }
    return 0;
}

int rule_request_id(struct request_error *error, struct view id)
{
    static const uint8_t zero[LIMIT_REQUEST_ID_LENGTH];
    struct place place = place_of("request_id");
    if (id.length != LIMIT_REQUEST_ID_LENGTH) {
        return rule_refuse(error, place,
                           "must be %d bytes, found %zu; make 16 random bytes once per request and "
                           "repeat them with each retry",
                           LIMIT_REQUEST_ID_LENGTH, id.length);
    }
    if (memcmp(id.bytes, zero, sizeof zero) == 0) {
        return rule_refuse(error, place,
                           "must not be all zero, found 16 zero bytes; make 16 random bytes once "
                           "per request and repeat them with each retry");
    }
    return 0;
}

int rule_job_id(struct request_error *error, uint64_t job_id)
{
    if (job_id == 0) {
        return rule_refuse(error, place_of("job_id"),
                           "is required, found none; give the job_id that CreateActivity replied");
    }
    return 0;
}

int rule_park_id(struct request_error *error, uint64_t park_id)
{
    if (park_id == 0) {
        return rule_refuse(error, place_of("park_id"),
                           "is required, found none; give one that ListParkedDocuments shows");
    }
    return 0;
}

int rule_percent(struct request_error *error, uint64_t percent)
{
    if (percent > LIMIT_PERCENT_MAX) {
        return rule_refuse(error, place_of("percent"),
                           "must be 0 to %d, found %llu; send a share of one hundred",
                           LIMIT_PERCENT_MAX, (unsigned long long)percent);
    }
    return 0;
}

int rule_count(struct request_error *error, const char *field, size_t count, size_t most)
{
    if (count > most) {
        return rule_refuse(error, place_of(field),
                           "must be at most %zu, found %zu; ask several times", most, count);
    }
    return 0;
}

int rule_page_size(struct request_error *error, uint32_t given, uint32_t most, uint32_t *page_size)
{
    if (given > most) {
        return rule_refuse(error, place_of("page_size"),
                           "must be 1 to %u, or 0 for %u, found %u; ask for more pages", most, most,
                           given);
    }
    *page_size = given == 0 ? most : given;
    return 0;
}

int rule_page_token(struct request_error *error, struct view token, uint64_t hash,
                    struct query_place *from)
{
    *from = (struct query_place){0, 0};
    if (token.length == 0) {
        return 0;
    }
    switch (token_decode(token, hash, from)) {
    case TOKEN_OK:
        return 0;
    case TOKEN_OTHER_FILTERS:
        return rule_refuse(error, place_of("page_token"),
                           "must come with the filters of the page that gave it, found others; "
                           "repeat them, or begin without a token");
    default:
        return rule_refuse(error, place_of("page_token"),
                           "must be the next_page_token of a page, found %zu other bytes; begin "
                           "without a token",
                           token.length);
    }
}

int rule_wait_ms(struct request_error *error, uint32_t wait_ms)
{
    if (wait_ms > LIMIT_WAIT_MS) {
        return rule_refuse(error, place_of("wait_ms"),
                           "must be at most %d, found %u; ask again when the wait is over",
                           LIMIT_WAIT_MS, wait_ms);
    }
    return 0;
}
