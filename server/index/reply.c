#include "server/index/reply.h"

#include <stdio.h>
#include <string.h>

#include "server/index/scan.h"

/* ---- Errors ---- */

struct error_text {
    struct bytes type;
    struct bytes reason;
};

/* {"type":..., "reason":...}; the reason may be null. */
static void read_error_object(struct scan *scan, struct error_text *error)
{
    uint32_t count = 0;
    struct bytes name;
    if (scan_peek(scan) != SCAN_OBJECT || !scan_enter_object(scan)) {
        scan_skip(scan);
        return;
    }
    while (scan_name(scan, &count, &name)) {
        bool text = scan_peek(scan) == SCAN_STRING;
        if (text && scan_is(name, "type")) {
            error->type = scan_string(scan);
        } else if (text && scan_is(name, "reason")) {
            error->reason = scan_string(scan);
        } else {
            scan_skip(scan);
        }
    }
}

static bool read_error_body(struct bytes body, struct error_text *error)
{
    struct scan scan = scan_of(body.at, body.length);
    uint32_t count = 0;
    struct bytes name;
    if (!scan_enter_object(&scan)) {
        return false;
    }
    while (scan_name(&scan, &count, &name)) {
        if (!scan_is(name, "error")) {
            scan_skip(&scan);
        } else if (scan_peek(&scan) == SCAN_STRING) { /* of the HTTP layer */
            error->reason = scan_string(&scan);
        } else {
            read_error_object(&scan, error);
        }
    }
    /* One that is cut behind the error is as good. */
    return error->type.length + error->reason.length > 0;
}

/* A sentence that is too long has what matters at both ends: an id or a value of any length stands
 * in the middle. */
static size_t set_message(struct reason *reason, struct bytes raw)
{
    enum { BEHIND = 80, BETWEEN = 5, BEFORE = COMMAND_REASON_MESSAGE_LENGTH - BEHIND - BETWEEN };
    size_t size = sizeof reason->message;
    if (raw.length < size) {
        return scan_text(raw, reason->message, size);
    }
    uint32_t from = raw.length - BEHIND;
    while (from < raw.length && (raw.at[from] & 0xc0) == 0x80) { /* amid a character */
        from++;
    }
    size_t length = scan_text(raw, reason->message, BEFORE + 1);
    memcpy(reason->message + length, " ... ", BETWEEN);
    length += BETWEEN;
    return length + scan_text(bytes_of(raw.at + from, raw.length - from), reason->message + length,
                              size - length);
}

static void set_texts(struct reason *reason, uint32_t status, const struct error_text *error)
{
    if (scan_text(error->type, reason->code, sizeof reason->code) == 0) {
        (void)snprintf(reason->code, sizeof reason->code, "status_%u", status);
    }
    if (set_message(reason, error->reason) == 0) {
        (void)snprintf(reason->message, sizeof reason->message, "status %u without a reason",
                       status);
    }
}

void reply_read_error(uint32_t http_status, struct bytes body, struct reason *reason)
{
    struct error_text error = {{NULL, 0}, {NULL, 0}};
    if (!read_error_body(body, &error)) {
        error = (struct error_text){{NULL, 0}, body}; /* a text, of which the beginning is shown */
    }
    set_texts(reason, http_status, &error);
}

/* ---- Items ---- */

/* "get":{"_source":{"_seq":n}} */
static void read_seq(struct scan *scan, struct reply_item *item)
{
    static const char *const path[] = {"_source", "_seq"};
    uint32_t depth = 0;
    uint32_t counts[2] = {0, 0};
    if (!scan_enter_object(scan)) {
        return;
    }
    for (;;) {
        struct bytes name;
        if (!scan_name(scan, &counts[depth], &name)) {
            if (depth == 0 || scan->failed) {
                return;
            }
            depth--;
        } else if (!scan_is(name, path[depth])) {
            scan_skip(scan);
        } else if (depth == 1) {
            item->has_seq = scan_u64(scan, &item->seq);
        } else if (scan_peek(scan) == SCAN_OBJECT) {
            (void)scan_enter_object(scan);
            counts[++depth] = 0;
        } else {
            scan_skip(scan);
        }
    }
}

static void read_result(struct scan *scan, struct reply_item *item)
{
    struct bytes result = scan_string(scan);
    item->noop = scan_is(result, "noop");
    item->not_found = scan_is(result, "not_found");
}

static void read_item_error(struct scan *scan, struct reply_item *item)
{
    struct error_text error = {{NULL, 0}, {NULL, 0}};
    if (scan_peek(scan) == SCAN_STRING) {
        error.reason = scan_string(scan);
    } else {
        read_error_object(scan, &error);
    }
    item->type = error.type;
    item->reason = error.reason;
}

static void read_item_fields(struct scan *scan, struct reply_item *item)
{
    uint32_t count = 0;
    struct bytes name;
    uint64_t number = 0;
    if (!scan_enter_object(scan)) {
        return;
    }
    while (scan_name(scan, &count, &name)) {
        if (scan_is(name, "status")) {
            item->status = scan_u64(scan, &number) && number < 1000 ? (uint32_t)number : 0;
        } else if (scan_is(name, "_version")) {
            (void)scan_u64(scan, &item->version); /* -1 of a document that is not there */
        } else if (scan_is(name, "result") && scan_peek(scan) == SCAN_STRING) {
            read_result(scan, item);
        } else if (scan_is(name, "error")) {
            read_item_error(scan, item);
        } else if (scan_is(name, "get") && scan_peek(scan) == SCAN_OBJECT) {
            read_seq(scan, item);
        } else {
            scan_skip(scan);
        }
    }
}

/* {"index":{...}}: exactly one name, the action. */
static bool read_item(struct scan *scan, struct reply_item *item)
{
    uint32_t count = 0;
    struct bytes name;
    *item = (struct reply_item){.status = 0};
    if (!scan_enter_object(scan)) {
        return false;
    }
    while (scan_name(scan, &count, &name)) {
        read_item_fields(scan, item);
    }
    return !scan->failed && count == 1 && item->status >= 100;
}

/* Returns how many there are; more than `most` are not read. */
static uint32_t read_items(struct scan *scan, uint32_t most, struct reply_item *items)
{
    uint32_t count = 0;
    uint32_t good = 0;
    if (!scan_enter_array(scan)) {
        return 0;
    }
    while (scan_value(scan, &count)) {
        if (good == most || !read_item(scan, &items[good])) {
            scan->failed = true;
            return UINT32_MAX;
        }
        good++;
    }
    return good;
}

/* NULL, or what is wrong with it. */
static const char *read_bulk(struct bytes body, uint32_t count, struct reply_item *items,
                             struct reply *reply)
{
    struct scan scan = scan_of(body.at, body.length);
    uint32_t names = 0;
    struct bytes name;
    uint32_t found = 0;
    bool has_items = false;
    if (scan_peek(&scan) != SCAN_OBJECT || !scan_enter_object(&scan)) {
        return "the answer is no JSON object";
    }
    while (scan_name(&scan, &names, &name)) {
        uint64_t number = 0;
        if (scan_is(name, "items") && !has_items) {
            found = read_items(&scan, count, items);
            has_items = true;
        } else if (scan_is(name, "took")) {
            (void)scan_u64(&scan, &number);
            reply->took_ms = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
        } else {
            scan_skip(&scan);
        }
    }
    if (has_items && found == UINT32_MAX) {
        return "the answer has an item too many, or one that is none";
    }
    if (!scan_is_over(&scan)) {
        return "the answer is cut or damaged";
    }
    return has_items && found == count ? NULL : "the answer has another number of items";
}

static enum reply_whole whole_of(uint32_t status)
{
    switch (status) {
    case 400:
    case 413:
        return REPLY_SPLIT;
    case 408:
    case 425:
    case 429:
        return REPLY_LATER;
    default:
        return status >= 500 || status < 300 ? REPLY_LATER : REPLY_REFUSED;
    }
}

void reply_read(uint32_t http_status, struct bytes body, uint32_t count, struct reply_item *items,
                struct reply *reply)
{
    *reply = (struct reply){.whole = REPLY_ITEMS};
    if (http_status == 200) {
        const char *fault = read_bulk(body, count, items, reply);
        if (fault != NULL) {
            reply->whole = REPLY_LATER;
            reason_set(&reply->why, "answer_unreadable", "%s", fault);
        }
        return;
    }
    reply->whole = whole_of(http_status);
    reply_read_error(http_status, body, &reply->why);
}

/* ---- Verdicts ---- */

/* The number behind `text [` in a sentence of the index, 0 when there is none. */
static uint64_t number_behind(struct bytes sentence, const char *text)
{
    size_t length = strlen(text);
    for (uint32_t i = 0; i + length <= sentence.length; i++) {
        if (memcmp(sentence.at + i, text, length) == 0) {
            struct scan scan = scan_of(sentence.at + i + length, sentence.length - i - length);
            uint64_t number = 0;
            return scan_u64(&scan, &number) ? number : 0;
        }
    }
    return 0;
}

/* The sentence begins with "[id]: ", and an id may hold anything, also such a sentence: only what
 * follows the id is looked at. */
static uint64_t version_in(struct bytes reason)
{
    static const char marker[] = "]: version conflict, ";
    uint32_t from = 0;
    for (uint32_t i = 0; i + sizeof marker - 1 <= reason.length; i++) {
        if (memcmp(reason.at + i, marker, sizeof marker - 1) == 0) {
            from = i; /* the last one */
        }
    }
    return number_behind(bytes_of(reason.at + from, reason.length - from), "current version [");
}

static void judge_conflict(uint64_t seen, uint64_t ours, struct verdict *verdict,
                           struct reason *reason)
{
    if (seen == ours) {
        verdict->outcome = INDEX_ACKED;
        return;
    }
    verdict->outcome = INDEX_RETRY;
    verdict->conflict = true;
    verdict->version_seen = seen > ours ? seen : 0;
    reason_set(reason, "version_ahead",
               "the index has version %llu, not below ours (%llu): somebody else writes this "
               "document, or our state is older than the index",
               (unsigned long long)seen, (unsigned long long)ours);
}

/* What is said of the index, or of our rights there. */
static bool is_of_index(const struct reply_item *item)
{
    static const char *const types[] = {"security_exception", "index_not_found_exception",
                                        "cluster_block_exception", "index_closed_exception",
                                        "validation_exception"}; /* it cannot be made */
    bool found = item->status == 401 || item->status == 403;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        found = found || scan_is(item->type, types[i]);
    }
    return found;
}

void reply_judge(const struct reply_item *item, const struct index_batch *batch, uint32_t document,
                 struct verdict *verdict, struct reason *reason)
{
    const struct index_document *from = &batch->documents[document];
    const struct index_change *last = index_batch_last_change(batch, document);
    bool fragments = from->kind == TAKE_FRAGMENTS;
    *verdict = (struct verdict){.outcome = INDEX_ACKED};
    if (item->status >= 200 && item->status < 300) {
        /* The script has skipped the last change: the document's seq was not below it. */
        if (fragments && item->noop) {
            judge_conflict(item->has_seq ? item->seq : 0, last->version, verdict, reason);
        }
        return;
    }
    if (item->status == 404 && item->not_found && !fragments && last->deleted) {
        return; /* there was nothing to delete */
    }
    if (item->status == 409 && !fragments) {
        judge_conflict(version_in(item->reason), last->version, verdict, reason);
        return;
    }
    struct error_text error = {item->type, item->reason};
    set_texts(reason, item->status, &error);
    /* 409 of an update: others have changed the document while the index was at it. */
    bool later =
        item->status == 409 || item->status == 429 || item->status >= 500 || item->status < 400;
    verdict->refused = is_of_index(item);
    verdict->outcome = later || verdict->refused ? INDEX_RETRY : INDEX_PARKED;
}
