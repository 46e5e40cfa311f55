/* What a repair would keep: decided here, done in repair_run.c. */
#include <inttypes.h>
#include <stdlib.h>

#include "server/journal/error.h"
#include "server/journal/repair.h"

struct walk {
    struct storage_directory *directory;
    const struct survey *survey;
    struct repair_plan *plan;
    uint64_t next;     /* the entry that comes next */
    uint32_t previous; /* checksum before it */
    bool clean; /* nothing that matters stands behind the last piece, as far as its segment goes */
};

static void note(struct repair_plan *plan, const struct journal_error *problem)
{
    if (plan->reason.code == JOURNAL_OK)
        plan->reason = *problem;
}

/* Places the cursor at the entry that comes next and begins the piece there; a segment that leads
 * to it without damage is kept from its beginning. Returns 1, 0 when the segment does not have the
 * entry, or a code. */
static int place(struct walk *walk, struct salvage *salvage, struct repair_piece *piece,
                 struct journal_error *error)
{
    struct segment_cursor *cursor = &salvage->cursor;
    struct journal_error problem = {0};
    int result = SEGMENT_ENTRY;
    *piece = (struct repair_piece){.file = cursor->header.first,
                                   .first = cursor->header.first,
                                   .previous = cursor->header.previous,
                                   .begin = SEGMENT_DATA,
                                   .size = cursor->header.size};
    if (!salvage->intact)
        note(walk->plan, &salvage->problem);
    if (cursor->header.first == walk->next) {
        piece->rewrite = !salvage->intact || piece->previous != walk->previous;
        piece->previous = walk->previous;
        cursor->previous = walk->previous;
        return 1;
    }
    while (salvage->intact && result == SEGMENT_ENTRY && cursor->index < walk->next)
        result = segment_cursor_next(cursor, &problem);
    if (salvage->intact && cursor->index == walk->next && cursor->previous == walk->previous)
        return 1;
    if (result < 0)
        note(walk->plan, &problem);
    result = salvage_find(salvage, walk->next, walk->previous, error);
    piece->first = walk->next;
    piece->previous = walk->previous;
    piece->begin = cursor->offset;
    piece->rewrite = true;
    return result;
}

/* Follows the entries of one segment to their end, and looks at what stands behind. */
static int follow(struct walk *walk, struct salvage *salvage, struct repair_piece *piece,
                  size_t place_in_list, struct journal_error *error)
{
    const struct survey *survey = walk->survey;
    struct segment_cursor *cursor = &salvage->cursor;
    struct journal_error problem = {0};
    int result;
    while ((result = segment_cursor_next(cursor, &problem)) == SEGMENT_ENTRY)
        piece->last_begin = cursor->offset - entry_bytes(cursor->entry.length);
    piece->last = cursor->index - 1;
    piece->end = cursor->offset;
    walk->next = cursor->index;
    walk->previous = cursor->previous;
    if (result >= 0)
        result = segment_cursor_tail(cursor, &problem);
    if (result == JOURNAL_IO || result == JOURNAL_VERSION) {
        *error = problem;
        return result;
    }
    bool is_last = place_in_list + 1 == survey->segment_count;
    bool goes_on = !is_last && survey->segments[place_in_list + 1].first == walk->next;
    /* Where a file that was cut short ends, the journal need not have ended. */
    bool seen = salvage->intact || cursor->offset + ENTRY_SECTOR <= cursor->header.size;
    bool ends = result == 0 || (result == 1 && is_last);
    walk->clean = goes_on || (ends && seen);
    if (ends)
        return 0;
    if (result < 0)
        note(walk->plan, &problem);
    piece->rewrite = true;
    /* When the next segment goes on, what stands here is not missed. */
    return goes_on ? 0 : salvage_rest(salvage, &walk->plan->lost, error);
}

static int walk_segment(struct walk *walk, size_t place_in_list, struct journal_error *error)
{
    struct repair_piece *piece = &walk->plan->pieces[walk->plan->count];
    struct salvage salvage;
    int result =
        salvage_open(&salvage, walk->directory, walk->survey->segments[place_in_list].first, error);
    if (result != 0)
        return result;
    result = place(walk, &salvage, piece, error);
    if (result == 1) {
        walk->plan->count++;
        result = follow(walk, &salvage, piece, place_in_list, error);
    }
    salvage_close(&salvage);
    return result;
}

/* Adds up what a segment holds that is given up as a whole. */
static int give_up(const struct walk *walk, size_t place_in_list, struct journal_error *error)
{
    struct salvage salvage;
    int result =
        salvage_open(&salvage, walk->directory, walk->survey->segments[place_in_list].first, error);
    if (result != 0)
        return result;
    result = salvage_rest(&salvage, &walk->plan->lost, error);
    salvage_close(&salvage);
    return result;
}

static int walk_all(struct walk *walk, struct journal_error *error)
{
    const struct survey *survey = walk->survey;
    struct repair_plan *plan = walk->plan;
    int result = 0;
    size_t i = survey->segment_count;
    while (i > 0 && survey->segments[i - 1].first > walk->next)
        i--;
    i = i > 0 ? i - 1 : 0;
    for (; result == 0 && i < survey->segment_count; i++) {
        size_t before = plan->count;
        if (before > 0 ? survey->segments[i].first != walk->next
                       : survey->segments[i].first > walk->next)
            break;
        result = walk_segment(walk, i, error);
        if (result == 0 && plan->count == before)
            break;
    }
    plan->loses = plan->count == 0 || !walk->clean || i < survey->segment_count;
    for (; result == 0 && i < survey->segment_count; i++) {
        if (survey->segments[i].problem.code != JOURNAL_OK)
            note(plan, &survey->segments[i].problem);
        result = give_up(walk, i, error);
    }
    return result;
}

static int choose_epoch(struct repair_plan *plan, const struct survey *survey,
                        struct journal_error *error)
{
    if (!plan->loses && survey->segment_count > 0)
        plan->epoch = survey->segments[survey->segment_count - 1].epoch;
    if (plan->epoch != 0)
        return 0;
    int result = storage_random(&plan->epoch, sizeof plan->epoch);
    return result == 0 ? 0 : journal_error_storage(error, result, "making an epoch");
}

static int finish(struct walk *walk, struct journal_error *error)
{
    struct repair_plan *plan = walk->plan;
    if (plan->count == 0)
        plan->pieces[plan->count++] = (struct repair_piece){.first = walk->next,
                                                            .previous = walk->previous,
                                                            .begin = SEGMENT_DATA,
                                                            .end = SEGMENT_DATA,
                                                            .last = walk->next - 1,
                                                            .rewrite = true};
    if (plan->loses)
        plan->pieces[plan->count - 1].rewrite = true;
    for (size_t i = 0; i < plan->count; i++)
        plan->damaged = plan->damaged || plan->pieces[i].rewrite;
    plan->needed = plan->damaged || walk->survey->repairing;
    plan->end = walk->next - 1;
    return choose_epoch(plan, walk->survey, error);
}

/* Plans from one beginning: a snapshot, or NULL for entry 1. */
static int plan_from(struct storage_directory *directory, const struct survey *survey,
                     const struct survey_snapshot *snapshot, struct repair_plan *plan,
                     struct journal_error *error)
{
    struct walk walk = {.directory = directory, .survey = survey, .plan = plan, .next = 1};
    *plan = (struct repair_plan){0};
    if (snapshot != NULL) {
        walk.next = snapshot->index + 1;
        walk.previous = snapshot->head.entry_checksum;
        plan->base = snapshot->index;
    }
    plan->pieces = calloc(survey->segment_count + 1, sizeof *plan->pieces);
    if (plan->pieces == NULL)
        return journal_error_set(error, JOURNAL_IO, "no memory for the plan of a repair");
    int result = walk_all(&walk, error);
    return result == 0 ? finish(&walk, error) : result;
}

/* Whether `other` is the better plan: it reaches further, or as far without touching anything. */
static bool is_better(const struct repair_plan *other, const struct repair_plan *plan)
{
    return plan->count == 0 || other->end > plan->end ||
           (other->end == plan->end && plan->damaged && !other->damaged);
}

int repair_make_plan(struct storage_directory *directory, const struct survey *survey,
                     struct repair_plan *plan, struct journal_error *error)
{
    int result = 0;
    bool from_first = survey->segment_count > 0 && survey->segments[0].first == 1;
    *plan = (struct repair_plan){0};
    for (size_t i = survey->snapshot_count + 1; result == 0 && i-- > 0;) {
        struct repair_plan other;
        const struct survey_snapshot *snapshot = i == 0 ? NULL : &survey->snapshots[i - 1];
        if (snapshot == NULL ? !from_first : snapshot->state != SURVEY_SOUND)
            continue;
        result = plan_from(directory, survey, snapshot, &other, error);
        if (result == 0 && is_better(&other, plan)) {
            repair_plan_free(plan);
            *plan = other;
        } else {
            repair_plan_free(&other);
        }
        if (plan->count > 0 && !plan->damaged)
            break;
    }
    if (result == 0 && plan->count == 0)
        return journal_error_set(
            error, JOURNAL_DATA_LOSS,
            "no snapshot is sound, and the entries that begin the history are gone: there is no "
            "state to go on from; use a copy of the directory");
    return result;
}

void repair_plan_free(struct repair_plan *plan)
{
    free(plan->pieces);
    *plan = (struct repair_plan){0};
}

int repair_drop_last(struct repair_plan *plan, const struct survey *survey,
                     struct journal_error *error)
{
    if (plan->damaged)
        return journal_error_set(error, JOURNAL_DATA_LOSS,
                                 "the journal is damaged: repair it without --drop-last first");
    if (plan->end == 0 || plan->end == plan->base)
        return journal_error_set(error, JOURNAL_DATA_LOSS,
                                 "there is no entry behind the newest snapshot to drop");
    if (survey->found.suspect != plan->end)
        return journal_error_set(error, JOURNAL_DATA_LOSS,
                                 "the last entry, %" PRIu64
                                 ", is not marked as being applied for the first time when the "
                                 "process died: it may have been acknowledged and is not dropped",
                                 plan->end);
    while (plan->pieces[plan->count - 1].last < plan->pieces[plan->count - 1].first)
        plan->count--;
    struct repair_piece *piece = &plan->pieces[plan->count - 1];
    plan->lost =
        (struct salvage_rest){.bytes = piece->end - piece->last_begin, .highest = plan->end};
    piece->end = piece->last_begin;
    piece->last--;
    piece->rewrite = true;
    plan->end--;
    plan->needed = true;
    plan->loses = true;
    plan->epoch = 0;
    return choose_epoch(plan, survey, error);
}
