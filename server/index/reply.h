/* What the index answers to a _bulk request: what became of the whole, and of each document.
 *
 *   200        each item tells for itself: acknowledged, to be sent once more (429 and 5xx), or
 *              refused for good (any other 4xx) unless it is the index that is refused
 *   400, 413   nothing was written because of some item: to be found by halves
 *   429, 5xx,  and everything that is no answer (lost, late, cut, from something in between):
 * nobody others     knows, all of it is sent once more
 *
 * A conflict is no error of the document. Our versions are fresh at every attempt, so a version in
 * the index that is not below ours is ours itself (the request came twice: acknowledged), or that
 * of a foreign writer, or our counter is behind the index: the version seen is handed up.
 *
 * A right, an index or a disk that is missing is no error of the document either: it is the same
 * for all that go there. Parked, each of them would have to be retried by hand afterwards. */
#ifndef ACTIVITYD_SERVER_INDEX_REPLY_H
#define ACTIVITYD_SERVER_INDEX_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"
#include "server/index/batch.h"
#include "server/index/reason.h"

/* Behind /_bulk. Always with items.*.status: an item of which nothing is left would be dropped, and
 * the positions with it. */
#define REPLY_FILTER                                                                               \
    "filter_path=errors,took,error,status,items.*.status,items.*._version,items.*.result,"         \
    "items.*.error.type,items.*.error.reason,items.*.get._source._seq"

/* One item, as it stands in the reply; texts as they are between their quotes. */
struct reply_item {
    uint32_t status;
    bool noop;
    bool not_found;   /* "result":"not_found" */
    bool has_seq;     /* the document's seq was shown */
    uint64_t version; /* _version */
    uint64_t seq;
    struct bytes type;
    struct bytes reason;
};

enum reply_whole {
    REPLY_ITEMS = 0,   /* all items are there */
    REPLY_SPLIT = 1,   /* refused as a whole because of what is in it */
    REPLY_LATER = 2,   /* the index is away, overloaded, or nobody knows: once more, later */
    REPLY_REFUSED = 3, /* it does not want us (401, 403, 404, 406 ...): later, and somebody has to
                          do something about it */
};

struct reply {
    enum reply_whole whole;
    uint32_t took_ms;
    struct reason why; /* unless REPLY_ITEMS */
};

/* Reads an answer to `count` documents. `items` has room for as many, and is filled when all are
 * there. `body` must outlive them. A 200 that is no such answer, or of another number of items, is
 * REPLY_LATER. Total. */
void reply_read(uint32_t http_status, struct bytes body, uint32_t count, struct reply_item *items,
                struct reply *reply);

/* Reads an error of the index, whatever request it answers: JSON as OpenSearch and Elasticsearch
 * write it, a text, or nothing. */
void reply_read_error(uint32_t http_status, struct bytes body, struct reason *reason);

struct verdict {
    enum index_outcome outcome;
    bool conflict;         /* INDEX_RETRY because of a version */
    bool refused;          /* INDEX_RETRY once somebody has done something about the index */
    uint64_t version_seen; /* of a conflict; 0: not shown */
};
/* Decides what became of a document; fills `reason` unless it is acknowledged. */
void reply_judge(const struct reply_item *item, const struct index_batch *batch, uint32_t document,
                 struct verdict *verdict, struct reason *reason);

#endif
