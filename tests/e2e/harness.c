#define _GNU_SOURCE /* nftw */
#include "tests/e2e/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_SECONDS 60
#define FLAGS_MAX     48

static const char *const cast[] = {"worker", "gateway", "boss", "root", "watcher", "stranger"};

_Noreturn __attribute__((format(printf, 1, 2))) static void give_up(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fail_msg("%s", text);
    abort();
}

/* ---- The scene ---- */

static void run_script(char *const *words)
{
    pid_t pid = fork();
    if (pid == 0) {
        execv(words[0], words);
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        give_up("%s %s failed with status %d", words[0], words[1], status);
    }
}

void scene_certificate(const struct scene *scene, ...)
{
    char tls[SCENE_PATH_MAX];
    (void)snprintf(tls, sizeof tls, "%s/tls", scene->directory);
    char *words[12] = {(char *)".make/devcerts.sh"};
    size_t count = 1;
    va_list arguments;
    va_start(arguments, scene);
    for (char *word; (word = va_arg(arguments, char *)) != NULL && count < 10;) {
        words[count++] = word;
        if (count == 2) {
            words[count++] = tls;
        }
    }
    va_end(arguments);
    run_script(words);
}

void scene_make(struct scene *scene)
{
    (void)snprintf(scene->directory, sizeof scene->directory, "/tmp/activityd-test-XXXXXX");
    if (mkdtemp(scene->directory) == NULL) {
        give_up("mkdtemp: %s", strerror(errno));
    }
    if (mkdir(scene_path(scene, "tls"), 0700) != 0) {
        give_up("mkdir: %s", strerror(errno));
    }
    scene_certificate(scene, "ca", "ca", NULL);
    scene_certificate(scene, "issue", "server", "ca", "serverAuth", "DNS:localhost,IP:127.0.0.1",
                      NULL);
    for (size_t i = 0; i < sizeof cast / sizeof cast[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "URI:spiffe://test/%s", cast[i]);
        scene_certificate(scene, "issue", cast[i], "ca", "clientAuth", name, NULL);
    }
    char *policy = scene_read("tests/e2e/policy.conf");
    if (policy == NULL) {
        give_up("tests/e2e/policy.conf: run the tests from the top of the tree");
    }
    scene_write(scene, "policy.conf", policy);
    free(policy);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void scene_end(struct scene *scene)
{
    if (scene->directory[0] != '\0') {
        (void)nftw(scene->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        scene->directory[0] = '\0';
    }
}

const char *scene_path(const struct scene *scene, const char *name)
{
    static _Thread_local char ring[16][SCENE_PATH_MAX];
    static _Thread_local unsigned at;
    char *path = ring[at++ % 16];
    (void)snprintf(path, SCENE_PATH_MAX, "%s/%s", scene->directory, name);
    return path;
}

void scene_write(const struct scene *scene, const char *name, const char *text)
{
    FILE *file = fopen(scene_path(scene, name), "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
        give_up("%s: %s", name, strerror(errno));
    }
}

char *scene_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *text = NULL;
    size_t used = 0;
    size_t room = 0;
    do {
        room += 65536;
        char *larger = realloc(text, room + 1);
        if (larger == NULL) {
            give_up("out of memory");
        }
        text = larger;
        used += fread(text + used, 1, room - used, file);
    } while (used == room);
    (void)fclose(file);
    text[used] = '\0';
    return text;
}

/* ---- Servers ---- */

struct activity_feed_info feed_info(activity_client *client)
{
    struct activity_error error;
    activity_result *result;
    assert_ok(activity_get_server_info(client, NULL, &result, &error), error);
    const struct activity_feed_info info = activity_result_server_info(result)->feed;
    activity_result_free(result);
    return info;
}

uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        give_up("no free port: %s", strerror(errno));
    }
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void become_server(const struct server *server, const char *const *flags)
{
    const struct scene *scene = server->scene;
    const char *binaries = getenv("ACTIVITY_BIN");
    char program[SCENE_PATH_MAX];
    (void)snprintf(program, sizeof program, "%s/%sactivityd", binaries != NULL ? binaries : "build",
                   server->stock ? "stock/" : "");
    const char *words[FLAGS_MAX] = {program};
    size_t count = 1;
    const char *const own[][2] = {{"--listen", server->url},
                                  {"--feed-listen", server->feed_url},
                                  {"--data-dir", scene_path(scene, server->data)},
                                  {"--ca", scene_path(scene, "tls/ca.crt")},
                                  {"--cert", scene_path(scene, "tls/server.crt")},
                                  {"--key", scene_path(scene, "tls/server.key")},
                                  {"--policy", scene_path(scene, "policy.conf")}};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        words[count++] = own[i][0];
        words[count++] = own[i][1];
    }
    for (; flags != NULL && *flags != NULL && count < FLAGS_MAX - 1; flags++) {
        words[count++] = *flags;
    }
    int log = open(server->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int null = open("/dev/null", O_RDONLY);
    if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
        _exit(126);
    }
    /* The server dies with the test program, whatever ends that. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(program, (char *const *)words);
    _exit(127);
}

void server_spawn(struct server *server, const struct scene *scene, const char *const *flags)
{
    server->scene = scene;
    if (server->data == NULL) {
        server->data = "data";
    }
    if (server->port == 0) {
        server->port = free_port();
    }
    if (server->feed_port == 0) {
        server->feed_port = free_port();
    }
    (void)snprintf(server->url, sizeof server->url, "tls+tcp://127.0.0.1:%u", server->port);
    (void)snprintf(server->feed_url, sizeof server->feed_url, "tls+tcp://127.0.0.1:%u",
                   server->feed_port);
    (void)snprintf(server->log, sizeof server->log, "%s/%s.log", scene->directory, server->data);
    server->pid = fork();
    if (server->pid == 0) {
        become_server(server, flags);
    }
    if (server->pid < 0) {
        give_up("fork: %s", strerror(errno));
    }
}

static void show_log(const struct server *server)
{
    char *text = scene_read(server->log);
    if (text != NULL) {
        size_t length = strlen(text);
        print_error("--- what the server said last ---\n%s\n",
                    length > 4000 ? text + length - 4000 : text);
        free(text);
    }
}

void server_await(struct server *server)
{
    activity_client *client = client_of(server, "worker", NULL, NULL, NULL);
    uint64_t end = now_ms() + START_SECONDS * 1000;
    struct activity_error error = {0};
    for (;;) {
        activity_result *result = NULL;
        struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
        call.timeout_ms = 500;
        int code = activity_check_health(client, NULL, &call, &result, &error);
        bool serving = code == ACTIVITY_OK && activity_result_health(result)->serving;
        activity_result_free(result);
        if (serving) {
            break;
        }
        int status = 0;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            server->pid = 0;
            show_log(server);
            give_up("activityd ended with status %d before it served", status);
        }
        if (now_ms() > end) {
            show_log(server);
            give_up("activityd does not serve: %s %s", error.reason, error.message);
        }
    }
    activity_client_free(client);
}

void server_start(struct server *server, const struct scene *scene, const char *const *flags)
{
    server_spawn(server, scene, flags);
    server_await(server);
}

void server_signal(struct server *server, int signal_number)
{
    if (server->pid > 0 && kill(server->pid, signal_number) != 0) {
        give_up("kill: %s", strerror(errno));
    }
}

bool server_ended(struct server *server, int *status)
{
    if (waitpid(server->pid, status, WNOHANG) != server->pid) {
        return false;
    }
    server->pid = 0;
    *status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
    return true;
}

int server_wait(struct server *server)
{
    uint64_t end = now_ms() + START_SECONDS * 1000;
    int status = 0;
    if (server->pid <= 0) {
        give_up("activityd does not run");
    }
    while (waitpid(server->pid, &status, WNOHANG) != server->pid) {
        if (now_ms() > end) {
            show_log(server);
            server_kill(server);
            give_up("activityd did not end");
        }
        sleep_ms(5);
    }
    server->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void server_kill(struct server *server)
{
    if (server->pid > 0) {
        (void)kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

int server_stop(struct server *server)
{
    server_signal(server, SIGTERM);
    int status = server_wait(server);
    if (status != 0) {
        show_log(server);
    }
    return status;
}

bool server_said(const struct server *server, const char *text)
{
    char *said = scene_read(server->log);
    bool found = said != NULL && strstr(said, text) != NULL;
    free(said);
    return found;
}

size_t server_memory(const struct server *server)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)server->pid);
    char *text = scene_read(path);
    unsigned long pages = 0;
    if (text == NULL || sscanf(text, "%*u %lu", &pages) != 1) {
        give_up("%s cannot be read", path);
    }
    free(text);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t server_descriptors(const struct server *server)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)server->pid);
    DIR *directory = opendir(path);
    size_t count = 0;
    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    if (directory == NULL || closedir(directory) != 0) {
        give_up("%s cannot be read", path);
    }
    return count - 2;
}

/* ---- Clients ---- */

void client_options(struct activity_options *options, const struct server *server, const char *who)
{
    static _Thread_local const char *servers[16];
    static _Thread_local unsigned at;
    struct activity_options standard = ACTIVITY_OPTIONS_INIT;
    char name[64];
    *options = standard;
    servers[at % 16] = server->url;
    options->servers = &servers[at++ % 16];
    options->server_count = 1;
    options->server_name = "localhost";
    options->ca_file = scene_path(server->scene, "tls/ca.crt");
    (void)snprintf(name, sizeof name, "tls/%s.crt", who);
    options->cert_file = scene_path(server->scene, name);
    (void)snprintf(name, sizeof name, "tls/%s.key", who);
    options->key_file = scene_path(server->scene, name);
}

activity_client *client_of(const struct server *server, const char *who, const char *tenant,
                           const char *user, const char *const *groups)
{
    struct activity_options options;
    struct activity_error error;
    client_options(&options, server, who);
    options.tenant = tenant;
    options.user = user;
    options.groups = groups;
    while (groups != NULL && groups[options.group_count] != NULL) {
        options.group_count++;
    }
    activity_client *client = activity_client_new(&options, &error);
    if (client == NULL) {
        give_up("no client for %s: %s %s", who, error.reason, error.message);
    }
    return client;
}

/* ---- Odds of every test ---- */

void sleep_ms(unsigned milliseconds)
{
    struct timespec time = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (long)(milliseconds % 1000) * 1000000L};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

uint64_t now_ms(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000u + (uint64_t)time.tv_nsec / 1000000u;
}

uint32_t test_count(uint32_t standing)
{
    const char *text = getenv("N");
    unsigned long times = text == NULL ? 1 : strtoul(text, NULL, 10);
    return standing * (uint32_t)(times == 0 ? 1 : times);
}

uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}
