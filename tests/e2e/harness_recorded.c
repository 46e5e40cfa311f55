#include "tests/e2e/harness_recorded.h"

#include <activity_feed.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/index/script.h"
#include "tests/e2e/harness_patch.h"

enum {
    AFFECTED = 3,      /* models */
    DELETIONS_IN = 20, /* so many changes has a deletion */
    DEPTH = 3,
    TOLD_MAX = 5, /* of what is wrong */
    PAGE = 1000,
};

/* ---- Documents ---- */

/* Some have names that need care in JSON. */
static void name_document(struct recorded_document *document, uint32_t number)
{
    document->fragments = number % 2 == 1;
    (void)snprintf(document->id, sizeof document->id, "d-%u%s", number,
                   number % 7 == 3 ? " \"Gr\xc3\xbc\xc3\x9f"
                                     "e\"/\\"
                                   : "");
}

void recorded_init(struct recorded *recorded, uint32_t documents)
{
    recorded->documents = calloc(documents, sizeof *recorded->documents);
    recorded->count = documents;
    CHECK(recorded->documents != NULL);
    for (uint32_t i = 0; i < documents; i++) {
        name_document(&recorded->documents[i], i);
    }
}

void recorded_deinit(struct recorded *recorded)
{
    for (uint32_t i = 0; i < recorded->count; i++) {
        struct recorded_document *document = &recorded->documents[i];
        for (uint32_t k = 0; k < document->count; k++) {
            free(document->changes[k].json);
        }
        free(document->changes);
    }
    free(recorded->documents);
    *recorded = (struct recorded){.count = 0};
}

const char *recorded_model(const struct recorded_document *document)
{
    return document->fragments ? "orders" : "products";
}

const char *recorded_affected(uint32_t affected)
{
    static const char *const names[AFFECTED] = {"item", "price", "stock"};
    CHECK(affected < AFFECTED);
    return names[affected];
}

bool recorded_find(const struct recorded *recorded, const char *model, const char *id,
                   uint32_t *document)
{
    char *end;
    if (strncmp(id, "d-", 2) != 0) {
        return false;
    }
    unsigned long number = strtoul(id + 2, &end, 10);
    if (number >= recorded->count || strcmp(recorded->documents[number].id, id) != 0) {
        return false;
    }
    *document = (uint32_t)number;
    return strcmp(recorded_model(&recorded->documents[number]), model) == 0;
}

/* ---- Changes ---- */

uint32_t recorded_draw(struct recorded_document *document, uint64_t *random)
{
    if (document->count == document->room) {
        document->room = document->room == 0 ? 16 : 2 * document->room;
        document->changes = realloc(document->changes, document->room * sizeof *document->changes);
        CHECK(document->changes != NULL);
    }
    struct recorded_change *change = &document->changes[document->count];
    *change = (struct recorded_change){.affected = (uint32_t)(random_next(random) % AFFECTED)};
    if (random_next(random) % DELETIONS_IN != 0) {
        json_t *json = patch_random(random, DEPTH);
        CHECK(json_object_set_new(json, "n", json_integer(document->count + 1)) == 0);
        change->json = json_dumps(json, JSON_COMPACT);
        CHECK(change->json != NULL);
        json_decref(json);
    }
    return document->count++;
}

static json_t *loads(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    CHECK(json != NULL);
    return json;
}

/* What a change makes of a document (taken). */
static json_t *apply(const struct recorded_document *document, const struct recorded_change *change,
                     json_t *state)
{
    json_t *next = change->json == NULL ? NULL : loads(change->json);
    if (document->fragments && next == NULL) {
        next = json_pack("{s:b}", INDEX_FIELD_DELETED, 1);
    } else if (document->fragments) {
        json_t *patch = next;
        next = patch_apply(state, patch);
        (void)json_object_del(next, INDEX_FIELD_DELETED);
        json_decref(patch);
    }
    json_decref(state);
    return next;
}

json_t *recorded_state(const struct recorded_document *document, uint32_t changes)
{
    json_t *state = NULL;
    /* A whole document is what it was made last. */
    for (uint32_t i = document->fragments || changes == 0 ? 0 : changes - 1; i < changes; i++) {
        state = apply(document, &document->changes[i], state);
    }
    return state;
}

/* ---- What is wrong ---- */

static uint32_t told;

__attribute__((format(printf, 2, 3))) static void wrong(const struct recorded_document *document,
                                                        const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (told++ < TOLD_MAX) {
        print_error("%s %s: %s\n", recorded_model(document), document->id, text);
    }
}

static void fail_if_told(const char *what)
{
    uint32_t count = told;
    told = 0;
    if (count > 0) {
        fail_msg("%u %s wrong", count, what);
    }
}

/* ---- Announcements ---- */

bool recorded_announcement(const struct recorded *recorded, const struct activity_event *event,
                           struct announcement *announcement, char *why, size_t why_size)
{
    const struct activity_model_change *change = event->change;
    const struct activity_affected_model *model = change->affected_models;
    if (change->affected_model_count != 1 || strncmp(change->model, "es:", 3) != 0 ||
        !recorded_find(recorded, change->model + 3, change->document_id, &announcement->document)) {
        (void)snprintf(why, why_size, "an event of %s %s", change->model, change->document_id);
        return false;
    }
    announcement->affected = 0;
    while (strcmp(recorded_affected(announcement->affected), model->affected_model) != 0) {
        if (++announcement->affected == AFFECTED) {
            (void)snprintf(why, why_size, "an event of %s", model->affected_model);
            return false;
        }
    }
    announcement->deleted = event->deleted;
    announcement->first_ms = model->first_ms;
    announcement->last_ms = model->last_ms;
    announcement->updated_ms = model->updated_ms;
    return true;
}

/* What was announced of an affected model of a document so far. */
struct series {
    uint32_t next; /* changes before this one were in it, but for those of the last millisecond */
    uint64_t last_ms;
    uint64_t updated_ms;
};

/* How many changes of that affected model were accepted in a millisecond, and how many of them were
 * deletions. */
struct moment {
    uint32_t changes;
    uint32_t deletions;
};

static struct moment moment_of(const struct recorded_document *document, uint32_t affected,
                               uint64_t accept_ms)
{
    struct moment moment = {0};
    for (uint32_t i = 0; i < document->count; i++) {
        const struct recorded_change *change = &document->changes[i];
        if (change->accept_ms == accept_ms && change->affected == affected) {
            moment.changes++;
            moment.deletions += change->json == NULL;
        }
    }
    return moment;
}

static uint32_t next_of(const struct recorded_document *document, uint32_t affected, uint32_t from)
{
    while (from < document->count && document->changes[from].affected != affected) {
        from++;
    }
    return from;
}

static void check_announcement(const struct recorded_document *document, struct series *series,
                               const struct announcement *told_of)
{
    const struct announcement a = *told_of;
    uint32_t next = next_of(document, a.affected, series->next);
    bool goes_on = next < document->count && document->changes[next].accept_ms == a.first_ms;
    /* Two changes of one millisecond may be in two batches. */
    bool ties =
        a.first_ms == series->last_ms && moment_of(document, a.affected, a.first_ms).changes > 1;
    struct moment last = moment_of(document, a.affected, a.last_ms);
    if (!goes_on && !ties) {
        wrong(document, "announced from %llu on, after %llu", (unsigned long long)a.first_ms,
              (unsigned long long)series->last_ms);
    } else if (last.changes == 0) {
        wrong(document, "announced up to %llu, when nothing was accepted",
              (unsigned long long)a.last_ms);
    } else if (a.first_ms > a.last_ms || a.last_ms < series->last_ms || a.updated_ms < a.last_ms ||
               a.updated_ms < series->updated_ms) {
        wrong(document, "%llu to %llu at %llu, after one to %llu at %llu",
              (unsigned long long)a.first_ms, (unsigned long long)a.last_ms,
              (unsigned long long)a.updated_ms, (unsigned long long)series->last_ms,
              (unsigned long long)series->updated_ms);
    } else if (a.deleted ? last.deletions == 0 : last.deletions == last.changes) {
        wrong(document, "announced as %s", a.deleted ? "deleted" : "there");
    }
    while (next < document->count && document->changes[next].accept_ms <= a.last_ms) {
        next++;
    }
    series->next = next;
    series->last_ms = a.last_ms;
    series->updated_ms = a.updated_ms;
}

/* The batches of a document, over all its affected models. */
struct attempt {
    uint64_t updated_ms; /* of the latest one */
    uint64_t last_ms;    /* in it so far */
    uint64_t before_ms;  /* in those before it */
};

/* The models of one batch interlock in time; another batch begins where the last one ended. */
static void check_attempt(const struct recorded_document *document, struct attempt *attempt,
                          const struct announcement *a)
{
    if (a->updated_ms > attempt->updated_ms) {
        attempt->before_ms = attempt->last_ms;
        attempt->updated_ms = a->updated_ms;
    }
    if (a->updated_ms < attempt->updated_ms || a->first_ms < attempt->before_ms) {
        wrong(document, "from %llu on at %llu, after one to %llu, and one at %llu",
              (unsigned long long)a->first_ms, (unsigned long long)a->updated_ms,
              (unsigned long long)attempt->before_ms, (unsigned long long)attempt->updated_ms);
    }
    attempt->last_ms = a->last_ms > attempt->last_ms ? a->last_ms : attempt->last_ms;
}

void recorded_check_announcements(const struct recorded *recorded,
                                  const struct announcement *announcements, size_t count)
{
    struct series *all = calloc((size_t)recorded->count * AFFECTED, sizeof *all);
    struct attempt *attempts = calloc(recorded->count, sizeof *attempts);
    CHECK(all != NULL && attempts != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct announcement *a = &announcements[i];
        check_announcement(&recorded->documents[a->document],
                           &all[a->document * AFFECTED + a->affected], a);
        check_attempt(&recorded->documents[a->document], &attempts[a->document], a);
    }
    free(attempts);
    for (uint32_t i = 0; i < recorded->count * AFFECTED; i++) {
        const struct recorded_document *document = &recorded->documents[i / AFFECTED];
        uint32_t next = next_of(document, i % AFFECTED, all[i].next);
        if (next != document->count) {
            wrong(document, "change %u was never announced", next + 1);
        }
    }
    free(all);
    fail_if_told("announcements are");
}

/* ---- Sightings ---- */

/* The change that an announcement tells of, at the earliest. */
static uint32_t change_of(const struct recorded_document *document, const struct announcement *a)
{
    uint32_t at = next_of(document, a->affected, 0);
    while (at < document->count && document->changes[at].accept_ms != a->last_ms) {
        at = next_of(document, a->affected, at + 1);
    }
    return at;
}

static bool is_deleted(const json_t *state)
{
    return state == NULL || json_is_true(json_object_get(state, INDEX_FIELD_DELETED));
}

/* The number of changes that made what was seen; 0: a deletion. */
static uint32_t number_of(const struct sighting *sighting)
{
    return is_deleted(sighting->source)
               ? 0
               : (uint32_t)json_integer_value(json_object_get(sighting->source, "n"));
}

static int compare_sightings(const void *a, const void *b)
{
    const struct sighting *left = a;
    const struct sighting *right = b;
    if (left->after.document != right->after.document) {
        return left->after.document < right->after.document ? -1 : 1;
    }
    uint32_t numbers[2] = {number_of(left), number_of(right)};
    return numbers[0] < numbers[1] ? -1 : numbers[0] > numbers[1];
}

/* The sequence is the server's. */
static void drop_sequence(const struct recorded_document *document, json_t *source)
{
    if (source != NULL && document->fragments) {
        if (json_integer_value(json_object_get(source, INDEX_FIELD_SEQUENCE)) <= 0) {
            wrong(document, "has no sequence");
        }
        (void)json_object_del(source, INDEX_FIELD_SEQUENCE);
    }
}

static void show_difference(const struct recorded_document *document, const json_t *is,
                            const json_t *should_be)
{
    char *texts[2] = {is == NULL ? NULL : json_dumps(is, JSON_COMPACT | JSON_SORT_KEYS),
                      should_be == NULL ? NULL
                                        : json_dumps(should_be, JSON_COMPACT | JSON_SORT_KEYS)};
    wrong(document, "is %.200s, and should be %.200s", texts[0] == NULL ? "absent" : texts[0],
          texts[1] == NULL ? "absent" : texts[1]);
    free(texts[0]);
    free(texts[1]);
}

static void check_equal(const struct recorded_document *document, const json_t *is,
                        const json_t *should_be)
{
    if ((is == NULL) != (should_be == NULL) || (is != NULL && !json_equal(is, should_be))) {
        show_difference(document, is, should_be);
    }
}

static void check_deletion(const struct recorded_document *document, uint32_t first,
                           const json_t *source)
{
    uint32_t at = first;
    while (at < document->count && document->changes[at].json != NULL) {
        at++;
    }
    if (at == document->count) {
        wrong(document, "was gone, although not deleted by change %u or later", first + 1);
    } else if (document->fragments) {
        json_t *state = apply(document, &document->changes[at], NULL);
        check_equal(document, source, state);
        json_decref(state);
    } else if (source != NULL) {
        wrong(document, "is marked as deleted");
    }
}

void recorded_check_sightings(const struct recorded *recorded, struct sighting *sightings,
                              size_t count)
{
    qsort(sightings, count, sizeof *sightings, compare_sightings);
    const struct recorded_document *document = NULL;
    json_t *state = NULL;
    uint32_t applied = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sighting *sighting = &sightings[i];
        if (document != &recorded->documents[sighting->after.document]) {
            document = &recorded->documents[sighting->after.document];
            json_decref(state);
            state = NULL;
            applied = 0;
        }
        uint32_t first = change_of(document, &sighting->after);
        uint32_t number = number_of(sighting);
        drop_sequence(document, sighting->source);
        if (first == document->count) {
            continue; /* the announcement itself is wrong */
        }
        if (is_deleted(sighting->source)) {
            check_deletion(document, first, sighting->source);
        } else if (number <= first || number > document->count) {
            wrong(document, "was at change %u when change %u was announced", number, first + 1);
        } else {
            for (; applied < number; applied++) {
                state = apply(document, &document->changes[applied], state);
            }
            check_equal(document, sighting->source, state);
        }
    }
    json_decref(state);
    fail_if_told("sightings are");
}

/* ---- The whole index ---- */

/* Checks one page; how many hits it had. */
static size_t check_page(const struct recorded *recorded, const char *model, const json_t *page,
                         bool *seen)
{
    const json_t *hits = json_object_get(json_object_get(page, "hits"), "hits");
    size_t at;
    json_t *hit;
    assert_non_null(hits);
    json_array_foreach(hits, at, hit)
    {
        uint32_t number = 0;
        const char *id = json_string_value(json_object_get(hit, "_id"));
        if (id == NULL || !recorded_find(recorded, model, id, &number) || seen[number]) {
            fail_msg("%s has \"%s\"%s", model, id == NULL ? "" : id, id == NULL ? "" : " as well");
        }
        const struct recorded_document *document = &recorded->documents[number];
        seen[number] = true;
        json_t *source = json_object_get(hit, "_source");
        json_t *state = recorded_state(document, document->count);
        drop_sequence(document, source);
        check_equal(document, source, state);
        json_decref(state);
    }
    return json_array_size(hits);
}

static void check_pages(const struct recorded *recorded, struct opensearch *node, const char *model,
                        bool *seen)
{
    char path[64];
    char body[64];
    int status = 0;
    (void)snprintf(path, sizeof path, "/acme-%s/_search?scroll=1m", model);
    (void)snprintf(body, sizeof body, "{\"size\":%d,\"sort\":[\"_doc\"]}", PAGE);
    json_t *page = opensearch_ask(node, "POST", path, body, &status);
    assert_int_equal(status, 200);
    while (check_page(recorded, model, page, seen) > 0) {
        json_t *next = json_pack("{s:s,s:O}", "scroll", "1m", "scroll_id",
                                 json_object_get(page, "_scroll_id"));
        char *text = json_dumps(next, JSON_COMPACT);
        json_decref(page);
        json_decref(next);
        page = opensearch_ask(node, "POST", "/_search/scroll", text, &status);
        free(text);
        assert_int_equal(status, 200);
    }
    json_decref(page);
}

void recorded_check_index(const struct recorded *recorded, struct opensearch *node)
{
    bool *seen = calloc(recorded->count, sizeof *seen);
    CHECK(seen != NULL);
    check_pages(recorded, node, "orders", seen);
    check_pages(recorded, node, "products", seen);
    for (uint32_t i = 0; i < recorded->count; i++) {
        const struct recorded_document *document = &recorded->documents[i];
        if (!seen[i]) {
            json_t *state = recorded_state(document, document->count);
            check_equal(document, NULL, state);
            json_decref(state);
        }
    }
    free(seen);
    fail_if_told("documents in the index are");
}
