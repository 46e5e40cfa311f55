/* An index that misbehaves on demand: an HTTP server on loopback that answers as it is told, and
 * keeps what it was sent. Without orders it is a healthy index that accepts everything and
 * remembers no document. Plain HTTP, one thread of its own. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_INDEX_H
#define ACTIVITYD_TESTS_E2E_HARNESS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What happens to one item of a bulk that is else accepted. */
struct index_item {
    size_t position;
    int status;       /* 429, 400, 403, 409 ... */
    const char *type; /* error.type; NULL: a result without an error, as of 404 not_found */
    const char *reason;
};

/* One answer. All zero: 200, as a healthy index. Strings and items are copied. */
struct index_answer {
    const char *path; /* only for requests with this in their path; NULL: for any */
    uint32_t times;   /* for so many requests; 0: for one, UINT32_MAX: for ever */

    int status; /* 0: 200 */
    const char
        *body; /* NULL: what a healthy index would say; of another status than 200: nothing */
    const char *content_type; /* NULL: application/json */
    const char *header;       /* one more line, "Retry-After: 3"; or NULL */
    const struct index_item *items;
    size_t item_count;
    size_t padded_to; /* the body is made longer with blanks, up to so many bytes */

    uint32_t delay_ms; /* before the first byte */
    size_t piece;      /* the body comes in pieces of so many bytes, */
    uint32_t pause_ms; /* with such pauses between them */
    bool chunked;      /* instead of a Content-Length; a chunk per piece */
    bool closes;       /* says "Connection: close", and does */
    bool cut;          /* closes amid the body, after cut_at bytes of it as they are sent */
    size_t cut_at;
    bool reset; /* the connection is reset instead of an answer */
    bool hangs; /* no answer at all, the connection stays */
};

/* A request as it was received, chunks put together. */
struct index_request {
    char method[16];
    char path[1024]; /* with the query */
    char *head;      /* request line and header lines, terminated */
    char *body;      /* terminated, `length` bytes */
    size_t length;
    unsigned connection; /* the how manieth, from 0 */
    uint64_t at_ms;      /* when it was complete, by now_ms() */
};

struct index_server;

/* Listens on 127.0.0.1:port, 0: a free one. Aborts the test when that cannot be done. */
struct index_server *index_start(uint16_t port);
uint16_t index_port(const struct index_server *server);
/* Orders an answer; the oldest order that fits a request and is not used up is taken. */
void index_order(struct index_server *server, const struct index_answer *answer);
/* Forgets what was ordered and is not under way. */
void index_heal(struct index_server *server);

/* Requests so far, and one of them (from 0): it stays until index_stop. */
size_t index_seen(struct index_server *server);
const struct index_request *index_request(struct index_server *server, size_t at);
/* Waits until that many requests have come; false when they have not after so many ms. */
bool index_await(struct index_server *server, size_t count, uint32_t milliseconds);
/* Connections accepted so far. */
unsigned index_connections(struct index_server *server);

void index_stop(struct index_server *server); /* accepts NULL */

#endif
