/* Memory and start-up time at many live activities, after a clean stop and after kill -9.
 * ACTIVITIES sets how many (1,000,000). */
#include "bench/harness_measure.h"
#include "tests/e2e/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct scene scene;
static struct server server;

static void create_all(uint64_t count)
{
    struct activity_error error;
    struct activity_call_options call = ACTIVITY_CALL_OPTIONS_INIT;
    call.timeout_ms = 60000;
    activity_client *client = client_of(&server, "worker", NULL, NULL, NULL);
    activity_window *window = activity_window_new(client, 512, &error);
    const char *const groups[] = {"editors"};
    const struct activity_create_request request = {
        .type = "upload", .title = "one of a million pictures", .groups = groups, .group_count = 1};
    uint64_t sent = 0;
    uint64_t answered = 0;
    while (answered < count) {
        while (sent < count && activity_window_used(window) < 512 &&
               activity_submit_create(window, &request, &call, sent, &error) == ACTIVITY_OK) {
            sent++;
        }
        struct activity_completion done;
        if (activity_next(window, 1000, &done) == ACTIVITY_NEXT_DONE) {
            if (done.error.code != ACTIVITY_OK) {
                (void)fprintf(stderr, "create: %s %s\n", done.error.reason, done.error.message);
                server_kill(&server);
                scene_end(&scene);
                exit(1);
            }
            answered++;
            activity_result_free(done.result);
        }
    }
    activity_window_free(window);
    activity_client_free(client);
}

static double start_seconds(const char *const *flags)
{
    uint64_t began = measure_ns();
    server_start(&server, &scene, flags);
    return (double)(measure_ns() - began) / 1e9;
}

int main(void)
{
    const char *text = getenv("ACTIVITIES");
    uint64_t count = text == NULL ? 1000000 : strtoull(text, NULL, 10);
    /* Nobody updates them here, so that they must not be killed for their silence. */
    static const char *const flags[] = {"--set", "kill_after_ms=1h", NULL};
    scene_make(&scene);
    (void)printf("%-44s %10.2f s\n", "start of an empty server", start_seconds(flags));
    (void)printf("%-44s %10.0f MiB\n", "memory of an empty server",
                 (double)server_memory(&server) / 1048576);
    uint64_t began = measure_ns();
    create_all(count);
    (void)printf("%-44s %10.0f creates/s\n", "durable creates, 512 in flight",
                 (double)count * 1e9 / (double)(measure_ns() - began));
    (void)printf("%-44s %10.0f MiB\n", "memory at that many live activities",
                 (double)server_memory(&server) / 1048576);
    server_kill(&server);
    (void)printf("%-44s %10.2f s\n", "start after kill -9", start_seconds(flags));
    (void)printf("%-44s %10.0f MiB\n", "memory after it", (double)server_memory(&server) / 1048576);
    began = measure_ns();
    server_signal(&server, SIGTERM);
    int status = server_wait(&server);
    (void)printf("%-44s %10.2f s\n", "clean stop, with its snapshot",
                 (double)(measure_ns() - began) / 1e9);
    (void)printf("%-44s %10.2f s\n", "start after a clean stop", start_seconds(flags));
    (void)printf("%-44s %10.0f MiB\n", "memory after it", (double)server_memory(&server) / 1048576);
    server_kill(&server);
    scene_end(&scene);
    return status;
}
