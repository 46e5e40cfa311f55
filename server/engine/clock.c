#include <sys/random.h>
#include <time.h>

#include "server/check.h"
#include "server/engine/engine.h"

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t boot_ms(void *context)
{
    (void)context;
    return read_clock(CLOCK_BOOTTIME);
}

static uint64_t wall_ms(void *context)
{
    (void)context;
    return read_clock(CLOCK_REALTIME);
}

static void random_bytes(void *context, void *to, size_t length)
{
    (void)context;
    CHECK(length <= 256); /* so much comes in one piece: getrandom(2) */
    CHECK(getrandom(to, length, 0) == (ssize_t)length);
}

const struct engine_clock engine_clock_system = {NULL, boot_ms, wall_ms, random_bytes};
