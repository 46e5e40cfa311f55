#include "server/index/transport.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/check.h"
#include "server/index/credentials.h"
#include "server/index/gzip.h"
#include "server/log.h"
#include "server/loopback.h"

#define PATH_MAX_BYTES 4096u
#define GZIP_FROM      1024u /* smaller bodies fit a packet anyway */

struct call {
    CURL *easy;
    struct curl_slist *headers;
    struct transport *transport;
    bool used;
    uint32_t node;
    uint32_t tried; /* nodes, one bit each */
    struct transport_request request;
    char path[PATH_MAX_BYTES];
    uint8_t *packed; /* the body compressed, or NULL */
    uint32_t packed_length;
    uint8_t *reply;
    size_t reply_length;
    size_t reply_room;
    bool too_long;
    char error[CURL_ERROR_SIZE];
};

struct node {
    uint64_t away_until_ms;
};

struct transport {
    struct transport_options options;
    CURLM *multi;
    struct call *calls;
    uint32_t used;
    struct node nodes[TRANSPORT_NODES_MAX];
    uint32_t current;
    bool stale_credentials;
    char authorization[CREDENTIALS_HEADER_MAX];
};

static uint64_t now(const struct transport *transport)
{
    return transport->options.now_ms(transport->options.context);
}

/* ---- Made and ended ---- */

static void start_library(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static int read_credentials(struct transport *transport, char *error, size_t error_size)
{
    const struct transport_options *options = &transport->options;
    if (options->basic_file == NULL && options->api_key_file == NULL) {
        return 0;
    }
    return credentials_read(options->basic_file, options->api_key_file, transport->authorization,
                            error, error_size);
}

static int check_file(const char *file, const char *what, char *error, size_t error_size)
{
    if (file != NULL && access(file, R_OK) != 0) {
        (void)snprintf(error, error_size, "cannot read %s, %s", file, what);
        return -1;
    }
    return 0;
}

static bool is_secure(const char *node)
{
    return strncmp(node, "https://", 8) == 0;
}

bool transport_is_local(const char *node)
{
    const char *host = strstr(node, "://");
    size_t length = host != NULL ? loopback_length(host + 3) : 0;
    return length != 0 && (host[3 + length] == ':' || host[3 + length] == '\0');
}

/* As libcurl will take it. */
static bool is_url(const char *node)
{
    CURLU *url = curl_url();
    bool good = url != NULL && curl_url_set(url, CURLUPART_URL, node, 0) == CURLUE_OK;
    curl_url_cleanup(url);
    return good;
}

static int check_node(const struct transport_options *options, const char *node, char *error,
                      size_t error_size)
{
    const char *fault = NULL;
    const char *host = strstr(node, "://");
    bool has_secret = options->basic_file != NULL || options->api_key_file != NULL;
    if (!is_secure(node) && strncmp(node, "http://", 7) != 0) {
        fault = "begins with neither https:// nor http://";
    } else if (strpbrk(host + 3, "/?#@ ") != NULL || host[3] == '\0') {
        fault = "is to be a host and a port, without user, path or slash at the end";
    } else if (!is_url(node)) {
        fault = "is no URL: is its port a number up to 65535?";
    } else if (!is_secure(node) && has_secret && !transport_is_local(node)) {
        fault = "would get the password in clear: use https";
    } else if (!is_secure(node) && options->cert != NULL) {
        fault = "can take no client certificate: use https";
    }
    if (fault != NULL) {
        (void)snprintf(error, error_size, "the node \"%.200s\" %s", node, fault);
        return -1;
    }
    return 0;
}

static int check_options(const struct transport_options *options, char *error, size_t error_size)
{
    CHECK(options->requests_max > 0 && options->reply_bytes_max > 0 && options->connect_ms > 0 &&
          options->answer_ms > 0);
    if (options->node_count == 0 || options->node_count > TRANSPORT_NODES_MAX) {
        (void)snprintf(error, error_size, "there must be 1 to %u nodes", TRANSPORT_NODES_MAX);
        return -1;
    }
    for (uint32_t i = 0; i < options->node_count; i++) {
        if (check_node(options, options->nodes[i], error, error_size) != 0) {
            return -1;
        }
    }
    if ((options->cert == NULL) != (options->key == NULL)) {
        (void)snprintf(error, error_size, "client certificate and key belong together");
        return -1;
    }
    if (options->basic_file != NULL && options->api_key_file != NULL) {
        (void)snprintf(error, error_size, "either user and password or an API key, not both");
        return -1;
    }
    return check_file(options->ca, "the authorities of the index", error, error_size) != 0 ||
                   check_file(options->cert, "our certificate to the index", error, error_size) ||
                   check_file(options->key, "our key to the index", error, error_size)
               ? -1
               : 0;
}

struct transport *transport_new(const struct transport_options *options, char *error,
                                size_t error_size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, start_library);
    if (check_options(options, error, error_size) != 0) {
        return NULL;
    }
    struct transport *transport = calloc(1, sizeof *transport);
    if (transport == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return NULL;
    }
    transport->options = *options;
    if (read_credentials(transport, error, error_size) != 0) {
        transport_free(transport);
        return NULL;
    }
    transport->calls = calloc(options->requests_max, sizeof *transport->calls);
    transport->multi = curl_multi_init();
    if (transport->calls == NULL || transport->multi == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        transport_free(transport);
        return NULL;
    }
    CHECK(curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS,
                            (long)(options->requests_max + options->node_count)) == CURLM_OK);
    /* One request per connection: a long bulk must not hold up the others. */
    CHECK(curl_multi_setopt(transport->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK);
    return transport;
}

static void end_call(struct call *call)
{
    if (call->easy != NULL) {
        (void)curl_multi_remove_handle(call->transport->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->headers);
    free(call->packed);
    free(call->reply);
    *call = (struct call){.used = false};
}

void transport_free(struct transport *transport)
{
    if (transport == NULL) {
        return;
    }
    for (uint32_t i = 0; transport->calls != NULL && i < transport->options.requests_max; i++) {
        if (transport->calls[i].used) {
            end_call(&transport->calls[i]);
        }
    }
    if (transport->multi != NULL) {
        (void)curl_multi_cleanup(transport->multi);
    }
    explicit_bzero(transport->authorization, sizeof transport->authorization);
    free(transport->calls);
    free(transport);
}

/* ---- Nodes ---- */

/* The current one, or else the next that is not away; when all are, the one whose time is over
 * first. `tried` ones are left out; UINT32_MAX: there is no other. */
static uint32_t choose_node(const struct transport *transport, uint32_t tried)
{
    uint64_t at = now(transport);
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < transport->options.node_count; i++) {
        uint32_t node = (transport->current + i) % transport->options.node_count;
        if ((tried & 1u << node) != 0) {
            continue;
        }
        if (transport->nodes[node].away_until_ms <= at) {
            return node;
        }
        if (best == UINT32_MAX ||
            transport->nodes[node].away_until_ms < transport->nodes[best].away_until_ms) {
            best = node;
        }
    }
    return best;
}

static void leave_node(struct transport *transport, uint32_t node, uint32_t away_ms)
{
    transport->nodes[node].away_until_ms = now(transport) + away_ms;
    if (transport->current == node) {
        transport->current = (node + 1) % transport->options.node_count;
    }
}

/* ---- Requests ---- */

static size_t take_reply(char *from, size_t size, size_t count, void *context)
{
    struct call *call = context;
    size_t length = size * count;
    size_t wanted = call->reply_length + length;
    if (wanted > call->transport->options.reply_bytes_max) {
        call->too_long = true;
        return 0; /* ends the request */
    }
    if (wanted > call->reply_room) {
        size_t room = wanted < 8192 ? 8192 : wanted + wanted / 2;
        uint8_t *grown = realloc(call->reply, room);
        if (grown == NULL) {
            return 0;
        }
        call->reply = grown;
        call->reply_room = room;
    }
    memcpy(call->reply + call->reply_length, from, length);
    call->reply_length = wanted;
    return length;
}

static bool add_header(struct call *call, const char *line)
{
    struct curl_slist *longer = curl_slist_append(call->headers, line);
    if (longer == NULL) {
        return false;
    }
    call->headers = longer;
    return true;
}

static bool set_headers(struct call *call)
{
    const struct transport *transport = call->transport;
    char type[128];
    if (call->request.content_type != NULL) {
        (void)snprintf(type, sizeof type, "Content-Type: %s", call->request.content_type);
    }
    /* Without Expect: the index would be asked before each larger body whether it wants it. */
    return add_header(call, "Expect:") &&
           (call->request.content_type == NULL || add_header(call, type)) &&
           (call->packed == NULL || add_header(call, "Content-Encoding: gzip")) &&
           (transport->authorization[0] == '\0' || add_header(call, transport->authorization));
}

#define SET(option, value) (good = good && curl_easy_setopt(easy, option, value) == CURLE_OK)

static bool set_security(struct call *call)
{
    const struct transport_options *options = &call->transport->options;
    CURL *easy = call->easy;
    bool good = true;
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (options->ca != NULL) {
        SET(CURLOPT_CAINFO, options->ca);
        SET(CURLOPT_CAPATH, (char *)NULL); /* the system's folder would count, too */
    }
    if (options->cert != NULL) {
        SET(CURLOPT_SSLCERT, options->cert);
        SET(CURLOPT_SSLKEY, options->key);
    }
    return good;
}

static bool set_request(struct call *call)
{
    const struct transport_options *options = &call->transport->options;
    CURL *easy = call->easy;
    bool good = true;
    char url[PATH_MAX_BYTES + 512];
    uint32_t answer_ms =
        call->request.answer_ms != 0 ? call->request.answer_ms : options->answer_ms;
    (void)snprintf(url, sizeof url, "%s%s", options->nodes[call->node], call->path);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_CUSTOMREQUEST, call->request.method);
    if (call->request.content_type != NULL) {
        struct bytes body =
            call->packed != NULL ? bytes_of(call->packed, call->packed_length) : call->request.body;
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
        SET(CURLOPT_POSTFIELDS, body.length == 0 ? "" : (const char *)body.at);
    }
    SET(CURLOPT_HTTPHEADER, call->headers);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)answer_ms);
    return good;
}

static bool set_up(struct call *call)
{
    CURL *easy = call->easy;
    bool good = true;
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip");
    SET(CURLOPT_ERRORBUFFER, call->error);
    SET(CURLOPT_WRITEFUNCTION, take_reply);
    SET(CURLOPT_WRITEDATA, call);
    SET(CURLOPT_PRIVATE, call);
    return good && set_security(call) && set_request(call);
}

static bool start(struct call *call)
{
    call->tried |= 1u << call->node;
    call->reply_length = 0;
    call->too_long = false;
    call->error[0] = '\0';
    return set_up(call) && curl_multi_add_handle(call->transport->multi, call->easy) == CURLM_OK;
}

uint32_t transport_places(const struct transport *transport)
{
    return transport->options.requests_max - transport->used;
}

int transport_send(struct transport *transport, const struct transport_request *request)
{
    struct call *call = transport->calls;
    if (transport_places(transport) == 0 || strlen(request->path) >= PATH_MAX_BYTES) {
        return 1;
    }
    while (call->used) {
        call++;
    }
    if (transport->stale_credentials) {
        char error[TRANSPORT_WHY_MAX];
        transport->stale_credentials = false;
        if (read_credentials(transport, error, sizeof error) != 0) {
            log_warning("credentials for the index stay as they were", LOG_TEXT("reason", error));
        }
    }
    *call = (struct call){.used = true,
                          .transport = transport,
                          .request = *request,
                          .node = choose_node(transport, 0)};
    (void)snprintf(call->path, sizeof call->path, "%s", request->path);
    if (transport->options.gzip && request->body.length >= GZIP_FROM) {
        call->packed = gzip_body(request->body, &call->packed_length);
    }
    call->easy = curl_easy_init();
    if (call->easy == NULL || !set_headers(call) || !start(call)) {
        end_call(call);
        return 1;
    }
    transport->used++;
    return 0;
}

/* ---- Ends ---- */

/* What can be done about it, of errors that a configuration makes. */
static const char *advice_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "; is the name right?";
    case CURLE_COULDNT_CONNECT:
        return "; does it run, and listen there?";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "; the authority that signed the node's certificate has to be in index_ca, and the "
               "node's name in its certificate";
    case CURLE_SSL_CACERT_BADFILE:
        return "; index_ca has to be a PEM file";
    case CURLE_SSL_CERTPROBLEM:
        return "; index_cert and index_key have to be PEM files that belong together";
    case CURLE_SSL_CONNECT_ERROR:
        return "; does the node speak TLS on this port, and trust our certificate?";
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
        return "; a node that wants TLS, or does not trust our certificate, closes like this, too";
    case CURLE_OPERATION_TIMEDOUT:
        return "; it is overloaded, stopped, or cannot be reached";
    default:
        return "";
    }
}

static void explain(const struct call *call, CURLcode code, char why[TRANSPORT_WHY_MAX])
{
    const char *node = call->transport->options.nodes[call->node];
    if (call->too_long) {
        (void)snprintf(why, TRANSPORT_WHY_MAX, "%.150s: the answer is longer than %u bytes", node,
                       call->transport->options.reply_bytes_max);
        return;
    }
    (void)snprintf(why, TRANSPORT_WHY_MAX, "%.150s: %.200s%s", node,
                   call->error[0] != '\0' ? call->error : curl_easy_strerror(code),
                   advice_of(code));
}

/* Whether no byte of the request has left. */
static bool is_unsent(CURL *easy)
{
    long sent = -1;
    return curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent) == CURLE_OK && sent == 0;
}

/* Tries the next node, if there is one and it cannot become a second copy. */
static bool start_elsewhere(struct call *call)
{
    struct transport *transport = call->transport;
    uint32_t node = choose_node(transport, call->tried);
    if (node == UINT32_MAX || !is_unsent(call->easy)) {
        return false;
    }
    (void)curl_multi_remove_handle(transport->multi, call->easy);
    call->node = node;
    return start(call);
}

static void finish(struct call *call, CURLcode code, transport_done *done, void *context)
{
    struct transport *transport = call->transport;
    struct transport_answer answer = {.node = transport->options.nodes[call->node]};
    char why[TRANSPORT_WHY_MAX] = "";
    long status = 0;
    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        transport->nodes[call->node].away_until_ms = 0;
        transport->stale_credentials = transport->stale_credentials || status == 401;
        if (status >= 502 && status <= 504) { /* another one may be better off */
            leave_node(transport, call->node, 0);
        }
    } else if (!call->too_long) {
        leave_node(transport, call->node, transport->options.node_away_ms);
        if (start_elsewhere(call)) {
            return;
        }
    }
    if (code != CURLE_OK) {
        explain(call, code, why);
    }
    answer.status = (uint32_t)status;
    answer.too_long = call->too_long;
    answer.body = bytes_of(call->reply, answer.status == 0 ? 0 : call->reply_length);
    answer.why = why;
    void *owner = call->request.owner;
    struct call ended = *call; /* its place is free while the answer is looked at */
    *call = (struct call){.used = false};
    transport->used--;
    /* Its error buffer lies in the place that may be used again. */
    (void)curl_multi_remove_handle(transport->multi, ended.easy);
    curl_easy_cleanup(ended.easy);
    ended.easy = NULL;
    done(context, owner, &answer);
    end_call(&ended);
}

void transport_run(struct transport *transport, uint32_t wait_ms, transport_done *done,
                   void *context)
{
    int running = 0;
    int left = 0;
    CHECK(curl_multi_perform(transport->multi, &running) == CURLM_OK);
    CHECK(curl_multi_poll(transport->multi, NULL, 0, (int)wait_ms, NULL) == CURLM_OK);
    CHECK(curl_multi_perform(transport->multi, &running) == CURLM_OK);
    CURLMsg *message;
    while ((message = curl_multi_info_read(transport->multi, &left)) != NULL) {
        char *call = NULL;
        CURLcode code = message->data.result;
        CHECK(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call) == CURLE_OK);
        finish((struct call *)(void *)call, code, done, context);
    }
}

void transport_wake(struct transport *transport)
{
    CHECK(curl_multi_wakeup(transport->multi) == CURLM_OK);
}
