/* Following a subscription for as long as it takes: a server that restarts is waited for. */
#ifndef ACTIVITYD_CLIENT_CTL_FOLLOW_H
#define ACTIVITYD_CLIENT_CTL_FOLLOW_H

#include <activity_feed.h>

#include <stdbool.h>
#include <stdint.h>

struct settings;

struct follow {
    activity_client *client; /* the caller's */
    activity_subscription *subscription;
    uint64_t lost_ms; /* since when there is no connection; 0: there is one */
    bool lost;        /* for so long that it was told */
    struct activity_error error;
};

enum follow_outcome {
    FOLLOW_EVENT = 0,
    FOLLOW_NOTHING = 1, /* within the time */
    FOLLOW_LOST = 2,    /* the server cannot be reached, for a second by now; told once each time */
    FOLLOW_BACK = 3,    /* it can again */
    FOLLOW_FAILED = 4   /* follow->error, and waiting would not help */
};

/* Connects and subscribes. ACTIVITY_OK or the code in follow->error. */
int follow_open(struct follow *follow, activity_client *client, const struct settings *settings,
                const struct activity_subscription_options *options);
/* Takes the next event, waiting up to timeout_ms (duration). */
enum follow_outcome follow_next(struct follow *follow, uint32_t timeout_ms,
                                struct activity_event *event);
void follow_close(struct follow *follow); /* accepts one that was zeroed or not opened */

/* Whether a call that ended like this may succeed later, by itself. */
bool follow_passing(const struct activity_error *error);
/* Milliseconds of a clock that never goes back. */
uint64_t follow_now_ms(void);

#endif
