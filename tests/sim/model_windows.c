/* What leaves the model's windows of changes: by time, or early at a cap. */
#include "tests/sim/model_state.h"

#include "server/check.h"

#include <inttypes.h>

static bool waits(const struct model *model, const struct model_document *document)
{
    for (uint32_t i = 0; i < model->pending.count; i++) {
        if (model->pending.at[i].document == document) {
            return true;
        }
    }
    return false;
}

/* Whether the core still shows this affected model. */
struct shown {
    struct model_document *document;
    bool models[LIMIT_AFFECTED_MODELS];
};

static bool show(struct model *model, const struct core *core, uint32_t tenant,
                 enum core_change_view view, struct shown *shown)
{
    static struct core_change change;
    struct core_viewer viewer;
    model_probe(core, model_name_text(model, tenant), &viewer);
    struct core_change_walk walk;
    enum core_found found;
    uint64_t position = 0;
    do {
        core_change_walk_init(&walk, core, &viewer, view, position);
        while ((found = core_change_next(&walk, &change)) == CORE_FOUND) {
            uint32_t i = 0;
            while (i < model->documents.count &&
                   (shown[i].document->tenant != tenant ||
                    !model_text_is(&shown[i].document->model, change.model) ||
                    !model_text_is(&shown[i].document->id, change.document_id))) {
                i++;
            }
            for (uint32_t k = 0; k < change.affected_count; k++) {
                struct model_place *place =
                    i == model->documents.count ? NULL : &shown[i].document->places[view];
                uint32_t j = 0;
                while (place != NULL && j < place->count &&
                       !model_text_is(&place->models[j].name, change.affected[k].affected_model)) {
                    j++;
                }
                if (place == NULL || j == place->count) {
                    return model_complain(
                        model, "view %d shows a document or affected model that should have left",
                        (int)view);
                }
                shown[i].models[j] = true;
            }
        }
        position = walk.position;
    } while (found == CORE_EXHAUSTED);
    return true;
}

/* A document's turn to leave the windows at a cap: by its latest update, which lies between `least`
 * and `most`, since the two windows have one each, and a refused command that named it may count
 * too. */
struct turn {
    struct model_document *document;
    uint64_t least, most;
    bool early;
};

/* Takes out of the model what the core does not show any more. */
static bool settle_document(struct model *model, const struct shown *shown,
                            enum core_change_view view, struct turn *turn)
{
    struct model_place *place = &shown->document->places[view];
    uint64_t keep = model->limits.change_keep_ms;
    for (uint32_t i = place->count; i-- > 0;) {
        struct model_affected *affected = &place->models[i];
        bool in_time = model_may_be_over(model, affected->service, keep);
        if (shown->models[i]) {
            if (model_over(model, affected->service, keep) && model_settled(model)) {
                return model_complain(model,
                                      "a change is shown in view %d that is %" PRIu64 " ms old",
                                      (int)view, model->service - affected->service);
            }
            continue;
        }
        if (!in_time && !model->change_pressure && model_settled(model)) {
            return model_complain(
                model,
                "a change of %" PRIu64 " ms ago is missing in view %d (%" PRIu32 " documents)",
                model->service - affected->service, (int)view, model->documents.count);
        }
        uint64_t *left = in_time ? &model->expired_ms[view] : &model->left_ms[view];
        *left = *left < affected->updated_ms ? affected->updated_ms : *left;
        turn->early = turn->early || !in_time;
        model->met[MET_CHANGE_LEFT_EARLY] += !in_time;
        model_affected_remove(place, i);
    }
    return true;
}

static bool settle_view(struct model *model, const struct core *core, enum core_change_view view,
                        struct turn *turns)
{
    uint32_t count = model->documents.count;
    struct shown *shown = calloc(count + 1, sizeof *shown);
    CHECK(shown != NULL);
    for (uint32_t i = 0; i < count; i++) {
        shown[i].document = model->documents.at[i];
    }
    bool right = true;
    for (uint32_t i = 0; right && i < count; i++) {
        bool first = true;
        for (uint32_t j = 0; j < i; j++) {
            first = first && model->documents.at[j]->tenant != model->documents.at[i]->tenant;
        }
        right = !first || show(model, core, model->documents.at[i]->tenant, view, shown);
    }
    for (uint32_t i = 0; right && i < count; i++) {
        right = settle_document(model, &shown[i], view, &turns[i]);
    }
    free(shown);
    return right;
}

/* Whether a tenant could be said to hold more than half of the documents or of the models. */
static bool heavy_in_windows(const struct model *model)
{
    for (uint32_t i = 0; i < model->documents.count; i++) {
        uint64_t documents = 0, models = 0;
        for (uint32_t j = 0; j < model->documents.count; j++) {
            const struct model_document *document = model->documents.at[j];
            if (document->tenant == model->documents.at[i]->tenant) {
                documents++;
                models += (uint64_t)document->places[0].count + document->places[1].count;
            }
        }
        if (documents + 2 > model->limits.change_documents_max / 2 ||
            models + 8 > model->limits.change_models_max / 2) {
            return true;
        }
    }
    return false;
}

static bool judge_documents(struct model *model, const struct turn *turns, uint32_t count,
                            bool heavy)
{
    for (uint32_t i = 0; i < count;
         i++) { /* of one that was used in this entry the time before is not known here */
        for (uint32_t j = 0;
             turns[i].early && turns[i].document->used_index != model->index && j < count; j++) {
            const struct model_document *other = turns[j].document;
            bool stays = other->places[0].count + other->places[1].count > 0 && !turns[j].early &&
                         !waits(model, other) &&
                         other->used_index != model->index; /* else it was pinned */
            bool older = turns[j].most < turns[i].least;
            if (stays && older && (other->tenant == turns[i].document->tenant || !heavy)) {
                return model_complain(
                    model,
                    "document %.*s/%.*s leaves the windows early, but %.*s/%.*s, which was updated "
                    "before, stays",
                    (int)turns[i].document->model.length, (const char *)turns[i].document->model.at,
                    (int)turns[i].document->id.length, (const char *)turns[i].document->id.at,
                    (int)other->model.length, (const char *)other->model.at, (int)other->id.length,
                    (const char *)other->id.at);
            }
        }
    }
    return true;
}

static bool settle_views(struct model *model, const struct core *core)
{
    uint32_t count = model->documents.count;
    struct turn *turns = calloc(count + 1, sizeof *turns);
    CHECK(turns != NULL);
    bool heavy = heavy_in_windows(model);
    for (uint32_t i = 0; i < count; i++) {
        const struct model_document *document = model->documents.at[i];
        uint64_t a = document->places[0].rank, b = document->places[1].rank;
        uint64_t least = a == 0 || (b != 0 && b < a) ? b : a, most = a < b ? b : a;
        most = most < document->named_rank ? document->named_rank : most;
        turns[i] = (struct turn){model->documents.at[i], least, most, false};
    }
    bool right = settle_view(model, core, CHANGES_DATABASE, turns) &&
                 settle_view(model, core, CHANGES_INDEX, turns) &&
                 (!model_settled(model) || judge_documents(model, turns, count, heavy));
    free(turns);
    return right;
}

bool model_leave_changes(struct model *model, const struct core *core)
{
    if (!settle_views(model, core)) {
        return false;
    }
    for (int view = 0; view < MODEL_VIEWS; view++) {
        uint64_t since = core_changes_complete_since_ms(core, (enum core_change_view)view);
        if (model->left_ms[view] != 0 && since <= model->left_ms[view]) {
            return model_complain(model,
                                  "view %d claims to be complete since %" PRIu64
                                  ", but a change of %" PRIu64 " left early",
                                  view, since, model->left_ms[view]);
        }
        if (model->expired_ms[view] != 0 && since <= model->expired_ms[view]) {
            return model_complain(model,
                                  "view %d claims to be complete since %" PRIu64
                                  ", but a change of %" PRIu64 " is over",
                                  view, since, model->expired_ms[view]);
        }
        if (since > model->wall + 1) {
            return model_complain(model, "view %d is complete since the future", view);
        }
    }
    for (uint32_t i = model->documents.count; i-- > 0;) {
        struct model_document *document = model->documents.at[i];
        if (document->places[0].count == 0 && document->places[1].count == 0 &&
            !waits(model, document)) {
            model_document_free(document);
            LIST_REMOVE(&model->documents, i);
        }
    }
    return true;
}
