#include "server/bound.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/check.h"

void bound_add(void *context, const char *name, size_t bytes)
{
    struct bound *bound = context;
    CHECK(bound->count < BOUND_PARTS_MAX);
    struct bound_part *part = &bound->parts[bound->count++];
    (void)snprintf(part->name, sizeof part->name, "%s", name);
    part->bytes = bytes;
    bound->total += bytes;
}

const char *bound_write(uint64_t bytes, char *to, size_t size)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(to, size, "%.1f %s", value, units[unit]);
    return to;
}

void bound_print(const struct bound *bound, FILE *to)
{
    char text[32];
    for (size_t i = 0; i < bound->count; i++) {
        (void)fprintf(to, "%-46s %12s\n", bound->parts[i].name,
                      bound_write(bound->parts[i].bytes, text, sizeof text));
    }
    (void)fprintf(to, "%-46s %12s\n", "total", bound_write(bound->total, text, sizeof text));
}

void bound_largest(const struct bound *bound, char *to, size_t size)
{
    bool taken[BOUND_PARTS_MAX] = {false};
    size_t used = 0;
    to[0] = '\0';
    for (int rank = 0; rank < 3; rank++) {
        size_t best = BOUND_PARTS_MAX;
        for (size_t i = 0; i < bound->count; i++) {
            if (!taken[i] &&
                (best == BOUND_PARTS_MAX || bound->parts[i].bytes > bound->parts[best].bytes)) {
                best = i;
            }
        }
        if (best == BOUND_PARTS_MAX || used >= size) {
            return;
        }
        taken[best] = true;
        char text[32];
        int length = snprintf(to + used, size - used, "%s%s %s", rank > 0 ? ", " : "",
                              bound->parts[best].name,
                              bound_write(bound->parts[best].bytes, text, sizeof text));
        used += length > 0 ? (size_t)length : 0;
    }
}

/* A cgroup v2 limit, UINT64_MAX when there is none. */
static uint64_t read_limit(const char *path)
{
    char text[64] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return UINT64_MAX;
    }
    uint64_t limit = UINT64_MAX;
    if (fgets(text, sizeof text, file) != NULL && text[0] >= '0' && text[0] <= '9') {
        limit = strtoull(text, NULL, 10);
    }
    (void)fclose(file);
    return limit;
}

/* The least limit on the way from this process's cgroup to the root. */
static uint64_t cgroup_limit(void)
{
    char line[512] = "";
    char path[640];
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL) {
        return UINT64_MAX;
    }
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, "0::/", 4) == 0;
    }
    (void)fclose(file);
    line[strcspn(line, "\n")] = '\0';
    uint64_t least = UINT64_MAX;
    while (found && line[3] != '\0') {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", line + 3);
        uint64_t limit = read_limit(path);
        least = limit < least ? limit : least;
        *strrchr(line, '/') = '\0';
    }
    return least;
}

uint64_t bound_of_machine(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    uint64_t cgroup = cgroup_limit();
    return cgroup < machine ? cgroup : machine;
}
