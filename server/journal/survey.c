#include "server/journal/survey.h"

#include <inttypes.h>
#include <stdlib.h>

#include "server/journal/error.h"
#include "server/journal/salvage.h"

/* Reads one segment as far as it goes. Returns a code only for what keeps the survey from going on.
 */
static int read_segment(struct storage_directory *directory, struct survey_segment *segment,
                        bool is_last, struct journal_error *error)
{
    struct salvage salvage;
    int result = salvage_open(&salvage, directory, segment->first, error);
    if (result != 0)
        return result;
    struct segment_cursor *cursor = &salvage.cursor;
    segment->epoch = cursor->header.epoch;
    segment->previous = cursor->header.previous;
    if (salvage.intact) {
        do
            result = segment_cursor_next(cursor, &segment->problem);
        while (result == SEGMENT_ENTRY);
        if (result >= 0)
            result = segment_cursor_tail(cursor, &segment->problem);
        if (result == 1 && !is_last)
            result = journal_error_set(&segment->problem, JOURNAL_DATA_LOSS,
                                       "%s: entry %" PRIu64 " at byte %" PRIu64
                                       " is not whole, and a segment follows",
                                       cursor->name.text, cursor->index, cursor->offset);
    } else {
        segment->problem = salvage.problem;
        result = salvage.problem.code;
    }
    segment->last = cursor->index - 1;
    segment->checksum = cursor->previous;
    segment->used = cursor->offset - SEGMENT_DATA;
    segment->state = result == 0 ? SURVEY_SOUND : result == 1 ? SURVEY_TORN : SURVEY_DAMAGED;
    salvage_close(&salvage);
    if (result >= 0 || result == JOURNAL_DATA_LOSS)
        return 0;
    *error = segment->problem;
    return result;
}

static void check_order(struct survey_segment *segment, const struct survey_segment *before)
{
    if (segment->state == SURVEY_DAMAGED || before->state == SURVEY_DAMAGED ||
        (before->last + 1 == segment->first && before->checksum == segment->previous))
        return;
    segment->state = SURVEY_DAMAGED;
    journal_error_set(&segment->problem, JOURNAL_DATA_LOSS,
                      "%s does not continue the segment before it, which ends with entry %" PRIu64,
                      segment_name(segment->first).text, before->last);
}

static int read_snapshot(struct storage_directory *directory, struct survey_snapshot *snapshot,
                         struct journal_error *error)
{
    struct snapshot_input input;
    struct segment_name name = snapshot_name(snapshot->index);
    int result = snapshot_input_check(&input, directory, name.text, &snapshot->problem);
    if (result == 0 && input.head.index != snapshot->index)
        result = journal_error_set(&snapshot->problem, JOURNAL_DATA_LOSS,
                                   "%s says in its header that it ends with entry %" PRIu64,
                                   name.text, input.head.index);
    snapshot->head = input.head;
    snapshot->size = input.size;
    snapshot->state = result == 0 ? SURVEY_SOUND : SURVEY_DAMAGED;
    if (result == 0 || result == JOURNAL_DATA_LOSS)
        return 0;
    *error = snapshot->problem;
    return result;
}

static int read_all(struct storage_directory *directory, const struct recovery_listing *listing,
                    struct survey *survey, struct journal_error *error)
{
    size_t segments = listing->segments.count;
    size_t snapshots = listing->snapshots.count;
    int result = 0;
    survey->segments = calloc(segments + 1, sizeof *survey->segments);
    survey->snapshots = calloc(snapshots + 1, sizeof *survey->snapshots);
    if (survey->segments == NULL || survey->snapshots == NULL)
        return journal_error_set(error, JOURNAL_IO, "no memory for the survey of the journal");
    for (size_t i = 0; result == 0 && i < segments; i++) {
        survey->segments[i].first = listing->segments.items[i];
        result = read_segment(directory, &survey->segments[i], i + 1 == segments, error);
        if (i > 0)
            check_order(&survey->segments[i], &survey->segments[i - 1]);
        survey->segment_count = i + 1;
    }
    for (size_t i = 0; result == 0 && i < snapshots; i++) {
        survey->snapshots[i].index = listing->snapshots.items[i];
        result = read_snapshot(directory, &survey->snapshots[i], error);
        survey->snapshot_count = i + 1;
    }
    return result;
}

int survey_read(struct storage_directory *directory, struct survey *survey,
                struct journal_error *error)
{
    struct recovery_listing listing;
    *survey = (struct survey){0};
    int result = recovery_list(directory, &listing, error);
    if (result == 0)
        result = read_all(directory, &listing, survey, error);
    survey->repairing = listing.repairing;
    recovery_listing_free(&listing);
    return result == 0 ? mark_read(directory, &survey->found, error) : result;
}

void survey_free(struct survey *survey)
{
    free(survey->segments);
    free(survey->snapshots);
    *survey = (struct survey){0};
}
