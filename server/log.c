#include "server/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The longest value shown: enough for a principal, a path or a sentence. */
#define VALUE_MAX 600

static const char *const level_names[LOG_LEVEL_COUNT] = {"debug", "info", "warning", "error",
                                                         "fatal"};
/* syslog's: what journald reads after "<". */
static const char level_priorities[LOG_LEVEL_COUNT] = {'7', '6', '4', '3', '2'};

static int out_fd = 2;
static atomic_int least_level = LOG_LEVEL_INFO;
static bool with_priority;
static pthread_once_t environment_once = PTHREAD_ONCE_INIT;
static bool environment_overruled;

/* A line under construction. The last bytes are kept for the mark that it was cut and the newline.
 */
struct line {
    char bytes[LOG_LINE_MAX];
    size_t used;
    bool cut;
};
#define LINE_TAIL " cut=true\n"

bool log_under_journald(void)
{
    /* systemd.exec(5): device and inode of the stream, in case stderr was redirected since. */
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    if (stream == NULL || fstat(2, &status) != 0) {
        return false;
    }
    char *rest = NULL;
    unsigned long long device = strtoull(stream, &rest, 10);
    if (*rest != ':') {
        return false;
    }
    unsigned long long inode = strtoull(rest + 1, &rest, 10);
    return *rest == '\0' && device == status.st_dev && inode == status.st_ino;
}

static void read_environment(void)
{
    if (!environment_overruled) {
        with_priority = log_under_journald();
    }
}

void log_init(int fd, enum log_level level, bool journald)
{
    environment_overruled = true;
    out_fd = fd;
    with_priority = journald;
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

int log_level_parse(const char *text)
{
    for (int level = 0; level < LOG_LEVEL_FATAL; level++) {
        if (strcmp(text, level_names[level]) == 0) {
            return level;
        }
    }
    return -1;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static void put(struct line *line, const char *bytes, size_t length)
{
    if (line->cut || length > sizeof line->bytes - sizeof LINE_TAIL - line->used) {
        line->cut = true;
        return;
    }
    memcpy(line->bytes + line->used, bytes, length);
    line->used += length;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_number(struct line *line, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) {
        digits[--at] = '-';
    }
    put(line, digits + at, sizeof digits - at);
}

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._/:@+-*,[]#", c) != NULL);
}

/* Everything but printable ASCII is escaped: UTF-8 can turn the direction of a terminal's text,
 * too. */
static void put_escaped(struct line *line, const char *value, size_t length)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c == '"' || c == '\\') {
            put(line, (const char[]){'\\', (char)c}, 2);
        } else if (c >= 0x20 && c < 0x7f) {
            put(line, (const char[]){(char)c}, 1);
        } else {
            put(line, (const char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
        }
    }
}

static void put_value(struct line *line, const char *value, size_t length)
{
    bool plain = length > 0 && length <= VALUE_MAX;
    for (size_t i = 0; plain && i < length; i++) {
        plain = is_plain((unsigned char)value[i]);
    }
    if (plain) {
        put(line, value, length);
        return;
    }
    put(line, "\"", 1);
    put_escaped(line, value, length > VALUE_MAX ? VALUE_MAX : length);
    if (length > VALUE_MAX) {
        put_text(line, "...");
    }
    put(line, "\"", 1);
}

static void put_start(struct line *line, enum log_level level)
{
    if (with_priority) {
        put(line, (const char[]){'<', level_priorities[level], '>'}, 3);
        return;
    }
    struct timespec now;
    struct tm parts;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts) == NULL) {
        return;
    }
    char text[40];
    size_t length = strftime(text, sizeof text, "time=%Y-%m-%dT%H:%M:%S", &parts);
    put(line, text, length);
    long ms = now.tv_nsec / 1000000;
    put(line,
        (const char[]){'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                       (char)('0' + ms % 10), 'Z', ' '},
        6);
}

static void put_field(struct line *line, const struct log_field *field)
{
    bool is_number = field->length == LOG_LENGTH_NUMBER;
    size_t length = 0;
    if (!is_number && field->text != NULL) {
        length = field->length < 0 ? strlen(field->text) : (size_t)field->length;
    }
    if (field->name[0] == '\0' || (!is_number && length == 0)) {
        return;
    }
    put(line, " ", 1);
    put_text(line, field->name);
    put(line, "=", 1);
    if (is_number) {
        put_number(line, field->number);
    } else {
        put_value(line, field->text, length);
    }
}

static void write_line(const struct line *line)
{
    size_t done = 0;
    while (done < line->used) {
        ssize_t n = write(out_fd, line->bytes + done, line->used - done);
        if (n < 0 && errno != EINTR) {
            return;
        }
        done += n > 0 ? (size_t)n : 0;
    }
}

static void compose_and_write(enum log_level level, const char *message,
                              const struct log_field *fields, uint32_t suppressed)
{
    int saved = errno;
    (void)pthread_once(&environment_once, read_environment);
    struct line line;
    line.used = 0;
    line.cut = false;
    put_start(&line, level);
    put_text(&line, "level=");
    put_text(&line, level_names[level]);
    put_text(&line, " msg=");
    put_value(&line, message, strlen(message));
    for (; fields->name != NULL; fields++) {
        put_field(&line, fields);
    }
    if (suppressed != 0) {
        put_field(&line, &(struct log_field)LOG_NUMBER("suppressed", suppressed));
    }
    const char *tail = line.cut ? LINE_TAIL : "\n";
    memcpy(line.bytes + line.used, tail, strlen(tail));
    line.used += strlen(tail);
    write_line(&line);
    errno = saved;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    if ((int)level >= atomic_load_explicit(&least_level, memory_order_relaxed)) {
        compose_and_write(level, message, fields, 0);
    }
}

static pthread_mutex_t rate_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whether a line may be written now; *suppressed: how many were not since the last one. */
static bool rate_take(struct log_rate *rate, uint32_t *suppressed)
{
    struct timespec now;
    (void)pthread_mutex_lock(&rate_lock);
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* never before the others' `since_ms` */
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (rate->count == 0 || now_ms - rate->since_ms >= rate->period_ms) {
        rate->since_ms = now_ms;
        rate->count = 0;
    }
    bool taken = rate->count < rate->most;
    if (taken) {
        rate->count++;
        *suppressed = rate->suppressed;
        rate->suppressed = 0;
    } else {
        rate->suppressed++;
    }
    (void)pthread_mutex_unlock(&rate_lock);
    return taken;
}

void log_write_rated(struct log_rate *rate, enum log_level level, const char *message,
                     const struct log_field *fields)
{
    uint32_t suppressed = 0;
    if ((int)level >= atomic_load_explicit(&least_level, memory_order_relaxed) &&
        rate_take(rate, &suppressed)) {
        compose_and_write(level, message, fields, suppressed);
    }
}
