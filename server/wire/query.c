#include "server/wire/query.h"

#include "server/check.h"

/* What the longest caller, and the longest filters beside it, take. */
#define CALLER_BYTES_MAX                                                                           \
    (2 + LIMIT_TENANT_LENGTH + 2 + LIMIT_PRINCIPAL_LENGTH + 2 + LIMIT_USER_LENGTH + 2 +            \
     LIMIT_CALLER_GROUPS * (2 + LIMIT_GROUP_LENGTH))
_Static_assert(1 + CALLER_BYTES_MAX + 64 + LIMIT_READ_MODELS * (2 + LIMIT_MODEL_LENGTH) +
                       LIMIT_READ_DOCUMENT_IDS * 2 + LIMIT_READ_DOCUMENTS_BYTES +
                       LIMIT_READ_JOB_IDS * 8 <=
                   QUERY_BYTES_MAX,
               "a ReadChanges with every filter used up fits");
_Static_assert(1 + CALLER_BYTES_MAX + 64 + LIMIT_FIND_TYPES * (2 + LIMIT_TYPE_LENGTH) +
                       LIMIT_FIND_JOB_IDS * 8 <=
                   QUERY_BYTES_MAX,
               "a FindActivities with every filter used up fits");

static void put_caller(struct writer *to, const struct command_caller *caller)
{
    writer_text(to, caller->tenant);
    writer_text(to, caller->principal);
    writer_text(to, caller->user);
    writer_u8(to, caller->rights);
    writer_u8(to, caller->group_count);
    for (size_t i = 0; i < caller->group_count; i++) {
        writer_text(to, caller->groups[i]);
    }
}

static void get_caller(struct reader *from, struct command_caller *caller)
{
    caller->tenant = reader_text(from);
    caller->principal = reader_text(from);
    caller->user = reader_text(from);
    caller->rights = reader_u8(from);
    caller->group_count = reader_u8(from);
    CHECK(caller->group_count <= LIMIT_CALLER_GROUPS);
    for (size_t i = 0; i < caller->group_count; i++) {
        caller->groups[i] = reader_text(from);
    }
}

static void put_find(struct writer *to, const struct query_find *find)
{
    for (size_t i = 0; i < LIST_COUNT; i++) {
        writer_u8(to, find->lists[i]);
    }
    writer_u32(to, find->page_size);
    writer_u8(to, find->first_page);
    writer_u8(to, find->from.list);
    writer_u64(to, find->from.position);
    writer_u64(to, find->filter_hash);
    writer_u8(to, find->observe);
    const struct core_find_activities *filter = &find->filter;
    writer_u32(to, filter->type_count);
    for (size_t i = 0; i < filter->type_count; i++) {
        writer_text(to, filter->types[i]);
    }
    writer_u32(to, filter->states);
    writer_u32(to, filter->job_id_count);
    for (size_t i = 0; i < filter->job_id_count; i++) {
        writer_u64(to, filter->job_ids[i]);
    }
    writer_u64(to, filter->updated_since_ms);
}

static void get_find(struct reader *from, struct query_find *find)
{
    for (size_t i = 0; i < LIST_COUNT; i++) {
        find->lists[i] = reader_u8(from) != 0;
    }
    find->page_size = reader_u32(from);
    find->first_page = reader_u8(from) != 0;
    find->from.list = reader_u8(from);
    find->from.position = reader_u64(from);
    find->filter_hash = reader_u64(from);
    find->observe = reader_u8(from) != 0;
    struct core_find_activities *filter = &find->filter;
    filter->type_count = reader_u32(from);
    CHECK(filter->type_count <= LIMIT_FIND_TYPES);
    for (size_t i = 0; i < filter->type_count; i++) {
        filter->types[i] = reader_text(from);
    }
    filter->states = reader_u32(from);
    filter->job_id_count = reader_u32(from);
    CHECK(filter->job_id_count <= LIMIT_FIND_JOB_IDS);
    for (size_t i = 0; i < filter->job_id_count; i++) {
        filter->job_ids[i] = reader_u64(from);
    }
    filter->updated_since_ms = reader_u64(from);
    filter->after_order = 0;
}

static void put_wait(struct writer *to, const struct query_wait *wait)
{
    writer_u64(to, wait->job_id);
    writer_u64(to, wait->ticket);
    writer_u8(to, wait->percent);
    writer_u8(to, wait->children);
    writer_u8(to, wait->stage);
}

static void get_wait(struct reader *from, struct query_wait *wait)
{
    wait->job_id = reader_u64(from);
    wait->ticket = reader_u64(from);
    wait->percent = reader_u8(from);
    wait->children = reader_u8(from) != 0;
    wait->stage = reader_u8(from);
}

static void put_read(struct writer *to, const struct query_read *read)
{
    writer_u8(to, read->from_now);
    writer_u64(to, read->epoch);
    writer_u64(to, read->after);
    writer_u32(to, read->kinds);
    writer_u32(to, read->model_count);
    for (size_t i = 0; i < read->model_count; i++) {
        writer_text(to, read->models[i]);
    }
    writer_u32(to, read->document_id_count);
    for (size_t i = 0; i < read->document_id_count; i++) {
        writer_text(to, read->document_ids[i]);
    }
    writer_u32(to, read->job_id_count);
    for (size_t i = 0; i < read->job_id_count; i++) {
        writer_u64(to, read->job_ids[i]);
    }
    writer_u32(to, read->page_size);
    writer_u8(to, read->all_tenants);
    writer_u64(to, read->subscription);
}

static void get_read(struct reader *from, struct query_read *read)
{
    read->from_now = reader_u8(from) != 0;
    read->epoch = reader_u64(from);
    read->after = reader_u64(from);
    read->kinds = reader_u32(from);
    read->model_count = reader_u32(from);
    CHECK(read->model_count <= LIMIT_READ_MODELS);
    for (size_t i = 0; i < read->model_count; i++) {
        read->models[i] = reader_text(from);
    }
    read->document_id_count = reader_u32(from);
    CHECK(read->document_id_count <= LIMIT_READ_DOCUMENT_IDS);
    for (size_t i = 0; i < read->document_id_count; i++) {
        read->document_ids[i] = reader_text(from);
    }
    read->job_id_count = reader_u32(from);
    CHECK(read->job_id_count <= LIMIT_READ_JOB_IDS);
    for (size_t i = 0; i < read->job_id_count; i++) {
        read->job_ids[i] = reader_u64(from);
    }
    read->page_size = reader_u32(from);
    read->all_tenants = reader_u8(from) != 0;
    read->subscription = reader_u64(from);
}

void query_encode(const struct query *query, struct writer *to)
{
    writer_u8(to, (uint8_t)query->method);
    put_caller(to, &query->caller);
    switch (query->method) {
    case METHOD_FIND_ACTIVITIES:
        put_find(to, &query->find);
        break;
    case METHOD_GET_ACTIVITY:
    case METHOD_GET_JOB_RESULT:
        writer_u64(to, query->job_id);
        break;
    case METHOD_GET_SERVER_INFO:
        writer_u8(to, query->suite);
        break;
    case METHOD_LIST_PRESENT_USERS:
    case METHOD_LIST_INDEX_BATCHES:
    case METHOD_LIST_PARKED_DOCUMENTS:
        writer_u32(to, query->page.page_size);
        writer_u64(to, query->page.position);
        break;
    case METHOD_WAIT_ACTIVITY:
    case METHOD_WAIT_VISIBLE:
        put_wait(to, &query->wait);
        break;
    case METHOD_READ_CHANGES:
        put_read(to, &query->read);
        break;
    default:
        break;
    }
}

void query_decode(struct bytes encoded, struct query *query)
{
    struct reader from = reader_of(encoded);
    query->method = (enum method_id)reader_u8(&from);
    get_caller(&from, &query->caller);
    switch (query->method) {
    case METHOD_FIND_ACTIVITIES:
        get_find(&from, &query->find);
        break;
    case METHOD_GET_ACTIVITY:
    case METHOD_GET_JOB_RESULT:
        query->job_id = reader_u64(&from);
        break;
    case METHOD_GET_SERVER_INFO:
        query->suite = reader_u8(&from);
        break;
    case METHOD_LIST_PRESENT_USERS:
    case METHOD_LIST_INDEX_BATCHES:
    case METHOD_LIST_PARKED_DOCUMENTS:
        query->page.page_size = reader_u32(&from);
        query->page.position = reader_u64(&from);
        break;
    case METHOD_WAIT_ACTIVITY:
    case METHOD_WAIT_VISIBLE:
        get_wait(&from, &query->wait);
        break;
    case METHOD_READ_CHANGES:
        get_read(&from, &query->read);
        break;
    default:
        break;
    }
    CHECK(!from.failed && from.at == from.end);
}

enum method_id query_method(struct bytes encoded)
{
    CHECK(encoded.length > 0);
    return (enum method_id)encoded.at[0];
}
