/* A writer of server/index/ and what it tells, for tests against an index, scripted or real. Knows
 * nothing of libactivity, whose names are also those of the core; so this header shows none of
 * either. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_WRITER_H
#define ACTIVITYD_TESTS_E2E_HARNESS_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOLD_DOCUMENTS 64u

enum told_outcome { TOLD_ACKED = 1, TOLD_RETRY = 2, TOLD_PARKED = 3 };

struct told_result {
    uint64_t batch;
    uint64_t version_seen;
    uint32_t count;
    uint8_t outcomes[TOLD_DOCUMENTS]; /* the first ones */
    uint32_t rest_ms[TOLD_DOCUMENTS]; /* the same */
    uint32_t acked;
    uint32_t retried;
    uint32_t refused;
    uint32_t parked;
    char code[80]; /* of the first that is parked */
    char message[272];
};

struct told_refresh {
    uint64_t results;
    uint64_t sent_ms;
};

struct told_status {
    bool ready;
    bool refused;
    char code[80];
    char message[272];
    char advice_code[80];
    char advice[272];
    char version[64];
    uint64_t away_since_ms;
    uint32_t batches;
    uint64_t acked;
};

/* What a test may want to be otherwise; all zero: short times, no TLS, whole documents alone. */
struct writing_options {
    uint16_t ports[2]; /* of 127.0.0.1; the second one 0: one node */
    bool secure;       /* https://localhost */
    bool fragments;    /* the model "orders" has them; "products" is whole in any case */
    bool gzip;
    uint32_t requests_max;      /* 0: 4 */
    uint32_t request_bytes_max; /* 0: 1 MiB */
    uint32_t answer_ms;         /* 0: 5000 */
    uint32_t refresh_ms;
    const char *index; /* template; NULL: {tenant}-{model} */
    const char *ca;
    const char *cert;
    const char *key;
    const char *basic_file;
};

struct writing;
struct index_batch;

/* Starts a writer. Aborts the test when it cannot be. */
struct writing *writing_open(const struct writing_options *options);
void writing_close(struct writing *writing); /* accepts NULL */
/* The same, and all that happened before stays to be asked for. */
void writing_stop(struct writing *writing);

/* A batch with room for so many documents; they are put in by the next two, with fresh versions. */
struct index_batch *writing_batch(struct writing *writing, uint32_t documents);
/* Whole; json NULL: a deletion. */
void writing_put(struct writing *writing, struct index_batch *batch, const char *id,
                 const char *json);
/* One more of the last document, if it is the same. */
void writing_put_fragment(struct writing *writing, struct index_batch *batch, const char *id,
                          const char *json);
/* The next documents have had so many rests in a row. */
void writing_set_rests(struct writing *writing, uint8_t rests);
/* The next version is this one, for tests of versions. */
void writing_set_version(struct writing *writing, uint64_t version);

uint32_t writing_room(struct writing *writing);
/* Submits without waiting for room; what the writer returned. */
int writing_submit_anyway(struct writing *writing, struct index_batch *batch);
/* Waits for room, and submits. */
void writing_submit(struct writing *writing, struct index_batch *batch);
/* Waits until so many results were told, gives the last of them. Aborts the test after 20 s. */
struct told_result writing_await(struct writing *writing, uint32_t results);
uint32_t writing_told(struct writing *writing);
/* The result of a batch, submitted and waited for. */
struct told_result writing_write(struct writing *writing, struct index_batch *batch);
void writing_await_room(struct writing *writing);
/* Asks for a refresh without waiting; the next one waits for the answer to it. */
void writing_ask_refresh(struct writing *writing);
struct told_refresh writing_refresh(struct writing *writing);
uint32_t writing_refreshes(struct writing *writing);
struct told_status writing_status(struct writing *writing);
/* Waits until the status says that the index is refused or away for this reason. */
struct told_status writing_await_trouble(struct writing *writing, const char *code);
uint64_t writing_now_ms(void); /* the writer's clock */

#endif
