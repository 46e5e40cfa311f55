/* How activities end and leave: what touches several tables at once. */
#ifndef ACTIVITYD_SERVER_CORE_LIFE_H
#define ACTIVITYD_SERVER_CORE_LIFE_H

#include "server/core/state.h"

/* Ends a running activity now: COMPLETED, FAILED, CANCELLED or KILLED. Its texts are in place; the
 * event goes out. `mark` is the hash of the update that did it (life_mark), 0 when none did. */
void life_end(struct core *core, uint32_t slot, enum activity_state state, uint64_t mark);

/* The hash by which a repetition of an update that ended a job is known: what it says, not who says
 * it. */
uint64_t life_mark(const struct core *core, const struct command_update *update);
/* The same of an update in a batch that completes. */
uint64_t life_mark_of_batch(const struct core *core);

/* Lets the ended activity go that has to leave first; a tombstone stays. False: there is none. */
bool life_drop_oldest_ended(struct core *core);

/* Room for `blocks` more of text for this tenant: ended activities leave for it, at most 1,024.
 * `freed` blocks will be given back by the same command. False: TOO_MUCH_TEXT. */
bool life_text_room(struct core *core, uint32_t tenant, uint64_t blocks, uint64_t freed);

/* Interns a name; tombstones leave for it, at most 1,024. 0: TOO_MANY_NAMES. */
uint32_t life_intern(struct core *core, enum name_kind kind, uint32_t tenant, struct bytes text);

/* Expiry of all tables: at the end of every entry, a bounded part each. */
void life_expire(struct core *core);

#endif
