#include "server/index_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/log.h"

/* A request may have left when the index went away, and may lie in a queue on its way: what is told
 * of it is over after index_answer_ms, and it itself surely after this much more. */
#define LATE_MS 60000u

/* A node that could not be reached is tried again after so long. */
#define NODE_AWAY_MS 5000u

/* Of a bulk's answer that tells of each item: some 200 bytes without an error. An answer that is
 * longer is asked for in parts. */
#define REPLY_BYTES_MAX (2u * 1024u * 1024u)

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
                      .reply_bytes_max = REPLY_BYTES_MAX,
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

static int check_tenants(struct index_config *to, const struct policy *policy, char *error,
                         size_t size)
{
    struct policy_tenants tenants;
    struct targets *targets = &to->options.targets;
    char why[512];
    if (policy_tenants_of(policy, METHOD_RECORD_MODEL_CHANGES, &tenants) != 0) {
        (void)snprintf(error, size, "out of memory");
        return -1;
    }
    int outcome = tenants.all ? targets_separator(targets, to->separator, why, sizeof why) : 0;
    if (outcome == 0 && tenants.all) {
        targets->separator = to->separator;
    }
    if (outcome == 0) {
        outcome = targets_check_tenants(targets, (const char *const *)tenants.names,
                                        (uint32_t)tenants.count, why, sizeof why);
    }
    free(tenants.names);
    if (outcome != 0) {
        (void)snprintf(error, size, "two tenants of the policy could reach the same index: %s",
                       why);
    }
    return outcome;
}

static bool is_this_machine(const char *node)
{
    const char *host = node + strlen("http://");
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static void warn_of_plain_nodes(const struct index_config *config)
{
    const struct transport_options *transport = &config->options.transport;
    for (uint32_t i = 0; i < transport->node_count; i++) {
        const char *node = transport->nodes[i];
        if (strncmp(node, "http://", 7) == 0 && !is_this_machine(node)) {
            log_warning(transport->basic_file != NULL || transport->api_key_file != NULL
                            ? "index_nodes: credentials and documents travel in clear"
                            : "index_nodes: documents travel in clear",
                        LOG_TEXT("node", node));
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
        return config;
    }
    if (make_options(config, from, error, error_size) != 0 ||
        index_options_check(&config->options, error, error_size) != 0 ||
        (policy != NULL && check_tenants(config, policy, error, error_size) != 0)) {
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
