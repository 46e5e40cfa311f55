/* The server's certificate, its key and the clients' authorities: read, checked and described
 * before NNG gets them, since its own errors do not say what is wrong with which file. */
#ifndef ACTIVITYD_SERVER_NET_CERTIFICATE_H
#define ACTIVITYD_SERVER_NET_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct certificate {
    char subject[256];
    uint64_t not_after_ms; /* since the epoch; of several in one file the earliest */
};

struct certificates {
    char *ca_pem; /* terminated */
    char *cert_pem;
    char *key_pem;
    struct certificate ca;
    struct certificate server;
    bool key_is_exposed; /* others than its owner may read the file */
};

/* Reads three PEM files and checks that they are certificates and that the key is the
 * certificate's. Returns 0, or -1 with one sentence that names the file. An expired certificate
 * loads: the clients judge it. Not from two threads at once. */
__attribute__((warn_unused_result)) int
certificates_load(const char *ca_path, const char *cert_path, const char *key_path,
                  struct certificates *certificates, char *error, size_t error_size);

/* Wipes the key. Accepts a zeroed structure. */
void certificates_deinit(struct certificates *certificates);

#endif
