/* The polls of feed/reader.c that wait for an event. All have seen the same history, and which of
 * them may be meant by an event is found without going through them: for each bit of an audience
 * (wire/event.h) there is a set of those whose filter has it. An event has a few bits, so a few
 * sets are joined, and the others need not be touched, be they thousands. The reader's thread. */
#ifndef ACTIVITYD_SERVER_FEED_PARKING_H
#define ACTIVITYD_SERVER_FEED_PARKING_H

#include "server/feed/polls.h"
#include "server/wire/event.h"

struct parking {
    uint32_t count;
    uint32_t words;      /* of a set: one bit for each spot */
    uint32_t used_words; /* above them nobody is parked */
    uint64_t *parked;
    uint64_t *sets; /* by word and bit of an audience */
    uint64_t *found;
    struct event_filter *filters; /* by spot; without caller and query */
    struct poll **spots;
};

__attribute__((warn_unused_result)) int parking_init(struct parking *parking, uint32_t spots);
void parking_deinit(struct parking *parking); /* of a zeroed one, too */
size_t parking_memory_bytes(uint32_t spots);

/* There is a spot for each poll. */
void parking_enter(struct parking *parking, struct poll *poll, const struct event_filter *filter);
void parking_leave(struct parking *parking, struct poll *poll);

/* Those who are parked, in order of their spots; *spot begins at 0. The one that was given last may
 * leave meanwhile. NULL at the end. */
struct poll *parking_next(const struct parking *parking, uint32_t *spot);

/* Looks for those whom the event may be for, by its key alone; then one after the other, as
 * parking_next. */
void parking_find(struct parking *parking, const struct event_key *key);
struct poll *parking_found(const struct parking *parking, const struct event_key *key,
                           uint32_t *spot);

#endif
