#include "server/engine/snapshot_maker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/check.h"
#include "server/log.h"
#include "server/wire/answer.h"

#define RETRY_AFTER_MS 1000

void snapshot_maker_init(struct snapshot_maker *maker, struct journal *journal,
                         struct outbox *outbox, uint64_t epoch, const struct core_limits *capacity)
{
    *maker = (struct snapshot_maker){.journal = journal,
                                     .outbox = outbox,
                                     .outlets = outbox->outlets,
                                     .epoch = epoch,
                                     .capacity = *capacity};
    wake_init(&maker->wake);
    CHECK(pthread_mutex_init(&maker->lock, NULL) == 0);
}

void snapshot_maker_deinit(struct snapshot_maker *maker)
{
    (void)pthread_mutex_destroy(&maker->lock);
    wake_deinit(&maker->wake);
}

/* ---- Asking ---- */

bool snapshot_maker_request(struct snapshot_maker *maker, struct snapshot_point point)
{
    (void)pthread_mutex_lock(&maker->lock);
    bool taken = !maker->wanted && !maker->busy;
    if (taken) {
        maker->wanted = true;
        maker->point = point;
    }
    (void)pthread_mutex_unlock(&maker->lock);
    if (taken) {
        wake_ring(&maker->wake);
    }
    return taken;
}

bool snapshot_maker_hash(struct snapshot_maker *maker, struct snapshot_point point, uint64_t token)
{
    (void)pthread_mutex_lock(&maker->lock);
    bool taken = maker->token_count < SNAPSHOT_MAKER_HASHES_MAX;
    if (taken) {
        maker->tokens[maker->token_count++] = token;
        maker->point = point;
    }
    (void)pthread_mutex_unlock(&maker->lock);
    if (taken) {
        wake_ring(&maker->wake);
    }
    return taken;
}

/* ---- Doing ---- */

/* What one run is for. */
struct order {
    bool snapshot;
    struct snapshot_point point;
    uint32_t token_count;
    uint64_t tokens[SNAPSHOT_MAKER_HASHES_MAX];
};

static bool take_order(struct snapshot_maker *maker, struct order *order)
{
    (void)pthread_mutex_lock(&maker->lock);
    bool any = maker->wanted || maker->token_count > 0;
    if (any) {
        order->snapshot = maker->wanted;
        order->point = maker->point;
        order->token_count = maker->token_count;
        memcpy(order->tokens, maker->tokens, sizeof order->tokens);
        maker->wanted = false;
        maker->token_count = 0;
        maker->busy = true;
    }
    (void)pthread_mutex_unlock(&maker->lock);
    return any;
}

static void refuse_hashes(struct snapshot_maker *maker, const struct order *order,
                          enum status_reason reason)
{
    const struct refusal refusal = {.reason = reason, .retry_after_ms = RETRY_AFTER_MS};
    for (uint32_t i = 0; i < order->token_count; i++) {
        outbox_refuse(maker->outbox, order->tokens[i], maker->epoch, &refusal);
    }
}

static void answer_hashes(struct snapshot_maker *maker, const struct order *order,
                          const struct core *core)
{
    if (order->token_count == 0) {
        return;
    }
    uint64_t hash = core_state_hash(core);
    for (uint32_t i = 0; i < order->token_count; i++) {
        uint8_t *room = outbox_reserve(maker->outbox, ANSWER_STATE_HASH_MAX);
        size_t length =
            answer_state_hash(maker->epoch, order->point.index, hash, order->point.digest, room);
        outbox_reply(maker->outbox, room, order->tokens[i], bytes_of(room, length));
    }
}

static void write_snapshot(struct snapshot_maker *maker, const struct restored *restored)
{
    struct journal_status status;
    struct journal_error error = {.code = JOURNAL_OK};
    journal_status(maker->journal, &status);
    if (status.newest_snapshot_index >= restored->index) {
        return; /* it is there already */
    }
    int outcome = restored_snapshot(restored->core, maker->journal, restored->checksum,
                                    &maker->stopping, &error);
    if (outcome == 0) {
        atomic_fetch_add(&maker->snapshots, 1);
        log_info("snapshot made", LOG_NUMBER("index", restored->index));
    } else if (outcome == JOURNAL_IO) {
        maker->outlets->fatal(maker->outlets->context, RESTORE_IO, error.text);
    } else if (!atomic_load(&maker->stopping)) {
        log_warning("no snapshot could be made", LOG_TEXT("why", error.text));
    }
}

static void stop_diverged(struct snapshot_maker *maker, const char *text)
{
    maker->outlets->fatal(maker->outlets->context, RESTORE_DAMAGE, text);
}

/* The proof: whoever computes the state anew comes to what the live core said. */
static bool is_same(struct snapshot_maker *maker, const struct order *order,
                    const struct restored *restored)
{
    struct core_info info;
    core_info(restored->core, &info);
    if (info.digest == order->point.digest) {
        return true;
    }
    char text[256];
    (void)snprintf(text, sizeof text,
                   "entry %" PRIu64 ": a second computation of the state comes to another digest "
                   "(DIVERGED): memory is faulty, or there is a bug",
                   order->point.index);
    stop_diverged(maker, text);
    return false;
}

static void fulfil(struct snapshot_maker *maker, const struct order *order)
{
    struct restore_options options = {.journal = maker->journal,
                                      .capacity = maker->capacity,
                                      .last = order->point.index,
                                      .cancel = &maker->stopping};
    struct restored restored;
    char text[640];
    int outcome = restore(&options, &restored, text, sizeof text);
    if (outcome != 0) {
        refuse_hashes(maker, order,
                      outcome == RESTORE_CANCELLED ? REASON_DRAINING : REASON_INTERNAL_ERROR);
        if (outcome != RESTORE_CANCELLED && restored.diverged) {
            stop_diverged(maker, text);
        } else if (outcome != RESTORE_CANCELLED) {
            /* The live state is whole, and a clean stop saves it. */
            log_error("the state could not be computed from the journal", LOG_TEXT("why", text));
        }
        return;
    }
    if (is_same(maker, order, &restored)) {
        answer_hashes(maker, order, restored.core);
        if (order->snapshot) {
            write_snapshot(maker, &restored);
        }
    } else {
        refuse_hashes(maker, order, REASON_INTERNAL_ERROR);
    }
    restored_deinit(&restored);
}

bool snapshot_maker_run(struct snapshot_maker *maker)
{
    struct order order;
    if (!take_order(maker, &order)) {
        return false;
    }
    fulfil(maker, &order);
    (void)pthread_mutex_lock(&maker->lock);
    maker->busy = false;
    (void)pthread_mutex_unlock(&maker->lock);
    return true;
}

static void *run(void *context)
{
    struct snapshot_maker *maker = context;
    while (!atomic_load(&maker->stopping)) {
        if (!snapshot_maker_run(maker)) {
            wake_wait(&maker->wake, WAKE_NEVER);
        }
    }
    return NULL;
}

int snapshot_maker_start(struct snapshot_maker *maker)
{
    int outcome = pthread_create(&maker->thread, NULL, run, maker);
    maker->threaded = outcome == 0;
    return outcome == 0 ? 0 : 1;
}

void snapshot_maker_stop(struct snapshot_maker *maker)
{
    atomic_store(&maker->stopping, true);
    wake_ring(&maker->wake);
    if (maker->threaded) {
        (void)pthread_join(maker->thread, NULL);
        maker->threaded = false;
    }
    struct order order;
    if (take_order(maker, &order)) {
        refuse_hashes(maker, &order, REASON_DRAINING);
    }
}
