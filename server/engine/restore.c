#include "server/engine/restore.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/engine/memory.h"

/* One attempt; AGAIN: the capacity had to be raised, everything begins anew. */
enum { AGAIN = -2 };

struct restoring {
    const struct restore_options *options;
    struct restored *restored;
    char *text;
    size_t text_size;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct restoring *on, int status,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(on->text, on->text_size, format, arguments);
    va_end(arguments);
    return status;
}

int restore_status(const struct journal_error *error)
{
    return error->code == JOURNAL_IO || error->code == JOURNAL_NO_SPACE ? RESTORE_IO
                                                                        : RESTORE_DAMAGE;
}

static int fail_journal(const struct restoring *on, const struct journal_error *error)
{
    return fail(on, restore_status(error), "%s", error->text);
}

void restored_deinit(struct restored *restored)
{
    memory_return(restored->memory, restored->memory_bytes);
    restored->memory = NULL;
    restored->core = NULL;
}

static int make_core(const struct restoring *on)
{
    struct restored *restored = on->restored;
    restored->memory_bytes = core_memory_bytes(&restored->capacity);
    restored->memory = memory_reserve(restored->memory_bytes);
    if (restored->memory == NULL) {
        return fail(on, RESTORE_LIMITS,
                    "the limits need %zu bytes of address space, which the system refuses; lower "
                    "them or raise its limit",
                    restored->memory_bytes);
    }
    restored->core = core_init(restored->memory, &restored->capacity);
    return 0;
}

/* ---- The snapshot ---- */

struct snapshot_source {
    struct journal_snapshot_reader *reader;
    const _Atomic bool *cancel;
    struct journal_error error;
};

static bool is_cancelled(const _Atomic bool *cancel)
{
    return cancel != NULL && atomic_load(cancel);
}

static int read_snapshot(void *context, void *bytes, size_t length)
{
    struct snapshot_source *source = context;
    if (is_cancelled(source->cancel)) {
        return RESTORE_CANCELLED;
    }
    return journal_snapshot_read(source->reader, bytes, length, &source->error);
}

/* Opens the newest one: its reader stands at the first byte. Returns 1, 0 or an exit status
 * negated. */
static int open_snapshot(const struct restoring *on, struct snapshot_source *source,
                         struct journal_snapshot_head *head)
{
    uint32_t skipped = 0;
    source->cancel = on->options->cancel;
    source->error = (struct journal_error){.code = JOURNAL_OK};
    int found = journal_snapshot_open(on->options->journal, &source->reader, head, &skipped,
                                      &source->error);
    return found < 0 ? -fail_journal(on, &source->error) : found;
}

static int fail_snapshot(const struct restoring *on, const struct snapshot_source *source,
                         uint64_t index, int outcome)
{
    if (is_cancelled(on->options->cancel)) {
        return RESTORE_CANCELLED;
    }
    if (source->error.code != JOURNAL_OK) {
        return fail_journal(on, &source->error);
    }
    return fail(on, RESTORE_DAMAGE,
                "the snapshot of entry %" PRIu64
                " is sound on disk but no state of this version (%d); restore a backup, or start "
                "the version that wrote it",
                index, outcome);
}

/* The snapshot did not fit: raises the capacity by what it needs. */
static int raise_by_snapshot(const struct restoring *on)
{
    struct core_limits *capacity = &on->restored->capacity;
    struct core_limits before = *capacity;
    struct snapshot_source source;
    struct journal_snapshot_head head;
    int found = open_snapshot(on, &source, &head);
    if (found != 1) {
        return found < 0 ? -found : fail(on, RESTORE_DAMAGE, "the snapshot has disappeared");
    }
    struct core_stream stream = {.context = &source, .read = read_snapshot};
    struct core_limits needed;
    int outcome = core_snapshot_limits(&stream, &needed);
    journal_snapshot_close(source.reader);
    if (outcome != 0) {
        return fail_snapshot(on, &source, head.index, outcome);
    }
    core_limits_raise(capacity, &needed);
    if (memcmp(before.values, capacity->values, sizeof before.values) == 0) {
        return fail_snapshot(on, &source, head.index, CORE_TOO_LARGE);
    }
    return AGAIN;
}

/* Nothing to do when there is none: the journal is complete from its first entry. */
static int load_snapshot(const struct restoring *on)
{
    struct snapshot_source source;
    struct journal_snapshot_head head;
    int found = open_snapshot(on, &source, &head);
    if (found != 1) {
        return -found;
    }
    struct core_stream stream = {.context = &source, .read = read_snapshot};
    int outcome = core_snapshot_read(on->restored->core, &stream);
    journal_snapshot_close(source.reader);
    if (outcome == CORE_TOO_LARGE && source.error.code == JOURNAL_OK) {
        return raise_by_snapshot(on);
    }
    if (outcome != 0) {
        return fail_snapshot(on, &source, head.index, outcome);
    }
    struct core_info info;
    core_info(on->restored->core, &info);
    if (info.index != head.index || info.digest != head.digest) {
        return fail(on, RESTORE_DAMAGE,
                    "the snapshot of entry %" PRIu64 " holds the state of entry %" PRIu64
                    " or another digest; restore a backup",
                    head.index, info.index);
    }
    on->restored->index = head.index;
    on->restored->checksum = head.entry_checksum;
    return 0;
}

/* ---- The entries behind it ---- */

/* Raises the capacity by the limits that the entry carries. */
static bool raise_by_entry(struct bytes body, struct core_limits *capacity)
{
    static _Thread_local struct command command; /* large */
    struct core_limits before = *capacity;
    struct entry_head head;
    struct reader reader = reader_of(body);
    if (!entry_head_decode(&reader, &head)) {
        return false;
    }
    for (uint32_t i = 0; i < head.count && command_decode(&reader, &command); i++) {
        if (command.kind == COMMAND_LIMITS) {
            struct core_limits carried;
            memcpy(carried.values, command.limits.values, sizeof carried.values);
            core_limits_raise(capacity, &carried);
        }
    }
    return memcmp(before.values, capacity->values, sizeof before.values) != 0;
}

static int explain_outcome(const struct restoring *on, const struct journal_entry *entry,
                           enum core_outcome outcome)
{
    switch (outcome) {
    case CORE_TOO_LARGE:
        if (raise_by_entry(bytes_of(entry->body, entry->length), &on->restored->capacity)) {
            return AGAIN;
        }
        return fail(on, RESTORE_LIMITS,
                    "entry %" PRIu64 " carries limits that this build cannot hold", entry->index);
    case CORE_DIVERGED:
        on->restored->diverged = true;
        return fail(on, RESTORE_DAMAGE,
                    "entry %" PRIu64
                    ": the digest in it is not that of this state (DIVERGED): this build computes "
                    "otherwise than the one that wrote it, or memory is faulty; restore a backup, "
                    "or start the version that wrote it",
                    entry->index);
    default:
        return fail(on, RESTORE_DAMAGE,
                    "entry %" PRIu64 " is sound on disk but no entry of this version; start the "
                    "version that wrote it",
                    entry->index);
    }
}

static int apply_one(const struct restoring *on, const struct journal_entry *entry)
{
    struct restored *restored = on->restored;
    struct bytes effects;
    if (entry->index != restored->index + 1) {
        return fail(on, RESTORE_DAMAGE, "entry %" PRIu64 " is followed by entry %" PRIu64,
                    restored->index, entry->index);
    }
    if (on->options->mark) {
        journal_mark(on->options->journal, entry->index);
    }
    enum core_outcome outcome =
        core_apply(restored->core, entry->index, bytes_of(entry->body, entry->length), &effects);
    /* After a failure the mark stays, so that a repair can name the entry; a core that was too
     * small is only made anew. */
    if (on->options->mark && (outcome == CORE_OK || outcome == CORE_TOO_LARGE)) {
        journal_mark(on->options->journal, 0);
    }
    if (outcome != CORE_OK) {
        return explain_outcome(on, entry, outcome);
    }
    restored->index = entry->index;
    restored->checksum = entry->checksum;
    restored->entries++;
    return 0;
}

static int replay(const struct restoring *on)
{
    const struct restore_options *options = on->options;
    struct journal_error error = {.code = JOURNAL_OK};
    struct journal_reader *reader = NULL;
    if (on->restored->index >= options->last) {
        return 0;
    }
    if (journal_reader_open(options->journal, on->restored->index + 1, &reader, &error) != 0) {
        return fail_journal(on, &error);
    }
    int outcome = 0;
    while (outcome == 0) {
        struct journal_entry entry;
        int more = journal_reader_next(reader, options->last, &entry, &error);
        if (more == 0) {
            break;
        }
        if (is_cancelled(options->cancel)) {
            outcome = RESTORE_CANCELLED;
        } else {
            outcome = more < 0 ? fail_journal(on, &error) : apply_one(on, &entry);
        }
    }
    journal_reader_close(reader);
    if (outcome == 0 && on->restored->index < options->last) {
        return fail(on, RESTORE_DAMAGE, "the journal ends at entry %" PRIu64 ", not at %" PRIu64,
                    on->restored->index, options->last);
    }
    return outcome;
}

static int attempt(const struct restoring *on)
{
    on->restored->index = 0;
    on->restored->checksum = 0;
    on->restored->entries = 0;
    int outcome = make_core(on);
    if (outcome == 0) {
        outcome = load_snapshot(on);
    }
    if (outcome == 0) {
        outcome = replay(on);
    }
    if (outcome != 0) {
        restored_deinit(on->restored);
    }
    return outcome;
}

int restore(const struct restore_options *options, struct restored *restored, char *text,
            size_t text_size)
{
    struct restoring on = {options, restored, text, text_size};
    *restored = (struct restored){.capacity = options->capacity};
    int outcome;
    do {
        outcome = attempt(&on); /* each AGAIN raises a capacity that has an end */
    } while (outcome == AGAIN);
    return outcome;
}

/* ---- The next snapshot ---- */

struct snapshot_sink {
    struct journal_snapshot_writer *writer;
    const _Atomic bool *cancel;
    struct journal_error *error;
};

static int write_snapshot(void *context, const void *bytes, size_t length)
{
    struct snapshot_sink *sink = context;
    if (is_cancelled(sink->cancel)) {
        return RESTORE_CANCELLED;
    }
    return journal_snapshot_write(sink->writer, bytes, length, sink->error);
}

int restored_snapshot(const struct core *core, struct journal *journal, uint32_t checksum,
                      const _Atomic bool *cancel, struct journal_error *error)
{
    struct core_info info;
    core_info(core, &info);
    struct journal_snapshot_head head = {info.index, checksum, info.digest};
    struct snapshot_sink sink = {.cancel = cancel, .error = error};
    *error = (struct journal_error){.code = JOURNAL_OK};
    int outcome = journal_snapshot_begin(journal, head, &sink.writer, error);
    if (outcome != 0) {
        return outcome;
    }
    struct core_stream stream = {.context = &sink, .write = write_snapshot};
    outcome = core_snapshot_write(core, &stream);
    if (outcome != 0) {
        journal_snapshot_abort(sink.writer);
        return outcome;
    }
    return journal_snapshot_commit(sink.writer, error);
}
