/* The way into the index, as text for people. */
#include "client/ctl/output.h"
#include "client/ctl/people.h"

#include <stdio.h>
#include <unistd.h>

/* "1 change", "1204 changes" */
static void put_count(uint64_t count, const char *noun)
{
    (void)printf("%llu %s%s", (unsigned long long)count, noun, count == 1 ? "" : "s");
}

/* Two figures are enough to see what is going on. */
static const char *duration(uint64_t ms, char to[24])
{
    static const struct {
        uint64_t below_ms;
        uint64_t unit_ms;
        const char *unit;
    } steps[] = {{1000, 1, "ms"},
                 {120000, 1000, "s"},
                 {7200000, 60000, "min"},
                 {172800000, 3600000, "h"},
                 {UINT64_MAX, 86400000, "days"}};
    size_t step = 0;
    while (ms >= steps[step].below_ms && steps[step].below_ms != UINT64_MAX) {
        step++;
    }
    if (ms >= 1000 && ms < 10000) {
        (void)snprintf(to, 24, "%.1f s", (double)ms / 1000);
    } else {
        (void)snprintf(to, 24, "%llu %s", (unsigned long long)(ms / steps[step].unit_ms),
                       steps[step].unit);
    }
    return to;
}

static void put_reason(const struct activity_index_reason *reason)
{
    people_text(reason->code, 0);
    if (reason->message[0] != '\0') {
        (void)printf("%s", reason->code[0] == '\0' ? "" : ": ");
        people_text(reason->message, 0);
    }
}

static void reason_field(const char *name, const struct activity_index_reason *reason)
{
    if (reason != NULL) {
        (void)printf("%-12s ", name);
        put_reason(reason);
        (void)putchar('\n');
    }
}

/* --- index status --- */

static const char *state_colour(enum activity_index_state state)
{
    if (!people_colour(STDOUT_FILENO) || state == ACTIVITY_INDEX_NONE) {
        return "";
    }
    return state == ACTIVITY_INDEX_READY  ? "\033[32m"
           : state == ACTIVITY_INDEX_AWAY ? "\033[33m"
                                          : "\033[31m";
}

static void put_state(const struct activity_index_status *status)
{
    char age[24];
    const char *colour = state_colour(status->state);
    (void)printf("%-12s %s%s%s", "state", colour, activity_index_state_name((int)status->state),
                 colour[0] == '\0' ? "" : "\033[0m");
    if (status->state == ACTIVITY_INDEX_NONE) {
        (void)printf(": the server writes to no index");
    }
    if (status->away_since_ms != 0) {
        uint64_t away_ms =
            status->time_ms > status->away_since_ms ? status->time_ms - status->away_since_ms : 0;
        (void)printf(" for %s, since ", duration(away_ms, age));
        people_time(status->away_since_ms);
    }
    if (status->failures != 0) {
        (void)printf("; ");
        put_count(status->failures, "attempt");
        (void)printf(" in a row %s failed", status->failures == 1 ? "has" : "have");
    }
    (void)putchar('\n');
    people_field("index", status->version);
    bool over = status->state == ACTIVITY_INDEX_READY || status->state == ACTIVITY_INDEX_NONE;
    reason_field(over ? "lately" : "because", status->why);
    reason_field("advice", status->advice);
}

static void changes_field(const char *name, uint64_t changes, uint64_t documents)
{
    (void)printf("%-12s ", name);
    put_count(changes, "change");
    (void)printf(" of ");
    put_count(documents, "document");
}

static void put_queue(const struct activity_index_status *status)
{
    char text[32];
    (void)printf("%-12s %s\n", "lag", duration(status->lag_ms, text));
    changes_field("waiting", status->waiting_changes, status->waiting_documents);
    if (status->resting_documents != 0) {
        (void)printf(", %llu of them after a failure",
                     (unsigned long long)status->resting_documents);
    }
    (void)putchar('\n');
    changes_field("under way", status->in_flight_changes, status->in_flight_documents);
    (void)putchar('\n');
    changes_field("parked", status->parked_changes, status->parked_documents);
    (void)printf("%s\n", status->parked_documents == 0
                             ? ""
                             : " (index parked lists those of a tenant: somebody has to decide)");
    people_bytes(status->pending_bytes, text, sizeof text);
    (void)printf("%-12s %s\n", "pending", text);
}

static void put_ratio(uint64_t of, uint64_t by, const char *unit)
{
    if (by != 0) {
        (void)printf(", %.1f %s", (double)of / (double)by, unit);
    }
}

static void put_counts(const struct activity_index_status *status)
{
    char bytes[32];
    uint64_t documents =
        status->acked_documents + status->retried_documents + status->parked_since_start;
    people_bytes(status->request_bytes, bytes, sizeof bytes);
    (void)printf("%-12s ", "sent");
    put_count(status->changes, "change");
    (void)printf(" in %llu batch%s", (unsigned long long)status->batches,
                 status->batches == 1 ? "" : "es");
    put_ratio(status->changes, status->batches, "a batch");
    put_ratio(status->changes, documents, "a document");
    (void)printf("\n%-12s ", "");
    put_count(status->requests, "request");
    (void)printf(" of %s in all, ", bytes);
    (void)printf("%llu refresh%s\n", (unsigned long long)status->refreshes,
                 status->refreshes == 1 ? "" : "es");
    (void)printf("%-12s ", "documents");
    (void)printf("%llu accepted, %llu sent again, %llu parked\n",
                 (unsigned long long)status->acked_documents,
                 (unsigned long long)status->retried_documents,
                 (unsigned long long)status->parked_since_start);
}

void people_index_status(const struct activity_index_status *status, uint64_t start_time_ms)
{
    put_state(status);
    put_queue(status);
    if (status->state == ACTIVITY_INDEX_NONE) {
        return;
    }
    put_counts(status);
    if (start_time_ms != 0 && status->time_ms > start_time_ms) {
        char age[24];
        uint64_t up_ms = status->time_ms - start_time_ms;
        (void)printf("%-12s %.1f changes/s, %.1f documents/s accepted, in the %s since ", "rate",
                     (double)status->changes * 1000 / (double)up_ms,
                     (double)status->acked_documents * 1000 / (double)up_ms, duration(up_ms, age));
        people_time(start_time_ms);
        (void)putchar('\n');
    }
}

/* --- index batches, index parked --- */

/* What belongs to the row above. */
static void put_tickets(const uint64_t *tickets, size_t count)
{
    (void)printf("%10s%s", "", count == 1 ? "ticket" : "tickets");
    for (size_t i = 0; i < count; i++) {
        (void)printf(" %016llx", (unsigned long long)tickets[i]);
    }
    (void)putchar('\n');
}

void people_batches_head(void)
{
    (void)printf("%8s  %-23s %-9s %8s %8s %8s %9s %9s %9s %8s %8s %8s  %s\n", "NUMBER", "SENT",
                 "CAUSE", "LAG", "TOOK", "CHANGES", "FRAGMENTS", "DOCUMENTS", "BYTES", "ACKED",
                 "RETRIED", "PARKED", "ERROR");
}

void people_batch_row(const struct activity_index_batch *batch, bool verbose)
{
    char lag[24];
    char took[24];
    char bytes[32];
    people_bytes(batch->bytes, bytes, sizeof bytes);
    (void)printf("%8llu  ", (unsigned long long)batch->number);
    people_time(batch->sent_time_ms);
    (void)printf(" %-9s %8s %8s %8u %9u %9u %9s %8u %8u %8u",
                 activity_flush_cause_name((int)batch->cause), duration(batch->lag_ms, lag),
                 duration(batch->took_ms, took), batch->changes, batch->fragments, batch->documents,
                 bytes, batch->acked, batch->retried, batch->parked);
    if (!batch->done) {
        (void)printf("  under way");
    }
    if (batch->error != NULL) {
        (void)printf("  ");
        put_reason(batch->error);
    }
    (void)putchar('\n');
    if (verbose && batch->ticket_count > 0) {
        put_tickets(batch->tickets, batch->ticket_count);
    }
}

void people_parked_head(void)
{
    (void)printf("%8s  %-23s %-9s %-20s %-20s %s\n", "PARK_ID", "SINCE", "CHANGES", "MODEL",
                 "DOCUMENT", "REASON");
}

void people_parked_row(const struct activity_parked_document *document, bool verbose)
{
    char changes[32];
    (void)snprintf(changes, sizeof changes, document->behind == 0 ? "%u" : "%u+%u",
                   document->changes, document->behind);
    (void)printf("%8llu  ", (unsigned long long)document->park_id);
    people_time(document->parked_time_ms);
    (void)printf(" %-9s ", changes);
    people_whole(document->model, 20);
    (void)putchar(' ');
    people_whole(document->document_id, 20);
    (void)putchar(' ');
    if (document->reason == NULL) {
        (void)printf("(not kept)");
    } else {
        put_reason(document->reason);
    }
    (void)putchar('\n');
    if (!verbose) {
        return;
    }
    (void)printf("%10s%s, recorded since ", "",
                 document->fragments ? "fragments" : "whole documents");
    people_time(document->oldest_time_ms);
    (void)printf("; %u refused, %u behind\n", document->changes, document->behind);
    if (document->ticket_count > 0) {
        put_tickets(document->tickets, document->ticket_count);
    }
}
