#include "client/lib/result_admin.h"

/* NULL when the arena is full, or `count` is 0 (then *ok is left as it is). */
static void *array(struct arena *arena, size_t count, size_t size, bool *ok)
{
    if (count == 0) {
        return NULL;
    }
    void *items = count > SIZE_MAX / size ? NULL : arena_allocate(arena, count * size);
    *ok = *ok && items != NULL;
    return items;
}

static struct activity_bytes bytes_of(ProtobufCBinaryData data)
{
    return (struct activity_bytes){data.data, data.len};
}

/* --- The server --- */

static const struct activity_certificate *
copy_certificates(struct arena *arena, size_t count, Activity__V1__CertificateInfo **from, bool *ok)
{
    struct activity_certificate *to = array(arena, count, sizeof *to, ok);
    for (size_t i = 0; to != NULL && i < count; i++) {
        to[i].name = from[i]->name;
        to[i].subject = from[i]->subject;
        to[i].not_after_ms = from[i]->not_after_ms;
    }
    return to;
}

static const struct activity_revocations *
copy_revocations(struct arena *arena, const Activity__V1__RevocationInfo *from, bool *ok)
{
    struct activity_revocations *to = array(arena, from != NULL, sizeof *to, ok);
    if (to != NULL) {
        *to = (struct activity_revocations){
            .lists = from->lists,
            .entries = from->entries,
            .issuer = from->issuer,
            .next_update_ms = from->next_update_ms,
            .expired = from->expired,
        };
    }
    return to;
}

static const struct activity_tls_info *copy_tls(struct arena *arena,
                                                const Activity__V1__TlsInfo *from, bool *ok)
{
    struct activity_tls_info *to = array(arena, from != NULL, sizeof *to, ok);
    if (to == NULL) {
        return NULL;
    }
    struct activity_tls_suite *suites = array(arena, from->n_suites, sizeof *suites, ok);
    for (size_t i = 0; suites != NULL && i < from->n_suites; i++) {
        suites[i].version = from->suites[i]->version;
        suites[i].cipher_suite = from->suites[i]->cipher_suite;
        suites[i].handshakes = from->suites[i]->handshakes;
    }
    struct activity_tls_refusal *refusals = array(arena, from->n_refusals, sizeof *refusals, ok);
    for (size_t i = 0; refusals != NULL && i < from->n_refusals; i++) {
        refusals[i].reason = from->refusals[i]->reason;
        refusals[i].count = from->refusals[i]->count;
    }
    *to = (struct activity_tls_info){
        .engine = from->engine,
        .version = from->version,
        .cipher_suite = from->cipher_suite,
        .connections = from->connections,
        .unfinished = from->unfinished,
        .suites = suites,
        .suite_count = from->n_suites,
        .refusals = refusals,
        .refusal_count = from->n_refusals,
    };
    return to;
}

bool result_admin_server(struct arena *arena, const Activity__V1__GetServerInfoResponse *from,
                         struct activity_server_info *to)
{
    bool ok = true;
    struct activity_limit *limits = array(arena, from->n_limits, sizeof *limits, &ok);
    for (size_t i = 0; ok && i < from->n_limits; i++) {
        limits[i].name = from->limits[i]->name;
        limits[i].value = from->limits[i]->value;
    }
    *to = (struct activity_server_info){
        .version = from->version,
        .epoch = from->epoch,
        .time_ms = from->time_ms,
        .start_time_ms = from->start_time_ms,
        .limits = limits,
        .limit_count = from->n_limits,
        .feed_url = from->feed_url,
        .feed_allowed = from->feed_allowed,
        .durability = from->durability,
        .certificates = copy_certificates(arena, from->n_certificates, from->certificates, &ok),
        .certificate_count = from->n_certificates,
        .journal_index = from->journal_index,
        .head_sequence = from->head_sequence,
        .oldest_sequence = from->oldest_sequence,
        .request_id_kept_ms = from->request_id_kept_ms,
        .running_activities = from->running_activities,
        .index = from->index,
        .principal = from->principal,
        .tls = copy_tls(arena, from->tls, &ok),
        .revocations = copy_revocations(arena, from->revocations, &ok),
        .rules = from->rules,
        .loaded_time_ms = from->loaded_time_ms,
    };
    if (from->feed != NULL) {
        to->feed = (struct activity_feed_info){
            .subscribers = from->feed->subscribers,
            .parked = from->feed->parked,
            .frames = from->feed->frames,
            .bytes = from->feed->bytes,
            .events = from->feed->events,
            .progress_frames = from->feed->progress_frames,
            .reads = from->feed->reads,
            .fills = from->feed->fills,
            .resets = from->feed->resets,
        };
    }
    return ok;
}

bool result_admin_reloaded(struct arena *arena, const Activity__V1__ReloadResponse *from,
                           struct activity_reloaded *to)
{
    bool ok = true;
    *to = (struct activity_reloaded){
        .certificates = copy_certificates(arena, from->n_certificates, from->certificates, &ok),
        .certificate_count = from->n_certificates,
        .revocations = copy_revocations(arena, from->revocations, &ok),
        .rules = from->rules,
        .closed_revoked = from->closed_revoked,
        .closed_by_policy = from->closed_by_policy,
    };
    return ok;
}

bool result_admin_users(struct arena *arena, const Activity__V1__ListPresentUsersResponse *from,
                        struct activity_users *to)
{
    bool ok = true;
    struct activity_user *users = array(arena, from->n_users, sizeof *users, &ok);
    for (size_t i = 0; ok && i < from->n_users; i++) {
        users[i].user = from->users[i]->user;
        users[i].last_seen_ms = from->users[i]->last_seen_ms;
    }
    *to = (struct activity_users){
        .users = users,
        .user_count = from->n_users,
        .next_page_token = bytes_of(from->next_page_token),
    };
    return ok;
}

/* --- The way into the index --- */

/* An absent reason is NULL. */
static bool copy_reason(struct arena *arena, const Activity__V1__IndexReason *from,
                        const struct activity_index_reason **to)
{
    bool ok = true;
    struct activity_index_reason *reason = array(arena, from != NULL, sizeof *reason, &ok);
    if (reason != NULL) {
        *reason = (struct activity_index_reason){.code = from->code, .message = from->message};
    }
    *to = reason;
    return ok;
}

bool result_admin_index(struct arena *arena, const Activity__V1__GetIndexStatusResponse *from,
                        struct activity_index_status *to)
{
    *to = (struct activity_index_status){
        .state = (enum activity_index_state)from->state,
        .version = from->version,
        .away_since_ms = from->away_since_ms,
        .failures = from->failures,
        .waiting_documents = from->waiting_documents,
        .waiting_changes = from->waiting_changes,
        .resting_documents = from->resting_documents,
        .in_flight_documents = from->in_flight_documents,
        .in_flight_changes = from->in_flight_changes,
        .parked_documents = from->parked_documents,
        .parked_changes = from->parked_changes,
        .pending_bytes = from->pending_bytes,
        .lag_ms = from->lag_ms,
        .batches = from->batches,
        .requests = from->requests,
        .request_bytes = from->request_bytes,
        .changes = from->changes,
        .acked_documents = from->acked_documents,
        .retried_documents = from->retried_documents,
        .parked_since_start = from->parked_since_start,
        .refreshes = from->refreshes,
        .time_ms = from->time_ms,
    };
    return copy_reason(arena, from->why, &to->why) && copy_reason(arena, from->advice, &to->advice);
}

static bool copy_batch(struct arena *arena, const Activity__V1__IndexBatch *from,
                       struct activity_index_batch *to)
{
    *to = (struct activity_index_batch){
        .number = from->number,
        .sent_time_ms = from->sent_time_ms,
        .done = from->done,
        .cause = (enum activity_flush_cause)from->cause,
        .lag_ms = from->lag_ms,
        .took_ms = from->took_ms,
        .changes = from->changes,
        .fragments = from->fragments,
        .documents = from->documents,
        .bytes = from->bytes,
        .acked = from->acked,
        .retried = from->retried,
        .parked = from->parked,
        .tickets = from->tickets,
        .ticket_count = from->n_tickets,
    };
    return copy_reason(arena, from->error, &to->error);
}

bool result_admin_batches(struct arena *arena, const Activity__V1__ListIndexBatchesResponse *from,
                          struct activity_index_batches *to)
{
    bool ok = true;
    struct activity_index_batch *batches = array(arena, from->n_batches, sizeof *batches, &ok);
    for (size_t i = 0; ok && i < from->n_batches; i++) {
        ok = copy_batch(arena, from->batches[i], &batches[i]);
    }
    *to = (struct activity_index_batches){
        .batches = batches,
        .batch_count = from->n_batches,
        .next_page_token = bytes_of(from->next_page_token),
    };
    return ok;
}

static bool copy_parked(struct arena *arena, const Activity__V1__ParkedDocument *from,
                        struct activity_parked_document *to)
{
    *to = (struct activity_parked_document){
        .park_id = from->park_id,
        .parked_time_ms = from->parked_time_ms,
        .model = from->model,
        .document_id = from->document_id,
        .changes = from->changes,
        .behind = from->behind,
        .fragments = from->fragments,
        .oldest_time_ms = from->oldest_time_ms,
        .tickets = from->tickets,
        .ticket_count = from->n_tickets,
    };
    return copy_reason(arena, from->reason, &to->reason);
}

bool result_admin_parked(struct arena *arena, const Activity__V1__ListParkedDocumentsResponse *from,
                         struct activity_parked_documents *to)
{
    bool ok = true;
    struct activity_parked_document *documents =
        array(arena, from->n_documents, sizeof *documents, &ok);
    for (size_t i = 0; ok && i < from->n_documents; i++) {
        ok = copy_parked(arena, from->documents[i], &documents[i]);
    }
    *to = (struct activity_parked_documents){
        .documents = documents,
        .document_count = from->n_documents,
        .next_page_token = bytes_of(from->next_page_token),
    };
    return ok;
}
