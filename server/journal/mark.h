/* The mark of the entry that is being applied: stored in a mapped file, so that it survives a crash
 * of the process at the price of a store, and names the entry that crashed it.
 *
 * Whether an entry can be dropped hangs on it (`journal repair --drop-last`), so it must not accuse
 * falsely. A mark made while entries are replayed says nothing about acknowledgement: the entry may
 * have been applied well by an earlier process, and is kept apart. A mark found after a reboot may
 * be an old page that happened to be written out, and is not believed. A live mark found once is
 * made durable as the suspect, until a start succeeds. */
#ifndef ACTIVITYD_SERVER_JOURNAL_MARK_H
#define ACTIVITYD_SERVER_JOURNAL_MARK_H

#include "server/journal/journal.h"
#include "server/journal/storage.h"

#define MARK_NAME "applying"

struct mark_page;

struct mark {
    struct mark_page *page; /* NULL: not open */
    bool started;
};

/* What a previous process left: 0 = none. */
struct mark_found {
    uint64_t suspect; /* crashed while it was applied for the first time: never acknowledged */
    uint64_t replay;  /* crashed while it was replayed: may have been acknowledged */
};

/* Reads what was left and makes a clean page with the suspect in it. */
__attribute__((warn_unused_result)) int mark_open(struct mark *mark,
                                                  struct storage_directory *directory,
                                                  struct mark_found *found,
                                                  struct journal_error *error);
/* The same without writing anything; no file is no mark. */
__attribute__((warn_unused_result)) int mark_read(struct storage_directory *directory,
                                                  struct mark_found *found,
                                                  struct journal_error *error);
/* Everything was replayed: the suspect is cleared, marks are live from here on. */
__attribute__((warn_unused_result)) int mark_started(struct mark *mark,
                                                     struct journal_error *error);
void mark_set(struct mark *mark, uint64_t index); /* one thread */
void mark_close(struct mark *mark);               /* leaves the marks; accepts a zeroed one */

#endif
