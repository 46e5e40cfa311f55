#include "bench/harness_bulk.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/harness_measure.h"
#include "tests/e2e/harness.h"

enum { ACTION_BYTES_MAX = 160, REPLY_BYTES = 2048, ANSWER_MS = 60000 };

struct lane {
    struct bulk_loader *loader;
    struct documents_walk walk;
    CURL *easy;
    char *body;
    size_t length;
    uint32_t items; /* under way */
    char reply[REPLY_BYTES];
    size_t reply_length;
};

struct bulk_loader {
    struct bulk_options options;
    CURLM *multi;
    struct curl_slist *headers;
    struct lane *lanes;
    uint64_t changes; /* so far; numbers them */
    uint64_t version;
};

_Noreturn static void stop(const struct lane *lane, const char *why)
{
    (void)fprintf(stderr, "%s: %s: %.*s\n", lane->loader->options.index, why,
                  (int)lane->reply_length, lane->reply);
    exit(1);
}

/* ---- Requests ---- */

static void put_item(struct lane *lane)
{
    struct bulk_loader *loader = lane->loader;
    uint32_t document = documents_walk_next(&lane->walk);
    char id[DOCUMENT_ID_BYTES];
    char *to = lane->body + lane->length;
    size_t at = 0;
    (void)documents_id(document, id);
    loader->changes++;
    switch (loader->options.kind) {
    case BULK_INDEX:
        at = (size_t)snprintf(to, ACTION_BYTES_MAX, "{\"index\":{\"_id\":\"%s\"}}\n", id);
        at += documents_whole(document, loader->changes, to + at);
        break;
    case BULK_EXTERNAL:
        at = (size_t)snprintf(
            to, ACTION_BYTES_MAX,
            "{\"index\":{\"_id\":\"%s\",\"version\":%llu,\"version_type\":\"external\"}}\n", id,
            (unsigned long long)++loader->version);
        at += documents_whole(document, loader->changes, to + at);
        break;
    case BULK_UPDATE:
        at = (size_t)snprintf(to, ACTION_BYTES_MAX, "{\"update\":{\"_id\":\"%s\"}}\n{\"doc\":", id);
        at += documents_patch(document, loader->changes, to + at);
        to[at++] = '}';
        break;
    case BULK_SINGLE: {
        char url[256];
        (void)snprintf(url, sizeof url, "%s/%s/_doc/%s?filter_path=result", loader->options.url,
                       loader->options.index, id);
        curl_easy_setopt(lane->easy, CURLOPT_URL, url);
        lane->length = documents_whole(document, loader->changes, to);
        return;
    }
    }
    to[at++] = '\n';
    lane->length += at;
}

static void send_next(struct lane *lane)
{
    lane->length = 0;
    lane->reply_length = 0;
    for (lane->items = 0; lane->items < lane->loader->options.items; lane->items++) {
        put_item(lane);
    }
    curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)lane->length);
    curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDS, lane->body);
    assert_int_equal(curl_multi_add_handle(lane->loader->multi, lane->easy), CURLM_OK);
}

static size_t take_reply(char *from, size_t size, size_t count, void *context)
{
    struct lane *lane = context;
    size_t length = size * count;
    size_t room = sizeof lane->reply - 1 - lane->reply_length;
    size_t kept = length < room ? length : room;
    memcpy(lane->reply + lane->reply_length, from, kept);
    lane->reply_length += kept;
    lane->reply[lane->reply_length] = '\0';
    return length;
}

static void check(const struct lane *lane, CURLcode code)
{
    long status = 0;
    (void)curl_easy_getinfo(lane->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        stop(lane, curl_easy_strerror(code));
    }
    bool single = lane->loader->options.kind == BULK_SINGLE;
    if ((status != 200 && !(single && status == 201)) ||
        (!single && strstr(lane->reply, "\"errors\":false") == NULL)) {
        stop(lane, "was not accepted");
    }
}

/* ---- A window ---- */

static uint64_t take_answers(struct bulk_loader *loader, uint64_t end, bool more)
{
    uint64_t written = 0;
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(loader->multi, &left)) != NULL) {
        char *own = NULL;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &own);
        struct lane *lane = (struct lane *)(void *)own;
        check(lane, code);
        written += lane->items;
        (void)curl_multi_remove_handle(loader->multi, lane->easy);
        if (more && measure_ns() < end) {
            send_next(lane);
        }
    }
    return written;
}

double bulk_run(struct bulk_loader *loader, uint32_t milliseconds, uint64_t most, uint32_t times)
{
    uint64_t began = measure_ns();
    uint64_t end = began + (uint64_t)milliseconds * 1000000u;
    uint64_t before = loader->changes;
    uint64_t written = 0;
    for (uint32_t i = 0; i < loader->options.connections; i++) {
        documents_walk_set(&loader->lanes[i].walk, times);
        send_next(&loader->lanes[i]);
    }
    while (written < loader->changes - before) {
        int running = 0;
        assert_int_equal(curl_multi_perform(loader->multi, &running), CURLM_OK);
        written += take_answers(loader, end, loader->changes - before < most);
        assert_int_equal(curl_multi_perform(loader->multi, &running), CURLM_OK);
        if (written < loader->changes - before) {
            assert_int_equal(curl_multi_poll(loader->multi, NULL, 0, 100, NULL), CURLM_OK);
        }
    }
    return (double)written / ((double)(measure_ns() - began) / 1e9);
}

/* ---- Made and ended ---- */

static void make_lane(struct bulk_loader *loader, uint32_t i)
{
    struct lane *lane = &loader->lanes[i];
    const struct bulk_options *options = &loader->options;
    char url[256];
    (void)snprintf(url, sizeof url, "%s/%s/_bulk?filter_path=errors", options->url, options->index);
    lane->loader = loader;
    lane->walk = documents_walk_of(i, options->connections);
    lane->body = malloc(options->items * (size_t)(ACTION_BYTES_MAX + DOCUMENT_BYTES_MAX));
    lane->easy = curl_easy_init();
    assert_true(lane->body != NULL && lane->easy != NULL);
    curl_easy_setopt(lane->easy, CURLOPT_URL, url);
    curl_easy_setopt(lane->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(lane->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(lane->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(lane->easy, CURLOPT_CUSTOMREQUEST,
                     options->kind == BULK_SINGLE ? "PUT" : "POST");
    curl_easy_setopt(lane->easy, CURLOPT_HTTPHEADER, loader->headers);
    curl_easy_setopt(lane->easy, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    curl_easy_setopt(lane->easy, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(lane->easy, CURLOPT_WRITEDATA, lane);
    curl_easy_setopt(lane->easy, CURLOPT_PRIVATE, lane);
}

struct bulk_loader *bulk_new(const struct bulk_options *options)
{
    struct bulk_loader *loader = calloc(1, sizeof *loader);
    assert_non_null(loader);
    assert_in_range(options->connections, 1, BULK_CONNECTIONS_MAX);
    loader->options = *options;
    loader->lanes = calloc(options->connections, sizeof loader->lanes[0]);
    loader->multi = curl_multi_init();
    loader->headers = curl_slist_append(NULL, options->kind == BULK_SINGLE
                                                  ? "Content-Type: application/json"
                                                  : "Content-Type: application/x-ndjson");
    loader->headers = curl_slist_append(loader->headers, "Expect:");
    assert_true(loader->lanes != NULL && loader->multi != NULL && loader->headers != NULL);
    (void)curl_multi_setopt(loader->multi, CURLMOPT_MAXCONNECTS, (long)options->connections);
    (void)curl_multi_setopt(loader->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    /* Above those of an earlier run, as ours. */
    loader->version = (uint64_t)time(NULL) * 1000 << 20;
    for (uint32_t i = 0; i < options->connections; i++) {
        make_lane(loader, i);
    }
    return loader;
}

void bulk_free(struct bulk_loader *loader)
{
    if (loader == NULL) {
        return;
    }
    for (uint32_t i = 0; i < loader->options.connections; i++) {
        curl_easy_cleanup(loader->lanes[i].easy);
        free(loader->lanes[i].body);
    }
    (void)curl_multi_cleanup(loader->multi);
    curl_slist_free_all(loader->headers);
    free(loader->lanes);
    free(loader);
}
