/* Copies a file and shows the copy as an activity whose percent follows the bytes.
 *
 *   upload tls+tcp://localhost:7001 .data/tls big.bin copy.bin */
#include <activity.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fail(const char *what, const struct activity_error *error)
{
    fprintf(stderr, "upload: %s: %s (%s)\n", what, error->message, error->reason);
    return EXIT_FAILURE;
}

/* One update per percent. Stops when the job has ended: somebody may have cancelled it. */
static int copy(activity_client *client, uint64_t job, FILE *from, FILE *to)
{
    struct activity_update_request update = {.job_id = job, .set_percent = true};
    struct activity_updated updated;
    struct activity_error error;
    static char bytes[1 << 16];
    fseek(from, 0, SEEK_END);
    long size = ftell(from), done = 0;
    rewind(from);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, from)) > 0;) {
        done += (long)got;
        if (fwrite(bytes, 1, got, to) != got) {
            const struct activity_failure failure = {"WRITE_FAILED", "the copy cannot grow"};
            const struct activity_update_request failed = {.job_id = job, .failure = &failure};
            activity_update(client, &failed, NULL, NULL, &error);
            return EXIT_FAILURE;
        }
        if (done < size && (uint32_t)(done * 100 / size) > update.percent) {
            update.percent = (uint32_t)(done * 100 / size);
            if (activity_update(client, &update, NULL, &updated, &error) != ACTIVITY_OK) {
                return fail("update", &error);
            }
            if (updated.disposition >= ACTIVITY_IGNORED_UNKNOWN) {
                const char *name = activity_disposition_name((int)updated.disposition);
                fprintf(stderr, "upload: %s\n", name);
                return EXIT_FAILURE;
            }
        }
    }
    const struct activity_result_item item = {.id = "copy"};
    const struct activity_job_result result = {.items = &item, .item_count = 1};
    update.percent = 100;
    update.result = &result;
    return activity_update(client, &update, NULL, NULL, &error) ? fail("finish", &error) : 0;
}

int main(int argc, char **argv)
{
    FILE *from = argc == 5 ? fopen(argv[3], "rb") : NULL;
    FILE *to = from != NULL ? fopen(argv[4], "wb") : NULL;
    if (to == NULL || chdir(argv[2]) != 0) {
        fputs("usage: upload URL TLS-FOLDER FROM TO\n", stderr);
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
    const struct activity_create_request request = {.type = "upload", .title = argv[3]};
    struct activity_created created;
    if (client == NULL || activity_create(client, &request, NULL, &created, &error) != 0) {
        return fail("create", &error);
    }
    int status = copy(client, created.job_id, from, to);
    activity_client_free(client);
    printf("job %llu: %s\n", (unsigned long long)created.job_id, status == 0 ? "100 %" : "ended");
    fclose(from);
    return fclose(to) == 0 ? status : EXIT_FAILURE;
}
