/* Every limit of the wire, for both sides. A client author in another language needs these numbers
 * too: PROTOCOL.md lists them, and a test compares the list. Lengths are in bytes, counts in items,
 * times in milliseconds. */
#ifndef ACTIVITYD_PROTO_LIMITS_H
#define ACTIVITYD_PROTO_LIMITS_H

/* Frames. The receive limit lies above the request limit, so that a request that is a little too
 * large gets an answer that says so; the reply limit lies below 1 MiB, the default receive limit of
 * mangos. */
#define LIMIT_REQUEST_BYTES         (960 * 1024)
#define LIMIT_REPLY_BYTES           (1020 * 1024)
#define LIMIT_RECEIVE_BYTES         (LIMIT_REQUEST_BYTES + 64 * 1024)
#define LIMIT_ENVELOPE_BYTES        (24 * 1024) /* what surrounds a payload at most */
#define LIMIT_METHOD_LENGTH         128
#define LIMIT_METADATA_COUNT        32
#define LIMIT_METADATA_NAME_LENGTH  64
#define LIMIT_METADATA_VALUE_LENGTH 1024
#define LIMIT_METADATA_BYTES        8192 /* names and values of one request together */
#define LIMIT_TIMEOUT_DEFAULT_MS    30000
#define LIMIT_TIMEOUT_MAX_MS        60000

/* Who calls. */
#define LIMIT_PRINCIPAL_LENGTH 255
#define LIMIT_TENANT_LENGTH    64
#define LIMIT_USER_LENGTH      128
#define LIMIT_GROUP_LENGTH     64
#define LIMIT_CALLER_GROUPS    64
#define LIMIT_OBJECT_GROUPS    8

/* Activities. */
#define LIMIT_REQUEST_ID_LENGTH           16
#define LIMIT_TYPE_LENGTH                 64
#define LIMIT_TITLE_LENGTH                256
#define LIMIT_STATUS_TEXT_LENGTH          512
#define LIMIT_ATTRIBUTE_COUNT             16
#define LIMIT_ATTRIBUTE_NAME_LENGTH       64
#define LIMIT_ATTRIBUTE_VALUE_LENGTH      1024
#define LIMIT_ATTRIBUTES_BYTES            (4 * 1024) /* encoded, all attributes of one activity */
#define LIMIT_FAILURE_CODE_LENGTH         64
#define LIMIT_FAILURE_MESSAGE_LENGTH      1024
#define LIMIT_PERCENT_MAX                 100
#define LIMIT_BATCH_UPDATES               65536
#define LIMIT_RESULT_BYTES                (860 * 1024)
#define LIMIT_RESULT_ITEMS                16384
#define LIMIT_RESULT_ITEM_ID_LENGTH       512
#define LIMIT_RESULT_ERROR_CODE_LENGTH    64
#define LIMIT_RESULT_ERROR_MESSAGE_LENGTH 1024
#define LIMIT_CONTENT_TYPE_LENGTH         128
#define LIMIT_UPDATE_WITHIN_MS            30000
#define LIMIT_KILL_AFTER_MS               90000
#define LIMIT_JOB_ID_BITS                 53
#define LIMIT_JOB_SLOT_BITS               24

/* Finding. */
#define LIMIT_PAGE_SIZE         1000
#define LIMIT_PAGE_BYTES        (256 * 1024)
#define LIMIT_FIND_TYPES        16
#define LIMIT_FIND_STATES       8
#define LIMIT_FIND_JOB_IDS      256
#define LIMIT_PAGE_TOKEN_LENGTH 64
#define LIMIT_FIND_TOUCHED      4096 /* slots that one call looks at: a short page */

/* Changes. */
#define LIMIT_MODEL_LENGTH       64
#define LIMIT_DOCUMENT_ID_LENGTH 512
#define LIMIT_CHANGES            4096
#define LIMIT_CHANGES_BYTES      (860 * 1024) /* of one RecordModelChangesRequest, encoded */
#define LIMIT_JSON_BYTES         (512 * 1024)
#define LIMIT_JSON_DEPTH         64
#define LIMIT_AFFECTED_MODELS    64  /* per document and view in the window */
#define LIMIT_INDEX_BATCHES      256 /* that are remembered, and on a page */

/* Long polls and the change feed. */
#define LIMIT_WAIT_MS              30000
#define LIMIT_READ_KINDS           8
#define LIMIT_READ_MODELS          16
#define LIMIT_READ_DOCUMENT_IDS    256
#define LIMIT_READ_DOCUMENTS_BYTES (16 * 1024) /* document_ids of one ReadChangesRequest */
#define LIMIT_READ_JOB_IDS         256
#define LIMIT_FEED_FRAME_BYTES     (64 * 1024) /* of events or progress; a message may exceed it */
#define LIMIT_FEED_MESSAGE_BYTES   (80 * 1024) /* a whole message of the change-feed endpoint */
#define LIMIT_FEED_HEARTBEAT_MS    1000
#define LIMIT_PROGRESS_PERIOD_MS   100 /* between two messages of progress */
#define LIMIT_PROGRESS_TENANTS     255

/* Status. */
#define LIMIT_STATUS_MESSAGE_LENGTH 1024
#define LIMIT_REASON_LENGTH         64
#define LIMIT_STATUS_METADATA_COUNT 8

_Static_assert(LIMIT_RECEIVE_BYTES > LIMIT_REQUEST_BYTES,
               "a request just above the limit must be received");
_Static_assert(LIMIT_REPLY_BYTES < 1024 * 1024, "mangos cuts connections at 1 MiB by default");
_Static_assert(LIMIT_METHOD_LENGTH + LIMIT_TENANT_LENGTH + LIMIT_USER_LENGTH +
                       LIMIT_CALLER_GROUPS * (LIMIT_GROUP_LENGTH + 2) + LIMIT_METADATA_BYTES +
                       LIMIT_METADATA_COUNT * 8 + 64 <=
                   LIMIT_ENVELOPE_BYTES,
               "the fields of an envelope fit it");
_Static_assert(LIMIT_RESULT_BYTES + LIMIT_ENVELOPE_BYTES + 4096 <= LIMIT_REQUEST_BYTES,
               "a result fits a request");
_Static_assert(LIMIT_CHANGES_BYTES + LIMIT_ENVELOPE_BYTES + 4096 <= LIMIT_REQUEST_BYTES,
               "changes fit a request");
_Static_assert(LIMIT_RESULT_BYTES + LIMIT_ENVELOPE_BYTES <= LIMIT_REPLY_BYTES,
               "a result fits a reply");
_Static_assert(LIMIT_PAGE_BYTES + 64 * 1024 < LIMIT_REPLY_BYTES,
               "a page and its last item fit a reply");
_Static_assert(LIMIT_BATCH_UPDATES * 9 + LIMIT_ENVELOPE_BYTES <= LIMIT_REQUEST_BYTES,
               "a batch of any ids fits");
_Static_assert(LIMIT_KILL_AFTER_MS >= 3 * LIMIT_UPDATE_WITHIN_MS,
               "three updates may be lost before a kill");

#endif
