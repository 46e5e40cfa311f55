/* What the index has: of each document that comes back from a batch the window of the index is
 * told, and what waited leaves. Without an index a batch is sent and accepted in one step. */
#include "server/check.h"
#include "server/core/state.h"

/* What one entry's flush may do: its events and those of the kills that one entry may do fit the
 * effects buffer. */
#define FLUSH_CHANGES_MOST 8192u
_Static_assert((uint64_t)FLUSH_CHANGES_MOST *(EVENT_CHANGED_BYTES_MAX + 8) +
                       (uint64_t)EXPIRE_MOST * (EVENT_ENDED_BYTES_MAX + 8) <=
                   CORE_EFFECTS_EXPIRY_MAX,
               "what expires in one entry fits the effects");

/* What one batch says about one affected model of a document. */
struct batch_model {
    struct change_update update;
    bool deleted;
};
struct batch_document {
    uint32_t count;
    struct batch_model models[LIMIT_AFFECTED_MODELS];
};

/* Combines a document's changes in flight: of each model the first and the last payload, and who
 * recorded the last. */
static void combine(const struct core *core, uint32_t at, uint64_t sent_ms,
                    struct batch_document *batch)
{
    const struct change_document *document = changes_document(&core->changes, at);
    uint32_t change_id = document->waiting.first;
    batch->count = 0;
    for (uint32_t i = 0; i < document->in_flight; i++) {
        const struct pending_change *change = pending_at(&core->pending, change_id);
        uint32_t k = 0;
        while (k < batch->count &&
               batch->models[k].update.affected_model != change->affected_model) {
            k++;
        }
        struct change_update *update = &batch->models[k].update;
        if (k == batch->count) {
            CHECK(batch->count++ < LIMIT_AFFECTED_MODELS);
            *update = (struct change_update){.document = at,
                                             .view = CHANGES_INDEX,
                                             .affected_model = change->affected_model,
                                             .first_ms = change->accept_ms,
                                             .updated_ms = sent_ms,
                                             .service_ms = core->time.service_ms};
        }
        update->last_ms = change->accept_ms;
        update->rights = change->rights;
        batch->models[k].deleted = change->deleted != 0;
        change_id = change->links.next;
    }
}

static void emit_indexed(struct core *core, uint32_t model_id, bool deleted)
{
    const struct change_model *model = changes_model(&core->changes, model_id);
    const struct change_document *document = changes_document(&core->changes, model->document);
    struct event_source source = {.tenant = document->tenant,
                                  .principal = model->rights.creator,
                                  .user = model->rights.owner,
                                  .group_count = job_group_count(&model->rights),
                                  .groups = model->rights.groups};
    struct event_texts texts;
    uint8_t names[2][NAME_LENGTH_MAX];
    uint8_t id[LIMIT_DOCUMENT_ID_LENGTH];
    pool_get(&core->changes.ids, document->id_first, document->id_length, id);
    struct event event = {
        .kind = EVENT_INDEX_CHANGED,
        .changed = {.model = names_text(&core->names, document->model, names[0]),
                    .document_id = bytes_of(id, document->id_length),
                    .affected_model = names_text(&core->names, model->name, names[1]),
                    .deleted = deleted,
                    .first_ms = model->first_ms,
                    .last_ms = model->last_ms,
                    .updated_ms = model->updated_ms}};
    event_source_fill(&core->names, &source, &event, &texts);
    emit_event(core, &event);
}

void accept_document(struct core *core, uint32_t document, uint64_t sent_ms, bool behind)
{
    struct batch_document batch;
    combine(core, document, sent_ms, &batch);
    for (uint32_t i = 0; i < batch.count; i++) {
        uint32_t model =
            changes_put(&core->changes, &core->names, &core->limits, &batch.models[i].update);
        emit_indexed(core, model, batch.models[i].deleted);
    }
    struct pending_settlement all = {.document = document,
                                     .accepted =
                                         changes_document(&core->changes, document)->in_flight,
                                     .behind = behind,
                                     .service_ms = core->time.service_ms};
    pending_settle(&core->pending, &core->changes, &core->names, &core->tickets, &all);
}

void flush_pending(struct core *core)
{
    struct pending_room room;
    uint64_t left = core->limits.index_mode == 0 ? FLUSH_CHANGES_MOST : 0;
    while (left != 0 && pending_begin(&core->pending, &core->changes, &core->limits,
                                      core->time.service_ms, &room) != TAKE_NONE) {
        uint64_t most = room.changes < left ? room.changes : left;
        room.changes = most;
        uint32_t document;
        while ((document = pending_take(&core->pending, &core->changes, &core->tickets,
                                        &core->limits, &room)) != 0) {
            accept_document(core, document, core->time.wall_ms, false);
        }
        CHECK(room.changes < most);
        left -= most - room.changes;
    }
}
