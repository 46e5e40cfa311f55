#include "server/index/job.h"

#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/index/bulk.h"

struct range {
    uint32_t first;
    uint32_t count;
};
/* A split puts two back for one that was under way; those under way when it begins are few. */
#define RANGES_MAX (2 * JOB_SPLITS_MAX + 64u)

struct job {
    struct job_options options;
    struct index_batch *batch;
    uint32_t order_count; /* documents that have an index */
    uint32_t *order;
    uint32_t *sizes;     /* of their lines, by document */
    uint32_t *reason_of; /* by document, of those that are parked */
    uint32_t *rests;     /* by document, of those that are retried, in ms */
    uint8_t *outcomes;   /* by document; 0: none yet */
    struct reply_item *items;
    struct reason *reasons;
    uint32_t reason_count;
    struct range ranges[RANGES_MAX]; /* to be sent, the last one first */
    uint32_t range_count;
    uint32_t under_way;
    uint32_t splits;
    uint32_t split_parked; /* documents of which a request was refused as a whole */
    bool was_taken;        /* the index has read a request */
    uint64_t version_seen;
    uint32_t refused;
    enum job_trouble trouble;
    struct reason why;
    uint8_t *encoded; /* reasons, of the result */
};

/* ---- Made and ended ---- */

static void *array(size_t count, size_t size)
{
    return calloc(count == 0 ? 1 : count, size);
}

static void park(struct job *job, uint32_t document, const struct reason *reason)
{
    if (job->reason_count == JOB_REASONS_MAX) {
        job->outcomes[document] = INDEX_RETRY;
        return;
    }
    job->reason_of[document] = job->reason_count;
    job->reasons[job->reason_count++] = *reason;
    job->outcomes[document] = INDEX_PARKED;
    troubles_end(job->options.troubles, &job->batch->documents[document]);
}

/* What no index can be named for never leaves. */
static void set_order(struct job *job)
{
    for (uint32_t i = 0; i < job->batch->document_count; i++) {
        struct reason reason;
        struct writer measure = writer_of(NULL, 0);
        if (bulk_put(job->options.targets, job->batch, i, &measure, &reason) != 0) {
            park(job, i, &reason);
            continue;
        }
        if (measure.wanted > UINT32_MAX / 2) {
            reason_set(&reason, "document_too_large", "the changes of this document are too long");
            park(job, i, &reason);
            continue;
        }
        job->sizes[i] = (uint32_t)measure.wanted;
        job->order[job->order_count++] = i;
    }
    if (job->order_count > 0) {
        job->ranges[job->range_count++] = (struct range){0, job->order_count};
    }
}

size_t job_memory_bytes(uint32_t documents_max)
{
    size_t each = 4 * sizeof(uint32_t) + sizeof(uint8_t) + sizeof(struct reply_item);
    uint32_t reasons = documents_max < JOB_REASONS_MAX ? documents_max : JOB_REASONS_MAX;
    return sizeof(struct job) + documents_max * each + reasons * 2 * sizeof(struct reason);
}

struct job *job_new_take(struct index_batch *batch, const struct job_options *options)
{
    struct job *job = calloc(1, sizeof *job);
    uint32_t count = batch->document_count;
    uint32_t reasons = count < JOB_REASONS_MAX ? count : JOB_REASONS_MAX;
    if (job == NULL) {
        index_batch_free(batch);
        return NULL;
    }
    job->options = *options;
    job->batch = batch;
    job->order = array(count, sizeof *job->order);
    job->sizes = array(count, sizeof *job->sizes);
    job->reason_of = array(count, sizeof *job->reason_of);
    job->rests = array(count, sizeof *job->rests);
    job->outcomes = array(count, sizeof *job->outcomes);
    job->items = array(count, sizeof *job->items);
    job->reasons = array(reasons, sizeof *job->reasons);
    if (job->order == NULL || job->sizes == NULL || job->reason_of == NULL || job->rests == NULL ||
        job->outcomes == NULL || job->items == NULL || job->reasons == NULL) {
        job_free(job);
        return NULL;
    }
    set_order(job);
    return job;
}

void job_free(struct job *job)
{
    if (job == NULL) {
        return;
    }
    index_batch_free(job->batch);
    free(job->order);
    free(job->sizes);
    free(job->reason_of);
    free(job->rests);
    free(job->outcomes);
    free(job->items);
    free(job->reasons);
    free(job->encoded);
    free(job);
}

/* ---- Requests ---- */

static void push(struct job *job, uint32_t first, uint32_t count)
{
    CHECK(job->range_count < RANGES_MAX && count > 0);
    job->ranges[job->range_count++] = (struct range){first, count};
}

/* How many of the range fit a request, at least one, and their bytes. */
static uint32_t cut(const struct job *job, const struct range *range, size_t *bytes)
{
    uint32_t count = 0;
    *bytes = 0;
    while (count < range->count) {
        uint32_t size = job->sizes[job->order[range->first + count]];
        if (count > 0 && *bytes + size > job->options.request_bytes_max) {
            break;
        }
        *bytes += size;
        count++;
    }
    return count;
}

int job_next(struct job *job, struct job_piece *piece)
{
    if (job->range_count == 0) {
        return 1;
    }
    struct range range = job->ranges[job->range_count - 1];
    size_t bytes;
    uint32_t count = cut(job, &range, &bytes);
    uint8_t *body = malloc(bytes);
    if (body == NULL) {
        return -1;
    }
    struct writer to = writer_of(body, bytes);
    for (uint32_t i = 0; i < count; i++) {
        struct reason reason;
        uint32_t document = job->order[range.first + i];
        CHECK(bulk_put(job->options.targets, job->batch, document, &to, &reason) == 0);
    }
    CHECK(!to.failed && to.at == to.end);
    job->range_count--;
    if (count < range.count) {
        push(job, range.first + count, range.count - count);
    }
    *piece = (struct job_piece){range.first, count, bytes_of(body, bytes)};
    job->under_way++;
    return 0;
}

static void end_piece(struct job *job, struct job_piece *piece)
{
    free((void *)(uintptr_t)piece->body.at);
    piece->body = (struct bytes){NULL, 0};
    CHECK(job->under_way > 0);
    job->under_way--;
}

void job_piece_unsent(struct job *job, struct job_piece *piece)
{
    push(job, piece->first, piece->count);
    end_piece(job, piece);
}

static void retry_range(struct job *job, struct range range)
{
    for (uint32_t i = 0; i < range.count; i++) {
        job->outcomes[job->order[range.first + i]] = INDEX_RETRY;
    }
}

void job_give_up(struct job *job)
{
    while (job->range_count > 0) {
        retry_range(job, job->ranges[--job->range_count]);
    }
}

/* ---- Answers ---- */

static void note_trouble(struct job *job, enum job_trouble trouble, const struct reason *why)
{
    if (trouble >= job->trouble) {
        job->trouble = trouble;
        job->why = *why;
    }
}

/* The pause grows with each rest of the document in a row. */
static void rest_item(struct job *job, uint32_t document, uint32_t failures,
                      const struct reason *why)
{
    job->rests[document] = backoff_ms(job->options.item_backoff, failures);
    job->outcomes[document] = INDEX_RETRY;
    if (job->trouble == JOB_FINE && job->refused == 0) {
        job->why = *why;
    }
}

static void retry_item(struct job *job, uint32_t document, const struct reason *why)
{
    const struct index_document *from = &job->batch->documents[document];
    troubles_end(job->options.troubles, from);
    rest_item(job, document, from->rests + 1u, why);
}

/* Nothing gets better soon, so the rest is long from the first one on. The reason says which index
 * it is. */
static void refuse_item(struct job *job, uint32_t document, const struct reason *why)
{
    const struct index_document *from = &job->batch->documents[document];
    struct target_name name;
    struct reason named = *why;
    if (target_index(job->options.targets, from, &name, &named) == 0 &&
        strstr(why->message, name.text) == NULL) {
        reason_set(&named, why->code, "index %s: %s", name.text, why->message);
    }
    troubles_end(job->options.troubles, from);
    rest_item(job, document, UINT32_MAX, &named);
    job->refused++;
}

static void conflict_item(struct job *job, uint32_t document, uint64_t seen,
                          const struct reason *why)
{
    job->version_seen = seen > job->version_seen ? seen : job->version_seen;
    if (troubles_conflict(job->options.troubles, &job->batch->documents[document])) {
        park(job, document, why);
        return;
    }
    /* A higher version mostly helps at once; one that is not raised must not spin. */
    rest_item(job, document, 1, why);
}

static void judge_items(struct job *job, const struct job_piece *piece)
{
    for (uint32_t i = 0; i < piece->count; i++) {
        uint32_t document = job->order[piece->first + i];
        struct verdict verdict;
        struct reason why;
        reply_judge(&job->items[i], job->batch, document, &verdict, &why);
        if (verdict.conflict) {
            conflict_item(job, document, verdict.version_seen, &why);
        } else if (verdict.refused) {
            refuse_item(job, document, &why);
        } else if (verdict.outcome == INDEX_RETRY) {
            retry_item(job, document, &why);
        } else if (verdict.outcome == INDEX_PARKED) {
            park(job, document, &why);
        } else {
            job->outcomes[document] = INDEX_ACKED;
            troubles_end(job->options.troubles, &job->batch->documents[document]);
        }
    }
}

/* Refused because of something that is in it. */
static void split(struct job *job, const struct job_piece *piece, const struct reason *why)
{
    if (piece->count == 1) {
        job->split_parked++;
        park(job, job->order[piece->first], why);
        return;
    }
    if (job->splits == JOB_SPLITS_MAX) {
        retry_range(job, (struct range){piece->first, piece->count});
        job->why = job->trouble == JOB_FINE && job->refused == 0 ? *why : job->why;
        return;
    }
    job->splits++;
    uint32_t half = piece->count / 2;
    push(job, piece->first + half, piece->count - half);
    push(job, piece->first, half);
}

void job_answer(struct job *job, struct job_piece *piece, uint32_t status, struct bytes body,
                const char *why)
{
    struct reply reply = {.whole = REPLY_LATER};
    if (status == 0) {
        reason_set(&reply.why, "unreachable", "%s", why);
    } else if (status == JOB_STATUS_TOO_LONG) {
        /* What was written meanwhile has our versions, so that it is acknowledged then. */
        reply.whole = REPLY_SPLIT;
        reason_set(&reply.why, "answer_too_long", "%s", why);
    } else {
        reply_read(status, body, piece->count, job->items, &reply);
    }
    switch (reply.whole) {
    case REPLY_ITEMS:
        job->was_taken = true;
        judge_items(job, piece);
        break;
    case REPLY_SPLIT:
        split(job, piece, &reply.why);
        break;
    case REPLY_LATER:
    case REPLY_REFUSED:
        note_trouble(job, reply.whole == REPLY_LATER ? JOB_AWAY : JOB_REFUSED, &reply.why);
        retry_range(job, (struct range){piece->first, piece->count});
        job_give_up(job); /* the others would fare no better */
        break;
    }
    end_piece(job, piece);
}

/* ---- The end ---- */

bool job_is_idle(const struct job *job)
{
    return job->under_way == 0;
}

bool job_is_over(const struct job *job)
{
    return job->under_way == 0 && job->range_count == 0;
}

enum job_trouble job_trouble(const struct job *job, const struct reason **why)
{
    *why = &job->why;
    return job->trouble;
}

const struct index_batch *job_batch(const struct job *job)
{
    return job->batch;
}

/* Documents that were set aside one by one out of refused requests: put back. */
static void pardon_all(struct job *job)
{
    for (uint32_t i = 0; i < job->order_count; i++) {
        uint32_t document = job->order[i];
        if (job->outcomes[document] == INDEX_PARKED) {
            note_trouble(job, JOB_REFUSED, &job->reasons[job->reason_of[document]]);
            job->outcomes[document] = INDEX_RETRY;
        }
    }
}

/* No document rests shorter than it should, and none twice as long. */
static uint32_t put_rests(struct job *job)
{
    uint32_t longest_ms = 0;
    for (uint32_t i = 0; i < job->batch->document_count; i++) {
        if (job->outcomes[i] == INDEX_RETRY && job->rests[i] > longest_ms) {
            longest_ms = job->rests[i];
        }
    }
    for (uint32_t i = 0; i < job->batch->document_count; i++) {
        uint32_t halvings = 0;
        if (job->outcomes[i] != INDEX_RETRY) {
            continue;
        }
        while (longest_ms != 0 && halvings < COMMAND_HALVINGS_MAX &&
               longest_ms >> (halvings + 1) >= job->rests[i]) {
            halvings++;
        }
        job->outcomes[i] = index_retry(halvings);
    }
    return longest_ms;
}

int job_result(struct job *job, struct job_result *result)
{
    CHECK(job_is_over(job) && job->encoded == NULL);
    if (!job->was_taken && job->split_parked > 0 && job->order_count >= JOB_ALL_REFUSED_MIN) {
        pardon_all(job);
    }
    size_t most = job->reason_count * (sizeof(struct reason) + 2) + 1;
    job->encoded = malloc(most);
    if (job->encoded == NULL) {
        return -1;
    }
    struct writer to = writer_of(job->encoded, most);
    uint32_t counts[INDEX_PARKED + 1] = {0};
    for (uint32_t i = 0; i < job->batch->document_count; i++) {
        counts[job->outcomes[i]]++;
        if (job->outcomes[i] == INDEX_PARKED) {
            const struct reason *why = &job->reasons[job->reason_of[i]];
            command_reason_put(&to, bytes_of(why->code, strlen(why->code)),
                               bytes_of(why->message, strlen(why->message)));
        }
    }
    CHECK(!to.failed && counts[0] == 0);
    *result = (struct job_result){.batch = job->batch->number,
                                  .version_seen = job->version_seen,
                                  .count = job->batch->document_count,
                                  .outcomes = bytes_of(job->outcomes, job->batch->document_count),
                                  .reasons = bytes_of(job->encoded, to.wanted),
                                  .acked = counts[INDEX_ACKED],
                                  .retried = counts[INDEX_RETRY],
                                  .refused = job->refused,
                                  .parked = counts[INDEX_PARKED],
                                  .retry_ms = put_rests(job),
                                  .trouble = job->trouble,
                                  .why = job->why};
    return 0;
}
