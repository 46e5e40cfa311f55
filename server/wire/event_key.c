/* Hashes of what an event is about and of whom it is for, on both sides: in its key and in the
 * filter of a reader. */
#include "server/wire/event.h"

enum hash_role {
    HASH_TENANT = 1,
    HASH_PRINCIPAL,
    HASH_USER,
    HASH_GROUP,
    HASH_MODEL,
    HASH_DOCUMENT,
    HASH_JOB,
};

static uint64_t mix(uint64_t hash)
{
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/* A user and a group of the same name are different things. */
static uint64_t hash_text(enum hash_role role, struct bytes text)
{
    uint64_t hash = mix((uint64_t)role << 32 | text.length);
    uint32_t at = 0;
    for (; text.length - at >= sizeof hash; at += (uint32_t)sizeof hash) {
        uint64_t word;
        memcpy(&word, text.at + at, sizeof word);
        hash = mix(hash ^ word);
    }
    if (at < text.length) {
        uint64_t word = 0;
        memcpy(&word, text.at + at, text.length - at);
        hash = mix(hash ^ word);
    }
    return mix(hash);
}

static uint32_t job_key(uint64_t job_id)
{
    return (uint32_t)mix(mix((uint64_t)HASH_JOB << 56 ^ job_id));
}

/* Who may be meant by an event, or who asks: bits for names within a tenant. */
struct audience {
    uint64_t tenant; /* hash */
    uint64_t *words;
};

static uint32_t tenant_key(uint64_t tenant)
{
    return (uint32_t)tenant | 1; /* not 0 */
}

static void add_name(const struct audience *audience, enum hash_role role, struct bytes name)
{
    uint64_t hash = mix(hash_text(role, name) ^ audience->tenant);
    for (int i = 0; i < EVENT_AUDIENCE_WORDS; i++) {
        audience->words[i] |= (uint64_t)1 << (hash >> (6 * i) & 63);
    }
}

static void add_everything(const struct audience *audience)
{
    memset(audience->words, 0xff, EVENT_AUDIENCE_WORDS * sizeof *audience->words);
}

void event_key_make(const struct event *event, struct event_key *key)
{
    struct audience audience = {hash_text(HASH_TENANT, event->tenant), key->audience};
    *key = (struct event_key){.tenant = tenant_key(audience.tenant), .kind = (uint8_t)event->kind};
    add_name(&audience, HASH_PRINCIPAL, event->principal);
    if (event->user.length != 0) {
        add_name(&audience, HASH_USER, event->user);
    }
    for (size_t i = 0; i < event->groups.count; i++) {
        add_name(&audience, HASH_GROUP, event->groups.names[i]);
    }
    if (event->kind == EVENT_MODEL_CHANGED || event->kind == EVENT_INDEX_CHANGED) {
        key->subject = (uint32_t)hash_text(HASH_DOCUMENT, event->changed.document_id);
        key->model = (uint32_t)hash_text(HASH_MODEL, event->changed.model);
    } else {
        key->subject = job_key(event->kind == EVENT_ACTIVITY_CREATED ? event->created.job_id
                                                                     : event->ended.job_id);
    }
}

/* ---- Filters ---- */

#define KINDS_ACTIVITIES (1u << EVENT_ACTIVITY_CREATED | 1u << EVENT_ACTIVITY_ENDED)
#define KINDS_CHANGES    (1u << EVENT_MODEL_CHANGED | 1u << EVENT_INDEX_CHANGED)

static bool asks_for_documents(const struct query_read *read)
{
    return read->model_count != 0 || read->document_id_count != 0;
}

/* Whoever asks for documents does not get activities by it, and the other way round. */
static uint32_t kinds_asked_for(const struct query_read *read)
{
    uint32_t kinds = KINDS_ACTIVITIES | KINDS_CHANGES;
    if (asks_for_documents(read) || read->job_id_count != 0) {
        kinds = (read->job_id_count != 0 ? KINDS_ACTIVITIES : 0) |
                (asks_for_documents(read) ? KINDS_CHANGES : 0);
    }
    return read->kinds == 0 ? kinds : kinds & read->kinds;
}

static void add_subjects(struct event_filter *filter, const struct query_read *read)
{
    filter->subjects = UINT64_MAX;
    if (read->document_id_count != 0 || (read->job_id_count != 0 && !asks_for_documents(read))) {
        filter->subjects = 0;
        for (size_t i = 0; i < read->document_id_count; i++) {
            filter->subjects |= (uint64_t)1
                                << (hash_text(HASH_DOCUMENT, read->document_ids[i]) & 63);
        }
        for (size_t i = 0; i < read->job_id_count; i++) {
            filter->subjects |= (uint64_t)1 << (job_key(read->job_ids[i]) & 63);
        }
    }
    filter->models = UINT64_MAX;
    if (read->model_count != 0) {
        filter->models = 1; /* activities have none */
        for (size_t i = 0; i < read->model_count; i++) {
            filter->models |= (uint64_t)1 << (hash_text(HASH_MODEL, read->models[i]) & 63);
        }
    }
}

static void add_audience(struct event_filter *filter, const struct audience *audience)
{
    const struct command_caller *caller = filter->caller;
    if (filter->read->all_tenants || (caller->rights & RIGHT_ADMIN) != 0) {
        add_everything(audience);
        return;
    }
    add_name(audience, HASH_GROUP, bytes_of("*", 1)); /* everybody of the tenant */
    if (caller->user.length == 0) {
        add_name(audience, HASH_PRINCIPAL, caller->principal);
        return;
    }
    add_name(audience, HASH_USER, caller->user);
    for (size_t i = 0; i < caller->group_count; i++) {
        add_name(audience, HASH_GROUP, caller->groups[i]);
    }
}

void event_filter_init(struct event_filter *filter, const struct command_caller *caller,
                       const struct query_read *read)
{
    struct audience audience = {hash_text(HASH_TENANT, caller->tenant), filter->audience};
    *filter = (struct event_filter){.caller = caller, .read = read, .kinds = kinds_asked_for(read)};
    filter->tenant = read->all_tenants ? 0 : tenant_key(audience.tenant);
    add_audience(filter, &audience);
    add_subjects(filter, read);
}
