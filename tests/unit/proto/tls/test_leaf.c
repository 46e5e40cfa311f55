/* What is asked of the leaf of a chain: a client's use and SPIFFE ID, a server's use and names. The
 * certificates are minted here, and only what mbedTLS parses comes so far; the others, and chains,
 * are in test_bad_certificates.c. */
#include <stdlib.h>

#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "proto/tls/leaf.h"
#include "tests/unit/proto/tls/mint.h"

#define URI(text)                                                                                  \
    {                                                                                              \
        DER_URI, text, 0                                                                           \
    }
#define DNS(text)                                                                                  \
    {                                                                                              \
        DER_DNS, text, 0                                                                           \
    }
#define ADDRESS(text)                                                                              \
    {                                                                                              \
        DER_ADDRESS, text, sizeof(text) - 1                                                        \
    }

#define LOOPBACK_6 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"

static struct mint_key key;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(psa_crypto_init(), PSA_SUCCESS);
    mint_key_make(&key, MINT_P256);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mint_key_free(&key);
    return 0;
}

static void parse(const struct mint_leaf *leaf, const char *common_name, mbedtls_x509_crt *parsed)
{
    struct der extensions = {0};
    struct der der;
    mint_leaf(&extensions, leaf);
    const struct mint_order order = {.subject = common_name,
                                     .issuer = "authority",
                                     .key = &key,
                                     .issuer_key = &key,
                                     .extensions = &extensions};
    mint_certificate(&order, &der);
    mbedtls_x509_crt_init(parsed);
    int code = mbedtls_x509_crt_parse_der(parsed, der.bytes, der.length);
    if (code != 0) {
        fail_msg("%s cannot be parsed: -0x%04x", common_name, (unsigned)-code);
    }
}

/* --- Clients --- */

struct client {
    const char *what;
    struct mint_leaf leaf;
    enum tls_refusal refusal;
};

#define GOOD_URI URI("spiffe://test.example/a/b")

static const struct client clients[] = {
    {"plain", {.names = {GOOD_URI}}, TLS_ACCEPTED},
    {"critical names", {.names = {GOOD_URI}, .names_are_critical = true}, TLS_ACCEPTED},
    {"no basicConstraints", {.names = {GOOD_URI}, .authority = MINT_LEFT_OUT}, TLS_ACCEPTED},
    {"no key usage", {.names = {GOOD_URI}, .usage = MINT_LEFT_OUT}, TLS_ACCEPTED},
    {"no purpose", {.names = {GOOD_URI}, .purposes = MINT_LEFT_OUT}, TLS_ACCEPTED},
    {"any purpose", {.names = {GOOD_URI}, .purposes = MINT_FOR_ANY}, TLS_ACCEPTED},
    {"both purposes",
     {.names = {GOOD_URI}, .purposes = MINT_FOR_CLIENT | MINT_FOR_SERVER},
     TLS_ACCEPTED},
    {"more key usages",
     {.names = {GOOD_URI},
      .usage = MBEDTLS_X509_KU_DIGITAL_SIGNATURE | MBEDTLS_X509_KU_KEY_AGREEMENT |
               MBEDTLS_X509_KU_NON_REPUDIATION},
     TLS_ACCEPTED},
    {"an extension that nobody knows", {.names = {GOOD_URI}, .unknown = 1}, TLS_ACCEPTED},
    {"other names beside",
     {.names = {DNS("a.example"), GOOD_URI, ADDRESS("\x7f\0\0\1"), {DER_EMAIL, "a@b", 0}}},
     TLS_ACCEPTED},
    {"an authority", {.names = {GOOD_URI}, .authority = 1}, TLS_REFUSED_IS_AUTHORITY},
    {"keyCertSign",
     {.names = {GOOD_URI},
      .usage = MBEDTLS_X509_KU_DIGITAL_SIGNATURE | MBEDTLS_X509_KU_KEY_CERT_SIGN},
     TLS_REFUSED_IS_AUTHORITY},
    {"cRLSign",
     {.names = {GOOD_URI}, .usage = MBEDTLS_X509_KU_DIGITAL_SIGNATURE | MBEDTLS_X509_KU_CRL_SIGN},
     TLS_REFUSED_IS_AUTHORITY},
    {"no digitalSignature",
     {.names = {GOOD_URI}, .usage = MBEDTLS_X509_KU_KEY_AGREEMENT},
     TLS_REFUSED_BAD_USAGE},
    {"a server's", {.names = {GOOD_URI}, .purposes = MINT_FOR_SERVER}, TLS_REFUSED_BAD_USAGE},
    {"for mail", {.names = {GOOD_URI}, .purposes = MINT_FOR_MAIL}, TLS_REFUSED_BAD_USAGE},
    {"no names", {.names = {{0}}}, TLS_REFUSED_NO_SPIFFE_ID},
    {"a DNS name", {.names = {DNS("a.example")}}, TLS_REFUSED_NO_SPIFFE_ID},
    {"a DNS name spelled as a URI",
     {.names = {DNS("spiffe://test.example/a/b")}},
     TLS_REFUSED_NO_SPIFFE_ID},
    {"an address of mail", {.names = {{DER_EMAIL, "a@test.example", 0}}}, TLS_REFUSED_NO_SPIFFE_ID},
    {"an address", {.names = {ADDRESS("\x7f\0\0\1")}}, TLS_REFUSED_NO_SPIFFE_ID},
    {"twice the same URI", {.names = {GOOD_URI, GOOD_URI}}, TLS_REFUSED_SEVERAL_SPIFFE_IDS},
    {"another URI behind",
     {.names = {GOOD_URI, DNS("a"), URI("http://b")}},
     TLS_REFUSED_SEVERAL_SPIFFE_IDS},
    {"another URI before", {.names = {URI("http://b"), GOOD_URI}}, TLS_REFUSED_SEVERAL_SPIFFE_IDS},
    {"three", {.names = {GOOD_URI, GOOD_URI, GOOD_URI}}, TLS_REFUSED_SEVERAL_SPIFFE_IDS},
    {"http", {.names = {URI("http://test.example/a/b")}}, TLS_REFUSED_BAD_SPIFFE_ID},
    {"a trust domain alone", {.names = {URI("spiffe://test.example")}}, TLS_REFUSED_BAD_SPIFFE_ID},
    {"a slash alone", {.names = {URI("spiffe://test.example/")}}, TLS_REFUSED_BAD_SPIFFE_ID},
    {"capitals", {.names = {URI("spiffe://Test.example/a/b")}}, TLS_REFUSED_BAD_SPIFFE_ID},
    {"foreign", {.names = {URI("spiffe://other.example/a/b")}}, TLS_REFUSED_FOREIGN_TRUST_DOMAIN},
    {"a longer trust domain",
     {.names = {URI("spiffe://test.example.com/a/b")}},
     TLS_REFUSED_FOREIGN_TRUST_DOMAIN},
    {"a shorter trust domain",
     {.names = {URI("spiffe://test.exampl/e/a/b")}},
     TLS_REFUSED_FOREIGN_TRUST_DOMAIN},
    {"the trust domain in the path",
     {.names = {URI("spiffe://other/test.example/a")}},
     TLS_REFUSED_FOREIGN_TRUST_DOMAIN},
    {"a NUL in the URI",
     {.names = {{DER_URI, "spiffe://test.example/a\0.other", 30}}},
     TLS_REFUSED_MALFORMED_NAMES},
    {"a NUL in a DNS name beside",
     {.names = {GOOD_URI, {DER_DNS, "a\0b", 3}}},
     TLS_REFUSED_MALFORMED_NAMES},
    {"beyond ASCII",
     {.names = {URI("spiffe://test.example/\xc3\xa4")}},
     TLS_REFUSED_MALFORMED_NAMES},
    {"an empty URI", {.names = {URI("")}}, TLS_REFUSED_MALFORMED_NAMES},
    {"an empty URI beside", {.names = {GOOD_URI, URI("")}}, TLS_REFUSED_MALFORMED_NAMES},
    {"a URI that is made of elements",
     {.names = {{0xa6, "spiffe://test.example/a", 0}}},
     TLS_REFUSED_MALFORMED_NAMES},
    {"an empty list of names",
     {.names_value = "\x30\x00", .names_length = 2},
     TLS_REFUSED_MALFORMED_NAMES},
};

static enum tls_refusal judge_client(const struct mint_leaf *leaf, const char *trust_domain,
                                     char principal[LIMIT_PRINCIPAL_LENGTH + 1])
{
    mbedtls_x509_crt parsed;
    parse(leaf, "somebody", &parsed);
    memset(principal, '?', LIMIT_PRINCIPAL_LENGTH + 1);
    enum tls_refusal refusal = tls_leaf_client(&parsed, view_of(trust_domain), principal);
    for (size_t i = 0; refusal != TLS_ACCEPTED && i <= LIMIT_PRINCIPAL_LENGTH; i++) {
        assert_int_equal(principal[i], '?');
    }
    mbedtls_x509_crt_free(&parsed);
    return refusal;
}

static void test_clients(void **state)
{
    (void)state;
    char principal[LIMIT_PRINCIPAL_LENGTH + 1];
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        enum tls_refusal refusal = judge_client(&clients[i].leaf, "test.example", principal);
        if (refusal != clients[i].refusal) {
            fail_msg("%s: \"%s\"", clients[i].what, tls_refusal_text(refusal));
        }
        if (refusal == TLS_ACCEPTED) {
            assert_string_equal(principal, "spiffe://test.example/a/b");
        }
        /* Without a trust domain, others are as good. */
        if (refusal == TLS_REFUSED_FOREIGN_TRUST_DOMAIN) {
            refusal = TLS_ACCEPTED;
        }
        assert_int_equal(judge_client(&clients[i].leaf, "", principal), refusal);
    }
}

static void test_long_ids(void **state)
{
    (void)state;
    char text[LIMIT_PRINCIPAL_LENGTH + 2];
    char principal[LIMIT_PRINCIPAL_LENGTH + 1];
    struct mint_leaf leaf = {.names = {{DER_URI, text, LIMIT_PRINCIPAL_LENGTH}}};
    memset(text, 'a', sizeof text);
    memcpy(text, "spiffe://test.example/", 22);
    assert_int_equal(judge_client(&leaf, "test.example", principal), TLS_ACCEPTED);
    assert_int_equal(strlen(principal), LIMIT_PRINCIPAL_LENGTH);
    assert_memory_equal(principal, text, LIMIT_PRINCIPAL_LENGTH);
    leaf.names[0].length++;
    assert_int_equal(judge_client(&leaf, "test.example", principal), TLS_REFUSED_BAD_SPIFFE_ID);
}

/* One of version 1 has no extensions at all. */
static void test_no_extensions(void **state)
{
    (void)state;
    char principal[LIMIT_PRINCIPAL_LENGTH + 1];
    struct der der;
    mbedtls_x509_crt parsed;
    const struct mint_order order = {
        .subject = "localhost", .issuer = "authority", .key = &key, .issuer_key = &key};
    mint_certificate(&order, &der);
    mbedtls_x509_crt_init(&parsed);
    assert_int_equal(mbedtls_x509_crt_parse_der(&parsed, der.bytes, der.length), 0);
    assert_int_equal(parsed.version, 1);
    assert_int_equal(tls_leaf_client(&parsed, (struct view){NULL, 0}, principal),
                     TLS_REFUSED_NO_SPIFFE_ID);
    assert_int_equal(tls_leaf_server(&parsed, "localhost"), TLS_REFUSED_WRONG_NAME);
    mbedtls_x509_crt_free(&parsed);
}

/* --- Servers --- */

static enum tls_refusal judge_server(struct mint_leaf leaf, const char *common_name,
                                     const char *asked)
{
    mbedtls_x509_crt parsed;
    leaf.purposes = leaf.purposes == 0 ? MINT_FOR_SERVER : leaf.purposes;
    parse(&leaf, common_name, &parsed);
    enum tls_refusal refusal = tls_leaf_server(&parsed, asked);
    mbedtls_x509_crt_free(&parsed);
    return refusal;
}

static const struct {
    const char *held; /* a DNS name */
    const char *asked;
    bool good;
} names[] = {
    {"localhost", "localhost", true},
    {"localhost", "LOCALHOST", true},
    {"LocalHost", "localhost", true},
    {"localhost", "localhost.", false},
    {"localhost", "localhos", false},
    {"localhost", "localhostt", false},
    {"localhost", "", false},
    {"a.example.org", "A.Example.ORG", true},
    {"a.example.org", "example.org", false},
    {"a.example.org", "b.a.example.org", false},
    {"example.org", "a.example.org", false},
    {"a-b_c.example", "a-b_c.example", true},
    {"[.example", "{.example", false}, /* letters alone have two cases */
    {"*.example.org", "a.example.org", true},
    {"*.example.org", "A.EXAMPLE.org", true},
    {"*.Example.org", "xn--a.example.ORG", true},
    {"*.example.org", "example.org", false},
    {"*.example.org", ".example.org", false},
    {"*.example.org", "a.b.example.org", false},
    {"*.example.org", "a.example.org.", false},
    {"*.example.org", "aexample.org", false},
    {"*.example.org", "a.example.com", false},
    {"*.example.org", "a.", false},
    {"*.example.org", "a", false},
    {"*.example.org", "", false},
    {"*.a.example.org", "b.a.example.org", true},
    {"*.org", "example.org", false},
    {"*.org.", "example.org.", false},
    {"*..org", "a..org", false},
    {"*.a..", "b.a..", false},
    {"*.", "a.", false},
    {"*.localhost", "a.localhost", false},
    {"*", "localhost", false},
    {"*", "a.example.org", false},
    {"*a.example.org", "ba.example.org", false},
    {"a*.example.org", "ab.example.org", false},
    {"a.*.org", "a.example.org", false},
    {"*.*.org", "a.example.org", false},
    {"**.example.org", "a.example.org", false},
    {"127.0.0.1", "127.0.0.1", false}, /* an address is no DNS name */
    {"*.0.0.1", "127.0.0.1", false},
    {"::1", "::1", false},
    {"[::1]", "[::1]", false},
};

static void test_names_of_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct mint_leaf leaf = {.names = {DNS("x"), {DER_DNS, names[i].held, 0}}};
        enum tls_refusal refusal = judge_server(leaf, "somebody", names[i].asked);
        if (refusal != (names[i].good ? TLS_ACCEPTED : TLS_REFUSED_WRONG_NAME)) {
            fail_msg("\"%s\" asked for as \"%s\": \"%s\"", names[i].held, names[i].asked,
                     tls_refusal_text(refusal));
        }
    }
}

#define LOOPBACK_4 "\x7f\0\0\1"
#define DOCUMENTS  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\xab\xcd\0\1"
#define MAPPED     "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1"

static const struct {
    struct mint_name held;
    const char *asked;
    bool good;
} addresses[] = {
    {ADDRESS(LOOPBACK_4), "127.0.0.1", true},
    {ADDRESS(LOOPBACK_4), "127.0.0.2", false},
    {ADDRESS(LOOPBACK_4), "127.0.0.1.", false},
    {ADDRESS(LOOPBACK_4), "127.1", false},
    {ADDRESS(LOOPBACK_4), "127.0.0.01", false},
    {ADDRESS(LOOPBACK_4), "0x7f000001", false},
    {ADDRESS(LOOPBACK_4), "2130706433", false},
    {ADDRESS(LOOPBACK_4), "[127.0.0.1]", false},
    {ADDRESS(LOOPBACK_4), " 127.0.0.1", false},
    {ADDRESS(LOOPBACK_4), "::ffff:127.0.0.1", false},
    {ADDRESS(LOOPBACK_4), "localhost", false},
    {ADDRESS(LOOPBACK_4), "\x7f", false},
    {ADDRESS(LOOPBACK_6), "::1", true},
    {ADDRESS(LOOPBACK_6), "[::1]", true},
    {ADDRESS(LOOPBACK_6), "0:0:0:0:0:0:0:1", true},
    {ADDRESS(LOOPBACK_6), "0000:0000:0000:0000:0000:0000:0000:0001", true},
    {ADDRESS(LOOPBACK_6), "[0000:0000:0000:0000:0000:0000:0000:0001]", true},
    {ADDRESS(LOOPBACK_6), "::0.0.0.1", true},
    {ADDRESS(LOOPBACK_6), "::2", false},
    {ADDRESS(LOOPBACK_6), "::1%lo", false},
    {ADDRESS(LOOPBACK_6), "[::1", false},
    {ADDRESS(LOOPBACK_6), "::1]", false},
    {ADDRESS(LOOPBACK_6), "[[::1]]", false},
    {ADDRESS(LOOPBACK_6), "[]", false},
    {ADDRESS(LOOPBACK_6), "", false},
    {ADDRESS(DOCUMENTS), "2001:db8::abcd:1", true},
    {ADDRESS(DOCUMENTS), "2001:DB8::ABCD:1", true},
    {ADDRESS(DOCUMENTS), "2001:db8:0:0::abcd:1", true},
    {ADDRESS(DOCUMENTS), "2001:db8::abcd:2", false},
    {ADDRESS(MAPPED), "::ffff:127.0.0.1", true},
    {ADDRESS(MAPPED), "127.0.0.1", false},
};

static void test_addresses_of_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        const struct mint_leaf leaf = {.names = {addresses[i].held}};
        enum tls_refusal refusal = judge_server(leaf, "somebody", addresses[i].asked);
        if (refusal != (addresses[i].good ? TLS_ACCEPTED : TLS_REFUSED_WRONG_NAME)) {
            fail_msg("row %zu asked for as \"%s\": \"%s\"", i, addresses[i].asked,
                     tls_refusal_text(refusal));
        }
    }
}

static const char long_name[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
                                "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
                                "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc."
                                "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd";

static void test_uses_of_servers(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct mint_leaf leaf;
        enum tls_refusal refusal;
    } rows[] = {
        {"plain", {.names = {DNS("localhost")}}, TLS_ACCEPTED},
        {"the last of four",
         {.names = {URI("spiffe://a/b"), ADDRESS(LOOPBACK_4), DNS("other"), DNS("localhost")}},
         TLS_ACCEPTED},
        {"two URIs beside",
         {.names = {URI("spiffe://a/b"), DNS("localhost"), URI("http://c")}},
         TLS_ACCEPTED},
        {"no purpose", {.names = {DNS("localhost")}, .purposes = MINT_LEFT_OUT}, TLS_ACCEPTED},
        {"any purpose", {.names = {DNS("localhost")}, .purposes = MINT_FOR_ANY}, TLS_ACCEPTED},
        {"a client's",
         {.names = {DNS("localhost")}, .purposes = MINT_FOR_CLIENT},
         TLS_REFUSED_BAD_USAGE},
        {"no digitalSignature",
         {.names = {DNS("localhost")}, .usage = MBEDTLS_X509_KU_KEY_ENCIPHERMENT},
         TLS_REFUSED_BAD_USAGE},
        {"an authority", {.names = {DNS("localhost")}, .authority = 1}, TLS_REFUSED_IS_AUTHORITY},
        {"keyCertSign",
         {.names = {DNS("localhost")},
          .usage = MBEDTLS_X509_KU_DIGITAL_SIGNATURE | MBEDTLS_X509_KU_KEY_CERT_SIGN},
         TLS_REFUSED_IS_AUTHORITY},
        {"a URI of that name", {.names = {URI("localhost")}}, TLS_REFUSED_WRONG_NAME},
        {"an address of mail", {.names = {{DER_EMAIL, "localhost", 0}}}, TLS_REFUSED_WRONG_NAME},
        {"a NUL in the name",
         {.names = {{DER_DNS, "localhost\0.example", 18}}},
         TLS_REFUSED_MALFORMED_NAMES},
        {"a NUL at its end",
         {.names = {{DER_DNS, "localhost\0", 10}}},
         TLS_REFUSED_MALFORMED_NAMES},
        {"a NUL in another name",
         {.names = {DNS("localhost"), {DER_DNS, "a\0b", 3}}},
         TLS_REFUSED_MALFORMED_NAMES},
        {"a blank", {.names = {DNS("localhost ")}}, TLS_REFUSED_MALFORMED_NAMES},
        {"too long a name beside",
         {.names = {DNS("localhost"), {DER_DNS, long_name, 254}}},
         TLS_REFUSED_MALFORMED_NAMES},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum tls_refusal refusal = judge_server(rows[i].leaf, "somebody", "localhost");
        if (refusal != rows[i].refusal) {
            fail_msg("%s: \"%s\"", rows[i].what, tls_refusal_text(refusal));
        }
    }
    assert_int_equal(strlen(long_name), 253);
    const struct mint_leaf longest = {.names = {{DER_DNS, long_name, 253}}};
    assert_int_equal(judge_server(longest, "somebody", long_name), TLS_ACCEPTED);
}

/* The common name means nothing, with names beside it and without. */
static void test_common_names(void **state)
{
    (void)state;
    const struct mint_leaf bare = {.names = {{0}}};
    const struct mint_leaf other = {.names = {DNS("other")}};
    char principal[LIMIT_PRINCIPAL_LENGTH + 1];
    mbedtls_x509_crt parsed;
    assert_int_equal(judge_server(bare, "localhost", "localhost"), TLS_REFUSED_WRONG_NAME);
    assert_int_equal(judge_server(other, "localhost", "localhost"), TLS_REFUSED_WRONG_NAME);
    assert_int_equal(judge_server(other, "localhost", "other"), TLS_ACCEPTED);
    assert_int_equal(judge_server(bare, "127.0.0.1", "127.0.0.1"), TLS_REFUSED_WRONG_NAME);
    parse(&bare, "spiffe://test.example/a/b", &parsed);
    assert_int_equal(tls_leaf_client(&parsed, (struct view){NULL, 0}, principal),
                     TLS_REFUSED_NO_SPIFFE_ID);
    mbedtls_x509_crt_free(&parsed);
}

static void test_which_names_are_addresses(void **state)
{
    (void)state;
    static const char *const yes[] = {"127.0.0.1",
                                      "0.0.0.0",
                                      "::",
                                      "::1",
                                      "[::1]",
                                      "[::]",
                                      "1:2:3:4:5:6:7:8",
                                      "[ffff:FFFF::127.0.0.1]"};
    static const char *const no[] = {"",
                                     "localhost",
                                     "127.0.0",
                                     "127.0.0.1.",
                                     "127.0.0.256",
                                     "[127.0.0.1]",
                                     "[::1",
                                     "[]",
                                     "1.2.3.4.5",
                                     ":1",
                                     "1:2:3:4:5:6:7",
                                     "1::2::3",
                                     "[1111:1111:1111:1111:1111:1111:1111:1111:1111:111]"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(tls_name_is_address(yes[i]));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_false(tls_name_is_address(no[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_long_ids),
        cmocka_unit_test(test_no_extensions),
        cmocka_unit_test(test_names_of_servers),
        cmocka_unit_test(test_addresses_of_servers),
        cmocka_unit_test(test_uses_of_servers),
        cmocka_unit_test(test_common_names),
        cmocka_unit_test(test_which_names_are_addresses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
