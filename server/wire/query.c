#include "server/wire/query.h"

#include "server/check.h"

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
    case METHOD_LIST_PRESENT_USERS:
        writer_u32(to, query->users.page_size);
        writer_u64(to, query->users.position);
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
    case METHOD_LIST_PRESENT_USERS:
        query->users.page_size = reader_u32(&from);
        query->users.position = reader_u64(&from);
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
