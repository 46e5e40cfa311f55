#include "server/wire/answer.h"

#include "proto/limits.h"
#include "server/check.h"
#include "server/wire/encode.h"
#include "server/wire/reply.h"
#include "server/wire/token.h"

/* One question on its way to its answer. */
struct answering {
    const struct core *core;
    const struct core_viewer *viewer;
    const struct query *query;
    const struct answer_facts *facts;
};

static struct bytes bytes_of_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

/* A payload at its place in the room, as a frame. */
static struct bytes frame_around(uint64_t epoch, uint8_t *to, const uint8_t *end)
{
    uint8_t *payload = to + REPLY_HEAD_MAX;
    uint8_t *frame = reply_head_before(epoch, payload, (size_t)(end - payload));
    CHECK(end - to <= LIMIT_REPLY_BYTES);
    return encoded_since(frame, end);
}

static struct bytes refusal_frame(uint64_t epoch, enum status_reason reason, uint8_t *to)
{
    struct refusal refusal = {.reason = reason};
    return bytes_of(to, reply_refuse(epoch, &refusal, to));
}

/* GetActivityResponse {activity = 1} */
static struct bytes get_activity(const struct answering *on, uint8_t *to)
{
    struct core_activity activity;
    if (!core_get_activity(on->core, on->viewer, on->query->job_id, &activity)) {
        return refusal_frame(on->facts->epoch, REASON_UNKNOWN_JOB, to);
    }
    uint8_t item[ANSWER_ITEM_MAX];
    uint8_t *end = answer_put_activity(&activity, item);
    end = encode_member(to + REPLY_HEAD_MAX, 1, encoded_since(item, end));
    return frame_around(on->facts->epoch, to, end);
}

/* GetJobResultResponse {state = 1, result = 2, outcome = 3}: the result is stored as it is sent. */
static struct bytes get_job_result(const struct answering *on, uint8_t *to)
{
    struct core_result result;
    core_get_result(on->core, on->viewer, on->query->job_id, &result, NULL);
    uint8_t *end = encode_number(to + REPLY_HEAD_MAX, 1, result.state);
    if (result.state == RESULT_READY) {
        CHECK(result.length <= LIMIT_RESULT_BYTES);
        end = encode_head(end, 2, result.length);
        core_get_result(on->core, on->viewer, on->query->job_id, &result, end);
        end += result.length;
    }
    end = encode_number(end, 3, result.outcome);
    return frame_around(on->facts->epoch, to, end);
}

static const char *const limit_names[] = {
#define LIMIT_NAME(name, standard, least, most, unit, text) #name,
    CORE_LIMITS(LIMIT_NAME)
#undef LIMIT_NAME
};

/* Field numbers of GetServerInfoResponse. */
enum {
    INFO_VERSION = 1,
    INFO_EPOCH = 2,
    INFO_TIME_MS = 3,
    INFO_START_TIME_MS = 4,
    INFO_LIMITS = 5,
    INFO_FEED_URL = 6,
    INFO_FEED_ALLOWED = 7,
    INFO_DURABILITY = 8,
    INFO_JOURNAL_INDEX = 10,
    INFO_HEAD_SEQUENCE = 11,
    INFO_OLDEST_SEQUENCE = 12,
    INFO_REQUEST_ID_KEPT_MS = 13,
    INFO_RUNNING_ACTIVITIES = 14,
    INFO_INDEX = 15,
    INFO_PRINCIPAL = 16,
    INFO_FEED = 17,
};

/* Limit {name = 1, value = 2} */
static uint8_t *put_limits(const struct core_limits *limits, uint8_t *to)
{
    for (size_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        uint8_t limit[128];
        uint8_t *end = encode_bytes(limit, 1, bytes_of_text(limit_names[i]));
        end = encode_number(end, 2, limits->values[i]);
        to = encode_member(to, INFO_LIMITS, encoded_since(limit, end));
    }
    return to;
}

/* Texts of the server's own certificates and configuration, cut to what they may sensibly say. */
static struct bytes cut(const char *text)
{
    struct bytes bytes = bytes_of_text(text);
    bytes.length = bytes.length > 512 ? 512 : bytes.length;
    return bytes;
}

/* What is told of TLS and of files, in its own fields. */
static uint8_t *put_tls(const struct answering *on, uint8_t *to)
{
    if (on->facts->tls == NULL) {
        return to;
    }
    struct answer_tls tls;
    struct answer_files files;
    on->facts->tls(on->facts->tls_context, &tls, &files);
    return answer_put_tls(&tls, on->query->suite, answer_put_files(&files, to));
}

/* FeedInfo {subscribers = 1, parked = 2, frames = 3, bytes = 4, events = 5, progress_frames = 6,
 * reads = 7, fills = 8, resets = 9} */
static uint8_t *put_feed(const struct answer_feed *feed, uint8_t *to)
{
    uint8_t one[128];
    uint8_t *end = encode_number(one, 1, feed->subscribers);
    end = encode_number(end, 2, feed->parked);
    end = encode_number(end, 3, feed->frames);
    end = encode_number(end, 4, feed->bytes);
    end = encode_number(end, 5, feed->events);
    end = encode_number(end, 6, feed->progress_frames);
    end = encode_number(end, 7, feed->reads);
    end = encode_number(end, 8, feed->fills);
    end = encode_number(end, 9, feed->resets);
    return encode_member(to, INFO_FEED, encoded_since(one, end));
}

/* Where the caller can subscribe, if there is such a place. */
static uint8_t *put_feed_url(const struct answering *on, uint8_t *to)
{
    const char *url = on->facts->feed_url;
    if (url == NULL || url[0] == '\0') {
        return to;
    }
    to = encode_bytes(to, INFO_FEED_URL, cut(url));
    return encode_number(to, INFO_FEED_ALLOWED, (on->query->caller.rights & RIGHT_FEED) != 0);
}

static struct bytes get_server_info(const struct answering *on, uint8_t *to)
{
    const struct answer_facts *facts = on->facts;
    struct core_info info;
    core_info(on->core, &info);
    /* What can be read: without a feed that is what the core keeps. */
    struct answer_feed feed = {.head_sequence = info.head_sequence,
                               .oldest_sequence = info.oldest_sequence};
    if (facts->feed != NULL) {
        facts->feed(facts->feed_context, &feed);
    }
    uint8_t *end = encode_bytes(to + REPLY_HEAD_MAX, INFO_VERSION, bytes_of_text(facts->version));
    end = encode_fixed64(end, INFO_EPOCH, facts->epoch);
    end = encode_number(end, INFO_TIME_MS, info.wall_ms);
    end = encode_number(end, INFO_START_TIME_MS, facts->start_ms);
    end = put_limits(&info.limits, end);
    end = put_feed_url(on, end);
    end = encode_bytes(end, INFO_DURABILITY, bytes_of_text(facts->durability));
    end = encode_number(end, INFO_JOURNAL_INDEX, info.index);
    end = encode_number(end, INFO_HEAD_SEQUENCE, feed.head_sequence);
    end = encode_number(end, INFO_OLDEST_SEQUENCE, feed.oldest_sequence);
    end = encode_number(end, INFO_REQUEST_ID_KEPT_MS, info.request_id_kept_ms);
    end = encode_number(end, INFO_RUNNING_ACTIVITIES, info.running);
    end = encode_bytes(end, INFO_INDEX, bytes_of_text(facts->index));
    end = encode_bytes(end, INFO_PRINCIPAL, on->query->caller.principal);
    end = facts->feed != NULL ? put_feed(&feed, end) : end;
    end = put_tls(on, end);
    return frame_around(facts->epoch, to, end);
}

/* ListPresentUsersResponse {users = 1 {user = 1, last_seen_ms = 2}, next_page_token = 2} */
static struct bytes list_present_users(const struct answering *on, uint8_t *to)
{
    const struct query_page *page = &on->query->page;
    uint8_t *payload = to + REPLY_HEAD_MAX;
    uint8_t *end = payload;
    uint64_t position = page->position;
    uint64_t next = position;
    struct core_user user;
    uint32_t count = 0;
    while (core_present_user_next(on->core, on->viewer, &next, &user)) {
        if (count == page->page_size || end - payload >= LIMIT_PAGE_BYTES) {
            uint8_t token[TOKEN_BYTES];
            token_encode(token, TOKEN_USERS_HASH, (struct query_place){0, position});
            end = encode_member(end, 2, bytes_of(token, sizeof token));
            break;
        }
        uint8_t one[LIMIT_USER_LENGTH + 32];
        uint8_t *one_end = encode_bytes(one, 1, user.user);
        one_end = encode_number(one_end, 2, user.last_seen_ms);
        end = encode_member(end, 1, encoded_since(one, one_end));
        count++;
        position = next;
    }
    return frame_around(on->facts->epoch, to, end);
}

static struct bytes find_activities(const struct answering *on, uint8_t *to)
{
    uint8_t *end =
        answer_find(on->core, on->viewer, &on->query->find, on->facts->epoch, to + REPLY_HEAD_MAX);
    return frame_around(on->facts->epoch, to, end);
}

static struct bytes get_index_status(const struct answering *on, uint8_t *to)
{
    uint8_t *end = answer_index_status(on->core, on->facts->index_source, to + REPLY_HEAD_MAX);
    return frame_around(on->facts->epoch, to, end);
}

static struct bytes list_index_batches(const struct answering *on, uint8_t *to)
{
    uint8_t *end =
        answer_index_batches(on->facts->index_source, &on->query->page, to + REPLY_HEAD_MAX);
    return frame_around(on->facts->epoch, to, end);
}

static struct bytes list_parked_documents(const struct answering *on, uint8_t *to)
{
    uint8_t *end =
        answer_parked(on->core, on->query->caller.tenant, &on->query->page, to + REPLY_HEAD_MAX);
    return frame_around(on->facts->epoch, to, end);
}

void query_answer(const struct core *core, struct bytes encoded, const struct answer_facts *facts,
                  uint8_t *to, struct answer *answer)
{
    struct query query;
    query_decode(encoded, &query);
    struct core_viewer viewer;
    core_viewer_init(core, &query.caller, &viewer);
    struct answering on = {core, &viewer, &query, facts};
    *answer = (struct answer){.has_beat = false};
    switch (query.method) {
    case METHOD_FIND_ACTIVITIES:
        answer->frame = find_activities(&on, to);
        answer->has_beat =
            !query.find.observe && query.caller.user.length != 0 && core_beat_due(core, &viewer);
        answer->tenant = query.caller.tenant;
        answer->user = query.caller.user;
        break;
    case METHOD_GET_ACTIVITY:
        answer->frame = get_activity(&on, to);
        break;
    case METHOD_GET_JOB_RESULT:
        answer->frame = get_job_result(&on, to);
        break;
    case METHOD_GET_SERVER_INFO:
        answer->frame = get_server_info(&on, to);
        break;
    case METHOD_LIST_PRESENT_USERS:
        answer->frame = list_present_users(&on, to);
        break;
    case METHOD_GET_INDEX_STATUS:
        answer->frame = get_index_status(&on, to);
        break;
    case METHOD_LIST_INDEX_BATCHES:
        answer->frame = list_index_batches(&on, to);
        break;
    case METHOD_LIST_PARKED_DOCUMENTS:
        answer->frame = list_parked_documents(&on, to);
        break;
    default:
        answer->frame = refusal_frame(facts->epoch, REASON_INTERNAL_ERROR, to);
        break;
    }
}

/* GetStateHashResponse {journal_index = 1, fixed64 state_hash = 2, fixed64 digest = 3} */
size_t answer_state_hash(uint64_t epoch, uint64_t index, uint64_t state_hash, uint64_t digest,
                         uint8_t *to)
{
    uint8_t response[64];
    uint8_t *end = encode_number(response, 1, index);
    end = encode_fixed64(end, 2, state_hash);
    end = encode_fixed64(end, 3, digest);
    return reply_ok(epoch, encoded_since(response, end), to, ANSWER_STATE_HASH_MAX);
}
