#include "client/ctl/output.h"
#include "client/ctl/people.h"
#include "client/ctl/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool people_lively(int descriptor)
{
    const char *terminal = getenv("TERM");
    return isatty(descriptor) != 0 && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

/* https://no-color.org: any non-empty value switches colours off. */
bool people_colour(int descriptor)
{
    const char *no_color = getenv("NO_COLOR");
    return people_lively(descriptor) && (no_color == NULL || no_color[0] == '\0');
}

/* Returns how many columns were shown. */
static unsigned put_characters(const char *text, unsigned most)
{
    char character[TEXT_CHARACTER_ROOM];
    unsigned shown = 0;
    while (*text != '\0') {
        unsigned columns = text_character(&text, character);
        if (most != 0 && shown + columns > most) {
            break;
        }
        shown += columns;
        (void)fputs(character, stdout);
    }
    return shown;
}

static void fill(unsigned shown, unsigned width)
{
    for (; shown < width; shown++) {
        (void)putchar(' ');
    }
}

void people_text(const char *text, unsigned width)
{
    fill(put_characters(text, width), width);
}

void people_whole(const char *text, unsigned width)
{
    fill(put_characters(text, 0), width);
}

const char *people_state_colour(enum activity_state state)
{
    switch (state) {
    case ACTIVITY_STATE_RUNNING:
        return "\033[36m";
    case ACTIVITY_STATE_COMPLETED:
        return "\033[32m";
    case ACTIVITY_STATE_FAILED:
    case ACTIVITY_STATE_KILLED:
        return "\033[31m";
    default:
        return "\033[33m";
    }
}

static void put_state(enum activity_state state)
{
    bool colour = people_colour(STDOUT_FILENO);
    (void)printf("%s%-9s%s", colour ? people_state_colour(state) : "",
                 activity_state_name((int)state), colour ? "\033[0m" : "");
}

void people_time(uint64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    char date[32];
    if (localtime_r(&seconds, &parts) == NULL ||
        strftime(date, sizeof date, "%F %T", &parts) == 0) {
        (void)printf("%llu ms", (unsigned long long)ms);
        return;
    }
    (void)printf("%s.%03u", date, (unsigned)(ms % 1000));
}

static void put_age(uint64_t then_ms, uint64_t now_ms)
{
    uint64_t seconds = now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
    char age[32];
    if (seconds < 120) {
        (void)snprintf(age, sizeof age, "%llu s", (unsigned long long)seconds);
    } else if (seconds < 7200) {
        (void)snprintf(age, sizeof age, "%llu min", (unsigned long long)seconds / 60);
    } else {
        (void)snprintf(age, sizeof age, "%llu h", (unsigned long long)seconds / 3600);
    }
    (void)printf("%8s", age);
}

void people_bar(unsigned percent, char *to, size_t size)
{
    char bar[21];
    unsigned full = (percent > 100 ? 100 : percent) / 5;
    memset(bar, '-', sizeof bar - 1);
    memset(bar, '#', full);
    bar[sizeof bar - 1] = '\0';
    (void)snprintf(to, size, "[%s] %3u %%", bar, percent);
}

void people_bytes(uint64_t bytes, char *to, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(to, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void people_field(const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        (void)printf("%-12s ", name);
        people_text(value, 0);
        (void)putchar('\n');
    }
}

static void time_field(const char *name, uint64_t ms)
{
    if (ms != 0) {
        (void)printf("%-12s ", name);
        people_time(ms);
        (void)putchar('\n');
    }
}

static void job_field(const char *name, uint64_t job_id)
{
    if (job_id != 0) {
        (void)printf("%-12s %llu\n", name, (unsigned long long)job_id);
    }
}

void people_activity(const struct activity_info *info)
{
    char bar[64];
    people_bar(info->percent, bar, sizeof bar);
    job_field("job", info->job_id);
    people_field("type", info->type);
    people_field("title", info->title);
    (void)printf("%-12s ", "state");
    put_state(info->state);
    (void)printf(" %s\n", bar);
    people_field("status", info->status_text);
    people_field("owner", info->owner);
    people_field("creator", info->creator);
    for (size_t i = 0; i < info->group_count; i++) {
        people_field("group", info->groups[i]);
    }
    for (size_t i = 0; i < info->attribute_count; i++) {
        people_field(info->attributes[i].name, info->attributes[i].value);
    }
    job_field("parent", info->parent_job_id);
    job_field("retry of", info->retry_of_job_id);
    time_field("created", info->create_time_ms);
    time_field("updated", info->update_time_ms);
    time_field("ended", info->end_time_ms);
    if (info->failure != NULL) {
        people_field("failure", info->failure->code);
        people_field("because", info->failure->message);
    }
}

void people_activities_head(void)
{
    (void)printf("%-17s %-14s %-9s %-28s %8s  %s\n", "JOB", "TYPE", "STATE", "PROGRESS", "UPDATED",
                 "TITLE");
}

void people_activity_row(const struct activity_info *info, uint64_t now_ms)
{
    char bar[64];
    people_bar(info->percent, bar, sizeof bar);
    (void)printf("%-17llu ", (unsigned long long)info->job_id);
    people_text(info->type, 14);
    (void)putchar(' ');
    put_state(info->state);
    (void)printf(" %s ", bar);
    put_age(info->update_time_ms, now_ms);
    (void)printf("  ");
    people_text(info->title, 0);
    if (info->status_text[0] != '\0') {
        (void)printf("  (");
        people_text(info->status_text, 0);
        (void)putchar(')');
    }
    (void)putchar('\n');
}

void people_changes_head(const char *title)
{
    (void)printf("%s\n%-24s %-20s %-20s %8s  %s\n", title, "MODEL", "ID", "AFFECTED MODEL",
                 "UPDATED", "TIME RANGE");
}

void people_change_row(const struct activity_model_change *change, uint64_t now_ms)
{
    for (size_t i = 0; i < change->affected_model_count; i++) {
        const struct activity_affected_model *affected = &change->affected_models[i];
        people_text(i == 0 ? change->model : "", 24);
        (void)putchar(' ');
        people_text(i == 0 ? change->document_id : "", 20);
        (void)putchar(' ');
        people_text(affected->affected_model, 20);
        (void)putchar(' ');
        put_age(affected->updated_ms, now_ms);
        (void)printf("  ");
        people_time(affected->first_ms);
        (void)printf(" + %llu ms\n", (unsigned long long)(affected->last_ms - affected->first_ms));
    }
}

void people_result(const struct activity_returned *returned)
{
    people_field("result", activity_result_state_name((int)returned->state));
    if (returned->outcome != ACTIVITY_STATE_ANY) {
        people_field("outcome", activity_state_name((int)returned->outcome));
    }
    for (size_t i = 0; i < returned->result.item_count; i++) {
        const struct activity_result_item *item = &returned->result.items[i];
        (void)printf("%-12s ", "item");
        people_text(item->id, 0);
        if (item->error_code != NULL && item->error_code[0] != '\0') {
            (void)printf("  failed: ");
            people_text(item->error_code, 0);
            if (item->error_message != NULL && item->error_message[0] != '\0') {
                (void)printf(" (");
                people_text(item->error_message, 0);
                (void)putchar(')');
            }
        }
        (void)putchar('\n');
    }
    if (returned->result.content.size > 0) {
        char size[32];
        people_bytes(returned->result.content.size, size, sizeof size);
        (void)printf("%-12s %s of ", "content", size);
        people_text(returned->result.content_type, 0);
        (void)printf(" (--output FILE writes it)\n");
    }
}

static void certificate_lines(const struct activity_certificate *certificates, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)printf("%-12s ", "certificate");
        people_text(certificates[i].name, 0);
        (void)printf(" ");
        people_text(certificates[i].subject, 0);
        (void)printf(", valid until ");
        people_time(certificates[i].not_after_ms);
        (void)putchar('\n');
    }
}

static void revocation_lines(const struct activity_revocations *from)
{
    if (from == NULL) {
        (void)printf("%-12s no list\n", "revoked");
        return;
    }
    (void)printf("%-12s %u certificates on %u lists", "revoked", from->entries, from->lists);
    if (from->next_update_ms != 0) {
        (void)printf("; that of ");
        people_text(from->issuer, 0);
        (void)printf(from->expired ? " is OUT OF DATE since " : " is good until ");
        people_time(from->next_update_ms);
    }
    (void)putchar('\n');
}

static void tls_lines(const struct activity_tls_info *tls)
{
    (void)printf("%-12s engine ", "tls");
    people_text(tls->engine, 0);
    if (tls->version[0] != '\0') {
        (void)printf("; you have TLS ");
        people_text(tls->version, 0);
        (void)printf(" with ");
        people_text(tls->cipher_suite, 0);
    }
    (void)printf("\n%-12s %llu, %llu unfinished\n", "connections",
                 (unsigned long long)tls->connections, (unsigned long long)tls->unfinished);
    for (size_t i = 0; i < tls->suite_count; i++) {
        (void)printf("%-12s %llu with TLS ", i == 0 ? "handshakes" : "",
                     (unsigned long long)tls->suites[i].handshakes);
        people_text(tls->suites[i].version, 0);
        (void)putchar(' ');
        people_text(tls->suites[i].cipher_suite, 0);
        (void)putchar('\n');
    }
    for (size_t i = 0; i < tls->refusal_count; i++) {
        (void)printf("%-12s %llu ", i == 0 ? "refused" : "",
                     (unsigned long long)tls->refusals[i].count);
        people_text(tls->refusals[i].reason, 0);
        (void)putchar('\n');
    }
}

void people_reloaded(const struct activity_reloaded *reloaded)
{
    certificate_lines(reloaded->certificates, reloaded->certificate_count);
    revocation_lines(reloaded->revocations);
    (void)printf("%-12s %u\n", "rules", reloaded->rules);
    (void)printf("%-12s %u revoked, %u not let in by the policy any more\n", "closed",
                 reloaded->closed_revoked, reloaded->closed_by_policy);
}

void people_server_info(const struct activity_server_info *info)
{
    people_field("version", info->version);
    people_field("you are", info->principal);
    (void)printf("%-12s %016llx\n", "epoch", (unsigned long long)info->epoch);
    time_field("time", info->time_ms);
    time_field("started", info->start_time_ms);
    people_field("durability", info->durability);
    people_field("index", info->index);
    people_field("feed", info->feed_url[0] == '\0' ? "none" : info->feed_url);
    people_field("", info->feed_url[0] == '\0' ? ""
                     : info->feed_allowed      ? "you may subscribe there"
                                               : "you may not subscribe there, but read changes");
    (void)printf("%-12s %llu\n", "journal", (unsigned long long)info->journal_index);
    (void)printf("%-12s %llu to %llu\n", "events", (unsigned long long)info->oldest_sequence,
                 (unsigned long long)info->head_sequence);
    (void)printf("%-12s %llu\n", "running", (unsigned long long)info->running_activities);
    if (info->feed_url[0] != '\0') {
        (void)printf("%-12s %llu, %llu reads wait\n", "subscribers",
                     (unsigned long long)info->feed.subscribers,
                     (unsigned long long)info->feed.parked);
    }
    certificate_lines(info->certificates, info->certificate_count);
    if (info->tls != NULL) {
        revocation_lines(info->revocations);
        (void)printf("%-12s %u, with the certificates in force since ", "rules", info->rules);
        people_time(info->loaded_time_ms);
        (void)putchar('\n');
        tls_lines(info->tls);
    }
    (void)printf("limits\n");
    for (size_t i = 0; i < info->limit_count; i++) {
        (void)printf("  %-24s %llu\n", info->limits[i].name,
                     (unsigned long long)info->limits[i].value);
    }
}

void people_user_row(const struct activity_user *user)
{
    people_text(user->user, 32);
    (void)putchar(' ');
    people_time(user->last_seen_ms);
    (void)putchar('\n');
}

void people_clock(uint64_t ms, char *to, size_t size)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (localtime_r(&seconds, &parts) == NULL || strftime(to, size, "%T", &parts) == 0) {
        (void)snprintf(to, size, "--:--:--");
    }
}

static void event_activity(const struct activity_event *event)
{
    const struct activity_info *activity = event->activity;
    (void)printf("%-17llu ", (unsigned long long)activity->job_id);
    people_text(activity->type, 14);
    (void)putchar(' ');
    if (event->kind == ACTIVITY_EVENT_CREATED) {
        people_text(activity->title, 0);
        return;
    }
    put_state(activity->state);
    (void)printf(" %3u %%", activity->percent);
    if (activity->failure != NULL) {
        (void)printf("  ");
        people_text(activity->failure->code, 0);
        (void)printf(activity->failure->message[0] == '\0' ? "" : ": ");
        people_text(activity->failure->message, 0);
    } else if (activity->status_text[0] != '\0') {
        (void)printf("  (");
        people_text(activity->status_text, 0);
        (void)putchar(')');
    }
}

static void event_change(const struct activity_event *event)
{
    const struct activity_model_change *change = event->change;
    people_text(change->model, 0);
    (void)putchar(' ');
    people_text(change->document_id, 0);
    for (size_t i = 0; i < change->affected_model_count; i++) {
        (void)putchar(' ');
        people_text(change->affected_models[i].affected_model, 0);
    }
    (void)printf(event->deleted ? "  deleted" : "");
}

void people_event(const struct activity_event *event, bool tenant)
{
    char clock[16];
    people_clock(event->time_ms, clock, sizeof clock);
    (void)printf("%10llu  %s.%03u  %-8s ", (unsigned long long)event->cursor.sequence, clock,
                 (unsigned)(event->time_ms % 1000),
                 event->kind == ACTIVITY_EVENT_CREATED         ? "created"
                 : event->kind == ACTIVITY_EVENT_ENDED         ? "ended"
                 : event->kind == ACTIVITY_EVENT_MODEL_CHANGED ? "model"
                                                               : "index");
    if (tenant) {
        people_text(event->tenant, 12);
        (void)putchar(' ');
    }
    if (event->activity != NULL) {
        event_activity(event);
    } else if (event->change != NULL) {
        event_change(event);
    }
    (void)putchar('\n');
}
