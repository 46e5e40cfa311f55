#include "server/net/library.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdbool.h>
#include <string.h>

#include "proto/tls/engine.h"
#include "server/log.h"

/* NNG's own TLS engine tells of refused handshakes nowhere else. mbedTLS's text says why, but not
 * of whom. */
static void take_diagnostics(nng_log_level level, nng_log_facility facility, const char *id,
                             const char *text)
{
    /* Of its own, so that those without a certificate do not hide those with one. */
    static struct log_rate handshake_rate = {.most = 20, .period_ms = 60000};
    (void)facility;
    if (strcmp(id, "NNG-TLS-HANDSHAKE") == 0) {
        log_write_rated(&handshake_rate, LOG_LEVEL_WARNING, "peer refused",
                        LOG_FIELDS(LOG_TEXT("reason", text)));
    } else if (level <= NNG_LOG_WARN && strcmp(id, "NNG-ACCEPT-FAIL") != 0) {
        static struct log_rate rate = {.most = 20, .period_ms = 60000};
        log_write_rated(&rate, level == NNG_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
                        "transport", LOG_FIELDS(LOG_TEXT("id", id), LOG_TEXT("text", text)));
    } else {
        log_debug("transport", LOG_TEXT("id", id), LOG_TEXT("text", text));
    }
}

void library_init(void)
{
    /* Two were 10 to 35 % faster than the default of two per core, on two cores. */
    nng_init_set_parameter(NNG_INIT_NUM_TASK_THREADS, 2);
    bool ours = tls_engine_register() == 0;
    nng_log_set_logger(take_diagnostics);
    nng_log_set_level(NNG_LOG_NOTICE);
    log_write(ours ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
              ours ? "TLS engine"
                   : "NNG's own TLS engine is used: no reload, no time for handshakes",
              LOG_FIELDS(LOG_TEXT("engine", nng_tls_engine_description()),
                         LOG_TEXT("nng", nng_version())));
}

void library_fini(void)
{
    nng_fini();
}
