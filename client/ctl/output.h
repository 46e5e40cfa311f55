/* What people and machines get to read. Output is apart from the commands: they hand over what
 * libactivity answered. */
#ifndef ACTIVITYD_CLIENT_CTL_OUTPUT_H
#define ACTIVITYD_CLIENT_CTL_OUTPUT_H

#include <activity_admin.h>
#include <activity_feed.h>
#include <activity_index.h>

#include <stdbool.h>
#include <stdint.h>

/* One JSON object per line, with the names that the service's users know: jobId, updated,
 * timeRange, affectedModels. */
void json_activity(const struct activity_info *info);
void json_change(const struct activity_model_change *change);
void json_result(uint64_t job_id, const struct activity_returned *returned);
void json_updated(const struct activity_updated *updated);
void json_server_info(const struct activity_server_info *info);
void json_reloaded(const struct activity_reloaded *reloaded);
/* An event of a subscription: its kind, its cursor, who may see it, and the members that the
 * activity or change has elsewhere. Only what the event tells. */
void json_event(const struct activity_event *event);
void json_waited(uint64_t job_id, const struct activity_waited *waited);
void json_visible(const struct activity_visible_request *request,
                  const struct activity_visible *visible);
/* With the names that the messages of the AdminService have, in lowerCamelCase. */
void json_index_status(const struct activity_index_status *status);
void json_index_batch(const struct activity_index_batch *batch);
void json_parked_document(const struct activity_parked_document *document);
/* {"name": number or text, ...} on one line: pairs of name and text or number, ended by a NULL
 * name. */
struct json_pair {
    const char *name;
    const char *text; /* NULL: a number */
    uint64_t number;
};
void json_line(const struct json_pair *pairs);

/* Text for people. Control characters of foreign texts are escaped. */
void people_activity(const struct activity_info *info);
void people_activities_head(void);
void people_activity_row(const struct activity_info *info, uint64_t now_ms);
void people_changes_head(const char *title);
void people_change_row(const struct activity_model_change *change, uint64_t now_ms);
void people_result(const struct activity_returned *returned);
void people_server_info(const struct activity_server_info *info);
void people_reloaded(const struct activity_reloaded *reloaded);
void people_user_row(const struct activity_user *user);
/* One line: sequence, time, kind, what it is about; with its tenant where several are shown. */
void people_event(const struct activity_event *event, bool tenant);
/* start_time_ms: since when the server counts; 0: that is not known, and no rates are told. */
void people_index_status(const struct activity_index_status *status, uint64_t start_time_ms);
void people_batches_head(void);
void people_batch_row(const struct activity_index_batch *batch, bool verbose);
void people_parked_head(void);
void people_parked_row(const struct activity_parked_document *document, bool verbose);
/* A time of day. */
void people_clock(uint64_t ms, char *to, size_t size);
/* What switches the colour of a state on. */
const char *people_state_colour(enum activity_state state);

/* A progress bar of 100 %, into `to` (size bytes): "[#####-----]  50 %". */
void people_bar(unsigned percent, char *to, size_t size);
/* Whether colours and moving lines are welcome on a stream (a terminal, and NO_COLOR is not set).
 */
bool people_lively(int descriptor);
bool people_colour(int descriptor);
/* Bytes as "12.3 MB". */
void people_bytes(uint64_t bytes, char *to, size_t size);

#endif
