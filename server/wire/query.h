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

struct query_users {
    uint32_t page_size;
    uint64_t position;
};

struct query {
    enum method_id method;
    struct command_caller caller;
    union {
        struct query_find find;
        uint64_t job_id;
        struct query_users users;
    };
};

/* At most so long: every filter used up. */
#define QUERY_BYTES_MAX (16u * 1024u)

void query_encode(const struct query *query, struct writer *to);
/* The bytes come from query_encode in the same process: anything else is a bug and aborts. */
void query_decode(struct bytes encoded, struct query *query);
/* The method alone. */
enum method_id query_method(struct bytes encoded);

#endif
