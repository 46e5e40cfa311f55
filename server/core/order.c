#include "server/core/order.h"

#include "server/check.h"
#include "server/core/hash.h"

void order_layout(struct order *order, struct region *region, uint64_t capacity)
{
    *order = (struct order){.salt = 0};
    table_layout(&order->nodes, region, capacity, sizeof(struct order_node));
}

static struct order_node *node_at(const struct order *order, uint32_t node)
{
    return table_at(&order->nodes, node);
}

/* A bijection, so two numbers never have the same. */
static uint64_t priority(const struct order *order, uint32_t node)
{
    return hash_mix(node_at(order, node)->key ^ order->salt);
}

uint32_t order_append(struct order *order, struct order_tree *tree, uint64_t key, uint32_t item)
{
    CHECK(tree->last == 0 || node_at(order, tree->last)->key < key);
    uint32_t id = table_take(&order->nodes);
    struct order_node *node = node_at(order, id);
    node->key = key;
    node->item = item;
    uint64_t own = priority(order, id);
    uint32_t above = tree->last;
    uint32_t below = 0;
    while (above != 0 && priority(order, above) < own) {
        below = above;
        above = node_at(order, above)->parent;
    }
    node->left = below;
    if (below != 0) {
        node_at(order, below)->parent = id;
    }
    node->parent = above;
    if (above != 0) {
        node_at(order, above)->right = id;
    } else {
        tree->root = id;
    }
    tree->last = id;
    tree->count++;
    return id;
}

static uint32_t rightmost(const struct order *order, uint32_t node)
{
    while (node_at(order, node)->right != 0) {
        node = node_at(order, node)->right;
    }
    return node;
}

void order_remove(struct order *order, struct order_tree *tree, uint32_t id)
{
    struct order_node *node = node_at(order, id);
    CHECK(tree->count != 0);
    if (tree->last == id) { /* nothing stands to its right */
        tree->last = node->left != 0 ? rightmost(order, node->left) : node->parent;
    }
    uint32_t parent = node->parent;
    uint32_t *link = &tree->root;
    if (parent != 0) {
        link = node_at(order, parent)->left == id ? &node_at(order, parent)->left
                                                  : &node_at(order, parent)->right;
    }
    CHECK(*link == id);
    uint32_t low = node->left;
    uint32_t high = node->right;
    while (low != 0 && high != 0) {
        bool lower = priority(order, low) > priority(order, high);
        uint32_t top = lower ? low : high;
        *link = top;
        node_at(order, top)->parent = parent;
        parent = top;
        link = lower ? &node_at(order, top)->right : &node_at(order, top)->left;
        *(lower ? &low : &high) = *link;
    }
    *link = low | high;
    if (*link != 0) {
        node_at(order, *link)->parent = parent;
    }
    table_give(&order->nodes, id);
    tree->count--;
}

uint32_t order_after(const struct order *order, const struct order_tree *tree, uint64_t key)
{
    uint32_t found = 0;
    for (uint32_t at = tree->root; at != 0;) {
        const struct order_node *node = node_at(order, at);
        if (node->key > key) {
            found = at;
            at = node->left;
        } else {
            at = node->right;
        }
    }
    return found;
}

uint32_t order_next(const struct order *order, uint32_t id)
{
    uint32_t at = node_at(order, id)->right;
    if (at != 0) {
        while (node_at(order, at)->left != 0) {
            at = node_at(order, at)->left;
        }
        return at;
    }
    uint32_t above = node_at(order, id)->parent;
    while (above != 0 && node_at(order, above)->right == id) {
        id = above;
        above = node_at(order, above)->parent;
    }
    return above;
}

/* A child says who its parent is and has a lower priority. */
static bool child_sound(const struct order *order, uint32_t parent, uint32_t child)
{
    return child == 0 ||
           (table_live(&order->nodes, child) && node_at(order, child)->parent == parent &&
            priority(order, child) < priority(order, parent));
}

/* The node after `id` in the order parents first; parents above `id` have been checked. */
static uint32_t preorder_next(const struct order *order, uint32_t id)
{
    const struct order_node *node = node_at(order, id);
    if (node->left != 0 || node->right != 0) {
        return node->left != 0 ? node->left : node->right;
    }
    for (uint32_t above = node->parent; above != 0;
         id = above, above = node_at(order, above)->parent) {
        const struct order_node *parent = node_at(order, above);
        if (parent->left == id && parent->right != 0) {
            return parent->right;
        }
    }
    return 0;
}

/* Parents before children: that it is a tree, and that its nodes belong to no other. */
static bool claim_shape(struct order *order, const struct order_tree *tree)
{
    if (!table_live(&order->nodes, tree->root) || node_at(order, tree->root)->parent != 0) {
        return false;
    }
    for (uint32_t at = tree->root; at != 0; at = preorder_next(order, at)) {
        const struct order_node *node = node_at(order, at);
        if (!table_claim(&order->nodes, at) || !child_sound(order, at, node->left) ||
            !child_sound(order, at, node->right) ||
            (node->left != 0 && node->left == node->right)) {
            return false;
        }
    }
    return true;
}

bool order_claim_each(struct order *order, const struct order_tree *tree,
                      const struct order_check *check)
{
    if (tree->root == 0) {
        return tree->last == 0 && tree->count == 0;
    }
    if (!claim_shape(order, tree)) {
        return false;
    }
    uint32_t count = 0;
    uint32_t last = 0;
    uint64_t key = 0;
    for (uint32_t at = order_after(order, tree, 0); at != 0; at = order_next(order, at), count++) {
        if (node_at(order, at)->key <= key || (check != NULL && !check->sound(check, at))) {
            return false;
        }
        key = node_at(order, at)->key;
        last = at;
    }
    return last == tree->last && count == tree->count;
}

bool order_claim(struct order *order, const struct order_tree *tree)
{
    return order_claim_each(order, tree, NULL);
}
