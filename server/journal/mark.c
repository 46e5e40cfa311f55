#include "server/journal/mark.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "server/journal/error.h"

/* In the machine's own byte order: of no use on another. */
struct mark_page {
    uint64_t boot; /* in which live and replay were stored */
    _Atomic uint64_t live;
    _Atomic uint64_t replay;
    uint64_t suspect;
};

static void read_page(struct mark_page *page, struct mark_found *found)
{
    uint64_t boot = storage_boot();
    bool same_boot = boot != 0 && page->boot == boot;
    uint64_t live = same_boot ? atomic_load_explicit(&page->live, memory_order_relaxed) : 0;
    found->replay = same_boot ? atomic_load_explicit(&page->replay, memory_order_relaxed) : 0;
    found->suspect = live != 0 ? live : page->suspect;
}

int mark_open(struct mark *mark, struct storage_directory *directory, struct mark_found *found,
              struct journal_error *error)
{
    void *bytes = NULL;
    int result = storage_map(directory, MARK_NAME, sizeof *mark->page, &bytes);
    if (result != 0)
        return journal_error_storage(error, result, "mapping " MARK_NAME);
    struct mark_page *page = bytes;
    read_page(page, found);
    page->suspect = found->suspect;
    page->boot = storage_boot();
    atomic_store_explicit(&page->live, 0, memory_order_relaxed);
    atomic_store_explicit(&page->replay, 0, memory_order_relaxed);
    *mark = (struct mark){.page = page};
    result = storage_map_sync(page, sizeof *page);
    if (result == 0)
        return 0;
    mark_close(mark);
    return journal_error_storage(error, result, "syncing " MARK_NAME);
}

int mark_read(struct storage_directory *directory, struct mark_found *found,
              struct journal_error *error)
{
    struct storage_file *file = NULL;
    struct mark_page page;
    *found = (struct mark_found){0};
    int result = storage_open(directory, MARK_NAME, &file);
    if (result == -ENOENT)
        return 0;
    if (result == 0) {
        result = storage_read(file, 0, &page, sizeof page);
        storage_close(file);
    }
    if (result == -ENODATA)
        return 0;
    if (result != 0)
        return journal_error_storage(error, result, "reading " MARK_NAME);
    read_page(&page, found);
    return 0;
}

int mark_started(struct mark *mark, struct journal_error *error)
{
    mark_set(mark, 0);
    mark->page->suspect = 0;
    mark->started = true;
    int result = storage_map_sync(mark->page, sizeof *mark->page);
    return result == 0 ? 0 : journal_error_storage(error, result, "syncing " MARK_NAME);
}

void mark_set(struct mark *mark, uint64_t index)
{
    atomic_store_explicit(mark->started ? &mark->page->live : &mark->page->replay, index,
                          memory_order_relaxed);
}

void mark_close(struct mark *mark)
{
    if (mark->page == NULL)
        return;
    storage_unmap(mark->page, sizeof *mark->page);
    *mark = (struct mark){0};
}
