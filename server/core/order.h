/* Ordered sets of items by a number that only grows: creation order, order of last change. Many
 * small trees share one table of nodes. A node is added at the end in constant time, leaves from
 * anywhere, and a page continues behind any number, known or gone, in logarithmic time.
 *
 * The trees are treaps: a node's priority is a keyed mix of its number, so the shape is a function
 * of the numbers alone. */
#ifndef ACTIVITYD_SERVER_CORE_ORDER_H
#define ACTIVITYD_SERVER_CORE_ORDER_H

#include "server/core/table.h"

struct order_node {
    uint64_t key;
    uint32_t left;
    uint32_t right;
    uint32_t parent;
    uint32_t item; /* what it stands for, the owner's */
};
_Static_assert(sizeof(struct order_node) == 24, "written as they lie in memory");

struct order_tree {
    uint32_t root;
    uint32_t last; /* highest key */
    uint32_t count;
};

struct order {
    struct table nodes;
    uint64_t salt; /* of the priorities; set before the first node, the same for ever */
};

void order_layout(struct order *order, struct region *region, uint64_t capacity);

static inline const struct order_node *order_node(const struct order *order, uint32_t node)
{
    return table_at(&order->nodes, node);
}

/* `key` above every key of the tree. There is room: the caller has looked at nodes.used. Returns
 * the node. */
uint32_t order_append(struct order *order, struct order_tree *tree, uint64_t key, uint32_t item);

void order_remove(struct order *order, struct order_tree *tree, uint32_t node);

/* The node with the lowest key above `key`, 0 when there is none. */
uint32_t order_after(const struct order *order, const struct order_tree *tree, uint64_t key);

/* The node that follows in its tree, 0 at the end. */
uint32_t order_next(const struct order *order, uint32_t node);

/* Claims the nodes of a tree (see table_claim) and checks it: false unless it is sound. Total on
 * any bytes; afterwards the tree can be walked, and the owner checks the items. */
bool order_claim(struct order *order, const struct order_tree *tree);

/* The same, and the owner's check of every node on the way. */
struct order_check {
    bool (*sound)(const struct order_check *check, uint32_t node);
    const void *context;
    uint32_t name;
};
bool order_claim_each(struct order *order, const struct order_tree *tree,
                      const struct order_check *check);

#endif
