/* The golden journal: golden.txt, entries in a form for people, replays to the hashes committed in
 * it. A change of behaviour without a new core version shows here: state after every restart would
 * differ from the state before it.
 *
 * Lines (a # begins a comment):
 *   entry ELAPSED [resume] [jump]       begins an entry; the one before is applied
 *   clock +MS | -MS                     a step of the real clock before the next entry
 *   as TENANT PRINCIPAL USER [GROUP...] [+any] [+admin]    who calls from here on; USER - is none
 *   create NAME TYPE TITLE [GROUP...]   NAME stands for the job from here on
 *   repeat NAME                         the same CREATE again
 *   update NAME PERCENT [TEXT]          PERCENT - is absent
 *   result NAME TEXT                    100 % with a result
 *   fail NAME CODE MESSAGE
 *   batch NAME=PERCENT...
 *   destroy NAME
 *   record MODEL ID AFFECTED [GROUP]    one change
 *   beat TENANT USER
 *   limit NAME VALUE                    a LIMITS command with one value changed
 *   epoch NUMBER RAISE
 *   wait MS                             ticks, a second apart
 *   state HASH digest HASH              what must have come out so far (hexadecimal)
 * Words with spaces are written with _. `UPDATE_GOLDEN=1` prints the file with the hashes that come
 * out, to be committed with the core version that changes them. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/unit/server/core/drive.h"

#define WORDS 24
#define JOBS  64

struct line {
    char *words[WORDS];
    int count;
};

struct golden {
    struct drive *d;
    struct command_caller caller;
    char caller_text[256];
    bool open; /* an entry is being built */
    struct core_limits limits;
    struct {
        char name[16];
        uint64_t id;
        struct command create;
        char text[512];
    } jobs[JOBS];
    int job_count;
    int creating[JOBS]; /* in the entry at hand, in order */
    int created;
    int checks;
};

/* Text that lives as long as the file's: words point into it. */
static struct bytes word(const char *text)
{
    return drive_text(text);
}

static int find_job(const struct golden *g, const char *name)
{
    for (int i = 0; i < g->job_count; i++) {
        if (strcmp(g->jobs[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("golden.txt: no job %s", name);
    return -1;
}

/* Applies the entry at hand and learns the ids of what it created. */
static void close_entry(struct golden *g)
{
    if (!g->open) {
        return;
    }
    g->open = false;
    drive_commit(g->d);
    struct reader from = reader_of(g->d->effects);
    struct effect effect;
    int nth = 0;
    while (effect_next(&from, &effect)) {
        if (effect.type != EFFECT_REPLY || effect.kind != COMMAND_CREATE) {
            continue;
        }
        assert_true(nth < g->created);
        int job = g->creating[nth++];
        if (effect.code == STATUS_OK) {
            uint64_t id = drive_created(&effect);
            assert_true(g->jobs[job].id == 0 || g->jobs[job].id == id);
            g->jobs[job].id = id;
        }
    }
    g->created = 0;
}

static void add(struct golden *g, const struct command *command)
{
    assert_true(g->open);
    drive_add(g->d, command);
}

static void do_entry(struct golden *g, const struct line *l)
{
    uint8_t flags = 0;
    close_entry(g);
    for (int i = 2; i < l->count; i++) {
        flags |= strcmp(l->words[i], "resume") == 0 ? ENTRY_RESUME : ENTRY_JUMP;
    }
    drive_begin(g->d, (uint16_t)atoi(l->words[1]), flags);
    g->open = true;
}

static void do_clock(struct golden *g, const struct line *l)
{
    close_entry(g);
    g->d->clock_ms += (uint64_t)atoll(l->words[1]);
}

static void do_as(struct golden *g, const struct line *l)
{
    const char *user = strcmp(l->words[3], "-") == 0 ? NULL : l->words[3];
    g->caller = drive_caller(l->words[1], l->words[2], user);
    for (int i = 4; i < l->count; i++) {
        if (strcmp(l->words[i], "+any") == 0) {
            g->caller.rights |= RIGHT_UPDATE_ANY;
        } else if (strcmp(l->words[i], "+admin") == 0) {
            g->caller.rights |= RIGHT_ADMIN;
        } else {
            drive_in_group(&g->caller, l->words[i]);
        }
    }
}

static void do_create(struct golden *g, const struct line *l)
{
    assert_true(g->job_count < JOBS);
    int job = g->job_count++;
    (void)snprintf(g->jobs[job].name, sizeof g->jobs[job].name, "%s", l->words[1]);
    struct command command = drive_create_command(g->d, &g->caller, l->words[2]);
    command.create.title = word(l->words[3]);
    for (int i = 4; i < l->count; i++) {
        command.create.groups.names[command.create.groups.count++] = word(l->words[i]);
    }
    g->jobs[job].create = command;
    g->creating[g->created++] = job;
    add(g, &command);
}

static void do_repeat(struct golden *g, const struct line *l)
{
    int job = find_job(g, l->words[1]);
    g->creating[g->created++] = job;
    add(g, &g->jobs[job].create);
}

static struct command update_of(struct golden *g, const char *name, int percent)
{
    return drive_update_command(&g->caller, g->jobs[find_job(g, name)].id, percent);
}

static void do_update(struct golden *g, const struct line *l)
{
    struct command command =
        update_of(g, l->words[1], strcmp(l->words[2], "-") == 0 ? -1 : atoi(l->words[2]));
    command.update.has_status_text = l->count > 3;
    command.update.status_text = word(l->count > 3 ? l->words[3] : "");
    add(g, &command);
}

static void do_result(struct golden *g, const struct line *l)
{
    struct command command = update_of(g, l->words[1], 100);
    command.update.result = word(l->words[2]);
    add(g, &command);
}

static void do_fail(struct golden *g, const struct line *l)
{
    struct command command = update_of(g, l->words[1], -1);
    command.update.has_failure = true;
    command.update.failure_code = word(l->words[2]);
    command.update.failure_message = word(l->words[3]);
    add(g, &command);
}

static void do_batch(struct golden *g, const struct line *l)
{
    uint64_t ids[WORDS];
    uint8_t percents[WORDS];
    uint8_t deltas[WORDS * 10];
    uint32_t count = 0;
    for (int i = 1; i < l->count; i++) {
        char *sign = strchr(l->words[i], '=');
        assert_non_null(sign);
        *sign = 0;
        ids[count] = g->jobs[find_job(g, l->words[i])].id;
        percents[count++] = (uint8_t)atoi(sign + 1);
        *sign = '=';
    }
    struct command command = {
        .kind = COMMAND_BATCH,
        .batch = {.caller = g->caller,
                  .count = count,
                  .deltas = bytes_of(deltas, drive_deltas(ids, count, deltas)),
                  .percents = bytes_of(percents, count)}};
    add(g, &command);
}

static void do_destroy(struct golden *g, const struct line *l)
{
    struct command command = {
        .kind = COMMAND_DESTROY,
        .destroy = {.caller = g->caller, .job_id = g->jobs[find_job(g, l->words[1])].id}};
    add(g, &command);
}

static void do_record(struct golden *g, const struct line *l)
{
    uint8_t changes[1024];
    struct writer to = writer_of(changes, sizeof changes);
    struct command_change change = {.model = word(l->words[1]),
                                    .document_id = word(l->words[2]),
                                    .affected_model = word(l->words[3]),
                                    .json = word("{\"a\":1}")};
    if (l->count > 4) {
        change.groups = (struct command_groups){1, {word(l->words[4])}};
    }
    command_change_put(&to, &change);
    struct command command = {.kind = COMMAND_RECORD,
                              .record = {.caller = g->caller,
                                         .change_count = 1,
                                         .changes = bytes_of(changes, to.wanted)}};
    g->d->request++;
    memcpy(command.record.request_id, &g->d->request, sizeof g->d->request);
    add(g, &command);
}

static void do_beat(struct golden *g, const struct line *l)
{
    uint8_t beats[256];
    struct writer to = writer_of(beats, sizeof beats);
    command_beat_put(&to, word(l->words[1]), word(l->words[2]));
    struct command command = {.kind = COMMAND_TICK,
                              .tick = {.beat_count = 1, .beats = bytes_of(beats, to.wanted)}};
    add(g, &command);
}

static void do_limit(struct golden *g, const struct line *l)
{
    static const char *const names[] = {
#define LIMIT_NAME(name, standard, least, most, unit, text) #name,
        CORE_LIMITS(LIMIT_NAME)
#undef LIMIT_NAME
    };
    struct command command = {.kind = COMMAND_LIMITS};
    bool found = false;
    for (uint32_t i = 0; i < CORE_LIMIT_COUNT; i++) {
        if (strcmp(names[i], l->words[1]) == 0) {
            g->limits.values[i] = (uint64_t)atoll(l->words[2]);
            found = true;
        }
    }
    assert_true(found);
    memcpy(command.limits.values, g->limits.values, sizeof g->limits.values);
    add(g, &command);
}

static void do_epoch(struct golden *g, const struct line *l)
{
    struct command command = {.kind = COMMAND_EPOCH,
                              .epoch = {.epoch = (uint64_t)atoll(l->words[1]),
                                        .hash_key = "golden key 16 b",
                                        .first_generation = 77,
                                        .raise_generations = (uint32_t)atoi(l->words[2]),
                                        .first_ticket = 1000}};
    add(g, &command);
}

static void do_wait(struct golden *g, const struct line *l)
{
    close_entry(g);
    drive_wait(g->d, (uint64_t)atoll(l->words[1]));
}

static void do_state(struct golden *g, const struct line *l)
{
    close_entry(g);
    struct core_info info;
    char got[80];
    char want[80];
    core_info(g->d->core, &info);
    (void)snprintf(got, sizeof got, "state %016" PRIx64 " digest %016" PRIx64,
                   core_state_hash(g->d->core), info.digest);
    (void)snprintf(want, sizeof want, "state %s digest %s", l->words[1], l->words[3]);
    drive_verify(g->d);
    g->checks++;
    if (getenv("UPDATE_GOLDEN") != NULL) {
        printf("%s\n", got);
    } else {
        assert_string_equal(got, want);
    }
}

static const struct {
    const char *name;
    int least; /* words */
    void (*run)(struct golden *g, const struct line *l);
} verbs[] = {
    {"entry", 2, do_entry},     {"clock", 2, do_clock},   {"as", 4, do_as},
    {"create", 4, do_create},   {"repeat", 2, do_repeat}, {"update", 3, do_update},
    {"result", 3, do_result},   {"fail", 4, do_fail},     {"batch", 2, do_batch},
    {"destroy", 2, do_destroy}, {"record", 4, do_record}, {"beat", 3, do_beat},
    {"limit", 3, do_limit},     {"epoch", 3, do_epoch},   {"wait", 2, do_wait},
    {"state", 4, do_state},
};

static void run_line(struct golden *g, char *text)
{
    struct line l = {.count = 0};
    for (char *at = strtok(text, " \n"); at != NULL && at[0] != '#'; at = strtok(NULL, " \n")) {
        assert_true(l.count < WORDS);
        l.words[l.count++] = at;
    }
    if (l.count == 0) {
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, l.words[0]) == 0) {
            assert_true(l.count >= verbs[i].least);
            verbs[i].run(g, &l);
            return;
        }
    }
    fail_msg("golden.txt: what is %s?", l.words[0]);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    size_t length = fread(text, 1, 65535, file);
    assert_in_range(length, 1, 65534);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void the_golden_journal(void **state)
{
    (void)state;
    struct golden *g = calloc(1, sizeof *g);
    char *text = read_file("tests/unit/server/core/golden.txt");
    assert_non_null(g);
    g->limits = drive_limits();
    g->d = drive_bare(&g->limits);
    for (char *line = text; *line != 0;) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        run_line(g, line);
        line = end + 1;
    }
    close_entry(g);
    assert_true(g->checks >= 4);
    /* The same once more, in another capacity. */
    struct core_limits larger = g->d->capacity;
    larger.activities_max *= 3;
    larger.names_max *= 2;
    struct drive *again = drive_bare(&larger);
    drive_replay(again, g->d->journal, g->d->journal_bytes);
    assert_true(core_state_hash(again->core) == core_state_hash(g->d->core));
    drive_free(again);
    drive_free(g->d);
    free(text);
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_golden_journal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
