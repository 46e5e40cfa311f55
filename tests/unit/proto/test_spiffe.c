/* Which texts are SPIFFE IDs of workloads: the standard's rules one by one, and every byte in every
 * part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"
#include "proto/spiffe.h"
#include "tests/unit/proto/chance.h"

/* Reads an exact copy, so that a sanitizer sees a read outside. *id may point into it only. */
static bool reads(struct view text, struct spiffe_id *id)
{
    static uint8_t kept[4096];
    struct view copy = copy_of(text.bytes, text.length);
    bool good = spiffe_id_read(copy, id);
    if (good) {
        assert_ptr_equal(id->trust_domain.bytes, copy.bytes + 9);
        assert_ptr_equal(id->path.bytes, id->trust_domain.bytes + id->trust_domain.length);
        assert_int_equal(9 + id->trust_domain.length + id->path.length, copy.length);
        memcpy(kept, copy.bytes, copy.length);
        id->trust_domain.bytes = kept + 9;
        id->path.bytes = id->trust_domain.bytes + id->trust_domain.length;
    }
    free((void *)(uintptr_t)copy.bytes);
    return good;
}

static void good_ids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *trust_domain;
        const char *path;
    } rows[] = {
        {"spiffe://a/b", "a", "/b"},
        {"spiffe://example.org/service/cache", "example.org", "/service/cache"},
        {"spiffe://a-b_c.9/B/cC.-_9", "a-b_c.9", "/B/cC.-_9"},
        {"spiffe://127.0.0.1/x", "127.0.0.1", "/x"},
        {"spiffe://a/...", "a", "/..."},
        {"spiffe://a/.b/..c/d..", "a", "/.b/..c/d.."},
        {"spiffe://a/spiffe", "a", "/spiffe"},
        {"spiffe://-/-", "-", "/-"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct spiffe_id id;
        if (!reads(view_of(rows[i].text), &id)) {
            fail_msg("refused: %s", rows[i].text);
        }
        assert_true(view_equal(id.trust_domain, view_of(rows[i].trust_domain)));
        assert_true(view_equal(id.path, view_of(rows[i].path)));
    }
}

static void bad_ids(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "s",
        "spiffe",
        "spiffe:",
        "spiffe:/",
        "spiffe://",
        "spiffe:///",
        "spiffe:///a",
        "spiffe://a",
        "spiffe://a/",
        "spiffe://a//b",
        "spiffe://a/b/",
        "spiffe://a/b//",
        "spiffe://a/b//c",
        "spiffe://a/.",
        "spiffe://a/..",
        "spiffe://a/./b",
        "spiffe://a/../b",
        "spiffe://a/b/.",
        "spiffe://a/b/..",
        "SPIFFE://a/b",
        "Spiffe://a/b",
        "spiffe:/a/b",
        "spiffe:a/b",
        "spiffe:\\\\a/b",
        "spiffe//a/b",
        "http://a/b",
        "https://spiffe://a/b",
        " spiffe://a/b",
        "spiffe://a/b ",
        "spiffe:// a/b",
        "spiffe://A/b",
        "spiffe://exAmple.org/b",
        "spiffe://a:443/b",
        "spiffe://a:/b",
        "spiffe://user@a/b",
        "spiffe://user:word@a/b",
        "spiffe://[::1]/b",
        "spiffe://a/b?c",
        "spiffe://a/b?",
        "spiffe://a?b/c",
        "spiffe://a/b#c",
        "spiffe://a/b#",
        "spiffe://a/b%2fc",
        "spiffe://a%2e/b",
        "spiffe://a/b%00",
        "spiffe://a/b\\c",
        "spiffe://a/b;c=d",
        "spiffe://a/b,c",
        "spiffe://a/b+c",
        "spiffe://a/b~c",
        "spiffe://a/b:c",
        "spiffe://a/*",
        "spiffe://*/b",
        "spiffe://a/b\nc",
        "spiffe://a/b\x7f",
        "spiffe://\xc3\xa4/b",
        "spiffe://a/\xc3\xa4",
        "spiffe://a/b\xff",
    };
    const struct spiffe_id untouched = {{(const uint8_t *)"t", 1}, {(const uint8_t *)"p", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct spiffe_id id = untouched;
        if (reads(view_of(rows[i]), &id)) {
            fail_msg("taken: \"%s\"", rows[i]);
        }
        assert_memory_equal(&id, &untouched, sizeof id);
    }
    struct spiffe_id id;
    assert_false(spiffe_id_read((struct view){NULL, 0}, &id));
    assert_false(reads((struct view){(const uint8_t *)"spiffe://a/b\0c", 14}, &id));
    assert_false(reads((struct view){(const uint8_t *)"spiffe://a\0b/c", 14}, &id));
    assert_false(reads((struct view){(const uint8_t *)"spiffe://a/b\0", 13}, &id));
    assert_false(reads((struct view){(const uint8_t *)"spiffe\0//a/b", 12}, &id));
}

static const char small[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
static const char capital[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

static bool is_of(const char *set, int byte)
{
    return byte != 0 && strchr(set, byte) != NULL;
}

/* Each byte at the front, in the middle and at the end of the trust domain and of a segment. */
static void every_byte(void **state)
{
    (void)state;
    static const char pattern[] = "spiffe://xyz/uvw";
    struct spiffe_id id;
    unsigned good = 0;
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at + 1 < sizeof pattern; at++) {
            uint8_t text[sizeof pattern];
            memcpy(text, pattern, sizeof pattern);
            text[at] = (uint8_t)byte;
            bool expected = byte == pattern[at];
            if (at >= 9 && at < 12) {
                expected = is_of(small, byte) || (byte == '/' && (at == 10 || at == 11));
                expected = expected && !(byte == '/' && at == 11); /* "xy//uvw" */
            } else if (at >= 13) {
                expected = is_of(small, byte) || is_of(capital, byte) || (byte == '/' && at == 14);
            } else if (at == 12) {
                expected = byte == '/';
            }
            bool taken = reads((struct view){text, sizeof pattern - 1}, &id);
            if (taken != expected) {
                fail_msg("byte 0x%02x at %zu is %s", byte, at, taken ? "taken" : "refused");
            }
            good += taken;
        }
        uint8_t one = (uint8_t)byte;
        assert_int_equal(spiffe_trust_domain_valid((struct view){&one, 1}), is_of(small, byte));
    }
    /* 39 in three places and one slash of the trust domain, 65 in three and one of the segment,
     * and the ten bytes that are as they have to be. */
    assert_int_equal(good, 3 * 39 + 1 + 3 * 65 + 1 + 10);
}

static void trust_domains(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "example.org", "0", "a_b-c.d", "xn--a", "1.2.3.4", "-"};
    static const char *const bad[] = {
        "",    "A",  "a b", "a/b", "a:1",        "u@a", "a%2", "*",  "[::1]",   "\xc3\xa4",
        "a\n", " a", "a ",  "a/",  "spiffe://a", "a?",  "a#",  "a~", "exAmple", "a,b"};
    char name[257];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(spiffe_trust_domain_valid(view_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (spiffe_trust_domain_valid(view_of(bad[i]))) {
            fail_msg("taken: \"%s\"", bad[i]);
        }
    }
    assert_false(spiffe_trust_domain_valid((struct view){NULL, 0}));
    assert_false(spiffe_trust_domain_valid((struct view){(const uint8_t *)"a\0", 2}));
    memset(name, 'a', sizeof name);
    assert_true(spiffe_trust_domain_valid((struct view){(const uint8_t *)name, 255}));
    assert_false(spiffe_trust_domain_valid((struct view){(const uint8_t *)name, 256}));
}

/* As long as a principal may be, wherever the bytes are, and not one more. */
static void lengths(void **state)
{
    (void)state;
    struct spiffe_id id;
    char text[LIMIT_PRINCIPAL_LENGTH + 2];
    for (size_t slash = 10; slash < LIMIT_PRINCIPAL_LENGTH - 1; slash++) {
        memset(text, 'a', sizeof text);
        memcpy(text, "spiffe://", 9);
        text[slash] = '/';
        for (size_t length = LIMIT_PRINCIPAL_LENGTH; length <= sizeof text; length++) {
            assert_int_equal(reads((struct view){(const uint8_t *)text, length}, &id),
                             length == LIMIT_PRINCIPAL_LENGTH);
        }
        assert_int_equal(id.trust_domain.length, slash - 9);
    }
    /* Many short segments. */
    for (size_t i = 10; i < sizeof text; i++) {
        text[i] = i % 2 == 0 ? '/' : 'b';
    }
    assert_int_equal(LIMIT_PRINCIPAL_LENGTH % 2, 1);
    assert_false(reads((struct view){(const uint8_t *)text, LIMIT_PRINCIPAL_LENGTH}, &id));
    assert_true(reads((struct view){(const uint8_t *)text, LIMIT_PRINCIPAL_LENGTH - 1}, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ids),      cmocka_unit_test(bad_ids), cmocka_unit_test(every_byte),
        cmocka_unit_test(trust_domains), cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
