/* Any bytes as an answer to a _bulk request: read or refused, and each document gets one verdict.
 * The first two bytes choose the status and how many documents were asked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/view.h"
#include "server/index/reply.h"
#include "server/index/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DOCUMENTS = 8 };

static const uint32_t statuses[] = {200, 200, 200, 400, 401, 413, 429, 503};

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static void check_text(const char *text, size_t most, bool empty)
{
    check(strlen(text) <= most && (empty || text[0] != '\0') && view_is_text(view_of(text)));
}

static struct index_batch *some_batch(void)
{
    struct index_room room = {DOCUMENTS, DOCUMENTS, 256};
    struct index_batch *batch = index_batch_new(1, 1, room);
    check(batch != NULL);
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        struct index_document document = {.tenant = bytes_of("t", 1),
                                          .model = bytes_of("m", 1),
                                          .id = bytes_of("i", 1),
                                          .kind = i % 2 ? TAKE_FRAGMENTS : TAKE_WHOLE};
        index_batch_put_document(batch, &document);
        struct index_change change = {7, i % 4 > 1, bytes_of("{}", 2)};
        index_batch_put_change(batch, &change);
    }
    return batch;
}

static void check_items(const struct reply_item *items, uint32_t count)
{
    struct index_batch *batch = some_batch();
    for (uint32_t i = 0; i < count; i++) {
        struct verdict verdict;
        struct reason reason = {.code = ""};
        reply_judge(&items[i], batch, i, &verdict, &reason);
        check(verdict.outcome >= INDEX_ACKED && verdict.outcome <= INDEX_PARKED);
        check(verdict.version_seen == 0 || (verdict.conflict && verdict.version_seen > 7));
        check(!verdict.conflict || verdict.outcome == INDEX_RETRY);
        check(!verdict.refused || (verdict.outcome == INDEX_RETRY && !verdict.conflict));
        bool acked = verdict.outcome == INDEX_ACKED;
        check(!acked || items[i].status < 300 || items[i].status == 404 || items[i].status == 409);
        check_text(reason.code, COMMAND_REASON_CODE_LENGTH, acked);
        check_text(reason.message, COMMAND_REASON_MESSAGE_LENGTH, acked);
    }
    index_batch_free(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    uint32_t status = statuses[data[0] % 8];
    uint32_t count = data[1] % DOCUMENTS + 1u;
    struct bytes body = bytes_of(data + 2, size - 2);
    struct reply_item items[DOCUMENTS];
    struct reply reply;
    reply_read(status, body, count, items, &reply);
    check(reply.whole != REPLY_ITEMS || status == 200);
    if (reply.whole == REPLY_ITEMS) {
        check_items(items, count);
        /* What was read in part is JSON as a whole, too. */
        struct scan scan = scan_of(body.at, body.length);
        scan_skip(&scan);
        check(scan_is_over(&scan));
        return 0;
    }
    check_text(reply.why.code, COMMAND_REASON_CODE_LENGTH, false);
    check_text(reply.why.message, COMMAND_REASON_MESSAGE_LENGTH, false);
    return 0;
}
