/* Large memory straight from the system: reserved, not touched before it is used, and really given
 * back. Any thread. */
#ifndef ACTIVITYD_SERVER_ENGINE_MEMORY_H
#define ACTIVITYD_SERVER_ENGINE_MEMORY_H

#include <stddef.h>

/* Zeroed, aligned to a page. NULL: the system refuses. */
void *memory_reserve(size_t bytes);
void memory_return(void *memory, size_t bytes); /* accepts NULL */

#endif
