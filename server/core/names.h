/* Names as numbers: each tenant, user, group, principal, type and model in use has one record,
 * counted by what refers to it and gone with the last reference. A user is another name in another
 * tenant, so nothing that is found by a name crosses tenants.
 *
 * A tenant's name has a record beside it with what the tenant holds in every table (shares.h). */
#ifndef ACTIVITYD_SERVER_CORE_NAMES_H
#define ACTIVITYD_SERVER_CORE_NAMES_H

#include "server/core/bytes.h"
#include "server/core/hash.h"
#include "server/core/limits.h"
#include "server/core/order.h"
#include "server/core/pool.h"

enum name_kind {
    NAME_NONE = 0,
    NAME_TENANT = 1,
    NAME_USER = 2, /* within a tenant, as the next two */
    NAME_GROUP = 3,
    NAME_PRINCIPAL = 4, /* acting in this tenant */
    NAME_TYPE = 5,
    NAME_MODEL = 6,
    NAME_KIND_END = 7
};
#define NAME_LENGTH_MAX 255u
#define NAME_SHARES     16u /* enum share, rounded up */

struct name {
    uint32_t text; /* first block */
    uint32_t references;
    uint32_t tenant; /* name, 0 for tenants, types and models */
    uint16_t length;
    uint8_t kind;
    uint8_t zero;
    struct order_tree activities; /* of the tenant, owner, group or creator, by creation order */
    uint32_t beside; /* tenants: their share record; users: their presence record, 0 when absent */
};
_Static_assert(sizeof(struct name) == 32, "written as they lie in memory");

struct names {
    struct table records;
    struct pool texts;
    struct table tenants; /* struct tenant, see shares.h */
    struct hash index;
    uint32_t *counted;             /* by id: references found, for verification */
    uint64_t *shares_counted;      /* by tenant record, NAME_SHARES each: the same of shares */
    uint8_t key[16];               /* of the hash */
    uint32_t largest[NAME_SHARES]; /* the tenant that held most of each table when it last got more,
                                      0 = none */
};

void names_layout(struct names *names, struct region *region, const struct core_limits *capacity);

/* Sets the key of the hash; only while there are no names. */
void names_set_key(struct names *names, const uint8_t key[16]);

static inline struct name *names_at(const struct names *names, uint32_t id)
{
    return table_at(&names->records, id);
}

/* The id of a name in use, 0 when there is none. `tenant` is 0 for tenants, types and models. */
uint32_t names_lookup(const struct names *names, enum name_kind kind, uint32_t tenant,
                      struct bytes text);

/* The same, made when missing, with one reference more. 0: no room within the limits
 * (TOO_MANY_NAMES); nothing has changed. */
__attribute__((warn_unused_result)) uint32_t names_intern(struct names *names,
                                                          const struct core_limits *limits,
                                                          enum name_kind kind, uint32_t tenant,
                                                          struct bytes text);
void names_hold(struct names *names, uint32_t id);    /* one reference more; 0 is fine */
void names_release(struct names *names, uint32_t id); /* one less; 0 is fine */

/* Copies the text to `to` (NAME_LENGTH_MAX) and returns a view of it; empty for 0. */
struct bytes names_text(const struct names *names, uint32_t id, uint8_t *to);

void names_save(const struct names *names, struct stream_out *out);
void names_load(struct names *names, struct stream_in *in);

/* Checks texts, tenants and kinds of all names: NULL, or what is wrong. */
const char *names_verify(struct names *names);

/* Whether `id` is a name in use of this kind and tenant. Total: for verification. */
bool names_is(const struct names *names, uint32_t id, enum name_kind kind, uint32_t tenant);

#endif
