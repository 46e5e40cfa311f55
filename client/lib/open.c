/* Opening and closing a client, and asking where it stands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/client.h"
#include "client/lib/clock.h"
#include "client/lib/error.h"
#include "proto/frame.h"

enum {
    TIMEOUT_MS = 10000,
    CONNECT_TIMEOUT_MS = 5000,
    RECONNECT_MIN_MS = 50,
    RECONNECT_MAX_MS = 2000,
    ATTEMPTS_MAX = 5,
    RETRY_BUDGET = 100,
    SILENCE_MS = 2000,
    HOST_SIZE = 256,
};

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

/* --- The caller --- */

static bool copy_string(const char *from, char **to)
{
    *to = from == NULL || *from == '\0' ? NULL : strdup(from);
    return *to != NULL || from == NULL || *from == '\0';
}

static void caller_deinit(struct caller *caller)
{
    for (size_t i = 0; i < caller->group_count; i++) {
        free(caller->groups[i]);
    }
    free(caller->groups);
    free(caller->user);
    free(caller->tenant);
}

static bool copy_caller(const struct activity_options *options, struct caller *caller)
{
    if (!copy_string(options->tenant, &caller->tenant) ||
        !copy_string(options->user, &caller->user)) {
        return false;
    }
    if (options->group_count == 0) {
        return true;
    }
    caller->groups = calloc(options->group_count, sizeof *caller->groups);
    if (caller->groups == NULL) {
        return false;
    }
    for (size_t i = 0; i < options->group_count; i++) {
        caller->groups[i] = strdup(options->groups[i]);
        if (caller->groups[i] == NULL) {
            return false;
        }
        caller->group_count++;
    }
    return true;
}

/* --- Options --- */

static int check_caller(const struct activity_options *options, struct activity_error *error)
{
    if (options->user != NULL && options->tenant == NULL) {
        return error_bad_field(error, "tenant", "is needed with a user");
    }
    if (options->group_count > 0 && (options->user == NULL || options->groups == NULL)) {
        return error_bad_field(error, "user", "is needed with groups");
    }
    if (options->group_count > LIMIT_CALLER_GROUPS) {
        return error_bad_field(error, "groups", "are more than 64");
    }
    for (size_t i = 0; i < options->group_count; i++) {
        if (options->groups[i] == NULL) {
            return error_bad_field(error, "groups", "has a NULL");
        }
    }
    return ACTIVITY_OK;
}

static int check_options(const struct activity_options *options, struct activity_error *error)
{
    if (options == NULL || options->size != sizeof *options) {
        return error_bad_field(error, "size", "is not this library's: use ACTIVITY_OPTIONS_INIT");
    }
    if (options->servers == NULL || options->server_count == 0) {
        return error_bad_field(error, "servers", "is missing");
    }
    if (options->server_count > CLIENT_SERVERS_MAX) {
        return error_bad_field(error, "servers", "are more than 16");
    }
    if (options->ca_file == NULL) {
        return error_bad_field(error, "ca_file", "is missing");
    }
    if (options->cert_file == NULL) {
        return error_bad_field(error, "cert_file", "is missing");
    }
    if (options->key_file == NULL) {
        return error_bad_field(error, "key_file", "is missing");
    }
    if ((options->flags & ~(uint32_t)ACTIVITY_TLS_STOCK) != 0) {
        return error_bad_field(error, "flags", "has one that this library does not know");
    }
    for (size_t i = 0; i < options->server_count; i++) {
        char host[HOST_SIZE];
        if (options->servers[i] == NULL || !link_url_host(options->servers[i], host, sizeof host)) {
            return error_bad_field(error, "servers", "has one that is not tls+tcp://host:port");
        }
    }
    return check_caller(options, error);
}

static int error_from_fault(struct activity_error *error, enum link_fault fault)
{
    switch (fault) {
    case LINK_OK:
        return error_clear(error);
    case LINK_BAD_CA:
        return error_bad_field(error, "ca_file", "cannot be read or holds no PEM certificate");
    case LINK_BAD_CERT:
        return error_bad_field(error, "cert_file", "cannot be read");
    case LINK_BAD_KEY:
        return error_bad_field(error, "key_file", "cannot be read");
    case LINK_BAD_KEY_PAIR:
        return error_bad_field(error, "key_file",
                               "or cert_file is not PEM or not of a kind that is known, or the "
                               "key is not the certificate's");
    case LINK_BAD_SERVER:
        return error_bad_field(error, "servers", "has one that is not tls+tcp://host:port");
    case LINK_NO_MEMORY:
        return error_no_memory(error);
    case LINK_FAILED:
        break;
    }
    return error_set(error, ACTIVITY_INTERNAL, "CLIENT_INTERNAL",
                     "the messaging library refused to be set up");
}

/* --- Opening --- */

/* Health.Check of the whole server: answered by any server, whatever the caller may do. */
static bool make_probe(struct activity_client *client)
{
    struct frame_request frame = {.method = view_of("activity.v1.HealthService/Check"),
                                  .timeout_ms = CONNECT_TIMEOUT_MS};
    client->probe_size = frame_request_head_size(&frame);
    client->probe = malloc(client->probe_size);
    if (client->probe == NULL) {
        return false;
    }
    frame_request_encode_head(&frame, client->probe);
    return true;
}

static enum link_fault open_links(struct activity_client *client,
                                  const struct activity_options *options)
{
    const struct link_files files = {
        .ca_file = options->ca_file,
        .cert_file = options->cert_file,
        .key_file = options->key_file,
    };
    if ((options->flags & ACTIVITY_TLS_STOCK) == 0) {
        link_tls_register();
    }
    enum link_fault fault = link_credentials_load(&files, &client->credentials);
    struct link_config config = {
        .credentials = client->credentials,
        .reconnect_min_ms = client->reconnect_min_ms,
        .reconnect_max_ms = client->reconnect_max_ms,
        .probe = {client->probe, client->probe_size},
        .events = &client_events,
        .owner = client,
        .lock = &client->lock,
    };
    for (size_t i = 0; i < options->server_count && fault == LINK_OK; i++) {
        char host[HOST_SIZE];
        config.url = options->servers[i];
        if (!link_url_host(config.url, host, sizeof host)) {
            return LINK_BAD_SERVER;
        }
        config.server_name = client->server_name != NULL ? client->server_name : host;
        fault = link_open(&config, &client->links[i]);
        client->link_count += fault == LINK_OK;
    }
    return fault;
}

static int set_up(struct activity_client *client, const struct activity_options *options,
                  struct activity_error *error)
{
    client->timeout_ms = or_default(options->timeout_ms, TIMEOUT_MS);
    client->connect_timeout_ms = or_default(options->connect_timeout_ms, CONNECT_TIMEOUT_MS);
    client->attempts_max = or_default(options->attempts_max, ATTEMPTS_MAX);
    client->silence_ms = or_default(options->silence_ms, SILENCE_MS);
    client->reconnect_min_ms = or_default(options->reconnect_min_ms, RECONNECT_MIN_MS);
    client->reconnect_max_ms = or_default(options->reconnect_max_ms, RECONNECT_MAX_MS);
    retry_budget_init(&client->budget, or_default(options->retry_budget, RETRY_BUDGET));
    if (!clock_random(&client->chance, sizeof client->chance)) {
        return error_set(error, ACTIVITY_UNAVAILABLE, "CLIENT_INTERNAL",
                         "the system gives no random numbers");
    }
    if (!copy_caller(options, &client->caller) ||
        !copy_string(options->server_name, &client->server_name) || !make_probe(client)) {
        return error_no_memory(error);
    }
    client->down_ms = clock_now_ms();
    client->next_dial_ms = client->down_ms + CLIENT_DIAL_NEXT_MS;
    return error_from_fault(error, open_links(client, options));
}

activity_client *activity_client_new(const struct activity_options *options,
                                     struct activity_error *error)
{
    if (check_options(options, error) != ACTIVITY_OK) {
        return NULL;
    }
    struct activity_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        error_no_memory(error);
        return NULL;
    }
    pthread_mutex_init(&client->lock, NULL);
    client_condition_init(client);
    TAILQ_INIT(&client->queue);
    if (set_up(client, options, error) != ACTIVITY_OK) {
        activity_client_free(client);
        return NULL;
    }
    link_dial(client->links[0]);
    return client;
}

void activity_client_free(activity_client *client)
{
    if (client == NULL) {
        return;
    }
    for (size_t i = 0; i < client->link_count; i++) {
        link_close(client->links[i]);
    }
    for (size_t i = 0; i < client->link_count; i++) {
        link_free(client->links[i]);
    }
    call_table_deinit(&client->calls);
    caller_deinit(&client->caller);
    link_credentials_free(client->credentials);
    free(client->server_name);
    free(client->probe);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

/* --- Where it stands --- */

/* All servers that have been tried, as far as the text has room. */
void client_explain(struct activity_client *client, char *text, size_t size)
{
    pthread_mutex_lock(&client->lock);
    const struct link *draining = client->draining;
    pthread_mutex_unlock(&client->lock);
    if (draining != NULL) {
        snprintf(text, size, "%s: the server is about to stop, or not ready yet",
                 link_url(draining));
        return;
    }
    size_t used = 0;
    for (size_t i = 0; i < client->link_count; i++) {
        pthread_mutex_lock(&client->lock);
        bool tried = link_is_dialling(client->links[i]);
        pthread_mutex_unlock(&client->lock);
        char reason[512];
        if (tried && used + 2 < size) {
            link_explain(client->links[i], reason, sizeof reason);
            int length = snprintf(text + used, size - used, "%s%s", used > 0 ? "; " : "", reason);
            used += length > 0 ? (size_t)length : 0;
        }
    }
    if (used == 0) {
        snprintf(text, size, "no connection was tried yet");
    }
}

int activity_client_connect(activity_client *client, uint32_t timeout_ms,
                            struct activity_error *error)
{
    if (client_connect(client, clock_now_ms() + timeout_ms) == 0) {
        return error_clear(error);
    }
    char reason[900];
    client_explain(client, reason, sizeof reason);
    return error_set(error, ACTIVITY_UNAVAILABLE, "NOT_CONNECTED", "no server can be reached: %s",
                     reason);
}

void client_server_url(struct activity_client *client, char *url, size_t size)
{
    pthread_mutex_lock(&client->lock);
    const struct link *link = client->link != NULL ? client->link : client->links[0];
    snprintf(url, size, "%s", link_url(link));
    pthread_mutex_unlock(&client->lock);
}

void activity_client_status(activity_client *client, struct activity_client_status *status)
{
    pthread_mutex_lock(&client->lock);
    *status = client->counts;
    status->connected = client->link != NULL;
    pthread_mutex_unlock(&client->lock);
    client_server_url(client, status->server, sizeof status->server);
}

const char *activity_version(void)
{
    return ACTIVITY_VERSION;
}

int activity_request_id_new(unsigned char request_id[ACTIVITY_REQUEST_ID_SIZE])
{
    static const unsigned char zero[ACTIVITY_REQUEST_ID_SIZE];
    do {
        if (!clock_random(request_id, ACTIVITY_REQUEST_ID_SIZE)) {
            return ACTIVITY_UNAVAILABLE;
        }
    } while (memcmp(request_id, zero, sizeof zero) == 0);
    return ACTIVITY_OK;
}
