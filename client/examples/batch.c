/* Creates jobs with many calls in flight and advances all of them with batch updates.
 *
 *   batch tls+tcp://localhost:7001 .data/tls 10000 */
#include <activity.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IN_FLIGHT = 60, COUNT_MAX = 65536 };

/* Keeps IN_FLIGHT calls under way; each one's tag is the job's place. */
static int create_all(activity_client *client, uint64_t *jobs, size_t count,
                      struct activity_error *error)
{
    activity_window *window = activity_window_new(client, IN_FLIGHT, error);
    const struct activity_create_request request = {.type = "batchUpdate"};
    int code = window == NULL ? (int)error->code : ACTIVITY_OK;
    for (size_t begun = 0, ended = 0; code == ACTIVITY_OK && ended < count;) {
        if (begun < count && activity_window_used(window) < IN_FLIGHT) {
            code = activity_submit_create(window, &request, NULL, begun++, error);
            continue;
        }
        struct activity_completion one;
        if (activity_next(window, 1000, &one) == ACTIVITY_NEXT_DONE) {
            *error = one.error;
            code = (int)one.error.code;
            jobs[one.tag] = one.result ? activity_result_created(one.result)->job_id : 0;
            activity_result_free(one.result);
            ended++;
        }
    }
    activity_window_free(window);
    return code;
}

static int advance_all(activity_client *client, const struct activity_batch_request *request,
                       struct activity_error *error)
{
    activity_result *result;
    int code = activity_batch_update(client, request, NULL, &result, error);
    if (code == ACTIVITY_OK) {
        printf("%3u %%: %zu jobs, %u ignored\n", request->percents[0], request->count,
               activity_result_batch(result)->ignored_count);
    }
    activity_result_free(result);
    return code;
}

int main(int argc, char **argv)
{
    static uint64_t jobs[COUNT_MAX];
    static uint8_t percents[COUNT_MAX];
    size_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (count == 0 || count > COUNT_MAX || chdir(argv[2]) != 0) {
        fputs("usage: batch URL TLS-FOLDER COUNT (1 to 65536)\n", stderr);
        return 2;
    }
    struct activity_options options = ACTIVITY_OPTIONS_INIT;
    options.servers = (const char *[]){argv[1]};
    options.server_count = 1;
    options.ca_file = "ca.crt";
    options.cert_file = "client.crt";
    options.key_file = "client.key";
    struct activity_error error;
    activity_client *client = activity_client_new(&options, &error);
    int code = client == NULL ? (int)error.code : create_all(client, jobs, count, &error);
    for (int percent = 25; code == ACTIVITY_OK && percent <= 100; percent += 25) {
        memset(percents, percent, count);
        const struct activity_batch_request request = {jobs, percents, count};
        code = advance_all(client, &request, &error);
    }
    if (code != ACTIVITY_OK) {
        fprintf(stderr, "batch: %s (%s)\n", error.message, error.reason);
    }
    activity_client_free(client);
    return code == ACTIVITY_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
