/* Follows everything that happens, and goes on after a restart where it was stopped.
 *
 *   subscribe tls+tcp://localhost:7001 .data/tls subscribe.cursor
 *
 * What a subscriber has to know:
 *   1. Where it stands is a cursor. It comes with each event, and is stored when what the event
 *      asked for is done: whoever dies in between does that again, but never leaves it out.
 *   2. Without a cursor it begins with what there is (FOUND_...), then come events from there on.
 *   3. Messages that get lost and servers that restart are the library's business.
 *   4. Who stays away for longer than the server keeps events (a minute) is told so: RESET. Then
 *      what it knows is out of date, and it begins anew as in 2. Nothing is skipped silently. */
#include <activity_feed.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    stopped = signal_number;
}

static int fail(const char *what, const struct activity_error *error)
{
    fprintf(stderr, "subscribe: %s: %s (%s)\n", what, error->message, error->reason);
    return EXIT_FAILURE;
}

/* False: there is none yet. */
static bool load(const char *path, struct activity_cursor *cursor)
{
    char line[64] = "";
    char *colon = line;
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fgets(line, sizeof line, file) != NULL) {
            cursor->epoch = strtoull(line, &colon, 16);
        }
        fclose(file);
    }
    if (*colon != ':') {
        return false;
    }
    cursor->sequence = strtoull(colon + 1, NULL, 10);
    return true;
}

/* Under another name first: a half-written cursor is never seen, whatever happens. A program that
 * keeps its data in a database would write the cursor in the same transaction, and so do everything
 * exactly once. */
static bool store(const char *path, const struct activity_cursor *cursor)
{
    char fresh[4096];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "w");
    if (file == NULL) {
        return false;
    }
    fprintf(file, "%016" PRIx64 ":%" PRIu64 "\n", cursor->epoch, cursor->sequence);
    bool good = fflush(file) == 0 && fsync(fileno(file)) == 0;
    return fclose(file) == 0 && good && rename(fresh, path) == 0;
}

static activity_subscription *open_at(activity_client *client, const struct activity_cursor *cursor,
                                      struct activity_error *error)
{
    struct activity_subscription_options options = ACTIVITY_SUBSCRIPTION_OPTIONS_INIT;
    options.start = cursor == NULL ? ACTIVITY_START_SNAPSHOT : ACTIVITY_START_CURSOR;
    if (cursor != NULL) {
        options.cursor = *cursor;
    }
    return activity_subscription_open(client, &options, error);
}

/* What this program is for; yours will do something more useful. */
static void handle(const struct activity_event *event)
{
    const char *kind = activity_event_kind_name((int)event->kind);
    if (event->activity != NULL) {
        printf("%s %" PRIu64 " %s %s %" PRIu32 " %%\n", kind, event->activity->job_id,
               event->activity->type, activity_state_name((int)event->activity->state),
               event->activity->percent);
    } else if (event->change != NULL) {
        printf("%s %s %s%s\n", kind, event->change->model, event->change->document_id,
               event->deleted ? " deleted" : "");
    } else {
        printf("%s\n", kind);
    }
}

struct subscriber {
    activity_client *client;
    const char *path;
    activity_subscription *subscription;
    bool snapshot;     /* it was opened with one, */
    bool complete;     /* which has been taken: before that there is no place to go on from */
    unsigned unstored; /* events that were handled and are not covered by the stored cursor */
};

static bool begin(struct subscriber *subscriber, const struct activity_cursor *cursor,
                  struct activity_error *error)
{
    activity_subscription_free(subscriber->subscription);
    subscriber->subscription = open_at(subscriber->client, cursor, error);
    subscriber->snapshot = cursor == NULL;
    subscriber->complete = cursor != NULL;
    return subscriber->subscription != NULL;
}

static bool take(struct subscriber *subscriber, const struct activity_event *event,
                 struct activity_error *error)
{
    if (event->kind != ACTIVITY_EVENT_NONE) {
        handle(event);
        subscriber->unstored++;
    }
    if (event->kind == ACTIVITY_EVENT_RESET) {
        subscriber->complete = false; /* a snapshot comes by itself to those who had one before */
        return subscriber->snapshot || begin(subscriber, NULL, error);
    }
    subscriber->complete = subscriber->complete || event->kind == ACTIVITY_EVENT_FOUND_ALL;
    /* Storing costs a sync: once for all that has come, but not too rarely under load. */
    if (subscriber->complete && subscriber->unstored > 0 &&
        (event->kind == ACTIVITY_EVENT_NONE || subscriber->unstored >= 1000)) {
        struct activity_cursor cursor;
        fflush(stdout); /* done first, stored then */
        activity_subscription_cursor(subscriber->subscription, &cursor);
        if (!store(subscriber->path, &cursor)) {
            snprintf(error->message, sizeof error->message, "%s cannot be written",
                     subscriber->path);
            return false;
        }
        subscriber->unstored = 0;
    }
    return true;
}

/* Until a signal comes. */
static int follow(struct subscriber *subscriber)
{
    struct activity_cursor cursor;
    struct activity_error error = {0};
    struct activity_event event;
    bool going = begin(subscriber, load(subscriber->path, &cursor) ? &cursor : NULL, &error);
    while (going && !stopped) {
        /* Takes what has come already; when that is all there is time to store, and to wait. */
        uint32_t wait_ms = subscriber->complete && subscriber->unstored > 0 ? 0 : 500;
        if (activity_subscription_next(subscriber->subscription, wait_ms, &event, &error) == 0) {
            going = take(subscriber, &event, &error);
        } else if (error.code == ACTIVITY_UNAVAILABLE || error.code == ACTIVITY_DEADLINE_EXCEEDED) {
            fprintf(stderr, "subscribe: %s, still trying\n", error.message);
        } else {
            going = false;
        }
    }
    event.kind = ACTIVITY_EVENT_NONE;
    going = going && take(subscriber, &event, &error); /* stores */
    activity_subscription_free(subscriber->subscription);
    return going ? EXIT_SUCCESS : fail("subscription", &error);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: subscribe URL TLS-FOLDER CURSOR-FILE\n", stderr);
        return 2;
    }
    char ca[4096], cert[4096], key[4096];
    snprintf(ca, sizeof ca, "%s/ca.crt", argv[2]);
    snprintf(cert, sizeof cert, "%s/client.crt", argv[2]);
    snprintf(key, sizeof key, "%s/client.key", argv[2]);
    struct activity_options options = ACTIVITY_OPTIONS_INIT;
    options.servers = (const char *[]){argv[1]};
    options.server_count = 1;
    options.ca_file = ca;
    options.cert_file = cert;
    options.key_file = key;
    struct activity_error error;
    activity_client *client = activity_client_new(&options, &error);
    if (client == NULL) {
        return fail("client", &error);
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct subscriber subscriber = {.client = client, .path = argv[3]};
    int status = follow(&subscriber);
    activity_client_free(client);
    return status;
}
