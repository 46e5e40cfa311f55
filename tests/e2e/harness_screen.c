#define _GNU_SOURCE /* forkpty */
#include "tests/e2e/harness_screen.h"
#include "tests/e2e/harness.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_MS = 30000, SLICE_MS = 20 };

static void blank(struct screen *screen, unsigned row, unsigned from)
{
    memset(screen->cells[row] + from, ' ', screen->columns - from);
    screen->cells[row][screen->columns] = '\0';
}

static void line_feed(struct screen *screen)
{
    if (screen->row + 1 < screen->rows) {
        screen->row++;
        return;
    }
    memmove(screen->cells[0], screen->cells[1], (screen->rows - 1) * sizeof screen->cells[0]);
    blank(screen, screen->rows - 1, 0);
    screen->scrolled++;
}

static void put(struct screen *screen, char character)
{
    if (screen->column == screen->columns) {
        if (!screen->wraps) {
            return;
        }
        screen->column = 0;
        line_feed(screen);
    }
    screen->cells[screen->row][screen->column++] = character;
}

/* The sequences that activityctl may use. */
static void obey(struct screen *screen)
{
    const char *escape = screen->escape;
    size_t length = strlen(escape);
    char last = escape[length - 1];
    unsigned number = escape[1] == '\0' ? 0 : (unsigned)strtoul(escape + 1, NULL, 10);
    if (last == 'A') {
        number = number == 0 ? 1 : number;
        screen->row = number > screen->row ? 0 : screen->row - number;
    } else if (last == 'K' && length == 2) {
        blank(screen, screen->row, screen->column);
    } else if (last == 'J' && length == 2) {
        blank(screen, screen->row, screen->column);
        for (unsigned row = screen->row + 1; row < screen->rows; row++) {
            blank(screen, row, 0);
        }
    } else if (strcmp(escape, "[?7l") == 0 || strcmp(escape, "[?7h") == 0) {
        screen->wraps = last == 'h';
    } else if (last != 'm' && screen->unknown[0] == '\0') {
        memcpy(screen->unknown, escape, length + 1);
    }
}

static void take(struct screen *screen, unsigned char byte)
{
    size_t length = strlen(screen->escape);
    if (!screen->at_rest) {
        if (length + 1 < sizeof screen->escape) {
            screen->escape[length] = (char)byte;
            screen->escape[length + 1] = '\0';
        }
        if (byte >= 0x40 && byte != '[') {
            obey(screen);
            screen->at_rest = true;
        }
    } else if (byte == 0x1B) {
        screen->at_rest = false;
        screen->escape[0] = '\0';
    } else if (byte == '\r') {
        screen->column = 0;
    } else if (byte == '\n') {
        line_feed(screen);
    } else if (byte >= 0x20 && byte < 0x80) {
        put(screen, (char)byte);
    } else if (byte >= 0xC0) {
        put(screen, '?'); /* the first byte of a character stands for all */
    }
}

void screen_open(struct screen *screen, unsigned rows, unsigned columns, char *const *argv)
{
    memset(screen, 0, sizeof *screen);
    assert_true(rows <= SCREEN_ROWS && columns <= SCREEN_COLUMNS);
    screen->rows = rows;
    screen->columns = columns;
    screen->wraps = true;
    screen->at_rest = true;
    for (unsigned row = 0; row < rows; row++) {
        blank(screen, row, 0);
    }
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    screen->pid = forkpty(&screen->terminal, NULL, NULL, &size);
    assert_true(screen->pid >= 0);
    if (screen->pid == 0) {
        (void)setenv("TERM", "xterm", 1);
        (void)unsetenv("NO_COLOR");
        (void)execv(argv[0], argv);
        _exit(127);
    }
}

/* What has come within a slice; false when the program has gone. */
static bool read_some(struct screen *screen)
{
    struct pollfd poll_for = {.fd = screen->terminal, .events = POLLIN};
    if (poll(&poll_for, 1, SLICE_MS) <= 0) {
        return true;
    }
    unsigned char bytes[4096];
    ssize_t got = read(screen->terminal, bytes, sizeof bytes);
    screen->printed_ms = now_ms();
    for (ssize_t i = 0; i < got; i++) {
        take(screen, bytes[i]);
    }
    return got > 0 || (got < 0 && errno == EINTR);
}

unsigned screen_count(const struct screen *screen, const char *text)
{
    unsigned count = 0;
    for (unsigned row = 0; row < screen->rows; row++) {
        count += strstr(screen->cells[row], text) != NULL ? 1 : 0;
    }
    return count;
}

bool screen_watch(struct screen *screen, const char *text, uint32_t milliseconds)
{
    for (uint64_t end = now_ms() + milliseconds; screen_count(screen, text) == 0;) {
        if (now_ms() >= end || !read_some(screen)) {
            print_error("'%s' is not on the screen:\n", text);
            for (unsigned row = 0; row < screen->rows; row++) {
                print_error("|%s|\n", screen->cells[row]);
            }
            return false;
        }
    }
    return true;
}

void screen_settle(struct screen *screen, uint32_t milliseconds)
{
    screen->printed_ms = now_ms();
    while (now_ms() < screen->printed_ms + milliseconds && read_some(screen)) {
    }
}

void screen_type(struct screen *screen, const char *keys)
{
    assert_int_equal(write(screen->terminal, keys, strlen(keys)), (ssize_t)strlen(keys));
}

void screen_resize(struct screen *screen, unsigned rows, unsigned columns)
{
    assert_true(rows <= screen->rows && columns >= screen->columns);
    /* Fewer rows: what was at the top leaves, as far as the cursor needs it. */
    while (screen->row >= rows) {
        memmove(screen->cells[0], screen->cells[1], (screen->rows - 1) * sizeof screen->cells[0]);
        screen->row--;
    }
    screen->rows = rows;
    for (unsigned row = 0; row < rows; row++) {
        unsigned filled = (unsigned)strlen(screen->cells[row]);
        screen->columns = columns;
        blank(screen, row, filled);
    }
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    assert_int_equal(ioctl(screen->terminal, TIOCSWINSZ, &size), 0);
}

int screen_close(struct screen *screen)
{
    uint64_t end = now_ms() + END_MS;
    while (read_some(screen) && now_ms() < end) {
    }
    int status = 0;
    pid_t ended = 0;
    while ((ended = waitpid(screen->pid, &status, WNOHANG)) == 0 && now_ms() < end) {
        sleep_ms(10);
    }
    if (ended == 0) {
        (void)kill(screen->pid, SIGKILL);
        (void)waitpid(screen->pid, &status, 0);
    }
    (void)close(screen->terminal);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
