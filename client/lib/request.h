/* Encoding what callers ask for: each function makes the protobuf message of one method. Nothing of
 * the service's rules is checked here, the server does that; only what could not be sent at all.
 * Any thread. */
#ifndef ACTIVITY_LIB_REQUEST_H
#define ACTIVITY_LIB_REQUEST_H

#include <activity.h>
#include <activity_feed.h>

#include "client/lib/client.h"
#include "client/lib/payload.h"

/* All return ACTIVITY_OK or a code with *error filled; *payload is to be deinit'ed either way. */
int request_create(struct payload *payload, const struct activity_create_request *request,
                   const unsigned char *request_id, struct activity_error *error);
int request_update(struct payload *payload, const struct activity_update_request *request,
                   struct activity_error *error);
int request_batch(struct payload *payload, const struct activity_batch_request *request,
                  struct activity_error *error);
int request_job(struct payload *payload, uint64_t job_id, struct activity_error *error);
int request_find(struct payload *payload, const struct activity_find_request *request,
                 struct activity_error *error);
int request_record(struct payload *payload, const struct activity_record_request *request,
                   const unsigned char *request_id, struct activity_error *error);
int request_health(struct payload *payload, const char *service, struct activity_error *error);
int request_users(struct payload *payload, const struct activity_users_request *request,
                  struct activity_error *error);
/* {page_size, page_token}, of which the requests of several lists consist. */
int request_page(struct payload *payload, uint32_t page_size, struct activity_bytes page_token,
                 struct activity_error *error);
int request_parked(struct payload *payload, uint64_t park_id, struct activity_error *error);
int request_wait(struct payload *payload, const struct activity_wait_request *request,
                 struct activity_error *error);
int request_visible(struct payload *payload, const struct activity_visible_request *request,
                    struct activity_error *error);
int request_changes(struct payload *payload, const struct activity_changes_request *request,
                    struct activity_error *error);
int request_raw(struct payload *payload, struct activity_bytes bytes, struct activity_error *error);

/* Appends another value of FindActivitiesRequest.page_token, which replaces those before it. */
int request_find_token(struct payload *payload, struct activity_bytes token,
                       struct activity_error *error);

/* What surrounds a request but its method and time: on whose behalf, beside what, for how long. */
struct envelope {
    uint8_t *bytes; /* encoded fields; owned, NULL if there are none */
    size_t length;
    uint32_t timeout_ms;
    bool never_repeat;
    bool repeat;
};
int envelope_init(struct envelope *envelope, const struct activity_client *client,
                  const struct activity_call_options *options, struct activity_error *error);
void envelope_deinit(struct envelope *envelope);

/* Puts the frame around the payload: fills bytes, head, tail and deadline of *call. */
int envelope_frame(const struct envelope *envelope, const char *method,
                   const struct payload *payload, struct call *call, struct activity_error *error);

#endif
