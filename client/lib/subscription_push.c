/* The history and progress by messages of the change-feed endpoint: what fits is taken, what does
 * not makes the subscription read. */
#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"
#include "client/lib/error.h"
#include "client/lib/feed_url.h"
#include "client/lib/link_sub.h"
#include "client/lib/subscription.h"
#include "proto/limits.h"

enum {
    SILENT_MS = 3 * LIMIT_FEED_HEARTBEAT_MS, /* without a message: reads meanwhile */
    DEAD_MS = 2 * SILENT_MS,                 /* the connection is made anew */
    GAPS_IN_ROW_MAX = 3,
    DOUBT_PAUSE_MS = 1000,
    BEHIND_MS = 3000,
    INFO_PAUSE_MS = 10000,    /* between two looks where the endpoint is, while it is away, */
    NO_FEED_PAUSE_MS = 60000, /* and while there is none */
    REFUSALS_MIN = 2,         /* one may be a server that ends */
};

void pushes_deinit(struct pushes *pushes)
{
    link_sub_free(pushes->sub);
    free(pushes->memory);
}

/* --- The endpoint --- */

static void on_happened(void *owner)
{
    activity_subscription *subscription = owner;
    client_wake(&subscription->waiter);
}

static struct link_sub *connect_to(activity_subscription *subscription, const char *url)
{
    activity_client *client = subscription->client;
    char host[256];
    if (!link_url_host(url, host, sizeof host)) {
        return NULL;
    }
    const struct link_sub_config config = {
        .url = url,
        .credentials = client->credentials,
        .server_name = client->server_name != NULL ? client->server_name : host,
        .reconnect_min_ms = client->reconnect_min_ms,
        .reconnect_max_ms = client->reconnect_max_ms,
        .topics = {FEED_TOPIC_HISTORY, subscription->progress ? FEED_TOPIC_PROGRESS : NULL},
        .happened = on_happened,
        .owner = subscription,
        .lock = &client->lock,
    };
    struct link_sub *sub;
    return link_sub_open(&config, &sub) == LINK_OK ? sub : NULL;
}

void pushes_take(activity_subscription *subscription, const activity_result *info)
{
    struct pushes *pushes = &subscription->pushes;
    const struct activity_server_info *server = activity_result_server_info(info);
    char used[256];
    char url[256];
    client_server_url(subscription->client, used, sizeof used);
    if (!server->feed_allowed || !feed_url_resolve(server->feed_url, used, url, sizeof url) ||
        (pushes->sub != NULL && strcmp(url, link_sub_url(pushes->sub)) == 0)) {
        return;
    }
    if (pushes->sub != NULL) {
        struct link_sub_state state;
        link_sub_state(pushes->sub, &state);
        pushes->connects_before += state.connects;
        link_sub_free(pushes->sub);
    }
    pushes->sub = connect_to(subscription, url);
}

/* Whether the endpoint should be looked for: none is known, or nothing has come for a while. */
static bool is_away(const struct pushes *pushes, const struct link_sub_state *state, uint64_t now)
{
    return pushes->sub == NULL ||
           (!pushes->on && !state->waiting && now >= state->heard_ms + DEAD_MS);
}

/* A lost connection, or silence on one, puts an end to pushing. */
static void notice_silence(struct pushes *pushes, const struct link_sub_state *state, uint64_t now)
{
    if (state->waiting || pushes->framed) {
        return;
    }
    if (!state->connected || now >= state->heard_ms + SILENT_MS) {
        pushes->on = false;
    }
    if (state->connected && now >= state->heard_ms + DEAD_MS) {
        link_sub_reset(pushes->sub);
    }
}

int pushes_look(activity_subscription *subscription, uint64_t now_ms, struct activity_error *error)
{
    struct pushes *pushes = &subscription->pushes;
    struct link_sub_state state = {0};
    if (!subscription->may_push) {
        return ACTIVITY_OK;
    }
    if (pushes->sub != NULL) {
        link_sub_state(pushes->sub, &state);
        notice_silence(pushes, &state, now_ms);
    }
    if (!is_away(pushes, &state, now_ms) || !asking_may(&pushes->info, now_ms)) {
        return ACTIVITY_OK;
    }
    struct draft draft;
    int code = draft_empty(&draft, ACTIVITY_METHOD_GET_SERVER_INFO, error);
    if (code == ACTIVITY_OK) {
        code = subscription_begin(subscription, SUBSCRIPTION_INFO, &draft, error);
    }
    pushes->info.asked = code == ACTIVITY_OK;
    pushes->info.not_before_ms = now_ms + (pushes->sub == NULL ? NO_FEED_PAUSE_MS : INFO_PAUSE_MS);
    return code;
}

void pushes_status(const activity_subscription *subscription,
                   struct activity_subscription_status *status)
{
    const struct pushes *pushes = &subscription->pushes;
    struct link_sub_state state = {0};
    if (pushes->sub != NULL) {
        link_sub_state(pushes->sub, &state);
    }
    status->pushed = pushes->on;
    status->refused = state.refusals >= REFUSALS_MIN;
    status->connects = pushes->connects_before + state.connects;
}

/* --- What is to be read --- */

enum pushes_need pushes_need(const activity_subscription *subscription)
{
    const struct pushes *pushes = &subscription->pushes;
    if (pushes->only_reads || pushes->doubt || pushes->target > subscription->position.sequence) {
        return NEED_NOW;
    }
    return pushes->on ? NEED_NOTHING : NEED_ALL;
}

static void leave_frame(struct pushes *pushes)
{
    pushes->framed = false;
    arena_reset(&pushes->arena);
}

void pushes_read(activity_subscription *subscription, bool level)
{
    struct pushes *pushes = &subscription->pushes;
    pushes->doubt = false;
    if (!level) {
        return;
    }
    if (pushes->target > subscription->position.sequence) {
        /* What a message announced does not exist. */
        subscription->counts.bad++;
        pushes->target = 0;
        leave_frame(pushes);
    }
    if (pushes->only_reads) {
        pushes->only_reads = false;
        pushes->gaps_in_row = 0;
    }
}

void pushes_reset(activity_subscription *subscription)
{
    struct pushes *pushes = &subscription->pushes;
    leave_frame(pushes);
    pushes->on = false;
    pushes->only_reads = false;
    pushes->doubt = false;
    pushes->gaps_in_row = 0;
    pushes->target = 0;
    pushes->behind_ms = 0;
}

/* A read is to tell, but not for every message that makes one doubt. */
static void doubt(struct pushes *pushes)
{
    uint64_t now = clock_now_ms();
    if (now >= pushes->doubted_ms + DOUBT_PAUSE_MS) {
        pushes->doubted_ms = now;
        pushes->doubt = true;
    }
}

/* --- History --- */

/* Messages that have waited while reads were faster lie behind; but if that lasts the server's
 * history may be shorter than ours. */
static void notice_behind(struct pushes *pushes)
{
    uint64_t now = clock_now_ms();
    if (pushes->behind_ms == 0) {
        pushes->behind_ms = now;
    } else if (now >= pushes->behind_ms + BEHIND_MS) {
        pushes->behind_ms = now;
        doubt(pushes);
    }
}

static void notice_gap(activity_subscription *subscription, const struct feed_frame *frame)
{
    struct pushes *pushes = &subscription->pushes;
    subscription->counts.gaps++;
    if (++pushes->gaps_in_row >= GAPS_IN_ROW_MAX) {
        pushes->only_reads = true;
        pushes->on = false;
        pushes->target = 0;
        return;
    }
    pushes->framed = frame->event_count > 0;
    pushes->target = frame->first - 1;
}

/* Looks how the message lies to the position. Nothing is taken here. */
static void place_history(activity_subscription *subscription)
{
    struct pushes *pushes = &subscription->pushes;
    const struct feed_frame *frame = &pushes->frame;
    uint64_t position = subscription->position.sequence;
    if (frame->epoch != subscription->position.epoch) {
        doubt(pushes);
    } else if (frame->last < position) {
        notice_behind(pushes);
    } else if (frame->first > position + 1) {
        pushes->behind_ms = 0;
        notice_gap(subscription, frame);
    } else {
        pushes->behind_ms = 0;
        pushes->gaps_in_row = 0;
        pushes->on = !frame->goodbye;
        pushes->framed = frame->last > position;
    }
}

static bool next_of_history(activity_subscription *subscription, struct activity_event *event)
{
    struct pushes *pushes = &subscription->pushes;
    const struct feed_frame *frame = &pushes->frame;
    if (frame->first > subscription->position.sequence + 1) {
        return false; /* reads are on their way */
    }
    pushes->on = !frame->goodbye;
    while (pushes->at < frame->event_count) {
        if (subscription_take(subscription, &frame->events[pushes->at++], event)) {
            return true;
        }
    }
    leave_frame(pushes);
    return false;
}

/* --- Progress --- */

/* A hole in the numbers is healed by asking what has changed since the last message before it. */
static void place_progress(activity_subscription *subscription)
{
    struct pushes *pushes = &subscription->pushes;
    struct finds *finds = &subscription->finds;
    const struct feed_frame *frame = &pushes->frame;
    if (frame->epoch != subscription->position.epoch) {
        return;
    }
    uint64_t expected = pushes->number + (frame->job_count > 0);
    if (!pushes->numbered || frame->number != expected) {
        finds->wanted = true;
    }
    pushes->numbered = true;
    pushes->number = frame->number;
    pushes->framed = frame->job_count > 0;
    if (!finds->wanted && finds->purpose == FIND_NOTHING && frame->time_ms > finds->since_ms) {
        finds->since_ms = frame->time_ms;
    }
}

static bool next_of_progress(activity_subscription *subscription, struct activity_event *event)
{
    struct pushes *pushes = &subscription->pushes;
    const struct feed_frame *frame = &pushes->frame;
    while (pushes->at < frame->job_count) {
        const struct feed_job *job = &frame->jobs[pushes->at++];
        subscription->shown = (struct activity_info){
            .job_id = job->job_id,
            .type = "",
            .title = "",
            .state = ACTIVITY_STATE_RUNNING,
            .percent = job->percent,
            .status_text = job->status_text,
            .owner = "",
            .creator = "",
        };
        const struct activity_event made = {
            .kind = ACTIVITY_EVENT_PROGRESS,
            .tenant = frame->tenants[job->tenant],
            .principal = "",
            .user = "",
            .activity = &subscription->shown,
        };
        if (filter_passes(&subscription->filter, &made)) {
            *event = made;
            return true;
        }
    }
    leave_frame(pushes);
    return false;
}

/* --- Messages --- */

/* Room for what a message of that length becomes. */
static bool prepare_memory(struct pushes *pushes, size_t length)
{
    size_t needed = FEED_FRAME_MEMORY(length);
    if (needed > pushes->arena.capacity) {
        void *memory = malloc(needed);
        if (memory == NULL) {
            return false;
        }
        free(pushes->memory);
        pushes->memory = memory;
        arena_init(&pushes->arena, memory, needed);
    }
    arena_reset(&pushes->arena);
    return true;
}

static void receive(activity_subscription *subscription, struct view message)
{
    struct pushes *pushes = &subscription->pushes;
    subscription->counts.frames++;
    pushes->at = 0;
    if (!prepare_memory(pushes, message.length) ||
        !feed_frame_decode(message, &pushes->arena, &pushes->frame)) {
        subscription->counts.bad++;
    } else if (pushes->frame.kind == FEED_HISTORY) {
        place_history(subscription);
    } else if (subscription->progress) {
        place_progress(subscription);
    }
}

bool pushes_next(activity_subscription *subscription, struct activity_event *event)
{
    struct pushes *pushes = &subscription->pushes;
    if (subscription->finds.purpose == FIND_SNAPSHOT) {
        return false; /* messages wait */
    }
    struct view message;
    for (;;) {
        if (pushes->framed) {
            bool found = pushes->frame.kind == FEED_HISTORY ? next_of_history(subscription, event)
                                                            : next_of_progress(subscription, event);
            if (found || pushes->framed) {
                return found;
            }
        }
        if (pushes->target > subscription->position.sequence || pushes->sub == NULL ||
            !link_sub_take(pushes->sub, &message)) {
            return false;
        }
        if (!pushes->only_reads) {
            receive(subscription, message);
        } else {
            subscription->counts.frames++;
        }
    }
}
