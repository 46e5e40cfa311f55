/* Time and chance. Any thread. */
#ifndef ACTIVITY_LIB_CLOCK_H
#define ACTIVITY_LIB_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds of a clock that never jumps; above 0. */
uint64_t clock_now_ms(void);

/* Fills `bytes` with unpredictable bytes; false if the system has none. */
__attribute__((warn_unused_result)) bool clock_random(void *bytes, size_t size);

#endif
