/* Commands and entries in their journaled form: what the wire admits, the journal keeps and the
 * core applies.
 *
 * An entry is a head and `count` commands. The form is canonical (one value, one encoding),
 * little-endian and unaligned. Decoding is total: any bytes give a command or "malformed"; views
 * point into the given bytes. Everything that the border promises (lengths, counts, UTF-8 is not
 * looked at again) is checked again here by length and count only, since the bytes may come from a
 * disk. Nothing here allocates or keeps state; any thread. */
#ifndef ACTIVITYD_SERVER_CORE_COMMAND_H
#define ACTIVITYD_SERVER_CORE_COMMAND_H

#include "proto/limits.h"
#include "server/core/bytes.h"
#include "server/core/limits.h"

enum command_kind {
    COMMAND_EPOCH = 1,   /* a new history: first entry of a journal, restore, repair */
    COMMAND_LIMITS = 2,  /* every value that influences the core */
    COMMAND_UPGRADE = 3, /* behaviour of a newer core version begins here */
    COMMAND_TICK = 4,    /* nothing but time; carries the digest to compare and users' beats */
    COMMAND_CREATE = 5,
    COMMAND_UPDATE = 6,
    COMMAND_BATCH = 7,
    COMMAND_DESTROY = 8,
    COMMAND_RECORD = 9,
    COMMAND_TAKE = 10,        /* what is due for the index goes into a batch */
    COMMAND_RESULT = 11,      /* what became of a batch */
    COMMAND_INDEX_START = 12, /* nobody knows what became of the batches in flight: all come back,
                                 and nothing rests any more */
    COMMAND_PARKED = 13,      /* an admin decides about a document that the index refused */
    COMMAND_KIND_END = 14
};

/* What the policy grants, resolved before the journal: the core never sees a policy. */
enum caller_rights {
    RIGHT_UPDATE_ANY = 1, /* may change every job of the tenant */
    RIGHT_ADMIN = 2,      /* sees and may change everything of the tenant */
    RIGHT_FEED = 4 /* may subscribe to all tenants' events; in queries only, never in commands */
};

struct command_caller {
    struct bytes tenant;    /* 1..LIMIT_TENANT_LENGTH */
    struct bytes principal; /* 1..LIMIT_PRINCIPAL_LENGTH */
    struct bytes user;      /* empty: the principal acts as itself */
    uint8_t rights;
    uint8_t group_count; /* 0..LIMIT_CALLER_GROUPS */
    struct bytes groups[LIMIT_CALLER_GROUPS];
};

struct command_groups { /* of an object; unique, in the order given */
    uint8_t count;
    struct bytes names[LIMIT_OBJECT_GROUPS];
};

struct command_epoch {
    uint64_t epoch;
    uint8_t hash_key[16];      /* SipHash key of tables keyed by foreign bytes */
    uint32_t first_generation; /* 28 random bits: of a fresh state's slots */
    uint32_t
        raise_generations; /* added to every slot's generation (restore and repair), 0 at birth */
    uint64_t first_ticket; /* random */
};

struct command_limits {
    uint64_t values[CORE_LIMIT_COUNT];
};

struct command_upgrade {
    uint32_t core_version;
};

#define COMMAND_TICK_BEATS_MAX 4096
struct command_tick {
    uint64_t index; /* of the last entry applied when the tick was formed; 0 = nothing to compare */
    uint64_t digest;
    uint32_t beat_count;
    struct bytes beats; /* beat_count times: text tenant, text user (command_beat_next) */
};

struct command_create {
    struct command_caller caller;
    uint8_t request_id[LIMIT_REQUEST_ID_LENGTH];
    struct bytes payload; /* the canonical rest of the command: what a repetition is compared by */
    struct bytes type;
    struct bytes title;
    struct command_groups groups;
    struct bytes
        attributes; /* opaque to the core: as wire/ encodes them, at most LIMIT_ATTRIBUTES_BYTES */
    uint64_t parent_job_id;
    uint64_t retry_of_job_id;
};

struct command_update {
    struct command_caller caller;
    uint64_t job_id;
    bool has_percent;
    uint8_t percent; /* 0..100 */
    bool has_status_text;
    struct bytes status_text;
    bool has_failure; /* excludes percent 100 and a result */
    struct bytes failure_code;
    struct bytes failure_message;
    struct bytes result; /* opaque: an encoded JobResult; non-empty only with percent 100 */
};

struct command_batch {
    struct command_caller caller;
    uint32_t count;
    struct bytes
        deltas; /* zigzag varints, as proto/batch.h; the core decodes them itself, bounded */
    struct bytes percents; /* count bytes, 0..100 */
};

struct command_destroy {
    struct command_caller caller;
    uint64_t job_id;
};

struct command_change {
    struct bytes model;
    struct bytes document_id;
    struct bytes affected_model;
    struct command_groups groups; /* the group "*" is the whole tenant */
    bool deleted;
    bool fragment; /* `json` is a merge patch of the document, or `deleted` marks it; else it is the
                      whole document, or its deletion */
    bool urgent;   /* does not wait for others of its document. The three travel in one byte that
                      was `deleted` alone: older journals read the same */
    struct bytes json;
};

struct command_record {
    struct command_caller caller;
    uint8_t request_id[LIMIT_REQUEST_ID_LENGTH];
    struct bytes payload; /* as in command_create */
    uint64_t job_id;
    uint32_t change_count;
    struct bytes changes; /* change_count of them (command_change_next) */
};

#define COMMAND_TAKE_DOCUMENTS_MAX 16384u
#define COMMAND_TAKE_BYTES_MAX     (UINT64_C(64) * 1024 * 1024)
struct command_take {
    uint32_t documents_max; /* 1..COMMAND_TAKE_DOCUMENTS_MAX */
    uint64_t bytes_max;     /* of JSON, 1..COMMAND_TAKE_BYTES_MAX; one change alone may exceed it */
};

enum index_outcome {
    INDEX_ACKED = 1,  /* the index has it */
    INDEX_RETRY = 2,  /* it has to be sent once more, after a rest */
    INDEX_PARKED = 3, /* it never will, until somebody has done something about it */
};
#define COMMAND_RETRY_AFTER_MAX_MS    3600000u
#define COMMAND_HALVINGS_MAX          21u /* of which the longest rest is a millisecond */
#define COMMAND_REASON_CODE_LENGTH    64
#define COMMAND_REASON_MESSAGE_LENGTH 256
/* A version above this one is nobody's that counts as we do: it does not raise our counter, which
 * would soon be used up for all documents. */
#define COMMAND_VERSION_SEEN_MAX (UINT64_C(1) << 62)
struct command_result {
    uint64_t batch;
    uint64_t version_seen;   /* the highest that the index showed where it refused ours; 0 = none */
    uint32_t retry_after_ms; /* how long documents rest that are retried, by service time: 0 (not at
                                all: they are due at once)..COMMAND_RETRY_AFTER_MAX_MS */
    uint32_t count;          /* of the batch's documents, 1..COMMAND_TAKE_DOCUMENTS_MAX */
    struct bytes outcomes;   /* count bytes, in the order of the batch: enum index_outcome, and of
                                one that is retried how often its rest is halved (index_retry) */
    struct bytes reasons;    /* for each INDEX_PARKED: text code, text message (command_reason_put);
                                together they have to fit an entry */
};

/* One byte of the outcomes. */
static inline enum index_outcome index_outcome_of(uint8_t byte)
{
    return (enum index_outcome)(byte & 3u);
}
/* `halvings` at most COMMAND_HALVINGS_MAX. INDEX_RETRY alone is the same with 0. */
static inline uint8_t index_retry(uint32_t halvings)
{
    return (uint8_t)(INDEX_RETRY | halvings << 2);
}
static inline uint32_t index_rest_ms(uint32_t retry_after_ms, uint8_t byte)
{
    return retry_after_ms >> (byte >> 2);
}

enum parked_action {
    PARKED_RETRY = 1,  /* back to the front of the queue */
    PARKED_DISCARD = 2 /* never to be written */
};
struct command_parked {
    struct command_caller
        caller; /* an admin of the document's tenant, else there is no such thing */
    uint64_t park_id;
    uint8_t action; /* enum parked_action */
};

/* A decoded command. Large: keep one per thread, not on small stacks. */
struct command {
    enum command_kind kind;
    union {
        struct command_epoch epoch;
        struct command_limits limits;
        struct command_upgrade upgrade;
        struct command_tick tick;
        struct command_create create;
        struct command_update update;
        struct command_batch batch;
        struct command_destroy destroy;
        struct command_record record;
        struct command_take take;
        struct command_result result;
        struct command_parked parked;
    };
};

/* One command with its kind and length before it, as it stands in an entry. `writer` semantics: see
 * bytes.h. For CREATE and RECORD `payload` is ignored by the encoder. For TICK, RECORD and RESULT
 * the lists are encoded by command_beat_put, command_change_put and command_reason_put first and
 * given as bytes. */
void command_encode(const struct command *command, struct writer *to);
void command_beat_put(struct writer *to, struct bytes tenant, struct bytes user);
void command_change_put(struct writer *to, const struct command_change *change);
void command_reason_put(struct writer *to, struct bytes code, struct bytes message);

/* Reads the next command of an entry. False: malformed (reader->failed is set). */
__attribute__((warn_unused_result)) bool command_decode(struct reader *from,
                                                        struct command *command);

/* Walk lists inside a decoded command. False at the end; command_decode has checked them. */
bool command_beat_next(struct reader *from, struct bytes *tenant, struct bytes *user);
bool command_change_next(struct reader *from, struct command_change *change);
bool command_reason_next(struct reader *from, struct bytes *code, struct bytes *message);

/* An upper bound of the effect bytes that applying this encoded command can make (its own reply and
 * events, not expiry), from its head alone: the engine closes an entry before the sum exceeds
 * CORE_EFFECTS_COMMANDS_MAX. */
size_t command_effects_max(struct bytes encoded);

enum entry_flags {
    ENTRY_RESUME = 1, /* a start, a stall above 2,000 ms or the end of a disk-full time: nobody is
                         killed for 60 s */
    ENTRY_JUMP =
        2 /* follow the real clock at once, even backwards in rate: first entry after a start */
};

#define ENTRY_HEAD_BYTES     24
#define ENTRY_ELAPSED_MAX_MS 2000
struct entry_head {
    uint8_t version; /* 1 */
    uint8_t flags;
    uint16_t elapsed_ms; /* since the previous entry of this process, 0..ENTRY_ELAPSED_MAX_MS; 0 in
                            the first */
    uint32_t writer;     /* who formed it; 0 on a single node */
    uint64_t clock_ms;   /* the real clock when it was formed */
    uint32_t count;      /* of commands */
    uint32_t reserved;   /* 0 */
};
void entry_head_encode(const struct entry_head *head, struct writer *to);
__attribute__((warn_unused_result)) bool entry_head_decode(struct reader *from,
                                                           struct entry_head *head);

#endif
