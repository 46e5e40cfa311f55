/* The files that the server proves itself with and judges its peers by: certificate, key,
 * authorities and revocations, read and checked whole before anything of them is used. */
#ifndef ACTIVITYD_SERVER_TLS_FILES_H
#define ACTIVITYD_SERVER_TLS_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/tls/credentials.h"

struct tls_files_paths {
    const char *ca;
    const char *crl; /* "": nothing is revoked */
    const char *cert;
    const char *key;
};

/* What they hold. The texts are for NNG's own engine (net/border.h); ours has the credentials. */
struct tls_files {
    char *ca_pem;  /* terminated */
    char *crl_pem; /* NULL: there is none */
    char *cert_pem;
    char *key_pem;
    struct tls_credentials *credentials;
    struct tls_description description;
    bool key_is_exposed; /* others than its owner may read the file */
};

/* Reads and checks them. Returns 0, or -1 with one sentence that names the file and what is wrong
 * with it. What has expired loads: the clients judge the certificate, and an old list of
 * revocations says more than none. Any thread. */
__attribute__((warn_unused_result)) int tls_files_load(const struct tls_files_paths *paths,
                                                       struct tls_files *files, char *error,
                                                       size_t error_size);

/* Wipes the key. Accepts a zeroed structure. */
void tls_files_deinit(struct tls_files *files);

#endif
