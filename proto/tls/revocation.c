#include "proto/tls/revocation.h"

#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/tls/pem.h"
#include "proto/view.h"

struct list {
    const mbedtls_x509_crl *crl;
    const mbedtls_x509_buf **serials; /* sorted */
    size_t count;
};

struct tls_revocations {
    mbedtls_x509_crl crl;
    size_t count;
    struct list lists[];
};

/* ---- Names ---- */

static struct view bytes_of(const mbedtls_x509_buf *from)
{
    return (struct view){from->p, from->len};
}

/* Authorities write the same name as one kind of string here and as another there, so kinds are
 * not compared (RFC 5280, 7.1). */
static bool same_name(const mbedtls_x509_name *a, const mbedtls_x509_name *b)
{
    while (a != NULL && b != NULL && view_equal(bytes_of(&a->oid), bytes_of(&b->oid)) &&
           view_equal_any_case(bytes_of(&a->val), bytes_of(&b->val))) {
        a = a->next;
        b = b->next;
    }
    return a == NULL && b == NULL;
}

/* ---- Who has signed a list ---- */

enum signer { SIGNER_UNKNOWN = 0, SIGNER_OTHER_KEY, SIGNER_NOT_ALLOWED, SIGNER_GOOD };

static const char *const complaints[] = {
    [SIGNER_UNKNOWN] = "is by none of the authorities: add its issuer's certificate to them",
    [SIGNER_OTHER_KEY] = "is not signed by the key of its issuer's certificate among the "
                         "authorities: it is damaged, or that certificate is another one",
    [SIGNER_NOT_ALLOWED] = "is signed by an authority whose key usage lacks cRLSign: have its "
                           "certificate made with that",
};

/* What these two need is in fields that mbedTLS 3 has no functions for. */
static mbedtls_md_type_t digest_of(const mbedtls_x509_crl *crl)
{
    return crl->MBEDTLS_PRIVATE(sig_md);
}

static bool is_signed_by(const mbedtls_x509_crl *crl, mbedtls_x509_crt *authority)
{
    unsigned char hash[MBEDTLS_MD_MAX_SIZE];
    const mbedtls_md_info_t *digest = mbedtls_md_info_from_type(digest_of(crl));
    const mbedtls_x509_buf *signature = &crl->MBEDTLS_PRIVATE(sig);
    return digest != NULL && mbedtls_md(digest, crl->tbs.p, crl->tbs.len, hash) == 0 &&
           mbedtls_pk_verify_ext(crl->MBEDTLS_PRIVATE(sig_pk), crl->MBEDTLS_PRIVATE(sig_opts),
                                 &authority->pk, digest_of(crl), hash, mbedtls_md_get_size(digest),
                                 signature->p, signature->len) == 0;
}

static enum signer judge_signer(const mbedtls_x509_crl *crl, mbedtls_x509_crt *authority)
{
    if (!same_name(&crl->issuer, &authority->subject)) {
        return SIGNER_UNKNOWN;
    }
    if (!is_signed_by(crl, authority)) {
        return SIGNER_OTHER_KEY;
    }
    return mbedtls_x509_crt_check_key_usage(authority, MBEDTLS_X509_KU_CRL_SIGN) == 0
               ? SIGNER_GOOD
               : SIGNER_NOT_ALLOWED;
}

static bool is_strong(mbedtls_md_type_t digest)
{
    return digest == MBEDTLS_MD_SHA256 || digest == MBEDTLS_MD_SHA384 ||
           digest == MBEDTLS_MD_SHA512;
}

static int check_list(const mbedtls_x509_crl *crl, mbedtls_x509_crt *authorities, char *error,
                      size_t size)
{
    char issuer[160] = "";
    enum signer best = SIGNER_UNKNOWN;
    for (mbedtls_x509_crt *each = authorities; each != NULL && best != SIGNER_GOOD;
         each = each->next) {
        enum signer signer = judge_signer(crl, each);
        best = signer > best ? signer : best;
    }
    if (best == SIGNER_GOOD && is_strong(digest_of(crl))) {
        return 0;
    }
    (void)mbedtls_x509_dn_gets(issuer, sizeof issuer, &crl->issuer);
    (void)snprintf(error, size, "the list of revocations by %s %s", issuer,
                   best == SIGNER_GOOD ? "is signed with a hash older than SHA-256: have it made "
                                         "with that"
                                       : complaints[best]);
    return -1;
}

/* ---- Reading ---- */

static int take_list(void *context, const unsigned char *der, size_t length)
{
    return mbedtls_x509_crl_parse_der(context, der, length);
}

static const struct tls_pem_kind lists_in_pem = {
    .begin = "-----BEGIN X509 CRL-----", .end = "-----END X509 CRL-----", .take = take_list};

static int compare_serials(const void *a, const void *b)
{
    const mbedtls_x509_buf *left = *(const mbedtls_x509_buf *const *)a;
    const mbedtls_x509_buf *right = *(const mbedtls_x509_buf *const *)b;
    if (left->len != right->len) {
        return left->len < right->len ? -1 : 1;
    }
    return memcmp(left->p, right->p, left->len);
}

/* The first entry is part of mbedTLS's list, and empty when there is none. */
static const mbedtls_x509_crl_entry *first_entry(const mbedtls_x509_crl *crl)
{
    return crl->entry.serial.len > 0 ? &crl->entry : NULL;
}

static int sort_list(struct list *list, const mbedtls_x509_crl *crl)
{
    const mbedtls_x509_crl_entry *each;
    list->crl = crl;
    for (each = first_entry(crl); each != NULL; each = each->next) {
        list->count++;
    }
    list->serials = calloc(list->count > 0 ? list->count : 1, sizeof list->serials[0]);
    if (list->serials == NULL) {
        return -1;
    }
    size_t i = 0;
    for (each = first_entry(crl); each != NULL; each = each->next) {
        list->serials[i++] = &each->serial;
    }
    qsort(list->serials, list->count, sizeof list->serials[0], compare_serials);
    return 0;
}

/* Takes the lists over. */
static struct tls_revocations *sort_lists(mbedtls_x509_crl *crl, unsigned count, char *error,
                                          size_t size)
{
    struct tls_revocations *made = calloc(1, sizeof *made + count * sizeof made->lists[0]);
    int code = made == NULL ? -1 : 0;
    if (made == NULL) {
        mbedtls_x509_crl_free(crl);
    } else {
        made->crl = *crl;
    }
    for (const mbedtls_x509_crl *each = made != NULL ? &made->crl : NULL; each != NULL && code == 0;
         each = each->next) {
        code = sort_list(&made->lists[made->count++], each);
    }
    if (code != 0) {
        (void)snprintf(error, size, "no memory for the lists of revocations");
        tls_revocations_free(made);
        return NULL;
    }
    return made;
}

struct tls_revocations *tls_revocations_read(const char *text, mbedtls_x509_crt *authorities,
                                             char *error, size_t error_size)
{
    char why[160];
    unsigned count = 0;
    mbedtls_x509_crl crl;
    mbedtls_x509_crl_init(&crl);
    int code = tls_pem_read(text, &lists_in_pem, &crl, &count);
    if (code != 0) {
        mbedtls_strerror(code, why, sizeof why);
        (void)snprintf(error, error_size, "list of revocations number %u cannot be read (%s)",
                       count, why);
    } else if (count == 0) {
        code = -1;
        (void)snprintf(error, error_size,
                       "holds no list of revocations in PEM form: a block that "
                       "begins with -----BEGIN X509 CRL-----");
    }
    for (const mbedtls_x509_crl *each = &crl; each != NULL && code == 0; each = each->next) {
        code = check_list(each, authorities, error, error_size);
    }
    if (code != 0) {
        mbedtls_x509_crl_free(&crl);
        return NULL;
    }
    return sort_lists(&crl, count, error, error_size);
}

void tls_revocations_free(struct tls_revocations *revocations)
{
    if (revocations == NULL) {
        return;
    }
    for (size_t i = 0; i < revocations->count; i++) {
        free(revocations->lists[i].serials);
    }
    mbedtls_x509_crl_free(&revocations->crl);
    free(revocations);
}

/* ---- Asking ---- */

bool tls_revocations_hold(const struct tls_revocations *revocations,
                          const mbedtls_x509_crt *certificate)
{
    const mbedtls_x509_buf *serial = &certificate->serial;
    for (size_t i = 0; revocations != NULL && i < revocations->count; i++) {
        const struct list *list = &revocations->lists[i];
        if (same_name(&list->crl->issuer, &certificate->issuer) &&
            bsearch(&serial, list->serials, list->count, sizeof list->serials[0],
                    compare_serials) != NULL) {
            return true;
        }
    }
    return false;
}

uint32_t tls_revocations_entries(const struct tls_revocations *revocations)
{
    size_t entries = 0;
    for (size_t i = 0; revocations != NULL && i < revocations->count; i++) {
        entries += revocations->lists[i].count;
    }
    return (uint32_t)entries;
}

const mbedtls_x509_crl *tls_revocations_lists(const struct tls_revocations *revocations)
{
    return revocations != NULL ? &revocations->crl : NULL;
}
