/* The memory bound: what each part of the process can need at most, their sum, and what the machine
 * has. One thread. */
#ifndef ACTIVITYD_SERVER_BOUND_H
#define ACTIVITYD_SERVER_BOUND_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define BOUND_PARTS_MAX 64

struct bound_part {
    char name[48];
    uint64_t bytes;
};

struct bound {
    struct bound_part parts[BOUND_PARTS_MAX];
    size_t count;
    uint64_t total;
};

/* Adds a part to the struct bound at `context`: what modules call to list theirs. */
void bound_add(void *context, const char *name, size_t bytes);

/* "64.0 MiB" and the like, for people. Returns `to`. */
const char *bound_write(uint64_t bytes, char *to, size_t size);

/* The table of --print-limits. */
void bound_print(const struct bound *bound, FILE *to);

/* The three largest parts in words: "results 256.0 MiB, ...". */
void bound_largest(const struct bound *bound, char *to, size_t size);

/* What this process may use: the machine's memory or its cgroup's limit, whichever is less. */
uint64_t bound_of_machine(void);

#endif
