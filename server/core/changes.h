/* The windows of changed documents: what has just changed in the database, and what is by now in
 * the index.
 *
 * A document is (tenant, model, id); its record serves both windows and the changes that wait for
 * the index. In each window it has a set of affected models, each with its times and with the
 * recorder and groups of its latest change. A model leaves change_keep_ms after its latest change,
 * the document's entry with its last model. Two orders are kept per window: models by their latest
 * change (expiry), documents by their last update (pages, per tenant; and what leaves early at a
 * cap).
 *
 * Caps. A document that waits for the index, or that a command is just using, is pinned and stays;
 * of the others ("idle") the one that is idle longest leaves when there are too many documents, and
 * the windows lose the document that was updated longest ago when there are too many models: first
 * of a tenant that holds more than half. The tables have room for the documents of one command
 * above the caps, so that a command is planned as a whole before anything leaves. */
#ifndef ACTIVITYD_SERVER_CORE_CHANGES_H
#define ACTIVITYD_SERVER_CORE_CHANGES_H

#include "server/core/command.h"
#include "server/core/hash.h"
#include "server/core/jobs.h"
#include "server/core/list.h"
#include "server/core/names.h"
#include "server/core/order.h"
#include "server/core/pool.h"

#define CHANGE_VIEWS 2 /* enum core_change_view */

/* One affected model of a document in one window. It holds its names. */
struct change_model {
    uint64_t service_ms; /* of its latest change */
    uint64_t updated_ms;
    uint64_t first_ms;
    uint64_t last_ms;
    struct job_rights rights; /* the recorder and the groups of its latest change */
    uint32_t name;
    uint32_t document;
    uint32_t view;
    struct list_links siblings; /* of the document in this window, by latest change */
    struct list_links expiring; /* of the window, by latest change */
};
_Static_assert(sizeof(struct change_model) == 104, "written as they lie in memory");

/* A document's place in one window. */
struct change_place {
    uint64_t
        order; /* of its last update, one count for both windows; 0: it is not in this window */
    struct list models;
    uint32_t node;             /* of the tenant's documents by last update */
    struct list_links updated; /* of all documents by last update */
};

/* Why no batch may take a document that waits. */
enum change_aside {
    ASIDE_NONE = 0,
    ASIDE_PARKED = 1, /* what would be in flight was refused, and waits for an admin: parked.h */
    ASIDE_RESTS = 2   /* it may be sent once more, but not yet: rests.h */
};

struct change_document {
    uint64_t hash;
    uint32_t tenant; /* names, held */
    uint32_t model;
    uint32_t id_first; /* block */
    uint16_t id_length;
    uint8_t aside; /* enum change_aside */
    uint8_t rests; /* so often in a row it had to rest, UINT8_MAX: or more */
    uint32_t pins;
    uint32_t in_flight; /* so many changes, from the oldest on, are on their way to the index */
    union {
        uint64_t since_ms; /* service time since which it waits for the index */
        uint64_t park_id;  /* when it is parked: of its record in parked.h */
    };
    struct list waiting; /* changes for the index, those in flight included: pending.h */
    uint32_t urgent;     /* so many of them */
    struct list_links queue;
    struct list_links idle;
    struct list_links idle_of_tenant;
    struct change_place places[CHANGE_VIEWS];
};
_Static_assert(sizeof(struct change_document) == 144, "written as they lie in memory");

struct changes {
    struct table documents;
    struct table models;
    struct pool ids;
    struct hash index;
    struct order order;
    struct list updated[CHANGE_VIEWS];
    struct list expiring[CHANGE_VIEWS];
    struct list idle;
    uint64_t last_order;
    uint64_t complete_since_ms[CHANGE_VIEWS]; /* one above the newest change that has left */
    uint32_t pinned;                          /* documents */
    uint32_t pinned_blocks;                   /* of their ids */
};

#define CHANGE_ID_BLOCK 32u
/* For the ids of one command; each wastes less than a block. */
#define CHANGE_ID_BLOCKS_SPARE (LIMIT_CHANGES_BYTES / CHANGE_ID_BLOCK + LIMIT_CHANGES)

/* Where the links of the lists lie. */
#define CHANGE_SIBLINGS       offsetof(struct change_model, siblings)
#define CHANGE_EXPIRING       offsetof(struct change_model, expiring)
#define CHANGE_QUEUE          offsetof(struct change_document, queue)
#define CHANGE_IDLE           offsetof(struct change_document, idle)
#define CHANGE_IDLE_OF_TENANT offsetof(struct change_document, idle_of_tenant)
#define CHANGE_UPDATED(view)                                                                       \
    (offsetof(struct change_document, places[0].updated) +                                         \
     (size_t)(view) * sizeof(struct change_place))

void changes_layout(struct changes *changes, struct region *region,
                    const struct core_limits *capacity);

static inline struct change_document *changes_document(const struct changes *changes,
                                                       uint32_t document)
{
    return table_at(&changes->documents, document);
}
static inline struct change_model *changes_model(const struct changes *changes, uint32_t model)
{
    return table_at(&changes->models, model);
}

/* What a document is known by; tenant and model are names. */
struct change_identity {
    uint32_t tenant;
    uint32_t model;
    struct bytes id;
};

/* The keyed hash of an identity, and the document by both; 0 when there is none. */
uint64_t changes_hash(const struct names *names, const struct change_identity *identity);
uint32_t changes_find(const struct changes *changes, uint64_t hash,
                      const struct change_identity *identity);

/* Finds or makes a document and pins it once more. Always succeeds for the documents of one
 * command; changes_fits says afterwards whether they may stay. */
uint32_t changes_use(struct changes *changes, struct names *names,
                     const struct change_identity *identity);
/* Takes a pin back: with the last one the document is idle, or gone when it stands in no window. */
void changes_unpin(struct changes *changes, struct names *names, uint32_t document);

/* Whether the pinned documents fit within the caps; the others then leave as far as needed by
 * changes_make_room. */
bool changes_fits(const struct changes *changes, const struct core_limits *limits);
void changes_make_room(struct changes *changes, struct names *names,
                       const struct core_limits *limits);

/* What happened to one affected model of a pinned document. */
struct change_update {
    uint32_t document;
    uint32_t view; /* enum core_change_view */
    uint32_t affected_model;
    struct job_rights rights;
    uint64_t first_ms; /* of the window of changes now; in the database's window the first change
                          that is kept counts */
    uint64_t last_ms;
    uint64_t updated_ms;
    uint64_t service_ms;
};
/* Makes or updates the model and puts the document behind all others of the window. Returns the
 * model. */
uint32_t changes_put(struct changes *changes, struct names *names, const struct core_limits *limits,
                     const struct change_update *update);

/* Service time at which something has to leave, UINT64_MAX for never; and letting it leave, about
 * *budget models. */
uint64_t changes_deadline(const struct changes *changes, const struct core_limits *limits);
void changes_expire(struct changes *changes, struct names *names, const struct core_limits *limits,
                    uint64_t service_ms, uint32_t *budget);

/* Loading verifies; verification gives NULL, or what is wrong. What waits for the index is checked
 * in pending.h. */
void changes_save(const struct changes *changes, struct stream_out *out);
void changes_load(struct changes *changes, struct names *names, struct stream_in *in);
const char *changes_verify(struct changes *changes, struct names *names, uint64_t service_ms);

/* Whether a name is that of a model, short enough for what shows it. Total: for verification. */
bool change_model_name_sound(const struct names *names, uint32_t name);

#endif
