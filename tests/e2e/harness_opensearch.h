/* A real OpenSearch node for a test: started, killed, stopped in its tracks and asked. It is not
 * to be had everywhere: tests that need it begin with opensearch_needed(). */
#ifndef ACTIVITYD_TESTS_E2E_HARNESS_OPENSEARCH_H
#define ACTIVITYD_TESTS_E2E_HARNESS_OPENSEARCH_H

#include "tests/e2e/harness.h"

#include <jansson.h>

struct opensearch {
    const struct scene *scene;
    const char *home; /* directory name below the scene, "opensearch" by default */
    pid_t pid;        /* 0: not running */
    uint16_t port;    /* chosen at the first start, kept afterwards */
    bool secure;
    char url[64];
    char log[SCENE_PATH_MAX]; /* what it said in all its lives */

    /* How the next requests are made; may be changed at any time. */
    const char *user;         /* "NAME:PASSWORD"; NULL: nobody */
    const char *certificate;  /* its name in HOME/config; NULL: none */
    const char *content_type; /* NULL: application/json */
    uint32_t timeout_ms;      /* 0: 30 s */
    void *connection;
};

struct opensearch_options {
    /* TLS, client certificates and users as in tests/opensearch/secure.sh; the requests begin as
     * user boss with the certificate "client". */
    bool secure;
    /* For measuring: it takes longer to start, and is two to three times as fast then. */
    bool fast;
    const char *const *settings; /* "NAME=VALUE", NULL-terminated; or NULL */
};

/* Starts a node, or one that has ended again with its data, and waits until it is green (60 s).
 * False: it cannot be had here, and why has been printed. Any other failure aborts the test. */
bool opensearch_start(struct opensearch *node, const struct scene *scene,
                      const struct opensearch_options *options);
/* The same without waiting, and the waiting. */
bool opensearch_spawn(struct opensearch *node, const struct scene *scene,
                      const struct opensearch_options *options);
void opensearch_await(struct opensearch *node);
/* Skips the test when the node could not be had. */
void opensearch_needed(const struct opensearch *node);

void opensearch_stop(struct opensearch *node);   /* SIGTERM, and waits for an orderly end */
void opensearch_kill(struct opensearch *node);   /* SIGKILL; harmless when it does not run */
void opensearch_pause(struct opensearch *node);  /* SIGSTOP: connects, and does not answer */
void opensearch_resume(struct opensearch *node); /* SIGCONT */
/* Kills it and frees what belongs to it; accepts one that was never started. */
void opensearch_end(struct opensearch *node);

/* Another way to ask the same node, for another thread; it must not start or stop it. Ended by
 * opensearch_hang_up. */
struct opensearch opensearch_of(const struct opensearch *node);
void opensearch_hang_up(struct opensearch *node);

struct opensearch_reply {
    int status; /* of HTTP; 0: no complete reply came */
    char *body; /* terminated; the caller frees it */
    size_t length;
    size_t room;
    char why[160]; /* when status is 0: in libcurl's words */
};

/* One request. `body` is text, or NULL for none. One thread per node. */
void opensearch_request(struct opensearch *node, const char *method, const char *path,
                        const char *body, struct opensearch_reply *reply);
/* The same for a JSON reply (the caller's to decref), NULL when it is none. status may be NULL. */
json_t *opensearch_ask(struct opensearch *node, const char *method, const char *path,
                       const char *body, int *status);

#endif
