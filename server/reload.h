/* The files that say who the server is and who may do what - certificate, key, authorities,
 * revocations, policy - as they are read at the start and, by SIGHUP or AdminService.Reload, anew.
 *
 * All or nothing: everything is read and checked, and then put in force together; when something is
 * not good, what was in force stays. The work is done by a thread of its own, since files may be
 * slow and closing connections takes NNG's locks. Several wishes that come while one is fulfilled
 * are fulfilled by the next one together. The same thread looks after what expires. */
#ifndef ACTIVITYD_SERVER_RELOAD_H
#define ACTIVITYD_SERVER_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/config.h"
#include "server/core/bytes.h"
#include "server/index_config.h"
#include "server/rpc/policy.h"
#include "server/tls_files.h"
#include "server/wire/answer_tls.h"

struct reload_files {
    struct tls_files tls;
    struct policy *policy;
};

/* Reads and checks the files that the configuration names. Returns 0, or -1 with one sentence that
 * names the file. Not from two threads at once. */
__attribute__((warn_unused_result)) int reload_read(const struct config *config,
                                                    struct reload_files *files, char *error,
                                                    size_t error_size);
void reload_files_deinit(struct reload_files *files); /* accepts a zeroed structure */

struct reload_options {
    const struct config *config;             /* borrowed, as what follows */
    const struct index_config *index_config; /* what tenants of a policy have to fit */
    void *context;
    uint64_t (*wall_ms)(void *context); /* what certificates are compared with */
    uint64_t (*boot_ms)(void *context); /* what deadlines are compared with */
    /* Puts them in force; they take references. Return how many connections were closed. */
    uint32_t (*put_credentials)(void *context, struct tls_credentials *credentials);
    uint32_t (*put_policy)(void *context, struct policy *policy);
    /* An answer to Reload. */
    void (*reply)(void *context, uint64_t token, struct bytes frame);
};

struct reload;

/* With what was read at the start, and is in force; looks whether some of it expires. The options
 * are copied. NULL: out of memory. */
struct reload *reload_new(const struct reload_options *options, const struct reload_files *files);
/* Begins to work. `possible` is false with NNG's own TLS engine, which cannot be given other
 * credentials. Returns 0 or an errno. */
__attribute__((warn_unused_result)) int reload_start(struct reload *reload, uint64_t epoch,
                                                     bool possible);
/* Ends what it is at; who waits is told that the server is about to stop. Accepts NULL. */
void reload_stop(struct reload *reload);
void reload_free(struct reload *reload); /* accepts NULL */

/* SIGHUP: any time after reload_new, also before reload_start. Any thread. */
void reload_want(struct reload *reload);

/* AdminService.Reload: 0, it will be answered under the token; 1, the server is about to stop. Any
 * thread; never waits for files. */
__attribute__((warn_unused_result)) int reload_submit(struct reload *reload, uint64_t token,
                                                      uint64_t deadline_ms);

/* What is in force. Any thread; never waits for files. */
void reload_describe(struct reload *reload, struct answer_files *files);

#endif
