#include "server/core/list.h"

#include "server/check.h"

void list_append(struct list *list, struct table *table, size_t offset, uint32_t id)
{
    *list_links(table, offset, id) = (struct list_links){.previous = list->last, .next = 0};
    if (list->last != 0) {
        list_links(table, offset, list->last)->next = id;
    } else {
        list->first = id;
    }
    list->last = id;
    list->count++;
}

void list_prepend(struct list *list, struct table *table, size_t offset, uint32_t id)
{
    *list_links(table, offset, id) = (struct list_links){.previous = 0, .next = list->first};
    if (list->first != 0) {
        list_links(table, offset, list->first)->previous = id;
    } else {
        list->last = id;
    }
    list->first = id;
    list->count++;
}

void list_remove(struct list *list, struct table *table, size_t offset, uint32_t id)
{
    struct list_links *links = list_links(table, offset, id);
    CHECK(list->count != 0);
    if (links->previous != 0) {
        list_links(table, offset, links->previous)->next = links->next;
    } else {
        CHECK(list->first == id);
        list->first = links->next;
    }
    if (links->next != 0) {
        list_links(table, offset, links->next)->previous = links->previous;
    } else {
        CHECK(list->last == id);
        list->last = links->previous;
    }
    *links = (struct list_links){0};
    list->count--;
}

bool list_sound(const struct list *list, const struct table *table, size_t offset)
{
    uint32_t previous = 0;
    uint32_t count = 0;
    for (uint32_t id = list->first; id != 0; id = list_next(table, offset, id)) {
        if (!table_live(table, id) || list_links(table, offset, id)->previous != previous ||
            ++count > list->count) {
            return false;
        }
        previous = id;
    }
    return previous == list->last && count == list->count;
}
