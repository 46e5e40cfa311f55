/* Events as they are sent, with protobuf-c as the judge of the encoding, and as the judge of
 * filters the wire contract's words written down a second time. Who sees them is in
 * test_event_rights.c. */
#include "tests/unit/proto/chance.h"

#include <stdio.h>

#include "activity/v1/change_service.pb-c.h"
#include "proto/frame.h"
#include "server/wire/encode.h"
#include "server/wire/event.h"

#define EPOCH UINT64_C(0xfeedfacecafebeef)

static struct bytes text_of(const char *text)
{
    return bytes_of(text, strlen(text));
}

static void assert_text(const char *found, struct bytes wanted)
{
    assert_int_equal(strlen(found), wanted.length);
    assert_memory_equal(found, wanted.at, wanted.length);
}

/* ---- Events by chance, up to the longest of everything ---- */

static struct bytes name_by_chance(size_t most)
{
    static uint8_t letters[8192];
    static size_t used;
    size_t length = below(4) == 0 ? most : 1 + below(most < 12 ? most : 12);
    used = used + length > sizeof letters ? 0 : used;
    uint8_t *at = letters + used;
    used += length;
    for (size_t i = 0; i < length; i++) {
        at[i] = (uint8_t)('a' + below(26));
    }
    return bytes_of(at, length);
}

static uint64_t number_by_chance(void)
{
    return next_random() >> below(64);
}

/* As the border encodes them: field 10 of Activity, each with a name and a value. */
static struct bytes attributes_by_chance(void)
{
    static uint8_t fields[LIMIT_ATTRIBUTES_BYTES];
    uint8_t *end = fields;
    for (size_t count = below(4); count > 0; count--) {
        uint8_t one[LIMIT_ATTRIBUTE_NAME_LENGTH + LIMIT_ATTRIBUTE_VALUE_LENGTH + 16];
        uint8_t *one_end = encode_bytes(one, 1, name_by_chance(LIMIT_ATTRIBUTE_NAME_LENGTH));
        one_end = encode_bytes(one_end, 2, name_by_chance(LIMIT_ATTRIBUTE_VALUE_LENGTH));
        end = encode_member(end, 10, encoded_since(one, one_end));
    }
    return encoded_since(fields, end);
}

static void event_by_chance(struct event *event, enum event_kind kind)
{
    *event = (struct event){.kind = kind,
                            .sequence = number_by_chance(),
                            .time_ms = number_by_chance(),
                            .tenant = name_by_chance(LIMIT_TENANT_LENGTH),
                            .principal = name_by_chance(LIMIT_PRINCIPAL_LENGTH)};
    event->user = below(3) == 0 ? text_of("") : name_by_chance(LIMIT_USER_LENGTH);
    event->groups.count = (uint8_t)below(LIMIT_OBJECT_GROUPS + 1);
    for (size_t i = 0; i < event->groups.count; i++) {
        event->groups.names[i] = name_by_chance(LIMIT_GROUP_LENGTH);
    }
    if (kind == EVENT_ACTIVITY_CREATED) {
        event->created.job_id = number_by_chance() >> 11;
        event->created.type = name_by_chance(LIMIT_TYPE_LENGTH);
        event->created.title = below(2) ? text_of("") : name_by_chance(LIMIT_TITLE_LENGTH);
        event->created.attributes = attributes_by_chance();
        event->created.parent_job_id = below(2) ? 0 : number_by_chance();
        event->created.retry_of_job_id = below(2) ? 0 : number_by_chance();
    } else if (kind == EVENT_ACTIVITY_ENDED) {
        event->ended.job_id = number_by_chance() >> 11;
        event->ended.type = name_by_chance(LIMIT_TYPE_LENGTH);
        event->ended.state = (uint8_t)(ACTIVITY_COMPLETED + below(4));
        event->ended.percent = (uint8_t)below(101);
        event->ended.status_text = name_by_chance(LIMIT_STATUS_TEXT_LENGTH);
        event->ended.failure_code = name_by_chance(LIMIT_FAILURE_CODE_LENGTH);
        event->ended.failure_message = name_by_chance(LIMIT_FAILURE_MESSAGE_LENGTH);
    } else {
        event->changed.model = name_by_chance(LIMIT_MODEL_LENGTH);
        event->changed.document_id = name_by_chance(LIMIT_DOCUMENT_ID_LENGTH);
        event->changed.affected_model = name_by_chance(LIMIT_MODEL_LENGTH);
        event->changed.deleted = below(2) != 0;
        event->changed.first_ms = number_by_chance();
        event->changed.last_ms = number_by_chance();
        event->changed.updated_ms = number_by_chance();
    }
}

/* ---- What protobuf-c reads ---- */

static void assert_created(const Activity__V1__ActivityCreated *found, const struct event *event)
{
    assert_int_equal(found->job_id, event->created.job_id);
    assert_text(found->type, event->created.type);
    assert_text(found->title, event->created.title);
    assert_int_equal(found->parent_job_id, event->created.parent_job_id);
    assert_int_equal(found->retry_of_job_id, event->created.retry_of_job_id);
    uint8_t again[LIMIT_ATTRIBUTES_BYTES];
    uint8_t *end = again;
    for (size_t i = 0; i < found->n_attributes; i++) {
        uint8_t one[LIMIT_ATTRIBUTES_BYTES];
        size_t length = activity__v1__attribute__pack(found->attributes[i], one);
        end = encode_member(end, 10, bytes_of(one, length));
    }
    assert_int_equal(end - again, event->created.attributes.length);
    assert_memory_equal(again, event->created.attributes.at, event->created.attributes.length);
}

static void assert_ended(const Activity__V1__ActivityEnded *found, const struct event *event)
{
    assert_int_equal(found->job_id, event->ended.job_id);
    assert_text(found->type, event->ended.type);
    assert_int_equal(found->state, event->ended.state);
    assert_int_equal(found->percent, event->ended.percent);
    assert_text(found->status_text, event->ended.status_text);
    assert_int_equal(found->failure != NULL, event->ended.state == ACTIVITY_FAILED);
    if (found->failure != NULL) {
        assert_text(found->failure->code, event->ended.failure_code);
        assert_text(found->failure->message, event->ended.failure_message);
    }
}

static void assert_changed(const Activity__V1__DocumentChanged *found, const struct event *event)
{
    const char *model = found->model;
    if (event->kind == EVENT_INDEX_CHANGED) {
        assert_memory_equal(model, "es:", 3);
        model += 3;
    }
    assert_text(model, event->changed.model);
    assert_text(found->document_id, event->changed.document_id);
    assert_text(found->affected_model, event->changed.affected_model);
    assert_int_equal(found->time_range->first_ms, event->changed.first_ms);
    assert_int_equal(found->time_range->last_ms, event->changed.last_ms);
    assert_int_equal(found->updated_ms, event->changed.updated_ms);
    assert_int_equal(found->deleted, event->changed.deleted);
}

static void assert_event(const Activity__V1__ChangeEvent *found, const struct event *event)
{
    assert_int_equal(found->sequence, event->sequence);
    assert_int_equal(found->time_ms, event->time_ms);
    assert_text(found->tenant, event->tenant);
    assert_text(found->principal, event->principal);
    assert_text(found->user, event->user);
    assert_int_equal(found->n_groups, event->groups.count);
    for (size_t i = 0; i < found->n_groups; i++) {
        assert_text(found->groups[i], event->groups.names[i]);
    }
    switch (event->kind) {
    case EVENT_ACTIVITY_CREATED:
        assert_int_equal(found->event_case, ACTIVITY__V1__CHANGE_EVENT__EVENT_ACTIVITY_CREATED);
        assert_created(found->activity_created, event);
        break;
    case EVENT_ACTIVITY_ENDED:
        assert_int_equal(found->event_case, ACTIVITY__V1__CHANGE_EVENT__EVENT_ACTIVITY_ENDED);
        assert_ended(found->activity_ended, event);
        break;
    case EVENT_MODEL_CHANGED:
        assert_int_equal(found->event_case, ACTIVITY__V1__CHANGE_EVENT__EVENT_MODEL_CHANGED);
        assert_changed(found->model_changed, event);
        break;
    case EVENT_INDEX_CHANGED:
        assert_int_equal(found->event_case, ACTIVITY__V1__CHANGE_EVENT__EVENT_INDEX_CHANGED);
        assert_changed(found->index_changed, event);
        break;
    }
}

static void every_field_arrives(void **state)
{
    (void)state;
    for (size_t round = 0; round < rounds(4000); round++) {
        struct event event;
        struct event_key key;
        uint8_t encoded[EVENT_WIRE_MAX];
        event_by_chance(&event, (enum event_kind)(EVENT_ACTIVITY_CREATED + round % 4));
        size_t length = event_put(&event, encoded, &key);
        assert_in_range(length, 1, EVENT_WIRE_MAX);
        Activity__V1__ChangeEvent *found =
            activity__v1__change_event__unpack(NULL, length, encoded);
        assert_non_null(found);
        assert_event(found, &event);
        /* Canonical: what protobuf-c writes of it is the same. */
        assert_int_equal(activity__v1__change_event__get_packed_size(found), length);
        activity__v1__change_event__free_unpacked(found, NULL);
    }
}

/* A title, attributes, names and groups that cannot be longer. */
static void the_longest_event_has_room(void **state)
{
    (void)state;
    static uint8_t filled[LIMIT_ATTRIBUTES_BYTES];
    memset(filled, 'x', sizeof filled);
    struct event event = {.kind = EVENT_ACTIVITY_CREATED,
                          .sequence = UINT64_MAX,
                          .time_ms = UINT64_MAX,
                          .tenant = bytes_of(filled, LIMIT_TENANT_LENGTH),
                          .principal = bytes_of(filled, LIMIT_PRINCIPAL_LENGTH),
                          .user = bytes_of(filled, LIMIT_USER_LENGTH)};
    event.groups.count = LIMIT_OBJECT_GROUPS;
    for (size_t i = 0; i < LIMIT_OBJECT_GROUPS; i++) {
        event.groups.names[i] = bytes_of(filled, LIMIT_GROUP_LENGTH);
    }
    event.created.job_id = UINT64_MAX;
    event.created.type = bytes_of(filled, LIMIT_TYPE_LENGTH);
    event.created.title = bytes_of(filled, LIMIT_TITLE_LENGTH);
    event.created.attributes = bytes_of(filled, LIMIT_ATTRIBUTES_BYTES);
    event.created.parent_job_id = UINT64_MAX;
    event.created.retry_of_job_id = UINT64_MAX;
    uint8_t *encoded = malloc(EVENT_WIRE_MAX); /* its end is guarded by a sanitizer */
    assert_non_null(encoded);
    struct event_key key;
    assert_in_range(event_put(&event, encoded, &key), LIMIT_ATTRIBUTES_BYTES, EVENT_WIRE_MAX);
    free(encoded);
}

/* ---- Filters ---- */

/* Few names, so that they meet. */
static struct bytes one_of(const char *const *names, size_t count)
{
    return text_of(names[below(count)]);
}
static const char *const tenants[] = {"acme", "other", "third"};
static const char *const principals[] = {"spiffe://t/app", "spiffe://t/worker"};
static const char *const users[] = {"anna", "bert", "carl", "app"};
static const char *const group_names[] = {"editors", "cutters", "*", "anna"};
static const char *const models[] = {"asset", "es:asset", "mediacontainer"};
static const char *const documents[] = {"1", "2", "3", "a-much-longer-id-than-eight-bytes"};

static void meeting_event(struct event *event)
{
    event_by_chance(event, (enum event_kind)(EVENT_ACTIVITY_CREATED + below(4)));
    event->tenant = one_of(tenants, 3);
    event->principal = one_of(principals, 2);
    event->user = below(2) ? text_of("") : one_of(users, 4);
    event->groups.count = (uint8_t)below(3);
    for (size_t i = 0; i < event->groups.count; i++) {
        event->groups.names[i] = one_of(group_names, 4);
    }
    if (event->kind == EVENT_ACTIVITY_CREATED) {
        event->created.job_id = 1 + below(5);
    } else if (event->kind == EVENT_ACTIVITY_ENDED) {
        event->ended.job_id = 1 + below(5);
    } else {
        event->changed.model = one_of(models, 3);
        event->changed.document_id = one_of(documents, 4);
    }
}

static void meeting_caller(struct command_caller *caller)
{
    *caller = (struct command_caller){.tenant = one_of(tenants, 3),
                                      .principal = one_of(principals, 2),
                                      .rights = below(6) == 0 ? RIGHT_ADMIN : 0};
    if (below(2)) {
        caller->user = one_of(users, 4);
        caller->group_count = (uint8_t)below(4);
    }
    for (size_t i = 0; i < caller->group_count; i++) {
        caller->groups[i] = one_of(group_names, 4);
    }
}

static void meeting_read(struct query_read *read)
{
    memset(read, 0, sizeof *read);
    read->kinds = below(2) ? 0 : (uint32_t)below(16) << 1;
    read->all_tenants = below(5) == 0;
    read->model_count = below(2) ? 0 : (uint32_t)below(3);
    for (size_t i = 0; i < read->model_count; i++) {
        read->models[i] = one_of(models, 3);
    }
    read->document_id_count = below(2) ? 0 : (uint32_t)below(3);
    for (size_t i = 0; i < read->document_id_count; i++) {
        read->document_ids[i] = one_of(documents, 4);
    }
    read->job_id_count = below(2) ? 0 : (uint32_t)below(3);
    for (size_t i = 0; i < read->job_id_count; i++) {
        read->job_ids[i] = 1 + below(5);
    }
}

static bool same(struct bytes a, struct bytes b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static bool about_a_document(const struct event *event)
{
    return event->kind == EVENT_MODEL_CHANGED || event->kind == EVENT_INDEX_CHANGED;
}

/* In the words of change_service.proto: it is of one of the kinds and, if any of models,
 * document_ids and job_ids is given, about one of the job_ids, or about a document of one of the
 * models and one of the document_ids. */
static bool is_asked_for(const struct query_read *read, const struct event *event)
{
    if (read->kinds != 0 && (read->kinds & 1u << event->kind) == 0) {
        return false;
    }
    if (read->model_count + read->document_id_count + read->job_id_count == 0) {
        return true;
    }
    if (!about_a_document(event)) {
        uint64_t job_id =
            event->kind == EVENT_ACTIVITY_CREATED ? event->created.job_id : event->ended.job_id;
        for (size_t i = 0; i < read->job_id_count; i++) {
            if (read->job_ids[i] == job_id) {
                return true;
            }
        }
        return false;
    }
    bool model = false;
    bool document = false;
    for (size_t i = 0; i < read->model_count; i++) {
        model = model || same(read->models[i], event->changed.model);
    }
    for (size_t i = 0; i < read->document_id_count; i++) {
        document = document || same(read->document_ids[i], event->changed.document_id);
    }
    return (read->model_count > 0 || read->document_id_count > 0) &&
           (model || read->model_count == 0) && (document || read->document_id_count == 0);
}

/* In the words of CALLS: owner, creator when it calls without a user, users that share a group,
 * admins; of a change its recorder in the same way, and "*" is the whole tenant. */
static bool is_seen_by(const struct command_caller *caller, const struct event *event)
{
    if (!same(caller->tenant, event->tenant)) {
        return false;
    }
    if ((caller->rights & RIGHT_ADMIN) != 0) {
        return true;
    }
    bool seen = caller->user.length != 0 ? same(caller->user, event->user)
                                         : same(caller->principal, event->principal);
    for (size_t i = 0; i < event->groups.count; i++) {
        for (size_t k = 0; k < caller->group_count; k++) {
            seen = seen || same(event->groups.names[i], caller->groups[k]);
        }
        seen = seen || (about_a_document(event) && same(event->groups.names[i], text_of("*")));
    }
    return seen;
}

static void filters_pass_what_the_contract_says(void **state)
{
    (void)state;
    size_t passed = 0;
    size_t not_passed = 0;
    size_t looked_in_vain = 0;
    for (size_t round = 0; round < rounds(3000); round++) {
        struct command_caller caller;
        static struct query_read read;
        struct event_filter filter;
        meeting_caller(&caller);
        meeting_read(&read);
        event_filter_init(&filter, &caller, &read);
        for (size_t i = 0; i < 40; i++) {
            struct event event;
            struct event_key key;
            uint8_t encoded[EVENT_WIRE_MAX];
            meeting_event(&event);
            size_t length = event_put(&event, encoded, &key);
            bool wanted =
                is_asked_for(&read, &event) && (read.all_tenants || is_seen_by(&caller, &event));
            bool may_pass = event_may_pass(&filter, &key);
            assert_int_equal(event_passes(&filter, bytes_of(encoded, length)), wanted);
            assert_true(may_pass || !wanted); /* no false negatives */
            passed += wanted;
            not_passed += !wanted;
            looked_in_vain += may_pass && !wanted;
        }
    }
    assert_true(passed > rounds(3000)); /* both happened often */
    assert_true(not_passed > rounds(3000));
    assert_true(looked_in_vain < not_passed / 8);
}

/* Many different names: only few pairs that do not match are looked into. */
static void keys_tell_strangers_apart(void **state)
{
    (void)state;
    static struct query_read read; /* everything the caller may see */
    size_t looked = 0;
    size_t pairs = 0;
    struct event_filter filters[64];
    static struct command_caller callers[64];
    static char names[64 * 10][32];
    for (size_t i = 0; i < 64; i++) {
        for (size_t k = 0; k < 5; k++) {
            (void)snprintf(names[i * 10 + k], sizeof names[0], "name-%zu-%zu", i, k);
        }
        callers[i] = (struct command_caller){.tenant = text_of("acme"),
                                             .principal = text_of("spiffe://t/app"),
                                             .user = text_of(names[i * 10]),
                                             .group_count = 4};
        for (size_t k = 0; k < 4; k++) {
            callers[i].groups[k] = text_of(names[i * 10 + 1 + k]);
        }
        event_filter_init(&filters[i], &callers[i], &read);
    }
    for (size_t round = 0; round < rounds(2000); round++) {
        struct event event;
        struct event_key key;
        uint8_t encoded[EVENT_WIRE_MAX];
        char user[32];
        char group[32];
        event_by_chance(&event, EVENT_MODEL_CHANGED);
        (void)snprintf(user, sizeof user, "user-%zu", below(1000));
        (void)snprintf(group, sizeof group, "group-%zu", below(1000));
        event.tenant = text_of("acme");
        event.principal = text_of("spiffe://t/app");
        event.user = text_of(user);
        event.groups.count = 1;
        event.groups.names[0] = text_of(group);
        (void)event_put(&event, encoded, &key);
        for (size_t i = 0; i < 64; i++) {
            pairs++;
            looked += event_may_pass(&filters[i], &key);
        }
    }
    print_message("looked into %.2f %% of the pairs that do not match\n",
                  100.0 * (double)looked / (double)pairs);
    assert_true(looked < pairs / 10);
}

/* ---- Pages ---- */

static struct frame_reply envelope_of(struct bytes frame)
{
    struct frame_reply reply;
    struct frame_error error;
    assert_int_equal(frame_reply_decode((struct view){frame.at, frame.length}, &reply, &error), 0);
    return reply;
}

static Activity__V1__ReadChangesResponse *response_of(const struct frame_reply *reply)
{
    assert_int_equal(reply->code, STATUS_OK);
    Activity__V1__ReadChangesResponse *response = activity__v1__read_changes_response__unpack(
        NULL, reply->payload.length, reply->payload.bytes);
    assert_non_null(response);
    return response;
}

static void pages_are_frames_in_place(void **state)
{
    (void)state;
    for (size_t count = 0; count < 40; count += 1 + count / 4) {
        struct event events[40];
        size_t room = EVENT_PAGE_HEAD_MAX + count * EVENT_PAGE_ITEM_MAX + EVENT_PAGE_TAIL_MAX;
        uint8_t *page = malloc(room);
        assert_non_null(page);
        uint8_t *begin = page + EVENT_PAGE_HEAD_MAX;
        uint8_t *end = begin;
        for (size_t i = 0; i < count; i++) {
            uint8_t encoded[EVENT_WIRE_MAX];
            struct event_key key;
            meeting_event(&events[i]);
            end = event_page_put(bytes_of(encoded, event_put(&events[i], encoded, &key)), end);
        }
        struct event_page said = {.epoch = EPOCH,
                                  .cursor = UINT64_MAX - 1,
                                  .oldest_sequence = 7,
                                  .head_sequence = UINT64_MAX,
                                  .retry_after_ms = count == 0 ? 1000 : 0};
        struct bytes frame = event_page_end(&said, begin, end);
        assert_true(frame.at >= page && frame.at + frame.length <= page + room);
        struct frame_reply reply = envelope_of(frame);
        assert_int_equal(reply.epoch, EPOCH);
        assert_int_equal(reply.retry_after_ms, said.retry_after_ms);
        Activity__V1__ReadChangesResponse *response = response_of(&reply);
        assert_int_equal(response->n_events, count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(response->events[i]->sequence, events[i].sequence);
            assert_text(response->events[i]->tenant, events[i].tenant);
        }
        assert_int_equal(response->cursor->epoch, EPOCH);
        assert_int_equal(response->cursor->sequence, UINT64_MAX - 1);
        assert_int_equal(response->oldest_sequence, 7);
        assert_int_equal(response->head_sequence, UINT64_MAX);
        assert_null(response->reset);
        activity__v1__read_changes_response__free_unpacked(response, NULL);
        free(page);
    }
}

static void resets_name_the_call_to_make(void **state)
{
    (void)state;
    const uint8_t reasons[] = {ACTIVITY__V1__RESET_REASON__RESET_REASON_EXPIRED,
                               ACTIVITY__V1__RESET_REASON__RESET_REASON_EPOCH,
                               ACTIVITY__V1__RESET_REASON__RESET_REASON_AHEAD};
    for (size_t i = 0; i < sizeof reasons; i++) {
        uint8_t page[EVENT_PAGE_HEAD_MAX + EVENT_PAGE_TAIL_MAX];
        struct event_page said = {.epoch = EPOCH,
                                  .cursor = 12,
                                  .oldest_sequence = 10,
                                  .head_sequence = 12,
                                  .reset = reasons[i]};
        uint8_t *begin = page + EVENT_PAGE_HEAD_MAX;
        struct frame_reply reply = envelope_of(event_page_end(&said, begin, begin));
        Activity__V1__ReadChangesResponse *response = response_of(&reply);
        assert_int_equal(response->n_events, 0);
        assert_int_equal(response->cursor->sequence, 12);
        assert_non_null(response->reset);
        assert_int_equal(response->reset->reason, reasons[i]);
        assert_string_equal(response->reset->call, "activity.v1.ActivityService/FindActivities");
        activity__v1__read_changes_response__free_unpacked(response, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(the_longest_event_has_room),
        cmocka_unit_test(filters_pass_what_the_contract_says),
        cmocka_unit_test(keys_tell_strangers_apart),
        cmocka_unit_test(pages_are_frames_in_place),
        cmocka_unit_test(resets_name_the_call_to_make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
