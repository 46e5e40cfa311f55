/* Mutual TLS for all connections of a client: certificates are read once, and each connection gets
 * its configuration from them. Any thread. */
#ifndef ACTIVITY_LIB_LINK_TLS_H
#define ACTIVITY_LIB_LINK_TLS_H

struct nng_tls_config;
struct link_credentials; /* heap object: link_credentials_load() to link_credentials_free() */

/* Puts our TLS engine in the place of NNG's, for the whole process and what it configures from now
 * on; where it does not fit the NNG that is linked, NNG's stays. Again is harmless. */
void link_tls_register(void);

struct link_files { /* PEM */
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
};

enum link_fault {
    LINK_OK = 0,
    LINK_BAD_CA = 1, /* cannot be read or is no PEM certificate */
    LINK_BAD_CERT = 2,
    LINK_BAD_KEY = 3,      /* cannot be read */
    LINK_BAD_KEY_PAIR = 4, /* no PEM, or not of each other: NNG's own engine would not tell */
    LINK_BAD_SERVER = 5,   /* no URL of the kind tls+tcp://host:port */
    LINK_NO_MEMORY = 6,
    LINK_FAILED = 7,
};

/* Reads the files; what is in them shows in link_tls_configure(). */
__attribute__((warn_unused_result)) enum link_fault
link_credentials_load(const struct link_files *files, struct link_credentials **credentials);
void link_credentials_free(struct link_credentials *credentials); /* may be NULL */

/* Makes a configuration for connections to a server whose certificate has that name; to be freed by
 * nng_tls_config_free(). */
__attribute__((warn_unused_result)) enum link_fault
link_tls_configure(const struct link_credentials *credentials, const char *server_name,
                   struct nng_tls_config **config);

#endif
