#include "server/core/parked.h"

#include "server/check.h"
#include "server/core/stream.h"

#define TEXT_BLOCK 32u

/* An index that refuses everything says the same of all; a full text takes ten blocks. */
static uint64_t text_blocks_max(const struct core_limits *limits)
{
    return limits->pending_changes_max / 2 + 1024;
}

void parked_layout(struct parked_documents *documents, struct region *region,
                   const struct core_limits *capacity)
{
    *documents = (struct parked_documents){.last_id = 0};
    table_layout(&documents->table, region, capacity->pending_changes_max, sizeof(struct parked));
    pool_layout(&documents->texts, region, text_blocks_max(capacity) * TEXT_BLOCK, TEXT_BLOCK);
    hash_layout(&documents->by_id, region, capacity->pending_changes_max);
}

static bool text_fits(const struct parked_documents *documents, const struct core_limits *limits,
                      uint64_t length)
{
    return documents->texts.blocks.used + pool_blocks(&documents->texts, length) <=
           text_blocks_max(limits);
}

uint64_t parked_add(struct parked_documents *documents, const struct core_limits *limits,
                    uint32_t document, uint64_t wall_ms, const struct parked_reason *reason)
{
    uint8_t text[COMMAND_REASON_CODE_LENGTH + COMMAND_REASON_MESSAGE_LENGTH];
    struct writer to = writer_of(text, sizeof text);
    bool code = text_fits(documents, limits, reason->code.length);
    bool message =
        text_fits(documents, limits, (uint64_t)reason->code.length + reason->message.length);
    uint32_t place = table_take(&documents->table);
    struct parked *parked = parked_at(documents, place);
    parked->park_id = ++documents->last_id;
    parked->since_ms = wall_ms;
    parked->document = document;
    if (code) {
        writer_bytes(&to, reason->code);
        parked->code_length = (uint16_t)reason->code.length;
    }
    if (message) {
        writer_bytes(&to, reason->message);
        parked->message_length = (uint16_t)reason->message.length;
    }
    CHECK(!to.failed);
    parked->text = pool_put(&documents->texts, bytes_of(text, to.wanted));
    hash_insert(&documents->by_id, hash_mix(parked->park_id), place);
    return parked->park_id;
}

uint32_t parked_find(const struct parked_documents *documents, uint64_t park_id)
{
    uint32_t place = hash_first(&documents->by_id, hash_mix(park_id));
    while (place != 0 && parked_at(documents, place)->park_id != park_id) {
        place = hash_next(&documents->by_id, place);
    }
    return place;
}

void parked_remove(struct parked_documents *documents, uint32_t place)
{
    const struct parked *parked = parked_at(documents, place);
    hash_remove(&documents->by_id, hash_mix(parked->park_id), place);
    pool_free(&documents->texts, parked->text);
    table_give(&documents->table, place);
}

void parked_save(const struct parked_documents *documents, struct stream_out *out)
{
    table_save(&documents->table, out);
    pool_save(&documents->texts, out);
    stream_put_u64(out, documents->last_id);
}

void parked_load(struct parked_documents *documents, struct stream_in *in)
{
    table_load(&documents->table, in);
    pool_load(&documents->texts, in);
    documents->last_id = stream_get_u64(in);
    for (uint32_t at = 0; in->error == 0 && (at = table_next(&documents->table, at)) != 0;) {
        uint64_t park_id = parked_at(documents, at)->park_id;
        if (parked_find(documents, park_id) != 0) {
            stream_refuse(in, CORE_MALFORMED);
            return;
        }
        hash_insert(&documents->by_id, hash_mix(park_id), at);
    }
}

/* Each document that is parked names its record, no two the same one, and there are no others. */
const char *parked_verify(struct parked_documents *documents, const struct pending *pending,
                          const struct changes *changes, uint64_t wall_ms)
{
    table_claim_begin(&documents->texts.blocks);
    for (uint32_t at = table_next(&documents->table, 0); at != 0;
         at = table_next(&documents->table, at)) {
        const struct parked *parked = parked_at(documents, at);
        if (parked->zero != 0 || parked->park_id == 0 || parked->park_id > documents->last_id ||
            parked->since_ms > wall_ms || parked->code_length > COMMAND_REASON_CODE_LENGTH ||
            parked->message_length > COMMAND_REASON_MESSAGE_LENGTH ||
            !pool_claim(&documents->texts, parked->text,
                        (uint32_t)parked->code_length + parked->message_length)) {
            return "parked: a record is not sound";
        }
    }
    for (uint32_t at = pending->parked.first; at != 0;
         at = list_next(&changes->documents, CHANGE_QUEUE, at)) {
        uint32_t place = parked_find(documents, changes_document(changes, at)->park_id);
        if (place == 0 || parked_at(documents, place)->document != at) {
            return "parked: a document without its record";
        }
    }
    return table_claimed_all(&documents->texts.blocks) &&
                   documents->table.used == pending->parked.count
               ? NULL
               : "parked: a record or text without a document";
}
