/* The configuration of the index as server/index/ and the border take it: made of the keys, and
 * checked with the tenants that the policy knows. */
#ifndef ACTIVITYD_SERVER_INDEX_CONFIG_H
#define ACTIVITYD_SERVER_INDEX_CONFIG_H

#include <stddef.h>

#include "server/config.h"
#include "server/index/writer.h"
#include "server/rpc/policy.h"
#include "server/wire/kinds.h"

struct index_config;

/* Reads files and connects to nobody. No two tenants for whom the policy lets somebody record
 * changes may reach the same index, and each of them has one. Without a policy (NULL: how much
 * memory is needed) neither files nor tenants are looked at. `config` is borrowed. Logs what is
 * doubtful. NULL with one sentence: a key, the rule that it breaks, and what helps. */
struct index_config *index_config_new(const struct config *config, const struct policy *policy,
                                      char *error, size_t error_size);
/* Whether another policy fits as well, without a restart: the same rules, asked of the names of
 * indices as they are made since the start. Returns 0, or -1 with one sentence. Any thread. */
__attribute__((warn_unused_result)) int index_config_check_policy(const struct index_config *config,
                                                                  const struct policy *policy,
                                                                  char *error, size_t error_size);
/* NULL: nothing is written to an index. */
const struct index_options *index_config_options(const struct index_config *config);
/* Which models are written as fragments, with an index or without. */
const struct model_kinds *index_config_kinds(const struct index_config *config);
void index_config_free(struct index_config *config); /* accepts NULL */

#endif
