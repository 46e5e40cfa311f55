/* The golden journal, golden.txt: replayed, told again in its own words, and compared to the
 * letter. UPDATE=1 in the environment rewrites the file. */
#include "tests/sim/model.h"
#include "tests/sim/script.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define GOLDEN "tests/sim/golden.txt"

struct golden {
    struct rig rig;
    struct model *model;
    struct script script;
    FILE *told;            /* the transcript */
    struct buffer lines;   /* of the entry that is being read */
    struct buffer journal; /* all entries, one behind the other */
    size_t ends[4096];     /* in the journal */
    uint32_t entries;
    uint64_t clock_ms; /* after SCRIPT_CLOCK_MS, of the last entry */
    uint32_t kinds[COMMAND_KIND_END];
    uint32_t events[EVENT_INDEX_CHANGED + 1];
};

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct buffer text = {0};
    char piece[4096];
    size_t length;
    while ((length = fread(piece, 1, sizeof piece, file)) > 0) {
        buffer_put(&text, piece, length);
    }
    fclose(file);
    buffer_put(&text, "", 1);
    return (char *)text.at;
}

/* Applies the entry that the script has read, and tells what came of it. */
static void apply(struct golden *golden)
{
    size_t from = golden->journal.length;
    entry_encode(&golden->script.entry, &golden->journal);
    struct bytes entry = bytes_of(golden->journal.at + from, golden->journal.length - from);
    assert_true(golden->entries < sizeof golden->ends / sizeof *golden->ends);
    golden->ends[golden->entries++] = golden->journal.length;
    struct bytes effects;
    assert_int_equal(rig_apply(&golden->rig, entry, &effects), CORE_OK);
    if (!model_apply(golden->model, golden->rig.core, &golden->script.entry, effects)) {
        script_print_entry(stdout, &golden->script.entry);
        fail_msg("line %u: %s", golden->script.line, model_complaint(golden->model));
    }
    struct core_info info = rig_info(&golden->rig);
    script_answered(&golden->script, effects, &info);
    golden->clock_ms = golden->script.entry.head.clock_ms - SCRIPT_CLOCK_MS;
    for (uint32_t i = 0; i < golden->script.entry.count; i++) {
        golden->kinds[golden->script.entry.commands[i].kind]++;
    }
    struct reader reader = reader_of(effects);
    struct effect effect;
    while (effect_next(&reader, &effect)) {
        bool dull = effect.type == EFFECT_REPLY && effect.kind <= COMMAND_TICK;
        golden->events[effect.type == EFFECT_EVENT ? effect.kind : 0]++;
        if (!dull) {
            script_print_effect(golden->told, &effect);
        }
    }
}

static void apply_text(struct golden *golden, const char *text)
{
    script_more(&golden->script, text);
    if (script_next(&golden->script) != 1) {
        fail_msg("%s\n%s", golden->script.error, text);
    }
    apply(golden);
}

/* The lines gathered so far are an entry. */
static void finish_entry(struct golden *golden)
{
    if (golden->lines.length > 0) {
        buffer_put(&golden->lines, "", 1);
        apply_text(golden, (const char *)golden->lines.at);
        golden->lines.length = 0;
    }
}

/* Ticks as the engine makes them: at deadlines, and every second. */
static void wait_for(struct golden *golden, uint64_t ms)
{
    while (ms > 0) {
        struct core_info info = rig_info(&golden->rig);
        uint64_t deadline = core_next_deadline(golden->rig.core);
        uint64_t step = deadline > info.service_ms ? deadline - info.service_ms : 1;
        step = step > 1000 ? 1000 : step;
        step = step > ms ? ms : step;
        char text[128];
        snprintf(text, sizeof text,
                 "entry elapsed=%" PRIu64 " clock=%" PRId64 "\ntick digest=now\n", step,
                 (int64_t)(golden->clock_ms + step));
        apply_text(golden, text);
        ms -= step;
    }
}

static void tell_state(struct golden *golden)
{
    struct core_info info = rig_info(&golden->rig);
    fprintf(golden->told,
            "  = index=%" PRIu64 " service_ms=%" PRIu64 " wall=%" PRId64 " digest=0x%016" PRIx64
            " hash=0x%016" PRIx64 "\n",
            info.index, info.service_ms, (int64_t)(info.wall_ms - SCRIPT_CLOCK_MS), info.digest,
            core_state_hash(golden->rig.core));
    fprintf(golden->told,
            "  = running=%" PRIu64 " activities=%" PRIu64 " results=%" PRIu64 " tombstones=%" PRIu64
            " pending=%" PRIu64 " tickets=%" PRIu64 " present=%" PRIu64 " events=%" PRIu64
            "..%" PRIu64 "\n",
            info.running, info.activities, info.results, info.tombstones, info.pending_changes,
            info.tickets, info.present_users, info.oldest_sequence, info.head_sequence);
    assert_null(core_verify(golden->rig.core));
}

/* One line of the file: what is indented was told by us and is told anew. */
static void read_line(struct golden *golden, const char *line, size_t length)
{
    bool blank = length == 0 || *line == '#', begins = length >= 5 && memcmp(line, "entry", 5) == 0;
    bool waits = length > 8 && memcmp(line, "wait ms=", 8) == 0;
    bool state = length == 5 && memcmp(line, "state", 5) == 0;
    if (length > 0 && *line == ' ') {
        return;
    }
    if (blank || begins || waits || state) {
        finish_entry(golden);
    }
    fprintf(golden->told, "%.*s\n", (int)length, line);
    if (waits) {
        wait_for(golden, strtoull(line + 8, NULL, 10));
    } else if (state) {
        tell_state(golden);
    } else if (!blank) {
        buffer_put(&golden->lines, line, length);
        buffer_put(&golden->lines, "\n", 1);
    }
}

static void show_difference(const char *expected, const char *told)
{
    unsigned line = 1;
    while (*expected == *told && *told != 0) {
        size_t length = strcspn(told, "\n");
        if (length != strcspn(expected, "\n") || memcmp(expected, told, length) != 0) {
            break;
        }
        bool more = told[length] != 0 && expected[length] != 0;
        told += length + more;
        expected += length + more;
        line++;
        if (!more) {
            break;
        }
    }
    print_message("%s:%u differs\n  file: %.*s\n  core: %.*s\n", GOLDEN, line,
                  (int)strcspn(expected, "\n"), expected, (int)strcspn(told, "\n"), told);
}

/* A new core comes to the same state, and one that was loaded from a snapshot half-way. */
static void check_replay(struct golden *golden)
{
    struct rig whole, late = {0};
    struct core_limits standard;
    core_limits_standard(&standard);
    rig_open(&whole, &standard);
    size_t from = 0;
    for (uint32_t i = 0; i < golden->entries; i++) {
        struct bytes entry = bytes_of(golden->journal.at + from, golden->ends[i] - from), effects;
        from = golden->ends[i];
        assert_int_equal(rig_apply(&whole, entry, &effects), CORE_OK);
        if (late.core != NULL) {
            assert_int_equal(rig_apply(&late, entry, &effects), CORE_OK);
        }
        if (i == golden->entries / 2) {
            struct buffer snapshot = {0};
            rig_save(&whole, &snapshot);
            assert_int_equal(rig_load(&late, buffer_bytes(&snapshot), NULL), 0);
            buffer_free(&snapshot);
        }
    }
    uint64_t hash = core_state_hash(golden->rig.core), digest = rig_info(&golden->rig).digest;
    assert_true(core_state_hash(whole.core) == hash && rig_info(&whole).digest == digest);
    assert_true(core_state_hash(late.core) == hash && rig_info(&late).digest == digest);
    rig_close(&whole);
    rig_close(&late);
}

static void test_the_golden_journal(void **state)
{
    (void)state;
    static struct golden golden; /* these are reachable when a failure jumps out */
    static char *text, *told;
    static size_t told_length;
    text = read_file(GOLDEN);
    struct core_limits standard;
    core_limits_standard(&standard);
    golden.model = model_new();
    golden.told = open_memstream(&told, &told_length);
    rig_open(&golden.rig, &standard);
    script_open(&golden.script, "");
    for (const char *line = text; *line != 0;) {
        size_t length = strcspn(line, "\n");
        read_line(&golden, line, length);
        line += length + (line[length] == '\n');
    }
    finish_entry(&golden);
    fclose(golden.told);
    if (getenv("UPDATE") != NULL) {
        FILE *file = fopen(GOLDEN, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(told, 1, told_length, file), told_length);
        fclose(file);
    } else if (strcmp(text, told) != 0) {
        show_difference(text, told);
        fail_msg("the core does not do what " GOLDEN " tells");
    }
    /* The commands of the index come after these. */
    for (int kind = COMMAND_EPOCH; kind <= COMMAND_RECORD; kind++) {
        assert_true(golden.kinds[kind] > 0);
    }
    for (int kind = EVENT_ACTIVITY_CREATED; kind <= EVENT_INDEX_CHANGED; kind++) {
        assert_true(golden.events[kind] > 0);
    }
    check_replay(&golden);
    model_free(golden.model);
    rig_close(&golden.rig);
    script_close(&golden.script);
    buffer_free(&golden.lines);
    buffer_free(&golden.journal);
    free(told);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_golden_journal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
