#include "proto/status.h"

static const char *const code_names[STATUS_CODE_COUNT] = {
    [STATUS_OK] = "OK",
    [STATUS_CANCELLED] = "CANCELLED",
    [STATUS_UNKNOWN] = "UNKNOWN",
    [STATUS_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [STATUS_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [STATUS_NOT_FOUND] = "NOT_FOUND",
    [STATUS_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [STATUS_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [STATUS_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [STATUS_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [STATUS_ABORTED] = "ABORTED",
    [STATUS_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [STATUS_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [STATUS_INTERNAL] = "INTERNAL",
    [STATUS_UNAVAILABLE] = "UNAVAILABLE",
    [STATUS_DATA_LOSS] = "DATA_LOSS",
    [STATUS_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

static const struct {
    const char *name;
    enum status_code code;
    const char *text;
} reasons[REASON_COUNT] = {
#define REASON_ROW(name, code, text) [REASON_##name] = {#name, STATUS_##code, text},
    STATUS_REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *status_code_name(uint32_t code)
{
    return code < STATUS_CODE_COUNT ? code_names[code] : code_names[STATUS_UNKNOWN];
}

const char *status_reason_name(uint32_t reason)
{
    return reason != REASON_NONE && reason < REASON_COUNT ? reasons[reason].name : "";
}

enum status_code status_reason_code(uint32_t reason)
{
    return reason < REASON_COUNT ? reasons[reason].code : STATUS_INTERNAL;
}

const char *status_reason_text(uint32_t reason)
{
    return reason < REASON_COUNT ? reasons[reason].text : "an unknown reason";
}
