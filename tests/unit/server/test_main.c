#define _GNU_SOURCE /* posix_openpt */
/* The program from outside: what it says and how it ends when it cannot start, and that it starts
 * and stops as a supervisor expects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/server/shell.h"

static char folder[] = "/tmp/activityd-main-XXXXXX";
static char output[64 * 1024];
static const char *terminal; /* NULL: the test's own, if any */

/* Starts activityd in the folder with a command line of words; its output goes to the file "out".
 */
static pid_t spawn(const char *line)
{
    static char words[1024];
    char *arguments[32];
    static char program[PATH_MAX + 16];
    int count = 0;
    const char *binaries = getenv("ACTIVITY_BIN");
    (void)snprintf(words, sizeof words, "activityd %s", line);
    for (char *rest = words, *word; (word = strsep(&rest, " ")) != NULL;) {
        assert_true(count < 31);
        arguments[count++] = word;
    }
    arguments[count] = NULL;
    if (binaries == NULL || realpath(binaries, program) == NULL) {
        fail_msg("ACTIVITY_BIN does not name the folder of activityd");
    }
    (void)snprintf(program + strlen(program), sizeof program - strlen(program), "/activityd");
    /* Emptied here: a reader must not see what the one before has said. */
    char path[64];
    (void)snprintf(path, sizeof path, "%s/out", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        /* The first terminal that the leader of a session opens becomes its own. */
        if (terminal != NULL && (setsid() < 0 || open(terminal, O_RDWR) < 0)) {
            _exit(126);
        }
        if (chdir(folder) == 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2) {
            (void)execv(program, arguments);
        }
        _exit(127);
    }
    assert_int_equal(close(fd), 0);
    return pid;
}

static const char *read_output(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/out", folder);
    FILE *file = fopen(path, "r");
    size_t length = file != NULL ? fread(output, 1, sizeof output - 1, file) : 0;
    output[length] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
    return output;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    pid_t ended = 0;
    for (int i = 0; i < 1200 && ended == 0; i++) {
        ended = waitpid(pid, &status, WNOHANG);
        if (ended == 0) {
            (void)usleep(50000);
        }
    }
    if (ended == 0) {
        (void)kill(pid, SIGKILL);
        ended = waitpid(pid, &status, 0);
    }
    assert_int_equal(ended, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void await_output(const char *text)
{
    for (int i = 0; i < 600; i++) {
        if (strstr(read_output(), text) != NULL) {
            return;
        }
        (void)usleep(50000);
    }
    fail_msg("activityd does not say %s but: %s", text, output);
}

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(close(fd), 0);
    return ntohs(address.sin_port);
}

/* Development on free ports, with further words. */
static pid_t spawn_dev(const char *words)
{
    char line[512];
    (void)snprintf(line, sizeof line,
                   "--dev --data-dir data --listen tls+tcp://127.0.0.1:%u --feed-listen "
                   "tls+tcp://127.0.0.1:%u%s%s",
                   free_port(), free_port(), words[0] != '\0' ? " " : "", words);
    return spawn(line);
}

static void test_starts_that_fail(void **state)
{
    (void)state;
#define FILES                                                                                      \
    "--data-dir data --cert data/tls/server.crt --key data/tls/server.key --ca data/tls/ca.crt "
    static const struct {
        const char *line;
        int status;
        const char *says;
    } rows[] = {
        {"--listen tls+tcp://127.0.0.1:1", 78, "data_dir: is required"},
        {"--colour red", 78, "--colour: no such flag"},
        {"--config nowhere.conf", 78, "nowhere.conf: No such file"},
        {"--config wrong.conf", 78, "wrong.conf:2: slots: \\\"3\\\" is not a number"},
        {"--dev --data-dir data --listen tls+tcp://0.0.0.0:1", 78, "only a loopback address"},
        {FILES "--policy nowhere", 78, "nowhere: No such file"},
        {FILES "--policy empty.conf", 78, "empty.conf: has no rule"},
        {FILES "--policy wrong.policy", 78, "wrong.policy:1: rule \\\"x\\\""},
        {"--dev --data-dir data --key data/tls/client.key", 78,
         "is not the key of the certificate"},
        {"--dev --data-dir data --ca nowhere", 78, "nowhere: No such file"},
        {"--dev --data-dir data --memory-max 64MiB", 78, "the largest parts are "},
        {"--dev --data-dir data --set request_id_most_ms=1s --check-config", 78,
         "limits do not fit together"},
        {"--print-limits --dev --data-dir data --memory-max 64MiB", 78, "the largest parts are "},
        {"--dev --data-dir none/none --cert data/tls/server.crt --key data/tls/server.key "
         "--ca data/tls/ca.crt",
         74, "none/none: No such file"},
        {"--dev --data-dir data --feed-listen none --listen tls+tcp://127.0.0.1:99999", 74,
         "msg=endpoint why=\"tls+tcp://127.0.0.1:99999"},
        {"--dev --data-dir data --feed-listen tls+tcp://127.0.0.1:99999", 74,
         "msg=\"change feed\" why=\"tls+tcp://127.0.0.1:99999"},
        {"--dev --data-dir data --feed-listen tls+tcp://0.0.0.0:1", 78, "feed_listen: with --dev"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = wait_for(spawn(rows[i].line));
        if (status != rows[i].status || strstr(read_output(), rows[i].says) == NULL) {
            fail_msg("row %zu ended with %d and said: %s", i, status, output);
        }
    }
}

static void test_answers_without_a_start(void **state)
{
    (void)state;
    assert_int_equal(wait_for(spawn("--version")), 0);
    assert_memory_equal(read_output(), "activityd 0.", 12);
    assert_int_equal(wait_for(spawn("--help")), 0);
    assert_non_null(strstr(read_output(), "--data-dir "));
    assert_int_equal(wait_for(spawn("--dev --data-dir data --check-config")), 0);
    assert_non_null(strstr(read_output(), "the configuration is good\n"));
    assert_int_equal(wait_for(spawn("--dev --data-dir data --print-limits")), 0);
    assert_non_null(strstr(read_output(), "\ntotal "));
    assert_non_null(strstr(output, "\nfeed: recent events "));
    assert_non_null(strstr(output, "\nfeed: messages for connections "));
    assert_int_equal(wait_for(spawn("--dev --data-dir data --print-limits --feed-listen none")), 0);
    assert_non_null(strstr(read_output(), "\nfeed: recent events "));
    assert_null(strstr(output, "\nfeed: messages for connections "));
    assert_int_equal(wait_for(spawn("journal")), 2);
}

static void test_start_and_stop(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        pid_t pid = spawn_dev("");
        await_output("build/activityctl create upload");
        assert_non_null(strstr(output, "build/activityctl watch\n"));
        assert_non_null(strstr(output, "msg=started version=0."));
        assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(wait_for(pid), 0);
        assert_non_null(strstr(read_output(), "msg=stopping"));
        assert_non_null(strstr(output, "msg=stopped journal_index="));
    }
    assert_int_equal(wait_for(spawn("journal verify data")), 0);
    /* Nothing was being applied, so there is nothing to drop: the folder was found in any case. */
    assert_int_equal(wait_for(spawn("journal repair --drop-last data")), 1);
    char *first = strdup(read_output());
    assert_int_equal(wait_for(spawn("journal repair data --drop-last")), 1);
    assert_string_equal(read_output(), first);
    free(first);
}

/* Whenever it comes: before there is anything to stop the process just ends, and never badly. */
static void test_signals_at_any_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        pid_t pid = spawn_dev("");
        (void)usleep(i * 4000);
        assert_int_equal(kill(pid, SIGTERM), 0);
        (void)kill(pid, SIGTERM); /* the second one may come during the stop */
        int status = wait_for(pid);
        if (status != 0 && status != 128 + SIGTERM) {
            fail_msg("ended with %d and said: %s", status, read_output());
        }
    }
    assert_int_equal(wait_for(spawn("journal verify data")), 0);
}

static void test_one_server_for_a_folder_and_an_address(void **state)
{
    (void)state;
    char line[512];
    unsigned port = free_port();
    unsigned feed = free_port();
    (void)snprintf(line, sizeof line,
                   "--dev --data-dir data --listen tls+tcp://127.0.0.1:%u --feed-listen "
                   "tls+tcp://127.0.0.1:%u",
                   port, feed);
    pid_t pid = spawn(line);
    await_output("msg=started");
    assert_int_equal(wait_for(spawn_dev("")), 74);
    assert_non_null(strstr(read_output(), "msg=journal"));
    static const char *const says[] = {"msg=endpoint", "msg=\"change feed\""};
    for (int i = 0; i < 2; i++) {
        (void)snprintf(line, sizeof line,
                       "--dev --data-dir other --listen tls+tcp://127.0.0.1:%u --feed-listen "
                       "tls+tcp://127.0.0.1:%u --cert data/tls/server.crt --key "
                       "data/tls/server.key --ca data/tls/ca.crt",
                       i == 0 ? port : free_port(), i == 1 ? feed : free_port());
        assert_int_equal(wait_for(spawn(line)), 74);
        assert_non_null(strstr(read_output(), "Address in use"));
        assert_non_null(strstr(output, says[i]));
    }
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(wait_for(pid), 0);
}

static void test_development_without_a_policy(void **state)
{
    (void)state;
    shell_in(folder, "mkdir -p $1/bare && cp -r $1/data/tls $1/bare");
    char line[512];
    (void)snprintf(line, sizeof line,
                   "--dev --data-dir bare --listen tls+tcp://127.0.0.1:%u --feed-listen none",
                   free_port());
    pid_t pid = spawn(line);
    await_output("no policy: everybody with a certificate may do everything");
    assert_non_null(strstr(output, " feed=none "));
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(wait_for(pid), 0);
}

/* SIGHUP from somebody asks for a reload; from the kernel it says that the terminal is gone, and
 * with it whoever could stop the server. */
static void test_hanging_up(void **state)
{
    (void)state;
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0);
    terminal = ptsname(fd);
    pid_t pid = spawn_dev("");
    terminal = NULL;
    await_output("msg=started");
    assert_int_equal(kill(pid, SIGHUP), 0);
    await_output("msg=reloaded");
    assert_int_equal(close(fd), 0);
    assert_int_equal(wait_for(pid), 0);
    assert_non_null(strstr(read_output(), "msg=stopping why=Hangup"));
    assert_non_null(strstr(output, "msg=stopped"));
}

static void await_state(int fd, const char *expected)
{
    char text[64];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 30000), 1);
    ssize_t length = recv(fd, text, sizeof text - 1, 0);
    assert_true(length > 0);
    text[length] = '\0';
    assert_string_equal(text, expected);
}

static void test_the_service_manager_is_told(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
    pid_t pid = spawn_dev("");
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    await_state(fd, "READY=1");
    assert_int_equal(kill(pid, SIGTERM), 0);
    await_state(fd, "STOPPING=1");
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(close(fd), 0);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    shell_in(
        folder,
        ".make/devcerts.sh $1/data && : >$1/empty.conf && printf '\\nslots = 3\\n' >$1/wrong.conf "
        "&& echo 'rule \"x\" { methods = {read} tenant = t }' >$1/wrong.policy");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shell_in(folder, "rm -rf $1");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_that_fail),
        cmocka_unit_test(test_answers_without_a_start),
        cmocka_unit_test(test_start_and_stop),
        cmocka_unit_test(test_signals_at_any_time),
        cmocka_unit_test(test_one_server_for_a_folder_and_an_address),
        cmocka_unit_test(test_development_without_a_policy),
        cmocka_unit_test(test_hanging_up),
        cmocka_unit_test(test_the_service_manager_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
