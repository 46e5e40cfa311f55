/* The methods, one row each: what they are called, what they need, how they are read. PROTOCOL.md
 * lists the same rows. */
#ifndef ACTIVITYD_SERVER_WIRE_METHOD_H
#define ACTIVITYD_SERVER_WIRE_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/frame.h"
#include "server/core/command.h"

enum method_id {
    METHOD_NONE = 0,
    METHOD_FIND_ACTIVITIES,
    METHOD_GET_ACTIVITY,
    METHOD_CREATE_ACTIVITY,
    METHOD_UPDATE_ACTIVITY,
    METHOD_BATCH_UPDATE_ACTIVITIES,
    METHOD_DESTROY_ACTIVITY,
    METHOD_GET_JOB_RESULT,
    METHOD_RECORD_MODEL_CHANGES,
    METHOD_CHECK,
    METHOD_GET_SERVER_INFO,
    METHOD_LIST_PRESENT_USERS,
    METHOD_DRAIN,
    METHOD_GET_STATE_HASH,
    METHOD_WAIT_ACTIVITY,
    METHOD_READ_CHANGES,
    METHOD_WAIT_VISIBLE,
    METHOD_GET_INDEX_STATUS,
    METHOD_LIST_INDEX_BATCHES,
    METHOD_LIST_PARKED_DOCUMENTS,
    METHOD_RETRY_PARKED,
    METHOD_DISCARD_PARKED,
    METHOD_RELOAD,
    METHOD_COUNT
};

enum method_route {
    ROUTE_COMMAND, /* changes state: through the journal */
    ROUTE_QUERY,   /* answered by the engine from applied state */
    ROUTE_FEED,    /* answered by the feed from its ring of events */
    ROUTE_LOCAL    /* answered by the process, not the state: Check, Drain, Reload */
};

enum method_need {
    NEED_METHOD,   /* the rule lists the method or its group */
    NEED_ANY_RULE, /* any allow rule: Check, GetServerInfo */
    NEED_ADMIN,    /* admin of the tenant: ListPresentUsers, what is parked */
    NEED_ADMIN_ALL /* admin = all: Drain, Reload, GetStateHash, the way into the index */
};

struct method {
    enum method_id id;
    const char *name;  /* activity.v1.ActivityService/FindActivities */
    const char *group; /* "read", "write", "health", "admin": what a policy rule may list instead of
                          single methods */
    enum method_route route;
    enum method_need need;
};

/* The row of a method by its full name, NULL when there is none. Any thread. */
const struct method *method_find(struct view name);
/* All rows, METHOD_FIND_ACTIVITIES .. METHOD_COUNT - 1. */
const struct method *method_row(enum method_id id);

#endif
