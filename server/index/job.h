/* One batch on its way: cut into requests of bounded size, halved where the index refuses a request
 * as a whole, until each document has its outcome. Knows nothing of connections and clocks. One
 * thread per job. */
#ifndef ACTIVITYD_SERVER_INDEX_JOB_H
#define ACTIVITYD_SERVER_INDEX_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/index/backoff.h"
#include "server/index/batch.h"
#include "server/index/reply.h"
#include "server/index/target.h"
#include "server/index/troubles.h"

/* What is refused beyond these is retried: the documents that were found leave the queue, so the
 * next attempt finds more. */
#define JOB_SPLITS_MAX  64u
#define JOB_REASONS_MAX 2048u /* what fits a RESULT */
/* When the index refused every document of a larger batch as it refuses a bad request, it is the
 * requests that it does not like: nothing is parked. */
#define JOB_ALL_REFUSED_MIN 8u

struct job_options {
    const struct targets *targets; /* borrowed, as the other two */
    struct troubles *troubles;
    struct backoff *item_backoff;
    uint32_t request_bytes_max; /* one document alone may exceed it */
};

/* A request to be sent: documents `first` and so many of the job's order. */
struct job_piece {
    uint32_t first;
    uint32_t count;
    struct bytes body; /* the receiver's, by job_piece_end */
};

enum job_trouble {
    JOB_FINE = 0,
    JOB_AWAY = 1,   /* a request was lost, or the index is overloaded: leave it alone for a while */
    JOB_REFUSED = 2 /* the same, and somebody has to do something about it */
};

struct job;

/* What a job needs at most besides its batch and the bodies of its requests. */
size_t job_memory_bytes(uint32_t documents_max);

/* Takes the batch over, also when it fails: NULL, out of memory. */
struct job *job_new_take(struct index_batch *batch, const struct job_options *options);
void job_free(struct job *job); /* accepts NULL */

/* The next request. Returns 0; 1: there is none (now); -1: out of memory, nothing has changed. */
__attribute__((warn_unused_result)) int job_next(struct job *job, struct job_piece *piece);
/* Its answer; ends the piece. status 0: none came, `why` says what happened. */
#define JOB_STATUS_TOO_LONG                                                                        \
    1u /* one came that is too long to be read: fewer are asked for at once */
void job_answer(struct job *job, struct job_piece *piece, uint32_t status, struct bytes body,
                const char *why);
/* It was not sent: it will be given once more. */
void job_piece_unsent(struct job *job, struct job_piece *piece);
/* What has not been sent yet is to be retried. */
void job_give_up(struct job *job);

bool job_is_idle(const struct job *job); /* no request is under way */
bool job_is_over(const struct job *job); /* each document has its outcome */

struct job_result {
    uint64_t batch;
    uint64_t version_seen;
    uint32_t count;
    struct bytes outcomes; /* as in struct command_result, with the rests below retry_ms */
    struct bytes reasons;  /* as command_reason_put writes them */
    uint32_t acked;
    uint32_t retried;
    uint32_t refused; /* of those retried: somebody has to do something about their index */
    uint32_t parked;
    uint32_t retry_ms; /* the longest rest of those retried: retry_after_ms of the core's RESULT */
    enum job_trouble trouble;
    struct reason why; /* of the trouble, or of a document that is retried, refused ones first */
};
/* Once, when it is over. Lives as long as the job. Returns 0; -1: out of memory. */
__attribute__((warn_unused_result)) int job_result(struct job *job, struct job_result *result);

/* What the job has learnt so far. */
enum job_trouble job_trouble(const struct job *job, const struct reason **why);
const struct index_batch *job_batch(const struct job *job);

#endif
