/* The index as the process has it: the writer that carries batches to it, wired to the engine that
 * forms them, and the latest batches for those who ask.
 *
 * The engine lives between search_index_new and search_index_free; until search_index_start it is
 * told that there is no room. */
#ifndef ACTIVITYD_SERVER_SEARCH_INDEX_H
#define ACTIVITYD_SERVER_SEARCH_INDEX_H

#include <stddef.h>

#include "server/engine/engine.h"
#include "server/index/writer.h"
#include "server/wire/answer_index.h"

struct search_index;

/* The options are copied, what they point to is borrowed. NULL: out of memory. */
struct search_index *search_index_new(const struct index_options *options);

/* What the engine needs; valid as long as the index. */
const struct engine_index *search_index_outlets(struct search_index *index);
const struct answer_index_source *search_index_source(struct search_index *index);

/* Once the engine has started. The index itself need not be there. Returns 0, or -1 with one
 * sentence. */
__attribute__((warn_unused_result)) int search_index_start(struct search_index *index,
                                                           struct engine *engine, char *error,
                                                           size_t error_size);

/* Once the engine drains, before it stops: waits a little for what is under way, so that the next
 * start need not send it again. Accepts NULL. */
void search_index_drain(struct search_index *index);
/* Once the engine has stopped, before it is freed. Accepts NULL. */
void search_index_free(struct search_index *index);

void search_index_memory_parts(const struct index_options *options,
                               const struct core_limits *limits,
                               void (*part)(void *context, const char *name, size_t bytes),
                               void *context);

#endif
