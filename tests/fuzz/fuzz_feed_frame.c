/* Any bytes as a message of the change-feed endpoint, or as a page of events: refused, or all that
 * it says can be read and adds up. The first byte chooses which of the two. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/event.h"
#include "client/lib/feed_frame.h"
#include "proto/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t total;

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static void read_text(const char *text)
{
    check(view_is_text(view_of(text)));
    total += strlen(text);
}

static void read_activity(const struct activity_info *activity)
{
    read_text(activity->type);
    read_text(activity->title);
    read_text(activity->status_text);
    read_text(activity->owner);
    read_text(activity->creator);
    for (size_t i = 0; i < activity->attribute_count; i++) {
        read_text(activity->attributes[i].name);
        read_text(activity->attributes[i].value);
    }
    if (activity->failure != NULL) {
        read_text(activity->failure->code);
        read_text(activity->failure->message);
    }
}

static void read_event(const struct activity_event *event)
{
    read_text(event->tenant);
    read_text(event->principal);
    read_text(event->user);
    for (size_t i = 0; i < event->group_count; i++) {
        read_text(event->groups[i]);
    }
    check((event->activity != NULL) ==
          (event->kind == ACTIVITY_EVENT_CREATED || event->kind == ACTIVITY_EVENT_ENDED));
    check((event->change != NULL) == (event->kind == ACTIVITY_EVENT_MODEL_CHANGED ||
                                      event->kind == ACTIVITY_EVENT_INDEX_CHANGED));
    if (event->activity != NULL) {
        read_activity(event->activity);
    }
    if (event->change != NULL) {
        read_text(event->change->model);
        read_text(event->change->document_id);
        check(event->change->affected_model_count == 1);
        read_text(event->change->affected_models[0].affected_model);
    }
}

static void read_history(const struct feed_frame *frame)
{
    check(frame->first > 0 && frame->last + 1 - frame->first == frame->event_count);
    for (size_t i = 0; i < frame->event_count; i++) {
        check(frame->events[i].cursor.sequence == frame->first + i);
        check(frame->events[i].cursor.epoch == frame->epoch);
        read_event(&frame->events[i]);
    }
}

static void read_progress(const struct feed_frame *frame)
{
    for (size_t i = 0; i < frame->tenant_count; i++) {
        read_text(frame->tenants[i]);
    }
    for (size_t i = 0; i < frame->job_count; i++) {
        const struct feed_job *job = &frame->jobs[i];
        check(job->percent <= LIMIT_PERCENT_MAX && job->tenant < frame->tenant_count);
        if (job->status_text != NULL) {
            read_text(job->status_text);
        }
    }
}

static void read_page(const struct activity_changes *page)
{
    uint64_t before = 0;
    for (size_t i = 0; i < page->event_count; i++) {
        const struct activity_event *event = &page->events[i];
        check(event->kind != ACTIVITY_EVENT_NONE && event->cursor.sequence > before);
        before = event->cursor.sequence;
        check(before <= page->cursor.sequence);
        read_event(event);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct view bytes = {data + 1, size - 1};
    size_t capacity = FEED_FRAME_MEMORY(bytes.length);
    void *memory = malloc(capacity);
    if (memory == NULL) {
        return 0;
    }
    struct arena arena;
    struct feed_frame frame;
    struct activity_changes page;
    arena_init(&arena, memory, capacity);
    if (data[0] % 2 == 0) {
        if (feed_frame_decode(bytes, &arena, &frame)) {
            frame.kind == FEED_HISTORY ? read_history(&frame) : read_progress(&frame);
        }
    } else if (event_page_decode(bytes, &arena, &page)) {
        read_page(&page);
    }
    free(memory);
    return 0;
}
