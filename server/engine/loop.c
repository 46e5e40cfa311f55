#include "server/engine/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/check.h"
#include "server/log.h"
#include "server/wire/reply.h"
#include "server/wire/request.h"

_Static_assert(REQUEST_BODY_MAX + ENTRY_HEAD_BYTES <= JOURNAL_BODY_MAX,
               "any command is an entry of its own");
_Static_assert(LOOP_UNDER_WAY_MAX <= JOURNAL_PROPOSALS_MAX, "the journal takes what we propose");

/* Items taken by one reading of the clock. */
#define ITEMS_PER_STEP 32
/* At least so often while anything can expire: time never stands still for long, and a stall is
 * told from a pause. */
#define TICK_MS 1000
/* A beat waits so long for others. */
#define BEATS_MS              200
#define SNAPSHOT_CHECK_MS     1000
#define SNAPSHOT_DISK_FULL_MS 5000
#define RETRY_DISK_MS         2000
#define RETRY_HASH_MS         1000
#define EVENTS_CHUNK_BYTES    (256u * 1024u)

static uint64_t boot_now(const struct engine *engine)
{
    return engine->options.clock.boot_ms(engine->options.clock.context);
}

static struct loop_slot *forming(const struct engine *engine)
{
    return &engine->slots[(engine->oldest + engine->under_way) % LOOP_SLOTS];
}

/* ---- Forming entries ---- */

static bool append(struct loop_slot *slot, struct bytes command, uint64_t token)
{
    size_t effects = command_effects_max(command);
    if (slot->count == LOOP_COMMANDS_MAX || JOURNAL_BODY_MAX - slot->length < command.length ||
        slot->effects_max + effects > CORE_EFFECTS_COMMANDS_MAX) {
        CHECK(slot->count > 0); /* alone, every command fits */
        return false;
    }
    memcpy(slot->body + slot->length, command.at, command.length);
    slot->length += command.length;
    slot->effects_max += effects;
    slot->tokens[slot->count++] = token;
    return true;
}

static bool beats_due(const struct engine *engine, uint64_t now)
{
    return engine->beats->count > 0 && now - engine->beats->since_ms >= BEATS_MS;
}

/* A tick carries the digest of the last entry applied, for whoever computes it again, and beats. It
 * comes first in its entry, where there is room for all of them. */
static void append_tick(struct engine *engine, uint64_t now)
{
    struct loop_slot *slot = forming(engine);
    static _Thread_local struct command command; /* large */
    command.kind = COMMAND_TICK;
    command.tick =
        (struct command_tick){.index = engine->info.index,
                              .digest = engine->info.digest,
                              .beat_count = engine->beats->count,
                              .beats = bytes_of(engine->beats->bytes, engine->beats->length)};
    struct writer writer = writer_of(slot->body + slot->length, JOURNAL_BODY_MAX - slot->length);
    command_encode(&command, &writer);
    CHECK(!writer.failed);
    struct bytes encoded =
        bytes_of(slot->body + slot->length, (size_t)(writer.at - slot->body) - slot->length);
    slot->effects_max += command_effects_max(encoded);
    slot->length += encoded.length;
    slot->tokens[slot->count++] = 0;
    engine->tick_ms = now;
    beats_clear(engine->beats);
}

/* Makes the slot ready for its first command. Under load ticks ride along. */
static void begin_entry(struct engine *engine, uint64_t now)
{
    struct loop_slot *slot = forming(engine);
    if (slot->count > 0) {
        return;
    }
    slot->length = ENTRY_HEAD_BYTES;
    slot->effects_max = 0;
    if (engine->timing.stamped && (now - engine->tick_ms >= TICK_MS || beats_due(engine, now))) {
        append_tick(engine, now);
    }
}

bool engine_append(struct engine *engine, struct bytes command, uint64_t token)
{
    begin_entry(engine, boot_now(engine));
    return append(forming(engine), command, token);
}

static void tell_news(enum timing_news news)
{
    if (news == TIMING_JUMPED) {
        log_warning("the clock went more than an hour forward; it is followed in a minute");
    } else if (news == TIMING_FOLLOWED) {
        log_warning("the clock stayed more than an hour ahead and is followed now");
    }
}

/* Proposes what was formed. False: as many as may be are under way. */
static bool propose(struct engine *engine)
{
    struct loop_slot *slot = forming(engine);
    if (engine->under_way == LOOP_UNDER_WAY_MAX) {
        return false;
    }
    const struct engine_clock *clock = &engine->options.clock;
    struct entry_head head = {.version = 1, .count = slot->count};
    tell_news(timing_stamp(&engine->timing, clock->boot_ms(clock->context),
                           clock->wall_ms(clock->context), &head));
    struct writer writer = writer_of(slot->body, ENTRY_HEAD_BYTES);
    entry_head_encode(&head, &writer);
    CHECK(!writer.failed && writer.at == slot->body + ENTRY_HEAD_BYTES);
    engine->under_way++;
    engine->uncommitted++;
    forming(engine)->count = 0;
    if (journal_propose(engine->journal, slot->tokens[0], slot->body, slot->length) != 0) {
        /* Fewer than the journal takes are under way, so it has failed: `failed` says why. */
        atomic_store(&engine->failed, true);
    }
    return true;
}

/* While nothing syncs, whatever there is goes off at once; while something does, the next entry
 * grows. The journal never waits for us, and an entry is as large as the load makes it. */
static bool propose_if_free(struct engine *engine)
{
    return engine->uncommitted == 0 && forming(engine)->count > 0 && propose(engine);
}

/* ---- Applying ---- */

static void stop_fatal(struct engine *engine, uint64_t index, enum core_outcome outcome)
{
    char text[256];
    (void)snprintf(text, sizeof text, "entry %" PRIu64 " %s; the state cannot be trusted any more",
                   index,
                   outcome == CORE_DIVERGED ? "carries a digest that is not that of the state "
                                              "(DIVERGED)"
                                            : "cannot be applied");
    atomic_store(&engine->failed, true);
    engine->options.outlets.fatal(engine->options.outlets.context, RESTORE_DAMAGE, text);
}

/* Collects events into rooms of the outbox. */
struct event_chunk {
    struct outbox *outbox;
    uint8_t *room; /* NULL: none is open */
    uint32_t length;
    uint32_t size;
};

static void close_chunk(struct event_chunk *chunk)
{
    if (chunk->room != NULL) {
        outbox_events(chunk->outbox, chunk->room, bytes_of(chunk->room, chunk->length));
        chunk->room = NULL;
    }
}

static void add_event(struct event_chunk *chunk, struct bytes effect)
{
    if (chunk->room != NULL && chunk->size - chunk->length < effect.length) {
        close_chunk(chunk);
    }
    if (chunk->room == NULL) {
        chunk->size =
            effect.length > EVENTS_CHUNK_BYTES ? effect.length : (uint32_t)EVENTS_CHUNK_BYTES;
        chunk->room = outbox_reserve(chunk->outbox, chunk->size);
        chunk->length = 0;
    }
    memcpy(chunk->room + chunk->length, effect.at, effect.length);
    chunk->length += effect.length;
}

static struct indexing_view view_of_core(const struct engine *engine)
{
    return (struct indexing_view){engine->state.core, &engine->info};
}

static void send_reply(struct engine *engine, uint64_t token, const struct effect *effect)
{
    if (effect->kind == COMMAND_TAKE || effect->kind == COMMAND_RESULT) {
        const struct indexing_view view = view_of_core(engine);
        indexing_applied(&engine->indexing, &view, effect, token);
        return;
    }
    if (token == 0) {
        return;
    }
    struct reply_facts facts = {engine->facts.epoch, engine->info.limits.kill_after_ms};
    uint8_t *room = outbox_reserve(&engine->outbox, reply_room(effect));
    outbox_reply(&engine->outbox, room, token,
                 bytes_of(room, reply_from_effect(&facts, effect, room)));
}

/* Before the replies, so that who has an answer finds its events. No room is open afterwards: a
 * reply must not wait for a place in the queue behind one that nobody closes. */
static void send_events(struct engine *engine, struct bytes effects)
{
    if (engine->options.outlets.events == NULL) {
        return;
    }
    struct event_chunk chunk = {.outbox = &engine->outbox};
    struct reader reader = reader_of(effects);
    const uint8_t *from = reader.at;
    struct effect effect;
    while (effect_next(&reader, &effect)) {
        if (effect.type == EFFECT_EVENT) {
            add_event(&chunk, bytes_of(from, (size_t)(reader.at - from)));
        }
        from = reader.at;
    }
    close_chunk(&chunk);
}

static void send_replies(struct engine *engine, const struct loop_slot *slot, struct bytes effects)
{
    struct reader reader = reader_of(effects);
    struct effect effect;
    uint32_t replies = 0;
    while (effect_next(&reader, &effect)) {
        if (effect.type == EFFECT_REPLY) {
            CHECK(replies < slot->count);
            send_reply(engine, slot->tokens[replies++], &effect);
        }
    }
    CHECK(replies == slot->count);
}

static void apply(struct engine *engine, const struct journal_entry *entry)
{
    struct loop_slot *slot = &engine->slots[engine->oldest];
    CHECK(engine->under_way > 0 && entry->body == slot->body && entry->length == slot->length);
    struct bytes effects;
    uint32_t commands = slot->count;
    journal_mark(engine->journal, entry->index);
    enum core_outcome outcome = core_apply(engine->state.core, entry->index,
                                           bytes_of(entry->body, entry->length), &effects);
    if (outcome != CORE_OK) {
        /* The mark stays, so that the next start, and a repair, can name this entry. */
        stop_fatal(engine, entry->index, outcome);
        return;
    }
    journal_mark(engine->journal, 0);
    engine->state.index = entry->index;
    engine->state.checksum = entry->checksum;
    core_info(engine->state.core, &engine->info);
    atomic_store(&engine->applied_index, entry->index);
    atomic_fetch_add(&engine->entry_count, 1);
    atomic_fetch_add(&engine->command_count, commands);
    send_events(engine, effects);
    send_replies(engine, slot, effects);
    waits_changed(&engine->waits);
    engine->oldest = (engine->oldest + 1) % LOOP_SLOTS;
    engine->under_way--;
}

static uint32_t take_commits(struct engine *engine, struct journal_entry *entries)
{
    struct loop_commits *commits = &engine->commits;
    (void)pthread_mutex_lock(&commits->lock);
    uint32_t count = commits->count;
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = commits->entries[(commits->first + i) % LOOP_SLOTS];
    }
    commits->first = (commits->first + count) % LOOP_SLOTS;
    commits->count = 0;
    atomic_store(&engine->committed, false);
    (void)pthread_mutex_unlock(&commits->lock);
    return count;
}

/* The next entry goes to the disk before these are applied: it must not wait for us. */
static bool apply_commits(struct engine *engine)
{
    struct journal_entry entries[LOOP_SLOTS];
    uint32_t count = take_commits(engine, entries);
    CHECK(count <= engine->uncommitted);
    engine->uncommitted -= count;
    bool proposed = propose_if_free(engine);
    for (uint32_t i = 0; i < count && !atomic_load(&engine->failed); i++) {
        apply(engine, &entries[i]);
    }
    return proposed || count > 0;
}

/* ---- Taking items ---- */

static struct snapshot_point point_now(const struct engine *engine)
{
    return (struct snapshot_point){engine->info.index, engine->info.digest};
}

static void refuse(struct engine *engine, const struct inbox_item *item,
                   const struct refusal *refusal)
{
    outbox_refuse(&engine->outbox, item->token, engine->facts.epoch, refusal);
}

static void answer_hash(struct engine *engine, const struct inbox_item *item)
{
    static const struct refusal crowded = {.reason = REASON_INBOX_FULL,
                                           .message = "too many callers wait for the state's hash",
                                           .retry_after_ms = RETRY_HASH_MS};
    if (!snapshot_maker_hash(&engine->maker, point_now(engine), item->token)) {
        refuse(engine, item, &crowded);
    }
}

static void answer_now(struct engine *engine, const struct inbox_item *item, uint64_t now)
{
    struct answer answer;
    uint8_t *room = outbox_reserve(&engine->outbox, LIMIT_REPLY_BYTES);
    query_answer(engine->state.core, item->body, &engine->facts, room, &answer);
    if (answer.has_beat) {
        beats_add(engine->beats, answer.tenant, answer.user, now);
    }
    outbox_reply(&engine->outbox, room, item->token, answer.frame);
}

static bool is_draining(const struct engine *engine)
{
    return atomic_load(&engine->inbox.draining);
}

/* What those who wait look at. */
static struct answer_look look_now(const struct engine *engine)
{
    return (struct answer_look){.core = engine->state.core,
                                .epoch = engine->facts.epoch,
                                .searchable_before_ms = engine->indexing.searchable_before_ms};
}

static void answer_query(struct engine *engine, const struct inbox_item *item, uint64_t now)
{
    const struct answer_look look = look_now(engine);
    atomic_fetch_add(&engine->query_count, 1);
    switch (query_method(item->body)) {
    case METHOD_GET_STATE_HASH:
        answer_hash(engine, item);
        break;
    case METHOD_WAIT_ACTIVITY:
    case METHOD_WAIT_VISIBLE:
        waits_take(&engine->waits, &look, item, is_draining(engine));
        break;
    default:
        answer_now(engine, item, now);
        break;
    }
}

/* A command that is not executed any more is answered at once. */
static bool refuse_late(struct engine *engine, const struct inbox_item *item, uint64_t now)
{
    static const struct refusal expired = {.reason = REASON_EXPIRED_IN_QUEUE};
    static const struct refusal full = {.reason = REASON_DISK_FULL,
                                        .retry_after_ms = RETRY_DISK_MS};
    if (item->deadline_ms <= now) {
        refuse(engine, item, &expired);
        return true;
    }
    if (item->kind == INBOX_COMMAND && !engine->was_writable) {
        refuse(engine, item, &full);
        return true;
    }
    return false;
}

/* False: it must wait until an entry is through. */
static bool take_item(struct engine *engine, const struct inbox_item *item, uint64_t now)
{
    if (refuse_late(engine, item, now)) {
        return true;
    }
    if (item->kind == INBOX_QUERY) {
        answer_query(engine, item, now);
        return true;
    }
    while (!engine_append(engine, item->body, item->token)) {
        if (!propose(engine)) {
            return false;
        }
    }
    return true;
}

/* A commit goes first: large answers must not hold up those who wait for it. */
static bool take_items(struct engine *engine)
{
    uint64_t now = boot_now(engine);
    struct inbox_item item;
    uint32_t taken = 0;
    while (taken < ITEMS_PER_STEP && !atomic_load(&engine->committed) &&
           inbox_peek(&engine->inbox, &item) && take_item(engine, &item, now)) {
        inbox_pop(&engine->inbox);
        taken++;
    }
    return taken > 0;
}

/* ---- The index ---- */

/* Service time as it would be in an entry that is formed now. */
static uint64_t service_now(const struct engine *engine, uint64_t now)
{
    const struct timing *timing = &engine->timing;
    uint64_t elapsed = timing->stamped ? timing_elapsed_ms(timing, now) : 0;
    return engine->info.service_ms +
           (elapsed < ENTRY_ELAPSED_MAX_MS ? elapsed : ENTRY_ELAPSED_MAX_MS);
}

/* What is to be sent and what became of it. With a full disk both wait: the index may know it by
 * then, we do not. */
static bool index_step(struct engine *engine, uint64_t now)
{
    struct indexing *indexing = &engine->indexing;
    struct indexing_command command;
    const struct indexing_view view = view_of_core(engine);
    bool worked = indexing_look(indexing, &engine->info);
    if (worked) {
        waits_changed(&engine->waits);
    }
    if (engine->waits.wants_refresh) {
        engine->waits.wants_refresh = false;
        indexing_want_refresh(indexing);
    }
    while (engine->was_writable && indexing_next(indexing, &view, service_now(engine, now),
                                                 is_draining(engine), &command)) {
        if (engine_append(engine, command.encoded, command.token)) {
            indexing_took(indexing, &command);
        } else if (!propose(engine)) {
            break;
        }
        worked = true;
    }
    return worked;
}

/* When the next batch is due. */
static uint64_t batch_at(const struct engine *engine)
{
    if (!engine->was_writable || is_draining(engine)) {
        return WAKE_NEVER;
    }
    uint64_t due = indexing_due(&engine->indexing, engine->state.core);
    uint64_t left = due > engine->info.service_ms ? due - engine->info.service_ms : 0;
    return due == UINT64_MAX ? WAKE_NEVER : engine->timing.boot_ms + left;
}

/* ---- Time ---- */

/* Entries carry time; a tick is needed only when there are none. With a full disk time stands
 * still: nobody may be killed for a silence that we impose. */
static bool is_quiet(const struct engine *engine)
{
    return engine->under_way == 0 && forming(engine)->count == 0 && engine->was_writable &&
           !atomic_load(&engine->failed);
}

/* When the next tick is due. */
static uint64_t tick_at(const struct engine *engine)
{
    uint64_t wake_at = WAKE_NEVER;
    if (!is_quiet(engine)) {
        return wake_at;
    }
    uint64_t deadline = core_next_deadline(engine->state.core);
    if (deadline != UINT64_MAX) {
        uint64_t left = deadline > engine->info.service_ms ? deadline - engine->info.service_ms : 0;
        wake_at = engine->timing.boot_ms + (left < TICK_MS ? left : TICK_MS);
        if (!engine->timing.stamped) {
            wake_at = engine->timing.boot_ms; /* a start is told at once: time begins with it */
        }
    }
    if (engine->beats->count > 0 && engine->beats->since_ms + BEATS_MS < wake_at) {
        wake_at = engine->beats->since_ms + BEATS_MS;
    }
    return wake_at;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t engine_wake_at(const struct engine *engine)
{
    if (atomic_load(&engine->failed)) {
        return WAKE_NEVER;
    }
    uint64_t wake_at = tick_at(engine);
    if (!engine->was_writable) {
        wake_at = engine->snapshot_ms + SNAPSHOT_DISK_FULL_MS; /* to try again to free space */
    }
    wake_at = sooner(wake_at, batch_at(engine));
    wake_at = sooner(wake_at, waits_wake_at(&engine->waits));
    return sooner(wake_at, latest_wake_at(&engine->latest, &engine->info));
}

static bool tick_if_due(struct engine *engine)
{
    uint64_t now = boot_now(engine);
    if (now < tick_at(engine)) {
        return false;
    }
    struct loop_slot *slot = forming(engine);
    slot->length = ENTRY_HEAD_BYTES;
    slot->effects_max = 0;
    append_tick(engine, now);
    return propose(engine);
}

/* ---- The disk ---- */

static void notice_disk(struct engine *engine)
{
    bool writable = atomic_load(&engine->writable);
    if (writable == engine->was_writable) {
        return;
    }
    engine->was_writable = writable;
    if (writable) {
        engine->timing.resume = true; /* nobody could update: nobody is killed for it */
        log_info("the disk has room again; commands are taken");
    } else {
        engine->snapshot_ms = 0;
        log_error("the disk is full; commands are refused until there is room");
    }
}

static bool wants_snapshot(const struct engine *engine)
{
    struct journal_status status;
    journal_status(engine->journal, &status);
    if (!engine->was_writable) {
        return engine->info.index > status.newest_snapshot_index; /* it frees segments */
    }
    uint64_t enough = engine->options.snapshot_bytes;
    enough = status.newest_snapshot_bytes > enough ? status.newest_snapshot_bytes : enough;
    return status.bytes_since_snapshot > enough;
}

static void snapshot_if_due(struct engine *engine, uint64_t now)
{
    uint64_t pause = engine->was_writable ? SNAPSHOT_CHECK_MS : SNAPSHOT_DISK_FULL_MS;
    if (now - engine->snapshot_ms < pause) {
        return;
    }
    engine->snapshot_ms = now;
    if (wants_snapshot(engine)) {
        (void)snapshot_maker_request(&engine->maker, point_now(engine));
    }
}

/* ---- The step ---- */

bool engine_step(struct engine *engine)
{
    if (atomic_load(&engine->failed)) {
        return false;
    }
    notice_disk(engine);
    bool worked = apply_commits(engine);
    if (atomic_load(&engine->failed)) {
        return true;
    }
    worked = index_step(engine, boot_now(engine)) || worked; /* before those who fill the entry */
    worked = take_items(engine) || worked;
    worked = propose_if_free(engine) || worked;
    worked = tick_if_due(engine) || worked;
    uint64_t now = boot_now(engine);
    const struct answer_look look = look_now(engine);
    worked = waits_step(&engine->waits, &look, now, is_draining(engine)) || worked;
    worked = latest_step(&engine->latest, engine->state.core, &engine->info, now) || worked;
    snapshot_if_due(engine, now);
    return worked;
}

bool engine_idle(struct engine *engine)
{
    return engine->under_way == 0 && forming(engine)->count == 0 &&
           queue_empty(&engine->inbox.queue) && engine->waits.count == 0 &&
           (engine->options.index == NULL || queue_empty(&engine->indexing.results));
}
