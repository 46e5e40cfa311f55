/* Payloads with one fault each, and how they must be told. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_WIRE_FAULTS_H
#define ACTIVITYD_TESTS_UNIT_SERVER_WIRE_FAULTS_H

#include "tests/unit/server/wire/decoding.h"

/* Writes a payload with one fault. */
struct fault {
    const char *name;
    enum method_id method;
    void (*write)(void);
    const char *field; /* NULL: MALFORMED_PAYLOAD */
    const char *rule;  /* a part of the text */
};

static inline void assert_told(const struct fault *faults, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct fault *fault = &faults[i];
        fault->write();
        decode(fault->method);
        const struct request_error *error = &decoded.error;
        if (decoded.outcome != 1 || strcmp(error->field, fault->field ? fault->field : "") != 0 ||
            strstr(error->rule, fault->rule) == NULL) {
            fail_msg("%s of %s: outcome %d, field '%s', rule '%s'", fault->name,
                     method_row(fault->method)->name, decoded.outcome, error->field, error->rule);
        }
        assert_int_equal(error->reason, fault->field ? REASON_BAD_FIELD : REASON_MALFORMED_PAYLOAD);
        assert_true(view_is_text(view_of(error->rule)));
        /* A rule ends in the way out. */
        assert_non_null(strchr(error->rule, ';'));
    }
}

#endif
