/* First-in-first-out lists through the records of a table, with removal anywhere: the links lie in
 * the record, at an offset that the caller names, so that one record can stand in several lists. */
#ifndef ACTIVITYD_SERVER_CORE_LIST_H
#define ACTIVITYD_SERVER_CORE_LIST_H

#include "server/core/table.h"

struct list {
    uint32_t first; /* the oldest */
    uint32_t last;
    uint32_t count;
};

struct list_links {
    uint32_t previous;
    uint32_t next;
};

static inline struct list_links *list_links(const struct table *table, size_t offset, uint32_t id)
{
    return (struct list_links *)(void *)((uint8_t *)table_at(table, id) + offset);
}

static inline uint32_t list_next(const struct table *table, size_t offset, uint32_t id)
{
    return list_links(table, offset, id)->next;
}

/* The record is in no list by these links. */
void list_append(struct list *list, struct table *table, size_t offset, uint32_t id);
void list_prepend(struct list *list, struct table *table, size_t offset, uint32_t id);
void list_remove(struct list *list, struct table *table, size_t offset, uint32_t id);

/* Whether the list is sound: live records, links that agree, the right count. Total on any bytes.
 */
bool list_sound(const struct list *list, const struct table *table, size_t offset);

#endif
