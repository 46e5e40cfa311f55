#include "bench/harness_side.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/harness_measure.h"

static bool is_side;

void side_insist(int good, const char *what, const char *why)
{
    if (!good) {
        (void)fprintf(stderr, "%s: %s\n", what, why);
        if (is_side) {
            _exit(1); /* what is to be done at the end is the measuring process's business */
        }
        exit(1);
    }
}

static uint64_t own_cpu_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

_Noreturn static void serve(const struct side_role *role, void *context, int line)
{
    is_side = true;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    struct side_order order;
    struct side_outcome outcome = {.count = 0};
    role->prepare(context);
    while (write(line, &outcome, sizeof outcome) == (ssize_t)sizeof outcome &&
           read(line, &order, sizeof order) == (ssize_t)sizeof order) {
        uint64_t cpu = own_cpu_ns();
        uint64_t began = measure_ns();
        outcome.count = role->carry_out(context, &order);
        outcome.seconds = (double)(measure_ns() - began) / 1e9;
        outcome.cpu_us = (double)(own_cpu_ns() - cpu) / 1e3;
    }
    _exit(0);
}

static void await(const struct side *side, struct side_outcome *outcome)
{
    side_insist(read(side->line, outcome, sizeof *outcome) == (ssize_t)sizeof *outcome, "benchmark",
                "a side has ended early");
}

void side_start(struct side *side, const struct side_role *role, void *context)
{
    int ends[2];
    pid_t parent = getpid();
    side_insist(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "socketpair",
                "failed");
    side->line = ends[0];
    side->process = fork();
    side_insist(side->process >= 0, "fork", "failed");
    if (side->process == 0) {
        (void)close(ends[0]);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        serve(role, context, ends[1]);
    }
    (void)close(ends[1]);
    struct side_outcome ready;
    await(side, &ready);
}

void side_run(const struct side *side, const struct side_order *order, struct side_outcome *outcome)
{
    side_insist(write(side->line, order, sizeof *order) == (ssize_t)sizeof *order, "benchmark",
                "a side has ended early");
    await(side, outcome);
}

void side_end(struct side *side)
{
    if (side->process > 0) {
        (void)close(side->line);
        (void)kill(side->process, SIGKILL);
        (void)waitpid(side->process, NULL, 0);
        side->process = 0;
    }
}
