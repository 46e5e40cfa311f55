/* activityctl index against a scripted service: pages, tables, JSON, what foreign text may do, and
 * what is decided about. */
#include "tests/unit/client/lib/fake_server.h"

#include <jansson.h>
#include <sys/wait.h>

#include "activity/v1/admin_service.pb-c.h"

/* How many the service puts on a page at most, so that there are several. */
enum { PARKED_PAGE = 3, BATCHES_PAGE = 4, BATCHES = 30, PARKED_MAX = 10 };

struct service {
    Activity__V1__GetIndexStatusResponse status;
    uint64_t start_time_ms;
    Activity__V1__ParkedDocument parked[PARKED_MAX];
    size_t parked_count;
    uint64_t decided[PARKED_MAX]; /* park_ids */
    size_t decided_count;
    bool discarded;        /* the last one; else it was retried */
    uint32_t batches_page; /* the last page_size asked for */
    bool denied;
    bool hidden;        /* who has no right to the server's description */
    uint64_t elsewhere; /* somebody else decides about this one when it has been listed */
    bool lossy;         /* the connection breaks after the first decision */
    uint8_t answer[64 * 1024];
};

static struct service service;
static struct fake_server server;

static struct view pack(const void *message)
{
    assert_true(protobuf_c_message_get_packed_size(message) <= sizeof service.answer);
    return (struct view){service.answer, protobuf_c_message_pack(message, service.answer)};
}

/* A page token is the place to go on from, in one byte. */
static size_t begin_of(ProtobufCBinaryData token)
{
    assert_in_range(token.len, 0, 1);
    return token.len == 0 ? 0 : token.data[0];
}

static struct view list_batches(struct view payload)
{
    Activity__V1__ListIndexBatchesRequest *request =
        activity__v1__list_index_batches_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(request);
    Activity__V1__ListIndexBatchesResponse response =
        ACTIVITY__V1__LIST_INDEX_BATCHES_RESPONSE__INIT;
    static Activity__V1__IndexBatch batches[BATCHES_PAGE];
    Activity__V1__IndexBatch *pointers[BATCHES_PAGE];
    static Activity__V1__IndexReason fault;
    static uint64_t tickets[] = {0xABC, UINT64_MAX};
    activity__v1__index_reason__init(&fault);
    fault.code = "mapper_parsing_exception";
    fault.message = "cannot \x1B[2J parse \xE2\x80\xAE it";
    size_t begin = begin_of(request->page_token);
    service.batches_page = request->page_size;
    for (size_t i = 0; i < BATCHES_PAGE && i < request->page_size && begin + i < BATCHES; i++) {
        uint64_t number = BATCHES - begin - i;
        activity__v1__index_batch__init(&batches[i]);
        batches[i].number = number;
        batches[i].sent_time_ms = 1767225630200;
        batches[i].done = number != BATCHES;
        batches[i].cause = ACTIVITY__V1__FLUSH_CAUSE__FLUSH_CAUSE_DELAY;
        batches[i].lag_ms = 200;
        batches[i].took_ms = number == 29 ? 9800 : 31;
        batches[i].changes = 9;
        batches[i].fragments = 8;
        batches[i].documents = 4;
        batches[i].bytes = 2210;
        batches[i].acked = 3;
        batches[i].parked = number == 29;
        batches[i].error = number == 29 ? &fault : NULL;
        batches[i].n_tickets = number == 29 ? 2 : 0;
        batches[i].tickets = tickets;
        pointers[response.n_batches++] = &batches[i];
    }
    response.batches = pointers;
    uint8_t next = (uint8_t)(begin + response.n_batches);
    if (next < BATCHES) {
        response.next_page_token = (ProtobufCBinaryData){1, &next};
    }
    activity__v1__list_index_batches_request__free_unpacked(request, NULL);
    return pack(&response);
}

static struct view list_parked(struct view payload)
{
    Activity__V1__ListParkedDocumentsRequest *request =
        activity__v1__list_parked_documents_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(request);
    assert_int_equal(request->page_size, 0);
    Activity__V1__ListParkedDocumentsResponse response =
        ACTIVITY__V1__LIST_PARKED_DOCUMENTS_RESPONSE__INIT;
    Activity__V1__ParkedDocument *pointers[PARKED_PAGE];
    size_t begin = begin_of(request->page_token);
    while (response.n_documents < PARKED_PAGE &&
           begin + response.n_documents < service.parked_count) {
        pointers[response.n_documents] = &service.parked[begin + response.n_documents];
        response.n_documents++;
    }
    response.documents = pointers;
    uint8_t next = (uint8_t)(begin + response.n_documents);
    if (next < service.parked_count) {
        response.next_page_token = (ProtobufCBinaryData){1, &next};
    }
    activity__v1__list_parked_documents_request__free_unpacked(request, NULL);
    return pack(&response);
}

/* False: nobody is parked under this number. */
static bool decide(uint64_t park_id, uint32_t *changes)
{
    for (size_t i = 0; i < service.parked_count; i++) {
        if (service.parked[i].park_id == park_id && park_id != service.elsewhere) {
            *changes = service.parked[i].changes;
            service.parked[i] = service.parked[--service.parked_count];
            service.decided[service.decided_count++] = park_id;
            return true;
        }
    }
    return false;
}

static void refuse(struct frame_reply *reply, uint32_t code, const char *reason)
{
    reply->code = code;
    reply->reason = view_of(reason);
    reply->message = view_of("because");
}

/* RetryParked and DiscardParked are the same on the wire. */
static enum fake_action decide_parked(struct view payload, struct frame_reply *reply)
{
    Activity__V1__RetryParkedRequest *request =
        activity__v1__retry_parked_request__unpack(NULL, payload.length, payload.bytes);
    assert_non_null(request);
    Activity__V1__RetryParkedResponse response = ACTIVITY__V1__RETRY_PARKED_RESPONSE__INIT;
    bool done = decide(request->park_id, &response.changes);
    activity__v1__retry_parked_request__free_unpacked(request, NULL);
    if (!done) {
        refuse(reply, ACTIVITY_NOT_FOUND, "UNKNOWN_PARKED");
        return FAKE_REPLY;
    }
    if (service.lossy) {
        service.lossy = false;
        return FAKE_CUT;
    }
    reply->payload = pack(&response);
    return FAKE_REPLY;
}

static enum fake_action serve(void *arg, const struct frame_request *request,
                              struct frame_reply *reply)
{
    (void)arg;
    char method[LIMIT_METHOD_LENGTH + 1];
    snprintf(method, sizeof method, "%.*s", (int)request->method.length,
             (const char *)request->method.bytes);
    const char *name = strrchr(method, '/') + 1;
    bool retry = strcmp(name, "RetryParked") == 0;
    if (service.denied || (service.hidden && strcmp(name, "GetServerInfo") == 0)) {
        refuse(reply, ACTIVITY_PERMISSION_DENIED, "NOT_ALLOWED");
    } else if (retry || strcmp(name, "DiscardParked") == 0) {
        service.discarded = !retry;
        return decide_parked(request->payload, reply);
    } else if (strcmp(name, "ListParkedDocuments") == 0) {
        reply->payload = list_parked(request->payload);
    } else if (strcmp(name, "ListIndexBatches") == 0) {
        reply->payload = list_batches(request->payload);
    } else if (strcmp(name, "GetIndexStatus") == 0) {
        reply->payload = pack(&service.status);
    } else {
        Activity__V1__GetServerInfoResponse info = ACTIVITY__V1__GET_SERVER_INFO_RESPONSE__INIT;
        info.start_time_ms = service.start_time_ms;
        reply->payload = pack(&info);
    }
    return FAKE_REPLY;
}

/* --- The program --- */

static char output[64 * 1024];

/* Runs activityctl index with these words; the exit code. stdout and stderr are in `output`. */
static int run(const char *words)
{
    const char *folder = getenv("ACTIVITY_BIN");
    char command[1024];
    snprintf(command, sizeof command,
             "exec 2>&1; TZ=UTC LC_ALL=C.UTF-8 %s/activityctl --profile %s/profile index %s",
             folder == NULL ? "build/plain" : folder, fake_folder, words);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define assert_run(words, code)                                                                    \
    do {                                                                                           \
        int code_ = run(words);                                                                    \
        if (code_ != (code)) {                                                                     \
            print_error("index %s: %d\n%s\n", words, code_, output);                               \
        }                                                                                          \
        assert_int_equal(code_, code);                                                             \
    } while (0)

static void assert_says(const char *text)
{
    if (strstr(output, text) == NULL) {
        print_error("wanted: %s\ngot: %s\n", text, output);
    }
    assert_non_null(strstr(output, text));
}

static size_t lines(void)
{
    size_t count = 0;
    for (const char *at = output; (at = strchr(at, '\n')) != NULL; at++) {
        count++;
    }
    return count;
}

/* Line n of the output as an object. */
static json_t *object_of(size_t line)
{
    const char *at = output;
    for (; line > 0; line--) {
        at = strchr(at, '\n') + 1;
    }
    json_t *object = json_loadb(at, (size_t)(strchr(at, '\n') - at), JSON_REJECT_DUPLICATES, NULL);
    if (object == NULL) {
        print_error("no JSON: %s\n", at);
    }
    assert_non_null(object);
    return object;
}

static json_int_t number_of(const json_t *object, const char *name)
{
    if (!json_is_integer(json_object_get(object, name))) {
        print_error("no number %s in %s\n", name, output);
    }
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

static void assert_text(const json_t *object, const char *name, const char *text)
{
    assert_non_null(json_string_value(json_object_get(object, name)));
    assert_string_equal(json_string_value(json_object_get(object, name)), text);
}

/* --- The scene --- */

static void park(uint64_t park_id, const char *document_id, Activity__V1__IndexReason *reason)
{
    static uint64_t tickets[] = {0x9C1F03A7D5E84B63};
    Activity__V1__ParkedDocument *document = &service.parked[service.parked_count++];
    activity__v1__parked_document__init(document);
    document->park_id = park_id;
    document->parked_time_ms = 1767225630231;
    document->model = "mediacontainer";
    document->document_id = (char *)document_id;
    document->reason = reason;
    document->changes = 2;
    document->behind = park_id == 7 ? 5 : 0;
    document->fragments = park_id != 7;
    document->oldest_time_ms = 1767225630010;
    document->n_tickets = 1;
    document->tickets = tickets;
}

static int set_up_test(void **state)
{
    (void)state;
    static Activity__V1__IndexReason mapper;
    static Activity__V1__IndexReason ahead;
    static Activity__V1__IndexReason why;
    activity__v1__index_reason__init(&mapper);
    mapper.code = "mapper_parsing_exception";
    mapper.message = "failed to parse field [shot\x07]";
    activity__v1__index_reason__init(&ahead);
    ahead.code = "VERSION_AHEAD";
    activity__v1__index_reason__init(&why);
    why.code = "no_answer";
    why.message = "connection \x1B[31mrefused";
    memset(&service, 0, sizeof service);
    park(7, "124", &mapper);
    park(8, "a \x1B[2J\xC2\x9B b", &ahead);
    park(9, "an id that is longer than its column", &mapper);
    park(11, "9007199254740993", NULL);
    activity__v1__get_index_status_response__init(&service.status);
    service.status.state = ACTIVITY__V1__INDEX_STATE__INDEX_STATE_AWAY;
    service.status.version = "opensearch 2.19.4";
    service.status.why = &why;
    service.status.away_since_ms = 1767225650000;
    service.status.time_ms = 1767225660000;
    service.status.failures = 4;
    service.status.waiting_documents = 311;
    service.status.waiting_changes = 1204;
    service.status.resting_documents = 12;
    service.status.in_flight_documents = 13;
    service.status.in_flight_changes = 14;
    service.status.parked_documents = 1;
    service.status.parked_changes = 2;
    service.status.pending_bytes = 402176;
    service.status.lag_ms = 9800;
    service.status.batches = 1620;
    service.status.requests = 1634;
    service.status.request_bytes = 210443008;
    service.status.changes = 98213;
    service.status.acked_documents = 41877;
    service.status.retried_documents = 126;
    service.status.parked_since_start = 3;
    service.status.refreshes = 310;
    service.start_time_ms = 1767225660000 - 100000;
    service.elsewhere = UINT64_MAX;
    server = (struct fake_server){.script = serve};
    fake_start(&server);
    char path[128];
    snprintf(path, sizeof path, "%s/profile", fake_folder);
    FILE *profile = fopen(path, "we");
    assert_non_null(profile);
    fprintf(profile,
            "server = {\"tls+tcp://127.0.0.1:%d\"}\nca = \"%s\"\ncert = \"%s\"\nkey = \"%s\"\n",
            server.port, fake_file("ca.crt"), fake_file("client.crt"), fake_file("client.key"));
    fclose(profile);
    return 0;
}

static int tear_down_test(void **state)
{
    (void)state;
    fake_stop(&server);
    return 0;
}

/* --- Tests --- */

static void status_for_people(void **state)
{
    (void)state;
    assert_run("status", 0);
    assert_says("state        AWAY for 10 s, since 2026-01-01 00:00:50.000; 4 attempts in a row "
                "have failed\n");
    assert_says("index        opensearch 2.19.4\n");
    assert_says("because      no_answer: connection \\x1b[31mrefused\n");
    assert_says("lag          9.8 s\n");
    assert_says("waiting      1204 changes of 311 documents, 12 of them after a failure\n");
    assert_says("under way    14 changes of 13 documents\n");
    assert_says("parked       2 changes of 1 document (");
    assert_says("pending      402.2 kB\n");
    assert_says("98213 changes in 1620 batches, 60.6 a batch, 2.3 a document\n");
    assert_says("1634 requests of 210.4 MB in all, 310 refreshes\n");
    assert_says("41877 accepted, 126 sent again, 3 parked\n");
    assert_says(
        "rate         982.1 changes/s, 418.8 documents/s accepted, in the 100 s since 2025");
    /* Nothing but what the description of the server is needed for is missing without it. */
    service.hidden = true;
    assert_run("status", 0);
    assert_says("41877 accepted");
    assert_null(strstr(output, "rate"));
}

static void status_without_trouble(void **state)
{
    (void)state;
    service.status.state = ACTIVITY__V1__INDEX_STATE__INDEX_STATE_READY;
    service.status.away_since_ms = 0;
    service.status.failures = 0;
    assert_run("status", 0);
    assert_says("state        READY\n");
    assert_says("lately       no_answer");
    activity__v1__get_index_status_response__init(&service.status);
    service.status.state = ACTIVITY__V1__INDEX_STATE__INDEX_STATE_NONE;
    assert_run("status", 0);
    assert_says("state        NONE: the server writes to no index\n");
    assert_says("waiting      0 changes of 0 documents\n");
    assert_null(strstr(output, "batches"));
    assert_run("status --json", 0);
    json_t *object = object_of(0);
    assert_text(object, "state", "NONE");
    assert_null(json_object_get(object, "why"));
    assert_null(json_object_get(object, "advice"));
    json_decref(object);
}

static void status_for_machines(void **state)
{
    (void)state;
    assert_run("status --json", 0);
    assert_int_equal(lines(), 1);
    json_t *object = object_of(0);
    assert_text(object, "state", "AWAY");
    assert_text(object, "version", "opensearch 2.19.4");
    assert_text(json_object_get(object, "why"), "code", "no_answer");
    assert_text(json_object_get(object, "why"), "message", "connection \x1B[31mrefused");
    assert_null(strchr(output, '\x1B'));
    assert_int_equal(number_of(object, "awaySinceMs"), 1767225650000);
    assert_int_equal(number_of(object, "failures"), 4);
    assert_int_equal(number_of(object, "waitingDocuments"), 311);
    assert_int_equal(number_of(object, "waitingChanges"), 1204);
    assert_int_equal(number_of(object, "restingDocuments"), 12);
    assert_int_equal(number_of(object, "inFlightDocuments"), 13);
    assert_int_equal(number_of(object, "inFlightChanges"), 14);
    assert_int_equal(number_of(object, "parkedDocuments"), 1);
    assert_int_equal(number_of(object, "parkedChanges"), 2);
    assert_int_equal(number_of(object, "pendingBytes"), 402176);
    assert_int_equal(number_of(object, "lagMs"), 9800);
    assert_int_equal(number_of(object, "batches"), 1620);
    assert_int_equal(number_of(object, "requests"), 1634);
    assert_int_equal(number_of(object, "requestBytes"), 210443008);
    assert_int_equal(number_of(object, "changes"), 98213);
    assert_int_equal(number_of(object, "ackedDocuments"), 41877);
    assert_int_equal(number_of(object, "retriedDocuments"), 126);
    assert_int_equal(number_of(object, "refreshes"), 310);
    assert_int_equal(number_of(object, "parkedSinceStart"), 3);
    assert_int_equal(number_of(object, "timeMs"), 1767225660000);
    json_decref(object);
}

static void batches_for_people(void **state)
{
    (void)state;
    assert_run("batches", 0);
    assert_int_equal(lines(), 1 + 20);
    assert_says("  NUMBER  SENT                    CAUSE          LAG     TOOK  CHANGES FRAGMENTS "
                "DOCUMENTS     BYTES    ACKED  RETRIED   PARKED  ERROR\n");
    assert_says(
        "      30  2026-01-01 00:00:30.200 DELAY       200 ms    31 ms        9         8   "
        "      4    2.2 kB        3        0        0  under way\n");
    assert_says(
        "      29  2026-01-01 00:00:30.200 DELAY       200 ms    9.8 s        9         8   "
        "      4    2.2 kB        3        0        1  mapper_parsing_exception: cannot "
        "\\x1b[2J parse \\u202e it\n");
    assert_null(strchr(output, '\x1B'));
    assert_null(strstr(output, "ticket"));
    assert_run("batches -v --limit 2", 0);
    assert_int_equal(service.batches_page, 2);
    assert_int_equal(lines(), 1 + 2 + 1);
    assert_says("\n          tickets 0000000000000abc ffffffffffffffff\n");
    assert_run("batches --limit 1000", 0); /* all there are; no page may be that large */
    assert_int_equal(lines(), 1 + BATCHES);
    assert_in_range(service.batches_page, 1, 256);
    assert_run("batches --limit 5", 0); /* one page is full, of the next one batch is needed */
    assert_int_equal(lines(), 1 + 5);
    assert_int_equal(service.batches_page, 1);
}

static void batches_for_machines(void **state)
{
    (void)state;
    assert_run("batches --json --limit 2", 0);
    assert_int_equal(lines(), 2);
    json_t *object = object_of(0);
    assert_int_equal(number_of(object, "number"), 30);
    assert_true(json_is_false(json_object_get(object, "done")));
    assert_null(json_object_get(object, "error"));
    assert_int_equal(json_array_size(json_object_get(object, "tickets")), 0);
    assert_true(json_is_array(json_object_get(object, "tickets")));
    json_decref(object);
    object = object_of(1);
    assert_int_equal(number_of(object, "number"), 29);
    assert_int_equal(number_of(object, "sentTimeMs"), 1767225630200);
    assert_true(json_is_true(json_object_get(object, "done")));
    assert_text(object, "cause", "DELAY");
    assert_int_equal(number_of(object, "lagMs"), 200);
    assert_int_equal(number_of(object, "tookMs"), 9800);
    assert_int_equal(number_of(object, "changes"), 9);
    assert_int_equal(number_of(object, "fragments"), 8);
    assert_int_equal(number_of(object, "documents"), 4);
    assert_int_equal(number_of(object, "bytes"), 2210);
    assert_int_equal(number_of(object, "acked"), 3);
    assert_int_equal(number_of(object, "retried"), 0);
    assert_int_equal(number_of(object, "parked"), 1);
    assert_text(json_object_get(object, "error"), "code", "mapper_parsing_exception");
    const json_t *tickets = json_object_get(object, "tickets");
    assert_int_equal(json_array_size(tickets), 2);
    assert_string_equal(json_string_value(json_array_get(tickets, 1)), "ffffffffffffffff");
    json_decref(object);
}

static void parked_for_people(void **state)
{
    (void)state;
    assert_run("parked", 0);
    assert_int_equal(lines(), 1 + 4); /* two pages */
    assert_says(" PARK_ID  SINCE                   CHANGES   MODEL                DOCUMENT         "
                "    REASON\n");
    assert_says("       7  2026-01-01 00:00:30.231 2+5       mediacontainer       124              "
                "    mapper_parsing_exception: failed to parse field [shot\\x07]\n");
    assert_says("       8  2026-01-01 00:00:30.231 2         mediacontainer       a "
                "\\x1b[2J\\x9b b      VERSION_AHEAD\n");
    /* An id is never cut: it is copied from here. */
    assert_says(" an id that is longer than its column mapper_parsing_exception");
    assert_says("9007199254740993     (not kept)\n");
    assert_null(strchr(output, '\x1B'));
    assert_run("parked --verbose", 0);
    assert_int_equal(lines(), 1 + 4 * 3);
    assert_says("          whole documents, recorded since 2026-01-01 00:00:30.010; 2 refused, 5 "
                "behind\n          ticket 9c1f03a7d5e84b63\n");
    assert_says("          fragments, recorded since");
    assert_run("parked --reason VERSION_AHEAD", 0);
    assert_int_equal(lines(), 2);
    assert_run("parked --reason nothing_of_the_kind", 0);
    assert_string_equal(output, "nothing is parked for this reason\n");
    service.parked_count = 0;
    assert_run("parked", 0);
    assert_string_equal(output, "nothing is parked\n");
    assert_run("parked --json", 0);
    assert_string_equal(output, "");
}

static void parked_for_machines(void **state)
{
    (void)state;
    assert_run("parked --json", 0);
    assert_int_equal(lines(), 4);
    json_t *object = object_of(0);
    assert_int_equal(number_of(object, "parkId"), 7);
    assert_int_equal(number_of(object, "parkedTimeMs"), 1767225630231);
    assert_text(object, "model", "mediacontainer");
    assert_int_equal(number_of(object, "documentId"), 124);
    assert_text(json_object_get(object, "reason"), "message", "failed to parse field [shot\x07]");
    assert_int_equal(number_of(object, "changes"), 2);
    assert_int_equal(number_of(object, "behind"), 5);
    assert_true(json_is_false(json_object_get(object, "fragments")));
    assert_int_equal(number_of(object, "oldestTimeMs"), 1767225630010);
    assert_string_equal(json_string_value(json_array_get(json_object_get(object, "tickets"), 0)),
                        "9c1f03a7d5e84b63");
    json_decref(object);
    object = object_of(1);
    assert_text(object, "documentId", "a \x1B[2J\xC2\x9B b");
    assert_true(json_is_true(json_object_get(object, "fragments")));
    json_decref(object);
    object = object_of(3);
    assert_text(object, "documentId", "9007199254740993"); /* no number of JSON */
    assert_null(json_object_get(object, "reason"));
    json_decref(object);
}

static void named_ones_are_decided_about(void **state)
{
    (void)state;
    assert_run("retry 7 11", 0);
    assert_string_equal(output, "7: 2 changes to be sent again\n11: 2 changes to be sent again\n");
    assert_false(service.discarded);
    assert_int_equal(service.decided_count, 2);
    /* An unknown one keeps nobody else waiting. */
    assert_run("discard 7 8 --json", 5);
    assert_says("activityctl: 7: NOT_FOUND UNKNOWN_PARKED: because\n");
    assert_says("{\"parkId\":8,\"changes\":2}\n");
    assert_true(service.discarded);
    assert_int_equal(service.decided[2], 8);
    service.parked[0].changes = 1;
    service.lossy = true;
    assert_run("retry 9", 5);
    assert_says("the answer to a first attempt was lost");
    assert_int_equal(service.decided[3], 9);
}

static void what_is_the_same_with_all_ends_it(void **state)
{
    (void)state;
    service.denied = true;
    unsigned before = atomic_load(&server.requests);
    assert_run("retry 7 8 9", 4);
    assert_says("activityctl: 7: PERMISSION_DENIED NOT_ALLOWED");
    assert_null(strstr(output, "8: "));
    assert_int_equal(atomic_load(&server.requests), before + 1);
    assert_run("status", 4);
    assert_run("batches", 4);
    assert_run("parked", 4);
    assert_run("retry --all", 4);
    assert_run("discard --all --yes", 4);
    assert_int_equal(service.decided_count, 0);
}

static void all_are_decided_about(void **state)
{
    (void)state;
    service.elsewhere = 8;
    assert_run("retry --all", 0);
    assert_int_equal(service.decided_count, 3);
    assert_int_equal(lines(), 3);
    assert_false(service.discarded);
    service.parked_count = 0;
    assert_run("retry --all", 0);
    assert_string_equal(output, "nothing is parked\n");
}

static void discarding_all_takes_a_yes(void **state)
{
    (void)state;
    assert_run("discard --all --reason mapper_parsing_exception", 2);
    assert_says("4 changes of 2 documents would be given up for good; --yes does it");
    assert_int_equal(service.decided_count, 0);
    assert_run("discard --all --reason mapper_parsing_exception --yes", 0);
    assert_int_equal(service.decided_count, 2);
    assert_int_equal(service.decided[0] + service.decided[1], 7 + 9);
    assert_true(service.discarded);
    assert_says("7: 2 changes given up\n");
    assert_run("discard --all --reason mapper_parsing_exception", 0);
    assert_string_equal(output, "nothing is parked for this reason\n");
    assert_run("discard --all --yes --json", 0);
    assert_int_equal(service.decided_count, 4);
    assert_int_equal(lines(), 2);
}

static void wrong_words(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "nonsense",
        "status 7",
        "status --limit 5",
        "status -v",
        "batches --limit 0",
        "batches --limit many",
        "batches --limit -1",
        "batches 5",
        "batches --reason x",
        "parked 7",
        "parked --all",
        "retry",
        "retry 0",
        "retry 7 seven",
        "retry 7 --all",
        "retry -- -7",
        "retry 18446744073709551616",
        "retry --all --yes",
        "retry 7 --reason x",
        "retry --yes 7",
        "discard",
        "discard 7 --yes",
        "discard 7 --sideways",
        "discard --reason x",
    };
    unsigned before = atomic_load(&server.requests);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_run(wrong[i], 2);
        assert_says("--help tells more");
    }
    assert_int_equal(atomic_load(&server.requests), before);
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up_test, tear_down_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCENE(status_for_people),
        WITH_SCENE(status_without_trouble),
        WITH_SCENE(status_for_machines),
        WITH_SCENE(batches_for_people),
        WITH_SCENE(batches_for_machines),
        WITH_SCENE(parked_for_people),
        WITH_SCENE(parked_for_machines),
        WITH_SCENE(named_ones_are_decided_about),
        WITH_SCENE(what_is_the_same_with_all_ends_it),
        WITH_SCENE(all_are_decided_about),
        WITH_SCENE(discarding_all_takes_a_yes),
        WITH_SCENE(wrong_words),
    };
    return cmocka_run_group_tests(tests, fake_certificates, fake_certificates_remove);
}
