#include "server/index/bulk.h"

#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
#include "server/check.h"
#include "server/index/script.h"

static void put(struct writer *to, const char *text)
{
    writer_put(to, text, strlen(text));
}

static void put_number(struct writer *to, uint64_t number)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    writer_put(to, text, (size_t)length);
}

void bulk_put_string(struct bytes text, struct writer *to)
{
    put(to, "\"");
    uint32_t from = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        uint8_t c = text.at[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        writer_put(to, text.at + from, i - from);
        char escape[8];
        int length = c < 0x20 ? snprintf(escape, sizeof escape, "\\u%04x", c)
                              : snprintf(escape, sizeof escape, "\\%c", c);
        writer_put(to, escape, (size_t)length);
        from = i + 1;
    }
    if (from < text.length) {
        writer_put(to, text.at + from, text.length - from);
    }
    put(to, "\"");
}

/* A document as it was received may have line breaks, which would end the item. In JSON they stand
 * between tokens only, where a blank is as good. */
static void put_json(struct writer *to, struct bytes json)
{
    const uint8_t *from = json.at;
    size_t left = json.length;
    while (left > 0) {
        const uint8_t *newline = memchr(from, '\n', left);
        size_t length = newline == NULL ? left : (size_t)(newline - from);
        writer_put(to, from, length);
        if (newline == NULL) {
            return;
        }
        put(to, " ");
        from += length + 1;
        left -= length + 1;
    }
}

static void put_place(const struct targets *targets, const struct index_document *document,
                      const struct target_name *index, struct writer *to)
{
    put(to, "{\"_index\":");
    bulk_put_string(bytes_of(index->text, index->length), to);
    put(to, ",\"_id\":");
    bulk_put_string(document->id, to);
    uint8_t routing[TARGET_TEMPLATE_MAX + 4 * LIMIT_DOCUMENT_ID_LENGTH];
    struct writer text = writer_of(routing, sizeof routing);
    target_routing(targets, document, &text);
    if (text.wanted > 0 && !text.failed) {
        put(to, ",\"routing\":");
        bulk_put_string(bytes_of(routing, text.wanted), to);
    }
}

static void put_whole(const struct index_change *change, struct writer *to)
{
    put(to, ",\"version\":");
    put_number(to, change->version);
    put(to, ",\"version_type\":\"external\"}}\n");
    if (!change->deleted) {
        put_json(to, change->json);
        put(to, "\n");
    }
}

/* _source shows the seq that is in the document afterwards: when the script has skipped everything,
 * it is the only way to learn why. */
static void put_fragments(const struct index_batch *batch, const struct index_document *document,
                          struct writer *to)
{
    put(to, ",\"retry_on_conflict\":");
    put_number(to, BULK_RETRY_ON_CONFLICT);
    put(to, "}}\n{\"scripted_upsert\":true,\"upsert\":{},\"_source\":[\"" INDEX_FIELD_SEQUENCE
            "\"],\"script\":{\"id\":");
    bulk_put_string(bytes_of(INDEX_SCRIPT_NAME, sizeof INDEX_SCRIPT_NAME - 1), to);
    put(to, ",\"params\":{\"list\":[");
    for (uint32_t i = 0; i < document->change_count; i++) {
        const struct index_change *change = &batch->changes[document->first_change + i];
        put(to, i == 0 ? "{\"seq\":" : ",{\"seq\":");
        put_number(to, change->version);
        if (change->deleted) {
            put(to, ",\"deleted\":true}");
        } else {
            put(to, ",\"patch\":");
            put_json(to, change->json.length != 0 ? change->json : bytes_of("{}", 2));
            put(to, "}");
        }
    }
    put(to, "]}}}\n");
}

int bulk_put(const struct targets *targets, const struct index_batch *batch, uint32_t document,
             struct writer *to, struct reason *why)
{
    CHECK(document < batch->document_count);
    const struct index_document *from = &batch->documents[document];
    struct target_name index;
    if (target_index(targets, from, &index, why) != 0) {
        return 1;
    }
    const struct index_change *change = index_batch_last_change(batch, document);
    if (from->kind == TAKE_FRAGMENTS) {
        put(to, "{\"update\":");
        put_place(targets, from, &index, to);
        put_fragments(batch, from, to);
        return 0;
    }
    if (change->json.length == 0 && !change->deleted) {
        reason_set(why, "no_document",
                   "the change has no JSON: it was recorded while this server "
                   "wrote to no index");
        return 1;
    }
    put(to, change->deleted ? "{\"delete\":" : "{\"index\":");
    put_place(targets, from, &index, to);
    put_whole(change, to);
    return 0;
}
