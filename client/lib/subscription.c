#include "client/lib/subscription.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/clock.h"
#include "client/lib/error.h"
#include "client/lib/retry.h"

enum { LOOK_MS = 500 }; /* at most, between two looks at messages that fail to come */

/* --- Calls --- */

bool asking_may(const struct asking *asking, uint64_t now_ms)
{
    return !asking->asked && now_ms >= asking->not_before_ms;
}

int asking_ended(struct asking *asking, int code, const struct activity_error *error)
{
    asking->asked = false;
    if (code == ACTIVITY_OK) {
        asking->failures = 0;
        asking->not_before_ms = 0;
        return code;
    }
    uint32_t chance = (uint32_t)clock_now_ms() * 2654435761U;
    asking->failures++;
    asking->not_before_ms =
        clock_now_ms() + retry_pause_ms(asking->failures, error->retry_after_ms, chance >> 8);
    return code;
}

int subscription_begin(activity_subscription *subscription, enum subscription_call tag,
                       struct draft *draft, struct activity_error *error)
{
    struct call *call = draft_call(draft, &subscription->envelope, error);
    payload_deinit(&draft->payload);
    if (call == NULL) {
        return (int)error->code;
    }
    call->tag = tag;
    /* As long as it may take: a server that restarts is waited for. */
    call->connect_timeout_ms = subscription->envelope.timeout_ms;
    client_begin_take(subscription->client, &subscription->waiter, call);
    return ACTIVITY_OK;
}

static int take_find(activity_subscription *subscription, activity_result *result, int code,
                     struct activity_error *error)
{
    struct finds *finds = &subscription->finds;
    bool snapshot = finds->purpose == FIND_SNAPSHOT;
    if (code == ACTIVITY_OK && snapshot && finds->first &&
        activity_result_page(result)->cursor.epoch == 0) {
        activity_result_free(result);
        code = error_malformed_reply(error, "its first page has no cursor");
    }
    asking_ended(&finds->asking, code, error);
    if (code == ACTIVITY_OK) {
        finds_take(subscription, result);
    } else if (code == ACTIVITY_INVALID_ARGUMENT && !finds->first) {
        finds_again(subscription); /* its token means nothing to the server any more */
    }
    return code;
}

/* What came of a call. */
static int take_call(activity_subscription *subscription, struct call *call,
                     struct activity_error *error)
{
    enum subscription_call tag = (enum subscription_call)call->tag;
    activity_result *result;
    int code = call_conclude_take(subscription->client, call, &result, error);
    switch (tag) {
    case SUBSCRIPTION_READ:
        asking_ended(&subscription->reads.asking, code, error);
        if (code == ACTIVITY_OK) {
            reads_take(subscription, result);
        }
        return code;
    case SUBSCRIPTION_FIND:
        return take_find(subscription, result, code, error);
    case SUBSCRIPTION_INFO:
        break;
    }
    /* Without an answer the endpoint is looked for again, and reads go on. */
    subscription->pushes.info.asked = false;
    if (code == ACTIVITY_OK) {
        pushes_take(subscription, result);
        activity_result_free(result);
    }
    return ACTIVITY_OK;
}

/* --- Events --- */

bool subscription_take(activity_subscription *subscription, const struct activity_event *from,
                       struct activity_event *event)
{
    if (from->cursor.sequence <= subscription->position.sequence) {
        return false; /* it has come before, by another way */
    }
    subscription->position.sequence = from->cursor.sequence;
    if (from->kind == ACTIVITY_EVENT_NONE || !filter_passes(&subscription->filter, from)) {
        return false;
    }
    subscription->counts.events++;
    *event = *from;
    return true;
}

void subscription_reset(activity_subscription *subscription, const struct activity_changes *page,
                        struct activity_event *event)
{
    subscription->counts.resets++;
    subscription->position = page->cursor;
    pushes_reset(subscription);
    finds_reset(subscription);
    *event = (struct activity_event){
        .kind = ACTIVITY_EVENT_RESET,
        .cursor = page->cursor,
        .tenant = "",
        .principal = "",
        .user = "",
        .reset = page->reset,
    };
}

static bool next_event(activity_subscription *subscription, struct activity_event *event)
{
    return reads_next(subscription, event) || finds_next(subscription, event) ||
           pushes_next(subscription, event);
}

/* Begins the calls that are due. */
static int look(activity_subscription *subscription, struct activity_error *error)
{
    uint64_t now = clock_now_ms();
    int code = pushes_look(subscription, now, error);
    if (code == ACTIVITY_OK) {
        code = finds_look(subscription, now, error);
    }
    return code == ACTIVITY_OK ? reads_look(subscription, now, error) : code;
}

static uint64_t earlier_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until when nothing needs to be looked at, unless something comes. */
static uint64_t wake_ms(const activity_subscription *subscription, uint64_t now_ms,
                        uint64_t until_ms)
{
    const uint64_t times[] = {
        subscription->reads.asking.not_before_ms,
        subscription->finds.asking.not_before_ms,
        subscription->finds.next_ms,
    };
    uint64_t wake = earlier_of(until_ms, now_ms + LOOK_MS);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        wake = times[i] > now_ms ? earlier_of(wake, times[i]) : wake;
    }
    return wake;
}

int activity_subscription_next(activity_subscription *subscription, uint32_t timeout_ms,
                               struct activity_event *event, struct activity_error *error)
{
    struct activity_error ignored;
    error = error == NULL ? &ignored : error;
    uint64_t until_ms = clock_now_ms() + timeout_ms;
    for (;;) {
        *event = (struct activity_event){.tenant = "", .principal = "", .user = ""};
        if (next_event(subscription, event)) {
            return error_clear(error);
        }
        int code = look(subscription, error);
        if (code != ACTIVITY_OK) {
            return code;
        }
        uint64_t now = clock_now_ms();
        struct call *call = client_wait(subscription->client, &subscription->waiter,
                                        wake_ms(subscription, now, until_ms));
        if (call != NULL) {
            code = take_call(subscription, call, error);
            if (code != ACTIVITY_OK) {
                return code;
            }
        } else if (clock_now_ms() >= until_ms) {
            return error_clear(error);
        }
    }
}

/* --- Opening --- */

static int check(const struct activity_subscription_options *options, struct activity_error *error)
{
    if (options == NULL || options->size != sizeof *options) {
        return error_bad_field(error, "size",
                               "is not this library's: use ACTIVITY_SUBSCRIPTION_OPTIONS_INIT");
    }
    if (options->start < ACTIVITY_START_NOW || options->start > ACTIVITY_START_SNAPSHOT) {
        return error_bad_field(error, "start", "is none of the three");
    }
    if (options->scope < ACTIVITY_SCOPE_WIDEST || options->scope > ACTIVITY_SCOPE_ALL) {
        return error_bad_field(error, "scope", "is none of the three");
    }
    if (options->start == ACTIVITY_START_CURSOR && options->cursor.epoch == 0 &&
        options->cursor.sequence == 0) {
        return error_bad_field(error, "cursor", "is missing"); /* it would mean from now on */
    }
    return ACTIVITY_OK;
}

/* Makes a call and waits for its end. */
static int call_now(activity_subscription *subscription, struct draft *draft,
                    activity_result **result, struct activity_error *error)
{
    *result = NULL;
    struct call *call = draft_call(draft, &subscription->envelope, error);
    payload_deinit(&draft->payload);
    return call == NULL ? (int)error->code
                        : call_run_take(subscription->client, call, result, error);
}

/* The head of the history, and whether it may be read in the present scope. */
static int find_head(activity_subscription *subscription, struct activity_cursor *head,
                     struct activity_error *error)
{
    const struct activity_changes_request request = {.page_size = 1,
                                                     .all_tenants = subscription->all};
    struct draft draft;
    activity_result *result;
    int code = draft_changes(&draft, &request, error);
    if (code == ACTIVITY_OK) {
        code = call_now(subscription, &draft, &result, error);
    }
    if (code == ACTIVITY_OK) {
        *head = activity_result_changes(result)->cursor;
        activity_result_free(result);
    }
    return code;
}

static int ask_server(activity_subscription *subscription, activity_result **info,
                      struct activity_error *error)
{
    struct draft draft;
    int code = draft_empty(&draft, ACTIVITY_METHOD_GET_SERVER_INFO, error);
    return code == ACTIVITY_OK ? call_now(subscription, &draft, info, error) : code;
}

/* Chooses the scope: *head is filled if that took looking at the history. */
static int choose_scope(activity_subscription *subscription, enum activity_scope scope,
                        const struct activity_server_info *server, struct activity_cursor *head,
                        struct activity_error *error)
{
    subscription->all = scope != ACTIVITY_SCOPE_CALLER;
    if (!subscription->all || server->feed_allowed) {
        return error_clear(error);
    }
    if (scope == ACTIVITY_SCOPE_WIDEST && *server->feed_url != '\0') {
        subscription->all = false; /* there is an endpoint, and not for us */
        return error_clear(error);
    }
    /* Without an endpoint only a read tells. */
    int code = find_head(subscription, head, error);
    if (code == ACTIVITY_PERMISSION_DENIED && scope == ACTIVITY_SCOPE_WIDEST) {
        subscription->all = false;
        return error_clear(error);
    }
    return code;
}

static int begin(activity_subscription *subscription,
                 const struct activity_subscription_options *options, struct activity_cursor *head,
                 struct activity_error *error)
{
    switch (options->start) {
    case ACTIVITY_START_CURSOR:
        subscription->position = options->cursor;
        return error_clear(error);
    case ACTIVITY_START_SNAPSHOT:
        finds_snapshot(subscription);
        return error_clear(error);
    case ACTIVITY_START_NOW:
        break;
    }
    int code = head->epoch != 0 ? ACTIVITY_OK : find_head(subscription, head, error);
    subscription->position = *head;
    return code;
}

/* Who calls, as far as it shows. */
static const char *caller_user(const activity_client *client,
                               const struct activity_call_options *call)
{
    const char *user = call != NULL && call->tenant != NULL ? call->user : client->caller.user;
    return user != NULL ? user : "";
}

static const char *caller_tenant(const activity_client *client,
                                 const struct activity_call_options *call)
{
    const char *tenant =
        call != NULL && call->tenant != NULL ? call->tenant : client->caller.tenant;
    return tenant != NULL ? tenant : "";
}

static int connect_feed(activity_subscription *subscription,
                        const struct activity_subscription_options *options,
                        struct activity_error *error)
{
    enum activity_scope scope = options->scope;
    bool user = *caller_user(subscription->client, options->call) != '\0';
    if (user && scope == ACTIVITY_SCOPE_ALL) {
        return error_bad_field(error, "scope", "is all tenants, which no user may see");
    }
    scope = user ? ACTIVITY_SCOPE_CALLER : scope;
    activity_result *info;
    int code = ask_server(subscription, &info, error);
    if (code != ACTIVITY_OK) {
        return code;
    }
    const struct activity_server_info *server = activity_result_server_info(info);
    struct activity_cursor head = {0};
    if (options->start == ACTIVITY_START_NOW) {
        subscription->finds.since_ms = server->time_ms;
    }
    code = choose_scope(subscription, scope, server, &head, error);
    if (code == ACTIVITY_OK) {
        code = begin(subscription, options, &head, error);
    }
    subscription->may_push = subscription->all && !options->reads;
    if (code == ACTIVITY_OK && subscription->may_push) {
        pushes_take(subscription, info);
        subscription->pushes.info.not_before_ms = clock_now_ms() + 1000;
    }
    activity_result_free(info);
    return code;
}

static int set_up(activity_subscription *subscription,
                  const struct activity_subscription_options *options, struct activity_error *error)
{
    activity_client *client = subscription->client;
    subscription->start = options->start;
    int code = envelope_init(&subscription->envelope, client, options->call, error);
    if (code == ACTIVITY_OK) {
        code = filter_init(&subscription->filter, options, error);
    }
    if (code != ACTIVITY_OK) {
        return code;
    }
    subscription->progress =
        options->progress && filter_wants(&subscription->filter, ACTIVITY_EVENT_PROGRESS);
    snprintf(subscription->tenant, sizeof subscription->tenant, "%s",
             caller_tenant(client, options->call));
    do {
        if (!clock_random(&subscription->number, sizeof subscription->number)) {
            return error_set(error, ACTIVITY_UNAVAILABLE, "CLIENT_INTERNAL",
                             "the system gives no random numbers");
        }
    } while (subscription->number == 0);
    return connect_feed(subscription, options, error);
}

activity_subscription *
activity_subscription_open(activity_client *client,
                           const struct activity_subscription_options *options,
                           struct activity_error *error)
{
    struct activity_error ignored;
    error = error == NULL ? &ignored : error;
    if (check(options, error) != ACTIVITY_OK) {
        return NULL;
    }
    activity_subscription *subscription = calloc(1, sizeof *subscription);
    if (subscription == NULL) {
        error_no_memory(error);
        return NULL;
    }
    subscription->client = client;
    waiter_init(&subscription->waiter);
    subscription->waiter.lasting = true;
    if (set_up(subscription, options, error) != ACTIVITY_OK) {
        activity_subscription_free(subscription);
        return NULL;
    }
    return subscription;
}

void activity_subscription_free(activity_subscription *subscription)
{
    if (subscription == NULL) {
        return;
    }
    pushes_deinit(&subscription->pushes);
    client_abandon(subscription->client, &subscription->waiter);
    reads_deinit(&subscription->reads);
    finds_deinit(&subscription->finds);
    filter_deinit(&subscription->filter);
    envelope_deinit(&subscription->envelope);
    waiter_deinit(&subscription->waiter);
    free(subscription);
}

/* --- Where it stands --- */

void activity_subscription_cursor(const activity_subscription *subscription,
                                  struct activity_cursor *cursor)
{
    *cursor = subscription->position;
}

void activity_subscription_status(const activity_subscription *subscription,
                                  struct activity_subscription_status *status)
{
    *status = subscription->counts;
    status->all = subscription->all;
    pushes_status(subscription, status);
}
