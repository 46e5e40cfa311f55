/* The model's request ids. */
#include "tests/sim/model_state.h"

#include <inttypes.h>

#include "proto/status.h"

enum model_seen model_request_find(struct model *model, const struct model_caller *caller,
                                   enum command_kind method, const uint8_t *id,
                                   struct model_request **request)
{
    for (uint32_t i = model->requests.count; i-- > 0;) {
        struct model_request *r = &model->requests.at[i];
        if (memcmp(r->id, id, sizeof r->id) == 0 && r->tenant == caller->tenant &&
            r->principal == caller->principal && r->user == caller->user && r->method == method) {
            *request = r;
            /* What was told after the entry before: so young ones are surely remembered. */
            bool told = model->remembered == 0 && model_settled(model) &&
                        model->service_before - r->service < model->before.request_id_kept_ms;
            bool doubtful =
                r->doubtful || model->service - r->service >= model->limits.request_id_most_ms;
            return doubtful && !told ? SEEN_PERHAPS : SEEN_YES;
        }
    }
    return SEEN_NO;
}

/* A record may be gone once it is older than the least time and its place was needed, and must be
 * after the most time. */
void model_request_age(struct model *model)
{
    const struct core_limits *limits = &model->limits;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < model->requests.count; i++) {
        struct model_request *r = &model->requests.at[i];
        uint64_t age = model->service - r->service;
        bool displaced = model->requests.count - i > limits->request_ids_max &&
                         age >= limits->request_id_least_ms;
        if (!displaced && age < limits->request_id_most_ms) {
            break; /* the others are younger */
        }
        r->doubtful = true;
        if (age > limits->request_id_most_ms + MODEL_SLACK_MS && gone == i) {
            free(r->payload.at);
            gone++;
        }
    }
    if (gone > 0) {
        model->requests.count -= gone;
        memmove(model->requests.at, model->requests.at + gone,
                model->requests.count * sizeof *model->requests.at);
    }
}

void model_request_room(struct model *model, const struct model_caller *caller,
                        struct model_refusals *refusals)
{
    struct model_room room = {
        .more_least = 1, .more_most = 1, .limit = model->limits.request_ids_max};
    for (uint32_t i = model->requests.count; i-- > 0;) {
        const struct model_request *r = &model->requests.at[i];
        uint64_t age = model->service - r->service;
        if (age > model->limits.request_id_least_ms + MODEL_SLACK_MS) {
            break;
        }
        room.least += age < model->limits.request_id_least_ms;
        room.most++;
        room.held += r->principal == caller->principal;
    }
    model_room(refusals, REASON_TOO_MANY_REQUEST_IDS, &room);
}

void model_request_add(struct model *model, const struct model_caller *caller,
                       enum command_kind method, const uint8_t *id, const struct buffer *payload,
                       uint64_t answer)
{
    struct model_request *r = LIST_ADD(&model->requests);
    r->tenant = caller->tenant;
    r->principal = caller->principal;
    r->user = caller->user;
    r->method = method;
    memcpy(r->id, id, sizeof r->id);
    model_text_set(&r->payload, buffer_bytes(payload));
    r->answer = answer;
    r->accept_ms = model->wall;
    r->service = model->service;
    model->remembered++;
}

enum model_verdict model_request_again(struct model *model, const struct effect *reply,
                                       const struct model_again *again)
{
    bool same = model_text_is(&again->first->payload, again->payload);
    if (same && reply->code == STATUS_OK && model->seen.count == 0 &&
        again->answers(reply, again->first)) {
        model->met[MET_REPEATED]++;
        return VERDICT_REFUSED;
    }
    if (!same && reply->reason == REASON_REQUEST_ID_REUSED) {
        struct model_refusals reused = {.must = UINT64_C(1) << REASON_REQUEST_ID_REUSED};
        return model_refusal(model, reply, &reused);
    }
    if (again->seen == SEEN_YES) {
        model_complain(model,
                       "a request id came again with %s payload: not answered with %" PRIu64
                       " of its first time",
                       same ? "the same" : "another", again->first->answer);
        return VERDICT_WRONG;
    }
    return VERDICT_DONE;
}
