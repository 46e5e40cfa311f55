/* Documents that the index refused: why, since when, and the number by which an admin decides about
 * them. The documents themselves stand in pending.parked, longest parked first; each has a record
 * here. */
#ifndef ACTIVITYD_SERVER_CORE_PARKED_H
#define ACTIVITYD_SERVER_CORE_PARKED_H

#include "server/core/pending.h"

struct parked {
    uint64_t park_id;  /* never used again */
    uint64_t since_ms; /* by the wall clock */
    uint32_t document;
    uint32_t text; /* block: code and message */
    uint16_t code_length;
    uint16_t message_length;
    uint32_t zero;
};
_Static_assert(sizeof(struct parked) == 32, "written as it lies in memory");

struct parked_documents {
    struct table table;
    struct pool texts;
    struct hash by_id;
    uint64_t last_id;
};

void parked_layout(struct parked_documents *documents, struct region *region,
                   const struct core_limits *capacity);

static inline struct parked *parked_at(const struct parked_documents *documents, uint32_t place)
{
    return table_at(&documents->table, place);
}

/* Why a document is parked. */
struct parked_reason {
    struct bytes code;    /* up to COMMAND_REASON_CODE_LENGTH */
    struct bytes message; /* up to COMMAND_REASON_MESSAGE_LENGTH */
};
/* Makes a record and returns its park_id. There is room for as many as changes may be pending; the
 * memory for texts is smaller, and when it is used up a record goes without a message, or without
 * any text. */
uint64_t parked_add(struct parked_documents *documents, const struct core_limits *limits,
                    uint32_t document, uint64_t wall_ms, const struct parked_reason *reason);
/* Place of a record by its park_id, 0 when there is none. */
uint32_t parked_find(const struct parked_documents *documents, uint64_t park_id);
void parked_remove(struct parked_documents *documents, uint32_t place);

void parked_save(const struct parked_documents *documents, struct stream_out *out);
void parked_load(struct parked_documents *documents, struct stream_in *in);
/* After pending_verify: NULL, or what is wrong. */
const char *parked_verify(struct parked_documents *documents, const struct pending *pending,
                          const struct changes *changes, uint64_t wall_ms);

#endif
