#include "tests/e2e/harness_ctl.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_MS = 30000 };

char ctl_output[256 * 1024];

static const struct scene *scene;
static const struct server *server;

void ctl_set_up(const struct scene *the_scene, const struct server *the_server)
{
    scene = the_scene;
    server = the_server;
    static const char *const cast[] = {"worker", "boss", "root", "watcher", "stranger"};
    for (size_t i = 0; i < sizeof cast / sizeof cast[0]; i++) {
        char profile[2048];
        char name[64];
        (void)snprintf(profile, sizeof profile,
                       "server = {\"%s\"}\nserver_name = \"localhost\"\nca = \"%s/tls/ca.crt\"\n"
                       "cert = \"%s/tls/%s.crt\"\nkey = \"%s/tls/%s.key\"\n",
                       server->url, scene->directory, scene->directory, cast[i], scene->directory,
                       cast[i]);
        (void)snprintf(name, sizeof name, "%s.profile", cast[i]);
        scene_write(scene, name, profile);
    }
}

static void compose(char *command, size_t room, const char *line)
{
    const char *binaries = getenv("ACTIVITY_BIN");
    binaries = binaries == NULL ? "build/plain" : binaries;
    int length =
        snprintf(command, room,
                 "exec 2>&1; dir=%s; url=%s; bin=%s/activityctl; "
                 "examples=%s/client/examples; ctl=\"$bin --profile $dir/worker.profile\"; "
                 "%s",
                 scene->directory, server->url, binaries, binaries, line);
    assert_in_range(length, 1, room - 1);
}

int ctl_shell(const char *line)
{
    char command[8192];
    compose(command, sizeof command, line);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(ctl_output, 1, sizeof ctl_output - 1, pipe);
    ctl_output[length] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void assert_says(const char *text)
{
    if (strstr(ctl_output, text) == NULL) {
        print_error("wanted: %s\ngot: %s\n", text, ctl_output);
    }
    assert_non_null(strstr(ctl_output, text));
}

void assert_silent_about(const char *text)
{
    if (strstr(ctl_output, text) != NULL) {
        print_error("not wanted: %s\ngot: %s\n", text, ctl_output);
    }
    assert_null(strstr(ctl_output, text));
}

pid_t ctl_start(const char *line, const char *file)
{
    char command[8192];
    compose(command, sizeof command, line);
    const char *path = scene_path(scene, file);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (to >= 0 && dup2(to, STDOUT_FILENO) >= 0) {
            (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        }
        _exit(127);
    }
    return pid;
}

int ctl_end(pid_t pid, int signal_number)
{
    if (signal_number != 0) {
        (void)kill(pid, signal_number);
    }
    for (uint64_t end = now_ms() + END_MS; now_ms() < end; sleep_ms(10)) {
        int status;
        pid_t ended = waitpid(pid, &status, WNOHANG);
        assert_true(ended >= 0);
        if (ended == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    fail_msg("process %d did not end", (int)pid);
    return -1;
}

bool ctl_await(const char *line, uint32_t milliseconds)
{
    for (uint64_t end = now_ms() + milliseconds; now_ms() < end; sleep_ms(50)) {
        if (ctl_shell(line) == 0) {
            return true;
        }
    }
    return false;
}
