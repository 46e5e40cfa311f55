#include "proto/tls/random.h"

#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

struct generator {
    mbedtls_ctr_drbg_context drbg;
    pid_t seeded_in; /* 0: not yet */
};

static pthread_key_t key;
static bool has_key; /* a process may have a thousand */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void end_generator(void *generator)
{
    struct generator *own = generator;
    mbedtls_ctr_drbg_free(&own->drbg);
    free(own);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, end_generator) == 0;
}

static int read_kernel(void *context, unsigned char *to, size_t length)
{
    (void)context;
    while (length > 0) {
        ssize_t n = getrandom(to, length, 0);
        if (n < 0 && errno == EINTR) {
            continue; /* only early after a boot */
        }
        if (n <= 0) {
            return MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
        }
        to += n;
        length -= (size_t)n;
    }
    return 0;
}

static struct generator *own_generator(void)
{
    (void)pthread_once(&once, make_key);
    struct generator *own = has_key ? pthread_getspecific(key) : NULL;
    if (has_key && own == NULL && (own = calloc(1, sizeof *own)) != NULL) {
        mbedtls_ctr_drbg_init(&own->drbg);
        if (pthread_setspecific(key, own) != 0) {
            end_generator(own);
            own = NULL;
        }
    }
    return own;
}

/* A child would draw the numbers of its parent. */
static int seed(struct generator *own)
{
    pid_t here = getpid();
    if (own->seeded_in == here) {
        return 0;
    }
    int code = own->seeded_in == 0 ? mbedtls_ctr_drbg_seed(&own->drbg, read_kernel, NULL, NULL, 0)
                                   : mbedtls_ctr_drbg_reseed(&own->drbg, NULL, 0);
    if (code == 0) {
        own->seeded_in = here;
    }
    return code;
}

int tls_random(void *context, unsigned char *to, size_t length)
{
    (void)context;
    struct generator *own = own_generator();
    int code = own != NULL ? seed(own) : MBEDTLS_ERR_CTR_DRBG_ENTROPY_SOURCE_FAILED;
    while (code == 0 && length > 0) {
        size_t part = length < MBEDTLS_CTR_DRBG_MAX_REQUEST ? length : MBEDTLS_CTR_DRBG_MAX_REQUEST;
        code = mbedtls_ctr_drbg_random(&own->drbg, to, part);
        to += part;
        length -= part;
    }
    return code;
}
