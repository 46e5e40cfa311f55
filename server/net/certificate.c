#include "server/net/certificate.h"

#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "server/text_file.h"

/* For mbedTLS, which blinds key operations. */
static int random_bytes(void *context, unsigned char *to, size_t length)
{
    (void)context;
    while (length > 0) {
        ssize_t n = getrandom(to, length, 0);
        if (n < 0) {
            return MBEDTLS_ERR_PK_BAD_INPUT_DATA;
        }
        to += n;
        length -= (size_t)n;
    }
    return 0;
}

static int refuse(const char *path, const char *what, int code, char *error, size_t size)
{
    char text[160];
    mbedtls_strerror(code, text, sizeof text);
    (void)snprintf(error, size, "%s: %s (%s)", path, what, text);
    return -1;
}

static uint64_t milliseconds_of(const mbedtls_x509_time *time)
{
    struct tm parts = {.tm_year = time->year - 1900,
                       .tm_mon = time->mon - 1,
                       .tm_mday = time->day,
                       .tm_hour = time->hour,
                       .tm_min = time->min,
                       .tm_sec = time->sec};
    time_t seconds = timegm(&parts);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

static void describe(const mbedtls_x509_crt *chain, struct certificate *certificate)
{
    if (mbedtls_x509_dn_gets(certificate->subject, sizeof certificate->subject, &chain->subject) <
        0) {
        certificate->subject[0] = '\0';
    }
    certificate->not_after_ms = UINT64_MAX;
    for (const mbedtls_x509_crt *each = chain; each != NULL; each = each->next) {
        uint64_t end = milliseconds_of(&each->valid_to);
        if (end < certificate->not_after_ms) {
            certificate->not_after_ms = end;
        }
    }
}

static int read_chain(const char *path, char **pem, mbedtls_x509_crt *chain, char *error,
                      size_t size)
{
    *pem = text_file_read(path, 0, error, size);
    if (*pem == NULL) {
        return -1;
    }
    /* Positive: so many of several could not be read. None may fail. */
    int code = mbedtls_x509_crt_parse(chain, (const unsigned char *)*pem, strlen(*pem) + 1);
    if (code > 0) {
        code = MBEDTLS_ERR_X509_INVALID_FORMAT;
    }
    return code != 0 ? refuse(path, "holds no good certificate in PEM form", code, error, size) : 0;
}

static int read_key(const char *path, const char *cert_path, struct certificates *to,
                    mbedtls_x509_crt *chain, char *error, size_t size)
{
    to->key_pem = text_file_read(path, 0, error, size);
    if (to->key_pem == NULL) {
        return -1;
    }
    struct stat status;
    to->key_is_exposed = stat(path, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    int code = mbedtls_pk_parse_key(&key, (const unsigned char *)to->key_pem,
                                    strlen(to->key_pem) + 1, NULL, 0, random_bytes, NULL);
    int outcome = 0;
    if (code != 0) {
        outcome =
            refuse(path, "holds no private key in PEM form without a password", code, error, size);
    } else {
        code = mbedtls_pk_check_pair(&chain->pk, &key, random_bytes, NULL);
        if (code != 0) {
            (void)snprintf(error, size, "%s: is not the key of the certificate in %s", path,
                           cert_path);
            outcome = -1;
        }
    }
    mbedtls_pk_free(&key);
    return outcome;
}

int certificates_load(const char *ca_path, const char *cert_path, const char *key_path,
                      struct certificates *certificates, char *error, size_t error_size)
{
    memset(certificates, 0, sizeof *certificates);
    if (psa_crypto_init() != PSA_SUCCESS) {
        (void)snprintf(error, error_size, "mbedTLS cannot be initialised");
        return -1;
    }
    mbedtls_x509_crt ca;
    mbedtls_x509_crt server;
    mbedtls_x509_crt_init(&ca);
    mbedtls_x509_crt_init(&server);
    int outcome = -1;
    if (read_chain(ca_path, &certificates->ca_pem, &ca, error, error_size) == 0 &&
        read_chain(cert_path, &certificates->cert_pem, &server, error, error_size) == 0 &&
        read_key(key_path, cert_path, certificates, &server, error, error_size) == 0) {
        describe(&ca, &certificates->ca);
        describe(&server, &certificates->server);
        outcome = 0;
    }
    mbedtls_x509_crt_free(&ca);
    mbedtls_x509_crt_free(&server);
    if (outcome != 0) {
        certificates_deinit(certificates);
    }
    return outcome;
}

void certificates_deinit(struct certificates *certificates)
{
    if (certificates->key_pem != NULL) {
        explicit_bzero(certificates->key_pem, strlen(certificates->key_pem));
    }
    free(certificates->ca_pem);
    free(certificates->cert_pem);
    free(certificates->key_pem);
    memset(certificates, 0, sizeof *certificates);
}
