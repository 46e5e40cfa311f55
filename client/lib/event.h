/* Events, and the pages of events that ReadChanges answers: from protobuf to plain structures.
 *
 * Decoded by hand: total, every text checked, and in one arena, whose size bounds what a hostile
 * server can make of few bytes. Any thread. */
#ifndef ACTIVITY_LIB_EVENT_H
#define ACTIVITY_LIB_EVENT_H

#include <activity.h>
#include <activity_feed.h>

#include "proto/arena.h"
#include "proto/view.h"

/* More than any honest message of `length` bytes becomes. */
#define EVENT_MEMORY(length) (4096 + (size_t)16 * (length))

/* ChangeEvent. An event of a kind that is not known here is good and has kind NONE. False if it is
 * malformed or the arena is full. */
bool event_read(struct view encoded, uint64_t epoch, struct arena *arena,
                struct activity_event *event);

/* ReadChangesResponse, without the events of kinds that are not known here. False also if the
 * events are not in order. */
bool event_page_decode(struct view encoded, struct arena *arena, struct activity_changes *page);

/* A field that holds text, copied with a terminator; false if it is none. */
struct field;
bool event_text(const struct field *field, struct arena *arena, const char **text);

#endif
