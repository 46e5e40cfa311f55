/* The events that a restored core still keeps, told again: whoever reads from where they stopped
 * before a restart finds what followed. */
#ifndef ACTIVITYD_SERVER_ENGINE_WINDOW_H
#define ACTIVITYD_SERVER_ENGINE_WINDOW_H

#include "server/engine/engine.h"

/* Tells where the history stands, then the kept events, in chunks. On the caller's thread, before
 * anything else is told. Returns 0, or 1: no memory. */
__attribute__((warn_unused_result)) int window_tell(const struct core *core,
                                                    const struct engine_outlets *outlets);

#endif
