/* The windows of changes in a snapshot, and every rule that their records obey: total on any bytes.
 */
#include "server/check.h"
#include "server/core/changes.h"
#include "server/core/shares.h"
#include "server/core/stream.h"

bool change_model_name_sound(const struct names *names, uint32_t name)
{
    return names_is(names, name, NAME_MODEL, 0) &&
           names_at(names, name)->length <= LIMIT_MODEL_LENGTH;
}

/* One place: its models are this document's, different ones, in order of time. */
static bool place_sound(struct changes *changes, const struct names *names, uint32_t at,
                        uint32_t view)
{
    const struct change_document *document = changes_document(changes, at);
    const struct change_place *place = &document->places[view];
    if (place->models.count > LIMIT_AFFECTED_MODELS ||
        (place->models.count == 0) != (place->order == 0) ||
        !list_sound(&place->models, &changes->models, CHANGE_SIBLINGS)) {
        return false;
    }
    uint64_t before_ms = 0;
    for (uint32_t id = place->models.first; id != 0;
         id = list_next(&changes->models, CHANGE_SIBLINGS, id)) {
        const struct change_model *model = changes_model(changes, id);
        if (!table_claim(&changes->models, id) || model->document != at || model->view != view ||
            model->service_ms < before_ms || model->first_ms > model->last_ms ||
            model->last_ms > model->updated_ms || !change_model_name_sound(names, model->name) ||
            model->rights.tenant != document->tenant || !job_rights_sound(names, &model->rights)) {
            return false;
        }
        for (uint32_t other = model->siblings.previous; other != 0;
             other = changes_model(changes, other)->siblings.previous) {
            if (changes_model(changes, other)->name == model->name) {
                return false;
            }
        }
        before_ms = model->service_ms;
    }
    return true;
}

static const char *verify_documents(struct changes *changes, struct names *names)
{
    uint64_t pinned = 0;
    uint64_t pinned_blocks = 0;
    table_claim_begin(&changes->models);
    table_claim_begin(&changes->ids.blocks);
    for (uint32_t at = table_next(&changes->documents, 0); at != 0;
         at = table_next(&changes->documents, at)) {
        const struct change_document *document = changes_document(changes, at);
        if (!names_is(names, document->tenant, NAME_TENANT, 0) ||
            !change_model_name_sound(names, document->model) || document->id_length == 0 ||
            document->id_length > LIMIT_DOCUMENT_ID_LENGTH ||
            !pool_claim(&changes->ids, document->id_first, document->id_length)) {
            return "changes: a document without its names or id";
        }
        if (!place_sound(changes, names, at, 0) || !place_sound(changes, names, at, 1)) {
            return "changes: a document's models are not sound";
        }
        if (document->pins == 0 && document->places[0].order == 0 &&
            document->places[1].order == 0) {
            return "changes: a document that nothing needs";
        }
        pinned += document->pins != 0;
        pinned_blocks += document->pins != 0 ? pool_blocks(&changes->ids, document->id_length) : 0;
    }
    if (!table_claimed_all(&changes->models) || !table_claimed_all(&changes->ids.blocks)) {
        return "changes: memory that belongs to no document";
    }
    return pinned == changes->pinned && pinned_blocks == changes->pinned_blocks
               ? NULL
               : "changes: pinned documents are miscounted";
}

/* Both orders of one window. */
static const char *verify_view(const struct changes *changes, uint32_t view, uint64_t service_ms)
{
    if (!list_sound(&changes->updated[view], &changes->documents, CHANGE_UPDATED(view)) ||
        !list_sound(&changes->expiring[view], &changes->models, CHANGE_EXPIRING)) {
        return "changes: a window's list is broken";
    }
    uint64_t before = 0;
    uint32_t models = 0;
    for (uint32_t at = changes->updated[view].first; at != 0;
         at = list_next(&changes->documents, CHANGE_UPDATED(view), at)) {
        const struct change_place *place = &changes_document(changes, at)->places[view];
        if (place->order <= before || place->order > changes->last_order) {
            return "changes: a window's documents are not in order";
        }
        before = place->order;
        models += place->models.count;
    }
    if (models != changes->expiring[view].count) {
        return "changes: a model without a document in its window";
    }
    before = 0;
    for (uint32_t id = changes->expiring[view].first; id != 0;
         id = list_next(&changes->models, CHANGE_EXPIRING, id)) {
        const struct change_model *model = changes_model(changes, id);
        if (model->view != view || model->service_ms < before || model->service_ms > service_ms) {
            return "changes: a window's models are not in order";
        }
        before = model->service_ms;
    }
    return NULL;
}

/* What one tenant has: its trees and its idle documents. Counts them. */
struct counts {
    uint64_t entries[CHANGE_VIEWS];
    uint64_t idle;
};

static bool tenant_sound(struct changes *changes, const struct tenant *tenant,
                         struct counts *counts)
{
    for (uint32_t view = 0; view < CHANGE_VIEWS; view++) {
        if (!order_claim(&changes->order, &tenant->changes[view])) {
            return false;
        }
        for (uint32_t at = order_after(&changes->order, &tenant->changes[view], 0); at != 0;
             at = order_next(&changes->order, at)) {
            const struct order_node *node = order_node(&changes->order, at);
            if (!table_live(&changes->documents, node->item)) {
                return false;
            }
            const struct change_document *document = changes_document(changes, node->item);
            if (document->tenant != tenant->name || document->places[view].node != at ||
                document->places[view].order != node->key || node->key == 0) {
                return false;
            }
        }
        counts->entries[view] += tenant->changes[view].count;
    }
    const struct list *idle = &tenant->lists[SHARE_DOCUMENTS];
    if (!list_sound(idle, &changes->documents, CHANGE_IDLE_OF_TENANT)) {
        return false;
    }
    for (uint32_t at = idle->first; at != 0;
         at = list_next(&changes->documents, CHANGE_IDLE_OF_TENANT, at)) {
        if (changes_document(changes, at)->tenant != tenant->name ||
            changes_document(changes, at)->pins != 0) {
            return false;
        }
    }
    counts->idle += idle->count;
    return true;
}

static const char *verify_tenants(struct changes *changes, const struct names *names)
{
    struct counts counts = {.idle = 0};
    table_claim_begin(&changes->order.nodes);
    for (uint32_t at = table_next(&names->tenants, 0); at != 0;
         at = table_next(&names->tenants, at)) {
        if (!tenant_sound(changes, table_at(&names->tenants, at), &counts)) {
            return "changes: a tenant's documents are not in order";
        }
    }
    if (!table_claimed_all(&changes->order.nodes) ||
        counts.entries[0] != changes->updated[0].count ||
        counts.entries[1] != changes->updated[1].count) {
        return "changes: a document is in no tenant's order";
    }
    if (!list_sound(&changes->idle, &changes->documents, CHANGE_IDLE)) {
        return "changes: the list of idle documents is broken";
    }
    for (uint32_t at = changes->idle.first; at != 0;
         at = list_next(&changes->documents, CHANGE_IDLE, at)) {
        if (changes_document(changes, at)->pins != 0) {
            return "changes: a pinned document is idle";
        }
    }
    return counts.idle == changes->idle.count &&
                   counts.idle == changes->documents.used - changes->pinned
               ? NULL
               : "changes: idle documents are miscounted";
}

/* Every document with a place stands in the window's list: there are as many of both, and the list
 * holds no others. */
static const char *verify_places(const struct changes *changes)
{
    uint64_t places[CHANGE_VIEWS] = {0, 0};
    for (uint32_t at = table_next(&changes->documents, 0); at != 0;
         at = table_next(&changes->documents, at)) {
        places[0] += changes_document(changes, at)->places[0].order != 0;
        places[1] += changes_document(changes, at)->places[1].order != 0;
    }
    return places[0] == changes->updated[0].count && places[1] == changes->updated[1].count
               ? NULL
               : "changes: a document is missing in its window";
}

const char *changes_verify(struct changes *changes, struct names *names, uint64_t service_ms)
{
    const char *wrong = verify_documents(changes, names);
    wrong = wrong != NULL ? wrong : verify_view(changes, 0, service_ms);
    wrong = wrong != NULL ? wrong : verify_view(changes, 1, service_ms);
    wrong = wrong != NULL ? wrong : verify_places(changes);
    return wrong != NULL ? wrong : verify_tenants(changes, names);
}

void changes_save(const struct changes *changes, struct stream_out *out)
{
    table_save(&changes->documents, out);
    table_save(&changes->models, out);
    pool_save(&changes->ids, out);
    table_save(&changes->order.nodes, out);
    stream_put_u64(out, changes->order.salt);
    stream_put(out, changes->updated, sizeof changes->updated);
    stream_put(out, changes->expiring, sizeof changes->expiring);
    stream_put(out, &changes->idle, sizeof changes->idle);
    stream_put_u64(out, changes->last_order);
    stream_put(out, changes->complete_since_ms, sizeof changes->complete_since_ms);
    stream_put_u64(out, changes->pinned);
    stream_put_u64(out, changes->pinned_blocks);
}

void changes_load(struct changes *changes, struct names *names, struct stream_in *in)
{
    table_load(&changes->documents, in);
    table_load(&changes->models, in);
    pool_load(&changes->ids, in);
    table_load(&changes->order.nodes, in);
    changes->order.salt = stream_get_u64(in);
    (void)stream_get(in, changes->updated, sizeof changes->updated);
    (void)stream_get(in, changes->expiring, sizeof changes->expiring);
    (void)stream_get(in, &changes->idle, sizeof changes->idle);
    changes->last_order = stream_get_u64(in);
    (void)stream_get(in, changes->complete_since_ms, sizeof changes->complete_since_ms);
    changes->pinned = stream_get_count(in, changes->documents.used);
    changes->pinned_blocks = stream_get_count(in, changes->ids.blocks.used);
    bool roomy = changes->documents.used <= changes->documents.capacity - LIMIT_CHANGES &&
                 changes->ids.blocks.used <= changes->ids.blocks.capacity - CHANGE_ID_BLOCKS_SPARE;
    if (in->error == 0 && (!roomy || changes->last_order > UINT64_MAX / 2 ||
                           changes_verify(changes, names, UINT64_MAX) != NULL)) {
        stream_refuse(in, CORE_MALFORMED);
    }
    for (uint32_t at = 0; in->error == 0 && (at = table_next(&changes->documents, at)) != 0;) {
        struct change_document *document = changes_document(changes, at);
        uint8_t id[LIMIT_DOCUMENT_ID_LENGTH];
        pool_get(&changes->ids, document->id_first, document->id_length, id);
        struct change_identity identity = {document->tenant, document->model,
                                           bytes_of(id, document->id_length)};
        if (changes_hash(names, &identity) != document->hash ||
            changes_find(changes, document->hash, &identity) != 0) {
            stream_refuse(in, CORE_MALFORMED);
            return;
        }
        hash_insert(&changes->index, document->hash, at);
    }
}
