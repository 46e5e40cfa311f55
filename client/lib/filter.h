/* Which events a subscriber wants: an own copy of what it asked for, and the judgement of one
 * event, by the rules of the server's ReadChanges. Any thread. */
#ifndef ACTIVITY_LIB_FILTER_H
#define ACTIVITY_LIB_FILTER_H

#include <activity.h>
#include <activity_feed.h>

struct filter {
    struct activity_event_filter wanted; /* of owned copies, sorted */
    char **tenants;                      /* sorted */
    size_t tenant_count;
    void *memory; /* of all that */
};

/* Refuses what the server would, since events that are pushed do not pass by it. To be deinit'ed
 * after ACTIVITY_OK only. */
int filter_init(struct filter *filter, const struct activity_subscription_options *options,
                struct activity_error *error);
void filter_deinit(struct filter *filter);

/* Whether anything of this kind can pass. */
bool filter_wants(const struct filter *filter, enum activity_event_kind kind);

/* Whether this event passes. One without a tenant is not judged by it. */
bool filter_passes(const struct filter *filter, const struct activity_event *event);

#endif
