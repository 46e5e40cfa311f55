/* A proxy between a writer and a real index that gets in the way of bulk requests: some are
 * refused, some are lost, and of some nobody learns what became of them. Plain HTTP/1.1 on
 * loopback; requests are read whole, and each connection has one of its own to the index. Whatever
 * is no bulk request passes through. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_FAULTS_H
#define ACTIVITYD_TESTS_E2E_HARNESS_FAULTS_H

#include <stdint.h>

enum fault {
    FAULT_BUSY,            /* 429, and the index never saw it */
    FAULT_UNAVAILABLE,     /* 503, the same */
    FAULT_LOST,            /* the connection is cut, and the index never saw it */
    FAULT_UNANSWERED,      /* the index has answered, and the connection is cut instead */
    FAULT_ANSWERED_PARTLY, /* or amid the answer */
    FAULT_LATE,            /* the answer comes late */
    FAULT_OVERTAKEN,       /* the index gets it late, maybe after a repetition and what came next */
    FAULTS
};
/* For messages. Static. */
const char *fault_name(enum fault fault);

struct faults_options {
    uint16_t target;  /* of the index, on 127.0.0.1 */
    uint64_t seed;    /* which requests, which faults, how late */
    uint32_t one_in;  /* so many bulk requests has a fault, on the average */
    uint32_t late_ms; /* the latest */
};

struct faults;

/* Listens on a free port of its own. Aborts the test when that cannot be done. */
struct faults *faults_start(const struct faults_options *options);
uint16_t faults_port(const struct faults *faults);

struct faults_count {
    uint64_t requests; /* of any kind, read whole */
    uint64_t bulks;    /* of them */
    uint64_t injected; /* of those, with a fault */
    uint64_t of[FAULTS];
    uint64_t away;        /* connections that ended because the index was not there */
    uint64_t connections; /* accepted */
    uint64_t strange;     /* messages that this proxy cannot read: the test has to fail */
};
void faults_count(struct faults *faults, struct faults_count *count);

void faults_stop(struct faults *faults); /* accepts NULL */

#endif
