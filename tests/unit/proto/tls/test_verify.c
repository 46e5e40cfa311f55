#include "proto/tls/verify.h"

#include "tests/unit/proto/tls/tls_cast.h"

static struct mint_key other_key;

static char other_text[MINT_TEXT_MAX];

static int set_up(void **state)
{
    (void)state;
    cast_make();
    mint_key_make(&other_key, MINT_P256);
    certify(other_text, "other", &other_key, "other", &other_key, 1, &authority);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cast_free();
    mint_key_free(&other_key);
    return 0;
}

/* --- Ends --- */

/* Those of a version, with whatever certificate: past our own rules for it. */
struct own {
    struct tls_credentials *credentials;
    mbedtls_x509_crt cert;
};

static void own_open(struct own *own, enum tls_role role, mbedtls_ssl_protocol_version version,
                     const char *cert, struct mint_key *key)
{
    own->credentials = memory_fill(role, root_text, NULL, NULL, NULL);
    tls_credentials_versions(own->credentials, version, version);
    assert_int_equal(tls_credentials_ready(own->credentials), 0);
    mbedtls_x509_crt_init(&own->cert);
    if (cert != NULL) {
        assert_int_equal(
            mbedtls_x509_crt_parse(&own->cert, (const unsigned char *)cert, strlen(cert) + 1), 0);
        assert_int_equal(mbedtls_ssl_conf_own_cert((mbedtls_ssl_config *)(uintptr_t)
                                                       tls_credentials_config(own->credentials),
                                                   &own->cert, &key->pk),
                         0);
    }
}

static void own_close(struct own *own)
{
    tls_credentials_release(own->credentials);
    mbedtls_x509_crt_free(&own->cert);
}

static struct tls_credentials *server_credentials(const char *crl)
{
    return memory_credentials(TLS_SERVER, root_text, crl, server_text, leaf_key_text);
}

static struct tls_credentials *client_credentials(void)
{
    return memory_credentials(TLS_CLIENT, root_text, NULL, client_text, leaf_key_text);
}

/* --- What a server makes of clients --- */

/* A client of the certificates in `chain`, with its key, against a server with `crl`; both
 * versions. */
static void expect_client(const char *what, const char *chain, struct mint_key *key,
                          const char *crl, enum tls_refusal refusal, const char *detail)
{
    struct tls_credentials *serving = server_credentials(crl);
    for (size_t i = 0; i < 2; i++) {
        struct own own;
        own_open(&own, TLS_CLIENT, versions[i], chain, key);
        struct memory_pair *pair = memory_open(own.credentials, serving);
        memory_shake(pair);
        const struct tls_verify *verify = &pair->server.verify;
        if (memory_outcome(&pair->server) != refusal) {
            fail_msg("%s, TLS 1.%zu: %s (%s; %s)", what, i + 2,
                     tls_refusal_text(memory_outcome(&pair->server)), verify->detail,
                     memory_error(pair->server.code));
        }
        assert_string_equal(verify->detail, detail);
        assert_string_equal(verify->principal, refusal == TLS_ACCEPTED ? MEMORY_CLIENT : "");
        memory_close(pair);
        own_close(&own);
    }
    tls_credentials_release(serving);
}

static void test_a_good_client_is_known_by_its_name(void **state)
{
    (void)state;
    expect_client("a client", client_text, &leaf_key, NULL, TLS_ACCEPTED, "");
}

static void test_a_client_without_a_certificate_is_refused(void **state)
{
    (void)state;
    expect_client("none", NULL, NULL, NULL, TLS_REFUSED_NO_CERTIFICATE, "");
}

static void test_certificates_are_refused_for_what_tells_most(void **state)
{
    (void)state;
    struct der sub;
    struct der two = {0};
    struct der foreign;
    struct der serving;
    memory_authority(&sub);
    memory_leaf(&foreign, MINT_FOR_CLIENT, "spiffe://elsewhere/client", NULL);
    memory_leaf(&serving, MINT_FOR_SERVER, MEMORY_CLIENT, NULL);
    mint_leaf(&two, &(struct mint_leaf){
                        .names = {{DER_URI, MEMORY_CLIENT, 0}, {DER_URI, "spiffe://b/c", 0}}});
    const struct {
        const char *what;
        struct mint_order order;
        enum tls_refusal refusal;
        const char *detail;
    } rows[] = {
        {"a foreign authority's",
         {.subject = "c", .issuer = "other", .key = &leaf_key, .issuer_key = &other_key},
         TLS_REFUSED_UNTRUSTED,
         "certificate of CN=c by CN=other"},
        {"one by a namesake of the root",
         {.subject = "c", .issuer = "root", .key = &leaf_key, .issuer_key = &other_key},
         TLS_REFUSED_UNTRUSTED,
         "certificate of CN=c by CN=root"},
        {"a foreign one that has expired",
         {.subject = "c",
          .issuer = "other",
          .key = &leaf_key,
          .issuer_key = &other_key,
          .from_s = -2 * MEMORY_DAY,
          .until_s = -MEMORY_DAY},
         TLS_REFUSED_UNTRUSTED,
         "certificate of CN=c by CN=other"},
        {"one signed by itself",
         {.subject = "c", .issuer = "c", .key = &leaf_key, .issuer_key = &leaf_key},
         TLS_REFUSED_UNTRUSTED,
         "certificate of CN=c by CN=c"},
        {"a nameless one",
         {.subject = "", .issuer = "other", .key = &leaf_key, .issuer_key = &other_key},
         TLS_REFUSED_UNTRUSTED,
         "certificate of (no name) by CN=other"},
        {"an RSA key",
         {.subject = "c", .issuer = "root", .key = &rsa_key, .issuer_key = &root_key},
         TLS_REFUSED_BAD_KEY_OR_HASH,
         "certificate of CN=c: key RSA, 2048 bits, signed with SHA256"},
        {"a short RSA key",
         {.subject = "c", .issuer = "root", .key = &weak_key, .issuer_key = &root_key},
         TLS_REFUSED_BAD_KEY_OR_HASH,
         "certificate of CN=c: key RSA, 1024 bits, signed with SHA256"},
        {"a P-384 key",
         {.subject = "c", .issuer = "root", .key = &p384_key, .issuer_key = &root_key},
         TLS_REFUSED_BAD_KEY_OR_HASH,
         "certificate of CN=c: key EC, secp384r1, signed with SHA256"},
        {"SHA-1",
         {.subject = "c",
          .issuer = "root",
          .key = &leaf_key,
          .issuer_key = &root_key,
          .hash = MBEDTLS_MD_SHA1},
         TLS_REFUSED_BAD_KEY_OR_HASH,
         "certificate of CN=c: key EC, secp256r1, signed with SHA1"},
        {"SHA-1 and expired",
         {.subject = "c",
          .issuer = "root",
          .key = &leaf_key,
          .issuer_key = &root_key,
          .hash = MBEDTLS_MD_SHA1,
          .from_s = -2 * MEMORY_DAY,
          .until_s = -MEMORY_DAY},
         TLS_REFUSED_BAD_KEY_OR_HASH,
         "certificate of CN=c: key EC, secp256r1, signed with SHA1"},
        {"an authority's",
         {.subject = "c",
          .issuer = "root",
          .key = &leaf_key,
          .issuer_key = &root_key,
          .extensions = &sub},
         TLS_REFUSED_IS_AUTHORITY,
         "certificate of CN=c"},
        {"a server's",
         {.subject = "c",
          .issuer = "root",
          .key = &leaf_key,
          .issuer_key = &root_key,
          .extensions = &serving},
         TLS_REFUSED_BAD_USAGE,
         "certificate of CN=c"},
        {"two URIs",
         {.subject = "c",
          .issuer = "root",
          .key = &leaf_key,
          .issuer_key = &root_key,
          .extensions = &two},
         TLS_REFUSED_SEVERAL_SPIFFE_IDS,
         "certificate of CN=c, URI " MEMORY_CLIENT ", URI spiffe://b/c"},
        {"another trust domain",
         {.subject = "c",
          .issuer = "root",
          .key = &leaf_key,
          .issuer_key = &root_key,
          .extensions = &foreign},
         TLS_REFUSED_FOREIGN_TRUST_DOMAIN,
         "certificate of CN=c, URI spiffe://elsewhere/client"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[MINT_TEXT_MAX] = "";
        struct mint_order order = rows[i].order;
        if (order.extensions == NULL) {
            order.extensions = &client;
        }
        memory_issue(text, &order);
        expect_client(rows[i].what, text, order.key, NULL, rows[i].refusal, rows[i].detail);
    }
}

static const char *day(long from_now_s)
{
    static _Thread_local char texts[2][16];
    static _Thread_local unsigned turn;
    char *text = texts[turn++ % 2];
    time_t when = time(NULL) + from_now_s;
    struct tm parts;
    assert_non_null(gmtime_r(&when, &parts));
    assert_int_not_equal(strftime(text, sizeof texts[0], "%Y-%m-%d", &parts), 0);
    return text;
}

static void test_dates_are_told(void **state)
{
    (void)state;
    char text[MINT_TEXT_MAX] = "";
    char detail[160];
    struct mint_order order = {.subject = "c",
                               .issuer = "root",
                               .key = &leaf_key,
                               .issuer_key = &root_key,
                               .from_s = -9 * MEMORY_DAY,
                               .until_s = -4 * MEMORY_DAY,
                               .extensions = &client};
    memory_issue(text, &order);
    snprintf(detail, sizeof detail, "certificate of CN=c, until %s", day(order.until_s));
    expect_client("an old one", text, &leaf_key, NULL, TLS_REFUSED_EXPIRED, detail);

    order.from_s = 4 * MEMORY_DAY;
    order.until_s = 9 * MEMORY_DAY;
    text[0] = '\0';
    memory_issue(text, &order);
    snprintf(detail, sizeof detail, "certificate of CN=c, from %s", day(order.from_s));
    expect_client("a future one", text, &leaf_key, NULL, TLS_REFUSED_NOT_YET_VALID, detail);
}

/* A leaf of `middle`, which is signed by the root and valid for so long, and `middle`. */
static void issue_under_middle(char *text, long until_s)
{
    text[0] = '\0';
    memory_issue(text, &(struct mint_order){.subject = "c",
                                            .issuer = "middle",
                                            .key = &leaf_key,
                                            .issuer_key = &middle_key,
                                            .serial = 7,
                                            .extensions = &client});
    memory_issue(text, &(struct mint_order){.subject = "middle",
                                            .issuer = "root",
                                            .key = &middle_key,
                                            .issuer_key = &root_key,
                                            .serial = 8,
                                            .from_s = -9 * MEMORY_DAY,
                                            .until_s = until_s,
                                            .extensions = &authority});
}

static void test_chains_are_judged_at_every_depth(void **state)
{
    (void)state;
    char text[MINT_TEXT_MAX];
    char detail[160];
    issue_under_middle(text, MEMORY_DAY);
    expect_client("a chain", text, &leaf_key, NULL, TLS_ACCEPTED, "");

    issue_under_middle(text, -4 * MEMORY_DAY);
    snprintf(detail, sizeof detail, "certificate of CN=middle, until %s", day(-4 * MEMORY_DAY));
    expect_client("an old authority in it", text, &leaf_key, NULL, TLS_REFUSED_EXPIRED, detail);

    char *second = strstr(text + 1, "-----BEGIN");
    assert_non_null(second);
    *second = '\0';
    expect_client("a chain without it", text, &leaf_key, NULL, TLS_REFUSED_UNTRUSTED,
                  "certificate of CN=c by CN=middle");
}

/* mbedTLS does not even ask about more than eight. */
static void test_a_chain_that_is_too_long_is_not_believed(void **state)
{
    (void)state;
    char text[MINT_TEXT_MAX] = "";
    char names[13][8];
    for (unsigned i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "m%u", i);
    }
    snprintf(names[12], sizeof names[12], "root");
    for (unsigned i = 0; i < 12; i++) {
        memory_issue(text, &(struct mint_order){.subject = names[i],
                                                .issuer = names[i + 1],
                                                .key = i == 0 ? &leaf_key : &middle_key,
                                                .issuer_key = i < 11 ? &middle_key : &root_key,
                                                .extensions = i == 0 ? &client : &authority});
    }
    expect_client("twelve", text, &leaf_key, NULL, TLS_REFUSED_UNTRUSTED, "");
}

static void test_the_revoked_are_refused(void **state)
{
    (void)state;
    char crl[MINT_TEXT_MAX] = "";
    char text[MINT_TEXT_MAX] = "";
    const uint32_t revoked[] = {1000, 8, 3, 70000};
    struct mint_list list = {
        .issuer = "root", .issuer_key = &root_key, .serials = revoked, .count = 4};
    memory_list(crl, &list);
    expect_client("on the list", client_text, &leaf_key, crl, TLS_REFUSED_REVOKED,
                  "certificate of CN=client");
    issue_under_middle(text, MEMORY_DAY);
    expect_client("under one on the list", text, &leaf_key, crl, TLS_REFUSED_REVOKED,
                  "certificate of CN=middle");

    /* That it has expired, too, is of no interest. */
    text[0] = '\0';
    memory_issue(text, &(struct mint_order){.subject = "old",
                                            .issuer = "root",
                                            .key = &leaf_key,
                                            .issuer_key = &root_key,
                                            .serial = 70000,
                                            .from_s = -9 * MEMORY_DAY,
                                            .until_s = -4 * MEMORY_DAY,
                                            .extensions = &client});
    expect_client("old and on the list", text, &leaf_key, crl, TLS_REFUSED_REVOKED,
                  "certificate of CN=old");

    /* The same number of another authority is somebody else. */
    text[0] = '\0';
    memory_issue(text, &(struct mint_order){.subject = "stranger",
                                            .issuer = "other",
                                            .key = &leaf_key,
                                            .issuer_key = &other_key,
                                            .serial = 3,
                                            .extensions = &client});
    expect_client("a stranger of that number", text, &leaf_key, crl, TLS_REFUSED_UNTRUSTED,
                  "certificate of CN=stranger by CN=other");
}

static void test_a_list_counts_for_its_entries_whatever_its_date(void **state)
{
    (void)state;
    static const long dates[][2] = {{-9 * MEMORY_DAY, -4 * MEMORY_DAY},
                                    {4 * MEMORY_DAY, 9 * MEMORY_DAY}};
    for (size_t i = 0; i < 2; i++) {
        char crl[MINT_TEXT_MAX] = "";
        const uint32_t revoked[] = {7};
        memory_list(crl, &(struct mint_list){.issuer = "root",
                                             .issuer_key = &root_key,
                                             .from_s = dates[i][0],
                                             .until_s = dates[i][1],
                                             .serials = revoked,
                                             .count = 1});
        expect_client("not on it", client_text, &leaf_key, crl, TLS_ACCEPTED, "");
        char text[MINT_TEXT_MAX] = "";
        memory_issue(text, &(struct mint_order){.subject = "seven",
                                                .issuer = "root",
                                                .key = &leaf_key,
                                                .issuer_key = &root_key,
                                                .serial = 7,
                                                .extensions = &client});
        expect_client("on it", text, &leaf_key, crl, TLS_REFUSED_REVOKED,
                      "certificate of CN=seven");
    }
}

/* Somebody else's listener in the process: whoever has a good chain, as mbedTLS judges it. */
static void test_without_spiffe_any_good_chain_will_do(void **state)
{
    (void)state;
    struct der plain;
    struct der serving;
    memory_leaf(&plain, MINT_LEFT_OUT, NULL, NULL);
    memory_leaf(&serving, MINT_FOR_SERVER, NULL, NULL);
    const struct {
        const struct der *extensions;
        const char *issuer;
        enum tls_refusal refusal;
    } rows[] = {{&plain, "root", TLS_ACCEPTED},
                {&serving, "root", TLS_REFUSED_BAD_USAGE},
                {&plain, "other", TLS_REFUSED_UNTRUSTED}};
    struct tls_credentials *serve = server_credentials(NULL);
    for (size_t i = 0; i < 6; i++) {
        char text[MINT_TEXT_MAX] = "";
        struct own own;
        memory_issue(text, &(struct mint_order){.subject = "c",
                                                .issuer = rows[i / 2].issuer,
                                                .key = &leaf_key,
                                                .issuer_key = &root_key,
                                                .extensions = rows[i / 2].extensions});
        own_open(&own, TLS_CLIENT, versions[i % 2], text, &leaf_key);
        struct memory_pair *pair = memory_open(own.credentials, serve);
        pair->server.verify.spiffe = false;
        memory_shake(pair);
        assert_int_equal(memory_outcome(&pair->server), rows[i / 2].refusal);
        assert_string_equal(pair->server.verify.principal, "");
        memory_close(pair);
        own_close(&own);
    }
    tls_credentials_release(serve);
}

static void test_clients_may_be_optional(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct own own;
        struct tls_credentials *serve =
            memory_fill(TLS_SERVER, root_text, NULL, server_text, leaf_key_text);
        tls_credentials_auth(serve, i < 2 ? TLS_AUTH_OPTIONAL : TLS_AUTH_NONE);
        assert_int_equal(tls_credentials_ready(serve), 0);
        assert_int_equal(tls_credentials_required(serve),
                         i < 2 ? TLS_AUTH_OPTIONAL : TLS_AUTH_NONE);
        own_open(&own, TLS_CLIENT, versions[i % 2], NULL, NULL);
        struct memory_pair *pair = memory_open(own.credentials, serve);
        memory_shake(pair);
        assert_int_equal(pair->server.code, 0);
        assert_int_equal(pair->client.code, 0);
        assert_string_equal(pair->server.verify.principal, "");
        memory_close(pair);
        own_close(&own);
        tls_credentials_release(serve);
    }
}

/* --- What a client makes of servers --- */

static void expect_server(const char *what, const char *chain, struct mint_key *key,
                          enum tls_refusal refusal, const char *detail)
{
    struct tls_credentials *calling = client_credentials();
    for (size_t i = 0; i < 2; i++) {
        struct own own;
        own_open(&own, TLS_SERVER, versions[i], chain, key);
        struct memory_pair *pair = memory_open(calling, own.credentials);
        memory_shake(pair);
        if (memory_outcome(&pair->client) != refusal) {
            fail_msg("%s, TLS 1.%zu: %s (%s; %s)", what, i + 2,
                     tls_refusal_text(memory_outcome(&pair->client)), pair->client.verify.detail,
                     memory_error(pair->client.code));
        }
        assert_string_equal(pair->client.verify.detail, detail);
        /* The server hears of it, whatever the version. */
        assert_int_equal(memory_outcome(&pair->server),
                         refusal == TLS_ACCEPTED ? TLS_ACCEPTED : TLS_REFUSED_PEER_REFUSES);
        memory_close(pair);
        own_close(&own);
    }
    tls_credentials_release(calling);
}

static void test_servers_have_to_hold_the_name(void **state)
{
    (void)state;
    struct der elsewhere;
    struct der nameless;
    char text[MINT_TEXT_MAX] = "";
    memory_leaf(&elsewhere, MINT_FOR_SERVER, NULL, "elsewhere");
    memory_leaf(&nameless, MINT_FOR_SERVER, NULL, NULL);
    struct mint_order order = {.subject = "localhost",
                               .issuer = "root",
                               .key = &leaf_key,
                               .issuer_key = &root_key,
                               .extensions = &elsewhere};
    expect_server("the right one", server_text, &leaf_key, TLS_ACCEPTED, "");
    memory_issue(text, &order);
    expect_server("another name", text, &leaf_key, TLS_REFUSED_WRONG_NAME,
                  "certificate of CN=localhost, for localhost");
    order.extensions = &nameless; /* mbedTLS would take the common name */
    text[0] = '\0';
    memory_issue(text, &order);
    expect_server("the common name alone", text, &leaf_key, TLS_REFUSED_WRONG_NAME,
                  "certificate of CN=localhost, for localhost");
    order.issuer = "other";
    order.issuer_key = &other_key;
    text[0] = '\0';
    memory_issue(text, &order);
    expect_server("a foreign one", text, &leaf_key, TLS_REFUSED_UNTRUSTED,
                  "certificate of CN=localhost by CN=other");
}

/* --- Errors of the handshake itself --- */

static mbedtls_ssl_config *settings_of(struct tls_credentials *credentials)
{
    return (mbedtls_ssl_config *)(uintptr_t)tls_credentials_config(credentials);
}

/* What both ends say of a handshake in which the client's settings were changed. */
static void expect_outcomes(const char *what, struct tls_credentials *calling,
                            struct tls_credentials *serving, enum tls_refusal at_server,
                            enum tls_refusal at_client)
{
    struct memory_pair *pair = memory_open(calling, serving);
    memory_shake(pair);
    if (memory_outcome(&pair->server) != at_server || memory_outcome(&pair->client) != at_client) {
        fail_msg("%s: server: %s (%s), client: %s (%s)", what,
                 tls_refusal_text(memory_outcome(&pair->server)), memory_error(pair->server.code),
                 tls_refusal_text(memory_outcome(&pair->client)), memory_error(pair->client.code));
    }
    memory_close(pair);
    tls_credentials_release(calling);
    tls_credentials_release(serving);
}

static void test_nothing_in_common(void **state)
{
    (void)state;
    static const int foreign_12[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, 0};
    static const int foreign_13[] = {MBEDTLS_TLS1_3_AES_128_CCM_SHA256, 0};
    static const uint16_t foreign_group[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
                                             MBEDTLS_SSL_IANA_TLS_GROUP_NONE};
    for (size_t i = 0; i < 2; i++) {
        struct own own;
        own_open(&own, TLS_CLIENT, versions[i], client_text, &leaf_key);
        mbedtls_ssl_conf_ciphersuites(settings_of(own.credentials),
                                      i == 0 ? foreign_12 : foreign_13);
        expect_outcomes("suites", tls_credentials_hold(own.credentials), server_credentials(NULL),
                        TLS_REFUSED_NOT_COMMON, TLS_REFUSED_PEER_REFUSES);
        own_close(&own);

        own_open(&own, TLS_CLIENT, versions[i], client_text, &leaf_key);
        mbedtls_ssl_conf_groups(settings_of(own.credentials), foreign_group);
        /* With TLS 1.3 mbedTLS sends no alert for that. */
        expect_outcomes("groups", tls_credentials_hold(own.credentials), server_credentials(NULL),
                        TLS_REFUSED_NOT_COMMON,
                        i == 0 ? TLS_REFUSED_PEER_REFUSES : TLS_REFUSED_DISCONNECTED);
        own_close(&own);

        struct tls_credentials *serving =
            memory_fill(TLS_SERVER, root_text, NULL, server_text, leaf_key_text);
        tls_credentials_versions(serving, versions[1 - i], versions[1 - i]);
        assert_int_equal(tls_credentials_ready(serving), 0);
        own_open(&own, TLS_CLIENT, versions[i], client_text, &leaf_key);
        expect_outcomes("versions", tls_credentials_hold(own.credentials), serving,
                        TLS_REFUSED_NOT_COMMON, TLS_REFUSED_PEER_REFUSES);
        own_close(&own);
    }
}

static void test_a_client_that_trusts_nobody_trusts_nobody(void **state)
{
    (void)state;
    struct tls_credentials *calling = tls_credentials_new(TLS_CLIENT);
    assert_non_null(calling);
    assert_int_equal(tls_credentials_ready(calling), 0);
    expect_outcomes("no authorities", calling, server_credentials(NULL), TLS_REFUSED_PEER_REFUSES,
                    TLS_REFUSED_UNTRUSTED);
}

static void expect_from_bytes(const char *bytes, size_t length, enum tls_refusal refusal)
{
    struct tls_credentials *serving = server_credentials(NULL);
    struct tls_credentials *calling = client_credentials();
    struct memory_pair *pair = memory_open(calling, serving);
    memcpy(pair->wires[0].bytes, bytes, length);
    pair->wires[0].length = length;
    pair->wires[0].closed = true;
    memory_step(&pair->server);
    if (memory_outcome(&pair->server) != refusal) {
        fail_msg("%.10s...: %s (%s)", bytes, tls_refusal_text(memory_outcome(&pair->server)),
                 memory_error(pair->server.code));
    }
    assert_string_equal(pair->server.verify.detail, "");
    memory_close(pair);
    tls_credentials_release(calling);
    tls_credentials_release(serving);
}

static void test_what_is_no_tls(void **state)
{
    (void)state;
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char sp[] = "\0SP\0\0\x30\0\0";
    static const char alert[] = "\x15\x03\x03\0\x02\x02\x28"; /* handshake_failure */
    static const char empty_hello[] = "\x16\x03\x01\0\x04\x01\0\0\0";
    expect_from_bytes(http, sizeof http - 1, TLS_REFUSED_PROTOCOL);
    expect_from_bytes(sp, sizeof sp - 1, TLS_REFUSED_PROTOCOL);
    expect_from_bytes(alert, sizeof alert - 1, TLS_REFUSED_PEER_REFUSES);
    expect_from_bytes(empty_hello, sizeof empty_hello - 1, TLS_REFUSED_PROTOCOL);
    expect_from_bytes("", 0, TLS_REFUSED_DISCONNECTED);
    expect_from_bytes("\x16\x03", 2, TLS_REFUSED_DISCONNECTED);
}

/* With TLS 1.2 the client's certificate is sent in the clear. */
static void spoil_signature_kind(struct memory_wire *wire)
{
    static const uint8_t ecdsa[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    for (size_t i = 0; i + sizeof ecdsa <= wire->length; i++) {
        if (memcmp(wire->bytes + i, ecdsa, sizeof ecdsa) == 0) {
            wire->bytes[i + sizeof ecdsa - 1] = 0x7f;
        }
    }
}

static void spoil_version(struct memory_wire *wire)
{
    static const uint8_t version_3[] = {0xa0, 0x03, 0x02, 0x01, 0x02};
    for (size_t i = 0; i + sizeof version_3 <= wire->length; i++) {
        if (memcmp(wire->bytes + i, version_3, sizeof version_3) == 0) {
            wire->bytes[i + 4] = 9;
        }
    }
}

static void spoil_curve(struct memory_wire *wire)
{
    static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    for (size_t i = 0; i + sizeof p256 <= wire->length; i++) {
        if (memcmp(wire->bytes + i, p256, sizeof p256) == 0) {
            wire->bytes[i + sizeof p256 - 1] = 0x7f;
        }
    }
}

static void spoil_names(struct memory_wire *wire)
{
    static const uint8_t names[] = {0x06, 0x03, 0x55, 0x1d, 0x11, 0x04};
    for (size_t i = 0; i + sizeof names + 3 <= wire->length; i++) {
        if (memcmp(wire->bytes + i, names, sizeof names) == 0) {
            wire->bytes[i + sizeof names + 1] = 0x31; /* a SET of names */
        }
    }
}

static void test_certificates_that_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct memory_wire *wire);
        enum tls_refusal refusal;
        const char *detail;
    } rows[] = {
        {spoil_version, TLS_REFUSED_MALFORMED, ""},
        {spoil_names, TLS_REFUSED_MALFORMED, ""},
        {spoil_curve, TLS_REFUSED_BAD_KEY_OR_HASH, ""},
        /* mbedTLS leaves such a one out, and judges the nothing that is left. */
        {spoil_signature_kind, TLS_REFUSED_UNTRUSTED, "certificate of (no name) by (no name)"}};
    struct tls_credentials *serving = server_credentials(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct own own;
        own_open(&own, TLS_CLIENT, MBEDTLS_SSL_VERSION_TLS1_2, client_text, &leaf_key);
        struct memory_pair *pair = memory_open(own.credentials, serving);
        pair->wires[0].tamper = rows[i].spoil;
        memory_shake(pair);
        if (memory_outcome(&pair->server) != rows[i].refusal) {
            fail_msg("row %zu: %s (%s)", i, tls_refusal_text(memory_outcome(&pair->server)),
                     memory_error(pair->server.code));
        }
        assert_string_equal(pair->server.verify.detail, rows[i].detail);
        assert_string_equal(pair->server.verify.principal, "");
        memory_close(pair);
        own_close(&own);
    }
    tls_credentials_release(serving);
}

static void test_clients_that_go_away_at_any_step(void **state)
{
    (void)state;
    struct tls_credentials *serving = server_credentials(NULL);
    unsigned cut = 0;
    for (unsigned steps = 0; steps < 4; steps++) {
        for (size_t i = 0; i < 2; i++) {
            struct own own;
            own_open(&own, TLS_CLIENT, versions[i], client_text, &leaf_key);
            struct memory_pair *pair = memory_open(own.credentials, serving);
            for (unsigned step = 0; step < steps; step++) {
                memory_step(&pair->client);
                memory_step(&pair->server);
            }
            if (pair->server.code != 0) {
                pair->wires[0].closed = true;
                memory_step(&pair->server);
                assert_int_equal(memory_outcome(&pair->server), TLS_REFUSED_DISCONNECTED);
                cut++;
            }
            memory_close(pair);
            own_close(&own);
        }
    }
    tls_credentials_release(serving);
    assert_int_equal(cut, 4); /* before and after the hello, with either version */
}

static void test_codes_that_are_not_met_here(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum tls_refusal refusal;
    } rows[] = {
        {MBEDTLS_ERR_SSL_ALLOC_FAILED, TLS_REFUSED_NO_MEMORY},
        {MBEDTLS_ERR_X509_ALLOC_FAILED, TLS_REFUSED_NO_MEMORY},
        {MBEDTLS_ERR_PK_ALLOC_FAILED, TLS_REFUSED_NO_MEMORY},
        {MBEDTLS_ERR_MPI_ALLOC_FAILED, TLS_REFUSED_NO_MEMORY},
        {MBEDTLS_ERR_X509_INVALID_NAME + MBEDTLS_ERR_ASN1_ALLOC_FAILED, TLS_REFUSED_NO_MEMORY},
        {MBEDTLS_ERR_ECP_ALLOC_FAILED, TLS_REFUSED_NO_MEMORY},
        {MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY, TLS_REFUSED_DISCONNECTED},
        {MBEDTLS_ERR_X509_INVALID_DATE + MBEDTLS_ERR_ASN1_OUT_OF_DATA, TLS_REFUSED_MALFORMED},
        {MBEDTLS_ERR_PK_INVALID_PUBKEY, TLS_REFUSED_MALFORMED},
        {MBEDTLS_ERR_SSL_INTERNAL_ERROR, TLS_REFUSED_PROTOCOL},
        {-1, TLS_REFUSED_PROTOCOL},
    };
    struct tls_verify verify = {.refusal = TLS_ACCEPTED};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(tls_verify_outcome(&verify, rows[i].code), rows[i].refusal);
    }
    verify.refusal = TLS_REFUSED_EXPIRED; /* what the certificates were refused for comes first */
    assert_int_equal(tls_verify_outcome(&verify, MBEDTLS_ERR_SSL_CONN_EOF), TLS_REFUSED_EXPIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_client_is_known_by_its_name),
        cmocka_unit_test(test_a_client_without_a_certificate_is_refused),
        cmocka_unit_test(test_certificates_are_refused_for_what_tells_most),
        cmocka_unit_test(test_dates_are_told),
        cmocka_unit_test(test_chains_are_judged_at_every_depth),
        cmocka_unit_test(test_a_chain_that_is_too_long_is_not_believed),
        cmocka_unit_test(test_the_revoked_are_refused),
        cmocka_unit_test(test_a_list_counts_for_its_entries_whatever_its_date),
        cmocka_unit_test(test_without_spiffe_any_good_chain_will_do),
        cmocka_unit_test(test_clients_may_be_optional),
        cmocka_unit_test(test_servers_have_to_hold_the_name),
        cmocka_unit_test(test_nothing_in_common),
        cmocka_unit_test(test_a_client_that_trusts_nobody_trusts_nobody),
        cmocka_unit_test(test_what_is_no_tls),
        cmocka_unit_test(test_certificates_that_cannot_be_read),
        cmocka_unit_test(test_clients_that_go_away_at_any_step),
        cmocka_unit_test(test_codes_that_are_not_met_here),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
