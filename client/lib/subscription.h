/* A subscription's insides. What it gives to its caller comes from three sources, each a module:
 *
 *     reads   pages of ReadChanges: long polls that follow the history, or fill a gap
 *     finds   pages of FindActivities: the snapshot in the beginning, progress where it is not
 * pushed pushes  messages of the change-feed endpoint
 *
 * All of history passes by `position`: an event is taken when it lies behind it, so that what comes
 * twice, by whatever way, is dropped. Everything happens inside activity_subscription_next(), but
 * for NNG's threads, which queue messages and conclude calls under the client's lock. */
#ifndef ACTIVITY_LIB_SUBSCRIPTION_H
#define ACTIVITY_LIB_SUBSCRIPTION_H

#include <activity.h>
#include <activity_feed.h>

#include "client/lib/client.h"
#include "client/lib/feed_frame.h"
#include "client/lib/filter.h"
#include "client/lib/method.h"
#include "proto/limits.h"

/* Of calls, as their tags; one of each is under way at most. */
enum subscription_call {
    SUBSCRIPTION_READ = 1,
    SUBSCRIPTION_FIND = 2,
    SUBSCRIPTION_INFO = 3,
};

/* A call that is made again and again. */
struct asking {
    bool asked;             /* it is under way */
    uint64_t not_before_ms; /* it is made again */
    unsigned failures;      /* in a row */
};

struct reads {
    struct asking asking;
    bool waits;                   /* the one under way may be held back by the server, */
    uint64_t due_ms;              /* until then */
    struct activity_cursor after; /* what it asks for */
    activity_result *page;        /* being taken; NULL = none */
    size_t at;
};

enum find_purpose { FIND_NOTHING = 0, FIND_SNAPSHOT = 1, FIND_PROGRESS = 2 };

struct finds {
    struct asking asking;
    enum find_purpose purpose;
    bool wanted;                   /* a hole in the pushed progress */
    uint64_t since_ms;             /* progress is known up to here; the service's time */
    uint64_t next_ms;              /* progress is not asked for before */
    struct draft draft;            /* asks for the first page */
    bool first;                    /* which has not come yet */
    struct activity_cursor cursor; /* that it came with */
    uint64_t time_ms;
    activity_result *page; /* being taken; NULL = none */
    size_t at;
};

struct link_sub;
struct pushes {
    struct link_sub *sub; /* NULL: no endpoint is known */
    bool on;              /* the last message fitted: history comes by messages */
    bool only_reads;      /* there were too many gaps: not before reads are level again */
    bool doubt;           /* a read is to tell where the history is */
    unsigned gaps_in_row;
    uint64_t target;         /* reads are to come up to this sequence */
    struct feed_frame frame; /* being taken, or waiting for reads to come up to it */
    bool framed;
    size_t at;
    struct arena arena; /* of the frame */
    void *memory;
    bool numbered; /* a number of progress is known: */
    uint64_t number;
    uint64_t doubted_ms;
    uint64_t behind_ms; /* since when messages lie behind the position; 0 = they do not */
    struct asking info;
    uint64_t connects_before; /* of links that are gone */
};

struct activity_subscription {
    /* Fixed. */
    activity_client *client;
    struct envelope envelope;
    struct filter filter;
    enum activity_start start;
    bool all;
    bool may_push;
    bool progress;
    uint64_t number;                      /* of this subscription, for the server */
    char tenant[LIMIT_TENANT_LENGTH + 1]; /* on whose behalf calls are made; "" = not named */

    struct waiter waiter;
    struct activity_cursor position; /* zero until a snapshot is complete */
    struct activity_subscription_status counts;
    struct activity_info shown; /* what an event of progress points to */
    struct reads reads;
    struct finds finds;
    struct pushes pushes;
};

/* Begins a call of a draft, which it deinits. ACTIVITY_OK or a code with *error filled. */
int subscription_begin(activity_subscription *subscription, enum subscription_call tag,
                       struct draft *draft, struct activity_error *error);
/* Notes how a call has ended: after a failure the next one comes after a pause. Returns `code`. */
int asking_ended(struct asking *asking, int code, const struct activity_error *error);
bool asking_may(const struct asking *asking, uint64_t now_ms);

/* An event of history that is to be taken: moves the position to it. Whether it is for the caller:
 * then *event is it. */
bool subscription_take(activity_subscription *subscription, const struct activity_event *from,
                       struct activity_event *event);
/* The history has a hole, after which it continues from `page`: *event says so. */
void subscription_reset(activity_subscription *subscription, const struct activity_changes *page,
                        struct activity_event *event);

/* Each source: the next event it has, if any; the calls that are due (ACTIVITY_OK, or a code with
 * *error filled); the end of one (takes the result over); its end. */
bool reads_next(activity_subscription *subscription, struct activity_event *event);
int reads_look(activity_subscription *subscription, uint64_t now_ms, struct activity_error *error);
void reads_take(activity_subscription *subscription, activity_result *result);
void reads_deinit(struct reads *reads);

bool finds_next(activity_subscription *subscription, struct activity_event *event);
int finds_look(activity_subscription *subscription, uint64_t now_ms, struct activity_error *error);
void finds_take(activity_subscription *subscription, activity_result *result);
void finds_deinit(struct finds *finds);
/* Begins the snapshot; begins what is under way anew, from the first page; finds all again after a
 * hole in the history. */
void finds_snapshot(activity_subscription *subscription);
void finds_again(activity_subscription *subscription);
void finds_reset(activity_subscription *subscription);

bool pushes_next(activity_subscription *subscription, struct activity_event *event);
int pushes_look(activity_subscription *subscription, uint64_t now_ms, struct activity_error *error);
/* Connects to the endpoint that the server names, if it is another than before. */
void pushes_take(activity_subscription *subscription, const activity_result *info);
void pushes_deinit(struct pushes *pushes);
/* What is to be read: nothing, what is there now, or all that comes. */
enum pushes_need { NEED_NOTHING = 0, NEED_NOW = 1, NEED_ALL = 2 };
enum pushes_need pushes_need(const activity_subscription *subscription);
/* A page was taken to its end; `level`: up to the head of the history. */
void pushes_read(activity_subscription *subscription, bool level);
/* The history has been reset. */
void pushes_reset(activity_subscription *subscription);
void pushes_status(const activity_subscription *subscription,
                   struct activity_subscription_status *status);

#endif
