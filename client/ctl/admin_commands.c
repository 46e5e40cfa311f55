/* health, server-info, reload, users: about the server. */
#include "client/ctl/ctl.h"
#include "client/ctl/output.h"

int command_health(const struct settings *settings, int argc, char **argv)
{
    if (argc > 2) {
        return ctl_usage("health", "at most one SERVICE");
    }
    activity_client *client = ctl_client(settings);
    if (client == NULL) {
        return EXIT_FAILED;
    }
    activity_result *result = NULL;
    struct activity_error error;
    int code = activity_check_health(client, argc == 2 ? argv[1] : NULL, NULL, &result, &error);
    activity_client_free(client);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    const struct activity_health *health = activity_result_health(result);
    const char *status = health->serving ? "SERVING" : "NOT_SERVING";
    if (settings->json) {
        json_line((const struct json_pair[]){
            {"status", status, 0}, {"explanation", health->explanation, 0}, {NULL, NULL, 0}});
    } else {
        (void)printf("%s%s%s\n", status, health->explanation[0] == '\0' ? "" : ": ",
                     health->explanation);
    }
    code = health->serving ? EXIT_OK : EXIT_FAILED;
    activity_result_free(result);
    return code;
}

int command_server_info(const struct settings *settings, int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return ctl_usage("server-info", "no arguments are taken");
    }
    activity_client *client = ctl_client(settings);
    if (client == NULL) {
        return EXIT_FAILED;
    }
    activity_result *result = NULL;
    struct activity_error error;
    int code = activity_get_server_info(client, NULL, &result, &error);
    activity_client_free(client);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    (settings->json ? json_server_info : people_server_info)(activity_result_server_info(result));
    activity_result_free(result);
    return EXIT_OK;
}

int command_reload(const struct settings *settings, int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return ctl_usage("reload", "no arguments are taken");
    }
    activity_client *client = ctl_client(settings);
    if (client == NULL) {
        return EXIT_FAILED;
    }
    activity_result *result = NULL;
    struct activity_error error;
    int code = activity_reload(client, NULL, &result, &error);
    activity_client_free(client);
    if (code != ACTIVITY_OK) {
        return ctl_failed(&error);
    }
    (settings->json ? json_reloaded : people_reloaded)(activity_result_reloaded(result));
    activity_result_free(result);
    return EXIT_OK;
}

static void show_users(const struct settings *settings, const struct activity_users *users)
{
    for (size_t i = 0; i < users->user_count; i++) {
        if (settings->json) {
            json_line((const struct json_pair[]){{"user", users->users[i].user, 0},
                                                 {"lastSeen", NULL, users->users[i].last_seen_ms},
                                                 {NULL, NULL, 0}});
        } else {
            people_user_row(&users->users[i]);
        }
    }
}

int command_users(const struct settings *settings, int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return ctl_usage("users", "no arguments are taken");
    }
    activity_client *client = ctl_client(settings);
    if (client == NULL) {
        return EXIT_FAILED;
    }
    struct activity_users_request request = {0, {NULL, 0}};
    struct activity_error error;
    activity_result *previous = NULL; /* owns the page token in use */
    int code;
    do {
        activity_result *result = NULL;
        code = activity_list_users(client, &request, NULL, &result, &error);
        activity_result_free(previous);
        previous = result;
        if (code == ACTIVITY_OK) {
            const struct activity_users *users = activity_result_users(result);
            show_users(settings, users);
            request.page_token = users->next_page_token;
        }
    } while (code == ACTIVITY_OK && request.page_token.size > 0);
    activity_result_free(previous);
    activity_client_free(client);
    return code == ACTIVITY_OK ? EXIT_OK : ctl_failed(&error);
}
