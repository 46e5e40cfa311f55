/* The history by ReadChanges: pages, long polls, resets. */
#include <string.h>

#include "client/lib/clock.h"
#include "client/lib/subscription.h"
#include "proto/limits.h"

enum {
    EARLY_MS = 100, /* an empty answer that comes this much before its time comes early */
    EARLY_PAUSE_MS = 100,
};

void reads_deinit(struct reads *reads)
{
    activity_result_free(reads->page);
    reads->page = NULL;
}

/* --- Asking --- */

static int ask(activity_subscription *subscription, bool waits, uint64_t now_ms,
               struct activity_error *error)
{
    struct reads *reads = &subscription->reads;
    const struct activity_changes_request request = {
        .after = subscription->position,
        .filter = subscription->filter.wanted,
        .wait_ms = waits ? LIMIT_WAIT_MS : 0,
        .all_tenants = subscription->all,
        .subscription = subscription->number,
    };
    struct draft draft;
    int code = draft_changes(&draft, &request, error);
    if (code == ACTIVITY_OK) {
        code = subscription_begin(subscription, SUBSCRIPTION_READ, &draft, error);
    }
    if (code != ACTIVITY_OK) {
        return asking_ended(&reads->asking, code, error);
    }
    subscription->counts.fills += !waits;
    reads->asking.asked = true;
    reads->waits = waits;
    reads->due_ms = now_ms + request.wait_ms;
    reads->after = request.after;
    return code;
}

int reads_look(activity_subscription *subscription, uint64_t now_ms, struct activity_error *error)
{
    struct reads *reads = &subscription->reads;
    enum pushes_need need = pushes_need(subscription);
    if (need == NEED_NOTHING || reads->page != NULL ||
        subscription->finds.purpose == FIND_SNAPSHOT) {
        return ACTIVITY_OK;
    }
    if (reads->asking.asked && reads->waits && need == NEED_NOW) {
        /* It may be held back although there are events, if none of them passes. The server answers
         * it when the next one of this subscription comes. */
        client_abandon_tag(subscription->client, &subscription->waiter, SUBSCRIPTION_READ);
        reads->asking.asked = false;
    }
    return asking_may(&reads->asking, now_ms) ? ask(subscription, need == NEED_ALL, now_ms, error)
                                              : ACTIVITY_OK;
}

/* When to ask again after an answer that has led no further. */
static void pause_reads(struct reads *reads, const struct activity_changes *page)
{
    uint64_t now = clock_now_ms();
    if (page->retry_after_ms > 0) {
        reads->asking.not_before_ms = now + page->retry_after_ms;
    } else if (reads->waits && now + EARLY_MS < reads->due_ms) {
        reads->asking.not_before_ms = now + EARLY_PAUSE_MS; /* the server may be about to stop */
    }
}

void reads_take(activity_subscription *subscription, activity_result *result)
{
    struct reads *reads = &subscription->reads;
    const struct activity_changes *page = activity_result_changes(result);
    if (page->reset == ACTIVITY_RESET_NONE && page->cursor.sequence <= reads->after.sequence) {
        pause_reads(reads, page);
    }
    activity_result_free(reads->page);
    reads->page = result;
    reads->at = 0;
}

/* --- Taking --- */

/* Whether the page tells about the history behind the position. One that was asked for before the
 * position was moved into another epoch, or whose hole has been passed by messages, does not. */
static bool is_current(const activity_subscription *subscription,
                       const struct activity_changes *page)
{
    const struct reads *reads = &subscription->reads;
    if (page->reset != ACTIVITY_RESET_NONE) {
        return reads->after.epoch == subscription->position.epoch &&
               reads->after.sequence == subscription->position.sequence;
    }
    return page->cursor.epoch == subscription->position.epoch;
}

static void leave_page(activity_subscription *subscription)
{
    activity_result_free(subscription->reads.page);
    subscription->reads.page = NULL;
}

static void end_page(activity_subscription *subscription, const struct activity_changes *page)
{
    if (page->cursor.sequence > subscription->position.sequence) {
        subscription->position.sequence = page->cursor.sequence;
    }
    bool level = page->cursor.sequence >= page->head_sequence;
    leave_page(subscription);
    pushes_read(subscription, level);
}

bool reads_next(activity_subscription *subscription, struct activity_event *event)
{
    struct reads *reads = &subscription->reads;
    const struct activity_changes *page = activity_result_changes(reads->page);
    if (page == NULL) {
        return false;
    }
    if (!is_current(subscription, page)) {
        leave_page(subscription);
        return false;
    }
    if (page->reset != ACTIVITY_RESET_NONE) {
        subscription_reset(subscription, page, event);
        leave_page(subscription);
        return true;
    }
    while (reads->at < page->event_count) {
        if (subscription_take(subscription, &page->events[reads->at++], event)) {
            return true;
        }
    }
    end_page(subscription, page);
    return false;
}
