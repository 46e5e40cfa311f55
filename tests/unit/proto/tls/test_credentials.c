#include "proto/tls/credentials.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/proto/tls/tls_cast.h"

/* Keys, each with a certificate or two. */
static struct mint_key next_key; /* the root's of tomorrow, under the same name */
static struct mint_key spare_key;

static char next_text[MINT_TEXT_MAX];
static char middle_text[MINT_TEXT_MAX]; /* serial 8 of the root */
static char spare_key_text[MINT_TEXT_MAX];

/* Both texts, one after the other; `to` has MINT_TEXT_MAX. */
static void join(char *to, const char *first, const char *second)
{
    assert_in_range(strlen(first) + strlen(second), 0, MINT_TEXT_MAX - 1);
    memmove(to, first, strlen(first) + 1);
    memcpy(to + strlen(to), second, strlen(second) + 1);
}

static int set_up(void **state)
{
    (void)state;
    cast_make();
    mint_key_make(&next_key, MINT_P256);
    mint_key_make(&spare_key, MINT_P256);
    mint_key_pem(spare_key_text, &spare_key);
    certify(next_text, "root", &next_key, "root", &next_key, 1, &authority);
    certify(middle_text, "middle", &middle_key, "root", &root_key, 8, &authority);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cast_free();
    mint_key_free(&next_key);
    mint_key_free(&spare_key);
    return 0;
}

static struct tls_credentials *server_credentials(void)
{
    return memory_credentials(TLS_SERVER, root_text, NULL, server_text, leaf_key_text);
}

static struct tls_credentials *client_credentials(void)
{
    return memory_credentials(TLS_CLIENT, root_text, NULL, client_text, leaf_key_text);
}

/* What the server makes of the client; of a good one, the client thinks well of the server, too. */
static enum tls_refusal meet(const struct tls_credentials *calling,
                             const struct tls_credentials *serving)
{
    struct memory_pair *pair = memory_open(calling, serving);
    memory_shake(pair);
    enum tls_refusal refusal = memory_outcome(&pair->server);
    if (refusal == TLS_ACCEPTED && memory_outcome(&pair->client) != TLS_ACCEPTED) {
        fail_msg("client: %s (%s)", tls_refusal_text(memory_outcome(&pair->client)),
                 pair->client.verify.detail);
    }
    memory_close(pair);
    return refusal;
}

static void lists_of(char *text, const char *issuer, struct mint_key *issuer_key,
                     const uint32_t *serials, size_t count)
{
    memory_list(
        text, &(struct mint_list){
                  .issuer = issuer, .issuer_key = issuer_key, .serials = serials, .count = count});
}

static mbedtls_x509_crt *parsed(const char *text)
{
    mbedtls_x509_crt *chain = malloc(sizeof *chain);
    assert_non_null(chain);
    mbedtls_x509_crt_init(chain);
    assert_int_equal(mbedtls_x509_crt_parse(chain, (const unsigned char *)text, strlen(text) + 1),
                     0);
    return chain;
}

static void parsed_free(mbedtls_x509_crt *chain)
{
    mbedtls_x509_crt_free(chain);
    free(chain);
}

/* --- What is wrong, and the way out --- */

typedef int setter(struct tls_credentials *credentials, const char *text, char *error,
                   size_t error_size);

static void expect_refusal(struct tls_credentials *credentials, setter *set, const char *text,
                           const char *what)
{
    char error[512] = "";
    if (set(credentials, text, error, sizeof error) == 0) {
        fail_msg("taken, though: %s", what);
    }
    if (strstr(error, what) == NULL || strchr(error, '\n') != NULL) {
        fail_msg("\"%s\" does not say: %s", error, what);
    }
    /* Never beyond the room that there is. */
    char little[16];
    memset(little, 'x', sizeof little);
    assert_int_equal(set(credentials, text, little, 8), -1);
    assert_int_equal(strnlen(little, sizeof little), 7);
    assert_int_equal(little[8], 'x');
}

#define TORN "-----BEGIN CERTIFICATE-----\nMIIBMDCB46ADAgEC\n"

static const char ed25519_text[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBMDCB46ADAgECAhRiuAnh3Y+hI6XBZScxuzMJJgyXFjAFBgMrZXAwDTELMAkG\n"
    "A1UEAwwCZWQwIBcNMjYxMTI1MTAzOTA2WhgPMjEyNjExMDExMDM5MDZaMA0xCzAJ\n"
    "BgNVBAMMAmVkMCowBQYDK2VwAyEAS+8zzYVIKMKSr9+fmyMFxrEABjFzuKnwJbch\n"
    "9oZ/3k2jUzBRMB0GA1UdDgQWBBQ7aRtC4CILZsSksiU7/LCpuA2qQjAfBgNVHSME\n"
    "GDAWgBQ7aRtC4CILZsSksiU7/LCpuA2qQjAPBgNVHRMBAf8EBTADAQH/MAUGAytl\n"
    "cANBALYQXyhnfTb6MOjfiZfOp+RUua1+LnrGPuYEUsJQ0tfsTo+oJzxLHuYaPilU\n"
    "CNGTh81s3I+6b+AcXoIRcw/M+wY=\n"
    "-----END CERTIFICATE-----\n";

static void test_authorities_that_are_refused(void **state)
{
    (void)state;
    struct der unsigning;
    char text[MINT_TEXT_MAX];
    struct tls_credentials *credentials = client_credentials();
    expect_refusal(credentials, tls_credentials_ca, "", "holds no certificate in PEM form");
    expect_refusal(credentials, tls_credentials_ca, leaf_key_text,
                   "holds no certificate in PEM form");
    expect_refusal(credentials, tls_credentials_ca, TORN, "certificate number 1 cannot be read");
    expect_refusal(credentials, tls_credentials_ca, client_text,
                   "the certificate of CN=client is no authority's");
    expect_refusal(credentials, tls_credentials_ca, ed25519_text,
                   "certificate number 1 cannot be read (X509 - Signature algorithm");

    certify(text, "a", &weak_key, "a", &weak_key, 1, &authority);
    expect_refusal(credentials, tls_credentials_ca, text,
                   "the authority CN=a has a key that is not accepted (RSA, 1024 bits)");
    certify(text, "a", &root_key, "a", &root_key, 1, NULL);
    expect_refusal(credentials, tls_credentials_ca, text, "CN=a is no authority's");
    unsigning.length = 0;
    mint_constraints(&unsigning, true, 0);
    mint_key_usage(&unsigning, MBEDTLS_X509_KU_CRL_SIGN);
    certify(text, "a", &root_key, "a", &root_key, 1, &unsigning);
    expect_refusal(credentials, tls_credentials_ca, text, "keyCertSign");

    /* Every one of several has to be good. */
    join(text, root_text, client_text);
    expect_refusal(credentials, tls_credentials_ca, text, "CN=client is no authority's");
    join(text, root_text, TORN);
    expect_refusal(credentials, tls_credentials_ca, text, "certificate number 2 cannot be read");
    join(text, TORN, root_text);
    expect_refusal(credentials, tls_credentials_ca, text, "certificate number 1 cannot be read");
    tls_credentials_release(credentials);
}

static void test_certificates_that_are_refused(void **state)
{
    (void)state;
    char text[MINT_TEXT_MAX];
    struct tls_credentials *credentials = memory_fill(TLS_SERVER, root_text, NULL, NULL, NULL);
    expect_refusal(credentials, tls_credentials_cert, "", "holds no certificate in PEM form");
    certify(text, "s", &rsa_key, "root", &root_key, 1, &server);
    expect_refusal(credentials, tls_credentials_cert, text,
                   "the certificate's key (RSA, 2048 bits) is not for ECDSA on the curve P-256");
    certify(text, "s", &p384_key, "root", &root_key, 1, &server);
    expect_refusal(credentials, tls_credentials_cert, text,
                   "(EC, secp384r1) is not for ECDSA on the curve P-256");
    expect_refusal(credentials, tls_credentials_cert, client_text,
                   "is not made for a server: have one issued whose key usage has "
                   "digitalSignature and whose extended key usage has serverAuth");
    join(text, server_text, TORN);
    expect_refusal(credentials, tls_credentials_cert, text, "certificate number 2 cannot be read");
    tls_credentials_release(credentials);

    /* A client's is for its server to judge. */
    credentials = memory_fill(TLS_CLIENT, root_text, NULL, server_text, leaf_key_text);
    tls_credentials_release(credentials);
}

/* Made with openssl pkcs8 -topk8, and openssl ec -aes128. */
static const char encrypted_text[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIHrMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAhv6IFFLK+/+wIBATAM\n"
    "BggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBAgQQjvoql4D3hA8BcblCH9e2XgSBkIRY\n"
    "u7hr8t/vLpRCXcwkWDs+zfDC6cpNSreSQ7kkzhtXrFBs2YTaTwcDDhgejKM9yWgb\n"
    "x4yQ5MMDiTz54ZcTnFrJm5F5Z1RVWrPeckWuwAzquyPE30cBxagNthTVH2Vh8jO7\n"
    "/EvgxkYFH1TIGCgvP5sDRTPd29gGrUXIaMz1fytfNCyuwUuCsdAiozuiAuWpqQ==\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char encrypted_of_old_text[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "Proc-Type: 4,ENCRYPTED\n"
    "DEK-Info: AES-128-CBC,6B8EF6A6B9D77B9A38E66682D0D9D027\n"
    "\n"
    "9QSFz0nAEu6D79QWWI7n1ieVTiOXCTH+yrrdJYNYnqPNR2kVab4WB4o7ceshPS0k\n"
    "zNP9HleOaRDlofBgLnCRiCs4dOAixBydiT0J3wEAjoIuseEp0wGs8ku9TNXSiYtA\n"
    "pE1fqw0AxNUlDXdcNLJ+IDUT0+Tcl9utGa+2dYpflVw=\n"
    "-----END EC PRIVATE KEY-----\n";

static void test_keys_that_are_refused(void **state)
{
    (void)state;
    char text[MINT_TEXT_MAX];
    struct tls_credentials *credentials = memory_fill(TLS_SERVER, root_text, NULL, NULL, NULL);
    expect_refusal(credentials, tls_credentials_key, leaf_key_text,
                   "is not the key of the certificate");
    tls_credentials_release(credentials);

    credentials = memory_fill(TLS_SERVER, root_text, NULL, server_text, NULL);
    expect_refusal(credentials, tls_credentials_key, "", "holds no private key in PEM form");
    expect_refusal(credentials, tls_credentials_key, server_text,
                   "holds no private key in PEM form that can be read");
    expect_refusal(credentials, tls_credentials_key, encrypted_text,
                   "is encrypted, and passwords are not supported: decrypt it with openssl pkey");
    expect_refusal(credentials, tls_credentials_key, encrypted_of_old_text,
                   "is encrypted, and passwords are not supported: decrypt it with openssl pkey");
    expect_refusal(credentials, tls_credentials_key, spare_key_text,
                   "is not the key of the certificate");
    text[0] = '\0';
    mint_key_pem(text, &rsa_key);
    expect_refusal(credentials, tls_credentials_key, text, "is not the key of the certificate");
    tls_credentials_release(credentials);

    /* An authority that stands first, as in some tools' bundles. */
    credentials = memory_fill(TLS_CLIENT, root_text, NULL, NULL, NULL);
    char error[512];
    join(text, root_text, client_text);
    assert_int_equal(tls_credentials_cert(credentials, text, error, sizeof error), 0);
    expect_refusal(credentials, tls_credentials_key, leaf_key_text, "is not the first in its file");
    tls_credentials_release(credentials);
}

static void test_lists_that_are_refused(void **state)
{
    (void)state;
    static const uint32_t two[] = {1000, 1001};
    char text[MINT_TEXT_MAX] = "";
    char good[MINT_TEXT_MAX] = "";
    char unsigning_text[MINT_TEXT_MAX];
    struct der unsigning = {0};
    lists_of(good, "root", &root_key, two, 2);
    struct tls_credentials *credentials = memory_fill(TLS_SERVER, root_text, good, NULL, NULL);

    expect_refusal(credentials, tls_credentials_crl, "", "holds no list of revocations");
    expect_refusal(credentials, tls_credentials_crl, root_text, "holds no list of revocations");
    lists_of(text, "other", &spare_key, two, 2);
    expect_refusal(credentials, tls_credentials_crl, text,
                   "the list of revocations by CN=other is by none of the authorities");
    text[0] = '\0';
    lists_of(text, "root", &spare_key, two, 2);
    expect_refusal(credentials, tls_credentials_crl, text,
                   "CN=root is not signed by the key of its issuer's certificate");
    text[0] = '\0';
    memory_list(text, &(struct mint_list){.issuer = "root",
                                          .issuer_key = &root_key,
                                          .hash = MBEDTLS_MD_SHA1,
                                          .serials = two,
                                          .count = 2});
    expect_refusal(credentials, tls_credentials_crl, text,
                   "CN=root is signed with a hash older than SHA-256");

    /* One bad one among several, in either place; and one that is not whole. */
    join(text, good, "");
    lists_of(text, "other", &spare_key, two, 2);
    expect_refusal(credentials, tls_credentials_crl, text, "CN=other is by none");
    text[0] = '\0';
    lists_of(text, "other", &spare_key, two, 2);
    join(text, text, good);
    expect_refusal(credentials, tls_credentials_crl, text, "CN=other is by none");
    join(text, good, "-----BEGIN X509 CRL-----\nMIIB");
    expect_refusal(credentials, tls_credentials_crl, text,
                   "list of revocations number 2 cannot be read");
    tls_credentials_release(credentials);

    mint_constraints(&unsigning, true, 0);
    mint_key_usage(&unsigning, MBEDTLS_X509_KU_KEY_CERT_SIGN);
    certify(unsigning_text, "root", &root_key, "root", &root_key, 1, &unsigning);
    credentials = memory_fill(TLS_SERVER, unsigning_text, NULL, NULL, NULL);
    expect_refusal(credentials, tls_credentials_crl, good, "cRLSign");
    tls_credentials_release(credentials);

    credentials = tls_credentials_new(TLS_SERVER); /* without any authority */
    assert_non_null(credentials);
    expect_refusal(credentials, tls_credentials_crl, good, "is by none of the authorities");
    tls_credentials_release(credentials);
}

/* --- Replacing --- */

static void test_what_is_refused_changes_nothing(void **state)
{
    (void)state;
    char error[512];
    char crl[MINT_TEXT_MAX] = "";
    struct tls_description before;
    struct tls_description after;
    lists_of(crl, "root", &root_key, (const uint32_t[]){1000}, 1);
    struct tls_credentials *serving =
        memory_fill(TLS_SERVER, root_text, crl, server_text, leaf_key_text);
    tls_credentials_describe(serving, &before);
    assert_int_equal(tls_credentials_ca(serving, client_text, error, sizeof error), -1);
    assert_int_equal(tls_credentials_crl(serving, "", error, sizeof error), -1);
    assert_int_equal(tls_credentials_cert(serving, client_text, error, sizeof error), -1);
    assert_int_equal(tls_credentials_key(serving, spare_key_text, error, sizeof error), -1);
    tls_credentials_describe(serving, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(after.crl_count, 1);
    assert_int_equal(tls_credentials_ready(serving), 0);
    struct tls_credentials *calling = client_credentials();
    assert_int_equal(meet(calling, serving), TLS_ACCEPTED);
    tls_credentials_release(calling);
    tls_credentials_release(serving);
}

static void test_what_came_before_is_replaced(void **state)
{
    (void)state;
    char error[512];
    char crl[MINT_TEXT_MAX] = "";
    char text[MINT_TEXT_MAX];
    struct tls_description description;
    lists_of(crl, "root", &root_key, (const uint32_t[]){3}, 1);
    struct tls_credentials *serving =
        memory_fill(TLS_SERVER, root_text, crl, server_text, leaf_key_text);

    /* Another certificate, with another key: the old one went with the old certificate. */
    certify(text, "renewed", &spare_key, "root", &root_key, 20, &server);
    assert_int_equal(tls_credentials_cert(serving, text, error, sizeof error), 0);
    assert_int_equal(tls_credentials_key(serving, leaf_key_text, error, sizeof error), -1);
    assert_int_equal(tls_credentials_key(serving, spare_key_text, error, sizeof error), 0);
    /* Other authorities: the lists of the old ones went with them. */
    assert_int_equal(tls_credentials_ca(serving, root_text, error, sizeof error), 0);
    tls_credentials_describe(serving, &description);
    assert_int_equal(description.crl_count, 0);
    assert_string_equal(description.own.subject, "CN=renewed");
    /* A list, another one, and none. */
    assert_int_equal(tls_credentials_crl(serving, crl, error, sizeof error), 0);
    lists_of(crl, "root", &root_key, NULL, 0);
    assert_int_equal(tls_credentials_crl(serving, crl, error, sizeof error), 0);
    tls_credentials_describe(serving, &description);
    assert_int_equal(description.crl_count, 2);
    assert_int_equal(description.crl_entries, 1);
    assert_int_equal(tls_credentials_crl(serving, NULL, error, sizeof error), 0);

    assert_int_equal(tls_credentials_ready(serving), 0);
    struct tls_credentials *calling = client_credentials();
    assert_int_equal(meet(calling, serving), TLS_ACCEPTED);
    tls_credentials_release(calling);
    tls_credentials_release(serving);
}

/* The old key would sign for a certificate that is not its own. */
static void test_a_certificate_without_its_key_is_not_used(void **state)
{
    (void)state;
    char error[512];
    char text[MINT_TEXT_MAX];
    struct tls_credentials *calling = client_credentials();
    struct tls_credentials *serving =
        memory_fill(TLS_SERVER, root_text, NULL, server_text, leaf_key_text);
    certify(text, "renewed", &spare_key, "root", &root_key, 20, &server);
    assert_int_equal(tls_credentials_cert(serving, text, error, sizeof error), 0);
    assert_int_equal(tls_credentials_ready(serving), 0);
    assert_int_equal(meet(calling, serving), TLS_REFUSED_NOT_COMMON);
    tls_credentials_release(calling);
    tls_credentials_release(serving);
}

/* --- Whom authorities of each kind may sign for --- */

static void expect_authority(struct mint_key *key, mbedtls_md_type_t hash)
{
    char ca[MINT_TEXT_MAX] = "";
    char texts[2][MINT_TEXT_MAX] = {"", ""};
    char crl[MINT_TEXT_MAX] = "";
    struct mint_order order = {.subject = "authority",
                               .issuer = "authority",
                               .key = key,
                               .issuer_key = key,
                               .hash = hash,
                               .extensions = &authority};
    memory_issue(ca, &order);
    order.key = &leaf_key;
    order.extensions = &server;
    memory_issue(texts[TLS_SERVER], &order);
    order.serial = 9;
    order.extensions = &client;
    memory_issue(texts[TLS_CLIENT], &order);
    struct mint_list list = {.issuer = "authority",
                             .issuer_key = key,
                             .hash = hash,
                             .serials = (const uint32_t[]){9},
                             .count = 1};
    memory_list(crl, &list);
    for (size_t i = 0; i < 4; i++) {
        struct tls_credentials *serving = memory_credentials(TLS_SERVER, ca, i < 2 ? NULL : crl,
                                                             texts[TLS_SERVER], leaf_key_text);
        struct tls_credentials *calling =
            memory_fill(TLS_CLIENT, ca, NULL, texts[TLS_CLIENT], leaf_key_text);
        tls_credentials_versions(calling, versions[i % 2], versions[i % 2]);
        assert_int_equal(tls_credentials_ready(calling), 0);
        assert_int_equal(meet(calling, serving), i < 2 ? TLS_ACCEPTED : TLS_REFUSED_REVOKED);
        tls_credentials_release(calling);
        tls_credentials_release(serving);
    }
}

static void test_authorities_of_each_kind(void **state)
{
    (void)state;
    expect_authority(&root_key, MBEDTLS_MD_SHA256);
    expect_authority(&root_key, MBEDTLS_MD_SHA512);
    expect_authority(&p384_key, MBEDTLS_MD_SHA384);
    expect_authority(&rsa_key, MBEDTLS_MD_SHA256);
    expect_authority(&rsa_key, MBEDTLS_MD_SHA512);
}

/* What mbedTLS gets wrong with lists (see revocation.h): a certificate under the authority's old
 * key, the list signed with the new one. */
static void test_an_authority_with_two_keys(void **state)
{
    (void)state;
    char ca[MINT_TEXT_MAX];
    char crl[MINT_TEXT_MAX] = "";
    char revoked_text[MINT_TEXT_MAX];
    join(ca, root_text, next_text);
    lists_of(crl, "root", &next_key, (const uint32_t[]){33}, 1);
    certify(revoked_text, "client", &leaf_key, "root", &root_key, 33, &client);
    struct tls_credentials *serving =
        memory_credentials(TLS_SERVER, ca, crl, server_text, leaf_key_text);
    struct tls_credentials *good = client_credentials();
    struct tls_credentials *revoked =
        memory_credentials(TLS_CLIENT, root_text, NULL, revoked_text, leaf_key_text);
    assert_int_equal(meet(good, serving), TLS_ACCEPTED);
    assert_int_equal(meet(revoked, serving), TLS_REFUSED_REVOKED);
    tls_credentials_release(good);
    tls_credentials_release(revoked);
    tls_credentials_release(serving);
}

static void test_several_lists(void **state)
{
    (void)state;
    char ca[MINT_TEXT_MAX];
    char crl[MINT_TEXT_MAX] = "";
    char chain[MINT_TEXT_MAX];
    join(ca, root_text, middle_text);
    lists_of(crl, "root", &root_key, (const uint32_t[]){1000}, 1);
    lists_of(crl, "MIDDLE", &middle_key, (const uint32_t[]){3, 4}, 2); /* names in other letters */
    struct tls_credentials *credentials = memory_credentials(TLS_SERVER, ca, crl, NULL, NULL);
    certify(chain, "c", &leaf_key, "middle", &middle_key, 4, &client);
    mbedtls_x509_crt *listed = parsed(chain);
    assert_ptr_equal(tls_credentials_revoked(credentials, listed), listed);
    parsed_free(listed);
    /* The root's number 3 is not middle's. */
    mbedtls_x509_crt *other = parsed(client_text);
    assert_null(tls_credentials_revoked(credentials, other));
    parsed_free(other);
    assert_null(tls_credentials_revoked(credentials, NULL));
    tls_credentials_release(credentials);
}

static void test_each_entry_of_a_long_list_is_found(void **state)
{
    (void)state;
    enum { COUNT = 180 }; /* what fits the mint */
    static uint32_t serials[COUNT];
    char crl[MINT_TEXT_MAX] = "";
    for (uint32_t i = 0; i < COUNT; i++) { /* odd, of one to four bytes, not in order */
        uint32_t wild = i * 2654435761u | 1;
        serials[i] = (wild >> (i % 4 * 8)) | 1;
    }
    lists_of(crl, "root", &root_key, serials, COUNT);
    struct tls_credentials *credentials =
        memory_credentials(TLS_SERVER, root_text, crl, NULL, NULL);
    struct tls_description description;
    tls_credentials_describe(credentials, &description);
    assert_int_equal(description.crl_entries, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        char text[MINT_TEXT_MAX];
        for (uint32_t even = 0; even < 2; even++) {
            certify(text, "c", &leaf_key, "root", &root_key, serials[i] + even, &client);
            mbedtls_x509_crt *one = parsed(text);
            assert_ptr_equal(tls_credentials_revoked(credentials, one), even == 0 ? one : NULL);
            parsed_free(one);
        }
    }
    tls_credentials_release(credentials);
}

/* mbedTLS would believe it, since it is given as an authority. */
static void test_an_authority_that_is_revoked_itself_is_none(void **state)
{
    (void)state;
    char ca[MINT_TEXT_MAX];
    char crl[MINT_TEXT_MAX] = "";
    char alone[MINT_TEXT_MAX];
    char with[MINT_TEXT_MAX];
    certify(alone, "c", &leaf_key, "middle", &middle_key, 40, &client);
    join(with, alone, middle_text);
    lists_of(crl, "root", &root_key, (const uint32_t[]){8, 1}, 2); /* 1: the root itself */
    for (int middle_first = 0; middle_first < 2; middle_first++) {
        join(ca, middle_first ? middle_text : root_text, middle_first ? root_text : middle_text);
        for (int with_list = 0; with_list < 2; with_list++) {
            struct tls_credentials *serving = memory_credentials(
                TLS_SERVER, ca, with_list ? crl : NULL, server_text, leaf_key_text);
            struct tls_credentials *calling =
                memory_credentials(TLS_CLIENT, root_text, NULL, alone, leaf_key_text);
            struct tls_credentials *complete =
                memory_credentials(TLS_CLIENT, root_text, NULL, with, leaf_key_text);
            struct tls_credentials *direct = client_credentials();
            assert_int_equal(meet(calling, serving),
                             with_list ? TLS_REFUSED_UNTRUSTED : TLS_ACCEPTED);
            assert_int_equal(meet(complete, serving),
                             with_list ? TLS_REFUSED_REVOKED : TLS_ACCEPTED);
            assert_int_equal(meet(direct, serving), TLS_ACCEPTED);
            tls_credentials_release(direct);
            tls_credentials_release(complete);
            tls_credentials_release(calling);
            tls_credentials_release(serving);
        }
    }
}

/* --- Description --- */

static void expect_around(uint64_t ms, long from_now_s)
{
    uint64_t expected = (uint64_t)(time(NULL) + from_now_s) * 1000;
    assert_in_range(ms, expected - 60000, expected + 60000);
}

static void test_description(void **state)
{
    (void)state;
    char ca[MINT_TEXT_MAX] = "";
    char crl[MINT_TEXT_MAX] = "";
    char cert[MINT_TEXT_MAX] = "";
    struct tls_description description;
    struct mint_order order = {.subject = "soon",
                               .issuer = "soon",
                               .key = &spare_key,
                               .issuer_key = &spare_key,
                               .from_s = -MEMORY_DAY,
                               .until_s = 3 * MEMORY_DAY,
                               .extensions = &authority};
    join(ca, middle_text, ""); /* until tomorrow */
    memory_issue(ca, &order);
    order = (struct mint_order){.subject = "server",
                                .issuer = "soon",
                                .key = &leaf_key,
                                .issuer_key = &spare_key,
                                .from_s = -MEMORY_DAY,
                                .until_s = 9 * MEMORY_DAY,
                                .extensions = &server};
    memory_issue(cert, &order);
    struct mint_list list = {.issuer = "soon",
                             .issuer_key = &spare_key,
                             .from_s = -MEMORY_DAY,
                             .until_s = 5 * MEMORY_DAY,
                             .serials = (const uint32_t[]){1, 2, 300},
                             .count = 3};
    memory_list(crl, &list);
    list = (struct mint_list){.issuer = "middle",
                              .issuer_key = &middle_key,
                              .from_s = -3 * MEMORY_DAY,
                              .until_s = -2 * MEMORY_DAY};
    memory_list(crl, &list);
    struct tls_credentials *credentials =
        memory_credentials(TLS_SERVER, ca, crl, cert, leaf_key_text);
    tls_credentials_describe(credentials, &description);
    assert_string_equal(description.own.subject, "CN=server");
    expect_around(description.own.not_after_ms, 9 * MEMORY_DAY);
    assert_string_equal(description.ca.subject, "CN=middle");
    expect_around(description.ca.not_after_ms, MEMORY_DAY);
    assert_int_equal(description.crl_count, 2);
    assert_int_equal(description.crl_entries, 3);
    assert_string_equal(description.crl_issuer, "CN=middle");
    expect_around(description.crl_next_update_ms, -2 * MEMORY_DAY);
    assert_int_equal(tls_credentials_role(credentials), TLS_SERVER);
    assert_int_equal(tls_credentials_required(credentials), TLS_AUTH_REQUIRED);
    tls_credentials_release(credentials);

    /* An intermediate may be the first to end; and a name may be empty. */
    cert[0] = '\0';
    order.subject = "";
    memory_issue(cert, &order);
    join(cert, cert, middle_text);
    credentials = memory_credentials(TLS_SERVER, root_text, NULL, cert, leaf_key_text);
    tls_credentials_describe(credentials, &description);
    assert_string_equal(description.own.subject, "CN=middle");
    expect_around(description.own.not_after_ms, MEMORY_DAY);
    assert_int_equal(description.crl_count, 0);
    assert_int_equal(description.crl_next_update_ms, 0);
    assert_string_equal(description.crl_issuer, "");
    tls_credentials_release(credentials);

    credentials = tls_credentials_new(TLS_CLIENT);
    assert_non_null(credentials);
    tls_credentials_describe(credentials, &description);
    assert_string_equal(description.own.subject, "");
    assert_string_equal(description.ca.subject, "");
    tls_credentials_release(credentials);
}

/* --- Threads --- */

enum { THREADS = 4 };

static unsigned times(unsigned standing)
{
    const char *n = getenv("N");
    return standing * (n == NULL ? 1 : (unsigned)strtoul(n, NULL, 10));
}

struct crowd {
    pthread_barrier_t barrier;
    pthread_mutex_t lock;
    struct tls_credentials *serving; /* in force */
    struct tls_credentials *calling;
    unsigned rounds;
    atomic_uint met;
    atomic_bool done;
};

/* Everybody at once against credentials that nobody has used before. */
static void *meet_fresh(void *context)
{
    struct crowd *crowd = context;
    for (unsigned i = 0; i < crowd->rounds; i++) {
        bool leads = pthread_barrier_wait(&crowd->barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
        if (leads) {
            crowd->serving = server_credentials();
            crowd->calling = client_credentials();
        }
        (void)pthread_barrier_wait(&crowd->barrier);
        atomic_fetch_add(&crowd->met, meet(crowd->calling, crowd->serving) == TLS_ACCEPTED);
        if (pthread_barrier_wait(&crowd->barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
            tls_credentials_release(crowd->serving);
            tls_credentials_release(crowd->calling);
        }
    }
    return NULL;
}

static void run_all(struct crowd *crowd, void *(*run)(void *))
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run, crowd), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void test_threads_at_fresh_credentials(void **state)
{
    (void)state;
    struct crowd crowd = {.rounds = times(20)};
    assert_int_equal(pthread_barrier_init(&crowd.barrier, NULL, THREADS), 0);
    run_all(&crowd, meet_fresh);
    assert_int_equal(atomic_load(&crowd.met), crowd.rounds * THREADS);
    assert_int_equal(pthread_barrier_destroy(&crowd.barrier), 0);
}

/* Takes what is in force for each meeting, as a connection does. */
static void *meet_changing(void *context)
{
    struct crowd *crowd = context;
    for (unsigned i = 0; i < crowd->rounds; i++) {
        (void)pthread_mutex_lock(&crowd->lock);
        struct tls_credentials *serving = tls_credentials_hold(crowd->serving);
        (void)pthread_mutex_unlock(&crowd->lock);
        atomic_fetch_add(&crowd->met, meet(crowd->calling, serving) == TLS_ACCEPTED);
        tls_credentials_release(serving);
    }
    return NULL;
}

static void *change(void *context)
{
    struct crowd *crowd = context;
    while (!atomic_load(&crowd->done)) {
        struct tls_credentials *fresh = server_credentials();
        (void)pthread_mutex_lock(&crowd->lock);
        struct tls_credentials *old = crowd->serving;
        crowd->serving = fresh;
        (void)pthread_mutex_unlock(&crowd->lock);
        tls_credentials_release(old);
    }
    return NULL;
}

static void test_reload_beside_connections(void **state)
{
    (void)state;
    struct crowd crowd = {.rounds = times(20)};
    pthread_t changer;
    assert_int_equal(pthread_mutex_init(&crowd.lock, NULL), 0);
    crowd.serving = server_credentials();
    crowd.calling = client_credentials();
    assert_int_equal(pthread_create(&changer, NULL, change, &crowd), 0);
    run_all(&crowd, meet_changing);
    atomic_store(&crowd.done, true);
    assert_int_equal(pthread_join(changer, NULL), 0);
    assert_int_equal(atomic_load(&crowd.met), crowd.rounds * THREADS);
    tls_credentials_release(crowd.serving);
    tls_credentials_release(crowd.calling);
    tls_credentials_release(NULL);
    assert_int_equal(pthread_mutex_destroy(&crowd.lock), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorities_that_are_refused),
        cmocka_unit_test(test_certificates_that_are_refused),
        cmocka_unit_test(test_keys_that_are_refused),
        cmocka_unit_test(test_lists_that_are_refused),
        cmocka_unit_test(test_what_is_refused_changes_nothing),
        cmocka_unit_test(test_what_came_before_is_replaced),
        cmocka_unit_test(test_a_certificate_without_its_key_is_not_used),
        cmocka_unit_test(test_authorities_of_each_kind),
        cmocka_unit_test(test_an_authority_with_two_keys),
        cmocka_unit_test(test_several_lists),
        cmocka_unit_test(test_each_entry_of_a_long_list_is_found),
        cmocka_unit_test(test_an_authority_that_is_revoked_itself_is_none),
        cmocka_unit_test(test_description),
        cmocka_unit_test(test_threads_at_fresh_credentials),
        cmocka_unit_test(test_reload_beside_connections),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
