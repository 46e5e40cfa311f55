/* Diagnostics: one logfmt line per call to standard error, `level=warning msg="peer refused"
 * peer=...`.
 *
 * Values may come from the network or a file: everything that could break a line, a terminal or the
 * format is escaped, and long values are cut. What is said must never be a payload or a secret; the
 * callers see to that. Under systemd (JOURNAL_STREAM) lines begin with the priority that journald
 * understands, otherwise with the time. A line leaves by one write, so lines of several threads
 * never mix, and a line that cannot be written is lost: diagnostics never stop the service.
 *
 * All functions may be called from any thread, log_init only before there are several. */
#ifndef ACTIVITYD_SERVER_LOG_H
#define ACTIVITYD_SERVER_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_DEBUG = 0,
    LOG_LEVEL_INFO = 1,
    LOG_LEVEL_WARNING = 2,
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_FATAL = 4, /* the process ends after it */
    LOG_LEVEL_COUNT = 5
};

struct log_field {
    const char *name; /* NULL ends a list, "" is left out */
    const char *text; /* an empty one is left out */
    int64_t number;
    int32_t length; /* of the text, or one of the two below */
};
#define LOG_LENGTH_TERMINATED (-1)
#define LOG_LENGTH_NUMBER     (-2)

/* One field, as log_write's macros take them. */
#define LOG_TEXT(field, value)                                                                     \
    {                                                                                              \
        .name = (field), .text = (value), .length = LOG_LENGTH_TERMINATED                          \
    }
#define LOG_BYTES(field, value, size)                                                              \
    {                                                                                              \
        .name = (field), .text = (const char *)(value), .length = (int32_t)(size)                  \
    }
#define LOG_NUMBER(field, value)                                                                   \
    {                                                                                              \
        .name = (field), .number = (int64_t)(value), .length = LOG_LENGTH_NUMBER                   \
    }

/* Longer lines are cut, and say so. */
#define LOG_LINE_MAX 2048

/* Writes to `fd` (2 unless a test wants to read it) what is at least `level`. `journald`:
 * priorities instead of the time. Without a call: fd 2, INFO, and journald as the environment says.
 */
void log_init(int fd, enum log_level level, bool journald);
void log_set_level(enum log_level level);
/* Whether standard error is connected to journald. */
bool log_under_journald(void);

/* "debug", "info", "warning", "error"; -1 when the text is none. */
int log_level_parse(const char *text);
const char *log_level_name(enum log_level level);

/* `message` is a constant of the program; `fields` ends with a field without name. Borrowed. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

/* At most `most` lines per `period_ms`; what was left out is counted and said in the next line
 * (suppressed=N). One per call site, static, zero but for the two numbers. */
struct log_rate {
    uint32_t most;
    uint32_t period_ms;
    uint32_t count;
    uint32_t suppressed;
    uint64_t since_ms;
};
void log_write_rated(struct log_rate *rate, enum log_level level, const char *message,
                     const struct log_field *fields);

#define LOG_FIELDS(...)                                                                            \
    ((const struct log_field[]){{.name = ""}, ##__VA_ARGS__, {.name = (const char *)0}})
#define log_debug(message, ...)   log_write(LOG_LEVEL_DEBUG, message, LOG_FIELDS(__VA_ARGS__))
#define log_info(message, ...)    log_write(LOG_LEVEL_INFO, message, LOG_FIELDS(__VA_ARGS__))
#define log_warning(message, ...) log_write(LOG_LEVEL_WARNING, message, LOG_FIELDS(__VA_ARGS__))
#define log_error(message, ...)   log_write(LOG_LEVEL_ERROR, message, LOG_FIELDS(__VA_ARGS__))
#define log_fatal(message, ...)   log_write(LOG_LEVEL_FATAL, message, LOG_FIELDS(__VA_ARGS__))

#endif
