#include "server/core/names.h"

#include "server/check.h"
#include "server/core/shares.h"
#include "server/core/siphash.h"
#include "server/core/stream.h"

#define TEXT_BLOCK 32u /* most names are shorter */

void names_layout(struct names *names, struct region *region, const struct core_limits *capacity)
{
    *names = (struct names){.key = {0}};
    table_layout(&names->records, region, capacity->names_max, sizeof(struct name));
    pool_layout(&names->texts, region, capacity->names_bytes, TEXT_BLOCK);
    table_layout(&names->tenants, region, capacity->tenants_max, sizeof(struct tenant));
    hash_layout(&names->index, region, capacity->names_max);
    names->counted = region_take(region, (size_t)capacity->names_max + 1, sizeof *names->counted);
    names->shares_counted = region_take(region, ((size_t)capacity->tenants_max + 1) * NAME_SHARES,
                                        sizeof *names->shares_counted);
}

void names_set_key(struct names *names, const uint8_t key[16])
{
    CHECK(names->records.used == 0);
    memcpy(names->key, key, sizeof names->key);
}

static uint64_t hash_of(const struct names *names, enum name_kind kind, uint32_t tenant,
                        struct bytes text)
{
    struct siphash hash;
    uint64_t head = (uint64_t)kind << 32 | tenant;
    siphash_init(&hash, names->key);
    siphash_add(&hash, &head, sizeof head);
    siphash_add(&hash, text.at, text.length);
    return siphash_finish(&hash);
}

static uint32_t find(const struct names *names, uint64_t hash, enum name_kind kind, uint32_t tenant,
                     struct bytes text)
{
    for (uint32_t id = hash_first(&names->index, hash); id != 0;
         id = hash_next(&names->index, id)) {
        const struct name *name = names_at(names, id);
        if (name->kind == kind && name->tenant == tenant && name->length == text.length &&
            pool_equal(&names->texts, name->text, text)) {
            return id;
        }
    }
    return 0;
}

uint32_t names_lookup(const struct names *names, enum name_kind kind, uint32_t tenant,
                      struct bytes text)
{
    return find(names, hash_of(names, kind, tenant, text), kind, tenant, text);
}

static bool room(const struct names *names, const struct core_limits *limits, enum name_kind kind,
                 uint32_t tenant, uint32_t length)
{
    if (kind == NAME_TENANT && names->tenants.used >= limits->tenants_max) {
        return false;
    }
    /* Tenants' own names, types and models belong to no tenant, and are not the others that a
     * heavy tenant must leave room for. */
    bool alone = tenant == 0 || names->tenants.used == 1;
    bool refused = alone ? names->records.used >= limits->names_max
                         : shares_refuse(names, tenant, SHARE_NAMES, names->records.used, 1,
                                         limits->names_max);
    return !refused &&
           pool_room(&names->texts, limits->names_bytes, pool_blocks(&names->texts, length));
}

uint32_t names_intern(struct names *names, const struct core_limits *limits, enum name_kind kind,
                      uint32_t tenant, struct bytes text)
{
    CHECK(text.length >= 1 && text.length <= NAME_LENGTH_MAX);
    uint64_t hash = hash_of(names, kind, tenant, text);
    uint32_t id = find(names, hash, kind, tenant, text);
    if (id != 0) {
        names_hold(names, id);
        return id;
    }
    if (!room(names, limits, kind, tenant, text.length)) {
        return 0;
    }
    id = table_take(&names->records);
    struct name *name = names_at(names, id);
    *name = (struct name){.text = pool_put(&names->texts, text),
                          .references = 1,
                          .tenant = tenant,
                          .length = (uint16_t)text.length,
                          .kind = (uint8_t)kind};
    hash_insert(&names->index, hash, id);
    if (kind == NAME_TENANT) {
        name->beside = table_take(&names->tenants);
        shares_of(names, id)->name = id;
    } else if (tenant != 0) {
        names_hold(names, tenant);
        shares_add(names, tenant, SHARE_NAMES, 1);
    }
    return id;
}

void names_hold(struct names *names, uint32_t id)
{
    if (id != 0) {
        names_at(names, id)->references++;
    }
}

void names_release(struct names *names, uint32_t id)
{
    if (id == 0) {
        return;
    }
    struct name *name = names_at(names, id);
    CHECK(name->references != 0);
    if (--name->references != 0) {
        return;
    }
    uint8_t text[NAME_LENGTH_MAX];
    hash_remove(&names->index,
                hash_of(names, name->kind, name->tenant, names_text(names, id, text)), id);
    pool_free(&names->texts, name->text);
    uint32_t tenant = name->tenant;
    if (name->kind == NAME_TENANT) {
        table_give(&names->tenants, name->beside);
        for (uint32_t i = 0; i < NAME_SHARES; i++) {
            names->largest[i] = names->largest[i] == id ? 0 : names->largest[i];
        }
    }
    table_give(&names->records, id);
    if (tenant != 0) {
        shares_sub(names, tenant, SHARE_NAMES, 1);
        names_release(names, tenant); /* once: a tenant has none above it */
    }
}

struct bytes names_text(const struct names *names, uint32_t id, uint8_t *to)
{
    if (id == 0) {
        return (struct bytes){NULL, 0};
    }
    const struct name *name = names_at(names, id);
    pool_get(&names->texts, name->text, name->length, to);
    return bytes_of(to, name->length);
}

void names_save(const struct names *names, struct stream_out *out)
{
    table_save(&names->records, out);
    pool_save(&names->texts, out);
    table_save(&names->tenants, out);
    stream_put(out, names->key, sizeof names->key);
    stream_put(out, names->largest, sizeof names->largest);
}

/* Everything that must hold before a name's text may be read. */
static bool name_sound(struct names *names, const struct name *name)
{
    return name->kind > NAME_NONE && name->kind < NAME_KIND_END && name->length >= 1 &&
           name->length <= NAME_LENGTH_MAX && name->references != 0 &&
           pool_claim(&names->texts, name->text, name->length);
}

const char *names_verify(struct names *names)
{
    table_claim_begin(&names->texts.blocks);
    table_claim_begin(&names->tenants);
    for (uint32_t id = table_next(&names->records, 0); id != 0;
         id = table_next(&names->records, id)) {
        const struct name *name = names_at(names, id);
        if (!name_sound(names, name)) {
            return "a name has no sound text";
        }
        bool within = name->kind >= NAME_USER && name->kind <= NAME_PRINCIPAL;
        if (within ? !names_is(names, name->tenant, NAME_TENANT, 0) : name->tenant != 0) {
            return "a name stands in no tenant";
        }
        if (name->kind == NAME_TENANT &&
            (!table_claim(&names->tenants, name->beside) || shares_of(names, id)->name != id)) {
            return "a tenant has no share record";
        }
    }
    for (uint32_t i = 0; i < NAME_SHARES; i++) {
        if (names->largest[i] != 0 && !names_is(names, names->largest[i], NAME_TENANT, 0)) {
            return "the largest holder of a table is no tenant";
        }
    }
    return table_claimed_all(&names->texts.blocks) && table_claimed_all(&names->tenants)
               ? NULL
               : "a name's memory is lost";
}

void names_load(struct names *names, struct stream_in *in)
{
    table_load(&names->records, in);
    pool_load(&names->texts, in);
    table_load(&names->tenants, in);
    (void)stream_get(in, names->key, sizeof names->key);
    (void)stream_get(in, names->largest, sizeof names->largest);
    if (in->error != 0) {
        return;
    }
    if (names_verify(names) != NULL) {
        stream_refuse(in, CORE_MALFORMED);
        return;
    }
    for (uint32_t id = table_next(&names->records, 0); id != 0;
         id = table_next(&names->records, id)) {
        const struct name *name = names_at(names, id);
        uint8_t text[NAME_LENGTH_MAX];
        uint64_t hash = hash_of(names, name->kind, name->tenant, names_text(names, id, text));
        if (find(names, hash, name->kind, name->tenant, bytes_of(text, name->length)) != 0) {
            stream_refuse(in, CORE_MALFORMED);
            return;
        }
        hash_insert(&names->index, hash, id);
    }
}

bool names_is(const struct names *names, uint32_t id, enum name_kind kind, uint32_t tenant)
{
    return id != 0 && table_live(&names->records, id) && names_at(names, id)->kind == kind &&
           names_at(names, id)->tenant == tenant;
}
