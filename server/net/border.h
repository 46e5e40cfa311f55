/* What the endpoints of a server have in common where peers come in. */
#ifndef ACTIVITYD_SERVER_NET_BORDER_H
#define ACTIVITYD_SERVER_NET_BORDER_H

struct gate;
struct tls_domain;

/* Borrowed by the endpoints as long as they live, the texts only while they start. */
struct border {
    struct gate *gate;
    struct tls_domain *domain; /* of our TLS engine, with credentials; NULL: NNG's own is used */
    /* For NNG's own: PEM texts, and no list of revocations if that is NULL. */
    const char *ca_pem;
    const char *crl_pem;
    const char *cert_pem;
    const char *key_pem;
};

#endif
