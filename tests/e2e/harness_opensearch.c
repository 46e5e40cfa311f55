#define _GNU_SOURCE
#include "tests/e2e/harness_opensearch.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_SECONDS = 60,
    WORDS_MAX = 80,
    UNAVAILABLE = 69, /* get.sh's status when it cannot be had */
    REQUEST_MS = 30000,
};

#define BOSS "boss:boss of the tests"

/* ---- Whether it can be had ---- */

static char why_not[256]; /* get.sh's last line */

/* Java and Maven are used where they are installed; a test installs no packages. */
static bool had(bool secure)
{
    FILE *pipe = popen(secure ? "tests/opensearch/get.sh --no-packages secure 2>&1"
                              : "tests/opensearch/get.sh --no-packages 2>&1",
                       "re");
    assert_non_null(pipe);
    while (fgets(why_not, sizeof why_not, pipe) != NULL) {
        print_message("%s", why_not);
    }
    why_not[strcspn(why_not, "\n")] = '\0';
    int status = pclose(pipe);
    if (WIFEXITED(status) && WEXITSTATUS(status) == UNAVAILABLE) {
        return false;
    }
    if (status != 0) {
        fail_msg("tests/opensearch/get.sh failed with status %d", status);
    }
    why_not[0] = '\0';
    return true;
}

void opensearch_needed(const struct opensearch *node)
{
    if (node->pid == 0) {
        print_message("skipped: %s\n", why_not[0] != '\0' ? why_not : "OpenSearch ended before");
        skip();
    }
}

/* ---- Its life ---- */

/* The lines of secure.sh as words, in `text`. */
static size_t secure_words(const struct opensearch *node, char *text, size_t size,
                           const char **words, size_t most)
{
    char command[2 * SCENE_PATH_MAX];
    (void)snprintf(command, sizeof command, "tests/opensearch/secure.sh '%s'",
                   scene_path(node->scene, node->home));
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    size_t length = fread(text, 1, size - 1, pipe);
    assert_int_equal(pclose(pipe), 0);
    text[length] = '\0';
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, "\n", &rest); word != NULL && count < most;
         word = strtok_r(NULL, "\n", &rest)) {
        words[count++] = word;
    }
    return count;
}

_Noreturn static void become_node(const struct opensearch *node, const char *const *words)
{
    int log = open(node->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int null = open("/dev/null", O_RDONLY);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
        _exit(126);
    }
    /* The node dies with the test program, whatever ends that. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp("java", (char *const *)words);
    _exit(127);
}

bool opensearch_spawn(struct opensearch *node, const struct scene *scene,
                      const struct opensearch_options *options)
{
    assert_int_equal(node->pid, 0);
    if (!had(options->secure)) {
        return false;
    }
    node->scene = scene;
    node->home = node->home != NULL ? node->home : "opensearch";
    node->port = node->port != 0 ? node->port : free_port();
    node->secure = options->secure;
    (void)snprintf(node->url, sizeof node->url, "%s://127.0.0.1:%u",
                   node->secure ? "https" : "http", node->port);
    (void)snprintf(node->log, sizeof node->log, "%s/%s.log", scene->directory, node->home);
    (void)mkdir(scene_path(scene, node->home), 0700);

    const char *cache = getenv("OPENSEARCH_CACHE");
    cache = cache != NULL ? cache : "build/opensearch";
    char path[4 * SCENE_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/classes:%s/lib/*%s%s%s", cache, cache,
                   node->secure ? ":" : "", node->secure ? cache : "",
                   node->secure ? "/secure/*" : "");
    char port[8];
    (void)snprintf(port, sizeof port, "%u", node->port);
    const char *words[WORDS_MAX] = {"java", "-Xmx512m", "-Dlog4j2.level=WARN"};
    size_t count = 3;
    if (!options->fast) {
        words[count++] = "-XX:TieredStopAtLevel=1";
    }
    const char *const standing[] = {"-cp", path, "RealNode", scene_path(scene, node->home), port};
    for (size_t i = 0; i < sizeof standing / sizeof standing[0]; i++) {
        words[count++] = standing[i];
    }
    char text[4096];
    if (node->secure) {
        count += secure_words(node, text, sizeof text, words + count, WORDS_MAX / 2);
        node->user = BOSS;
        node->certificate = "client";
    }
    for (const char *const *s = options->settings; s != NULL && *s != NULL; s++) {
        assert_true(count < WORDS_MAX - 1);
        words[count++] = *s;
    }
    node->pid = fork();
    if (node->pid == 0) {
        become_node(node, words);
    }
    assert_true(node->pid > 0);
    return true;
}

static void show_log(const struct opensearch *node)
{
    char *text = scene_read(node->log);
    if (text != NULL) {
        size_t length = strlen(text);
        print_error("--- what OpenSearch said last ---\n%s\n",
                    length > 4000 ? text + length - 4000 : text);
        free(text);
    }
}

static bool is_green(struct opensearch *node)
{
    int status = 0;
    json_t *health = opensearch_ask(
        node, "GET", "/_cluster/health?wait_for_status=green&timeout=1s", NULL, &status);
    const char *colour = json_string_value(json_object_get(health, "status"));
    bool green = status == 200 && colour != NULL && strcmp(colour, "green") == 0;
    json_decref(health);
    return green;
}

void opensearch_await(struct opensearch *node)
{
    uint64_t end = now_ms() + START_SECONDS * 1000;
    uint32_t timeout_ms = node->timeout_ms;
    node->timeout_ms = 3000;
    while (!is_green(node)) {
        int status = 0;
        if (waitpid(node->pid, &status, WNOHANG) == node->pid) {
            node->pid = 0;
            show_log(node);
            fail_msg("OpenSearch ended with status %d before it was green", status);
        }
        if (now_ms() > end) {
            show_log(node);
            opensearch_kill(node);
            fail_msg("OpenSearch is not green after %d s", START_SECONDS);
        }
        sleep_ms(50);
    }
    node->timeout_ms = timeout_ms;
}

bool opensearch_start(struct opensearch *node, const struct scene *scene,
                      const struct opensearch_options *options)
{
    if (!opensearch_spawn(node, scene, options)) {
        return false;
    }
    opensearch_await(node);
    return true;
}

void opensearch_stop(struct opensearch *node)
{
    uint64_t end = now_ms() + START_SECONDS * 1000;
    int status = 0;
    assert_true(node->pid > 0);
    assert_int_equal(kill(node->pid, SIGTERM), 0);
    while (waitpid(node->pid, &status, WNOHANG) != node->pid) {
        if (now_ms() > end) {
            show_log(node);
            opensearch_kill(node);
            fail_msg("OpenSearch did not end");
        }
        sleep_ms(10);
    }
    node->pid = 0;
    /* Java's way to say that a signal was obeyed. */
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 128 + SIGTERM);
}

void opensearch_kill(struct opensearch *node)
{
    if (node->pid > 0) {
        (void)kill(node->pid, SIGKILL);
        (void)waitpid(node->pid, NULL, 0);
        node->pid = 0;
    }
}

void opensearch_pause(struct opensearch *node)
{
    int status = 0;
    assert_int_equal(kill(node->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(node->pid, &status, WUNTRACED), node->pid);
    assert_true(WIFSTOPPED(status));
}

void opensearch_resume(struct opensearch *node)
{
    assert_int_equal(kill(node->pid, SIGCONT), 0);
}

struct opensearch opensearch_of(const struct opensearch *node)
{
    struct opensearch other = *node;
    other.connection = NULL;
    return other;
}

void opensearch_hang_up(struct opensearch *node)
{
    curl_easy_cleanup(node->connection);
    node->connection = NULL;
}

void opensearch_end(struct opensearch *node)
{
    opensearch_kill(node);
    opensearch_hang_up(node);
}

/* ---- Requests ---- */

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct opensearch_reply *reply = context;
    if (reply->length + size * count + 1 > reply->room) {
        reply->room = 2 * reply->room + size * count + 1;
        reply->body = realloc(reply->body, reply->room);
        assert_non_null(reply->body);
    }
    memcpy(reply->body + reply->length, bytes, size * count);
    reply->length += size * count;
    reply->body[reply->length] = '\0';
    return size * count;
}

/* Who asks, and whom it trusts. */
static void present(const struct opensearch *node, CURL *curl)
{
    if (node->user != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERPWD, node->user);
    }
    if (!node->secure) {
        return;
    }
    char name[128];
    (void)snprintf(name, sizeof name, "%s/config/ca.crt", node->home);
    curl_easy_setopt(curl, CURLOPT_CAINFO, scene_path(node->scene, name));
    if (node->certificate != NULL) {
        (void)snprintf(name, sizeof name, "%s/config/%s.crt", node->home, node->certificate);
        curl_easy_setopt(curl, CURLOPT_SSLCERT, scene_path(node->scene, name));
        (void)snprintf(name, sizeof name, "%s/config/%s.key", node->home, node->certificate);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, scene_path(node->scene, name));
    }
}

void opensearch_request(struct opensearch *node, const char *method, const char *path,
                        const char *body, struct opensearch_reply *reply)
{
    static bool initialised;
    if (!initialised) {
        assert_int_equal(curl_global_init(CURL_GLOBAL_ALL), 0);
        initialised = true;
    }
    memset(reply, 0, sizeof *reply);
    if (node->connection == NULL) {
        node->connection = curl_easy_init();
        assert_non_null(node->connection);
    }
    CURL *curl = node->connection;
    curl_easy_reset(curl); /* keeps the connection */

    char url[SCENE_PATH_MAX];
    char type[128];
    (void)snprintf(url, sizeof url, "%s%s", node->url, path);
    (void)snprintf(type, sizeof type, "Content-Type: %s",
                   node->content_type != NULL ? node->content_type : "application/json");
    struct curl_slist *headers = curl_slist_append(NULL, type);
    headers = curl_slist_append(headers, "Expect:");
    assert_non_null(headers);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     (long)(node->timeout_ms != 0 ? node->timeout_ms : REQUEST_MS));
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    present(node, curl);

    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    reply->status = code == CURLE_OK ? (int)status : 0;
    if (code != CURLE_OK) {
        (void)snprintf(reply->why, sizeof reply->why, "%s", curl_easy_strerror(code));
    }
    if (reply->body == NULL) {
        reply->body = calloc(1, 1);
        assert_non_null(reply->body);
    }
}

json_t *opensearch_ask(struct opensearch *node, const char *method, const char *path,
                       const char *body, int *status)
{
    struct opensearch_reply reply;
    opensearch_request(node, method, path, body, &reply);
    json_t *json = json_loadb(reply.body, reply.length, JSON_DECODE_ANY, NULL);
    if (status != NULL) {
        *status = reply.status;
    }
    free(reply.body);
    return json;
}
