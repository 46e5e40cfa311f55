/* Where documents go: the name of the index and the routing, from templates with {tenant}, {model}
 * and (routing alone) {id}.
 *
 * No two tenants may reach the same index. Of a name made from "{tenant}-{model}" it must be clear
 * where the tenant ends, so a tenant that makes it unclear ("a-b" here) is refused; another
 * separator in the template helps. Nothing is mapped or lower-cased: two names would become one. */
#ifndef ACTIVITYD_SERVER_INDEX_TARGET_H
#define ACTIVITYD_SERVER_INDEX_TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "server/core/bytes.h"
#include "server/index/batch.h"
#include "server/index/reason.h"

#define TARGET_NAME_MAX     255u /* of an index, in bytes: the index's own limit */
#define TARGET_TEMPLATE_MAX 512u

/* How a model is written. Texts are terminated; an index or routing of NULL is that of the
 * standard. */
struct target_model {
    const char *model;
    enum take_kind kind;
    const char *index;
    const char *routing; /* "" is none */
};

struct targets {
    const char *index;   /* template for all other models, and its routing */
    const char *routing; /* NULL or "": none */
    const struct target_model *models;
    uint32_t model_count;
    const char *separator; /* from targets_separator: no tenant may have it; NULL: not asked for */
};

struct target_name {
    uint32_t length;
    char text[TARGET_NAME_MAX + 1];
};

/* Whether all templates can be used. Returns 0, or -1 with a sentence that names the template, what
 * is wrong and what helps. */
__attribute__((warn_unused_result)) int targets_check(const struct targets *targets, char *error,
                                                      size_t error_size);

/* The text by which the names of all templates are cut behind (or before) the tenant, so that no
 * two tenants, whatever they are called, reach the same index, once it is targets.separator; ""
 * where one template is for all models. Returns 0, or -1 with a sentence: there is none. */
__attribute__((warn_unused_result)) int targets_separator(const struct targets *targets,
                                                          char separator[TARGET_TEMPLATE_MAX + 1],
                                                          char *error, size_t error_size);

/* Whether no two of these tenants reach the same index with any of the models. A template without
 * {tenant} serves one tenant only. Returns 0, or -1 with a sentence. */
__attribute__((warn_unused_result)) int targets_check_tenants(const struct targets *targets,
                                                              const char *const *tenants,
                                                              uint32_t tenant_count, char *error,
                                                              size_t error_size);

/* The index of a document (its tenant and model). Returns 0, or 1 with the reason: these names make
 * none. */
__attribute__((warn_unused_result)) int target_index(const struct targets *targets,
                                                     const struct index_document *document,
                                                     struct target_name *name, struct reason *why);

/* Writes the routing of a document; nothing when there is none. */
void target_routing(const struct targets *targets, const struct index_document *document,
                    struct writer *to);

/* A pattern ("*-products") that takes in all indices that the `i`-th model reaches; i = model_count
 * is the template of all others. */
void target_pattern(const struct targets *targets, uint32_t i, struct target_name *name);

#endif
