/* The configuration: a file of `key = value` lines, and flags of the same names that win over it.
 * Every key is a row of a table here or in core/limits.h; the file's keys, the flags, --help and
 * the checks are made from the rows. activityd.conf.example explains each. What a model is written
 * as stands in a section of its own, or in a flag --model. */
#ifndef ACTIVITYD_SERVER_CONFIG_H
#define ACTIVITYD_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/limits.h"
#include "server/core/limits.h"
#include "server/log.h"

/* X(key, what it is) */
#define CONFIG_TEXTS(X)                                                                            \
    X(listen, "URL of the command endpoint, tls+tcp://ADDRESS:PORT")                               \
    X(feed_listen, "URL of the change-feed endpoint, or none")                                     \
    X(feed_url, "what subscribers are told to connect to, if not feed_listen")                     \
    X(data_dir, "folder of the journal and snapshots")                                             \
    X(cert, "PEM file with the server's certificate and its intermediates")                        \
    X(key, "PEM file with its private key")                                                        \
    X(ca, "PEM file with the authorities that sign clients' certificates")                         \
    X(policy, "file with the rules of who may do what")

/* The same, which may be left out. */
#define CONFIG_OPTIONAL_TEXTS(X)                                                                   \
    X(crl, "PEM file with the authorities' lists of revoked certificates")                         \
    X(trust_domain, "SPIFFE trust domain of clients and rules, if only one is let in")

/* The same, of the index; none of them is needed with index = none. */
#define CONFIG_INDEX_TEXTS(X)                                                                      \
    X(index_nodes, "the index's nodes, https://HOST:PORT, with blanks between them")               \
    X(index_name, "name of a model's index, with {tenant} and {model}")                            \
    X(index_routing, "routing of documents, with {tenant}, {model} and {id}")                      \
    X(index_ca, "PEM file with the authorities of the nodes' certificates")                        \
    X(index_cert, "PEM file with our certificate to the index")                                    \
    X(index_key, "PEM file with its private key")                                                  \
    X(index_user_file, "file with user:password of the index")                                     \
    X(index_api_key_file, "file with an API key of the index")

/* X(key, default, least, most, unit, what it bounds). The unit says how a value is written: bytes
 * with KiB, MiB or GiB, times in ms with ms, s, min or h, anything else as a plain number. */
#define CONFIG_NUMBERS(X)                                                                          \
    X(connections_max, 1024, 1, 65536, "connections", "connections at a time")                     \
    X(connections_per_principal, 256, 1, 65536, "connections", "connections of one principal")     \
    X(connects_per_minute, 600, 1, 1000000, "connects",                                            \
      "new connections of one principal a minute")                                                 \
    X(feed_connections_max, 1024, 1, 65536, "connections", "subscribers at a time")                \
    X(connections_per_address, 1024, 1, 131072, "connections",                                     \
      "connections of one address, on both endpoints")                                             \
    X(connects_per_minute_per_address, 1200, 1, 1000000, "connects",                               \
      "new connections of one address a minute")                                                   \
    X(handshakes_max, 256, 4, 65536, "connections", "unfinished handshakes at a time")             \
    X(handshake_ms, 5000, 100, 60000, "ms", "time that a handshake may take")                      \
    X(feed_queue_frames, 128, 8, 8192, "messages", "messages that wait for a slow subscriber")     \
    X(slots, 4096, 16, 65536, "slots", "requests under way")                                       \
    X(waits_per_principal, 64, 1, 32768, "calls",                                                  \
      "calls of one principal that wait for something")                                            \
    X(inbox_places, 1024, 8, 65535, "requests", "requests that wait for the engine")               \
    X(inbox_bytes, MIB(64), MIB(2), MIB(16384), "bytes", "their bytes")                            \
    X(outbox_bytes, MIB(64), MIB(4), MIB(16384), "bytes", "replies that wait to be sent")          \
    X(memory_max, MIB(8192), MIB(64), MIB(1048576), "bytes",                                       \
      "memory that this configuration may need in the worst case")                                 \
    X(segment_bytes, MIB(64), MIB(2), MIB(1024), "bytes", "one file of the journal")               \
    X(snapshot_bytes, MIB(1024), MIB(1), MIB(1048576), "bytes",                                    \
      "journal after which a snapshot is made")                                                    \
    X(slow_call_ms, 1000, 1, 3600000, "ms", "time after which a call is reported as slow")         \
    X(index_batches_max, 4, 1, 16, "batches", "batches on their way to the index")                 \
    X(index_request_bytes, MIB(8), 65536, MIB(100), "bytes", "one request to the index")           \
    X(index_connect_ms, 5000, 100, 60000, "ms", "until a connection to the index stands")          \
    X(index_answer_ms, 30000, 100, 600000, "ms", "until the index has answered")                   \
    X(index_retry_first_ms, 200, 1, 60000, "ms", "pause after the index failed for once")          \
    X(index_retry_most_ms, 30000, 1, 600000, "ms", "longest pause while the index is away")        \
    X(index_item_retry_most_ms, 30000, 1, 600000, "ms",                                            \
      "longest rest of a document that the index did not take")                                    \
    X(index_refresh_ms, 0, 0, 3600000, "ms",                                                       \
      "time between refreshes of the index; 0: when somebody waits")

#define CONFIG_TEXT_MAX     1024
#define CONFIG_TEMPLATE_MAX 256
#define CONFIG_MODELS_MAX   256

enum config_index { CONFIG_INDEX_NONE = 0, CONFIG_INDEX_ELASTICSEARCH };

/* A section of the file: model "NAME" { ... } */
struct config_model {
    char name[LIMIT_MODEL_LENGTH + 1];
    bool fragments;                  /* else whole */
    char index[CONFIG_TEMPLATE_MAX]; /* "": index_name */
    bool has_routing;                /* else index_routing */
    char routing[CONFIG_TEMPLATE_MAX];
};

struct config {
#define CONFIG_TEXT_FIELD(key, text) char key[CONFIG_TEXT_MAX];
    CONFIG_TEXTS(CONFIG_TEXT_FIELD)
    CONFIG_OPTIONAL_TEXTS(CONFIG_TEXT_FIELD)
    CONFIG_INDEX_TEXTS(CONFIG_TEXT_FIELD)
#undef CONFIG_TEXT_FIELD
#define CONFIG_NUMBER_FIELD(key, standard, least, most, unit, text) uint64_t key;
    CONFIG_NUMBERS(CONFIG_NUMBER_FIELD)
#undef CONFIG_NUMBER_FIELD
    struct core_limits limits; /* index_mode is no key: it follows from `index` */
    enum config_index index;
    bool index_gzip;
    struct config_model models[CONFIG_MODELS_MAX];
    uint32_t model_count;
    bool dev; /* development: certificates and policy from data_dir, loopback only */
    enum log_level log_level;
    bool open_policy; /* --dev without a policy: everybody with a certificate may do everything */
};

enum config_action {
    CONFIG_RUN,
    CONFIG_CHECK,        /* --check-config */
    CONFIG_PRINT_LIMITS, /* --print-limits */
    CONFIG_VERSION,
    CONFIG_HELP
};

void config_standard(struct config *config);

/* Reads a file over what is in *config. Returns 0, or -1 with one sentence naming file, line, key
 * and rule. Not from two threads at once (libconfuse's parser is global). */
__attribute__((warn_unused_result)) int config_load(const char *path, struct config *config,
                                                    char *error, size_t error_size);

/* The whole command line: standards, the file of --config if given, then the other flags, then the
 * defaults of --dev and the relations between keys. Returns 0, or -1 with one sentence. */
__attribute__((warn_unused_result)) int config_from_arguments(int count, char *const *arguments,
                                                              struct config *config,
                                                              enum config_action *action,
                                                              char *error, size_t error_size);

/* Fills what follows from other keys (--dev, feed_url, index) and checks the relations between
 * them. Returns 0, or -1 with one sentence. The last step of config_from_arguments. */
__attribute__((warn_unused_result)) int config_check(struct config *config, char *error,
                                                     size_t error_size);

/* The text of --help, made from the tables. */
void config_print_help(FILE *to);

/* Whether there is a change-feed endpoint. */
bool config_has_feed(const struct config *config);

/* Whether the URL can only be reached from this machine: 127.0.0.0/8, [::1] or localhost. */
bool config_is_loopback(const char *url);

#endif
