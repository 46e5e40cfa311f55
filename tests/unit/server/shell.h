/* Command lines that a test runs in its scratch folder. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_SHELL_H
#define ACTIVITYD_TESTS_UNIT_SERVER_SHELL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs a shell command line with the folder as $1; it must succeed. */
static inline void shell_in(const char *folder, const char *line)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", line, "sh", folder, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#endif
