/* Tells in time that a certificate ends, or a list of revocations is out of date: 30, 7 and 1 days
 * before, and when it is so; each once, and those that hold already when it begins. */
#ifndef ACTIVITYD_SERVER_EXPIRY_H
#define ACTIVITYD_SERVER_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/tls/credentials.h"
#include "server/tls_files.h"

struct expiry_item {
    bool is_list; /* of revocations: they are replaced every few days, so that only the end is told
                   */
    const char *file;
    char name[256];  /* of the certificate's owner, or the list's issuer */
    uint64_t end_ms; /* 0: never */
    unsigned told;   /* how much of it */
};

struct expiry {
    struct expiry_item items[3];
};

/* What is in force from now on. The paths are borrowed. */
void expiry_init(struct expiry *expiry, const struct tls_files_paths *paths,
                 const struct tls_description *description);

/* Logs what has become true since the last look; at the first one, what is true. To be called once
 * an hour or more often. */
void expiry_look(struct expiry *expiry, uint64_t now_ms);

#endif
