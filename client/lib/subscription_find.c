/* What FindActivities tells a subscription: what there is in the beginning and after a hole, and
 * how far running jobs are where that is not pushed. */
#include <string.h>

#include "client/lib/clock.h"
#include "client/lib/subscription.h"

enum { PROGRESS_PERIOD_MS = 1000 };

void finds_deinit(struct finds *finds)
{
    activity_result_free(finds->page);
    payload_deinit(&finds->draft.payload);
    finds->page = NULL;
}

/* --- Asking --- */

static int draft_purpose(activity_subscription *subscription, enum find_purpose purpose,
                         struct activity_error *error)
{
    static const enum activity_state running[] = {ACTIVITY_STATE_RUNNING};
    const struct filter *filter = &subscription->filter;
    struct activity_find_request request = {
        .job_ids = filter->wanted.job_ids,
        .job_id_count = filter->wanted.job_id_count,
        .observe = true,
    };
    if (purpose == FIND_PROGRESS) {
        request.activities = true;
        request.states = running;
        request.state_count = 1;
        request.updated_since_ms = subscription->finds.since_ms;
    } else {
        request.activities = filter_wants(filter, ACTIVITY_EVENT_FOUND_ACTIVITY);
        request.model_changes = filter_wants(filter, ACTIVITY_EVENT_FOUND_CHANGE);
        request.model_changes_es = filter_wants(filter, ACTIVITY_EVENT_FOUND_INDEX_CHANGE);
    }
    return draft_find(&subscription->finds.draft, &request, error);
}

/* Leaves what is under way, for another purpose. */
static void start(activity_subscription *subscription, enum find_purpose purpose)
{
    struct finds *finds = &subscription->finds;
    client_abandon_tag(subscription->client, &subscription->waiter, SUBSCRIPTION_FIND);
    finds_deinit(finds);
    finds->asking = (struct asking){.not_before_ms = finds->asking.not_before_ms};
    finds->purpose = purpose;
    finds->first = true;
}

void finds_snapshot(activity_subscription *subscription)
{
    start(subscription, FIND_SNAPSHOT);
    subscription->position = (struct activity_cursor){0};
}

void finds_again(activity_subscription *subscription)
{
    start(subscription, subscription->finds.purpose);
}

void finds_reset(activity_subscription *subscription)
{
    if (subscription->start == ACTIVITY_START_SNAPSHOT) {
        finds_snapshot(subscription);
    } else {
        start(subscription, FIND_NOTHING);
        subscription->finds.since_ms = 0;
        subscription->finds.wanted = true;
    }
}

static bool is_progress_due(const activity_subscription *subscription, uint64_t now_ms)
{
    const struct finds *finds = &subscription->finds;
    return finds->purpose == FIND_NOTHING && subscription->progress &&
           (finds->wanted || !subscription->pushes.on) && now_ms >= finds->next_ms;
}

/* The request for the first page, or for the one after the present page, which is then left. */
static int ask(activity_subscription *subscription, struct activity_error *error)
{
    struct finds *finds = &subscription->finds;
    if (finds->first && finds->draft.payload.length == 0) {
        int code = draft_purpose(subscription, finds->purpose, error);
        if (code != ACTIVITY_OK) {
            return code;
        }
    }
    struct draft draft = {.method = ACTIVITY_METHOD_FIND};
    const struct payload *base = &finds->draft.payload;
    struct activity_bytes request = {base->bytes, base->length};
    int code = request_raw(&draft.payload, request, error);
    if (code == ACTIVITY_OK && !finds->first) {
        /* protobuf: the last occurrence of a field counts. */
        const struct activity_page *page = activity_result_page(finds->page);
        code = request_find_token(&draft.payload, page->next_page_token, error);
    }
    if (code != ACTIVITY_OK) {
        payload_deinit(&draft.payload);
        return code;
    }
    return subscription_begin(subscription, SUBSCRIPTION_FIND, &draft, error);
}

/* Whether the next page must be asked for: there is one, and this one was taken to its end. */
static bool is_page_due(const struct finds *finds)
{
    const struct activity_page *page = activity_result_page(finds->page);
    return finds->purpose != FIND_NOTHING &&
           (page == NULL || finds->at == page->activity_count + page->model_change_count +
                                             page->model_change_es_count);
}

int finds_look(activity_subscription *subscription, uint64_t now_ms, struct activity_error *error)
{
    struct finds *finds = &subscription->finds;
    if (is_progress_due(subscription, now_ms)) {
        start(subscription, FIND_PROGRESS);
        finds->next_ms = now_ms + PROGRESS_PERIOD_MS;
    }
    if (!is_page_due(finds) || !asking_may(&finds->asking, now_ms)) {
        return ACTIVITY_OK;
    }
    int code = ask(subscription, error);
    if (code != ACTIVITY_OK) {
        return asking_ended(&finds->asking, code, error);
    }
    finds->asking.asked = true;
    return code;
}

void finds_take(activity_subscription *subscription, activity_result *result)
{
    struct finds *finds = &subscription->finds;
    const struct activity_page *page = activity_result_page(result);
    if (finds->first) {
        finds->first = false;
        finds->cursor = page->cursor;
        finds->time_ms = page->time_ms;
    }
    activity_result_free(finds->page);
    finds->page = result;
    finds->at = 0;
}

/* --- Taking --- */

/* The n-th thing of a page, of the three lists one after the other. */
static void show_found(const struct activity_page *page, size_t n, struct activity_event *event)
{
    if (n < page->activity_count) {
        event->kind = ACTIVITY_EVENT_FOUND_ACTIVITY;
        event->activity = &page->activities[n];
        return;
    }
    n -= page->activity_count;
    if (n < page->model_change_count) {
        event->kind = ACTIVITY_EVENT_FOUND_CHANGE;
        event->change = &page->model_changes[n];
    } else {
        event->kind = ACTIVITY_EVENT_FOUND_INDEX_CHANGE;
        event->change = &page->model_changes_es[n - page->model_change_count];
    }
}

static void show_progress(activity_subscription *subscription, const struct activity_info *activity,
                          struct activity_event *event)
{
    subscription->shown = (struct activity_info){
        .job_id = activity->job_id,
        .type = "",
        .title = "",
        .state = ACTIVITY_STATE_RUNNING,
        .percent = activity->percent,
        .status_text = activity->status_text,
        .owner = "",
        .creator = "",
    };
    event->kind = ACTIVITY_EVENT_PROGRESS;
    event->tenant = subscription->tenant;
    event->activity = &subscription->shown;
}

/* All pages have been taken. */
static bool end_finds(activity_subscription *subscription, struct activity_event *event)
{
    struct finds *finds = &subscription->finds;
    bool snapshot = finds->purpose == FIND_SNAPSHOT;
    finds->since_ms = finds->time_ms;
    finds->wanted = false;
    finds->purpose = FIND_NOTHING;
    finds_deinit(finds);
    if (snapshot) {
        subscription->position = finds->cursor;
        *event = (struct activity_event){.kind = ACTIVITY_EVENT_FOUND_ALL,
                                         .cursor = finds->cursor,
                                         .tenant = "",
                                         .principal = "",
                                         .user = ""};
    }
    return snapshot;
}

bool finds_next(activity_subscription *subscription, struct activity_event *event)
{
    struct finds *finds = &subscription->finds;
    const struct activity_page *page = activity_result_page(finds->page);
    if (page == NULL) {
        return false;
    }
    size_t count = page->activity_count + page->model_change_count + page->model_change_es_count;
    while (finds->at < count) {
        size_t n = finds->at++;
        *event = (struct activity_event){.tenant = "", .principal = "", .user = ""};
        if (finds->purpose == FIND_SNAPSHOT) {
            show_found(page, n, event);
        } else if (n < page->activity_count) {
            show_progress(subscription, &page->activities[n], event);
        }
        if (event->kind != ACTIVITY_EVENT_NONE && filter_passes(&subscription->filter, event)) {
            return true;
        }
    }
    *event = (struct activity_event){.tenant = "", .principal = "", .user = ""};
    return page->next_page_token.size == 0 && end_finds(subscription, event);
}
