/* activityctl in tests: shell lines that run it, and runs that go on beside the test. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_CTL_H
#define ACTIVITYD_TESTS_E2E_HARNESS_CTL_H

#include "tests/e2e/harness.h"

/* What the last ctl_shell() printed, stdout and stderr. */
extern char ctl_output[256 * 1024];

/* Writes a profile for each of the cast, and lets the functions below use them. Both arguments must
 * live on. */
void ctl_set_up(const struct scene *scene, const struct server *server);

/* Runs a shell line in which $ctl is activityctl with the worker's profile, $bin activityctl
 * without one, $examples their folder, $dir the scene and $url the server. The exit code. */
int ctl_shell(const char *line);

/* Fails with line and output when the code is another one. */
#define assert_shell(line, code)                                                                   \
    do {                                                                                           \
        int code_ = ctl_shell(line);                                                               \
        if (code_ != (code)) {                                                                     \
            print_error("%s\n%s\n", line, ctl_output);                                             \
        }                                                                                          \
        assert_int_equal(code_, code);                                                             \
    } while (0)

/* The output has a text in it. */
void assert_says(const char *text);
/* Or has not. */
void assert_silent_about(const char *text);

/* Starts such a line (one program, which takes the shell's place) beside the test; what it prints
 * goes to a file of the scene. */
pid_t ctl_start(const char *line, const char *file);
/* Sends a signal (0: none) and waits 30 s for the end: the exit status, or 128 + the signal. */
int ctl_end(pid_t pid, int signal_number);
/* Waits until a shell line succeeds; false after so many ms. */
bool ctl_await(const char *line, uint32_t milliseconds);

#endif
