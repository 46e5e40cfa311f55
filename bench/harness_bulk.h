/* Loaders that write changes into an index without us: as a plain service would with `_bulk`, and
 * one by one. Each change is written. As many connections as wanted, kept alive, one thread. Each
 * connection has documents of its own, so that the changes of a document stay in order: that is
 * what a careful loader would do, and it conflicts with nobody. */
#ifndef ACTIVITYD_BENCH_HARNESS_BULK_H
#define ACTIVITYD_BENCH_HARNESS_BULK_H

#include "bench/harness_documents.h"

enum bulk_kind {
    BULK_INDEX,    /* the whole document, without a version */
    BULK_EXTERNAL, /* the same with version_type=external */
    BULK_UPDATE,   /* a partial document */
    BULK_SINGLE    /* PUT _doc/ID of the whole document */
};

struct bulk_options {
    const char *url;   /* of the node */
    const char *index; /* its name */
    enum bulk_kind kind;
    uint32_t connections; /* a power of two, at most BULK_CONNECTIONS_MAX */
    uint32_t items;       /* in a request; of BULK_SINGLE 1 */
};
#define BULK_CONNECTIONS_MAX 64u

struct bulk_loader;

/* Texts are borrowed. */
struct bulk_loader *bulk_new(const struct bulk_options *options);
void bulk_free(struct bulk_loader *loader); /* accepts NULL */

/* Writes for some time, or until so many were written, each document so many times in a row.
 * Returns changes per second, until the last answer. Ends the process with a sentence when anything
 * was not accepted. */
double bulk_run(struct bulk_loader *loader, uint32_t milliseconds, uint64_t most, uint32_t times);

#endif
