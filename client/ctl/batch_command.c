/* batch: many updates, many at a time. */
#include "client/ctl/ctl.h"
#include "client/ctl/lines.h"
#include "client/ctl/output.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE_STANDARD = 1000, SIZE_MAX_UPDATES = 65536, IN_FLIGHT = 16 };

/* One request under way. The ids are kept, since the answer has only percents and dispositions. */
struct load {
    uint64_t *job_ids;
    uint8_t *percents;
    size_t count;
    bool busy;
};

struct batch {
    const struct settings *settings;
    activity_window *window;
    struct load loads[IN_FLIGHT];
    size_t size; /* updates per request */
    uint64_t done, applied, heartbeats, ignored;
    int code;
};

static void show_load(struct batch *batch, const struct load *load,
                      const struct activity_batch *answer)
{
    for (size_t i = 0; i < load->count; i++) {
        switch (answer->dispositions[i]) {
        case ACTIVITY_APPLIED:
            batch->applied++;
            break;
        case ACTIVITY_HEARTBEAT:
            batch->heartbeats++;
            break;
        default:
            batch->ignored++;
            break;
        }
        if (batch->settings->json) {
            json_updated(&(struct activity_updated){
                .job_id = load->job_ids[i],
                .percent = answer->percents[i],
                .disposition = (enum activity_disposition)answer->dispositions[i]});
        }
    }
    batch->done += load->count;
}

/* Takes one completion. False when nothing is in flight. */
static bool take(struct batch *batch)
{
    struct activity_completion completion;
    enum activity_next_outcome outcome = activity_next(batch->window, 1000, &completion);
    if (outcome != ACTIVITY_NEXT_DONE) {
        return outcome == ACTIVITY_NEXT_TIMEOUT;
    }
    struct load *load = &batch->loads[completion.tag];
    if (completion.error.code == ACTIVITY_OK) {
        show_load(batch, load, activity_result_batch(completion.result));
    } else if (batch->code == EXIT_OK) {
        batch->code = ctl_failed(&completion.error);
    }
    activity_result_free(completion.result);
    load->busy = false;
    load->count = 0;
    return true;
}

static struct load *idle_load(struct batch *batch)
{
    for (;;) {
        for (size_t i = 0; i < IN_FLIGHT; i++) {
            if (!batch->loads[i].busy) {
                return &batch->loads[i];
            }
        }
        (void)take(batch);
    }
}

static void send_load(struct batch *batch, struct load *load)
{
    struct activity_error error;
    const struct activity_batch_request request = {load->job_ids, load->percents, load->count};
    int code = activity_submit_batch_update(batch->window, &request, NULL,
                                            (uint64_t)(load - batch->loads), &error);
    load->busy = code == ACTIVITY_OK;
    if (code != ACTIVITY_OK) {
        batch->code = ctl_failed(&error);
    }
}

/* One line into the load. -1 after saying what is wrong. */
static int read_update(const struct lines *lines, const json_t *object, struct load *load)
{
    const json_t *job = json_object_get(object, "jobId");
    const json_t *percent = json_object_get(object, "percent");
    if (!json_is_integer(job) || json_integer_value(job) < 1) {
        return lines_refuse(lines, "jobId", "a positive whole number is needed");
    }
    if (!json_is_integer(percent) || json_integer_value(percent) < 0 ||
        json_integer_value(percent) > 100) {
        return lines_refuse(lines, "percent", "a whole number from 0 to 100 is needed");
    }
    load->job_ids[load->count] = (uint64_t)json_integer_value(job);
    load->percents[load->count++] = (uint8_t)json_integer_value(percent);
    return 0;
}

static void read_all(struct batch *batch)
{
    struct lines lines = {.file = stdin};
    struct load *load = idle_load(batch);
    json_t *object;
    int more = 0;
    while (batch->code == EXIT_OK && (more = lines_next(&lines, &object)) == 1) {
        int bad = read_update(&lines, object, load);
        json_decref(object);
        if (bad != 0) {
            more = -1;
            break;
        }
        if (load->count == batch->size) {
            send_load(batch, load);
            load = idle_load(batch);
        }
    }
    if (more < 0) {
        batch->code = EXIT_USAGE;
    }
    if (load->count > 0 && batch->code == EXIT_OK) {
        send_load(batch, load);
    }
    while (take(batch)) {
    }
    lines_deinit(&lines);
}

int command_batch(const struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"size", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    uint64_t size = SIZE_STANDARD;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 's' || !ctl_number(optarg, SIZE_MAX_UPDATES, &size) || size == 0) {
            return ctl_usage("batch", "--size: updates per request, 1 to %d", SIZE_MAX_UPDATES);
        }
    }
    if (argc - optind != 1 || strcmp(argv[optind], "-") != 0) {
        return ctl_usage("batch", "the argument - is needed: updates are read from stdin");
    }
    struct batch batch = {.settings = settings, .size = (size_t)size};
    struct activity_error error;
    activity_client *client = ctl_client(settings);
    batch.window = client == NULL ? NULL : activity_window_new(client, IN_FLIGHT, &error);
    bool ready = batch.window != NULL;
    for (size_t i = 0; i < IN_FLIGHT && ready; i++) {
        batch.loads[i].job_ids = calloc(batch.size, sizeof(uint64_t));
        batch.loads[i].percents = calloc(batch.size, 1);
        ready = batch.loads[i].job_ids != NULL && batch.loads[i].percents != NULL;
    }
    if (ready) {
        read_all(&batch);
    } else {
        batch.code = client != NULL && batch.window == NULL ? ctl_failed(&error) : EXIT_FAILED;
    }
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        free(batch.loads[i].job_ids);
        free(batch.loads[i].percents);
    }
    activity_window_free(batch.window);
    activity_client_free(client);
    if (ready && !settings->json) {
        (void)printf("%llu updates: %llu applied, %llu heartbeats, %llu ignored\n",
                     (unsigned long long)batch.done, (unsigned long long)batch.applied,
                     (unsigned long long)batch.heartbeats, (unsigned long long)batch.ignored);
    }
    return batch.code;
}
