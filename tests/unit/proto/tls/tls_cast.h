/* Who appears in tests of certificates: an authority "root", a server and a client that it has
 * certified, and keys of every kind, one of which does for all who need it. */
#ifndef TESTS_PROTO_TLS_CAST_H
#define TESTS_PROTO_TLS_CAST_H

#include "tests/unit/proto/tls/tls_memory.h"

static struct mint_key root_key;
static struct mint_key middle_key; /* for an authority below */
static struct mint_key leaf_key;   /* the server's and the client's */
static struct mint_key p384_key;
static struct mint_key rsa_key;
static struct mint_key weak_key; /* RSA, too short */

static char root_text[MINT_TEXT_MAX];
static char server_text[MINT_TEXT_MAX];
static char client_text[MINT_TEXT_MAX];
static char leaf_key_text[MINT_TEXT_MAX];

/* Extensions. */
static struct der authority;
static struct der client;
static struct der server;

static const mbedtls_ssl_protocol_version versions[] = {MBEDTLS_SSL_VERSION_TLS1_2,
                                                        MBEDTLS_SSL_VERSION_TLS1_3};

/* `text` has MINT_TEXT_MAX, and is begun anew. */
static inline void certify(char *text, const char *subject, struct mint_key *key,
                           const char *issuer, struct mint_key *issuer_key, uint32_t serial,
                           const struct der *extensions)
{
    text[0] = '\0';
    memory_issue(text, &(struct mint_order){.subject = subject,
                                            .issuer = issuer,
                                            .key = key,
                                            .issuer_key = issuer_key,
                                            .serial = serial,
                                            .extensions = extensions});
}

static inline void cast_make(void)
{
    struct tls_credentials *initialises = tls_credentials_new(TLS_CLIENT);
    assert_non_null(initialises);
    tls_credentials_release(initialises);
    mint_key_make(&root_key, MINT_P256);
    mint_key_make(&middle_key, MINT_P256);
    mint_key_make(&leaf_key, MINT_P256);
    mint_key_make(&p384_key, MINT_P384);
    mint_key_make(&rsa_key, MINT_RSA_2048);
    mint_key_make(&weak_key, MINT_RSA_1024);
    mint_key_pem(leaf_key_text, &leaf_key);
    memory_authority(&authority);
    memory_leaf(&client, MINT_FOR_CLIENT, MEMORY_CLIENT, NULL);
    memory_leaf(&server, MINT_FOR_SERVER, NULL, "localhost");
    certify(root_text, "root", &root_key, "root", &root_key, 1, &authority);
    certify(server_text, "server", &leaf_key, "root", &root_key, 2, &server);
    certify(client_text, "client", &leaf_key, "root", &root_key, 3, &client);
}

static inline void cast_free(void)
{
    mint_key_free(&root_key);
    mint_key_free(&middle_key);
    mint_key_free(&leaf_key);
    mint_key_free(&p384_key);
    mint_key_free(&rsa_key);
    mint_key_free(&weak_key);
}

#endif
