#include "client/ctl/follow.h"
#include "client/ctl/ctl.h"

#include <string.h>
#include <time.h>

enum {
    CONNECT_MS = 5000, /* a server that was never reached is not waited for any longer */
    SILENT_MS = 1000,  /* shorter losses are nobody's business */
    PAUSE_MS = 200     /* after an error: not every one has taken its time */
};

uint64_t follow_now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

bool follow_passing(const struct activity_error *error)
{
    return error->code == ACTIVITY_UNAVAILABLE || error->code == ACTIVITY_DEADLINE_EXCEEDED ||
           error->code == ACTIVITY_RESOURCE_EXHAUSTED;
}

int follow_open(struct follow *follow, activity_client *client, const struct settings *settings,
                const struct activity_subscription_options *options)
{
    memset(follow, 0, sizeof *follow);
    follow->client = client;
    uint32_t patience = settings->timeout_ms < CONNECT_MS ? settings->timeout_ms : CONNECT_MS;
    int code = activity_client_connect(client, patience, &follow->error);
    if (code != ACTIVITY_OK) {
        return code;
    }
    follow->subscription = activity_subscription_open(client, options, &follow->error);
    return follow->subscription == NULL ? (int)follow->error.code : ACTIVITY_OK;
}

/* What has become of the connection since it was looked at last. */
static enum follow_outcome look(struct follow *follow, bool failed)
{
    struct activity_client_status status;
    activity_client_status(follow->client, &status);
    uint64_t now = follow_now_ms();
    if (status.connected && !failed) {
        bool was_lost = follow->lost;
        follow->lost_ms = 0;
        follow->lost = false;
        return was_lost ? FOLLOW_BACK : FOLLOW_NOTHING;
    }
    if (follow->lost_ms == 0) {
        follow->lost_ms = now;
    }
    if (!follow->lost && now - follow->lost_ms >= SILENT_MS) {
        follow->lost = true;
        return FOLLOW_LOST;
    }
    return FOLLOW_NOTHING;
}

enum follow_outcome follow_next(struct follow *follow, uint32_t timeout_ms,
                                struct activity_event *event)
{
    int code = activity_subscription_next(follow->subscription, timeout_ms, event, &follow->error);
    if (code != ACTIVITY_OK && !follow_passing(&follow->error)) {
        return FOLLOW_FAILED;
    }
    if (code == ACTIVITY_OK && event->kind != ACTIVITY_EVENT_NONE) {
        return FOLLOW_EVENT;
    }
    if (code != ACTIVITY_OK) {
        const struct timespec pause = {0, PAUSE_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
    return look(follow, code != ACTIVITY_OK);
}

void follow_close(struct follow *follow)
{
    activity_subscription_free(follow->subscription);
    follow->subscription = NULL;
}
