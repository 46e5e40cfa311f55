/* Changes recorded with a service that writes to an index, until it says that the index has
 * accepted them. */
#ifndef ACTIVITYD_BENCH_HARNESS_ACKED_H
#define ACTIVITYD_BENCH_HARNESS_ACKED_H

#include "bench/harness_documents.h"
#include "tests/e2e/harness.h"

/* Requests of which the changes are not in the index yet; with so many the client waits, as one
 * that is not to fill the service's queue. With 200 changes in each it is less than there are
 * documents, so that none is combined with its change of the round before; and enough for more
 * changes within flush_delay_ms than a client can record. */
#define ACKED_OPEN_MAX 240u

struct acked_options {
    activity_client *client; /* read and write */
    activity_client *root;   /* admin = all */
    const char *model;
    bool fragments;       /* patches, except while `whole` */
    bool whole;           /* whole documents also of a model of fragments: as the first patch */
    uint32_t per_request; /* at most ACKED_CHANGES_MAX */
    uint32_t in_flight;   /* RecordModelChanges */
    uint32_t per_second;  /* changes; 0: as fast as it goes */
};
#define ACKED_CHANGES_MAX 1000u

struct acked_result {
    double changes;   /* per second, from the first one sent until all are accepted by the index */
    double documents; /* that were written, the same */
    double batches;   /* in which they were, the same */
    double p50_ms;    /* from the record sent until its client knows that all is in the index */
    double p99_ms;
};

/* Records for some time, or until so many; each document changes so many times in a row. The walk
 * goes on where it was. Ends the process with a sentence when a call fails. */
struct acked_result acked_run(const struct acked_options *options, struct documents_walk *walk,
                              uint32_t milliseconds, uint64_t most);

#endif
