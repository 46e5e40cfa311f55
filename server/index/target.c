#include "server/index/target.h"

#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
#include "server/check.h"

enum part_kind { PART_END, PART_TEXT, PART_TENANT, PART_MODEL, PART_ID, PART_UNKNOWN };

struct part {
    enum part_kind kind;
    struct bytes text;
};

/* The next piece of a template: a placeholder, or the text up to the next one. */
static struct part part_next(const char **at)
{
    static const struct {
        const char *text;
        enum part_kind kind;
    } known[] = {{"{tenant}", PART_TENANT}, {"{model}", PART_MODEL}, {"{id}", PART_ID}};
    const char *from = *at;
    if (*from == '\0') {
        return (struct part){PART_END, {NULL, 0}};
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i].text);
        if (strncmp(from, known[i].text, length) == 0) {
            *at = from + length;
            return (struct part){known[i].kind, bytes_of(from, length)};
        }
    }
    size_t length = strcspn(from, "{}");
    if (length == 0) {
        *at = from + 1;
        return (struct part){PART_UNKNOWN, bytes_of(from, 1)};
    }
    *at = from + length;
    return (struct part){PART_TEXT, bytes_of(from, length)};
}

static const struct target_model *find_model(const struct targets *targets, struct bytes model)
{
    for (uint32_t i = 0; i < targets->model_count; i++) {
        const char *name = targets->models[i].model;
        if (bytes_equal(model, bytes_of(name, strlen(name)))) {
            return &targets->models[i];
        }
    }
    return NULL;
}

static const char *template_of(const struct targets *targets, const struct target_model *model)
{
    return model != NULL && model->index != NULL ? model->index : targets->index;
}

static const char *routing_of(const struct targets *targets, const struct target_model *model)
{
    const char *routing =
        model != NULL && model->routing != NULL ? model->routing : targets->routing;
    return routing == NULL ? "" : routing;
}

static void expand(const char *pattern, const struct index_document *names, struct writer *to)
{
    for (struct part part = part_next(&pattern); part.kind != PART_END;
         part = part_next(&pattern)) {
        struct bytes text = part.kind == PART_TENANT  ? names->tenant
                            : part.kind == PART_MODEL ? names->model
                            : part.kind == PART_ID    ? names->id
                                                      : part.text;
        writer_bytes(to, text);
    }
}

/* ---- Names ---- */

/* What OpenSearch and Elasticsearch take as the name of an index. NULL: it is one. */
static const char *name_fault(struct bytes name)
{
    if (name.length == 0 || name.length > TARGET_NAME_MAX) {
        return "is empty or longer than 255 bytes";
    }
    if (memchr("-_+", name.at[0], 3) != NULL) {
        return "begins with '-', '_' or '+'";
    }
    if (name.at[0] == '.') { /* hidden, or of the system */
        return "begins with a dot";
    }
    for (uint32_t i = 0; i < name.length; i++) {
        uint8_t c = name.at[i];
        if (c >= 'A' && c <= 'Z') {
            return "has upper case letters";
        }
        if (c <= ' ' || c >= 0x7f || memchr("\\/*?\"<>|,#:{}", c, 13) != NULL) {
            return "has characters that no index may have";
        }
    }
    return NULL;
}

/* Where a template has both placeholders, the text between them has to show where the tenant ends:
 * cut at its first occurrence (at its last, when the tenant comes behind) the name falls apart as
 * it was put together. */
struct separator {
    struct bytes text; /* empty: there is none to be looked for */
    bool tenant_first;
};

static struct separator separator_of(const char *pattern)
{
    struct separator separator = {{NULL, 0}, false};
    enum part_kind before = PART_END;
    struct bytes between = {NULL, 0};
    for (struct part part = part_next(&pattern); part.kind != PART_END;
         part = part_next(&pattern)) {
        if (part.kind == PART_TEXT) {
            between = part.text;
            continue;
        }
        if (before != PART_END && before != part.kind) {
            separator.text = between;
            separator.tenant_first = before == PART_TENANT;
        }
        before = part.kind;
        between = bytes_of("", 0);
    }
    return separator;
}

static bool found_at(struct bytes in, size_t at, struct bytes text)
{
    return at + text.length <= in.length && memcmp(in.at + at, text.at, text.length) == 0;
}

static bool is_clear(struct separator separator, struct bytes tenant)
{
    uint8_t joined[LIMIT_TENANT_LENGTH + TARGET_TEMPLATE_MAX];
    struct writer to = writer_of(joined, sizeof joined);
    if (separator.text.length == 0) {
        return true;
    }
    writer_bytes(&to, separator.tenant_first ? tenant : separator.text);
    writer_bytes(&to, separator.tenant_first ? separator.text : tenant);
    if (to.failed) {
        return false;
    }
    struct bytes both = bytes_of(joined, to.wanted);
    for (size_t at = 0; at < both.length; at++) {
        bool own = at == (separator.tenant_first ? tenant.length : 0);
        if (!own && found_at(both, at, separator.text)) {
            return false;
        }
    }
    return true;
}

/* By the separator of the template, and from both sides by that of all templates. */
static bool tenant_is_clear(const struct targets *targets, const char *pattern, struct bytes tenant)
{
    const char *text = targets->separator != NULL ? targets->separator : "";
    struct bytes common = bytes_of(text, strlen(text));
    return is_clear(separator_of(pattern), tenant) &&
           is_clear((struct separator){common, true}, tenant) &&
           is_clear((struct separator){common, false}, tenant);
}

int target_index(const struct targets *targets, const struct index_document *document,
                 struct target_name *name, struct reason *why)
{
    const char *pattern = template_of(targets, find_model(targets, document->model));
    struct writer to = writer_of(name->text, TARGET_NAME_MAX);
    expand(pattern, document, &to);
    name->length = to.failed ? 0 : (uint32_t)to.wanted;
    name->text[name->length] = '\0';
    const char *fault = name_fault(bytes_of(name->text, name->length));
    if (fault == NULL && !tenant_is_clear(targets, pattern, document->tenant)) {
        fault = "could be that of another tenant";
    }
    if (fault != NULL) {
        reason_set(why, "index_name", "the index name \"%.80s\" (from \"%.80s\") %s", name->text,
                   pattern, fault);
        return 1;
    }
    return 0;
}

void target_routing(const struct targets *targets, const struct index_document *document,
                    struct writer *to)
{
    expand(routing_of(targets, find_model(targets, document->model)), document, to);
}

void target_pattern(const struct targets *targets, uint32_t i, struct target_name *name)
{
    CHECK(i <= targets->model_count);
    const struct target_model *model = i < targets->model_count ? &targets->models[i] : NULL;
    struct bytes any = bytes_of("*", 1);
    struct index_document names = {.tenant = any, .model = any, .id = any};
    if (model != NULL) {
        names.model = bytes_of(model->model, strlen(model->model));
    }
    struct writer to = writer_of(name->text, TARGET_NAME_MAX);
    expand(template_of(targets, model), &names, &to);
    if (to.failed) { /* takes in more, never less */
        name->text[0] = '*';
    }
    name->length = to.failed ? 1 : (uint32_t)to.wanted;
    name->text[name->length] = '\0';
}

/* ---- Checks of a configuration ---- */

static int check_template(const char *pattern, bool index, char *error, size_t error_size)
{
    const char *at = pattern;
    uint32_t count[PART_UNKNOWN + 1] = {0};
    enum part_kind before = PART_TEXT;
    const char *fault = strlen(pattern) > TARGET_TEMPLATE_MAX ? "is too long" : NULL;
    for (struct part part = part_next(&at); part.kind != PART_END && fault == NULL;
         part = part_next(&at)) {
        if (part.kind == PART_UNKNOWN || (index && part.kind == PART_ID)) {
            fault = index ? "has braces that are neither {tenant} nor {model}"
                          : "has braces that are none of {tenant}, {model} and {id}";
        } else if (index && part.kind != PART_TEXT && before != PART_TEXT) {
            fault = "needs a separator between {tenant} and {model}, for example '-'";
        } else if (part.kind != PART_TEXT && ++count[part.kind] > 1) {
            fault = "has a placeholder twice";
        }
        before = part.kind;
    }
    if (fault != NULL) {
        (void)snprintf(error, error_size, "the template \"%.200s\" %s", pattern, fault);
        return -1;
    }
    return 0;
}

/* With names that are surely good, so that only the template's own text can be at fault. */
static int check_name(const struct targets *targets, struct bytes model, char *error,
                      size_t error_size)
{
    const char *pattern = template_of(targets, find_model(targets, model));
    struct target_name name;
    struct index_document names = {.tenant = bytes_of("0", 1), .model = model};
    struct writer to = writer_of(name.text, TARGET_NAME_MAX);
    expand(pattern, &names, &to);
    const char *fault = name_fault(bytes_of(name.text, to.failed ? 0 : to.wanted));
    if (fault != NULL) {
        (void)snprintf(error, error_size,
                       "the template \"%.200s\" makes a name that %s (model \"%.*s\")", pattern,
                       fault, (int)model.length, (const char *)model.at);
        return -1;
    }
    return 0;
}

int targets_check(const struct targets *targets, char *error, size_t error_size)
{
    if (targets->index == NULL) {
        (void)snprintf(error, error_size, "there is no template for the names of indices");
        return -1;
    }
    if (check_template(targets->index, true, error, error_size) != 0 ||
        check_template(routing_of(targets, NULL), false, error, error_size) != 0 ||
        check_name(targets, bytes_of("0", 1), error, error_size) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < targets->model_count; i++) {
        const struct target_model *model = &targets->models[i];
        struct bytes name = bytes_of(model->model, strlen(model->model));
        if (model->kind != TAKE_WHOLE && model->kind != TAKE_FRAGMENTS) {
            (void)snprintf(error, error_size, "the model \"%.64s\" has no kind", model->model);
            return -1;
        }
        if (find_model(targets, name) != model) {
            (void)snprintf(error, error_size, "the model \"%.64s\" is there twice", model->model);
            return -1;
        }
        if (check_template(template_of(targets, model), true, error, error_size) != 0 ||
            check_template(routing_of(targets, model), false, error, error_size) != 0 ||
            check_name(targets, name, error, error_size) != 0) {
            return -1;
        }
    }
    return 0;
}

/* What a template has on one side of the tenant: the text up to the next placeholder, and whether
 * there is none up to the end. */
struct side {
    struct bytes text;
    bool whole;
};

/* Returns whether there is a tenant in it. */
static bool sides_of(const char *pattern, struct side *before, struct side *behind)
{
    static const char tenant[] = "{tenant}";
    const char *at = strstr(pattern, tenant);
    if (at == NULL) {
        return false;
    }
    const char *from = at;
    while (from > pattern && from[-1] != '}') {
        from--;
    }
    const char *rest = at + sizeof tenant - 1;
    size_t length = strcspn(rest, "{");
    *before = (struct side){bytes_of(from, (size_t)(at - from)), from == pattern};
    *behind = (struct side){bytes_of(rest, length), rest[length] == '\0'};
    return true;
}

/* Shortens `common` to what both have: the beginning, or the end. */
static void shorten(struct bytes *common, struct bytes text, bool beginning)
{
    uint32_t most = common->length < text.length ? common->length : text.length;
    uint32_t same = 0;
    while (same < most &&
           (beginning ? common->at[same] == text.at[same]
                      : common->at[common->length - 1 - same] == text.at[text.length - 1 - same])) {
        same++;
    }
    *common = bytes_of(common->at + (beginning ? 0 : common->length - same), same);
}

/* The one way: the same text before all tenants, and a common beginning of the texts behind them;
 * or the same from the other side. Each template has a tenant. */
static bool find_common(const struct targets *targets, bool tenant_first, struct bytes *common)
{
    struct side sides[2];
    struct side first[2];
    (void)sides_of(targets->index, &first[0], &first[1]);
    const struct side *outer = &sides[tenant_first ? 0 : 1];
    const struct side *inner = &sides[tenant_first ? 1 : 0];
    *common = first[tenant_first ? 1 : 0].text;
    for (uint32_t i = 0; i <= targets->model_count; i++) {
        const char *pattern =
            i == targets->model_count ? targets->index : template_of(targets, &targets->models[i]);
        (void)sides_of(pattern, &sides[0], &sides[1]);
        if (!outer->whole || !bytes_equal(outer->text, first[tenant_first ? 0 : 1].text)) {
            return false;
        }
        shorten(common, inner->text, tenant_first);
    }
    return common->length > 0;
}

int targets_separator(const struct targets *targets, char separator[TARGET_TEMPLATE_MAX + 1],
                      char *error, size_t error_size)
{
    const char *other = NULL;
    for (uint32_t i = 0; i <= targets->model_count; i++) {
        const char *pattern =
            i == targets->model_count ? targets->index : template_of(targets, &targets->models[i]);
        if (strstr(pattern, "{tenant}") == NULL) {
            (void)snprintf(error, error_size,
                           "the template \"%.200s\" has no {tenant}, and is for more than one",
                           pattern);
            return -1;
        }
        other = strcmp(pattern, targets->index) != 0 ? pattern : other;
    }
    struct bytes common = {NULL, 0};
    if (other != NULL && !find_common(targets, true, &common) &&
        !find_common(targets, false, &common)) {
        (void)snprintf(error, error_size,
                       "the templates \"%.200s\" and \"%.200s\" could make the same name for two "
                       "tenants; with {tenant} at the beginning of all, and the same separator "
                       "behind it, they cannot",
                       targets->index, other);
        return -1;
    }
    memcpy(separator, common.length == 0 ? "" : (const char *)common.at, common.length);
    separator[common.length] = '\0';
    return 0;
}

/* A tenant's name with a configured model, or with any other one as "*". */
static int name_with(const struct targets *targets, const char *tenant, uint32_t model,
                     struct target_name *name, struct reason *why)
{
    bool any = model == targets->model_count;
    const char *text = any ? "0" : targets->models[model].model;
    struct index_document names = {.tenant = bytes_of(tenant, strlen(tenant)),
                                   .model = bytes_of(text, strlen(text))};
    if (target_index(targets, &names, name, why) != 0) {
        return -1;
    }
    if (any) {
        struct writer to = writer_of(name->text, TARGET_NAME_MAX);
        names.model = bytes_of("*", 1);
        expand(targets->index, &names, &to);
    }
    return 0;
}

static bool matches(const char *pattern, const char *name)
{
    const char *star = strchr(pattern, '*');
    if (star == NULL) {
        return strcmp(pattern, name) == 0;
    }
    size_t before = (size_t)(star - pattern);
    size_t behind = strlen(star + 1);
    size_t length = strlen(name);
    return length > before + behind && strncmp(pattern, name, before) == 0 &&
           strcmp(name + length - behind, star + 1) == 0;
}

/* Two names with "*" come from one template, of which target_index has found that it keeps tenants
 * apart if it has them at all. */
static bool same_index(const struct targets *targets, const char *const tenants[2],
                       const uint32_t models[2], char *error, size_t error_size)
{
    struct target_name names[2];
    for (int side = 0; side < 2; side++) {
        struct reason why;
        if (name_with(targets, tenants[side], models[side], &names[side], &why) != 0) {
            (void)snprintf(error, error_size, "%s", why.message);
            return true;
        }
    }
    if (strcmp(names[0].text, names[1].text) != 0 && !matches(names[0].text, names[1].text) &&
        !matches(names[1].text, names[0].text)) {
        return false;
    }
    (void)snprintf(error, error_size,
                   "the tenants \"%.64s\" and \"%.64s\" can reach the same index \"%.100s\"; "
                   "templates with {tenant} in the same place keep them apart",
                   tenants[0], tenants[1], names[0].text);
    return true;
}

int targets_check_tenants(const struct targets *targets, const char *const *tenants,
                          uint32_t tenant_count, char *error, size_t error_size)
{
    uint32_t models = targets->model_count + 1;
    for (uint32_t a = 0; a < tenant_count; a++) {
        for (uint32_t b = a + 1; b < tenant_count; b++) {
            for (uint32_t pair = 0; pair < models * models; pair++) {
                const char *const two[2] = {tenants[a], tenants[b]};
                const uint32_t which[2] = {pair / models, pair % models};
                if (same_index(targets, two, which, error, error_size)) {
                    return -1;
                }
            }
        }
    }
    return 0;
}
