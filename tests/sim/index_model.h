/* A second opinion about the way into the index: documents, what waits of each, what is under way
 * and what is parked, written down as simply as possible. It judges every reply and event about the
 * index, and every answer about it. Caps and windows are the other model's (model.h). */
#ifndef ACTIVITYD_TESTS_SIM_INDEX_MODEL_H
#define ACTIVITYD_TESTS_SIM_INDEX_MODEL_H

#include "tests/sim/rig.h"

#define INDEX_TENANTS       2u
#define INDEX_MODELS        2u
#define INDEX_IDS           5u
#define INDEX_AFFECTED      3u
#define INDEX_DOCUMENTS     (INDEX_TENANTS * INDEX_MODELS * INDEX_IDS)
#define INDEX_PENDING       160u /* pending_changes_max at most */
#define INDEX_TICKETS       40000u
#define INDEX_JSON_MOST     900u
#define INDEX_KEEP_LEAST_MS 1000u /* the shortest ticket_keep_ms */

struct index_change {
    uint64_t accept_ms, service_ms;
    uint32_t ticket; /* the n-th one */
    uint32_t affected;
    bool fragment, deleted, urgent;
    uint32_t length; /* of the JSON, all of it this byte: */
    uint8_t fill;
};

enum index_state { INDEX_IDLE, INDEX_WAITS, INDEX_FLIES, INDEX_SIDED, INDEX_RESTS };

struct index_document {
    enum index_state state;
    uint32_t count, taken; /* changes; of them in flight or parked */
    struct index_change changes[INDEX_PENDING];
    uint64_t since; /* service time */
    uint64_t rest_until, rest_number;
    uint32_t rests; /* in a row */
    uint64_t park_id, parked_ms;
    char code[COMMAND_REASON_CODE_LENGTH + 1];
    char message[COMMAND_REASON_MESSAGE_LENGTH + 1];
    struct {
        uint64_t first, last, updated;
    } shown[INDEX_AFFECTED]; /* announced last */
};

struct index_batch {
    uint64_t number, sent_ms;
    uint32_t count;
    uint32_t documents[INDEX_DOCUMENTS];
};

struct index_ticket {
    uint64_t id, done_service;
    uint32_t tenant, open;
    bool discarded;
};

struct index_queue {
    uint32_t count;
    uint32_t at[INDEX_DOCUMENTS];
};

enum index_meeting {
    INDEX_MET_RECORDED,
    INDEX_MET_REFUSED,
    INDEX_MET_BATCH,
    INDEX_MET_NOTHING_DUE,
    INDEX_MET_TOO_MANY_BATCHES,
    INDEX_MET_URGENT,
    INDEX_MET_WHOLE,
    INDEX_MET_COMBINED, /* of several whole changes the last */
    INDEX_MET_FRAGMENTS,
    INDEX_MET_OTHER_KIND, /* left behind */
    INDEX_MET_ACKED,
    INDEX_MET_RETRIED,
    INDEX_MET_RESTS,
    INDEX_MET_URGENT_RESTS,
    INDEX_MET_BEHIND_RESTING,
    INDEX_MET_RESTED, /* taken after it */
    INDEX_MET_TURNS,  /* a document that waited between two that rested */
    INDEX_MET_WOKEN,
    INDEX_MET_PARKED,
    INDEX_MET_BEHIND_PARKED,
    INDEX_MET_STALE,
    INDEX_MET_SEEN, /* a version that raises ours */
    INDEX_MET_START,
    INDEX_MET_PARK_RETRIED,
    INDEX_MET_DISCARDED,
    INDEX_MET_NOT_PARKED,
    INDEX_MET_SENT,
    INDEX_MET_WAIT_PARKED,
    INDEX_MET_LEFT, /* the index was given up */
    INDEX_MET_COUNT
};
extern const char *const index_meetings[INDEX_MET_COUNT];

struct index_model {
    char complaint[512];
    uint64_t met[INDEX_MET_COUNT];
    struct core_limits limits;
    uint64_t service, wall;
    struct index_document documents[INDEX_DOCUMENTS];
    struct index_queue urgent, waiting;
    uint32_t batch_count;
    struct index_batch batches[BATCHES_MAX];
    uint64_t last_batch, last_version, last_park, last_rest;
    uint32_t ticket_count;
    struct index_ticket tickets[INDEX_TICKETS];
};

/* What documents are called. */
struct bytes index_tenant(uint32_t document);
struct bytes index_model_name(uint32_t document);
struct bytes index_id(uint32_t document);
struct bytes index_affected(uint32_t affected);

/* Each judges one command's effects and adopts them; false: `complaint` says what is wrong.
 * `service` and `wall` are those of the command's entry. */
struct index_recorded {
    uint32_t document;
    struct index_change change;
};
bool index_record(struct index_model *model, const struct index_recorded *changes, uint32_t count,
                  const struct effect *reply);
bool index_take(struct index_model *model, const struct command_take *take,
                const struct effect *reply);
bool index_result(struct index_model *model, const struct command_result *result,
                  const struct event *events, uint32_t event_count, const struct effect *reply);
bool index_start(struct index_model *model, const struct effect *reply);
bool index_parked(struct index_model *model, const struct command_parked *parked,
                  const struct effect *reply);
/* LIMITS without an index, and without a delay: all that waits, flies or is parked is announced. */
bool index_left(struct index_model *model, const struct event *events, uint32_t event_count);

/* Asks the core all there is to ask. */
bool index_ask(struct index_model *model, const struct core *core, uint64_t pick);

uint32_t index_pending(const struct index_model *model);

#endif
