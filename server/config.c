#include "server/config.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "server/config_model.h"
#include "server/text_file.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_BYTES, KIND_MS, KIND_BOOL, KIND_LEVEL, KIND_INDEX };

struct key {
    const char *name;
    size_t offset; /* in struct config */
    const char *unit;
    uint64_t standard, least, most;
    const char *text;
};

#define AT(field) offsetof(struct config, field)
static const struct key keys[] = {
#define TEXT_KEY(key, text) {#key, AT(key), "text", 0, 0, 0, text},
    CONFIG_TEXTS(TEXT_KEY) CONFIG_OPTIONAL_TEXTS(TEXT_KEY) CONFIG_INDEX_TEXTS(TEXT_KEY)
#undef TEXT_KEY
        {"index", AT(index), "index", CONFIG_INDEX_NONE, 0, 0,
         "where changes are written: none or elasticsearch"},
    {"index_gzip", AT(index_gzip), "bool", 0, 0, 1, "requests to the index are compressed"},
    {"dev", AT(dev), "bool", 0, 0, 1, "development: loopback only, files from data_dir"},
    {"log_level", AT(log_level), "level", LOG_LEVEL_INFO, 0, 0, "debug, info, warning or error"},
#define NUMBER_KEY(key, standard, least, most, unit, text)                                         \
    {#key, AT(key), unit, standard, least, most, text},
    CONFIG_NUMBERS(NUMBER_KEY)
#undef NUMBER_KEY
#define LIMIT_KEY(key, standard, least, most, unit, text)                                          \
    {#key, AT(limits.key), unit, standard, least, most, text},
        CORE_LIMITS(LIMIT_KEY)
#undef LIMIT_KEY
};
/* The last one, index_mode, is no key: it follows from `index`. */
#define KEY_COUNT (sizeof keys / sizeof keys[0] - 1)
_Static_assert((int)CORE_LIMIT_index_mode == (int)CORE_LIMIT_COUNT - 1, "see KEY_COUNT");

static enum kind kind_of(const struct key *key)
{
    static const struct {
        const char *unit;
        enum kind kind;
    } rows[] = {{"text", KIND_TEXT},   {"bool", KIND_BOOL},   {"level", KIND_LEVEL},
                {"index", KIND_INDEX}, {"bytes", KIND_BYTES}, {"ms", KIND_MS}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(key->unit, rows[i].unit) == 0) {
            return rows[i].kind;
        }
    }
    return KIND_NUMBER;
}

void config_standard(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        enum kind kind = kind_of(&keys[i]);
        if (kind == KIND_NUMBER || kind == KIND_BYTES || kind == KIND_MS) {
            memcpy((char *)config + keys[i].offset, &keys[i].standard, sizeof(uint64_t));
        }
    }
    config->log_level = LOG_LEVEL_INFO;
    static const char url[] = "tls+tcp://127.0.0.1:7401";
    static const char feed[] = "tls+tcp://127.0.0.1:7402";
    static const char name[] = "{tenant}-{model}";
    memcpy(config->listen, url, sizeof url);
    memcpy(config->index_name, name, sizeof name);
    memcpy(config->feed_listen, feed, sizeof feed);
}

/* ---- One value ---- */

struct suffix {
    const char *name;
    uint64_t factor;
};
static const struct suffix byte_suffixes[] = {
    {"", 1}, {"KiB", 1024}, {"MiB", MIB(1)}, {"GiB", MIB(1024)}, {NULL, 0}};
static const struct suffix ms_suffixes[] = {{"", 1},        {"ms", 1},      {"s", 1000},
                                            {"min", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct suffix no_suffixes[] = {{"", 1}, {NULL, 0}};

static const struct suffix *suffixes_of(enum kind kind)
{
    return kind == KIND_BYTES ? byte_suffixes : kind == KIND_MS ? ms_suffixes : no_suffixes;
}

/* Digits and one suffix, nothing else: no sign, blank, fraction or overflow. */
static bool parse_number(const char *text, const struct suffix *suffix, uint64_t *number)
{
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    char *rest = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &rest, 10);
    if (errno != 0) {
        return false;
    }
    while (suffix->name != NULL && strcmp(suffix->name, rest) != 0) {
        suffix++;
    }
    return suffix->name != NULL && !__builtin_mul_overflow(value, suffix->factor, number);
}

/* A number as a person writes it: in the largest suffix that leaves no rest. */
static const char *write_number(uint64_t number, const struct suffix *suffixes, char *to,
                                size_t size)
{
    const struct suffix *best = suffixes;
    for (const struct suffix *suffix = suffixes; suffix->name != NULL; suffix++) {
        best = number != 0 && number % suffix->factor == 0 ? suffix : best;
    }
    (void)snprintf(to, size, "%" PRIu64 "%s", number / best->factor, best->name);
    return to;
}

static int set_number(const struct key *key, const char *value, uint64_t *to, char *rule,
                      size_t size)
{
    const struct suffix *suffixes = suffixes_of(kind_of(key));
    char least[32];
    char most[32];
    uint64_t number = 0;
    bool parsed = parse_number(value, suffixes, &number);
    if (parsed && number >= key->least && number <= key->most) {
        *to = number;
        return 0;
    }
    const char *how = suffixes == byte_suffixes ? " bytes (suffixes KiB, MiB, GiB)"
                      : suffixes == ms_suffixes ? " (a time in ms, or with the suffix s, min, h)"
                                                : "";
    (void)snprintf(rule, size, "is not a number from %s to %s%s",
                   write_number(key->least, suffixes, least, sizeof least),
                   write_number(key->most, suffixes, most, sizeof most), how);
    return -1;
}

static int set_bool(const char *value, bool *to, char *rule, size_t size)
{
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "yes") == 0 || strcmp(value, "on") == 0;
    bool no = strcmp(value, "false") == 0 || strcmp(value, "no") == 0 || strcmp(value, "off") == 0;
    if (yes || no) {
        *to = yes;
        return 0;
    }
    (void)snprintf(rule, size, "is neither true nor false");
    return -1;
}

static int set_level(const char *value, enum log_level *to, char *rule, size_t size)
{
    int level = log_level_parse(value);
    if (level >= 0) {
        *to = (enum log_level)level;
        return 0;
    }
    (void)snprintf(rule, size, "is none of debug, info, warning, error");
    return -1;
}

static int set_index(const char *value, enum config_index *to, char *rule, size_t size)
{
    bool writes = strcmp(value, "elasticsearch") == 0;
    if (writes || strcmp(value, "none") == 0) {
        *to = writes ? CONFIG_INDEX_ELASTICSEARCH : CONFIG_INDEX_NONE;
        return 0;
    }
    (void)snprintf(rule, size, "is neither none nor elasticsearch (which is for OpenSearch, too)");
    return -1;
}

static int set_text(const char *value, char *to, char *rule, size_t size)
{
    size_t length = strlen(value);
    if (length > 0 && length < CONFIG_TEXT_MAX) {
        memcpy(to, value, length + 1);
        return 0;
    }
    (void)snprintf(rule, size, "must have 1 to %d bytes", CONFIG_TEXT_MAX - 1);
    return -1;
}

/* Returns 0, or -1 with the rule that the value breaks. */
static int set_key(struct config *config, const struct key *key, const char *value, char *rule,
                   size_t size)
{
    void *to = (char *)config + key->offset;
    switch (kind_of(key)) {
    case KIND_TEXT:
        return set_text(value, to, rule, size);
    case KIND_BOOL:
        return set_bool(value, to, rule, size);
    case KIND_LEVEL:
        return set_level(value, to, rule, size);
    case KIND_INDEX:
        return set_index(value, to, rule, size);
    case KIND_NUMBER:
    case KIND_BYTES:
    case KIND_MS:
        break;
    }
    return set_number(key, value, to, rule, size);
}

/* ---- The file ---- */

/* libconfuse hands its callbacks no context. */
static struct {
    struct config *config;
    char *error;
    size_t size;
    bool seen[KEY_COUNT];
    struct config_model model; /* whose section is being read */
    unsigned model_seen;       /* its keys, a bit each */
} loading;

static void take_error(cfg_t *cfg, const char *format, va_list arguments)
{
    if (loading.error[0] != '\0') {
        return; /* the first one is the cause */
    }
    int used = snprintf(loading.error, loading.size, "%s:%d: ", cfg->filename, cfg->line);
    if (used > 0 && (size_t)used < loading.size) {
        (void)vsnprintf(loading.error + used, loading.size - (size_t)used, format, arguments);
    }
}

/* Called by the parser after each value, while its line is known. */
static int take_value(cfg_t *cfg, cfg_opt_t *option)
{
    size_t i = 0;
    while (strcmp(keys[i].name, cfg_opt_name(option)) != 0) {
        i++;
    }
    char rule[256];
    const char *value = cfg_opt_getnstr(option, 0);
    if (loading.seen[i]) {
        cfg_error(cfg, "%s: is given twice", keys[i].name);
        return -1;
    }
    loading.seen[i] = true;
    if (set_key(loading.config, &keys[i], value, rule, sizeof rule) != 0) {
        cfg_error(cfg, "%s: \"%s\" %s", keys[i].name, value, rule);
        return -1;
    }
    return 0;
}

static const struct {
    const char *name;
    const char *path; /* as libconfuse names it */
} model_keys[] = {
#define MODEL_KEY(key, text) {#key, "model|" #key},
    CONFIG_MODEL_KEYS(MODEL_KEY)
#undef MODEL_KEY
};
#define MODEL_KEY_COUNT (sizeof model_keys / sizeof model_keys[0])

static int take_model_value(cfg_t *section, cfg_opt_t *option)
{
    unsigned i = 0;
    while (strcmp(model_keys[i].name, cfg_opt_name(option)) != 0) {
        i++;
    }
    char rule[256];
    const char *value = cfg_opt_getnstr(option, 0);
    if ((loading.model_seen & 1u << i) != 0) {
        cfg_error(section, "model \"%s\": %s: is given twice", cfg_title(section),
                  model_keys[i].name);
        return -1;
    }
    loading.model_seen |= 1u << i;
    if (config_model_set(&loading.model, model_keys[i].name, value, rule, sizeof rule) != 0) {
        cfg_error(section, "model \"%s\": %s: \"%s\" %s", cfg_title(section), model_keys[i].name,
                  value, rule);
        return -1;
    }
    return 0;
}

/* Called at the end of a section. */
static int take_model(cfg_t *cfg, cfg_opt_t *option)
{
    char rule[256];
    const char *name = cfg_title(cfg_opt_getnsec(option, cfg_opt_size(option) - 1));
    if (config_model_put(loading.config, &loading.model, name, rule, sizeof rule) != 0) {
        cfg_error(cfg, "model \"%s\": %s", name, rule);
        return -1;
    }
    loading.model = (struct config_model){.fragments = false};
    loading.model_seen = 0;
    return 0;
}

/* libconfuse takes a section that the end of the file cuts off. A last option of our own, which no
 * section knows, makes it an error. */
#define LAST_OPTION "end_of_file"

#define OPTION_COUNT (KEY_COUNT + 3)

static cfg_t *new_parser(cfg_opt_t *options)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        cfg_opt_t option = CFG_STR(NULL, NULL, CFGF_NODEFAULT);
        option.name = keys[i].name;
        options[i] = option;
    }
    cfg_opt_t model_options[MODEL_KEY_COUNT + 1];
    for (size_t i = 0; i < MODEL_KEY_COUNT; i++) {
        cfg_opt_t option = CFG_STR(NULL, NULL, CFGF_NODEFAULT);
        option.name = model_keys[i].name;
        model_options[i] = option;
    }
    model_options[MODEL_KEY_COUNT] = (cfg_opt_t)CFG_END();
    options[KEY_COUNT] =
        (cfg_opt_t)CFG_SEC("model", model_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    options[KEY_COUNT + 1] = (cfg_opt_t)CFG_BOOL(LAST_OPTION, cfg_false, CFGF_NONE);
    options[KEY_COUNT + 2] = (cfg_opt_t)CFG_END();
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    if (cfg == NULL) {
        return NULL;
    }
    (void)cfg_set_error_function(cfg, take_error);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        (void)cfg_set_validate_func(cfg, keys[i].name, take_value);
    }
    for (size_t i = 0; i < MODEL_KEY_COUNT; i++) {
        (void)cfg_set_validate_func(cfg, model_keys[i].path, take_model_value);
    }
    (void)cfg_set_validate_func(cfg, "model", take_model);
    return cfg;
}

static int parse(const char *path, char *text)
{
    cfg_opt_t options[OPTION_COUNT];
    cfg_t *cfg = new_parser(options);
    FILE *file = fmemopen(text, strlen(text), "r");
    int outcome = CFG_PARSE_ERROR;
    if (cfg != NULL && file != NULL) {
        cfg->filename = strdup(path);
        outcome = cfg->filename != NULL ? cfg_parse_fp(cfg, file) : CFG_PARSE_ERROR;
    }
    cfg_free(cfg);
    if (file != NULL) {
        (void)fclose(file);
    }
    return outcome == CFG_SUCCESS ? 0 : -1;
}

int config_load(const char *path, struct config *config, char *error, size_t error_size)
{
    memset(&loading, 0, sizeof loading);
    loading.config = config;
    loading.error = error;
    loading.size = error_size;
    error[0] = '\0';
    static const char last[] = "\n" LAST_OPTION " = true\n";
    char *text = text_file_read(path, sizeof last, error, error_size);
    if (text == NULL) {
        return -1;
    }
    int outcome = -1;
    if (text_file_blank_remarks(text) != 0) {
        (void)snprintf(error, error_size, "%s: a remark is not closed", path);
    } else {
        memcpy(text + strlen(text), last, sizeof last);
        outcome = parse(path, text);
    }
    free(text);
    if (outcome != 0 && error[0] == '\0') {
        (void)snprintf(error, error_size, "%s: out of memory", path);
    }
    return outcome;
}

/* ---- Flags ---- */

static const struct {
    const char *flag;
    enum config_action action;
    const char *text;
} actions[] = {
    {"--check-config", CONFIG_CHECK, "check configuration, policy and certificates, then stop"},
    {"--print-limits", CONFIG_PRINT_LIMITS,
     "show what memory the configuration may need, then stop"},
    {"--version", CONFIG_VERSION, "show the version"},
    {"--help", CONFIG_HELP, "show this text"},
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

/* --data-dir names the key data_dir: underscores are dashes in flags. */
static bool flag_names(const char *flag, size_t length, const char *key)
{
    size_t i = 0;
    for (; i < length && key[i] != '\0'; i++) {
        if (flag[i] != (key[i] == '_' ? '-' : key[i])) {
            return false;
        }
    }
    return i == length && key[i] == '\0';
}

/* The flag of a key, without its dashes in front. */
static const char *write_flag(const char *key, char *to, size_t size)
{
    size_t i = 0;
    for (; key[i] != '\0' && i + 1 < size; i++) {
        to[i] = key[i] == '_' ? '-' : key[i];
    }
    to[i] = '\0';
    return to;
}

static const struct key *find_key(const char *flag, size_t length)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (flag_names(flag, length, keys[i].name)) {
            return &keys[i];
        }
    }
    return NULL;
}

struct arguments {
    char *const *at;
    int left;
};

struct flag {
    const char *text; /* as given */
    size_t length;    /* of its name after the dashes */
    const char *value;
    bool is_file; /* --config */
    bool is_set;  /* --set KEY=VALUE */
    bool is_model;
    const struct key *key;
    int action; /* of actions, or -1 */
};

/* The key and value of --set, from KEY=VALUE. */
static int split_assignment(struct flag *flag, char *error, size_t size)
{
    size_t length = strcspn(flag->value, "=");
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strlen(keys[i].name) == length && memcmp(keys[i].name, flag->value, length) == 0) {
            flag->key = &keys[i];
        }
    }
    if (flag->key == NULL || flag->value[length] == '\0') {
        (void)snprintf(error, size, "--set %s: is not KEY=VALUE with a key of the configuration",
                       flag->value);
        return -1;
    }
    flag->value += length + 1;
    return 0;
}

/* Takes the next flag and its value off the arguments. Returns 0, or -1 with the error. */
static int next_flag(struct arguments *arguments, struct flag *flag, char *error, size_t size)
{
    *flag = (struct flag){.text = *arguments->at, .action = -1};
    arguments->at++;
    arguments->left--;
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(flag->text, actions[i].flag) == 0) {
            flag->action = (int)i;
            return 0;
        }
    }
    if (strncmp(flag->text, "--", 2) == 0) {
        const char *name = flag->text + 2;
        flag->length = strcspn(name, "=");
        flag->is_file = flag_names(name, flag->length, "config");
        flag->is_set = flag_names(name, flag->length, "set");
        flag->is_model = flag_names(name, flag->length, "model");
        flag->key = find_key(name, flag->length);
        flag->value = name[flag->length] == '=' ? name + flag->length + 1 : NULL;
    }
    if (flag->key == NULL && !flag->is_file && !flag->is_set && !flag->is_model) {
        (void)snprintf(error, size, "%s: no such flag (see --help)", flag->text);
        return -1;
    }
    if (flag->value != NULL) {
        /* --name=value */
    } else if (flag->key != NULL && kind_of(flag->key) == KIND_BOOL) {
        flag->value = "true";
    } else if (arguments->left > 0) {
        flag->value = *arguments->at;
        arguments->at++;
        arguments->left--;
    } else {
        (void)snprintf(error, size, "%s: a value is missing", flag->text);
        return -1;
    }
    return flag->is_set ? split_assignment(flag, error, size) : 0;
}

static int set_flag(const struct flag *flag, struct config *config, char *error, size_t size)
{
    char rule[256];
    char name[40];
    if (flag->is_model) {
        if (config_model_parse(config, flag->value, rule, sizeof rule) != 0) {
            (void)snprintf(error, size, "--model \"%.100s\": %s", flag->value, rule);
            return -1;
        }
        return 0;
    }
    if (set_key(config, flag->key, flag->value, rule, sizeof rule) != 0) {
        (void)snprintf(error, size, "--%s%s: \"%s\" %s", flag->is_set ? "set " : "",
                       flag->is_set ? flag->key->name
                                    : write_flag(flag->key->name, name, sizeof name),
                       flag->value, rule);
        return -1;
    }
    return 0;
}

/* One pass over the flags: first for --config, whose file the others then win over. */
static int read_flags(struct arguments arguments, bool for_file, struct config *config,
                      enum config_action *action, char *error, size_t size)
{
    while (arguments.left > 0) {
        struct flag flag;
        if (next_flag(&arguments, &flag, error, size) != 0) {
            return -1;
        }
        if (flag.action >= 0) {
            *action = actions[flag.action].action;
        } else if (flag.is_file) {
            if (for_file && config_load(flag.value, config, error, size) != 0) {
                return -1;
            }
        } else if (!for_file && set_flag(&flag, config, error, size) != 0) {
            return -1;
        }
    }
    return 0;
}

int config_from_arguments(int count, char *const *arguments, struct config *config,
                          enum config_action *action, char *error, size_t error_size)
{
    const struct arguments all = {arguments, count};
    config_standard(config);
    *action = CONFIG_RUN;
    if (read_flags(all, true, config, action, error, error_size) != 0 ||
        read_flags(all, false, config, action, error, error_size) != 0) {
        return -1;
    }
    if (*action == CONFIG_VERSION || *action == CONFIG_HELP) {
        return 0;
    }
    return config_check(config, error, error_size);
}

void config_print_help(FILE *to)
{
    (void)fputs("activityd: the activity service\n\n"
                "  activityd [--config FILE] [--KEY VALUE]...\n"
                "  activityd --dev [--data-dir DIR]              development: everything from DIR\n"
                "  activityd journal verify|repair DIR           looks into the data of a stopped "
                "server\n\n",
                to);
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        (void)fprintf(to, "  %-33s %s\n", actions[i].flag, actions[i].text);
    }
    (void)fputs("  --config FILE                     read a file of keys; flags win over it\n"
                "  --set KEY=VALUE                   the same as --KEY VALUE, with the key as in "
                "the file\n"
                "  --model 'NAME KEY=VALUE...'       a section of the file: how one model is "
                "written\n"
                "                                    (kind=whole or fragments, index=, routing=)\n"
                "\nKeys, in the "
                "file `name = value`, as flags with dashes:\n",
                to);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct key *key = &keys[i];
        enum kind kind = kind_of(key);
        char number[32] = "";
        if (kind == KIND_NUMBER || kind == KIND_BYTES || kind == KIND_MS) {
            (void)write_number(key->standard, suffixes_of(kind), number, sizeof number);
        }
        char flag[40];
        (void)fprintf(to, "  --%-31s %s%s%s%s\n", write_flag(key->name, flag, sizeof flag),
                      key->text, number[0] != '\0' ? " [" : "", number,
                      number[0] != '\0' ? "]" : "");
    }
    (void)fputs(
        "\nactivityd.conf.example and policy.conf.example explain every key. Exit status: 0 after "
        "a clean stop,\n70 when the state is damaged or diverged, 74 when disk or network "
        "failed, 78 when the configuration is wrong.\n",
        to);
}
