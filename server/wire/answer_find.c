/* FindActivities: three lists in one stream of pages. A page ends at its items, its bytes or the
 * slots that one call may look at; the token says in which list and behind which item. */
#include "proto/limits.h"
#include "server/wire/answer.h"
#include "server/wire/encode.h"
#include "server/wire/token.h"

/* Field numbers of activity/v1/types.proto. */
enum {
    ACTIVITY_JOB_ID = 1,
    ACTIVITY_TYPE = 2,
    ACTIVITY_TITLE = 3,
    ACTIVITY_STATE = 4,
    ACTIVITY_PERCENT = 5,
    ACTIVITY_STATUS_TEXT = 6,
    ACTIVITY_OWNER = 7,
    ACTIVITY_CREATOR = 8,
    ACTIVITY_GROUPS = 9,
    ACTIVITY_PARENT_JOB_ID = 11,
    ACTIVITY_RETRY_OF_JOB_ID = 12,
    ACTIVITY_CREATE_TIME_MS = 13,
    ACTIVITY_UPDATE_TIME_MS = 14,
    ACTIVITY_END_TIME_MS = 15,
    ACTIVITY_FAILURE = 16,
};
enum { FAILURE_CODE = 1, FAILURE_MESSAGE = 2 };
enum { RANGE_FIRST_MS = 1, RANGE_LAST_MS = 2 };
enum { AFFECTED_NAME = 1, AFFECTED_TIME_RANGE = 2, AFFECTED_UPDATED_MS = 3 };
enum {
    CHANGE_MODEL = 1,
    CHANGE_DOCUMENT_ID = 2,
    CHANGE_AFFECTED_MODELS = 3,
    CHANGE_UPDATED_MS = 4
};
enum { CURSOR_EPOCH = 1, CURSOR_SEQUENCE = 2 };
/* Of FindActivitiesResponse; the lists are 1 to 3. */
enum {
    FIND_LISTS = 1,
    FIND_NEXT_PAGE_TOKEN = 4,
    FIND_CURSOR = 5,
    FIND_TIME_MS = 6,
    FIND_CHANGES_COMPLETE_SINCE_MS = 7,
    FIND_INDEX_CHANGES_COMPLETE_SINCE_MS = 8,
};

_Static_assert(sizeof((struct core_activity *)0)->text + 512 <= ANSWER_ITEM_MAX,
               "an activity's texts, with their tags, fit an item");
_Static_assert(sizeof((struct core_change *)0)->text + LIMIT_AFFECTED_MODELS * 64 + 512 <=
                   ANSWER_ITEM_MAX,
               "a change's texts, with their times, fit an item");
_Static_assert(LIMIT_PAGE_BYTES + 2 * ANSWER_ITEM_MAX + 1024 < LIMIT_REPLY_BYTES,
               "a page that is full before its last item fits a reply");

uint8_t *answer_put_activity(const struct core_activity *activity, uint8_t *to)
{
    to = encode_number(to, ACTIVITY_JOB_ID, activity->job_id);
    to = encode_bytes(to, ACTIVITY_TYPE, activity->type);
    to = encode_bytes(to, ACTIVITY_TITLE, activity->title);
    to = encode_number(to, ACTIVITY_STATE, activity->state);
    to = encode_number(to, ACTIVITY_PERCENT, activity->percent);
    to = encode_bytes(to, ACTIVITY_STATUS_TEXT, activity->status_text);
    to = encode_bytes(to, ACTIVITY_OWNER, activity->owner);
    to = encode_bytes(to, ACTIVITY_CREATOR, activity->creator);
    for (size_t i = 0; i < activity->groups.count; i++) {
        to = encode_member(to, ACTIVITY_GROUPS, activity->groups.names[i]);
    }
    to = encode_raw(to, activity->attributes); /* encoded at the border as they stand here */
    to = encode_number(to, ACTIVITY_PARENT_JOB_ID, activity->parent_job_id);
    to = encode_number(to, ACTIVITY_RETRY_OF_JOB_ID, activity->retry_of_job_id);
    to = encode_number(to, ACTIVITY_CREATE_TIME_MS, activity->create_ms);
    to = encode_number(to, ACTIVITY_UPDATE_TIME_MS, activity->update_ms);
    to = encode_number(to, ACTIVITY_END_TIME_MS, activity->end_ms);
    if (activity->state == ACTIVITY_FAILED) {
        uint8_t
            failure[LIMIT_FAILURE_CODE_LENGTH + LIMIT_FAILURE_MESSAGE_LENGTH + 2 * ENCODE_HEAD_MAX];
        uint8_t *end = encode_bytes(failure, FAILURE_CODE, activity->failure_code);
        end = encode_bytes(end, FAILURE_MESSAGE, activity->failure_message);
        to = encode_member(to, ACTIVITY_FAILURE, encoded_since(failure, end));
    }
    return to;
}

static uint8_t *put_affected(const struct core_change *change, size_t index, uint8_t *to)
{
    uint8_t range[32];
    uint8_t *range_end = encode_number(range, RANGE_FIRST_MS, change->affected[index].first_ms);
    range_end = encode_number(range_end, RANGE_LAST_MS, change->affected[index].last_ms);
    uint8_t one[LIMIT_MODEL_LENGTH + 96];
    uint8_t *end = encode_bytes(one, AFFECTED_NAME, change->affected[index].affected_model);
    end = encode_member(end, AFFECTED_TIME_RANGE, encoded_since(range, range_end));
    end = encode_number(end, AFFECTED_UPDATED_MS, change->affected[index].updated_ms);
    return encode_member(to, CHANGE_AFFECTED_MODELS, encoded_since(one, end));
}

static uint8_t *put_change(const struct core_change *change, enum core_change_view view,
                           uint8_t *to)
{
    static const char prefix[] = "es:";
    uint32_t prefix_length = view == CHANGES_INDEX ? (uint32_t)sizeof prefix - 1 : 0;
    to = encode_head(to, CHANGE_MODEL, prefix_length + change->model.length);
    to = encode_raw(to, bytes_of(prefix, prefix_length));
    to = encode_raw(to, change->model);
    to = encode_bytes(to, CHANGE_DOCUMENT_ID, change->document_id);
    for (size_t i = 0; i < change->affected_count; i++) {
        to = put_affected(change, i, to);
    }
    return encode_number(to, CHANGE_UPDATED_MS, change->updated_ms);
}

/* ---- Pages ---- */

struct page {
    const struct core *core;
    const struct core_viewer *viewer;
    const struct query_find *find;
    uint8_t *begin;
    uint8_t *end;
    uint32_t items;
    uint32_t touched;        /* slots that the lists before this one looked at */
    struct query_place next; /* where the next page begins, if there is one */
};

static bool is_full(const struct page *page)
{
    return page->items == page->find->page_size || page->end - page->begin >= LIMIT_PAGE_BYTES;
}

static void add_item(struct page *page, uint32_t number, const uint8_t *item,
                     const uint8_t *item_end)
{
    page->end = encode_member(page->end, number, encoded_since(item, item_end));
    page->items++;
}

/* Each fills the page from one list, from page->next.position on. True: the list is through. */

static bool add_activities(struct page *page)
{
    struct core_find_activities filter = page->find->filter;
    filter.after_order = page->next.position;
    struct core_activity_walk walk;
    core_activity_walk_init(&walk, page->core, page->viewer, &filter);
    for (;;) {
        struct core_activity activity;
        enum core_found found = core_activity_next(&walk, &activity);
        if (found == CORE_FOUND && is_full(page)) {
            return false; /* seen only to know that there is a next page */
        }
        page->next.position = walk.position;
        if (found != CORE_FOUND) {
            page->touched = walk.touched;
            return found == CORE_END;
        }
        uint8_t item[ANSWER_ITEM_MAX];
        add_item(page, FIND_LISTS + LIST_ACTIVITIES, item, answer_put_activity(&activity, item));
    }
}

static bool add_changes(struct page *page, enum core_change_view view, uint32_t number)
{
    struct core_change_walk walk;
    core_change_walk_init(&walk, page->core, page->viewer, view, page->next.position);
    walk.updated_since_ms = page->find->filter.updated_since_ms;
    walk.touched = page->touched; /* the bound is one call's */
    for (;;) {
        struct core_change change;
        enum core_found found = core_change_next(&walk, &change);
        if (found == CORE_FOUND && is_full(page)) {
            return false;
        }
        page->next.position = walk.position;
        if (found != CORE_FOUND) {
            page->touched = walk.touched;
            return found == CORE_END;
        }
        uint8_t item[ANSWER_ITEM_MAX];
        add_item(page, number, item, put_change(&change, view, item));
    }
}

static bool add_list(struct page *page)
{
    switch ((enum query_list)page->next.list) {
    case LIST_ACTIVITIES:
        return add_activities(page);
    case LIST_CHANGES:
        return add_changes(page, CHANGES_DATABASE, FIND_LISTS + LIST_CHANGES);
    default:
        return add_changes(page, CHANGES_INDEX, FIND_LISTS + LIST_INDEX_CHANGES);
    }
}

/* What every page says beside its items; the cursor only the first: the feed continues from the
 * state that the first page was read in, so nothing is missed whatever happens between pages. */
static uint8_t *put_times(const struct page *page, uint64_t epoch, uint8_t *to)
{
    struct core_info info;
    core_info(page->core, &info);
    if (page->find->first_page) {
        uint8_t cursor[32];
        uint8_t *end = encode_fixed64(cursor, CURSOR_EPOCH, epoch);
        end = encode_number(end, CURSOR_SEQUENCE, info.head_sequence);
        to = encode_member(to, FIND_CURSOR, encoded_since(cursor, end));
    }
    to = encode_number(to, FIND_TIME_MS, info.wall_ms);
    if (page->find->lists[LIST_CHANGES]) {
        to = encode_number(to, FIND_CHANGES_COMPLETE_SINCE_MS,
                           core_changes_complete_since_ms(page->core, CHANGES_DATABASE));
    }
    if (page->find->lists[LIST_INDEX_CHANGES]) {
        to = encode_number(to, FIND_INDEX_CHANGES_COMPLETE_SINCE_MS,
                           core_changes_complete_since_ms(page->core, CHANGES_INDEX));
    }
    return to;
}

uint8_t *answer_find(const struct core *core, const struct core_viewer *viewer,
                     const struct query_find *find, uint64_t epoch, uint8_t *to)
{
    struct page page = {.core = core, .viewer = viewer, .find = find, .begin = to, .end = to};
    page.next = find->from;
    bool more = false;
    for (; page.next.list < LIST_COUNT; page.next.list++, page.next.position = 0) {
        if (find->lists[page.next.list] && !add_list(&page)) {
            more = true;
            break;
        }
    }
    if (more) {
        uint8_t token[TOKEN_BYTES];
        token_encode(token, find->filter_hash, page.next);
        page.end = encode_member(page.end, FIND_NEXT_PAGE_TOKEN, bytes_of(token, sizeof token));
    }
    return put_times(&page, epoch, page.end);
}
