#include "server/tls_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/text_file.h"

/* Reads one file and gives it to the credentials, which say what is wrong with it. */
static int take(struct tls_files *files, const char *path, char **pem,
                int (*give)(struct tls_credentials *credentials, const char *text, char *error,
                            size_t error_size),
                char *error, size_t error_size)
{
    char why[512];
    *pem = text_file_read(path, 0, error, error_size);
    if (*pem == NULL) {
        return -1;
    }
    if (give(files->credentials, *pem, why, sizeof why) != 0) {
        (void)snprintf(error, error_size, "%s: %s", path, why);
        return -1;
    }
    return 0;
}

static bool others_may_read(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

static int load(const struct tls_files_paths *paths, struct tls_files *files, char *error,
                size_t size)
{
    files->credentials = tls_credentials_new(TLS_SERVER);
    if (files->credentials == NULL) {
        (void)snprintf(error, size, "no memory for certificates, or mbedTLS cannot be initialised");
        return -1;
    }
    if (take(files, paths->ca, &files->ca_pem, tls_credentials_ca, error, size) != 0 ||
        (paths->crl[0] != '\0' &&
         take(files, paths->crl, &files->crl_pem, tls_credentials_crl, error, size) != 0) ||
        take(files, paths->cert, &files->cert_pem, tls_credentials_cert, error, size) != 0 ||
        take(files, paths->key, &files->key_pem, tls_credentials_key, error, size) != 0) {
        return -1;
    }
    files->key_is_exposed = others_may_read(paths->key);
    if (tls_credentials_ready(files->credentials) != 0) {
        (void)snprintf(error, size, "%s: no memory for what is in it", paths->cert);
        return -1;
    }
    tls_credentials_describe(files->credentials, &files->description);
    return 0;
}

int tls_files_load(const struct tls_files_paths *paths, struct tls_files *files, char *error,
                   size_t error_size)
{
    memset(files, 0, sizeof *files);
    int outcome = load(paths, files, error, error_size);
    if (outcome != 0) {
        tls_files_deinit(files);
    }
    return outcome;
}

void tls_files_deinit(struct tls_files *files)
{
    if (files->key_pem != NULL) {
        explicit_bzero(files->key_pem, strlen(files->key_pem));
    }
    tls_credentials_release(files->credentials);
    free(files->ca_pem);
    free(files->crl_pem);
    free(files->cert_pem);
    free(files->key_pem);
    memset(files, 0, sizeof *files);
}
