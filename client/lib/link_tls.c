#include "client/lib/link_tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "proto/tls/engine.h"

enum { PEM_BYTES_MAX = 1 << 20 };

struct link_credentials { /* terminated PEM texts, owned */
    char *ca;
    char *cert;
    char *key;
};

void link_tls_register(void)
{
    (void)tls_engine_register();
}

/* The file's contents as a string; NULL if it cannot be read or is too large to be a PEM file. */
static char *read_pem(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    char *text = malloc(PEM_BYTES_MAX + 1);
    if (text != NULL) {
        size_t length = fread(text, 1, PEM_BYTES_MAX + 1, file);
        if (length == 0 || length > PEM_BYTES_MAX || ferror(file)) {
            free(text);
            text = NULL;
        } else {
            text[length] = '\0';
            char *fitting = realloc(text, length + 1);
            text = fitting != NULL ? fitting : text;
        }
    }
    fclose(file);
    return text;
}

static enum link_fault read_files(struct link_credentials *credentials,
                                  const struct link_files *files)
{
    credentials->ca = read_pem(files->ca_file);
    if (credentials->ca == NULL) {
        return LINK_BAD_CA;
    }
    credentials->cert = read_pem(files->cert_file);
    if (credentials->cert == NULL) {
        return LINK_BAD_CERT;
    }
    credentials->key = read_pem(files->key_file);
    return credentials->key == NULL ? LINK_BAD_KEY : LINK_OK;
}

enum link_fault link_credentials_load(const struct link_files *files,
                                      struct link_credentials **credentials)
{
    *credentials = NULL;
    struct link_credentials *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return LINK_NO_MEMORY;
    }
    enum link_fault fault = read_files(made, files);
    if (fault != LINK_OK) {
        link_credentials_free(made);
        return fault;
    }
    *credentials = made;
    return LINK_OK;
}

void link_credentials_free(struct link_credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    if (credentials->key != NULL) {
        explicit_bzero(credentials->key, strlen(credentials->key));
    }
    free(credentials->key);
    free(credentials->cert);
    free(credentials->ca);
    free(credentials);
}

enum link_fault link_tls_configure(const struct link_credentials *credentials,
                                   const char *server_name, struct nng_tls_config **config)
{
    *config = NULL;
    nng_tls_config *made;
    if (nng_tls_config_alloc(&made, NNG_TLS_MODE_CLIENT) != 0) {
        return LINK_NO_MEMORY;
    }
    enum link_fault fault = LINK_OK;
    if (nng_tls_config_ca_chain(made, credentials->ca, NULL) != 0) {
        fault = LINK_BAD_CA;
    } else if (nng_tls_config_own_cert(made, credentials->cert, credentials->key, NULL) != 0) {
        fault = LINK_BAD_KEY_PAIR;
    } else if (nng_tls_config_auth_mode(made, NNG_TLS_AUTH_MODE_REQUIRED) != 0 ||
               nng_tls_config_version(made, NNG_TLS_1_2, NNG_TLS_1_3) != 0 ||
               nng_tls_config_server_name(made, server_name) != 0) {
        fault = LINK_FAILED;
    }
    if (fault != LINK_OK) {
        nng_tls_config_free(made);
        return fault;
    }
    *config = made;
    return LINK_OK;
}
