/* Questions about the windows of changes and the feed. */
#include "server/core/state.h"

uint64_t core_changes_complete_since_ms(const struct core *core, enum core_change_view view)
{
    return core->changes.complete_since_ms[view];
}

bool core_event_read(const struct core *core, uint64_t sequence, uint8_t *kind, uint8_t *to,
                     uint32_t *length)
{
    return feed_window_read(&core->feed, sequence, kind, to, length);
}

/* As a job: its recorder and admins. And whoever shares a group with it, which for "*" is also a
 * principal by itself. */
static bool model_visible(const struct core_viewer *viewer, const struct job_rights *rights)
{
    if (job_visible(viewer, rights)) {
        return true;
    }
    for (uint32_t i = 0; i < viewer->group_count; i++) {
        for (uint32_t k = 0; k < LIMIT_OBJECT_GROUPS && rights->groups[k] != 0; k++) {
            if (viewer->groups[i] == rights->groups[k]) {
                return rights->tenant == viewer->tenant;
            }
        }
    }
    return false;
}

void core_change_walk_init(struct core_change_walk *walk, const struct core *core,
                           const struct core_viewer *viewer, enum core_change_view view,
                           uint64_t after_order)
{
    *walk = (struct core_change_walk){
        .core = core, .viewer = viewer, .view = view, .position = after_order};
    if (viewer->tenant != 0) {
        const struct tenant *tenant = shares_of(&core->names, viewer->tenant);
        walk->next = order_after(&core->changes.order, &tenant->changes[view], after_order);
    }
}

static struct bytes text_put(struct writer *to, struct bytes text)
{
    const uint8_t *at = to->at;
    writer_bytes(to, text);
    return (struct bytes){at, to->failed ? 0 : text.length};
}

/* The models that the viewer may see. False: none, or nothing new since the time asked for. */
static bool fill_models(const struct core_change_walk *walk, const struct change_place *place,
                        struct core_change *change, struct writer *to)
{
    const struct core *core = walk->core;
    uint8_t text[NAME_LENGTH_MAX];
    for (uint32_t id = place->models.first; id != 0;
         id = list_next(&core->changes.models, CHANGE_SIBLINGS, id)) {
        const struct change_model *model = changes_model(&core->changes, id);
        if (!model_visible(walk->viewer, &model->rights)) {
            continue;
        }
        uint32_t nth = change->affected_count++;
        change->affected[nth].affected_model =
            text_put(to, names_text(&core->names, model->name, text));
        change->affected[nth].first_ms = model->first_ms;
        change->affected[nth].last_ms = model->last_ms;
        change->affected[nth].updated_ms = model->updated_ms;
        change->updated_ms =
            model->updated_ms > change->updated_ms ? model->updated_ms : change->updated_ms;
    }
    return change->affected_count != 0 && change->updated_ms >= walk->updated_since_ms;
}

enum core_found core_change_next(struct core_change_walk *walk, struct core_change *change)
{
    const struct changes *changes = &walk->core->changes;
    while (walk->next != 0) {
        const struct order_node *node = order_node(&changes->order, walk->next);
        const struct change_document *document = changes_document(changes, node->item);
        const struct change_place *place = &document->places[walk->view];
        if (walk->touched >= LIMIT_FIND_TOUCHED) {
            return CORE_EXHAUSTED;
        }
        walk->touched += 1 + place->models.count;
        walk->position = node->key;
        walk->next = order_next(&changes->order, walk->next);
        struct writer to = writer_of(change->text, sizeof change->text);
        change->order = node->key;
        change->updated_ms = 0;
        change->affected_count = 0;
        if (fill_models(walk, place, change, &to)) {
            uint8_t text[NAME_LENGTH_MAX];
            uint8_t id[LIMIT_DOCUMENT_ID_LENGTH];
            pool_get(&changes->ids, document->id_first, document->id_length, id);
            change->model = text_put(&to, names_text(&walk->core->names, document->model, text));
            change->document_id = text_put(&to, bytes_of(id, document->id_length));
            return CORE_FOUND;
        }
    }
    return CORE_END;
}
