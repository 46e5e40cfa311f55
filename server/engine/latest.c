#include "server/engine/latest.h"

/* Every running activity is told again within so many periods, half a minute: a message that was
 * lost heals by itself. */
#define ROUND_PERIODS 300

int latest_init(struct latest *latest, struct outbox *outbox)
{
    *latest = (struct latest){.outbox = outbox};
    if (outbox->outlets->progress == NULL) {
        return 0;
    }
    latest->columns = progress_columns_new();
    return latest->columns == NULL ? 1 : 0;
}

void latest_deinit(struct latest *latest)
{
    progress_columns_free(latest->columns);
    latest->columns = NULL;
}

bool latest_want(struct latest *latest, bool wanted)
{
    return atomic_exchange(&latest->wanted, wanted) != wanted;
}

uint64_t latest_wake_at(const struct latest *latest, const struct core_info *info)
{
    bool rests = latest->columns == NULL || !atomic_load(&latest->wanted) || info->running == 0;
    return rests ? WAKE_NEVER : latest->collected_ms + LIMIT_PROGRESS_PERIOD_MS;
}

bool latest_step(struct latest *latest, struct core *core, const struct core_info *info,
                 uint64_t now_ms)
{
    if (now_ms < latest_wake_at(latest, info)) {
        return false;
    }
    latest->collected_ms = now_ms;
    latest->owed += info->slots; /* of few slots it is one now and then */
    core_progress_remind(core, (uint32_t)(latest->owed / ROUND_PERIODS));
    latest->owed %= ROUND_PERIODS;
    if (atomic_load(&latest->outbox->progress_waiting) > 0) {
        return true; /* who listens is slow: later values take the place of these */
    }
    uint8_t *room = outbox_reserve(latest->outbox, PROGRESS_FIELDS_MAX);
    size_t length = progress_collect(core, latest->columns, room);
    if (length > 0) {
        outbox_progress(latest->outbox, room, bytes_of(room, length));
    } else {
        outbox_reply(latest->outbox, room, 0, bytes_of(room, 0));
    }
    return true;
}
