/* Every kind of bad certificate that we could think of, each shown in a handshake by a client of
 * bare mbedTLS that would show anything, with TLS 1.2 and 1.3, to a listener of ours: it is refused
 * for its reason, once, with a detail that helps, and what the client says never arrives, while
 * good clients come and go before and after. */
#include <netinet/tcp.h>

#include "tests/unit/proto/tls/mint.h"
#include "tests/unit/proto/tls/tls_raw.h"

#define ID SCENE_CLIENT

#define URI(text)                                                                                  \
    {                                                                                              \
        DER_URI, text, 0                                                                           \
    }
#define DNS(text)                                                                                  \
    {                                                                                              \
        DER_DNS, text, 0                                                                           \
    }
#define BYTES(t, all)                                                                              \
    {                                                                                              \
        t, all, sizeof(all) - 1                                                                    \
    }
#define NAMED(...) .leaf = {.names = {__VA_ARGS__}}
#define VALUE(all) .leaf = {.names_value = (all), .names_length = sizeof(all) - 1}

/* --- Who signs --- */

enum signer {
    ROOT = 0,
    RSA_ROOT,
    INTERMEDIATE,
    INTERMEDIATE_2, /* below it */
    NARROW,         /* no authority may be below it, but is */
    BELOW_NARROW,
    NO_AUTHORITY,
    UNSAID,
    VERSION_1,
    NOT_FOR_CERTIFICATES,
    EXPIRED,
    FUTURE,
    REVOKED,
    BELOW_REVOKED,
    WEAK,
    OLD_HASH,
    CONSTRAINED,
    OTHER_ROOT,
    OTHER_INTERMEDIATE,
    IMPOSTOR,
    LEAF_ITSELF,
    SIGNERS
};

enum { HOUR = 3600, DAY = 24 * HOUR, REVOKED_SERIAL = 66, LONG_REVOKED_SERIAL = 67 };

#define AUTHORITY                                                                                  \
    {                                                                                              \
        .authority = 1, .usage = MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN,         \
        .purposes = MINT_LEFT_OUT                                                                  \
    }

static const struct signing {
    const char *name;
    enum signer by; /* itself: a root */
    enum mint_kind kind;
    mbedtls_md_type_t hash;
    uint32_t serial;
    long from_s;
    long until_s;
    struct mint_leaf leaf;
    bool version_1;
} signings[SIGNERS] = {
    [ROOT] = {.name = "root", .by = ROOT, .leaf = AUTHORITY},
    [RSA_ROOT] = {.name = "rsa", .by = RSA_ROOT, .kind = MINT_RSA_2048, .leaf = AUTHORITY},
    [INTERMEDIATE] = {.name = "first", .by = ROOT, .leaf = AUTHORITY},
    [INTERMEDIATE_2] = {.name = "second", .by = INTERMEDIATE, .leaf = AUTHORITY},
    [NARROW] = {.name = "narrow",
                .by = ROOT,
                .leaf = {.authority = 2,
                         .usage = MBEDTLS_X509_KU_KEY_CERT_SIGN,
                         .purposes = MINT_LEFT_OUT}},
    [BELOW_NARROW] = {.name = "below narrow", .by = NARROW, .leaf = AUTHORITY},
    [NO_AUTHORITY] = {.name = "no authority",
                      .by = ROOT,
                      .leaf = {.usage = MBEDTLS_X509_KU_KEY_CERT_SIGN, .purposes = MINT_LEFT_OUT}},
    [UNSAID] = {.name = "unsaid",
                .by = ROOT,
                .leaf = {.authority = MINT_LEFT_OUT,
                         .usage = MINT_LEFT_OUT,
                         .purposes = MINT_LEFT_OUT}},
    [VERSION_1] = {.name = "old", .by = ROOT, .version_1 = true},
    [NOT_FOR_CERTIFICATES] = {.name = "not for certificates",
                              .by = ROOT,
                              .leaf = {.authority = 1, .usage = MBEDTLS_X509_KU_CRL_SIGN}},
    [EXPIRED] =
        {.name = "late", .by = ROOT, .leaf = AUTHORITY, .from_s = -3 * DAY, .until_s = -2 * DAY},
    [FUTURE] =
        {.name = "early", .by = ROOT, .leaf = AUTHORITY, .from_s = 2 * DAY, .until_s = 3 * DAY},
    [REVOKED] = {.name = "revoked", .by = ROOT, .leaf = AUTHORITY, .serial = REVOKED_SERIAL},
    [BELOW_REVOKED] = {.name = "below revoked", .by = REVOKED, .leaf = AUTHORITY},
    [WEAK] = {.name = "weak", .by = ROOT, .kind = MINT_RSA_1024, .leaf = AUTHORITY},
    [OLD_HASH] = {.name = "hashed", .by = ROOT, .hash = MBEDTLS_MD_SHA1, .leaf = AUTHORITY},
    [CONSTRAINED] =
        {.name = "constrained",
         .by = ROOT,
         .leaf = {.authority = 1, .usage = MINT_LEFT_OUT, .purposes = MINT_LEFT_OUT, .unknown = 2}},
    [OTHER_ROOT] = {.name = "other", .by = OTHER_ROOT, .leaf = AUTHORITY},
    [OTHER_INTERMEDIATE] = {.name = "first", .by = OTHER_ROOT, .leaf = AUTHORITY},
    [IMPOSTOR] = {.name = "root", .by = IMPOSTOR, .leaf = AUTHORITY},
};

static struct mint_key signer_keys[SIGNERS];
static struct der signer_certificates[SIGNERS];
static struct mint_key leaf_keys[4]; /* by kind */
static struct mint_key stranger;

static void make_signer(enum signer signer)
{
    const struct signing *signing = &signings[signer];
    struct der extensions = {0};
    mint_leaf(&extensions, &signing->leaf);
    const struct mint_order order = {.subject = signing->name,
                                     .issuer = signings[signing->by].name,
                                     .key = &signer_keys[signer],
                                     .issuer_key = &signer_keys[signing->by],
                                     .hash = signing->hash,
                                     .serial = signing->serial,
                                     .from_s = signing->from_s,
                                     .until_s = signing->until_s,
                                     .extensions = signing->version_1 ? NULL : &extensions};
    mint_certificate(&order, &signer_certificates[signer]);
}

/* --- What is shown --- */

/* What is done to the leaf, or the chain, when it is made. */
enum damage {
    NONE = 0,
    NO_CERTIFICATE_AT_ALL,
    NO_CHAIN,        /* the leaf alone */
    WITHOUT_SECOND,  /* a hole in the chain */
    CHAIN_TURNED,    /* authorities first */
    CHAIN_TOO_LONG,  /* of a dozen authorities */
    SIGNER_IS_SHOWN, /* an authority's in the place of the leaf */
    LIST_IS_SHOWN,
    BAD_SIGNATURE,
    CHANGED_AFTERWARDS,
    UNKNOWN_ALGORITHM,
    ALGORITHMS_DIFFER,
    KEY_OF_SOMEBODY_ELSE,
    OF_VERSION_1,
    CUT,
    LENGTH_TOO_LARGE,
    NOISE,
    SHORT_NOISE
};

struct kind {
    const char *what;
    enum tls_refusal refusal;
    const char *detail; /* must be in it; NULL: any, but not nothing */
    enum signer by;
    enum mint_kind key;
    mbedtls_md_type_t hash;
    uint32_t serial;
    long from_s;
    long until_s;
    struct mint_leaf leaf;
    enum damage damage;
    enum tls_refusal with_13; /* where mbedTLS sees something else with TLS 1.3 */
};

static const struct kind good_ones[] = {
    {"plain", .leaf = {.names = {URI(ID)}}},
    {"by an intermediate", .by = INTERMEDIATE, NAMED(URI(ID))},
    {"by an intermediate's intermediate", .by = INTERMEDIATE_2, NAMED(URI(ID))},
    {"by one that may sign leaves alone", .by = NARROW, NAMED(URI(ID))},
    {"by an RSA key of 2,048 bits", .by = RSA_ROOT, NAMED(URI(ID))},
    {"SHA-384", .hash = MBEDTLS_MD_SHA384, NAMED(URI(ID))},
    {"SHA-512", .hash = MBEDTLS_MD_SHA512, NAMED(URI(ID))},
    {"other names beside", NAMED(DNS("a"), URI(ID), BYTES(DER_ADDRESS, "\x7f\0\0\1"))},
    {"for everything", .leaf = {.names = {URI(ID)},
                                .authority = MINT_LEFT_OUT,
                                .usage = MINT_LEFT_OUT,
                                .purposes = MINT_LEFT_OUT}},
    {"critical names", .leaf = {.names = {URI(ID)}, .names_are_critical = true}},
    {"something unknown", .leaf = {.names = {URI(ID)}, .unknown = 1}},
    {"for an hour yet", .from_s = -DAY, .until_s = HOUR, NAMED(URI(ID))},
};

/* Filled at the start. */
static char long_id[2049 + 1];
static char name_of_254[254 + 1];

#define GOOD_NAMES .names = {URI(ID)}
#define BAD_ID(what, text)                                                                         \
    {                                                                                              \
        what, TLS_REFUSED_BAD_SPIFFE_ID, text, NAMED(URI(text))                                    \
    }

static const struct kind bad_ones[] = {
    /* Dates, and who has signed. */
    {"expired", TLS_REFUSED_EXPIRED, "CN=leaf, until ", .from_s = -3 * DAY, .until_s = -2 * DAY,
     NAMED(URI(ID))},
    {"expired a minute ago", TLS_REFUSED_EXPIRED, "CN=leaf", .from_s = -DAY, .until_s = -60,
     NAMED(URI(ID))},
    {"not yet valid", TLS_REFUSED_NOT_YET_VALID, "CN=leaf, from ", .from_s = 2 * DAY,
     .until_s = 3 * DAY, NAMED(URI(ID))},
    {"valid in a minute", TLS_REFUSED_NOT_YET_VALID, "CN=leaf", .from_s = 60, .until_s = DAY,
     NAMED(URI(ID))},
    {"self-signed", TLS_REFUSED_UNTRUSTED, "CN=leaf by CN=leaf", .by = LEAF_ITSELF, NAMED(URI(ID))},
    {"self-signed, and an authority", TLS_REFUSED_UNTRUSTED, "CN=leaf", .by = LEAF_ITSELF,
     .leaf = {GOOD_NAMES, .authority = 1}},
    {"of another authority", TLS_REFUSED_UNTRUSTED, "by CN=other", .by = OTHER_ROOT,
     NAMED(URI(ID))},
    {"of another authority with our authority's name", TLS_REFUSED_UNTRUSTED, "by CN=root",
     .by = IMPOSTOR, NAMED(URI(ID))},
    {"of an intermediate of another authority, named as one of ours", TLS_REFUSED_UNTRUSTED,
     "CN=first by CN=other", .by = OTHER_INTERMEDIATE, NAMED(URI(ID))},
    {"without the intermediate", TLS_REFUSED_UNTRUSTED, "by CN=first", .by = INTERMEDIATE,
     .damage = NO_CHAIN, NAMED(URI(ID))},
    {"without one of two intermediates", TLS_REFUSED_UNTRUSTED, "by CN=first", .by = INTERMEDIATE_2,
     .damage = WITHOUT_SECOND, NAMED(URI(ID))},
    {"with the intermediate in front", TLS_REFUSED_IS_AUTHORITY, "CN=first", .by = INTERMEDIATE,
     .damage = CHAIN_TURNED, NAMED(URI(ID))},
    {"of a chain too long", TLS_REFUSED_UNTRUSTED, NULL, .damage = CHAIN_TOO_LONG, NAMED(URI(ID))},
    {"by what is no authority", TLS_REFUSED_UNTRUSTED, "by CN=no authority", .by = NO_AUTHORITY,
     NAMED(URI(ID))},
    {"by what does not say whether it is an authority", TLS_REFUSED_UNTRUSTED, "by CN=unsaid",
     .by = UNSAID, NAMED(URI(ID))},
    {"by an authority of version 1", TLS_REFUSED_UNTRUSTED, "by CN=old", .by = VERSION_1,
     NAMED(URI(ID))},
    {"by an authority that may not sign certificates", TLS_REFUSED_UNTRUSTED,
     "by CN=not for certificates", .by = NOT_FOR_CERTIFICATES, NAMED(URI(ID))},
    {"by an authority below one that allows none", TLS_REFUSED_UNTRUSTED, "CN=below narrow",
     .by = BELOW_NARROW, NAMED(URI(ID))},
    {"by an expired intermediate", TLS_REFUSED_EXPIRED, "CN=late, until ", .by = EXPIRED,
     NAMED(URI(ID))},
    {"by an intermediate that is not yet valid", TLS_REFUSED_NOT_YET_VALID, "CN=early, from ",
     .by = FUTURE, NAMED(URI(ID))},
    {"by an intermediate with RSA of 1,024 bits", TLS_REFUSED_BAD_KEY_OR_HASH, "by RSA, 1024 bits",
     .by = WEAK, NAMED(URI(ID))},
    {"by an intermediate signed with SHA-1", TLS_REFUSED_BAD_KEY_OR_HASH, "SHA1", .by = OLD_HASH,
     NAMED(URI(ID))},
    {"by an intermediate with constraints that nobody here knows", TLS_REFUSED_MALFORMED, NULL,
     .by = CONSTRAINED, NAMED(URI(ID))},
    {"revoked", TLS_REFUSED_REVOKED, "CN=leaf", .serial = REVOKED_SERIAL, NAMED(URI(ID))},
    {"revoked, on a list that is out of date", TLS_REFUSED_REVOKED, "CN=leaf",
     .serial = LONG_REVOKED_SERIAL, NAMED(URI(ID))},
    {"by a revoked intermediate", TLS_REFUSED_REVOKED, "CN=revoked", .by = REVOKED, NAMED(URI(ID))},
    {"by an intermediate of a revoked one", TLS_REFUSED_REVOKED, "CN=revoked", .by = BELOW_REVOKED,
     NAMED(URI(ID))},
    {"our authority's own", TLS_REFUSED_IS_AUTHORITY, "CN=root", .damage = SIGNER_IS_SHOWN},

    /* Keys, hashes and signatures. */
    {"RSA of 1,024 bits", TLS_REFUSED_BAD_KEY_OR_HASH, "RSA, 1024 bits", .key = MINT_RSA_1024,
     NAMED(URI(ID))},
    {"RSA of 2,048 bits", TLS_REFUSED_BAD_KEY_OR_HASH, "RSA, 2048 bits", .key = MINT_RSA_2048,
     NAMED(URI(ID))},
    {"P-384", TLS_REFUSED_BAD_KEY_OR_HASH, "secp384r1", .key = MINT_P384, NAMED(URI(ID))},
    {"ECDSA with SHA-1", TLS_REFUSED_BAD_KEY_OR_HASH, "SHA1", .hash = MBEDTLS_MD_SHA1,
     NAMED(URI(ID))},
    {"ECDSA with SHA-224", TLS_REFUSED_BAD_KEY_OR_HASH, "SHA224", .hash = MBEDTLS_MD_SHA224,
     NAMED(URI(ID))},
    {"RSA with SHA-1", TLS_REFUSED_BAD_KEY_OR_HASH, "SHA1", .by = RSA_ROOT, .hash = MBEDTLS_MD_SHA1,
     NAMED(URI(ID))},
    {"RSA with MD5", TLS_REFUSED_BAD_KEY_OR_HASH, "MD5", .by = RSA_ROOT, .hash = MBEDTLS_MD_MD5,
     NAMED(URI(ID))},
    /* With TLS 1.2 mbedTLS leaves it out, and judges the nothing that is left. */
    {"an algorithm that nobody knows", TLS_REFUSED_UNTRUSTED, NULL, .damage = UNKNOWN_ALGORITHM,
     .with_13 = TLS_REFUSED_BAD_KEY_OR_HASH, NAMED(URI(ID))},
    {"two algorithms that differ", TLS_REFUSED_MALFORMED, NULL, .damage = ALGORITHMS_DIFFER,
     NAMED(URI(ID))},
    {"a bad signature", TLS_REFUSED_UNTRUSTED, "CN=leaf by CN=root", .damage = BAD_SIGNATURE,
     NAMED(URI(ID))},
    {"another name than was signed", TLS_REFUSED_UNTRUSTED, "CN=leaf by CN=root",
     .damage = CHANGED_AFTERWARDS, NAMED(URI(ID))},
    {"somebody else's", TLS_REFUSED_NOT_ITS_KEY, ID, .damage = KEY_OF_SOMEBODY_ELSE,
     NAMED(URI(ID))},

    /* What it is for. */
    {"an authority", TLS_REFUSED_IS_AUTHORITY, "CN=leaf", .leaf = {GOOD_NAMES, .authority = 1}},
    {"an authority that may have none below it", TLS_REFUSED_IS_AUTHORITY, "CN=leaf",
     .leaf = {GOOD_NAMES, .authority = 2}},
    {"keyCertSign", TLS_REFUSED_IS_AUTHORITY, "CN=leaf",
     .leaf = {GOOD_NAMES,
              .usage = MBEDTLS_X509_KU_DIGITAL_SIGNATURE | MBEDTLS_X509_KU_KEY_CERT_SIGN}},
    {"cRLSign", TLS_REFUSED_IS_AUTHORITY, "CN=leaf",
     .leaf = {GOOD_NAMES, .usage = MBEDTLS_X509_KU_DIGITAL_SIGNATURE | MBEDTLS_X509_KU_CRL_SIGN}},
    {"a server's", TLS_REFUSED_BAD_USAGE, "CN=leaf",
     .leaf = {GOOD_NAMES, .purposes = MINT_FOR_SERVER}},
    {"for mail", TLS_REFUSED_BAD_USAGE, "CN=leaf", .leaf = {GOOD_NAMES, .purposes = MINT_FOR_MAIL}},
    {"for mail and servers", TLS_REFUSED_BAD_USAGE, "CN=leaf",
     .leaf = {GOOD_NAMES, .purposes = MINT_FOR_MAIL | MINT_FOR_SERVER}},
    {"not for signatures", TLS_REFUSED_BAD_USAGE, "CN=leaf",
     .leaf = {GOOD_NAMES, .usage = MBEDTLS_X509_KU_KEY_AGREEMENT}},
    {"something critical that nobody knows", TLS_REFUSED_MALFORMED, NULL,
     .leaf = {GOOD_NAMES, .unknown = 2}},

    /* No SPIFFE ID. */
    {"no names", TLS_REFUSED_NO_SPIFFE_ID, "CN=leaf", .leaf = {.names = {{0}}}},
    {"no extensions", TLS_REFUSED_NO_SPIFFE_ID, "CN=leaf", .damage = OF_VERSION_1},
    {"a DNS name spelled as an ID", TLS_REFUSED_NO_SPIFFE_ID, "CN=leaf", NAMED(DNS(ID))},
    {"an address of mail", TLS_REFUSED_NO_SPIFFE_ID, "CN=leaf", NAMED({DER_EMAIL, ID, 0})},
    {"an address", TLS_REFUSED_NO_SPIFFE_ID, "CN=leaf", NAMED(BYTES(DER_ADDRESS, "\x7f\0\0\1"))},
    {"two IDs", TLS_REFUSED_SEVERAL_SPIFFE_IDS, "/two", NAMED(URI(ID), URI(ID "/two"))},
    {"twice the same ID", TLS_REFUSED_SEVERAL_SPIFFE_IDS, ID, NAMED(URI(ID), URI(ID))},
    {"an ID and a page", TLS_REFUSED_SEVERAL_SPIFFE_IDS, "http://a/b",
     NAMED(URI("http://a/b"), DNS("c"), URI(ID))},
    BAD_ID("http", "http://" SCENE_TRUST "/client"),
    BAD_ID("another scheme", "urn:" SCENE_TRUST "/client"),
    BAD_ID("a scheme in capitals", "SPIFFE://" SCENE_TRUST "/client"),
    BAD_ID("a trust domain in capitals", "spiffe://TEST.example/client"),
    BAD_ID("a port", "spiffe://" SCENE_TRUST ":443/client"),
    BAD_ID("a user", "spiffe://me@" SCENE_TRUST "/client"),
    BAD_ID("a query", ID "?a=b"),
    BAD_ID("a fragment", ID "#a"),
    BAD_ID("a percent", "spiffe://" SCENE_TRUST "/%63lient"),
    BAD_ID("no path", "spiffe://" SCENE_TRUST),
    BAD_ID("an empty path", "spiffe://" SCENE_TRUST "/"),
    BAD_ID("a slash at the end", ID "/"),
    BAD_ID("two slashes", "spiffe://" SCENE_TRUST "//client"),
    BAD_ID("a dot", "spiffe://" SCENE_TRUST "/./client"),
    BAD_ID("two dots", "spiffe://" SCENE_TRUST "/a/../client"),
    BAD_ID("two dots at the end", ID "/.."),
    BAD_ID("no trust domain", "spiffe:///client"),
    BAD_ID("a star", "spiffe://" SCENE_TRUST "/*"),
    {"256 bytes", TLS_REFUSED_BAD_SPIFFE_ID, ID, NAMED({DER_URI, long_id, 256})},
    {"2,049 bytes", TLS_REFUSED_BAD_SPIFFE_ID, ID, NAMED({DER_URI, long_id, 2049})},
    {"of another trust domain", TLS_REFUSED_FOREIGN_TRUST_DOMAIN, "spiffe://other.example/client",
     NAMED(URI("spiffe://other.example/client"))},
    {"of a longer trust domain", TLS_REFUSED_FOREIGN_TRUST_DOMAIN, SCENE_TRUST ".org/client",
     NAMED(URI("spiffe://" SCENE_TRUST ".org/client"))},
    {"of a trust domain below ours", TLS_REFUSED_FOREIGN_TRUST_DOMAIN, "a." SCENE_TRUST,
     NAMED(URI("spiffe://a." SCENE_TRUST "/client"))},

    /* Names that are none. */
    {"a NUL in the ID", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf",
     NAMED(BYTES(DER_URI, ID "\0.other"))},
    {"a NUL behind the ID", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf", NAMED(BYTES(DER_URI, ID "\0"))},
    {"a NUL in a DNS name", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf",
     NAMED(URI(ID), BYTES(DER_DNS, "a\0b"))},
    {"beyond ASCII", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf", NAMED(URI(ID "\xc3\xa4"))},
    {"a blank", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf", NAMED(URI(ID " "))},
    {"a line's end", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf", NAMED(URI(ID "\n"))},
    {"an empty ID", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf", NAMED(URI(""))},
    {"an empty DNS name", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf", NAMED(URI(ID), DNS(""))},
    {"a DNS name of 254 bytes", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf",
     NAMED(URI(ID), {DER_DNS, name_of_254, 254})},
    {"an address of five bytes", TLS_REFUSED_MALFORMED, NULL,
     NAMED(URI(ID), BYTES(DER_ADDRESS, "\x7f\0\0\1\0"))},
    {"an ID made of elements", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf", NAMED({0xa6, ID, 0})},
    {"an ID of no kind", TLS_REFUSED_MALFORMED, NULL, NAMED({0x16, ID, 0})},
    {"an empty list of names", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf", VALUE("\x30\x00")},
    {"no list of names", TLS_REFUSED_MALFORMED, NULL, VALUE("")},
    {"two lists of names", TLS_REFUSED_MALFORMED, NULL,
     .leaf = {GOOD_NAMES, .names_come_twice = true}},
    {"a length in two octets", TLS_REFUSED_MALFORMED_NAMES, "CN=leaf",
     VALUE("\x30\x81\x1e\x86\x1cspiffe://test.example/client")},
    {"a length too large", TLS_REFUSED_MALFORMED, NULL,
     VALUE("\x30\x1e\x86\x1dspiffe://test.example/client")},
    {"a length too small", TLS_REFUSED_MALFORMED, NULL,
     VALUE("\x30\x1e\x86\x1bspiffe://test.example/client")},
    {"an indefinite length", TLS_REFUSED_MALFORMED, NULL,
     VALUE("\x30\x80\x86\x1cspiffe://test.example/client\0\0")},
    {"something behind the names", TLS_REFUSED_MALFORMED, NULL,
     VALUE("\x30\x1e\x86\x1cspiffe://test.example/client\x05\x00")},

    /* What is no certificate. */
    {"cut in the middle", TLS_REFUSED_MALFORMED, NULL, .damage = CUT, NAMED(URI(ID))},
    {"longer than it is", TLS_REFUSED_MALFORMED, NULL, .damage = LENGTH_TOO_LARGE, NAMED(URI(ID))},
    {"noise", TLS_REFUSED_MALFORMED, NULL, .damage = NOISE},
    {"hardly any noise", TLS_REFUSED_PROTOCOL, NULL, .damage = SHORT_NOISE},
    {"a list of revoked ones", TLS_REFUSED_MALFORMED, NULL, .damage = LIST_IS_SHOWN},
    {"nothing at all", TLS_REFUSED_NO_CERTIFICATE, NULL, .damage = NO_CERTIFICATE_AT_ALL},
};

enum { GOOD = sizeof good_ones / sizeof good_ones[0], BAD = sizeof bad_ones / sizeof bad_ones[0] };

/* --- Making it --- */

enum { CHAIN_MAX = 16 };

struct chain {
    struct der der[CHAIN_MAX];
    mbedtls_x509_crt shown[CHAIN_MAX]; /* no more than what is sent of them */
    size_t count;
    struct mint_key *key;
};

static void add_to_chain(struct chain *chain, const struct der *der)
{
    assert_in_range(chain->count, 0, CHAIN_MAX - 1);
    chain->der[chain->count++] = *der;
}

static void make_leaf(const struct kind *kind, struct mint_key *key, struct der *der)
{
    struct der extensions = {0};
    bool itself = kind->by == LEAF_ITSELF;
    mint_leaf(&extensions, &kind->leaf);
    const struct mint_order order = {.subject = "leaf",
                                     .issuer = itself ? "leaf" : signings[kind->by].name,
                                     .key = key,
                                     .issuer_key = itself ? key : &signer_keys[kind->by],
                                     .hash = kind->hash,
                                     .serial = kind->serial,
                                     .from_s = kind->from_s,
                                     .until_s = kind->until_s,
                                     .extensions =
                                         kind->damage == OF_VERSION_1 ? NULL : &extensions};
    mint_certificate(&order, der);
}

/* A dozen authorities, each below the one before. */
static void make_long_chain(const struct kind *kind, struct chain *chain)
{
    struct der extensions = {0};
    const struct mint_leaf authority = AUTHORITY;
    mint_leaf(&extensions, &authority);
    struct mint_order order = {.subject = "root",
                               .issuer = "root",
                               .key = &stranger,
                               .issuer_key = &signer_keys[ROOT],
                               .extensions = &extensions};
    struct der authorities[12];
    char names[12][16];
    for (size_t i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "authority %zu", i);
        order.issuer = order.subject;
        order.subject = names[i];
        mint_certificate(&order, &authorities[i]);
        order.issuer_key = &stranger;
    }
    struct der leaf;
    struct der names_of_leaf = {0};
    mint_leaf(&names_of_leaf, &kind->leaf);
    order.issuer = order.subject;
    order.subject = "leaf";
    order.key = chain->key;
    order.extensions = &names_of_leaf;
    mint_certificate(&order, &leaf);
    add_to_chain(chain, &leaf);
    for (size_t i = 12; i > 0; i--) {
        add_to_chain(chain, &authorities[i - 1]);
    }
}

static uint8_t *find_bytes(struct der *der, const char *bytes, size_t length)
{
    for (size_t i = 0; i + length <= der->length; i++) {
        if (memcmp(der->bytes + i, bytes, length) == 0) {
            return der->bytes + i;
        }
    }
    fail_msg("not in the certificate");
    return NULL;
}

#define ECDSA_WITH_SHA256 "\x2a\x86\x48\xce\x3d\x04\x03\x02"

static void damage_leaf(struct der *der, enum damage damage)
{
    uint8_t *at = NULL;
    switch (damage) {
    case BAD_SIGNATURE:
        der->bytes[der->length - 1] ^= 1;
        break;
    case CHANGED_AFTERWARDS:
        at = find_bytes(der, "/client", 7);
        memcpy(at, "/admins", 7);
        break;
    case UNKNOWN_ALGORITHM: /* in both places */
        find_bytes(der, ECDSA_WITH_SHA256, 8)[7] = 0x7f;
        find_bytes(der, ECDSA_WITH_SHA256, 8)[7] = 0x7f;
        break;
    case ALGORITHMS_DIFFER:
        find_bytes(der, ECDSA_WITH_SHA256, 8)[7] = 3;
        break;
    case CUT:
        der->length /= 2;
        break;
    case LENGTH_TOO_LARGE:
        der->bytes[3]++;
        break;
    case NOISE:
        assert_int_equal(mint_random(NULL, der->bytes, der->length), 0);
        der->bytes[0] = 0x31;
        break;
    case SHORT_NOISE:
        der->length = 20;
        break;
    default:
        break;
    }
}

static void make_list(enum signer by, uint32_t serial, long from_s, long until_s, struct der *der)
{
    const struct mint_list list = {.issuer = signings[by].name,
                                   .issuer_key = &signer_keys[by],
                                   .from_s = from_s,
                                   .until_s = until_s,
                                   .serials = &serial,
                                   .count = 1};
    mint_revocations(&list, der);
}

static void add_authorities(const struct kind *kind, struct chain *chain)
{
    enum signer by = kind->by;
    while (by != LEAF_ITSELF && signings[by].by != by) {
        if (kind->damage != WITHOUT_SECOND || by != INTERMEDIATE) {
            add_to_chain(chain, &signer_certificates[by]);
        }
        by = signings[by].by;
    }
}

static void make_chain(const struct kind *kind, struct chain *chain)
{
    struct der leaf;
    memset(chain, 0, sizeof *chain);
    chain->key = &leaf_keys[kind->key];
    make_leaf(kind, kind->damage == KEY_OF_SOMEBODY_ELSE ? &stranger : chain->key, &leaf);
    damage_leaf(&leaf, kind->damage);
    switch (kind->damage) {
    case NO_CERTIFICATE_AT_ALL:
        break;
    case CHAIN_TOO_LONG:
        make_long_chain(kind, chain);
        break;
    case SIGNER_IS_SHOWN:
        add_to_chain(chain, &signer_certificates[kind->by]);
        chain->key = &signer_keys[kind->by];
        break;
    case LIST_IS_SHOWN:
        make_list(ROOT, 1, -HOUR, DAY, &leaf);
        add_to_chain(chain, &leaf);
        break;
    case CHAIN_TURNED:
        add_authorities(kind, chain);
        add_to_chain(chain, &leaf);
        chain->key = &signer_keys[kind->by];
        break;
    case NO_CHAIN:
        add_to_chain(chain, &leaf);
        break;
    default:
        add_to_chain(chain, &leaf);
        add_authorities(kind, chain);
        break;
    }
    for (size_t i = 0; i < chain->count; i++) {
        chain->shown[i].raw.p = chain->der[i].bytes;
        chain->shown[i].raw.len = chain->der[i].length;
        chain->shown[i].next = i + 1 < chain->count ? &chain->shown[i + 1] : NULL;
    }
}

/* --- The server --- */

static struct scene_domain scene;
static nng_socket server;
static int server_port;
static pthread_t server_thread;
static atomic_uint pipes;
static atomic_uint delivered;

static void note_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct tls_peer peer;
    (void)event;
    (void)arg;
    if (!tls_peer_of(pipe, &peer) || strcmp(peer.principal, ID) != 0) {
        fail_msg("a pipe of \"%s\"", peer.principal);
    }
    atomic_fetch_add(&pipes, 1);
}

static void *serve(void *arg)
{
    nng_msg *message;
    (void)arg;
    while (nng_recvmsg(server, &message, 0) == 0) {
        atomic_fetch_add(&delivered, 1);
        if (nng_sendmsg(server, message, 0) != 0) {
            nng_msg_free(message);
        }
    }
    return NULL;
}

static void trust(void)
{
    char error[256] = "";
    static char ca[MINT_TEXT_MAX];
    static char crl[MINT_TEXT_MAX];
    struct der list;
    mint_pem(ca, "CERTIFICATE", &signer_certificates[RSA_ROOT]);
    mint_pem(ca, "CERTIFICATE", &signer_certificates[ROOT]);
    make_list(ROOT, REVOKED_SERIAL, -HOUR, DAY, &list);
    mint_pem(crl, "X509 CRL", &list);
    make_list(ROOT, LONG_REVOKED_SERIAL, -3 * DAY, -2 * DAY, &list);
    mint_pem(crl, "X509 CRL", &list);
    struct tls_credentials *made = tls_credentials_new(TLS_SERVER);
    assert_non_null(made);
    if (tls_credentials_ca(made, ca, error, sizeof error) != 0 ||
        tls_credentials_crl(made, crl, error, sizeof error) != 0 ||
        tls_credentials_cert(made, scene_text("server", ".crt"), error, sizeof error) != 0 ||
        tls_credentials_key(made, scene_text("server", ".key"), error, sizeof error) != 0 ||
        tls_credentials_ready(made) != 0) {
        fail_msg("%s", error);
    }
    tls_domain_put(scene.domain, made);
    tls_credentials_release(made);
}

static void fill_long_names(void)
{
    memset(long_id, 'a', sizeof long_id - 1);
    memcpy(long_id, ID "/", sizeof ID);
    memset(name_of_254, 'a', sizeof name_of_254 - 1);
    for (size_t i = 50; i < 254; i += 51) {
        name_of_254[i] = '.';
    }
}

static int set_up(void **state)
{
    assert_int_equal(scene_set_up(state), 0);
    assert_int_equal(psa_crypto_init(), PSA_SUCCESS);
    fill_long_names();
    mint_key_make(&stranger, MINT_P256);
    for (int kind = 0; kind < 4; kind++) {
        mint_key_make(&leaf_keys[kind], (enum mint_kind)kind);
    }
    for (int i = 0; i < LEAF_ITSELF; i++) {
        mint_key_make(&signer_keys[i], signings[i].kind);
    }
    for (int i = 0; i < LEAF_ITSELF; i++) {
        make_signer((enum signer)i);
    }
    scene_domain_open(&scene);
    trust();
    assert_int_equal(nng_rep0_open(&server), 0);
    assert_int_equal(nng_socket_set_size(server, NNG_OPT_RECVMAXSZ, SCENE_RECEIVE_BYTES), 0);
    assert_int_equal(nng_pipe_notify(server, NNG_PIPE_EV_ADD_PRE, note_pipe, NULL), 0);
    server_port = scene_listen(&scene, server, SCENE_TCP);
    assert_int_equal(pthread_create(&server_thread, NULL, serve, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < LEAF_ITSELF; i++) {
        mint_key_free(&signer_keys[i]);
    }
    for (int kind = 0; kind < 4; kind++) {
        mint_key_free(&leaf_keys[kind]);
    }
    mint_key_free(&stranger);
    return scene_tear_down(state);
}

/* --- Showing it --- */

static const mbedtls_ssl_protocol_version versions[] = {MBEDTLS_SSL_VERSION_TLS1_2,
                                                        MBEDTLS_SSL_VERSION_TLS1_3};

static void come(struct raw *raw, struct chain *chain, mbedtls_ssl_protocol_version version)
{
    const struct raw_options options = {.min_version = version,
                                        .max_version = version,
                                        .server_name = "localhost",
                                        .trusting = true};
    int fd = raw_connect_tcp(server_port);
    /* Its flights are several segments, which would wait for each other. */
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    raw_open(raw, fd, MBEDTLS_SSL_IS_CLIENT, &options);
    if (chain->count > 0) {
        assert_int_equal(mbedtls_ssl_conf_own_cert(&raw->config, chain->shown, &chain->key->pk), 0);
    }
}

static void visit(const struct kind *kind, mbedtls_ssl_protocol_version version)
{
    static struct chain chain;
    struct raw raw;
    unsigned before = atomic_load(&delivered);
    make_chain(kind, &chain);
    come(&raw, &chain, version);
    int code = raw_handshake(&raw);
    code = code == 0 ? raw_greet(&raw, RAW_REQ, RAW_REP) : code;
    code = code == 0 ? raw_ask(&raw, 100) : code;
    if (code != 0) {
        fail_msg("a good one, %s, is refused: \"%s\" (%s)", kind->what,
                 tls_refusal_text((enum tls_refusal)atomic_load(&scene.refusal)), scene.detail);
    }
    assert_int_equal(atomic_load(&delivered), before + 1);
    raw_close(&raw);
}

/* Says everything at once, as far as it may, and waits for the end. */
static void intrude(struct raw *raw, const char *what)
{
    const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, RAW_REQ};
    const uint8_t request[] = {0x80, 0, 0, 1, 'h', 'i'};
    uint8_t heard[64];
    int code = raw_handshake(raw);
    if (code != 0) {
        return;
    }
    if (raw_write(raw, greeting, sizeof greeting) == 0) {
        (void)raw_send(raw, request, sizeof request);
    }
    int n = mbedtls_ssl_read(&raw->ssl, heard, sizeof heard);
    if (n > 0) {
        fail_msg("%s: is answered", what);
    }
}

static void await_refusals(unsigned count, const char *what)
{
    uint64_t begun = scene_now_ms();
    while (atomic_load(&scene.refused) < count) {
        if (scene_now_ms() - begun > SCENE_WAIT_MS) {
            fail_msg("%s: is not refused", what);
        }
        scene_sleep(1);
    }
}

static void expect_refusal(const struct kind *kind, mbedtls_ssl_protocol_version version)
{
    static struct chain chain;
    struct raw raw;
    unsigned before = atomic_load(&scene.refused);
    unsigned pipes_before = atomic_load(&pipes);
    unsigned delivered_before = atomic_load(&delivered);
    make_chain(kind, &chain);
    come(&raw, &chain, version);
    intrude(&raw, kind->what);
    await_refusals(before + 1, kind->what);
    raw_drop(&raw);
    enum tls_refusal refusal = (enum tls_refusal)atomic_load(&scene.refusal);
    const char *detail = kind->detail != NULL ? kind->detail : "";
    bool other = version == MBEDTLS_SSL_VERSION_TLS1_3 && kind->with_13 != TLS_ACCEPTED;
    if (refusal != (other ? kind->with_13 : kind->refusal) ||
        strstr(scene.detail, detail) == NULL || scene.detail[0] == '\0') {
        fail_msg("%s is refused with TLS 1.%c as: \"%s\" (%s)", kind->what,
                 version == MBEDTLS_SSL_VERSION_TLS1_3 ? '3' : '2', tls_refusal_text(refusal),
                 scene.detail);
    }
    visit(&good_ones[before % GOOD], version);
    assert_int_equal(atomic_load(&scene.refused), before + 1);
    assert_int_equal(atomic_load(&delivered), delivered_before + 1);
    assert_int_equal(atomic_load(&pipes), pipes_before + 1);
}

static void test_good_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD; i++) {
        visit(&good_ones[i], versions[0]);
        visit(&good_ones[i], versions[1]);
    }
    assert_int_equal(atomic_load(&scene.refused), 0);
}

static void test_bad_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < BAD; i++) {
        expect_refusal(&bad_ones[i], versions[0]);
        expect_refusal(&bad_ones[i], versions[1]);
    }
    assert_true(BAD >= 40);
    print_message("%d kinds of bad certificate, %d of good ones\n", BAD, GOOD);
}

/* Once all connections have gone, no refusal has been told twice, and no more has arrived. */
static void test_the_account(void **state)
{
    (void)state;
    nng_close(server);
    pthread_join(server_thread, NULL);
    scene_domain_close(&scene);
    assert_int_equal(atomic_load(&scene.refused), 2 * BAD);
    assert_int_equal(atomic_load(&scene.finished), 2 * (BAD + GOOD));
    assert_int_equal(atomic_load(&scene.arrived), 2 * (2 * BAD + GOOD));
    assert_int_equal(atomic_load(&delivered), 2 * (BAD + GOOD));
    assert_int_equal(atomic_load(&pipes), 2 * (BAD + GOOD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones),
        cmocka_unit_test(test_bad_ones),
        cmocka_unit_test(test_the_account),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
