#include "server/rpc/policy.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/spiffe.h"
#include "server/text_file.h"

#define SCHEME "spiffe://"

struct policy {
    struct policy_rule *rules; /* sorted by name */
    size_t count;
    bool open; /* rules[0] applies to everybody */
    atomic_uint references;
};

/* libconfuse hands its error function no context. */
static _Thread_local struct {
    char *text;
    size_t size;
} error_to;

static void take_error(cfg_t *cfg, const char *format, va_list arguments)
{
    if (error_to.size == 0 || error_to.text[0] != '\0') {
        return; /* the first one is the cause */
    }
    int used = snprintf(error_to.text, error_to.size,
                        "%s:%d: ", cfg->filename != NULL ? cfg->filename : "policy", cfg->line);
    if (used > 0 && (size_t)used < error_to.size) {
        (void)vsnprintf(error_to.text + used, error_to.size - (size_t)used, format, arguments);
    }
}

bool policy_principal_valid(struct view principal)
{
    struct spiffe_id id;
    return spiffe_id_read(principal, &id);
}

/* A principal, or what many begin with and a star, in whose place any letter makes one. */
static bool is_rule_name(const char *name)
{
    char principal[LIMIT_PRINCIPAL_LENGTH + 1];
    size_t length = strlen(name);
    if (length < 2 || length > LIMIT_PRINCIPAL_LENGTH) {
        return false;
    }
    memcpy(principal, name, length + 1);
    if (strcmp(principal + length - 2, "/*") == 0) {
        principal[length - 1] = 'x';
    }
    return policy_principal_valid(view_of(principal));
}

static bool is_name_character(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static bool is_tenant(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > LIMIT_TENANT_LENGTH || strchr("._-", name[0]) != NULL) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_name_character((uint8_t)name[i])) {
            return false;
        }
    }
    return true;
}

/* ---- One rule ---- */

static void tenants_deinit(struct policy_tenants *tenants)
{
    for (size_t i = 0; i < tenants->count; i++) {
        free(tenants->names[i]);
    }
    free(tenants->names);
}

static int tenants_add(struct policy_tenants *tenants, const char *name)
{
    char **grown = realloc(tenants->names, (tenants->count + 1) * sizeof *grown);
    if (grown == NULL) {
        return -1;
    }
    tenants->names = grown;
    tenants->names[tenants->count] = strdup(name);
    if (tenants->names[tenants->count] == NULL) {
        return -1;
    }
    tenants->count++;
    return 0;
}

bool policy_tenants_hold(const struct policy_tenants *tenants, struct view tenant)
{
    for (size_t i = 0; i < tenants->count && !tenants->all; i++) {
        if (view_equal(view_of(tenants->names[i]), tenant)) {
            return true;
        }
    }
    return tenants->all;
}

static int refuse(cfg_t *section, const char *key, const char *what, const char *rule)
{
    cfg_error(section, "rule \"%s\": %s: \"%s\" %s", cfg_title(section), key, what, rule);
    return -1;
}

/* `all` is the word for every tenant, `own` (or NULL) the one for the rule's. */
static int read_tenants(cfg_t *section, const char *key, const char *all, const char *own,
                        const char *own_tenant, struct policy_tenants *to)
{
    unsigned count = cfg_size(section, key);
    for (unsigned i = 0; i < count; i++) {
        const char *name = cfg_getnstr(section, key, i);
        if (strcmp(name, all) == 0) {
            to->all = true;
            if (count != 1) {
                return refuse(section, key, name, "means every tenant and stands alone");
            }
            continue;
        }
        if (own != NULL && strcmp(name, own) == 0) {
            name = own_tenant;
        } else if (!is_tenant(name)) {
            return refuse(section, key, name, "is no tenant");
        }
        if (tenants_add(to, name) != 0) {
            return refuse(section, key, name, "does not fit the memory");
        }
    }
    return 0;
}

static const char *after_slash(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

static bool names_group(const char *name)
{
    for (int id = METHOD_NONE + 1; id < METHOD_COUNT; id++) {
        if (strcmp(method_row((enum method_id)id)->group, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What can never be done is a mistake in the file. */
static int check_reach(cfg_t *section, const char *name, const struct method *method, bool group,
                       const struct policy_rule *rule)
{
    if (method->need == NEED_ADMIN_ALL && !group && !rule->admin.all) {
        return refuse(section, "methods", name, "needs admin = all");
    }
    bool admin = rule->admin.all || rule->admin.count > 0;
    if ((method->need == NEED_ADMIN_ALL || method->need == NEED_ADMIN) && !admin) {
        return refuse(section, "methods", name, "needs admin");
    }
    return 0;
}

static int read_method(cfg_t *section, const char *name, struct policy_rule *rule)
{
    bool all = strcmp(name, "*") == 0;
    bool group = names_group(name);
    bool found = false;
    for (int id = METHOD_NONE + 1; id < METHOD_COUNT; id++) {
        const struct method *method = method_row((enum method_id)id);
        bool named =
            strcmp(method->name, name) == 0 || strcmp(after_slash(method->name), name) == 0;
        if (!all && !named && !(group && strcmp(method->group, name) == 0)) {
            continue;
        }
        found = true;
        rule->methods |= UINT32_C(1) << id;
        if (!all && check_reach(section, name, method, group, rule) != 0) {
            return -1;
        }
    }
    return found ? 0
                 : refuse(section, "methods", name,
                          "is neither a method nor one of read, write, health, admin, *");
}

static int read_rule(cfg_t *section, struct policy_rule *rule)
{
    const char *name = cfg_title(section);
    if (!is_rule_name(name)) {
        cfg_error(section,
                  "rule \"%s\": the name is neither a SPIFFE ID nor a prefix of some ending in /*",
                  name);
        return -1;
    }
    rule->name = strdup(name);
    if (rule->name == NULL) {
        return refuse(section, "name", name, "does not fit the memory");
    }
    const char *tenant = cfg_getstr(section, "tenant");
    if (tenant == NULL || !is_tenant(tenant)) {
        return refuse(section, "tenant", tenant != NULL ? tenant : "",
                      "is no tenant (required: 1 to 64 of a-z A-Z 0-9 . _ -)");
    }
    memcpy(rule->tenant, tenant, strlen(tenant) + 1);
    rule->update_any = cfg_getbool(section, "update_any") == cfg_true;
    rule->feed = cfg_getbool(section, "feed") == cfg_true;
    if (read_tenants(section, "delegate", "*", NULL, tenant, &rule->delegate) != 0 ||
        read_tenants(section, "admin", "all", "own", tenant, &rule->admin) != 0) {
        return -1;
    }
    if (rule->feed && !rule->delegate.all && rule->delegate.count > 0) {
        return refuse(section, "feed", "true",
                      "shows all tenants and does not go with a delegate for some");
    }
    if (cfg_size(section, "methods") == 0) {
        return refuse(section, "methods", "", "is missing: a rule allows something");
    }
    for (unsigned i = 0; i < cfg_size(section, "methods"); i++) {
        if (read_method(section, cfg_getnstr(section, "methods", i), rule) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- The table ---- */

static int compare_rules(const void *a, const void *b)
{
    return strcmp(((const struct policy_rule *)a)->name, ((const struct policy_rule *)b)->name);
}

static int read_rules(cfg_t *cfg, struct policy *policy)
{
    size_t count = cfg_size(cfg, "rule");
    policy->rules = calloc(count + 1, sizeof *policy->rules);
    if (policy->rules == NULL) {
        cfg_error(cfg, "the rules do not fit the memory");
        return -1;
    }
    for (; policy->count < count; policy->count++) {
        cfg_t *section = cfg_getnsec(cfg, "rule", (unsigned)policy->count);
        if (read_rule(section, &policy->rules[policy->count]) != 0) {
            policy->count++; /* what it has is freed with the others */
            return -1;
        }
    }
    qsort(policy->rules, policy->count, sizeof *policy->rules, compare_rules);
    return 0;
}

/* libconfuse takes a section that the end of the file cuts off. A last option of our own, which no
 * rule knows, makes it an error: half a policy must not load. */
#define LAST_OPTION "end_of_file"

static int parse(cfg_t *cfg, const char *path, struct policy *policy)
{
    static const char last[] = "\n" LAST_OPTION " = true\n";
    char *text = text_file_read(path, sizeof last, error_to.text, error_to.size);
    cfg->filename = strdup(path);
    if (text == NULL || cfg->filename == NULL) {
        free(text);
        return -1;
    }
    int outcome = CFG_PARSE_ERROR;
    if (text_file_blank_remarks(text) != 0) {
        (void)snprintf(error_to.text, error_to.size, "%s: a remark is not closed", path);
    } else {
        memcpy(text + strlen(text), last, sizeof last);
        FILE *file = fmemopen(text, strlen(text), "r");
        outcome = file != NULL ? cfg_parse_fp(cfg, file) : CFG_PARSE_ERROR;
        if (file != NULL) {
            (void)fclose(file);
        }
    }
    free(text);
    return outcome == CFG_SUCCESS ? read_rules(cfg, policy) : -1;
}

/* With one reference and no rule; NULL: out of memory. */
static struct policy *new_policy(void)
{
    struct policy *policy = calloc(1, sizeof *policy);
    if (policy != NULL) {
        atomic_init(&policy->references, 1);
    }
    return policy;
}

int policy_load(const char *path, struct policy **policy, char *error, size_t error_size)
{
    cfg_opt_t rule_options[] = {CFG_STR_LIST("methods", "{}", CFGF_NONE),
                                CFG_STR("tenant", NULL, CFGF_NONE),
                                CFG_STR_LIST("delegate", "{}", CFGF_NONE),
                                CFG_BOOL("update_any", cfg_false, CFGF_NONE),
                                CFG_BOOL("feed", cfg_false, CFGF_NONE),
                                CFG_STR_LIST("admin", "{}", CFGF_NONE),
                                CFG_END()};
    cfg_opt_t options[] = {
        CFG_SEC("rule", rule_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        CFG_BOOL(LAST_OPTION, cfg_false, CFGF_NONE), CFG_END()};
    error[0] = '\0';
    error_to.text = error;
    error_to.size = error_size;
    struct policy *made = new_policy();
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    int outcome = -1;
    if (made != NULL && cfg != NULL) {
        (void)cfg_set_error_function(cfg, take_error);
        outcome = parse(cfg, path, made);
    }
    if (outcome != 0 && error[0] == '\0') {
        (void)snprintf(error, error_size, "%s: out of memory", path);
    }
    cfg_free(cfg);
    error_to.size = 0;
    if (outcome != 0) {
        policy_release(made);
        return -1;
    }
    *policy = made;
    return 0;
}

struct policy *policy_new_open(void)
{
    struct policy *policy = new_policy();
    struct policy_rule *rule = calloc(1, sizeof *rule);
    char *name = strdup(SCHEME "*");
    if (policy == NULL || rule == NULL || name == NULL) {
        free(policy);
        free(rule);
        free(name);
        return NULL;
    }
    *rule = (struct policy_rule){.name = name,
                                 .methods = UINT32_MAX,
                                 .tenant = "dev",
                                 .delegate.all = true,
                                 .admin.all = true,
                                 .feed = true};
    policy->rules = rule;
    policy->count = 1;
    policy->open = true;
    return policy;
}

struct policy *policy_hold(struct policy *policy)
{
    (void)atomic_fetch_add(&policy->references, 1);
    return policy;
}

void policy_release(struct policy *policy)
{
    if (policy == NULL || atomic_fetch_sub(&policy->references, 1) != 1) {
        return;
    }
    for (size_t i = 0; i < policy->count; i++) {
        free(policy->rules[i].name);
        tenants_deinit(&policy->rules[i].delegate);
        tenants_deinit(&policy->rules[i].admin);
    }
    free(policy->rules);
    free(policy);
}

size_t policy_count(const struct policy *policy)
{
    return policy->count;
}

static const struct policy_rule *find_name(const struct policy *policy, char *name)
{
    const struct policy_rule key = {.name = name};
    return bsearch(&key, policy->rules, policy->count, sizeof key, compare_rules);
}

const struct policy_rule *policy_find(const struct policy *policy, struct view principal)
{
    if (!policy_principal_valid(principal)) {
        return NULL;
    }
    if (policy->open) {
        return &policy->rules[0];
    }
    char name[LIMIT_PRINCIPAL_LENGTH + 2];
    memcpy(name, principal.bytes, principal.length);
    name[principal.length] = '\0';
    const struct policy_rule *rule = find_name(policy, name);
    for (size_t at = principal.length - 1; rule == NULL && at >= sizeof SCHEME; at--) {
        if (name[at] == '/') {
            name[at + 1] = '*';
            name[at + 2] = '\0';
            rule = find_name(policy, name);
        }
    }
    return rule;
}

const char *policy_foreign_rule(const struct policy *policy, struct view trust_domain)
{
    for (size_t i = 0; i < policy->count && !policy->open; i++) {
        const char *name = policy->rules[i].name + sizeof SCHEME - 1;
        const struct view own = {(const uint8_t *)name, strcspn(name, "/")};
        if (!view_equal(own, trust_domain)) {
            return policy->rules[i].name;
        }
    }
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int policy_tenants_of(const struct policy *policy, enum method_id method,
                      struct policy_tenants *tenants)
{
    size_t most = 1;
    for (size_t i = 0; i < policy->count; i++) {
        most += 1 + policy->rules[i].delegate.count;
    }
    *tenants = (struct policy_tenants){.names = calloc(most, sizeof(char *))};
    if (tenants->names == NULL) {
        return -1;
    }
    size_t count = 0;
    for (size_t i = 0; i < policy->count; i++) {
        struct policy_rule *rule = &policy->rules[i];
        if ((rule->methods & UINT32_C(1) << method) == 0) {
            continue;
        }
        tenants->all = tenants->all || rule->delegate.all;
        tenants->names[count++] = rule->tenant;
        for (size_t j = 0; j < rule->delegate.count; j++) {
            tenants->names[count++] = rule->delegate.names[j];
        }
    }
    qsort(tenants->names, count, sizeof(char *), compare_names);
    for (size_t i = 0; i < count; i++) {
        char **last = &tenants->names[tenants->count];
        if (tenants->count == 0 || strcmp(last[-1], tenants->names[i]) != 0) {
            *last = tenants->names[i];
            tenants->count++;
        }
    }
    return 0;
}
