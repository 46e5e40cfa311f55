#include "server/wire/method.h"

#include <stddef.h>

#define ACTIVITY "activity.v1.ActivityService/"
#define CHANGE   "activity.v1.ChangeService/"
#define HEALTH   "activity.v1.HealthService/"
#define ADMIN    "activity.v1.AdminService/"

#define ROW(id, service, name, group, route, need)                                                 \
    [METHOD_##id] = {METHOD_##id, service name, group, ROUTE_##route, NEED_##need}

static const struct method rows[METHOD_COUNT] = {
    ROW(FIND_ACTIVITIES, ACTIVITY, "FindActivities", "read", QUERY, METHOD),
    ROW(GET_ACTIVITY, ACTIVITY, "GetActivity", "read", QUERY, METHOD),
    ROW(CREATE_ACTIVITY, ACTIVITY, "CreateActivity", "write", COMMAND, METHOD),
    ROW(UPDATE_ACTIVITY, ACTIVITY, "UpdateActivity", "write", COMMAND, METHOD),
    ROW(BATCH_UPDATE_ACTIVITIES, ACTIVITY, "BatchUpdateActivities", "write", COMMAND, METHOD),
    ROW(DESTROY_ACTIVITY, ACTIVITY, "DestroyActivity", "write", COMMAND, METHOD),
    ROW(GET_JOB_RESULT, ACTIVITY, "GetJobResult", "read", QUERY, METHOD),
    ROW(RECORD_MODEL_CHANGES, CHANGE, "RecordModelChanges", "write", COMMAND, METHOD),
    ROW(CHECK, HEALTH, "Check", "health", LOCAL, ANY_RULE),
    ROW(GET_SERVER_INFO, ADMIN, "GetServerInfo", "health", QUERY, ANY_RULE),
    ROW(LIST_PRESENT_USERS, ADMIN, "ListPresentUsers", "admin", QUERY, ADMIN),
    ROW(DRAIN, ADMIN, "Drain", "admin", LOCAL, ADMIN_ALL),
    ROW(WAIT_ACTIVITY, ACTIVITY, "WaitActivity", "read", QUERY, METHOD),
    ROW(READ_CHANGES, CHANGE, "ReadChanges", "read", FEED, METHOD),
    ROW(WAIT_VISIBLE, CHANGE, "WaitVisible", "read", QUERY, METHOD),
    ROW(GET_STATE_HASH, ADMIN, "GetStateHash", "admin", QUERY, ADMIN_ALL),
    ROW(GET_INDEX_STATUS, ADMIN, "GetIndexStatus", "admin", QUERY, ADMIN_ALL),
    ROW(LIST_INDEX_BATCHES, ADMIN, "ListIndexBatches", "admin", QUERY, ADMIN_ALL),
    ROW(LIST_PARKED_DOCUMENTS, ADMIN, "ListParkedDocuments", "admin", QUERY, ADMIN),
    ROW(RETRY_PARKED, ADMIN, "RetryParked", "admin", COMMAND, ADMIN),
    ROW(DISCARD_PARKED, ADMIN, "DiscardParked", "admin", COMMAND, ADMIN),
    ROW(RELOAD, ADMIN, "Reload", "admin", LOCAL, ADMIN_ALL),
};

const struct method *method_find(struct view name)
{
    /* Twenty comparisons that nearly all end at the length: no hash is faster. */
    for (int id = METHOD_NONE + 1; id < METHOD_COUNT; id++) {
        if (view_equal(name, view_of(rows[id].name))) {
            return &rows[id];
        }
    }
    return NULL;
}

const struct method *method_row(enum method_id id)
{
    return &rows[id];
}
