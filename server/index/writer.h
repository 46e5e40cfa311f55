/* Writes batches into an index and tells what became of them; makes them searchable when somebody
 * asks for it. One thread of its own; nothing here can hold up the engine.
 *
 * The way of a batch: index_writer_room says that one more would be sent at once; the core's TAKE
 * makes it; index_writer_submit_take; `result`, exactly once for each, with an outcome for every
 * document. While the index is away there is no room: what is under way comes back to be retried,
 * and after a pause that grows it is asked again whether it is there and what it has (survey.h).
 *
 * Single documents that the index did not take, because it was busy or a part of it was not there,
 * close no room: the core lets them rest, each as long as its result says, and the others go on.
 * The rest doubles with each one in a row, from retry_first_ms up to item_retry_most_ms, half of it
 * by chance. Where an index as such is refused (a right or the index is missing, it is closed or
 * blocked), the rest is long from the beginning, and the status says which it is. */
#ifndef ACTIVITYD_SERVER_INDEX_WRITER_H
#define ACTIVITYD_SERVER_INDEX_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/index/job.h"
#include "server/index/survey.h"
#include "server/index/transport.h"

#define INDEX_BATCHES_MAX 16u

/* Everything that the configuration decides. Texts and lists are borrowed for the writer's life. */
struct index_options {
    struct transport_options transport; /* requests_max is that of bulks; now_ms is not looked at */
    struct targets targets;
    uint32_t request_bytes_max;  /* of a bulk; below the index's http.max_content_length */
    uint32_t batches_max;        /* in all, 1..INDEX_BATCHES_MAX */
    uint32_t retry_first_ms;     /* the pause after the first failure */
    uint32_t retry_most_ms;      /* and the longest one */
    uint32_t item_retry_most_ms; /* the longest rest of single documents */
    uint32_t late_ms;            /* see survey.h: index.gc_deletes should be above it */
    uint32_t refresh_ms;         /* a refresh each time, if there is something new; 0: when asked */
};

struct index_refreshed {
    uint64_t results; /* told before it was asked for, since the writer began */
    uint64_t sent_ms; /* when it was asked for, by now_ms */
};

/* What is called, on the writer's thread; must not wait for anybody. */
struct index_calls {
    void *context;
    uint64_t (*now_ms)(void *context); /* a clock that does not jump; any thread */
    /* Valid during the call. The core's RESULT is to be made of it. */
    void (*result)(void *context, const struct job_result *result);
    /* Everything of which `result` had told before the `results`-th one is searchable. Not told
     * while it fails: it is tried again. */
    void (*refreshed)(void *context, const struct index_refreshed *refreshed);
    /* There may be room again. */
    void (*room)(void *context);
};

struct index_writer;

/* Whether the options can be used; also done by index_writer_start. Returns 0, or -1 with a
 * sentence. */
__attribute__((warn_unused_result)) int index_options_check(const struct index_options *options,
                                                            char *error, size_t error_size);

/* What it needs in the worst case, with batches of so many documents and bytes of JSON. */
size_t index_writer_memory_bytes(const struct index_options *options, uint32_t documents_max,
                                 uint64_t bytes_max);

/* Makes it and starts its thread. The index need not be there yet. NULL with a sentence. */
struct index_writer *index_writer_start(const struct index_options *options,
                                        const struct index_calls *calls, char *error,
                                        size_t error_size);
/* Ends the thread at once and frees. Of batches that are left nothing is told. Accepts NULL. */
void index_writer_stop(struct index_writer *writer);

/* How many batches would be sent at once. Any thread. */
uint32_t index_writer_room(struct index_writer *writer);
/* Takes the batch over in any case. Returns 0; 1: there is no place (nothing will be told of it:
 * more than batches_max were submitted). It is sent, or comes back, also while there is no room.
 * Any thread. */
__attribute__((warn_unused_result)) int index_writer_submit_take(struct index_writer *writer,
                                                                 struct index_batch *batch);
/* Somebody waits until what has been told of is searchable: one refresh for all who ask before it
 * begins. Any thread. */
void index_writer_refresh(struct index_writer *writer);

struct index_status {
    bool ready;           /* it was there when last looked at */
    bool refused;         /* somebody has to do something about it; ready nevertheless: about one
                             index, and the documents of others are written */
    struct reason why;    /* unless ready, or when refused: what is the matter; else the last
                             trouble, or "" */
    struct reason advice; /* from survey.h, or "" */
    char version[SURVEY_VERSION_MAX];
    uint64_t away_since_ms; /* unless ready */
    uint32_t failures;      /* in a row */
    uint32_t batches;       /* under way */
    uint64_t requests;      /* bulks, sent */
    uint64_t request_bytes;
    uint64_t acked; /* documents */
    uint64_t retried;
    uint64_t parked;
    uint64_t results;
    uint64_t refreshes;
};
/* Any thread. */
void index_writer_status(struct index_writer *writer, struct index_status *status);

#endif
