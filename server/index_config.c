#include "server/index_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/log.h"

/* How much later than its answer was awaited a request may still be applied: the index lets it wait
 * that long (`timeout` of _bulk) until a shard can be written. Pauses do not count, since what is
 * sent again is another attempt with versions of its own. */
#define LATE_MS 60000u

/* A node that could not be reached is tried again after so long. */
#define NODE_AWAY_MS 5000u

/* An answer tells of each document: some 100 bytes, 300 to 500 with an error. One that is longer is
 * not wrong: fewer documents are sent at once then. The least is for what is asked beside bulks,
 * the settings of all indices. */
#define REPLY_ITEM_BYTES  512u
#define REPLY_BYTES_LEAST (2u * 1024u * 1024u)

/* Pairs of names of indices that a start compares: about three seconds. */
#define PAIRS_MOST 10000000u

struct index_config {
    bool writes;
    struct index_options options;
    char nodes_text[CONFIG_TEXT_MAX];
    const char *nodes[TRANSPORT_NODES_MAX];
    struct target_model targets[CONFIG_MODELS_MAX];
    struct model_kind kinds[CONFIG_MODELS_MAX];
    struct model_kinds model_kinds;
    char separator[TARGET_TEMPLATE_MAX + 1];
};

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* ---- Making ---- */

static int compare_kinds(const void *a, const void *b)
{
    return strcmp(((const struct model_kind *)a)->name, ((const struct model_kind *)b)->name);
}

static void make_models(struct index_config *to, const struct config *from)
{
    for (uint32_t i = 0; i < from->model_count; i++) {
        const struct config_model *model = &from->models[i];
        to->targets[i] = (struct target_model){
            .model = model->name,
            .kind = model->fragments ? TAKE_FRAGMENTS : TAKE_WHOLE,
            .index = or_null(model->index),
            .routing = model->has_routing ? model->routing : NULL,
        };
        memcpy(to->kinds[i].name, model->name, sizeof to->kinds[i].name);
        to->kinds[i].fragments = model->fragments;
    }
    qsort(to->kinds, from->model_count, sizeof to->kinds[0], compare_kinds);
    to->model_kinds = (struct model_kinds){to->kinds, from->model_count,
                                           from->index == CONFIG_INDEX_ELASTICSEARCH};
}

static int split_nodes(struct index_config *to, const struct config *from, char *error, size_t size)
{
    uint32_t count = 0;
    char *rest = NULL;
    memcpy(to->nodes_text, from->index_nodes, sizeof to->nodes_text);
    for (char *node = strtok_r(to->nodes_text, " \t,", &rest); node != NULL;
         node = strtok_r(NULL, " \t,", &rest)) {
        if (count == TRANSPORT_NODES_MAX) {
            (void)snprintf(error, size, "index_nodes: at most %u nodes", TRANSPORT_NODES_MAX);
            return -1;
        }
        to->nodes[count++] = node;
    }
    to->options.transport.nodes = to->nodes;
    to->options.transport.node_count = count;
    return 0;
}

static uint32_t reply_bytes(const struct config *from)
{
    uint64_t bytes = from->limits.flush_documents * REPLY_ITEM_BYTES;
    return bytes < REPLY_BYTES_LEAST ? REPLY_BYTES_LEAST : (uint32_t)bytes;
}

static int make_options(struct index_config *to, const struct config *from, char *error,
                        size_t size)
{
    to->options = (struct index_options){
        .transport = {.ca = or_null(from->index_ca),
                      .cert = or_null(from->index_cert),
                      .key = or_null(from->index_key),
                      .basic_file = or_null(from->index_user_file),
                      .api_key_file = or_null(from->index_api_key_file),
                      .gzip = from->index_gzip,
                      .connect_ms = (uint32_t)from->index_connect_ms,
                      .answer_ms = (uint32_t)from->index_answer_ms,
                      .reply_bytes_max = reply_bytes(from),
                      .requests_max = (uint32_t)from->index_batches_max,
                      .node_away_ms = NODE_AWAY_MS},
        .targets = {.index = from->index_name,
                    .routing = or_null(from->index_routing),
                    .models = to->targets,
                    .model_count = from->model_count},
        .request_bytes_max = (uint32_t)from->index_request_bytes,
        .batches_max = (uint32_t)from->index_batches_max,
        .retry_first_ms = (uint32_t)from->index_retry_first_ms,
        .retry_most_ms = (uint32_t)from->index_retry_most_ms,
        .item_retry_most_ms = (uint32_t)from->index_item_retry_most_ms,
        .late_ms = (uint32_t)from->index_answer_ms + LATE_MS,
        .refresh_ms = (uint32_t)from->index_refresh_ms,
    };
    return split_nodes(to, from, error, size);
}

/* ---- Checking ---- */

/* One after the other, so that it is clear whose template it is. */
static int check_templates(const struct index_config *config, char *error, size_t size)
{
    const struct targets *all = &config->options.targets;
    char why[512];
    struct targets some = {.index = all->index};
    const char *key = "index_name";
    int outcome = targets_check(&some, why, sizeof why);
    if (outcome == 0) {
        key = "index_routing";
        some.routing = all->routing;
        outcome = targets_check(&some, why, sizeof why);
    }
    if (outcome != 0) {
        (void)snprintf(error, size, "%s: %s", key, why);
        return -1;
    }
    some.model_count = 1;
    for (uint32_t i = 0; i < all->model_count; i++) {
        some.models = &all->models[i];
        if (targets_check(&some, why, sizeof why) != 0) {
            (void)snprintf(error, size, "model \"%s\": %s", some.models->model, why);
            return -1;
        }
    }
    return 0;
}

static uint64_t now_is_not_asked(void *context)
{
    (void)context;
    return 0;
}

/* Files and URLs, as the writer will take them. */
static int check_transport(const struct index_config *config, char *error, size_t size)
{
    struct transport_options options = config->options.transport;
    options.now_ms = now_is_not_asked;
    struct transport *transport = transport_new(&options, error, size);
    transport_free(transport);
    return transport != NULL ? 0 : -1;
}

/* Whether each tenant has an index, by the templates and their separator. */
static int check_names(const struct targets *targets, const struct policy_tenants *tenants,
                       char *error, size_t size)
{
    static const char any[] = "model"; /* one that is like most */
    struct target_name name;
    struct reason why;
    for (size_t i = 0; i < tenants->count; i++) {
        const char *tenant = tenants->names[i];
        for (uint32_t j = 0; j <= targets->model_count; j++) {
            if (j < targets->model_count && targets->models[j].index == NULL) {
                continue; /* as any other */
            }
            const char *model = j < targets->model_count ? targets->models[j].model : any;
            const struct index_document document = {.tenant = bytes_of(tenant, strlen(tenant)),
                                                    .model = bytes_of(model, strlen(model))};
            if (target_index(targets, &document, &name, &why) != 0) {
                (void)snprintf(error, size, "the tenant \"%s\" of the policy has no index: %s",
                               tenant, why.message);
                return -1;
            }
        }
    }
    return 0;
}

/* Each with each, for templates that have nothing in common: tenants that are known may be apart
 * all the same. */
static int check_pairs(const struct targets *targets, const struct policy_tenants *tenants,
                       char *error, size_t size)
{
    uint64_t models = targets->model_count + 1;
    uint64_t count = tenants->count;
    if (count > PAIRS_MOST || count * count / 2 * models * models > PAIRS_MOST) {
        (void)snprintf(error, size,
                       "the policy has too many tenants (%zu) for templates that are not alike: "
                       "{tenant} at the beginning of all, with the same separator behind it, keeps "
                       "any number apart",
                       tenants->count);
        return -1;
    }
    return targets_check_tenants(targets, (const char *const *)tenants->names, (uint32_t)count,
                                 error, size);
}

/* With the separator of the templates, which then stands in *separator, or without any. */
static int check_tenants(struct targets *targets, char separator[TARGET_TEMPLATE_MAX + 1],
                         const struct policy_tenants *tenants, char *error, size_t size)
{
    char why[512];
    int outcome = targets_separator(targets, separator, why, sizeof why);
    if (outcome != 0 && tenants->all) {
        (void)snprintf(error, size,
                       "the policy has a rule that may record changes of any tenant "
                       "(delegate = \"*\"), but %s",
                       why);
        return -1;
    }
    if (outcome == 0) {
        targets->separator = separator;
        outcome = check_names(targets, tenants, why, sizeof why);
    }
    if (outcome == 0) {
        return 0;
    }
    if (tenants->all) {
        (void)snprintf(error, size, "%s", why);
        return -1;
    }
    targets->separator = NULL;
    return check_names(targets, tenants, error, size) != 0
               ? -1
               : check_pairs(targets, tenants, error, size);
}

static int check_policy(struct index_config *config, const struct policy *policy, char *error,
                        size_t size)
{
    struct policy_tenants tenants;
    if (policy_tenants_of(policy, METHOD_RECORD_MODEL_CHANGES, &tenants) != 0) {
        (void)snprintf(error, size, "out of memory");
        return -1;
    }
    int outcome = check_tenants(&config->options.targets, config->separator, &tenants, error, size);
    free(tenants.names);
    return outcome;
}

/* Good tenants, but the writer goes on with the separator of the start. */
static int check_in_force(const struct targets *in_force, const struct targets *wanted,
                          const struct policy_tenants *tenants, char *error, size_t size)
{
    bool separates = in_force->separator != NULL;
    if (separates == (wanted->separator != NULL)) {
        return 0;
    }
    if (!separates && !tenants->all) {
        return check_pairs(in_force, tenants, error, size);
    }
    (void)snprintf(error, size,
                   "its tenants are good, but names of indices would be made by another rule than "
                   "since the start: restart the server");
    return -1;
}

int index_config_check_policy(const struct index_config *config, const struct policy *policy,
                              char *error, size_t error_size)
{
    struct policy_tenants tenants;
    struct targets wanted = config->options.targets;
    char separator[TARGET_TEMPLATE_MAX + 1];
    if (!config->writes) {
        return 0;
    }
    if (policy_tenants_of(policy, METHOD_RECORD_MODEL_CHANGES, &tenants) != 0) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    int outcome = check_tenants(&wanted, separator, &tenants, error, error_size);
    if (outcome == 0) {
        outcome = check_in_force(&config->options.targets, &wanted, &tenants, error, error_size);
    }
    free(tenants.names);
    return outcome;
}

/* With credentials it is refused. */
static void warn_of_plain_nodes(const struct index_config *config)
{
    const struct transport_options *transport = &config->options.transport;
    for (uint32_t i = 0; i < transport->node_count; i++) {
        const char *node = transport->nodes[i];
        if (strncmp(node, "http://", 7) == 0 && !transport_is_local(node)) {
            log_warning("index_nodes: documents travel in clear", LOG_TEXT("node", node));
        }
    }
}

struct index_config *index_config_new(const struct config *from, const struct policy *policy,
                                      char *error, size_t error_size)
{
    struct index_config *config = calloc(1, sizeof *config);
    if (config == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return NULL;
    }
    make_models(config, from);
    config->writes = from->index == CONFIG_INDEX_ELASTICSEARCH;
    if (!config->writes) {
        if (from->index_nodes[0] != '\0' && policy != NULL) {
            log_warning("index = none: nothing is written to the index, though it is configured",
                        LOG_TEXT("index_nodes", from->index_nodes));
        }
        return config;
    }
    if (make_options(config, from, error, error_size) != 0 ||
        check_templates(config, error, error_size) != 0 ||
        index_options_check(&config->options, error, error_size) != 0 ||
        (policy != NULL && (check_transport(config, error, error_size) != 0 ||
                            check_policy(config, policy, error, error_size) != 0))) {
        index_config_free(config);
        return NULL;
    }
    warn_of_plain_nodes(config);
    return config;
}

const struct index_options *index_config_options(const struct index_config *config)
{
    return config->writes ? &config->options : NULL;
}

const struct model_kinds *index_config_kinds(const struct index_config *config)
{
    return &config->model_kinds;
}

void index_config_free(struct index_config *config)
{
    free(config);
}
