/* Filling struct activity_error. `error` may be NULL everywhere. Any thread. */
#ifndef ACTIVITY_LIB_ERROR_H
#define ACTIVITY_LIB_ERROR_H

#include <activity.h>

#include "proto/frame.h"
#include "proto/view.h"

/* All return the code. */
int error_clear(struct activity_error *error); /* ACTIVITY_OK */
__attribute__((format(printf, 4, 5))) int error_set(struct activity_error *error,
                                                    enum activity_code code, const char *reason,
                                                    const char *format, ...);
int error_bad_field(struct activity_error *error, const char *field, const char *rule);
int error_no_memory(struct activity_error *error);
int error_malformed_reply(struct activity_error *error, const char *what);

/* What a server's reply says; ACTIVITY_OK for a success. */
int error_from_reply(struct activity_error *error, const struct frame_reply *reply);

#endif
