#include "proto/tls/suite.h"

#include "tests/unit/proto/tls/tls_memory.h"

static struct mint_key root_key;
static struct mint_key leaf_key;
static char root_text[MINT_TEXT_MAX];
static char key_text[MINT_TEXT_MAX];
static char cert_texts[2][MINT_TEXT_MAX]; /* by role */

static int set_up(void **state)
{
    (void)state;
    struct der authority;
    struct der leaf;
    mint_key_make(&root_key, MINT_P256);
    mint_key_make(&leaf_key, MINT_P256);
    mint_key_pem(key_text, &leaf_key);
    memory_authority(&authority);
    memory_issue(root_text, &(struct mint_order){.subject = "root",
                                                 .issuer = "root",
                                                 .key = &root_key,
                                                 .issuer_key = &root_key,
                                                 .extensions = &authority});
    for (int role = 0; role < 2; role++) {
        if (role == TLS_SERVER) {
            memory_leaf(&leaf, MINT_FOR_SERVER, NULL, "localhost");
        } else {
            memory_leaf(&leaf, MINT_FOR_CLIENT, MEMORY_CLIENT, NULL);
        }
        memory_issue(cert_texts[role], &(struct mint_order){.subject = "leaf",
                                                            .issuer = "root",
                                                            .key = &leaf_key,
                                                            .issuer_key = &root_key,
                                                            .extensions = &leaf});
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mint_key_free(&root_key);
    mint_key_free(&leaf_key);
    return 0;
}

static struct tls_credentials *of_role(enum tls_role role)
{
    return memory_credentials(role, root_text, NULL, cert_texts[role], key_text);
}

/* For what a foreign client may want. */
static mbedtls_ssl_config *settings_of(struct tls_credentials *credentials)
{
    return (mbedtls_ssl_config *)(uintptr_t)tls_credentials_config(credentials);
}

static void test_names_and_numbers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TLS_SUITE_COUNT; i++) {
        assert_int_equal(tls_suite_index(tls_suite_ids[i]), i);
        /* mbedTLS spells them with hyphens, and TLS1-3. */
        char name[64] = "";
        const char *known = mbedtls_ssl_get_ciphersuite_name(tls_suite_ids[i]);
        snprintf(name, sizeof name, "TLS%s", known + strlen(i < 3 ? "TLS1-3" : "TLS"));
        for (char *c = name; *c != '\0'; c++) {
            *c = *c == '-' ? '_' : *c;
        }
        assert_string_equal(tls_suite_name(i), name);
        assert_string_equal(tls_suite_version(i), i < 3 ? "1.3" : "1.2");
    }
    assert_int_equal(tls_suite_ids[TLS_SUITE_COUNT], 0);
    assert_int_equal(tls_suite_index(0), TLS_SUITE_COUNT);
    assert_int_equal(tls_suite_index(MBEDTLS_TLS_RSA_WITH_AES_128_CBC_SHA), TLS_SUITE_COUNT);
    assert_string_equal(tls_suite_name(TLS_SUITE_COUNT), "");
    assert_string_equal(tls_suite_version(TLS_SUITE_COUNT), "");
}

/* A record each way, so that the suite is really used. */
static void expect_talk(struct memory_pair *pair)
{
    unsigned char heard[16] = {0};
    assert_int_equal(mbedtls_ssl_write(&pair->client.ssl, (const unsigned char *)"ping", 4), 4);
    assert_int_equal(mbedtls_ssl_read(&pair->server.ssl, heard, sizeof heard), 4);
    assert_memory_equal(heard, "ping", 4);
    assert_int_equal(mbedtls_ssl_write(&pair->server.ssl, (const unsigned char *)"pong", 4), 4);
    /* No ticket comes before it. */
    assert_int_equal(mbedtls_ssl_read(&pair->client.ssl, heard, sizeof heard), 4);
    assert_memory_equal(heard, "pong", 4);
}

/* The index of what is negotiated by a client that offers these. */
static unsigned negotiate(const int *suites, const uint16_t *groups,
                          mbedtls_ssl_protocol_version least, mbedtls_ssl_protocol_version most)
{
    struct tls_credentials *serving = of_role(TLS_SERVER);
    struct tls_credentials *calling = of_role(TLS_CLIENT);
    if (suites != NULL) {
        mbedtls_ssl_conf_ciphersuites(settings_of(calling), suites);
    }
    if (groups != NULL) {
        mbedtls_ssl_conf_groups(settings_of(calling), groups);
    }
    mbedtls_ssl_conf_min_tls_version(settings_of(calling), least);
    mbedtls_ssl_conf_max_tls_version(settings_of(calling), most);
    struct memory_pair *pair = memory_open(calling, serving);
    memory_shake(pair);
    if (pair->client.code != 0 || pair->server.code != 0) {
        fail_msg("client: %s, server: %s", memory_error(pair->client.code),
                 memory_error(pair->server.code));
    }
    expect_talk(pair);
    unsigned index = tls_suite_index(mbedtls_ssl_get_ciphersuite_id_from_ssl(&pair->server.ssl));
    assert_in_range(index, 0, TLS_SUITE_COUNT - 1);
    assert_string_equal(mbedtls_ssl_get_version(&pair->client.ssl) + strlen("TLSv"),
                        tls_suite_version(index));
    memory_close(pair);
    tls_credentials_release(calling);
    tls_credentials_release(serving);
    return index;
}

static void test_each_suite_with_each_group(void **state)
{
    (void)state;
    static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                      MBEDTLS_SSL_IANA_TLS_GROUP_X25519};
    for (unsigned i = 0; i < TLS_SUITE_COUNT; i++) {
        const int only[] = {tls_suite_ids[i], 0};
        mbedtls_ssl_protocol_version version =
            i < 3 ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2;
        for (size_t g = 0; g < 2; g++) {
            /* With TLS 1.2 the list holds the certificates' curve, too. */
            const uint16_t group[] = {groups[g], MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, 0};
            assert_int_equal(negotiate(only, group, version, version), i);
        }
    }
}

static void test_two_of_ours_take_the_best(void **state)
{
    (void)state;
    assert_int_equal(negotiate(NULL, NULL, MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3),
                     0);
    assert_int_equal(negotiate(NULL, NULL, MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_2),
                     3);
}

/* With TLS 1.2 the server's order counts; with 1.3 mbedTLS 3.6 follows the client's. */
static void test_whose_order_counts(void **state)
{
    (void)state;
    static const int reversed[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                                   MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                   MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                                   MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
                                   MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
                                   MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
                                   0};
    assert_int_equal(
        negotiate(reversed, NULL, MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_2), 3);
    assert_int_equal(
        negotiate(reversed, NULL, MBEDTLS_SSL_VERSION_TLS1_3, MBEDTLS_SSL_VERSION_TLS1_3), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_numbers),
        cmocka_unit_test(test_each_suite_with_each_group),
        cmocka_unit_test(test_two_of_ours_take_the_best),
        cmocka_unit_test(test_whose_order_counts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
