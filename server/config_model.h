/* What the configuration says of single models: a section of the file, or a flag. */
#ifndef ACTIVITYD_SERVER_CONFIG_MODEL_H
#define ACTIVITYD_SERVER_CONFIG_MODEL_H

#include <stddef.h>

#include "server/config.h"

/* X(key, what it is) */
#define CONFIG_MODEL_KEYS(X)                                                                       \
    X(kind, "whole or fragments")                                                                  \
    X(index, "name of its index, instead of index_name")                                           \
    X(routing, "its routing, instead of index_routing; \"\" for none")

/* All return 0, or -1 with the rule that is broken. */

/* Of key `key`, one of the above. */
__attribute__((warn_unused_result)) int config_model_set(struct config_model *model,
                                                         const char *key, const char *value,
                                                         char *rule, size_t size);
/* Adds it to the others, or replaces the one of this name. */
__attribute__((warn_unused_result)) int config_model_put(struct config *config,
                                                         const struct config_model *model,
                                                         const char *name, char *rule, size_t size);
/* The value of --model, "NAME kind=fragments index=TEMPLATE". */
__attribute__((warn_unused_result)) int config_model_parse(struct config *config, const char *text,
                                                           char *rule, size_t size);

#endif
