#include "server/config_model.h"

#include <stdio.h>
#include <string.h>

#include "proto/view.h"

static int broken(char *rule, size_t size, const char *text)
{
    (void)snprintf(rule, size, "%s", text);
    return -1;
}

static int set_kind(struct config_model *model, const char *value, char *rule, size_t size)
{
    model->fragments = strcmp(value, "fragments") == 0;
    return model->fragments || strcmp(value, "whole") == 0
               ? 0
               : broken(rule, size, "is neither whole nor fragments");
}

static int set_template(char to[CONFIG_TEMPLATE_MAX], size_t least, const char *value, char *rule,
                        size_t size)
{
    size_t length = strlen(value);
    if (length < least || length >= CONFIG_TEMPLATE_MAX) {
        (void)snprintf(rule, size, "must have %zu to %d bytes", least, CONFIG_TEMPLATE_MAX - 1);
        return -1;
    }
    memcpy(to, value, length + 1);
    return 0;
}

int config_model_set(struct config_model *model, const char *key, const char *value, char *rule,
                     size_t size)
{
    if (strcmp(key, "kind") == 0) {
        return set_kind(model, value, rule, size);
    }
    if (strcmp(key, "index") == 0) {
        return set_template(model->index, 1, value, rule, size);
    }
    model->has_routing = true;
    return set_template(model->routing, 0, value, rule, size);
}

/* As the border takes the names of models. */
static bool is_name(const char *name)
{
    struct view text = view_of(name);
    return text.length >= 1 && text.length <= LIMIT_MODEL_LENGTH &&
           view_name_length(text) == text.length;
}

int config_model_put(struct config *config, const struct config_model *model, const char *name,
                     char *rule, size_t size)
{
    if (!is_name(name)) {
        return broken(rule, size,
                      "the name is none of a model (a letter and up to 63 of a-z A-Z 0-9 . _ -)");
    }
    uint32_t at = 0;
    while (at < config->model_count && strcmp(config->models[at].name, name) != 0) {
        at++;
    }
    if (at == CONFIG_MODELS_MAX) {
        (void)snprintf(rule, size, "there are more than %d models", CONFIG_MODELS_MAX);
        return -1;
    }
    config->models[at] = *model;
    memcpy(config->models[at].name, name, strlen(name) + 1);
    config->model_count += at == config->model_count;
    return 0;
}

/* ---- The flag ---- */

/* Cuts the next word off. NULL: there is none. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t");
    char *end = word + strcspn(word, " \t");
    *at = *end != '\0' ? end + 1 : end;
    *end = '\0';
    return *word != '\0' ? word : NULL;
}

static int set_word(struct config_model *model, char *word, unsigned *seen, char *rule, size_t size)
{
    static const char *const keys[] = {
#define KEY_NAME(key, text) #key,
        CONFIG_MODEL_KEYS(KEY_NAME)
#undef KEY_NAME
    };
    char why[128];
    size_t length = strcspn(word, "=");
    for (unsigned i = 0; i < sizeof keys / sizeof *keys && word[length] == '='; i++) {
        if (strlen(keys[i]) != length || memcmp(keys[i], word, length) != 0) {
            continue;
        }
        if ((*seen & 1u << i) != 0) {
            (void)snprintf(rule, size, "%s: is given twice", keys[i]);
            return -1;
        }
        *seen |= 1u << i;
        if (config_model_set(model, keys[i], word + length + 1, why, sizeof why) != 0) {
            (void)snprintf(rule, size, "%s: \"%.64s\" %s", keys[i], word + length + 1, why);
            return -1;
        }
        return 0;
    }
    (void)snprintf(rule, size, "\"%.64s\" is none of kind=, index= and routing=", word);
    return -1;
}

int config_model_parse(struct config *config, const char *text, char *rule, size_t size)
{
    char copy[2 * CONFIG_TEXT_MAX];
    if (strlen(text) >= sizeof copy) {
        return broken(rule, size, "is too long");
    }
    memcpy(copy, text, strlen(text) + 1);
    char *at = copy;
    struct config_model model = {.fragments = false};
    unsigned seen = 0;
    const char *name = next_word(&at);
    for (char *word = next_word(&at); word != NULL; word = next_word(&at)) {
        if (set_word(&model, word, &seen, rule, size) != 0) {
            return -1;
        }
    }
    return config_model_put(config, &model, name != NULL ? name : "", rule, size);
}
