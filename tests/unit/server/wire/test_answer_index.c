/* What administrators are told of the way into the index: from a real core, through requests and
 * replies as they travel, with protobuf-c as the judge. What the writer would tell is scripted. */
#include <stdio.h>

#include "tests/unit/server/core/drive_index.h"
#include "tests/unit/server/wire/payload.h"

#include "activity/v1/admin_service.pb-c.h"
#include "server/wire/answer.h"

#define EPOCH UINT64_C(0x1122334455667788)

typedef Activity__V1__GetIndexStatusResponse IndexStatus;
typedef Activity__V1__ListIndexBatchesResponse BatchPage;
typedef Activity__V1__ListParkedDocumentsResponse ParkedPage;

/* ---- What the writer tells ---- */

#define BATCHES 300u
static struct {
    struct answer_index index;
    struct answer_index_batch batches[BATCHES]; /* oldest first, numbers rise */
    size_t count;
    size_t most; /* asked for at once */
} told;

static void tell_status(void *context, struct answer_index *index)
{
    assert_ptr_equal(context, &told);
    *index = told.index;
}

static size_t tell_batches(void *context, uint64_t before, struct answer_index_batch *to,
                           size_t most)
{
    assert_ptr_equal(context, &told);
    told.most = most > told.most ? most : told.most;
    size_t count = 0;
    for (size_t i = told.count; i > 0 && count < most; i--) {
        if (before == 0 || told.batches[i - 1].number < before) {
            to[count++] = told.batches[i - 1];
        }
    }
    return count;
}

static const struct answer_index_source source = {&told, tell_status, tell_batches};

/* ---- A question and its answer ---- */

static struct request_scratch *scratch;
static struct drive *drive;
static uint8_t room[LIMIT_REPLY_BYTES];
static size_t frame_length; /* of the last answer */

static int make_scratch(void **state)
{
    (void)state;
    scratch = request_scratch_new();
    return scratch == NULL ? -1 : 0;
}

static int free_scratch(void **state)
{
    (void)state;
    request_scratch_free(scratch);
    return 0;
}

static int open_core(void **state)
{
    (void)state;
    struct core_limits limits = index_limits();
    limits.change_documents_max = limits.change_models_max = 20000;
    limits.pending_changes_max = limits.tickets_max = 20000;
    limits.change_text_bytes = MIB(8);
    limits.flush_documents = 16384;
    drive = drive_new(&limits);
    memset(&told, 0, sizeof told);
    return 0;
}

static int close_core(void **state)
{
    (void)state;
    drive_free(drive);
    return 0;
}

/* Through the border, the engine's query and back. Freed with protobuf_c_message_free_unpacked. */
static void *ask_as(const char *tenant, enum method_id method, const ProtobufCMessage *request,
                    const struct answer_index_source *from)
{
    static const ProtobufCMessageDescriptor *const types[METHOD_COUNT] = {
        [METHOD_GET_INDEX_STATUS] = &activity__v1__get_index_status_response__descriptor,
        [METHOD_LIST_INDEX_BATCHES] = &activity__v1__list_index_batches_response__descriptor,
        [METHOD_LIST_PARKED_DOCUMENTS] = &activity__v1__list_parked_documents_response__descriptor,
    };
    const struct command_caller caller = index_admin(tenant);
    const struct answer_facts facts = {.epoch = EPOCH, .index_source = from};
    uint8_t packed[256];
    struct view payload = {packed, protobuf_c_message_pack(request, packed)};
    struct decoded decoded;
    decode_for(scratch, method, &caller, payload, &decoded);
    assert_int_equal(decoded.outcome, 0);
    struct answer answer;
    memset(room, 0xa5, sizeof room);
    query_answer(drive->core, decoded.body, &facts, room, &answer);
    assert_false(answer.has_beat);
    frame_length = answer.frame.length;
    struct frame_reply frame;
    struct frame_error error;
    assert_int_equal(
        frame_reply_decode((struct view){answer.frame.at, answer.frame.length}, &frame, &error), 0);
    assert_true(frame.code == STATUS_OK && frame.epoch == EPOCH);
    void *response =
        protobuf_c_message_unpack(types[method], NULL, frame.payload.length, frame.payload.bytes);
    assert_non_null(response);
    return response;
}

static void release(void *response)
{
    protobuf_c_message_free_unpacked(response, NULL);
}

/* ---- GetIndexStatus ---- */

static IndexStatus *status_from(const struct answer_index_source *from)
{
    Activity__V1__GetIndexStatusRequest request = ACTIVITY__V1__GET_INDEX_STATUS_REQUEST__INIT;
    return ask_as("platform", METHOD_GET_INDEX_STATUS, &request.base, from);
}

static void without_an_index_the_core_s_numbers_are_told(void **state)
{
    (void)state;
    (void)index_record(drive, index_change("1", "{\"a\":1}"));
    drive_wait(drive, 150);
    IndexStatus *status = status_from(NULL);
    assert_int_equal(status->state, ACTIVITY__V1__INDEX_STATE__INDEX_STATE_NONE);
    assert_string_equal(status->version, "");
    assert_null(status->why);
    assert_null(status->advice);
    assert_int_equal(status->waiting_documents, 1);
    assert_int_equal(status->waiting_changes, 1);
    assert_int_equal(status->lag_ms, 150);
    assert_true(status->time_ms == drive->clock_ms);
    assert_true(status->batches == 0 && status->requests == 0 && status->away_since_ms == 0);
    release(status);
}

static void the_status_joins_both_sides(void **state)
{
    (void)state;
    for (char id[] = "1"; id[0] <= '4'; id[0]++) {
        (void)index_record(drive, index_change(id, "{\"a\":1}"));
        (void)index_record(drive, index_change(id, "{\"a\":2}"));
    }
    struct reply_take taken = index_take_of(drive, 200, 2, 1000);
    (void)index_result(drive, taken.batch, "PR"); /* 1 is parked, 2 waits again */
    (void)index_take_of(drive, 0, 1, 1000);       /* 2 is in flight, 3 and 4 wait */
    (void)index_record(drive, index_change("1", "{\"a\":3}"));
    drive_wait(drive, 1000);
    told.index = (struct answer_index){.state = ANSWER_INDEX_REFUSED,
                                       .version = "opensearch 2.19.4",
                                       .why = {"security_exception", "no permissions"},
                                       .advice = {"gc_deletes", "should be above 10m"},
                                       .away_since_ms = 101,
                                       .failures = UINT32_MAX,
                                       .batches = 102,
                                       .requests = 103,
                                       .request_bytes = UINT64_MAX,
                                       .changes = 105,
                                       .acked = 106,
                                       .retried = 107,
                                       .parked = 108,
                                       .refreshes = 109};
    IndexStatus *status = status_from(&source);
    assert_int_equal(status->state, ACTIVITY__V1__INDEX_STATE__INDEX_STATE_REFUSED);
    assert_string_equal(status->version, "opensearch 2.19.4");
    assert_string_equal(status->why->code, "security_exception");
    assert_string_equal(status->why->message, "no permissions");
    assert_string_equal(status->advice->code, "gc_deletes");
    assert_string_equal(status->advice->message, "should be above 10m");
    assert_int_equal(status->away_since_ms, 101);
    assert_true(status->failures == UINT32_MAX);
    assert_int_equal(status->batches, 102);
    assert_int_equal(status->requests, 103);
    assert_true(status->request_bytes == UINT64_MAX);
    assert_int_equal(status->changes, 105);
    assert_int_equal(status->acked_documents, 106);
    assert_int_equal(status->retried_documents, 107);
    assert_int_equal(status->parked_since_start, 108);
    assert_int_equal(status->refreshes, 109);

    struct core_index_status core = index_status(drive);
    assert_int_equal(status->waiting_documents, 2);
    assert_int_equal(status->waiting_changes, 4 + 1); /* one behind what is parked */
    assert_int_equal(status->in_flight_documents, 1);
    assert_int_equal(status->in_flight_changes, 2);
    assert_int_equal(status->parked_documents, 1);
    assert_int_equal(status->parked_changes, 2);
    assert_true(core.pending_bytes > 0 && status->pending_bytes == core.pending_bytes);
    assert_int_equal(status->lag_ms, 200 + 1000);
    assert_true(status->time_ms == drive->clock_ms);
    release(status);
}

static void when_nothing_waits_there_is_no_lag(void **state)
{
    (void)state;
    (void)index_record(drive, index_change("1", "{}"));
    (void)index_take(drive, 200);
    drive_wait(drive, 5000);
    told.index.state = ANSWER_INDEX_READY;
    IndexStatus *status = status_from(&source);
    assert_int_equal(status->state, ACTIVITY__V1__INDEX_STATE__INDEX_STATE_READY);
    assert_int_equal(status->lag_ms, 0);
    assert_int_equal(status->in_flight_documents, 1);
    assert_null(status->why);
    release(status);
}

/* What rests is not in the index either. */
static void what_rests_is_told(void **state)
{
    (void)state;
    (void)index_record(drive, index_change("1", "{}"));
    struct reply_take taken = index_take(drive, 200);
    (void)index_result_rest(drive, taken.batch, "R", 0, 60000);
    drive_wait(drive, 5000);
    told.index.state = ANSWER_INDEX_READY;
    IndexStatus *status = status_from(&source);
    assert_int_equal(status->resting_documents, 1);
    assert_int_equal(status->waiting_documents, 0);
    assert_int_equal(status->waiting_changes, 1);
    assert_int_equal(status->lag_ms, 5200);
    release(status);
}

/* The longest texts arrive; what is no text is left out, and the rest of the answer stays. */
static void fill_reason(struct answer_reason *reason)
{
    memset(reason->code, 'c', sizeof reason->code - 1);
    memset(reason->message, 'm', sizeof reason->message - 1);
}

static void texts_are_told_up_to_their_limits(void **state)
{
    (void)state;
    told.index.state = ANSWER_INDEX_AWAY;
    memset(told.index.version, 'v', sizeof told.index.version - 1);
    fill_reason(&told.index.why);
    fill_reason(&told.index.advice);
    IndexStatus *status = status_from(&source);
    assert_int_equal(strlen(status->version), ANSWER_INDEX_VERSION_MAX - 1);
    assert_int_equal(strlen(status->why->code), COMMAND_REASON_CODE_LENGTH);
    assert_int_equal(strlen(status->why->message), COMMAND_REASON_MESSAGE_LENGTH);
    assert_int_equal(strlen(status->advice->message), COMMAND_REASON_MESSAGE_LENGTH);
    release(status);

    memcpy(told.index.version, "2.\xff", 4);
    memcpy(told.index.why.message, "cut \xc3", 6);
    status = status_from(&source);
    assert_string_equal(status->version, "");
    assert_int_equal(strlen(status->why->code), COMMAND_REASON_CODE_LENGTH);
    assert_string_equal(status->why->message, "");
    assert_int_equal(status->state, ACTIVITY__V1__INDEX_STATE__INDEX_STATE_AWAY);
    release(status);
}

/* ---- ListIndexBatches ---- */

/* Batches 5, 8, 11, ...: the numbers of those of other times are missing. */
static void tell_of(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        told.batches[i] = (struct answer_index_batch){.number = 5 + 3 * i, .done = true};
    }
    told.count = count;
}

static BatchPage *batches(uint32_t page_size, ProtobufCBinaryData token)
{
    Activity__V1__ListIndexBatchesRequest request = ACTIVITY__V1__LIST_INDEX_BATCHES_REQUEST__INIT;
    request.page_size = page_size;
    request.page_token = token;
    return ask_as("platform", METHOD_LIST_INDEX_BATCHES, &request.base, &source);
}

static const ProtobufCBinaryData no_token = {0, NULL};

static void a_batch_is_told_whole(void **state)
{
    (void)state;
    tell_of(2);
    told.batches[1] = (struct answer_index_batch){.number = UINT64_MAX,
                                                  .sent_ms = 2,
                                                  .done = true,
                                                  .cause = TAKE_URGENT,
                                                  .lag_ms = 5,
                                                  .took_ms = 6,
                                                  .changes = 7,
                                                  .fragments = 8,
                                                  .documents = 9,
                                                  .bytes = 10,
                                                  .acked = 11,
                                                  .retried = 12,
                                                  .parked = 13,
                                                  .error = {"mapper_parsing_exception", "no date"},
                                                  .ticket_count = 2,
                                                  .tickets = {UINT64_C(0x9c1f03a7d5e84b62), 15}};
    told.batches[0].done = false;
    BatchPage *page = batches(0, no_token);
    assert_int_equal(page->n_batches, 2);
    assert_int_equal(page->next_page_token.len, 0);
    const Activity__V1__IndexBatch *batch = page->batches[0];
    assert_true(batch->number == UINT64_MAX);
    assert_int_equal(batch->sent_time_ms, 2);
    assert_true(batch->done);
    assert_int_equal(batch->cause, ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_URGENT);
    assert_int_equal(batch->lag_ms, 5);
    assert_int_equal(batch->took_ms, 6);
    assert_int_equal(batch->changes, 7);
    assert_int_equal(batch->fragments, 8);
    assert_int_equal(batch->documents, 9);
    assert_int_equal(batch->bytes, 10);
    assert_int_equal(batch->acked, 11);
    assert_int_equal(batch->retried, 12);
    assert_int_equal(batch->parked, 13);
    assert_string_equal(batch->error->code, "mapper_parsing_exception");
    assert_string_equal(batch->error->message, "no date");
    assert_int_equal(batch->n_tickets, 2);
    assert_true(batch->tickets[0] == UINT64_C(0x9c1f03a7d5e84b62) && batch->tickets[1] == 15);
    batch = page->batches[1];
    assert_int_equal(batch->number, 5);
    assert_false(batch->done);
    assert_null(batch->error);
    assert_int_equal(batch->n_tickets, 0);
    release(page);
}

_Static_assert((int)TAKE_DELAY == (int)ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_DELAY &&
                   (int)TAKE_DOCUMENTS == (int)ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_DOCUMENTS &&
                   (int)TAKE_BYTES == (int)ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_BYTES &&
                   (int)TAKE_URGENT == (int)ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_URGENT &&
                   (int)TAKE_RESTED == (int)ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_RESTED,
               "the core's causes are those of the protocol");
_Static_assert((int)ANSWER_INDEX_NONE == (int)ACTIVITY__V1__INDEX_STATE__INDEX_STATE_NONE &&
                   (int)ANSWER_INDEX_AWAY == (int)ACTIVITY__V1__INDEX_STATE__INDEX_STATE_AWAY,
               "so are the states");

static ProtobufCBinaryData keep_token(uint8_t *to, ProtobufCBinaryData token)
{
    assert_in_range(token.len, 0, LIMIT_PAGE_TOKEN_LENGTH);
    if (token.len > 0) {
        memcpy(to, token.data, token.len);
    }
    return (ProtobufCBinaryData){token.len, to};
}

/* Pages of this size join to the whole list, newest first, although a new batch comes with each. */
static void walk_batches(size_t count, uint32_t page_size)
{
    uint8_t kept[LIMIT_PAGE_TOKEN_LENGTH];
    ProtobufCBinaryData token = no_token;
    tell_of(count);
    size_t seen = 0;
    size_t pages = 0;
    do {
        BatchPage *page = batches(page_size, token);
        assert_in_range(page->n_batches, count == 0 ? 0 : 1, page_size);
        for (size_t i = 0; i < page->n_batches; i++, seen++) {
            assert_int_equal(page->batches[i]->number, 5 + 3 * (count - 1 - seen));
        }
        token = keep_token(kept, page->next_page_token);
        release(page);
        pages++;
        if (told.count < BATCHES) {
            tell_of(told.count + 1);
        }
    } while (token.len > 0);
    assert_int_equal(seen, count);
    assert_int_equal(pages, count == 0 ? 1 : (count + page_size - 1) / page_size);
}

static void pages_of_batches_join(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 15, 16, 17, 100, 255, 256};
    static const size_t counts[] = {0, 1, 16, 17, 32, 256};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t j = 0; j < sizeof counts / sizeof counts[0]; j++) {
            walk_batches(counts[j], sizes[i]);
        }
    }
    assert_in_range(told.most, 1, 16);
}

static void the_longest_batches_fit_a_page(void **state)
{
    (void)state;
    tell_of(ANSWER_INDEX_BATCHES_MAX + 1);
    for (size_t i = 0; i < told.count; i++) {
        struct answer_index_batch *batch = &told.batches[i];
        memset(batch, 0xff, sizeof *batch);
        batch->number -= told.count - i;
        batch->done = true;
        fill_reason(&batch->error);
        batch->error.code[COMMAND_REASON_CODE_LENGTH] = '\0';
        batch->error.message[COMMAND_REASON_MESSAGE_LENGTH] = '\0';
        batch->ticket_count = CORE_TICKETS_SHOWN;
    }
    BatchPage *page = batches(0, no_token);
    assert_int_equal(page->n_batches, LIMIT_INDEX_BATCHES);
    assert_true(page->next_page_token.len > 0);
    assert_in_range(frame_length, 100 * 1024, LIMIT_PAGE_BYTES);
    const Activity__V1__IndexBatch *last = page->batches[LIMIT_INDEX_BATCHES - 1];
    assert_int_equal(strlen(last->error->message), COMMAND_REASON_MESSAGE_LENGTH);
    assert_int_equal(last->n_tickets, CORE_TICKETS_SHOWN);
    assert_true(last->tickets[CORE_TICKETS_SHOWN - 1] == UINT64_MAX);
    release(page);
}

static void a_server_without_an_index_has_no_batches(void **state)
{
    (void)state;
    Activity__V1__ListIndexBatchesRequest request = ACTIVITY__V1__LIST_INDEX_BATCHES_REQUEST__INIT;
    BatchPage *page = ask_as("platform", METHOD_LIST_INDEX_BATCHES, &request.base, NULL);
    assert_int_equal(page->n_batches, 0);
    assert_int_equal(page->next_page_token.len, 0);
    release(page);
}

/* ---- ListParkedDocuments ---- */

static ParkedPage *parked_of(const char *tenant, uint32_t page_size, ProtobufCBinaryData token)
{
    Activity__V1__ListParkedDocumentsRequest request =
        ACTIVITY__V1__LIST_PARKED_DOCUMENTS_REQUEST__INIT;
    request.page_size = page_size;
    request.page_token = token;
    return ask_as(tenant, METHOD_LIST_PARKED_DOCUMENTS, &request.base, &source);
}

static void record_of(const char *tenant, struct command_change change)
{
    uint8_t bytes[2048];
    struct writer to = writer_of(bytes, sizeof bytes);
    command_change_put(&to, &change);
    assert_false(to.failed);
    struct command command = {.kind = COMMAND_RECORD,
                              .record = {.caller = drive_caller(tenant, "spiffe://test/app", NULL),
                                         .change_count = 1,
                                         .changes = bytes_of(bytes, to.wanted)}};
    drive->request++;
    memcpy(command.record.request_id, &drive->request, sizeof drive->request);
    assert_int_equal(drive_one(drive, &command).code, STATUS_OK);
}

/* All that waits is refused. */
static uint32_t park_all(void)
{
    static char outcomes[COMMAND_TAKE_DOCUMENTS_MAX + 1];
    struct reply_take taken = index_take(drive, 200);
    memset(outcomes, 'P', taken.document_count);
    outcomes[taken.document_count] = '\0';
    (void)index_result(drive, taken.batch, outcomes);
    return taken.document_count;
}

static void a_parked_document_is_told_whole(void **state)
{
    (void)state;
    uint64_t start = drive->clock_ms;
    struct command_change twice[] = {index_fragment("a document", "{\"a\":1}"),
                                     index_fragment("a document", "{\"b\":1}")};
    uint64_t first = index_record_all(drive, twice, 2, 0);
    uint64_t second = index_record(drive, twice[0]);
    assert_int_equal(park_all(), 1);
    (void)index_record(drive, twice[1]);
    ParkedPage *page = parked_of("studio", 0, no_token);
    assert_int_equal(page->n_documents, 1);
    assert_int_equal(page->next_page_token.len, 0);
    const Activity__V1__ParkedDocument *document = page->documents[0];
    assert_int_equal(document->park_id, 1);
    assert_true(document->parked_time_ms == start + 200);
    assert_string_equal(document->model, "mediacontainer");
    assert_string_equal(document->document_id, "a document");
    assert_string_equal(document->reason->code, "CODE");
    assert_string_equal(document->reason->message, "message");
    assert_int_equal(document->changes, 3);
    assert_int_equal(document->behind, 1);
    assert_true(document->fragments);
    assert_true(document->oldest_time_ms == start);
    assert_int_equal(document->n_tickets, 2);
    assert_true(document->tickets[0] == first && document->tickets[1] == second);
    release(page);
}

static void assert_none(const char *tenant)
{
    ParkedPage *page = parked_of(tenant, 0, no_token);
    assert_int_equal(page->n_documents, 0);
    assert_int_equal(page->next_page_token.len, 0);
    release(page);
}

/* The reply frame to a decision: what it is about must not show whether it is another tenant's. */
static size_t decide(const char *tenant, enum method_id method, uint64_t park_id, uint8_t *to)
{
    static struct command command;
    const struct command_caller caller = index_admin(tenant);
    Activity__V1__RetryParkedRequest request = ACTIVITY__V1__RETRY_PARKED_REQUEST__INIT;
    request.park_id = park_id;
    uint8_t packed[32];
    struct view payload = {packed, protobuf_c_message_pack(&request.base, packed)};
    struct decoded decoded;
    decode_for(scratch, method, &caller, payload, &decoded);
    assert_int_equal(decoded.outcome, 0);
    struct reader reader = reader_of(decoded.body);
    assert_true(command_decode(&reader, &command));
    struct effect effect = drive_one(drive, &command);
    const struct reply_facts facts = {EPOCH, 90000};
    size_t length = reply_from_effect(&facts, &effect, to);
    assert_in_range(length, 1, reply_room(&effect));
    return length;
}

static void other_tenants_see_and_decide_nothing(void **state)
{
    (void)state;
    static const enum method_id methods[] = {METHOD_RETRY_PARKED, METHOD_DISCARD_PARKED};
    record_of("studio", index_change("1", "{}"));
    record_of("museum", index_change("2", "{}"));
    assert_int_equal(park_all(), 2);
    assert_none("nobody");
    ParkedPage *page = parked_of("museum", 0, no_token);
    assert_int_equal(page->n_documents, 1);
    assert_string_equal(page->documents[0]->document_id, "2");
    assert_int_equal(page->documents[0]->park_id, 2);
    release(page);

    uint8_t theirs[REPLY_REFUSAL_MAX];
    uint8_t unknown[REPLY_REFUSAL_MAX];
    for (size_t i = 0; i < 2; i++) {
        size_t length = decide("museum", methods[i], 1, theirs);
        assert_int_equal(decide("museum", methods[i], 12345, unknown), length);
        assert_memory_equal(theirs, unknown, length);
        assert_int_equal(decide("nobody", methods[i], 1, unknown), length);
        assert_memory_equal(theirs, unknown, length);
        struct frame_reply frame;
        struct frame_error error;
        assert_int_equal(frame_reply_decode((struct view){theirs, length}, &frame, &error), 0);
        assert_int_equal(frame.code, STATUS_NOT_FOUND);
        assert_true(view_equal(frame.reason, view_of("UNKNOWN_PARKED")));
    }
    assert_int_equal(index_status(drive).parked_documents, 2);
}

static void what_is_decided_leaves_the_list(void **state)
{
    (void)state;
    for (char id[] = "1"; id[0] <= '3'; id[0]++) {
        (void)index_record(drive, index_change(id, "{}"));
    }
    assert_int_equal(park_all(), 3);
    static const enum method_id methods[] = {METHOD_RETRY_PARKED, METHOD_DISCARD_PARKED};
    for (uint64_t park_id = 1; park_id <= 2; park_id++) {
        uint8_t to[REPLY_REFUSAL_MAX];
        size_t length = decide("studio", methods[park_id - 1], park_id, to);
        struct frame_reply frame;
        struct frame_error error;
        assert_int_equal(frame_reply_decode((struct view){to, length}, &frame, &error), 0);
        assert_int_equal(frame.code, STATUS_OK);
        Activity__V1__RetryParkedResponse *response = activity__v1__retry_parked_response__unpack(
            NULL, frame.payload.length, frame.payload.bytes);
        assert_int_equal(response->changes, 1);
        release(response);
        length = decide("studio", methods[park_id - 1], park_id, to); /* once more */
        assert_int_equal(frame_reply_decode((struct view){to, length}, &frame, &error), 0);
        assert_int_equal(frame.code, STATUS_NOT_FOUND);
    }
    ParkedPage *page = parked_of("studio", 0, no_token);
    assert_int_equal(page->n_documents, 1);
    assert_string_equal(page->documents[0]->document_id, "3");
    release(page);
    assert_int_equal(index_status(drive).waiting_documents, 1);
}

/* Documents of two tenants in turns, "0" to "count - 1" each. */
static void park_of_two(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%u", i);
        record_of("museum", index_change(id, ""));
        record_of("studio", index_change(id, ""));
    }
    assert_int_equal(park_all(), 2 * count);
}

static void pages_of_parked_documents_join(void **state)
{
    (void)state;
    park_of_two(20);
    for (uint32_t page_size = 1; page_size <= 21; page_size++) {
        uint8_t kept[LIMIT_PAGE_TOKEN_LENGTH];
        ProtobufCBinaryData token = no_token;
        uint32_t seen = 0;
        uint32_t pages = 0;
        do {
            ParkedPage *page = parked_of("studio", page_size, token);
            assert_in_range(page->n_documents, 1, page_size);
            for (size_t i = 0; i < page->n_documents; i++, seen++) {
                assert_int_equal(page->documents[i]->park_id, 2 * (seen + 1));
                assert_int_equal(atoi(page->documents[i]->document_id), seen);
            }
            token = keep_token(kept, page->next_page_token);
            release(page);
            pages++;
        } while (token.len > 0);
        assert_int_equal(seen, 20);
        assert_int_equal(pages, (20 + page_size - 1) / page_size);
    }
}

/* 6,000 of another tenant stand before the only one: one call does not look at them all. */
static void a_page_may_be_short(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 6000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%u", i);
        record_of("museum", index_change(id, ""));
    }
    record_of("studio", index_change("mine", ""));
    assert_int_equal(park_all(), 6001);
    uint8_t kept[LIMIT_PAGE_TOKEN_LENGTH];
    ParkedPage *page = parked_of("studio", 0, no_token);
    assert_int_equal(page->n_documents, 0);
    ProtobufCBinaryData token = keep_token(kept, page->next_page_token);
    assert_true(token.len > 0);
    release(page);
    page = parked_of("studio", 0, token);
    assert_int_equal(page->n_documents, 1);
    assert_string_equal(page->documents[0]->document_id, "mine");
    assert_int_equal(page->next_page_token.len, 0);
    release(page);
}

/* All that waits is refused, with the longest reason. */
static void park_all_at_length(void)
{
    static uint8_t outcomes[COMMAND_TAKE_DOCUMENTS_MAX];
    static uint8_t reasons[1024 * 1024];
    char text[COMMAND_REASON_MESSAGE_LENGTH];
    memset(text, 'r', sizeof text);
    struct reply_take taken = index_take(drive, 200);
    struct writer to = writer_of(reasons, sizeof reasons);
    for (uint32_t i = 0; i < taken.document_count; i++) {
        outcomes[i] = INDEX_PARKED;
        command_reason_put(&to, bytes_of(text, COMMAND_REASON_CODE_LENGTH),
                           bytes_of(text, sizeof text));
    }
    struct command command = {.kind = COMMAND_RESULT,
                              .result = {.batch = taken.batch,
                                         .count = taken.document_count,
                                         .outcomes = bytes_of(outcomes, taken.document_count),
                                         .reasons = bytes_of(reasons, to.wanted)}};
    (void)drive_one(drive, &command);
}

static void a_page_of_documents_ends_at_its_bytes(void **state)
{
    (void)state;
    enum { DOCUMENTS = 700 };
    char id[LIMIT_DOCUMENT_ID_LENGTH + 1];
    char model[LIMIT_MODEL_LENGTH + 1] = "";
    memset(model, 'm', LIMIT_MODEL_LENGTH);
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        (void)snprintf(id, sizeof id, "%0*u", LIMIT_DOCUMENT_ID_LENGTH, i);
        struct command_change change = index_change(id, "");
        change.model = drive_text(model);
        record_of("studio", change);
    }
    park_all_at_length();
    uint8_t kept[LIMIT_PAGE_TOKEN_LENGTH];
    ProtobufCBinaryData token = no_token;
    size_t seen = 0;
    size_t pages = 0;
    do {
        ParkedPage *page = parked_of("studio", 0, token);
        assert_in_range(frame_length, 1, LIMIT_PAGE_BYTES + 2048);
        assert_true(page->n_documents > 250 || page->next_page_token.len == 0);
        for (size_t i = 0; i < page->n_documents; i++, seen++) {
            assert_int_equal(page->documents[i]->park_id, seen + 1);
            assert_int_equal(strlen(page->documents[i]->document_id), LIMIT_DOCUMENT_ID_LENGTH);
            assert_int_equal(strlen(page->documents[i]->reason->message),
                             COMMAND_REASON_MESSAGE_LENGTH);
        }
        token = keep_token(kept, page->next_page_token);
        release(page);
        pages++;
    } while (token.len > 0);
    assert_int_equal(seen, DOCUMENTS);
    assert_int_equal(pages, 3);
}

#define CORE_TEST(test) cmocka_unit_test_setup_teardown(test, open_core, close_core)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(without_an_index_the_core_s_numbers_are_told),
        CORE_TEST(the_status_joins_both_sides),
        CORE_TEST(when_nothing_waits_there_is_no_lag),
        CORE_TEST(what_rests_is_told),
        CORE_TEST(texts_are_told_up_to_their_limits),
        CORE_TEST(a_batch_is_told_whole),
        CORE_TEST(pages_of_batches_join),
        CORE_TEST(the_longest_batches_fit_a_page),
        CORE_TEST(a_server_without_an_index_has_no_batches),
        CORE_TEST(a_parked_document_is_told_whole),
        CORE_TEST(other_tenants_see_and_decide_nothing),
        CORE_TEST(what_is_decided_leaves_the_list),
        CORE_TEST(pages_of_parked_documents_join),
        CORE_TEST(a_page_may_be_short),
        CORE_TEST(a_page_of_documents_ends_at_its_bytes),
    };
    return cmocka_run_group_tests(tests, make_scratch, free_scratch);
}
