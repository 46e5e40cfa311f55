/* Names out of extensions, byte by byte: what is DER and what is not, which of it is a name, and
 * that nothing is read outside of the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/tls/san.h"
#include "tests/unit/proto/chance.h"

/* A text with NULs as a view. */
#define BYTES(text) ((struct view){(const uint8_t *)(text), sizeof(text) - 1})

/* An extension's OID and the head of its value of one octet's length. */
#define SAN_OID      "\x06\x03\x55\x1d\x11"
#define USAGE        "\x30\x0b\x06\x03\x55\x1d\x0f\x04\x04\x03\x02\x07\x80"
#define USAGE_LENGTH 13
#define URI_NAME     "\x86\x0cspiffe://a/b"

static enum tls_san_outcome find(struct view extensions, struct view *names)
{
    static uint8_t kept[1024];
    struct view copy = copy_of(extensions.bytes, extensions.length);
    const struct view untouched = {(const uint8_t *)"?", 1};
    struct view found = untouched;
    enum tls_san_outcome outcome = tls_san_find(copy, &found);
    if (outcome == TLS_SAN_READ) {
        assert_true(found.bytes > copy.bytes);
        assert_int_equal(found.bytes + found.length <= copy.bytes + copy.length, true);
        assert_in_range(found.length, 1, sizeof kept);
        memcpy(kept, found.bytes, found.length);
        *names = (struct view){kept, found.length};
    } else {
        assert_memory_equal(&found, &untouched, sizeof found);
    }
    free((void *)(uintptr_t)copy.bytes);
    return outcome;
}

static void assert_found(struct view extensions, struct view expected)
{
    struct view names;
    assert_int_equal(find(extensions, &names), TLS_SAN_READ);
    assert_true(view_equal(names, expected));
}

static void where_names_are(void **state)
{
    (void)state;
    struct view names;
    assert_int_equal(tls_san_find((struct view){NULL, 0}, &names), TLS_SAN_END);
    assert_int_equal(find(BYTES("\x30\x00"), &names), TLS_SAN_END);
    assert_int_equal(find(BYTES("\x30\x0d" USAGE), &names), TLS_SAN_END);
    assert_found(BYTES("\x30\x0e\x30\x0c" SAN_OID "\x04\x05\x30\x03\x82\x01x"), BYTES("\x82\x01x"));
    /* Critical, said or not; behind and before another one. */
    assert_found(BYTES("\x30\x11\x30\x0f" SAN_OID "\x01\x01\xff\x04\x05\x30\x03\x82\x01x"),
                 BYTES("\x82\x01x"));
    assert_found(BYTES("\x30\x1b" USAGE "\x30\x0c" SAN_OID "\x04\x05\x30\x03\x82\x01x"),
                 BYTES("\x82\x01x"));
    assert_found(BYTES("\x30\x1b\x30\x0c" SAN_OID "\x04\x05\x30\x03\x82\x01x" USAGE),
                 BYTES("\x82\x01x"));
    /* The issuer's names are another extension. */
    assert_int_equal(
        find(BYTES("\x30\x0e\x30\x0c\x06\x03\x55\x1d\x12\x04\x05\x30\x03\x82\x01x"), &names),
        TLS_SAN_END);
    /* A longer and a shorter OID with the same beginning. */
    assert_int_equal(
        find(BYTES("\x30\x0f\x30\x0d\x06\x04\x55\x1d\x11\x01\x04\x05\x30\x03\x82\x01x"), &names),
        TLS_SAN_END);
    assert_int_equal(
        find(BYTES("\x30\x0d\x30\x0b\x06\x02\x55\x1d\x04\x05\x30\x03\x82\x01x"), &names),
        TLS_SAN_END);
}

static void malformed_extensions(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct view bytes;
    } rows[] = {
        {"no sequence", BYTES("\x31\x00")},
        {"a byte", BYTES("\x30")},
        {"more behind it", BYTES("\x30\x00\x00")},
        {"short", BYTES("\x30\x0e" USAGE)},
        {"long", BYTES("\x30\x0c" USAGE)},
        {"indefinite length", BYTES("\x30\x80\x00\x00")},
        {"length in two octets where one does", BYTES("\x30\x81\x0d" USAGE)},
        {"length with a zero in front", BYTES("\x30\x82\x00\x0d" USAGE)},
        {"length of 4 GiB", BYTES("\x30\x84\xff\xff\xff\xff" USAGE)},
        {"length of five octets", BYTES("\x30\x85\x01\x00\x00\x00\x00" USAGE)},
        {"reserved length", BYTES("\x30\xff" USAGE)},
        {"cut length", BYTES("\x30\x82\x01")},
        {"extension is no sequence", BYTES("\x30\x02\x04\x00")},
        {"empty extension", BYTES("\x30\x02\x30\x00")},
        {"no OID", BYTES("\x30\x04\x30\x02\x04\x00")},
        {"nothing but an OID", BYTES("\x30\x07\x30\x05" SAN_OID)},
        {"no value", BYTES("\x30\x0a\x30\x08" SAN_OID "\x01\x01\xff")},
        {"value is no octet string", BYTES("\x30\x0c\x30\x0a" SAN_OID "\x03\x03\x30\x01\x00")},
        {"two criticals",
         BYTES("\x30\x14\x30\x12" SAN_OID "\x01\x01\xff\x01\x01\xff\x04\x05\x30\x03\x82\x01x")},
        {"critical without a value",
         BYTES("\x30\x10\x30\x0e" SAN_OID "\x01\x00\x04\x05\x30\x03\x82\x01x")},
        {"critical of two bytes",
         BYTES("\x30\x12\x30\x10" SAN_OID "\x01\x02\xff\xff\x04\x05\x30\x03\x82\x01x")},
        {"something behind the value",
         BYTES("\x30\x10\x30\x0e" SAN_OID "\x04\x05\x30\x03\x82\x01x\x05\x00")},
        {"empty value", BYTES("\x30\x09\x30\x07" SAN_OID "\x04\x00")},
        {"no names", BYTES("\x30\x0b\x30\x09" SAN_OID "\x04\x02\x30\x00")},
        {"names are a set", BYTES("\x30\x0e\x30\x0c" SAN_OID "\x04\x05\x31\x03\x82\x01x")},
        {"something behind the names",
         BYTES("\x30\x10\x30\x0e" SAN_OID "\x04\x07\x30\x03\x82\x01x\x05\x00")},
        {"names end too late", BYTES("\x30\x0e\x30\x0c" SAN_OID "\x04\x05\x30\x04\x82\x01x")},
        {"twice the same", BYTES("\x30\x1c\x30\x0c" SAN_OID "\x04\x05\x30\x03\x82\x01x"
                                 "\x30\x0c" SAN_OID "\x04\x05\x30\x03\x82\x01x")},
        {"a second one without names", BYTES("\x30\x19\x30\x0c" SAN_OID "\x04\x05\x30\x03\x82\x01x"
                                             "\x30\x09" SAN_OID "\x04\x02\x30\x00")},
        {"a tag of two octets", BYTES("\x30\x04\x1f\x81\x01\x00")},
        {"something malformed behind the names",
         BYTES("\x30\x10\x30\x0c" SAN_OID "\x04\x05\x30\x03\x82\x01x\x30\x01")},
    };
    struct view names;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (find(rows[i].bytes, &names) != TLS_SAN_MALFORMED) {
            fail_msg("not malformed: %s", rows[i].what);
        }
    }
}

static enum tls_san_outcome next(struct view bytes, struct tls_san *san, size_t *taken)
{
    static uint8_t kept[1024];
    struct view copy = copy_of(bytes.bytes, bytes.length);
    struct view rest = copy;
    enum tls_san_outcome outcome = tls_san_next(&rest, san);
    *taken = bytes.length - rest.length;
    if (outcome == TLS_SAN_READ) {
        assert_ptr_equal(rest.bytes, copy.bytes + *taken);
        assert_true(san->value.bytes + san->value.length == rest.bytes);
        memcpy(kept, san->value.bytes, san->value.length);
        san->value.bytes = kept;
    }
    free((void *)(uintptr_t)copy.bytes);
    return outcome;
}

static void good_names(void **state)
{
    (void)state;
    static const struct {
        struct view bytes;
        enum tls_san_kind kind;
        struct view value;
    } rows[] = {
        {BYTES("\x82\x09localhost"), TLS_SAN_DNS, BYTES("localhost")},
        {BYTES("\x82\x01*"), TLS_SAN_DNS, BYTES("*")},
        {BYTES("\x82\x0cspiffe://a/b"), TLS_SAN_DNS, BYTES("spiffe://a/b")},
        {BYTES(URI_NAME), TLS_SAN_URI, BYTES("spiffe://a/b")},
        {BYTES("\x86\x02!~"), TLS_SAN_URI, BYTES("!~")},
        {BYTES("\x87\x04\x7f\x00\x00\x01"), TLS_SAN_IP, BYTES("\x7f\x00\x00\x01")},
        {BYTES("\x87\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
         TLS_SAN_IP, BYTES("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")},
        {BYTES("\x81\x03x@y"), TLS_SAN_OTHER, BYTES("x@y")},
        {BYTES("\x81\x00"), TLS_SAN_OTHER, BYTES("")},
        {BYTES("\x88\x02\x2a\x03"), TLS_SAN_OTHER, BYTES("\x2a\x03")},
        {BYTES("\xa0\x03\x06\x01\x2a"), TLS_SAN_OTHER, BYTES("\x06\x01\x2a")},
        {BYTES("\xa3\x00"), TLS_SAN_OTHER, BYTES("")},
        {BYTES("\xa4\x02\x30\x00"), TLS_SAN_OTHER, BYTES("\x30\x00")},
        {BYTES("\xa5\x00"), TLS_SAN_OTHER, BYTES("")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_san san;
        size_t taken = 0;
        if (next(rows[i].bytes, &san, &taken) != TLS_SAN_READ) {
            fail_msg("row %zu is refused", i);
        }
        assert_int_equal(taken, rows[i].bytes.length);
        assert_int_equal(san.kind, rows[i].kind);
        assert_true(view_equal(san.value, rows[i].value));
    }
}

static void malformed_names(void **state)
{
    (void)state;
    static const struct view rows[] = {
        BYTES("\x82"),
        BYTES("\x82\x00"),
        BYTES("\x82\x02x"),
        BYTES("\x82\x03x\x00y"),
        BYTES("\x82\x03x y"),
        BYTES("\x82\x02x\x7f"),
        BYTES("\x82\x02\xc3\xa4"),
        BYTES("\x82\x80"),
        BYTES("\x82\x81\x01x"),
        BYTES("\x86\x00"),
        BYTES("\x86\x0fspiffe://a/b\x00.c"),
        BYTES("\x86\x0dspiffe://a/b\x00"),
        BYTES("\x86\x0d\x00spiffe://a/b"),
        BYTES("\x86\x0dspiffe://a/b\n"),
        BYTES("\x86\x0dspiffe://a/b\x80"),
        BYTES("\x87\x00"),
        BYTES("\x87\x03\x7f\x00\x00"),
        BYTES("\x87\x05\x7f\x00\x00\x01\x00"),
        BYTES("\x87\x08\x7f\x00\x00\x01\xff\xff\xff\xff"), /* a name constraint's, with its mask */
        /* Of another class, another form or no kind at all. */
        BYTES("\x16\x01x"),
        BYTES("\x02\x01x"),
        BYTES("\x42\x01x"),
        BYTES("\xc2\x01x"),
        BYTES("\xa2\x01x"),
        BYTES("\xa6\x0cspiffe://a/b"),
        BYTES("\xa7\x04\x7f\x00\x00\x01"),
        BYTES("\xa1\x03x@y"),
        BYTES("\x80\x03\x06\x01\x2a"),
        BYTES("\x84\x00"),
        BYTES("\x89\x01x"),
        BYTES("\x9e\x01x"),
        BYTES("\x9f\x06\x01x"),
        BYTES("\x00\x00"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_san san;
        size_t taken = 0;
        if (next(rows[i], &san, &taken) != TLS_SAN_MALFORMED) {
            fail_msg("row %zu is taken", i);
        }
    }
}

static size_t write_name(uint8_t *to, uint8_t tag, size_t length)
{
    to[0] = tag;
    to[1] = 0x82;
    to[2] = (uint8_t)(length >> 8);
    to[3] = (uint8_t)length;
    memset(to + 4, 'x', length);
    return 4 + length;
}

static void long_names(void **state)
{
    (void)state;
    uint8_t bytes[600];
    struct tls_san san;
    size_t taken = 0;
    uint8_t most[3 + 253] = {0x82, 0x81, 253};
    memset(most + 3, 'x', 253);
    assert_int_equal(next((struct view){most, sizeof most}, &san, &taken), TLS_SAN_READ);
    assert_int_equal(san.value.length, 253);
    uint8_t more[3 + 254] = {0x82, 0x81, 254};
    memset(more + 3, 'x', 254);
    assert_int_equal(next((struct view){more, sizeof more}, &san, &taken), TLS_SAN_MALFORMED);
    size_t length = write_name(bytes, 0x82, 500);
    assert_int_equal(next((struct view){bytes, length}, &san, &taken), TLS_SAN_MALFORMED);
    /* A zero in front of the length. */
    length = write_name(bytes, 0x86, 200);
    assert_int_equal(next((struct view){bytes, length}, &san, &taken), TLS_SAN_MALFORMED);
    /* How long an ID may be is not asked here. */
    length = write_name(bytes, 0x86, 500);
    assert_int_equal(next((struct view){bytes, length}, &san, &taken), TLS_SAN_READ);
    assert_int_equal(san.value.length, 500);
}

static void several_names(void **state)
{
    (void)state;
    struct view names = BYTES("\x82\x01x" URI_NAME "\x81\x00" URI_NAME "\x87\x00");
    static const enum tls_san_kind kinds[] = {TLS_SAN_DNS, TLS_SAN_URI, TLS_SAN_OTHER, TLS_SAN_URI};
    struct tls_san san;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(tls_san_next(&names, &san), TLS_SAN_READ);
        assert_int_equal(san.kind, kinds[i]);
    }
    assert_int_equal(tls_san_next(&names, &san), TLS_SAN_MALFORMED);
    names = (struct view){NULL, 0};
    assert_int_equal(tls_san_next(&names, &san), TLS_SAN_END);
}

/* Every cut and every changed byte of good extensions: an answer, and no read outside. */
static void damaged(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct view names;
    const struct view base =
        BYTES("\x30\x2b" USAGE "\x30\x1c" SAN_OID "\x01\x01\xff\x04\x12\x30\x10\x81\x00" URI_NAME);
    assert_int_equal(find(base, &names), TLS_SAN_READ);
    assert_int_equal(names.length, 16);
    for (size_t cut = 0; cut < base.length; cut++) {
        assert_int_equal(find((struct view){base.bytes, cut}, &names),
                         cut == 0 ? TLS_SAN_END : TLS_SAN_MALFORMED);
    }
    unsigned outcomes[3] = {0};
    for (size_t at = 0; at < base.length; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            struct tls_san san;
            size_t taken = 0;
            memcpy(bytes, base.bytes, base.length);
            bytes[at] = (uint8_t)byte;
            enum tls_san_outcome outcome = find((struct view){bytes, base.length}, &names);
            while (outcome == TLS_SAN_READ && (outcome = next(names, &san, &taken)) == 0) {
                names = (struct view){names.bytes + taken, names.length - taken};
            }
            outcomes[outcome]++;
        }
    }
    assert_int_equal(outcomes[TLS_SAN_READ], 0);
    assert_int_equal(outcomes[TLS_SAN_END] + outcomes[TLS_SAN_MALFORMED], 256 * base.length);
    /* Visible bytes of the URI, of the other extension and of the OID may be others. */
    assert_in_range(outcomes[TLS_SAN_END], 12 * 94, 20 * 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_names_are), cmocka_unit_test(malformed_extensions),
        cmocka_unit_test(good_names),      cmocka_unit_test(malformed_names),
        cmocka_unit_test(long_names),      cmocka_unit_test(several_names),
        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
