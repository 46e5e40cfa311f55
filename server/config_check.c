/* What the keys mean together: the defaults of --dev, and the relations between keys. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/spiffe.h"
#include "server/config.h"
#include "server/loopback.h"

static const char scheme[] = "tls+tcp://";

static bool has_scheme(const char *url)
{
    return strncmp(url, scheme, sizeof scheme - 1) == 0;
}

bool config_has_feed(const struct config *config)
{
    return strcmp(config->feed_listen, "none") != 0;
}

bool config_is_loopback(const char *url)
{
    if (!has_scheme(url)) {
        return false;
    }
    const char *host = url + sizeof scheme - 1;
    size_t length = loopback_length(host);
    return length != 0 && host[length] == ':';
}

static int refuse(const char *key, const char *rule, char *error, size_t size)
{
    (void)snprintf(error, size, "%s: %s", key, rule);
    return -1;
}

static int default_path(char *to, const char *folder, const char *name)
{
    if (to[0] != '\0') {
        return 0;
    }
    char path[CONFIG_TEXT_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        return -1;
    }
    memcpy(to, path, (size_t)length + 1);
    return 0;
}

/* All addresses of this machine: none that can be dialled. */
static bool names_all_addresses(const char *url)
{
    const char *host = url + sizeof scheme - 1;
    return host[0] == '*' || host[0] == ':' || strncmp(host, "0.0.0.0:", 8) == 0 ||
           strncmp(host, "[::]:", 5) == 0;
}

static int check_feed(struct config *config, char *error, size_t size)
{
    if (!config_has_feed(config)) {
        return config->feed_url[0] == '\0'
                   ? 0
                   : refuse("feed_url", "is given, but feed_listen is none", error, size);
    }
    if (!has_scheme(config->feed_listen)) {
        return refuse("feed_listen", "must begin with tls+tcp://, or be none", error, size);
    }
    if (config->dev && !config_is_loopback(config->feed_listen)) {
        return refuse("feed_listen", "with --dev only a loopback address is served", error, size);
    }
    if (strcmp(config->feed_listen, config->listen) == 0) {
        return refuse("feed_listen", "must not be the same as listen", error, size);
    }
    if (config->feed_url[0] == '\0' && names_all_addresses(config->feed_listen)) {
        return refuse("feed_url", "is required when feed_listen names all addresses", error, size);
    }
    if (config->feed_url[0] == '\0') {
        memcpy(config->feed_url, config->feed_listen, sizeof config->feed_url);
    }
    return has_scheme(config->feed_url)
               ? 0
               : refuse("feed_url", "must begin with tls+tcp://", error, size);
}

/* What needs no look at files or the policy. With index = none the keys may stay as they are, so
 * that one key switches the index off and on. */
static int check_index(const struct config *config, char *error, size_t size)
{
    if (config->index == CONFIG_INDEX_NONE) {
        return 0;
    }
    if (config->index_nodes[0] == '\0') {
        return refuse("index_nodes", "is required with index = elasticsearch", error, size);
    }
    if ((config->index_cert[0] == '\0') != (config->index_key[0] == '\0')) {
        return refuse(config->index_cert[0] == '\0' ? "index_cert" : "index_key",
                      "is missing: index_cert and index_key belong together", error, size);
    }
    if (config->index_user_file[0] != '\0' && config->index_api_key_file[0] != '\0') {
        return refuse("index_api_key_file",
                      "does not go with index_user_file: leave one of both out", error, size);
    }
    if (config->index_retry_first_ms > config->index_retry_most_ms) {
        return refuse("index_retry_first_ms", "is above index_retry_most_ms", error, size);
    }
    if (config->index_retry_first_ms > config->index_item_retry_most_ms) {
        return refuse("index_retry_first_ms", "is above index_item_retry_most_ms", error, size);
    }
    return 0;
}

static int fill_development(struct config *config, char *error, size_t size)
{
    if (!config_is_loopback(config->listen)) {
        return refuse("listen", "with --dev only a loopback address is served", error, size);
    }
    static const char standard[] = ".data";
    if (config->data_dir[0] == '\0') {
        memcpy(config->data_dir, standard, sizeof standard);
    }
    bool policy_given = config->policy[0] != '\0';
    if (default_path(config->cert, config->data_dir, "tls/server.crt") != 0 ||
        default_path(config->key, config->data_dir, "tls/server.key") != 0 ||
        default_path(config->ca, config->data_dir, "tls/ca.crt") != 0 ||
        default_path(config->policy, config->data_dir, "policy.conf") != 0) {
        return refuse("data_dir", "is too long", error, size);
    }
    config->open_policy = !policy_given && access(config->policy, F_OK) != 0;
    return 0;
}

int config_check(struct config *config, char *error, size_t size)
{
    if (!has_scheme(config->listen)) {
        return refuse("listen", "must begin with tls+tcp://", error, size);
    }
    if (config->dev && fill_development(config, error, size) != 0) {
        return -1;
    }
    config->limits.index_mode = config->index == CONFIG_INDEX_ELASTICSEARCH;
    if (check_feed(config, error, size) != 0 || check_index(config, error, size) != 0) {
        return -1;
    }
    const struct {
        const char *key;
        const char *value;
    } required[] = {{"data_dir", config->data_dir},
                    {"cert", config->cert},
                    {"key", config->key},
                    {"ca", config->ca},
                    {"policy", config->policy}};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (required[i].value[0] == '\0') {
            return refuse(required[i].key, "is required (or --dev, for development)", error, size);
        }
    }
    if (config->trust_domain[0] != '\0' &&
        !spiffe_trust_domain_valid(view_of(config->trust_domain))) {
        return refuse("trust_domain", "is none (1 to 255 of a-z 0-9 . - _, without spiffe://)",
                      error, size);
    }
    if (config->slots <= config->inbox_places) {
        return refuse("slots",
                      "must be more than inbox_places, so that what does not fit the inbox "
                      "can be refused",
                      error, size);
    }
    if (config->connections_per_principal > config->connections_max) {
        return refuse("connections_per_principal", "is above connections_max", error, size);
    }
    if (config->segment_bytes % 4096 != 0) {
        return refuse("segment_bytes", "must be a multiple of 4096", error, size);
    }
    return 0;
}
