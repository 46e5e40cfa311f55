#include "server/expiry.h"

#include <string.h>

#include "server/log.h"

#define DAY_MS (24ull * 3600 * 1000)

/* What is told, in the order in which it becomes true. */
static const uint64_t before_ms[] = {30 * DAY_MS, 7 * DAY_MS, DAY_MS};
#define LEVELS (sizeof before_ms / sizeof before_ms[0])
#define ENDED  (LEVELS + 1)

static struct expiry_item item_of(const char *file, const struct tls_certificate *certificate)
{
    struct expiry_item item = {.file = file, .end_ms = certificate->not_after_ms};
    memcpy(item.name, certificate->subject, sizeof item.name);
    return item;
}

void expiry_init(struct expiry *expiry, const struct tls_files_paths *paths,
                 const struct tls_description *description)
{
    expiry->items[0] = item_of(paths->cert, &description->own);
    expiry->items[1] = item_of(paths->ca, &description->ca);
    struct expiry_item *list = &expiry->items[2];
    *list = (struct expiry_item){
        .is_list = true, .file = paths->crl, .end_ms = description->crl_next_update_ms};
    memcpy(list->name, description->crl_issuer, sizeof list->name);
}

static unsigned level_of(const struct expiry_item *item, uint64_t now_ms)
{
    unsigned level = 0;
    if (item->end_ms == 0) {
        return 0;
    }
    if (now_ms >= item->end_ms) {
        return ENDED;
    }
    while (!item->is_list && level < LEVELS && item->end_ms - now_ms <= before_ms[level]) {
        level++;
    }
    return level;
}

static void tell(const struct expiry_item *item, unsigned level, uint64_t now_ms)
{
    if (item->is_list) {
        log_warning("a list of revocations is out of date; it is honoured, but what was revoked "
                    "since is not on it",
                    LOG_TEXT("file", item->file), LOG_TEXT("issuer", item->name),
                    LOG_NUMBER("days", (now_ms - item->end_ms) / DAY_MS));
    } else if (level == ENDED) {
        log_error("certificate has expired", LOG_TEXT("file", item->file),
                  LOG_TEXT("subject", item->name));
    } else {
        log_warning("certificate expires soon", LOG_TEXT("file", item->file),
                    LOG_TEXT("subject", item->name),
                    LOG_NUMBER("days", (item->end_ms - now_ms) / DAY_MS));
    }
}

void expiry_look(struct expiry *expiry, uint64_t now_ms)
{
    for (size_t i = 0; i < sizeof expiry->items / sizeof expiry->items[0]; i++) {
        struct expiry_item *item = &expiry->items[i];
        unsigned level = level_of(item, now_ms);
        if (level > item->told) {
            tell(item, level, now_ms);
            item->told = level; /* a clock that is put back tells nothing twice */
        }
    }
}
