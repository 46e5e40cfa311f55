/* drive.h for the way into an index: records changes, takes batches, says what became of them.
 * Included by the tests of that way. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_CORE_DRIVE_INDEX_H
#define ACTIVITYD_TESTS_UNIT_SERVER_CORE_DRIVE_INDEX_H

#include "tests/unit/server/core/drive.h"

static inline struct core_limits index_limits(void)
{
    struct core_limits limits = drive_limits();
    limits.index_mode = 1;
    return limits;
}

static inline struct command_caller index_caller(void)
{
    return drive_caller("studio", "spiffe://test/app", NULL);
}

/* What is recorded when a test names nothing else: a whole document. */
static inline struct command_change index_change(const char *id, const char *json)
{
    return (struct command_change){.model = drive_text("mediacontainer"),
                                   .document_id = drive_text(id),
                                   .affected_model = drive_text("mediaContainer"),
                                   .json = drive_text(json)};
}

static inline struct command_change index_fragment(const char *id, const char *json)
{
    struct command_change change = index_change(id, json);
    change.fragment = true;
    return change;
}

/* One request with these changes, `elapsed_ms` after the entry before. Returns the ticket. */
static inline uint64_t index_record_all(struct drive *d, const struct command_change *changes,
                                        uint32_t count, uint16_t elapsed_ms)
{
    size_t room = (size_t)count * 1024;
    for (uint32_t i = 0; i < count; i++) {
        room += changes[i].json.length;
    }
    uint8_t *bytes = malloc(room);
    assert_non_null(bytes);
    struct writer to = writer_of(bytes, room);
    for (uint32_t i = 0; i < count; i++) {
        command_change_put(&to, &changes[i]);
    }
    assert_false(to.failed);
    struct command command = {.kind = COMMAND_RECORD,
                              .record = {.caller = index_caller(),
                                         .change_count = count,
                                         .changes = bytes_of(bytes, to.wanted)}};
    d->request++;
    memcpy(command.record.request_id, &d->request, sizeof d->request);
    command.record.request_id[15] = 2;
    drive_begin(d, elapsed_ms, 0);
    drive_add(d, &command);
    drive_commit(d);
    free(bytes);
    struct reply_record recorded;
    assert_int_equal(d->reply.code, STATUS_OK);
    reply_record_read(d->reply.body, &recorded);
    return recorded.ticket;
}

static inline uint64_t index_record(struct drive *d, struct command_change change)
{
    return index_record_all(d, &change, 1, 0);
}

/* TAKE, `elapsed_ms` after the entry before; the views are valid until the next one. */
static inline struct reply_take index_take_of(struct drive *d, uint16_t elapsed_ms,
                                              uint32_t documents_max, uint64_t bytes_max)
{
    struct command command = {.kind = COMMAND_TAKE,
                              .take = {.documents_max = documents_max, .bytes_max = bytes_max}};
    drive_begin(d, elapsed_ms, 0);
    drive_add(d, &command);
    drive_commit(d);
    struct reply_take taken;
    assert_int_equal(d->reply.code, STATUS_OK);
    reply_take_read(d->reply.body, &taken);
    return taken;
}

static inline struct reply_take index_take(struct drive *d, uint16_t elapsed_ms)
{
    return index_take_of(d, elapsed_ms, COMMAND_TAKE_DOCUMENTS_MAX, COMMAND_TAKE_BYTES_MAX);
}

/* The only change of the only document. */
static inline struct take_change index_only(const struct reply_take *taken)
{
    struct reader from = reader_of(taken->documents);
    struct take_document document;
    struct take_change change;
    assert_int_equal(taken->document_count, 1);
    assert_true(take_document_next(&from, &document));
    assert_int_equal(document.change_count, 1);
    assert_true(take_change_next(&from, &document, &change));
    assert_false(take_change_next(&from, &document, &change));
    assert_false(take_document_next(&from, &document));
    return change;
}

/* RESULT of one letter a document: A, R, P (with this reason, "CODE" and "message"), or a digit: as
 * R, with so many halvings of its rest. */
static inline struct reply_result index_result_rest(struct drive *d, uint64_t batch,
                                                    const char *outcomes, uint64_t version_seen,
                                                    uint32_t retry_after_ms)
{
    static uint8_t bytes[COMMAND_TAKE_DOCUMENTS_MAX];
    static uint8_t reasons[1024 * 1024];
    struct writer to = writer_of(reasons, sizeof reasons);
    uint32_t count = (uint32_t)strlen(outcomes);
    for (uint32_t i = 0; i < count; i++) {
        bytes[i] = outcomes[i] == 'A'   ? INDEX_ACKED
                   : outcomes[i] == 'P' ? INDEX_PARKED
                   : outcomes[i] == 'R' ? INDEX_RETRY
                                        : index_retry((uint32_t)(outcomes[i] - '0'));
        if (bytes[i] == INDEX_PARKED) {
            command_reason_put(&to, drive_text("CODE"), drive_text("message"));
        }
    }
    struct command command = {.kind = COMMAND_RESULT,
                              .result = {.batch = batch,
                                         .version_seen = version_seen,
                                         .retry_after_ms = retry_after_ms,
                                         .count = count,
                                         .outcomes = bytes_of(bytes, count),
                                         .reasons = bytes_of(reasons, to.wanted)}};
    assert_false(to.failed);
    struct effect effect = drive_one(d, &command);
    struct reply_result result;
    assert_int_equal(effect.code, STATUS_OK);
    reply_result_read(effect.body, &result);
    drive_verify(d);
    return result;
}

static inline struct reply_result index_result_of(struct drive *d, uint64_t batch,
                                                  const char *outcomes, uint64_t version_seen)
{
    return index_result_rest(d, batch, outcomes, version_seen, 0);
}

static inline struct reply_result index_result(struct drive *d, uint64_t batch,
                                               const char *outcomes)
{
    return index_result_of(d, batch, outcomes, 0);
}

static inline uint32_t index_start(struct drive *d)
{
    struct command command = {.kind = COMMAND_INDEX_START};
    struct effect effect = drive_one(d, &command);
    struct reply_index_start started;
    reply_index_start_read(effect.body, &started);
    drive_verify(d);
    return started.documents;
}

static inline struct reply_parked index_decide(struct drive *d, const struct command_caller *caller,
                                               uint64_t park_id, enum parked_action action)
{
    struct command command = {
        .kind = COMMAND_PARKED,
        .parked = {.caller = *caller, .park_id = park_id, .action = (uint8_t)action}};
    struct effect effect = drive_one(d, &command);
    struct reply_parked decided;
    assert_int_equal(effect.code, STATUS_OK);
    reply_parked_read(effect.body, &decided);
    drive_verify(d);
    return decided;
}

static inline struct command_caller index_admin(const char *tenant)
{
    struct command_caller admin = drive_caller(tenant, "spiffe://test/admin", NULL);
    admin.rights = RIGHT_ADMIN;
    return admin;
}

/* The n-th event of the last entry, from 0 on. */
static inline struct event index_event(const struct drive *d, uint32_t nth)
{
    struct reader from = reader_of(d->effects);
    struct effect effect;
    struct event event = {.sequence = 0};
    while (effect_next(&from, &effect)) {
        if (effect.type == EFFECT_EVENT && nth-- == 0) {
            assert_true(event_decode(effect.kind, effect.body, &event));
            return event;
        }
    }
    fail_msg("no such event");
    return event;
}

static inline struct core_index_status index_status(const struct drive *d)
{
    struct core_index_status status;
    core_index_status(d->core, &status);
    return status;
}

static inline enum core_wait_outcome index_look(const struct drive *d, uint64_t ticket,
                                                enum core_visible_stage stage)
{
    struct command_caller caller = index_caller();
    struct core_wait_visible wait = {.ticket = ticket, .stage = stage};
    return core_wait_visible(d->core, &caller, &wait);
}

#endif
