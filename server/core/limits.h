/* Limits that influence what the core decides. They are state: journaled by a LIMITS command, never
 * read from a configuration. One table: configuration keys, --print-limits and server-info are made
 * from it.
 * X(name = configuration key, default, least, most, unit, what it bounds) */
#ifndef ACTIVITYD_SERVER_CORE_LIMITS_H
#define ACTIVITYD_SERVER_CORE_LIMITS_H

#include <stdint.h>

#define MIB(n) ((uint64_t)(n) * 1024u * 1024u)

#define CORE_LIMITS(X)                                                                                                \
    X(activities_max, 1048576, 1, 16000000, "activities", "running and just ended activities")                        \
    X(activity_text_bytes, MIB(256), MIB(1), MIB(16384), "bytes", "titles, status texts and attributes")              \
    X(result_bytes, MIB(256), MIB(2), MIB(16384), "bytes", "job results")                                             \
    X(results_max, 262144, 1, 16000000, "results", "job results")                                                    \
    X(tombstones_max, 1000000, 1, 16000000, "tombstones", "what is remembered of jobs that have left")                \
    X(change_documents_max, 262144, 1, 4000000, "documents", "documents in the windows or pending")                   \
    X(change_models_max, 524288, 1, 8000000, "models", "affected models in the two windows together")                \
    X(change_text_bytes, MIB(128), MIB(1), MIB(4096), "bytes", "document ids in the windows")                         \
    X(pending_changes_max, 262144, 1, 8000000, "changes", "changes that wait for the index")                          \
    X(pending_bytes, MIB(128), MIB(2), MIB(16384), "bytes", "JSON that waits for the index")                          \
    X(feed_window_bytes, MIB(256), MIB(1), MIB(16384), "bytes", "events that readers can still fetch")                \
    X(request_ids_max, 4194304, 1024, 64000000, "ids", "request ids remembered")                                      \
    X(names_max, 524288, 1024, 8000000, "names", "tenants, users, groups, principals, types and models in use")       \
    X(names_bytes, MIB(64), MIB(1), MIB(1024), "bytes", "their texts")                                                \
    X(tenants_max, 4096, 1, 65536, "tenants", "tenants with anything in a table")                                     \
    X(present_users_max, 100000, 1, 1000000, "users", "present users")                                                \
    X(tickets_max, 1000000, 1, 8000000, "tickets", "tickets of recorded changes")                                     \
    X(kill_after_ms, 90000, 1000, 3600000, "ms", "silence after which an activity is killed")                         \
    X(resume_grace_ms, 60000, 0, 3600000, "ms", "time after a start or stall in which nobody is killed")              \
    X(ended_keep_ms, 60000, 0, 86400000, "ms", "how long ended activities are found")                                 \
    X(result_keep_ms, 86400000, 0, 2592000000, "ms", "how long results are kept")                                     \
    X(change_keep_ms, 60000, 0, 3600000, "ms", "how long changes are shown after the last one")                       \
    X(feed_keep_ms, 60000, 0, 3600000, "ms", "how long events can be fetched")                                        \
    X(presence_keep_ms, 90000, 1000, 3600000, "ms", "how long a user is present after a sign of life")                \
    X(ticket_keep_ms, 600000, 0, 86400000, "ms", "how long a ticket is kept after its last item")                     \
    X(request_id_least_ms, 120000, 1000, 86400000, "ms", "how long request ids are kept at least")                    \
    X(request_id_most_ms, 600000, 1000, 86400000, "ms", "how long request ids are kept at most")                      \
    X(flush_delay_ms, 200, 0, 60000, "ms", "how long a change waits for others of its document")                      \
    X(flush_documents, 1000, 1, 16384, "documents", "documents in one batch")                                         \
    X(flush_bytes, MIB(5), 1024, MIB(64), "bytes", "JSON in one batch")                                               \
    X(index_mode, 0, 0, 1, "mode", "where changes are written: 0 = nowhere, 1 = to an index")

enum core_limit {
#define CORE_LIMIT_ENUM(name, standard, least, most, unit, text) CORE_LIMIT_##name,
    CORE_LIMITS(CORE_LIMIT_ENUM)
#undef CORE_LIMIT_ENUM
    CORE_LIMIT_COUNT
};

struct core_limits {
    union {
        struct {
#define CORE_LIMIT_FIELD(name, standard, least, most, unit, text) uint64_t name;
            CORE_LIMITS(CORE_LIMIT_FIELD)
#undef CORE_LIMIT_FIELD
        };
        uint64_t values[CORE_LIMIT_COUNT];
    };
};

#endif
