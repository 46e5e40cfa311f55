#include "server/core/changes.h"

#include "server/check.h"
#include "server/core/shares.h"
#include "server/core/siphash.h"

void changes_layout(struct changes *changes, struct region *region,
                    const struct core_limits *capacity)
{
    uint64_t documents = capacity->change_documents_max + LIMIT_CHANGES;
    *changes = (struct changes){.last_order = 0};
    table_layout(&changes->documents, region, documents, sizeof(struct change_document));
    table_layout(&changes->models, region, capacity->change_models_max,
                 sizeof(struct change_model));
    pool_layout(&changes->ids, region,
                capacity->change_text_bytes + CHANGE_ID_BLOCKS_SPARE * CHANGE_ID_BLOCK,
                CHANGE_ID_BLOCK);
    hash_layout(&changes->index, region, documents);
    order_layout(&changes->order, region, CHANGE_VIEWS * documents);
}

static uint64_t blocks_max(const struct core_limits *limits)
{
    return limits->change_text_bytes / CHANGE_ID_BLOCK;
}

/* ---- Documents ---- */

uint64_t changes_hash(const struct names *names, const struct change_identity *identity)
{
    struct siphash hash;
    uint64_t head = (uint64_t)identity->tenant << 32 | identity->model;
    siphash_init(&hash, names->key);
    siphash_add(&hash, &head, sizeof head);
    siphash_add(&hash, identity->id.at, identity->id.length);
    return siphash_finish(&hash);
}

uint32_t changes_find(const struct changes *changes, uint64_t hash,
                      const struct change_identity *identity)
{
    for (uint32_t at = hash_first(&changes->index, hash); at != 0;
         at = hash_next(&changes->index, at)) {
        const struct change_document *document = changes_document(changes, at);
        if (document->hash == hash && document->tenant == identity->tenant &&
            document->model == identity->model && document->id_length == identity->id.length &&
            pool_equal(&changes->ids, document->id_first, identity->id)) {
            return at;
        }
    }
    return 0;
}

static uint32_t make(struct changes *changes, struct names *names, uint64_t hash,
                     const struct change_identity *identity)
{
    uint32_t at = table_take(&changes->documents);
    struct change_document *document = changes_document(changes, at);
    document->hash = hash;
    document->tenant = identity->tenant;
    document->model = identity->model;
    document->id_first = pool_put(&changes->ids, identity->id);
    document->id_length = (uint16_t)identity->id.length;
    hash_insert(&changes->index, hash, at);
    names_hold(names, identity->tenant);
    names_hold(names, identity->model);
    shares_add(names, identity->tenant, SHARE_DOCUMENTS, 1);
    shares_add(names, identity->tenant, SHARE_CHANGE_TEXT,
               pool_blocks(&changes->ids, identity->id.length));
    return at;
}

static void give(struct changes *changes, struct names *names, uint32_t at)
{
    const struct change_document *document = changes_document(changes, at);
    uint32_t tenant = document->tenant;
    uint32_t model = document->model;
    shares_sub(names, tenant, SHARE_DOCUMENTS, 1);
    shares_sub(names, tenant, SHARE_CHANGE_TEXT, pool_blocks(&changes->ids, document->id_length));
    hash_remove(&changes->index, document->hash, at);
    pool_free(&changes->ids, document->id_first);
    table_give(&changes->documents, at);
    names_release(names, model);
    names_release(names, tenant);
}

static void idle_remove(struct changes *changes, struct names *names, uint32_t at)
{
    struct tenant *tenant = shares_of(names, changes_document(changes, at)->tenant);
    list_remove(&changes->idle, &changes->documents, CHANGE_IDLE, at);
    list_remove(&tenant->lists[SHARE_DOCUMENTS], &changes->documents, CHANGE_IDLE_OF_TENANT, at);
}

uint32_t changes_use(struct changes *changes, struct names *names,
                     const struct change_identity *identity)
{
    uint64_t hash = changes_hash(names, identity);
    uint32_t at = changes_find(changes, hash, identity);
    bool found = at != 0;
    if (!found) {
        at = make(changes, names, hash, identity);
    }
    if (changes_document(changes, at)->pins++ == 0) {
        changes->pinned++;
        changes->pinned_blocks += pool_blocks(&changes->ids, identity->id.length);
        if (found) {
            idle_remove(changes, names, at);
        }
    }
    return at;
}

void changes_unpin(struct changes *changes, struct names *names, uint32_t at)
{
    struct change_document *document = changes_document(changes, at);
    CHECK(document->pins != 0);
    if (--document->pins != 0) {
        return;
    }
    changes->pinned--;
    changes->pinned_blocks -= pool_blocks(&changes->ids, document->id_length);
    if (document->places[0].order == 0 && document->places[1].order == 0) {
        give(changes, names, at);
        return;
    }
    list_append(&changes->idle, &changes->documents, CHANGE_IDLE, at);
    list_append(&shares_of(names, document->tenant)->lists[SHARE_DOCUMENTS], &changes->documents,
                CHANGE_IDLE_OF_TENANT, at);
}

/* ---- Places in the windows ---- */

static void place_leave(struct changes *changes, struct names *names, uint32_t at, uint32_t view)
{
    struct change_document *document = changes_document(changes, at);
    struct change_place *place = &document->places[view];
    order_remove(&changes->order, &shares_of(names, document->tenant)->changes[view], place->node);
    list_remove(&changes->updated[view], &changes->documents, CHANGE_UPDATED(view), at);
    place->order = 0;
    place->node = 0;
}

static void place_update(struct changes *changes, struct names *names, uint32_t at, uint32_t view)
{
    struct change_document *document = changes_document(changes, at);
    struct change_place *place = &document->places[view];
    if (place->order != 0) {
        place_leave(changes, names, at, view);
    }
    if (changes->order.nodes.high == 0) {
        memcpy(&changes->order.salt, names->key, sizeof changes->order.salt);
    }
    place->order = ++changes->last_order;
    place->node = order_append(&changes->order, &shares_of(names, document->tenant)->changes[view],
                               place->order, at);
    list_append(&changes->updated[view], &changes->documents, CHANGE_UPDATED(view), at);
}

/* Takes a model out of its window, and tells so: the window is complete only behind its latest
 * change. */
static void model_leave(struct changes *changes, struct names *names, uint32_t id)
{
    struct change_model *model = changes_model(changes, id);
    struct change_document *document = changes_document(changes, model->document);
    uint64_t *since = &changes->complete_since_ms[model->view];
    *since = *since > model->updated_ms ? *since : model->updated_ms + 1;
    list_remove(&document->places[model->view].models, &changes->models, CHANGE_SIBLINGS, id);
    list_remove(&changes->expiring[model->view], &changes->models, CHANGE_EXPIRING, id);
    shares_sub(names, document->tenant, SHARE_MODELS, 1);
    job_rights_release(names, &model->rights);
    names_release(names, model->name);
    table_give(&changes->models, id);
}

/* The document's entry goes with its last model, the document with its last entry. */
static void leave_empty(struct changes *changes, struct names *names, uint32_t at, uint32_t view)
{
    struct change_document *document = changes_document(changes, at);
    if (document->places[view].models.count != 0) {
        return;
    }
    place_leave(changes, names, at, view);
    if (document->pins == 0 && document->places[1 - view].order == 0) {
        idle_remove(changes, names, at);
        give(changes, names, at);
    }
}

/* The whole entry leaves. Returns how many models that were. */
static uint32_t entry_leave(struct changes *changes, struct names *names, uint32_t at,
                            uint32_t view)
{
    struct list *models = &changes_document(changes, at)->places[view].models;
    uint32_t count = models->count;
    for (uint32_t left = count; left != 0; left--) {
        model_leave(changes, names, models->first);
    }
    leave_empty(changes, names, at, view);
    return count;
}

/* ---- Room ---- */

bool changes_fits(const struct changes *changes, const struct core_limits *limits)
{
    return changes->pinned <= limits->change_documents_max &&
           changes->pinned_blocks <= blocks_max(limits);
}

static bool too_many_documents(const struct changes *changes, const struct core_limits *limits)
{
    return changes->documents.used > limits->change_documents_max ||
           changes->ids.blocks.used > blocks_max(limits);
}

/* The longest idle document leaves both windows, and so the table. */
static uint32_t idle_leave(struct changes *changes, struct names *names,
                           const struct core_limits *limits)
{
    bool count = changes->documents.used > limits->change_documents_max;
    uint32_t heavy = count ? shares_heaviest(names, SHARE_DOCUMENTS, limits->change_documents_max)
                           : shares_heaviest(names, SHARE_CHANGE_TEXT, blocks_max(limits));
    uint32_t at = heavy == 0 ? 0 : shares_of(names, heavy)->lists[SHARE_DOCUMENTS].first;
    at = at != 0 ? at : changes->idle.first;
    bool both = changes_document(changes, at)->places[0].order != 0 &&
                changes_document(changes, at)->places[1].order != 0;
    uint32_t view = changes_document(changes, at)->places[0].order != 0 ? 0 : 1;
    uint32_t left = entry_leave(changes, names, at, view);
    return both ? left + entry_leave(changes, names, at, 1) : left;
}

void changes_make_room(struct changes *changes, struct names *names,
                       const struct core_limits *limits)
{
    while (too_many_documents(changes, limits) && changes->idle.count != 0) {
        (void)idle_leave(changes, names, limits);
    }
}

/* The entry that was updated longest ago in either window leaves. */
static uint32_t oldest_entry_leave(struct changes *changes, struct names *names,
                                   const struct core_limits *limits)
{
    uint32_t heavy = shares_heaviest(names, SHARE_MODELS, limits->change_models_max);
    uint32_t oldest[CHANGE_VIEWS];
    for (uint32_t view = 0; view < CHANGE_VIEWS; view++) {
        oldest[view] = changes->updated[view].first;
        if (heavy != 0) {
            uint32_t node =
                order_after(&changes->order, &shares_of(names, heavy)->changes[view], 0);
            oldest[view] = node == 0 ? 0 : order_node(&changes->order, node)->item;
        }
    }
    uint32_t view = 0;
    if (oldest[0] == 0 ||
        (oldest[1] != 0 && changes_document(changes, oldest[1])->places[1].order <
                               changes_document(changes, oldest[0])->places[0].order)) {
        view = 1;
    }
    CHECK(oldest[view] != 0);
    return entry_leave(changes, names, oldest[view], view);
}

/* ---- Changes ---- */

static uint32_t model_find(const struct changes *changes, const struct change_place *place,
                           uint32_t name)
{
    uint32_t id = place->models.last; /* the same model changes again and again */
    while (id != 0 && changes_model(changes, id)->name != name) {
        id = changes_model(changes, id)->siblings.previous;
    }
    return id;
}

static uint32_t model_make(struct changes *changes, struct names *names,
                           const struct core_limits *limits, const struct change_update *update)
{
    struct change_document *document = changes_document(changes, update->document);
    struct change_place *place = &document->places[update->view];
    if (place->models.count >= LIMIT_AFFECTED_MODELS) {
        model_leave(changes, names, place->models.first);
    }
    while (changes->models.used >= limits->change_models_max) {
        (void)oldest_entry_leave(changes, names, limits);
    }
    uint32_t id = table_take(&changes->models);
    struct change_model *model = changes_model(changes, id);
    model->name = update->affected_model;
    model->document = update->document;
    model->view = update->view;
    model->first_ms = update->first_ms;
    names_hold(names, model->name);
    shares_add(names, document->tenant, SHARE_MODELS, 1);
    return id;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint32_t changes_put(struct changes *changes, struct names *names, const struct core_limits *limits,
                     const struct change_update *update)
{
    struct change_document *document = changes_document(changes, update->document);
    struct change_place *place = &document->places[update->view];
    CHECK(document->pins != 0);
    job_rights_hold(names,
                    &update->rights); /* before the old one is released: it may be the same */
    uint32_t id = model_find(changes, place, update->affected_model);
    if (id == 0) {
        id = model_make(changes, names, limits, update);
    } else {
        list_remove(&place->models, &changes->models, CHANGE_SIBLINGS, id);
        list_remove(&changes->expiring[update->view], &changes->models, CHANGE_EXPIRING, id);
        job_rights_release(names, &changes_model(changes, id)->rights);
    }
    struct change_model *model = changes_model(changes, id);
    model->rights = update->rights;
    model->service_ms = update->service_ms;
    model->updated_ms = later(model->updated_ms, update->updated_ms);
    model->last_ms = later(model->last_ms, update->last_ms);
    if (update->view == 1) { /* the latest batch counts, and never goes back */
        model->first_ms = later(model->first_ms, update->first_ms);
    }
    list_append(&place->models, &changes->models, CHANGE_SIBLINGS, id);
    list_append(&changes->expiring[update->view], &changes->models, CHANGE_EXPIRING, id);
    place_update(changes, names, update->document, update->view);
    return id;
}

/* ---- Expiry ---- */

static bool too_much(const struct changes *changes, const struct core_limits *limits)
{
    return changes->models.used > limits->change_models_max ||
           (too_many_documents(changes, limits) && changes->idle.count != 0);
}

static uint64_t view_deadline(const struct changes *changes, const struct core_limits *limits,
                              uint32_t view)
{
    uint32_t first = changes->expiring[view].first;
    return first == 0 ? UINT64_MAX
                      : changes_model(changes, first)->service_ms + limits->change_keep_ms;
}

uint64_t changes_deadline(const struct changes *changes, const struct core_limits *limits)
{
    if (too_much(changes, limits)) { /* a cap was lowered */
        return 0;
    }
    uint64_t database = view_deadline(changes, limits, 0);
    uint64_t index = view_deadline(changes, limits, 1);
    return database < index ? database : index;
}

static void expire_view(struct changes *changes, struct names *names,
                        const struct core_limits *limits, uint32_t view, uint64_t service_ms,
                        uint32_t *budget)
{
    for (; *budget > 0 && view_deadline(changes, limits, view) <= service_ms; --*budget) {
        uint32_t id = changes->expiring[view].first;
        uint32_t document = changes_model(changes, id)->document;
        model_leave(changes, names, id);
        leave_empty(changes, names, document, view);
    }
}

void changes_expire(struct changes *changes, struct names *names, const struct core_limits *limits,
                    uint64_t service_ms, uint32_t *budget)
{
    expire_view(changes, names, limits, 0, service_ms, budget);
    expire_view(changes, names, limits, 1, service_ms, budget);
    while (*budget > 0 && too_much(changes, limits)) {
        bool models = changes->models.used > limits->change_models_max;
        uint32_t left = models ? oldest_entry_leave(changes, names, limits)
                               : idle_leave(changes, names, limits);
        *budget -= left < *budget ? left : *budget;
    }
}
