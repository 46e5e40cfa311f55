/* Documents, and all that was recorded of them: a naive model that judges what an index has, what
 * it had in between, and what was announced. Documents of odd numbers have fragments (model
 * "orders"), the others are whole ("products"). Each change has a field "n", which counts the
 * document's changes from 1. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_RECORDED_H
#define ACTIVITYD_TESTS_E2E_HARNESS_RECORDED_H

#include "tests/e2e/harness.h"
#include "tests/e2e/harness_opensearch.h"

#include <jansson.h>

struct recorded_change {
    uint64_t accept_ms; /* 0: not answered yet */
    uint32_t affected;
    char *json; /* NULL: a deletion */
};

struct recorded_document {
    char id[48];
    bool fragments;
    uint64_t ticket; /* of its last change */
    struct recorded_change *changes;
    uint32_t count;
    uint32_t room;
};

/* A document belongs to one thread until all is recorded. */
struct recorded {
    struct recorded_document *documents;
    uint32_t count;
};

void recorded_init(struct recorded *recorded, uint32_t documents);
void recorded_deinit(struct recorded *recorded); /* accepts a zeroed one */

const char *recorded_model(const struct recorded_document *document);
const char *recorded_affected(uint32_t affected);

/* Adds a change and tells its place: a whole document, a fragment, a deletion now and then. */
uint32_t recorded_draw(struct recorded_document *document, uint64_t *random);
/* What the document is after so many changes: a new reference, or NULL: it is not there. */
json_t *recorded_state(const struct recorded_document *document, uint32_t changes);

/* The document of that name; false: there is none. */
bool recorded_find(const struct recorded *recorded, const char *model, const char *id,
                   uint32_t *document);

/* An event about the index, in the order in which they came. */
struct announcement {
    uint32_t document;
    uint32_t affected;
    bool deleted;
    uint64_t first_ms;
    uint64_t last_ms;
    uint64_t updated_ms;
};
/* Takes an event; false, with a sentence: it is none about one of the documents. */
struct activity_event;
bool recorded_announcement(const struct recorded *recorded, const struct activity_event *event,
                           struct announcement *announcement, char *why, size_t why_size);

/* What the index showed of a document just after an announcement. */
struct sighting {
    struct announcement after;
    json_t *source; /* NULL: it is not there */
};

/* Each fails the test when something is wrong, after telling the first few things. */

/* P7: per document and affected model each change is in one announcement, in order and without
 * hole, sent after the last of them was accepted; nothing goes back. */
void recorded_check_announcements(const struct recorded *recorded,
                                  const struct announcement *announcements, size_t count);
/* Each is what the document was after one of its changes, not before the one announced. Sorts the
 * sightings. */
void recorded_check_sightings(const struct recorded *recorded, struct sighting *sightings,
                              size_t count);
/* A search finds all documents as they are at last, and no other. */
void recorded_check_index(const struct recorded *recorded, struct opensearch *node);

#endif
