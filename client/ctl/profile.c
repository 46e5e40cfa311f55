#include "client/ctl/profile.h"

#include <confuse.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct profile {
    cfg_t *file;
};

static void report(cfg_t *file, const char *format, va_list arguments)
{
    (void)fprintf(stderr,
                  "activityctl: %s:%d: ", file->filename == NULL ? "profile" : file->filename,
                  file->line);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
}

/* The file to read; NULL: none. *must says whether its absence is a mistake. */
static const char *choose(const char *path, char *room, size_t size, bool *must)
{
    *must = true;
    if (path != NULL) {
        return path;
    }
    path = getenv("ACTIVITYCTL_PROFILE");
    if (path != NULL && path[0] != '\0') {
        return path;
    }
    *must = false;
    if (access(".data/activityctl.conf", R_OK) == 0) {
        return ".data/activityctl.conf";
    }
    const char *home = getenv("HOME");
    if (home != NULL && snprintf(room, size, "%s/.config/activityctl.conf", home) < (int)size &&
        access(room, R_OK) == 0) {
        return room;
    }
    return NULL;
}

static const char *text_of(cfg_t *file, const char *key)
{
    const char *text = cfg_getstr(file, key);
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static bool fill(cfg_t *file, const char *path, struct settings *settings)
{
    const struct {
        const char *key;
        const char **list;
        size_t *count;
        size_t most;
    } lists[] = {{"server", settings->servers, &settings->server_count, CTL_SERVERS_MAX},
                 {"groups", settings->groups, &settings->group_count, CTL_GROUPS_MAX}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        unsigned size = cfg_size(file, lists[i].key);
        if (size > lists[i].most) {
            (void)fprintf(stderr, "activityctl: %s: %s: more than %zu\n", path, lists[i].key,
                          lists[i].most);
            return false;
        }
        for (unsigned k = 0; k < size; k++) {
            lists[i].list[k] = cfg_getnstr(file, lists[i].key, k);
        }
        *lists[i].count = size;
    }
    settings->ca = text_of(file, "ca");
    settings->cert = text_of(file, "cert");
    settings->key = text_of(file, "key");
    settings->server_name = text_of(file, "server_name");
    settings->tenant = text_of(file, "tenant");
    settings->user = text_of(file, "user");
    long timeout = cfg_getint(file, "timeout_ms");
    if (timeout < 1 || timeout > 3600000) {
        (void)fprintf(stderr, "activityctl: %s: timeout_ms: 1 to 3600000\n", path);
        return false;
    }
    settings->timeout_ms = (uint32_t)timeout;
    return true;
}

bool profile_load(const char *path, struct profile **profile, struct settings *settings)
{
    char room[1024];
    bool must;
    *profile = NULL;
    path = choose(path, room, sizeof room, &must);
    if (path == NULL) {
        return true;
    }
    cfg_opt_t options[] = {
        CFG_STR_LIST("server", "{}", CFGF_NONE), CFG_STR("ca", NULL, CFGF_NONE),
        CFG_STR("cert", NULL, CFGF_NONE),        CFG_STR("key", NULL, CFGF_NONE),
        CFG_STR("server_name", NULL, CFGF_NONE), CFG_STR("tenant", NULL, CFGF_NONE),
        CFG_STR("user", NULL, CFGF_NONE),        CFG_STR_LIST("groups", "{}", CFGF_NONE),
        CFG_INT("timeout_ms", 10000, CFGF_NONE), CFG_END(),
    };
    struct profile *made = calloc(1, sizeof *made);
    if (made == NULL || (made->file = cfg_init(options, CFGF_NONE)) == NULL) {
        free(made);
        (void)fprintf(stderr, "activityctl: out of memory\n");
        return false;
    }
    (void)cfg_set_error_function(made->file, report);
    *profile = made;
    int code = cfg_parse(made->file, path);
    if (code == CFG_FILE_ERROR) {
        (void)fprintf(stderr, "activityctl: profile %s: %s\n", path, strerror(errno));
        return !must;
    }
    return code == CFG_SUCCESS && fill(made->file, path, settings);
}

void profile_free(struct profile *profile)
{
    if (profile != NULL) {
        (void)cfg_free(profile->file);
        free(profile);
    }
}

void settings_override(struct settings *settings, const struct settings *flags)
{
    if (flags->server_count > 0) {
        memcpy(settings->servers, flags->servers, sizeof flags->servers);
        settings->server_count = flags->server_count;
    }
    if (flags->group_count > 0) {
        memcpy(settings->groups, flags->groups, sizeof flags->groups);
        settings->group_count = flags->group_count;
    }
    const struct {
        const char **to;
        const char *from;
    } texts[] = {{&settings->ca, flags->ca},         {&settings->cert, flags->cert},
                 {&settings->key, flags->key},       {&settings->server_name, flags->server_name},
                 {&settings->tenant, flags->tenant}, {&settings->user, flags->user}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].from != NULL) {
            *texts[i].to = texts[i].from;
        }
    }
    if (flags->timeout_ms != 0) {
        settings->timeout_ms = flags->timeout_ms;
    }
    settings->json = settings->json || flags->json;
}
