/* Scenario tests: a scratch directory with its own certificates and policy, real activityd
 * processes over TLS on free ports, and clients of libactivity. Everything aborts the test with a
 * message when the scene itself cannot be set up. */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_H
#define ACTIVITYD_TESTS_E2E_HARNESS_H

#include <activity.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <sys/types.h>

#include <cmocka.h>

#define SCENE_PATH_MAX 512

struct scene {
    char directory[SCENE_PATH_MAX / 2];
};

/* The standing cast, all issued by one authority; policy of each in tests/e2e/policy.conf:
 *   worker   read and write in tenant acme
 *   gateway  read and write, delegate for acme and other
 *   boss     everything in acme (admin)
 *   root     everything everywhere (admin = all, delegate *, feed)
 *   watcher  read in tenant acme, and the feed of all tenants
 *   stranger has a certificate but no rule */
void scene_make(struct scene *scene);
void scene_end(struct scene *scene); /* removes the directory; accepts one that was never made */

/* DIRECTORY/name, in a ring of buffers of this thread: good for a few calls. */
const char *scene_path(const struct scene *scene, const char *name);
void scene_write(const struct scene *scene, const char *name, const char *text);
/* A whole file, terminated; the caller frees it. NULL when it cannot be read. */
char *scene_read(const char *path);
/* Runs .make/devcerts.sh with the words given (NULL-terminated): odd certificates for one test. */
void scene_certificate(const struct scene *scene, ...) __attribute__((sentinel));

struct server {
    const struct scene *scene;
    const char *data; /* directory name below the scene, "data" by default */
    bool stock;       /* the program with NNG's own TLS engine */
    pid_t pid;        /* 0: not running */
    uint16_t port;    /* chosen at the first start, kept afterwards */
    uint16_t feed_port;
    char url[64];
    char feed_url[64];
    char log[SCENE_PATH_MAX]; /* stderr of all its lives */
};

/* Starts activityd with the scene's certificates and policy and the further flags (NULL or
 * NULL-terminated), and waits until it serves (60 s). */
void server_start(struct server *server, const struct scene *scene, const char *const *flags);
/* The same without waiting: for starts that shall fail. */
void server_spawn(struct server *server, const struct scene *scene, const char *const *flags);
void server_await(struct server *server);
/* Sends a signal to the process only. */
void server_signal(struct server *server, int signal_number);
/* Waits for the end (60 s); the exit status, or 128 + the signal. */
int server_wait(struct server *server);
/* Looks whether it has ended by itself, and if so how (as server_wait). */
bool server_ended(struct server *server, int *status);
/* SIGKILL and wait; harmless when it does not run. */
void server_kill(struct server *server);
/* SIGTERM and wait: the exit status. */
int server_stop(struct server *server);
/* Whether its diagnostics contain a text. */
bool server_said(const struct server *server, const char *text);
/* Resident memory in bytes. */
size_t server_memory(const struct server *server);
/* Open descriptors. */
size_t server_descriptors(const struct server *server);

/* A client of one of the cast. tenant, user and groups (NULL-terminated list) may be NULL. Aborts
 * the test on failure. */
activity_client *client_of(const struct server *server, const char *who, const char *tenant,
                           const char *user, const char *const *groups);
/* Options that client_of would use, to be changed before activity_client_new. Its strings are good
 * for a few calls of this thread. */
void client_options(struct activity_options *options, const struct server *server, const char *who);

/* How the server's feed stands, by GetServerInfo. */
struct activity_feed_info feed_info(activity_client *client);

uint16_t free_port(void);
void sleep_ms(unsigned milliseconds);
uint64_t now_ms(void);
/* A multiple of the standing count, by the environment variable N (percent of 100 in the suite is
 * 1). */
uint32_t test_count(uint32_t standing);
/* Deterministic random numbers (xorshift); the seed is printed by the tests that use them. */
uint64_t random_next(uint64_t *state);

/* Fails with the error's words when code is not 0. */
#define assert_ok(code, error)                                                                     \
    do {                                                                                           \
        int code_ = (int)(code);                                                                   \
        if (code_ != 0) {                                                                          \
            print_error("%s %s: %s (field %s)\n", activity_code_name(code_), (error).reason,       \
                        (error).message, (error).field);                                           \
        }                                                                                          \
        assert_int_equal(code_, 0);                                                                \
    } while (0)

#endif
