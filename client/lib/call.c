#include "client/lib/call.h"

#include <stdlib.h>

enum {
    CAPACITY_FIRST = 1024,
    SLOT_MASK = (1 << LINK_ID_SLOT_BITS) - 1,
    GENERATION_MASK = (1 << LINK_ID_GENERATION_BITS) - 1,
};

_Static_assert(LINK_ID_SLOT_BITS + LINK_ID_GENERATION_BITS == 31, "an id is all but the top bit");

void call_free(struct call *call)
{
    if (call != NULL) {
        free(call->bytes);
        free(call->reply);
        free(call);
    }
}

void call_table_deinit(struct call_table *table)
{
    free(table->slots);
    *table = (struct call_table){0};
}

static void give_back(struct call_table *table, uint32_t slot)
{
    table->slots[slot].next_free = 0;
    if (table->free_last == 0) {
        table->free_first = slot;
    } else {
        table->slots[table->free_last].next_free = slot;
    }
    table->free_last = slot;
}

static bool grow(struct call_table *table)
{
    uint32_t capacity = table->capacity == 0 ? CAPACITY_FIRST : table->capacity * 2;
    if (capacity > CALL_TABLE_MAX) {
        return false;
    }
    struct call_slot *slots = realloc(table->slots, capacity * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    table->slots = slots;
    uint32_t first = table->capacity;
    table->capacity = capacity;
    for (uint32_t slot = first; slot < capacity; slot++) {
        slots[slot] = (struct call_slot){0};
        if (slot > 0) { /* slot 0 is the probes' */
            give_back(table, slot);
        }
    }
    return true;
}

bool call_table_add(struct call_table *table, struct call *call)
{
    if (table->free_first == 0 && !grow(table)) {
        return false;
    }
    uint32_t slot = table->free_first;
    struct call_slot *free_slot = &table->slots[slot];
    table->free_first = free_slot->next_free;
    if (table->free_first == 0) {
        table->free_last = 0;
    }
    free_slot->generation = (free_slot->generation + 1) & GENERATION_MASK;
    free_slot->call = call;
    call->id = 0x80000000U | free_slot->generation << LINK_ID_SLOT_BITS | slot;
    table->used++;
    return true;
}

void call_table_remove(struct call_table *table, struct call *call)
{
    uint32_t slot = call->id & SLOT_MASK;
    table->slots[slot].call = NULL;
    give_back(table, slot);
    table->used--;
    call->id = 0;
}

struct call *call_table_find(const struct call_table *table, uint32_t id, bool *known)
{
    uint32_t slot = id & SLOT_MASK;
    *known = false;
    if (slot == 0 || slot >= table->capacity) {
        return NULL;
    }
    uint32_t generation = id >> LINK_ID_SLOT_BITS & GENERATION_MASK;
    uint32_t behind = (table->slots[slot].generation - generation) & GENERATION_MASK;
    *known = behind < (GENERATION_MASK + 1) / 2;
    return behind == 0 ? table->slots[slot].call : NULL;
}

struct call *call_table_next(const struct call_table *table, uint32_t *at)
{
    while (*at < table->capacity) {
        struct call *call = table->slots[(*at)++].call;
        if (call != NULL) {
            return call;
        }
    }
    return NULL;
}
