/* Questions on their way to the engine: encoded by request_*.c, opaque to the inbox and the engine,
 * answered by answer.h. The form never leaves the process. */
#ifndef ACTIVITYD_SERVER_WIRE_QUERY_H
#define ACTIVITYD_SERVER_WIRE_QUERY_H

#include "server/core/core.h"
#include "server/wire/method.h"

/* The lists of FindActivities, in the order in which they are paged. */
enum query_list { LIST_ACTIVITIES = 0, LIST_CHANGES = 1, LIST_INDEX_CHANGES = 2, LIST_COUNT = 3 };

/* Where a page begins. */
struct query_place {
    uint8_t list; /* enum query_list */
    uint64_t position;
};

struct query_find {
    bool lists[LIST_COUNT];
    struct core_find_activities filter; /* after_order is not used: see `from` */
    uint32_t page_size;
    bool first_page;
    struct query_place from;
    uint64_t filter_hash; /* for the next page's token */
    bool observe;
};

/* ListPresentUsers, ListIndexBatches, ListParkedDocuments. */
struct query_page {
    uint32_t page_size;
    uint64_t position; /* 0: the first page */
};

/* WaitActivity and WaitVisible: what is waited for; how long stands beside the query. */
struct query_wait {
    uint64_t job_id; /* WaitVisible: 0 = the ticket */
    uint64_t ticket;
    uint8_t percent; /* 1 to 100 */
    bool children;
    uint8_t stage; /* enum core_visible_stage */
};

/* ReadChanges, for feed/reader.h. */
struct query_read {
    bool from_now; /* no cursor was given */
    uint64_t epoch;
    uint64_t after;
    uint32_t kinds; /* bit 1 << enum event_kind; 0 = all */
    uint32_t model_count;
    struct bytes models[LIMIT_READ_MODELS];
    uint32_t document_id_count;
    struct bytes document_ids[LIMIT_READ_DOCUMENT_IDS];
    uint32_t job_id_count;
    uint64_t job_ids[LIMIT_READ_JOB_IDS];
    uint32_t page_size; /* 1 to LIMIT_PAGE_SIZE */
    bool all_tenants;
    uint64_t subscription; /* 0 = none */
};

struct query {
    enum method_id method;
    struct command_caller caller;
    union {
        struct query_find find;
        uint64_t job_id;
        uint8_t suite; /* GetServerInfo: see request_scratch_set_suite */
        struct query_page page;
        struct query_wait wait;
        struct query_read read;
    };
};

/* At most so long: every filter used up. */
#define QUERY_BYTES_MAX (32u * 1024u)

void query_encode(const struct query *query, struct writer *to);
/* The bytes come from query_encode in the same process: anything else is a bug and aborts. */
void query_decode(struct bytes encoded, struct query *query);
/* The method alone. */
enum method_id query_method(struct bytes encoded);

#endif
