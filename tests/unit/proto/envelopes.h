/* Envelopes for protobuf-c, with their lists and texts in one place. Included by the tests of the
 * frame. */
#ifndef ACTIVITYD_TESTS_UNIT_PROTO_ENVELOPES_H
#define ACTIVITYD_TESTS_UNIT_PROTO_ENVELOPES_H

#include <stddef.h>
#include <string.h>

#include "activity/v1/envelope.pb-c.h"

enum { FRAME_ROOM = 1 << 16, MEMBERS_MAX = 80 };

struct request {
    Activity__V1__RequestEnvelope envelope;
    Activity__V1__OnBehalfOf caller;
    Activity__V1__Metadata metadata[MEMBERS_MAX];
    Activity__V1__Metadata *metadata_list[MEMBERS_MAX];
    char *groups[MEMBERS_MAX];
};

struct reply {
    Activity__V1__ReplyEnvelope envelope;
    Activity__V1__Status status;
    Activity__V1__Metadata metadata[MEMBERS_MAX];
    Activity__V1__Metadata *metadata_list[MEMBERS_MAX];
};

static inline void init_metadata(Activity__V1__Metadata *metadata, Activity__V1__Metadata **list)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        activity__v1__metadata__init(&metadata[i]);
        metadata[i].name = (char *)"n";
        list[i] = &metadata[i];
    }
}

/* A request with a method and nothing else; its lists are ready to be counted up. */
static inline void init_request(struct request *request)
{
    activity__v1__request_envelope__init(&request->envelope);
    activity__v1__on_behalf_of__init(&request->caller);
    init_metadata(request->metadata, request->metadata_list);
    request->envelope.method = (char *)"activity.v1.HealthService/Check";
    request->envelope.metadata = request->metadata_list;
    request->caller.groups = request->groups;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        request->groups[i] = (char *)"g";
    }
}

static inline void init_reply(struct reply *reply)
{
    activity__v1__reply_envelope__init(&reply->envelope);
    activity__v1__status__init(&reply->status);
    init_metadata(reply->metadata, reply->metadata_list);
    reply->envelope.status = &reply->status;
    reply->status.metadata = reply->metadata_list;
}

/* `length` times that letter, terminated. Valid for the rest of the test program. */
static inline char *letters_of(size_t length, char letter)
{
    static char pool[1 << 20];
    static size_t used;
    if (used + length + 1 > sizeof(pool)) {
        used = 0;
    }
    char *text = pool + used;
    memset(text, letter, length);
    text[length] = '\0';
    used += length + 1;
    return text;
}

#endif
