/* Names of numbers, for people and for JSON. */
#include <activity.h>
#include <activity_feed.h>
#include <activity_index.h>

#include "proto/status.h"

#define NAME_OF(names, number)                                                                     \
    ((number) >= 0 && (size_t)(number) < sizeof(names) / sizeof(names)[0] ? (names)[number]        \
                                                                          : "UNKNOWN_VALUE")

const char *activity_code_name(int code)
{
    return code >= 0 && code < STATUS_CODE_COUNT ? status_code_name((uint32_t)code)
                                                 : "UNKNOWN_VALUE";
}

const char *activity_state_name(int state)
{
    static const char *const names[] = {"ANY",    "RUNNING",   "COMPLETED",
                                        "FAILED", "CANCELLED", "KILLED"};
    return NAME_OF(names, state);
}

const char *activity_disposition_name(int disposition)
{
    static const char *const names[] = {"NONE",      "APPLIED", "HEARTBEAT", "UNKNOWN",
                                        "COMPLETED", "FAILED",  "CANCELLED", "KILLED"};
    return NAME_OF(names, disposition);
}

const char *activity_result_state_name(int state)
{
    static const char *const names[] = {"NONE", "PENDING", "READY", "EMPTY", "EXPIRED", "UNKNOWN"};
    return NAME_OF(names, state);
}

const char *activity_event_kind_name(int kind)
{
    static const char *const names[] = {
        "NONE",     "ACTIVITY_CREATED", "ACTIVITY_ENDED", "MODEL_CHANGED",      "INDEX_CHANGED",
        "PROGRESS", "FOUND_ACTIVITY",   "FOUND_CHANGE",   "FOUND_INDEX_CHANGE", "FOUND_ALL",
        "RESET"};
    return NAME_OF(names, kind);
}

const char *activity_reset_name(int reset)
{
    static const char *const names[] = {"NONE", "EXPIRED", "EPOCH", "AHEAD"};
    return NAME_OF(names, reset);
}

const char *activity_index_state_name(int state)
{
    static const char *const names[] = {"UNKNOWN_VALUE", "NONE", "READY", "AWAY", "REFUSED"};
    return NAME_OF(names, state);
}

const char *activity_flush_cause_name(int cause)
{
    static const char *const names[] = {"UNKNOWN_VALUE", "DELAY",  "DOCUMENTS",
                                        "BYTES",         "URGENT", "RESTED"};
    return NAME_OF(names, cause);
}
