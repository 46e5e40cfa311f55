/* Carrying out a repair. The file RECOVERY_REPAIRING stands while it is under way and keeps a
 * server from starting; every step can be interrupted, and planning again from what is there then
 * comes to the same entries. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/journal/error.h"
#include "server/journal/repair.h"

enum { COPY_PIECE = 1 << 20, SIZE_UNIT = 4096 };

static const char aside_prefix[] = "lost-";

struct copy {
    struct storage_file *from;
    struct storage_file *to;
    uint64_t begin;
    uint64_t end;
    uint64_t target;
};

static int copy_bytes(const struct copy *copy)
{
    uint8_t *piece = malloc(COPY_PIECE);
    CHECK(piece != NULL);
    int result = 0;
    for (uint64_t done = 0; result == 0 && done < copy->end - copy->begin; done += COPY_PIECE) {
        uint64_t left = copy->end - copy->begin - done;
        size_t length = left < COPY_PIECE ? (size_t)left : COPY_PIECE;
        result = storage_read(copy->from, copy->begin + done, piece, length);
        if (result == 0)
            result = storage_write(copy->to, copy->target + done, piece, length);
    }
    free(piece);
    return result;
}

static struct segment_name aside_name(unsigned aside, const char *name)
{
    struct segment_name made;
    int length = snprintf(made.text, sizeof made.text, "%s%u-%s", aside_prefix, aside, name);
    CHECK(length > 0 && (size_t)length < sizeof made.text);
    return made;
}

static void find_aside(void *context, const char *name)
{
    unsigned *aside = context;
    size_t length = strlen(aside_prefix);
    if (strncmp(name, aside_prefix, length) != 0)
        return;
    unsigned long number = strtoul(name + length, NULL, 10);
    if (number >= *aside && number < 1000000)
        *aside = (unsigned)number + 1;
}

/* Keeps a copy of a segment whose name will be taken. */
static int copy_aside(struct storage_directory *directory, struct storage_file *from,
                      struct segment_name name, struct journal_error *error)
{
    struct copy copy = {.from = from};
    int result = storage_size(from, &copy.end);
    if (result == 0)
        result = storage_create(directory, name.text, 0, &copy.to);
    if (result == 0)
        result = copy_bytes(&copy);
    if (result == 0)
        result = storage_sync(copy.to);
    storage_close(copy.to);
    return result == 0 ? 0 : journal_error_storage(error, result, "keeping %s", name.text);
}

/* Makes segment-<piece->first> of a piece. */
static int write_piece(struct storage_directory *directory, const struct repair_piece *piece,
                       uint64_t epoch, unsigned aside, struct journal_error *error)
{
    uint64_t used =
        (SEGMENT_DATA + piece->end - piece->begin + SIZE_UNIT - 1) / SIZE_UNIT * SIZE_UNIT;
    uint64_t size = piece->size / SIZE_UNIT * SIZE_UNIT;
    struct segment_header header = {
        .epoch = epoch, .first = piece->first, .previous = piece->previous};
    header.size = used > size ? used : size;
    header.size = header.size > JOURNAL_SEGMENT_MIN ? header.size : JOURNAL_SEGMENT_MIN;
    struct copy copy = {.begin = piece->begin, .end = piece->end, .target = SEGMENT_DATA};
    struct segment_name old = segment_name(piece->file);
    int result = piece->file == 0 ? 0 : storage_open(directory, old.text, &copy.from);
    if (result == 0)
        result = segment_create(directory, RECOVERY_TEMPORARY, header.size, NULL, NULL, &copy.to);
    if (result == 0 && copy.from != NULL)
        result = copy_bytes(&copy);
    if (result != 0)
        result = journal_error_storage(error, result, "making %s", segment_name(piece->first).text);
    if (result == 0 && piece->file == piece->first)
        result = copy_aside(directory, copy.from, aside_name(aside, old.text), error);
    if (result == 0)
        result = segment_publish(directory, copy.to, RECOVERY_TEMPORARY, &header, error);
    storage_close(copy.from);
    storage_close(copy.to);
    return result;
}

/* Whether a segment belongs to what is served from now on. */
static bool is_kept(const struct repair_plan *plan, uint64_t first)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->pieces[i].first == first)
            return true;
    /* Older ones serve the older snapshot as long as nothing is missing between. */
    return first < plan->pieces[0].first && plan->pieces[0].file == plan->pieces[0].first;
}

static int set_aside(struct storage_directory *directory, struct segment_name name, unsigned aside,
                     struct journal_error *error)
{
    int result = storage_rename(directory, name.text, aside_name(aside, name.text).text);
    return result == 0 ? 0 : journal_error_storage(error, result, "setting %s aside", name.text);
}

static int set_all_aside(struct storage_directory *directory, const struct survey *survey,
                         const struct repair_plan *plan, unsigned aside,
                         struct journal_error *error)
{
    int result = 0;
    for (size_t i = survey->segment_count; result == 0 && i-- > 0;)
        if (!is_kept(plan, survey->segments[i].first))
            result = set_aside(directory, segment_name(survey->segments[i].first), aside, error);
    for (size_t i = survey->snapshot_count; result == 0 && i-- > 0;)
        if (survey->snapshots[i].index > plan->end)
            result = set_aside(directory, snapshot_name(survey->snapshots[i].index), aside, error);
    return result;
}

static int remove_files(struct storage_directory *directory, const char *const names[],
                        size_t count, struct journal_error *error)
{
    for (size_t i = 0; i < count; i++) {
        int result = storage_remove(directory, names[i]);
        if (result != 0)
            return journal_error_storage(error, result, "removing %s", names[i]);
    }
    return 0;
}

static int sync_names(struct storage_directory *directory, struct journal_error *error)
{
    int result = storage_directory_sync(directory);
    return result == 0 ? 0
                       : journal_error_storage(error, result, "syncing the journal's directory");
}

static int begin(struct storage_directory *directory, unsigned *aside, struct journal_error *error)
{
    static const char *const leftovers[] = {RECOVERY_TEMPORARY, RECOVERY_SNAPSHOT_TEMPORARY,
                                            RECOVERY_SPARE_0, RECOVERY_SPARE_1, RECOVERY_RESERVE};
    struct storage_file *marker = NULL;
    *aside = 1;
    int result = storage_list(directory, find_aside, aside);
    if (result == 0)
        result = storage_create(directory, RECOVERY_REPAIRING, 0, &marker);
    storage_close(marker);
    if (result != 0)
        return journal_error_storage(error, result, "beginning a repair");
    result = sync_names(directory, error);
    return result == 0
               ? remove_files(directory, leftovers, sizeof leftovers / sizeof leftovers[0], error)
               : result;
}

int repair_run(struct storage_directory *directory, const struct survey *survey,
               const struct repair_plan *plan, unsigned *aside, struct journal_error *error)
{
    /* A suspect that is still there stays one. */
    static const char *const ended[] = {RECOVERY_REPAIRING, MARK_NAME};
    size_t removed = survey->found.suspect > plan->end ? 2 : 1;
    int result = begin(directory, aside, error);
    /* The last piece first: what is cut there is what later segments hang on. */
    for (size_t i = plan->count; result == 0 && i-- > 0;)
        if (plan->pieces[i].rewrite)
            result = write_piece(directory, &plan->pieces[i], plan->epoch, *aside, error);
    if (result == 0)
        result = set_all_aside(directory, survey, plan, *aside, error);
    if (result == 0)
        result = sync_names(directory, error);
    if (result == 0)
        result = remove_files(directory, ended, removed, error);
    return result == 0 ? sync_names(directory, error) : result;
}
